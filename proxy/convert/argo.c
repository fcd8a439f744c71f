/* A Rollout becomes a route between two Deployments, with its steps and the pods that follow them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/convert/argo.h"
#include "proxy/convert/argo_analysis.h"
#include "proxy/convert/argo_steps.h"
#include "proxy/convert/ingress.h"
#include "proxy/convert/ingress_annotations.h"
#include "proxy/convert/route.h"
#include "proxy/convert/source.h"
#include "proxy/convert/workload.h"

#include <cjson/cJSON.h>
#include <string.h>

#define WORKLOAD_MAX 300 /* "deployment/NAME-v2" */
#define SECONDS_MAX  (7 * 24 * 3600)
#define COUNT_OF(a)  (sizeof(a) / sizeof((a)[0]))

bool argo_is(const struct cJSON *object)
{
    return source_is(object, "argoproj.io", "Rollout");
}

/* --- what is left --- */

static const struct source_field spec_fields[] = {
    {"strategy", NULL},
    {"selector", NULL},
    {"template", NULL},
    {"workloadRef", NULL},
    {"replicas", NULL},
    {"minReadySeconds", NULL},
    {"revisionHistoryLimit", NULL},
    {"progressDeadlineSeconds", NULL},
    {"progressDeadlineAbort", NULL},
    {"analysis", NULL}, /* how many runs are kept */
    {"paused", "`serin pause`, while a rollout runs"},
    {"restartAt", "kubectl rollout restart does it, on a Deployment"},
    {"rollbackWindow", "`serin undo` goes back to the version before, at once"},
};

static const struct source_field canary_fields[] = {
    {"steps", NULL},
    {"analysis", NULL},
    {"trafficRouting", NULL},
    {"maxSurge", NULL},
    {"maxUnavailable", NULL},
    {"dynamicStableScale", NULL},
    {"canaryService", "serin finds the pods itself; nobody moves this Service's selector any more, "
                      "so send what uses it to serin"},
    {"stableService", "serin finds the pods itself; nobody moves this Service's selector any more, "
                      "so send what uses it to serin"},
    {"canaryMetadata", "write it into the template of the new Deployment"},
    {"stableMetadata", "write it into the template of the new Deployment"},
    {"antiAffinity", "write it into the template of the new Deployment"},
    {"scaleDownDelaySeconds", "the old version keeps its pods through the bake (rollout.bake)"},
    {"scaleDownDelayRevisionLimit",
     "the old version keeps its pods through the bake (rollout.bake)"},
    {"abortScaleDownDelaySeconds", "after an abort the canary's pods go as soon as stable has its "
                                   "own back"},
    {"minPodsPerReplicaSet", "each version has at least one pod while it has a share"},
    {"pingPong", "serin needs no Services to switch between"},
};

static const struct source_field routing_fields[] = {
    {"nginx", NULL},
    {"maxTrafficWeight", NULL},
    {"managedRoutes", NULL},
    {"istio", "serin stands in the place of the mesh's split: send users to it"},
    {"alb", "serin splits by itself: let the load balancer send everybody to it"},
    {"smi", "serin stands in the place of the mesh's split: send users to it"},
    {"traefik", "serin splits by itself: let it send everybody to serin"},
    {"ambassador", "serin splits by itself: let it send everybody to serin"},
    {"apisix", "serin splits by itself: let it send everybody to serin"},
    {"appMesh", "serin stands in the place of the mesh's split: send users to it"},
    {"plugins", "serin splits by itself: let whatever splits today send everybody to serin"},
};

/* --- the route --- */

struct names {
    char stable[WORKLOAD_MAX], canary[WORKLOAD_MAX];
};

static struct names name_workloads(const struct cJSON *rollout)
{
    struct names n;
    const char *name = source_name(rollout);
    const char *ref = source_text(source_at(rollout, "spec.workloadRef"), "name");
    if (ref)
        (void)snprintf(n.stable, sizeof n.stable, "deployment/%.240s", ref);
    else
        (void)snprintf(n.stable, sizeof n.stable, "deployment/%.240s-v1", name);
    (void)snprintf(n.canary, sizeof n.canary, "deployment/%.240s-v2", ref ? ref : name);
    return n;
}

static int64_t port_of(struct draft *d, const struct cJSON *object, struct cJSON *route)
{
    const char *service = source_text(source_at(object, "spec.strategy.canary"), "stableService");
    int64_t port = workload_container_port(source_at(object, "spec.template"));
    if (!port && service)
        port = ingress_service_port(d, service, source_namespace(object), "", true);
    if (port)
        return port;
    draft_note(d, NOTE_NEAR, object, route,
               "no port of its pods stands in this file: taken for 80");
    return 80;
}

static void put_hosts(struct draft *d, const struct cJSON *object, struct cJSON *route)
{
    const struct cJSON *nginx = source_at(object, "spec.strategy.canary.trafficRouting.nginx");
    const struct cJSON *several = source_get(nginx, "stableIngresses"), *item;
    const struct cJSON *one = source_get(nginx, "stableIngress");
    const char *service = source_text(source_at(object, "spec.strategy.canary"), "stableService");
    cJSON_ArrayForEach(item, several)
    {
        if (!cJSON_IsString(item) ||
            !ingress_put_matches(d, item->valuestring, source_namespace(object), route))
            draft_note(d, NOTE_LEFT, item, route, "its hosts: the Ingress is not in this file");
    }
    if (cJSON_IsString(one) &&
        !ingress_put_matches(d, one->valuestring, source_namespace(object), route))
        draft_note(d, NOTE_LEFT, one, route, "its hosts: the Ingress is not in this file");
    workload_put_hosts(d, object, service ? service : source_name(object), route);
}

