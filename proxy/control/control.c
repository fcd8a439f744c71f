/* The control thread: starts everything, ticks, listens to signals, drains.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/control.h"

#include "base/log.h"
#include "metrics/access_log.h"
#include "metrics/log.h"
#include "proxy/conf/token.h"
#include "proxy/control/access.h"
#include "proxy/control/activation.h"
#include "proxy/control/address.h"
#include "proxy/control/api.h"
#include "proxy/control/certificates.h"
#include "proxy/control/cluster.h"
#include "proxy/control/handover.h"
#include "proxy/control/health.h"
#include "proxy/control/host.h"
#include "proxy/control/names.h"
#include "proxy/control/publish.h"
#include "proxy/control/reload.h"
#include "proxy/control/told.h"
#include "proxy/control/webhooks.h"
#include "proxy/wire/time.h"
#include "rollout/notify/notifier.h"
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#define EXIT_OK       0
#define EXIT_ERROR    1
#define EXIT_INTERNAL 70

#define DRAIN_POLL_MS 50
#define WARN_EVERY_MS (24 * 60 * 60 * 1000) /* of certificates that will expire */

static void look_at_slowness(struct control *c)
{
    for (struct list *l = c->known.routes.next; l != &c->known.routes; l = l->next) {
        struct known_route *r = CONTAINER_OF(l, struct known_route, link);
        const struct variant_metrics *stable =
            r->conf ? metrics_variant(c->metrics, r->name, r->split.stable) : NULL;
        if (stable && slowness_look(&r->slowness, stable, time_monotonic_ms()))
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
        if (!stable || !seen_look_at(&r->seen, stable, canary, time_monotonic_ms()))
            continue;
        struct seen_figures figures = {.wall_ms = time_wall_ms()};
        struct why why;
        seen_figures(&r->seen, &figures);
        slowness_sum(&r->slowness, &figures.durations);
        if (seen_write(control_config(c)->state_dir, r->name, &figures, &why) != OK)
            log_debug("seen_not_written", "route=%s why=\"%s\"", r->name, why.text);
    }
}

/* Changes the keys of tickets by the hour, and says once a day which certificates will expire. */
static void look_at_tls(struct control *c)
{
    if (tickets_tick(&c->tickets, time_monotonic_ms()) != OK)
        log_error("ticket_keys_not_changed", "why=\"no random bytes\"");
    if (time_monotonic_ms() - c->warned_ms < WARN_EVERY_MS)
        return;
    c->warned_ms = time_monotonic_ms();
    reload_warn(c->keep);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct control *c = arg;
    (void)fd;
    (void)what;
    look_at_responses(c);
    if (c->is_publish_due && publish(c) != OK)
        log_error("publish_failed", "why=\"out of memory\"");
    handover_tick(c->handover);
    if (!c->acts) {
        if (c->is_stopping)
            notify_tick(c);
        return;
    }
    health_look(&c->known, c->base, control_config(c)->timeouts.connect_ms);
    cluster_tick(c);
    look_at_slowness(c);
    look_at_tls(c);
    keep_seen(c);
    host_tick(c);
    told_tick(c);
    notify_tick(c);
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
    if (!is_done && time_monotonic_ms() < c->drain_until_ms)
        return;
    if (time_monotonic_ms() < c->drain_until_ms && notifier_flush(c->notifier))
        return;
    if (!is_done)
        log_warn("drain_cut", "why=\"timeouts.drain has passed with connections still open\"");
    (void)event_base_loopbreak(c->base);
}

void control_drain_workers(struct control *c, uint32_t requests_ms, uint32_t tunnels_ms)
{
    struct timeval poll = {0, DRAIN_POLL_MS * 1000};
    uint32_t longest_ms = requests_ms > tunnels_ms ? requests_ms : tunnels_ms;
    int64_t until_ms = time_monotonic_ms() + longest_ms;
    if (c->drain_until_ms == 0 || until_ms < c->drain_until_ms)
        c->drain_until_ms = until_ms;
    listeners_remove_files(&c->listeners); /* who has connected already is still accepted */
    bool is_last = c->is_stopping && !handover_is_under_way(c->handover);
    for (unsigned i = 0; i < c->n_workers; i++)
        worker_drain(c->workers[i], requests_ms, tunnels_ms, is_last);
    (void)event_add(c->drain_poll, &poll);
}

