/* The registry: names find their cells again, cells of workers stand apart, bounds hold.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "metrics/totals.h"
#include <stdio.h>
#include <string.h>

static int setup(void **state)
{
    *state = metrics_new(2);
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    metrics_free(*state);
    return 0;
}

static void names_find_their_cells_again(void **state)
{
    struct variant_metrics *a = metrics_variant(*state, "web", "v1");
    struct variant_metrics *b = metrics_variant(*state, "web", "v2");
    struct variant_metrics *c = metrics_variant(*state, "webv", "1");
    assert_true(a && b && c);
    assert_true(a != b && b != c && a != c);
    assert_ptr_equal(metrics_variant(*state, "web", "v1"), a);
    assert_ptr_equal(metrics_variant(*state, "webv", "1"), c);
    assert_string_equal(b->route, "web");
    assert_string_equal(b->version, "v2");
    assert_int_equal(b->workers, 2);
    assert_int_equal(metrics_variant_count(*state), 3);
    assert_ptr_equal(metrics_variant_at(*state, 2), c);
}

static void routes_and_listeners_are_apart(void **state)
{
    struct route_metrics *r = metrics_route(*state, "web");
    struct listener_metrics *l = metrics_listener(*state, "web");
    assert_true(r && l);
    assert_ptr_equal(metrics_route(*state, "web"), r);
    assert_ptr_equal(metrics_listener(*state, "web"), l);
    assert_string_equal(r->route, "web");
    assert_string_equal(l->listener, "web");
    assert_int_equal(metrics_route_count(*state), 1);
    assert_int_equal(metrics_listener_count(*state), 1);
    assert_ptr_equal(metrics_route_at(*state, 0), r);
    assert_ptr_equal(metrics_listener_at(*state, 0), l);
    assert_int_equal(metrics_variant_count(*state), 0);
}

static void names_are_copied(void **state)
{
    char name[] = "short-lived";
    struct route_metrics *r = metrics_route(*state, name);
    memset(name, 'x', sizeof name - 1);
    assert_non_null(r);
    assert_string_equal(r->route, "short-lived");
}

static void handles_and_cells_stay_where_they_are(void **state)
{
    struct variant_metrics *first = metrics_variant(*state, "route", "0");
    struct variant_cells *cells = first->cells[1];
    cell_add(&cells->judged[ROLE_STABLE], 7);
    for (unsigned i = 1; i < 3000; i++) {
        char name[16];
        snprintf(name, sizeof name, "%u", i);
        assert_non_null(metrics_listener(*state, name));
    }
    for (unsigned i = 1; i < 40; i++) {
        char name[16];
        snprintf(name, sizeof name, "%u", i);
        assert_non_null(metrics_variant(*state, "route", name));
    }
    assert_ptr_equal(metrics_variant(*state, "route", "0"), first);
    assert_ptr_equal(first->cells[1], cells);
    assert_int_equal(metrics_judged(first, ROLE_STABLE).requests, 7);
    assert_string_equal(metrics_listener_at(*state, 1234)->listener, "1235");
}

static void cells_begin_at_zero_on_lines_of_their_own(void **state)
{
    struct variant_metrics *v = metrics_variant(*state, "web", "v1");
    struct route_metrics *r = metrics_route(*state, "web");
    struct listener_metrics *l = metrics_listener(*state, "web");
    const void *blocks[] = {v->cells[0],
                            v->cells[1],
                            r->cells[0],
                            r->cells[1],
                            l->cells[0],
                            l->cells[1],
                            metrics_worker(*state, 0),
                            metrics_worker(*state, 1)};
    static const struct variant_cells zero_variant;
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        assert_int_equal((uintptr_t)blocks[i] % 64, 0);
    assert_memory_equal(v->cells[0], &zero_variant, sizeof zero_variant);
    assert_memory_equal(v->cells[1], &zero_variant, sizeof zero_variant);
    assert_ptr_equal(metrics_worker_at(*state, 1), metrics_worker(*state, 1));
    /* The smallest blocks too: a listener's two cells fill a line alone. */
    uintptr_t a = (uintptr_t)l->cells[0], b = (uintptr_t)l->cells[1];
    assert_true((a > b ? a - b : b - a) >= 64);
}

static void long_names_are_refused(void **state)
{
    char name[METRIC_NAME_MAX + 2];
    memset(name, 'n', sizeof name);
    name[METRIC_NAME_MAX + 1] = '\0';
    assert_null(metrics_route(*state, name));
    assert_null(metrics_variant(*state, "web", name));
    assert_null(metrics_variant(*state, name, "v1"));
    assert_int_equal(metrics_variant_count(*state), 0);
    name[METRIC_NAME_MAX] = '\0';
    assert_non_null(metrics_route(*state, name));
}

static void entries_are_bounded(void **state)
{
    for (unsigned i = 0; i < METRIC_ENTRIES_MAX; i++) {
        char name[16];
        snprintf(name, sizeof name, "%u", i);
        assert_non_null(metrics_listener(*state, name));
    }
    assert_null(metrics_listener(*state, "one more"));
    assert_non_null(metrics_listener(*state, "77"));
    assert_non_null(metrics_route(*state, "another kind"));
}

