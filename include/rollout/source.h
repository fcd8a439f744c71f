/* The counts of a run: what the data plane counted since it began, over restarts of the process.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_SOURCE_H
#define SERIN_ROLLOUT_SOURCE_H

#include "metrics/hist.h"
#include "rollout/decide/record.h"
#include "rollout/ports.h"

/* The ten minutes before a rollout, in samples of ten seconds: what is normal for stable. */
#define SOURCE_SAMPLES   60
#define SOURCE_SAMPLE_MS 10000

struct source_baseline {
    char name[RECORD_NAME_MAX]; /* whose */
    int64_t next_ms;            /* monotonic: when the next sample is due */
    struct judge_side samples[SOURCE_SAMPLES];
    size_t n, newest;
};

/* Where the process's counters stood when they were last read. */
struct source {
    char stable_name[RECORD_NAME_MAX], canary_name[RECORD_NAME_MAX]; /* whose; "" = not read yet */
    struct judge_side stable, canary;
    struct judge_seen mirrored;                         /* the same requests on both versions */
    struct hist_sum stable_durations, canary_durations; /* when the stage began */
    struct source_baseline baseline;
};

/* Requests by weight since a weight came into force. */
struct source_share {
    uint32_t weight_bp; /* 0 = nothing is watched now */
    uint64_t stable_base, canary_base;
    uint64_t canary, total;
};

/* Looks at the observed share. watch: the weight is in force everywhere and nothing but it decides (no endpoint is out,
 * the breaker is closed); otherwise it begins anew. True: the share is not the intended one. */
bool source_share_is_off(struct source_share *s, const struct rollout_ports *ports,
                         const struct record *record, bool watch);

/* Notes how stable does; once a tick, whether a rollout runs or not. */
void source_note_baseline(struct source *s, const struct rollout_ports *ports,
                          const struct record *record);

/* Stable's requests and failures of the last ten minutes, as far as they are known. Pure. */
struct judge_baseline source_baseline(const struct source *s);

/* Only what comes from now on counts: at the start of a run. */
void source_base(struct source *s, const struct rollout_ports *ports, const struct record *record);

/* Adds what came since the last read to counts: of the users' requests, or, at a step without users, of those that were
 * copied (the record's machine says which). The first read after a restart only sets the base.
 * A counter that went down was reset: all of it is new. */
void source_read(struct source *s, const struct rollout_ports *ports, const struct record *record,
                 struct judge_seen *counts);

/* The durations of a stage begin now. For show. */
void source_base_durations(struct source *s, const struct rollout_ports *ports,
                           const struct record *record);

/* Durations of both versions since the stage began. For show. */
void source_durations(const struct source *s, const struct rollout_ports *ports,
                      const struct record *record, struct hist_sum *stable,
                      struct hist_sum *canary);

#endif