void control_drain(struct control *c)
{
    if (c->is_stopping) {
        (void)event_base_loopbreak(c->base);
        return;
    }
    uint32_t drain_ms = control_config(c)->timeouts.drain_ms;
    c->is_stopping = true;
    log_info("draining", "timeout_ms=%u", drain_ms);
    notify_stopping(c);
    handover_cancel(c->handover);
    cluster_release(c);
    control_drain_workers(c, drain_ms, drain_ms);
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
    else if (signal == SIGUSR2)
        handover_begin(c->handover);
    else
        control_drain(c);
}

static bool make_events(struct control *c)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2};
    struct timeval second = {ROLLOUT_TICK_MS / 1000, ROLLOUT_TICK_MS % 1000 * 1000};
    sigset_t none;
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
    (void)sigemptyset(
        &none); /* who hands over starts this process with some of them blocked (binary.c) */
    (void)pthread_sigmask(SIG_SETMASK, &none, NULL);
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

/* Starts one worker on the sockets that are its share. */
static enum err start_worker(struct control *c, unsigned index, struct why *why)
{
    unsigned workers = control_config(c)->workers;
    size_t n = listeners_of(&c->listeners, index, workers);
    int *fds = malloc((n + 1) * sizeof *fds);
    unsigned *indices = malloc((n + 1) * sizeof *indices);
    struct listener_cells **cells = malloc((n + 1) * sizeof *cells);
    bool has_room = fds && indices && cells;
    for (size_t i = 0, listener; has_room && i < n; i++) {
        fds[i] = listeners_at(&c->listeners, index, workers, i, &listener);
        indices[i] = (unsigned)listener;
        cells[i] = metrics_listener(c->metrics, c->listeners.items[listener].bind)->cells[index];
    }
    struct worker_setup setup = {.index = index,
                                 .count = workers,
                                 .order = &c->order,
                                 .shared = &c->shared,
                                 .cells = metrics_worker(c->metrics, index),
                                 .access = access_log_ring(c->access, index),
                                 .fds = fds,
                                 .indices = indices,
                                 .listeners = cells,
                                 .n_listeners = (unsigned)n,
                                 .snapshot = c->snapshot};
    if (has_room)
        c->workers[index] = worker_start(&setup, why);
    free(fds);
    free(indices);
    free(cells);
    if (!c->workers[index])
        return has_room ? ERR_IO : ERR_MEMORY;
    c->n_workers++;
    return OK;
}

static enum err start_workers(struct control *c, struct why *why)
{
    const struct config *config = control_config(c);
    c->workers = calloc(config->workers, sizeof(struct worker *));
    enum err e = c->workers ? listeners_open(&c->listeners, config, &c->inherited, why)
                            : why_set(why, ERR_MEMORY, "out of memory");
    for (size_t i = 0; e == OK && i < c->listeners.n; i++)
        if (!metrics_listener(c->metrics, c->listeners.items[i].bind))
            e = why_set(why, ERR_MEMORY, "out of memory");
    for (unsigned w = 0; e == OK && w < config->workers; w++)
        e = start_worker(c, w, why);
    if (e != OK)
        listeners_close(&c->listeners, c->n_workers, config->workers);
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
    struct admin_setup setup = {.bind = conf->bind,
                                .token = c->token,
                                .given = inherited_take(&c->inherited, true, conf->bind)};
    bool is_named = activation_name(conf->bind) != NULL;
    if (!setup.given && is_named) /* to systemd it is a socket like any other */
        setup.given = inherited_take(&c->inherited, false, conf->bind);
    if (!setup.given && is_named)
        return activation_missing(&c->inherited, conf->bind, why);
    struct admin_host host = api_host(c);
    c->admin = admin_start(c->base, &setup, &host, why);
    if (!c->admin)
        return ERR_IO;
    log_info("admin_listening", "address=%s", admin_address(c->admin));
    return OK;
}

