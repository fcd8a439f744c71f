/* The registry of cells and the sums over all workers.
 * SPDX-License-Identifier: Apache-2.0 */
#include "metrics/totals.h"
#include "base/check.h"
#include "base/index.h"
#include "base/list.h"
#include <stdlib.h>

/* Two cache lines, since processors fetch them in pairs: no block shares one with another worker's.
 */
#define CELLS_ALIGN 128u

/* The three kinds differ in their cells only, so that one table serves them all. */
struct entry {
    struct index_node by_name;
    struct slice first, second;
    union {
        struct variant_metrics variant;
        struct route_metrics route;
        struct listener_metrics listener;
    } of;
    char names[]; /* first, NUL, second, NUL */
};

struct kind {
    struct index names; /* of the operator's file: no secret salt is needed */
    struct entry **all; /* oldest first */
    size_t n, room;
};

struct metrics {
    unsigned workers;
    struct kind variants, routes, listeners;
    struct worker_cells **cells;
};

static void *block_new(size_t bytes)
{
    bytes = (bytes + CELLS_ALIGN - 1) & ~(size_t)(CELLS_ALIGN - 1);
    void *block = aligned_alloc(CELLS_ALIGN, bytes);
    if (block)
        memset(block, 0, bytes);
    return block;
}

/* One zeroed block per worker; NULL when memory is short. */
#define BLOCKS(type)                                                                               \
    static void type##_free(struct type **blocks, unsigned workers)                                \
    {                                                                                              \
        for (unsigned i = 0; blocks && i < workers; i++)                                           \
            free(blocks[i]);                                                                       \
        free(blocks);                                                                              \
    }                                                                                              \
    static struct type **type##_new(unsigned workers)                                              \
    {                                                                                              \
        struct type **blocks = calloc(workers, sizeof *blocks);                                    \
        for (unsigned i = 0; blocks && i < workers; i++) {                                         \
            blocks[i] = block_new(sizeof **blocks);                                                \
            if (!blocks[i]) {                                                                      \
                type##_free(blocks, i);                                                            \
                return NULL;                                                                       \
            }                                                                                      \
        }                                                                                          \
        return blocks;                                                                             \
    }                                                                                              \
    struct type
BLOCKS(variant_cells);
BLOCKS(route_cells);
BLOCKS(listener_cells);
BLOCKS(worker_cells);

static uint64_t hash_of(const struct kind *kind, struct slice first, struct slice second)
{
    return index_hash(&kind->names, index_hash(&kind->names, 0, first), second);
}

static struct entry *entry_find(const struct kind *kind, struct slice first, struct slice second)
{
    struct index_node *node = index_first(&kind->names, hash_of(kind, first, second));
    for (; node; node = index_next(node)) {
        struct entry *e = CONTAINER_OF(node, struct entry, by_name);
        if (slice_equal(e->first, first) && slice_equal(e->second, second))
            return e;
    }
    return NULL;
}

static bool kind_has_room(struct kind *kind)
{
    if (kind->n == METRIC_ENTRIES_MAX)
        return false;
    if (kind->n < kind->room)
        return true;
    size_t room = kind->room ? kind->room * 2 : 16;
    struct entry **all = realloc(kind->all, room * sizeof(struct entry *));
    if (!all)
        return false;
    kind->all = all;
    kind->room = room;
    return true;
}

static struct entry *entry_new(struct slice first, struct slice second)
{
    if (first.len > METRIC_NAME_MAX || second.len > METRIC_NAME_MAX)
        return NULL;
    struct entry *e = calloc(1, sizeof *e + first.len + second.len + 2);
    if (!e)
        return NULL;
    char *at = e->names + first.len + 1;
    memcpy(e->names, first.at, first.len);
    memcpy(at, second.at, second.len);
    e->first = slice_of(e->names, first.len);
    e->second = slice_of(at, second.len);
    return e;
}

