/* One question to the API server, waited for; a signal ends a read at once.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/kube/wait.h"

#include <cjson/cJSON.h>
#include <event2/event.h>

#define STOP_EVERY_US 100000 /* how long a signal waits for a look */

struct asked {
    bool is_done;
    unsigned status;
    struct kube_outcome *outcome;
    struct why error;
};

static void on_answer(void *arg, const struct kube_answer *answer)
{
    struct asked *a = arg;
    a->is_done = true;
    a->status = answer->status;
    a->outcome->is_unknown = answer->is_unknown;
    a->outcome->json = answer->json ? cJSON_Duplicate(answer->json, true) : NULL;
    (void)why_set(&a->error, OK, "%s", answer->error);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg; /* the loop turns, which is all */
}

static enum err err_of(const struct asked *a)
{
    switch (a->status) {
    case 404:
        return ERR_NOT_FOUND;
    case 409:
        return ERR_CONFLICT;
    case 400:
    case 422:
        return ERR_INVALID;
    case 401:
    case 403:
        return ERR_DENIED;
    default:
        return a->status / 100 == 2 && !a->error.text[0] ? OK : ERR_IO;
    }
}

/* Turns the loop until there is an answer. ERR_CLOSED: it is to stop, and nothing of what is asked matters. */
static enum err turn(struct event_base *base, const struct kube_wish *wish, const struct asked *a,
                     struct why *why)
{
    struct event *tick = event_new(base, -1, EV_PERSIST, on_tick, NULL);
    struct timeval every = {0, STOP_EVERY_US};
    bool may_stop = wish->verb == KUBE_GET && wish->is_to_stop;
    enum err e =
        tick && event_add(tick, &every) == 0 ? OK : why_set(why, ERR_MEMORY, "out of memory");
    while (!e && !a->is_done) {
        if (event_base_loop(base, EVLOOP_ONCE) != 0)
            e = why_set(why, ERR_IO, "the event loop does not turn");
        else if (may_stop && !a->is_done && wish->is_to_stop(wish->arg))
            e = why_set(why, ERR_CLOSED, "interrupted");
    }
    if (tick)
        event_free(tick);
    return e;
}

enum err kube_wait(struct kube *k, const struct kube_wish *wish, struct kube_outcome *outcome,
                   struct why *why)
{
    struct asked a = {.outcome = outcome};
    struct kube_ask ask = {.verb = wish->verb,
                           .path = wish->path,
                           .body = wish->body,
                           .timeout_ms = wish->timeout_ms,
                           .done = on_answer,
                           .arg = &a};
    *outcome = (struct kube_outcome){NULL, false};
    struct kube_call *call = kube_start(k, &ask);
    if (!call)
        return why_set(why, ERR_MEMORY, "out of memory");
    enum err e = turn(kube_base(k), wish, &a, why);
    if (!a.is_done) {
        kube_cancel(call);
        return e;
    }
    e = err_of(&a);
    return e ? why_set(why, e, "%s", a.error.text) : OK;
}
