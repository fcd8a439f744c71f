/* One thread of the data plane.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/worker/worker.h"

#include "base/log.h"
#include "base/mailbox.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define TURN_AWAY_MS                                                                               \
    50 /* the handshakes that are under way get so long before the listening sockets are closed */
#define DRAIN_POLL_MS      20  /* how often a draining worker looks whether it is done */
#define DRAIN_POLL_LATE_MS 500 /* once only tunnels are left */

struct worker {
    struct flow flow;
    struct event_base *base;
    struct event wake, drain_poll;
    int wake_fd;
    pthread_t thread;
    struct mailbox snapshots;         /* of struct snapshot, one reference each */
    _Atomic uint64_t generation;      /* adopted last */
    _Atomic uint64_t asked, answered; /* signs of life */
    _Atomic bool must_drain, must_stop, is_done;
    _Atomic bool is_last;                     /* no other process has its listening sockets */
    _Atomic uint32_t requests_ms, tunnels_ms; /* of the drain */
    unsigned n_listeners;
    struct listener listeners[];
};

static void adopt(struct worker *w)
{
    struct snapshot *s = mailbox_take(&w->snapshots);
    if (!s)
        return;
    uint64_t generation = s->generation;
    if (flow_adopt(&w->flow, s) != OK) {
        log_error("adopt_failed", "worker=%u generation=%llu why=\"out of memory\"", w->flow.worker,
                  (unsigned long long)generation);
        snapshot_unref(s);
        return;
    }
    atomic_store_explicit(&w->generation, generation, memory_order_release);
}

static void stop_listeners(struct worker *w)
{
    for (unsigned i = 0; i < w->n_listeners; i++)
        listener_stop(&w->listeners[i]);
}

static void finish(struct worker *w)
{
    stop_listeners(w);
    (void)event_base_loopbreak(w->base);
}

static void poll_drain_in(struct worker *w, unsigned ms)
{
    struct timeval soon = {0, ms * 1000};
    (void)event_add(&w->drain_poll, &soon);
}

static void on_drain_poll(evutil_socket_t fd, short what, void *arg)
{
    struct worker *w = arg;
    (void)fd;
    (void)what;
    stop_listeners(w);
    if (flow_is_drained(&w->flow))
        finish(w);
    else
        poll_drain_in(w, w->flow.has_cut ? DRAIN_POLL_LATE_MS : DRAIN_POLL_MS);
}

/* Where another process has the listening sockets, they are let go of at once. */
static void drain(struct worker *w)
{
    bool is_last = atomic_load(&w->is_last);
    for (unsigned i = 0; is_last && i < w->n_listeners; i++)
        listener_turn_away(&w->listeners[i]);
    if (!is_last)
        stop_listeners(w);
    flow_drain(&w->flow, atomic_load(&w->requests_ms), atomic_load(&w->tunnels_ms));
    poll_drain_in(w, is_last ? TURN_AWAY_MS : DRAIN_POLL_MS);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    struct worker *w = arg;
    uint64_t count;
    (void)what;
    (void)!read((int)fd, &count, sizeof count);
    atomic_store(&w->answered, atomic_load(&w->asked));
    adopt(w);
    if (atomic_load(&w->must_stop))
        finish(w);
    else if (atomic_exchange(&w->must_drain, false))
        drain(w);
}

static void *run(void *arg)
{
    struct worker *w = arg;
    if (!burst_begin(&w->flow.burst))
        log_info("no_io_uring", "worker=%u why=\"%s\"", w->flow.worker, strerror(errno));
    (void)event_base_dispatch(w->base);
    burst_end(&w->flow.burst);
    atomic_store(&w->is_done, true);
    return NULL;
}

static void wake(struct worker *w)
{
    uint64_t one = 1;
    (void)!write(w->wake_fd, &one, sizeof one); /* a full counter wakes as well */
}

/* One base for one thread: no locks. */
static struct event_base *make_base(void)
{
    struct event_config *conf = event_config_new();
    if (!conf)
        return NULL;
    (void)event_config_set_flag(conf, EVENT_BASE_FLAG_NOLOCK);
    struct event_base *base = event_base_new_with_config(conf);
    event_config_free(conf);
    return base;
}

