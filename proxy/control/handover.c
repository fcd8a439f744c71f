/* The process that hands over: starts the new one, lets it take over, or takes everything back.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/handover.h"

#include "base/check.h"
#include "base/log.h"
#include "proxy/control/admin.h"
#include "proxy/control/cluster.h"
#include "proxy/control/handover_inside.h"
#include "proxy/control/health.h"
#include "proxy/control/host.h"
#include "proxy/control/notify.h"
#include "proxy/control/probe.h"
#include "proxy/control/publish.h"
#include "proxy/wire/time.h"
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define END_POLL_MS  20   /* how often is looked whether the new process is gone */
#define END_GRACE_MS 500  /* for it to end by itself, with a code that says more than a signal */
#define AGAIN_MS     1000 /* where something could not be taken back */

static void set_timer(struct handover *h, int ms)
{
    struct timeval t = {ms / 1000, ms % 1000 * 1000};
    (void)event_add(h->timer, &t);
}

static void forget_tickets(struct handover *h)
{
    if (h->tickets_fd >= 0)
        (void)close(h->tickets_fd);
    h->tickets_fd = -1;
}

/* --- taking back --- */

/* The new process is gone, and so are its locks. False: not everything is there again. */
static bool take_back(struct handover *h)
{
    struct control *c = h->control;
    struct log_quoted quoted;
    struct why why;
    if (!host_open_rollouts(c, control_config(c), c->keep->manifests, &why)) {
        log_error("rollouts_not_resumed", "why=%s again_in_ms=%d",
                  log_quote(&quoted, slice_str(why.text)), AGAIN_MS);
        return false;
    }
    handover_resume_rollouts(h);
    for (struct list *l = c->known.routes.next; l != &c->known.routes; l = l->next) {
        struct known_route *r = CONTAINER_OF(l, struct known_route, link);
        if (r->conf)
            host_take_split(r);
    }
    cluster_stop(c); /* its lease was let go of */
    if (cluster_take(c, &why) != OK)
        log_error("cluster_not_followed", "why=%s", log_quote(&quoted, slice_str(why.text)));
    handover_older_rest(h, false);
    c->acts = true;
    admin_rest(c->admin, false);
    publish_changes(c);
    return true;
}

static void rest(struct handover *h)
{
    handover_forget_kept(h);
    forget_tickets(h);
    free(h->gave);
    h->gave = NULL;
    h->gave_admin = h->has_given = h->is_killed = false;
    h->phase = HANDOVER_IDLE;
    (void)event_del(h->timer);
}

static void say_failed(struct handover *h, int status)
{
    struct log_quoted quoted;
    struct why why;
    if (WIFEXITED(status))
        (void)why_set(&why, OK, "the new process ended with exit code %d", WEXITSTATUS(status));
    else if (!h->is_killed)
        (void)why_set(&why, OK, "the new process was ended by signal %d", WTERMSIG(status));
    else
        (void)why_set(&why, OK, "%.450s", h->why);
    log_error("handover_failed", "pid=%d why=%s still=\"this process serves on\"", (int)h->child,
              log_quote(&quoted, slice_str(why.text)));
}

static void end(struct handover *h)
{
    int status = 0;
    pid_t ended = h->child ? waitpid(h->child, &status, WNOHANG) : 0;
    if (h->child && ended == 0) {
        if (time_monotonic_ms() >= h->kill_at_ms && !h->is_killed) {
            h->is_killed = true;
            (void)kill(h->child, SIGKILL);
        }
        set_timer(h, END_POLL_MS);
        return;
    }
    if (h->child)
        say_failed(h, status);
    h->child = 0;
    if (h->has_given && !take_back(h))
        set_timer(h, AGAIN_MS);
    else
        rest(h);
}

static void fail(struct handover *h, const char *why, int grace_ms)
{
    (void)snprintf(h->why, sizeof h->why, "%s", why);
    h->has_given = h->phase == HANDOVER_GIVEN;
    h->phase = HANDOVER_ENDING;
    h->kill_at_ms = time_monotonic_ms() + grace_ms;
    handover_channel_free(h->channel);
    h->channel = NULL;
    end(h);
}

/* --- done --- */

static void stop_probing(struct control *c)
{
    for (struct list *l = c->known.endpoints.next; l != &c->known.endpoints; l = l->next) {
        struct known_endpoint *e = CONTAINER_OF(l, struct known_endpoint, link);
        health_stop(e);
        probe_cancel(e);
    }
}

