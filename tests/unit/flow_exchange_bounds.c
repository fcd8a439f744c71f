/* What a request may not do, and what the end of one says of its version: limits, broken bodies,
 * clients that gave up. SPDX-License-Identifier: Apache-2.0 */
#include "flow_fixture.h"

#define GET     "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
#define POST    "POST / HTTP/1.1\r\nHost: a.test\r\n"
#define CHUNKED "Transfer-Encoding: chunked\r\n\r\n"
#define OK_2    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"

static uint64_t judged(const struct fixture *f)
{
    return cell_read(&cells(f, ROLE_STABLE)->judged[ROLE_STABLE]);
}

/* --- clients that give up --- */

/* Only one that has waited long, for what stable answers soon, says that the version hangs. */
static void a_client_that_gives_up_blames_a_version_that_hangs(void **state)
{
    struct fixture *f = *state;
    static const struct {
        uint64_t p99_us;
        uint32_t age_ms;
        const char *answer; /* before it leaves */
        bool blames;
    } rows[] = {
        {100000, 1100, "", true},
        {100000, 1000, "", false}, /* not older than a second */
        {0, 30000, "", false},     /* nobody knows how long stable takes */
        {300000, 1500, "", false}, /* 5 of its p99 */
        {300000, 1501, "", true},
        {100000, 1100, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
         false}, /* it has answered */
    };
    uint64_t blamed = 0;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int client = client_open(f);
        atomic_store(&f->live.stable_p99_us, rows[i].p99_us);
        say(f, client, GET);
        int up = called(f, ROLE_STABLE);
        (void)hear(up);
        say(f, up, rows[i].answer);
        pass(f, rows[i].age_ms);
        (void)hear(client);
        hang_up(f, client);
        if (rows[i].answer[0]) /* until then it may only have closed its side */
            say(f, up, "defghi");
        blamed += rows[i].blames;
        if (errors(f, ROLE_STABLE, REASON_TIMEOUT) != blamed || judged(f) != blamed)
            fail_msg("row %zu: %d errors", i, (int)errors(f, ROLE_STABLE, REASON_TIMEOUT));
        assert_at_rest(f);
        assert_int_equal(f->flow.n_clients, 0);
        (void)close(up);
    }
}

/* A request body that does not come is the client's own fault, however long it has taken. */
static void one_that_leaves_within_its_body_never_does(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    atomic_store(&f->live.stable_p99_us, 1000);
    say(f, client, POST "Content-Length: 9\r\n\r\nabc");
    int up = called(f, ROLE_STABLE);
    pass(f, 20000);
    hang_up(f, client);
    assert_int_equal(errors(f, ROLE_STABLE, REASON_TIMEOUT), 0);
    assert_int_equal(judged(f), 0);
    assert_at_rest(f);
    (void)close(up);
}

/* While a request is served, the client's idle time does not run. */
static void one_that_waits_longer_than_it_may_idle_is_served(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    f->config.timeouts.response_header_ms = 3 * f->config.timeouts.client_idle_ms;
    say(f, client, GET);
    int up = called(f, ROLE_STABLE);
    (void)hear(up);
    pass(f, 2 * f->config.timeouts.client_idle_ms);
    say(f, up, OK_2 "hi");
    assert_hears(client, "HTTP/1.1 200 OK\r\n", "hi");
    (void)close(up);
    (void)close(client);
}

/* --- bodies --- */

