/* Endpoints that come and go while requests are under way: who had begun ends as it began, nobody begins at one that is
 * gone, and nothing is kept of it. SPDX-License-Identifier: Apache-2.0 */
#include "flow_fixture.h"

#include <malloc.h>

#define GET  "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
#define OK_2 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

/* The two listening sockets of the fixture, as pods of stable. */
enum { FIRST = 1, SECOND = 2 };

static void add(struct snapshot *s, struct route_variant *v, struct fixture *f, unsigned i)
{
    v->endpoints[v->n_endpoints++] =
        (struct endpoint){i ? "second" : "first", f->addrs[i], &f->states[i]};
    s->n_endpoints++;
}

/* A snapshot whose stable version has these pods and whose canary has none, as the control thread publishes it. */
static struct snapshot *snapshot_of(struct fixture *f, unsigned pods)
{
    struct snapshot *s = make_snapshot(f);
    struct route_variant *stable = &s->routes[0].stable;
    s->n_endpoints = 0;
    s->routes[0].canary.n_endpoints = 0;
    stable->endpoints = arena_alloc(&s->arena, 2 * sizeof *stable->endpoints);
    stable->n_endpoints = 0;
    for (unsigned i = 0; i < 2; i++)
        if (pods & (1u << i))
            add(s, stable, f, i);
    return s;
}

static void adopt(struct fixture *f, unsigned pods)
{
    assert_int_equal(flow_adopt(&f->flow, snapshot_of(f, pods)), OK);
}

static unsigned count_pools(const struct fixture *f)
{
    unsigned n = 0;
    for (unsigned i = 0; i < POOL_BUCKETS; i++)
        for (const struct list *l = f->flow.upstream.buckets[i].next;
             l != &f->flow.upstream.buckets[i]; l = l->next)
            n++;
    return n;
}

/* A new client's request at one pod: its connection there. */
static int ask(struct fixture *f, int client, unsigned pod)
{
    say(f, client, GET);
    int up = called(f, (enum metric_role)pod);
    assert_true(up >= 0);
    assert_message(hear(up), "GET / HTTP/1.1\r\n", "");
    return up;
}

static void a_request_ends_where_it_began(void **state)
{
    struct fixture *f = *state;
    adopt(f, FIRST);
    int client = client_open(f), up = ask(f, client, 0);
    adopt(f, SECOND); /* the first one terminates */
    assert_int_equal(count_pools(f), 2);
    for (unsigned i = 0; i < 50; i++) { /* none of those that come meanwhile goes there */
        int other = client_open(f), new = i ? -1 : ask(f, other, 1);
        if (i) {
            say(f, other, GET);
            assert_int_equal(called(f, ROLE_STABLE), -1);
        } else {
            say(f, new, OK_2);
            assert_hears(other, "HTTP/1.1 200 OK\r\n", "ok");
        }
        hang_up(f, other);
        if (new >= 0)
            (void)close(new);
    }
    say(f, up, OK_2);
    assert_hears(client, "HTTP/1.1 200 OK\r\n", "ok");
    /* its connection is not kept, and with its last request the pool is gone */
    assert_ended(up);
    (void)close(up);
    assert_int_equal(count_pools(f), 1);
    hang_up(f, client);
}

