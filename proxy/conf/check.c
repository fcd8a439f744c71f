/* Rules between keys: names that exist or differ, steps that rise, what needs or excludes what.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/conf/check.h"
#include "base/check.h"
#include "proxy/conf/dns_name.h"
#include "proxy/conf/listener_tls.h"
#include "proxy/conf/listeners.h"
#include "proxy/conf/more_checks.h"
#include "proxy/conf/notifications.h"
#include "proxy/conf/units.h"
#include "proxy/conf/upstream_tls.h"
#include "proxy/conf/workloads.h"
#include "proxy/http/fields.h"
#include <math.h>
#include <strings.h>

/* Pairs of host and path in one file: guards the memory of this check and the size of the lookup.
 */
#define MATCHES_TOTAL_MAX 65536u

/* Endpoints of one file that are names: guards the name servers, and the time of a reload. */
#define NAMES_TOTAL_MAX 1024u

struct checker {
    const struct config *config;
    struct tree *tree;
    struct config_errors *errors;
};

/* One route and its place in the file. */
struct route_place {
    const struct config_route *route;
    struct node *node;
};

static void no_memory(struct checker *c)
{
    struct config_error e = {.text = "out of memory"};
    config_errors_add(c->errors, ERR_MEMORY, &e);
}

static bool is_good(const struct node *node)
{
    return node && !node->bad;
}

/* --- listeners and admin --- */

/* Holds an address against those of the first listeners. behind: the end of the sentence. */
static void check_bind(struct checker *c, struct node *node, const char *bind, size_t before,
                       const char *behind)
{
    struct config_address mine, other;
    if (!bind || config_address_parse(slice_str(bind), &mine, NULL))
        return;
    bool has_port = mine.kind == CONFIG_ADDRESS_IPV4 || mine.kind == CONFIG_ADDRESS_IPV6;
    if (has_port && mine.port == 0)
        return; /* each gets a free port of its own */
    for (size_t i = 0; i < before; i++) {
        const char *text = c->config->listeners[i].bind;
        if (!text || config_address_parse(slice_str(text), &other, NULL) ||
            !config_address_equal(&mine, &other))
            continue;
        node_complain(node, c->errors, "%.64s is the address of listeners[%zu] too%s", bind, i,
                      behind);
        return;
    }
}

static void check_binds(struct checker *c)
{
    struct node *listeners = node_child(c->tree->root, "listeners");
    struct node *admin = node_child(node_child(c->tree->root, "admin"), "bind");
    for (size_t i = 0; i < c->config->n_listeners; i++)
        check_bind(c, node_child(node_item(listeners, i), "bind"), c->config->listeners[i].bind, i,
                   "");
    if (is_good(admin))
        check_bind(c, admin, c->config->admin.bind, c->config->n_listeners, "");
    else if (!admin && is_good(listeners))
        check_bind(c, listeners, c->config->admin.bind, c->config->n_listeners,
                   ", by the default of admin.bind");
}

static void check_admin(struct checker *c)
{
    struct config_address address;
    struct node *admin = node_child(c->tree->root, "admin");
    if (!is_good(node_child(admin, "bind")) || node_child(admin, "token_file"))
        return;
    if (config_address_parse(slice_str(c->config->admin.bind), &address, NULL) ||
        address.kind == CONFIG_ADDRESS_FD || /* asked when the socket is there */
        config_address_is_local(&address))
        return;
    node_complain_key(admin, "token_file", c->errors,
                      "is missing (bind %.64s can be reached from other machines)",
                      c->config->admin.bind);
}

/* Each worker has a connection of its own, so that none starves. */
static void check_limits(struct checker *c)
{
    uint32_t most = c->config->limits.upstream_connections_per_endpoint;
    struct node *node =
        node_child(node_child(c->tree->root, "limits"), "upstream_connections_per_endpoint");
    if (is_good(node) && most && most < c->config->workers)
        node_complain(node, c->errors, "%u is below workers %u (at least one connection a worker)",
                      most, c->config->workers);
}

/* --- names --- */

