/* The control thread: the one writer of snapshots, host of the rollouts and of the admin port.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_CONTROL_H
#define SERIN_PROXY_CONTROL_CONTROL_H

#include "proxy/control/inherited.h"
#include "proxy/control/keep.h"
#include "proxy/control/known.h"
#include "proxy/control/kube_counts.h"
#include "proxy/control/listeners.h"
#include "proxy/control/notify.h"
#include "proxy/control/tickets.h"
#include "proxy/worker/worker.h"

struct access_log;
struct admin;
struct cluster;
struct handover;
struct http;
struct names;
struct notifier;

struct control {
    struct event_base *base;
    const char *path;         /* of the configuration file */
    struct config_keep *keep; /* the present configuration */
    struct metrics *metrics;
    struct access_log *access;
    struct known known;
    struct split_order order;
    struct flow_shared shared;
    struct worker **workers;
    unsigned n_workers;
    struct inherited inherited; /* sockets that this process was given; empty once it serves */
    struct listeners listeners;
    struct snapshot *snapshot; /* the newest; one reference */
    uint64_t generation;
    struct admin *admin;
    struct http *http;         /* for the rollouts that ask others */
    struct notifier *notifier; /* tells people of them */
    struct cluster *cluster;   /* NULL where no version is a workload */
    struct names *names;       /* endpoints that are names */
    char *token;               /* of the admin port; NULL = none */
    struct event *tick, *drain_poll;
    struct event *signals[5];
    uint64_t reloads_ok, reloads_failed;
    int64_t drain_until_ms; /* monotonic; 0 = not draining */
    struct handover *handover;
    bool is_stopping; /* a signal has said so */
    bool is_serving;
    bool
        acts; /* runs rollouts and obeys verbs: false before it serves, and from the moment on at which it hands over */
    bool was_ready;      /* and stays so: what a reload adds takes nothing from the other routes */
    bool is_reloading;   /* splits are published together, at its end */
    bool is_ticking;     /* those that only widen are, likewise */
    bool is_publish_due; /* they wait for it, or memory was short for the last snapshot */
    struct kube_counts kube_counts;
    struct tickets tickets; /* of the sessions of all listeners, over reloads */
    int64_t warned_ms;      /* when certificates were last looked at; monotonic */
    struct notify notify;
};

static inline const struct config *control_config(const struct control *c)
{
    return c->keep->config;
}

/* Runs the proxy in the foreground until a signal ends it. Takes a reference of the configuration. path: where a reload
 * reads it again. Returns the exit code: 0 after a drain, 1 where something could not be opened (said in the log), 70 out of
 * memory. */
int control_run(struct config_keep *keep, const char *path);

/* Counts an answer of the Kubernetes API server: a kube_count_fn (rollout/kube/client.h), arg is the struct control. */
void control_count_kubernetes(void *arg, const char *verb, unsigned code);

/* Begins to stop; a second call ends at once. */
void control_drain(struct control *c);

/* The workers stop accepting and end what is open in so much time; the process ends with them. Later calls can shorten it. */
void control_drain_workers(struct control *c, uint32_t requests_ms, uint32_t tunnels_ms);

#endif
