/* Draws what serin status --watch shows (pure).
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/cli/watch_render.h"
#include "base/check.h"
#include "rollout/cli/numbers.h"
#include "rollout/cli/spark.h"
#include "rollout/cli/status_parts.h"
#include "rollout/cli/status_render.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

/* A sparkline's highest bar stands for at least this: below it every failure would look like a
 * disaster. */
#define TOP_MIN 0.01
/* A sparkline that is shorter gets a line of its own. */
#define SPARK_MIN 10u
/* Lower terminals have no room for an empty line above the footer. */
#define ROWS_FOR_GAP 8u
#define RATE_COLUMNS 8u /* "<0.01%", with a gap */

static size_t count_lines(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += *text == '\n';
    return n;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

bool watch_is_active(const struct status_view *v)
{
    return status_is_running(v) || strcmp(v->phase, "Healthy") != 0 || v->intended > 0;
}

/* --- sparklines --- */

static enum rates_side side_of(const struct status_version *v)
{
    return strcmp(v->role, "canary") == 0 ? RATES_CANARY : RATES_STABLE;
}

static double top_of(const struct rates *r, size_t columns)
{
    return fmax(rates_largest(r, columns), TOP_MIN);
}

/* The newest value stands right. columns: at most RATES_MAX. */
static void add_spark(struct text *t, const struct style *s, const struct rates *r,
                      const struct status_version *v, size_t columns, double top)
{
    enum rates_side side = side_of(v);
    enum colour colour = COLOUR_DIM;
    if (side == RATES_CANARY)
        colour = rates_newest(r, side, columns) > 0 ? COLOUR_RED : COLOUR_CYAN;
    text_add(t, "%s", style_begin(s, colour));
    spark_add(t, s, &r->at[side][RATES_MAX - columns], columns, top);
    text_add(t, "%s", style_end(s, colour));
}

static size_t columns_of_names(const struct status_view *v, const struct style *s)
{
    size_t most = 0;
    for (size_t i = 0; i < v->n_versions; i++) {
        struct text name = {0};
        status_part_version(&name, &v->versions[i], s);
        size_t columns = text_columns(text_str(&name));
        most = columns > most ? columns : most;
        text_fini(&name);
    }
    return most;
}

/* Both versions' sparklines below a line that says what they show. */
static void add_sparks(struct text *t, const struct status_view *v, const struct rates *r,
                       const struct style *s)
{
    size_t names = columns_of_names(v, s), used = 2 + names + 2 + RATE_COLUMNS;
    if (!r || v->n_versions == 0 || s->columns < used + SPARK_MIN)
        return;
    size_t columns = smaller(s->columns - used, RATES_MAX);
    double top = top_of(r, columns);
    struct text words = {0};
    text_add(&words, "over the last %s, %s = %s",
             number_duration((double)columns * RATES_STEP_S).at, style_glyph(s, GLYPH_SPARK_TOP),
             number_percent(top * 100).at);
    text_add(t, "\n");
    status_part_words(t, s, "failing", text_str(&words));
    text_fini(&words);
    for (size_t i = 0; i < v->n_versions; i++) {
        const struct status_version *one = &v->versions[i];
        text_add(t, "  ");
        status_part_version(t, one, s);
        text_pad(t, 2 + names + 2);
        add_spark(t, s, r, one, columns, top);
        text_add(t, "  %s\n", number_rate(rates_newest(r, side_of(one), columns)).at);
    }
}

/* --- several routes, each in a few lines --- */

/* What stands beside a sparkline, and how wide. */
struct figures {
    struct text errors, latency;
};

static void add_figures(struct figures *f, const struct status_version *v, const struct style *s)
{
    double known = v->requests != 0 ? 1 : NAN; /* a quantile of nothing is not 0 ms */
    status_part_errors(&f->errors, v, s);
    text_add(&f->latency, "p50 %s  p99 %s", number_latency(v->p50_ms * known).at,
             number_latency(v->p99_ms * known).at);
}

struct widths {
    size_t names, errors, latency;
};

static struct widths measure(const struct status_view *v, const struct style *s)
{
    struct widths w = {.names = columns_of_names(v, s)};
    for (size_t i = 0; i < v->n_versions; i++) {
        struct figures f = {{0}, {0}};
        add_figures(&f, &v->versions[i], s);
        size_t errors = text_columns(text_str(&f.errors));
        size_t latency = text_columns(text_str(&f.latency));
        w.errors = errors > w.errors ? errors : w.errors;
        w.latency = latency > w.latency ? latency : w.latency;
        text_fini(&f.errors);
        text_fini(&f.latency);
    }
    return w;
}

/* One version in one line, or in two where the terminal is narrow. */
static void add_version(struct text *t, const struct status_version *v, const struct rates *r,
                        const struct style *s, const struct widths *w, double top)
{
    size_t line = 2 + w->names + 2 + w->errors + 2 + w->latency + 2;
    bool is_narrow = s->columns < line + SPARK_MIN;
    size_t used = is_narrow ? 4 + w->latency + 2 : line;
    struct figures f = {{0}, {0}};
    struct text row = {0};
    add_figures(&f, v, s);
    text_add(&row, "  ");
    status_part_version(&row, v, s);
    text_pad(&row, 2 + w->names + 2);
    text_add(&row, "%s", text_str(&f.errors));
    if (is_narrow) {
        status_part_cut(t, s, text_str(&row), s->columns);
        text_clear(&row);
    }
    text_pad(&row, is_narrow ? 4 : line - 2 - w->latency);
    text_add(&row, "%s", text_str(&f.latency));
    if (r && s->columns > used) {
        text_pad(&row, used);
        add_spark(&row, s, r, v, smaller(s->columns - used, RATES_MAX), top);
    }
    status_part_cut(t, s, text_str(&row), s->columns);
    text_fini(&f.errors);
    text_fini(&f.latency);
    text_fini(&row);
}

static void add_odds(struct text *t, const char *of, double odds, double limit)
{
    bool is_none = odds < 1.05; /* below 1 it speaks for the contrary */
    text_add(t, "%s %s of %s to 1", of, is_none ? "0" : number_odds(odds).at,
             number_odds(limit).at);
}

static void add_evidence(struct text *t, const struct status_view *v, const struct style *s)
{
    struct text words = {0};
    if (!status_is_running(v) || !(v->against >= 0) || !(v->revert_at > 0))
        return;
    add_odds(&words, "worse", v->against, v->revert_at);
    if (v->safe >= 0 && v->widen_at > 0 && !status_part_is_between(v)) {
        text_add(&words, " %s ", style_glyph(s, GLYPH_DOT));
        add_odds(&words, "safe", v->safe, v->widen_at);
    }
    status_part_words(t, s, "evidence", text_str(&words));
    text_fini(&words);
}

static void add_route(struct text *t, const struct status_view *v, const struct rates *r,
                      const struct style *s, double top)
{
    status_part_head(t, v, s);
    if (!watch_is_active(v))
        return;
    (void)status_part_steps(t, v, s);
    status_part_step(t, v, s);
    status_part_weight(t, v, s);
    status_part_sentence(t, s, "why", v->why);
    struct widths w = measure(v, s);
    for (size_t i = 0; i < v->n_versions; i++)
        add_version(t, &v->versions[i], r, s, &w, top);
    add_evidence(t, v, s);
}

/* --- what the terminal has room for --- */

/* Lines as far as there are rows; the last row then tells how many are missing. */
static void add_fitting(struct text *t, const char *lines, size_t rows, const struct style *s)
{
    size_t n = count_lines(lines);
    const char *end = lines;
    if (n <= rows) {
        text_add(t, "%s", lines);
        return;
    }
    for (size_t i = 0; i + 1 < rows; i++)
        end = strchr(end, '\n') + 1;
    text_add_bytes(t, lines, (size_t)(end - lines));
    if (rows > 0)
        text_add(t, "%s%s %zu more lines%s\n", style_begin(s, COLOUR_DIM),
                 style_glyph(s, GLYPH_ELLIPSIS), n - rows + 1, style_end(s, COLOUR_DIM));
}

struct stack {
    struct text *t;
    const struct watch_scene *scene;
    const struct style *style;
    size_t rows, used; /* lines */
    size_t left;       /* routes that are not placed yet */
    size_t left_active, left_out;
    double top; /* of all sparklines, so that routes compare */
    bool is_full;
};

/* Puts a route on the stack; the first one that has no room, and all behind it, are only counted.
 * Of the very first better a part than nothing. */
static void stack_route(struct stack *k, const struct status_view *v, bool is_active)
{
    struct text one = {0};
    k->left--;
    size_t taken = k->used + (k->left > 0); /* a row to tell of the others */
    size_t room = taken < k->rows && !k->is_full ? k->rows - taken : 0;
    if (room > 0) {
        if (is_active && k->used > 0)
            text_add(&one, "\n");
        add_route(&one, v, rates_book_find(k->scene->rates, v->route), k->style, k->top);
    }
    size_t lines = count_lines(text_str(&one));
    bool has_part = k->used == 0 && room > 1; /* a line of it, and how many are missing */
    k->is_full |= room == 0 || lines > room;
    if (room > 0 && (lines <= room || has_part)) {
        add_fitting(k->t, text_str(&one), room, k->style);
        k->used += smaller(lines, room);
    } else {
        k->left_out++;
        k->left_active += is_active;
    }
    text_fini(&one);
}

static double top_of_all(const cJSON *routes, const struct watch_scene *scene)
{
    double top = TOP_MIN;
    const cJSON *item;
    cJSON_ArrayForEach(item, routes)
    {
        struct status_view v = status_view_of(item);
        const struct rates *r = rates_book_find(scene->rates, v.route);
        if (r && watch_is_active(&v))
            top = fmax(top, rates_largest(r, RATES_MAX));
    }
    return top;
}

/* Those first that somebody may have to look at, in the order of the file; then the others. */
static void add_routes(struct text *t, const struct watch_scene *scene, const struct style *s,
                       size_t rows, double top)
{
    const cJSON *item, *routes = cJSON_GetObjectItemCaseSensitive(scene->status, "routes");
    struct stack k = {.t = t,
                      .scene = scene,
                      .style = s,
                      .rows = rows,
                      .top = top,
                      .left = (size_t)cJSON_GetArraySize(routes)};
    for (int active = 1; active >= 0; active--) {
        bool is_gap_due = !active && k.used > 0 && k.left > 0 && k.used + 2 < rows && !k.is_full;
        if (is_gap_due) {
            text_add(t, "\n");
            k.used++;
        }
        cJSON_ArrayForEach(item, routes)
        {
            struct status_view v = status_view_of(item);
            if (watch_is_active(&v) == (active == 1))
                stack_route(&k, &v, active == 1);
        }
    }
    if (!k.left_out || rows == 0)
        return;
    text_add(t, "%s%s %zu more route%s", style_begin(s, COLOUR_DIM), style_glyph(s, GLYPH_ELLIPSIS),
             k.left_out, k.left_out == 1 ? "" : "s");
    if (k.left_active)
        text_add(t, ", %zu not at rest", k.left_active);
    text_add(t, "%s\n", style_end(s, COLOUR_DIM));
}

/* --- the whole frame --- */

/* What the sparklines' highest bar is, where there is room for it. */
static void add_scale(struct text *line, const struct style *s, double top)
{
    struct text scale = {0};
    text_add(&scale, " %s %s = %s failing", style_glyph(s, GLYPH_DOT),
             style_glyph(s, GLYPH_SPARK_TOP), number_percent(top * 100).at);
    if (text_columns(text_str(line)) + text_columns(text_str(&scale)) <= s->columns)
        text_add(line, "%s", text_str(&scale));
    text_fini(&scale);
}

static void add_footer(struct text *t, const struct watch_scene *scene, const struct style *s,
                       double top)
{
    const char *dot = style_glyph(s, GLYPH_DOT);
    enum colour colour = scene->away_since ? COLOUR_YELLOW : COLOUR_DIM;
    struct text line = {0};
    text_add(&line, "%s%s", style_begin(s, colour), scene->clock);
    if (scene->away_since) {
        text_add(&line, " %s not connected since %s", dot, scene->away_since);
        if (scene->trouble) {
            text_add(&line, ": ");
            text_add_clean(&line, scene->trouble);
        }
    } else {
        if (scene->waits)
            text_add(&line, " %s waiting for a rollout", dot);
        if (scene->has_keys || scene->has_interrupt)
            text_add(&line, " %s %s ends this, not the rollout", dot,
                     scene->has_keys ? "q" : "Ctrl-C");
        if (top > 0)
            add_scale(&line, s, top);
    }
    text_add(&line, "%s", style_end(s, colour));
    status_part_cut(t, s, text_str(&line), s->columns);
    text_fini(&line);
}

static void add_one(struct text *t, const cJSON *route, const struct watch_scene *scene,
                    const struct style *s, size_t rows)
{
    struct status_view v = status_view_of(route);
    const struct rates *r = rates_book_find(scene->rates, v.route);
    struct text body = {0};
    status_render(&body, &v, s);
    add_sparks(&body, &v, r, s);
    if (count_lines(text_str(&body)) > rows) {
        text_clear(&body);
        add_route(&body, &v, r, s, r ? top_of(r, RATES_MAX) : TOP_MIN);
    }
    add_fitting(t, text_str(&body), rows, s);
    text_fini(&body);
}

void watch_render(struct text *t, const struct watch_scene *scene, const struct style *s)
{
    size_t rows = s->height > 1 ? s->height - 1 : SIZE_MAX / 2;
    bool has_gap = rows >= ROWS_FOR_GAP;
    size_t left = rows - 1 - has_gap;
    const cJSON *routes = cJSON_GetObjectItemCaseSensitive(scene->status, "routes");
    double top = 0; /* one route says it itself */
    if (!routes) {
        add_one(t, scene->status, scene, s, left);
    } else if (cJSON_GetArraySize(routes) == 1) {
        add_one(t, cJSON_GetArrayItem(routes, 0), scene, s, left);
    } else if (cJSON_GetArraySize(routes) == 0) {
        add_fitting(t, "no routes\n", left, s);
    } else {
        top = top_of_all(routes, scene);
        add_routes(t, scene, s, left, top);
    }
    if (has_gap)
        text_add(t, "\n");
    add_footer(t, scene, s, top);
}
