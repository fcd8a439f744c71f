/* PROXY headers before a client's own bytes: however they come, the client is who they say, and what follows is its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "flow_fixture.h"

#include "proxy/conf/address.h"

#define LINE    "PROXY TCP4 198.51.100.9 192.0.2.8 5000 80\r\n"
#define GET     "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
#define OK_2    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
#define LONGEST "fd00:1234:ffff:ffff:ffff:ffff:ffff:ffff"
#define V2_TCP  "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc6\x33\x64\x09\xc0\0\2\x08\x13\x88\0\x50"

static struct config_network networks[2];

/* The fixture's clients come from 192.0.2.7. */
static int setup_proxied(void **state)
{
    int result = setup(state);
    struct fixture *f = *state;
    static const char *trusted[] = {"10.0.0.0/8", "192.0.2.0/24"};
    f->route_conf.headers.forwarded = FORWARDED_X;
    f->listener_conf = (struct config_listener){
        .proxy_protocol = true, .trusted = {trusted, 2}, .networks = networks};
    networks[0] = (struct config_network){.ip = {10}, .bits = 8};
    networks[1] = (struct config_network){.ip = {192, 0, 2}, .bits = 24};
    return result;
}

static void send_bytes(struct fixture *f, int fd, const char *bytes, size_t len)
{
    assert_int_equal(send(fd, bytes, len, MSG_NOSIGNAL), len);
    settle(f);
}

/* The request that has come names this client; it is answered. */
static void assert_forwarded(struct fixture *f, int client, const char *address)
{
    char field[100];
    int up = called(f, ROLE_STABLE);
    assert_true(up >= 0);
    (void)hear(up);
    (void)snprintf(field, sizeof field, "\r\nX-Forwarded-For: %s\r\n", address);
    if (!strstr(heard, field))
        fail_msg("no %s in %s", field, heard);
    assert_null(strstr(heard, "PROXY"));
    say(f, up, OK_2);
    assert_hears(client, "HTTP/1.1 200 OK\r\n", "hi");
    (void)close(up);
}

static void assert_refused(struct fixture *f, int client, enum metric_client_error why)
{
    settle(f);
    assert_ended(client);
    assert_int_equal(called(f, ROLE_STABLE), -1);
    assert_int_equal(client_errors(f, why), 1);
    assert_int_equal(f->flow.n_clients, 0);
    (void)close(client);
}

static void the_header_says_who_the_client_is(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    say(f, client, LINE GET);
    assert_forwarded(f, client, "198.51.100.9");
    hang_up(f, client);
    client = client_open(f);
    send_bytes(f, client, V2_TCP GET, sizeof V2_TCP GET - 1);
    assert_forwarded(f, client, "198.51.100.9");
    hang_up(f, client);
    assert_int_equal(client_errors(f, CLIENT_ERROR_PROXY_HEADER), 0);
}

static void the_longest_address_stays_whole(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    say(f, client, "PROXY TCP6 " LONGEST " 2001:db8::1 5000 80\r\n" GET);
    assert_int_equal(sizeof LONGEST - 1, CLIENT_PEER_MAX);
    assert_forwarded(f, client, LONGEST);
    hang_up(f, client);
}

static void a_header_in_pieces_is_put_together(void **state)
{
    struct fixture *f = *state;
    static const struct slice wholes[] = {{LINE GET, sizeof LINE GET - 1},
                                          {V2_TCP GET, sizeof V2_TCP GET - 1}};
    for (unsigned i = 0; i < 2; i++)
        for (size_t step = 1; step < 60; step += 6) {
            int client = client_open(f);
            for (size_t at = 0; at < wholes[i].len; at += step)
                send_bytes(f, client, wholes[i].at + at,
                           wholes[i].len - at < step ? wholes[i].len - at : step);
            assert_forwarded(f, client, "198.51.100.9");
            hang_up(f, client);
        }
    assert_int_equal(f->flow.n_clients, 0);
}

static void a_header_without_an_address_leaves_the_peers(void **state)
{
    struct fixture *f = *state;
    static const struct slice headers[] = {
        {"PROXY UNKNOWN\r\n" GET, sizeof "PROXY UNKNOWN\r\n" GET - 1},
        {"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0" GET, sizeof "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0" GET - 1}};
    for (unsigned i = 0; i < 2; i++) {
        int client = client_open(f);
        send_bytes(f, client, headers[i].at, headers[i].len);
        assert_forwarded(f, client, "192.0.2.7");
        hang_up(f, client);
    }
}

static void one_header_serves_all_requests_of_a_connection(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    say(f, client, LINE GET);
    assert_forwarded(f, client, "198.51.100.9");
    say(f, client, GET);
    assert_forwarded(f, client, "198.51.100.9");
    say(f, client, LINE GET); /* no header any more, but no request either */
    assert_hears(client, "HTTP/1.1 400 ", "400 Bad Request\n");
    hang_up(f, client);
}

