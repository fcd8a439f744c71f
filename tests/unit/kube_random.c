/* Two proxies before one cluster while everything goes wrong by chance: servers away, processes killed, leases lost,
 * people at work with kubectl, verbs at any moment. Bounds, order and end hold all the same.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "kube_world.h"
#include "rollout/explain.h"

#define SEEDS_DEFAULT 60
#define TROUBLE_S     240  /* faults come for so long */
#define PATIENCE_S    1500 /* and after so long without any, all is at rest */
#define LEARN_S       4    /* a proxy that reaches the server has what the objects say */

static struct cluster cluster;

struct chance {
    unsigned seed, state;
    bool is_bad;            /* the canary fails its users from some moment on */
    bool is_touched;        /* a person changed pods or objects: the bounds are that person's */
    struct stamp newest[2]; /* that an object has borne */
    bool is_forged[2];      /* by a person: order begins anew */
    char bad_run[RECORD_ID_MAX];
    int bad_s;              /* the objects say so since */
    int reached_s[PROXIES]; /* it has reached the server since */
    int trouble_s;
    char *kept;       /* a record of before */
    const char *last; /* what went wrong last */
};

static struct chance chance;

static unsigned roll(unsigned sides)
{
    return (unsigned)rand_r(&chance.state) % sides;
}

static struct proxy *any_proxy(void)
{
    return &cluster.proxies[roll(PROXIES)];
}

static struct fleet_side *any_side(void)
{
    return roll(2) ? &cluster.api.view.stable : &cluster.api.view.canary;
}

#define LOST(fmt, ...)                                                                             \
    fail_msg("seed %u at %d s, last %s: " fmt, chance.seed, cluster.now_s, chance.last, __VA_ARGS__)

/* --- what goes wrong --- */

static void server_goes(void)
{
    cluster.api.is_away = !cluster.api.is_away;
}

static void one_is_cut_off(void)
{
    struct proxy *p = any_proxy();
    p->is_away = !p->is_away;
}

static void one_dies(void)
{
    struct proxy *p = any_proxy();
    if (!p->rollout)
        return;
    proxy_kill(p);
    p->back_at_s = cluster.now_s + 1 + (int)roll(12);
}

static void one_dies_with_its_disk(void)
{
    struct proxy *p = any_proxy();
    if (!p->rollout)
        return;
    proxy_kill(p);
    world_remove_dir(p->dir);
    world_make_dir(p->dir);
    p->back_at_s = cluster.now_s + 1 + (int)roll(12);
}

static void leader_dies_after_a_write(void)
{
    cluster.api.kill_at = cluster.api.writes + 1 + roll(4);
}

static void lease_is_deleted(void)
{
    cluster.api.holder = NOBODY;
}

static void pods_are_slow(void)
{
    cluster.api.is_slow = !cluster.api.is_slow;
}

static void pods_are_not_listed(void)
{
    struct fleet_view *view = &cluster.api.view;
    view->stable.are_pods_unknown = roll(2);
    view->canary.are_pods_unknown = roll(2);
}

static void clock_jumps(void)
{
    any_proxy()->world.wall_ms += ((int64_t)roll(7200) - 3600) * 1000;
}

static void a_person_commands(void)
{
    static const enum rollout_verb verbs[] = {ROLLOUT_START,  ROLLOUT_PAUSE,        ROLLOUT_RESUME,
                                              ROLLOUT_RESUME, ROLLOUT_PROMOTE,      ROLLOUT_ABORT,
                                              ROLLOUT_RETRY,  ROLLOUT_PROMOTE_FULL, ROLLOUT_START,
                                              ROLLOUT_UNDO,   ROLLOUT_RESUME,       ROLLOUT_START};
    struct proxy *p = any_proxy();
    if (p->rollout)
        (void)!rollout_command(p->rollout, verbs[roll(ARRAY_LEN(verbs))], "chance", NULL);
}

static void an_autoscaler_comes_or_goes(void)
{
    char *text = cluster.api.view.autoscaler;
    if (text[0])
        text[0] = '\0';
    else
        (void)snprintf(text, CLUSTER_WHY_MAX, "an autoscaler moves it");
}

static void forge(unsigned object, const char *text)
{
    set_text(&cluster.api.records[object], text);
    chance.newest[object] = (struct stamp){0, 0};
    chance.is_forged[object] = true;
}

/* A record that is gone comes back from whoever decides: where nobody does, and no disk knows, a person is asked. */
static bool is_led(void)
{
    const struct proxy *p = &cluster.proxies[cluster.api.holder % PROXIES];
    return cluster.api.holder != NOBODY && p->rollout && !is_cut_off(p);
}

