/* What the admin port asks of its host: status, verbs, reload, metrics.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/api.h"

#include "metrics/expo.h"
#include "proxy/control/cluster.h"
#include "proxy/control/gauges.h"
#include "proxy/control/names.h"
#include "proxy/control/reload.h"
#include "proxy/control/told.h"
#include "proxy/wire/time.h"
#include "rollout/notify/notifier.h"
#include <cjson/cJSON.h>
#include <event2/buffer.h>

#define STATIC_WHY_MAX (KNOWN_NAME_MAX + 96)
#define EXIT_DEGRADED  4 /* of serin status */

/* null where nothing was timed. */
static void add_quantile(cJSON *json, const char *name, const struct hist_sum *durations, double q)
{
    if (hist_count(durations))
        cJSON_AddNumberToObject(json, name, (double)hist_quantile_us(durations, q) / 1000);
    else
        cJSON_AddNullToObject(json, name);
}

/* One version of a route that has no rollout. */
static cJSON *version_json(const struct control *c, const struct known_route *r,
                           const char *version, enum metric_role role)
{
    const struct variant_metrics *v = metrics_variant(c->metrics, r->name, version);
    struct known_count endpoints = known_count(&c->known, r->name, version, false);
    cJSON *json = cJSON_CreateObject();
    if (!v || !json)
        return json;
    struct judged_totals totals = metrics_judged(v, role);
    struct hist_sum durations = {.sum_us = 0};
    metrics_durations(v, role, &durations);
    cJSON_AddStringToObject(json, "name", version);
    cJSON_AddStringToObject(json, "role", metric_role_text(role));
    cJSON_AddNumberToObject(json, "requests", (double)totals.requests);
    cJSON_AddNumberToObject(json, "failed", (double)totals.failed);
    if (totals.requests)
        cJSON_AddNumberToObject(json, "error_rate",
                                (double)totals.failed / (double)totals.requests);
    else
        cJSON_AddNullToObject(json, "error_rate");
    cJSON_AddNullToObject(json, "interval");
    add_quantile(json, "p50_ms", &durations, 0.5);
    add_quantile(json, "p99_ms", &durations, 0.99);
    cJSON_AddNumberToObject(json, "available", endpoints.available);
    cJSON_AddNumberToObject(json, "endpoints", endpoints.total);
    return json;
}

static void say_static(const struct known_split *s, struct known_count stable,
                       char why[STATIC_WHY_MAX])
{
    if (stable.available == 0)
        (void)snprintf(why, STATIC_WHY_MAX,
                       "no endpoint of %s is available: requests are answered %u until one is",
                       s->stable, stable.total ? 502 : 503);
    else
        (void)snprintf(why, STATIC_WHY_MAX, "%s",
                       s->canary[0] ? "a fixed weight; no rollout moves it" : "one version");
}

/* A static split, said in the shape of a rollout's status. */
static cJSON *static_json(const struct control *c, const struct known_route *r)
{
    const struct known_split *s = &r->split;
    struct known_count stable = known_count(&c->known, r->name, s->stable, false);
    bool is_down = stable.available == 0;
    char why[STATIC_WHY_MAX];
    say_static(s, stable, why);
    cJSON *json = cJSON_CreateObject(), *versions;
    bool is_broken = s->canary[0] && atomic_load_explicit(&r->live.breaker->state,
                                                          memory_order_relaxed) != BREAKER_CLOSED;
    cJSON_AddStringToObject(json, "route", r->name);
    cJSON_AddStringToObject(
        json, "phase",
        rollout_phase_name(is_down ? ROLLOUT_PHASE_DEGRADED : ROLLOUT_PHASE_HEALTHY));
    cJSON_AddStringToObject(json, "state", "STABLE");
    cJSON_AddStringToObject(json, "cause", is_broken ? "breaker" : "none");
    cJSON_AddStringToObject(json, "stable", s->stable);
    if (s->canary[0])
        cJSON_AddStringToObject(json, "canary", s->canary);
    cJSON *weight = cJSON_AddObjectToObject(json, "weight");
    cJSON_AddNumberToObject(weight, "intended", s->weight_bp / 100.0);
    cJSON_AddNullToObject(weight, "observed");
    cJSON_AddStringToObject(json, "why", why);
    versions = cJSON_AddArrayToObject(json, "versions");
    cJSON_AddItemToArray(versions, version_json(c, r, s->stable, ROLE_STABLE));
    if (s->canary[0])
        cJSON_AddItemToArray(versions, version_json(c, r, s->canary, ROLE_CANARY));
    cJSON_AddNumberToObject(json, "exit", is_down ? EXIT_DEGRADED : 0);
    return json;
}

