/* Server-sent events of the admin port (HTML living standard, section 9.2): who follows, and what
 * they get.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/admin_events.h"
#include "base/log.h"
#include "base/slice.h"
#include "proxy/control/admin_connections.h"
#include "proxy/control/admin_reply.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <stdlib.h>

/* Each follower holds a connection for as long as it likes; the others need some too. */
#define FOLLOWERS_MAX 16u
/* Bounds the memory that a client can hold by not reading: minutes of ticks. */
#define UNSENT_MAX_BYTES (256u * 1024u)
/* Sweeps without an event until a comment is sent: 15 s at two a second. */
#define QUIET_SWEEPS_MAX 30u

struct admin_follower {
    struct list link;
    struct admin_events *events;
    struct evhttp_request *req;
    bool is_dropped; /* its socket is shut; evhttp has not noticed yet */
};

static struct admin_follower *follower_of(struct list *node)
{
    return CONTAINER_OF(node, struct admin_follower, link);
}

void admin_events_init(struct admin_events *e)
{
    *e = (struct admin_events){0};
    list_init(&e->followers);
}

/* evhttp frees the connection after this. The request goes with it at the end of the server; after
 * a failed read or write evhttp has parted it from the connection, and it is ours to free. */
static void on_follower_closed(struct evhttp_connection *connection, void *arg)
{
    struct admin_follower *f = arg;
    (void)connection;
    if (!evhttp_request_get_connection(f->req))
        evhttp_request_free(f->req);
    list_remove(&f->link);
    f->events->count--;
    free(f);
}

enum err admin_events_follow(struct admin_events *e, struct evhttp_request *req)
{
    if (e->count >= FOLLOWERS_MAX)
        return ERR_LIMIT;
    struct evbuffer *hello = evbuffer_new();
    struct admin_follower *f = malloc(sizeof *f);
    if (!hello || !f) {
        free(f);
        if (hello)
            evbuffer_free(hello);
        return ERR_MEMORY;
    }
    *f = (struct admin_follower){.events = e, .req = req};
    list_push_back(&e->followers, &f->link);
    e->count++;

    struct evhttp_connection *connection = evhttp_request_get_connection(req);
    evhttp_connection_set_closecb(connection, on_follower_closed, f);
    admin_reply_guard(req, "text/event-stream");
    evhttp_send_reply_start(req, 200, "OK");
    /* A stream is quiet by nature; the bound on unsent bytes stands in for a timeout. */
    bufferevent_set_timeouts(evhttp_connection_get_bufferevent(connection), NULL, NULL);
    evbuffer_add_printf(hello, "retry: 1000\n\n");
    evhttp_send_reply_chunk(req, hello);
    evbuffer_free(hello);
    return OK;
}

/* The connection must not be freed here: the event may come from within one of its callbacks. */
static void drop(struct admin_follower *f, struct bufferevent *bev)
{
    f->is_dropped = true;
    admin_connection_cut(bev);
    log_info("admin_follower_dropped", "why=\"more than %u bytes unsent\"", UNSENT_MAX_BYTES);
}

static void send_to_all(struct admin_events *e, struct evbuffer *text)
{
    e->quiet_sweeps = 0;
    for (struct list *node = e->followers.next; node != &e->followers; node = node->next) {
        struct admin_follower *f = follower_of(node);
        struct bufferevent *bev =
            evhttp_connection_get_bufferevent(evhttp_request_get_connection(f->req));
        if (f->is_dropped)
            continue;
        if (evbuffer_get_length(bufferevent_get_output(bev)) > UNSENT_MAX_BYTES) {
            drop(f, bev);
            continue;
        }
        struct evbuffer *copy = evbuffer_new(); /* sending drains it */
        if (!copy)
            return;
        if (evbuffer_add_buffer_reference(copy, text) == 0)
            evhttp_send_reply_chunk(f->req, copy);
        evbuffer_free(copy);
    }
}

void admin_events_publish(struct admin_events *e, const char *name, const char *json)
{
    if (e->count == 0)
        return;
    struct evbuffer *text = evbuffer_new();
    if (!text)
        return;
    evbuffer_add_printf(text, "event: %s\n", name);
    struct slice line, rest = slice_str(json);
    bool is_more;
    do { /* a line break inside a field would end it */
        is_more = slice_cut(rest, '\n', &line, &rest);
        evbuffer_add_printf(text, "data: %.*s\n", SLICE_ARG(line));
    } while (is_more);
    evbuffer_add(text, "\n", 1);
    send_to_all(e, text);
    evbuffer_free(text);
}

void admin_events_sweep(struct admin_events *e)
{
    if (e->count == 0 || ++e->quiet_sweeps < QUIET_SWEEPS_MAX)
        return;
    struct evbuffer *comment = evbuffer_new();
    if (!comment)
        return;
    evbuffer_add(comment, ":\n\n", 3);
    send_to_all(e, comment);
    evbuffer_free(comment);
}