static void judged_sums_workers_and_keeps_roles_apart(void **state)
{
    struct variant_metrics *v = metrics_variant(*state, "web", "v1");
    for (unsigned w = 0; w < 2; w++) {
        cell_add(&v->cells[w]->judged[ROLE_STABLE], 100);
        cell_add(&v->cells[w]->judged_failed[ROLE_STABLE], 3);
        cell_add(&v->cells[w]->judged_client_errors[ROLE_STABLE], 5);
        for (unsigned q = 0; q < JUDGED_QUANTILES; q++)
            cell_add(&v->cells[w]->judged_slow[ROLE_STABLE][q], 50 >> q);
        cell_add(&v->cells[w]->key_requests[ROLE_STABLE], 40);
        cell_add(&v->cells[w]->key_failed[ROLE_STABLE], 2);
    }
    cell_add(&v->cells[1]->judged[ROLE_CANARY], 1);
    struct judged_totals stable = metrics_judged(v, ROLE_STABLE);
    struct judged_totals canary = metrics_judged(v, ROLE_CANARY);
    assert_int_equal(stable.requests, 200);
    assert_int_equal(stable.failed, 6);
    assert_int_equal(stable.client_errors, 10);
    assert_int_equal(stable.slow[0], 100);
    assert_int_equal(stable.slow[1], 50);
    assert_int_equal(stable.slow[2], 24);
    assert_int_equal(stable.key_requests, 80);
    assert_int_equal(stable.key_failed, 4);
    assert_int_equal(canary.requests, 1);
    assert_int_equal(canary.failed, 0);
}

/* What a reader may meet while a worker is between two stores. */
static void parts_are_never_above_the_whole(void **state)
{
    struct variant_metrics *v = metrics_variant(*state, "web", "v1");
    cell_add(&v->cells[0]->judged_failed[ROLE_STABLE], 1);
    cell_add(&v->cells[0]->judged_client_errors[ROLE_STABLE], 1);
    cell_add(&v->cells[0]->judged_slow[ROLE_STABLE][1], 1);
    cell_add(&v->cells[0]->key_failed[ROLE_STABLE], 1);
    cell_add(&v->cells[1]->judged[ROLE_STABLE], 5);
    struct judged_totals t = metrics_judged(v, ROLE_STABLE);
    assert_int_equal(t.requests, 5);
    assert_int_equal(t.failed, 0);
    assert_int_equal(t.client_errors, 0);
    assert_int_equal(t.slow[1], 0);
    assert_int_equal(t.key_failed, 0);
}

static void mirrored_are_pairs_of_the_same_requests(void **state)
{
    (void)state;
    struct metrics *m = metrics_new(2);
    struct variant_metrics *v = metrics_variant(m, "r", "v2");
    for (unsigned w = 0; w < 2; w++) {
        struct mirror_cells *c = &v->cells[w]->mirror;
        cell_add(&c->pairs, 10);
        cell_add(&c->failed[ROLE_CANARY], w ? 11 : 3); /* counted at this very moment */
        cell_add(&c->client_errors[ROLE_STABLE], 2);
        cell_add(&c->slow[ROLE_CANARY][2], 4);
    }
    struct judged_totals canary = metrics_mirrored(v, ROLE_CANARY);
    struct judged_totals stable = metrics_mirrored(v, ROLE_STABLE);
    assert_int_equal(canary.requests, 20);
    assert_int_equal(stable.requests, 20);
    assert_int_equal(canary.failed, 13);
    assert_int_equal(canary.key_requests, 20);
    assert_int_equal(canary.key_failed, 13);
    assert_int_equal(canary.slow[2], 8);
    assert_int_equal(stable.failed, 0);
    assert_int_equal(stable.client_errors, 4);
    assert_int_equal(metrics_judged(v, ROLE_CANARY).requests, 0);
    metrics_free(m);
}

static void durations_and_gauges_sum_workers(void **state)
{
    struct variant_metrics *v = metrics_variant(*state, "web", "v1");
    struct hist_sum sum = {.sum_us = 0};
    hist_record(&v->cells[0]->duration[ROLE_STABLE], 10);
    hist_record(&v->cells[1]->duration[ROLE_STABLE], 20);
    hist_record(&v->cells[1]->duration[ROLE_CANARY], 30);
    cell_add(&v->cells[0]->inflight, 2);
    cell_add(&v->cells[1]->inflight, 1);
    metrics_durations(v, ROLE_STABLE, &sum);
    assert_int_equal(hist_count(&sum), 2);
    assert_int_equal(sum.sum_us, 30);
    assert_int_equal(metrics_inflight(v), 3);
    cell_add(&v->cells[0]->tunnels, 4);
    cell_add(&v->cells[1]->tunnels, 1);
    assert_int_equal(metrics_tunnels(v), 5);
}

static void responses_sum_workers_and_codes(void **state)
{
    struct route_metrics *r = metrics_route(*state, "web");
    assert_int_equal(metrics_responses(r), 0);
    cell_add(&r->cells[0]->responses[code_cell(200)], 5);
    cell_add(&r->cells[1]->responses[code_cell(200)], 7);
    cell_add(&r->cells[1]->responses[code_cell(599)], 1);
    cell_add(&r->cells[1]->retries_refused, 100);
    assert_int_equal(metrics_responses(r), 13);
}

static void nothing_to_free_is_fine(void **state)
{
    (void)state;
    metrics_free(NULL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(names_find_their_cells_again),
        TEST(routes_and_listeners_are_apart),
        TEST(names_are_copied),
        TEST(handles_and_cells_stay_where_they_are),
        TEST(cells_begin_at_zero_on_lines_of_their_own),
        TEST(long_names_are_refused),
        TEST(entries_are_bounded),
        TEST(judged_sums_workers_and_keeps_roles_apart),
        TEST(parts_are_never_above_the_whole),
        TEST(mirrored_are_pairs_of_the_same_requests),
        TEST(durations_and_gauges_sum_workers),
        TEST(responses_sum_workers_and_codes),
        cmocka_unit_test(nothing_to_free_is_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
