/* Draws a status for a person: what runs, how far it is, and why.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/cli/status_render.h"
#include "rollout/cli/bar.h"
#include "rollout/cli/numbers.h"
#include "rollout/cli/status_parts.h"

#include <math.h>
#include <string.h>

#define PROGRESS_COLUMNS   20u /* of the bar in a single line */
#define EVIDENCE_BAR_WIDTH 72u /* narrower terminals get the figures alone */

static void add_elapsed_line(struct text *t, const struct status_view *v, const struct style *s)
{
    if (!(v->elapsed_s >= 0) || (!status_is_running(v) && !v->result[0]))
        return;
    status_part_words(t, s, status_is_running(v) ? "running" : "took",
                      number_duration(v->elapsed_s).at);
}

static enum colour verdict_colour(const struct status_check *c)
{
    if (strcmp(c->verdict, "PASS") == 0)
        return COLOUR_GREEN;
    return strcmp(c->verdict, "FAIL") == 0 ? COLOUR_RED : COLOUR_YELLOW;
}

/* What others say, one line each. */
static void add_checks(struct text *t, const struct status_view *v, const struct style *s)
{
    for (size_t i = 0; i < v->n_checks; i++) {
        const struct status_check *c = &v->checks[i];
        struct text words = {0};
        text_add_clean(&words, c->name);
        text_add(&words, " %s", style_begin(s, verdict_colour(c)));
        text_add_clean(&words, c->verdict);
        text_add(&words, "%s%s: ", style_end(s, verdict_colour(c)), c->is_dry ? " (dry run)" : "");
        text_add_clean(&words, c->why);
        status_part_words(t, s, "check", text_str(&words));
        text_fini(&words);
    }
}

/* What a person can do now. */
static void add_hint(struct text *t, const struct status_view *v, const struct style *s)
{
    struct text hint = {0};
    if (status_has_failed(v)) {
        text_add(&hint, "serin retry %s or serin abort %s", v->route, v->route);
    } else if (strcmp(v->cause, "step_pause") == 0 && status_part_is_state(v, "PAUSED")) {
        text_add(&hint, "serin promote %s or serin abort %s", v->route, v->route);
    } else if (strcmp(v->phase, "Paused") == 0) {
        text_add(&hint, "serin resume %s, serin promote %s or serin abort %s", v->route, v->route,
                 v->route);
    } else if (status_part_is_state(v, "ABORTED")) {
        text_add(&hint, "serin retry %s", v->route);
    } else if (status_part_is_state(v, "FAILED_PROMOTION")) {
        text_add(&hint, "serin promote %s or serin abort %s", v->route, v->route);
    } else if (v->is_quarantined && !status_is_running(v)) {
        text_add(&hint, "%s is in quarantine: serin retry %s", v->canary, v->route);
    }
    status_part_sentence(t, s, "next", text_str(&hint));
    text_fini(&hint);
}

struct evidence {
    const char *label, *short_label, *verb;
    double odds, limit;
    enum colour colour;
};

static void add_evidence(struct text *t, const struct style *s, const struct evidence *e)
{
    struct text words = {0};
    if (!(e->odds >= 0) || !(e->limit > 0))
        return;
    if (e->odds < 1.05) /* below 1 it speaks for the contrary: of this there is none */
        text_add(&words, "none, %s at %s to 1", e->verb, number_odds(e->limit).at);
    else
        text_add(&words, "%s to 1, %s at %s", number_odds(e->odds).at, e->verb,
                 number_odds(e->limit).at);
    if (s->width < EVIDENCE_BAR_WIDTH) {
        status_part_words(t, s, e->short_label, text_str(&words));
    } else {
        status_part_label(t, s, e->label);
        text_pad(t, 21);
        bar_add(t, s, bar_odds_fraction(e->odds, e->limit), 20, e->colour);
        text_add(t, "  %s\n", text_str(&words));
    }
    text_fini(&words);
}

static void add_both_evidences(struct text *t, const struct status_view *v, const struct style *s)
{
    const struct evidence against = {"proof it is worse", "worse",      "reverts",
                                     v->against,          v->revert_at, COLOUR_RED};
    const struct evidence safe = {"proof it is safe", "safe",      "widens", v->safe,
                                  v->widen_at,        COLOUR_GREEN};
    bool was_judged = status_is_running(v) || status_part_is_state(v, "ABORTED");
    if (!was_judged || (!(v->against >= 0) && !(v->safe >= 0)))
        return;
    text_add(t, "\n");
    add_evidence(t, s, &against);
    if (!status_part_is_between(v))
        add_evidence(t, s, &safe);
}

/* What the two error rates say together; the intervals of the table above say each by itself. */
static void add_difference(struct text *t, const struct status_view *v, const struct style *s)
{
    struct text words = {0};
    if (isnan(v->difference[0]) || isnan(v->difference[1]))
        return;
    text_add(&words, "canary against stable %s to %s points", number_points(v->difference[0]).at,
             number_points(v->difference[1]).at);
    if (v->ratio[1] >= 0)
        text_add(&words, ", %s to %s times", number_odds(v->ratio[0]).at,
                 number_odds(v->ratio[1]).at);
    else if (v->ratio[0] > 0)
        text_add(&words, ", at least %s times", number_odds(v->ratio[0]).at);
    status_part_words(t, s, "errors", text_str(&words));
    text_fini(&words);
}

void status_render(struct text *t, const struct status_view *v, const struct style *s)
{
    status_part_head(t, v, s);
    text_add(t, "\n");
    size_t header = t->len;
    if (status_part_steps(t, v, s))
        text_add(t, "\n");
    status_part_step(t, v, s);
    status_part_weight(t, v, s);
    add_elapsed_line(t, v, s);
    status_part_sentence(t, s, "why", v->why);
    add_checks(t, v, s);
    add_hint(t, v, s);
    if (v->n_versions > 0) {
        if (t->len > header)
            text_add(t, "\n");
        status_render_versions(t, v, s);
        add_difference(t, v, s);
    }
    add_both_evidences(t, v, s);
}

void status_render_progress(struct text *t, const struct status_view *v, const struct style *s)
{
    struct text line = {0};
    if (v->steps > 0 && status_is_running(v)) {
        bar_add(&line, s, status_part_progress(v), PROGRESS_COLUMNS, status_part_colour(v));
        text_add(&line, "  ");
    }
    status_add_line(&line, v);
    status_part_cut(t, s, text_str(&line), s->columns);
    text_fini(&line);
}
