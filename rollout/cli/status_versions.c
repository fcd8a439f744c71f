/* Draws both versions of a route side by side, or below each other where the width is short.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "rollout/cli/numbers.h"
#include "rollout/cli/status_parts.h"
#include "rollout/cli/status_render.h"

#include <math.h>
#include <string.h>

#define COLUMN_GAP 3u

enum column {
    COLUMN_NAME,
    COLUMN_REQUESTS,
    COLUMN_ERRORS,
    COLUMN_P50,
    COLUMN_P99,
    COLUMN_AVAILABLE,
    COLUMNS
};

static const char *const titles[COLUMNS] = {"", "requests", "errors", "p50", "p99", "available"};

struct cell {
    char at[160];
};

struct row {
    struct cell cells[COLUMNS];
    enum colour errors;
};

static void set_cell(struct cell *cell, const struct text *words)
{
    snprintf(cell->at, sizeof cell->at, "%s", text_str(words));
}

static void available_cell(struct cell *cell, const struct status_version *v)
{
    if (v->endpoints >= 0)
        snprintf(cell->at, sizeof cell->at, "%s of %s", number_count(v->available).at,
                 number_count(v->endpoints).at);
    else
        snprintf(cell->at, sizeof cell->at, "%s", number_count(v->available).at);
}

static struct row row_of(const struct status_version *v, const struct style *s)
{
    struct row row = {0};
    struct text words = {0};
    status_part_version(&words, v, s);
    set_cell(&row.cells[COLUMN_NAME], &words);
    snprintf(row.cells[COLUMN_REQUESTS].at, sizeof(struct cell), "%s",
             number_count(v->requests).at);
    text_clear(&words);
    status_part_errors(&words, v, s);
    set_cell(&row.cells[COLUMN_ERRORS], &words);
    text_fini(&words);
    bool is_timed = v->requests != 0; /* a quantile of nothing is not 0 ms */
    snprintf(row.cells[COLUMN_P50].at, sizeof(struct cell), "%s",
             number_latency(is_timed ? v->p50_ms : NAN).at);
    snprintf(row.cells[COLUMN_P99].at, sizeof(struct cell), "%s",
             number_latency(is_timed ? v->p99_ms : NAN).at);
    available_cell(&row.cells[COLUMN_AVAILABLE], v);
    return row;
}

/* Red where the intervals part: then the difference is no accident. */
static void mark_worse(struct row rows[STATUS_VERSIONS_MAX], const struct status_view *v)
{
    for (size_t i = 0; i < v->n_versions; i++)
        for (size_t j = 0; j < v->n_versions; j++)
            if (v->versions[i].low > v->versions[j].high)
                rows[i].errors = COLOUR_RED;
}

static size_t width_of_table(const struct row *rows, size_t n, size_t widths[COLUMNS])
{
    size_t total = 2;
    for (size_t c = 0; c < COLUMNS; c++) {
        widths[c] = text_columns(titles[c]);
        for (size_t i = 0; i < n; i++) {
            size_t columns = text_columns(rows[i].cells[c].at);
            if (columns > widths[c])
                widths[c] = columns;
        }
        total += widths[c] + (c ? COLUMN_GAP : 0);
    }
    return total;
}

static void add_spaces(struct text *t, size_t n)
{
    text_add(t, "%*s", (int)n, "");
}

/* Names stand left, figures right, so that their digits line up. */
static void add_cell(struct text *t, const struct style *s, const char *cell, size_t width,
                     enum colour colour)
{
    size_t columns = text_columns(cell);
    add_spaces(t, width > columns ? width - columns : 0);
    text_add(t, "%s%s%s", style_begin(s, colour), cell, style_end(s, colour));
}

static void add_table(struct text *t, const struct style *s, const struct row *rows, size_t n,
                      const size_t widths[COLUMNS])
{
    add_spaces(t, 2 + widths[COLUMN_NAME]);
    for (size_t c = 1; c < COLUMNS; c++) {
        add_spaces(t, COLUMN_GAP);
        add_cell(t, s, titles[c], widths[c], COLOUR_DIM);
    }
    text_add(t, "\n");
    for (size_t i = 0; i < n; i++) {
        add_spaces(t, 2);
        text_add(t, "%s", rows[i].cells[COLUMN_NAME].at);
        add_spaces(t, widths[COLUMN_NAME] - text_columns(rows[i].cells[COLUMN_NAME].at));
        for (size_t c = 1; c < COLUMNS; c++) {
            add_spaces(t, COLUMN_GAP);
            add_cell(t, s, rows[i].cells[c].at, widths[c],
                     c == COLUMN_ERRORS ? rows[i].errors : COLOUR_NONE);
        }
        text_add(t, "\n");
    }
}

static void add_stacked(struct text *t, const struct style *s, const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        text_add(t, "%s  %s%s%s\n", i ? "\n" : "", style_begin(s, COLOUR_BOLD),
                 rows[i].cells[COLUMN_NAME].at, style_end(s, COLOUR_BOLD));
        for (size_t c = 1; c < COLUMNS; c++) {
            enum colour colour = c == COLUMN_ERRORS ? rows[i].errors : COLOUR_NONE;
            text_add(t, "    %s%-10s%s %s%s%s\n", style_begin(s, COLOUR_DIM), titles[c],
                     style_end(s, COLOUR_DIM), style_begin(s, colour), rows[i].cells[c].at,
                     style_end(s, colour));
        }
    }
}

void status_render_versions(struct text *t, const struct status_view *v, const struct style *s)
{
    struct row rows[STATUS_VERSIONS_MAX];
    size_t widths[COLUMNS];
    for (size_t i = 0; i < v->n_versions; i++)
        rows[i] = row_of(&v->versions[i], s);
    mark_worse(rows, v);
    if (width_of_table(rows, v->n_versions, widths) <= s->width)
        add_table(t, s, rows, v->n_versions, widths);
    else
        add_stacked(t, s, rows, v->n_versions);
}