static void check_route_name(struct checker *c, size_t at, struct node *node)
{
    const char *name = c->config->routes[at].name;
    for (size_t i = 0; name && i < at; i++) {
        const char *other = c->config->routes[i].name;
        if (!other || strcmp(name, other) != 0)
            continue;
        node_complain(node_child(node, "name"), c->errors, "\"%s\" is the name of routes[%zu] too",
                      name, i);
        return;
    }
}

static void check_version_exists(struct checker *c, struct route_place p, const char *key,
                                 const char *name)
{
    char names[192];
    size_t at = 0;
    if (!name || p.route->n_versions == 0 || config_find_version(p.route, name))
        return;
    for (size_t i = 0; i < p.route->n_versions && at < sizeof names; i++) {
        if (!p.route->versions[i].name)
            return; /* it may be the one that was meant */
        at += (size_t)snprintf(names + at, sizeof names - at, "%s%s", i ? ", " : "",
                               p.route->versions[i].name);
    }
    node_complain(node_child(p.node, key), c->errors, "\"%s\" is no version of this route (%s)",
                  name, names);
}

static void check_pair(struct checker *c, struct route_place p)
{
    const struct config_route *r = p.route;
    check_version_exists(c, p, "stable", r->stable);
    check_version_exists(c, p, "canary", r->canary);
    if (r->stable && r->canary && strcmp(r->stable, r->canary) == 0)
        node_complain(node_child(p.node, "canary"), c->errors,
                      "\"%s\" is the stable version too (expected another one)", r->canary);
    struct node *weight = node_child(p.node, "weight"), *mirror = node_child(p.node, "mirror");
    if (is_good(mirror) && r->mirror_bp && !node_child(p.node, "canary"))
        node_complain(mirror, c->errors, "has no canary to go to (expected the key canary)");
    if (!weight)
        return;
    if (node_child(p.node, "rollout"))
        node_complain(weight, c->errors, "stands beside rollout (expected one of the two)");
    if (!node_child(p.node, "canary"))
        node_complain(weight, c->errors, "has no canary to go to (expected the key canary)");
}

/* What the proxy itself reads or writes would break where it stood twice, or not at all. */
static void check_version_field(struct checker *c, struct route_place p)
{
    struct node *node = node_child(node_child(p.node, "headers"), "version");
    const char *name = p.route->headers.version;
    if (is_good(node) && name &&
        (field_classify(slice_str(name)) != FIELD_OTHER || strcasecmp(name, "set-cookie") == 0))
        node_complain(node, c->errors,
                      "\"%.64s\" means something already (expected a name of its own, such as "
                      "X-Serin-Version)",
                      name);
}

static void check_sticky(struct checker *c, struct route_place p)
{
    const struct config_sticky *sticky = &p.route->sticky;
    struct node *node = node_child(p.node, "sticky");
    struct node *by = node_child(node, "by"), *name = node_child(node, "name");
    if (!node || (by && by->bad))
        return;
    bool needs_name = sticky->by == STICKY_COOKIE || sticky->by == STICKY_HEADER;
    if (needs_name && !name)
        node_complain_key(node, "name", c->errors, "is missing (name of the %s)",
                          sticky->by == STICKY_COOKIE ? "cookie" : "header");
    if (!needs_name && is_good(name))
        node_complain(name, c->errors, "is of no use here (expected by: cookie or by: header)");
    if (sticky->issue && sticky->by != STICKY_COOKIE)
        node_complain(node_child(node, "issue"), c->errors,
                      "needs a cookie to set (expected by: cookie)");
}

/* --- endpoints: one address, or name, serves one version --- */

struct endpoint {
    struct config_address address;
    const char *text, *version;
    struct node *node;
};

