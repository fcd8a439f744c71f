/* Counts by route, version and role.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/handover_totals.h"

#include "base/check.h"
#include <stdlib.h>
#include <string.h>

struct entry {
    struct list link;
    struct index_node by_name;
    char route[KNOWN_NAME_MAX];
    struct handover_counts counts;
};

void handover_totals_init(struct handover_totals *t)
{
    list_init(&t->entries);
    index_init(&t->names, (struct hash_salt){0, 0});
}

void handover_totals_fini(struct handover_totals *t)
{
    struct list *node;
    while ((node = list_pop_front(&t->entries)))
        free(CONTAINER_OF(node, struct entry, link));
    index_fini(&t->names);
}

static uint64_t hash_of(const struct handover_totals *t, const char *route, const char *version)
{
    return index_hash(&t->names, index_hash(&t->names, 0, slice_str(route)), slice_str(version));
}

static struct entry *find(const struct handover_totals *t, const char *route, const char *version,
                          enum metric_role role, bool is_mirror)
{
    if (t->names.n == 0)
        return NULL; /* of most processes nobody was before */
    struct index_node *node = index_first(&t->names, hash_of(t, route, version));
    for (; node; node = index_next(node)) {
        struct entry *e = CONTAINER_OF(node, struct entry, by_name);
        if (e->counts.role == role && e->counts.is_mirror == is_mirror &&
            strcmp(e->counts.version, version) == 0 && strcmp(e->route, route) == 0)
            return e;
    }
    return NULL;
}

const struct handover_counts *handover_totals_find(const struct handover_totals *t,
                                                   const char *route, const char *version,
                                                   enum metric_role role, bool is_mirror)
{
    const struct entry *e = find(t, route, version, role, is_mirror);
    return e ? &e->counts : NULL;
}

struct handover_counts *handover_totals_of(struct handover_totals *t, const char *route,
                                           const char *version, enum metric_role role,
                                           bool is_mirror)
{
    struct entry *e = find(t, route, version, role, is_mirror);
    if (e)
        return &e->counts;
    e = t->names.n < HANDOVER_TOTALS_MAX ? calloc(1, sizeof *e) : NULL;
    if (!e)
        return NULL;
    (void)snprintf(e->route, sizeof e->route, "%s", route);
    (void)snprintf(e->counts.version, sizeof e->counts.version, "%s", version);
    e->counts.role = role;
    e->counts.is_mirror = is_mirror;
    list_push_back(&t->entries, &e->link);
    index_add(&t->names, &e->by_name, hash_of(t, route, version));
    return &e->counts;
}

void handover_totals_each(const struct handover_totals *t, handover_counts_fn *fn, void *arg)
{
    for (struct list *l = t->entries.next; l != &t->entries; l = l->next) {
        const struct entry *e = CONTAINER_OF(l, struct entry, link);
        fn(arg, e->route, &e->counts);
    }
}

void handover_counts_add(struct handover_counts *sum, const struct handover_counts *d)
{
    sum->judged.requests += d->judged.requests;
    sum->judged.failed += d->judged.failed;
    sum->judged.client_errors += d->judged.client_errors;
    sum->judged.key_requests += d->judged.key_requests;
    sum->judged.key_failed += d->judged.key_failed;
    for (unsigned q = 0; q < JUDGED_QUANTILES; q++)
        sum->judged.slow[q] += d->judged.slow[q];
}

void handover_counts_subtract(struct handover_counts *later, const struct handover_counts *earlier)
{
    later->judged.requests -= earlier->judged.requests;
    later->judged.failed -= earlier->judged.failed;
    later->judged.client_errors -= earlier->judged.client_errors;
    later->judged.key_requests -= earlier->judged.key_requests;
    later->judged.key_failed -= earlier->judged.key_failed;
    for (unsigned q = 0; q < JUDGED_QUANTILES; q++)
        later->judged.slow[q] -= earlier->judged.slow[q];
}

bool handover_counts_is_zero(const struct handover_counts *c)
{
    const struct judged_totals *t = &c->judged;
    uint64_t any = t->requests | t->failed | t->client_errors | t->key_requests | t->key_failed;
    for (unsigned q = 0; q < JUDGED_QUANTILES; q++)
        any |= t->slow[q];
    return any == 0;
}
