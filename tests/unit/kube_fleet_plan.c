/* One look, one step: two workloads on the way to the replicas of a weight, and what may never be on
 * that way. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "kube_fleet.h"
#include <stdlib.h>
#include <string.h>

static void the_seed_walks_one_by_one(void **state)
{
    (void)state;
    struct fleet f = fleet_of(4);
    assert_string_equal(widen(&f, 2500), "C1 | S3");
    assert_string_equal(widen(&f, 5000), "C2 | S2");
    assert_string_equal(widen(&f, 7500), "C3 | S1");
    assert_string_equal(widen(&f, 9900), "C4 | ");
    f.want.goal = CLUSTER_FINISH;
    assert_string_equal(settle(&f), "S0");
    assert_false(f.seen.unsettled);
    assert_true(f.view.stable.exists);
    assert_int_equal(f.view.stable.workload.original, -1);
    assert_string_equal(f.view.canary.workload.source_id, "");
}

static void a_long_step_makes_room_pod_by_pod(void **state)
{
    (void)state;
    struct fleet f = fleet_of(4);
    assert_string_equal(widen(&f, 5000), "C1 S3 C2 | S2");
}

/* A scale is a wish: its pods are there until the controller has taken them away. */
static void pods_that_are_still_there_count(void **state)
{
    (void)state;
    struct fleet f = fleet_of(4);
    (void)widen(&f, 2500);
    f.want.target_bp = 5000;
    f.want.plan = &f.plan;
    f.view.stable.there = 4; /* of 3 wanted */
    f.view.canary.there = 1;
    assert_int_equal(fleet_plan(&f.view, &f.want, &f.seen).action, FLEET_NOTHING);
    f.view.stable.there = 3;
    assert_int_equal(fleet_plan(&f.view, &f.want, &f.seen).action, FLEET_SCALE_CANARY);
}

static void back_again(void **state)
{
    (void)state;
    struct fleet f = fleet_of(4);
    (void)widen(&f, 5000);
    f.want.goal = CLUSTER_RESTORE; /* the weight is 0 already */
    f.want.low_bp = f.want.high_bp = f.want.target_bp = 0;
    assert_string_equal(settle(&f), "S3 C1 S4 C0");
    assert_false(f.seen.unsettled || f.seen.stable_short);
    f = fleet_of(4);
    (void)widen(&f, 5000);
    f.want.goal = CLUSTER_RESTORE; /* the weight waits for stable */
    assert_string_equal(settle(&f), "S3 C1 S4");
    assert_false(f.seen.stable_short);
    assert_true(f.seen.unsettled);
}

static void lower_within_a_rollout(void **state)
{
    (void)state;
    struct fleet f = fleet_of(4);
    (void)widen(&f, 7500);
    f.want.target_bp = f.want.low_bp = f.want.high_bp = 2500;
    assert_string_equal(settle(&f), "S2 C2 S3 C1");
}

static void capacity_leaves_stable_whole(void **state)
{
    (void)state;
    struct fleet f = fleet_of(10);
    f.plan.replicas_mode = PLAN_REPLICAS_CAPACITY;
    assert_string_equal(widen(&f, 100), "C1 | ");
    assert_string_equal(widen(&f, 2500), "C3 | ");
    assert_string_equal(widen(&f, 5000), "C6 | ");
    assert_string_equal(widen(&f, 9900), "C10 | ");
    f.want.goal = CLUSTER_FINISH;
    f.plan.cleanup = CLEANUP_DELETE;
    assert_string_equal(settle(&f), "S0");
    assert_false(f.view.stable.exists);
}

static void a_crash_is_no_matter(void **state)
{
    (void)state;
    for (unsigned kill = 0; kill < 12;
         kill++) { /* the next look is another process's: it knows the objects alone */
        struct fleet f = fleet_of(4), again;
        f.want.target_bp = 5000;
        for (unsigned i = 0; i < kill && look(&f); i++)
            all_ready(&f);
        again = fleet_of(4);
        again.view = f.view;
        again.want.target_bp = 5000;
        (void)settle(&again);
        assert_int_equal(again.view.canary.workload.replicas, 2);
        assert_int_equal(again.view.canary.workload.desired, 4);
        assert_int_equal(again.view.stable.workload.original, 4);
    }
}

/* Without pods nothing is lost: it is made anew. */
static void another_template_is_replaced(void **state)
{
    (void)state;
    struct fleet f = fleet_of(4);
    workload(&f.view.canary, "v2", 0);
    f.view.canary_differs = true;
    assert_string_equal(widen(&f, 2500), "C1 | S3");
    assert_false(f.view.canary_differs);
}

struct refusal {
    const char *name, *why;
    void (*spoil)(struct fleet *f);
};

static void spoil_autoscaler(struct fleet *f)
{
    (void)snprintf(f->view.autoscaler, sizeof f->view.autoscaler, "an autoscaler moves rc/v1");
}

static void spoil_source(struct fleet *f)
{
    workload(&f->view.canary, "v2", 0);
    strcpy(f->view.canary.workload.source_id, "v0:uid-of-v0");
}

