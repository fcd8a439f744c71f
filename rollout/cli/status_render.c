/* Draws a status for a person: what runs, how far it is, and why.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/cli/status_render.h"
#include "base/check.h"
#include "rollout/cli/bar.h"
#include "rollout/cli/numbers.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

#define EVIDENCE_BAR_WIDTH 72u /* narrower terminals get the figures alone */
#define LABEL_COLUMNS      11u /* "  " and the longest label with its gap */

static enum colour phase_colour(const struct status_view *v)
{
    static const struct {
        const char *phase;
        enum colour colour;
    } colours[] = {{"Healthy", COLOUR_GREEN},
                   {"Progressing", COLOUR_CYAN},
                   {"Paused", COLOUR_YELLOW},
                   {"Degraded", COLOUR_RED}};
    for (size_t i = 0; i < ARRAY_LEN(colours); i++)
        if (strcmp(v->phase, colours[i].phase) == 0)
            return colours[i].colour;
    return COLOUR_NONE;
}

static bool is_state(const struct status_view *v, const char *state)
{
    return strcmp(v->state, state) == 0;
}

/* Promoted, and nothing of the old version is left to show on its way. */
static bool is_done(const struct status_view *v)
{
    return is_state(v, "STABLE") && strcmp(v->result, "completed") == 0 && !(v->intended > 0);
}

/* On the way to a weight: what was measured belongs to the one before. */
static bool is_between_weights(const struct status_view *v)
{
    return is_state(v, "PENDING") || is_state(v, "SCALING") || is_state(v, "SHIFTING") ||
           is_state(v, "PROMOTING");
}

static void add_label(struct text *t, const struct style *s, const char *label)
{
    text_add(t, "  %s%s%s", style_begin(s, COLOUR_DIM), label, style_end(s, COLOUR_DIM));
    text_pad(t, LABEL_COLUMNS);
}

/* words may have colours of our own, but nothing foreign. */
static void add_words(struct text *t, const struct style *s, const char *label, const char *words)
{
    add_label(t, s, label);
    text_add_wrapped(t, words, LABEL_COLUMNS, s->width);
    text_add(t, "\n");
}

static void add_sentence(struct text *t, const struct style *s, const char *label,
                         const char *foreign)
{
    struct text clean = {0};
    if (!foreign[0])
        return;
    text_add_clean(&clean, foreign);
    add_words(t, s, label, text_str(&clean));
    text_fini(&clean);
}

/* The name left; phase and state right, or below where both do not fit. */
static void add_header(struct text *t, const struct status_view *v, const struct style *s)
{
    struct text left = {0}, right = {0};
    text_add(&left, "%s", style_begin(s, COLOUR_BOLD));
    text_add_clean(&left, v->route);
    text_add(&left, "%s   ", style_end(s, COLOUR_BOLD));
    text_add_clean(&left, v->stable);
    if (v->canary[0] && !is_done(v)) {
        text_add(&left, " %s ", style_glyph(s, GLYPH_ARROW));
        text_add_clean(&left, v->canary);
    }
    text_add(&right, "%s", style_begin(s, phase_colour(v)));
    text_add_clean(&right, v->phase);
    text_add(&right, "%s", style_end(s, phase_colour(v)));
    if (v->state[0]) {
        text_add(&right, " %s ", style_glyph(s, GLYPH_DOT));
        text_add_clean(&right, v->state);
    }
    size_t used = text_columns(text_str(&left)) + text_columns(text_str(&right));
    text_add(t, "%s", text_str(&left));
    if (!text_columns(text_str(&right)))
        text_add(t, "\n\n");
    else if (used + 2 <= s->width)
        text_add(t, "%*s%s\n\n", (int)(s->width - used), "", text_str(&right));
    else
        text_add(t, "\n%s\n\n", text_str(&right));
    text_fini(&left);
    text_fini(&right);
}

/* A step ends when its time is over and there is evidence enough: the one that lags is shown. */
static double step_fraction(const struct status_view *v)
{
    if (is_between_weights(v))
        return 0;
    double time = v->hold_s > 0 ? fmin(v->step_elapsed_s / v->hold_s, 1) : NAN;
    double proof = v->widen_at > 1 ? bar_odds_fraction(v->safe, v->widen_at) : NAN;
    return fmin(time, proof); /* fmin takes the other where one is NaN */
}

