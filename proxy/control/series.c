/* A route over the last day: three rings of points, each coarser and longer than the one before.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/series.h"

#include "base/check.h"
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define US_PER_MS 1000.0

struct values {
    uint32_t requests, failed, p50_us, p99_us; /* quantiles: 0 = nothing was timed */
};

struct point {
    int64_t wall_ms;
    uint32_t span_ms; /* that it stands for */
    uint32_t weight_bp;
    float evidence, limit; /* NaN = none */
    struct values sides[ROLE_COUNT];
};

/* What was counted at an earlier look. */
struct mark {
    int64_t at_ms;
    struct series_side sides[ROLE_COUNT];
};

/* Which ring, how far apart its points are, and how many it keeps: what bounds the memory of a route. */
#define RINGS 3
static const struct {
    int64_t step_ms;
    unsigned max;
} shapes[RINGS] = {{1000, 600}, {10000, 360}, {120000, 720}};
#define POINTS_MAX (600 + 360 + 720)

struct ring {
    unsigned n, next;
    struct point *points;
};

struct series {
    bool has_begun;
    struct mark before, last,
        far; /* the two newest looks of the second ring, the newest of the third */
    struct ring rings[RINGS];
    struct point points[POINTS_MAX];
};

struct series *series_new(void)
{
    struct series *s = calloc(1, sizeof *s);
    struct point *at = s ? s->points : NULL;
    for (unsigned i = 0; s && i < RINGS; i++, at += shapes[i - 1].max)
        s->rings[i].points = at;
    return s;
}

void series_free(struct series *s)
{
    free(s);
}

