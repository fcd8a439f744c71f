/* The open connections of the admin port: how many, and for how long each may go without a request.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/admin_connections.h"

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

/* Bounds the descriptors that the admin port can take from the data plane. */
#define ADMIN_CONNECTIONS_MAX 64u

/* evhttp tells nobody that a connection closed before its first request. So each bufferevent is
 * held by a reference of our own: once evhttp has let go of it, its callbacks are gone, and the
 * next sweep drops the last reference. The peer has seen the end by then: evhttp shuts the socket
 * down. */
struct admin_connection {
    struct list link;
    struct bufferevent *bev;
    int64_t deadline_ms; /* INT64_MAX = none */
};

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static struct admin_connection *connection_of(struct list *node)
{
    return CONTAINER_OF(node, struct admin_connection, link);
}

static void update_listener(struct admin_connections *c)
{
    c->is_full = c->count >= ADMIN_CONNECTIONS_MAX;
    if (c->is_full || c->is_resting)
        evconnlistener_disable(c->listener);
    else
        evconnlistener_enable(c->listener);
}

static struct bufferevent *on_connection(struct event_base *base, void *arg)
{
    struct admin_connections *c = arg;
    struct bufferevent *bev = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
    struct admin_connection *connection = malloc(sizeof *connection);
    if (!bev || !connection) {
        free(connection);
        return bev; /* evhttp goes on with its own, or this untracked one */
    }
    *connection = (struct admin_connection){.bev = bev, .deadline_ms = now_ms() + c->deadline_ms};
    bufferevent_incref(bev);
    list_push_back(&c->open, &connection->link);
    c->count++;
    update_listener(c);
    return bev;
}

/* Out of descriptors: the listening socket stays readable, and trying again at once would spin. The
 * next sweep tries again. arg is evhttp's, not ours. */
static void on_accept_error(struct evconnlistener *listener, void *arg)
{
    (void)arg;
    evconnlistener_disable(listener);
}

void admin_connections_init(struct admin_connections *c, struct evhttp *http,
                            struct evconnlistener *listener, uint32_t deadline_ms)
{
    *c = (struct admin_connections){.listener = listener, .deadline_ms = deadline_ms};
    list_init(&c->open);
    evhttp_set_bevcb(http, on_connection, c);
    evconnlistener_set_error_cb(listener, on_accept_error);
}

void admin_connections_rest(struct admin_connections *c, bool rests)
{
    c->is_resting = rests;
    update_listener(c);
}

void admin_connections_note(struct admin_connections *c, const struct bufferevent *bev,
                            bool streams)
{
    for (struct list *node = c->open.next; node != &c->open; node = node->next) {
        struct admin_connection *connection = connection_of(node);
        if (connection->bev == bev) {
            connection->deadline_ms = streams ? INT64_MAX : now_ms() + c->deadline_ms;
            return;
        }
    }
}

void admin_connection_cut(struct bufferevent *bev)
{
    evutil_socket_t fd = bufferevent_getfd(bev);
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    (void)shutdown(fd, SHUT_RDWR);
}

static bool is_let_go(struct admin_connection *connection)
{
    void *owner = NULL;
    bufferevent_getcb(connection->bev, NULL, NULL, NULL, &owner);
    return owner == NULL;
}

static void forget(struct admin_connections *c, struct admin_connection *connection)
{
    list_remove(&connection->link);
    bufferevent_decref(connection->bev);
    free(connection);
    c->count--;
}

void admin_connections_sweep(struct admin_connections *c)
{
    int64_t now = now_ms();
    for (struct list *node = c->open.next, *next; node != &c->open; node = next) {
        struct admin_connection *connection = connection_of(node);
        next = node->next;
        if (is_let_go(connection))
            forget(c, connection);
        else if (now >= connection->deadline_ms)
            admin_connection_cut(connection->bev);
    }
    update_listener(c);
}

void admin_connections_fini(struct admin_connections *c)
{
    while (!list_empty(&c->open))
        forget(c, connection_of(c->open.next));
}
