/* A route over the last day: windows, rings, their bounds, and the JSON.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "proxy/control/series.h"
#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

enum { T, SPAN, WEIGHT, EVIDENCE, LIMIT, STABLE, CANARY = STABLE + 4, COLUMNS = CANARY + 4 };
enum { REQUESTS, FAILED, P50, P99 };

#define WALL_MS INT64_C(1700000000000)

static struct variant_metrics v1, v2, v3;
static struct series *series;
static struct series_now now;

static int before_each(void **state)
{
    (void)state;
    series = series_new();
    memset(&now, 0, sizeof now);
    now.wall_ms = WALL_MS;
    now.evidence = now.limit = NAN;
    now.sides[ROLE_STABLE].of = &v1;
    now.sides[ROLE_CANARY].of = &v2;
    return series ? 0 : -1;
}

static int after_each(void **state)
{
    (void)state;
    series_free(series);
    return 0;
}

/* So many looks, a second apart; in each, stable has 10 requests of 1 ms more, the canary one that failed. */
static void pass(unsigned seconds)
{
    for (unsigned i = 0; i < seconds; i++) {
        now.now_ms += 1000;
        now.wall_ms += 1000;
        now.sides[ROLE_STABLE].requests += 10;
        now.sides[ROLE_STABLE].durations.cells[hist_cell(1000)] += 10;
        now.sides[ROLE_CANARY].requests++;
        now.sides[ROLE_CANARY].failed++;
        series_take(series, &now);
    }
}

static cJSON *points_of(const struct series *s)
{
    cJSON *json = cJSON_CreateObject();
    assert_true(series_json(s, json));
    char *text = cJSON_PrintUnformatted(json);
    cJSON *parsed = cJSON_Parse(text);
    assert_non_null(parsed);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(parsed, "columns")), COLUMNS);
    cJSON_free(text);
    cJSON_Delete(json);
    cJSON *points = cJSON_DetachItemFromObject(parsed, "points");
    cJSON_Delete(parsed);
    return points;
}

static double at(const cJSON *point, int column)
{
    const cJSON *item = cJSON_GetArrayItem(point, column);
    return cJSON_IsNumber(item) ? item->valuedouble : NAN;
}

static cJSON *newest(void)
{
    char text[SERIES_POINT_MAX];
    assert_true(series_newest(series, text));
    cJSON *point = cJSON_Parse(text);
    assert_int_equal(cJSON_GetArraySize(point), COLUMNS);
    return point;
}

static void the_first_look_only_begins(void **state)
{
    (void)state;
    char text[SERIES_POINT_MAX];
    pass(1);
    assert_false(series_newest(series, text));
    cJSON *points = points_of(series);
    assert_int_equal(cJSON_GetArraySize(points), 0);
    cJSON_Delete(points);
    points = points_of(NULL);
    assert_int_equal(cJSON_GetArraySize(points), 0);
    cJSON_Delete(points);
}

static void a_point_says_what_was_counted_of_late(void **state)
{
    (void)state;
    now.weight_bp = 525;
    pass(1);
    now.evidence = 12.5;
    now.limit = 100;
    pass(55);
    cJSON *point = newest();
    assert_true(at(point, T) == (double)(WALL_MS / 1000 + 56));
    double span = at(point, SPAN);
    assert_true(span >= 10 && span <= 20);
    assert_true(at(point, WEIGHT) == 5.25);
    assert_true(at(point, EVIDENCE) == 12.5 && at(point, LIMIT) == 100);
    assert_true(at(point, STABLE + REQUESTS) == 10 * span && at(point, STABLE + FAILED) == 0);
    assert_true(at(point, CANARY + REQUESTS) == span && at(point, CANARY + FAILED) == span);
    assert_true(fabs(at(point, STABLE + P50) - 1) < 0.05 &&
                fabs(at(point, STABLE + P99) - 1) < 0.05);
    assert_true(isnan(at(point, CANARY + P50))); /* nothing was timed */
    cJSON_Delete(point);
}

static void another_version_begins_anew(void **state)
{
    (void)state;
    pass(40);
    now.sides[ROLE_CANARY].of = &v3;
    now.sides[ROLE_CANARY].requests = 1000000;
    pass(1);
    cJSON *point = newest();
    assert_true(at(point, CANARY + REQUESTS) == 0);
    assert_true(at(point, STABLE + REQUESTS) >= 100);
    cJSON_Delete(point);
    pass(3);
    point = newest();
    assert_true(at(point, CANARY + REQUESTS) == 3);
    cJSON_Delete(point);
}

static void failed_is_never_above_requests(void **state)
{
    (void)state;
    pass(2);
    now.sides[ROLE_CANARY].failed += 5;
    pass(1);
    cJSON *point = newest();
    assert_true(at(point, CANARY + FAILED) == at(point, CANARY + REQUESTS));
    cJSON_Delete(point);
}

/* More than a day: every ring is full, the points rise, and no second is told twice. */
static void old_points_get_coarse_and_go(void **state)
{
    (void)state;
    pass(25 * 3600);
    cJSON *points = points_of(series);
    int n = cJSON_GetArraySize(points);
    assert_true(n > 1500 && n < 1680);
    double end = (double)(now.wall_ms / 1000), last = 0;
    const cJSON *point;
    unsigned seconds = 0, tens = 0;
    cJSON_ArrayForEach(point, points)
    {
        double t = at(point, T);
        assert_true(t > last);
        last = t;
        seconds += t > end - 600;
        tens += t > end - 3600 && t <= end - 600;
    }
    assert_true(last == end);
    assert_int_equal(seconds, 600);
    assert_in_range(tens, 299, 301);
    double first = at(points->child, T);
    assert_true(end - first > 23 * 3600 && end - first <= 24 * 3600);
    /* nothing is lost between coarse points: each stands for the time since the one before */
    const cJSON *coarse = points->child->next;
    assert_true(at(coarse, SPAN) == 120 && at(coarse, STABLE + REQUESTS) == 1200);
    cJSON_Delete(points);
}

static void the_longest_point_has_room(void **state)
{
    (void)state;
    now.weight_bp = 10000;
    now.evidence = now.limit = -1.234567e-38;
    pass(1);
    for (unsigned role = 0; role < ROLE_COUNT; role++) {
        now.sides[role].requests = now.sides[role].failed = UINT64_MAX;
        now.sides[role].durations.cells[HIST_CELLS - 1] = 1000000;
    }
    now.now_ms += UINT32_MAX - 1000;
    now.wall_ms = INT64_MAX / 2;
    series_take(series, &now);
    cJSON_Delete(newest());
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, before_each, after_each)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_first_look_only_begins),   CASE(a_point_says_what_was_counted_of_late),
        CASE(another_version_begins_anew),  CASE(failed_is_never_above_requests),
        CASE(old_points_get_coarse_and_go), CASE(the_longest_point_has_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
