/* A Canary becomes a route between the two Deployments that Flagger has been running.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/convert/flagger.h"
#include "proxy/convert/flagger_analysis.h"
#include "proxy/convert/ingress.h"
#include "proxy/convert/route.h"
#include "proxy/convert/source.h"
#include "proxy/convert/workload.h"

#include <cjson/cJSON.h>
#include <string.h>

#define NAME_MAX_BYTES 300
#define SECONDS_MAX    (7 * 24 * 3600)
#define RETRIES_MAX    10
#define COUNT_OF(a)    (sizeof(a) / sizeof((a)[0]))

bool flagger_is(const struct cJSON *object)
{
    return source_is(object, "flagger.app", "Canary");
}

/* --- what is left --- */

static const struct source_field spec_fields[] = {
    {"targetRef", NULL},
    {"service", NULL},
    {"analysis", NULL},
    {"canaryAnalysis", NULL},
    {"progressDeadlineSeconds", NULL},
    {"autoscalerRef", NULL},
    {"ingressRef", NULL},
    {"metricsServer", NULL},
    {"provider", NULL}, /* serin stands in its place */
    {"routeRef", "serin splits by itself: let the route send everybody to it"},
    {"upstreamRef", "serin splits by itself: let the upstream be serin"},
    {"skipAnalysis", "`serin promote --full` goes past everything"},
    {"suspend", "`serin pause`, while a rollout runs"},
    {"revertOnDeletion", "nothing is made that would have to go: the Deployments are yours"},
};

static const struct source_field service_fields[] = {
    {"name", NULL},
    {"port", NULL},
    {"targetPort", NULL},
    {"portName", NULL},
    {"portDiscovery", NULL},
    {"hosts", NULL},
    {"match", NULL},
    {"retries", NULL},
    {"gateways", NULL}, /* of the mesh in whose place serin stands */
    {"delegation", NULL},
    {"meshName", NULL},
    {"backends", NULL},
    {"gatewayRefs", NULL},
    {"trafficDistribution", NULL},
    {"apex", "label your Services yourself"},
    {"primary", "label your Services yourself"},
    {"canary", "label your Services yourself"},
    {"headless", "serin finds the pods by itself"},
    {"appProtocol", "serin speaks HTTP/1.1 to its servers"},
    {"timeout", "set timeouts.request_total, which holds for all routes"},
    {"backendTimeout", "set timeouts.response_header, which holds for all routes"},
    {"rewrite", "serin passes the path on as it came: let the service serve it so"},
    {"headers", "serin adds those of routes[].headers; let the service add others"},
    {"corsPolicy", "serin adds no CORS fields: let the service do it"},
    {"trafficPolicy", "see tls of a version, balance, eject and limits"},
    {"mirror", "see routes[].mirror, which copies requests to the canary"},
    {"primaryBackend", "see tls of a version"},
    {"canaryBackend", "see tls of a version"},
    {"unmanagedMetadata", "label your Services yourself"},
    {"managedMetadata", "label your Services yourself"},
};

static const struct source_field analysis_fields[] = {
    {"interval", NULL},
    {"threshold", NULL},
    {"maxWeight", NULL},
    {"stepWeight", NULL},
    {"stepWeights", NULL},
    {"iterations", NULL},
    {"match", NULL},
    {"mirror", NULL},
    {"mirrorWeight", NULL},
    {"sessionAffinity", NULL},
    {"metrics", NULL},
    {"webhooks", NULL},
    {"stepWeightPromotion", "a promotion goes from bake_weight (99%) to 100% at once: the version "
                            "that was tested goes on serving, nothing is copied"},
    {"primaryReadyThreshold", "see replicas.max_unavailable and eject.max_ejected"},
    {"canaryReadyThreshold", "see replicas.max_unavailable and eject.max_ejected"},
    {"alerts", "see `notifications`: chats, Alertmanager and webhooks that are told of rollouts"},
};

/* --- the route --- */

struct names {
    char stable[NAME_MAX_BYTES], canary[NAME_MAX_BYTES];
};

