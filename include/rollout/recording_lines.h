/* The lines of a recorded rollout as text: the protocol of `serin judge`, and what replaying needs
 * beside it. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_RECORDING_LINES_H
#define SERIN_ROLLOUT_RECORDING_LINES_H

#include "metrics/hist.h"
#include "metrics/shard.h"
#include "rollout/decide/record.h"

/* Bytes of a line with its end. A tick is some 250, with both histograms full 42 KiB, a start with
 * 64 steps 12 KiB. `serin judge` and `serin replay` take no longer ones. */
#define RECORDING_LINE_MAX ((size_t)64 * 1024)

/* How the lines begin: the file is thinned by looks. */
#define RECORDING_START "{\"op\":\"start\","
#define RECORDING_TICK  "{\"op\":\"tick\",\"t\":"
#define RECORDING_END   "{\"op\":\"end\","
#define RECORDING_MOVED "\"moved\":true"
#define RECORDING_HIST  "\"hist\":{"

/* Lines that wait for the one write of a tick: a start, a tick and an end at most. */
struct recording_text {
    size_t len;
    bool failed; /* sticky until it is emptied: something did not fit, or memory was short */
    char at[3 * 64 * 1024];
};

/* One judged tick. */
struct recording_tick {
    struct judge_input input;
    int64_t dt_ms; /* what the judge was told; < 0: the time since the line before */
    bool sticky;
    size_t quantiles; /* how many slow counts are shown, where they are known */
    enum judge_verdict verdict;
    const char *check; /* static */
    bool moved;
    enum machine_state state;                /* after the tick; shown where it moved */
    enum machine_cause cause;                /* likewise */
    const struct hist_sum *hist[ROLE_COUNT]; /* since the rollout began; NULL: not in this line */
    const uint64_t *slow_us;                 /* stable's thresholds; with the histograms */
};

/* {"op":"start",...} of the record's run, before its first tick was judged. */
void recording_add_start(struct recording_text *t, const struct record *record);

/* {"op":"tick",...} */
void recording_add_tick(struct recording_text *t, const struct recording_tick *tick);

/* {"op":"end",...}. why is foreign text. */
void recording_add_end(struct recording_text *t, const char *result, const char *why);

/* The same start line with another time between ticks. The caller frees it; NULL: it is no JSON, or
 * memory is short. */
char *recording_restart_text(const char *start, unsigned tick_s);

/* The time between ticks of a start line; 0: it has none. */
unsigned recording_tick_s(const char *start);

/* Reads the histograms of a tick line. False: it has none that are whole. */
bool recording_read_hist(const char *line, struct hist_sum hist[ROLE_COUNT]);

#endif
