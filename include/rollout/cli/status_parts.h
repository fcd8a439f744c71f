/* The parts that a drawn status is made of: lines with a label, head, steps, weight (pure).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_CLI_STATUS_PARTS_H
#define SERIN_ROLLOUT_CLI_STATUS_PARTS_H

#include "rollout/cli/status_view.h"
#include "rollout/cli/style.h"

/* Every line is ended, and keeps to s->width but for a single word that is longer. All are pure. */

/* The colour of a phase. */
enum colour status_part_colour(const struct status_view *v);

/* On the way to a weight: what was measured belongs to the one before. */
bool status_part_is_between(const struct status_view *v);

/* Whether the rollout is in this state of the machine. */
bool status_part_is_state(const struct status_view *v, const char *state);

/* "  label    ", up to the column where every label's words begin. */
void status_part_label(struct text *t, const struct style *s, const char *label);

/* A label and words, wrapped. words may have colours of our own, but nothing foreign. */
void status_part_words(struct text *t, const struct style *s, const char *label, const char *words);

/* The same for foreign text; nothing where there is none. */
void status_part_sentence(struct text *t, const struct style *s, const char *label,
                          const char *foreign);

/* One line cut to width, with an ellipsis where something is missing. line: nothing foreign. */
void status_part_cut(struct text *t, const struct style *s, const char *line, size_t width);

/* "v1 -> v2". */
void status_part_versions(struct text *t, const struct status_view *v, const struct style *s);

/* The route left; phase and state right, or below where both do not fit. */
void status_part_head(struct text *t, const struct status_view *v, const struct style *s);

/* How much of all steps is behind a running rollout, 0 to 1. */
double status_part_progress(const struct status_view *v);

/* The steps as a bar; false where there are none to show. */
bool status_part_steps(struct text *t, const struct status_view *v, const struct style *s);

/* Which step, for how long; nothing where no rollout has one. */
void status_part_step(struct text *t, const struct status_view *v, const struct style *s);

/* The weight as intended, in effect, observed; nothing without a canary. */
void status_part_weight(struct text *t, const struct status_view *v, const struct style *s);

/* The name of a version, cut where it is long, and its role. One line, not ended. */
void status_part_version(struct text *t, const struct status_version *v, const struct style *s);

/* Its error rate and the interval, which tells how much the figure is worth: few requests, wide
 * interval. Not ended. */
void status_part_errors(struct text *t, const struct status_version *v, const struct style *s);

#endif
