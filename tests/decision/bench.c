/* What a tick costs: a thousand judges, and a thousand whole rollouts whose records go to memory. Prints; asserts nothing.
 * SPDX-License-Identifier: Apache-2.0 */
#include "../unit/rollout_world.h"
#include "base/check.h"
#include "rollout/decide/judge.h"
#include <malloc.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

#define ROUTES 1000
#define TICKS  120
#define ROUNDS 5

static double now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static double least(const double *x, size_t n)
{
    double best = x[0];
    for (size_t i = 1; i < n; i++)
        best = x[i] < best ? x[i] : best;
    return best;
}

/* --- the judge alone --- */

static struct judge judges[ROUTES];
static struct judge_input inputs[ROUTES];

/* A second of a route: 100 requests at 10 %, an error now and then, latency compared. waits: too few canary requests
 * for proof, so that the sentence also says how many are missing. */
static void pass_second(struct judge_input *in, unsigned route, bool waits)
{
    unsigned canary = waits ? (unsigned)(in->t_ms / 1000 % 5 == 0) : 10;
    in->t_ms += 1000;
    in->stage_t_ms += 1000;
    in->canary.requests += canary;
    in->stable.requests += 90;
    in->canary.failed += (in->t_ms / 1000 + route) % 97 == 0;
    in->stable.failed += (in->t_ms / 1000 + route) % 11 == 0;
    for (size_t i = 0; i < JUDGE_LATENCY_MAX; i++) {
        in->canary.slow[i] += canary / 2 >> i;
        in->stable.slow[i] += 45u >> i;
    }
}

static void bench_judges(bool waits)
{
    struct judge_settings settings;
    struct judge_decision decision;
    double rounds[ROUNDS];
    judge_settings_default(&settings);
    for (size_t i = 0; i < ROUTES; i++) {
        judge_start(&judges[i], &settings, false, NULL);
        inputs[i] = (struct judge_input){
            .elapsed_s = 1, .stage = 2, .weight_bp = 1000, .latency_known = true};
    }
    size_t before = mallinfo2().uordblks;
    for (size_t round = 0; round < ROUNDS; round++) {
        double start = now_ms();
        for (unsigned t = 0; t < TICKS; t++)
            for (unsigned i = 0; i < ROUTES; i++) {
                pass_second(&inputs[i], i, waits);
                judge_tick(&judges[i], &inputs[i], &decision);
            }
        rounds[round] = (now_ms() - start) / TICKS;
    }
    printf("%d judges, %-28s %7.2f ms a tick, %5.1f us each; %zu bytes of state each, heap grew by "
           "%zu\n",
           ROUTES, waits ? "waiting for proof:" : "widening on proof:", least(rounds, ROUNDS),
           least(rounds, ROUNDS) * 1e3 / ROUTES, sizeof(struct judge),
           (size_t)(mallinfo2().uordblks - before));
}

/* --- whole rollouts --- */

static struct world worlds[ROUTES];
static struct rollout *rollouts[ROUTES];

/* A rollout holds its directory, its lock and its recording open. */
static void allow_files(void)
{
    struct rlimit limit;
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static void open_rollouts(const char *dir, bool is_followed)
{
    for (unsigned i = 0; i < ROUTES; i++) {
        struct why why = {""};
        char name[32];
        (void)snprintf(name, sizeof name, "route-%u", i);
        world_init(&worlds[i]);
        worlds[i].rate = 100;
        worlds[i].nobody_follows = !is_followed;
        struct rollout_ports ports = world_ports(&worlds[i]);
        struct rollout_setup setup = {
            .route = name, .state_dir = dir, .stable = {"v1", NULL}, .canary = {"v2", NULL}};
        rollouts[i] = rollout_open(&setup, &ports, &why);
        if (!rollouts[i] || rollout_command(rollouts[i], ROLLOUT_START, NULL, &why) != OK) {
            (void)fprintf(stderr, "%s: %s\n", name, why.text);
            exit(1);
        }
    }
}

static void bench_rollouts(bool is_followed)
{
    char dir[64];
    double seconds[TICKS];
    world_make_dir(dir);
    (void)world_quiet(NULL);
    open_rollouts(dir, is_followed);
    for (unsigned t = 0; t < TICKS; t++) {
        for (unsigned i = 0; i < ROUTES; i++)
            world_second(&worlds[i]);
        double start = now_ms();
        for (unsigned i = 0; i < ROUTES; i++)
            rollout_tick(rollouts[i]);
        seconds[t] = now_ms() - start;
    }
    double sum = 0;
    for (unsigned t = TICKS / 2; t < TICKS; t++)
        sum += seconds[t];
    printf("%d rollouts, record and recording written to memory, %-8s %7.1f ms a tick, %5.1f us "
           "each (mean of the last %d)\n",
           ROUTES, is_followed ? "followed" : "alone", sum / (TICKS - TICKS / 2),
           sum / (TICKS - TICKS / 2) * 1e3 / ROUTES, TICKS - TICKS / 2);
    for (unsigned i = 0; i < ROUTES; i++)
        rollout_close(rollouts[i]);
    world_remove_dir(dir);
}

int main(void)
{
    bench_judges(false);
    bench_judges(true);
    allow_files();
    bench_rollouts(true);
    bench_rollouts(false);
    return 0;
}