/* Signals are the control thread's: a new thread inherits a mask with all of them blocked. */
static int start_thread(struct worker *w)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int failure = pthread_create(&w->thread, NULL, run, w);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failure;
}

static void free_worker(struct worker *w)
{
    snapshot_unref(mailbox_take(&w->snapshots));
    if (w->wake_fd >= 0)
        (void)close(w->wake_fd);
    if (w->base)
        event_base_free(w->base);
    free(w);
}

struct worker *worker_start(const struct worker_setup *setup, struct why *why)
{
    struct worker *w = calloc(1, sizeof *w + setup->n_listeners * sizeof w->listeners[0]);
    if (!w) {
        (void)why_set(why, ERR_MEMORY, "worker %u: out of memory", setup->index);
        return NULL;
    }
    mailbox_init(&w->snapshots);
    w->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    w->base = make_base();
    if (w->wake_fd < 0 || !w->base ||
        flow_init(&w->flow, w->base, setup->index, setup->count) != OK) {
        (void)why_set(why, ERR_IO, "worker %u: cannot make its event loop: %s", setup->index,
                      strerror(errno));
        free_worker(w);
        return NULL;
    }
    w->flow.order = setup->order;
    w->flow.shared = setup->shared;
    w->flow.cells = setup->cells;
    w->flow.access = setup->access;
    CHECK(event_assign(&w->wake, w->base, w->wake_fd, EV_READ | EV_PERSIST, on_wake, w) == 0);
    CHECK(event_assign(&w->drain_poll, w->base, -1, 0, on_drain_poll, w) == 0);
    (void)event_add(&w->wake, NULL);
    (void)mailbox_put(&w->snapshots, snapshot_ref(setup->snapshot));
    adopt(w);
    int failure = 0;
    if (w->flow.world) {
        for (unsigned i = 0; i < setup->n_listeners; i++)
            listener_start(&w->listeners[i], &w->flow, setup->indices[i], setup->fds[i],
                           setup->listeners[i]);
        w->n_listeners = setup->n_listeners;
        failure = start_thread(w);
        if (failure == 0)
            return w;
    }
    (void)why_set(why, ERR_IO, "worker %u: cannot start: %s", setup->index,
                  strerror(failure ? failure : ENOMEM));
    for (unsigned i = 0; i < w->n_listeners; i++)
        (void)event_del(&w->listeners[i].accept);
    (void)event_del(&w->wake);
    flow_fini(&w->flow);
    free_worker(w);
    return NULL;
}

void worker_publish(struct worker *w, struct snapshot *snapshot)
{
    snapshot_unref(mailbox_put(&w->snapshots, snapshot_ref(snapshot)));
    wake(w);
}

uint64_t worker_generation(const struct worker *w)
{
    return atomic_load_explicit(&((struct worker *)(uintptr_t)w)->generation, memory_order_acquire);
}

void worker_ask(struct worker *w)
{
    atomic_fetch_add(&w->asked, 1);
    wake(w);
}

bool worker_has_answered(const struct worker *w)
{
    struct worker *own = (struct worker *)(uintptr_t)w;
    return atomic_load(&own->answered) == atomic_load(&own->asked) || worker_is_done(w);
}

void worker_drain(struct worker *w, uint32_t requests_ms, uint32_t tunnels_ms, bool is_last)
{
    atomic_store(&w->is_last, is_last);
    atomic_store(&w->requests_ms, requests_ms);
    atomic_store(&w->tunnels_ms, tunnels_ms);
    atomic_store(&w->must_drain, true);
    wake(w);
}

bool worker_is_done(const struct worker *w)
{
    return atomic_load(&((struct worker *)(uintptr_t)w)->is_done);
}

void worker_stop(struct worker *w)
{
    if (!w)
        return;
    atomic_store(&w->must_stop, true);
    wake(w);
    (void)pthread_join(w->thread, NULL);
    (void)event_del(&w->wake);
    (void)event_del(&w->drain_poll);
    flow_fini(&w->flow);
    free_worker(w);
}
