/* Attempts on a version: endpoints that fail at any moment, what is sent again and where, and what
 * each of it counts as. SPDX-License-Identifier: Apache-2.0 */
#include "flow_fixture.h"

#define GET   "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
#define POST3 "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\n"
#define OK_2  "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
#define S503  "HTTP/1.1 503 Unwell\r\nContent-Length: 4\r\n\r\nsick"

/* The request reaches the version, whose new connection is returned. */
static int ask(struct fixture *f, int client, const char *request, enum metric_role role)
{
    say(f, client, request);
    int up = called(f, role);
    assert_true(up >= 0);
    (void)hear(up);
    return up;
}

/* Nobody listens there any more. */
static void take_away(struct fixture *f, enum metric_role role)
{
    char path[64];
    (void)snprintf(path, sizeof path, "%s/%u", f->dir, (unsigned)role);
    (void)close(f->endpoints[role]);
    assert_int_equal(unlink(path), 0);
    f->endpoints[role] = -1;
}

static uint64_t judged(const struct fixture *f, enum metric_role role)
{
    return cell_read(&cells(f, role)->judged[role]);
}

static uint64_t judged_failed(const struct fixture *f, enum metric_role role)
{
    return cell_read(&cells(f, role)->judged_failed[role]);
}

static uint64_t retries(const struct fixture *f, enum metric_role from, enum metric_role to,
                        enum metric_retry_result result)
{
    return cell_read(&f->route->metrics->cells[0]->retries[from][to][result]);
}

/* --- endpoints that leave --- */

static void one_that_leaves_before_its_response_is_502(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *request, *response;
        enum metric_reason reason;
        bool stays;
    } rows[] = {
        {GET, "", REASON_RESET, false},
        {GET, "HTTP/1.1 200 OK\r\nConte", REASON_RESET, false},
        {POST3 "abc", "", REASON_RESET, false},
        {POST3 "a", "", REASON_RESET, false}, /* in the middle of sending */
        {GET, "nonsense\r\n\r\n", REASON_MALFORMED, true},
        {GET, "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", REASON_MALFORMED, true},
        {GET, "HTTP/1.1 101 Switching Protocols\r\n\r\n", REASON_MALFORMED, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int client = client_open(f);
        uint64_t before = errors(f, ROLE_STABLE, rows[i].reason);
        int up = ask(f, client, rows[i].request, ROLE_STABLE);
        say(f, up, rows[i].response);
        if (!rows[i].stays)
            hang_up(f, up);
        assert_hears(client, "HTTP/1.1 502 ", "502 Bad Gateway\n");
        assert_at_rest(f);
        assert_int_equal(requests(f, ROLE_STABLE, 502), i + 1);
        assert_int_equal(all_requests(f), i + 1);
        assert_int_equal(responses(f, 502), i + 1);
        assert_int_equal(errors(f, ROLE_STABLE, rows[i].reason), before + 1);
        assert_int_equal(judged_failed(f, ROLE_STABLE), i + 1);
        assert_int_equal(f->flow.upstream.n_idle, 0);
        if (rows[i].stays) {
            assert_ended(up);
            (void)close(up);
        }
        hang_up(f, client);
        assert_int_equal(f->flow.n_clients, 0);
    }
}

/* Its head has gone down: the client sees that the rest is missing, and does not get another
 * response. */
static void one_that_leaves_within_its_response_is_cut(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *response, *body;
    } rows[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", "abc"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "3\r\nabc\r\n"},
    };
    f->route_conf.retry.on = RETRY_RESET | RETRY_502 | RETRY_503 | RETRY_504;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int client = client_open(f);
        int up = ask(f, client, GET, ROLE_STABLE);
        say(f, up, rows[i].response);
        hang_up(f, up);
        assert_hears(client, "HTTP/1.1 200 OK\r\n", rows[i].body);
        assert_ended(client);
        assert_at_rest(f);
        assert_int_equal(requests(f, ROLE_STABLE, 200), i + 1);
        assert_int_equal(errors(f, ROLE_STABLE, REASON_RESET), i + 1);
        assert_int_equal(judged_failed(f, ROLE_STABLE), i + 1);
        hang_up(f, client);
        assert_int_equal(f->flow.n_clients, 0);
    }
}

