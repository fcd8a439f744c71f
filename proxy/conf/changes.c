/* Compares two configurations by the table of fields.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/conf/changes.h"
#include "base/check.h"
#include "proxy/conf/describe.h"
#include "proxy/conf/fields.h"
#include "proxy/conf/units.h"
#include <math.h>
#include <stdbool.h>

#define SHOWN_MAX      240 /* bytes of one value; the rest of a longer list is cut */
#define KEY_MAX        240 /* bytes of "route NAME: versions.NAME." and a key: names have at most 64 */
#define LINE_MAX_BYTES (2 * SHOWN_MAX + 2 * KEY_MAX)

/* A value as the file would write it. */
struct shown {
    char at[SHOWN_MAX];
    size_t len;
    bool is_cut;
};

/* Whose values are compared, and what stands before each line: "route web: versions.v1.". */
struct comparison {
    changes_line_fn *tell;
    void *arg;
    const char *prefix; /* of the paths of the fields */
    char before[KEY_MAX];
};

static void show(struct shown *s, const char *text)
{
    size_t len = strlen(text);
    if (s->is_cut)
        return;
    s->is_cut = s->len + len + sizeof "…" > sizeof s->at;
    if (s->is_cut) {
        text = "…";
        len = strlen(text);
    }
    memcpy(s->at + s->len, text, len + 1);
    s->len += len;
}

static void show_item(struct shown *s, const char *text)
{
    if (s->len)
        show(s, ", ");
    show(s, text);
}

static int64_t load_number(const struct config_field *f, const char *place)
{
    double fraction;
    uint32_t word;
    uint16_t half;
    int64_t number;
    if (f->type == TYPE_SHARE && f->width == sizeof fraction) {
        memcpy(&fraction, place, sizeof fraction);
        return llround(fraction * SHARE_FULL_BP);
    }
    if (f->width == sizeof number) {
        memcpy(&number, place, sizeof number);
        return number;
    }
    if (f->width == sizeof word) {
        memcpy(&word, place, sizeof word);
        return (int64_t)word;
    }
    if (f->width == sizeof half) {
        memcpy(&half, place, sizeof half);
        return half;
    }
    return (unsigned char)*place;
}

static void show_number(struct shown *s, const struct config_field *f, int64_t number)
{
    char text[DESCRIBE_MAX];
    const struct config_choice *choice = f->choices;
    if (f->type == TYPE_BOOL) {
        show(s, number ? "true" : "false");
    } else if (f->type == TYPE_CHOICE) {
        while (choice->name && choice->value != number)
            choice++;
        show(s, choice->name ? choice->name : "");
    } else if (f->type == TYPE_SET) {
        for (; choice->name; choice++)
            if (number & choice->value)
                show_item(s, choice->name);
    } else if (f->absent_help && number == f->absent && f->absent) {
        show(s, f->absent_help);
    } else {
        show(s, describe_number(f, number, text));
    }
}

static void show_texts(struct shown *s, const struct config_string_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        show_item(s, list->items[i]);
}

static void show_shares(struct shown *s, const struct config_field *f, const char *target)
{
    char text[DESCRIBE_MAX];
    size_t n;
    const double *fractions = (const double *)(const void *)(target + f->offset);
    memcpy(&n, target + f->count_offset, sizeof n);
    for (size_t i = 0; i < n; i++)
        show_item(s, describe_number(f, llround(fractions[i] * SHARE_FULL_BP), text));
}

/* Steps as in their short form, with what a step says for itself behind it. */
static void show_steps(struct shown *s, const struct plan *plan)
{
    for (size_t i = 0; i < plan->n_steps; i++) {
        const char *step = (const char *)&plan->steps[i], *gap = "";
        show_item(s, "");
        for (size_t k = 0; k < config_fields_n; k++) {
            const struct config_field *f = &config_fields[k];
            const char *key = f->scope == SCOPE_STEP ? strrchr(f->path, '.') + 1 : NULL;
            int64_t number = key ? load_number(f, step + f->offset) : 0;
            bool is_silent = f->type == TYPE_BOOL ? number == 0 : f->absent && number == f->absent;
            if (!key || is_silent)
                continue;
            show(s, gap);
            gap = " ";
            if (!(f->flags & FIELD_REQUIRED)) {
                show(s, key);
                show(s, f->type == TYPE_BOOL ? "" : " ");
            }
            if (f->type != TYPE_BOOL)
                show_number(s, f, number);
        }
    }
}