static void a_body_may_be_as_long_as_the_limit(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *head, *body;
        unsigned status;
    } rows[] = {
        {POST "Content-Length: 8\r\n\r\n", "abcdefgh", 200},
        {POST "Content-Length: 9\r\n\r\n", "", 413},
        {POST CHUNKED, "4\r\nabcd\r\n4\r\nefgh\r\n0\r\n\r\n", 200}, /* the framing is not counted */
        {POST CHUNKED, "4\r\nabcd\r\n5\r\nefghi\r\n", 413},
    };
    f->config.limits.body_bytes = 8;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int client = client_open(f);
        say(f, client, rows[i].head);
        int up = called(f, ROLE_STABLE);
        say(f, client, rows[i].body);
        if (rows[i].status == 200)
            say(f, up, OK_2 "hi");
        char first[16];
        (void)snprintf(first, sizeof first, "HTTP/1.1 %u ", rows[i].status);
        assert_true(slice_starts(hear(client), slice_str(first)));
        assert_at_rest(f);
        if (up >= 0)
            hang_up(f, up);
        hang_up(f, client);
        assert_int_equal(f->flow.n_clients, 0);
    }
    assert_int_equal(requests(f, ROLE_STABLE, 200), 2);
    assert_int_equal(requests(f, ROLE_STABLE, 413), 1); /* the one that had reached the version */
    assert_int_equal(judged(f), 2);                     /* and says nothing about it */
}

/* The endpoint's connection has half a request on it: it is closed, as is the client's, whose next
 * byte means nothing. */
static void a_broken_body_is_400_and_ends_both_connections(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    say(f, client, POST CHUNKED "3\r\nabc\r\n");
    int up = called(f, ROLE_STABLE);
    assert_hears(up, "POST / ", "3\r\nabc\r\n");
    say(f, client, "zz\r\n" GET);
    struct slice s = hear(client);
    assert_message(s, "HTTP/1.1 400 ", "400 Bad Request\n");
    assert_non_null(strstr(s.at, "\r\nConnection: close\r\n"));
    assert_ended(client);
    assert_ended(up);
    assert_int_equal(called(f, ROLE_STABLE), -1);
    assert_int_equal(client_errors(f, CLIENT_ERROR_BAD_REQUEST), 1);
    assert_int_equal(judged(f), 0);
    assert_at_rest(f);
    (void)close(up);
    (void)close(client);
}

/* A second response would be taken for the rest of the first. */
static void a_broken_body_behind_a_response_head_is_cut(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    say(f, client, POST CHUNKED "3\r\nabc\r\n");
    int up = called(f, ROLE_STABLE);
    (void)hear(up);
    say(f, up, "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nabc");
    assert_hears(client, "HTTP/1.1 200 OK\r\n", "abc");
    say(f, client, "zz\r\n");
    assert_ended(client);
    assert_int_equal(f->flow.n_clients, 0); /* at once: it does not linger */
    assert_at_rest(f);
    (void)close(up);
    (void)close(client);
}

/* What is left of the body is not read as a request. */
static void an_error_before_the_body_is_whole_ends_the_connection(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    say(f, client, POST "Content-Length: 99\r\n\r\nabc");
    hang_up(f, called(f, ROLE_STABLE));
    struct slice s = hear(client);
    assert_message(s, "HTTP/1.1 502 ", "502 Bad Gateway\n");
    assert_non_null(strstr(s.at, "\r\nConnection: close\r\n"));
    assert_ended(client);
    say(f, client, GET);
    assert_int_equal(called(f, ROLE_STABLE), -1);
    (void)close(client);
}

/* The next request begins where it should: the connection serves on. */
static void an_error_behind_a_whole_body_ends_nothing(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    say(f, client, POST "Content-Length: 3\r\n\r\nabc");
    hang_up(f, called(f, ROLE_STABLE));
    assert_hears(client, "HTTP/1.1 502 ", "502 Bad Gateway\n");
    say(f, client, GET);
    int up = called(f, ROLE_STABLE);
    assert_hears(up, "GET / ", "");
    (void)close(up);
    (void)close(client);
}

