/* Reads the file and runs the passes over it: tree, schema, rules.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/conf/load.h"
#include "proxy/conf/address.h"
#include "proxy/conf/check.h"
#include "proxy/conf/more_checks.h"
#include "proxy/conf/file.h"
#include "proxy/conf/listener_tls.h"
#include "proxy/conf/notifications.h"
#include "proxy/conf/place.h"
#include "proxy/conf/schema.h"
#include "proxy/conf/token.h"
#include "proxy/conf/upstream_tls.h"
#include "rollout/zone_file.h"
#include <errno.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONFIG_ARENA_BYTES_MAX (64u * 1024u * 1024u) /* ceiling of one configuration's memory */
#define WORKERS_MAX            256

static const char *const default_paths[] = {"/etc/serin/serin.yaml", "./serin.yaml"};

/* About the file as a whole. before: a beginning of the sentence, or "". */
static void refuse(struct config_errors *errors, enum err code, const char *before,
                   const char *what)
{
    struct config_error e = {.line = 0};
    (void)snprintf(e.text, sizeof e.text, "%s%.300s", before, what);
    config_errors_add(errors, code, &e);
}

/* All bytes of the file, in memory from malloc; one byte more than the limit is read at most. */
static char *read_file(const char *path, size_t *len, struct config_errors *errors)
{
    size_t room = TREE_FILE_BYTES_MAX + 1;
    struct why why;
    FILE *file = file_open(path, &why);
    char *bytes = file ? malloc(room) : NULL;
    if (bytes) {
        *len = fread(bytes, 1, room, file);
        if (!ferror(file)) {
            fclose(file);
            return bytes;
        }
    }
    if (!file)
        refuse(errors, ERR_IO, "", why.text);
    else if (!bytes)
        refuse(errors, ERR_MEMORY, "", "out of memory");
    else
        refuse(errors, ERR_IO, "cannot be read: ", strerror(errno));
    if (file)
        fclose(file);
    free(bytes);
    return NULL;
}

static uint32_t online_cores(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > WORKERS_MAX ? WORKERS_MAX : (uint32_t)n;
}

static void note_places(struct config *config, const struct tree *tree)
{
    const struct node *listeners = node_child(tree->root, "listeners");
    const struct node *admin = node_child(tree->root, "admin");
    config->places.workers = place_of(node_child(tree->root, "workers"));
    config->places.state_dir = place_of(node_child(tree->root, "state_dir"));
    config->places.listeners = place_of(listeners);
    config->places.admin_bind = place_of(node_child(admin, "bind"));
    config->places.token_file = place_of(node_child(admin, "token_file"));
    const struct node *kubernetes = node_child(tree->root, "kubernetes");
    config->places.kubeconfig = place_of(node_child(kubernetes, "kubeconfig"));
    config->places.context = place_of(node_child(kubernetes, "context"));
    config->places.name_space = place_of(node_child(kubernetes, "namespace"));
    config->places.lease = place_of(node_child(kubernetes, "lease"));
    config->places.lease_duration = place_of(node_child(kubernetes, "lease_duration"));
    for (size_t i = 0; i < config->n_listeners; i++)
        config->listeners[i].place = place_of(node_child(node_item(listeners, i), "bind"));
    listener_tls_note_places(config, tree);
    upstream_tls_note_places(config, tree);
    notifications_note_places(config, tree);
}

/* The networks of a listener as its connections are held against them. */
static enum err settle_listener(struct config_listener *l, struct arena *arena)
{
    struct why why;
    l->networks = arena_alloc(arena, (l->trusted.n + 1) * sizeof *l->networks);
    if (!l->networks)
        return ERR_MEMORY;
    for (size_t i = 0; i < l->trusted.n; i++)
        if (config_network_parse(slice_str(l->trusted.items[i]), &l->networks[i], &why) != OK)
            l->networks[i] =
                (struct config_network){.bits = 0}; /* an error of the file, and told as such */
    return OK;
}

/* What follows from keys rather than being one. */
static enum err settle(struct config *config, const struct tree *tree)
{
    const struct node *routes = node_child(tree->root, "routes");
    const struct node *node = routes ? routes->first : NULL;
    for (size_t i = 0; i < config->n_routes; i++, node = node->next) {
        struct config_route *r = &config->routes[i];
        r->line = (int)node->line;
        r->has_weight = node_child(node, "weight") != NULL;
        r->has_rollout = r->canary && !r->has_weight;
        if (more_checks_settle(r, &config->arena))
            return ERR_MEMORY;
    }
    for (size_t i = 0; i < config->n_listeners; i++)
        if (settle_listener(&config->listeners[i], &config->arena))
            return ERR_MEMORY;
    if (config->workers == 0)
        config->workers = online_cores();
    return listener_tls_settle(config) && upstream_tls_settle(config) ? OK : ERR_MEMORY;
}

