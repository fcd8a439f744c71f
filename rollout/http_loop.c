/* libcurl's multi handle on the event loop: it says which sockets and when, the loop waits for them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/http_call.h"

#include <event2/event.h>

/* Idle connections kept for the next call: guards descriptors, on both sides. */
#define IDLE_MAX 16L

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct http *h = arg;
    int running;
    (void)fd, (void)what;
    (void)curl_multi_socket_action(h->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    http_collect(h);
}

static int on_timer_change(CURLM *multi, long timeout_ms, void *arg)
{
    struct http *h = arg;
    struct timeval timeout = {timeout_ms / 1000, (timeout_ms % 1000) * 1000};
    (void)multi;
    return timeout_ms < 0 ? event_del(h->timer) : event_add(h->timer, &timeout);
}

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
    struct http *h = arg;
    int running;
    int ready = (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0);
    (void)curl_multi_socket_action(h->multi, fd, ready, &running);
    http_collect(h);
}

/* The event of a socket is what libcurl keeps with it. After -1 libcurl runs nothing until the
 * calls under way have ended, which their deadlines see to. */
static int on_socket_change(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_data)
{
    struct http *h = arg;
    struct event *event = socket_data;
    (void)easy;
    if (event)
        event_free(event);
    if (what == CURL_POLL_REMOVE)
        return 0;
    short flags = (short)((what & CURL_POLL_IN ? EV_READ : 0) |
                          (what & CURL_POLL_OUT ? EV_WRITE : 0) | EV_PERSIST);
    event = event_new(h->base, fd, flags, on_socket, h);
    if (event && event_add(event, NULL) < 0) {
        event_free(event);
        event = NULL;
    }
    (void)curl_multi_assign(h->multi, fd, event);
    return event ? 0 : -1;
}

static bool set_loop(struct http *h)
{
    return curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, on_socket_change) == CURLM_OK &&
           curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h) == CURLM_OK &&
           curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, on_timer_change) == CURLM_OK &&
           curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h) == CURLM_OK &&
           curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, IDLE_MAX) == CURLM_OK;
}

enum err http_loop_init(struct http *h)
{
    h->timer = evtimer_new(h->base, on_timer, h);
    h->multi = curl_multi_init();
    return h->timer && h->multi && set_loop(h) ? OK : ERR_MEMORY;
}

void http_loop_fini(struct http *h)
{
    if (h->multi)
        (void)curl_multi_cleanup(h->multi); /* may still use the timer */
    if (h->timer)
        event_free(h->timer);
}