static int compare_endpoints(const void *left, const void *right)
{
    const struct endpoint *a = left, *b = right;
    if (a->address.kind != b->address.kind)
        return a->address.kind < b->address.kind ? -1 : 1;
    if (a->address.port != b->address.port)
        return a->address.port < b->address.port ? -1 : 1;
    int order = memcmp(a->address.ip, b->address.ip, sizeof a->address.ip);
    if (order == 0 && a->address.kind == CONFIG_ADDRESS_UNIX)
        order = strcmp(a->text, b->text);
    if (order == 0 && a->address.kind == CONFIG_ADDRESS_NAME)
        order = strcasecmp(a->text, b->text);
    if (order == 0)
        order = a->node->line != b->node->line ? (a->node->line < b->node->line ? -1 : 1)
                                               : (a->node->column < b->node->column ? -1 : 1);
    return order;
}

static size_t gather_endpoints(struct route_place p, struct endpoint *out)
{
    size_t n = 0;
    struct node *versions = node_child(p.node, "versions");
    for (size_t i = 0; i < p.route->n_versions; i++) {
        const struct config_version *v = &p.route->versions[i];
        struct node *list = node_child(node_item(versions, i), "endpoints");
        struct node *node = list ? list->first : NULL;
        for (size_t k = 0; k < v->endpoints.n && node; k++, node = node->next) {
            struct endpoint e = {.text = v->endpoints.items[k], .version = v->name, .node = node};
            if (v->name && !config_endpoint_parse(slice_str(e.text), &e.address, NULL))
                out[n++] = e;
        }
    }
    return n;
}

static void check_endpoints(struct checker *c, struct route_place p)
{
    size_t n = 0;
    for (size_t i = 0; i < p.route->n_versions; i++)
        n += p.route->versions[i].endpoints.n;
    struct endpoint *all = arena_alloc(&c->tree->arena, n * sizeof *all);
    if (!all) {
        no_memory(c);
        return;
    }
    n = gather_endpoints(p, all);
    if (n)
        qsort(all, n, sizeof *all, compare_endpoints);
    for (size_t i = 1; i < n; i++) {
        const struct endpoint *first = &all[i - 1], *e = &all[i];
        if (!config_address_equal(&first->address, &e->address))
            continue;
        node_complain(e->node, c->errors, "%.64s is an endpoint of version \"%s\" %s", e->text,
                      first->version, strcmp(first->version, e->version) == 0 ? "twice" : "too");
    }
}

static void check_names(struct checker *c)
{
    size_t n = 0;
    for (size_t i = 0; i < c->config->n_routes; i++)
        for (size_t v = 0; v < c->config->routes[i].n_versions; v++) {
            const struct config_string_list *all = &c->config->routes[i].versions[v].endpoints;
            for (size_t k = 0; k < all->n; k++)
                n += config_endpoint_is_name(all->items[k]);
        }
    if (n > NAMES_TOTAL_MAX)
        node_complain(node_child(c->tree->root, "routes"), c->errors,
                      "has %zu endpoints that are names (at most %u)", n, NAMES_TOTAL_MAX);
}

/* --- hosts and paths: one pair belongs to one route --- */

struct match {
    const char *host, *path; /* host "": every host */
    size_t route;
};

static int compare_matches(const void *left, const void *right)
{
    const struct match *a = left, *b = right;
    int order = strcmp(a->host, b->host);
    if (order == 0)
        order = strcmp(a->path, b->path);
    if (order == 0)
        order = a->route < b->route ? -1 : a->route > b->route;
    return order;
}

static bool has_matches(const struct node *node)
{
    const struct node *hosts = node_child(node, "hosts"), *paths = node_child(node, "paths");
    return is_good(node) && !(hosts && hosts->bad) && !(paths && paths->bad);
}

static size_t count_matches(const struct config_route *r)
{
    return (r->hosts.n ? r->hosts.n : 1) * r->paths.n;
}

static size_t gather_matches(const struct config_route *r, size_t route, struct match *out)
{
    size_t n = 0;
    for (size_t i = 0; i < (r->hosts.n ? r->hosts.n : 1); i++)
        for (size_t k = 0; k < r->paths.n; k++)
            out[n++] =
                (struct match){r->hosts.n ? r->hosts.items[i] : "", r->paths.items[k], route};
    return n;
}

