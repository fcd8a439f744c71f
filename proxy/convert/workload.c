/* Namespaces, ports and hosts of workloads that another controller has moved until now.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/convert/workload.h"
#include "proxy/conf/text.h"
#include "proxy/conf/units.h"
#include "proxy/convert/route.h"
#include "proxy/convert/source.h"
#include "rollout/decide/plan.h"

#include <cjson/cJSON.h>
#include <string.h>

#define FULL_BP 10000

bool workload_take_namespace(struct draft *d, const struct cJSON *object)
{
    const struct cJSON *at = source_at(object, "metadata.namespace");
    const char *name = source_namespace(object);
    if (d->name_space && strcmp(d->name_space, name) != 0) {
        draft_note(d, NOTE_LEFT, at ? at : object, NULL,
                   "the workloads of one serin are in one namespace, here %.100s: convert this one "
                   "by itself, for a serin of its own",
                   d->name_space);
        return false;
    }
    if (d->name_space)
        return true;
    d->name_space = name;
    if (!at || text_check(TEXT_OBJECT, slice_str(name), NULL) != OK)
        return true; /* serin's own: the context's, or the pod's */
    draft_put_text(d, draft_put_object(d, d->config, "kubernetes"), "namespace", name);
    return true;
}

int64_t workload_container_port(const struct cJSON *template)
{
    const struct cJSON *container, *port;
    int64_t number = 0;
    cJSON_ArrayForEach(container, source_at(template, "spec.containers"))
    {
        cJSON_ArrayForEach(port, source_get(container, "ports"))
        {
            if (source_count(source_get(port, "containerPort"), 65535, &number) && number)
                return number;
        }
    }
    return 0;
}

static bool is_only(const struct draft *d, const struct cJSON *object)
{
    const char *kind = source_text(object, "kind");
    size_t n = 0;
    for (size_t i = 0; i < d->n_objects; i++)
        n += source_is(d->objects[i], NULL, kind);
    return n == 1;
}

void workload_put_hosts(struct draft *d, const struct cJSON *object, const char *service,
                        struct cJSON *route)
{
    static const char *const ends[] = {"", ".svc", ".svc.cluster.local"};
    char host[512];
    if (source_get(route, "hosts") || is_only(d, object))
        return;
    draft_comment(d, route,
                  "As it is asked for within the cluster; add the names that users know.");
    (void)route_add(d, route, "hosts", TEXT_HOST, object, service);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        (void)snprintf(host, sizeof host, "%.200s.%.200s%s", service, source_namespace(object),
                       ends[i]);
        (void)route_add(d, route, "hosts", TEXT_HOST, object, host);
    }
}

/* -1: neither a number nor a share. *is_share: in basis points. */
static int64_t read_amount(const struct cJSON *amount, bool *is_share)
{
    int64_t value = -1;
    *is_share = cJSON_IsString(amount) &&
                units_parse_share(slice_str(amount->valuestring), &value, NULL) == OK;
    if (*is_share)
        return value <= FULL_BP ? value : -1;
    return source_count(amount, PLAN_REPLICAS_MAX, &value) ? value : -1;
}

static void put_amount(struct draft *d, const struct cJSON *amount, struct cJSON *replicas,
                       const char *key)
{
    bool is_share;
    int64_t value = read_amount(amount, &is_share);
    if (!amount)
        return;
    if (value < 0)
        draft_note(d, NOTE_LEFT, amount, replicas, "neither a number of pods nor a share of them");
    else if (is_share)
        draft_put_share(d, replicas, key, value);
    else
        draft_put_count(d, replicas, key, value);
}

void workload_put_amounts(struct draft *d, const struct cJSON *surge,
                          const struct cJSON *unavailable, struct cJSON *replicas)
{
    bool is_share;
    if (surge && read_amount(surge, &is_share) == 0 && read_amount(unavailable, &is_share) <= 0) {
        draft_note(d, NOTE_NEAR, surge, replicas,
                   "with max_unavailable: 0 no pod could move: one more than wanted it is");
        return;
    }
    put_amount(d, surge, replicas, "max_surge");
    put_amount(d, unavailable, replicas, "max_unavailable");
}

void workload_put_start(struct draft *d, struct cJSON *rollout)
{
    draft_comment(d, rollout,
                  "`serin start` begins it; with auto it begins as soon as the file names another "
                  "canary.");
    draft_put_text(d, rollout, "start", "manual");
}
