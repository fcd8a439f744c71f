/* Copies for the canary: which requests, what they carry, that nobody waits for them, and why some are skipped.
 * SPDX-License-Identifier: Apache-2.0 */
#include "flow_mirror.h"

/* --- the copy --- */

static void it_carries_head_and_body_and_says_what_it_is(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    int canary = copy_of(f, client, PUT3);
    struct slice copy = hear(canary);
    assert_message(copy, "PUT / HTTP/1.1\r\nHost: a.test\r\n", "abc");
    assert_non_null(strstr(copy.at, "\r\nX-Serin-Mirror: 1\r\n\r\nabc"));
    assert_non_null(strstr(copy.at, "\r\nContent-Length: 3\r\n"));
    assert_int_equal(cell_read(&mirrored(f)->inflight), 1);
    say(f, canary, OK_2);
    assert_silent(client);
    assert_int_equal(cell_read(&mirrored(f)->inflight), 0);
    assert_int_equal(results(f, MIRRORED_OK), 1);
    assert_int_equal(requests(f, ROLE_CANARY, 200), 0);
    assert_int_equal(requests(f, ROLE_STABLE, 200), 1);
    assert_int_equal(responses(f, 200), 1);
    assert_int_equal(f->flow.upstream.n_idle, 2); /* the canary's serves again */
}

static void a_chunked_body_goes_whole(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    int canary = copy_of(f, client,
                         "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                         "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    assert_message(hear(canary), "PUT / HTTP/1.1\r\n", "5\r\nabcde\r\n0\r\n\r\n");
    (void)close(canary);
}

static void a_field_of_the_client_is_no_sign(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    say(f, client, "GET / HTTP/1.1\r\nHost: a\r\nx-serin-mirror: 1\r\n\r\n");
    int up = called(f, ROLE_STABLE);
    assert_null(strstr(hear(up).at, "irror"));
    say(f, up, OK_2);
    int canary = called(f, ROLE_CANARY);
    assert_null(strstr(hear(canary).at, "x-serin-mirror"));
    (void)close(canary);
}

static void it_goes_out_when_the_user_has_the_answer(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    answer(f, client, GET, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nh");
    assert_int_equal(called(f, ROLE_CANARY), -1);
    say(f, stable_up, "i");
    assert_hears(client, "HTTP/1.1 200 ", "hi");
    int canary = called(f, ROLE_CANARY);
    assert_true(canary >= 0);
    assert_hears(canary, "GET /a?b HTTP/1.1\r\n", "");
    /* it hangs; the user goes on */
    for (unsigned i = 0; i < 3; i++) {
        answer(f, client, GET, OK_2);
        assert_hears(client, "HTTP/1.1 200 ", "hi");
        assert_true(called(f, ROLE_CANARY) >= 0);
    }
    assert_int_equal(f->flow.n_copies, 4);
}

/* --- which --- */

static void the_share_is_exact(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f), canary = -1;
    f->route->mirror_bp = 300;
    for (unsigned i = 0; i < SPLIT_BUCKETS; i++) {
        answer(f, client, GET, OK_2);
        (void)hear(client);
        if (f->flow.n_copies == 0)
            continue;
        if (canary < 0)
            canary = called(f, ROLE_CANARY);
        (void)hear(canary);
        say(f, canary, OK_2);
    }
    assert_int_equal(results(f, MIRRORED_OK), 300);
    assert_int_equal(all_results(f), 300);
    assert_int_equal(requests(f, ROLE_STABLE, 200), SPLIT_BUCKETS);
}

static void some_are_never_copied(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *request;
        const char *why;
    } rows[] = {
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "not idempotent"},
        {"DELETE / HTTP/1.1\r\nHost: a\r\n\r\n", "not among mirror_methods"},
        {"GET / HTTP/1.1\r\nHost: a\r\nX-Canary: never\r\n\r\n", "sent to stable by name"},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
         "asks for another protocol"},
    };
    f->route_conf.override.header = "x-canary";
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int client = client_open(f);
        answer(f, client, rows[i].request, OK_2);
        if (called(f, ROLE_CANARY) >= 0)
            fail_msg("%s", rows[i].why);
        hang_up(f, client);
    }
    assert_int_equal(all_results(f), 0);
}

static void the_canarys_own_are_not_copied(void **state)
{
    struct fixture *f = *state;
    f->route->split.weight_bp = 10000;
    int client = client_open(f);
    say(f, client, GET);
    int canary = called(f, ROLE_CANARY);
    (void)hear(canary);
    say(f, canary, OK_2);
    assert_hears(client, "HTTP/1.1 200 ", "hi");
    assert_int_equal(f->flow.n_copies, 0);
    assert_int_equal(requests(f, ROLE_CANARY, 200), 1);
}

static void off_nothing_is_copied(void **state)
{
    struct fixture *f = *state;
    f->route->mirror_bp = 0;
    int client = client_open(f);
    answer(f, client, GET, OK_2);
    assert_int_equal(called(f, ROLE_CANARY), -1);
    assert_int_equal(f->flow.n_copies, 0);
}

/* --- what is skipped, and why --- */