static void refuse_match(struct checker *c, struct node *routes, const struct match *first,
                         const struct match *second)
{
    struct node *route = node_item(routes, second->route);
    struct node *at = node_child(route, "paths");
    if (!at)
        at = node_child(route, "hosts");
    if (!at)
        at = route;
    const char *host = second->host[0] ? second->host : "every host, ";
    if (first->route == second->route)
        node_complain(at, c->errors, "%.100s%.64s is there twice", host, second->path);
    else
        node_complain(at, c->errors, "%.100s%.64s belongs to routes[%zu] too", host, second->path,
                      first->route);
}

/* One error a route: a copied route collides in all its pairs. */
static void report_matches(struct checker *c, struct node *routes, const struct match *all,
                           size_t n)
{
    for (size_t i = 1; i < n; i++) {
        const struct match *first = &all[i - 1], *second = &all[i];
        struct node *route = node_item(routes, second->route);
        if (strcmp(first->host, second->host) != 0 || strcmp(first->path, second->path) != 0 ||
            route->bad)
            continue;
        refuse_match(c, routes, first, second);
        route->bad = true;
    }
}

static void check_matches(struct checker *c)
{
    struct node *routes = node_child(c->tree->root, "routes");
    size_t total = 0, n = 0;
    for (size_t i = 0; i < c->config->n_routes; i++)
        total += count_matches(&c->config->routes[i]);
    if (total > MATCHES_TOTAL_MAX) {
        node_complain(routes, c->errors, "has %zu pairs of host and path (at most %u)", total,
                      MATCHES_TOTAL_MAX);
        return;
    }
    struct match *all = arena_alloc(&c->tree->arena, total * sizeof *all);
    if (!all) {
        no_memory(c);
        return;
    }
    for (size_t i = 0; i < c->config->n_routes; i++)
        if (has_matches(node_item(routes, i)))
            n += gather_matches(&c->config->routes[i], i, all + n);
    if (n)
        qsort(all, n, sizeof *all, compare_matches);
    report_matches(c, routes, all, n);
}

/* --- the rollout's plan --- */

/* most_bp: the largest weight of the steps before; raised by this one. may_be_0: it is the first, and the canary gets
 * copies. */
static void check_step_weight(struct checker *c, uint32_t weight_bp, struct node *node,
                              uint32_t *most_bp, bool may_be_0)
{
    char text[UNITS_TEXT_MAX], most[UNITS_TEXT_MAX];
    if (!is_good(node) || (weight_bp == 0 && may_be_0))
        return;
    if (weight_bp == 0)
        node_complain(node, c->errors,
                      "0%% is a step without users (allowed as the first, with routes[].mirror)");
    else if (weight_bp <= *most_bp)
        node_complain(node, c->errors, "%s is not above an earlier step (%s)",
                      units_format_share(weight_bp, text), units_format_share(*most_bp, most));
    else
        *most_bp = weight_bp;
}

static void check_steps(struct checker *c, struct route_place p, struct node *rollout)
{
    const struct plan *plan = &p.route->plan;
    char hold[UNITS_TEXT_MAX], max[UNITS_TEXT_MAX];
    struct node *steps = node_child(rollout, "steps"), *max_hold = node_child(rollout, "max_hold");
    struct node *step = steps ? steps->first : NULL;
    uint32_t most_bp = 0;
    for (size_t i = 0; step && i < plan->n_steps; i++, step = step->next) {
        struct node *node = node_child(step, "hold");
        check_step_weight(c, plan->steps[i].weight_bp, node_child(step, "weight"), &most_bp,
                          i == 0 && p.route->mirror_bp > 0);
        if (is_good(node) && !(max_hold && max_hold->bad) &&
            plan->steps[i].hold_ms > plan->max_hold_ms)
            node_complain(node, c->errors, "%s is above max_hold (%s)",
                          units_format_duration(plan->steps[i].hold_ms, hold),
                          units_format_duration(plan->max_hold_ms, max));
    }
}

