/* What the files of rollout/ share of one open rollout. Nobody outside that folder includes this.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_INSIDE_H
#define SERIN_ROLLOUT_INSIDE_H

#include "base/list.h"
#include "rollout/asks.h"
#include "rollout/cluster.h"
#include "rollout/decide/record.h"
#include "rollout/rollout.h"
#include "rollout/sink.h"
#include "rollout/source.h"

struct journal;
struct recording;

struct rollout {
    struct rollout_ports ports;
    char *state_dir;             /* NULL where no canary was ever named */
    struct journal *journal;     /* NULL likewise: nothing to remember */
    struct recording *recording; /* of the run; NULL: none is under way, or memory was short */
    struct record record;        /* what the disk holds, or, where unwritten, what it should */
    struct record_pair wanted;
    struct plan next_plan;      /* what the file says now: for the next run */
    struct cJSON *next_outside; /* likewise; owned */
    bool is_sticky;             /* likewise */

    bool unwritten;            /* the disk is behind the record: nothing widens until it is not */
    char write_error[WHY_MAX]; /* why; "" = none */
    bool was_lost; /* the record was lost or recovered at open: to be told at the first tick */
    char recovered[WHY_MAX];

    bool ticked;
    int64_t last_tick_ms; /* monotonic */
    struct rollout_health health;
    bool has_cluster;
    bool
        names_cluster; /* the file does; a run that has moved replicas ends with the cluster it began with */
    bool leads;          /* this process decides; always where there is no cluster */
    bool is_leader;      /* and no other does: the record bears its epoch */
    uint64_t seen_epoch; /* the highest on the cluster's objects, followed or not */
    struct cluster_seen cluster;
    enum cluster_goal looked_for;   /* when that was seen */
    uint64_t raised_seq;            /* of the record that last raised the weight; 0 = none yet */
    struct judge_decision decision; /* of the last judged tick */
    bool decided;
    bool hold_alerted; /* max_hold passed in HOLDING since held_ms was 0, and was told */

    struct source source;
    struct source_share share; /* observed against intended, at the weight in force */
    struct sink sink;
    struct asks *asks; /* of the run; NULL where it asks nothing of others */
    struct list tells; /* events under way */
    unsigned n_tells;

    uint64_t verdicts[JUDGE_VERDICT_COUNT], results[ROLLOUT_RESULT_COUNT];
    double reverted_seconds;
};

/* Stores next and makes it the record. Not stored and keep: it becomes the record all the same, to
 * be stored later (narrowing does not wait for a disk); not stored and not keep: nothing changes
 * and ERR_IO comes back. */
enum err rollout_commit(struct rollout *r, const struct record *next, bool durable,
                        bool keep) MUST_USE;

#endif