/* The bake counts as the last step. */
static unsigned steps_done(const struct status_view *v)
{
    if (is_state(v, "COMPLETED") || strcmp(v->result, "completed") == 0)
        return v->steps;
    return v->step > 0 ? v->step - 1 : 0;
}

static void add_steps(struct text *t, const struct status_view *v, const struct style *s)
{
    if (v->steps == 0)
        return;
    struct bar_steps b = {
        .done = steps_done(v),
        .steps = v->steps,
        .fraction = v->step > 0 && status_is_running(v) ? step_fraction(v) : NAN,
        .colour = phase_colour(v),
        .weights = v->n_weights == v->steps ? v->weights : NULL,
    };
    if (is_state(v, "STABLE") && b.done == 0)
        return;
    bar_add_steps(t, s, &b, s->width - 2);
    text_add(t, "\n");
}

static void add_step_line(struct text *t, const struct status_view *v, const struct style *s)
{
    struct text words = {0};
    if (v->steps == 0 || v->step == 0)
        return;
    text_add(&words, "%s%u of %u%s", status_is_running(v) ? "" : "stopped at ", v->step, v->steps,
             is_state(v, "BAKING") ? ", baking" : "");
    if (status_is_running(v) && !is_between_weights(v) && v->step_elapsed_s >= 0) {
        text_add(&words, " %s %s", style_glyph(s, GLYPH_DOT),
                 number_duration(v->step_elapsed_s).at);
        if (v->hold_s > 0)
            text_add(&words, " of at least %s", number_duration(v->hold_s).at);
    }
    add_words(t, s, "step", text_str(&words));
    text_fini(&words);
}

static void add_weight_line(struct text *t, const struct status_view *v, const struct style *s)
{
    struct text words = {0};
    if (!v->canary[0] || !(v->intended >= 0) || is_done(v))
        return;
    const char *hindrance = status_hindrance(v);
    text_add(&words, "%s%s%s ", style_begin(s, COLOUR_BOLD), number_percent(status_effective(v)).at,
             style_end(s, COLOUR_BOLD));
    if (hindrance)
        text_add(&words, "in effect (%s %s)", number_percent(v->intended).at, hindrance);
    else
        text_add(&words, "intended");
    if (v->is_mirroring)
        text_add(&words, " %s copies of stable's requests", style_glyph(s, GLYPH_DOT));
    if (v->observed >= 0 && !hindrance) /* what was measured may be from before */
        text_add(&words, " %s %s observed", style_glyph(s, GLYPH_DOT),
                 number_percent(v->observed).at);
    add_words(t, s, "weight", text_str(&words));
    text_fini(&words);
}

static void add_elapsed_line(struct text *t, const struct status_view *v, const struct style *s)
{
    if (!(v->elapsed_s >= 0) || (!status_is_running(v) && !v->result[0]))
        return;
    add_words(t, s, status_is_running(v) ? "running" : "took", number_duration(v->elapsed_s).at);
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
        add_words(t, s, "check", text_str(&words));
        text_fini(&words);
    }
}

/* What a person can do now. */
static void add_hint(struct text *t, const struct status_view *v, const struct style *s)
{
    struct text hint = {0};
    if (status_has_failed(v)) {
        text_add(&hint, "serin retry %s or serin abort %s", v->route, v->route);
    } else if (strcmp(v->cause, "step_pause") == 0 && is_state(v, "PAUSED")) {
        text_add(&hint, "serin promote %s or serin abort %s", v->route, v->route);
    } else if (strcmp(v->phase, "Paused") == 0) {
        text_add(&hint, "serin resume %s, serin promote %s or serin abort %s", v->route, v->route,
                 v->route);
    } else if (is_state(v, "ABORTED")) {
        text_add(&hint, "serin retry %s", v->route);
    } else if (is_state(v, "FAILED_PROMOTION")) {
        text_add(&hint, "serin promote %s or serin abort %s", v->route, v->route);
    } else if (v->is_quarantined && !status_is_running(v)) {
        text_add(&hint, "%s is in quarantine: serin retry %s", v->canary, v->route);
    }
    add_sentence(t, s, "next", text_str(&hint));
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
        add_words(t, s, e->short_label, text_str(&words));
    } else {
        add_label(t, s, e->label);
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
    bool was_judged = status_is_running(v) || is_state(v, "ABORTED");
    if (!was_judged || (!(v->against >= 0) && !(v->safe >= 0)))
        return;
    text_add(t, "\n");
    add_evidence(t, s, &against);
    if (!is_between_weights(v))
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
    add_words(t, s, "errors", text_str(&words));
    text_fini(&words);
}

