/* Replaying: what is refused, other thresholds, latency from histograms, a plan on recorded
 * weights. SPDX-License-Identifier: Apache-2.0 */
#include "rollout/decide/replay.h"
#include "base/check.h"
#include "decide_vectors.h"
#include "rollout/decide/replay_config.h"

#define CELLS 64 /* a millisecond each */

#define START                                                                                      \
    "{\"op\":\"start\",\"stages\":[1,10,100],\"baseline\":{\"req\":60000,\"bad\":60},"             \
    "\"config\":{\"min_stage_s\":5,\"lat\":{\"warmup_s\":5}}}"
#define SIDES "\"s\":{\"req\":99,\"bad\":0},\"c\":{\"req\":1,\"bad\":0}"
#define TICK  "{\"op\":\"tick\",\"t\":1,\"stage\":0,\"weight\":1,\"stage_t\":1," SIDES "}"

static struct replay *replay;
static uint64_t tops[CELLS];
static struct why why;

static int before_each(void **state)
{
    (void)state;
    for (unsigned i = 0; i < CELLS; i++)
        tops[i] = 1000 * (i + 1);
    replay = malloc(sizeof *replay);
    assert_non_null(replay);
    replay_init(replay, &(struct replay_cells){tops, CELLS});
    return 0;
}

static int after_each(void **state)
{
    (void)state;
    replay_fini(replay);
    free(replay);
    return 0;
}

typedef enum err taker(struct replay *r, struct slice line, struct why *why);

/* In a block of exactly its size, so that a read beyond its end is seen. */
static enum err give(taker *take, const char *text)
{
    size_t len = strlen(text);
    char *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, text, len);
    why.text[0] = '\0';
    enum err e = take(replay, slice_of(copy, len), &why);
    free(copy);
    return e;
}

static void line(const char *text)
{
    if (give(replay_line, text) != OK)
        fail_msg("%.200s: %s", text, why.text);
}

/* Begins under the recorded configuration with assignments on top. */
static void begin(const char *start, const char *const *sets)
{
    if (give(replay_read_start, start) != OK)
        fail_msg("%s", why.text);
    cJSON *config = replay_config_recorded(replay);
    for (; sets && *sets; sets++)
        if (replay_config_set(config, *sets, &why) != OK)
            fail_msg("%s", why.text);
    if (replay_begin(replay, config, &why) != OK)
        fail_msg("%s", why.text);
    cJSON_Delete(config);
}

static void test_bad_starts(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"", "not one JSON object"},
        {"[]", "not one JSON object"},
        {TICK, "op: expected start"},
        {"{\"op\":\"start\"}", "stages"},
        {"{\"op\":\"start\",\"stages\":[1,100],\"config\":{\"alfa\":1}}", "config.alfa"},
        {"{\"a\":[[[[[[[[[[1]]]]]]]]]]}", "nested deeper than 8"},
        {"{\"op\":\"start\",\"stages\":[1,100]} {}", "not one JSON object"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (give(replay_read_start, rows[i].text) != ERR_INVALID || !strstr(why.text, rows[i].says))
            fail_msg("%s: \"%s\" does not say \"%s\"", rows[i].text, why.text, rows[i].says);
    begin(START, NULL); /* and a good one may still come */
}

