/* A rollout on a cluster with two proxies: pods and weight move together, one decides and the other follows, and no
 * moment of death changes how it ends. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "kube_pair.h"

static int canary_pods(void)
{
    return cluster.api.view.canary.workload.replicas;
}

static int stable_pods(void)
{
    return cluster.api.view.stable.workload.replicas;
}

/* Until the leader's weight is this, both with it. */
static void reach_weight(uint32_t weight_bp)
{
    for (int i = 0; i < 120; i++) {
        cluster_second(&cluster);
        if (leader()->world.weight_bp == weight_bp && state_of(leader()) == MACHINE_ANALYZING)
            return;
    }
    fail_msg("%u is not reached: %s at %u", weight_bp, machine_state_name(state_of(leader())),
             leader()->world.weight_bp);
}

static void ended_on(const char *stable, int v1, int v2)
{
    assert_int_equal(stable_pods(), v1);
    assert_int_equal(canary_pods(), v2);
    for (unsigned i = 0; i < PROXIES; i++) {
        assert_string_equal(cluster.proxies[i].world.stable, stable);
        assert_int_equal(cluster.proxies[i].world.weight_bp, 0);
    }
    assert_int_equal(cluster.api.view.stable.workload.original, -1);
    assert_int_equal(cluster.api.view.canary.workload.desired, -1);
}

static void pods_and_weight_move_together(void **state)
{
    (void)state;
    command(leader(), ROLLOUT_START);
    for (unsigned step = 1; step <= 3; step++) {
        reach_weight(2500 * step);
        cluster_pass(&cluster, 2);
        assert_int_equal(canary_pods(), step);
        assert_int_equal(stable_pods(), 4 - step);
        assert_int_equal(follower()->world.weight_bp, 2500 * step);
    }
    assert_true(cluster_reaches(&cluster, MACHINE_STABLE, 120));
    cluster_pass(&cluster, 3);
    ended_on("v2", 0, 4);
}

/* The follower has the weight at most a second after the objects. */
static void a_weight_waits_for_pods_and_for_the_objects(void **state)
{
    (void)state;
    cluster.api.is_slow = true;
    command(leader(), ROLLOUT_START);
    for (int i = 0; i < 200 && state_of(leader()) != MACHINE_STABLE; i++) {
        uint32_t before_bp = leader()->world.weight_bp;
        cluster_second(&cluster);
        uint32_t now_bp = leader()->world.weight_bp;
        struct record stored;
        const char *text = cluster.api.records[0];
        if (now_bp <= before_bp || !text)
            continue;
        assert_int_equal(record_decode(&stored, text, strlen(text), NULL), OK);
        if (stored.machine.weight_bp < now_bp && strcmp(stored.pair.stable.name, "v1") == 0)
            fail_msg("at %d s: %u, but the objects say %u", cluster.now_s, now_bp,
                     stored.machine.weight_bp);
        record_fini(&stored);
        assert_true(cluster.api.view.canary.available * 10000 >= (int)now_bp * 4 - 9999);
    }
    assert_int_equal(state_of(leader()), MACHINE_STABLE);
}

static void a_follower_only_follows(void **state)
{
    (void)state;
    struct why why = {""};
    assert_int_equal(rollout_command(follower()->rollout, ROLLOUT_START, "tester", &why),
                     ERR_CONFLICT);
    assert_non_null(strstr(why.text, "another proxy decides for this route: ask proxy-0"));
    command(leader(), ROLLOUT_START);
    reach_weight(2500);
    world_version(&follower()->world, "v2")->error_rate = 1; /* as the follower alone sees it */
    cluster_pass(&cluster, 2);
    assert_int_equal(follower()->world.weight_bp, leader()->world.weight_bp);
    assert_int_equal(follower()->rollout->record.epoch, leader()->rollout->record.epoch);
}

static void another_takes_over(void **state)
{
    (void)state;
    struct proxy *old = leader();
    command(old, ROLLOUT_START);
    reach_weight(5000);
    uint64_t epoch = old->rollout->record.epoch;
    proxy_kill(old);
    cluster_pass(&cluster, LEASE_S + 1);
    assert_ptr_not_equal(leader(), old);
    assert_int_equal(leader()->rollout->record.epoch, epoch + 1);
    assert_int_equal(leader()->world.weight_bp, 5000);
    old->back_at_s = cluster.now_s + 1;
    assert_true(cluster_reaches(&cluster, MACHINE_STABLE, 200));
    cluster_pass(&cluster, 3);
    ended_on("v2", 0, 4);
}

