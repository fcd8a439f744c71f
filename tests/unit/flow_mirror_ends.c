/* Copies for the canary: how each of them ends, what it counts as, and the pair that it makes with stable's answer.
 * SPDX-License-Identifier: Apache-2.0 */
#include "flow_mirror.h"

/* --- how it ends --- */

static void each_end_counts_by_its_name(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *response;
        bool closes;
        enum metric_mirrored result;
    } rows[] = {
        {"HTTP/1.1 204 No Content\r\n\r\n", false, MIRRORED_OK},
        {"HTTP/1.1 103 Early Hints\r\n\r\n" OK_2, false, MIRRORED_OK},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", false,
         MIRRORED_OK},
        {"HTTP/1.1 200 OK\r\n\r\nuntil the end", true, MIRRORED_OK},
        {"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", false, MIRRORED_4XX},
        {"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", false, MIRRORED_5XX},
        {"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", false, MIRRORED_5XX},
        {"", true, MIRRORED_RESET},
        {"HTTP/1.1 200 O", true, MIRRORED_RESET},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nh", true, MIRRORED_RESET},
        {"nonsense\r\n\r\n", false, MIRRORED_MALFORMED},
        {"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", false, MIRRORED_MALFORMED},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", false, MIRRORED_MALFORMED},
        {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
         false, MIRRORED_MALFORMED},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int client = client_open(f);
        uint64_t before = results(f, rows[i].result);
        int canary = copy_of(f, client, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        (void)hear(canary);
        say(f, canary, rows[i].response);
        hang_up(f, canary); /* also those that could serve again */
        if (results(f, rows[i].result) != before + 1)
            fail_msg("row %zu", i);
        assert_int_equal(f->flow.n_copies, 0);
        hang_up(f, client);
    }
    assert_int_equal(all_results(f), ARRAY_LEN(rows));
    assert_int_equal(cell_read(&mirrored(f)->pairs), ARRAY_LEN(rows));
    assert_int_equal(cell_read(&mirrored(f)->failed[ROLE_CANARY]), 9);
    assert_int_equal(cell_read(&mirrored(f)->client_errors[ROLE_CANARY]), 1);
    assert_int_equal(cell_read(&mirrored(f)->failed[ROLE_STABLE]), 0);
    assert_int_equal(cell_read(&cells(f, ROLE_CANARY)->judged[ROLE_CANARY]), 0);
    assert_int_equal(ENDPOINT_LOAD(f->states[ROLE_CANARY].failures), 0); /* ejects nobody */
    assert_int_equal(errors(f, ROLE_CANARY, REASON_RESET), 0);
}