void status_render(struct text *t, const struct status_view *v, const struct style *s)
{
    add_header(t, v, s);
    size_t header = t->len;
    add_steps(t, v, s);
    add_step_line(t, v, s);
    add_weight_line(t, v, s);
    add_elapsed_line(t, v, s);
    add_sentence(t, s, "why", v->why);
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

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static void add_cut_line(struct text *t, const struct text *line, const struct style *s)
{
    bool is_long = text_columns(text_str(line)) > s->width;
    text_add_bytes(t, text_str(line), text_cut(text_str(line), s->width - is_long));
    text_add(t, "%s%s\n", is_long ? style_glyph(s, GLYPH_ELLIPSIS) : "", style_end(s, COLOUR_DIM));
}

/* Columns of the table of routes that depend on what stands in them. */
struct table_columns {
    size_t name, versions;
};

static void add_versions(struct text *t, const struct status_view *v, const struct style *s)
{
    text_add_clean(t, v->stable);
    if (v->canary[0]) {
        text_add(t, " %s ", style_glyph(s, GLYPH_ARROW));
        text_add_clean(t, v->canary);
    }
}

static struct table_columns measure_table(const cJSON *routes, const struct style *s)
{
    struct table_columns c = {strlen("ROUTE"), strlen("VERSIONS")};
    const cJSON *item;
    cJSON_ArrayForEach(item, routes)
    {
        struct status_view v = status_view_of(item);
        struct text versions = {0};
        add_versions(&versions, &v, s);
        c.versions = larger(c.versions, text_columns(text_str(&versions)));
        c.name = larger(c.name, text_columns(v.route));
        text_fini(&versions);
    }
    return c;
}

static void add_row(struct text *t, const struct status_view *v, const struct style *s,
                    const struct table_columns *c)
{
    size_t name_columns = c->name;
    struct text row = {0};
    text_add_clean(&row, v->route);
    text_pad(&row, name_columns + 2);
    text_add(&row, "%s", style_begin(s, phase_colour(v)));
    text_add_clean(&row, v->phase);
    text_add(&row, "%s", style_end(s, phase_colour(v)));
    text_pad(&row, name_columns + 15);
    if (v->step > 0)
        text_add(&row, "%u/%u", v->step, v->steps);
    text_pad(&row, name_columns + 22);
    text_add(&row, "%s", v->canary[0] ? number_percent(status_effective(v)).at : "-");
    text_pad(&row, name_columns + 31);
    add_versions(&row, v, s);
    if (v->why[0]) {
        text_pad(&row, name_columns + 31 + c->versions + 2);
        text_add(&row, "%s", style_begin(s, COLOUR_DIM));
        text_add_clean(&row, v->why);
    }
    add_cut_line(t, &row, s);
    text_fini(&row);
}

void status_render_all(struct text *t, const struct cJSON *json, const struct style *s)
{
    const cJSON *item, *routes = cJSON_GetObjectItemCaseSensitive(json, "routes");
    if (cJSON_GetArraySize(routes) == 1) {
        struct status_view v = status_view_of(cJSON_GetArrayItem(routes, 0));
        status_render(t, &v, s);
        return;
    }
    struct table_columns columns = measure_table(routes, s);
    struct text titles = {0};
    text_add(&titles, "%s%-*s  %-13s%-7s%-9s%-*s%s", style_begin(s, COLOUR_DIM), (int)columns.name,
             "ROUTE", "PHASE", "STEP", "WEIGHT", (int)columns.versions + 2, "VERSIONS", "WHY");
    add_cut_line(t, &titles, s);
    text_fini(&titles);
    cJSON_ArrayForEach(item, routes)
    {
        struct status_view v = status_view_of(item);
        add_row(t, &v, s, &columns);
    }
    if (cJSON_GetArraySize(routes) == 0)
        text_add(t, "no routes\n");
}
