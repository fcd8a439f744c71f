/* Who decides, whose word is newer, and what a change of leader or of the file may not lose.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "kube_pair.h"

static void reach(struct proxy *p, enum machine_state state, uint32_t weight_bp)
{
    for (int i = 0; i < 120; i++) {
        cluster_second(&cluster);
        if (p->world.weight_bp == weight_bp && state_of(p) == state)
            return;
    }
    fail_msg("%s at %u is not reached: %s at %u", machine_state_name(state), weight_bp,
             machine_state_name(state_of(p)), p->world.weight_bp);
}

static enum err configure(struct proxy *p, bool has_cluster, const char *canary)
{
    struct rollout_setup setup = {.route = "my-web",
                                  .state_dir = p->dir,
                                  .stable = {.name = "v1"},
                                  .canary = {.name = canary},
                                  .plan = &cluster.plan,
                                  .has_cluster = has_cluster};
    return rollout_configure(p->rollout, &setup, NULL);
}

/* Leaders of before the first rollout counted on without a word on the objects. */
static void idle_leaders_leave_nobody_behind(void **state)
{
    (void)state;
    struct proxy *idle = leader(), *other = follower();
    for (int i = 0; i < 5; i++) {
        idle->is_away = true;
        cluster_pass(&cluster, 2);
        idle->is_away = false;
        cluster_second(&cluster);
    }
    assert_true(idle->rollout->record.epoch > other->rollout->record.epoch + 2);
    idle->is_away = true;
    cluster_pass(&cluster, 2 * LEASE_S);
    idle->is_away = false;
    assert_ptr_equal(leader(), other);
    command(other, ROLLOUT_START);
    reach(other, MACHINE_ANALYZING, 2500);
    cluster_pass(&cluster, 2);
    assert_int_equal(idle->world.weight_bp, 2500);
    assert_true(cluster_reaches(&cluster, MACHINE_STABLE, 200));
    cluster_pass(&cluster, 2);
    assert_string_equal(idle->world.stable, "v2");
}

/* The objects differ in age, and are read in any order. */
static void an_older_record_takes_nobody_back(void **state)
{
    (void)state;
    command(leader(), ROLLOUT_START);
    reach(leader(), MACHINE_ANALYZING, 2500);
    char *old = strdup(cluster.api.records[0]);
    command(leader(), ROLLOUT_PAUSE);
    cluster_pass(&cluster, 3);
    assert_int_equal(state_of(follower()), MACHINE_PAUSED);
    assert_int_equal(rollout_follow(follower()->rollout, old, strlen(old), NULL), ERR_CONFLICT);
    free(old);
    assert_int_equal(state_of(follower()), MACHINE_PAUSED);
}

/* On the disk, not on the objects yet; then the process dies, and comes back as the only one. */
static void a_verb_that_only_the_disk_has_is_kept(void **state)
{
    (void)state;
    struct proxy *p = leader();
    proxy_kill(follower());
    command(p, ROLLOUT_START);
    reach(p, MACHINE_ANALYZING, 2500);
    cluster_pass(&cluster, 1);
    p->is_away = true;
    command(p, ROLLOUT_PAUSE);
    proxy_kill(p);
    p->is_away = false;
    p->back_at_s = cluster.now_s + 1;
    cluster_pass(&cluster, 2 * LEASE_S);
    assert_int_equal(state_of(p), MACHINE_PAUSED);
}

/* Decided while the server was away; once it is back, the objects say so. */
static void what_was_decided_alone_is_told(void **state)
{
    (void)state;
    struct proxy *p = leader();
    command(p, ROLLOUT_START);
    reach(p, MACHINE_ANALYZING, 2500);
    cluster.api.is_away = true;
    cluster_pass(&cluster, 3);
    command(p, ROLLOUT_PAUSE);
    cluster_pass(&cluster, 3);
    cluster.api.is_away = false;
    cluster_pass(&cluster, 3);
    assert_int_equal(state_of(follower()), MACHINE_PAUSED);
    assert_int_equal(p->rollout->record.told_epoch, p->rollout->record.epoch);
}

