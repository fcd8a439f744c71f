/* Tests what a person sees: statuses and histories drawn at several widths, against golden texts.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cli_files.h"

#include "base/check.h"
#include "rollout/cli/bar.h"
#include "rollout/cli/history_render.h"
#include "rollout/cli/news.h"
#include "rollout/cli/status_render.h"

#include <string.h>

static void draw(struct text *t, const cJSON *json, const struct style *s)
{
    struct status_view v = status_view_of(json);
    if (cJSON_GetObjectItem(json, "history"))
        history_render(t, json, s);
    else if (cJSON_GetObjectItem(json, "routes"))
        status_render_all(t, json, s);
    else
        status_render(t, &v, s);
}

static const struct {
    const char *json, *golden;
    struct style style;
} drawings[] = {
    {"progressing", "progressing.80", {.width = 80, .is_utf8 = true}},
    {"progressing", "progressing.44", {.width = 44, .is_utf8 = true}},
    {"progressing", "progressing.30", {.width = 30, .is_utf8 = true}},
    {"progressing", "progressing.ascii", {.width = 80}},
    {"progressing", "progressing.colour", {.width = 80, .is_utf8 = true, .has_colour = true}},
    {"shifting", "shifting.80", {.width = 80, .is_utf8 = true}},
    {"no_requests_yet", "no_requests_yet.80", {.width = 80, .is_utf8 = true}},
    {"aborted", "aborted.80", {.width = 80, .is_utf8 = true}},
    {"aborted", "aborted.colour", {.width = 80, .is_utf8 = true, .has_colour = true}},
    {"paused", "paused.80", {.width = 80, .is_utf8 = true}},
    {"paused_step", "paused_step.80", {.width = 80, .is_utf8 = true}},
    {"paused_failed", "paused_failed.80", {.width = 80, .is_utf8 = true}},
    {"breaker", "breaker.80", {.width = 80, .is_utf8 = true}},
    {"static_gone", "static_gone.80", {.width = 80, .is_utf8 = true}},
    {"checks", "checks.80", {.width = 80, .is_utf8 = true}},
    {"routes_many", "routes_many.100", {.width = 100, .is_utf8 = true}},
    {"baking", "baking.80", {.width = 80, .is_utf8 = true}},
    {"completed", "completed.80", {.width = 80, .is_utf8 = true}},
    {"stable", "stable.80", {.width = 80, .is_utf8 = true}},
    {"static_split", "static_split.80", {.width = 80, .is_utf8 = true}},
    {"quarantine", "quarantine.80", {.width = 80, .is_utf8 = true}},
    {"many_steps", "many_steps.80", {.width = 80, .is_utf8 = true}},
    {"foreign", "foreign.80", {.width = 80, .is_utf8 = true}},
    {"empty", "empty.80", {.width = 80, .is_utf8 = true}},
    {"routes", "routes.80", {.width = 80, .is_utf8 = true}},
    {"no_routes", "no_routes.80", {.width = 80, .is_utf8 = true}},
    {"history", "history.80", {.width = 80, .is_utf8 = true}},
};

static void drawings_are_as_the_golden_texts(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(drawings); i++) {
        struct text t = {0};
        cJSON *json = read_json(drawings[i].json);
        char *golden = read_file(drawings[i].golden, ".txt");
        draw(&t, json, &drawings[i].style);
        if (strcmp(text_str(&t), golden) != 0)
            fail_msg("%s:\n%s\nexpected:\n%s", drawings[i].golden, text_str(&t), golden);
        free(golden);
        cJSON_Delete(json);
        text_fini(&t);
    }
}

/* But for a single word that is longer than the line. */
static void no_line_is_wider_than_the_terminal(void **state)
{
    (void)state;
    static const char *const names[] = {"progressing", "aborted", "paused",
                                        "checks",      "routes",  "routes_many"};
    for (size_t width = 40; width <= 100; width++) {
        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
            struct style s = {.width = width, .is_utf8 = true, .has_colour = true};
            struct text t = {0};
            cJSON *json = read_json(names[i]);
            draw(&t, json, &s);
            for (char *rest = t.at, *line; (line = strsep(&rest, "\n"));)
                if (text_columns(line) > width)
                    fail_msg("%s at %zu: %s", names[i], width, line);
            cJSON_Delete(json);
            text_fini(&t);
        }
    }
}

/* A terminal obeys control characters: what the server says must not bring any. */
static void foreign_bytes_never_reach_the_terminal(void **state)
{
    (void)state;
    static const char *const names[] = {"foreign", "history", "checks"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct style s = {.width = 80, .is_utf8 = true};
        struct text t = {0};
        cJSON *json = read_json(names[i]);
        draw(&t, json, &s);
        if (i == 0) {
            struct status_view v = status_view_of(json);
            status_add_line(&t, &v);
        }
        for (const char *c = text_str(&t); *c; c++)
            assert_true((unsigned char)*c >= ' ' || *c == '\n');
        assert_null(strstr(text_str(&t), "\xe2\x80\xae")); /* right to left */
        assert_null(strstr(text_str(&t), "\xc2\x9b"));     /* CSI */
        cJSON_Delete(json);
        text_fini(&t);
    }
}

