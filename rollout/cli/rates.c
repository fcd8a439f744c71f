/* How often both versions of a route failed over the last ten minutes (pure).
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/cli/rates.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

/* Seconds since 1970 that a point may bear: what is beyond is no time, and would not fit an integer. */
#define TIME_MAX_S 1e12

/* Where the numbers stand in a point; -1: nowhere. */
struct columns {
    int time, requests[RATES_SIDES], failed[RATES_SIDES];
};

struct sum {
    double requests, failed;
};

void rates_init(struct rates *r)
{
    for (size_t side = 0; side < RATES_SIDES; side++)
        for (size_t i = 0; i < RATES_MAX; i++)
            r->at[side][i] = NAN;
}

static struct columns columns_of(const cJSON *names)
{
    struct columns c = {-1, {-1, -1}, {-1, -1}};
    const struct {
        const char *name;
        int *at;
    } wanted[] = {
        {"t", &c.time},
        {"stable_requests", &c.requests[RATES_STABLE]},
        {"stable_failed", &c.failed[RATES_STABLE]},
        {"canary_requests", &c.requests[RATES_CANARY]},
        {"canary_failed", &c.failed[RATES_CANARY]},
    };
    const cJSON *item;
    int at = 0;
    cJSON_ArrayForEach(item, names)
    {
        const char *name = cJSON_GetStringValue(item);
        for (size_t i = 0; name && i < sizeof wanted / sizeof *wanted; i++)
            if (strcmp(name, wanted[i].name) == 0)
                *wanted[i].at = at;
        at++;
    }
    return c;
}

static double number_at(const cJSON *point, int column)
{
    const cJSON *item = column < 0 ? NULL : cJSON_GetArrayItem(point, column);
    return cJSON_IsNumber(item) ? item->valuedouble : NAN;
}

/* The slot of a point's time, counted since 1970; negative: it has none. */
static long long slot_of(const cJSON *point, const struct columns *c)
{
    double time = number_at(point, c->time);
    return time >= 0 && time < TIME_MAX_S ? (long long)(time / RATES_STEP_S) : -1;
}

static long long newest_slot(const cJSON *points, const struct columns *c)
{
    const cJSON *point;
    long long newest = -1;
    cJSON_ArrayForEach(point, points)
    {
        long long slot = slot_of(point, c);
        newest = slot > newest ? slot : newest;
    }
    return newest;
}

static void add_point(struct sum sums[RATES_SIDES][RATES_MAX], const cJSON *point,
                      const struct columns *c, long long newest)
{
    long long age = newest - slot_of(point, c);
    if (age < 0 || age >= (long long)RATES_MAX)
        return;
    for (size_t side = 0; side < RATES_SIDES; side++) {
        struct sum *sum = &sums[side][RATES_MAX - 1 - (size_t)age];
        double requests = number_at(point, c->requests[side]);
        double failed = number_at(point, c->failed[side]);
        if (!(requests > 0) || !(failed >= 0))
            continue;
        sum->requests += requests;
        sum->failed += fmin(failed, requests);
    }
}

void rates_read(struct rates *r, const cJSON *json)
{
    struct sum sums[RATES_SIDES][RATES_MAX] = {0};
    struct columns c = columns_of(cJSON_GetObjectItemCaseSensitive(json, "columns"));
    const cJSON *point, *points = cJSON_GetObjectItemCaseSensitive(json, "points");
    long long newest = newest_slot(points, &c);
    cJSON_ArrayForEach(point, points)
    {
        if (slot_of(point, &c) >= 0)
            add_point(sums, point, &c, newest);
    }
    for (size_t side = 0; side < RATES_SIDES; side++)
        for (size_t i = 0; i < RATES_MAX; i++)
            r->at[side][i] = sums[side][i].requests > 0
                                 ? sums[side][i].failed / sums[side][i].requests
                                 : (double)NAN;
}

double rates_newest(const struct rates *r, enum rates_side side, size_t n)
{
    for (size_t i = 0; i < n && i < RATES_MAX; i++)
        if (r->at[side][RATES_MAX - 1 - i] >= 0)
            return r->at[side][RATES_MAX - 1 - i];
    return NAN;
}

double rates_largest(const struct rates *r, size_t n)
{
    double largest = 0;
    for (size_t side = 0; side < RATES_SIDES; side++)
        for (size_t i = 0; i < n && i < RATES_MAX; i++)
            largest = fmax(largest, r->at[side][RATES_MAX - 1 - i]); /* fmax passes over NaN */
    return largest;
}
