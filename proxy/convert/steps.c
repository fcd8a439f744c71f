/* Steps of a rollout that rise to 100%, as serin's plan wants them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/convert/steps.h"

#include <stddef.h>

#define MINUTE_MS      ((int64_t)60000)
#define HOLD_MAX_MS    (7 * 24 * 60 * MINUTE_MS) /* what the keys take */
#define MAX_HOLD_MS    (10 * MINUTE_MS)          /* its default */
#define BAKE_WEIGHT_BP 9900                      /* its default */

void steps_init(struct steps *s)
{
    *s = (struct steps){.bake_ms = -1};
}

/* Why a step cannot come behind those that are there; NULL: it can. */
static const char *refuse(const struct steps *s, int64_t bp, bool may_be_0)
{
    int64_t last = s->n ? s->at[s->n - 1].bp : -1;
    if (s->is_full)
        return "nothing comes behind 100%";
    if (bp < last)
        return "steps only rise (`serin abort` goes back)";
    if (bp == 0 && !may_be_0)
        return "a step without users needs routes[].mirror; until `serin start` nobody is sent "
               "there";
    if (s->n == PLAN_STEPS_MAX - 1 && bp != last && bp < STEPS_FULL_BP)
        return "a rollout has too many steps";
    return NULL;
}

bool steps_open(struct steps *s, int64_t bp, bool may_be_0, struct why *why)
{
    const char *reason = refuse(s, bp, may_be_0);
    if (reason) {
        (void)why_set(why, ERR_INVALID, "%s", reason);
        return false;
    }
    if (bp >= STEPS_FULL_BP)
        s->is_full = true;
    else if (s->n == 0 || s->at[s->n - 1].bp != bp)
        s->at[s->n++] = (struct steps_step){.bp = bp, .hold_ms = -1};
    return true;
}

static void add(int64_t *ms, int64_t more)
{
    *ms = (*ms < 0 ? 0 : *ms) + more;
}

bool steps_wait(struct steps *s, int64_t ms)
{
    if (s->is_full)
        add(&s->bake_ms, ms);
    else if (s->n)
        add(&s->at[s->n - 1].hold_ms, ms);
    return s->is_full || s->n;
}

static int64_t clamp(struct draft *d, int64_t ms, const struct cJSON *at, struct cJSON *rollout)
{
    if (ms <= HOLD_MAX_MS)
        return ms;
    draft_note(d, NOTE_NEAR, at, rollout, "a step takes at most a week: let it pause for a person");
    return HOLD_MAX_MS;
}

static void put_step(struct draft *d, const struct steps_step *step, int64_t hold_ms,
                     struct cJSON *list)
{
    if (hold_ms < 0 && !step->pause) {
        draft_put_share(d, list, NULL, step->bp);
        return;
    }
    struct cJSON *item = draft_put_object(d, list, NULL);
    draft_put_share(d, item, "weight", step->bp);
    if (hold_ms >= 0)
        draft_put_duration(d, item, "hold", hold_ms);
    if (step->pause)
        draft_put_bool(d, item, "pause", true);
}

void steps_put(struct draft *d, const struct steps *s, const struct cJSON *at,
               struct cJSON *rollout)
{
    int64_t longest = 0, last = s->n ? s->at[s->n - 1].bp : 0;
    struct cJSON *list = draft_put_list(d, rollout, "steps");
    for (size_t i = 0; i < s->n; i++) {
        int64_t hold = clamp(d, s->at[i].hold_ms, at, rollout);
        longest = hold > longest ? hold : longest;
        put_step(d, &s->at[i], hold, list);
    }
    draft_put_share(d, list, NULL, STEPS_FULL_BP);
    if (longest > MAX_HOLD_MS) {
        draft_comment(d, rollout, "How long a step may wait for evidence: longer than any hold.");
        draft_put_duration(d, rollout, "max_hold",
                           longest > HOLD_MAX_MS / 2 ? HOLD_MAX_MS : 2 * longest);
    }
    if (last > BAKE_WEIGHT_BP)
        draft_put_share(d, rollout, "bake_weight", last);
    if (s->bake_ms >= 0) {
        draft_comment(
            d, rollout,
            "The time at 100%%: stable keeps the rest of bake_weight, to compare with and "
            "to go back to.");
        draft_put_duration(d, rollout, "bake", clamp(d, s->bake_ms, at, rollout));
    }
}