static void test_bad_lines(void **state)
{
    (void)state;
#define TICK_WITH(more)                                                                            \
    "{\"op\":\"tick\",\"t\":2,\"stage\":0,\"weight\":1,\"stage_t\":1," SIDES "," more "}"
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"{\"op\":\"tick\"", "not one JSON object"},
        {"\"{[{[{[{[{[\"", "not one JSON object"},
        {START, "a second rollout"},
        {"{\"op\":\"go\"}", "op: expected tick or end"},
        {"{\"op\":\"tick\",\"t\":0.5,\"stage\":0,\"stage_t\":1," SIDES "}",
         "t: 0.500 is earlier than the line before"},
        {"{\"op\":\"tick\",\"t\":2,\"stage\":3,\"stage_t\":1," SIDES "}", "stage"},
        {TICK_WITH("\"dt\":-1"), "dt"},
        {TICK_WITH("\"dt\":1e300"), "dt"},
        {TICK_WITH("\"dt\":\"1\""), "dt"},
        {TICK_WITH("\"hist\":1"), "hist"},
        {TICK_WITH("\"hist\":{\"s\":[]}"), "hist"},
        {TICK_WITH("\"hist\":{\"s\":[[64,1]],\"c\":[]}"), "hist"},
        {TICK_WITH("\"hist\":{\"s\":[[-1,1]],\"c\":[]}"), "hist"},
        {TICK_WITH("\"hist\":{\"s\":[[1.5,1]],\"c\":[]}"), "hist"},
        {TICK_WITH("\"hist\":{\"s\":[[1,1e300]],\"c\":[]}"), "hist"},
        {TICK_WITH("\"hist\":{\"s\":[[1,2,3]],\"c\":[]}"), "hist"},
        {TICK_WITH("\"hist\":{\"s\":[1,2],\"c\":[]}"), "hist"},
        {TICK_WITH("\"hist\":{\"s\":[[1]],\"c\":[]}"), "hist"},
    };
    begin(START, NULL);
    line(TICK);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (give(replay_line, rows[i].text) != ERR_INVALID || !strstr(why.text, rows[i].says))
            fail_msg("%s: \"%s\" does not say \"%s\"", rows[i].text, why.text, rows[i].says);
        assert_int_equal(replay->ticks, 1);
    }
    line(" \t");
    line(TICK_WITH("\"d\":\"nonsense\",\"check\":3"));
    line("{\"op\":\"end\",\"result\":3}");
    assert_int_equal(give(replay_line, TICK), ERR_INVALID);
    replay_finish(replay);
    assert_int_equal(replay->compared, 0);
    assert_string_equal(replay->result, "");
}

/* --- traffic by hand --- */

struct traffic {
    unsigned ticks, stage_ticks; /* seconds, and how many at a stage */
    double bad;                  /* share of the canary's requests that fail */
    unsigned canary_ms;          /* all of the canary's answers; stable's: 10 ms, one in 50 20 ms */
    double margin;               /* the recorded one */
    bool has_hist;
};

static size_t add_lat(char *to, size_t size, unsigned long long req, const struct traffic *t)
{
    unsigned long long slow = t->canary_ms > 10 * (1 + t->margin) ? req : 0;
    return (size_t)snprintf(to, size, ",\"lat\":[%llu,%llu,%llu]}", slow, slow,
                            t->canary_ms > 20 * (1 + t->margin) ? req : 0);
}

/* A thousand requests a second, a tenth of them for the canary. */
static void feed(const struct traffic *t)
{
    char text[1024], lat[128];
    for (unsigned i = 1; i <= t->ticks; i++) {
        unsigned long long s = 900ULL * i, c = 100ULL * i;
        (void)add_lat(lat, sizeof lat, c, t);
        size_t n = (size_t)snprintf(
            text, sizeof text,
            "{\"op\":\"tick\",\"t\":%u.000,\"stage\":%u,\"weight\":10,\"stage_t\":%u,"
            "\"s\":{\"req\":%llu,\"bad\":0,\"lat\":[%llu,%llu,0]},"
            "\"c\":{\"req\":%llu,\"bad\":%llu%s",
            i, i > t->stage_ticks, i > t->stage_ticks ? i - t->stage_ticks : i, s, s / 50, s / 50,
            c, (unsigned long long)((double)c * t->bad), lat);
        if (t->has_hist && i % 10 == 0)
            n += (size_t)snprintf(text + n, sizeof text - n,
                                  ",\"hist\":{\"s\":[[9,%llu],[19,%llu]],\"c\":[[%u,%llu]]}",
                                  s - s / 50, s / 50, t->canary_ms - 1, c);
        (void)snprintf(text + n, sizeof text - n, "}");
        line(text);
    }
    line("{\"op\":\"end\",\"result\":\"completed\",\"why\":\"asked for by ann\"}");
    replay_finish(replay);
}