static struct names name_both(const char *prefix, const char *name, const char *stable_end,
                              const char *canary_end)
{
    struct names n;
    (void)snprintf(n.stable, sizeof n.stable, "%s%.230s%s", prefix, name, stable_end);
    (void)snprintf(n.canary, sizeof n.canary, "%s%.230s%s", prefix, name, canary_end);
    return n;
}

/* What Flagger has made for a target: two Deployments, and two Services. */
struct target {
    bool is_deployment;
    const char *name, *service;
    struct names workloads, services;
    int64_t port;
};

/* The port of the pods, or of the Services. 0: it says none. */
static int64_t port_of(const struct cJSON *service, bool is_pods)
{
    int64_t port = 0;
    if (is_pods && source_count(source_get(service, "targetPort"), 65535, &port) && port)
        return port;
    return source_count(source_get(service, "port"), 65535, &port) ? port : 0;
}

static struct target read_target(const struct cJSON *object)
{
    const struct cJSON *ref = source_at(object, "spec.targetRef");
    const char *kind = source_text(ref, "kind"), *name = source_text(ref, "name");
    const char *service = source_text(source_at(object, "spec.service"), "name");
    struct target t = {.name = name ? name : source_name(object)};
    t.is_deployment = kind && strcmp(kind, "Deployment") == 0;
    t.service = service ? service : t.name;
    t.workloads = name_both("deployment/", t.name, "-primary", "");
    t.services = name_both("", t.service, "-primary", "-canary");
    t.port = port_of(source_at(object, "spec.service"), t.is_deployment);
    return t;
}

static void put_matches(struct draft *d, const struct cJSON *object, const struct target *t,
                        struct cJSON *route)
{
    const struct cJSON *service = source_at(object, "spec.service"), *item;
    const struct cJSON *ingress = source_at(object, "spec.ingressRef");
    const char *name = source_text(ingress, "name");
    cJSON_ArrayForEach(item, source_get(service, "hosts"))
    {
        if (cJSON_IsString(item) && strcmp(item->valuestring, "*") != 0)
            (void)route_add(d, route, "hosts", TEXT_HOST, item, item->valuestring);
    }
    if (name && !ingress_put_matches(d, name, source_namespace(object), route))
        draft_note(d, NOTE_LEFT, ingress, route, "its hosts: the Ingress is not in this file");
    workload_put_hosts(d, object, t->service, route);
    cJSON_ArrayForEach(item, source_get(service, "match"))
    {
        const struct cJSON *uri = source_get(item, "uri");
        const char *path = source_text(uri, "prefix"), *exact = source_text(uri, "exact");
        if (!path && !exact) {
            draft_note(d, NOTE_LEFT, item, route, "serin matches hosts and prefixes of paths");
            continue;
        }
        if (exact && !path)
            draft_note(d, NOTE_NEAR, uri, route,
                       "serin matches prefixes: what lies below comes along");
        (void)route_add(d, route, "paths", TEXT_PREFIX, uri, path ? path : exact);
    }
}

static void put_versions(struct draft *d, const struct cJSON *object, const struct target *t,
                         struct cJSON *route)
{
    const struct cJSON *ref = source_at(object, "spec.targetRef");
    const struct cJSON *port = source_at(object, "spec.service.targetPort");
    int64_t number;
    struct route_servers stable = {.version = t->services.stable,
                                   .service = t->services.stable,
                                   .name_space = source_namespace(object),
                                   .port = t->port};
    struct route_servers canary = stable;
    canary.version = t->services.canary;
    canary.service = t->services.canary;
    if (t->is_deployment) {
        stable.workload = t->workloads.stable;
        canary.workload = t->workloads.canary;
        stable.version = strchr(stable.workload, '/') + 1;
        canary.version = strchr(canary.workload, '/') + 1;
        if (port && !source_count(port, 65535, &number))
            draft_note(
                d, NOTE_NEAR, port, route,
                "the name of a port: taken for the number of `port`; put the pods' own here");
        draft_comment(d, route,
                      "As Flagger leaves them. A promotion keeps the version that was tested: the "
                      "next rollout is from it to another Deployment.");
    } else {
        draft_note(d, NOTE_NEAR, ref, route,
                   "serin moves the pods of Deployments; these are asked for by the Services that "
                   "Flagger made, and scaled by you");
    }
    route_put_versions(d, route, &stable, &canary);
}

