/* Tests how calls of the HTTP client end: cancelled, freed, in a crowd, and out of each other.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout_http.h"

#define CROWD 200u

/* Cancelling, in each state. */

static void start_slow(struct fixture *f, struct call *c, uint32_t timeout_ms)
{
    start_within(f, c, "http://slow.invalid/", NULL, timeout_ms);
}

static void fill(struct fixture *f, struct call crowd[HTTP_CALLS_MAX])
{
    for (size_t i = 0; i < HTTP_CALLS_MAX; i++)
        start_path(f, &crowd[i], "/hold");
    UNTIL(f, f->held_count == HTTP_CALLS_MAX);
}

static void settle(struct fixture *f, struct call *crowd, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        UNTIL(f, (release_held(f), crowd[i].told));
        assert_int_equal(crowd[i].told, 1);
        assert_int_equal(crowd[i].status, 200);
        forget(&crowd[i]);
    }
}

static void a_cancelled_call_tells_nothing(void **state)
{
    struct fixture *f = *state;
    struct call c = {0};
    http_cancel(NULL);

    start_path(f, &c, "/hold"); /* just begun */
    http_cancel(c.handle);
    some_turns(f);
    assert_int_equal(c.told, 0);

    start_path(f, &c, "/hold"); /* waits for its answer */
    UNTIL(f, f->held_count == 1);
    http_cancel(c.handle);
    some_turns(f);
    release_held(f);
    some_turns(f);
    assert_int_equal(c.told, 0);

    start_within(f, &c, "ftp://127.0.0.1/", NULL, PATIENCE_MS); /* over, not told yet */
    http_cancel(c.handle);
    some_turns(f);
    assert_int_equal(c.told, 0);

    char url[64];
    f->script = (struct script){"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", THEN_KEEP, ""};
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u/", f->raw_port);
    start_within(f, &c, url, "{}", PATIENCE_MS); /* amid its answer */
    UNTIL(f, f->raw_requests == 1);
    some_turns(f);
    http_cancel(c.handle);
    UNTIL(f, !f->raw_connection); /* closed, as half an answer stands in it */
    assert_int_equal(c.told, 0);
}

static void a_queued_call_can_be_cancelled(void **state)
{
    struct fixture *f = *state;
    struct call crowd[HTTP_CALLS_MAX] = {0}, first = {0}, second = {0};
    fill(f, crowd);
    start_path(f, &first, "/hold");
    start_path(f, &second, "/hold");
    http_cancel(first.handle);
    some_turns(f);
    assert_int_equal(f->held_count, HTTP_CALLS_MAX);
    http_cancel(crowd[0].handle); /* its turn goes to the next, and this is the second */
    UNTIL(f, f->held_count == HTTP_CALLS_MAX + 1);
    settle(f, crowd + 1, HTTP_CALLS_MAX - 1);
    settle(f, &second, 1);
    assert_int_equal(first.told + crowd[0].told, 0);
}

/* The name server is dead: neither a timeout nor a cancel nor the end waits for it. */
static void nobody_waits_for_the_resolver(void **state)
{
    struct fixture *f = *state;
    struct call late = {0}, cancelled = {0}, freed = {0};
    gate_set(false);
    start_slow(f, &late, 50);
    UNTIL(f, late.told);
    assert_string_equal(late.error, "no whole answer within 50 ms");
    forget(&late);
    UNTIL(f, gate_inside() == 1); /* still there */

    start_slow(f, &cancelled, PATIENCE_MS);
    UNTIL(f, gate_inside() == 2);
    http_cancel(cancelled.handle);
    assert_int_equal(gate_inside(), 2);

    start_slow(f, &freed, PATIENCE_MS);
    UNTIL(f, gate_inside() == 3);
    http_free(f->http);
    assert_int_equal(gate_inside(), 3);
    gate_set(true);
    UNTIL(f, gate_inside() == 0);
    assert_int_equal(cancelled.told + freed.told, 0);
    f->http = http_new(f->base);
}

/* In a crowd. */

static void a_crowd_takes_turns(void **state)
{
    struct fixture *f = *state;
    static struct call crowd[CROWD];
    for (size_t i = 0; i < CROWD; i++)
        start_path(f, &crowd[i], "/hold");
    UNTIL(f, f->held_count == HTTP_CALLS_MAX);
    some_turns(f);
    assert_int_equal(f->requests, HTTP_CALLS_MAX);
    while (f->requests < CROWD) { /* one goes, one comes */
        unsigned requests = f->requests;
        evhttp_send_reply(f->held[--f->held_count], 200, "OK", NULL);
        UNTIL(f, f->requests == requests + 1);
    }
    assert_int_equal(f->most_held, HTTP_CALLS_MAX);
    settle(f, crowd, CROWD);
    assert_int_equal(f->requests, CROWD);
    assert_true(f->connections <= CROWD);
}

static void the_wait_for_a_turn_counts(void **state)
{
    struct fixture *f = *state;
    struct call crowd[HTTP_CALLS_MAX] = {0}, late = {0};
    char url[64];
    fill(f, crowd);
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u/hold", f->port);
    start_within(f, &late, url, NULL, 30);
    UNTIL(f, late.told);
    assert_string_equal(late.error, "no turn within 30 ms: 64 other calls are under way");
    forget(&late);
    settle(f, crowd, HTTP_CALLS_MAX);
    assert_int_equal(f->requests, HTTP_CALLS_MAX);
}

