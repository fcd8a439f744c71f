/* The control thread: starts everything, ticks, listens to signals, drains.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/control.h"

#include "base/log.h"
#include "metrics/access_log.h"
#include "metrics/log.h"
#include "proxy/conf/load.h"
#include "proxy/conf/token.h"
#include "proxy/control/access.h"
#include "proxy/control/address.h"
#include "proxy/control/api.h"
#include "proxy/control/cluster.h"
#include "proxy/control/health.h"
#include "proxy/control/host.h"
#include "proxy/control/manifests.h"
#include "proxy/control/names.h"
#include "proxy/control/publish.h"
#include "proxy/control/reload.h"
#include "proxy/wire/time.h"
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#define EXIT_OK       0
#define EXIT_ERROR    1
#define EXIT_INTERNAL 70

#define DRAIN_POLL_MS 50

static int64_t now_ms(void)
{
    return time_monotonic_us() / 1000;
}

static void look_at_slowness(struct control *c)
{
    for (struct list *l = c->known.routes.next; l != &c->known.routes; l = l->next) {
        struct known_route *r = CONTAINER_OF(l, struct known_route, link);
        const struct variant_metrics *stable =
            r->conf ? metrics_variant(c->metrics, r->name, r->split.stable) : NULL;
        if (stable && slowness_look(&r->slowness, stable, now_ms()))
            atomic_store_explicit(&r->live.stable_p99_us, slowness_p99_us(&r->slowness),
                                  memory_order_relaxed);
    }
}

/* For the retry budgets, also of routes that a reload has dropped: requests under way may still use theirs. */
static void look_at_responses(struct control *c)
{
    for (struct list *l = c->known.routes.next; l != &c->known.routes; l = l->next) {
        struct known_route *r = CONTAINER_OF(l, struct known_route, link);
        retry_budget_look(r->live.retries, metrics_responses(r->metrics));
    }
}

/* For `serin check`, where a rollout owns state_dir. A disk that is full is told by the rollout itself. */
static void keep_seen(struct control *c)
{
    for (struct list *l = c->known.routes.next; l != &c->known.routes; l = l->next) {
        struct known_route *r = CONTAINER_OF(l, struct known_route, link);
        if (!r->conf || !r->conf->has_rollout || !r->rollout)
            continue;
        const struct variant_metrics *stable =
            metrics_variant(c->metrics, r->name, r->split.stable);
        const struct variant_metrics *canary =
            r->split.canary[0] ? metrics_variant(c->metrics, r->name, r->split.canary) : NULL;
        if (!stable || !seen_look_at(&r->seen, stable, canary, now_ms()))
            continue;
        struct seen_figures figures = {.wall_ms = time_wall_ms()};
        struct why why;
        seen_figures(&r->seen, &figures);
        slowness_sum(&r->slowness, &figures.durations);
        if (seen_write(control_config(c)->state_dir, r->name, &figures, &why) != OK)
            log_debug("seen_not_written", "route=%s why=\"%s\"", r->name, why.text);
    }
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct control *c = arg;
    (void)fd;
    (void)what;
    health_look(&c->known, c->base, control_config(c)->timeouts.connect_ms);
    cluster_tick(c);
    look_at_slowness(c);
    look_at_responses(c);
    keep_seen(c);
    if (c->is_publish_due && publish(c) != OK)
        log_error("publish_failed", "why=\"out of memory\"");
    for (struct list *l = c->known.routes.next; l != &c->known.routes; l = l->next) {
        struct known_route *r = CONTAINER_OF(l, struct known_route, link);
        if (r->rollout)
            rollout_tick(r->rollout);
    }
}

void control_count_kubernetes(void *arg, const char *verb, unsigned code)
{
    kube_counts_add(&((struct control *)arg)->kube_counts, verb, code);
}

static void on_drain_poll(evutil_socket_t fd, short what, void *arg)
{
    struct control *c = arg;
    bool is_done = true;
    (void)fd;
    (void)what;
    for (unsigned i = 0; i < c->n_workers; i++)
        is_done = is_done && worker_is_done(c->workers[i]);
    if (!is_done && now_ms() < c->drain_until_ms)
        return;
    if (!is_done)
        log_warn("drain_cut", "why=\"timeouts.drain has passed with connections still open\"");
    (void)event_base_loopbreak(c->base);
}

static void remove_socket_files(struct control *c)
{
    for (unsigned i = 0; i < c->n_socket_files; i++)
        unix_file_remove(&c->socket_files[i]);
}

