/* How long an upgraded connection lasts: idle time, a version that serves no more, a stop; and what it does not hold.
 * SPDX-License-Identifier: Apache-2.0 */
#include "flow_tunnel.h"

#define DRAIN_MS  30000u
#define SPREAD_MS (DRAIN_MS / TUNNEL_SPREAD)
#define IDLE_MS   3600000u

/* A snapshot with this split; the workers adopt it. */
static void adopt(struct fixture *f, bool is_active, uint32_t weight_bp)
{
    struct snapshot *s = make_snapshot(f);
    f->route->split = (struct split){.is_active = is_active, .weight_bp = weight_bp};
    assert_int_equal(flow_adopt(&f->flow, s), OK);
}

static void one_without_bytes_is_closed(void **state)
{
    struct fixture *f = *state;
    struct pair p = open_tunnel(f, ROLE_STABLE);
    for (unsigned way = 0; way < 2; way++) { /* bytes of either way put it off */
        pass(f, IDLE_MS - 1000);
        say(f, way ? p.up : p.client, "x");
        assert_hears_bytes(way ? p.client : p.up, "x");
    }
    pass(f, IDLE_MS - 1000);
    assert_int_equal(tunnels(f, ROLE_STABLE), 1);
    pass(f, 1000 + WHEEL_TICK_MS);
    assert_int_equal(tunnels(f, ROLE_STABLE), 0);
    assert_over(f, p);
}

static void half_of_one_waits_no_longer_than_a_response(void **state)
{
    struct fixture *f = *state;
    struct pair p = open_tunnel(f, ROLE_STABLE);
    assert_int_equal(shutdown(p.client, SHUT_WR), 0);
    settle(f);
    pass(f, f->config.timeouts.response_idle_ms - 1000);
    say(f, p.up, "x");
    assert_hears_bytes(p.client, "x");
    pass(f, f->config.timeouts.response_idle_ms - 1000);
    assert_int_equal(tunnels(f, ROLE_STABLE), 1);
    pass(f, 1000 + WHEEL_TICK_MS);
    assert_over(f, p);
}

/* A reload's idle time holds for those that are open. */
static void a_shorter_idle_time_holds_at_once(void **state)
{
    struct fixture *f = *state;
    struct pair p = open_tunnel(f, ROLE_STABLE);
    f->config.timeouts.tunnel_idle_ms = 5000;
    adopt(f, false, 0);
    pass(f, 5000 + WHEEL_TICK_MS);
    assert_over(f, p);
}

/* No other deadline of requests counts in it. */
static void it_has_no_total(void **state)
{
    struct fixture *f = *state;
    f->config.timeouts.request_total_ms = 2000;
    struct pair p = open_tunnel(f, ROLE_STABLE);
    for (unsigned i = 0; i < 5; i++) {
        pass(f, 120000);
        assert_alive(f, p);
    }
    close_pair(f, p);
}

static unsigned released;

static void on_release(struct snapshot *s)
{
    (void)s;
    released++;
}

static void it_holds_no_snapshot(void **state)
{
    struct fixture *f = *state;
    released = 0;
    adopt(f, true, 10000);
    f->flow.world->snapshot->release = on_release;
    struct pair p = open_tunnel(f, ROLE_CANARY);
    int waiting = client_open(f); /* a request does hold it */
    say(f, waiting, GET);
    int up = called(f, ROLE_CANARY);
    adopt(f, true, 10000);
    assert_int_equal(released, 0);
    say(f, up, OK_0);
    assert_int_equal(released, 1);
    assert_alive(f, p);
    (void)close(up);
    (void)close(waiting);
    close_pair(f, p);
}

/* Its endpoint is named by no snapshot any more: the tunnel is the last to know it. */
static void its_endpoint_may_go(void **state)
{
    struct fixture *f = *state;
    adopt(f, true, 10000);
    struct pair p = open_tunnel(f, ROLE_CANARY);
    struct snapshot *s = make_snapshot(f);
    f->route->split.is_active = true;
    f->route->canary.n_endpoints = 0;
    s->n_endpoints = 1;
    assert_int_equal(flow_adopt(&f->flow, s), OK);
    pass(f, 2 * DRAIN_MS);
    assert_alive(f, p);
    close_pair(f, p);
    assert_int_equal(f->flow.upstream.n_busy, 0);
}

static void weights_move_nobody(void **state)
{
    struct fixture *f = *state;
    static const uint32_t weights[] = {5000, 1, 9999, 10000};
    adopt(f, true, 10000);
    struct pair p = open_tunnel(f, ROLE_CANARY);
    for (size_t i = 0; i < ARRAY_LEN(weights); i++) {
        adopt(f, true, weights[i]);
        pass(f, 2 * DRAIN_MS);
        assert_alive(f, p);
    }
    close_pair(f, p);
}

