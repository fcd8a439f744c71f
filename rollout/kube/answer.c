/* What an answer of the API server says, in one sentence where it says no.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/kube/answer.h"
#include "base/slice.h"
#include "rollout/http.h"

#include <cjson/cJSON.h>

/* The server's words are cut here: a list of causes can be long. */
#define MESSAGE_MAX 320

static const char *const names[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};

const char *kube_verb_name(enum kube_verb verb)
{
    return names[verb];
}

/* The parts of /api/v1/[namespaces/NS/]RESOURCE[/NAME[/SUBRESOURCE]], the group's form likewise. */
struct parts {
    struct slice name_space, resource, name, sub;
    bool is_watch;
};

static struct slice take_part(struct slice *rest)
{
    struct slice head;
    (void)slice_cut(*rest, '/', &head, rest);
    return head;
}

static bool split_path(const char *path, struct parts *p)
{
    struct slice rest, query;
    memset(p, 0, sizeof *p);
    (void)slice_cut(slice_str(path), '?', &rest, &query);
    p->is_watch = slice_starts(query, SLICE("watch=1"));
    (void)take_part(&rest); /* before the first slash */
    struct slice root = take_part(&rest);
    if (slice_equal(root, SLICE("apis")))
        (void)take_part(&rest); /* the group */
    else if (!slice_equal(root, SLICE("api")))
        return false;
    (void)take_part(&rest); /* the version */
    p->resource = take_part(&rest);
    p->name = take_part(&rest);
    p->sub = take_part(&rest);
    if (slice_equal(p->resource, SLICE("namespaces")) && p->sub.len) {
        p->name_space = p->name;
        p->resource = p->sub;
        p->name = take_part(&rest);
        p->sub = take_part(&rest);
    }
    return p->resource.len > 0;
}

static const char *word_of(enum kube_verb verb, const struct parts *p)
{
    static const char *const words[] = {"get", "create", "update", "patch", "delete"};
    if (verb != KUBE_GET)
        return words[verb];
    return p->is_watch ? "watch" : p->name.len ? "get" : "list";
}

void kube_words(enum kube_verb verb, const char *path, char words[KUBE_WORDS_MAX])
{
    struct parts p;
    char name[160] = "", name_space[96] = "";
    if (!split_path(path, &p)) {
        (void)snprintf(words, KUBE_WORDS_MAX, "%s %.*s", kube_verb_name(verb),
                       (int)strcspn(path, "?"), path);
        return;
    }
    if (p.name.len)
        (void)snprintf(name, sizeof name, " \"%.*s\"", SLICE_ARG(p.name));
    if (p.name_space.len)
        (void)snprintf(name_space, sizeof name_space, " in namespace %.*s",
                       SLICE_ARG(p.name_space));
    (void)snprintf(words, KUBE_WORDS_MAX, "%s %.*s%s%.*s%s%s", word_of(verb, &p),
                   SLICE_ARG(p.resource), p.sub.len ? "/" : "", SLICE_ARG(p.sub), name, name_space);
}

/* The first line of a text for people, without what would move a cursor. */
static void copy_line(char *to, size_t room, const char *from)
{
    size_t n = 0;
    for (; *from && *from != '\n' && n + 1 < room; from++) {
        unsigned char c = (unsigned char)*from;
        to[n++] = c < 0x20 || c == 0x7f ? ' ' : (char)c;
    }
    to[n] = '\0';
    if (*from && *from != '\n' && room > 4)
        memcpy(to + room - 4, "...", 4);
}

static const char *text_of(const struct cJSON *object, const char *key)
{
    const struct cJSON *value = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsString(value) ? value->valuestring : "";
}

static struct cJSON *parse_whole(const char *text, size_t len)
{
    const char *end = NULL;
    struct cJSON *json = len ? cJSON_ParseWithLengthOpts(text, len, &end, false) : NULL;
    while (json && end < text + len && *end && strchr(" \t\r\n", *end))
        end++;
    if (!json || end == text + len)
        return json;
    cJSON_Delete(json);
    return NULL;
}

/* A message of the authorizer names who may not do what; those of quotas and webhooks do not. */
static bool is_by_authorizer(const char *message)
{
    return strstr(message, ": User \"") && strstr(message, " cannot ");
}

/* What the server said, or what else there is to say. */
static void say_message(char *message, const struct cJSON *json, const struct http_answer *a)
{
    const char *said = text_of(json, "message");
    if (a->status == 0)
        copy_line(message, MESSAGE_MAX, a->error);
    else if (a->status == 401)
        copy_line(message, MESSAGE_MAX,
                  "the server does not accept the credentials (Unauthorized)");
    else if (said[0])
        copy_line(message, MESSAGE_MAX, said);
    else
        copy_line(message, MESSAGE_MAX, json ? "" : a->body);
}

static void say_error(struct kube_reading *r, enum kube_verb verb, const char *path,
                      const struct http_answer *a)
{
    char words[KUBE_WORDS_MAX], message[MESSAGE_MAX];
    kube_words(verb, path, words);
    say_message(message, r->json, a);
    bool is_said = a->status == 0 || a->status == 401 || text_of(r->json, "message")[0];
    if (is_said)
        (void)snprintf(r->error, sizeof r->error, "cannot %.180s: %s", words, message);
    else
        (void)snprintf(r->error, sizeof r->error, "cannot %.180s: the server answered %u%s%.260s",
                       words, a->status, message[0] ? ": " : "", message);
}

/* A Status may say how long to wait where the head does not. */
static unsigned retry_after(const struct cJSON *json, const struct http_answer *a)
{
    const struct cJSON *details = cJSON_GetObjectItemCaseSensitive(json, "details");
    const struct cJSON *s = cJSON_GetObjectItemCaseSensitive(details, "retryAfterSeconds");
    if (a->retry_after_s || !cJSON_IsNumber(s) || !(s->valuedouble >= 1))
        return a->retry_after_s;
    return s->valuedouble > 3600 ? 3600 : (unsigned)s->valuedouble;
}

void kube_reading_init(struct kube_reading *r, enum kube_verb verb, const char *path,
                       const struct http_answer *a)
{
    memset(r, 0, sizeof *r);
    r->json = parse_whole(a->body, a->len);
    r->reason = "";
    r->retry_after_s = retry_after(r->json, a);
    if (a->status >= 200 && a->status < 300) {
        if (!r->json && a->len) {
            char words[KUBE_WORDS_MAX];
            kube_words(verb, path, words);
            (void)snprintf(r->error, sizeof r->error, "cannot %.180s: the answer is no JSON",
                           words);
        }
        return;
    }
    r->reason = text_of(r->json, "reason");
    r->is_rbac = a->status == 403 && is_by_authorizer(text_of(r->json, "message"));
    say_error(r, verb, path, a);
}

void kube_reading_fini(struct kube_reading *r)
{
    cJSON_Delete(r->json);
}