static void a_bad_canary_goes_and_stable_comes_back(void **state)
{
    (void)state;
    command(leader(), ROLLOUT_START);
    reach_weight(5000);
    for (unsigned i = 0; i < PROXIES; i++)
        world_version(&cluster.proxies[i].world, "v2")->error_rate = 0.5;
    cluster.keep = 0; /* everyone goes back at once; the pods follow */
    assert_true(cluster_reaches(&cluster, MACHINE_ABORTED, 60));
    cluster_pass(&cluster, 2);
    ended_on("v1", 4, 0);
}

/* The leader alone sees the failures, and the server is away: its users go back, the cluster follows. */
static void a_revert_needs_no_server(void **state)
{
    (void)state;
    struct proxy *p = leader();
    command(p, ROLLOUT_START);
    reach_weight(5000);
    cluster_pass(&cluster, 2);
    cluster.api.is_away = true;
    cluster_pass(&cluster, 3);
    assert_int_equal(state_of(p), MACHINE_HOLDING);
    assert_int_equal(p->rollout->record.machine.cause, MACHINE_CAUSE_CLUSTER);
    for (unsigned i = 0; i < PROXIES; i++)
        world_version(&cluster.proxies[i].world, "v2")->error_rate = 0.5;
    cluster_pass(&cluster, 10);
    assert_int_equal(p->world.weight_bp, 0);
    assert_int_equal(state_of(p), MACHINE_RESTORING);
    assert_int_equal(stable_pods(), 2);
    cluster.api.is_away = false;
    assert_true(cluster_reaches(&cluster, MACHINE_ABORTED, 60));
    cluster_pass(&cluster, 2);
    ended_on("v1", 4, 0);
}

static void nothing_widens_without_a_server(void **state)
{
    (void)state;
    command(leader(), ROLLOUT_START);
    reach_weight(2500);
    cluster.api.is_away = true;
    unsigned writes = cluster.api.writes;
    cluster_pass(&cluster, 300);
    assert_int_equal(leader()->world.weight_bp, 2500);
    assert_int_equal(follower()->world.weight_bp, 2500);
    assert_int_equal(cluster.api.writes, writes);
    cluster.api.is_away = false;
    assert_true(cluster_reaches(&cluster, MACHINE_STABLE, 200));
}

static void a_person_brings_stable_back_first(void **state)
{
    (void)state;
    command(leader(), ROLLOUT_START);
    reach_weight(5000);
    cluster.api.is_slow = true;
    command(leader(), ROLLOUT_ABORT);
    for (int i = 0; i < 60 && state_of(leader()) != MACHINE_ABORTED; i++) {
        cluster_second(&cluster);
        if (leader()->world.wanted_bp == 0)
            assert_int_equal(cluster.api.view.stable.available, 4);
    }
    cluster_pass(&cluster, 2);
    assert_int_equal(state_of(leader()), MACHINE_ABORTED);
    ended_on("v1", 4, 0);
}

/* While it waits for stable, proof against the canary ends the wait. */
static void a_person_who_aborts_is_overtaken_by_proof(void **state)
{
    (void)state;
    command(leader(), ROLLOUT_START);
    reach_weight(5000);
    command(leader(), ROLLOUT_ABORT);
    cluster.api.view.stable.available = 1; /* and no pod of it becomes ready */
    cluster.keep = 0;
    world_version(&leader()->world, "v2")->available = 1;
    leader()->world.breaker = ROLLOUT_BREAKER_OPEN;
    cluster_second(&cluster);
    assert_int_equal(leader()->world.wanted_bp, 0);
}

static void what_is_gone_ends_it(void **state)
{
    (void)state;
    command(leader(), ROLLOUT_START);
    reach_weight(2500);
    cluster.keep = 0;
    cluster.api.view.canary.exists = false;
    scale(&cluster.api.view.canary, 0);
    assert_true(cluster_reaches(&cluster, MACHINE_ABORTED, 30));
    cluster_pass(&cluster, 2);
    assert_int_equal(stable_pods(), 4);
    assert_string_equal(leader()->world.stable, "v1");
}

static void without_stable_it_stays_on_the_canary(void **state)
{
    (void)state;
    command(leader(), ROLLOUT_START);
    reach_weight(5000);
    cluster.keep = 0;
    cluster.api.view.stable.exists = false;
    scale(&cluster.api.view.stable, 0);
    assert_true(cluster_reaches(&cluster, MACHINE_FAILED_PROMOTION, 10));
    cluster_pass(&cluster, 3);
    assert_int_equal(leader()->world.weight_bp, 10000);
    assert_int_equal(follower()->world.weight_bp, 10000);
    command(leader(), ROLLOUT_PROMOTE); /* a person takes it on */
    assert_true(cluster_reaches(&cluster, MACHINE_STABLE, 60));
    assert_string_equal(leader()->world.stable, "v2");
    assert_int_equal(canary_pods(), 4);
}

