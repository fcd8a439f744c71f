/* Bars made of characters: the steps of a rollout, and a value against its limit (pure).
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/cli/bar.h"
#include "rollout/cli/numbers.h"

#include <math.h>
#include <string.h>

#define SEGMENT_MIN   3u
#define SEGMENT_MAX   14u
#define SEGMENT_LABEL 5u /* room for "0.01%" */

static void add_repeated(struct text *t, const char *glyph, size_t n)
{
    while (n--)
        text_add(t, "%s", glyph);
}

void bar_add(struct text *t, const struct style *s, double fraction, size_t columns,
             enum colour colour)
{
    if (!(fraction > 0))
        fraction = 0;
    size_t halves = (size_t)(fmin(fraction, 1) * 2 * (double)columns);
    size_t full = halves / 2, half = halves % 2;
    if (halves > 0)
        text_add(t, "%s", style_begin(s, colour));
    add_repeated(t, style_glyph(s, GLYPH_BAR_FULL), full);
    add_repeated(t, style_glyph(s, GLYPH_BAR_HALF), half);
    if (halves > 0)
        text_add(t, "%s", style_end(s, colour));
    if (full + half == columns)
        return;
    text_add(t, "%s", style_begin(s, COLOUR_DIM));
    add_repeated(t, style_glyph(s, GLYPH_BAR_EMPTY), columns - full - half);
    text_add(t, "%s", style_end(s, COLOUR_DIM));
}

static double fraction_of_segment(const struct bar_steps *b, unsigned i)
{
    if (i < b->done)
        return 1;
    return i == b->done ? b->fraction : 0;
}

static void add_labels(struct text *t, const struct style *s, const struct bar_steps *b,
                       size_t segment)
{
    text_add(t, "  %s", style_begin(s, COLOUR_DIM));
    for (unsigned i = 0; i < b->steps; i++) {
        struct number_text label = number_percent(b->weights[i]);
        bool is_last = i + 1 == b->steps;
        text_add(t, "%-*s%s", is_last ? 0 : (int)segment, label.at, is_last ? "" : " ");
    }
    text_add(t, "%s\n", style_end(s, COLOUR_DIM));
}

void bar_add_steps(struct text *t, const struct style *s, const struct bar_steps *b, size_t columns)
{
    text_add(t, "  ");
    if (b->steps == 0 || columns / b->steps <= SEGMENT_MIN) { /* too many to tell apart */
        double running = b->fraction > 0 ? fmin(b->fraction, 1) : 0;
        double share = b->steps ? (b->done + running) / b->steps : 0;
        bar_add(t, s, share, columns, b->colour);
        text_add(t, "\n");
        return;
    }
    size_t segment = (columns + 1) / b->steps - 1;
    if (segment > SEGMENT_MAX)
        segment = SEGMENT_MAX;
    for (unsigned i = 0; i < b->steps; i++) {
        if (i > 0)
            text_add(t, " ");
        bar_add(t, s, fraction_of_segment(b, i), segment, b->colour);
    }
    text_add(t, "\n");
    if (b->weights && segment >= SEGMENT_LABEL)
        add_labels(t, s, b, segment);
}

double bar_odds_fraction(double odds, double limit)
{
    if (!(odds > 1) || !(limit > 1))
        return 0;
    return fmin(log(odds) / log(limit), 1);
}