static void a_follower_lets_the_leader_decide_about_its_file(void **state)
{
    (void)state;
    command(leader(), ROLLOUT_START);
    reach(leader(), MACHINE_ANALYZING, 2500);
    cluster_pass(&cluster, 1);
    assert_int_equal(configure(follower(), true, NULL), OK);
    assert_int_not_equal(state_of(follower()), MACHINE_ABORTING);
    cluster_pass(&cluster, 2);
    assert_true(machine_is_running(&follower()->rollout->record.machine));
    assert_int_equal(configure(leader(), true, NULL), OK);
    assert_true(cluster_reaches(&cluster, MACHINE_STABLE, 60));
    assert_int_equal(cluster.api.view.stable.workload.replicas, 4);
}

/* Versions become workloads by a reload: from then on, who decides is the lease's word. */
static void workloads_of_a_reload_have_one_leader(void **state)
{
    (void)state;
    for (unsigned i = 0; i < PROXIES; i++) {
        assert_int_equal(configure(&cluster.proxies[i], false, NULL), OK);
        assert_true(cluster.proxies[i].rollout->leads);
    }
    for (unsigned i = 0; i < PROXIES; i++)
        assert_int_equal(configure(&cluster.proxies[i], true, "v2"), OK);
    cluster_pass(&cluster, 2);
    assert_true(leader()->rollout->leads);
    assert_false(follower()->rollout->leads);
    command(leader(), ROLLOUT_START);
    assert_true(cluster_reaches(&cluster, MACHINE_STABLE, 200));
    assert_int_equal(cluster.api.view.canary.workload.replicas, 4);
}

/* Nothing was moved: an autoscaler's doing stays the autoscaler's. */
static void an_abort_before_the_first_pod_restores_nothing(void **state)
{
    (void)state;
    (void)snprintf(cluster.api.view.autoscaler, CLUSTER_WHY_MAX, "an autoscaler moves it");
    cluster.most = 100;
    command(leader(), ROLLOUT_START);
    cluster_pass(&cluster, 3);
    scale(&cluster.api.view.stable, 8);
    cluster_pass(&cluster, 2);
    command(leader(), ROLLOUT_ABORT);
    cluster_pass(&cluster, 5);
    assert_int_equal(state_of(leader()), MACHINE_ABORTED);
    assert_int_equal(cluster.api.view.stable.workload.replicas, 8);
}

/* The controller is gone, its pods are left: the promotion has failed, once, and the canary grows. */
static void an_orphaned_stable_fails_once(void **state)
{
    (void)state;
    command(leader(), ROLLOUT_START);
    reach(leader(), MACHINE_ANALYZING, 2500);
    cluster.keep = 0;
    cluster.most = 100;
    cluster.api.view.stable.exists = false;
    cluster_pass(&cluster, 10);
    uint64_t seq = leader()->rollout->record.seq;
    cluster_pass(&cluster, 10);
    assert_int_equal(state_of(leader()), MACHINE_FAILED_PROMOTION);
    assert_true(leader()->rollout->record.seq <= seq + 10);
    assert_int_equal(leader()->world.weight_bp, 10000);
    assert_int_equal(cluster.api.view.canary.workload.replicas, 4);
}

/* A server that is away for a moment takes no pod from a canary that is on its way. */
static void a_hold_for_the_cluster_keeps_pods_on_their_way(void **state)
{
    (void)state;
    struct proxy *p = leader();
    command(p, ROLLOUT_START);
    cluster_pass(&cluster, 1);
    p->world.versions[0].available = 4;
    cluster.api.view.canary.are_pods_unknown = true;
    cluster_pass(&cluster, 1);
    assert_int_equal(cluster.api.view.canary.workload.replicas, 1);
    cluster.api.is_away = true;
    cluster_pass(&cluster, 2);
    assert_int_equal(state_of(p), MACHINE_HOLDING);
    assert_int_equal(p->want.target_bp, 2500);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, before_each, after_each)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(idle_leaders_leave_nobody_behind),
        TEST(an_older_record_takes_nobody_back),
        TEST(a_verb_that_only_the_disk_has_is_kept),
        TEST(what_was_decided_alone_is_told),
        TEST(a_follower_lets_the_leader_decide_about_its_file),
        TEST(workloads_of_a_reload_have_one_leader),
        TEST(an_abort_before_the_first_pod_restores_nothing),
        TEST(an_orphaned_stable_fails_once),
        TEST(a_hold_for_the_cluster_keeps_pods_on_their_way),
    };
    return cmocka_run_group_tests(tests, world_quiet, NULL);
}