static void put_retry(struct draft *d, const struct cJSON *object, struct cJSON *route)
{
    const struct cJSON *retries = source_at(object, "spec.service.retries");
    int64_t attempts;
    if (!retries)
        return;
    if (!source_count(source_get(retries, "attempts"), INT32_MAX, &attempts)) {
        draft_note(d, NOTE_LEFT, retries, route, "it says no number of attempts");
        return;
    }
    draft_note(d, NOTE_NEAR, retries, route,
               "when, and within which budget, is serin's own (retry.on, budget); each attempt has "
               "timeouts.response_header");
    draft_put_count(d, draft_put_object(d, route, "retry"), "max",
                    attempts > RETRIES_MAX ? RETRIES_MAX : attempts);
}

/* --- the rollout --- */

static void put_replicas(struct draft *d, const struct cJSON *object, const struct target *t,
                         struct cJSON *rollout)
{
    const struct cJSON *scaler = source_at(object, "spec.autoscalerRef");
    if (!t->is_deployment)
        return;
    if (scaler)
        draft_note(d, NOTE_NEAR, scaler, rollout,
                   "serin moves no pods that an autoscaler moves: it leaves both to theirs, so see "
                   "that the canary has some before `serin start`");
    else
        draft_comment(d, rollout, "Stable keeps all of its pods until the promotion.");
    draft_put_text(d, draft_put_object(d, rollout, "replicas"), "mode",
                   scaler ? "none" : "capacity");
}

static void put_deadline(struct draft *d, const struct cJSON *object, struct cJSON *rollout)
{
    const struct cJSON *deadline = source_at(object, "spec.progressDeadlineSeconds");
    int64_t seconds;
    if (!deadline)
        return;
    if (source_count(deadline, SECONDS_MAX, &seconds) && seconds)
        draft_put_duration(d, rollout, "progress_deadline", seconds * 1000);
    else
        draft_note(d, NOTE_LEFT, deadline, rollout, "not a number of seconds up to a week");
}

static void put_rollout(struct draft *d, const struct cJSON *object, const struct target *t,
                        bool has_mirror, struct cJSON *route)
{
    const struct cJSON *analysis = flagger_analysis_of(object);
    struct cJSON *rollout = draft_put_object(d, route, "rollout");
    workload_put_start(d, rollout);
    flagger_analysis_put_steps(d, analysis, has_mirror, rollout);
    put_deadline(d, object, rollout);
    put_replicas(d, object, t, rollout);
    flagger_analysis_put_metrics(d, object, rollout);
    flagger_analysis_put_webhooks(d, analysis, rollout);
    source_leave(d, source_get(object, "spec"), spec_fields, COUNT_OF(spec_fields), rollout);
    source_leave(d, source_at(object, "spec.service"), service_fields, COUNT_OF(service_fields),
                 rollout);
    source_leave(d, analysis, analysis_fields, COUNT_OF(analysis_fields), rollout);
}

static bool may_be_written(struct draft *d, const struct cJSON *object, const struct target *t)
{
    struct why why;
    struct route_servers longest = {.service = t->services.stable,
                                    .workload = t->is_deployment ? t->workloads.stable : NULL,
                                    .name_space = source_namespace(object),
                                    .port = t->port};
    if (route_check_servers(&longest, &why) == OK)
        return true;
    draft_note(d, NOTE_LEFT, object, NULL, "%.300s", why.text);
    return false;
}

static void put_route(struct draft *d, const struct cJSON *object)
{
    struct target t = read_target(object);
    d->subject = object;
    if (!may_be_written(d, object, &t) || (t.is_deployment && !workload_take_namespace(d, object)))
        return;
    struct cJSON *route = route_begin(d, object, source_name(object));
    if (!route)
        return;
    put_matches(d, object, &t, route);
    put_versions(d, object, &t, route);
    bool has_mirror = flagger_analysis_put_route(d, flagger_analysis_of(object), route);
    put_retry(d, object, route);
    put_rollout(d, object, &t, has_mirror, route);
}

void flagger_convert(struct draft *d)
{
    for (size_t i = 0; i < d->n_objects; i++)
        if (flagger_is(d->objects[i]))
            put_route(d, d->objects[i]);
}