static void an_autoscaler_holds_it_before_any_write(void **state)
{
    (void)state;
    cluster_pass(&cluster, 2);
    unsigned writes = cluster.api.writes;
    (void)snprintf(cluster.api.view.autoscaler, sizeof cluster.api.view.autoscaler,
                   "an autoscaler moves it");
    command(leader(), ROLLOUT_START);
    cluster_pass(&cluster, 20);
    assert_int_equal(leader()->world.weight_bp, 0);
    assert_int_equal(state_of(leader()), MACHINE_HOLDING);
    assert_false(cluster.api.view.canary.exists);
    assert_true(cluster.api.writes - writes <= 3); /* of the record */
    cluster.api.view.autoscaler[0] = '\0';
    reach_weight(2500);
}

static void undo_walks_the_same_road_back(void **state)
{
    (void)state;
    command(leader(), ROLLOUT_START);
    assert_true(cluster_reaches(&cluster, MACHINE_STABLE, 200));
    cluster_pass(&cluster, 3);
    cluster.keep = 0; /* the bake takes v1's pods for everyone at once; capacity is the total's */
    command(leader(), ROLLOUT_UNDO);
    cluster_pass(&cluster, 5);
    assert_true(cluster_reaches(&cluster, MACHINE_STABLE, 60));
    cluster_pass(&cluster, 3);
    ended_on("v1", 4, 0);
}

/* kubectl's rolling-update was killed half way; a person starts here. */
static void an_update_under_way_is_taken_over(void **state)
{
    (void)state;
    struct fleet_view *view = &cluster.api.view;
    name_side(&view->canary, "v2", 2);
    fleet_source(&view->stable.workload, view->canary.workload.source_id);
    view->canary.workload.desired = 4;
    scale(&view->stable, 2);
    cluster_second(&cluster);
    command(leader(), ROLLOUT_START);
    assert_int_equal(leader()->rollout->record.replicas, 4);
    assert_int_equal(leader()->rollout->record.machine.step, 1);
    reach_weight(5000);
    assert_int_equal(canary_pods(), 2);
    assert_true(cluster_reaches(&cluster, MACHINE_STABLE, 120));
    cluster_pass(&cluster, 3);
    ended_on("v2", 0, 4);
}

/* The file has another plan. */
static void take_plan(void)
{
    for (unsigned i = 0; i < PROXIES; i++) {
        rollout_close(cluster.proxies[i].rollout);
        proxy_open(&cluster.proxies[i]);
    }
    cluster_second(&cluster);
}

/* Nobody is sent there: both proxies send copies, to the pods of the first step that has users. */
static void copies_have_the_pods_of_the_first_users(void **state)
{
    (void)state;
    cluster.plan.steps[0].weight_bp = 0;
    take_plan();
    for (unsigned i = 0; i < PROXIES; i++)
        cluster.proxies[i].world.mirror = 0.1;
    command(leader(), ROLLOUT_START);
    for (int i = 0; i < 30 && leader()->world.copies == 0; i++)
        cluster_second(&cluster);
    assert_int_equal(leader()->world.weight_bp, 0);
    assert_int_equal(canary_pods(), 2);
    cluster_pass(&cluster, 1);
    assert_int_equal(follower()->world.copies, 100);
    reach_weight(5000);
    assert_true(cluster_reaches(&cluster, MACHINE_STABLE, 120));
    cluster_pass(&cluster, 3);
    ended_on("v2", 0, 4);
}

/* An abort that has the time brings stable's pods first, then goes back by the plan's steps. */
static void abort_steps_come_after_the_pods(void **state)
{
    (void)state;
    cluster.plan.n_abort_steps = 2;
    cluster.plan.abort_steps[0] = 0.2;
    take_plan();
    command(leader(), ROLLOUT_START);
    reach_weight(5000);
    cluster.api.is_slow = true;
    command(leader(), ROLLOUT_ABORT);
    unsigned at_step = 0;
    for (int i = 0; i < 60 && state_of(leader()) != MACHINE_ABORTED; i++) {
        cluster_second(&cluster);
        if (leader()->world.wanted_bp < 5000)
            assert_int_equal(cluster.api.view.stable.available, 4);
        at_step += leader()->world.wanted_bp == 2000;
    }
    assert_in_range(at_step, 9, 12);
    cluster_pass(&cluster, 2);
    assert_int_equal(state_of(leader()), MACHINE_ABORTED);
    ended_on("v1", 4, 0);
}