/* Finds an entry, or makes one without cells: *made says so, and the caller fills and adds it. */
static struct entry *entry_get(struct kind *kind, const char *first, const char *second, bool *made)
{
    struct slice a = slice_str(first), b = slice_str(second);
    struct entry *e = entry_find(kind, a, b);
    *made = !e;
    if (e)
        return e;
    return kind_has_room(kind) ? entry_new(a, b) : NULL;
}

static void entry_add(struct kind *kind, struct entry *e)
{
    index_add(&kind->names, &e->by_name, hash_of(kind, e->first, e->second));
    kind->all[kind->n++] = e;
}

struct metrics *metrics_new(unsigned workers)
{
    CHECK(workers >= 1 && workers <= METRIC_WORKERS_MAX);
    struct metrics *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    m->workers = workers;
    index_init(&m->variants.names, (struct hash_salt){0, 0});
    index_init(&m->routes.names, (struct hash_salt){0, 0});
    index_init(&m->listeners.names, (struct hash_salt){0, 0});
    m->cells = worker_cells_new(workers);
    if (!m->cells) {
        free(m);
        return NULL;
    }
    return m;
}

void metrics_free(struct metrics *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->variants.n; i++)
        variant_cells_free(m->variants.all[i]->of.variant.cells, m->workers);
    for (size_t i = 0; i < m->routes.n; i++)
        route_cells_free(m->routes.all[i]->of.route.cells, m->workers);
    for (size_t i = 0; i < m->listeners.n; i++)
        listener_cells_free(m->listeners.all[i]->of.listener.cells, m->workers);
    struct kind *kinds[] = {&m->variants, &m->routes, &m->listeners};
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        for (size_t i = 0; i < kinds[k]->n; i++)
            free(kinds[k]->all[i]);
        free(kinds[k]->all);
        index_fini(&kinds[k]->names);
    }
    worker_cells_free(m->cells, m->workers);
    free(m);
}

struct variant_metrics *metrics_variant(struct metrics *m, const char *route, const char *version)
{
    bool made;
    struct entry *e = entry_get(&m->variants, route, version, &made);
    if (!e || !made)
        return e ? &e->of.variant : NULL;
    e->of.variant = (struct variant_metrics){.route = e->first.at,
                                             .version = e->second.at,
                                             .workers = m->workers,
                                             .cells = variant_cells_new(m->workers)};
    if (!e->of.variant.cells) {
        free(e);
        return NULL;
    }
    entry_add(&m->variants, e);
    return &e->of.variant;
}

struct route_metrics *metrics_route(struct metrics *m, const char *route)
{
    bool made;
    struct entry *e = entry_get(&m->routes, route, "", &made);
    if (!e || !made)
        return e ? &e->of.route : NULL;
    e->of.route = (struct route_metrics){e->first.at, m->workers, route_cells_new(m->workers)};
    if (!e->of.route.cells) {
        free(e);
        return NULL;
    }
    entry_add(&m->routes, e);
    return &e->of.route;
}

struct listener_metrics *metrics_listener(struct metrics *m, const char *listener)
{
    bool made;
    struct entry *e = entry_get(&m->listeners, listener, "", &made);
    if (!e || !made)
        return e ? &e->of.listener : NULL;
    e->of.listener =
        (struct listener_metrics){e->first.at, m->workers, listener_cells_new(m->workers)};
    if (!e->of.listener.cells) {
        free(e);
        return NULL;
    }
    entry_add(&m->listeners, e);
    return &e->of.listener;
}

struct worker_cells *metrics_worker(struct metrics *m, unsigned worker)
{
    CHECK(worker < m->workers);
    return m->cells[worker];
}

void metrics_variant_use(struct variant_metrics *v, enum metric_role role)
{
    CHECK((unsigned)role < ROLE_COUNT);
    v->roles |= 1u << role;
}

void metrics_variant_mirror(struct variant_metrics *v)
{
    v->is_mirror = true;
}

unsigned metrics_workers(const struct metrics *m)
{
    return m->workers;
}

size_t metrics_variant_count(const struct metrics *m)
{
    return m->variants.n;
}

size_t metrics_route_count(const struct metrics *m)
{
    return m->routes.n;
}

size_t metrics_listener_count(const struct metrics *m)
{
    return m->listeners.n;
}

