/* Tunnels on the request path of flow_fixture.h. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_TESTS_FLOW_TUNNEL_H
#define SERIN_TESTS_FLOW_TUNNEL_H

#include "flow_fixture.h"
#include "proxy/flow/tunnel.h"

#define FIELDS  "Connection: Upgrade\r\nUpgrade: websocket\r\n"
#define UPGRADE "GET /chat HTTP/1.1\r\nHost: a.test\r\n" FIELDS "\r\n"
#define OK_101  "HTTP/1.1 101 Switching Protocols\r\n" FIELDS "\r\n"
#define OK_0    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
#define GET     "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"

/* One that is open: both ends are the test's. */
struct pair {
    int client, up;
};

static inline struct pair open_tunnel(struct fixture *f, enum metric_role role)
{
    struct pair p = {.client = client_open(f)};
    say(f, p.client, UPGRADE);
    p.up = called(f, role);
    assert_true(p.up >= 0);
    assert_message(hear(p.up), "GET /chat HTTP/1.1\r\n", "");
    say(f, p.up, OK_101);
    assert_hears(p.client, "HTTP/1.1 101 Switching Protocols\r\n", "");
    return p;
}

static inline uint64_t tunnels(const struct fixture *f, enum metric_role role)
{
    return cell_read(&cells(f, role)->tunnels);
}

static inline void assert_hears_bytes(int fd, const char *bytes)
{
    assert_true(slice_equal(hear(fd), slice_str(bytes)));
}

/* It goes both ways. */
static inline void assert_alive(struct fixture *f, struct pair p)
{
    say(f, p.client, "ping");
    assert_hears_bytes(p.up, "ping");
    say(f, p.up, "pong");
    assert_hears_bytes(p.client, "pong");
}

/* It has ended for both, and nothing is left of it but a client that closes in its own time. */
static inline void assert_over(struct fixture *f, struct pair p)
{
    assert_ended(p.client);
    assert_ended(p.up);
    (void)close(p.up);
    hang_up(f, p.client);
    assert_int_equal(f->flow.n_clients, 0);
    assert_true(list_empty(&f->flow.tunnels));
    assert_at_rest(f);
}

static inline void close_pair(struct fixture *f, struct pair p)
{
    hang_up(f, p.client);
    hang_up(f, p.up);
}

#endif