static void spoil_uid(struct fleet *f) /* of the same name, but another one */
{
    workload(&f->view.canary, "v2", 0);
    strcpy(f->view.canary.workload.source_id, "v1:uid-of-another");
}

static void spoil_template(struct fleet *f)
{
    workload(&f->view.canary, "v2", 1);
    f->view.canary_differs = true;
}

static void spoil_selector(struct fleet *f)
{
    workload(&f->view.canary, "v2", 0);
    strcpy(f->view.canary.workload.selector, "version=v1");
}

static void spoil_surge(struct fleet *f)
{
    f->want.replicas = f->view.stable.workload.replicas = 1;
    f->plan.surge.value = 0;
    f->plan.unavailable.value = 1;
}

static void spoil_unknown(struct fleet *f)
{
    f->view.canary.is_known = false;
}

static void nothing_is_written_where_it_is_refused(void **state)
{
    (void)state;
    static const struct refusal refusals[] = {
        {"autoscaler", "autoscaler moves rc/v1", spoil_autoscaler},
        {"source", "updated from v0:uid-of-v0", spoil_source},
        {"uid", "v1:uid-of-another", spoil_uid},
        {"template", "runs another template than its manifest", spoil_template},
        {"selector", "select the same pods", spoil_selector},
        {"surge", "no room for a canary", spoil_surge},
        {"unknown", "does not know yet", spoil_unknown},
    };
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++)
        for (int goal = CLUSTER_LOOK; goal <= CLUSTER_STEP; goal++) {
            struct fleet f = fleet_of(4);
            f.want.goal = (enum cluster_goal)goal;
            f.want.target_bp = 2500;
            refusals[i].spoil(&f);
            assert_false(look(&f));
            assert_true(f.seen.away);
            if (!strstr(f.seen.why, refusals[i].why))
                fail_msg("%s: %s", refusals[i].name, f.seen.why);
        }
}

static void what_is_gone_is_said(void **state)
{
    (void)state;
    struct fleet f = fleet_of(4);
    (void)widen(&f, 2500);
    f.view.canary.exists = false;
    assert_false(look(&f));
    assert_true(f.seen.canary_lost && !f.seen.stable_lost);
    f = fleet_of(4);
    (void)widen(&f, 2500);
    strcpy(f.view.canary.live_hash, "other");
    assert_false(look(&f));
    assert_true(f.seen.canary_lost && strstr(f.seen.why, "template"));
    f = fleet_of(4);
    (void)widen(&f, 2500);
    f.view.stable.exists = false;
    assert_false(look(&f));
    assert_true(f.seen.stable_lost && !f.seen.canary_lost);
}

/* A list of pods that takes its time says nothing of who serves. */
static void unknown_pods_take_none_away(void **state)
{
    (void)state;
    struct fleet f = fleet_of(4);
    f.view.stable.are_pods_unknown = true;
    f.view.stable.available = 0;
    f.want.target_bp = 5000;
    for (int i = 0; i < 20 && look(&f); i++)
        f.view.canary.available = f.view.canary.workload.replicas;
    assert_string_equal(f.log, "C1");
    f.view.stable.are_pods_unknown = false;
    all_ready(&f);
    assert_string_equal(settle(&f), "S3 C2");
    f.view.canary.are_pods_unknown = true;
    f.view.canary.available = 0;
    f.want.goal = CLUSTER_RESTORE;
    f.want.target_bp = f.want.low_bp = f.want.high_bp = 0;
    assert_false(look(&f));
    f.want.goal = CLUSTER_FINISH;
    f.want.target_bp = 10000;
    (void)look(&f);
    assert_int_equal(f.view.stable.workload.replicas, 3);
}

/* More than there were: a person's, who keeps them. It ends all the same. */
static void stable_that_a_person_made_larger_stays(void **state)
{
    (void)state;
    struct fleet f = fleet_of(4);
    (void)widen(&f, 2500);
    resize(&f.view.stable, 7);
    all_ready(&f);
    f.want.goal = CLUSTER_RESTORE;
    f.want.target_bp = f.want.low_bp = f.want.high_bp = 0;
    assert_string_equal(settle(&f), "C0");
    assert_false(f.seen.unsettled);
    assert_int_equal(f.view.stable.workload.replicas, 7);
}

static void unname(struct fleet_side *side, const char *name)
{
    *side = (struct fleet_side){.is_known = true, .is_unnamed = true};
    (void)snprintf(side->name, sizeof side->name, "%s", name);
}

/* The canary's workload left the file: stable comes back without it. */
static void a_canary_without_a_workload_is_no_hindrance(void **state)
{
    (void)state;
    struct fleet f = fleet_of(4);
    (void)widen(&f, 5000);
    unname(&f.view.canary, "v2");
    f.want.goal = CLUSTER_RESTORE;
    f.want.target_bp = f.want.low_bp = f.want.high_bp = 0;
    assert_string_equal(settle(&f), "S4");
    assert_false(f.seen.unsettled);
    f.want.goal = CLUSTER_STEP;
    assert_false(look(&f));
    assert_true(f.seen.canary_lost && strstr(f.seen.why, "names no workload of v2"));
}