/* The time zones of a route's windows must be known. */
static void check_zones(const struct config_route *route, struct node *node,
                        struct config_errors *errors)
{
    struct node *list = node_child(node_child(node, "rollout"), "windows");
    struct node *item = list ? list->first : NULL;
    for (size_t i = 0; item && i < route->outside.n_windows; i++, item = item->next) {
        struct node *tz = node_child(item, "tz");
        struct zone *zone = NULL;
        struct why why;
        if (!tz || tz->bad || !route->outside.windows[i].tz)
            continue;
        enum err e = zone_file_load(ZONE_FILE_DIR, route->outside.windows[i].tz, &zone, &why);
        if (e == ERR_MEMORY) /* not the file's fault */
            refuse(errors, ERR_MEMORY, "", why.text);
        else if (e != OK)
            node_complain(tz, errors, "%.300s", why.text);
        zone_free(zone);
    }
}

/* Whether a file can be read; what it holds is looked at by who uses it. path: in the end. */
static void check_readable(const char *path, struct node *node, struct config_errors *errors)
{
    struct why why;
    if (!path || !node || node->bad)
        return;
    FILE *file = file_open(path, &why);
    if (file)
        (void)fclose(file);
    else
        node_complain(node, errors, "\"%.200s\" %.160s", path, why.text);
}

/* node: the mapping with both. */
static void check_pair_readable(const struct config_certificate *pair, const struct node *node,
                                struct config_errors *errors)
{
    check_readable(pair->certificate, node_child(node, "certificate"), errors);
    check_readable(pair->key, node_child(node, "key"), errors);
}

static void check_version_files(const struct config_version *v, struct node *node,
                                struct config_errors *errors)
{
    const struct node *tls = node_child(node, "tls");
    check_readable(v->manifest, node_child(node, "manifest"), errors);
    check_readable(v->tls.ca, node_child(tls, "ca"), errors);
    check_pair_readable(&v->tls.shown, tls, errors);
}

static void check_route_files(const struct config_route *route, struct node *node,
                              struct config_errors *errors)
{
    struct node *versions = node_child(node, "versions");
    for (size_t i = 0; i < route->n_versions; i++)
        check_version_files(&route->versions[i], node_item(versions, i), errors);
}

static void check_listener_files(const struct config_tls *tls, const struct node *node,
                                 struct config_errors *errors)
{
    const struct node *list = node_child(node, "certificates");
    check_readable(tls->client_ca, node_child(node, "client_ca"), errors);
    for (size_t i = 0; i < tls->n_certificates; i++)
        check_pair_readable(&tls->certificates[i], node_item(list, i), errors);
}

/* Whether the access log can be opened. Nothing is made: a check leaves no trace. */
static void check_access_file(const struct config *config, struct node *node,
                              struct config_errors *errors)
{
    char folder[PATH_MAX];
    struct stat s;
    const char *path = config->log.access_file, *slash = strrchr(path, '/');
    if (config->log.access == ACCESS_OFF || !node || node->bad || strcmp(path, "-") == 0)
        return;
    int failure = stat(path, &s) == 0 ? (S_ISDIR(s.st_mode) ? EISDIR : 0) : errno;
    if (failure == 0 && access(path, W_OK) < 0)
        failure = errno;
    if (failure == ENOENT) {
        (void)snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) + 1 : 1,
                       slash ? path : ".");
        failure = access(folder, W_OK | X_OK) == 0 ? 0 : errno;
    }
    if (failure)
        node_complain(node, errors, "\"%.200s\" cannot be written: %s", path, strerror(failure));
}

/* Files that the configuration names must be there before anything starts. */
static void check_files(const struct config *config, const struct tree *tree,
                        struct config_errors *errors)
{
    struct node *node = node_child(node_child(tree->root, "admin"), "token_file");
    struct node *kubernetes = node_child(tree->root, "kubernetes");
    struct why why;
    const struct node *listeners = node_child(tree->root, "listeners");
    for (size_t i = 0; i < config->n_listeners; i++)
        check_listener_files(&config->listeners[i].tls, node_child(node_item(listeners, i), "tls"),
                             errors);
    check_access_file(config, node_child(node_child(tree->root, "log"), "access_file"), errors);
    check_readable(config->kubernetes.kubeconfig, node_child(kubernetes, "kubeconfig"), errors);
    if (!node || node->bad || !config->admin.token_file)
        return;
    char *token = token_read(config->admin.token_file, &why);
    if (!token)
        node_complain(node, errors, "\"%.200s\" %.160s", config->admin.token_file, why.text);
    token_free(token);
}

