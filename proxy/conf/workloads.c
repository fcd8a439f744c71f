/* The rules between the keys that Kubernetes needs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/conf/workloads.h"
#include "proxy/conf/units.h"

static bool is_good(const struct node *node)
{
    return node && !node->bad;
}

/* --- one version --- */

static void check_port(const struct config_version *v, struct node *node,
                       struct config_errors *errors)
{
    if (v->workload && !node_child(node, "port"))
        node_complain_key(node, "port", errors, "is missing (port of the pods of %.80s)",
                          v->workload);
}

static void refuse_idle(struct node *version, const char *key, struct config_errors *errors)
{
    struct node *node = node_child(version, key);
    if (is_good(node))
        node_complain(node, errors, "is of no use here (expected beside a workload)");
}

static void check_version(const struct config_version *v, struct node *node,
                          struct config_errors *errors)
{
    struct node *workload = node_child(node, "workload"),
                *endpoints = node_child(node, "endpoints");
    if (!is_good(node) || node->kind != NODE_MAPPING)
        return;
    if (workload && endpoints)
        node_complain(workload, errors, "stands beside endpoints (expected one of the two)");
    else if (!workload && !endpoints)
        node_complain_key(node, "endpoints", errors,
                          "is missing (addresses of its servers; on Kubernetes: workload)");
    if (workload) {
        check_port(v, node, errors);
        return;
    }
    refuse_idle(node, "port", errors);
    refuse_idle(node, "manifest", errors);
}

/* --- the pair --- */

static bool is_workload(const struct config_route *r, const char *name)
{
    const struct config_version *v = name ? config_find_version(r, name) : NULL;
    return v && v->workload;
}

static bool has_workload(const struct config_route *r)
{
    for (size_t i = 0; i < r->n_versions; i++)
        if (r->versions[i].workload)
            return true;
    return false;
}

/* Where the file speaks of replicas, or else of the rollout, or of the canary that makes it one. */
static struct node *replicas_node(struct node *route, struct node *replicas)
{
    struct node *mode = node_child(replicas, "mode"), *rollout = node_child(route, "rollout");
    return mode ? mode : replicas ? replicas : rollout ? rollout : node_child(route, "canary");
}

/* What a mode asks of the pair. All versions have a good name here. */
static void check_pair(const struct config_route *r, struct node *route, struct node *replicas,
                       struct config_errors *errors)
{
    bool is_stable = is_workload(r, r->stable), is_canary = is_workload(r, r->canary);
    struct node *at = replicas_node(route, replicas);
    if (!r->has_rollout || r->plan.replicas_mode == PLAN_REPLICAS_NONE || is_stable == is_canary ||
        !is_good(at))
        return;
    node_complain(at, errors,
                  "%sof stable %.64s and canary %.64s only %.64s is a workload (expected two, or "
                  "replicas.mode: none)",
                  node_child(replicas, "mode") ? "" : "replicas.mode is match_weight, but ",
                  r->stable, r->canary, is_stable ? r->stable : r->canary);
}

static void check_amounts(const struct config_route *r, struct node *replicas,
                          struct config_errors *errors)
{
    struct node *surge = node_child(replicas, "max_surge");
    struct node *headroom = node_child(replicas, "headroom");
    const struct plan *plan = &r->plan;
    if (is_good(headroom) && plan->replicas_mode != PLAN_REPLICAS_CAPACITY)
        node_complain(headroom, errors, "is of no use here (expected mode: capacity)");
    if (is_good(surge) && plan->replicas_mode != PLAN_REPLICAS_NONE && plan->surge.value == 0 &&
        plan->unavailable.value == 0)
        node_complain(surge, errors,
                      "is 0, and so is max_unavailable: no pod could be moved "
                      "(expected one of them above 0)");
}

static void check_replicas(const struct config_route *r, struct node *route,
                           struct config_errors *errors)
{
    struct node *replicas = node_child(node_child(route, "rollout"), "replicas");
    struct node *mode = node_child(replicas, "mode");
    if ((replicas && replicas->bad) || (mode && mode->bad))
        return;
    if (!replicas || has_workload(r)) {
        check_pair(r, route, replicas, errors);
        check_amounts(r, replicas, errors);
        return;
    }
    if (!node_is_null(replicas))
        node_complain(replicas, errors, "has no effect: no version of this route is a workload");
}

void workloads_check(const struct config_route *route, struct node *node,
                     struct config_errors *errors)
{
    struct node *versions = node_child(node, "versions");
    for (size_t i = 0; versions && i < route->n_versions; i++)
        check_version(&route->versions[i], node_item(versions, i), errors);
    check_replicas(route, node, errors);
}

/* --- all routes --- */

/* A version that is a workload, by its places. */
struct owner {
    size_t route, version;
};

static const char *workload_of(const struct config *config, struct owner o)
{
    return config->routes[o.route].versions[o.version].workload;
}

/* Two rollouts would scale the same pods; two versions of one route would not differ. */
static bool are_rivals(const struct config *config, struct owner a, struct owner b)
{
    const char *mine = workload_of(config, a), *other = workload_of(config, b);
    return mine && other && strcmp(mine, other) == 0 &&
           (a.route == b.route ||
            (config->routes[a.route].has_rollout && config->routes[b.route].has_rollout));
}

static bool find_rival(const struct config *config, struct owner mine, struct owner *rival)
{
    for (size_t i = 0; i <= mine.route; i++) {
        size_t n = i == mine.route ? mine.version : config->routes[i].n_versions;
        for (size_t k = 0; k < n; k++) {
            *rival = (struct owner){i, k};
            if (are_rivals(config, mine, *rival))
                return true;
        }
    }
    return false;
}

static void check_owner(const struct config *config, struct node *version, struct owner mine,
                        struct config_errors *errors)
{
    struct owner rival;
    struct node *node = node_child(version, "workload");
    if (!is_good(node) || !find_rival(config, mine, &rival))
        return;
    const struct config_route *r = &config->routes[rival.route];
    if (rival.route == mine.route)
        node_complain(node, errors, "%.80s is version \"%.64s\" too", workload_of(config, mine),
                      r->versions[rival.version].name);
    else
        node_complain(node, errors,
                      "%.80s is version \"%.64s\" of routes[%zu] too, whose rollout would move the "
                      "same pods",
                      workload_of(config, mine), r->versions[rival.version].name, rival.route);
}

static void check_lease(const struct config *config, struct node *root,
                        struct config_errors *errors)
{
    char text[UNITS_TEXT_MAX];
    struct node *node = node_child(node_child(root, "kubernetes"), "lease_duration");
    if (is_good(node) && config->kubernetes.lease_duration_ms % 1000)
        node_complain(node, errors, "%s is no whole number of seconds",
                      units_format_duration(config->kubernetes.lease_duration_ms, text));
}

void workloads_check_all(const struct config *config, struct node *root,
                         struct config_errors *errors)
{
    struct node *routes = node_child(root, "routes");
    struct node *route = routes ? routes->first : NULL;
    for (size_t i = 0; route && i < config->n_routes; i++, route = route->next) {
        struct node *versions = node_child(route, "versions");
        for (size_t k = 0; versions && k < config->routes[i].n_versions; k++)
            if (config->routes[i].versions[k].name)
                check_owner(config, node_item(versions, k), (struct owner){i, k}, errors);
    }
    check_lease(config, root, errors);
}
