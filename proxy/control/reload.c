/* A new configuration file in place of the old one: all of it, or nothing and the reason.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/reload.h"

#include "metrics/log.h"
#include "proxy/conf/changes.h"
#include "proxy/control/access.h"
#include "proxy/control/certificates.h"
#include "proxy/control/cluster.h"
#include "proxy/control/handover.h"
#include "proxy/control/host.h"
#include "proxy/control/names.h"
#include "proxy/control/publish.h"
#include "proxy/control/upstream_tls.h"
#include "proxy/control/webhooks.h"
#include <cjson/cJSON.h>

#define LINE_MAX_BYTES 1024 /* of one configuration error */

enum err reload_log(const struct config *config, struct why *why)
{
    struct log_setup setup = {.level = (enum log_level)config->log.level,
                              .json = config->log.format == LOG_FORMAT_JSON};
    return log_open(&setup, why);
}

void reload_warn(const struct config_keep *keep)
{
    char line[LINE_MAX_BYTES];
    struct log_quoted quoted;
    struct config_errors *warnings = calloc(1, sizeof *warnings);
    if (!warnings)
        return;
    config_keep_warn(keep, warnings);
    for (size_t i = 0; i < warnings->n; i++) {
        config_error_format(warnings, i, line, sizeof line);
        log_warn("config_warning", "why=%s", log_quote(&quoted, slice_str(line)));
    }
    if (warnings->dropped)
        log_warn("config_warning", "more=%zu", warnings->dropped);
    free(warnings);
}

/* What is said of a reload: into the log, and to whoever asked, one line each. */
struct report {
    struct cJSON *lines; /* NULL: nobody asked */
    size_t n;
    bool is_wrong; /* lines are errors, not changes */
    struct why first;
};

static void report_line(void *arg, const char *line)
{
    struct report *report = arg;
    struct log_quoted quoted;
    struct cJSON *item = report->lines ? cJSON_CreateString(line) : NULL;
    if (item && !cJSON_AddItemToArray(report->lines, item))
        cJSON_Delete(item);
    if (report->n++ == 0)
        (void)why_set(&report->first, OK, "%s", line);
    if (report->is_wrong)
        log_error("config_error", "why=%s", log_quote(&quoted, slice_str(line)));
    else
        log_info("config_change", "change=%s", log_quote(&quoted, slice_str(line)));
}

static void report_errors(const struct config_errors *errors, struct report *report)
{
    char line[LINE_MAX_BYTES];
    for (size_t i = 0; i < errors->n; i++) {
        config_error_format(errors, i, line, sizeof line);
        report_line(report, line);
    }
    if (!errors->dropped)
        return;
    (void)snprintf(line, sizeof line, "%.400s: and %zu more", errors->file, errors->dropped);
    report_line(report, line);
}

/* NULL: what is wrong is reported, or memory was short. */
static struct config_keep *load(const struct control *c, struct report *report, struct why *why)
{
    struct config_errors *errors = calloc(1, sizeof *errors);
    if (!errors) {
        (void)why_set(why, ERR_MEMORY, "%s: out of memory", c->path);
        return NULL;
    }
    struct config_keep *keep = config_keep_read(c->path, c->keep, errors);
    if (!keep && errors->n == 0)
        (void)why_set(why, ERR_MEMORY, "%s: out of memory", c->path);
    if (!keep)
        report_errors(errors, report);
    free(errors);
    return keep;
}

