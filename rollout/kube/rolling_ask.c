/* One question of a rolling update to the API server: bounded by the update's own timeout, and a signal ends a read at
 * once. A write is waited for: its outcome matters.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/kube/client.h"
#include "rollout/kube/rolling.h"

#include <cjson/cJSON.h>
#include <event2/event.h>
#include <string.h>

#define STOP_EVERY_US 100000 /* how long a signal waits for a look */

struct asked {
    bool is_done, is_unknown;
    unsigned status;
    cJSON *json;
    struct why error;
};

static void on_answer(void *arg, const struct kube_answer *answer)
{
    struct asked *a = arg;
    a->is_done = true;
    a->is_unknown = answer->is_unknown;
    a->status = answer->status;
    a->json = answer->json ? cJSON_Duplicate(answer->json, true) : NULL;
    (void)why_set(&a->error, OK, "%s", answer->error);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg; /* the loop turns, which is all */
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
static enum err wait_for(struct rolling *r, struct asked *a, bool is_read, struct why *why)
{
    struct event_base *base = kube_base(r->kube);
    struct event *tick = event_new(base, -1, EV_PERSIST, on_tick, NULL);
    struct timeval every = {0, STOP_EVERY_US};
    enum err e = tick && event_add(tick, &every) == 0 ? OK : ERR_MEMORY;
    while (!e && !a->is_done) {
        if (event_base_loop(base, EVLOOP_ONCE) != 0)
            e = why_set(why, ERR_IO, "the event loop failed");
        else if (is_read && !a->is_done && r->wait(r->wait_arg, 0))
            e = why_set(why, ERR_CLOSED, "interrupted");
    }
    if (tick)
        event_free(tick);
    return e;
}

enum err rolling_ask(struct rolling *r, enum kube_verb verb, const char *path,
                     const struct cJSON *body, struct cJSON **json, bool *is_unknown,
                     struct why *why)
{
    struct asked a = {.is_done = false};
    uint32_t timeout_ms = r->o->timeout_ms < KUBE_TIMEOUT_MS ? r->o->timeout_ms : KUBE_TIMEOUT_MS;
    struct kube_ask ask = {.verb = verb,
                           .path = path,
                           .body = body,
                           .timeout_ms = timeout_ms,
                           .done = on_answer,
                           .arg = &a};
    struct kube_call *call = kube_start(r->kube, &ask);
    if (!call)
        return why_set(why, ERR_MEMORY, "out of memory");
    enum err e = wait_for(r, &a, verb == KUBE_GET, why);
    if (e && !a.is_done)
        kube_cancel(call);
    if (!e)
        e = err_of(&a);
    if (e && a.is_done)
        (void)why_set(why, e, "%s", a.error.text);
    if (is_unknown)
        *is_unknown = a.is_unknown;
    if (json && !e)
        *json = a.json;
    else
        cJSON_Delete(a.json);
    return e;
}