static void nonsense_within_a_response_is_cut(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    int up = ask(f, client, GET, ROLE_STABLE);
    say(f, up, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    say(f, up, "zz\r\n");
    assert_hears(client, "HTTP/1.1 200 OK\r\n", "");
    assert_ended(client);
    assert_int_equal(errors(f, ROLE_STABLE, REASON_MALFORMED), 1);
    assert_at_rest(f);
    (void)close(up);
    (void)close(client);
}

/* An answer before the body was sent whole: it goes down, and neither connection serves again. */
static void an_early_answer_goes_down(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    int up = ask(f, client, POST3 "a", ROLE_STABLE);
    say(f, up, "HTTP/1.1 413 Too Much\r\nContent-Length: 2\r\n\r\nno");
    struct slice s = hear(client);
    assert_message(s, "HTTP/1.1 413 Too Much\r\n", "no");
    assert_non_null(strstr(s.at, "\r\nConnection: close\r\n"));
    assert_ended(client);
    assert_ended(up);
    assert_at_rest(f);
    assert_int_equal(requests(f, ROLE_STABLE, 413), 1);
    assert_int_equal(judged_failed(f, ROLE_STABLE), 0);
    (void)close(up);
    hang_up(f, client);
    assert_int_equal(f->flow.n_clients, 0);
}

/* More than was asked for: the surplus is no answer to the next request. */
static void bytes_behind_a_response_end_the_connection(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    int up = ask(f, client, GET, ROLE_STABLE);
    say(f, up, OK_2 "hi" OK_2 "no");
    assert_hears(client, "HTTP/1.1 200 OK\r\n", "hi");
    assert_int_equal(f->flow.upstream.n_idle, 0);
    assert_ended(up);
    (void)close(up);
    up = ask(f, client, GET, ROLE_STABLE);
    say(f, up, OK_2 "ok");
    assert_hears(client, "HTTP/1.1 200 OK\r\n", "ok");
    (void)close(up);
    (void)close(client);
}

static void nobody_listens(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    take_away(f, ROLE_STABLE);
    for (unsigned i = 1; i <= 2; i++) { /* the last resort of stable is tried though it is down */
        say(f, client, GET);
        assert_hears(client, "HTTP/1.1 502 ", "502 Bad Gateway\n");
        assert_at_rest(f);
        assert_int_equal(errors(f, ROLE_STABLE, REASON_CONNECT), i);
        assert_int_equal(atomic_load(&f->states[ROLE_STABLE].health), ENDPOINT_DOWN);
    }
    (void)close(client);
}

/* --- waiting has an end --- */

static void a_late_response_head_is_504(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    int up = ask(f, client, GET, ROLE_STABLE);
    pass(f, f->config.timeouts.response_header_ms - 1);
    assert_silent(client);
    pass(f, 1 + WHEEL_TICK_MS);
    assert_hears(client, "HTTP/1.1 504 ", "504 Gateway Timeout\n");
    assert_int_equal(errors(f, ROLE_STABLE, REASON_TIMEOUT), 1);
    assert_at_rest(f);
    assert_ended(up);
    (void)close(up);
    (void)close(client);
}

static void a_response_that_stops_is_cut(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    int up = ask(f, client, GET, ROLE_STABLE);
    say(f, up, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
    pass(f, f->config.timeouts.response_idle_ms - 1);
    say(f, up, "d");
    pass(f, f->config.timeouts.response_idle_ms - 1);
    assert_hears(client, "HTTP/1.1 200 OK\r\n", "abcd");
    assert_silent(client);
    pass(f, 1 + WHEEL_TICK_MS);
    assert_ended(client);
    assert_int_equal(errors(f, ROLE_STABLE, REASON_TIMEOUT), 1);
    assert_at_rest(f);
    (void)close(up);
    (void)close(client);
}

/* Bytes now and then keep up every other deadline, not this one. */
static void the_total_time_of_a_request_is_bounded(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    f->config.timeouts.request_total_ms = 10000;
    int up = ask(f, client, GET, ROLE_STABLE);
    say(f, up, "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n");
    for (unsigned i = 0; i < 9; i++) {
        pass(f, 1000);
        say(f, up, "x");
    }
    assert_hears(client, "HTTP/1.1 200 OK\r\n", "xxxxxxxxx");
    assert_silent(client);
    pass(f, 1000 + WHEEL_TICK_MS);
    assert_ended(client);
    assert_at_rest(f);
    (void)close(up);
    (void)close(client);
}

/* --- idle connections that had closed --- */

/* Serves one request, so that a connection idles; returns its other end. */
static int make_idle(struct fixture *f, int client)
{
    int up = ask(f, client, GET, ROLE_STABLE);
    say(f, up, OK_2 "hi");
    assert_hears(client, "HTTP/1.1 200 OK\r\n", "hi");
    assert_int_equal(f->flow.upstream.n_idle, 1);
    pass(f, POOL_SETTLE_US / 1000); /* a pool that was surprised before lets it rest first */
    return up;
}

static void a_stale_connection_is_replaced_and_blames_nobody(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    int idle = make_idle(f, client);
    say(f, client, GET);
    assert_hears(idle, "GET / ", "");
    hang_up(f, idle); /* it closed as the request was on its way */
    int up = called(f, ROLE_STABLE);
    assert_hears(up, "GET / HTTP/1.1\r\n", "");
    say(f, up, OK_2 "ok");
    assert_hears(client, "HTTP/1.1 200 OK\r\n", "ok");
    assert_int_equal(requests(f, ROLE_STABLE, 200), 2);
    assert_int_equal(all_requests(f), 2);
    assert_int_equal(errors(f, ROLE_STABLE, REASON_RESET), 0);
    assert_int_equal(retries(f, ROLE_STABLE, ROLE_STABLE, RETRY_OK), 0);
    assert_at_rest(f);
    (void)close(up);
    (void)close(client);
}

/* Once, only where the request may go twice, and only where nothing of an answer came. */
static void other_losses_on_an_idle_connection_are_502(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *request, *response;
    } rows[] = {{POST3 "abc", ""}, {POST3 "abc", "HTTP/1.1 2"}, {GET, "HTTP/1.1 2"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int client = client_open(f);
        int idle = make_idle(f, client);
        say(f, client, rows[i].request);
        say(f, idle, rows[i].response);
        hang_up(f, idle);
        assert_hears(client, "HTTP/1.1 502 ", "502 Bad Gateway\n");
        assert_int_equal(called(f, ROLE_STABLE), -1);
        hang_up(f, client);
    }
    int client = client_open(f);
    int idle = make_idle(f, client);
    say(f, client, GET);
    hang_up(f, idle);
    hang_up(f, called(f, ROLE_STABLE)); /* a fresh one that closes is to blame */
    assert_hears(client, "HTTP/1.1 502 ", "502 Bad Gateway\n");
    assert_int_equal(errors(f, ROLE_STABLE, REASON_RESET), 4);
    assert_at_rest(f);
    (void)close(client);
}

/* --- another attempt --- */

static void all_to_canary(struct fixture *f)
{
    f->route->split.is_active = true;
    f->route->split.weight_bp = SPLIT_BUCKETS;
    f->route_conf.retry.on = RETRY_CONNECT | RETRY_RESET | RETRY_503;
}

/* What fails on the canary goes to stable, and the canary's failure is counted all the same. */
static void a_failure_of_the_canary_is_retried_on_stable(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *request, *response; /* NULL: nobody listens */
        unsigned status;
        enum metric_reason reason;
        const char *body;
    } rows[] = {
        {GET, S503, 503, REASON_5XX, ""},
        {GET, "", 502, REASON_RESET, ""},
        {POST3 "abc", NULL, 502, REASON_CONNECT, "abc"}, /* nothing was sent: safe for any method */
        {GET, NULL, 502, REASON_CONNECT, ""},
    };
    all_to_canary(f);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int client = client_open(f), canary = -1;
        uint64_t before = requests(f, ROLE_CANARY, rows[i].status);
        if (!rows[i].response && f->endpoints[ROLE_CANARY] >= 0)
            take_away(f, ROLE_CANARY);
        endpoint_note(&f->states[ROLE_CANARY], ENDPOINT_UP);
        say(f, client, rows[i].request);
        if (rows[i].response) {
            canary = called(f, ROLE_CANARY);
            (void)hear(canary);
            say(f, canary, rows[i].response);
            hang_up(f, canary);
        }
        assert_silent(client);
        assert_int_equal(retry_budget_taken(f->live.retries, fake_now_us), i + 1);
        int stable = called(f, ROLE_STABLE);
        assert_message(hear(stable), "", rows[i].body);
        say(f, stable, OK_2 "hi");
        assert_hears(client, "HTTP/1.1 200 OK\r\n", "hi");
        assert_at_rest(f);
        assert_int_equal(requests(f, ROLE_CANARY, rows[i].status), before + 1);
        assert_int_equal(errors(f, ROLE_CANARY, rows[i].reason) > 0, 1);
        assert_int_equal(judged_failed(f, ROLE_CANARY), i + 1);
        assert_int_equal(retries(f, ROLE_CANARY, ROLE_STABLE, RETRY_OK), i + 1);
        assert_int_equal(all_requests(f), i + 1); /* by the version that first got it */
        assert_int_equal(judged(f, ROLE_STABLE), 0);
        assert_int_equal(responses(f, 200), i + 1);
        hang_up(f, stable);
        hang_up(f, client);
    }
}