static uint32_t counted(uint64_t now, uint64_t then)
{
    uint64_t n = now > then ? now - then : 0;
    return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

static uint32_t quantile_us(const struct hist_sum *durations, double q)
{
    uint64_t us = hist_quantile_us(durations, q);
    return us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
}

static struct values between(const struct series_side *now, const struct series_side *then)
{
    struct hist_sum durations = now->durations;
    hist_subtract(&durations, &then->durations);
    struct values v = {.requests = counted(now->requests, then->requests),
                       .failed = counted(now->failed, then->failed),
                       .p50_us = quantile_us(&durations, 0.50),
                       .p99_us = quantile_us(&durations, 0.99)};
    if (v.failed > v.requests) /* metrics/totals.h: counted at this very moment */
        v.failed = v.requests;
    return v;
}

static void add_point(struct series *s, unsigned which, const struct series_now *now,
                      const struct mark *since)
{
    struct ring *ring = &s->rings[which];
    struct point *p = &ring->points[ring->next];
    *p = (struct point){.wall_ms = now->wall_ms,
                        .span_ms = (uint32_t)(now->now_ms - since->at_ms),
                        .weight_bp = now->weight_bp,
                        .evidence = (float)now->evidence,
                        .limit = (float)now->limit};
    for (unsigned role = 0; role < ROLE_COUNT; role++)
        p->sides[role] = between(&now->sides[role], &since->sides[role]);
    ring->next = (ring->next + 1) % shapes[which].max;
    if (ring->n < shapes[which].max)
        ring->n++;
}

static void set_mark(struct mark *m, const struct series_now *now)
{
    m->at_ms = now->now_ms;
    memcpy(m->sides, now->sides, sizeof m->sides);
}

/* What another version has had is no part of what this one has. */
static void begin_anew(struct series *s, const struct series_now *now)
{
    for (unsigned role = 0; role < ROLE_COUNT; role++) {
        const struct series_side *side = &now->sides[role];
        if (side->of == s->last.sides[role].of)
            continue;
        s->before.sides[role] = *side;
        s->last.sides[role] = *side;
        s->far.sides[role] = *side;
    }
}

void series_take(struct series *s, const struct series_now *now)
{
    if (!s->has_begun) {
        set_mark(&s->before, now);
        set_mark(&s->last, now);
        set_mark(&s->far, now);
        s->has_begun = true;
        return;
    }
    begin_anew(s, now);
    add_point(s, 0, now, &s->before);
    if (now->now_ms - s->last.at_ms >= shapes[1].step_ms) {
        add_point(s, 1, now, &s->last);
        s->before = s->last;
        set_mark(&s->last, now);
    }
    if (now->now_ms - s->far.at_ms >= shapes[2].step_ms) {
        add_point(s, 2, now, &s->far);
        set_mark(&s->far, now);
    }
}

/* The i-th oldest. */
static const struct point *point_at(const struct series *s, unsigned which, unsigned i)
{
    const struct ring *ring = &s->rings[which];
    return &ring->points[(ring->next + shapes[which].max - ring->n + i) % shapes[which].max];
}

static int print_ratio(char *text, size_t size, float ratio)
{
    return isfinite(ratio) ? snprintf(text, size, ",%.4g", (double)ratio)
                           : snprintf(text, size, ",null");
}

static int print_quantile(char *text, size_t size, uint32_t us)
{
    return us ? snprintf(text, size, ",%.6g", us / US_PER_MS) : snprintf(text, size, ",null");
}

/* Returns its length; SERIES_POINT_MAX has room for the longest. */
static size_t print_point(char text[SERIES_POINT_MAX], const struct point *p)
{
    const size_t size = SERIES_POINT_MAX;
    int len = snprintf(text, size, "[%lld.%03d,%.3f,%.2f", (long long)(p->wall_ms / 1000),
                       (int)(p->wall_ms % 1000), p->span_ms / 1000.0, p->weight_bp / 100.0);
    len += print_ratio(text + len, size - (size_t)len, p->evidence);
    len += print_ratio(text + len, size - (size_t)len, p->limit);
    for (unsigned role = 0; role < ROLE_COUNT; role++) {
        const struct values *v = &p->sides[role];
        len += snprintf(text + len, size - (size_t)len, ",%u,%u", v->requests, v->failed);
        len += print_quantile(text + len, size - (size_t)len, v->p50_us);
        len += print_quantile(text + len, size - (size_t)len, v->p99_us);
    }
    len += snprintf(text + len, size - (size_t)len, "]");
    CHECK((size_t)len < size);
    return (size_t)len;
}

bool series_newest(const struct series *s, char text[SERIES_POINT_MAX])
{
    if (s->rings[0].n == 0)
        return false;
    (void)print_point(text, point_at(s, 0, s->rings[0].n - 1));
    return true;
}

/* Points of a ring that are older than everything in the finer ones; nothing of those that it repeats. */
static unsigned older_than(const struct series *s, unsigned which, int64_t wall_ms)
{
    unsigned n = 0;
    while (n < s->rings[which].n && point_at(s, which, n)->wall_ms < wall_ms)
        n++;
    return n;
}

static void print_points(const struct series *s, char *text)
{
    unsigned take[RINGS];
    int64_t from_ms = INT64_MAX;
    for (unsigned which = 0; which < RINGS; which++) {
        take[which] = older_than(s, which, from_ms);
        if (take[which])
            from_ms = point_at(s, which, 0)->wall_ms;
    }
    size_t len = 0;
    text[len++] = '[';
    for (unsigned which = RINGS; which-- > 0;)
        for (unsigned i = 0; i < take[which]; i++) {
            if (len > 1)
                text[len++] = ',';
            len += print_point(text + len, point_at(s, which, i));
        }
    memcpy(text + len, "]", 2);
}

bool series_json(const struct series *s, cJSON *json)
{
    static const char *const columns[] = {"t",
                                          "span_s",
                                          "weight",
                                          "evidence",
                                          "evidence_limit",
                                          "stable_requests",
                                          "stable_failed",
                                          "stable_p50_ms",
                                          "stable_p99_ms",
                                          "canary_requests",
                                          "canary_failed",
                                          "canary_p50_ms",
                                          "canary_p99_ms"};
    cJSON *names = cJSON_CreateStringArray(columns, ARRAY_LEN(columns));
    unsigned n = s ? s->rings[0].n + s->rings[1].n + s->rings[2].n : 0;
    char *text = malloc((size_t)n * SERIES_POINT_MAX + 3);
    if (!names || !text || !cJSON_AddItemToObject(json, "columns", names)) {
        cJSON_Delete(names);
        free(text);
        return false;
    }
    if (s)
        print_points(s, text);
    else
        memcpy(text, "[]", 3);
    bool whole = cJSON_AddRawToObject(json, "points", text) != NULL;
    free(text);
    return whole;
}
