/* The steps of a rollout, on their way from a foreign plan into serin's. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONVERT_STEPS_H
#define SERIN_PROXY_CONVERT_STEPS_H

#include "proxy/convert/draft.h"
#include "rollout/decide/plan.h"

#define STEPS_FULL_BP 10000

struct steps_step {
    int64_t bp, hold_ms; /* hold_ms -1: serin's own */
    bool pause;
};

struct steps {
    struct steps_step at[PLAN_STEPS_MAX];
    size_t n;
    bool is_full;    /* 100% was reached: what follows belongs to the bake */
    int64_t bake_ms; /* -1: serin's own */
};

/* Without a step. */
void steps_init(struct steps *s);

/* Opens a step; one of the same weight goes on. may_be_0: the canary gets copies. False: the weight does not rise (or
 * is 0 where it may not be, or they are too many), with why a phrase. */
bool steps_open(struct steps *s, int64_t bp, bool may_be_0, struct why *why);

/* Adds time to the step that is open, or to the bake behind 100%. False: none is open. */
bool steps_wait(struct steps *s, int64_t ms);

/* Puts steps, and what the times in them make necessary (max_hold, bake_weight, bake), into a rollout. at: of the file,
 * for notes. */
void steps_put(struct draft *d, const struct steps *s, const struct cJSON *at,
               struct cJSON *rollout);

#endif