/* The canary was aborted: its tunnels are closed after the drain, not all at once; stable's stay. */
static void an_abort_closes_the_canarys(void **state)
{
    enum { N = 20 };
    struct fixture *f = *state;
    struct pair stable = open_tunnel(f, ROLE_STABLE), canary[N];
    adopt(f, true, 10000);
    for (unsigned i = 0; i < N; i++)
        canary[i] = open_tunnel(f, ROLE_CANARY);
    adopt(f, false, 0);
    adopt(f, false, 0); /* another one does not begin the wait anew */
    pass(f, DRAIN_MS - 1);
    assert_int_equal(tunnels(f, ROLE_CANARY), N);
    assert_alive(f, canary[0]);
    unsigned steps = 0;
    uint64_t open = N;
    for (unsigned ms = 0; ms < SPREAD_MS + WHEEL_TICK_MS; ms += WHEEL_TICK_MS) {
        pass(f, WHEEL_TICK_MS);
        steps += tunnels(f, ROLE_CANARY) < open;
        open = tunnels(f, ROLE_CANARY);
    }
    assert_int_equal(open, 0);
    assert_true(steps > 3);
    for (unsigned i = 0; i < N; i++) {
        assert_ended(canary[i].client);
        assert_ended(canary[i].up);
        close_pair(f, canary[i]);
    }
    assert_alive(f, stable);
    assert_int_equal(tunnels(f, ROLE_STABLE), 1);
    close_pair(f, stable);
}

/* Nor do bytes that come all the time put it off. */
static void an_abort_closes_a_busy_one(void **state)
{
    struct fixture *f = *state;
    adopt(f, true, 10000);
    struct pair p = open_tunnel(f, ROLE_CANARY);
    adopt(f, false, 0);
    pass_with_byte(f, DRAIN_MS - 1, p.client);
    assert_int_equal(tunnels(f, ROLE_CANARY), 1);
    for (unsigned ms = 0; ms < SPREAD_MS + WHEEL_TICK_MS; ms += WHEEL_TICK_MS)
        pass_with_byte(f, WHEEL_TICK_MS, p.client);
    assert_int_equal(tunnels(f, ROLE_CANARY), 0);
    (void)hear(p.up);
    assert_over(f, p);
}

/* As a cluster whose last canary pod is away for a moment. */
static void a_canary_that_is_back_in_time_keeps_them(void **state)
{
    struct fixture *f = *state;
    adopt(f, true, 10000);
    struct pair p = open_tunnel(f, ROLE_CANARY);
    adopt(f, false, 0);
    pass(f, DRAIN_MS / 2);
    adopt(f, true, 100);
    pass(f, 2 * DRAIN_MS);
    assert_alive(f, p);
    close_pair(f, p);
}

/* The request was on its way to the canary when that was aborted. */
static void one_that_begins_after_the_abort_ends_like_the_others(void **state)
{
    struct fixture *f = *state;
    adopt(f, true, 10000);
    struct pair p = {.client = client_open(f)};
    say(f, p.client, UPGRADE);
    p.up = called(f, ROLE_CANARY);
    (void)hear(p.up);
    adopt(f, false, 0);
    say(f, p.up, OK_101);
    assert_hears(p.client, "HTTP/1.1 101 ", "");
    pass(f, DRAIN_MS - 1);
    assert_alive(f, p);
    pass(f, SPREAD_MS + 2 * WHEEL_TICK_MS);
    assert_over(f, p);
}

/* v2 was promoted: it is stable now, and nobody is on v1 any more. */
static void a_promotion_closes_those_of_the_old_version(void **state)
{
    struct fixture *f = *state;
    struct pair old = open_tunnel(f, ROLE_STABLE);
    adopt(f, true, 10000);
    struct pair new = open_tunnel(f, ROLE_CANARY);
    struct snapshot *s = make_snapshot(f);
    f->route->stable = f->route->canary;
    f->route->stable.role = ROLE_STABLE;
    f->route->canary = (struct route_variant){.role = ROLE_CANARY};
    assert_int_equal(flow_adopt(&f->flow, s), OK);
    pass(f, DRAIN_MS + SPREAD_MS + WHEEL_TICK_MS);
    assert_ended(old.client);
    assert_alive(f, new);
    close_pair(f, old);
    close_pair(f, new);
}

static void a_route_that_goes_closes_its_own(void **state)
{
    struct fixture *f = *state;
    struct pair p = open_tunnel(f, ROLE_STABLE);
    struct snapshot *s = make_snapshot(f);
    f->route->metrics = metrics_route(f->metrics, "other");
    f->route->stable.metrics = metrics_variant(f->metrics, "other", "v1");
    assert_int_equal(flow_adopt(&f->flow, s), OK);
    pass(f, DRAIN_MS - 1);
    assert_alive(f, p);
    pass(f, SPREAD_MS + 2 * WHEEL_TICK_MS);
    assert_ended(p.client);
    assert_true(list_empty(&f->flow.tunnels));
    close_pair(f, p);
}

