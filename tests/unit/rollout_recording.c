/* Recorded rollouts: what the file says, restarts, torn lines, old files, and the same verdicts
 * when it is judged again. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "rollout/decide/judge_protocol.h"
#include "rollout/decide/replay.h"
#include "rollout/recording_file.h"
#include "rollout/recording_lines.h"
#include "rollout_world.h"
#include <dirent.h>

#define VERSIONS 2

static struct world world;
static struct rollout *rollout;
static struct plan plan;
static char dir[64];
static bool is_sticky;

/* How long the answers of v1 and v2 take: a tenth of them each of these times the factor. */
static struct {
    double factor;
    uint64_t answered; /* of world's requests, so far */
    struct hist_sum hist;
} answers[VERSIONS];

static uint64_t limits[ROLE_COUNT][JUDGED_QUANTILES];

static unsigned index_of(const char *version)
{
    return strcmp(version, "v2") == 0;
}

static enum metric_role role_of(unsigned version)
{
    return version ? ROLE_CANARY : ROLE_STABLE; /* nothing here outlives a promotion */
}

static void give_durations(void *host, const char *route, const char *version,
                           enum metric_role role, struct hist_sum *sum)
{
    (void)host, (void)route;
    if (role == role_of(index_of(version)))
        hist_merge(sum, &answers[index_of(version)].hist);
}

static void give_recent(void *host, const char *route, struct hist_sum *sum)
{
    (void)host, (void)route;
    *sum = answers[0].hist;
}

static void take_limits(void *host, const char *route,
                        uint64_t const us[ROLE_COUNT][JUDGED_QUANTILES])
{
    (void)host, (void)route;
    memcpy(limits, us, sizeof limits);
}

static void answer(unsigned version)
{
    struct judged_totals *totals =
        &world_version(&world, version ? "v2" : "v1")->totals[role_of(version)];
    for (; answers[version].answered < totals->requests; answers[version].answered++) {
        uint64_t us = (uint64_t)((double)(5000 * (1 + answers[version].answered % 10)) *
                                 answers[version].factor);
        answers[version].hist.cells[hist_cell(us)]++;
        for (unsigned q = 0; q < JUDGED_QUANTILES; q++)
            totals->slow[q] += limits[role_of(version)][q] && us > limits[role_of(version)][q];
    }
    if (!is_sticky)
        return;
    totals->key_requests = totals->requests;
    totals->key_failed = totals->failed;
}

static void come_up(void)
{
    struct rollout_setup setup = {.route = "my-web",
                                  .state_dir = dir,
                                  .stable = {.name = "v1"},
                                  .canary = {.name = "v2"},
                                  .is_sticky = is_sticky,
                                  .plan = &plan};
    struct rollout_ports ports = world_ports(&world);
    struct why why = {""};
    ports.durations = give_durations;
    ports.recent_durations = give_recent;
    ports.apply_slow_limits = take_limits;
    rollout = rollout_open(&setup, &ports, &why);
    if (!rollout)
        fail_msg("%s", why.text);
    world_boot(&world, rollout);
    for (unsigned v = 0; v < VERSIONS; v++) {
        double factor = answers[v].factor;
        memset(&answers[v], 0, sizeof answers[v]);
        answers[v].factor = factor;
    }
}

static int before_each(void **state)
{
    (void)state;
    world_init(&world);
    world_make_dir(dir);
    plan_default(&plan);
    plan.n_steps = 3;
    plan.steps[0].weight_bp = 1000;
    plan.steps[1].weight_bp = 5000;
    plan.steps[1].hold_ms = 7000;
    plan.steps[2].weight_bp = 10000;
    plan.hold_ms = plan.bake_ms = 5000;
    plan.harm_budget = 0.01;
    plan.latency_warmup_ms = 3000;
    answers[0].factor = answers[1].factor = 1;
    is_sticky = false;
    rollout = NULL;
    return 0;
}

static int after_each(void **state)
{
    (void)state;
    rollout_close(rollout);
    world_remove_dir(dir);
    return 0;
}

static void pass(int seconds)
{
    for (int i = 0; i < seconds; i++) {
        world_second(&world);
        answer(0);
        answer(1);
        rollout_tick(rollout);
    }
}

static void verb(enum rollout_verb v)
{
    struct why why = {""};
    if (rollout_command(rollout, v, "ann", &why) != OK)
        fail_msg("%s: %s", rollout_verb_name(v), why.text);
}

/* --- the files --- */

static unsigned count_files(const char *ending)
{
    unsigned n = 0;
    DIR *d = opendir(dir);
    const struct dirent *entry;
    assert_non_null(d);
    while ((entry = readdir(d)))
        n += world_ends(entry->d_name, ending);
    closedir(d);
    return n;
}

/* The path of the only recording. */
static const char *recording(void)
{
    static char path[512];
    DIR *d = opendir(dir);
    const struct dirent *entry;
    assert_non_null(d);
    path[0] = '\0';
    while ((entry = readdir(d)))
        if (world_ends(entry->d_name, ".jsonl"))
            (void)snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
    closedir(d);
    assert_int_equal(count_files(".jsonl"), 1);
    return path;
}

