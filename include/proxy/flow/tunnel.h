/* An upgraded connection: bytes both ways until an end, in no request any more. It holds its two connections and the cells
 * of its version, which live as long as the process, but no snapshot: one that stays open for days pins no memory of what
 * was in force when it began.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_FLOW_TUNNEL_H
#define SERIN_PROXY_FLOW_TUNNEL_H

#include "proxy/flow/client.h"
#include "proxy/http/rewrite.h"

/* Thousands of clients whose tunnels are closed must not connect anew in the same millisecond: the closings are spread
 * over this part of timeouts.drain. */
#define TUNNEL_SPREAD 8u

struct access_tunnel;
struct exchange;

struct tunnel {
    struct client *client;
    struct upstream_conn *up; /* its pool is held */
    const struct route_metrics *route;
    const struct variant_metrics *version; /* these two are the identity over snapshots */
    uint32_t route_at;                     /* where the route stood in the last snapshot */
    bool up_done;                          /* nothing more comes for the upstream ... */
    bool down_done;                        /* ... for the client; told once what waits is out */
    struct list link;                      /* flow->tunnels */
    struct wheel_entry timer;
    struct grave grave;
    struct access_tunnel *access; /* its line in the access log, or NULL */
    uint64_t bytes_down;          /* that went to the client */
    const char *why;              /* it was closed by us, one word; NULL = it ended by itself */
    uint8_t request_id_len;
    char request_id[REQUEST_ID_MAX]; /* of the request that it was */
    int64_t active_ms;               /* when bytes last moved */
    int64_t
        close_at_ms; /* its version serves no more, or the process stops; WHEEL_NEVER = neither */
};

/* Makes what tunnel_start needs, while the exchange can still fail. NULL when memory is short; else it is handed to
 * tunnel_start. */
struct tunnel *tunnel_new(const struct exchange *x);

/* The exchange has sent its 101 down, with what came behind it: ends the exchange, takes its client and its upstream
 * connection, and begins with what the client had sent too early. */
void tunnel_start(struct tunnel *t, struct exchange *x);

/* Ends it now. is_client_gone: the client's connection is broken; else what waits for it still goes down. t is buried. */
void tunnel_end(struct tunnel *t, bool is_client_gone);

/* Events of the client's connection. t may be gone on return. */
void tunnel_on_client_readable(struct tunnel *t);
void tunnel_on_client_writable(struct tunnel *t);

/* The process stops: closes the tunnel before flow->tunnels_until_ms, early enough for an orderly end on both sides. Calls
 * after the first change nothing. */
void tunnel_drain(struct tunnel *t);

/* A snapshot was adopted: those whose version serves nobody in it are closed timeouts.drain from now, unless a later
 * snapshot lets it serve again before. O(tunnels). */
void tunnels_review(struct flow *f);

#endif
