/* What people are told of the routes beside their rollouts' own events: samples for charts, endpoints, and the ticks of
 * routes that have no rollout.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/told.h"

#include "base/hash.h"
#include "proxy/control/admin.h"
#include "proxy/control/api.h"
#include "proxy/control/series.h"
#include "proxy/wire/time.h"
#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>

#define US_PER_S 1000000

static void publish_json(struct control *c, const char *name, cJSON *json)
{
    char *text = json ? cJSON_PrintUnformatted(json) : NULL;
    if (text)
        admin_publish(c->admin, name, text);
    cJSON_free(text);
    cJSON_Delete(json);
}

/* --- samples --- */

static void look_at_side(const struct control *c, const struct known_route *r, const char *version,
                         enum metric_role role, struct series_side *side)
{
    const struct variant_metrics *v =
        version[0] ? metrics_variant(c->metrics, r->name, version) : NULL;
    memset(side, 0, sizeof *side);
    if (!v)
        return;
    struct judged_totals totals = metrics_judged(v, role);
    side->of = v;
    side->requests = totals.requests;
    side->failed = totals.failed;
    metrics_durations(v, role, &side->durations);
}

/* Of a run that is under way, and once more of one that has just ended: a revert may be over within the tick that decides
 * it, and what decided it belongs on the chart. */
static void look_at_evidence(struct known_route *r, struct series_now *now)
{
    struct rollout_metrics m = {.evidence_against = NAN};
    if (r->rollout)
        rollout_metrics(r->rollout, &m);
    bool is_judged = !isnan(m.evidence_against);
    bool is_shown = is_judged || r->was_judged;
    now->evidence = is_shown ? m.decided_against : NAN;
    now->limit = is_shown ? m.decided_at : NAN;
    r->was_judged = is_judged;
}

static void take_sample(const struct control *c, struct known_route *r)
{
    struct series_now now = {
        .now_ms = time_monotonic_ms(), .wall_ms = time_wall_ms(), .weight_bp = r->split.weight_bp};
    look_at_evidence(r, &now);
    look_at_side(c, r, r->split.stable, ROLE_STABLE, &now.sides[ROLE_STABLE]);
    look_at_side(c, r, r->split.canary, ROLE_CANARY, &now.sides[ROLE_CANARY]);
    series_take(r->series, &now);
}

static void tell_sample(struct control *c, const struct known_route *r)
{
    char point[SERIES_POINT_MAX];
    cJSON *json = series_newest(r->series, point) ? cJSON_CreateObject() : NULL;
    (void)cJSON_AddStringToObject(json, "route", r->name);
    (void)cJSON_AddRawToObject(json, "point", point);
    publish_json(c, "sample", json);
}

struct cJSON *told_series(const struct known_route *r)
{
    cJSON *json = cJSON_CreateObject();
    if (cJSON_AddStringToObject(json, "route", r->name) && series_json(r->series, json))
        return json;
    cJSON_Delete(json);
    return NULL;
}

/* --- endpoints --- */

enum told_state { TOLD_UNTRIED, TOLD_UP, TOLD_DOWN, TOLD_EJECTED };

static enum told_state state_of(const struct known_endpoint *e, int64_t now_us)
{
    if (!endpoint_is_reachable(e->state))
        return TOLD_DOWN;
    if (endpoint_serves_from_us(e->state) > now_us)
        return TOLD_EJECTED;
    return ENDPOINT_LOAD(e->state->health) == ENDPOINT_UP ? TOLD_UP : TOLD_UNTRIED;
}