/* Asked for again it changes nothing; what opens meanwhile has the same deadline. */
static void a_stop_waits_for_the_end_of_the_drain(void **state)
{
    struct fixture *f = *state;
    struct pair p = open_tunnel(f, ROLE_STABLE), late = {.client = client_open(f)};
    say(f, late.client, UPGRADE);
    late.up = called(f, ROLE_STABLE);
    (void)hear(late.up);
    flow_drain(&f->flow, DRAIN_MS, DRAIN_MS);
    pass(f, DRAIN_MS / 2);
    say(f, late.up, OK_101);
    assert_hears(late.client, "HTTP/1.1 101 ", "");
    flow_drain(&f->flow, DRAIN_MS, DRAIN_MS);
    pass(f, DRAIN_MS / 2 - 3 * SPREAD_MS / 2 - 2);
    flow_drain(&f->flow, DRAIN_MS, DRAIN_MS);
    assert_alive(f, p);
    assert_alive(f, late);
    pass(f, SPREAD_MS + WHEEL_TICK_MS); /* half of the spread is left for orderly ends */
    assert_true(list_empty(&f->flow.tunnels));
    assert_ended(late.client);
    close_pair(f, late);
    assert_over(f, p);
}

/* Behind a hand-over: tunnels have an hour, requests are cut before. */
static void a_hand_over_leaves_it_its_time(void **state)
{
    struct fixture *f = *state;
    struct pair p = open_tunnel(f, ROLE_STABLE);
    int stuck = client_open(f);
    say(f, stuck, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    int up = called(f, ROLE_STABLE);
    flow_drain(&f->flow, DRAIN_MS, IDLE_MS);
    pass(f, DRAIN_MS - 1);
    assert_false(flow_is_drained(&f->flow));
    assert_silent(stuck);
    pass(f, 1);
    assert_false(flow_is_drained(&f->flow));
    settle(f);
    assert_ended(stuck);
    assert_int_equal(f->flow.n_exchanges, 0);
    for (unsigned i = 0; i < 5; i++) {
        pass(f, (IDLE_MS - DRAIN_MS) / 6);
        assert_alive(f, p);
        assert_false(flow_is_drained(&f->flow));
    }
    pass(f, IDLE_MS / 6);
    assert_ended(p.client);
    hang_up(f, p.client);
    assert_true(flow_is_drained(&f->flow));
    (void)close(stuck);
    (void)close(up);
    (void)close(p.up);
}

/* The new process takes the canary back: its tunnels end in the old one, too, and those of stable stay. */
static void an_abort_reaches_it_behind_a_hand_over(void **state)
{
    struct fixture *f = *state;
    struct pair stable = open_tunnel(f, ROLE_STABLE);
    adopt(f, true, 10000);
    struct pair canary = open_tunnel(f, ROLE_CANARY);
    flow_drain(&f->flow, DRAIN_MS, IDLE_MS);
    adopt(f, false, 0);
    pass(f, DRAIN_MS - 1);
    assert_alive(f, canary);
    adopt(f, false, 0); /* told again: the time runs on */
    pass(f, SPREAD_MS + 2 * WHEEL_TICK_MS);
    assert_ended(canary.client);
    assert_alive(f, stable);
    close_pair(f, canary);
    close_pair(f, stable);
}

/* Who ends the old process sooner does so for its tunnels. */
static void a_stop_behind_a_hand_over_shortens_it(void **state)
{
    struct fixture *f = *state;
    struct pair p = open_tunnel(f, ROLE_STABLE);
    flow_drain(&f->flow, DRAIN_MS, IDLE_MS);
    pass(f, 2 * DRAIN_MS);
    assert_alive(f, p);
    flow_drain(&f->flow, DRAIN_MS, DRAIN_MS);
    pass(f, DRAIN_MS - 2 * SPREAD_MS);
    assert_alive(f, p);
    pass(f, 2 * SPREAD_MS);
    assert_ended(p.client);
    close_pair(f, p);
}

/* Whoever is cut then has an orderly end on both sides at least. */
static void the_end_of_the_worker_cuts_it(void **state)
{
    struct fixture *f = *state;
    struct pair p = open_tunnel(f, ROLE_STABLE);
    client_abort(CONTAINER_OF(f->flow.clients.next, struct client, link), false);
    settle(f);
    assert_over(f, p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_without_bytes_is_closed),
        TEST(half_of_one_waits_no_longer_than_a_response),
        TEST(a_shorter_idle_time_holds_at_once),
        TEST(it_has_no_total),
        TEST(it_holds_no_snapshot),
        TEST(its_endpoint_may_go),
        TEST(weights_move_nobody),
        TEST(an_abort_closes_the_canarys),
        TEST(an_abort_closes_a_busy_one),
        TEST(a_canary_that_is_back_in_time_keeps_them),
        TEST(one_that_begins_after_the_abort_ends_like_the_others),
        TEST(a_promotion_closes_those_of_the_old_version),
        TEST(a_route_that_goes_closes_its_own),
        TEST(a_stop_waits_for_the_end_of_the_drain),
        TEST(a_hand_over_leaves_it_its_time),
        TEST(an_abort_reaches_it_behind_a_hand_over),
        TEST(a_stop_behind_a_hand_over_shortens_it),
        TEST(the_end_of_the_worker_cuts_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
