/* Status codes and their cells, label texts, and cells written by some threads while another reads.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "metrics/totals.h"
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* IANA "HTTP Status Code Registry", without what it calls unused, unassigned or temporary. */
static const unsigned registered[] = {
    100, 101, 102, 103, 200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301,
    302, 303, 304, 305, 307, 308, 400, 401, 402, 403, 404, 405, 406, 407, 408, 409,
    410, 411, 412, 413, 414, 415, 416, 417, 421, 422, 423, 424, 425, 426, 428, 429,
    431, 451, 500, 501, 502, 503, 504, 505, 506, 507, 508, 510, 511};

static bool is_registered(unsigned code)
{
    for (size_t i = 0; i < ARRAY_LEN(registered); i++)
        if (registered[i] == code)
            return true;
    return false;
}

static void every_code_has_the_cell_that_its_label_names(void **state)
{
    (void)state;
    for (unsigned code = 0; code < 1000; code++) {
        char expected[8];
        if (is_registered(code))
            snprintf(expected, sizeof expected, "%u", code);
        else
            snprintf(expected, sizeof expected, "%uxx", code >= 100 && code < 600 ? code / 100 : 5);
        unsigned cell = code_cell(code);
        assert_true(cell < CODE_CELLS);
        assert_string_equal(code_cell_text(cell), expected);
    }
    assert_string_equal(code_cell_text(code_cell(UINT32_MAX)), "5xx");
}

static void cells_beyond_the_last_code_have_no_label(void **state)
{
    (void)state;
    unsigned used = 0;
    while (code_cell_text(used))
        used++;
    assert_int_equal(used, ARRAY_LEN(registered) + 5);
    for (unsigned cell = used; cell < CODE_CELLS + 10; cell++)
        assert_null(code_cell_text(cell));
}

static void label_texts_are_the_documented_words(void **state)
{
    (void)state;
    assert_string_equal(metric_role_text(ROLE_STABLE), "stable");
    assert_string_equal(metric_role_text(ROLE_CANARY), "canary");
    assert_string_equal(metric_assigned_text(ASSIGNED_WEIGHT), "weight");
    assert_string_equal(metric_assigned_text(ASSIGNED_STICKY), "sticky");
    assert_string_equal(metric_assigned_text(ASSIGNED_HEADER), "header");
    assert_string_equal(metric_assigned_text(ASSIGNED_COOKIE), "cookie");
    assert_string_equal(metric_reason_text(REASON_CONNECT), "connect");
    assert_string_equal(metric_reason_text(REASON_TIMEOUT), "timeout");
    assert_string_equal(metric_reason_text(REASON_RESET), "reset");
    assert_string_equal(metric_reason_text(REASON_MALFORMED), "malformed");
    assert_string_equal(metric_reason_text(REASON_REFUSED), "refused");
    assert_string_equal(metric_reason_text(REASON_5XX), "5xx");
    assert_string_equal(metric_client_error_text(CLIENT_ERROR_BAD_REQUEST), "bad_request");
    assert_string_equal(metric_client_error_text(CLIENT_ERROR_LIMIT), "limit");
    assert_string_equal(metric_retry_result_text(RETRY_OK), "ok");
    assert_string_equal(metric_retry_result_text(RETRY_FAILED), "failed");
}

static void a_gauge_goes_up_and_down(void **state)
{
    (void)state;
    metric_cell cell = 0;
    cell_add(&cell, 3);
    cell_sub(&cell, 2);
    assert_int_equal(cell_read(&cell), 1);
}

#define WRITERS  3u
#define REQUESTS 20000u

struct writer {
    struct variant_cells *cells;
    pthread_t thread;
};

static void *write_requests(void *arg)
{
    struct variant_cells *c = ((struct writer *)arg)->cells;
    for (unsigned i = 0; i < REQUESTS; i++) {
        cell_add(&c->inflight, 1);
        cell_add(&c->requests[ROLE_CANARY][ASSIGNED_WEIGHT][code_cell(i % 10 ? 200 : 503)], 1);
        cell_add(&c->judged[ROLE_CANARY], 1);
        if (i % 10 == 0)
            cell_add(&c->judged_failed[ROLE_CANARY], 1);
        hist_record(&c->duration[ROLE_CANARY], i);
        cell_sub(&c->inflight, 1);
    }
    return NULL;
}

/* Under the thread sanitizer this also proves that no access needs a lock. */
static void a_reader_sees_sums_that_only_rise(void **state)
{
    (void)state;
    struct metrics *m = metrics_new(WRITERS);
    assert_non_null(m);
    struct variant_metrics *v = metrics_variant(m, "web", "v2");
    assert_non_null(v);
    struct writer writers[WRITERS];
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i].cells = v->cells[i];
        assert_int_equal(pthread_create(&writers[i].thread, NULL, write_requests, &writers[i]), 0);
    }
    uint64_t seen = 0, count = 0;
    for (unsigned i = 0; i < 200; i++) {
        struct judged_totals t = metrics_judged(v, ROLE_CANARY);
        struct hist_sum sum = {.sum_us = 0};
        metrics_durations(v, ROLE_CANARY, &sum);
        assert_true(t.requests >= seen && t.failed <= t.requests);
        assert_true(hist_count(&sum) >= count);
        assert_true(metrics_inflight(v) <= WRITERS);
        seen = t.requests;
        count = hist_count(&sum);
    }
    for (unsigned i = 0; i < WRITERS; i++)
        pthread_join(writers[i].thread, NULL);
    struct judged_totals t = metrics_judged(v, ROLE_CANARY);
    struct hist_sum sum = {.sum_us = 0};
    metrics_durations(v, ROLE_CANARY, &sum);
    assert_int_equal(t.requests, WRITERS * REQUESTS);
    assert_int_equal(t.failed, WRITERS * REQUESTS / 10);
    assert_int_equal(t.client_errors, 0);
    assert_int_equal(hist_count(&sum), WRITERS * REQUESTS);
    assert_int_equal(metrics_inflight(v), 0);
    metrics_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_the_cell_that_its_label_names),
        cmocka_unit_test(cells_beyond_the_last_code_have_no_label),
        cmocka_unit_test(label_texts_are_the_documented_words),
        cmocka_unit_test(a_gauge_goes_up_and_down),
        cmocka_unit_test(a_reader_sees_sums_that_only_rise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