static bool add_endpoint(cJSON *list, const struct known_endpoint *e, int64_t now_us)
{
    static const char *const words[] = {[TOLD_UNTRIED] = "untried",
                                        [TOLD_UP] = "up",
                                        [TOLD_DOWN] = "down",
                                        [TOLD_EJECTED] = "ejected"};
    enum told_state state = state_of(e, now_us);
    cJSON *json = cJSON_CreateObject();
    if (!json || !cJSON_AddItemToArray(list, json)) {
        cJSON_Delete(json);
        return false;
    }
    int64_t left_us = endpoint_serves_from_us(e->state) - now_us;
    return cJSON_AddStringToObject(json, "version", e->version) &&
           cJSON_AddStringToObject(json, "address", e->text) &&
           cJSON_AddStringToObject(json, "state", words[state]) &&
           (state != TOLD_EJECTED ||
            cJSON_AddNumberToObject(json, "returns_in_s", (double)(left_us / US_PER_S + 1)));
}

static bool is_told(const struct known_endpoint *e)
{
    return e->is_named && !e->is_barred;
}

/* Adds those that serve, or those that do not; what is beyond the bound is counted only. */
static bool add_endpoints(const struct known_route *r, bool serving, cJSON *list, unsigned *total)
{
    int64_t now_us = time_monotonic_us();
    bool whole = true;
    for (struct list *l = r->endpoints.next; whole && l != &r->endpoints; l = l->next) {
        const struct known_endpoint *e = CONTAINER_OF(l, struct known_endpoint, of_route);
        if (is_told(e) && endpoint_may_serve(e->state, now_us) == serving &&
            (*total)++ < TOLD_ENDPOINTS_MAX)
            whole = add_endpoint(list, e, now_us);
    }
    return whole;
}

struct cJSON *told_endpoints(const struct known_route *r)
{
    unsigned total = 0;
    cJSON *json = cJSON_CreateObject();
    bool whole = cJSON_AddStringToObject(json, "route", r->name) != NULL;
    cJSON *list = cJSON_AddArrayToObject(json, "endpoints");
    whole = whole && list && add_endpoints(r, false, list, &total) &&
            add_endpoints(r, true, list, &total);
    unsigned left_out = total > TOLD_ENDPOINTS_MAX ? total - TOLD_ENDPOINTS_MAX : 0;
    if (whole && cJSON_AddNumberToObject(json, "left_out", left_out))
        return json;
    cJSON_Delete(json);
    return NULL;
}

/* A digest of a route's endpoints and their states, whatever their order. */
static uint64_t digest(const struct known_route *r)
{
    int64_t now_us = time_monotonic_us();
    uint64_t sum = 0;
    for (struct list *l = r->endpoints.next; l != &r->endpoints; l = l->next) {
        const struct known_endpoint *e = CONTAINER_OF(l, struct known_endpoint, of_route);
        if (is_told(e))
            sum += hash_bytes((struct hash_salt){state_of(e, now_us), 0}, slice_str(e->text));
    }
    return sum;
}

static void tell_endpoints(struct control *c, struct known_route *r)
{
    uint64_t now = digest(r);
    if (now == r->endpoints_told)
        return;
    r->endpoints_told = now;
    publish_json(c, "endpoints", told_endpoints(r));
}

/* --- each second --- */

bool told_has_tick(const struct known_route *r)
{
    return !r->rollout || !r->split.canary[0];
}

/* A route that the file has dropped, or that is one too many, gives its memory back. */
static void keep_series(struct known_route *r, bool is_kept)
{
    if (is_kept && !r->series)
        r->series = series_new();
    if (!is_kept) {
        series_free(r->series);
        r->series = NULL;
    }
}

static void tell(struct control *c, struct known_route *r)
{
    if (told_has_tick(r))
        publish_json(c, "tick", api_status(c, r));
    if (r->series)
        tell_sample(c, r);
    tell_endpoints(c, r);
}

void told_tick(struct control *c)
{
    bool is_followed = c->admin && admin_is_followed(c->admin);
    unsigned kept = 0;
    for (struct list *l = c->known.routes.next; l != &c->known.routes; l = l->next) {
        struct known_route *r = CONTAINER_OF(l, struct known_route, link);
        keep_series(r, r->conf && kept < TOLD_SERIES_MAX);
        kept += r->series != NULL;
        if (r->series)
            take_sample(c, r);
        if (is_followed && r->conf)
            tell(c, r);
    }
}