/* What went over is the new process's now, with its files; the rest ends as at a stop. */
static void finish(struct handover *h)
{
    struct control *c = h->control;
    const struct config_timeouts *conf = &control_config(c)->timeouts;
    h->phase = HANDOVER_DONE;
    (void)event_del(h->timer);
    notify_hand_over(c, h->child);
    log_info("handed_over", "to_pid=%d requests_ms=%u tunnels_ms=%u", (int)h->child, conf->drain_ms,
             conf->handover_ms);
    for (size_t i = 0; i < c->listeners.n; i++)
        if (h->gave[i])
            listeners_forget_file(&c->listeners, i);
    if (h->gave_admin)
        admin_forget_file(c->admin);
    admin_stop(c->admin);
    c->admin = NULL;
    handover_older_forget(h);
    handover_forget_kept(h);
    forget_tickets(h);
    stop_probing(c);
    control_drain_workers(c, conf->drain_ms, conf->handover_ms);
}

static void follow(struct control *c, const struct handover_message *m)
{
    struct known_route *r = known_find_route(&c->known, m->route);
    if (!r || !r->conf)
        return;
    r->split = m->split;
    r->split_generation = SPLIT_UNPUBLISHED;
    log_debug("split_followed", "route=%s weight=%.2f%%", m->route, m->split.weight_bp / 100.0);
    if (publish(c) != OK)
        log_error("publish_failed", "route=%s why=\"out of memory\"", m->route);
}

/* Nobody judges the canary any more. */
static void leave_canaries(struct control *c)
{
    for (struct list *l = c->known.routes.next; l != &c->known.routes; l = l->next) {
        struct known_route *r = CONTAINER_OF(l, struct known_route, link);
        if (!r->conf || !r->conf->has_rollout)
            continue;
        r->split.weight_bp = 0;
        r->split.is_active = false;
        r->split_generation = SPLIT_UNPUBLISHED;
    }
    if (publish(c) != OK)
        log_error("publish_failed", "why=\"out of memory\"");
}

/* The process that had taken over has ended, by a stop or a fault: there is nothing left to stay for. */
static void lose(struct handover *h, const char *why)
{
    struct control *c = h->control;
    uint32_t drain_ms = control_config(c)->timeouts.drain_ms;
    (void)waitpid(h->child, NULL, WNOHANG);
    handover_channel_free(h->channel);
    h->channel = NULL;
    log_warn("newer_process_ended", "pid=%d drain_ms=%u why=\"%s\"", (int)h->child, drain_ms, why);
    leave_canaries(c);
    control_drain_workers(c, drain_ms, drain_ms);
}

/* --- events --- */

static void answer_ready(struct handover *h, const struct handover_message *m)
{
    struct handover_message no = {.kind = HANDOVER_REFUSED};
    if (m->version == HANDOVER_VERSION) {
        h->gave = calloc(h->control->listeners.n + 1, sizeof *h->gave);
        if (h->gave) {
            set_timer(h, HANDOVER_WAIT_MS);
            handover_give(h, m);
            return;
        }
        (void)snprintf(no.why, sizeof no.why, "out of memory");
    } else {
        (void)snprintf(
            no.why, sizeof no.why,
            "it speaks version %u of the hand-over, the running process version %u: restart it",
            m->version, HANDOVER_VERSION);
    }
    handover_channel_send(h->channel, &no, NULL, 0);
    fail(h, no.why, END_GRACE_MS);
}

static void on_message(void *arg, struct handover_received *r)
{
    struct handover *h = arg;
    enum handover_kind kind = r->message.kind;
    if (h->phase == HANDOVER_ASKED && kind == HANDOVER_READY)
        answer_ready(h, &r->message);
    else if (h->phase == HANDOVER_GIVEN && kind == HANDOVER_SERVING)
        finish(h);
    else if (h->phase == HANDOVER_DONE && kind == HANDOVER_SPLIT)
        follow(h->control, &r->message);
    else if (h->phase != HANDOVER_DONE)
        fail(h, "the new process says what it should not say now", 0);
}

static void on_end(void *arg, const char *why)
{
    struct handover *h = arg;
    if (h->phase == HANDOVER_DONE)
        lose(h, why);
    else
        fail(h, why, END_GRACE_MS);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct handover *h = arg;
    (void)fd;
    (void)what;
    if (h->phase == HANDOVER_ENDING)
        end(h);
    else if (h->phase == HANDOVER_ASKED || h->phase == HANDOVER_GIVEN)
        fail(h,
             h->phase == HANDOVER_ASKED ? "the new process was not ready in time"
                                        : "the new process did not serve in time",
             0);
}

/* --- begin and end --- */

/* Why nothing can be handed over now; NULL: it can. */
static const char *refusal(const struct handover *h)
{
    if (h->phase == HANDOVER_DONE)
        return "another process has taken over already";
    if (h->phase != HANDOVER_IDLE)
        return "one is under way";
    if (h->control->drain_until_ms)
        return "this process stops";
    if (!h->binary.program)
        return "it is not known how this process was started";
    if (getpid() == 1)
        return "this is process 1: its container would end with it";
    if (h->n_older >= HANDOVER_OLDER_MAX)
        return "too many processes of before still serve their tunnels";
    return NULL;
}

