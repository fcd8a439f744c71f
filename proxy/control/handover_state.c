/* What a process knows of a route beyond its file and its rollout's record, for the one that takes over.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/handover_state.h"

#include "base/check.h"
#include "rollout/carry.h"
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

static const char *read_text(const cJSON *json, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);
    return cJSON_IsString(item) ? item->valuestring : "";
}

static bool add(cJSON *json, const char *name, double value)
{
    return cJSON_AddNumberToObject(json, name, value) != NULL;
}

/* --- how slow stable was --- */

/* Only the cells that count something: cell, count, cell, count ... */
static cJSON *write_slice(const uint32_t cells[HIST_CELLS])
{
    double numbers[2 * HIST_CELLS];
    int n = 0;
    for (unsigned i = 0; i < HIST_CELLS; i++) {
        if (cells[i] == 0)
            continue;
        numbers[n++] = i;
        numbers[n++] = cells[i];
    }
    return cJSON_CreateDoubleArray(numbers, n);
}

/* The slice that grows comes last. */
static bool write_slowness(cJSON *json, const struct slowness *s)
{
    const struct recent *r = s->recent;
    cJSON *list = cJSON_AddArrayToObject(json, "slices");
    bool is_good = list && cJSON_AddStringToObject(json, "slow_of", s->of->version) &&
                   add(json, "slice_until_ms", (double)r->slice_until_ms);
    for (unsigned i = 1; is_good && i <= RECENT_SLICES; i++) {
        cJSON *slice = write_slice(r->slices[(r->slice + i) % RECENT_SLICES]);
        is_good = slice && cJSON_AddItemToArray(list, slice);
    }
    return is_good;
}

static void read_slice(const cJSON *list, uint32_t cells[HIST_CELLS])
{
    const cJSON *item = cJSON_IsArray(list) ? list->child : NULL;
    for (; item && item->next; item = item->next->next) {
        uint64_t cell, count;
        if (carry_read_number(item, HIST_CELLS - 1, &cell) &&
            carry_read_number(item->next, UINT32_MAX, &count))
            cells[cell] = (uint32_t)count;
    }
}

static void take_slowness(struct slowness *s, const struct variant_metrics *stable,
                          const cJSON *state, int64_t now_ms)
{
    const cJSON *slices = cJSON_GetObjectItemCaseSensitive(state, "slices"), *item;
    static const struct hist_sum none;
    uint64_t until_ms;
    unsigned n = 0;
    if (strcmp(read_text(state, "slow_of"), stable->version) != 0 ||
        !carry_read_member(state, "slice_until_ms", CARRY_NUMBER_MAX, &until_ms) ||
        (int64_t)until_ms > now_ms + RECENT_SLICE_MS || !cJSON_IsArray(slices))
        return;
    struct recent *r = malloc(sizeof *r);
    if (!r)
        return;
    recent_start(r, &none, now_ms);
    r->slice = RECENT_SLICES - 1;
    r->slice_until_ms = (int64_t)until_ms;
    cJSON_ArrayForEach(item, slices)
    {
        if (n < RECENT_SLICES)
            read_slice(item, r->slices[n++]);
    }
    slowness_fini(s);
    s->recent = r;
    s->of = stable;
}

/* --- how busy it was: looks as differences to what is counted now, for the next process counts from 0 --- */

static bool write_seen(cJSON *json, const struct seen *s)
{
    struct judged_totals stable = metrics_judged(s->stable, ROLE_STABLE), canary = {0};
    if (s->canary)
        canary = metrics_judged(s->canary, ROLE_CANARY);
    cJSON *list = cJSON_AddArrayToObject(json, "looks");
    unsigned oldest = s->n < SEEN_LOOKS ? 0 : (s->newest + 1) % SEEN_LOOKS;
    bool is_good =
        list && cJSON_AddStringToObject(json, "seen_stable", s->stable->version) &&
        cJSON_AddStringToObject(json, "seen_canary", s->canary ? s->canary->version : "");
    for (unsigned i = 0; is_good && i < s->n; i++) {
        const struct seen_look *l = &s->looks[(oldest + i) % SEEN_LOOKS];
        double numbers[] = {(double)l->at_ms, (double)(stable.requests - l->stable_requests),
                            (double)(stable.failed - l->stable_failed),
                            (double)(canary.requests - l->canary_requests)};
        cJSON *item = cJSON_CreateDoubleArray(numbers, ARRAY_LEN(numbers));
        is_good = item && cJSON_AddItemToArray(list, item);
    }
    return is_good;
}

/* Counts below 0 wrap around, and their differences are right again. */
static bool read_look(const cJSON *list, int64_t now_ms, struct seen_look *l)
{
    uint64_t numbers[4];
    for (int i = 0; i < 4; i++)
        if (!carry_read_number(cJSON_GetArrayItem(list, i), CARRY_NUMBER_MAX, &numbers[i]))
            return false;
    *l = (struct seen_look){(int64_t)numbers[0], 0 - numbers[1], 0 - numbers[2], 0 - numbers[3]};
    return l->at_ms <= now_ms;
}

static void take_seen(struct seen *s, const struct variant_metrics *stable,
                      const struct variant_metrics *canary, const cJSON *state, int64_t now_ms)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(state, "looks"), *item;
    struct seen taken = {.stable = stable, .canary = canary};
    if (strcmp(read_text(state, "seen_stable"), stable->version) != 0 ||
        strcmp(read_text(state, "seen_canary"), canary ? canary->version : "") != 0)
        return;
    cJSON_ArrayForEach(item, list)
    {
        if (taken.n == SEEN_LOOKS || !read_look(item, now_ms, &taken.looks[taken.n]))
            return;
        taken.newest = taken.n++;
    }
    *s = taken;
}