static void when_both_fail_the_client_sees_the_last_one(void **state)
{
    struct fixture *f = *state;
    all_to_canary(f);
    int client = client_open(f);
    int canary = ask(f, client, GET, ROLE_CANARY);
    say(f, canary, S503);
    int stable = called(f, ROLE_STABLE);
    say(f, stable, "HTTP/1.1 503 Also\r\nContent-Length: 4\r\n\r\nill!");
    assert_hears(client, "HTTP/1.1 503 Also\r\n", "ill!");
    assert_int_equal(retries(f, ROLE_CANARY, ROLE_STABLE, RETRY_FAILED), 1);
    assert_int_equal(responses(f, 503), 1);
    assert_at_rest(f);
    (void)close(canary);
    (void)close(stable);
    (void)close(client);
}

/* Not named, not safe to send twice, above the budget, or nowhere else to go: the canary's own
 * answer goes down. */
static void what_may_not_be_retried_goes_down_as_it_is(void **state)
{
    struct fixture *f = *state;
    all_to_canary(f);
    for (unsigned i = 0; i < 4; i++) {
        int client = client_open(f);
        f->route_conf.retry.to_stable = i < 3;
        f->route_conf.retry.on = i == 0 ? RETRY_RESET : RETRY_503;
        while (i == 2 && retry_budget_take(f->live.retries, RETRY_BUDGET_FLOOR, fake_now_us))
            continue;
        int canary = ask(f, client, i == 1 ? POST3 "abc" : GET, ROLE_CANARY);
        say(f, canary, S503);
        *f->live.retries = (struct retry_budget){.look = 0};
        assert_hears(client, "HTTP/1.1 503 Unwell\r\n", "sick");
        assert_int_equal(called(f, ROLE_STABLE), -1);
        assert_int_equal(requests(f, ROLE_CANARY, 503), i + 1);
        assert_int_equal(cell_read(&f->route->metrics->cells[0]->retries_refused), i >= 2);
        assert_at_rest(f);
        hang_up(f, canary);
        hang_up(f, client);
    }
}