static void put_versions(struct draft *d, const struct cJSON *object, struct cJSON *route)
{
    const struct cJSON *template = source_at(object, "spec.template");
    const struct cJSON *ref = source_at(object, "spec.workloadRef");
    struct names names = name_workloads(object);
    int64_t port = port_of(d, object, route);
    const char *ends[] = {strchr(names.stable, '/') + 1, strchr(names.canary, '/') + 1};
    struct route_servers stable = {.version = ends[0], .workload = names.stable, .port = port};
    struct route_servers canary = {.version = ends[1], .workload = names.canary, .port = port};
    if (template)
        draft_note(d, NOTE_LEFT, template, route,
                   "serin rolls from one Deployment to another: make %.200s of what runs now, and "
                   "%.200s of the next version, with labels that tell their pods apart",
                   ends[0], ends[1]);
    else
        draft_note(
            d, NOTE_LEFT, ref ? ref : object, route,
            "serin rolls from one Deployment to another: %.200s serves on with its own pods; "
            "make %.200s of the next version, with labels that tell their pods apart",
            ends[0], ends[1]);
    route_put_versions(d, route, &stable, &canary);
}

/* --- the rollout --- */

static void put_replicas(struct draft *d, const struct cJSON *canary, struct cJSON *rollout)
{
    bool is_routed = source_get(canary, "trafficRouting") != NULL;
    bool keeps_stable = is_routed && !source_is_true(canary, "dynamicStableScale");
    const struct cJSON *surge = source_get(canary, "maxSurge");
    const struct cJSON *unavailable = source_get(canary, "maxUnavailable");
    draft_comment(d, rollout, "%s",
                  keeps_stable ? "Stable keeps all of its pods until the promotion."
                               : "Pods move with the weight.");
    struct cJSON *replicas = draft_put_object(d, rollout, "replicas");
    draft_put_text(d, replicas, "mode", keeps_stable ? "capacity" : "match_weight");
    workload_put_amounts(d, surge, unavailable, replicas);
}

static void put_deadline(struct draft *d, const struct cJSON *spec, struct cJSON *rollout)
{
    const struct cJSON *deadline = source_get(spec, "progressDeadlineSeconds");
    int64_t seconds;
    if (!deadline)
        return;
    if (!source_count(deadline, SECONDS_MAX, &seconds) || seconds == 0) {
        draft_note(d, NOTE_LEFT, deadline, rollout, "not a number of seconds up to a week");
        return;
    }
    if (!source_is_true(spec, "progressDeadlineAbort"))
        draft_note(d, NOTE_NEAR, deadline, rollout,
                   "where it passes serin aborts, as with progressDeadlineAbort: true");
    draft_put_duration(d, rollout, "progress_deadline", seconds * 1000);
}

static void put_rollout(struct draft *d, const struct cJSON *object, bool has_mirror,
                        struct cJSON *route)
{
    const struct cJSON *spec = source_get(object, "spec");
    const struct cJSON *canary = source_at(spec, "strategy.canary");
    struct cJSON *rollout = draft_put_object(d, route, "rollout");
    workload_put_start(d, rollout);
    argo_steps_put(d, canary, has_mirror, rollout);
    put_deadline(d, spec, rollout);
    put_replicas(d, canary, rollout);
    argo_analysis_put(d, source_get(canary, "analysis"), rollout);
    source_leave(d, spec, spec_fields, COUNT_OF(spec_fields), rollout);
    source_leave(d, canary, canary_fields, COUNT_OF(canary_fields), rollout);
    source_leave(d, source_get(canary, "trafficRouting"), routing_fields, COUNT_OF(routing_fields),
                 rollout);
}

static void put_route(struct draft *d, const struct cJSON *object)
{
    struct why why;
    const struct cJSON *canary = source_at(object, "spec.strategy.canary");
    const struct cJSON *nginx = source_at(canary, "trafficRouting.nginx");
    struct names names = name_workloads(object);
    d->subject = object;
    struct route_servers longest = {.workload = names.canary, .port = 1};
    if (route_check_servers(&longest, &why) != OK) {
        draft_note(d, NOTE_LEFT, object, NULL, "%.300s", why.text);
        return;
    }
    if (!workload_take_namespace(d, object))
        return;
    struct cJSON *route = route_begin(d, object, source_name(object));
    if (!route)
        return;
    put_hosts(d, object, route);
    put_versions(d, object, route);
    annotation_put_override(d, source_get(nginx, "additionalIngressAnnotations"), "", route);
    bool has_mirror = argo_steps_put_route(d, canary, route);
    put_rollout(d, object, has_mirror, route);
}

void argo_convert(struct draft *d)
{
    for (size_t i = 0; i < d->n_objects; i++) {
        const struct cJSON *object = d->objects[i];
        if (!argo_is(object))
            continue;
        const struct cJSON *strategy = source_at(object, "spec.strategy");
        if (cJSON_IsObject(source_get(strategy, "canary")))
            put_route(d, object);
        else
            draft_note(d, NOTE_LEFT, strategy ? strategy : object, NULL,
                       "serin rolls canaries out: for a switch at once use steps: [100%%]");
    }
}