static void coupled_the_weight_is_the_share_of_the_pods(void **state)
{
    (void)state;
    cluster_fini(&cluster);
    cluster_init(&cluster);
    plan_default(&cluster.plan);
    cluster.plan.replicas_mode = PLAN_REPLICAS_COUPLED;
    cluster.plan.hold_ms = cluster.plan.bake_ms = 3000;
    cluster.plan.harm_budget = 0.05;
    cluster.plan.latency_judged = false;
    take_plan();
    command(leader(), ROLLOUT_START);
    reach_weight(2500);
    cluster_pass(&cluster, 2);
    assert_int_equal(canary_pods(), 1);
    assert_int_equal(stable_pods(), 3);
    reach_weight(5000);
    assert_true(cluster_reaches(&cluster, MACHINE_STABLE, 120));
    cluster_pass(&cluster, 3);
    ended_on("v2", 0, 4);
}

/* The crash matrix: the leader dies after its n-th write and comes back; meanwhile the other goes on. */
static unsigned run_and_die(unsigned kill_at, bool is_bad, bool comes_back)
{
    cluster_fini(&cluster);
    cluster_init(&cluster);
    cluster_second(&cluster);
    cluster.api.kill_at = cluster.api.writes + kill_at;
    if (kill_at == 0)
        cluster.api.kill_at = 0;
    unsigned before = cluster.api.writes;
    command(leader(), ROLLOUT_START);
    for (int i = 0; i < 250; i++) {
        bool is_over = true;
        if (is_bad && cluster.api.view.canary.workload.replicas >= 2)
            for (unsigned j = 0; j < PROXIES; j++)
                world_version(&cluster.proxies[j].world, "v2")->error_rate = 0.5;
        if (is_bad && cluster.api.view.canary.workload.replicas >= 2)
            cluster.keep = 0;
        for (unsigned j = 0; j < PROXIES; j++) {
            struct proxy *p = &cluster.proxies[j];
            p->back_at_s = comes_back ? p->back_at_s : 0;
            enum machine_state end = is_bad ? MACHINE_ABORTED : MACHINE_STABLE;
            is_over = is_over && (p->rollout ? state_of(p) == end && p->rollout->record.run.ended_ms
                                             : !comes_back);
        }
        if (is_over)
            break;
        cluster_second(&cluster);
    }
    cluster_pass(&cluster, 2);
    return cluster.api.writes - before;
}

static void dying_after_any_write_changes_nothing(void **state)
{
    (void)state;
    for (int variant = 0; variant < 4; variant++) {
        bool is_bad = variant & 1, comes_back = variant & 2;
        unsigned writes = run_and_die(0, is_bad, true);
        assert_true(writes > 10);
        for (unsigned kill_at = 1; kill_at <= writes; kill_at++) {
            (void)run_and_die(kill_at, is_bad, comes_back);
            int v1 = is_bad ? 4 : 0;
            if (stable_pods() != v1 || canary_pods() != 4 - v1)
                fail_msg("variant %d, killed after write %u: %d and %d pods", variant, kill_at,
                         stable_pods(), canary_pods());
            for (unsigned i = 0; i < PROXIES; i++)
                if (cluster.proxies[i].rollout)
                    assert_string_equal(cluster.proxies[i].world.stable, is_bad ? "v1" : "v2");
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, before_each, after_each)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(pods_and_weight_move_together),
        TEST(a_weight_waits_for_pods_and_for_the_objects),
        TEST(a_follower_only_follows),
        TEST(another_takes_over),
        TEST(a_bad_canary_goes_and_stable_comes_back),
        TEST(a_revert_needs_no_server),
        TEST(nothing_widens_without_a_server),
        TEST(a_person_brings_stable_back_first),
        TEST(a_person_who_aborts_is_overtaken_by_proof),
        TEST(abort_steps_come_after_the_pods),
        TEST(copies_have_the_pods_of_the_first_users),
        TEST(what_is_gone_ends_it),
        TEST(without_stable_it_stays_on_the_canary),
        TEST(an_autoscaler_holds_it_before_any_write),
        TEST(an_update_under_way_is_taken_over),
        TEST(coupled_the_weight_is_the_share_of_the_pods),
        TEST(undo_walks_the_same_road_back),
        TEST(dying_after_any_write_changes_nothing),
    };
    return cmocka_run_group_tests(tests, world_quiet, NULL);
}