static void every_wait_has_its_end(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    int canary = copy_of(f, client, GET);
    pass(f, 39000);
    assert_int_equal(results(f, MIRRORED_TIMEOUT), 0);
    pass(f, 2000); /* response_header */
    assert_int_equal(results(f, MIRRORED_TIMEOUT), 1);
    (void)close(canary);
    f->config.timeouts.request_total_ms = 5000;
    client = client_open(f);
    canary = copy_of(f, client, GET);
    pass(f, 6000);
    assert_int_equal(results(f, MIRRORED_TIMEOUT), 2);
    (void)close(canary);
    f->config.timeouts.request_total_ms = 0;
    f->config.timeouts.response_idle_ms = 3000;
    client = client_open(f);
    canary = copy_of(f, client, GET);
    say(f, canary, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nh");
    pass(f, 4000);
    assert_int_equal(results(f, MIRRORED_TIMEOUT), 3);
    (void)close(canary);
}

/* Bytes that come all the time do not put off the end of the body's time. */
static void an_answer_without_pause_ends_in_time(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    int canary = copy_of(f, client, GET);
    (void)hear(canary);
    say(f, canary, "HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n");
    pass_with_byte(f, COPY_BODY_MS - 10, canary);
    assert_int_equal(f->flow.n_copies, 1);
    for (unsigned ms = 0; ms < WHEEL_TICK_MS + 10; ms += 10)
        pass_with_byte(f, 10, canary);
    assert_int_equal(f->flow.n_copies, 0);
    assert_int_equal(results(f, MIRRORED_OK), 1);
    (void)close(canary);
}

static void an_answer_without_end_counts_by_its_head(void **state)
{
    struct fixture *f = *state;
    static char much[64 * 1024];
    memset(much, 'x', sizeof much - 1);
    int client = client_open(f);
    int canary = copy_of(f, client, GET);
    (void)hear(canary);
    say(f, canary, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
    for (unsigned i = 0; i < COPY_BODY_MS / 1000 - 1; i++) {
        pass(f, 1000);
        say(f, canary, "data: 1\n\n");
    }
    assert_int_equal(f->flow.n_copies, 1);
    pass(f, 2000);
    assert_int_equal(results(f, MIRRORED_OK), 1);
    assert_ended(canary);
    client = client_open(f);
    canary = copy_of(f, client, GET);
    (void)hear(canary);
    say(f, canary, "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
    for (unsigned i = 0; f->flow.n_copies && i < 2 * COPY_BODY_BYTES_MAX / sizeof much; i++) {
        (void)!send(canary, much, sizeof much - 1, MSG_NOSIGNAL);
        settle(f);
    }
    assert_int_equal(results(f, MIRRORED_OK), 2);
    assert_ended(canary);
}

/* What was kept idle may have closed meanwhile: that says nothing of the canary, twice in a row does. */
static void a_stale_connection_is_replaced_once(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    answer(f, client, GET, OK_2);
    int canary = called(f, ROLE_CANARY);
    (void)hear(canary);
    say(f, canary, OK_2);
    answer(f, client, GET, OK_2);
    assert_hears(canary, "GET /a?b ", "");
    assert_int_equal(called(f, ROLE_CANARY), -1);
    hang_up(f, canary);
    canary = called(f, ROLE_CANARY);
    assert_true(canary >= 0);
    assert_hears(canary, "GET /a?b ", "");
    hang_up(f, canary);
    assert_int_equal(results(f, MIRRORED_OK), 1);
    assert_int_equal(results(f, MIRRORED_RESET), 1);
}

static void a_canary_that_refuses_goes_down_as_for_users(void **state)
{
    struct fixture *f = *state;
    char path[64];
    (void)snprintf(path, sizeof path, "%s/%u", f->dir, (unsigned)ROLE_CANARY);
    assert_int_equal(unlink(path), 0);
    int client = client_open(f);
    answer(f, client, GET, OK_2);
    assert_int_equal(results(f, MIRRORED_CONNECT), 1);
    assert_false(endpoint_is_reachable(&f->states[ROLE_CANARY]));
    answer(f, client, GET, OK_2);
    assert_int_equal(results(f, MIRRORED_CONNECT), 1);
    assert_int_equal(skipped(f, MIRROR_SKIP_ENDPOINT), 1);
}

/* --- pairs --- */

static void a_pair_says_how_both_did(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    for (unsigned q = 0; q < 2; q++) {
        atomic_store(&f->live.slow_us[ROLE_STABLE][q], 1000000u * (q + 1));
        atomic_store(&f->live.slow_us[ROLE_CANARY][q], 1000000u * (q + 1));
    }
    f->route_conf.retry.on = 0;
    say(f, client, GET);
    int up = called(f, ROLE_STABLE);
    (void)hear(up);
    pass(f, 1500);
    say(f, up, "HTTP/1.1 503 Unwell\r\nContent-Length: 2\r\n\r\n");
    pass(f, 5000); /* a client, or a body, that is slow is not the version's head */
    say(f, up, "no");
    int canary = called(f, ROLE_CANARY);
    (void)hear(canary);
    pass(f, 2500);
    say(f, canary, "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n");
    const struct mirror_cells *c = mirrored(f);
    assert_int_equal(cell_read(&c->pairs), 1);
    assert_int_equal(cell_read(&c->failed[ROLE_STABLE]), 1);
    assert_int_equal(cell_read(&c->client_errors[ROLE_STABLE]), 0);
    assert_int_equal(cell_read(&c->slow[ROLE_STABLE][0]), 1);
    assert_int_equal(cell_read(&c->slow[ROLE_STABLE][1]), 0);
    assert_int_equal(cell_read(&c->failed[ROLE_CANARY]), 0);
    assert_int_equal(cell_read(&c->client_errors[ROLE_CANARY]), 1);
    assert_int_equal(cell_read(&c->slow[ROLE_CANARY][0]), 1);
    assert_int_equal(cell_read(&c->slow[ROLE_CANARY][1]), 1);
    struct judged_totals t = metrics_mirrored(f->route->canary.metrics, ROLE_CANARY);
    assert_int_equal(t.requests, 1);
    assert_int_equal(t.client_errors, 1);
    assert_int_equal(t.key_requests, 1);
}

/* The copy outlives its request, its client, the snapshot; and the process does not wait for it. */
static void it_ends_with_the_worker(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    int canary = copy_of(f, client, GET);
    hang_up(f, client);
    struct snapshot *s = make_snapshot(f);
    assert_int_equal(flow_adopt(&f->flow, s), OK);
    settle(f);
    assert_int_equal(f->flow.n_copies, 1);
    flow_drain(&f->flow, 30000, 30000);
    assert_int_equal(f->flow.n_clients, 0);
    (void)close(canary); /* unread: teardown ends the rest */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        MIRROR_TEST(each_end_counts_by_its_name),
        MIRROR_TEST(every_wait_has_its_end),
        MIRROR_TEST(an_answer_without_pause_ends_in_time),
        MIRROR_TEST(an_answer_without_end_counts_by_its_head),
        MIRROR_TEST(a_stale_connection_is_replaced_once),
        MIRROR_TEST(a_canary_that_refuses_goes_down_as_for_users),
        MIRROR_TEST(a_pair_says_how_both_did),
        MIRROR_TEST(it_ends_with_the_worker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