static struct config *config_new(const char *name)
{
    struct config *config = calloc(1, sizeof *config);
    if (!config)
        return NULL;
    arena_init(&config->arena, NULL, 0, CONFIG_ARENA_BYTES_MAX);
    config->file = arena_copy(&config->arena, slice_of(name, strlen(name) + 1)).at;
    if (config->file)
        return config;
    config_free(config);
    return NULL;
}

/* A relative path is one beside the configuration file: where serin was started from says nothing
 * about it. False: out of memory. */
static bool resolve(struct config *config, const char **path)
{
    const char *slash = strrchr(config->file, '/');
    if (!*path || (*path)[0] == '/' || !slash)
        return true;
    size_t folder = (size_t)(slash - config->file) + 1, len = strlen(*path) + 1;
    char *whole = arena_alloc(&config->arena, folder + len);
    if (!whole)
        return false;
    memcpy(whole, config->file, folder);
    memcpy(whole + folder, *path, len);
    *path = whole;
    return true;
}

static bool resolve_pair(struct config *config, struct config_certificate *pair)
{
    return resolve(config, &pair->certificate) && resolve(config, &pair->key);
}

static bool resolve_version(struct config *config, struct config_version *v)
{
    return resolve(config, &v->manifest) && resolve(config, &v->tls.ca) &&
           resolve_pair(config, &v->tls.shown);
}

static bool resolve_tls(struct config *config, struct config_tls *tls)
{
    bool ok = resolve(config, &tls->client_ca);
    for (size_t i = 0; i < tls->n_certificates; i++)
        ok = ok && resolve_pair(config, &tls->certificates[i]);
    return ok;
}

static bool resolve_all(struct config *config)
{
    bool ok =
        (strcmp(config->log.access_file, "-") == 0 || resolve(config, &config->log.access_file)) &&
        resolve(config, &config->state_dir) && resolve(config, &config->admin.token_file) &&
        resolve(config, &config->kubernetes.kubeconfig);
    for (size_t i = 0; i < config->n_listeners; i++)
        ok = ok && resolve_tls(config, &config->listeners[i].tls);
    for (size_t i = 0; i < config->n_notifications; i++)
        ok = ok && resolve(config, &config->notifications[i].url_file) &&
             resolve(config, &config->notifications[i].secret_file);
    for (size_t i = 0; i < config->n_routes; i++)
        for (size_t k = 0; k < config->routes[i].n_versions; k++)
            ok = ok && resolve_version(config, &config->routes[i].versions[k]);
    return ok;
}

static void build(struct config *config, struct tree *tree, struct config_errors *errors)
{
    if (schema_apply(tree, config, errors) || settle(config, tree) || !resolve_all(config)) {
        refuse(errors, ERR_MEMORY, "", "out of memory");
        return;
    }
    note_places(config, tree);
    config_check(config, tree, errors);
    check_files(config, tree, errors);
    const struct node *routes = node_child(tree->root, "routes");
    struct node *node = routes ? routes->first : NULL;
    for (size_t i = 0; node && i < config->n_routes; i++, node = node->next) {
        check_zones(&config->routes[i], node, errors);
        check_route_files(&config->routes[i], node, errors);
    }
}

struct config *config_load_text(const char *name, const char *bytes, size_t len,
                                struct config_errors *errors)
{
    struct tree tree;
    config_errors_init(errors, name);
    struct config *config = config_new(name);
    if (!config) {
        refuse(errors, ERR_MEMORY, "", "out of memory");
        return NULL;
    }
    if (!tree_read(&tree, bytes, len, errors))
        build(config, &tree, errors);
    tree_free(&tree);
    if (errors->code == OK)
        return config;
    config_free(config);
    return NULL;
}

struct config *config_load(const char *path, struct config_errors *errors)
{
    size_t len = 0;
    config_errors_init(errors, path ? path : "no configuration");
    if (!path) {
        refuse(errors, ERR_IO, "",
               "neither /etc/serin/serin.yaml nor ./serin.yaml is there (name the file: -c FILE)");
        return NULL;
    }
    char *bytes = read_file(path, &len, errors);
    if (!bytes)
        return NULL;
    struct config *config = config_load_text(path, bytes, len, errors);
    free(bytes);
    return config;
}

void config_free(struct config *config)
{
    if (!config)
        return;
    arena_reset(&config->arena);
    free(config);
}

const char *config_default_path(void)
{
    for (size_t i = 0; i < sizeof default_paths / sizeof default_paths[0]; i++)
        if (access(default_paths[i], F_OK) == 0)
            return default_paths[i];
    return NULL;
}
