/* One request through the proxy: from its parsed head to its one end, which counts it.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_FLOW_EXCHANGE_H
#define SERIN_PROXY_FLOW_EXCHANGE_H

#include "proxy/flow/client.h"
#include "proxy/flow/mirror.h"
#include "proxy/flow/pace.h"
#include "proxy/http/body.h"
#include "proxy/upstream/room.h"

#define EXCHANGE_ARENA_CEILING (128u << 10) /* a head and a body kept for one more attempt */
#define EXCHANGE_FIRST_BYTES   3520u /* the head of a browser fits, with its cookies: no malloc */
#define EXCHANGE_REPLAY_MAX                                                                        \
    (64u << 10) /* request body kept for another attempt; larger ones are sent once */

#define STATUS_CLIENT_GONE                                                                         \
    499 /* the code of a request whose client left before its response head */

enum exchange_state {
    EXCHANGE_ROUTE,   /* route, version and endpoint are being chosen */
    EXCHANGE_CONNECT, /* a connection is under way */
    EXCHANGE_SEND,    /* the request goes out */
    EXCHANGE_WAIT,    /* the request is out, the response head is awaited */
    EXCHANGE_REPLY,   /* the response goes down */
    EXCHANGE_END,
};

/* Why an exchange ended; exactly one per request. */
enum exchange_end {
    END_DONE,        /* the response was handed over whole */
    END_REPLIED,     /* the proxy answered by itself */
    END_CLIENT_GONE, /* the client closed */
    END_CLIENT_CUT, /* the client was too slow or sent nonsense after the head had gone down: reset */
    END_UPSTREAM_CUT, /* the upstream failed after its head had gone down: the client must see that the rest is missing */
    END_UPGRADED, /* both connections are a tunnel's from now on */
};

/* The attempt on one version that is now under way. */
struct attempt {
    const struct route_variant *variant;
    struct variant_cells *cells;
    uint32_t endpoint;   /* number within the variant */
    int64_t start_us;    /* when it began */
    uint8_t failed_role; /* enum metric_role of the attempt before it, where there was one */
    bool is_canary;
    bool is_trial;   /* the breaker's one trial request */
    bool is_open;    /* in flight: not settled yet */
    bool is_counted; /* its outcome is: a stream's is that of its head */
    bool was_stale;  /* sent again because an idle connection had closed under it */
    bool got_bytes;  /* something of a response has come */
    bool
        is_judged; /* counted as a request for the judge; before its end where it is slow already */
    uint8_t slow;  /* bit i: counted as slower than the threshold of quantile i */
};

struct access_line;

struct exchange {
    struct client *client; /* the exchange never outlives it */
    struct flow *flow;
    struct world *world;
    const struct route *route; /* NULL where none matched */
    struct route_place *place;
    struct upstream_conn *up;
    struct upstream_waiter waiter; /* in the queue of its endpoint */
    struct quota *pending;         /* that counts it while it waits for a connection, or NULL */
    struct exchange *next_spare;
    struct list link; /* flow->exchanges */
    struct attempt attempt;
    struct wheel_entry timer;
    int64_t start_us, total_deadline_ms, connect_until_ms;
    int64_t head_us;               /* the final response head was whole; 0 before */
    struct mirror_side stable_did; /* where is_mirrored: the outcome of the first attempt */
    uint64_t key_hash;             /* of its sticky key, where it was assigned by one */
    uint64_t balance_hash;         /* balance: hash: of what its endpoint is chosen by */
    uint8_t state;                 /* enum exchange_state */
    uint8_t assigned;              /* enum metric_assigned */
    uint8_t method, minor;         /* of the request */
    uint8_t tries;                 /* retries made */
    uint8_t n_interim;             /* 1xx passed on */
    bool keep_alive;               /* what the client asked for */
    bool send_failed;     /* the upstream took no more of the request; its answer may still come */
    bool down_chunked;    /* the response body is framed in chunks towards the client */
    bool head_down;       /* a final response head went to the client */
    bool down_keep_alive; /* what that head said */
    bool up_keep_alive;   /* what the upstream's head said */
    bool is_replayable;   /* replay holds the whole body so far */
    bool
        is_lent; /* until exchange_start is over: the first of the body is sent from where it was read */
    bool is_upgrade;       /* it asks for another protocol: the only one that a 101 may answer */
    bool expects_continue; /* the client asked whether it may send the body */
    bool is_mirrored;      /* chosen: the canary gets a copy when this one has ended */
    uint16_t status;       /* of the attempt's response; in the end what the client got */
    struct body request_body, response_body;
    uint64_t body_bytes;     /* decoded request body so far: limits.body_bytes */
    uint64_t body_received;  /* the same as it came, framing included */
    struct pace pace;        /* of the request body */
    struct slice head_out;   /* the rewritten request head */
    struct slice set_cookie; /* of a sticky cookie to issue; len 0 = none */
    struct slice request_id; /* the client's own or ours; len 0 = headers.request_id is off */
    struct slice
        lent;     /* where is_lent: body that came with the head, in the buffer where it was read */
    char *replay; /* framed body bytes; freed when the body outgrows EXCHANGE_REPLAY_MAX */
    uint32_t replay_len, replay_room;
    struct held held;           /* partial response head */
    uint64_t body_sent;         /* bytes of the response's body for the client, without framing */
    const char *why;            /* what went wrong, one word for the access log; NULL = nothing */
    struct access_line *access; /* in the arena; NULL where no line is to be written */
    struct arena arena;
    _Alignas(ARENA_ALIGN) char first[EXCHANGE_FIRST_BYTES];
};

/* Begins the exchange of the request whose head is f->head over buf[0, head_len). Takes what belongs to its body
 * from the bytes behind (up to len) and returns how many bytes of buf it has used. It may have ended on return.
 * Every failure is answered to the client. */
size_t exchange_start(struct client *c, char *buf, size_t head_len, size_t len);

/* True while more of the request body is to come from the client. */
bool exchange_wants_body(const struct exchange *x);

/* More of the request body has come: returns how many bytes belonged to it. The exchange may have ended. */
size_t exchange_on_body(struct exchange *x, char *buf, size_t len);

/* The client has taken everything that waited. */
void exchange_on_client_drained(struct exchange *x);

/* The client sends nothing more. is_orderly: it has closed its side at least. Once a response goes down it goes on, until
 * it is whole or the client takes no more; before that a client that leaves takes its request back. */
void exchange_on_client_end(struct exchange *x, bool is_orderly);

/* The client closed or broke (CLIENT_ERROR_ABORTED), or was too slow (_TIMEOUT, _SLOW; answered 408 where nothing went
 * down yet, else cut). */
void exchange_on_client_gone(struct exchange *x, enum metric_client_error why);

/* For flow_init. */
extern const struct upstream_events exchange_events;

/* --- between the files of flow/ (exchange, attempt, pump) --- */

/* The only move of state. */
void exchange_goto(struct exchange *x, enum exchange_state next);

/* The only end: settles what is open, lets go of everything, tells the client. x is gone on return. */
void exchange_end(struct exchange *x, enum exchange_end why);

/* Sets the deadline of what the exchange awaits of its upstream, from now; 0 = nothing but the request's own. */
void exchange_deadline(struct exchange *x, uint32_t in_ms);

/* Answers an error by itself and ends. x is gone on return. */
void exchange_reply(struct exchange *x, unsigned status);

#endif
