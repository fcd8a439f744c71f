/* The TLS handshakes of clients: requests over TLS, deadlines, floods, and turns that stay short.
 * SPDX-License-Identifier: Apache-2.0 */
#include "flow_fixture.h"

#include "proxy/flow/handshake.h"
#include "tls_pair.h"

static struct tls_pair pair;
static SSL_CTX *contexts[1];

static int open_pair(void **state)
{
    (void)state;
    pair_open(&pair);
    contexts[0] = pair.server_ctx;
    return 0;
}

static int close_pair(void **state)
{
    (void)state;
    pair_close(&pair);
    return 0;
}

static int setup_tls(void **state)
{
    int result = setup(state);
    fixture.route_conf.headers.forwarded = FORWARDED_X;
    fixture.flow.world->snapshot->listener_tls = contexts;
    return result;
}

/* A client: OpenSSL on memory, and the socket. */
struct caller {
    int fd;
    SSL *ssl;
};

static struct caller call(struct fixture *f)
{
    struct caller c = {client_open(f), SSL_new(pair.client_ctx)};
    assert_non_null(c.ssl);
    SSL_set_bio(c.ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(c.ssl);
    return c;
}

static void leave(struct fixture *f, struct caller *c)
{
    SSL_free(c->ssl);
    hang_up(f, c->fd);
}

/* What the session has to send goes to the socket. Returns how many bytes. */
static size_t push(struct caller *c)
{
    char bytes[1u << 16];
    int n = BIO_read(SSL_get_wbio(c->ssl), bytes, sizeof bytes);
    if (n > 0)
        assert_int_equal(send(c->fd, bytes, (size_t)n, MSG_NOSIGNAL), n);
    return n > 0 ? (size_t)n : 0;
}

static void pull(struct caller *c)
{
    struct slice bytes = hear(c->fd);
    if (bytes.len)
        assert_int_equal(BIO_write(SSL_get_rbio(c->ssl), bytes.at, (int)bytes.len), bytes.len);
}

static void step(struct caller *c)
{
    if (SSL_do_handshake(c->ssl) != 1)
        ERR_clear_error();
}

static void hello(struct caller *c)
{
    step(c);
    assert_true(push(c) > 0);
}

/* What follows the hello. */
static void shake_on(struct fixture *f, struct caller *c)
{
    settle(f);
    pull(c);
    step(c);
    (void)push(c);
    settle(f);
    pull(c);
    assert_true(SSL_is_init_finished(c->ssl));
}

static void shake_hands(struct fixture *f, struct caller *c)
{
    hello(c);
    shake_on(f, c);
}

static void say_tls(struct fixture *f, struct caller *c, const char *text)
{
    size_t n;
    assert_int_equal(SSL_write_ex(c->ssl, text, strlen(text), &n), 1);
    (void)push(c);
    settle(f);
}

/* What has come is a message, as assert_hears has it; what SSL_get_error says of the read behind it is returned. */
static int hears_tls(struct caller *c, const char *first, const char *body)
{
    static char text[1u << 18];
    size_t len = 0, n;
    pull(c);
    while (SSL_read_ex(c->ssl, text + len, sizeof text - 1 - len, &n) == 1)
        len += n;
    int error = SSL_get_error(c->ssl, 0);
    ERR_clear_error();
    text[len] = '\0';
    assert_message(slice_of(text, len), first, body);
    return error;
}

static uint64_t handshakes(const struct fixture *f, bool is_1_3, bool is_resumed)
{
    return cell_read(&f->listener->tls_handshakes[is_1_3][is_resumed]);
}

#define GET   "GET / HTTP/1.1\r\nHost: shop\r\n\r\n"
#define REPLY "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"

static void answer(struct fixture *f, int up)
{
    struct slice request = hear(up);
    assert_true(slice_starts(request, SLICE("GET / HTTP/1.1\r\n")));
    assert_non_null(strstr(request.at, "\r\nX-Forwarded-Proto: https\r\n"));
    say(f, up, REPLY);
}

static void requests_go_through(void **state)
{
    struct fixture *f = *state;
    struct caller c = call(f);
    shake_hands(f, &c);
    assert_int_equal(handshakes(f, true, false), 1);
    say_tls(f, &c, GET);
    int up = called(f, ROLE_STABLE);
    for (unsigned i = 0; i < 3; i++) {
        answer(f, up);
        assert_int_equal(hears_tls(&c, "HTTP/1.1 200 ", "hi"), SSL_ERROR_WANT_READ);
        say_tls(f, &c, GET);
    }
    answer(f, up);
    (void)SSL_shutdown(c.ssl);
    (void)push(&c);
    settle(f);
    assert_int_equal(f->flow.n_clients, 0); /* close_notify is an end, without one of the socket */
    assert_int_equal(requests(f, ROLE_STABLE, 200), 4);
    leave(f, &c);
    (void)close(up);
}

/* The request comes with the last flight, in one recv. */
static void a_request_behind_the_handshake_is_served(void **state)
{
    struct fixture *f = *state;
    struct caller c = call(f);
    hello(&c);
    settle(f);
    pull(&c);
    step(&c);
    say_tls(f, &c, GET);
    int up = called(f, ROLE_STABLE);
    answer(f, up);
    assert_int_equal(hears_tls(&c, "HTTP/1.1 200 ", "hi"), SSL_ERROR_WANT_READ);
    leave(f, &c);
    (void)close(up);
}

static void a_last_response_ends_with_a_word(void **state)
{
    struct fixture *f = *state;
    struct caller c = call(f);
    shake_hands(f, &c);
    say_tls(f, &c, "GET / HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n");
    int up = called(f, ROLE_STABLE);
    answer(f, up);
    assert_int_equal(hears_tls(&c, "HTTP/1.1 200 ", "hi"), SSL_ERROR_ZERO_RETURN);
    leave(f, &c);
    (void)close(up);
}

/* ---- those that fail ---- */

static void plain_http_is_answered_in_plain(void **state)
{
    struct fixture *f = *state;
    int fd = client_open(f);
    say(f, fd, GET);
    assert_hears(fd, "HTTP/1.1 400 Bad Request\r\n",
                 "400 Bad Request: this port speaks TLS (https)\n");
    assert_ended(fd);
    assert_int_equal(client_errors(f, CLIENT_ERROR_BAD_REQUEST), 1);
    assert_int_equal(client_errors(f, CLIENT_ERROR_TLS_HANDSHAKE), 0);
    hang_up(f, fd);
    assert_int_equal(f->flow.n_clients, 0);
}

static void garbage_gets_an_alert(void **state)
{
    struct fixture *f = *state;
    int fd = client_open(f);
    say(f, fd, "\x16\x03\x01GET / HTTP/1.1\r\n\r\n");
    struct slice alert = hear(fd);
    assert_int_equal(alert.len, 7);
    assert_int_equal(alert.at[0], SSL3_RT_ALERT);
    assert_ended(fd);
    assert_int_equal(client_errors(f, CLIENT_ERROR_TLS_HANDSHAKE), 1);
    assert_int_equal(f->flow.n_clients, 0);
    (void)close(fd);
}

/* A balancer that asks whether the port is open is no failure; who leaves in the middle is one. */
static void only_who_began_counts(void **state)
{
    struct fixture *f = *state;
    int fd = client_open(f);
    settle(f);
    hang_up(f, fd);
    assert_int_equal(f->flow.n_clients, 0);
    assert_int_equal(client_errors(f, CLIENT_ERROR_TLS_HANDSHAKE), 0);
    struct caller c = call(f);
    hello(&c);
    settle(f);
    leave(f, &c);
    assert_int_equal(f->flow.n_clients, 0);
    assert_int_equal(client_errors(f, CLIENT_ERROR_TLS_HANDSHAKE), 1);
}

static void silence_is_cut(void **state)
{
    struct fixture *f = *state;
    int fd = client_open(f);
    pass(f, 9000);
    assert_silent(fd);
    assert_null(CONTAINER_OF(f->flow.clients.next, struct client, link)
                    ->stream.tls); /* and costs nothing */
    pass(f, 2000);
    assert_ended(fd);
    assert_int_equal(client_errors(f, CLIENT_ERROR_TLS_TIMEOUT), 1);
    (void)close(fd);
}

/* A byte now and then buys no time. */
static void a_slow_handshake_is_cut(void **state)
{
    struct fixture *f = *state;
    struct caller c = call(f);
    char byte;
    step(&c);
    for (unsigned i = 0; i < 9; i++) {
        pass(f, 1000);
        assert_int_equal(BIO_read(SSL_get_wbio(c.ssl), &byte, 1), 1);
        assert_int_equal(send(c.fd, &byte, 1, MSG_NOSIGNAL), 1);
        settle(f);
        assert_silent(c.fd);
    }
    pass(f, 2000);
    assert_ended(c.fd);
    assert_int_equal(client_errors(f, CLIENT_ERROR_TLS_TIMEOUT), 1);
    leave(f, &c);
}

/* The time of the first head has run since accept: a handshake that took most of it leaves the rest. */
static void a_handshake_buys_no_time_for_the_head(void **state)
{
    struct fixture *f = *state;
    struct caller c = call(f);
    pass(f, 8000);
    shake_hands(f, &c);
    pass(f, 3000);
    assert_int_equal(f->flow.n_clients, 0);
    assert_int_equal(client_errors(f, CLIENT_ERROR_TLS_TIMEOUT), 0);
    leave(f, &c);
}

static void a_flood_of_key_updates_is_ended(void **state)
{
    struct fixture *f = *state;
    struct caller c = call(f);
    shake_hands(f, &c);
    for (unsigned i = 0; i < 2000; i++) {
        assert_int_equal(SSL_key_update(c.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        assert_int_equal(SSL_do_handshake(c.ssl), 1);
    }
    (void)push(&c);
    settle(f);
    assert_int_equal(f->flow.n_clients, 0);
    assert_int_equal(client_errors(f, CLIENT_ERROR_TLS_FLOOD), 1);
    leave(f, &c);
}

/* ---- fairness ---- */

#define CROWD 10u

static void one_turn(struct fixture *f)
{
    (void)event_base_loop(f->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

static unsigned answered(const struct caller callers[])
{
    unsigned n = 0;
    char byte;
    for (unsigned i = 0; i < CROWD; i++)
        n += recv(callers[i].fd, &byte, 1, MSG_PEEK) == 1;
    return n;
}

/* All hellos are there at once: a turn takes its few, in the order of their coming, and nothing is forgotten. */
static void a_turn_takes_few_steps(void **state)
{
    struct fixture *f = *state;
    struct caller callers[CROWD];
    for (unsigned i = 0; i < CROWD; i++) {
        callers[i] = call(f);
        hello(&callers[i]);
    }
    unsigned before = 0;
    for (unsigned turns = 0; before < CROWD && turns < 20; turns++) {
        one_turn(f);
        unsigned now = answered(callers);
        assert_in_range(now - before, 0, HANDSHAKE_STEPS);
        before = now;
    }
    assert_int_equal(before, CROWD);
    for (unsigned i = 0; i < CROWD; i++) {
        pull(&callers[i]);
        step(&callers[i]);
        (void)push(&callers[i]);
    }
    settle(f);
    assert_int_equal(handshakes(f, true, false), CROWD);
    for (unsigned i = 0; i < CROWD; i++)
        leave(f, &callers[i]);
}

/* Of a larger crowd those behind the first are not told of again and again; they take their turn all the same. */
static void a_large_crowd_rests(void **state)
{
    struct fixture *f = *state;
    static struct caller callers[2 * HANDSHAKE_ARMED_MAX];
    unsigned n_resting = 0;
    for (unsigned i = 0; i < ARRAY_LEN(callers); i++) {
        callers[i] = call(f);
        hello(&callers[i]);
    }
    for (unsigned turns = 0; n_resting == 0 && turns < 20; turns++) {
        one_turn(f);
        for (struct list *l = f->flow.clients.next; l != &f->flow.clients; l = l->next)
            n_resting += !CONTAINER_OF(l, struct client, link)->stream.is_reading;
    }
    assert_in_range(n_resting, 1, f->flow.handshakes.n_waiting);
    for (unsigned i = 0; i < ARRAY_LEN(callers); i++)
        shake_on(f, &callers[i]);
    assert_int_equal(handshakes(f, true, false), ARRAY_LEN(callers));
    assert_int_equal(f->flow.handshakes.n_waiting, 0);
    for (unsigned i = 0; i < ARRAY_LEN(callers); i++)
        leave(f, &callers[i]);
}

/* Who is served already is served between the steps of a crowd. */
static void a_crowd_does_not_stop_the_others(void **state)
{
    struct fixture *f = *state;
    struct caller callers[CROWD], first = call(f);
    shake_hands(f, &first);
    for (unsigned i = 0; i < CROWD; i++) {
        callers[i] = call(f);
        hello(&callers[i]);
    }
    size_t n;
    assert_int_equal(SSL_write_ex(first.ssl, GET, strlen(GET), &n), 1);
    (void)push(&first);
    one_turn(f);
    int up = called(f, ROLE_STABLE);
    assert_true(up >= 0);
    assert_in_range(answered(callers), 0, HANDSHAKE_STEPS);
    settle(f);
    for (unsigned i = 0; i < CROWD; i++)
        leave(f, &callers[i]);
    leave(f, &first);
    (void)close(up);
}

/* Their time runs out, and some leave, while they wait for a step. */
static void who_waits_for_a_step_may_end(void **state)
{
    struct fixture *f = *state;
    struct caller callers[CROWD];
    for (unsigned i = 0; i < CROWD; i++) {
        callers[i] = call(f);
        hello(&callers[i]);
    }
    one_turn(f);
    assert_false(list_empty(&f->flow.handshakes.waiting));
    fake_now_us += 11000000;
    event_active(&f->flow.tick, EV_TIMEOUT, 0);
    settle(f);
    assert_int_equal(f->flow.n_clients, 0);
    assert_true(list_empty(&f->flow.handshakes.waiting));
    for (unsigned i = 0; i < CROWD; i++)
        leave(f, &callers[i]);
}

#define TLS_TEST(f) cmocka_unit_test_setup_teardown(f, setup_tls, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TLS_TEST(requests_go_through),
        TLS_TEST(a_request_behind_the_handshake_is_served),
        TLS_TEST(a_last_response_ends_with_a_word),
        TLS_TEST(plain_http_is_answered_in_plain),
        TLS_TEST(garbage_gets_an_alert),
        TLS_TEST(only_who_began_counts),
        TLS_TEST(silence_is_cut),
        TLS_TEST(a_slow_handshake_is_cut),
        TLS_TEST(a_handshake_buys_no_time_for_the_head),
        TLS_TEST(a_flood_of_key_updates_is_ended),
        TLS_TEST(a_turn_takes_few_steps),
        TLS_TEST(a_large_crowd_rests),
        TLS_TEST(a_crowd_does_not_stop_the_others),
        TLS_TEST(who_waits_for_a_step_may_end),
    };
    return cmocka_run_group_tests(tests, open_pair, close_pair);
}