static void record_is_spoilt(void)
{
    if (!is_led())
        return;
    static const char *const texts[] = {
        NULL,
        "",
        "garbage",
        "{\"route\":\"my-web\",\"epoch\":1,\"seq\":9007199254740991}",
        "{\"route\":\"another\",\"epoch\":900,\"seq\":900}",
        "{\"seq\":1e300}",
        "[[[[[["};
    forge(roll(2), texts[roll(ARRAY_LEN(texts))]);
}

/* An object bears again what it bore some time ago: a backup was put back. */
static void record_is_old(void)
{
    unsigned object = roll(2);
    if (chance.kept && is_led() && roll(2))
        forge(object, chance.kept);
    else
        set_text(&chance.kept, cluster.api.records[object]);
}

static void marks_are_removed(void)
{
    struct fleet_side *side = any_side();
    side->workload.desired = side->workload.original = -1;
    side->workload.source_id[0] = '\0';
}

static void someone_scales(void)
{
    struct fleet_side *side = any_side();
    if (!side->exists)
        return;
    scale(side, side->workload.replicas + (int)roll(4));
    chance.is_touched = true;
}

static void canary_is_made_anew(void)
{
    struct fleet_side *canary = &cluster.api.view.canary;
    for (unsigned i = 0; i < PROXIES;
         i++) { /* who takes away what serves everyone must bring it back */
        const struct proxy *p = &cluster.proxies[i];
        bool is_canary = p->rollout && strcmp(p->world.stable, "v1") == 0 &&
                         machine_underlying(&p->rollout->record.machine) < MACHINE_PROMOTING;
        if (!is_canary)
            return;
    }
    if (!canary->exists || cluster.api.view.stable.workload.replicas == 0)
        return;
    bool is_gone = roll(2);
    name_side(canary, "v2", 0);
    canary->workload.source_id[0] = canary->seen_hash[0] = '\0';
    canary->exists = !is_gone;
    set_text(&cluster.api.records[1], NULL);
    chance.newest[1] = (struct stamp){0, 0};
    chance.is_touched = true;
}

static bool configure(struct proxy *p)
{
    struct rollout_setup setup = {.route = "my-web",
                                  .state_dir = p->dir,
                                  .stable = {.name = "v1"},
                                  .canary = {.name = p->canary},
                                  .plan = &cluster.plan,
                                  .has_cluster = true};
    return !p->rollout || rollout_configure(p->rollout, &setup, NULL) == OK;
}

static void file_changes(void)
{
    struct proxy *p = any_proxy();
    const char *before = p->canary;
    p->canary = p->canary ? NULL : "v2";
    if (!configure(p))
        p->canary = before;
}

static const struct trouble {
    const char *name;
    void (*happen)(void);
    unsigned often; /* of 1000 seconds */
} troubles[] = {
    {"the server goes or comes", server_goes, 20},
    {"one is cut off, or not", one_is_cut_off, 20},
    {"one dies", one_dies, 12},
    {"one dies with its disk", one_dies_with_its_disk, 4},
    {"the leader dies after a write", leader_dies_after_a_write, 12},
    {"the lease is deleted", lease_is_deleted, 8},
    {"pods are slow, or not", pods_are_slow, 20},
    {"pods are not listed", pods_are_not_listed, 15},
    {"a clock jumps", clock_jumps, 8},
    {"a person commands", a_person_commands, 40},
    {"an autoscaler comes or goes", an_autoscaler_comes_or_goes, 4},
    {"a record is spoilt", record_is_spoilt, 6},
    {"a record is old", record_is_old, 8},
    {"marks are removed", marks_are_removed, 4},
    {"someone scales", someone_scales, 2},
    {"the canary is made anew", canary_is_made_anew, 2},
    {"a file changes", file_changes, 3},
};

static void something_happens(void)
{
    for (size_t i = 0; i < ARRAY_LEN(troubles); i++)
        if (roll(1000) < troubles[i].often) {
            chance.last = troubles[i].name;
            if (getenv("SERIN_TEST_SHOW"))
                fprintf(stderr, "%d s: %s\n", cluster.now_s, chance.last);
            troubles[i].happen();
        }
}

static void trouble_ends(void)
{
    struct fleet_view *view = &cluster.api.view;
    cluster.api.is_away = cluster.api.is_slow = false;
    cluster.api.kill_at = 0;
    view->stable.are_pods_unknown = view->canary.are_pods_unknown = false;
    view->autoscaler[0] = '\0';
    chance.last = "the end of trouble";
    for (unsigned i = 0; i < PROXIES; i++) {
        struct proxy *p = &cluster.proxies[i];
        p->is_away = false;
        p->canary = "v2";
        if (!configure(p))
            LOST("proxy %u refuses its file", i);
        if (!p->rollout)
            p->back_at_s = cluster.now_s + 1;
    }
}