static void test_other_thresholds(void **state)
{
    (void)state;
    static const char *const wide[] = {"fail.delta=0.05", "c4.on=false", "ceil.on=false", NULL};
    const struct traffic bad = {.ticks = 120, .stage_ticks = 60, .bad = 0.02, .canary_ms = 10};
    begin(START, NULL);
    feed(&bad);
    assert_true(replay->now.reverts.is_set);
    assert_string_equal(replay->now.reverts.check, "errors");
    assert_true(replay->now.reverts.failed < 100 && replay->now.reverts.t_ms < 60000);
    assert_non_null(strstr(replay->now.why, "canary failed"));
    after_each(NULL);
    before_each(NULL);
    begin(START, wide);
    feed(&bad);
    assert_false(replay->now.reverts.is_set);
    assert_true(replay->stages[0].is_seen && replay->stages[1].is_seen);
    assert_int_equal(replay_stage_requests(replay, 1), 6000);
    assert_string_equal(replay->result, "completed");
}

/* The recorded margin let 12 ms pass beside 10 ms; a smaller one would not have, and the other way.
 */
static void test_latency_by_histograms(void **state)
{
    (void)state;
    static const struct {
        double recorded;
        const char *sets[3];
        bool has_hist, reverts;
    } rows[] = {
        {0.05, {NULL}, true, true},
        {0.30, {"lat.margin=0.3"}, true, false},
        {0.30, {"lat.margin=0.05"}, true, true},
        {0.30, {"lat.margin=0.05"}, false, false}, /* nothing to count from */
        {0.05, {"lat.margin=0.3"}, true, false},
        {0.30, {"lat.margin=0.05", "lat.on=false"}, true, false},
        {0.30, {"lat.margin=0.15", "lat.q=[0.5,0.9,0.95]"}, true, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char start[512], margin[64];
        (void)snprintf(margin, sizeof margin, "\"lat\":{\"margin\":%g,", rows[i].recorded);
        (void)snprintf(start, sizeof start, "%.*s%s\"warmup_s\":5}}}",
                       (int)(strstr(START, "\"lat\"") - START), START, margin);
        begin(start, rows[i].sets);
        feed(&(struct traffic){.ticks = 120,
                               .stage_ticks = 60,
                               .canary_ms = 12,
                               .margin = rows[i].recorded,
                               .has_hist = rows[i].has_hist});
        if (replay->now.reverts.is_set != rows[i].reverts)
            fail_msg("row %zu: %s", i, replay->now.why);
        if (rows[i].reverts)
            assert_string_equal(replay->now.reverts.check, "latency");
        assert_int_equal(replay->ticks, 120); /* the queue was emptied */
        after_each(NULL);
        before_each(NULL);
    }
}

/* Counted from the same margin, the histograms say what the counts say, to their ten seconds. */
static void test_histograms_agree_with_counts(void **state)
{
    (void)state;
    static const char *const as_good_as_same[] = {"lat.margin=0.0500001", NULL};
    int64_t when[2];
    for (int by_hist = 0; by_hist < 2; by_hist++) {
        begin("{\"op\":\"start\",\"stages\":[1,10,100],\"config\":{\"lat\":{\"margin\":0.05,"
              "\"warmup_s\":40}}}",
              by_hist ? as_good_as_same : NULL);
        feed(&(struct traffic){
            .ticks = 120, .stage_ticks = 120, .canary_ms = 12, .margin = 0.05, .has_hist = true});
        assert_int_equal(replay->latency.by_hist, by_hist);
        assert_true(replay->now.reverts.is_set);
        when[by_hist] = replay->now.reverts.t_ms;
        after_each(NULL);
        before_each(NULL);
    }
    assert_int_equal(when[0], when[1]);
}

static void test_queue_without_histograms(void **state)
{
    (void)state;
    static const char *const sets[] = {"lat.margin=0.01", NULL};
    begin(START, sets);
    feed(
        &(struct traffic){.ticks = 3 * REPLAY_QUEUE_MAX + 5, .stage_ticks = 9999, .canary_ms = 10});
    assert_int_equal(replay->ticks, 3 * REPLAY_QUEUE_MAX + 5);
    assert_int_equal(replay->queued, 0);
    assert_int_equal(replay->canary.requests, 100 * (3 * REPLAY_QUEUE_MAX + 5));
}

static void test_set(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "alpha",
                                      "=1",
                                      "alpha.b=1",
                                      "a",
                                      "alpha={}",
                                      "fail.rho={}",
                                      "on_timeout.x=1",
                                      "averyveryverylongkeythatnobodyhasatall=1"};
    cJSON *config = cJSON_Parse("{\"alpha\":0.01,\"on_timeout\":\"hold\"}");
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(replay_config_set(config, bad[i], &why), ERR_INVALID);
    assert_int_equal(replay_config_set(config, "alpha=0.05", &why), OK);
    assert_int_equal(replay_config_set(config, "on_timeout=abort", &why), OK);
    assert_int_equal(replay_config_set(config, "fail.rho=2", &why), OK);
    assert_int_equal(replay_config_set(config, "min_stage_s=[1,2]", &why), OK);
    char *text = cJSON_PrintUnformatted(config);
    assert_string_equal(text, "{\"fail\":{\"rho\":2},\"alpha\":0.05,\"on_timeout\":\"abort\","
                              "\"min_stage_s\":[1,2]}");
    cJSON_free(text);
    cJSON_Delete(config);
    static const char *const unknown[] = {"fail.nonsense=1", NULL};
    assert_int_equal(give(replay_read_start, START), OK);
    config = replay_config_recorded(replay);
    assert_int_equal(replay_config_set(config, unknown[0], &why), OK);
    assert_int_equal(replay_begin(replay, config, &why), ERR_INVALID);
    assert_non_null(strstr(why.text, "fail.nonsense"));
    cJSON_Delete(config);
    assert_int_equal(replay_begin(replay, NULL, &why), OK); /* the recorded one still may */
}

