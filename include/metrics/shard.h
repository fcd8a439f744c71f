/* The cells that the data plane counts in: one writing thread each, summed by readers (totals.h).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_METRICS_SHARD_H
#define SERIN_METRICS_SHARD_H

#include "metrics/hist.h"
#include <stdatomic.h>
#include <stdint.h>

enum metric_role { ROLE_STABLE, ROLE_CANARY, ROLE_COUNT };

/* Why a request went to its version. */
enum metric_assigned {
    ASSIGNED_WEIGHT,
    ASSIGNED_STICKY,
    ASSIGNED_HEADER,
    ASSIGNED_COOKIE,
    ASSIGNED_COUNT
};

/* How an attempt on a version failed. REASON_5XX: it answered so by itself. */
enum metric_reason {
    REASON_CONNECT,   /* no connection: refused, unreachable, connect timeout counts as timeout */
    REASON_TIMEOUT,   /* connect, response head or response body too late */
    REASON_RESET,     /* closed or reset before the response was whole */
    REASON_MALFORMED, /* an answer that is not HTTP */
    REASON_REFUSED,   /* not even tried: no endpoint, a limit */
    REASON_5XX,
    REASON_COUNT
};

/* How a client failed (serin_client_errors_total). */
enum metric_client_error {
    CLIENT_ERROR_BAD_REQUEST, /* refused by the parser */
    CLIENT_ERROR_TIMEOUT,     /* head too late, or nothing moved for client_body */
    CLIENT_ERROR_ABORTED,     /* went away before its response was whole */
    CLIENT_ERROR_NO_ROUTE,
    CLIENT_ERROR_LIMIT,         /* limits.connections, once a stretch in which clients wait */
    CLIENT_ERROR_SLOW,          /* body sent, or response taken, below timeouts.min_rate */
    CLIENT_ERROR_PROXY_HEADER,  /* bad, late or missing where every connection begins with one */
    CLIENT_ERROR_UNTRUSTED,     /* who may not send one */
    CLIENT_ERROR_TLS_HANDSHAKE, /* refused by either side, or left */
    CLIENT_ERROR_TLS_TIMEOUT,   /* not over within client_header */
    CLIENT_ERROR_TLS_FLOOD,     /* of key updates, or of attempts to renegotiate */
    CLIENT_ERROR_COUNT
};

/* Whether a further attempt brought a response that the client could have. */
enum metric_retry_result { RETRY_OK, RETRY_FAILED, RETRY_RESULT_COUNT };

/* How a mirrored request ended on the canary: answered by a class of status, or as an attempt fails. */
enum metric_mirrored {
    MIRRORED_OK, /* below 400 */
    MIRRORED_4XX,
    MIRRORED_5XX,
    MIRRORED_CONNECT,
    MIRRORED_TIMEOUT,
    MIRRORED_RESET,
    MIRRORED_MALFORMED,
    MIRRORED_COUNT
};

/* Why a request that was chosen for the mirror was not copied. */
enum metric_mirror_skip {
    MIRROR_SKIP_BODY,        /* larger than what is kept, or never whole */
    MIRROR_SKIP_UNANSWERED,  /* the user left before stable had answered: nothing to compare with */
    MIRROR_SKIP_LIMIT,       /* too many copies under way; want of memory, descriptors or ports */
    MIRROR_SKIP_CONNECTIONS, /* the endpoint's connections are for users */
    MIRROR_SKIP_ENDPOINT,    /* none is available */
    MIRROR_SKIP_BREAKER,
    MIRROR_SKIP_DRAINING,
    MIRROR_SKIP_COUNT
};

/* How a TLS handshake with an endpoint ended. */
enum metric_handshake { HANDSHAKE_FULL, HANDSHAKE_RESUMED, HANDSHAKE_FAILED, HANDSHAKE_COUNT };

/* Which way a body goes. */
enum metric_direction { DIRECTION_REQUEST, DIRECTION_RESPONSE, DIRECTION_COUNT };

/* The codes of the IANA registry have a cell each; the others share one per class. */
#define CODE_CELLS 80
extern const uint8_t code_cell_table[600];

/* The code label of a cell: "200", for a shared one "2xx"; NULL for a cell that no code has. Cells
 * rise with their codes. Pure. */
const char *code_cell_text(unsigned cell);