static enum err start(struct handover *h, struct why *why)
{
    int fds[2];
    if (handover_pair(fds) != OK)
        return why_set(why, ERR_IO, "no channel: %s", strerror(errno));
    enum err e = binary_start(&h->binary, fds[1], &h->child, why);
    (void)close(fds[1]);
    if (e != OK) {
        (void)close(fds[0]);
        return e;
    }
    h->phase = HANDOVER_ASKED;
    h->channel = handover_channel_new(h->control->base, fds[0], on_message, on_end, h);
    if (!h->channel) {
        fail(h, "out of memory", 0);
        return OK;
    }
    set_timer(h, HANDOVER_WAIT_MS);
    return OK;
}

void handover_begin(struct handover *h)
{
    const char *no = refusal(h);
    struct log_quoted quoted;
    struct why why;
    if (no) {
        log_warn("handover_refused", "why=\"%s\"", no);
        return;
    }
    h->timer = h->timer ? h->timer : event_new(h->control->base, -1, 0, on_timer, h);
    enum err e = h->timer ? start(h, &why) : why_set(&why, ERR_MEMORY, "out of memory");
    if (e != OK)
        log_error("handover_failed", "why=%s still=\"this process serves on\"",
                  log_quote(&quoted, slice_str(why.text)));
    else if (h->child)
        log_info("handover_started", "pid=%d program=%s", (int)h->child,
                 log_quote(&quoted, slice_str(h->binary.program)));
}

bool handover_is_under_way(const struct handover *h)
{
    return h->phase != HANDOVER_IDLE;
}

/* One that has been given all may have accepted connections already, and be about to say so: it finishes what it has. */
static void end_child(const struct handover *h)
{
    if (h->phase == HANDOVER_GIVEN) {
        (void)kill(h->child, SIGTERM);
        return;
    }
    (void)kill(h->child, SIGKILL);
    (void)waitpid(h->child, NULL, 0); /* at once: SIGKILL waits for nobody */
}

void handover_cancel(struct handover *h)
{
    if (h->phase == HANDOVER_IDLE || h->phase == HANDOVER_DONE)
        return;
    if (h->child) {
        end_child(h);
        log_warn("handover_failed", "pid=%d why=\"this process stops\"", (int)h->child);
    }
    admin_rest(h->control->admin, false); /* for /metrics and /readyz */
    h->child = 0;
    handover_channel_free(h->channel);
    h->channel = NULL;
    rest(h);
}

/* The end of the channel that the environment names; -1: it names none. */
static enum err find_heir_fd(int *fd, struct why *why)
{
    const char *text = getenv(BINARY_CHANNEL_ENV);
    char *end_of = NULL;
    *fd = -1;
    if (!text)
        return OK;
    long n = strtol(text, &end_of, 10);
    if (*text == '\0' || *end_of || n < 3 || n > INT32_MAX || !handover_is_end((int)n))
        return why_set(why, ERR_INVALID,
                       BINARY_CHANNEL_ENV ": %.40s is no channel to a process that hands over",
                       text);
    *fd = (int)n;
    (void)fcntl(*fd, F_SETFD, FD_CLOEXEC);
    (void)unsetenv(BINARY_CHANNEL_ENV);
    return OK;
}

enum err handover_new(struct control *c, struct handover **made, struct why *why)
{
    struct log_quoted quoted;
    struct why reason;
    struct handover *h = *made = calloc(1, sizeof *h);
    if (!h)
        return why_set(why, ERR_MEMORY, "out of memory");
    h->control = c;
    h->heir_fd = h->tickets_fd = -1;
    list_init(&h->older);
    list_init(&h->kept);
    handover_totals_init(&h->gained);
    handover_totals_init(&h->told);
    if (binary_remember(&h->binary, &reason) != OK)
        log_warn("binary_unknown", "why=%s", log_quote(&quoted, slice_str(reason.text)));
    return find_heir_fd(&h->heir_fd, why);
}

void handover_free(struct handover *h)
{
    if (!h)
        return;
    handover_cancel(h);
    if (h->control->base)
        handover_tick(h); /* what was counted last */
    handover_channel_free(h->channel);
    handover_older_forget(h);
    handover_forget_kept(h);
    handover_totals_fini(&h->gained);
    handover_totals_fini(&h->told);
    forget_tickets(h);
    for (unsigned i = 0; i < h->n_older_fds; i++)
        (void)close(h->older_fds[i]);
    if (h->heir_fd >= 0)
        (void)close(h->heir_fd);
    if (h->timer)
        event_free(h->timer);
    binary_fini(&h->binary);
    free(h->gave);
    free(h);
}
