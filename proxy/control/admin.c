/* The admin port: puts socket, evhttp, rules and resources together.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/admin.h"
#include "proxy/control/admin_api.h"
#include "proxy/control/admin_socket.h"

#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <stdlib.h>
#include <unistd.h>

/* The largest head and body that a request may have: a verb needs a few hundred bytes. */
#define HEAD_MAX_BYTES 8192
#define BODY_MAX_BYTES 4096
/* From accept or a request to the end of the next: evicts clients that send or read slowly. */
#define DEADLINE_DEFAULT_MS 30000u
/* How often deadlines are looked at. */
#define SWEEP_MS 500u

struct admin {
    struct admin_api api;
    struct admin_socket socket;
    struct evhttp *http;
    struct event *sweep;
    char *token;
};

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
    struct admin *a = arg;
    (void)fd, (void)what;
    admin_connections_sweep(&a->api.connections);
    admin_events_sweep(&a->api.events);
}

/* "127.0.0.1:9900" without its port. */
static struct slice host_of(const char *address)
{
    const char *colon = strrchr(address, ':');
    return slice_of(address, colon ? (size_t)(colon - address) : strlen(address));
}

static enum err check_token(const struct admin_setup *setup, const struct admin_socket *s,
                            struct why *why)
{
    if (setup->token && !setup->token[0])
        return why_set(why, ERR_INVALID, "the admin token is empty");
    if (!setup->token && !s->is_local)
        return why_set(why, ERR_INVALID,
                       "admin.bind %s can be reached by others and needs admin.token_file",
                       setup->bind);
    return OK;
}

/* The listener owns the socket from here on. */
static enum err listen_with_evhttp(struct admin *a, struct event_base *base, uint32_t deadline_ms)
{
    a->http = evhttp_new(base);
    struct evconnlistener *listener = evconnlistener_new(
        base, NULL, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, a->socket.fd);
    if (!a->http || !listener || !evhttp_bind_listener(a->http, listener)) {
        if (listener) {
            evconnlistener_free(listener);
            a->socket.fd = -1;
        }
        return ERR_MEMORY;
    }
    a->socket.fd = -1;
    evhttp_set_max_headers_size(a->http, HEAD_MAX_BYTES);
    evhttp_set_max_body_size(a->http, BODY_MAX_BYTES);
    evhttp_set_allowed_methods(a->http, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_HEAD |
                                            EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE |
                                            EVHTTP_REQ_OPTIONS | EVHTTP_REQ_PATCH);
    evhttp_set_gencb(a->http, admin_api_on_request, &a->api);
    admin_connections_init(&a->api.connections, a->http, listener, deadline_ms);
    return OK;
}

static enum err start_sweeping(struct admin *a, struct event_base *base, uint32_t deadline_ms)
{
    uint32_t sweep_ms = deadline_ms < SWEEP_MS ? deadline_ms : SWEEP_MS;
    struct timeval interval = {sweep_ms / 1000, (suseconds_t)(sweep_ms % 1000) * 1000};
    a->sweep = event_new(base, -1, EV_PERSIST, on_sweep, a);
    return a->sweep && event_add(a->sweep, &interval) == 0 ? OK : ERR_MEMORY;
}

static enum err open_socket(const struct admin_setup *setup, struct admin_socket *s,
                            struct why *why)
{
    return setup->given ? admin_socket_take(setup->bind, setup->given, s, why)
                        : admin_socket_open(setup->bind, s, why);
}

struct admin *admin_start(struct event_base *base, const struct admin_setup *setup,
                          const struct admin_host *host, struct why *why)
{
    uint32_t deadline_ms = setup->deadline_ms ? setup->deadline_ms : DEADLINE_DEFAULT_MS;
    struct admin *a = calloc(1, sizeof *a);
    if (!a) {
        (void)why_set(why, ERR_MEMORY, "out of memory");
        return NULL; /* the process ends, and what was given with it */
    }
    a->socket.fd = -1;
    list_init(&a->api.connections.open);
    admin_events_init(&a->api.events);
    a->api.host = *host;
    a->token = setup->token ? strdup(setup->token) : NULL;
    if (open_socket(setup, &a->socket, why) || check_token(setup, &a->socket, why)) {
        admin_stop(a);
        return NULL;
    }
    a->api.guard = (struct admin_guard){.is_unix = a->socket.is_unix,
                                        .is_local = a->socket.is_local,
                                        .host = host_of(a->socket.address),
                                        .token = a->token};
    if ((setup->token && !a->token) || listen_with_evhttp(a, base, deadline_ms) ||
        start_sweeping(a, base, deadline_ms)) {
        (void)why_set(why, ERR_MEMORY, "no memory for the admin port");
        admin_stop(a);
        return NULL;
    }
    return a;
}

const char *admin_address(const struct admin *a)
{
    return a->socket.address;
}

int admin_fd(const struct admin *a, struct unix_file *file)
{
    *file = a->socket.file;
    return evconnlistener_get_fd(a->api.connections.listener);
}

void admin_rest(struct admin *a, bool rests)
{
    admin_connections_rest(&a->api.connections, rests);
}

void admin_forget_file(struct admin *a)
{
    a->socket.file.path[0] = '\0';
}

void admin_own_file(struct admin *a)
{
    a->socket.file.is_lent = false;
}

void admin_publish(struct admin *a, const char *name, const char *json)
{
    admin_events_publish(&a->api.events, name, json);
}

bool admin_is_followed(const struct admin *a)
{
    return a->api.events.count > 0;
}

void admin_stop(struct admin *a)
{
    if (!a)
        return;
    if (a->sweep)
        event_free(a->sweep);
    admin_socket_remove(&a->socket);
    if (a->http)
        evhttp_free(a->http); /* with its listener and connections */
    admin_connections_fini(&a->api.connections);
    if (a->socket.fd >= 0)
        close(a->socket.fd);
    free(a->token);
    free(a);
}