/* A route of the present file, or NULL. */
static struct known_route *find(struct control *c, const char *name)
{
    struct known_route *r = known_find_route(&c->known, name);
    return r && r->conf ? r : NULL;
}

/* A rollout counts from its step on. Where no canary is named there is none, and what it serves is what it has served
 * since the start. */
struct cJSON *api_status(const struct control *c, const struct known_route *r)
{
    if (!r->rollout)
        return static_json(c, r);
    cJSON *json = rollout_status(r->rollout),
          *versions = json && !r->split.canary[0] ? cJSON_CreateArray() : NULL;
    if (!versions)
        return json;
    cJSON_AddItemToArray(versions, version_json(c, r, r->split.stable, ROLE_STABLE));
    if (!cJSON_ReplaceItemInObjectCaseSensitive(json, "versions", versions))
        cJSON_Delete(versions);
    return json;
}

static cJSON *api_routes(void *host)
{
    struct control *c = host;
    const struct config *config = control_config(c);
    cJSON *json = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(json, "routes");
    for (size_t i = 0; list && i < config->n_routes; i++)
        cJSON_AddItemToArray(list, api_status(c, find(c, config->routes[i].name)));
    return json;
}

static cJSON *api_route(void *host, const char *name)
{
    struct control *c = host;
    struct known_route *r = find(c, name);
    return r ? api_status(c, r) : NULL;
}

static cJSON *api_history(void *host, const char *name)
{
    struct known_route *r = find(host, name);
    if (!r)
        return NULL;
    return r->rollout ? rollout_history(r->rollout) : cJSON_CreateArray();
}

static cJSON *api_endpoints(void *host, const char *name)
{
    struct known_route *r = find(host, name);
    return r ? told_endpoints(r) : NULL;
}

static cJSON *api_series(void *host, const char *name)
{
    struct known_route *r = find(host, name);
    return r ? told_series(r) : NULL;
}

static enum err api_verb(void *host, const char *route, const char *verb, bool full,
                         const char *who, struct why *why)
{
    enum rollout_verb parsed;
    struct known_route *r = find(host, route);
    if (!r)
        return why_set(why, ERR_NOT_FOUND, "there is no route \"%s\"", route);
    if (!rollout_verb_parse(verb, &parsed))
        return why_set(why, ERR_NOT_FOUND, "there is no verb \"%s\"", verb);
    if (!r->rollout)
        return why_set(why, ERR_CONFLICT, "route \"%s\" has a fixed weight, not a rollout", route);
    if (parsed == ROLLOUT_PROMOTE && full)
        parsed = ROLLOUT_PROMOTE_FULL;
    return rollout_command(r->rollout, parsed, who, why);
}

static enum err api_reload(void *host, cJSON *lines, struct why *why)
{
    return reload(host, lines, why);
}

static enum err api_notify(void *host, struct why *why)
{
    struct control *c = host;
    size_t n = notifier_test(c->notifier);
    if (n == 0)
        return why_set(why, ERR_CONFLICT, "the file names nobody to be told (notifications)");
    return why_set(why, OK,
                   "a test is on its way to %zu receiver%s; the log says if one does not take it",
                   n, n == 1 ? "" : "s");
}

static void api_metrics(void *host, bool openmetrics, struct evbuffer *out)
{
    struct control *c = host;
    struct expo e = {.format = openmetrics ? EXPO_OPENMETRICS : EXPO_PROMETHEUS};
    expo_write(&e, c->metrics, gauges_expose, c);
    if (!e.failed)
        (void)evbuffer_add(out, e.text, e.len);
    free(e.text);
}

bool api_is_ready(void *host)
{
    struct control *c = host;
    if (c->is_serving && cluster_is_known(c) && names_are_ready(c->names, time_monotonic_ms()))
        c->was_ready = true;
    return c->was_ready && c->drain_until_ms == 0;
}

static bool api_acts(void *host)
{
    return ((struct control *)host)->acts;
}

struct admin_host api_host(struct control *c)
{
    return (struct admin_host){.host = c,
                               .routes = api_routes,
                               .route = api_route,
                               .history = api_history,
                               .endpoints = api_endpoints,
                               .series = api_series,
                               .verb = api_verb,
                               .reload = api_reload,
                               .notify = api_notify,
                               .metrics = api_metrics,
                               .is_ready = api_is_ready,
                               .acts = api_acts};
}
