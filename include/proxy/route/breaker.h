/* The data plane's own reflex on the canary's error rate: weight 0 within one request of the threshold, then a
 * trickle that finds out whether it is over. Needs no controller. Pure: time comes in as a value.
 * The success path writes cells of its own worker only; the failure path sums them all.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_ROUTE_BREAKER_H
#define SERIN_PROXY_ROUTE_BREAKER_H

#include "proxy/conf/config.h"
#include <stdatomic.h>

#define BREAKER_SLOTS                                                                              \
    16u /* slices of the window: one slot is the resolution with which old requests leave it */
#define BREAKER_TRICKLE 5u /* trial requests per retry_after */

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_TRICKLING };

/* One worker's requests in one slice of time. One writer; readers of other workers see it a moment later. */
struct breaker_slot {
    _Atomic uint64_t epoch;
    _Atomic uint32_t requests, failed;
};

struct breaker_cells {
    _Alignas(64) struct breaker_slot slots[BREAKER_SLOTS];
};

/* One per route; outlives snapshots. Every field but cells is written on the failure path or while not closed. */
struct breaker {
    _Atomic uint32_t state;                    /* enum breaker_state */
    _Atomic uint32_t failed_trickles;          /* since it last was closed */
    _Atomic uint32_t trickle_used, trickle_ok; /* trial requests of the present period */
    _Atomic uint32_t in_flight;                /* trial requests now on their way: at most one */
    _Atomic int64_t
        retry_at_us;         /* open: when the trickle begins; trickling: when its period ends */
    _Atomic uint64_t opened; /* times that it opened, for the log and the metrics */
    unsigned workers;
    struct breaker_cells *cells; /* [worker] */
};

/* What a request may do on the canary. */
enum breaker_pass {
    BREAKER_PASS,   /* go ahead */
    BREAKER_TRIAL,  /* go ahead as the one trial request; tell the outcome by breaker_trial_end */
    BREAKER_REFUSE, /* stable takes it */
};

/* NULL when memory is short. */
struct breaker *breaker_new(unsigned workers);
void breaker_free(struct breaker *b);

/* True while nothing but trials passes. For requests that may not be one: to ask takes a trial. Any worker. One relaxed
 * load while closed. */
bool breaker_is_open(struct breaker *b, const struct config_breaker *conf);

/* Asks for one canary request. Any worker. One relaxed load while closed. */
enum breaker_pass breaker_ask(struct breaker *b, const struct config_breaker *conf, int64_t now_us);

/* Notes the outcome of one canary request of a worker, not of a trial. The failure that reaches the threshold opens
 * the breaker before this returns: true then, once. */
bool breaker_note(struct breaker *b, const struct config_breaker *conf, unsigned worker,
                  bool failed, int64_t now_us);

/* The outcome of the trial request: ok, failed, or neither (the client went away). */
enum breaker_trial { TRIAL_OK, TRIAL_FAILED, TRIAL_VOID };
void breaker_trial_end(struct breaker *b, const struct config_breaker *conf,
                       enum breaker_trial outcome, int64_t now_us);

/* Forgets everything: another canary. Control thread. */
void breaker_reset(struct breaker *b);

#endif