/* --- what holds --- */

/* What an object bears is never older than what it bore. */
static void check_order(void)
{
    for (unsigned i = 0; i < 2; i++) {
        struct stamp now = stamp_of(cluster.api.records[i]);
        if (now.epoch == 0 || chance.is_forged[i])
            continue;
        if (is_before(now, chance.newest[i]))
            LOST("object %u went back from %llu/%llu to %llu/%llu", i,
                 (unsigned long long)chance.newest[i].epoch,
                 (unsigned long long)chance.newest[i].seq, (unsigned long long)now.epoch,
                 (unsigned long long)now.seq);
        chance.newest[i] = now;
    }
    chance.is_forged[0] = chance.is_forged[1] = false;
}

static void check_one_decides(void)
{
    unsigned n = 0;
    for (unsigned i = 0; i < PROXIES; i++) {
        const struct rollout *r = cluster.proxies[i].rollout;
        n += r && r->leads && r->cluster.standing == CLUSTER_LEADS;
    }
    if (n > 1)
        LOST("%u decide", n);
}

static void check_pods(void)
{
    const struct fleet_side *stable = &cluster.api.view.stable, *canary = &cluster.api.view.canary;
    int total = stable->workload.replicas + canary->workload.replicas;
    int available = stable->available + canary->available;
    if (!chance.is_touched && (total > 5 || available < 4))
        LOST("%d pods, %d available", total, available);
}

static bool is_proven_bad(const struct record *record)
{
    const struct machine *m = &record->machine;
    bool ended = m->state == MACHINE_ABORTING || m->state == MACHINE_RESTORING ||
                 m->state == MACHINE_ABORTED || machine_has_failed(m);
    return ended && machine_cause_is_failure(m->cause);
}

/* A canary that the objects say is bad gets nobody from a proxy that has had the time to read them. */
static void check_bad(void)
{
    struct record record;
    const char *text = cluster.api.records[0];
    if (!text || record_decode(&record, text, strlen(text), NULL) != OK)
        return;
    if (!is_proven_bad(&record))
        chance.bad_run[0] = '\0';
    else if (strcmp(chance.bad_run, record.run.id) != 0) {
        memcpy(chance.bad_run, record.run.id, sizeof chance.bad_run);
        chance.bad_s = cluster.now_s;
    }
    record_fini(&record);
    for (unsigned i = 0; i < PROXIES && chance.bad_run[0]; i++) {
        const struct proxy *p = &cluster.proxies[i];
        int since_s = chance.bad_s > chance.reached_s[i] ? chance.bad_s : chance.reached_s[i];
        if (p->rollout && !is_cut_off(p) && cluster.now_s - since_s > LEARN_S &&
            p->world.weight_bp > 0 && strcmp(p->world.canary, "v2") == 0 &&
            strcmp(p->world.salt, chance.bad_run) == 0)
            LOST("proxy %u sends users to a canary that was proven bad", i);
    }
}

static void check_second(void)
{
    for (unsigned i = 0; i < PROXIES; i++)
        if (!cluster.proxies[i].rollout || is_cut_off(&cluster.proxies[i]))
            chance.reached_s[i] = cluster.now_s;
    check_order();
    check_one_decides();
    check_pods();
    check_bad();
}

static void second(void)
{
    if (getenv("SERIN_TEST_SHOW"))
        for (unsigned i = 0; i < PROXIES; i++) {
            const struct proxy *p = &cluster.proxies[i];
            fprintf(stderr, "%s%d:%s%s %s %u %llu/%llu", i ? " | " : "", cluster.now_s,
                    cluster.api.holder == i ? "*" : "", is_cut_off(p) ? "!" : "",
                    p->rollout ? machine_state_name(state_of(p)) : "down", p->world.weight_bp,
                    p->rollout ? (unsigned long long)p->rollout->record.epoch : 0,
                    p->rollout ? (unsigned long long)p->rollout->record.seq : 0);
        }
    if (getenv("SERIN_TEST_SHOW"))
        fprintf(stderr, " | %d/%d %d/%d\n", cluster.api.view.stable.available,
                cluster.api.view.stable.workload.replicas, cluster.api.view.canary.available,
                cluster.api.view.canary.workload.replicas);
    cluster_second(&cluster);
    check_second();
}

/* --- how it ends --- */