/* A burst leaves few connections behind. */
static void idle_connections_are_few(void **state)
{
    struct fixture *f = *state;
    struct call crowd[HTTP_CALLS_MAX] = {0};
    fill(f, crowd);
    settle(f, crowd, HTTP_CALLS_MAX);
    UNTIL(f, open_descriptors() <= f->descriptors + 2 * 16 + 8); /* both ends are ours */
}

/* Freeing. */

static void a_client_goes_with_its_calls(void **state)
{
    struct fixture *f = *state;
    struct call crowd[HTTP_CALLS_MAX] = {0}, queued[3] = {0}, over = {0};
    fill(f, crowd);
    for (size_t i = 0; i < ARRAY_LEN(queued); i++)
        start_path(f, &queued[i], "/hold");
    start_within(f, &over, "ftp://127.0.0.1/", NULL, PATIENCE_MS);
    http_free(f->http);
    f->http = NULL;
    some_turns(f);
    release_held(f);
    some_turns(f);
    for (size_t i = 0; i < HTTP_CALLS_MAX; i++)
        assert_int_equal(crowd[i].told, 0);
    assert_int_equal(queued[0].told + queued[1].told + queued[2].told + over.told, 0);
    http_free(NULL);
}

/* Out of each other. */

static void then_free(struct call *c)
{
    http_free(c->f->http);
    c->f->http = NULL;
}

static void then_ask_again(struct call *c)
{
    if (c->told < 5)
        start_path(c->f, c, "/status/200");
}

static void then_ask_nonsense_again(struct call *c)
{
    start_within(c->f, c, "nonsense", NULL, PATIENCE_MS);
}

static void then_cancel_other(struct call *c)
{
    http_cancel(c->other->handle);
    c->other->handle = NULL;
}

static void then_cancel_itself(struct call *c)
{
    http_cancel(c->handle);
    http_cancel(c->handle);
}

static void a_done_may_free_the_client(void **state)
{
    static const char *const paths[] = {"/status/200", "/hold"}; /* told by an answer, by time */
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct call c = {.then = then_free}, other = {0}, resolving = {0};
        char url[64];
        gate_set(false);
        start_slow(f, &resolving, PATIENCE_MS);
        start_path(f, &other, "/hold");
        (void)snprintf(url, sizeof url, "http://127.0.0.1:%u%s", f->port, paths[i]);
        start_within(f, &c, url, NULL, i == 0 ? PATIENCE_MS : 50);
        UNTIL(f, c.told);
        gate_set(true);
        some_turns(f);
        release_held(f);
        some_turns(f);
        assert_int_equal(c.told, 1);
        assert_int_equal(other.told + resolving.told, 0);
        forget(&c);
        f->http = http_new(f->base);
    }
}

static void a_done_may_ask_again(void **state)
{
    struct fixture *f = *state;
    struct call c = {.then = then_ask_again};
    start_path(f, &c, "/status/200");
    UNTIL(f, c.told == 5);
    some_turns(f);
    assert_int_equal(c.told, 5);
    assert_int_equal(f->requests, 5);
    assert_int_equal(f->connections, 1);
    forget(&c);
}

/* Who asks for what cannot be, again and again, does not keep the loop for itself. */
static void a_turn_ends(void **state)
{
    struct fixture *f = *state;
    struct call c = {.then = then_ask_nonsense_again}, good = {0};
    start_within(f, &c, "nonsense", NULL, PATIENCE_MS);
    start_path(f, &good, "/status/200");
    UNTIL(f, good.told);
    assert_int_equal(good.status, 200);
    assert_true(c.told > 0);
    c.then = NULL;
    UNTIL(f, !c.handle);
    forget(&c);
    forget(&good);
}

static void a_done_may_cancel_any(void **state)
{
    struct fixture *f = *state;
    struct call a = {.then = then_cancel_itself}, b = {.then = then_cancel_other}, held = {0};
    start_path(f, &a, "/status/200");
    UNTIL(f, a.told);
    assert_int_equal(a.status, 200);
    forget(&a);

    start_path(f, &held, "/hold");
    UNTIL(f, f->held_count == 1);
    b.other = &held;
    start_path(f, &b, "/status/200");
    UNTIL(f, b.told);
    some_turns(f);
    release_held(f);
    some_turns(f);
    assert_int_equal(b.told, 1);
    assert_int_equal(held.told, 0);
    forget(&b);
}

/* Both answers are there in the same turn; only the first is told. */
static void a_done_may_cancel_one_that_is_over(void **state)
{
    struct fixture *f = *state;
    struct call a = {.then = then_cancel_other}, b = {.then = then_cancel_other};
    a.other = &b;
    b.other = &a;
    start_within(f, &a, "nonsense", NULL, PATIENCE_MS);
    start_within(f, &b, "nonsense", NULL, PATIENCE_MS);
    some_turns(f);
    assert_int_equal(a.told + b.told, 1);
    forget(&a);
    forget(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_cancelled_call_tells_nothing), CASE(a_queued_call_can_be_cancelled),
        CASE(nobody_waits_for_the_resolver),  CASE(a_crowd_takes_turns),
        CASE(the_wait_for_a_turn_counts),     CASE(idle_connections_are_few),
        CASE(a_client_goes_with_its_calls),   CASE(a_done_may_free_the_client),
        CASE(a_done_may_ask_again),           CASE(a_turn_ends),
        CASE(a_done_may_cancel_any),          CASE(a_done_may_cancel_one_that_is_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