void control_drain(struct control *c)
{
    if (c->drain_until_ms) {
        (void)event_base_loopbreak(c->base);
        return;
    }
    struct timeval poll = {0, DRAIN_POLL_MS * 1000};
    c->drain_until_ms = now_ms() + control_config(c)->timeouts.drain_ms;
    log_info("draining", "timeout_ms=%u", control_config(c)->timeouts.drain_ms);
    remove_socket_files(c); /* who has connected already is still accepted */
    cluster_release(c);
    for (unsigned i = 0; i < c->n_workers; i++)
        worker_drain(c->workers[i]);
    (void)event_add(c->drain_poll, &poll);
}

static void on_signal(evutil_socket_t signal, short what, void *arg)
{
    struct control *c = arg;
    struct why why;
    (void)what;
    if (signal == SIGHUP)
        (void)!reload(c, NULL, &why); /* the log says how it went */
    else if (signal == SIGUSR1)
        access_reopen(c);
    else if (signal == SIGUSR2) /* by default it would end the process */
        log_warn("signal_ignored", "signal=SIGUSR2 why=\"not supported yet\"");
    else
        control_drain(c);
}

static bool make_events(struct control *c)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2};
    struct timeval second = {ROLLOUT_TICK_MS / 1000, ROLLOUT_TICK_MS % 1000 * 1000};
    c->base = event_base_new();
    if (!c->base)
        return false;
    c->tick = event_new(c->base, -1, EV_PERSIST, on_tick, c);
    c->drain_poll = event_new(c->base, -1, EV_PERSIST, on_drain_poll, c);
    for (unsigned i = 0; i < ARRAY_LEN(numbers); i++) {
        c->signals[i] = evsignal_new(c->base, numbers[i], on_signal, c);
        if (!c->signals[i] || event_add(c->signals[i], NULL) < 0)
            return false;
    }
    return c->tick && c->drain_poll && event_add(c->tick, &second) == 0;
}

static void free_events(struct control *c)
{
    for (unsigned i = 0; i < ARRAY_LEN(c->signals); i++)
        if (c->signals[i])
            event_free(c->signals[i]);
    if (c->tick)
        event_free(c->tick);
    if (c->drain_poll)
        event_free(c->drain_poll);
    if (c->base)
        event_base_free(c->base);
}

/* Opens all sockets of all listeners: fds[worker * n_listeners + listener]. */
static enum err open_listeners(struct control *c, int *fds, struct listener_cells **cells,
                               struct why *why)
{
    const struct config *config = control_config(c);
    size_t n = config->n_listeners;
    int of_one[METRIC_WORKERS_MAX];
    for (size_t i = 0; i < n; i++) {
        struct wire_addr addr;
        struct listener_place place;
        char text[WIRE_TEXT_MAX];
        enum err e = address_of(config->listeners[i].bind, &addr, why);
        if (e == OK)
            e = listener_open(&addr, of_one, config->workers, &place, why);
        if (e == OK)
            c->socket_files[i] = place.file;
        const struct listener_metrics *m = metrics_listener(c->metrics, config->listeners[i].bind);
        if (e != OK || !m)
            return e != OK ? e : why_set(why, ERR_MEMORY, "out of memory");
        for (unsigned w = 0; w < config->workers; w++) {
            fds[w * n + i] = of_one[w];
            cells[w * n + i] = m->cells[w];
        }
        wire_addr_text(&place.bound, text);
        log_info("listening", "listener=%zu address=%s workers=%u", i, text, config->workers);
    }
    return OK;
}

static enum err start_workers(struct control *c, struct why *why)
{
    const struct config *config = control_config(c);
    size_t n = config->n_listeners, total = n * config->workers;
    int *fds = malloc((total + 1) * sizeof *fds);
    struct listener_cells **cells = calloc(total + 1, sizeof *cells);
    c->workers = calloc(config->workers, sizeof(struct worker *));
    c->socket_files = calloc(n, sizeof *c->socket_files);
    c->n_socket_files = c->socket_files ? (unsigned)n : 0;
    enum err e = ERR_MEMORY;
    for (size_t i = 0; fds && i < total; i++)
        fds[i] = -1;
    if (fds && cells && c->workers && c->socket_files)
        e = open_listeners(c, fds, cells, why);
    for (unsigned w = 0; e == OK && w < config->workers; w++) {
        struct worker_setup setup = {.index = w,
                                     .count = config->workers,
                                     .order = &c->order,
                                     .shared = &c->shared,
                                     .cells = metrics_worker(c->metrics, w),
                                     .access = access_log_ring(c->access, w),
                                     .fds = fds + w * n,
                                     .listeners = cells + w * n,
                                     .n_listeners = (unsigned)n,
                                     .snapshot = c->snapshot};
        c->workers[w] = worker_start(&setup, why);
        if (!c->workers[w])
            e = ERR_IO;
        else
            c->n_workers++;
    }
    for (size_t i = c->n_workers * n; e != OK && fds && i < total; i++)
        if (fds[i] >= 0)
            (void)close(fds[i]);
    free(fds);
    free(cells);
    return e;
}