/* Line n of the recording, from 0, negative from the end; the caller frees it. */
static cJSON *line_of(int n)
{
    char *line = NULL;
    size_t room = 0;
    int count = 0;
    FILE *in = fopen(recording(), "r");
    assert_non_null(in);
    while (getline(&line, &room, in) > 0)
        count++;
    rewind(in);
    for (int i = 0; i <= (n < 0 ? count + n : n); i++)
        assert_true(getline(&line, &room, in) > 0);
    fclose(in);
    cJSON *json = cJSON_Parse(line);
    free(line);
    assert_non_null(json);
    return json;
}

static const char *text(const cJSON *json, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);
    if (!cJSON_IsString(item))
        fail_msg("%s is no text", name);
    return item->valuestring;
}

static double number(const cJSON *json, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);
    if (!cJSON_IsNumber(item))
        fail_msg("%s is no number", name);
    return item->valuedouble;
}

/* --- judged again --- */

static struct replay replay;

/* Judges the recording once more under its own thresholds; expects every verdict to be the same. */
static void check_same(uint64_t least_ticks)
{
    static uint64_t tops[HIST_CELLS];
    static struct judge_protocol protocol;
    static char reply[JUDGE_REPLY_MAX];
    char *line = NULL;
    size_t room = 0;
    ssize_t len;
    struct why why = {""};
    for (unsigned i = 0; i < HIST_CELLS; i++)
        tops[i] = hist_cell_top_us(i);
    replay_fini(&replay);
    replay_init(&replay, &(struct replay_cells){tops, HIST_CELLS});
    judge_protocol_init(&protocol, NULL);
    FILE *in = fopen(recording(), "r");
    assert_non_null(in);
    for (unsigned n = 0; (len = getline(&line, &room, in)) > 0; n++) {
        struct slice s = slice_of(line, (size_t)len - 1);
        enum err e = n ? replay_line(&replay, s, &why) : replay_read_start(&replay, s, &why);
        if (e == OK && n == 0)
            e = replay_begin(&replay, NULL, &why);
        if (e == OK)
            e = judge_protocol_line(&protocol, s, reply, &why); /* serin judge < FILE */
        if (e != OK)
            fail_msg("line %u: %s", n + 1, why.text);
        cJSON *recorded = cJSON_Parse(line), *answered = cJSON_Parse(reply);
        if (strcmp(text(recorded, "op"), "tick") == 0)
            assert_string_equal(text(recorded, "d"), text(answered, "d"));
        cJSON_Delete(recorded);
        cJSON_Delete(answered);
    }
    free(line);
    fclose(in);
    replay_finish(&replay);
    if (replay.same != replay.compared)
        fail_msg("%llu of %llu verdicts", (unsigned long long)replay.same,
                 (unsigned long long)replay.compared);
    assert_true(replay.compared >= least_ticks);
    const struct replay_moment *then = &replay.then.reverts, *now = &replay.now.reverts;
    assert_true(then->is_set == now->is_set && then->t_ms == now->t_ms &&
                then->stage == now->stage && then->failed == now->failed);
    assert_string_equal(then->check, now->check);
}

static void test_bad_canary(void **state)
{
    (void)state;
    come_up();
    world_version(&world, "v1")->error_rate = 0.001;
    pass(30); /* a past of stable */
    verb(ROLLOUT_START);
    pass(15);
    world_version(&world, "v2")->error_rate = 0.2;
    pass(30);
    cJSON *start = line_of(0), *end = line_of(-1);
    assert_string_equal(text(start, "op"), "start");
    assert_string_equal(text(start, "route"), "my-web");
    assert_string_equal(text(start, "stable"), "v1");
    assert_string_equal(text(start, "canary"), "v2");
    assert_true(number(start, "tick_s") == 1);
    assert_true(number(cJSON_GetObjectItem(start, "baseline"), "req") > 10000);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(start, "stages")), 4);
    assert_true(number(cJSON_GetObjectItem(start, "plan"), "harm_budget") == 0.01);
    assert_string_equal(text(end, "op"), "end");
    assert_string_equal(text(end, "result"), "reverted");
    assert_non_null(strstr(text(end, "why"), "canary failed"));
    cJSON_Delete(start);
    cJSON_Delete(end);
    check_same(15);
    assert_true(replay.now.reverts.is_set);
    assert_string_equal(replay.now.reverts.check, "errors");
    assert_true(replay.now.widens[0].is_set && replay.latency.histograms >= 2);
}

static void test_tick(void **state)
{
    (void)state;
    come_up();
    pass(5);
    verb(ROLLOUT_START);
    pass(5);
    cJSON *tick = line_of(-1);
    const cJSON *canary = cJSON_GetObjectItem(tick, "c");
    assert_string_equal(text(tick, "op"), "tick");
    assert_true(number(tick, "t") == 5 && number(tick, "weight") == 10);
    assert_true(number(canary, "req") > 200 && number(canary, "bad") == 0);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(canary, "lat")), 3);
    assert_null(cJSON_GetObjectItem(canary, "ureq"));
    assert_null(cJSON_GetObjectItem(tick, "moved"));
    assert_string_equal(text(tick, "d"), "continue");
    cJSON_Delete(tick);
}