static void a_framing_that_is_unsure_ends_the_connection(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    say(f, client, POST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc" GET);
    struct slice s = hear(client);
    assert_true(slice_starts(s, SLICE("HTTP/1.1 400 ")));
    assert_null(strstr(s.at + 8, "HTTP/1.1"));
    assert_ended(client);
    assert_int_equal(called(f, ROLE_STABLE), -1);
    assert_int_equal(all_requests(f), 0);
    (void)close(client);
}

/* Behind a 100 the client may be sending already what a 408 would end: the connection is just
 * closed. */
/* An interim response is a message of its own: the final one may still be a 408. */
static void a_body_that_stops_behind_an_interim_response_gets_its_408(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    say(f, client, POST "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    int up = called(f, ROLE_STABLE);
    (void)hear(up);
    say(f, up, "HTTP/1.1 100 Continue\r\n\r\n");
    assert_hears(client, "HTTP/1.1 100 ", "");
    pass(f, f->config.timeouts.client_body_ms + WHEEL_TICK_MS);
    assert_hears(client, "HTTP/1.1 408 ", "408 Request Timeout\n");
    hang_up(f, client);
    assert_int_equal(f->flow.n_clients, 0);
    assert_int_equal(client_errors(f, CLIENT_ERROR_TIMEOUT), 1);
    assert_at_rest(f);
    (void)close(up);
}

/* --- responses --- */

/* A loop of them must end; what has come once is not asked for again. */
static void interim_responses_without_end_are_502(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    say(f, client, GET);
    int up = called(f, ROLE_STABLE);
    (void)hear(up);
    for (unsigned i = 0; i < 16; i++) {
        say(f, up, "HTTP/1.1 102 Processing\r\n\r\n");
        assert_hears(client, "HTTP/1.1 102 ", "");
    }
    say(f, up, "HTTP/1.1 102 Processing\r\n\r\n");
    assert_hears(client, "HTTP/1.1 502 ", "502 Bad Gateway\n");
    assert_int_equal(errors(f, ROLE_STABLE, REASON_MALFORMED), 1);
    assert_at_rest(f);
    (void)close(up);
    (void)close(client);
}

/* Nothing of it went down: it may be asked for again. */
static void half_a_head_is_asked_for_again(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    f->route->split.is_active = true;
    f->route->split.weight_bp = SPLIT_BUCKETS;
    f->route_conf.retry.on = RETRY_RESET;
    say(f, client, GET);
    int canary = called(f, ROLE_CANARY);
    (void)hear(canary);
    say(f, canary, "HTTP/1.1 2");
    hang_up(f, canary);
    int stable = called(f, ROLE_STABLE);
    (void)hear(stable);
    say(f, stable, OK_2 "hi");
    assert_hears(client, "HTTP/1.1 200 OK\r\n", "hi");
    assert_int_equal(errors(f, ROLE_CANARY, REASON_RESET), 1);
    assert_at_rest(f);
    (void)close(stable);
    (void)close(client);
}

/* --- the time of a whole request --- */

/* Bytes that come all the time, in the moment of each tick too, put nothing off. */
static void a_response_without_pause_ends_with_the_time_of_its_request(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    f->config.timeouts.request_total_ms = 500;
    say(f, client, GET);
    int up = called(f, ROLE_STABLE);
    (void)hear(up);
    say(f, up, "HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n");
    for (unsigned ms = 0; ms < 500 + WHEEL_TICK_MS; ms += 10) {
        if (ms < 500)
            assert_int_equal(f->flow.n_exchanges, 1);
        pass_with_byte(f, 10, up);
    }
    assert_at_rest(f);
    assert_int_equal(errors(f, ROLE_STABLE, REASON_TIMEOUT), 1);
    (void)hear(client);
    assert_ended(client);
    (void)close(up);
    (void)close(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_client_that_gives_up_blames_a_version_that_hangs),
        TEST(one_that_leaves_within_its_body_never_does),
        TEST(one_that_waits_longer_than_it_may_idle_is_served),
        TEST(a_body_may_be_as_long_as_the_limit),
        TEST(a_broken_body_is_400_and_ends_both_connections),
        TEST(a_broken_body_behind_a_response_head_is_cut),
        TEST(an_error_before_the_body_is_whole_ends_the_connection),
        TEST(an_error_behind_a_whole_body_ends_nothing),
        TEST(a_framing_that_is_unsure_ends_the_connection),
        TEST(a_body_that_stops_behind_an_interim_response_gets_its_408),
        TEST(interim_responses_without_end_are_502),
        TEST(half_a_head_is_asked_for_again),
        TEST(a_response_without_pause_ends_with_the_time_of_its_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