/* Half a head of the attempt before is no beginning of the next one's. */
static void a_late_head_is_forgotten_by_the_next_attempt(void **state)
{
    struct fixture *f = *state;
    all_to_canary(f);
    f->route_conf.retry.on = RETRY_504;
    int client = client_open(f);
    int canary = ask(f, client, GET, ROLE_CANARY);
    say(f, canary, "HTTP/1.1 200 OK\r\nX-Half: ");
    pass(f, f->config.timeouts.response_header_ms + WHEEL_TICK_MS);
    assert_ended(canary);
    int stable = called(f, ROLE_STABLE);
    say(f, stable, OK_2 "hi");
    struct slice s = hear(client);
    assert_message(s, "HTTP/1.1 200 OK\r\n", "hi");
    assert_null(strstr(s.at, "X-Half"));
    assert_int_equal(errors(f, ROLE_CANARY, REASON_TIMEOUT), 1);
    assert_at_rest(f);
    (void)close(canary);
    (void)close(stable);
    (void)close(client);
}

/* The endpoint takes no more of the body, then leaves: the next one gets all of it, also what comes
 * only then. */
static void a_body_whose_sending_failed_is_sent_again_whole(void **state)
{
    struct fixture *f = *state;
    for (unsigned is_stale = 0; is_stale < 2; is_stale++) {
        int client = client_open(f), first = is_stale ? make_idle(f, client) : -1;
        if (!is_stale)
            all_to_canary(f);
        say(f, client, "GET / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 6\r\n\r\nabc");
        first = is_stale ? first : called(f, ROLE_CANARY);
        assert_hears(first, "GET / ", "abc");
        (void)shutdown(first, SHUT_RD);
        say(f, client, "d");
        assert_int_equal(f->flow.n_exchanges, 1);
        hang_up(f, first);
        int stable = called(f, ROLE_STABLE);
        assert_hears(stable, "GET / ", "abcd");
        say(f, client, "ef");
        assert_true(slice_equal(hear(stable), SLICE("ef")));
        say(f, stable, OK_2 "hi");
        assert_hears(client, "HTTP/1.1 200 OK\r\n", "hi");
        assert_at_rest(f);
        f->route->split.is_active = false;
        hang_up(f, stable);
        hang_up(f, client);
    }
}

