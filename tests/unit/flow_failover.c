/* Where a failed request goes, and when it does not: what was sent, what went down, whose endpoint, what budget, what time.
 * SPDX-License-Identifier: Apache-2.0 */
#include "flow_fixture.h"

#include "proxy/upstream/pick.h"

#define GET    "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
#define OK_2   "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
#define S503   "HTTP/1.1 503 Unwell\r\nContent-Length: 4\r\n\r\n"
#define CAUSES (RETRY_CONNECT | RETRY_RESET | RETRY_502 | RETRY_503 | RETRY_504)

static void all_to_canary(struct fixture *f)
{
    f->route->split.is_active = true;
    f->route->split.weight_bp = SPLIT_BUCKETS;
    f->route_conf.retry.on = CAUSES;
    f->route_conf.retry.methods = 1u << METHOD_GET | 1u << METHOD_HEAD | 1u << METHOD_PUT;
}

/* The request reaches the version, whose new connection is returned. */
static int ask(struct fixture *f, int client, const char *request, enum metric_role role)
{
    say(f, client, request);
    int up = called(f, role);
    assert_true(up >= 0);
    (void)hear(up);
    return up;
}

static uint64_t retries(const struct fixture *f, enum metric_role from, enum metric_role to,
                        enum metric_retry_result result)
{
    return cell_read(&f->route->metrics->cells[0]->retries[from][to][result]);
}

static uint64_t refused(const struct fixture *f)
{
    return cell_read(&f->route->metrics->cells[0]->retries_refused);
}

/* Stable answers the request that has come to it, and the client hears it. */
static void stable_answers(struct fixture *f, int client)
{
    int stable = called(f, ROLE_STABLE);
    assert_true(stable >= 0);
    (void)hear(stable);
    say(f, stable, OK_2);
    assert_hears(client, "HTTP/1.1 200 OK\r\n", "hi");
    assert_at_rest(f);
    hang_up(f, stable);
}

/* --- the answer that is thrown away --- */

/* One that is all there leaves its connection for the next request; of any other the rest is not awaited. */
static void the_thrown_away_answer_keeps_its_connection_only_where_it_is_whole(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *request, *response;
        bool is_kept;
    } rows[] = {
        {GET, S503 "sick", true},
        {GET, "HTTP/1.1 502 No\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsick\r\n0\r\n\r\n", true},
        {"HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n", S503, true},
        {GET, S503 "si", false},
        {GET, S503 "sick and more", false},
        {GET, "HTTP/1.1 504 No\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsick\r\n", false},
        {GET, "HTTP/1.1 503 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", false},
        {GET, "HTTP/1.1 503 No\r\n\r\nsick", false},
        {"PUT / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1\r\n\r\n", S503 "sick", false},
    };
    all_to_canary(f);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int client = client_open(f), canary = ask(f, client, rows[i].request, ROLE_CANARY);
        say(f, canary, rows[i].response);
        assert_silent(client);
        assert_int_equal(f->flow.upstream.n_idle, rows[i].is_kept);
        if (rows[i].request[0] == 'P')
            say(f, client, "x");
        int stable = called(f, ROLE_STABLE);
        (void)hear(stable);
        say(f, stable, rows[i].request[0] == 'H' ? "HTTP/1.1 204 No\r\n\r\n" : OK_2);
        assert_message(hear(client), "HTTP/1.1 20", rows[i].request[0] == 'H' ? "" : "hi");
        assert_at_rest(f);
        hang_up(f, stable);
        hang_up(f, canary);
        hang_up(f, client);
        assert_int_equal(retries(f, ROLE_CANARY, ROLE_STABLE, RETRY_OK), i + 1);
        assert_int_equal(errors(f, ROLE_CANARY, REASON_5XX), i + 1);
    }
}

/* --- what went down, and what was sent --- */

static void an_interim_response_that_went_down_is_the_beginning_of_the_answer(void **state)
{
    struct fixture *f = *state;
    all_to_canary(f);
    int client = client_open(f), canary = ask(f, client, GET, ROLE_CANARY);
    say(f, canary, "HTTP/1.1 103 Early Hints\r\n\r\n");
    assert_hears(client, "HTTP/1.1 103 ", "");
    say(f, canary, S503 "sick");
    assert_hears(client, "HTTP/1.1 503 Unwell\r\n", "sick");
    assert_int_equal(refused(f), 0); /* not for want of budget */
    hang_up(f, canary);
    hang_up(f, client);
    /* an HTTP/1.0 client has not heard of it */
    client = client_open(f);
    canary = ask(f, client, "GET / HTTP/1.0\r\nHost: a.test\r\n\r\n", ROLE_CANARY);
    say(f, canary, "HTTP/1.1 103 Early Hints\r\n\r\n" S503 "sick");
    stable_answers(f, client);
    hang_up(f, canary);
    hang_up(f, client);
}