static void idle_connections_close_at_once(void **state)
{
    struct fixture *f = *state;
    adopt(f, FIRST | SECOND);
    int clients[8], ups[8];
    unsigned at[8], n_of[2] = {0, 0};
    for (unsigned i = 0; i < 8; i++) { /* eight connections, over the two */
        clients[i] = client_open(f);
        say(f, clients[i], GET);
        at[i] = 0;
        ups[i] = called(f, ROLE_STABLE);
        if (ups[i] < 0) {
            at[i] = 1;
            ups[i] = called(f, ROLE_CANARY);
        }
        n_of[at[i]]++;
        assert_true(ups[i] >= 0);
    }
    assert_true(n_of[0] > 1 && n_of[1] > 1); /* the less loaded of two */
    int busy =
        -1; /* a request to the one that stays: it holds the old world for as long as it takes */
    for (unsigned i = 0; i < 8; i++) {
        if (busy < 0 && at[i] == 1) {
            busy = (int)i;
            continue;
        }
        (void)hear(ups[i]);
        say(f, ups[i], OK_2);
        assert_hears(clients[i], "HTTP/1.1 200 OK\r\n", "ok");
    }
    assert_int_equal(f->flow.upstream.n_idle, 7);
    adopt(f, SECOND);
    settle(f);
    assert_int_equal(f->flow.upstream.n_idle, n_of[1] - 1);
    for (unsigned i = 0; i < 8; i++) {
        if (at[i] == 0)
            assert_ended(ups[i]);
        else if ((int)i != busy)
            assert_silent(ups[i]);
    }
    assert_int_equal(count_pools(f), 2);
    adopt(
        f,
        FIRST |
            SECOND); /* it is back before the old world has ended: it is an endpoint like any other */
    int again = -1, client = -1;
    for (unsigned i = 0; again < 0 && i < 50; i++) {
        client = client_open(f);
        say(f, client, GET);
        again = called(f, ROLE_STABLE);
        if (again < 0)
            hang_up(f, client);
    }
    assert_true(again >= 0);
    (void)hear(again);
    say(f, again, OK_2);
    assert_hears(client, "HTTP/1.1 200 OK\r\n", "ok");
    assert_silent(again); /* kept */
    hang_up(f, client);
    (void)close(again);
    (void)hear(ups[busy]);
    say(f, ups[busy], OK_2);
    assert_hears(clients[busy], "HTTP/1.1 200 OK\r\n", "ok");
    for (unsigned i = 0; i < 8; i++) {
        hang_up(f, clients[i]);
        (void)close(ups[i]);
    }
    settle(f);
}

static void no_endpoint_is_503(void **state)
{
    struct fixture *f = *state;
    adopt(f, 0);
    int client = client_open(f);
    say(f, client, GET);
    assert_hears(client, "HTTP/1.1 503 ", "503 Service Unavailable\n");
    assert_int_equal(requests(f, ROLE_STABLE, 503), 1);
    assert_int_equal(errors(f, ROLE_STABLE, REASON_REFUSED), 1);
    /* the canary has none either: nobody is sent there, whatever its weight is */
    f->route->split = (struct split){.weight_bp = 10000, .is_active = true};
    say(f, client, GET);
    assert_hears(client, "HTTP/1.1 503 ", "503 Service Unavailable\n");
    assert_int_equal(requests(f, ROLE_CANARY, 503), 0);
    assert_int_equal(requests(f, ROLE_STABLE, 503), 2);
    adopt(f, FIRST); /* the first one is there: the next request has it */
    int up = ask(f, client, 0);
    say(f, up, OK_2);
    assert_hears(client, "HTTP/1.1 200 OK\r\n", "ok");
    hang_up(f, client);
    (void)close(up);
    settle(f);
}

/* Ten thousand pods come and go while one long request lasts: nothing of them stays. */
static void pods_that_went_leave_nothing(void **state)
{
    struct fixture *f = *state;
    static const uint8_t home[16] = {10, 0, 0, 0};
    size_t before = 0;
    adopt(f, FIRST);
    int client = client_open(f), up = ask(f, client, 0);
    for (unsigned i = 0; i < 10000; i++) {
        struct snapshot *s = snapshot_of(f, SECOND);
        uint8_t ip[16];
        memcpy(ip, home, sizeof ip);
        ip[2] = (uint8_t)(i / 250);
        ip[3] = (uint8_t)(i % 250);
        wire_addr_inet(&s->routes[0].stable.endpoints[0].addr, false, ip, 80);
        assert_int_equal(flow_adopt(&f->flow, s), OK);
        assert_int_equal(count_pools(f), 2); /* of the long request, and of the present pod */
        if (i == 100)
            before = mallinfo2().uordblks;
    }
    assert_true(mallinfo2().uordblks < before + 4096);
    say(f, up, OK_2);
    assert_hears(client, "HTTP/1.1 200 OK\r\n", "ok");
    assert_int_equal(count_pools(f), 1);
    hang_up(f, client);
    (void)close(up);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_request_ends_where_it_began),
        TEST(idle_connections_close_at_once),
        TEST(no_endpoint_is_503),
        TEST(pods_that_went_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
