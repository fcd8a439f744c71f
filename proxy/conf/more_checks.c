/* The items of rollout.more_checks.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/conf/more_checks.h"
#include "base/check.h"

enum err more_checks_settle(struct config_route *route, struct arena *arena)
{
    struct outside *outside = &route->outside;
    size_t n = route->n_more_checks;
    outside->checks = n ? arena_alloc(arena, n * sizeof *outside->checks) : NULL;
    if (n && !outside->checks)
        return ERR_MEMORY;
    for (size_t i = 0; i < n; i++) {
        struct config_more_check *item = &route->more_checks[i];
        item->prometheus.kind = OUTSIDE_PROMETHEUS;
        item->webhook.kind = OUTSIDE_WEBHOOK;
        outside->checks[i] = item->has_prometheus ? item->prometheus : item->webhook;
    }
    outside->n_checks = n;
    return OK;
}

static struct node *kind_node(const struct config_more_check *item, struct node *node)
{
    return node_child(node, item->has_prometheus ? "prometheus" : "webhook");
}

/* A name tells one check from another on the screen and in the metrics. */
static void check_name(const struct config_route *route, size_t at, struct node *node,
                       struct config_errors *errors)
{
    const char *name = route->outside.checks[at].name;
    for (size_t i = 0; name && i < at; i++) {
        const char *other = route->outside.checks[i].name;
        if (!other || strcmp(name, other) != 0)
            continue;
        node_complain(node_child(node, "name"), errors,
                      "\"%s\" is the name of more_checks[%zu] too", name, i);
        return;
    }
    static const char *const own[] = {"errors", "client_errors", "ceiling", "latency"};
    for (size_t i = 0; name && i < ARRAY_LEN(own); i++)
        if (strcmp(name, own[i]) == 0)
            node_complain(node_child(node, "name"), errors,
                          "\"%s\" is the name of one of the judge's own checks", name);
}

void more_checks_check(const struct config_route *route, struct node *node,
                       struct config_errors *errors)
{
    struct node *list = node_child(node_child(node, "rollout"), "more_checks");
    struct node *item = list ? list->first : NULL;
    for (size_t i = 0; item && i < route->n_more_checks; i++, item = item->next) {
        const struct config_more_check *c = &route->more_checks[i];
        if (item->bad || item->kind != NODE_MAPPING)
            continue;
        if (c->has_prometheus == c->has_webhook) {
            node_complain(item, errors, "names %s (expected prometheus or webhook)",
                          c->has_webhook ? "both kinds of check" : "no kind of check");
            continue;
        }
        struct node *kind = kind_node(c, item);
        check_name(route, i, kind, errors);
        if (c->has_prometheus && !node_child(kind, "min") && !node_child(kind, "max"))
            node_complain_key(kind, "max", errors,
                              "is missing (the bound of a good value; or min)");
    }
}