/* Its body waits for the word to come: nothing of it was read yet. */
static void a_body_that_is_held_back_goes_to_the_next_one(void **state)
{
    struct fixture *f = *state;
    all_to_canary(f);
    int client = client_open(f);
    int canary = ask(f, client,
                     "PUT / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\n"
                     "Content-Length: 3\r\n\r\n",
                     ROLE_CANARY);
    say(f, canary, S503 "sick");
    int stable = called(f, ROLE_STABLE);
    assert_hears(stable, "PUT / HTTP/1.1\r\n", "");
    say(f, stable, "HTTP/1.1 100 Continue\r\n\r\n");
    assert_hears(client, "HTTP/1.1 100 ", "");
    say(f, client, "abc");
    assert_true(slice_equal(hear(stable), SLICE("abc")));
    say(f, stable, OK_2);
    assert_hears(client, "HTTP/1.1 200 OK\r\n", "hi");
    assert_at_rest(f);
    (void)close(stable);
    (void)close(canary);
    (void)close(client);
}

/* What an endpoint has begun to get and may not get twice is not even kept. */
static void a_post_that_was_sent_is_never_sent_again(void **state)
{
    struct fixture *f = *state;
    all_to_canary(f);
    for (unsigned i = 0; i < 3; i++) {
        int client = client_open(f);
        int canary =
            ask(f, client, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 6\r\n\r\nabc",
                ROLE_CANARY);
        struct exchange *x = CONTAINER_OF(f->flow.exchanges.next, struct exchange, link);
        assert_non_null(x->replay);
        say(f, client, "de");
        assert_null(x->replay);
        assert_true(slice_equal(hear(canary), SLICE("de")));
        if (i)
            say(f, client, "f");
        if (i == 2)
            say(f, canary, "HTTP/1.1 2");
        hang_up(f, canary);
        assert_hears(client, "HTTP/1.1 502 ", "502 Bad Gateway\n");
        assert_int_equal(called(f, ROLE_STABLE), -1);
        assert_int_equal(requests(f, ROLE_CANARY, 502), i + 1);
        assert_at_rest(f);
        hang_up(f, client);
    }
    assert_int_equal(refused(f), 0);
}

/* It goes from where it was read to the endpoint; only what may be sent again is copied. */
static void a_body_on_an_open_connection_is_kept_where_it_may_be_sent_again(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *method, *body, *goes_up;
        bool is_kept;
    } rows[] = {
        {"POST", "Content-Length: 3\r\n\r\nabc", "abc", false},
        {"PUT", "Content-Length: 3\r\n\r\nabc", "abc", true},
        {"POST", "Transfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\n\r\n",
         "3\r\nabc\r\n0\r\n\r\n", false},
        {"PUT", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "0\r\n\r\n", true},
    };
    all_to_canary(f);
    int client = client_open(f), up = ask(f, client, GET, ROLE_CANARY);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char request[128], start[16];
        say(f, up, OK_2);
        assert_hears(client, "HTTP/1.1 200 OK\r\n", "hi");
        (void)snprintf(request, sizeof request, "%s / HTTP/1.1\r\nHost: a.test\r\n%s",
                       rows[i].method, rows[i].body);
        (void)snprintf(start, sizeof start, "%s / ", rows[i].method);
        say(f, client, request);
        assert_hears(up, start, rows[i].goes_up);
        struct exchange *x = CONTAINER_OF(f->flow.exchanges.next, struct exchange, link);
        assert_false(x->is_lent);
        assert_int_equal(x->is_replayable, rows[i].is_kept);
        assert_int_equal(x->replay_len, rows[i].is_kept ? strlen(rows[i].goes_up) : 0);
    }
    /* the idle connection may have been stale: another one gets all of it */
    hang_up(f, up);
    int again = called(f, ROLE_CANARY);
    assert_hears(again, "PUT / ", "0\r\n\r\n");
    say(f, again, OK_2);
    assert_hears(client, "HTTP/1.1 200 OK\r\n", "hi");
    assert_at_rest(f);
    (void)close(again);
    (void)close(client);
}

/* A connection that had gone stale took the request first: that the next one is refused does not make it unsent. */
static void what_a_stale_connection_took_was_sent(void **state)
{
    struct fixture *f = *state;
    char path[64];
    all_to_canary(f);
    f->route_conf.retry.methods = 1u << METHOD_GET;
    int client = client_open(f), idle = ask(f, client, GET, ROLE_CANARY);
    say(f, idle, OK_2);
    assert_hears(client, "HTTP/1.1 200 OK\r\n", "hi");
    say(f, client, "PUT / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1\r\n\r\nx");
    (void)snprintf(path, sizeof path, "%s/%u", f->dir, (unsigned)ROLE_CANARY);
    assert_int_equal(unlink(path), 0);
    hang_up(f, idle);
    assert_hears(client, "HTTP/1.1 502 ", "502 Bad Gateway\n");
    assert_int_equal(called(f, ROLE_STABLE), -1);
    assert_int_equal(errors(f, ROLE_CANARY, REASON_CONNECT), 1);
    assert_at_rest(f);
    (void)close(client);
}

