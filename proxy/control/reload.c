/* A new configuration file in place of the old one: all of it, or nothing and the reason.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/reload.h"

#include "metrics/log.h"
#include "proxy/conf/load.h"
#include "proxy/control/host.h"
#include "proxy/control/publish.h"

#define LINE_MAX_BYTES 1024 /* of one configuration error */

enum err reload_log(const struct config *config, struct why *why)
{
    struct log_setup setup = {.level = (enum log_level)config->log.level,
                              .json = config->log.format == LOG_FORMAT_JSON};
    return log_open(&setup, why);
}

static bool is_same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* Keys that only a restart applies; the table of keys (serin check --defaults) says so too. */
static enum err check_fixed(const struct config *old, const struct config *new, struct why *why)
{
    const char *key = NULL;
    if (old->workers != new->workers)
        key = "workers";
    else if (!is_same(old->state_dir, new->state_dir))
        key = "state_dir";
    else if (!is_same(old->admin.bind, new->admin.bind) || !is_same(old->admin.token_file, new->admin.token_file))
        key = "admin";
    else if (old->n_listeners != new->n_listeners)
        key = "listeners";
    for (size_t i = 0; !key && i < new->n_listeners; i++)
        if (!is_same(old->listeners[i].bind, new->listeners[i].bind))
            key = "listeners";
    if (key)
        return why_set(why, ERR_CONFLICT, "%s: %s has changed, which needs a restart", new->file, key);
    return OK;
}

static struct config *load(const char *path, struct why *why)
{
    struct config_errors *errors = calloc(1, sizeof *errors);
    char line[LINE_MAX_BYTES];
    if (!errors) {
        (void)why_set(why, ERR_MEMORY, "%s: out of memory", path);
        return NULL;
    }
    config_errors_init(errors, path);
    struct config *config = config_load(path, errors);
    for (size_t i = 0; !config && i < errors->n; i++) {
        config_error_format(errors, i, line, sizeof line);
        log_error("config_error", "why=\"%s\"", line);
        if (i == 0)
            (void)why_set(why, errors->code, "%.400s%s", line, errors->n > 1 ? " (more in the log)" : "");
    }
    free(errors);
    return config;
}

/* Asks every rollout that stays whether it can live with the new file, and opens those that are new. */
static enum err ask_rollouts(struct control *c, const struct config *config, struct why *why)
{
    for (size_t i = 0; i < config->n_routes; i++) {
        const struct known_route *r = known_find_route(&c->known, config->routes[i].name);
        struct rollout_setup setup = host_setup(config, &config->routes[i]);
        if (!r || !r->rollout)
            continue;
        enum err e = rollout_may_configure(r->rollout, &setup, why);
        if (e != OK)
            return e;
    }
    return host_open_rollouts(c, config, why) ? OK : ERR_CONFLICT;
}

static void close_rollout(struct known_route *r)
{
    rollout_close(r->rollout);
    r->rollout = NULL;
}

/* Rollouts that were opened for a file that is not taken: their routes had none before. */
static void close_new_rollouts(struct control *c, const bool *had_rollout)
{
    size_t i = 0;
    for (struct list *l = c->known.routes.next; l != &c->known.routes; l = l->next, i++) {
        struct known_route *r = CONTAINER_OF(l, struct known_route, link);
        if (r->rollout && !had_rollout[i])
            close_rollout(r);
    }
}

static size_t count_routes(const struct control *c)
{
    size_t n = 0;
    for (struct list *l = c->known.routes.next; l != &c->known.routes; l = l->next)
        n++;
    return n;
}

static void configure_rollout(const struct control *c, const struct known_route *r)
{
    struct why why = {""};
    struct rollout_setup setup = host_setup(control_config(c), r->conf);
    enum err e = rollout_configure(r->rollout, &setup, &why);
    if (e != OK)
        log_error("reload_rollout", "route=%s why=\"%s\"", r->name, why.text);
    else if (why.text[0])
        log_info("reload_rollout", "route=%s change=\"%s\"", r->name, why.text);
}

/* Tells every rollout what its route says now, or ends it, and takes the splits that follow. */
static void configure_rollouts(struct control *c)
{
    for (struct list *l = c->known.routes.next; l != &c->known.routes; l = l->next) {
        struct known_route *r = CONTAINER_OF(l, struct known_route, link);
        if (r->rollout && r->conf)
            configure_rollout(c, r);
        else if (r->rollout)
            rollout_drop(r->rollout);
        if (r->rollout && (!r->conf || r->conf->has_weight))
            close_rollout(r);
        if (!r->conf)
            continue;
        host_take_split(r);
    }
}

static enum err take(struct control *c, struct config *config, struct why *why)
{
    struct config_keep *keep = config_keep_new(config);
    if (!keep) {
        config_free(config);
        return why_set(why, ERR_MEMORY, "%s: out of memory", c->path);
    }
    struct config_keep *old = c->keep;
    c->keep = keep;
    enum err e = known_configure(&c->known, config, why);
    if (e == OK) {
        c->is_reloading = true;
        configure_rollouts(c);
        c->is_reloading = false;
        e = publish(c);
    }
    if (e != OK) { /* only for want of memory: the workers go on with the snapshot that they have */
        c->keep = old;
        config_keep_unref(keep);
        (void)!known_configure(&c->known, old->config, why);
        return why_set(why, e, "%s: out of memory", c->path);
    }
    config_keep_unref(old);
    return reload_log(config, why);
}

static enum err try_reload(struct control *c, struct why *why)
{
    struct config *config = load(c->path, why);
    if (!config)
        return ERR_INVALID;
    size_t n = count_routes(c), i = 0;
    bool *had_rollout = calloc(n + config->n_routes + 1, sizeof *had_rollout);
    for (struct list *l = c->known.routes.next; had_rollout && l != &c->known.routes; l = l->next)
        had_rollout[i++] = CONTAINER_OF(l, struct known_route, link)->rollout != NULL;
    enum err e = had_rollout ? check_fixed(control_config(c), config, why) : ERR_MEMORY;
    if (e == OK) {
        e = ask_rollouts(c, config, why);
        if (e != OK)
            close_new_rollouts(c, had_rollout);
    }
    free(had_rollout);
    if (e != OK) {
        config_free(config);
        return e;
    }
    return take(c, config, why);
}

enum err reload(struct control *c, struct why *why)
{
    struct why reason = {""};
    size_t before = control_config(c)->n_routes;
    enum err e = try_reload(c, &reason);
    if (e != OK) {
        c->reloads_failed++;
        log_error("reload_failed", "file=\"%s\" why=\"%s\" still=\"the old configuration\"", c->path, reason.text);
        return why_set(why, e, "%s", reason.text);
    }
    c->reloads_ok++;
    size_t after = control_config(c)->n_routes;
    log_info("reloaded", "file=\"%s\" generation=%llu routes=%zu", c->path,
             (unsigned long long)(c->reloads_ok + 1), after);
    return why_set(why, OK, "configuration %llu is in force: %zu routes (before: %zu)",
                   (unsigned long long)(c->reloads_ok + 1), after, before);
}
