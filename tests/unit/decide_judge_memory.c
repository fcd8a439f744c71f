/* A tick allocates nothing, whatever it decides. The linker puts the counters below before malloc, calloc and realloc of
 * everything that is linked statically; what the C library does inside printf is its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "decide_vectors.h"
#include "rollout/decide/judge.h"

static unsigned long allocations;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);

void *__wrap_malloc(size_t size)
{
    allocations++;
    return __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    allocations++;
    return __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
    allocations++;
    return __real_realloc(p, size);
}

static void test_the_counter_counts(void **state)
{
    (void)state;
    unsigned long before = allocations;
    void *volatile kept = malloc(1); /* volatile: otherwise a compiler may leave out both calls */
    free(kept);
    cJSON *vectors = vectors_load(); /* the tests' own call; cJSON is a shared library */
    cJSON_Delete(vectors);
    assert_true(allocations >= before + 2);
}

/* A stretch of seconds, in requests a second; the share of slow requests is the same for every quantile. */
struct stretch {
    bool anew;
    unsigned stage, seconds;
    unsigned canary, canary_failed, stable, stable_failed, canary_slow;
    enum judge_verdict ends_with;
};

static void add(struct judge_side *side, unsigned requests, unsigned failed, unsigned slow)
{
    side->requests += requests;
    side->failed += failed;
    side->key_requests += requests;
    side->key_failed += failed;
    for (size_t i = 0; i < JUDGE_LATENCY_MAX; i++)
        side->slow[i] += slow;
}

static void test_no_tick_allocates(void **state)
{
    (void)state;
    static const struct stretch stretches[] = {
        {true, 0, 60, 50, 0, 950, 1, 5, JUDGE_PROMOTE},
        {false, 1, 59, 1, 0, 100, 0, 0, JUDGE_CONTINUE},
        {false, 1, 541, 1, 0, 100, 0, 0, JUDGE_PROMOTE}, /* low evidence */
        {false, 3, 2, 250, 125, 750, 1, 25, JUDGE_BRAKE},
        {false, 3, 20, 250, 125, 750, 1, 25, JUDGE_REVERT},
        {true, 2, 60, 100, 50, 900, 450, 10, JUDGE_HOLD}, /* both fail */
        {true, 0, 700, 0, 0, 100, 0, 0, JUDGE_HOLD},      /* no data */
        {true, 1, 300, 50, 0, 950, 1, 45, JUDGE_REVERT},  /* slow */
    };
    static struct judge j;
    struct judge_settings settings;
    struct judge_decision decision;
    unsigned seen[JUDGE_VERDICT_COUNT] = {0};
    judge_settings_default(&settings);
    settings.no_data_requests = 5;
    for (int sticky = 0; sticky < 2; sticky++) {
        struct judge_input in = {.elapsed_s = 1, .latency_known = true};
        unsigned long before = allocations;
        for (size_t i = 0; i < ARRAY_LEN(stretches); i++) {
            const struct stretch *s = &stretches[i];
            if (s->anew) {
                judge_start(&j, &settings, sticky, &(struct judge_baseline){600000, 600});
                judge_rebase(&j, &in.stable, &in.canary);
                in.t_ms = 0;
            }
            in.stage = s->stage;
            in.weight_bp = settings.stages[s->stage].weight_bp;
            in.stage_t_ms = 0;
            for (unsigned t = 0; t < s->seconds; t++) {
                in.t_ms += 1000;
                in.stage_t_ms += 1000;
                add(&in.canary, s->canary, s->canary_failed, s->canary_slow);
                add(&in.stable, s->stable, s->stable_failed, s->stable / 10);
                judge_tick(&j, &in, &decision);
                seen[decision.verdict]++;
            }
            if (decision.verdict != s->ends_with)
                fail_msg("%zu: %s", i, decision.why);
        }
        assert_int_equal(allocations, before);
    }
    for (unsigned verdict = 0; verdict < JUDGE_VERDICT_COUNT; verdict++)
        assert_true(seen[verdict] > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_counter_counts),
        cmocka_unit_test(test_no_tick_allocates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