/* Whoever serves is known from the process of before, before the cluster and the DNS have said so here. */
static enum err take_over(struct control *c, struct why *why)
{
    notify_take_over();
    enum err e = handover_ask(c->handover, why);
    c->was_ready = e == OK;
    return e;
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
    struct notifier_setup told = {c->base, c->http, time_monotonic_ms, time_wall_ms};
    c->notifier = c->http ? notifier_new(&told) : NULL;
    if (!c->access || !c->notifier || !c->names)
        return why_set(why, ERR_MEMORY, "out of memory");
    if (tickets_init(&c->tickets, time_monotonic_ms()) != OK)
        return why_set(why, ERR_IO, "the system has no random bytes for the keys of TLS tickets");
    certificates_use_tickets(c->keep->certificates, &c->tickets);
    c->warned_ms = time_monotonic_ms();
    reload_warn(c->keep);
    known_init(&c->known, c->metrics, config->workers);
    split_order_init(&c->order);
    enum err e = access_prepare(c, config, why);
    if (e == OK)
        e = known_configure(&c->known, config, why);
    if (e == OK)
        e = names_configure(c->names, why);
    if (e == OK && handover_is_heir(c->handover))
        e = take_over(c, why);
    if (e == OK && webhooks_use(c->keep->webhooks, c->notifier) != OK)
        e = why_set(why, ERR_MEMORY, "out of memory");
    if (e != OK)
        return e;
    if (!host_open_rollouts(c, config, c->keep->manifests, why))
        return ERR_IO;
    for (struct list *l = c->known.routes.next; l != &c->known.routes; l = l->next)
        host_take_split(CONTAINER_OF(l, struct known_route, link));
    handover_take_states(c->handover);
    e = publish(c);
    if (e == OK)
        e = start_admin(c, why);
    if (e == OK)
        e = cluster_take(c, why);
    if (e == OK)
        e = start_workers(c,
                          why); /* last: from here on nothing may fail that would cut a request */
    if (e == OK)
        health_look(&c->known, c->base, config->timeouts.connect_ms);
    if (e == OK)
        e = notify_start(c);
    c->is_serving = c->acts = e == OK;
    if (e == OK) {
        activation_tell_unused(&c->inherited);
        notify_tick(c);
    }
    inherited_close(&c->inherited);
    return e;
}

static void control_stop(struct control *c)
{
    notify_stop(c);
    names_free(c->names); /* first: it runs the loop, for which everything has to be there */
    c->names = NULL;
    for (unsigned i = 0; i < c->n_workers; i++)
        worker_stop(c->workers[i]);
    free(c->workers);
    handover_free(c->handover); /* the workers have counted their last */
    access_log_free(c->access);
    listeners_remove_files(&c->listeners); /* where the start failed half way */
    listeners_free(&c->listeners);
    inherited_close(&c->inherited);
    admin_stop(c->admin);
    c->admin = NULL;
    if (c->metrics && c->base)
        known_fini(&c->known);
    cluster_stop(c);
    notifier_free(c->notifier);
    http_free(c->http);
    snapshot_unref(c->snapshot);
    config_keep_unref(c->keep);
    metrics_free(c->metrics);
    free_events(c);
    token_free(c->token);
    tickets_fini(&c->tickets);
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

int control_run(struct config_keep *keep, const char *path)
{
    struct why why = {""};
    struct log_quoted quoted;
    struct control *c = calloc(1, sizeof *c);
    if (!c) {
        config_keep_unref(keep);
        fprintf(stderr, "serin: out of memory\n");
        return EXIT_INTERNAL;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit();
    c->keep = keep;
    c->path = path;
    inherited_init(&c->inherited);
    enum err e = reload_log(keep->config, &why);
    if (e == OK)
        e = activation_take(&c->inherited, &why);
    if (e == OK)
        e = handover_new(c, &c->handover, &why);
    if (e == OK)
        e = control_start(c, &why);
    if (e == OK) {
        if (handover_is_heir(c->handover))
            handover_serve(c->handover);
        log_info("started", "version=%s file=%s routes=%zu", SERIN_VERSION,
                 log_quote(&quoted, slice_str(path)), keep->config->n_routes);
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