static void test_healthy_canary_and_sticky(void **state)
{
    (void)state;
    is_sticky = true;
    world_version(&world, "v1")->error_rate = 0.001;
    world_version(&world, "v2")->error_rate = 0.001;
    come_up();
    pass(20);
    verb(ROLLOUT_START);
    pass(60);
    cJSON *end = line_of(-1);
    assert_string_equal(text(end, "result"), "completed");
    cJSON_Delete(end);
    check_same(17);
    assert_false(replay.now.reverts.is_set);
    for (unsigned stage = 0; stage < 3; stage++)
        assert_true(replay.now.widens[stage].is_set && replay.stages[stage].is_seen);
    assert_true(replay.canary.key_requests > 1000);
}

static void test_slow_canary(void **state)
{
    (void)state;
    come_up();
    pass(20);
    answers[1].factor = 1.5;
    verb(ROLLOUT_START);
    pass(60);
    check_same(5);
    assert_true(replay.now.reverts.is_set);
    assert_string_equal(replay.now.reverts.check, "latency");
}

/* A new process each few seconds, ended well, or killed in the middle of a line. */
static void test_restarts(void **state)
{
    (void)state;
    come_up();
    world_version(&world, "v1")->error_rate = world_version(&world, "v2")->error_rate = 0.01;
    pass(20);
    verb(ROLLOUT_START);
    pass(3);
    for (int i = 0; i < 5; i++) {
        rollout_close(rollout);
        FILE *out = fopen(recording(), "a");
        assert_non_null(out);
        if (i % 2)
            (void)fputs("{\"op\":\"tick\",\"t\":7.0", out);
        fclose(out);
        world.wall_ms += 1500;
        come_up();
        pass(3);
    }
    world_version(&world, "v2")->error_rate = 0.3;
    pass(20);
    check_same(20);
    assert_true(replay.now.reverts.is_set);
}

/* The disk kept the file, but an older record than it: what the record does not know is cut off. */
static void test_older_record(void **state)
{
    (void)state;
    char command[256];
    come_up();
    pass(5);
    verb(ROLLOUT_START);
    pass(4);
    (void)snprintf(command, sizeof command, "cp %s/my-web.json %s/old", dir, dir);
    assert_int_equal(system(command), 0);
    pass(4);
    rollout_close(rollout);
    (void)snprintf(command, sizeof command, "cp %s/old %s/my-web.json", dir, dir);
    assert_int_equal(system(command), 0);
    come_up();
    pass(1);
    cJSON *tick = line_of(-1), *before = line_of(-2);
    assert_true(number(before, "t") == 4 && number(tick, "t") > 4 && number(tick, "dt") == 0);
    cJSON_Delete(tick);
    cJSON_Delete(before);
    pass(30);
    check_same(20);
}

static void test_only_the_newest_are_kept(void **state)
{
    (void)state;
    static const char *const others[] = {"my-web.x.other-20200101T000000Z-1.jsonl",
                                         "my-webb.my-webb-20200101T000000Z-1.jsonl",
                                         "my-web.jsonl"};
    char path[256];
    come_up();
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, others[i]);
        FILE *out = fopen(path, "w");
        assert_non_null(out);
        fclose(out);
    }
    for (unsigned i = 0; i < RECORDINGS_MAX + 3; i++) {
        verb(i ? ROLLOUT_RETRY : ROLLOUT_START);
        pass(3);
        verb(ROLLOUT_ABORT);
        pass(3);
    }
    assert_int_equal(count_files(".jsonl"), RECORDINGS_MAX + ARRAY_LEN(others));
    assert_int_equal(count_files("Z-13.jsonl"), 1);
    assert_int_equal(count_files("Z-4.jsonl"), 1);
    assert_int_equal(count_files("Z-3.jsonl"), 0);
}

static void test_failure_stops_nothing(void **state)
{
    (void)state;
    char path[256];
    come_up();
    (void)snprintf(path, sizeof path, "%s/my-web.my-web-20260101T000003Z-1.jsonl", dir);
    assert_int_equal(mkdir(path, 0700), 0); /* where the file would be */
    pass(3);
    verb(ROLLOUT_START);
    pass(60);
    struct rollout_split split;
    rollout_split(rollout, &split);
    assert_string_equal(split.stable, "v2");
    assert_int_equal(count_files(".jsonl"), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, before_each, after_each)
    const struct CMUnitTest tests[] = {
        TEST(test_bad_canary),
        TEST(test_tick),
        TEST(test_healthy_canary_and_sticky),
        TEST(test_slow_canary),
        TEST(test_restarts),
        TEST(test_older_record),
        TEST(test_only_the_newest_are_kept),
        TEST(test_failure_stops_nothing),
    };
    int failed = cmocka_run_group_tests(tests, world_quiet, NULL);
    replay_fini(&replay);
    return failed;
}