const struct variant_metrics *metrics_variant_at(const struct metrics *m, size_t i)
{
    CHECK(i < m->variants.n);
    return &m->variants.all[i]->of.variant;
}

const struct route_metrics *metrics_route_at(const struct metrics *m, size_t i)
{
    CHECK(i < m->routes.n);
    return &m->routes.all[i]->of.route;
}

const struct listener_metrics *metrics_listener_at(const struct metrics *m, size_t i)
{
    CHECK(i < m->listeners.n);
    return &m->listeners.all[i]->of.listener;
}

const struct worker_cells *metrics_worker_at(const struct metrics *m, unsigned worker)
{
    CHECK(worker < m->workers);
    return m->cells[worker];
}

/* A part that is read before its whole, and is no larger: no share ever passes 1. */
static uint64_t part(uint64_t cell, uint64_t whole)
{
    return cell < whole ? cell : whole;
}

struct judged_totals metrics_judged(const struct variant_metrics *v, enum metric_role role)
{
    struct judged_totals t = {0};
    for (unsigned i = 0; i < v->workers; i++) {
        const struct variant_cells *c = v->cells[i];
        uint64_t slow[JUDGED_QUANTILES];
        for (unsigned q = 0; q < JUDGED_QUANTILES; q++)
            slow[q] = cell_read(&c->judged_slow[role][q]);
        uint64_t failed = cell_read(&c->judged_failed[role]);
        uint64_t client_errors = cell_read(&c->judged_client_errors[role]);
        uint64_t key_failed = cell_read(&c->key_failed[role]);
        uint64_t key_requests = cell_read(&c->key_requests[role]);
        uint64_t requests = cell_read(&c->judged[role]);
        t.requests += requests;
        t.failed += part(failed, requests);
        t.client_errors += part(client_errors, requests);
        for (unsigned q = 0; q < JUDGED_QUANTILES; q++)
            t.slow[q] += part(slow[q], requests);
        t.key_requests += key_requests;
        t.key_failed += part(key_failed, key_requests);
    }
    return t;
}

struct judged_totals metrics_mirrored(const struct variant_metrics *canary, enum metric_role role)
{
    struct judged_totals t = {0};
    for (unsigned i = 0; i < canary->workers; i++) {
        const struct mirror_cells *c = &canary->cells[i]->mirror;
        uint64_t slow[JUDGED_QUANTILES];
        for (unsigned q = 0; q < JUDGED_QUANTILES; q++)
            slow[q] = cell_read(&c->slow[role][q]);
        uint64_t failed = cell_read(&c->failed[role]);
        uint64_t client_errors = cell_read(&c->client_errors[role]);
        uint64_t pairs = cell_read(&c->pairs);
        t.requests += pairs;
        t.failed += part(failed, pairs);
        t.client_errors += part(client_errors, pairs);
        for (unsigned q = 0; q < JUDGED_QUANTILES; q++)
            t.slow[q] += part(slow[q], pairs);
    }
    t.key_requests = t.requests;
    t.key_failed = t.failed;
    return t;
}

void metrics_durations(const struct variant_metrics *v, enum metric_role role, struct hist_sum *sum)
{
    for (unsigned i = 0; i < v->workers; i++)
        hist_add(sum, &v->cells[i]->duration[role]);
}

uint64_t metrics_weighed(const struct variant_metrics *v, enum metric_role role)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < v->workers; i++)
        n += cell_read(&v->cells[i]->weighed[role]);
    return n;
}

uint64_t metrics_responses(const struct route_metrics *r)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < r->workers; i++)
        for (unsigned code = 0; code < CODE_CELLS; code++)
            n += cell_read(&r->cells[i]->responses[code]);
    return n;
}

uint64_t metrics_inflight(const struct variant_metrics *v)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < v->workers; i++)
        n += cell_read(&v->cells[i]->inflight);
    return n;
}

uint64_t metrics_tunnels(const struct variant_metrics *v)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < v->workers; i++)
        n += cell_read(&v->cells[i]->tunnels);
    return n;
}
