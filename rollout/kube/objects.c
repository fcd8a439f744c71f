/* Kubernetes objects as far as a rollout looks at them: JSON to structs and paths.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/kube/objects.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/slice.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *plural, *version;
} kinds[KUBE_KINDS] = {
    [KUBE_RC] = {"ReplicationController", "replicationcontrollers", "v1"},
    [KUBE_DEPLOYMENT] = {"Deployment", "deployments", "apps/v1"},
    [KUBE_REPLICASET] = {"ReplicaSet", "replicasets", "apps/v1"},
    [KUBE_POD] = {"Pod", "pods", "v1"},
    [KUBE_LEASE] = {"Lease", "leases", "coordination.k8s.io/v1"},
    [KUBE_EVENT] = {"Event", "events", "v1"},
    [KUBE_HPA] = {"HorizontalPodAutoscaler", "horizontalpodautoscalers", "autoscaling/v2"},
};

const char *kube_kind_name(enum kube_kind kind)
{
    return kinds[kind].name;
}

const char *kube_kind_plural(enum kube_kind kind)
{
    return kinds[kind].plural;
}

const char *kube_kind_version(enum kube_kind kind)
{
    return kinds[kind].version;
}

static bool is_label(struct slice s)
{
    if (s.len == 0 || s.len > 63 || s.at[0] == '-' || s.at[s.len - 1] == '-')
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!((s.at[i] >= 'a' && s.at[i] <= 'z') || (s.at[i] >= '0' && s.at[i] <= '9') ||
              s.at[i] == '-'))
            return false;
    return true;
}

bool kube_is_name(const char *text)
{
    struct slice rest = slice_str(text), label;
    if (rest.len >= KUBE_NAME_MAX)
        return false;
    bool has_more;
    do {
        has_more = slice_cut(rest, '.', &label, &rest);
        if (!is_label(label))
            return false;
    } while (has_more);
    return true;
}

enum err kube_ref_parse(const char *text, struct kube_ref *ref, struct why *why)
{
    static const struct {
        const char *word;
        enum kube_kind kind;
    } words[] = {{"rc", KUBE_RC},
                 {"replicationcontroller", KUBE_RC},
                 {"deployment", KUBE_DEPLOYMENT},
                 {"replicaset", KUBE_REPLICASET}};
    struct slice word, name;
    (void)slice_cut(slice_str(text), '/', &word, &name);
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (!slice_equal(word, slice_str(words[i].word)))
            continue;
        if (!kube_is_name(name.at))
            return why_set(why, ERR_INVALID, "%s: \"%s\" is no name of an object", text, name.at);
        ref->kind = words[i].kind;
        memcpy(ref->name, name.at, name.len + 1);
        return OK;
    }
    return why_set(why, ERR_INVALID,
                   "\"%s\" is no workload (expected rc/NAME, deployment/NAME or replicaset/NAME)",
                   text);
}

/* Adds text percent-encoded (RFC 3986), as much of it as there is room. Returns the new length. */
static size_t add_escaped(char *out, size_t room, size_t len, const char *text)
{
    static const char hex[] = "0123456789ABCDEF";
    for (const unsigned char *s = (const unsigned char *)text; *s; s++) {
        bool is_plain = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') ||
                        (*s >= '0' && *s <= '9') || strchr("-._~", *s);
        if (len + (is_plain ? 1 : 3) >= room)
            break;
        if (is_plain) {
            out[len++] = (char)*s;
        } else {
            out[len++] = '%';
            out[len++] = hex[*s >> 4];
            out[len++] = hex[*s & 15];
        }
    }
    out[len] = '\0';
    return len;
}

void kube_path(char path[KUBE_PATH_MAX], enum kube_kind kind, const char *name_space,
               const char *name, const char *sub)
{
    const char *version = kinds[kind].version;
    size_t len = (size_t)snprintf(path, KUBE_PATH_MAX, "/%s/%s/namespaces/",
                                  strchr(version, '/') ? "apis" : "api", version);
    len = add_escaped(path, KUBE_PATH_MAX / 2, len, name_space);
    len += (size_t)snprintf(path + len, KUBE_PATH_MAX - len, "/%s", kinds[kind].plural);
    if (!name)
        return;
    path[len++] = '/';
    len = add_escaped(path, KUBE_PATH_MAX - 16, len, name);
    if (sub)
        (void)snprintf(path + len, KUBE_PATH_MAX - len, "/%s", sub);
}