/* Another object of the same name: nobody knows what it runs. */
static void a_canary_made_anew_is_another(void **state)
{
    (void)state;
    struct fleet f = fleet_of(4);
    (void)widen(&f, 2500);
    unmark(&f.view.canary);
    assert_false(look(&f));
    assert_true(f.seen.canary_lost);
}

static void an_autoscaler_that_comes_later_is_not_fought(void **state)
{
    (void)state;
    struct fleet f = fleet_of(4);
    (void)widen(&f, 2500);
    spoil_autoscaler(&f);
    f.want.target_bp = 5000;
    assert_false(look(&f));
    assert_true(f.seen.away && strstr(f.seen.why, "an autoscaler"));
    f.want.goal = CLUSTER_RESTORE; /* what began comes to its end */
    f.want.target_bp = f.want.low_bp = f.want.high_bp = 0;
    assert_string_equal(settle(&f), "S4 C0");
}

static void alone_the_canary_grows(void **state)
{
    (void)state;
    struct fleet f = fleet_of(4);
    (void)widen(&f, 2500);
    f.want.goal = CLUSTER_STAY;
    assert_false(look(&f)); /* stable is there: hands off */
    f.view.stable.exists = false;
    assert_string_equal(settle(&f), "C4");
    assert_true(f.seen.stable_lost);
}

static int random_up_to(unsigned *seed, int most)
{
    return most <= 0 ? 0 : rand_r(seed) % (most + 1);
}

/* Pods become ready, or not yet, as chance has it. */
static void some_ready(struct fleet *f, unsigned *seed)
{
    struct fleet_side *sides[] = {&f->view.stable, &f->view.canary};
    for (size_t i = 0; i < ARRAY_LEN(sides); i++)
        if (sides[i]->exists)
            sides[i]->available +=
                random_up_to(seed, sides[i]->workload.replicas - sides[i]->available);
}

static void check_bounds(const struct fleet *f, int n, int surge, int unavailable, unsigned seed)
{
    int total = f->view.stable.workload.replicas + f->view.canary.workload.replicas;
    int available = f->view.stable.available + f->view.canary.available;
    if (total > n + surge || available < n - unavailable)
        fail_msg("seed %u: n %d surge %d unavailable %d: %d pods, %d available", seed, n, surge,
                 unavailable, total, available);
}

/* Steps up and down in any order, restores and finishes: capacity and total stay within their bounds at each moment. */
static void the_bounds_hold_on_any_way(void **state)
{
    (void)state;
    for (unsigned run = 1; run <= 3000; run++) {
        unsigned seed = run;
        int n = 2 + random_up_to(&seed, 12), surge = random_up_to(&seed, 3);
        int unavailable = surge ? random_up_to(&seed, 2) : 1 + random_up_to(&seed, 1);
        struct fleet f = fleet_of(n);
        f.plan.surge.value = (uint32_t)surge;
        f.plan.unavailable.value = (uint32_t)unavailable;
        if (unavailable >= n)
            continue;
        for (int leg = 0; leg < 6; leg++) {
            uint32_t before_bp = f.want.high_bp, to_bp = (uint32_t)(1 + random_up_to(&seed, 9900));
            bool ends = leg == 5;
            f.want.goal = !ends ? CLUSTER_STEP : run % 2 ? CLUSTER_RESTORE : CLUSTER_FINISH;
            f.want.target_bp = ends ? (run % 2 ? 0 : 10000) : to_bp;
            if (ends || to_bp < before_bp) /* lower: the weight goes first */
                f.want.low_bp = f.want.high_bp = f.want.target_bp;
            for (int i = 0; i < 400; i++) {
                (void)look(&f);
                check_bounds(&f, n, surge, unavailable, run);
                some_ready(&f, &seed);
            }
            if (!ends && f.seen.canary_short)
                fail_msg("seed %u: does not come to %u: %s", run, to_bp, f.seen.why);
            if (ends && f.seen.unsettled)
                fail_msg("seed %u: does not end: %s", run, f.seen.why);
            f.want.low_bp = f.want.high_bp = f.want.target_bp;
            f.want.begins = false;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_seed_walks_one_by_one),
        cmocka_unit_test(a_long_step_makes_room_pod_by_pod),
        cmocka_unit_test(pods_that_are_still_there_count),
        cmocka_unit_test(back_again),
        cmocka_unit_test(lower_within_a_rollout),
        cmocka_unit_test(capacity_leaves_stable_whole),
        cmocka_unit_test(a_crash_is_no_matter),
        cmocka_unit_test(another_template_is_replaced),
        cmocka_unit_test(nothing_is_written_where_it_is_refused),
        cmocka_unit_test(what_is_gone_is_said),
        cmocka_unit_test(unknown_pods_take_none_away),
        cmocka_unit_test(stable_that_a_person_made_larger_stays),
        cmocka_unit_test(a_canary_without_a_workload_is_no_hindrance),
        cmocka_unit_test(a_canary_made_anew_is_another),
        cmocka_unit_test(an_autoscaler_that_comes_later_is_not_fought),
        cmocka_unit_test(alone_the_canary_grows),
        cmocka_unit_test(the_bounds_hold_on_any_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