/* --- where it goes --- */

/* Whoever asked for the canary by name is better served by stable than by nobody; the judge sees neither. */
static void who_asked_for_the_canary_gets_stable_too(void **state)
{
    struct fixture *f = *state;
    all_to_canary(f);
    f->route->split.weight_bp = 0;
    f->route_conf.override.header = "X-Canary";
    int client = client_open(f);
    int canary =
        ask(f, client, "GET / HTTP/1.1\r\nHost: a.test\r\nX-Canary: always\r\n\r\n", ROLE_CANARY);
    hang_up(f, canary);
    stable_answers(f, client);
    assert_int_equal(retries(f, ROLE_CANARY, ROLE_STABLE, RETRY_OK), 1);
    assert_int_equal(errors(f, ROLE_CANARY, REASON_RESET), 1);
    for (unsigned role = 0; role < ROLE_COUNT; role++)
        assert_int_equal(cell_read(&cells(f, (enum metric_role)role)->judged[role]), 0);
    (void)close(client);
}

/* Both of the fixture's endpoints serve one version, in turn. */
static void one_version_has_both(struct fixture *f, bool is_canary)
{
    struct snapshot *s = make_snapshot(f);
    struct route_variant *v = is_canary ? &s->routes[0].canary : &s->routes[0].stable;
    struct endpoint *both = arena_alloc(&s->arena, 2 * sizeof *both);
    both[0] = (struct endpoint){"first", f->addrs[0], &f->states[0]};
    both[1] = (struct endpoint){"second", f->addrs[1], &f->states[1]};
    v->endpoints = both;
    v->n_endpoints = 2;
    v->first_endpoint = s->n_endpoints;
    s->n_endpoints += 2;
    f->route_conf.balance = BALANCE_ROUND_ROBIN;
    assert_int_equal(flow_adopt(&f->flow, s), OK);
}

/* The request is at whichever endpoint has its turn. */
static int at_either(struct fixture *f, unsigned *at)
{
    *at = 0;
    int up = called(f, ROLE_STABLE);
    if (up < 0) {
        *at = 1;
        up = called(f, ROLE_CANARY);
    }
    assert_true(up >= 0);
    (void)hear(up);
    return up;
}

static void a_failure_of_stable_goes_to_its_other_endpoint(void **state)
{
    struct fixture *f = *state;
    one_version_has_both(f, false);
    f->route_conf.retry.on = CAUSES;
    for (uint64_t i = 0; i < 4; i++) {
        unsigned first, second;
        int client = client_open(f);
        say(f, client, GET);
        int up = at_either(f, &first);
        hang_up(f, up);
        int other = at_either(f, &second);
        assert_int_not_equal(first, second);
        say(f, other, i == 3 ? S503 "sick" : OK_2);
        assert_message(hear(client), i == 3 ? "HTTP/1.1 503 " : "HTTP/1.1 200 ",
                       i == 3 ? "sick" : "hi");
        assert_at_rest(f);
        hang_up(f, other);
        hang_up(f, client);
        assert_int_equal(requests(f, ROLE_STABLE, 502), i + 1);
        assert_int_equal(retries(f, ROLE_STABLE, ROLE_STABLE, RETRY_OK), i < 3 ? i + 1 : 3);
    }
    assert_int_equal(retries(f, ROLE_STABLE, ROLE_STABLE, RETRY_FAILED), 1);
    assert_int_equal(all_requests(f), 4);
}

/* to: same keeps a canary's failure among the canary's endpoints, also where there is none left. */
static void with_to_same_it_stays_with_its_version(void **state)
{
    struct fixture *f = *state;
    unsigned first, second;
    one_version_has_both(f, true);
    all_to_canary(f);
    f->route_conf.retry.to_stable = false;
    f->route_conf.retry.max = 2;
    int client = client_open(f);
    say(f, client, GET);
    hang_up(f, at_either(f, &first));
    hang_up(f, at_either(f, &second));
    assert_int_not_equal(first, second);
    int third = at_either(f, &second);
    assert_int_equal(first, second);
    say(f, third, OK_2);
    assert_hears(client, "HTTP/1.1 200 OK\r\n", "hi");
    assert_int_equal(retries(f, ROLE_CANARY, ROLE_CANARY, RETRY_FAILED), 1);
    assert_int_equal(retries(f, ROLE_CANARY, ROLE_CANARY, RETRY_OK), 1);
    assert_int_equal(all_requests(f), 1);
    assert_int_equal(cell_read(&cells(f, ROLE_CANARY)->judged[ROLE_CANARY]), 1);
    hang_up(f, third);
    (void)close(client);
}

