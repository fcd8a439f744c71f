/* Tests what a watch shows: frames at several widths and heights against golden texts.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cli_files.h"

#include "base/check.h"
#include "rollout/cli/screen.h"
#include "rollout/cli/watch_render.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Stable fails now and then; the canary is young, and fails more in the last minute. */
static void put_rates(struct rates_book *book, const char *route)
{
    struct rates r;
    rates_init(&r);
    for (size_t i = 0; i < RATES_MAX; i++) {
        r.at[RATES_STABLE][i] = i % 9 == 0 ? 0.004 : 0;
        if (i >= 80 && i != 90)
            r.at[RATES_CANARY][i] = i > 108 ? (double)(i - 108) * 0.005 : 0;
    }
    rates_book_put(book, route, &r, 0);
}

static struct watch_scene scene_of(const cJSON *json, const struct rates_book *book)
{
    return (struct watch_scene){.status = json,
                                .rates = book,
                                .clock = "12:00:05",
                                .has_keys = true,
                                .has_interrupt = true};
}

#define WIDE(columns_)                                                                             \
    .width = (columns_) < STYLE_WIDTH_MAX ? (columns_) : STYLE_WIDTH_MAX, .columns = (columns_)

static const struct {
    const char *json, *golden;
    struct style style;
    bool is_away, waits;
} frames[] = {
    {"progressing", "watch_one.40", {WIDE(40), .is_utf8 = true}, false, false},
    {"progressing", "watch_one.80", {WIDE(80), .is_utf8 = true}, false, false},
    {"progressing", "watch_one.120", {WIDE(120), .is_utf8 = true}, false, false},
    {"progressing", "watch_one.200", {WIDE(200), .is_utf8 = true}, false, false},
    {"progressing", "watch_one.ascii", {WIDE(80)}, false, false},
    {"progressing",
     "watch_one.colour",
     {WIDE(80), .is_utf8 = true, .has_colour = true},
     false,
     false},
    {"progressing", "watch_one.low", {WIDE(80), .height = 12, .is_utf8 = true}, false, false},
    {"progressing", "watch_one.away", {WIDE(80), .height = 12, .is_utf8 = true}, true, false},
    {"stable", "watch_one.waits", {WIDE(80), .is_utf8 = true}, false, true},
    {"watch_many", "watch_many.40", {WIDE(40), .is_utf8 = true}, false, false},
    {"watch_many", "watch_many.80", {WIDE(80), .is_utf8 = true}, false, false},
    {"watch_many", "watch_many.120", {WIDE(120), .is_utf8 = true}, false, false},
    {"watch_many", "watch_many.200", {WIDE(200), .is_utf8 = true}, false, false},
    {"watch_many", "watch_many.low", {WIDE(80), .height = 24, .is_utf8 = true}, false, false},
    {"watch_many", "watch_many.lower", {WIDE(80), .height = 9, .is_utf8 = true}, false, false},
    {"no_routes", "watch_none.80", {WIDE(80), .is_utf8 = true}, false, false},
};

static void draw(struct text *t, const char *name, const struct style *s, bool is_away, bool waits)
{
    struct rates_book book = {0};
    cJSON *json = read_json(name);
    struct watch_scene scene = scene_of(json, &book);
    put_rates(&book, "my-web");
    put_rates(&book, "api");
    scene.waits = waits;
    if (is_away) {
        scene.away_since = "11:59:40";
        scene.trouble = "cannot reach serin at http://127.0.0.1:9900: Connection refused \033[2J";
    }
    watch_render(t, &scene, s);
    cJSON_Delete(json);
}

/* With REWRITE=1 in the environment the golden texts are written anew, to be read as a change. */
static void frames_are_as_the_golden_texts(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(frames); i++) {
        struct text t = {0};
        draw(&t, frames[i].json, &frames[i].style, frames[i].is_away, frames[i].waits);
        if (getenv("REWRITE")) {
            char path[512];
            snprintf(path, sizeof path, TESTS_DIR "/unit/status/%s.txt", frames[i].golden);
            FILE *file = fopen(path, "w");
            assert_non_null(file);
            fputs(text_str(&t), file);
            fclose(file);
        }
        char *golden = read_file(frames[i].golden, ".txt");
        if (strcmp(text_str(&t), golden) != 0)
            fail_msg("%s:\n%s\nexpected:\n%s", frames[i].golden, text_str(&t), golden);
        free(golden);
        text_fini(&t);
    }
}