static void test_plan_on_recorded_weights(void **state)
{
    (void)state;
    struct plan plan;
    bool same = true;
    plan_default(&plan); /* 1 5 10 25 50 100 */
    plan.steps[2].hold_ms = 7000;
    plan.min_requests = 33;
    assert_int_equal(give(replay_read_start, "{\"op\":\"start\",\"stages\":[1,10,20,99,100]}"), OK);
    cJSON *config = replay_config_of_plan(replay, &plan, &same, &why);
    assert_non_null(config);
    assert_false(same);
    assert_int_equal(replay_begin(replay, config, &why), OK);
    const struct judge_settings *s = &replay->judge.judge.settings;
    assert_true(s->stages[0].hold_s == 60 && s->stages[1].hold_s == 7);   /* the step of 10 % */
    assert_true(s->stages[2].hold_s == 60 && s->stages[3].hold_s == 300); /* none; the bake */
    assert_int_equal(s->stages[2].min_requests, 33);
    assert_int_equal(s->stages[2].weight_bp, 2000);
    assert_int_equal(s->no_data_requests, 5);
    cJSON_Delete(config);
    after_each(NULL);
    before_each(NULL);
    assert_int_equal(give(replay_read_start, "{\"op\":\"start\",\"stages\":[1,5,10,25,50,99,100]}"),
                     OK);
    config = replay_config_of_plan(replay, &plan, &same, &why);
    assert_true(same);
    cJSON_Delete(config);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, before_each, after_each)
    const struct CMUnitTest tests[] = {
        TEST(test_bad_starts),
        TEST(test_bad_lines),
        TEST(test_other_thresholds),
        TEST(test_latency_by_histograms),
        TEST(test_histograms_agree_with_counts),
        TEST(test_queue_without_histograms),
        TEST(test_set),
        TEST(test_plan_on_recorded_weights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