/* A start that was asked of a proxy, and of which nothing was written before another led, is that proxy's memory. */
static bool is_at_rest(const struct proxy *p)
{
    return p->rollout && (state_of(p) == MACHINE_STABLE || state_of(p) == MACHINE_ABORTED ||
                          (!p->rollout->leads &&
                           machine_underlying(&p->rollout->record.machine) == MACHINE_PENDING));
}

/* What only a person takes on, a person takes on. */
static void a_person_helps(void)
{
    struct proxy *p = &cluster.proxies[cluster.api.holder % PROXIES];
    if (!p->rollout)
        return;
    if (state_of(p) == MACHINE_PAUSED)
        (void)!rollout_command(p->rollout, ROLLOUT_ABORT, "helper", NULL);
    else if (state_of(p) == MACHINE_FAILED_PROMOTION)
        (void)!rollout_command(p->rollout, ROLLOUT_PROMOTE, "helper", NULL);
}

static void check_end(void)
{
    const struct fleet_view *view = &cluster.api.view;
    const struct proxy *a = &cluster.proxies[0], *b = &cluster.proxies[1];
    if (strcmp(a->world.stable, b->world.stable) != 0 || a->world.weight_bp != b->world.weight_bp)
        LOST("one serves %s at %u, the other %s at %u", a->world.stable, a->world.weight_bp,
             b->world.stable, b->world.weight_bp);
    bool is_v2 = strcmp(a->world.stable, "v2") == 0;
    int serves = is_v2 ? view->canary.workload.replicas : view->stable.workload.replicas;
    if (a->world.weight_bp != 0 || serves < 4)
        LOST("%s serves everyone with %d pods (%u)", a->world.stable, serves, a->world.weight_bp);
    const struct fleet_side *other = is_v2 ? &view->stable : &view->canary;
    if (!chance.is_touched && other->workload.replicas != 0)
        LOST("%d pods are left over", other->workload.replicas);
}

static void comes_to_rest(void)
{
    int calm_s = 0;
    trouble_ends();
    for (int i = 0; i < PATIENCE_S && calm_s < 60; i++) {
        second();
        if (i > 600)
            a_person_helps();
        bool is_calm = is_at_rest(&cluster.proxies[0]) && is_at_rest(&cluster.proxies[1]);
        calm_s = is_calm ? calm_s + 1 : 0;
    }
    if (calm_s >= 60) {
        check_end();
        return;
    }
    for (unsigned i = 0; i < PROXIES; i++) {
        char why[RECORD_WHY_MAX] = "down";
        if (cluster.proxies[i].rollout)
            explain_status(cluster.proxies[i].rollout, why);
        fprintf(stderr, "proxy %u: %s: %s\n", i,
                cluster.proxies[i].rollout ? machine_state_name(state_of(&cluster.proxies[i])) : "",
                why);
    }
    LOST("no end within %d s", PATIENCE_S);
}

static void run(unsigned seed)
{
    chance = (struct chance){.seed = seed, .state = seed, .last = "nothing"};
    chance.is_bad = roll(3) == 0;
    cluster_init(&cluster);
    cluster.most = 1000; /* checked here */
    cluster.keep = 0;
    cluster.plan.on_failure = roll(3) ? ON_FAILURE_ABORT : ON_FAILURE_PAUSE;
    cluster.plan.progress_deadline_ms = 60000;
    int bad_from_s = 20 + (int)roll(60);
    for (unsigned i = 0; i < PROXIES; i++) {
        rollout_close(cluster.proxies[i].rollout);
        proxy_open(&cluster.proxies[i]);
    }
    second();
    (void)!rollout_command(cluster.proxies[0].rollout, ROLLOUT_START, "chance", NULL);
    for (int i = 0; i < TROUBLE_S; i++) {
        if (chance.is_bad && i == bad_from_s)
            for (unsigned j = 0; j < PROXIES; j++)
                world_version(&cluster.proxies[j].world, "v2")->error_rate = 0.5;
        something_happens();
        second();
    }
    comes_to_rest();
    free(chance.kept);
    cluster_fini(&cluster);
}

static void whatever_goes_wrong(void **state)
{
    (void)state;
    const char *only = getenv("SERIN_TEST_SEED"), *many = getenv("SERIN_TEST_SEEDS");
    unsigned first = only ? (unsigned)atoi(only) : 1;
    unsigned n = many ? (unsigned)atoi(many) : only ? 1 : SEEDS_DEFAULT;
    for (unsigned seed = first; seed < first + n; seed++)
        run(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(whatever_goes_wrong)};
    return cmocka_run_group_tests(tests, world_quiet, NULL);
}