static void a_large_body_is_not_copied(void **state)
{
    struct fixture *f = *state;
    static char body[EXCHANGE_REPLAY_MAX + 4096];
    char head[128];
    memset(body, 'x', sizeof body - 1);
    int client = client_open(f);
    (void)snprintf(head, sizeof head, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n",
                   sizeof body - 1);
    say(f, client, head);
    int up = called(f, ROLE_STABLE);
    for (size_t at = 0; at < sizeof body - 1; at += 4096) {
        char piece[4097];
        (void)snprintf(piece, sizeof piece, "%.4096s", body + at);
        say(f, client, piece);
        (void)hear(up);
    }
    say(f, up, OK_2);
    assert_hears(client, "HTTP/1.1 200 ", "hi");
    assert_int_equal(called(f, ROLE_CANARY), -1);
    assert_int_equal(skipped(f, MIRROR_SKIP_BODY), 1);
}

static void a_user_who_leaves_tells_nothing(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    say(f, client, GET);
    assert_true(called(f, ROLE_STABLE) >= 0);
    hang_up(f, client);
    assert_int_equal(called(f, ROLE_CANARY), -1);
    assert_int_equal(skipped(f, MIRROR_SKIP_UNANSWERED), 1);
}

static void a_canary_that_hangs_costs_no_more_than_its_bound(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    for (unsigned i = 0; i < MIRROR_INFLIGHT_MAX + 5; i++) {
        answer(f, client, GET, OK_2);
        assert_hears(client, "HTTP/1.1 200 ", "hi");
        int canary = called(f, ROLE_CANARY);
        assert_int_equal(canary >= 0, i < MIRROR_INFLIGHT_MAX);
    }
    assert_int_equal(f->flow.n_copies, MIRROR_INFLIGHT_MAX);
    assert_int_equal(skipped(f, MIRROR_SKIP_LIMIT), 5);
}

static void what_the_users_need_is_left_to_them(void **state)
{
    struct fixture *f = *state;
    static const struct {
        uint32_t most;
        unsigned copies; /* that all hang */
    } rows[] = {{1, 0}, {2, 1}, {4, 2}, {7, 3}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int client = client_open(f);
        f->flow.upstream.connections_max = rows[i].most;
        for (unsigned k = 0; k < 8; k++)
            answer(f, client, GET, OK_2);
        (void)hear(client);
        assert_int_equal(f->flow.n_copies, rows[i].copies);
        copies_end(&f->flow);
        hang_up(f, client);
        while (called(f, ROLE_CANARY) >= 0)
            continue;
    }
    assert_int_equal(skipped(f, MIRROR_SKIP_CONNECTIONS), 4 * 8 - 6);
}

static void a_full_queue_is_not_made_longer(void **state)
{
    struct fixture *f = *state;
    f->config.limits.pending_per_endpoint = 3;
    atomic_store(&f->quotas[ROLE_CANARY].pending, 2);
    int client = client_open(f);
    answer(f, client, GET, OK_2);
    assert_int_equal(skipped(f, MIRROR_SKIP_CONNECTIONS), 1);
    atomic_store(&f->quotas[ROLE_CANARY].pending, 0);
}

static void nothing_goes_where_no_user_may_go(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    endpoint_note(&f->states[ROLE_CANARY], ENDPOINT_DOWN);
    answer(f, client, GET, OK_2);
    assert_int_equal(skipped(f, MIRROR_SKIP_ENDPOINT), 1);
    endpoint_note(&f->states[ROLE_CANARY], ENDPOINT_UP);
    f->route_conf.breaker = (struct config_breaker){10000, 1, 5000, 30000};
    assert_true(breaker_note(f->live.breaker, &f->route_conf.breaker, 0, true, fake_now_us));
    answer(f, client, GET, OK_2);
    assert_int_equal(skipped(f, MIRROR_SKIP_BREAKER), 1);
    breaker_reset(f->live.breaker);
    say(f, client, GET);
    flow_drain(&f->flow, 30000, 30000);
    (void)hear(stable_up);
    say(f, stable_up, OK_2);
    assert_int_equal(skipped(f, MIRROR_SKIP_DRAINING), 1);
    assert_int_equal(f->flow.n_copies, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        MIRROR_TEST(it_carries_head_and_body_and_says_what_it_is),
        MIRROR_TEST(a_chunked_body_goes_whole),
        MIRROR_TEST(a_field_of_the_client_is_no_sign),
        MIRROR_TEST(it_goes_out_when_the_user_has_the_answer),
        MIRROR_TEST(the_share_is_exact),
        MIRROR_TEST(some_are_never_copied),
        MIRROR_TEST(the_canarys_own_are_not_copied),
        MIRROR_TEST(off_nothing_is_copied),
        MIRROR_TEST(a_large_body_is_not_copied),
        MIRROR_TEST(a_user_who_leaves_tells_nothing),
        MIRROR_TEST(a_canary_that_hangs_costs_no_more_than_its_bound),
        MIRROR_TEST(what_the_users_need_is_left_to_them),
        MIRROR_TEST(a_full_queue_is_not_made_longer),
        MIRROR_TEST(nothing_goes_where_no_user_may_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
