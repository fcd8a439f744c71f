/* The open connections of the admin port: how many, and for how long each may go without a request.
 * evhttp itself bounds neither, and its timeouts start anew with every byte.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_ADMIN_CONNECTIONS_H
#define SERIN_PROXY_CONTROL_ADMIN_CONNECTIONS_H

#include "base/list.h"
#include <stdbool.h>
#include <stdint.h>

struct bufferevent;
struct evconnlistener;
struct evhttp;

struct admin_connections {
    struct list open; /* of struct admin_connection */
    struct evconnlistener *listener;
    uint32_t count, deadline_ms;
    bool is_full;    /* accepting rests until a connection closes */
    bool is_resting; /* or until its owner wants it again */
};

/* Hooks into an evhttp before its first connection; its listener must be the given one. */
void admin_connections_init(struct admin_connections *c, struct evhttp *http,
                            struct evconnlistener *listener, uint32_t deadline_ms);

/* Stops accepting, or goes on where there is room; connections that are open stay. */
void admin_connections_rest(struct admin_connections *c, bool rests);

/* A request has come in whole: its connection gets a new deadline; streams: none at all. O(count).
 */
void admin_connections_note(struct admin_connections *c, const struct bufferevent *bev,
                            bool streams);

/* Ends a connection whose peer does not keep up, unsent bytes and all: evhttp sees the end of the
 * stream in a later turn and frees it, the kernel then resets it. Safe within any callback. */
void admin_connection_cut(struct bufferevent *bev);

/* Closes those whose deadline has passed and forgets those that are closed. Call it a few times a
 * second. O(count). */
void admin_connections_sweep(struct admin_connections *c);

/* Forgets all; the evhttp must have been freed before. */
void admin_connections_fini(struct admin_connections *c);

#endif
