/* One thread of the data plane: its own event base, listeners, pools and cells; nothing is shared but the mailbox.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_WORKER_WORKER_H
#define SERIN_PROXY_WORKER_WORKER_H

#include "proxy/flow/ctx.h"
#include "proxy/worker/listener.h"

struct worker;

struct worker_setup {
    unsigned index, count;
    const struct split_order *order; /* these three outlive the worker */
    struct flow_shared *shared;
    struct worker_cells *cells;
    struct access_ring *access; /* its own; outlives the worker too */
    const int *fds; /* [n_listeners] this worker's sockets; ownership moves in on success */
    const unsigned *indices; /* [n_listeners] of each socket's listener in the configuration */
    struct listener_cells *const *listeners; /* [n_listeners] */
    unsigned n_listeners;
    struct snapshot *snapshot; /* the first world; a reference is taken */
};

/* Starts the thread; it serves when this returns. NULL with the reason. Control thread, like all functions here. */
struct worker *worker_start(const struct worker_setup *setup, struct why *why);

/* Hands over a new snapshot (takes a reference of its own); the worker adopts it between two events. */
void worker_publish(struct worker *w, struct snapshot *snapshot);

/* The generation of the snapshot that new requests see. */
uint64_t worker_generation(const struct worker *w);

/* Asks for a sign of life: the worker's loop answers between two events. At most one wake. */
void worker_ask(struct worker *w);

/* Whether it has answered what it was asked last; true also where it was never asked, or has ended. */
bool worker_has_answered(const struct worker *w);

/* Stops accepting and ends connections as flow_drain does; the thread ends with the last one. A later call can shorten the
 * times. is_last: no other process has its listening sockets. */
void worker_drain(struct worker *w, uint32_t requests_ms, uint32_t tunnels_ms, bool is_last);

/* True once a draining worker has nothing left to do. */
bool worker_is_done(const struct worker *w);

/* Cuts what is left, waits for the thread and frees. */
void worker_stop(struct worker *w);

#endif