static const struct {
    const char *json;
    enum cli_exit exit;
    bool is_running;
    const char *line;
} states[] = {
    {"progressing", CLI_PROGRESSING, true,
     "my-web  step 2/6  5%  ANALYZING  v2 looks no worse than v1 so far; the step needs proof of "
     "20 to 1 that it is safe, it has 4.2"},
    {"aborted", CLI_ABORTED, false,
     "my-web  0%  ABORTED  errors: v2 fails 8.1% of 1,203 requests, v1 0.02%: 120 to 1 "
     "that v2 is worse"},
    {"paused", CLI_PAUSED, true,
     "my-web  step 2/6  5%  PAUSED  paused by ada: waiting for the all-clear from support"},
    {"paused_failed", CLI_PAUSED, true,
     "my-web  step 2/6  0%  PAUSED  v2 failed and gets nobody; waits for retry or abort: errors"},
    {"breaker", CLI_PROGRESSING, true,
     "my-web  step 2/6  0%  HOLDING  the breaker of v2 is open: v1 serves everyone until trials "
     "pass"},
    {"baking", CLI_PROGRESSING, true,
     "my-web  step 6/6  99%  BAKING  watches v2 at 99% for another 4m 18s"},
    {"completed", CLI_OK, false, "my-web  STABLE  v2 was promoted and serves everyone"},
    {"stable", CLI_OK, false, "my-web  STABLE"},
    {"foreign", CLI_ERROR, true, "my?[31mweb???  UNHEARD_OF  a b ???2J naïve – ok"},
    {"empty", CLI_ERROR, false, "  "},
};

static void states_have_their_exit_code_and_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(states); i++) {
        struct text t = {0};
        cJSON *json = read_json(states[i].json);
        struct status_view v = status_view_of(json);
        status_add_line(&t, &v);
        assert_int_equal(status_exit(&v), states[i].exit);
        assert_int_equal(status_is_running(&v), states[i].is_running);
        assert_string_equal(text_str(&t), states[i].line);
        cJSON_Delete(json);
        text_fini(&t);
    }
}

static void without_an_exit_code_the_phase_tells(void **state)
{
    (void)state;
    static const struct {
        const char *phase;
        enum cli_exit exit;
    } rows[] = {{"Healthy", CLI_OK},
                {"Progressing", CLI_PROGRESSING},
                {"Paused", CLI_PAUSED},
                {"Degraded", CLI_ABORTED},
                {"Other", CLI_ERROR}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct status_view v = {.phase = rows[i].phase, .exit = -1};
        assert_int_equal(status_exit(&v), rows[i].exit);
    }
    assert_int_equal(status_worse_exit(CLI_OK, CLI_PROGRESSING), CLI_PROGRESSING);
    assert_int_equal(status_worse_exit(CLI_PAUSED, CLI_PROGRESSING), CLI_PAUSED);
    assert_int_equal(status_worse_exit(CLI_PAUSED, CLI_ABORTED), CLI_ABORTED);
}

static void only_a_failure_makes_a_pause_final(void **state)
{
    (void)state;
    struct status_view v = {.state = "PAUSED", .cause = "operator"};
    assert_false(status_has_failed(&v));
    v.cause = "failed";
    assert_true(status_has_failed(&v));
    v.cause = "critical";
    assert_true(status_has_failed(&v));
    v.state = "ABORTING"; /* keeps its cause */
    assert_false(status_has_failed(&v));
}

/* Figures that move every second are no news; a state, a weight, another reason is. */
static void only_changes_are_news(void **state)
{
    (void)state;
    struct news news = {0};
    struct status_view a = {.route = "a",
                            .phase = "Progressing",
                            .state = "ANALYZING",
                            .rollout_id = "r",
                            .result = "",
                            .why = "has 4.2 of 20",
                            .step = 1,
                            .intended = 1},
                       b = a;
    b.route = "b";
    assert_true(news_take(&news, &a));
    assert_true(news_take(&news, &b));
    a.why = "has 14.9 of 20";
    a.observed = 0.97;
    assert_false(news_take(&news, &a));
    a.why = "waits for 2 endpoints";
    assert_true(news_take(&news, &a));
    a.intended = 5;
    assert_true(news_take(&news, &a));
    a.state = "PAUSED";
    assert_true(news_take(&news, &a));
    a.rollout_id = "s";
    assert_true(news_take(&news, &a));
    assert_false(news_take(&news, &a));
    assert_false(news_take(&news, &b));
}

static void times_are_parsed_strictly(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "2026-03-01",
                                      "2026-03-01 12:00:00Z",
                                      "2026-03-01T12:00:00",
                                      "2026-03-01T12:00:00+",
                                      "2026-02-30T12:00:00Z",
                                      "2026-13-01T12:00:00Z",
                                      "2026-03-01T24:00:00Z",
                                      "2026-03-01T12:60:00Z",
                                      "2026-03-01T12:00:00ZZ",
                                      "x026-03-01T12:00:00Z"};
    int64_t seconds;
    assert_true(history_parse_time("2026-03-01T12:00:00Z", &seconds));
    assert_int_equal(seconds, 1772366400);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (history_parse_time(bad[i], &seconds))
            fail_msg("%s was taken", bad[i]);
}

static void odds_fill_a_bar_by_their_logarithm(void **state)
{
    (void)state;
    assert_true(bar_odds_fraction(10, 100) > 0.4999 && bar_odds_fraction(10, 100) < 0.5001);
    assert_true(bar_odds_fraction(1, 100) == 0 && bar_odds_fraction(0.5, 100) == 0);
    assert_true(bar_odds_fraction(1e9, 100) == 1);
    assert_true(bar_odds_fraction(5, 1) == 0 && bar_odds_fraction(5, 0.0 / 0.0) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(drawings_are_as_the_golden_texts),
        cmocka_unit_test(no_line_is_wider_than_the_terminal),
        cmocka_unit_test(foreign_bytes_never_reach_the_terminal),
        cmocka_unit_test(states_have_their_exit_code_and_line),
        cmocka_unit_test(without_an_exit_code_the_phase_tells),
        cmocka_unit_test(only_a_failure_makes_a_pause_final),
        cmocka_unit_test(only_changes_are_news),
        cmocka_unit_test(times_are_parsed_strictly),
        cmocka_unit_test(odds_fill_a_bar_by_their_logarithm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
