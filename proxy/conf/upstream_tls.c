/* TLS to the endpoints of a version: the rules between its keys, and whose certificate is expected there.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/conf/upstream_tls.h"
#include "proxy/conf/dns_name.h"
#include "proxy/conf/place.h"
#include <strings.h>

static void note_places(struct config_upstream_tls *tls, const struct node *node)
{
    tls->place = place_of(node);
    tls->ca_place = place_of(node_child(node, "ca"));
    tls->shown.certificate_place = place_of(node_child(node, "certificate"));
    tls->shown.key_place = place_of(node_child(node, "key"));
}

void upstream_tls_note_places(struct config *config, const struct tree *tree)
{
    const struct node *routes = node_child(tree->root, "routes");
    for (size_t i = 0; i < config->n_routes; i++) {
        const struct node *versions = node_child(node_item(routes, i), "versions");
        for (size_t k = 0; k < config->routes[i].n_versions; k++)
            note_places(&config->routes[i].versions[k].tls,
                        node_child(node_item(versions, k), "tls"));
    }
}

static struct slice without_end(struct slice name)
{
    return name.len && name.at[name.len - 1] == '.' ? slice_of(name.at, name.len - 1) : name;
}

/* The name of an endpoint that is one, without a final dot; len 0: it is an address. */
static struct slice name_of(const char *endpoint)
{
    struct config_address address;
    if (config_endpoint_parse(slice_str(endpoint), &address, NULL) ||
        address.kind != CONFIG_ADDRESS_NAME)
        return slice_of(NULL, 0);
    return without_end(address.path);
}

/* What all endpoints are called: one name, or (len 0) none of them has one. False: it is not the same for all. */
static bool find_common_name(const struct config_version *v, struct slice *name)
{
    *name = v->endpoints.n ? name_of(v->endpoints.items[0]) : slice_of(NULL, 0);
    for (size_t i = 1; i < v->endpoints.n; i++)
        if (!slice_equal_nocase(name_of(v->endpoints.items[i]), *name))
            return false;
    return true;
}

static struct slice find_name(const struct config_version *v)
{
    struct slice name;
    if (!v->tls.server_name)
        return find_common_name(v, &name) ? name : slice_of(NULL, 0);
    name = slice_str(v->tls.server_name);
    return name.at[0] == '[' ? slice_of(name.at + 1, name.len - 2) : name;
}

static bool settle(struct config *config, struct config_version *v)
{
    struct slice name = find_name(v);
    if (name.len == 0)
        return true;
    char *copy = arena_alloc(&config->arena, name.len + 1);
    if (copy) {
        memcpy(copy, name.at, name.len);
        copy[name.len] = '\0';
    }
    v->tls.name = copy;
    return copy != NULL;
}

bool upstream_tls_settle(struct config *config)
{
    bool ok = true;
    for (size_t i = 0; i < config->n_routes; i++)
        for (size_t k = 0; k < config->routes[i].n_versions; k++)
            if (config->routes[i].versions[k].has_tls)
                ok = ok && settle(config, &config->routes[i].versions[k]);
    return ok;
}

static bool has_socket(const struct config_version *v)
{
    for (size_t i = 0; i < v->endpoints.n; i++)
        if (strncmp(v->endpoints.items[i], "unix:", 5) == 0)
            return true;
    return false;
}

/* Why a certificate cannot be verified without server_name; NULL: it can. */
static const char *find_namelessness(const struct config_version *v)
{
    struct slice name;
    if (v->workload)
        return "a workload's pods have addresses that no certificate can know";
    if (has_socket(v))
        return "a unix: endpoint has no name and no address";
    return find_common_name(v, &name) ? NULL : "its endpoints have more than one name";
}

static void check_one(const struct config_version *v, struct node *tls,
                      struct config_errors *errors)
{
    struct node *certificate = node_child(tls, "certificate"), *key = node_child(tls, "key");
    struct node *name = node_child(tls, "server_name");
    if (certificate && !key)
        node_complain_key(tls, "key", errors, "is missing (PEM file of the certificate's key)");
    if (key && !certificate)
        node_complain_key(tls, "certificate", errors,
                          "is missing (PEM file of the key's certificate)");
    if (name && !name->bad && v->tls.server_name && v->tls.server_name[0] == '*')
        node_complain(name, errors, "%.80s is no one server (expected a name without *)",
                      v->tls.server_name);
    const char *why = name || !v->tls.verify ? NULL : find_namelessness(v);
    if (why)
        node_complain_key(
            tls, "server_name", errors,
            "is missing (%s: name what its certificate shows, or write verify: false)", why);
}

void upstream_tls_check(const struct config_route *route, struct node *node,
                        struct config_errors *errors)
{
    struct node *versions = node_child(node, "versions");
    for (size_t i = 0; i < route->n_versions; i++) {
        struct node *version = node_item(versions, i), *tls = node_child(version, "tls");
        struct node *endpoints = node_child(version, "endpoints");
        if (!tls || tls->bad || version->bad || (endpoints && endpoints->bad))
            continue;
        if (node_is_null(
                tls)) /* of other groups that says nothing; here it would mean plain text */
            node_complain(tls, errors, "has no value (expected {} for TLS with all defaults)");
        else
            check_one(&route->versions[i], tls, errors);
    }
}
