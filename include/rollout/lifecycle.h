/* How runs begin and end in the record: new pairs, starts, retries, undos, promotions, quarantine,
 * history. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_LIFECYCLE_H
#define SERIN_ROLLOUT_LIFECYCLE_H

#include "rollout/decide/record.h"

struct rollout;
struct rollout_setup;

/* Copies names and revisions. ERR_LIMIT names what is too long. */
enum err lifecycle_pair(const struct rollout_setup *setup, struct record_pair *pair,
                        struct why *why) MUST_USE;

/* Whether the record can live with a pair of the file. ERR_CONFLICT with the ways out. files: where
 * the state lies, for a start, when no verb can be used; NULL while serin runs. Pure. */
enum err lifecycle_accepts(const struct record *record, const struct record_pair *wanted,
                           const char *files, struct why *why) MUST_USE;

/* Takes the wanted pair over where no rollout runs, or aborts the one that runs. The caller
 * commits. True: changed. */
bool lifecycle_adopt(struct record *next, const struct record_pair *wanted);

/* Writes into next what a move means for the run: steps, end, quarantine, who is stable. */
void lifecycle_note(struct record *next, const struct machine *before,
                    const struct machine_move *move, int64_t wall_ms, const char *why);

enum lifecycle_kind {
    LIFECYCLE_START = ROLLOUT_START,
    LIFECYCLE_RETRY = ROLLOUT_RETRY,
    LIFECYCLE_UNDO = ROLLOUT_UNDO
};

/* Begins a run and stores it. ERR_CONFLICT where the state forbids it, with the verb that would do.
 */
enum err lifecycle_begin(struct rollout *r, enum lifecycle_kind kind, const char *who,
                         struct why *why) MUST_USE;

/* Forgets promotion, quarantine and alert: the file rules again, at once. ERR_CONFLICT while a
 * rollout moves users. */
enum err lifecycle_reset(struct rollout *r, const char *who, struct why *why) MUST_USE;

/* Begins by itself where the file asks for it (start: auto, or a restart with a new version). */
void lifecycle_begin_auto(struct rollout *r);

#endif