/* Asks every rollout that stays whether it can live with the new file. All that cannot are reported. */
static void ask_rollouts(struct control *c, const struct config_keep *keep, struct report *report)
{
    const struct config *config = keep->config;
    struct why why;
    char line[LINE_MAX_BYTES];
    for (size_t i = 0; i < config->n_routes; i++) {
        const struct known_route *r = known_find_route(&c->known, config->routes[i].name);
        struct rollout_setup setup = host_setup(config, keep->manifests, &config->routes[i]);
        if (!r || !r->rollout)
            continue;
        if (rollout_may_configure(r->rollout, &setup, &why) == OK)
            continue;
        (void)snprintf(line, sizeof line, "%.200s:%d: %s", config->file, config->routes[i].line,
                       why.text);
        report_line(report, line);
    }
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

/* Tells a rollout what its route says now. What follows for one that runs is more than the file's words can say. */
static void configure_rollout(struct control *c, struct known_route *r, struct report *report)
{
    struct log_quoted quoted;
    struct why why = {""};
    struct rollout_metrics before;
    struct rollout_setup setup = host_setup(control_config(c), c->keep->manifests, r->conf);
    rollout_metrics(r->rollout, &before);
    enum err e = rollout_configure(r->rollout, &setup, &why);
    if (e != OK)
        log_error("rollout_not_configured", "route=%s why=%s", r->name,
                  log_quote(&quoted, slice_str(why.text)));
    else if (why.text[0] && before.step > 0)
        report_line(report, why.text);
}

/* Configures every rollout, or ends it, and takes the splits that follow. */
static void configure_rollouts(struct control *c, struct report *report)
{
    for (struct list *l = c->known.routes.next; l != &c->known.routes; l = l->next) {
        struct known_route *r = CONTAINER_OF(l, struct known_route, link);
        if (r->rollout && r->conf)
            configure_rollout(c, r, report);
        else if (r->rollout)
            rollout_drop(r->rollout);
        if (r->rollout && (!r->conf || r->conf->has_weight))
            close_rollout(r);
        if (!r->conf)
            continue;
        host_take_split(r);
    }
}

/* Takes keep. */
static enum err take(struct control *c, struct config_keep *keep, struct report *report,
                     struct why *why)
{
    const struct config *config = keep->config;
    struct config_keep *old = c->keep;
    c->keep = keep;
    certificates_use_tickets(keep->certificates, &c->tickets);
    enum err e = known_configure(&c->known, config, why);
    if (e == OK)
        e = names_configure(c->names, why);
    if (e == OK) {
        c->is_reloading = true;
        configure_rollouts(c, report);
        c->is_reloading = false;
        e = publish(c);
    }
    if (e == OK)
        e = webhooks_use(keep->webhooks, c->notifier);
    if (e != OK) { /* only for want of memory: the workers go on with the snapshot that they have */
        c->keep = old;
        config_keep_unref(keep);
        (void)!known_configure(&c->known, old->config, why);
        (void)!names_configure(c->names, why);
        (void)!access_prepare(c, old->config, why);
        access_settle(c);
        return why_set(why, e, "%s: out of memory", c->path);
    }
    changes_tell(old->config, config, report_line, report);
    certificates_tell_changes(old->certificates, keep->certificates, report_line, report);
    upstream_tls_tell_changes(old->config, config, report_line, report);
    webhooks_tell_changes(old->webhooks, keep->webhooks, report_line, report);
    reload_warn(keep);
    config_keep_unref(old);
    access_settle(c);
    e = cluster_take(c, why);
    return e == OK ? reload_log(config, why) : e;
}

/* Everything that stands against the new file. OK: nothing does, and rollouts that it adds are open. */
static enum err examine(struct control *c, const struct config_keep *keep, struct report *report,
                        struct why *why)
{
    const struct config *config = keep->config;
    size_t n = count_routes(c), i = 0;
    bool *had_rollout = calloc(n + config->n_routes + 1, sizeof *had_rollout);
    if (!had_rollout)
        return why_set(why, ERR_MEMORY, "%s: out of memory", c->path);
    for (struct list *l = c->known.routes.next; l != &c->known.routes; l = l->next)
        had_rollout[i++] = CONTAINER_OF(l, struct known_route, link)->rollout != NULL;
    (void)changes_tell_fixed(control_config(c), config, report_line, report);
    ask_rollouts(c, keep, report);
    bool is_open = report->n == 0 && listeners_may_take(&c->listeners, config, why) == OK &&
                   cluster_may_take(c, config, why) == OK &&
                   host_open_rollouts(c, config, keep->manifests, why) &&
                   access_prepare(c, config, why) == OK;
    if (report->n == 0 && !is_open)
        report_line(report, why->text);
    if (!is_open)
        close_new_rollouts(c, had_rollout);
    free(had_rollout);
    return is_open ? OK : ERR_CONFLICT;
}

static enum err try_reload(struct control *c, struct report *report, struct why *why)
{
    report->is_wrong = true;
    struct config_keep *keep = load(c, report, why);
    if (!keep)
        return report->n ? ERR_INVALID : ERR_MEMORY;
    enum err e = examine(c, keep, report, why);
    if (e != OK) {
        config_keep_unref(keep);
        return e;
    }
    report->is_wrong = false;
    return take(c, keep, report, why);
}

static enum err say_failed(const struct control *c, enum err e, const struct report *report,
                           struct why *why)
{
    struct log_quoted file, reason;
    bool is_told = report->is_wrong && report->n > 0; /* line by line, already */
    if (is_told && report->n > 1)
        (void)why_set(why, e, "%.400s (and %zu more)", report->first.text, report->n - 1);
    else if (is_told)
        (void)why_set(why, e, "%s", report->first.text);
    log_error("reload_failed", "file=%s errors=%zu%s%s still=\"the old configuration\"",
              log_quote(&file, slice_str(c->path)), report->is_wrong ? report->n : 0,
              is_told ? "" : " why=", is_told ? "" : log_quote(&reason, slice_str(why->text)));
    return e;
}

enum err reload(struct control *c, struct cJSON *lines, struct why *why)
{
    struct report report = {.lines = lines};
    struct log_quoted file;
    why->text[0] = '\0';
    notify_reloading(c);
    enum err e =
        handover_is_under_way(c->handover)
            ? why_set(why, ERR_CONFLICT, "another process is taking over, with the file as it is")
            : try_reload(c, &report, why);
    notify_reloaded(c);
    if (e != OK) {
        c->reloads_failed++;
        return say_failed(c, e, &report, why);
    }
    c->reloads_ok++;
    unsigned long long generation = (unsigned long long)(c->reloads_ok + 1);
    size_t routes = control_config(c)->n_routes;
    log_info("reloaded", "file=%s generation=%llu routes=%zu changes=%zu",
             log_quote(&file, slice_str(c->path)), generation, routes, report.n);
    (void)why_set(why, OK, "configuration %llu is in force (%zu route%s): ", generation, routes,
                  routes == 1 ? "" : "s");
    size_t len = strlen(why->text);
    (void)snprintf(why->text + len, sizeof why->text - len,
                   report.n ? "%zu change%s" : "nothing changed", report.n,
                   report.n == 1 ? "" : "s");
    return OK;
}