void handover_take_minutes(struct metrics *m, struct known_route *r, const cJSON *state,
                           int64_t now_ms)
{
    const struct variant_metrics *stable = metrics_variant(m, r->name, r->split.stable);
    const struct variant_metrics *canary =
        r->split.canary[0] ? metrics_variant(m, r->name, r->split.canary) : NULL;
    if (!stable)
        return;
    take_slowness(&r->slowness, stable, state, now_ms);
    take_seen(&r->seen, stable, canary, state, now_ms);
}

/* --- the breaker --- */

static bool write_breaker(cJSON *json, struct breaker *b)
{
    bool is_open = atomic_load(&b->state) != BREAKER_CLOSED;
    return cJSON_AddBoolToObject(json, "breaker_open", is_open) &&
           add(json, "retry_at_us", (double)atomic_load(&b->retry_at_us)) &&
           add(json, "failed_trickles", atomic_load(&b->failed_trickles));
}

/* One that was trying begins that try anew. */
static void take_breaker(struct breaker *b, const cJSON *state)
{
    uint64_t at_us, trickles;
    if (!cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(state, "breaker_open")) ||
        !carry_read_member(state, "retry_at_us", CARRY_NUMBER_MAX, &at_us) ||
        !carry_read_member(state, "failed_trickles", UINT32_MAX, &trickles))
        return;
    atomic_store(&b->retry_at_us, (int64_t)at_us);
    atomic_store(&b->failed_trickles, (uint32_t)trickles);
    atomic_store(&b->state, BREAKER_OPEN);
}

cJSON *handover_state_of(struct known_route *r, int64_t now_ms)
{
    cJSON *json = cJSON_CreateObject();
    bool is_good = json && write_breaker(json, r->live.breaker);
    if (r->slowness.of) {
        r->slowness.next_ms = now_ms; /* what came since the last look belongs to it */
        (void)slowness_look(&r->slowness, r->slowness.of, now_ms);
        is_good = is_good && write_slowness(json, &r->slowness);
    }
    if (r->seen.stable)
        is_good = is_good && write_seen(json, &r->seen);
    if (is_good)
        return json;
    cJSON_Delete(json);
    return NULL;
}

/* --- endpoints --- */

static bool write_endpoint(cJSON *list, const struct known_endpoint *e)
{
    cJSON *json = cJSON_CreateObject();
    return json && cJSON_AddItemToArray(list, json) &&
           cJSON_AddStringToObject(json, "version", e->version) &&
           cJSON_AddStringToObject(json, "text", e->text) &&
           cJSON_AddBoolToObject(json, "given", e->is_given) &&
           add(json, "health", ENDPOINT_LOAD(e->state->health)) &&
           add(json, "serves_from_us", (double)ENDPOINT_LOAD(e->state->serves_from_us)) &&
           add(json, "ejections", ENDPOINT_LOAD(e->state->ejections));
}

cJSON *handover_endpoints_of(const struct known_route *r, struct list **at)
{
    unsigned n = 0;
    cJSON *json = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(json, "endpoints");
    bool is_good = list != NULL;
    struct list *l = *at ? *at : r->endpoints.next;
    for (; is_good && l != &r->endpoints && n < HANDOVER_ENDPOINTS_MAX; l = l->next) {
        const struct known_endpoint *e = CONTAINER_OF(l, struct known_endpoint, of_route);
        if (e->is_barred)
            continue;
        is_good = write_endpoint(list, e);
        n++;
    }
    *at = l != &r->endpoints && is_good ? l : NULL;
    if (is_good && n)
        return json;
    cJSON_Delete(json);
    return NULL;
}

static void take_endpoint(struct known_endpoint *e, const cJSON *json)
{
    uint64_t health, from_us, ejections;
    if (!carry_read_member(json, "health", ENDPOINT_DOWN, &health) ||
        !carry_read_member(json, "serves_from_us", CARRY_NUMBER_MAX, &from_us) ||
        !carry_read_member(json, "ejections", UINT32_MAX, &ejections))
        return;
    ENDPOINT_STORE(e->state->health, (uint32_t)health);
    ENDPOINT_STORE(e->state->ejections, (uint32_t)ejections);
    bool may_be_out = e->conf && e->conf->eject.consecutive; /* else nobody would let it back */
    if (may_be_out || (int64_t)from_us < ENDPOINT_LOAD(e->state->serves_from_us))
        ENDPOINT_STORE(e->state->serves_from_us, (int64_t)from_us);
    e->said = (uint32_t)health;
}

/* Pods and addresses of names, until the cluster or the DNS says which they are now. */
static void add_given(struct known *k, const char *route, const char *version, const cJSON *list)
{
    const char *texts[HANDOVER_ENDPOINTS_MAX];
    const cJSON *item;
    size_t n = 0;
    cJSON_ArrayForEach(item, list)
    {
        const char *text = read_text(item, "text");
        if (n < HANDOVER_ENDPOINTS_MAX && text[0] &&
            strcmp(read_text(item, "version"), version) == 0 &&
            cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(item, "given")))
            texts[n++] = text;
    }
    if (n)
        (void)known_add_endpoints(k, route, version, texts, n);
}

void handover_take_endpoints(struct known *k, struct known_route *r, const cJSON *state)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(state, "endpoints"), *item;
    take_breaker(r->live.breaker, state);
    for (struct list *l = r->versions.next; list && l != &r->versions; l = l->next) {
        const struct known_version *v = CONTAINER_OF(l, struct known_version, of_route);
        add_given(k, v->route, v->version, list);
    }
    cJSON_ArrayForEach(item, list)
    {
        struct known_endpoint *e =
            known_find_endpoint(k, r->name, read_text(item, "version"), read_text(item, "text"));
        if (e)
            take_endpoint(e, item);
    }
}