static enum err start_admin(struct control *c, struct why *why)
{
    const struct config_admin *conf = &control_config(c)->admin;
    if (conf->token_file) {
        struct why reason;
        c->token = token_read(conf->token_file, &reason);
        if (!c->token) /* it has changed since the file was checked */
            return why_set(why, ERR_IO, "admin.token_file: %s %s", conf->token_file, reason.text);
    }
    struct admin_setup setup = {.bind = conf->bind, .token = c->token};
    struct admin_host host = api_host(c);
    c->admin = admin_start(c->base, &setup, &host, why);
    if (!c->admin)
        return ERR_IO;
    log_info("admin_listening", "address=%s", admin_address(c->admin));
    return OK;
}

/* Everything up to the first request; each step leaves what control_stop can take down. */
static enum err control_start(struct control *c, struct why *why)
{
    const struct config *config = control_config(c);
    c->metrics = metrics_new(config->workers);
    if (!c->metrics || !make_events(c))
        return why_set(why, ERR_MEMORY, "out of memory");
    c->access = access_log_new(c->metrics);
    c->http = http_new(c->base);
    c->names = names_new(c);
    if (!c->access || !c->http || !c->names)
        return why_set(why, ERR_MEMORY, "out of memory");
    known_init(&c->known, c->metrics, config->workers);
    split_order_init(&c->order);
    enum err e = access_prepare(c, config, why);
    if (e == OK)
        e = known_configure(&c->known, config, why);
    if (e == OK)
        e = names_configure(c->names, why);
    if (e != OK)
        return e;
    if (!host_open_rollouts(c, config, c->manifests, why))
        return ERR_IO;
    for (struct list *l = c->known.routes.next; l != &c->known.routes; l = l->next)
        host_take_split(CONTAINER_OF(l, struct known_route, link));
    e = publish(c);
    if (e == OK)
        e = start_workers(c, why);
    if (e == OK)
        e = start_admin(c, why);
    if (e == OK)
        e = cluster_take(c, why);
    if (e == OK)
        health_look(&c->known, c->base, config->timeouts.connect_ms);
    c->is_serving = e == OK;
    return e;
}

static void control_stop(struct control *c)
{
    names_free(c->names); /* first: it runs the loop, for which everything has to be there */
    c->names = NULL;
    for (unsigned i = 0; i < c->n_workers; i++)
        worker_stop(c->workers[i]);
    free(c->workers);
    access_log_free(c->access);
    remove_socket_files(c); /* where the start failed half way */
    free(c->socket_files);
    admin_stop(c->admin);
    c->admin = NULL;
    if (c->metrics && c->base)
        known_fini(&c->known);
    cluster_stop(c);
    manifests_free(c->manifests);
    http_free(c->http);
    snapshot_unref(c->snapshot);
    config_keep_unref(c->keep);
    metrics_free(c->metrics);
    free_events(c);
    token_free(c->token);
}

/* Every connection is a descriptor: what the hard limit allows is taken. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

int control_run(struct config *config, struct manifests *manifests, const char *path)
{
    struct why why = {""};
    struct log_quoted quoted;
    struct control *c = calloc(1, sizeof *c);
    struct config_keep *keep = config_keep_new(config);
    if (!c || !keep) {
        free(c);
        free(keep);
        config_free(config);
        manifests_free(manifests);
        fprintf(stderr, "serin: out of memory\n");
        return EXIT_INTERNAL;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit();
    c->keep = keep;
    c->manifests = manifests;
    c->path = path;
    enum err e = reload_log(config, &why);
    if (e == OK)
        e = control_start(c, &why);
    if (e == OK) {
        log_info("started", "version=%s file=%s routes=%zu", SERIN_VERSION,
                 log_quote(&quoted, slice_str(path)), config->n_routes);
        (void)event_base_dispatch(c->base);
        log_info("stopped", "pid=%d", (int)getpid());
    } else {
        log_error("start_failed", "why=%s",
                  log_quote(&quoted, slice_str(why.text[0] ? why.text : err_text(e))));
    }
    control_stop(c);
    free(c);
    return e == OK ? EXIT_OK : e == ERR_MEMORY ? EXIT_INTERNAL : EXIT_ERROR;
}