static size_t count_lines(const char *text, size_t width)
{
    size_t n = 0;
    while (*text) {
        const char *end = strchr(text, '\n');
        assert_non_null(end);
        char line[4096];
        snprintf(line, sizeof line, "%.*s", (int)(end - text), text);
        if (text_columns(line) > width)
            fail_msg("at %zu: %s", width, line);
        text = end + 1;
        n++;
    }
    return n;
}

/* A frame that were higher would scroll, and the next one would be drawn in the wrong place. */
static void a_frame_fits_every_terminal(void **state)
{
    (void)state;
    static const char *const names[] = {"progressing", "aborted", "watch_many", "checks",
                                        "no_routes"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        for (size_t width = 30; width <= 240; width += width < 60 ? 1 : 9)
            for (size_t height = 2; height <= 50; height += height < 30 ? 1 : 7) {
                struct style s = {WIDE(width), .height = height, .is_utf8 = true,
                                  .has_colour = true};
                struct text t = {0}, frame = {0};
                struct screen screen = {0};
                draw(&t, names[i], &s, false, false);
                if (count_lines(text_str(&t), SIZE_MAX) > height - 1)
                    fail_msg("%s at %zux%zu:\n%s", names[i], width, height, text_str(&t));
                if (width >= 40)
                    (void)count_lines(text_str(&t), width);
                screen_add_frame(&frame, &screen, text_str(&t), &s);
                assert_true(screen.lines <= height - 1);
                text_fini(&frame);
                text_fini(&t);
            }
}

/* Every route is either drawn or counted. */
static void what_has_no_room_is_told(void **state)
{
    (void)state;
    for (size_t height = 4; height <= 60; height++) {
        struct style s = {WIDE(80), .height = height, .is_utf8 = true};
        struct text t = {0};
        size_t told = 0, drawn = 0;
        draw(&t, "watch_many", &s, false, false);
        const char *more = strstr(text_str(&t), " more route");
        static const char *const names[] = {"my-web", "checkout", "api",
                                            "images", "search",   "admin"};
        if (more) {
            while (more[-1] >= '0' && more[-1] <= '9')
                more--;
            told = (size_t)atoi(more);
        }
        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
            char head[64];
            snprintf(head, sizeof head, "%s   v", names[i]);
            drawn += strstr(text_str(&t), head) != NULL;
        }
        if (drawn + told != ARRAY_LEN(names))
            fail_msg("%zu drawn, %zu told of:\n%s", drawn, told, text_str(&t));
        text_fini(&t);
    }
}

static void nothing_foreign_reaches_the_terminal(void **state)
{
    (void)state;
    struct rates_book book = {0};
    struct style s = {WIDE(120), .is_utf8 = true};
    cJSON *json = read_json("foreign"), *routes = cJSON_CreateObject();
    cJSON *list = cJSON_AddArrayToObject(routes, "routes");
    struct text t = {0};
    for (int i = 0; i < 2; i++)
        cJSON_AddItemToArray(list, cJSON_Duplicate(json, true));
    const cJSON *shown[] = {json, routes};
    for (size_t i = 0; i < ARRAY_LEN(shown); i++) {
        struct watch_scene scene = scene_of(shown[i], &book);
        scene.away_since = "11:59:40";
        scene.trouble = "\033[2J\r\x9b\xc2\x9b";
        watch_render(&t, &scene, &s);
    }
    for (const char *c = text_str(&t); *c; c++)
        assert_true((unsigned char)*c >= ' ' || *c == '\n');
    assert_null(strstr(text_str(&t), "\xc2\x9b"));
    assert_null(strstr(text_str(&t), "\xe2\x80\xae"));
    text_fini(&t);
    cJSON_Delete(json);
    cJSON_Delete(routes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_are_as_the_golden_texts),
        cmocka_unit_test(a_frame_fits_every_terminal),
        cmocka_unit_test(what_has_no_room_is_told),
        cmocka_unit_test(nothing_foreign_reaches_the_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
