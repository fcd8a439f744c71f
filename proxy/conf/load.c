/* Reads the file and runs the passes over it: tree, schema, rules.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/conf/load.h"
#include "proxy/conf/check.h"
#include "proxy/conf/more_checks.h"
#include "proxy/conf/file.h"
#include "proxy/conf/schema.h"
#include "proxy/conf/token.h"
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

static struct config_place place_of(const struct node *node)
{
    return node ? (struct config_place){node->line, node->column} : (struct config_place){0, 0};
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
    if (config->workers == 0)
        config->workers = online_cores();
    return OK;
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

static void check_manifests(const struct config_route *route, struct node *node,
                            struct config_errors *errors)
{
    struct node *versions = node_child(node, "versions");
    for (size_t i = 0; i < route->n_versions; i++)
        check_readable(route->versions[i].manifest, node_child(node_item(versions, i), "manifest"),
                       errors);
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

static bool resolve_all(struct config *config)
{
    bool ok =
        (strcmp(config->log.access_file, "-") == 0 || resolve(config, &config->log.access_file)) &&
        resolve(config, &config->state_dir) && resolve(config, &config->admin.token_file) &&
        resolve(config, &config->kubernetes.kubeconfig);
    for (size_t i = 0; i < config->n_routes; i++)
        for (size_t k = 0; k < config->routes[i].n_versions; k++)
            ok = ok && resolve(config, &config->routes[i].versions[k].manifest);
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
        check_manifests(&config->routes[i], node, errors);
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
