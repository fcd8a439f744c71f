/* The manifests of a configuration.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/manifests.h"

#include "rollout/kube/fleet.h"
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct manifest {
    const char *route, *version; /* the configuration's */
    cJSON *object;
    char hash[KUBE_HASH_MAX];
};

struct manifests {
    size_t n;
    struct manifest items[];
};

static size_t count(const struct config *config)
{
    size_t n = 0;
    for (size_t i = 0; i < config->n_routes; i++)
        n += config->routes[i].n_versions;
    return n;
}

static enum err read_one(struct manifest *m, const struct config_route *route,
                         const struct config_version *v, struct why *why)
{
    m->route = route->name;
    m->version = v->name;
    m->object = fleet_manifest(v->manifest, v->workload, why);
    if (!m->object)
        return ERR_INVALID;
    const cJSON *spec = cJSON_GetObjectItemCaseSensitive(m->object, "spec");
    enum err e = kube_hash(cJSON_GetObjectItemCaseSensitive(spec, "template"), m->hash);
    return e == OK ? OK : why_set(why, e, "out of memory");
}

static void complain(struct config_errors *errors, const struct config *config, size_t route,
                     const char *version, const struct why *why)
{
    struct config_error error = {.line = (uint32_t)config->routes[route].line, .column = 1};
    (void)snprintf(error.path, sizeof error.path, "routes[%zu].versions.%.64s.manifest", route,
                   version);
    (void)snprintf(error.text, sizeof error.text, "%.*s", (int)sizeof error.text - 1, why->text);
    config_errors_add(errors, ERR_INVALID, &error);
}

struct manifests *manifests_read(const struct config *config, struct config_errors *errors)
{
    struct manifests *m = calloc(1, sizeof *m + count(config) * sizeof m->items[0]);
    size_t before = errors->n;
    struct why why;
    for (size_t i = 0; m && i < config->n_routes; i++)
        for (size_t j = 0; j < config->routes[i].n_versions; j++) {
            const struct config_version *v = &config->routes[i].versions[j];
            if (v->manifest && read_one(&m->items[m->n++], &config->routes[i], v, &why) != OK)
                complain(errors, config, i, v->name, &why);
        }
    if (!m)
        errors->code = ERR_MEMORY;
    if (m && errors->n == before)
        return m;
    manifests_free(m);
    return NULL;
}

void manifests_free(struct manifests *m)
{
    for (size_t i = 0; m && i < m->n; i++)
        cJSON_Delete(m->items[i].object);
    free(m);
}

static const struct manifest *find(const struct manifests *m, const char *route,
                                   const char *version)
{
    for (size_t i = 0; m && i < m->n; i++)
        if (strcmp(m->items[i].route, route) == 0 && strcmp(m->items[i].version, version) == 0)
            return &m->items[i];
    return NULL;
}

const cJSON *manifests_object(const struct manifests *m, const char *route, const char *version)
{
    const struct manifest *found = find(m, route, version);
    return found ? found->object : NULL;
}

const char *manifests_hash(const struct manifests *m, const char *route, const char *version)
{
    const struct manifest *found = find(m, route, version);
    return found ? found->hash : NULL;
}
