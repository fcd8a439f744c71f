/* Judges a recorded rollout again, line by line, under other thresholds: what would have happened,
 * beside what did. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_DECIDE_REPLAY_H
#define SERIN_ROLLOUT_DECIDE_REPLAY_H

#include "rollout/decide/judge_protocol.h"

struct cJSON;

/* The bounds of a histogram's cells: the largest duration of each, rising. Borrowed. */
struct replay_cells {
    const uint64_t *top_us;
    size_t n; /* 1 to REPLAY_CELLS_MAX */
};

#define REPLAY_CELLS_MAX 1024

/* Ticks that wait for the next histograms, which tell how many of their requests were slow; they
 * come every ten lines as long as anything is answered. Bounds the memory. */
#define REPLAY_QUEUE_MAX 256

#define REPLAY_RESULT_MAX 32

/* Guards the recursion of the parser: a line of ours nests five deep. */
#define REPLAY_DEPTH_MAX 8

/* A moment of a rollout that is worth telling. */
struct replay_moment {
    bool is_set;
    bool low_evidence; /* widened because max_hold had passed */
    int64_t t_ms, stage_t_ms;
    unsigned stage;
    uint64_t stage_requests;   /* of the canary, at this stage */
    uint64_t requests, failed; /* of the canary, since the rollout began */
    const char *check;         /* static; "" = not known */
};

/* One way to judge the same traffic: the first moment of each kind. */
struct replay_view {
    struct replay_moment widens[JUDGE_STAGES_MAX], brakes[JUDGE_STAGES_MAX],
        holds[JUDGE_STAGES_MAX];
    struct replay_moment reverts;
    char why[JUDGE_WHY_MAX]; /* of the revert, or of the last tick; "" = not known */
};

/* What the record shows of a stage, whoever judged. */
struct replay_stage {
    bool is_seen;
    int64_t entered_ms, left_ms;              /* first and last tick */
    int64_t stage_t_ms;                       /* of the last tick */
    uint64_t requests_before, requests_after; /* of the canary */
};

struct replay_tick {
    struct judge_input input;
    int verdict;       /* as recorded; < 0: not */
    const char *check; /* likewise; "" */
};

/* Latency under other margins or quantiles, from the histograms. */
struct replay_latency {
    bool by_hist; /* false: the recorded counts are those of the same thresholds */
    double margin, recorded_margin;
    bool same_quantiles;
    uint64_t limit_us[2][JUDGE_LATENCY_MAX]; /* of stable, of the canary; 0 = not known yet */
    uint64_t first[2][JUDGE_LATENCY_MAX];    /* counts when the limits became known */
    uint64_t slow[2][JUDGE_LATENCY_MAX];     /* at the last histograms, since then */
    struct judge_seen at;                    /* the counts of that tick */
    uint64_t histograms;                     /* lines that had them */
};

enum replay_state { REPLAY_NEW, REPLAY_READ, REPLAY_RUNS, REPLAY_ENDED };

/* A large struct: on the heap. Read it to tell of it, when replay_finish has been called. */
struct replay {
    struct replay_cells cells;
    enum replay_state state;
    struct cJSON *start; /* the first line; owned */
    struct judge_protocol judge;
    struct replay_latency latency;
    struct replay_tick queue[REPLAY_QUEUE_MAX];
    size_t queued;

    struct replay_stage stages[JUDGE_STAGES_MAX];
    struct replay_view then, now;
    struct judge_side stable, canary; /* of the last tick */
    int64_t t_ms;                     /* of the last tick */
    uint64_t ticks;
    uint64_t compared, same; /* ticks with a recorded verdict that were judged; of them alike */
    struct replay_moment differs; /* the first that was not */
    char result[REPLAY_RESULT_MAX],
        why[JUDGE_WHY_MAX]; /* of the end line; foreign; "" = it has none */
};

/* Nothing read. cells is borrowed, also by the struct. Pure. */
void replay_init(struct replay *r, const struct replay_cells *cells);

/* Frees the first line. */
void replay_fini(struct replay *r);

/* Reads the first line, {"op":"start",...}; r->start is it from then on. ERR_INVALID: it is none,
 * or its own configuration is wrong, with the reason. Pure, as all here. */
enum err replay_read_start(struct replay *r, struct slice line, struct why *why) MUST_USE;

/* Begins, under a configuration in the protocol's names (judge_config.h); NULL = the recorded one.
 * After replay_read_start, once. ERR_INVALID names the key, and another one may be given. */
enum err replay_begin(struct replay *r, const struct cJSON *config, struct why *why) MUST_USE;

/* Judges a further line: {"op":"tick",...} or {"op":"end",...}; a blank one is nothing.
 * ERR_INVALID: it is none of ours, with the reason, and all is as if it had not come. O(line). */
enum err replay_line(struct replay *r, struct slice line, struct why *why) MUST_USE;

/* After the last line. */
void replay_finish(struct replay *r);

/* Canary and stable requests that a tick says of its stage: the stage's share of the last tick.
 * Pure. */
uint64_t replay_stage_requests(const struct replay *r, unsigned stage);

#endif