static void check_abort_steps(struct checker *c, const struct plan *plan, struct node *steps)
{
    char text[UNITS_TEXT_MAX], before[UNITS_TEXT_MAX];
    int64_t least_bp = SHARE_FULL_BP;
    for (size_t i = 0; is_good(steps) && i < plan->n_abort_steps; i++) {
        int64_t bp = llround(plan->abort_steps[i] * SHARE_FULL_BP);
        struct node *node = node_item(steps, i);
        if (bp >= least_bp)
            node_complain(node, c->errors, "%s does not fall below %s",
                          units_format_share(bp, text), units_format_share(least_bp, before));
        else if (i + 1 == plan->n_abort_steps && bp > 0)
            node_complain(node, c->errors, "%s is the last one (expected 0%%)",
                          units_format_share(bp, text));
        least_bp = bp;
    }
}

/* Whether a rule between two keys can be judged: the file has one of them, and both are right by
 * themselves. */
static bool are_known(const struct node *a, const struct node *b)
{
    return (a || b) && !(a && a->bad) && !(b && b->bad);
}

static void check_plan(struct checker *c, struct route_place p)
{
    char low[UNITS_TEXT_MAX], high[UNITS_TEXT_MAX];
    const struct plan *plan = &p.route->plan;
    struct node *rollout = node_child(p.node, "rollout");
    if (!is_good(rollout))
        return;
    check_steps(c, p, rollout);
    check_abort_steps(c, plan, node_child(rollout, "abort_steps"));
    struct node *hold = node_child(rollout, "hold"), *max_hold = node_child(rollout, "max_hold");
    if (are_known(hold, max_hold) && plan->hold_ms > plan->max_hold_ms)
        node_complain(hold ? hold : max_hold, c->errors, "hold %s is above max_hold %s",
                      units_format_duration(plan->hold_ms, low),
                      units_format_duration(plan->max_hold_ms, high));
    struct node *steps = node_child(rollout, "steps"), *bake = node_child(rollout, "bake_weight");
    size_t n = plan_judged_steps(plan);
    if (are_known(steps, bake) && n > 0 && plan->steps[n - 1].weight_bp > plan->bake_weight_bp)
        node_complain(bake ? bake : node_item(steps, n - 1), c->errors,
                      "bake_weight %s is below the last step %s",
                      units_format_share(plan->bake_weight_bp, low),
                      units_format_share(plan->steps[n - 1].weight_bp, high));
}

/* The controller has the last word on its plan, where nothing else is wrong. */
static void check_plan_itself(struct checker *c, struct route_place p)
{
    struct why why = {{0}};
    struct node *rollout = node_child(p.node, "rollout");
    if (c->errors->code == OK && p.route->has_rollout && plan_check(&p.route->plan, &why))
        node_complain(rollout ? rollout : p.node, c->errors, "%.300s", why.text);
}

void config_check(const struct config *config, struct tree *tree, struct config_errors *errors)
{
    struct checker c = {config, tree, errors};
    struct node *routes = node_child(tree->root, "routes");
    check_binds(&c);
    listeners_check(config, tree->root, errors);
    check_admin(&c);
    check_limits(&c);
    listener_tls_check(config, tree, errors);
    notifications_check(config, tree, errors);
    struct node *node = routes ? routes->first : NULL;
    for (size_t i = 0; i < config->n_routes; i++, node = node->next) {
        struct route_place p = {&config->routes[i], node};
        check_route_name(&c, i, node);
        check_pair(&c, p);
        check_sticky(&c, p);
        check_version_field(&c, p);
        check_endpoints(&c, p);
        check_plan(&c, p);
        more_checks_check(p.route, p.node, errors);
        workloads_check(p.route, p.node, errors);
        upstream_tls_check(p.route, p.node, errors);
    }
    check_names(&c);
    check_matches(&c);
    workloads_check_all(config, tree->root, errors);
    node = routes ? routes->first : NULL;
    for (size_t i = 0; i < config->n_routes; i++, node = node->next)
        check_plan_itself(&c, (struct route_place){&config->routes[i], node});
}
