/* The parts that a drawn status is made of.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/cli/status_parts.h"
#include "base/check.h"
#include "rollout/cli/bar.h"
#include "rollout/cli/numbers.h"

#include <math.h>
#include <string.h>

/* Longest name of a version that is shown whole; a line with a longer one would be all name. */
#define NAME_COLUMNS_MAX 24u
#define LABEL_COLUMNS    11u /* "  " and the longest label with its gap */

enum colour status_part_colour(const struct status_view *v)
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

bool status_part_is_state(const struct status_view *v, const char *state)
{
    return strcmp(v->state, state) == 0;
}

/* Promoted, and nothing of the old version is left to show on its way. */
static bool is_done(const struct status_view *v)
{
    return status_part_is_state(v, "STABLE") && strcmp(v->result, "completed") == 0 &&
           !(v->intended > 0);
}

bool status_part_is_between(const struct status_view *v)
{
    return status_part_is_state(v, "PENDING") || status_part_is_state(v, "SCALING") ||
           status_part_is_state(v, "SHIFTING") || status_part_is_state(v, "PROMOTING");
}

void status_part_label(struct text *t, const struct style *s, const char *label)
{
    text_add(t, "  %s%s%s", style_begin(s, COLOUR_DIM), label, style_end(s, COLOUR_DIM));
    text_pad(t, LABEL_COLUMNS);
}

void status_part_words(struct text *t, const struct style *s, const char *label, const char *words)
{
    status_part_label(t, s, label);
    text_add_wrapped(t, words, LABEL_COLUMNS, s->width);
    text_add(t, "\n");
}

void status_part_sentence(struct text *t, const struct style *s, const char *label,
                          const char *foreign)
{
    struct text clean = {0};
    if (!foreign[0])
        return;
    text_add_clean(&clean, foreign);
    status_part_words(t, s, label, text_str(&clean));
    text_fini(&clean);
}

void status_part_cut(struct text *t, const struct style *s, const char *line, size_t width)
{
    size_t cut = text_cut(line, width);
    if (!line[cut]) {
        text_add(t, "%s\n", line);
        return;
    }
    text_add_bytes(t, line, text_cut(line, width - 1));
    text_add(t, "%s%s\n", style_glyph(s, GLYPH_ELLIPSIS), style_end(s, COLOUR_DIM));
}

void status_part_versions(struct text *t, const struct status_view *v, const struct style *s)
{
    text_add_clean(t, v->stable);
    if (v->canary[0]) {
        text_add(t, " %s ", style_glyph(s, GLYPH_ARROW));
        text_add_clean(t, v->canary);
    }
}

void status_part_head(struct text *t, const struct status_view *v, const struct style *s)
{
    struct text left = {0}, right = {0};
    text_add(&left, "%s", style_begin(s, COLOUR_BOLD));
    text_add_clean(&left, v->route);
    text_add(&left, "%s   ", style_end(s, COLOUR_BOLD));
    if (is_done(v))
        text_add_clean(&left, v->stable);
    else
        status_part_versions(&left, v, s);
    text_add(&right, "%s", style_begin(s, status_part_colour(v)));
    text_add_clean(&right, v->phase);
    text_add(&right, "%s", style_end(s, status_part_colour(v)));
    if (v->state[0]) {
        text_add(&right, " %s ", style_glyph(s, GLYPH_DOT));
        text_add_clean(&right, v->state);
    }
    size_t used = text_columns(text_str(&left)) + text_columns(text_str(&right));
    text_add(t, "%s", text_str(&left));
    if (!text_columns(text_str(&right)))
        text_add(t, "\n");
    else if (used + 2 <= s->width)
        text_add(t, "%*s%s\n", (int)(s->width - used), "", text_str(&right));
    else
        text_add(t, "\n%s\n", text_str(&right));
    text_fini(&left);
    text_fini(&right);
}

/* A step ends when its time is over and there is evidence enough: the one that lags is shown. */
static double step_fraction(const struct status_view *v)
{
    if (status_part_is_between(v))
        return 0;
    double time = v->hold_s > 0 ? fmin(v->step_elapsed_s / v->hold_s, 1) : NAN;
    double proof = v->widen_at > 1 ? bar_odds_fraction(v->safe, v->widen_at) : NAN;
    return fmin(time, proof); /* fmin takes the other where one is NaN */
}

/* The bake counts as the last step. */
static unsigned steps_done(const struct status_view *v)
{
    if (status_part_is_state(v, "COMPLETED") || strcmp(v->result, "completed") == 0)
        return v->steps;
    return v->step > 0 ? v->step - 1 : 0;
}

double status_part_progress(const struct status_view *v)
{
    if (v->steps == 0)
        return 0;
    double running = v->step > 0 ? step_fraction(v) : NAN;
    return (steps_done(v) + (running > 0 ? running : 0)) / v->steps;
}

bool status_part_steps(struct text *t, const struct status_view *v, const struct style *s)
{
    if (v->steps == 0)
        return false;
    struct bar_steps b = {
        .done = steps_done(v),
        .steps = v->steps,
        .fraction = v->step > 0 && status_is_running(v) ? step_fraction(v) : NAN,
        .colour = status_part_colour(v),
        .weights = v->n_weights == v->steps ? v->weights : NULL,
    };
    if (status_part_is_state(v, "STABLE") && b.done == 0)
        return false;
    bar_add_steps(t, s, &b, s->width - 2);
    return true;
}

void status_part_step(struct text *t, const struct status_view *v, const struct style *s)
{
    struct text words = {0};
    if (v->steps == 0 || v->step == 0)
        return;
    text_add(&words, "%s%u of %u%s", status_is_running(v) ? "" : "stopped at ", v->step, v->steps,
             status_part_is_state(v, "BAKING") ? ", baking" : "");
    if (status_is_running(v) && !status_part_is_between(v) && v->step_elapsed_s >= 0) {
        text_add(&words, " %s %s", style_glyph(s, GLYPH_DOT),
                 number_duration(v->step_elapsed_s).at);
        if (v->hold_s > 0)
            text_add(&words, " of at least %s", number_duration(v->hold_s).at);
    }
    status_part_words(t, s, "step", text_str(&words));
    text_fini(&words);
}

void status_part_weight(struct text *t, const struct status_view *v, const struct style *s)
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
    status_part_words(t, s, "weight", text_str(&words));
    text_fini(&words);
}

void status_part_version(struct text *t, const struct status_version *v, const struct style *s)
{
    struct text clean = {0};
    text_add_clean(&clean, v->name);
    const char *name = text_str(&clean);
    bool is_long = text_columns(name) > NAME_COLUMNS_MAX;
    text_add_bytes(t, name, is_long ? text_cut(name, NAME_COLUMNS_MAX - 1) : strlen(name));
    text_add(t, "%s", is_long ? style_glyph(s, GLYPH_ELLIPSIS) : "");
    text_clear(&clean);
    text_add_clean(&clean, v->role);
    if (v->role[0])
        text_add(t, " %.12s", text_str(&clean));
    text_fini(&clean);
}

void status_part_errors(struct text *t, const struct status_version *v, const struct style *s)
{
    text_add(t, "%s", number_rate(v->error_rate).at);
    if (v->error_rate >= 0 && v->low >= 0 && v->high >= 0)
        text_add(t, " (%s %s %s)", number_rate(v->low).at, style_glyph(s, GLYPH_DASH),
                 number_rate(v->high).at);
}