void kube_query(char out[KUBE_QUERY_MAX], const char *path, const char *selector)
{
    size_t len =
        (size_t)snprintf(out, KUBE_QUERY_MAX, "%.*s?labelSelector=", KUBE_PATH_MAX - 32, path);
    (void)add_escaped(out, KUBE_QUERY_MAX, len, selector);
}

static const cJSON *member(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

static const cJSON *metadata_of(const cJSON *object)
{
    return member(object, "metadata");
}

const char *kube_annotation(const struct cJSON *object, const char *key)
{
    return cJSON_GetStringValue(member(member(metadata_of(object), "annotations"), key));
}

const char *kube_label(const struct cJSON *object, const char *key)
{
    return cJSON_GetStringValue(member(member(metadata_of(object), "labels"), key));
}

enum err kube_annotate(struct cJSON *object, const char *key, const char *value)
{
    cJSON *metadata = cJSON_GetObjectItemCaseSensitive(object, "metadata");
    if (!cJSON_IsObject(metadata))
        return ERR_INVALID;
    cJSON *all = cJSON_GetObjectItemCaseSensitive(metadata, "annotations");
    if (!value) {
        cJSON_DeleteItemFromObjectCaseSensitive(all, key);
        return OK;
    }
    if (!cJSON_IsObject(all)) { /* null is as good as none */
        cJSON_DeleteItemFromObjectCaseSensitive(metadata, "annotations");
        all = cJSON_AddObjectToObject(metadata, "annotations");
    }
    cJSON_DeleteItemFromObjectCaseSensitive(all, key);
    return cJSON_AddStringToObject(all, key, value) ? OK : ERR_MEMORY;
}

bool kube_source_is(const char *source_id, const char *name)
{
    size_t len = strcspn(source_id, ":");
    return len == strlen(name) && memcmp(source_id, name, len) == 0;
}

/* A copied string member; absent: "". False: not a string, or too long. */
static bool take_string(const cJSON *object, const char *name, char *out, size_t room)
{
    const cJSON *value = member(object, name);
    out[0] = '\0';
    if (!value || cJSON_IsNull(value))
        return true;
    const char *text = cJSON_GetStringValue(value);
    if (!text || strlen(text) >= room)
        return false;
    memcpy(out, text, strlen(text) + 1);
    return true;
}

/* A whole number from 0 to most; absent: fallback. False: something else. */
static bool take_count(const cJSON *object, const char *name, double most, double fallback,
                       double *out)
{
    const cJSON *value = member(object, name);
    *out = fallback;
    if (!value || cJSON_IsNull(value))
        return true;
    *out = cJSON_GetNumberValue(value);
    return *out >= 0 && *out <= most && *out == (double)(int64_t)*out;
}

static int by_key(const void *a, const void *b)
{
    const cJSON *const *x = a, *const *y = b;
    return strcmp((*x)->string ? (*x)->string : "", (*y)->string ? (*y)->string : "");
}

/* Puts the children of an object in the order of their names, all the way down, and drops nulls. */
static enum err sort_members(cJSON *json)
{
    size_t n = 0;
    cJSON *child, *next;
    for (child = json->child; child; child = next) {
        next = child->next;
        if (cJSON_IsNull(child) && cJSON_IsObject(json)) {
            cJSON_Delete(cJSON_DetachItemViaPointer(json, child));
            continue;
        }
        if (sort_members(child))
            return ERR_MEMORY;
        n++;
    }
    if (!cJSON_IsObject(json) || n < 2)
        return OK;
    cJSON **all = calloc(n, sizeof(cJSON *));
    if (!all)
        return ERR_MEMORY;
    size_t i = 0;
    for (child = json->child; child; child = child->next)
        all[i++] = child;
    qsort(all, n, sizeof(cJSON *), by_key);
    for (i = 0; i < n; i++) {
        all[i]->next = i + 1 < n ? all[i + 1] : NULL;
        all[i]->prev = i ? all[i - 1] : all[n - 1]; /* as cJSON has it: the first knows the last */
    }
    json->child = all[0];
    free(all);
    return OK;
}

enum err kube_hash(const struct cJSON *json, char hash[KUBE_HASH_MAX])
{
    cJSON *copy = cJSON_Duplicate(json, true);
    char *text = copy && sort_members(copy) == OK ? cJSON_PrintUnformatted(copy) : NULL;
    cJSON_Delete(copy);
    if (!text)
        return ERR_MEMORY;
    uint64_t value = hash_bytes((struct hash_salt){0, 0}, slice_str(text));
    cJSON_free(text);
    (void)snprintf(hash, KUBE_HASH_MAX, "%016llx", (unsigned long long)value);
    return OK;
}

/* Adds formatted text; false once it does not fit. */
static bool add(char *out, size_t room, const char *fmt, ...) PRINTF_LIKE(3, 4);
static bool add(char *out, size_t room, const char *fmt, ...)
{
    size_t len = strlen(out);
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(out + len, room - len, fmt, ap);
    va_end(ap);
    return n >= 0 && (size_t)n < room - len;
}

static bool add_labels(char *out, const cJSON *labels)
{
    const cJSON *label;
    cJSON_ArrayForEach(label, labels)
    {
        if (!cJSON_IsString(label) || !add(out, KUBE_SELECTOR_MAX, "%s%s=%s", out[0] ? "," : "",
                                           label->string, label->valuestring))
            return false;
    }
    return true;
}

static bool add_values(char *out, const char *relation, const cJSON *values)
{
    const cJSON *value;
    bool is_good = add(out, KUBE_SELECTOR_MAX, " %s (", relation);
    cJSON_ArrayForEach(value, values)
    {
        is_good = is_good && cJSON_IsString(value) &&
                  add(out, KUBE_SELECTOR_MAX, "%s%s", value == values->child ? "" : ",",
                      value->valuestring);
    }
    return is_good && add(out, KUBE_SELECTOR_MAX, ")");
}

static bool add_expression(char *out, const cJSON *expression)
{
    const char *key = cJSON_GetStringValue(member(expression, "key"));
    const char *relation = cJSON_GetStringValue(member(expression, "operator"));
    const cJSON *values = member(expression, "values");
    if (!key || !relation || !add(out, KUBE_SELECTOR_MAX, "%s", out[0] ? "," : ""))
        return false;
    if (strcmp(relation, "Exists") == 0)
        return add(out, KUBE_SELECTOR_MAX, "%s", key);
    if (strcmp(relation, "DoesNotExist") == 0)
        return add(out, KUBE_SELECTOR_MAX, "!%s", key);
    bool is_in = strcmp(relation, "In") == 0;
    if (!is_in && strcmp(relation, "NotIn") != 0)
        return false;
    return add(out, KUBE_SELECTOR_MAX, "%s", key) &&
           add_values(out, is_in ? "in" : "notin", values);
}

/* The selector as a query takes it. False: not of its shape, or too long. */
static bool take_selector(const cJSON *selector, bool is_plain, char *out)
{
    cJSON *sorted = cJSON_Duplicate(selector, true);
    bool is_good = sorted && cJSON_IsObject(sorted) && sort_members(sorted) == OK;
    out[0] = '\0';
    if (is_good && is_plain) {
        is_good = add_labels(out, sorted);
    } else if (is_good) {
        const cJSON *expression;
        is_good = add_labels(out, member(sorted, "matchLabels"));
        cJSON_ArrayForEach(expression, member(sorted, "matchExpressions"))
        {
            is_good = is_good && add_expression(out, expression);
        }
    }
    cJSON_Delete(sorted);
    return is_good && out[0];
}

/* The kind by its word; without one (in a list) by its shape. False: none of a workload's. */
static bool take_kind(const cJSON *object, enum kube_kind *kind)
{
    static const enum kube_kind workloads[] = {KUBE_RC, KUBE_DEPLOYMENT, KUBE_REPLICASET};
    const cJSON *word = member(object, "kind"), *spec = member(object, "spec");
    const cJSON *selector = member(spec, "selector");
    if (!word) {
        bool is_set = cJSON_IsObject(member(selector, "matchLabels")) ||
                      cJSON_IsArray(member(selector, "matchExpressions"));
        *kind = !is_set ? KUBE_RC : member(spec, "strategy") ? KUBE_DEPLOYMENT : KUBE_REPLICASET;
        return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(workloads); i++) {
        *kind = workloads[i];
        if (cJSON_IsString(word) && strcmp(word->valuestring, kinds[*kind].name) == 0)
            return true;
    }
    return false;
}

static enum err wrong(const struct kube_workload *w, const char *what, struct why *why)
{
    return why_set(why, ERR_INVALID, "%s %s: %s is missing or wrong", kinds[w->kind].plural,
                   w->name[0] ? w->name : "(no name)", what);
}

/* A count in an annotation, -1 where it is not there. */
static enum err take_annotation(const cJSON *object, const char *name, const char *key, int *out,
                                struct why *why)
{
    const char *text = kube_annotation(object, key);
    uint64_t value = 0;
    if (!text)
        return OK;
    if (!slice_parse_u64(slice_str(text), &value) || value > KUBE_REPLICAS_MAX)
        return why_set(why, ERR_INVALID, "Unable to parse annotation for %s: %s=%s", name, key,
                       text);
    *out = (int)value;
    return OK;
}

static enum err take_annotations(const cJSON *object, struct kube_workload *w, struct why *why)
{
    const cJSON *all = member(metadata_of(object), "annotations");
    w->desired = w->original = -1;
    enum err e = take_annotation(object, w->name, KUBE_OLD_DESIRED, &w->desired, why);
    if (!e)
        e = take_annotation(object, w->name, KUBE_DESIRED, &w->desired, why);
    if (!e)
        e = take_annotation(object, w->name, KUBE_ORIGINAL, &w->original, why);
    if (e)
        return e;
    const char *source = member(all, KUBE_SOURCE_ID) ? KUBE_SOURCE_ID : KUBE_OLD_PARTNER;
    if (!take_string(all, source, w->source_id, sizeof w->source_id))
        return wrong(w, source, why);
    if (!take_string(all, KUBE_NEXT, w->next, sizeof w->next))
        return wrong(w, KUBE_NEXT, why);
    return OK;
}

static enum err take_status(const cJSON *object, struct kube_workload *w, struct why *why)
{
    const cJSON *status = member(object, "status");
    double seen, ready, available, observed, generation;
    if (!take_count(status, "replicas", INT32_MAX, 0, &seen) ||
        !take_count(status, "readyReplicas", INT32_MAX, 0, &ready) ||
        !take_count(status, "availableReplicas", INT32_MAX, 0, &available) ||
        !take_count(status, "observedGeneration", 9e15, 0, &observed) ||
        !take_count(metadata_of(object), "generation", 9e15, 0, &generation))
        return wrong(w, "status", why);
    w->seen = (int)seen;
    w->ready = (int)ready;
    w->available = (int)available;
    w->is_observed = observed >= generation;
    return OK;
}

static enum err take_spec(const cJSON *object, struct kube_workload *w, struct why *why)
{
    const cJSON *spec = member(object, "spec"), *pod_template = member(spec, "template");
    const cJSON *selector = member(spec, "selector");
    double replicas, min_ready;
    if (!take_count(spec, "replicas", KUBE_REPLICAS_MAX, 1, &replicas))
        return wrong(w, "spec.replicas", why);
    if (!take_count(spec, "minReadySeconds", INT32_MAX, 0, &min_ready))
        return wrong(w, "spec.minReadySeconds", why);
    if (!cJSON_IsObject(pod_template))
        return wrong(w, "spec.template", why);
    if (w->kind == KUBE_RC &&
        (!selector || cJSON_IsNull(selector) || (cJSON_IsObject(selector) && !selector->child)))
        selector = member(metadata_of(pod_template), "labels");
    if (!take_selector(selector, w->kind == KUBE_RC, w->selector))
        return wrong(w, "spec.selector", why);
    w->replicas = (int)replicas;
    w->min_ready_s = (int)min_ready;
    const char *hash = kube_annotation(object, KUBE_TEMPLATE_HASH);
    if (hash && take_string(member(metadata_of(object), "annotations"), KUBE_TEMPLATE_HASH, w->hash,
                            sizeof w->hash))
        return OK;
    return kube_hash(pod_template, w->hash) ? why_set(why, ERR_MEMORY, "out of memory") : OK;
}

enum err kube_workload_read(const struct cJSON *object, struct kube_workload *w, struct why *why)
{
    const cJSON *metadata = metadata_of(object);
    *w = (struct kube_workload){.kind = KUBE_RC};
    if (!take_kind(object, &w->kind))
        return why_set(why, ERR_INVALID, "the object is no controller of replicas");
    if (!take_string(metadata, "name", w->name, sizeof w->name) || !kube_is_name(w->name))
        return wrong(w, "metadata.name", why);
    if (!take_string(metadata, "uid", w->uid, sizeof w->uid) ||
        !take_string(metadata, "resourceVersion", w->version, sizeof w->version))
        return wrong(w, "metadata", why);
    const cJSON *deletion = member(metadata, "deletionTimestamp");
    w->is_deleting = deletion && !cJSON_IsNull(deletion);
    enum err e = take_spec(object, w, why);
    if (!e)
        e = take_status(object, w, why);
    return e ? e : take_annotations(object, w, why);
}
