/* One HTTP/1 client connection: awaits heads, hands each request to an exchange, and closes without losing a reply.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_FLOW_CLIENT_H
#define SERIN_PROXY_FLOW_CLIENT_H

#include "proxy/flow/ctx.h"
#include "proxy/flow/held.h"
#include "proxy/flow/pace.h"

#define CLIENT_PEER_MAX                                                                            \
    39 /* the longest IPv6 address in text; one with an IPv4 tail is written shorter (wire_addr_host) */
#define CLIENT_PEER_V4_MAX 15 /* the longest IPv4 address, or that there is none (UNIX sockets) */

enum client_state {
    CLIENT_ORIGIN,    /* a balancer is yet to say who it is (proxy/flow/origin.h) */
    CLIENT_HANDSHAKE, /* of TLS (proxy/flow/handshake.h) */
    CLIENT_READY,     /* awaits a head, or holds a part of one */
    CLIENT_BUSY,      /* an exchange runs */
    CLIENT_TUNNEL,    /* an upgraded connection: every byte is the tunnel's */
    CLIENT_FLUSH,     /* the last bytes of a response wait for the kernel */
    CLIENT_LINGER, /* nothing more is sent; input is thrown away until the peer closes, so that no reset eats the reply */
    CLIENT_DEAD,
};

/* What follows a response. */
enum client_next {
    CLIENT_NEXT_REQUEST, /* the connection stays open */
    CLIENT_NEXT_CLOSE,   /* the client asked for it and should have sent all that it will */
    CLIENT_NEXT_LINGER,  /* closed by our choice, or with input unread: see CLIENT_LINGER */
};

struct client {
    struct stream stream;
    struct flow *flow;
    struct exchange *exchange; /* while busy */
    struct tunnel *tunnel;     /* while it is one's */
    struct listener_cells *listener;
    union {
        struct list link;   /* flow->clients */
        struct grave grave; /* once dead */
    };
    struct wheel_entry timer;
    union {
        struct list waiting; /* within the handshake: flow->handshakes.waiting */
        struct pace pace;    /* then: how it takes its responses */
    };
    struct held held;
    char *subject;    /* of its verified certificate (proxy/flow/subject.h); NULL = none */
    int64_t until_ms; /* the idle time, the head's or the lingering is over */
    uint32_t n_requests;
    uint8_t state;          /* enum client_state */
    uint8_t next;           /* enum client_next, once a response is handed over */
    bool was_large;         /* its last request (proxy/flow/splice.h) */
    bool has_partial_head;  /* the header deadline runs, not the idle one */
    bool has_address;       /* false: it came over a UNIX socket */
    bool has_ended;         /* sends nothing more; its response still goes down */
    bool is_subject_known;  /* it has been asked for */
    uint8_t listener_index; /* among those of the configuration */
    uint8_t peer_len, peer_room;
    char peer[]; /* the address without port: the peer's, or what a PROXY header says */
};

/* Takes an accepted nonblocking socket and begins to read. peer: its address. listener_index: of the listener that it came
 * over, among those of the configuration; its cells are counted by the client from here on. False when memory is short: the
 * fd stays with the caller. */
bool client_accept(struct flow *f, int fd, const struct wire_addr *peer, unsigned listener_index,
                   struct listener_cells *listener);

static inline struct slice client_peer(const struct client *c)
{
    return slice_of(c->peer, c->peer_len);
}

/* TLS is established, and the client ready. n: what stream_recv gave with it into flow->in. */
void client_on_handshake_done(struct client *c, ssize_t n);

/* The exchange has handed over its whole response and is gone; or the tunnel is. */
void client_response_done(struct client *c, enum client_next next);

/* False: this response is the last one on the connection (draining, limits.requests_per_connection). */
bool client_may_continue(const struct client *c);

/* Cuts the connection now. is_broken: a response was begun and must not look whole, so the peer sees a reset. */
void client_abort(struct client *c, bool is_broken);

/* Closes it at once, with no request under way; nothing happens where it is closed. It is buried. */
void client_hang_up(struct client *c);

/* Keeps input that came before its time (pipelined requests); reading rests until they are served. */
void client_read_ahead(struct client *c, const char *bytes, size_t len);

/* Begins to drain: closed once it has been idle for flow->drain_idle_ms, after its response if busy; a tunnel near the end
 * of its time. Repeated calls change nothing where the times are the same. */
void client_drain(struct client *c);

#endif