static void show_value(struct shown *s, const struct config_field *f, const char *target)
{
    const char *place = target + f->offset, *text;
    char amount_text[DESCRIBE_MAX];
    struct plan_amount amount;
    switch (f->type) {
    case TYPE_TEXT:
        memcpy(&text, place, sizeof text);
        show(s, text ? text : "");
        break;
    case TYPE_TEXTS:
        show_texts(s, (const struct config_string_list *)(const void *)place);
        break;
    case TYPE_SHARES:
        show_shares(s, f, target);
        break;
    case TYPE_AMOUNT:
        memcpy(&amount, place, sizeof amount);
        show(s, describe_amount(amount, amount_text));
        break;
    case TYPE_LIST: /* of the lists only the steps are values: others are compared item by item */
        show_steps(s, &((const struct config_route *)(const void *)target)->plan);
        break;
    default:
        show_number(s, f, load_number(f, place));
        break;
    }
    if (s->len == 0)
        show(s, f->absent_help ? f->absent_help : "none");
}

/* Places of two texts, each of which may be absent. */
static bool same_text(const char *a_place, const char *b_place)
{
    const char *a, *b;
    memcpy(&a, a_place, sizeof a);
    memcpy(&b, b_place, sizeof b);
    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Long lists are cut where they are shown: they are compared whole. */
static bool same_texts(const struct config_string_list *a, const struct config_string_list *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (strcmp(a->items[i], b->items[i]) != 0)
            return false;
    return true;
}

static bool same_steps(const struct plan *a, const struct plan *b)
{
    if (a->n_steps != b->n_steps)
        return false;
    for (size_t i = 0; i < a->n_steps; i++)
        if (a->steps[i].weight_bp != b->steps[i].weight_bp ||
            a->steps[i].hold_ms != b->steps[i].hold_ms ||
            a->steps[i].min_requests != b->steps[i].min_requests ||
            a->steps[i].pause != b->steps[i].pause)
            return false;
    return true;
}

static void tell_key(struct comparison *c, const char *key, const char *what)
{
    char line[LINE_MAX_BYTES];
    (void)snprintf(line, sizeof line, "%s%s: %s", c->before, key, what);
    c->tell(c->arg, line);
}

static void compare(struct comparison *c, const struct config_field *f, const char *key,
                    const char *old, const char *new)
{
    struct shown before = {.len = 0}, after = {.len = 0};
    char line[LINE_MAX_BYTES];
    show_value(&before, f, old);
    show_value(&after, f, new);
    bool is_same = strcmp(before.at, after.at) == 0;
    if (f->flags & FIELD_SECRET)
        is_same = same_text(old + f->offset, new + f->offset);
    if (is_same && f->type == TYPE_TEXTS)
        is_same = same_texts((const void *)(old + f->offset), (const void *)(new + f->offset));
    if (is_same && f->type == TYPE_LIST)
        is_same = same_steps(&((const struct config_route *)(const void *)old)->plan,
                             &((const struct config_route *)(const void *)new)->plan);
    if (is_same)
        return;
    if (f->flags & FIELD_SECRET) { /* there or not is all that may be said of it */
        tell_key(c, key, "another one");
        return;
    }
    (void)snprintf(line, sizeof line, "%s%s: %s (before: %s)%s", c->before, key, after.at,
                   before.at, f->reload == RELOAD_ROLLOUT ? ", for the next rollout" : "");
    c->tell(c->arg, line);
}

/* Every key of one scope that a reload applies. */
static void compare_scope(struct comparison *c, enum config_scope scope, const void *old,
                          const void *new)
{
    for (size_t i = 0; i < config_fields_n; i++) {
        const struct config_field *f = &config_fields[i];
        bool is_value = f->type != TYPE_MAPPING && f->type != TYPE_NAMED &&
                        (f->type != TYPE_LIST || f->items == SCOPE_STEP);
        if (f->scope == scope && is_value && f->reload != RELOAD_RESTART)
            compare(c, f, f->path + strlen(c->prefix), old, new);
    }
}

static void compare_versions(struct comparison *route, const struct config_route *old,
                             const struct config_route *new)
{
    char key[KEY_MAX];
    for (size_t i = 0; i < new->n_versions; i++) {
        const struct config_version *v = &new->versions[i],
                                    *before = config_find_version(old, v->name);
        struct comparison c = {route->tell, route->arg, "routes[].versions.*.", ""};
        (void)snprintf(c.before, sizeof c.before, "%.120sversions.%s.", route->before, v->name);
        (void)snprintf(key, sizeof key, "versions.%s", v->name);
        if (before)
            compare_scope(&c, SCOPE_VERSION, before, v);
        else
            tell_key(route, key, "added");
    }
    for (size_t i = 0; i < old->n_versions; i++) {
        (void)snprintf(key, sizeof key, "versions.%s", old->versions[i].name);
        if (!config_find_version(new, old->versions[i].name))
            tell_key(route, key, "removed");
    }
}

/* A fixed weight is no rollout's 0%: whether there is one is part of the value. */
static void compare_weight(struct comparison *c, const struct config_route *old,
                           const struct config_route *new)
{
    if (old->has_weight != new->has_weight)
        tell_key(c, "weight",
                 new->has_weight ? "added: a fixed split instead of a rollout"
                                 : "removed: no fixed split any more");
}

static void compare_routes(struct comparison *all, const struct config *old,
                           const struct config *new)
{
    for (size_t i = 0; i < new->n_routes; i++) {
        const struct config_route *r = &new->routes[i], *before = config_find_route(old, r->name);
        struct comparison c = {all->tell, all->arg, "routes[].", ""};
        (void)snprintf(c.before, sizeof c.before, "route %s", r->name);
        if (!before) {
            tell_key(&c, "", "added");
            continue;
        }
        (void)snprintf(c.before, sizeof c.before, "route %s: ", r->name);
        compare_versions(&c, before, r);
        compare_weight(&c, before, r);
        compare_scope(&c, SCOPE_ROUTE, before, r);
    }
    for (size_t i = 0; i < old->n_routes; i++) {
        struct comparison c = {all->tell, all->arg, "", ""};
        (void)snprintf(c.before, sizeof c.before, "route %s", old->routes[i].name);
        if (!config_find_route(new, old->routes[i].name))
            tell_key(&c, "", "removed");
    }
}

/* The lists of certificates, by their places: which comes first is what clients without a name that fits see. */
static void compare_certificates(const struct comparison *listener, const struct config_tls *old,
                                 const struct config_tls *new)
{
    for (size_t i = 0; i < old->n_certificates || i < new->n_certificates; i++) {
        struct comparison c = {listener->tell, listener->arg, "listeners[].tls.certificates[].",
                               ""};
        (void)snprintf(c.before, sizeof c.before, "%.64stls.certificates[%zu].", listener->before,
                       i);
        if (i >= old->n_certificates)
            tell_key(&c, "certificate", "added");
        else if (i >= new->n_certificates)
            tell_key(&c, "certificate", "removed");
        else
            compare_scope(&c, SCOPE_CERTIFICATE, &old->certificates[i], &new->certificates[i]);
    }
}

/* A listener stays or goes with a restart only: both have the same. */
static void compare_listeners(const struct comparison *all, const struct config *old,
                              const struct config *new)
{
    for (size_t i = 0; i < old->n_listeners && i < new->n_listeners; i++) {
        const struct config_listener *before = &old->listeners[i], *l = &new->listeners[i];
        struct comparison c = {all->tell, all->arg, "listeners[].", ""};
        (void)snprintf(c.before, sizeof c.before, "listeners[%zu].", i);
        compare_scope(&c, SCOPE_LISTENER, before, l);
        compare_certificates(&c, &before->tls, &l->tls);
    }
}

static const struct config_notification *find_notification(const struct config *config,
                                                           const char *name)
{
    for (size_t i = 0; i < config->n_notifications; i++)
        if (strcmp(config->notifications[i].name, name) == 0)
            return &config->notifications[i];
    return NULL;
}

static void compare_notifications(const struct comparison *all, const struct config *old,
                                  const struct config *new)
{
    struct comparison c = {all->tell, all->arg, "notifications[].", ""};
    for (size_t i = 0; i < new->n_notifications; i++) {
        const struct config_notification *n = &new->notifications[i],
                                         *before = find_notification(old, n->name);
        (void)snprintf(c.before, sizeof c.before, "notification %s%s", n->name, before ? ": " : "");
        if (before)
            compare_scope(&c, SCOPE_NOTIFICATION, before, n);
        else
            tell_key(&c, "", "added");
    }
    for (size_t i = 0; i < old->n_notifications; i++) {
        (void)snprintf(c.before, sizeof c.before, "notification %s", old->notifications[i].name);
        if (!find_notification(new, old->notifications[i].name))
            tell_key(&c, "", "removed");
    }
}

void changes_tell(const struct config *old, const struct config *new, changes_line_fn *tell,
                  void *arg)
{
    struct comparison c = {tell, arg, "", ""};
    compare_scope(&c, SCOPE_CONFIG, old, new);
    compare_listeners(&c, old, new);
    compare_notifications(&c, old, new);
    compare_routes(&c, old, new);
}

/* A key that only a restart applies; its values where they are shown. */
struct fixed {
    const char *key, *old, *new;
    struct config_place place; /* in the new file */
};

static size_t tell_if_changed(const struct config *config, const struct fixed *f,
                              changes_line_fn *tell, void *arg)
{
    char line[LINE_MAX_BYTES], place[32] = "";
    const char *old = f->old ? f->old : "none", *new = f->new ? f->new : "none";
    if (strcmp(old, new) == 0)
        return 0;
    if (f->place.line)
        (void)snprintf(place, sizeof place, ":%u:%u", f->place.line, f->place.column);
    (void)snprintf(line, sizeof line, "%.200s%s: %s: %.160s needs a restart (%.160s is in force)",
                   config->file, place, f->key, new, old);
    tell(arg, line);
    return 1;
}

size_t changes_tell_fixed(const struct config *old, const struct config *new, changes_line_fn *tell,
                          void *arg)
{
    char key[48], before[24], after[24], old_lease[UNITS_TEXT_MAX], new_lease[UNITS_TEXT_MAX];
    const struct config_kubernetes *was = &old->kubernetes, *is = &new->kubernetes;
    size_t n = 0;
    (void)units_format_duration(was->lease_duration_ms, old_lease);
    (void)units_format_duration(is->lease_duration_ms, new_lease);
    (void)snprintf(before, sizeof before, "%u", old->workers);
    (void)snprintf(after, sizeof after, "%u", new->workers);
    const struct fixed keys[] = {
        {"workers", before, after, new->places.workers},
        {"state_dir", old->state_dir, new->state_dir, new->places.state_dir},
        {"admin.bind", old->admin.bind, new->admin.bind, new->places.admin_bind},
        {"admin.token_file", old->admin.token_file, new->admin.token_file, new->places.token_file},
        {"kubernetes.kubeconfig", was->kubeconfig, is->kubeconfig, new->places.kubeconfig},
        {"kubernetes.context", was->context, is->context, new->places.context},
        {"kubernetes.namespace", was->name_space, is->name_space, new->places.name_space},
        {"kubernetes.lease", was->lease, is->lease, new->places.lease},
        {"kubernetes.lease_duration", old_lease, new_lease, new->places.lease_duration},
    };
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        n += tell_if_changed(new, &keys[i], tell, arg);
    for (size_t i = 0; i < old->n_listeners || i < new->n_listeners; i++) {
        bool is_new = i < new->n_listeners;
        (void)snprintf(key, sizeof key, "listeners[%zu].bind", i);
        struct fixed f = {key, i < old->n_listeners ? old->listeners[i].bind : NULL,
                          is_new ? new->listeners[i].bind : NULL,
                          is_new ? new->listeners[i].place : new->places.listeners};
        n += tell_if_changed(new, &f, tell, arg);
        if (i >= old->n_listeners || !is_new)
            continue;
        (void)snprintf(key, sizeof key, "listeners[%zu].tls", i);
        f.old = old->listeners[i].has_tls ? "on" : "off";
        f.new = new->listeners[i].has_tls ? "on" : "off";
        n += tell_if_changed(new, &f, tell, arg);
    }
    return n;
}