static void a_second_header_is_no_request(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    say(f, client, LINE LINE GET);
    assert_hears(client, "HTTP/1.1 400 ", "400 Bad Request\n");
    assert_int_equal(called(f, ROLE_STABLE), -1);
    hang_up(f, client);
}

static void what_is_no_header_is_refused(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    say(f, client, GET);
    assert_refused(f, client, CLIENT_ERROR_PROXY_HEADER);
    assert_int_equal(client_errors(f, CLIENT_ERROR_BAD_REQUEST), 0);
}

static void whoever_ends_within_a_header_is_let_go(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    say(f, client, "PROXY TCP4 198");
    hang_up(f, client);
    assert_int_equal(f->flow.n_clients, 0);
    assert_int_equal(client_errors(f, CLIENT_ERROR_PROXY_HEADER), 1);
    hang_up(f, client_open(f)); /* a balancer that looks whether the port is open */
    assert_int_equal(f->flow.n_clients, 0);
    assert_int_equal(client_errors(f, CLIENT_ERROR_PROXY_HEADER), 1);
}

static void a_header_comes_in_time_or_not_at_all(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    pass(f, 6000);
    say(f, client, "PROXY TCP4 198");
    pass(f, 3000);
    assert_silent(client);
    pass(f, 1100); /* client_header, from accept on: a byte now and then gains nothing */
    assert_refused(f, client, CLIENT_ERROR_PROXY_HEADER);
}

static void the_head_has_what_the_header_left_of_the_time(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    pass(f, 6000);
    say(f, client, LINE "GET / HT");
    pass(f, 3000);
    assert_silent(client);
    pass(f, 1100);
    assert_hears(client, "HTTP/1.1 408 ", "408 Request Timeout\n");
    hang_up(f, client);
}

static void an_untrusted_peer_is_refused_unread(void **state)
{
    struct fixture *f = *state;
    networks[1].ip[2] = 3; /* 192.0.3.0/24 */
    int client = client_open(f);
    (void)send(client, LINE GET, sizeof LINE GET - 1, MSG_NOSIGNAL);
    assert_refused(f, client, CLIENT_ERROR_UNTRUSTED);
    networks[0] = (struct config_network){.bits = 0, .is_v6 = true};
    client = client_open(f); /* all of IPv6 is none of IPv4 */
    settle(f);
    assert_ended(client);
    assert_int_equal(client_errors(f, CLIENT_ERROR_UNTRUSTED), 2);
    (void)close(client);
}

static void peers_over_a_unix_socket_are_trusted(void **state)
{
    struct fixture *f = *state;
    struct wire_addr unnamed;
    int fds[2];
    f->listener_conf.trusted.n = 0;
    assert_int_equal(wire_addr_unix(&unnamed, SLICE("/x")), OK);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    atomic_fetch_add(&f->shared.connections, 1);
    assert_true(client_accept(&f->flow, fds[0], &unnamed, 0, f->listener));
    say(f, fds[1], LINE GET);
    assert_forwarded(f, fds[1], "198.51.100.9");
    hang_up(f, fds[1]);
}

static void a_drain_waits_less_for_a_header_that_has_not_begun(void **state)
{
    struct fixture *f = *state;
    int silent = client_open(f), begun = client_open(f);
    say(f, begun, "PROXY TCP4 198.51.100.9");
    flow_drain(&f->flow, 30000, 30000);
    pass(f, FLOW_DRAIN_IDLE_MS - 1); /* as long as any that is idle */
    assert_silent(silent);
    pass(f, 1 + WHEEL_TICK_MS);
    assert_ended(silent);
    hang_up(f, silent);
    assert_int_equal(f->flow.n_clients, 1);
    assert_int_equal(client_errors(f, CLIENT_ERROR_PROXY_HEADER), 0);
    say(f, begun, " 192.0.2.8 5000 80\r\n" GET);
    assert_forwarded(f, begun, "198.51.100.9");
    hang_up(f, begun);
}

#define PROXIED(f) cmocka_unit_test_setup_teardown(f, setup_proxied, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROXIED(the_header_says_who_the_client_is),
        PROXIED(the_longest_address_stays_whole),
        PROXIED(a_header_in_pieces_is_put_together),
        PROXIED(a_header_without_an_address_leaves_the_peers),
        PROXIED(one_header_serves_all_requests_of_a_connection),
        PROXIED(a_second_header_is_no_request),
        PROXIED(what_is_no_header_is_refused),
        PROXIED(whoever_ends_within_a_header_is_let_go),
        PROXIED(a_header_comes_in_time_or_not_at_all),
        PROXIED(the_head_has_what_the_header_left_of_the_time),
        PROXIED(an_untrusted_peer_is_refused_unread),
        PROXIED(peers_over_a_unix_socket_are_trusted),
        PROXIED(a_drain_waits_less_for_a_header_that_has_not_begun),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