/* --- budget and time --- */

/* Asks for what fails on the canary. True: stable was asked. */
static bool is_tried_again(struct fixture *f)
{
    int client = client_open(f), canary = ask(f, client, GET, ROLE_CANARY);
    hang_up(f, canary);
    int stable = called(f, ROLE_STABLE);
    if (stable >= 0) {
        (void)hear(stable);
        say(f, stable, OK_2);
    }
    assert_message(hear(client), stable >= 0 ? "HTTP/1.1 200 " : "HTTP/1.1 502 ",
                   stable >= 0 ? "hi" : "502 Bad Gateway\n");
    hang_up(f, client);
    if (stable >= 0)
        hang_up(f, stable);
    return stable >= 0;
}

static unsigned tried_again(struct fixture *f, unsigned requests)
{
    unsigned n = 0;
    for (unsigned i = 0; i < requests; i++)
        n += is_tried_again(f);
    return n;
}

static void the_budget_is_that_of_the_last_ten_seconds(void **state)
{
    struct fixture *f = *state;
    metric_cell *oks = &f->route->metrics->cells[0]->responses[code_cell(200)];
    all_to_canary(f);
    assert_int_equal(tried_again(f, 40), RETRY_BUDGET_FLOOR);
    assert_int_equal(refused(f), 10);
    assert_int_equal(requests(f, ROLE_CANARY, 502),
                     40); /* the failure is the canary's either way */
    /* of 200 requests 40 may be: those of this moment count already */
    cell_add(oks, 200 - 40);
    assert_int_equal(tried_again(f, 15), 10 + 2); /* by the last of them there are 10 more */
    assert_int_equal(refused(f), 13);
    /* one second after the other passes; then what was before is no measure any more */
    for (unsigned s = 0; s < RETRY_BUDGET_S; s++) {
        retry_budget_look(f->live.retries, metrics_responses(f->route->metrics));
        fake_now_us += 1000000;
    }
    assert_int_equal(tried_again(f, 40), RETRY_BUDGET_FLOOR);
    /* each retry is told by its result, each want of budget by its own counter */
    assert_int_equal(retries(f, ROLE_CANARY, ROLE_STABLE, RETRY_OK), 30 + 12 + 30);
    assert_int_equal(refused(f), 10 + 3 + 10);
    assert_int_equal(requests(f, ROLE_CANARY, 502), 95);
    assert_int_equal(responses(f, 502), refused(f));
}

/* A second try begins with what is left of the request's time. */
static void the_total_time_of_a_request_holds_over_its_tries(void **state)
{
    struct fixture *f = *state;
    all_to_canary(f);
    f->config.timeouts.request_total_ms = 5000;
    f->config.timeouts.response_header_ms = 3000;
    int client = client_open(f), canary = ask(f, client, GET, ROLE_CANARY);
    pass(f, 3000 + WHEEL_TICK_MS);
    assert_ended(canary);
    int stable = called(f, ROLE_STABLE);
    assert_hears(stable, "GET / ", "");
    pass(f, 1500);
    assert_silent(client);
    pass(f, 500 + 2 * WHEEL_TICK_MS);
    assert_hears(client, "HTTP/1.1 504 ", "504 Gateway Timeout\n");
    assert_int_equal(errors(f, ROLE_CANARY, REASON_TIMEOUT), 1);
    assert_int_equal(requests(f, ROLE_CANARY, 504), 1);
    assert_int_equal(retries(f, ROLE_CANARY, ROLE_STABLE, RETRY_FAILED), 1);
    assert_int_equal(requests(f, ROLE_STABLE, 504), 0);
    assert_at_rest(f);
    (void)close(stable);
    (void)close(canary);
    (void)close(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_thrown_away_answer_keeps_its_connection_only_where_it_is_whole),
        TEST(an_interim_response_that_went_down_is_the_beginning_of_the_answer),
        TEST(a_body_that_is_held_back_goes_to_the_next_one),
        TEST(a_post_that_was_sent_is_never_sent_again),
        TEST(a_body_on_an_open_connection_is_kept_where_it_may_be_sent_again),
        TEST(what_a_stale_connection_took_was_sent),
        TEST(who_asked_for_the_canary_gets_stable_too),
        TEST(a_failure_of_stable_goes_to_its_other_endpoint),
        TEST(with_to_same_it_stays_with_its_version),
        TEST(the_budget_is_that_of_the_last_ten_seconds),
        TEST(the_total_time_of_a_request_holds_over_its_tries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
