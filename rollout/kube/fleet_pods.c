/* The pods of one workload: who may serve, and how many count as available.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/kube/fleet_inside.h"
#include "rollout/kube/clock.h"

#include "base/log.h"
#include <arpa/inet.h>
#include <cjson/cJSON.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

static void on_pods_change(void *arg)
{
    static const struct timeval next_turn = {0, 0};
    struct fleet_version *v = arg;
    (void)event_add(v->fleet->turn, &next_turn);
}

void fleet_pods_follow(struct fleet_version *v)
{
    char path[KUBE_PATH_MAX];
    if (v->pods && strcmp(v->selector, v->state.selector) == 0)
        return;
    kube_watch_free(v->pods);
    memcpy(v->selector, v->state.selector, sizeof v->selector);
    kube_path(path, KUBE_POD, kube_namespace(v->fleet->kube), NULL, NULL);
    struct kube_watch_setup setup = {
        .path = path, .selector = v->selector, .on_change = on_pods_change, .arg = v};
    v->pods = kube_watch_new(v->fleet->kube, &setup);
    if (!v->pods)
        log_error("pods_not_watched", "workload=%s why=\"out of memory\"", v->workload);
}

/* A deployment's pods belong to its replica sets; those of the others belong to it alone. */
static bool is_owned(const struct fleet_version *v, const struct kube_pod *pod)
{
    return v->ref.kind == KUBE_DEPLOYMENT || pod->owner[0] == '\0' ||
           strcmp(pod->owner, v->state.uid) == 0;
}

/* The next pod of the workload from *at on. False: there is none. */
static bool next_pod(const struct fleet_version *v, size_t *at, struct kube_pod *pod)
{
    for (; v->pods && *at < kube_watch_count(v->pods); (*at)++)
        if (kube_pod_read(kube_watch_at(v->pods, *at), pod, NULL) == OK && is_owned(v, pod)) {
            (*at)++;
            return true;
        }
    return false;
}

/* At most what is wanted: pods that are about to be taken away are not counted on. */
int fleet_pods_available(const struct fleet_version *v)
{
    struct kube_pod pod;
    int n = 0, most = v->exists ? v->state.replicas : 0;
    for (size_t at = 0; n < most && next_pod(v, &at, &pod);)
        n += kube_pod_is_available(&pod, v->state.min_ready_s, kube_wall_ms());
    return n;
}

bool fleet_pods_are_known(const struct fleet_version *v)
{
    return v->pods && kube_watch_is_synced(v->pods);
}

/* Pods that were listed and are not followed now. Before the first list nothing is counted on. */
const char *fleet_pods_trouble(const struct fleet_version *v)
{
    bool is_waiting = v->pods && !kube_watch_is_synced(v->pods) && !kube_watch_has_failed(v->pods);
    if (!v->exists || is_waiting)
        return "";
    return v->pods ? kube_watch_trouble(v->pods) : "out of memory";
}

/* "address:port" of a pod that may serve; false: it may not. */
static bool endpoint_of(const struct fleet_version *v, const struct kube_pod *pod,
                        char text[FLEET_ENDPOINT_MAX])
{
    struct in6_addr v6;
    struct in_addr v4;
    if (!pod->is_ready || pod->is_terminating || pod->is_finished || pod->address[0] == '\0')
        return false;
    if (inet_pton(AF_INET, pod->address, &v4) == 1)
        (void)snprintf(text, FLEET_ENDPOINT_MAX, "%s:%u", pod->address, v->port);
    else if (inet_pton(AF_INET6, pod->address, &v6) == 1)
        (void)snprintf(text, FLEET_ENDPOINT_MAX, "[%s]:%u", pod->address, v->port);
    else
        return false;
    return true;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void fleet_pods_tell(struct fleet_version *v)
{
    if (!v->pods || !kube_watch_is_synced(v->pods))
        return;
    char(*texts)[FLEET_ENDPOINT_MAX] = malloc(FLEET_ENDPOINTS_MAX * sizeof *texts);
    const char **endpoints = malloc(FLEET_ENDPOINTS_MAX * sizeof *endpoints);
    struct kube_pod pod;
    size_t n = 0;
    for (size_t at = 0; texts && endpoints && n < FLEET_ENDPOINTS_MAX && next_pod(v, &at, &pod);)
        if (endpoint_of(v, &pod, texts[n])) {
            endpoints[n] = texts[n];
            n++;
        }
    if (texts && endpoints) {
        qsort(endpoints, n, sizeof *endpoints, compare);
        v->fleet->setup.on_endpoints(v->fleet->setup.arg, v->name, endpoints, n);
        v->is_told = true;
    }
    free(texts);
    free(endpoints);
}