/* Label values, never NULL for values below the _COUNT. Pure. */
const char *metric_role_text(enum metric_role role);
const char *metric_assigned_text(enum metric_assigned assigned);
const char *metric_reason_text(enum metric_reason reason);
const char *metric_client_error_text(enum metric_client_error error);
const char *metric_retry_result_text(enum metric_retry_result result);
const char *metric_mirrored_text(enum metric_mirrored result);
const char *metric_mirror_skip_text(enum metric_mirror_skip reason);
const char *metric_handshake_text(enum metric_handshake result);
const char *metric_direction_text(enum metric_direction direction);

/* The cell of a status code; anything outside 100..599 counts as the 5xx class. Pure. */
static inline unsigned code_cell(unsigned status)
{
    return code_cell_table[status < 600 ? status : 599];
}

typedef _Atomic uint64_t metric_cell;

/* Latency thresholds that a request is held against: one for each quantile that the judge compares. */
#define JUDGED_QUANTILES 3u

/* Copies of stable's requests that a canary got, one worker. */
struct mirror_cells {
    metric_cell results[MIRRORED_COUNT];
    metric_cell skipped[MIRROR_SKIP_COUNT];
    metric_cell inflight; /* gauge */
    /* What the judge reads: the copies that have ended, and by role how the very same requests
     * fared: on the canary, and before that on stable. */
    metric_cell pairs;
    metric_cell failed[ROLE_COUNT], client_errors[ROLE_COUNT];
    metric_cell slow[ROLE_COUNT][JUDGED_QUANTILES];
};

/* One version of one route, one worker. */
struct variant_cells {
    metric_cell requests[ROLE_COUNT][ASSIGNED_COUNT][CODE_CELLS];
    metric_cell errors[ROLE_COUNT][REASON_COUNT];
    /* What the judge reads: first attempts that were not forced by header or cookie
     * (metrics/totals.h). */
    metric_cell judged[ROLE_COUNT], judged_failed[ROLE_COUNT], judged_client_errors[ROLE_COUNT];
    /* whose age crossed the threshold of a quantile, answered or not */
    metric_cell judged_slow[ROLE_COUNT][JUDGED_QUANTILES];
    /* sticky only: requests of keys that had not failed, and first failures of keys */
    metric_cell key_requests[ROLE_COUNT], key_failed[ROLE_COUNT];
    metric_cell weighed
        [ROLE_COUNT];     /* requests that the weight alone assigned, at the moment when it did */
    metric_cell inflight; /* gauge: up and down by the same worker */
    /* gauges of the connections that requests for this version have opened */
    metric_cell upstream_open, upstream_idle, upstream_connecting;
    metric_cell tls_handshakes[HANDSHAKE_COUNT];
    metric_cell ejections; /* of its endpoints, by this worker */
    metric_cell tunnels;   /* the same: upgraded connections */
    struct mirror_cells mirror;
    struct hist duration[ROLE_COUNT];
};

/* One route, one worker: what clients saw. */
struct route_cells {
    metric_cell responses[CODE_CELLS];
    metric_cell retries[ROLE_COUNT][ROLE_COUNT]
                       [RETRY_RESULT_COUNT]; /* [role that failed][role asked instead] */
    metric_cell retries_refused;             /* for want of budget */
};

/* One listener, one worker. */
struct listener_cells {
    metric_cell connections;          /* accepted so far */
    metric_cell open;                 /* gauge */
    metric_cell tls_handshakes[2][2]; /* that succeeded: [of TLS 1.3, else 1.2][resumed] */
};

/* One worker, of no route. */
struct worker_cells {
    metric_cell client_errors[CLIENT_ERROR_COUNT];
    metric_cell
        accept_pauses; /* times that accepting stopped for want of descriptors or of limits.connections */
    metric_cell access_dropped; /* lines of the access log for which there was no room */
    metric_cell spliced_bytes[DIRECTION_COUNT]; /* of bodies that were not copied */
};

/* Adds to a cell that this thread alone writes. */
static inline void cell_add(metric_cell *c, uint64_t n)
{
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static inline void cell_sub(metric_cell *c, uint64_t n)
{
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) - n,
                          memory_order_relaxed);
}

static inline uint64_t cell_read(const metric_cell *c)
{
    return atomic_load_explicit((metric_cell *)(uintptr_t)c, memory_order_relaxed);
}

#endif