static void a_client_that_leaves_within_a_retry_ends_it(void **state)
{
    struct fixture *f = *state;
    all_to_canary(f);
    int client = client_open(f);
    int canary = ask(f, client, GET, ROLE_CANARY);
    say(f, canary, S503);
    int stable = called(f, ROLE_STABLE);
    assert_hears(stable, "GET / ", "");
    assert_int_equal(retry_budget_taken(f->live.retries, fake_now_us), 1);
    hang_up(f, client);
    assert_at_rest(f);
    assert_int_equal(f->flow.n_clients, 0);
    assert_ended(stable);
    (void)close(stable);
    (void)close(canary);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_that_leaves_before_its_response_is_502),
        TEST(one_that_leaves_within_its_response_is_cut),
        TEST(nonsense_within_a_response_is_cut),
        TEST(an_early_answer_goes_down),
        TEST(bytes_behind_a_response_end_the_connection),
        TEST(nobody_listens),
        TEST(a_late_response_head_is_504),
        TEST(a_response_that_stops_is_cut),
        TEST(the_total_time_of_a_request_is_bounded),
        TEST(a_stale_connection_is_replaced_and_blames_nobody),
        TEST(other_losses_on_an_idle_connection_are_502),
        TEST(a_failure_of_the_canary_is_retried_on_stable),
        TEST(when_both_fail_the_client_sees_the_last_one),
        TEST(what_may_not_be_retried_goes_down_as_it_is),
        TEST(a_late_head_is_forgotten_by_the_next_attempt),
        TEST(a_body_whose_sending_failed_is_sent_again_whole),
        TEST(a_client_that_leaves_within_a_retry_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
