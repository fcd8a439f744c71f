/* Tells of a replayed rollout: in plain words, or as JSON (pure).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_CLI_REPLAY_RENDER_H
#define SERIN_ROLLOUT_CLI_REPLAY_RENDER_H

#include "rollout/cli/text.h"
#include "rollout/decide/replay.h"

/* What is told beside the replay itself. Borrowed. */
struct replay_told {
    const struct replay *replay;     /* finished */
    const struct cJSON *before;      /* the recorded configuration with every key, and */
    const struct cJSON *after;       /* the one that was judged under */
    const char *config_file, *route; /* where it is from; NULL = not from a file */
    bool other_steps;                /* that file has other weights than the record */
    bool is_torn;                    /* the record's last line is not whole */
};

/* Columns of a line of prose. */
#define REPLAY_COLUMNS 100

/* Adds it in words. Pure. */
void replay_render(struct text *t, const struct replay_told *told);

/* The same as an object; the caller frees it. NULL: memory. */
struct cJSON *replay_to_json(const struct replay_told *told);

/* Adds each key that differs, "fail.rho 1.1 -> 1.5", separated by "; "; nothing where none does.
 * Pure. */
void replay_add_changes(struct text *t, const struct cJSON *before, const struct cJSON *after);

/* What the answer cannot know, a sentence each, from 0; NULL behind the last. t: room for one that
 * has figures in it. Pure. */
const char *replay_caveat(const struct replay_told *told, unsigned i, struct text *t);

#endif
