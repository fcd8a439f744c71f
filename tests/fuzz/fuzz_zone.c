/* Fuzzer of time zone files: answers within their bounds, and windows that agree with themselves.
 * SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"
#include "rollout/decide/window.h"

/* Changes that are walked from each moment. */
#define STEPS_MAX 64
#define DAY_S     86400

static void judge_offsets(const struct zone *z, int64_t at_s)
{
    for (int steps = 0; steps < STEPS_MAX; steps++) {
        int32_t offset_s = zone_offset_s(z, at_s);
        int64_t until_s = zone_until_s(z, at_s);
        CHECK(offset_s >= ZONE_OFFSET_MIN_S && offset_s <= ZONE_OFFSET_MAX_S);
        if (until_s == ZONE_NEVER_S)
            return;
        CHECK(until_s > at_s && zone_offset_s(z, until_s - 1) == offset_s);
        at_s = until_s;
    }
}

static void judge_window(const struct window *w, int64_t at_s)
{
    char text[WINDOW_TEXT_MAX];
    int64_t next_s = window_next_open_s(w, 1, at_s, NULL);
    bool is_open = window_is_open(w, 1, at_s);
    CHECK(is_open == (next_s == at_s));
    if (next_s == WINDOW_NEVER_S)
        return;
    CHECK(next_s >= at_s && next_s - at_s <= (int64_t)WINDOW_SEARCH_DAYS * DAY_S);
    CHECK(window_is_open(w, 1, next_s));
    CHECK(is_open || !window_is_open(w, 1, next_s - 1));
    window_text(w, next_s, text);
}

static void judge_windows(const struct zone *z, int64_t at_s)
{
    static const struct outside_window rows[] = {
        {0x1f, "09:00", "17:00", "Fuzz"},
        {0x7f, "02:30", "02:45", "Fuzz"},
        {0x40, "22:00", "03:00", "Fuzz"},
        {0x11, "00:00", "24:00", "Fuzz"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct window w;
        struct why why = {""};
        CHECK(window_read(&w, &rows[i], z, &why) == OK);
        judge_window(&w, at_s);
        judge_window(&w, zone_until_s(z, at_s) < ZONE_WALL_MAX_S ? zone_until_s(z, at_s) : 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int64_t moments_s[] = {INT64_MIN,  -ZONE_WALL_MAX_S,    0,        1774746000,
                                        1900000000, INT64_C(4000000000), INT64_MAX};
    struct why why = {""};
    struct zone *zone;
    char *bytes = fuzz_copy(data, size);
    enum err e = zone_parse(slice_of(bytes, size), &zone, &why);
    free(bytes);
    CHECK((e == OK) == (zone != NULL) && (e == OK) == (why.text[0] == '\0'));
    for (size_t i = 0; zone && i < ARRAY_LEN(moments_s); i++) {
        judge_offsets(zone, moments_s[i]);
        if (moments_s[i] > -ZONE_WALL_MAX_S && moments_s[i] < ZONE_WALL_MAX_S)
            judge_windows(zone, moments_s[i]);
    }
    zone_free(zone);
    return 0;
}
