/* TLS on a stream: what travels in one packet with what. A ticket with the first answer, the end with the last one.
 * SPDX-License-Identifier: Apache-2.0 */
#include "wire_tls.h"

static SSL_SESSION *ticket; /* the last one that the peer got */
static unsigned n_tickets;

static int on_ticket(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    SSL_SESSION_free(ticket);
    ticket = session;
    n_tickets++;
    return 1;
}

static int open_with_tickets(void **state)
{
    (void)open_pair(state);
    SSL_CTX_set_session_cache_mode(pair.client_ctx,
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
    SSL_CTX_sess_set_new_cb(pair.client_ctx, on_ticket);
    return 0;
}

static int close_with_tickets(void **state)
{
    SSL_SESSION_free(ticket);
    return close_pair(state);
}

/* The stream serves a peer, which brings this ticket, and has answered it. */
static void visit(struct fixture *f, SSL_SESSION *with)
{
    serve(f, TLS1_3_VERSION);
    if (with)
        assert_int_equal(SSL_set_session(peer, with), 1);
    shake_hands(f);
    assert_int_equal(tls_is_resumed(&f->s), with != NULL);
    assert_int_equal(peer_fill(f), 0); /* nothing comes before the answer */
    assert_int_equal(say(f, "answer", 6), STREAM_OK);
    assert_peer_gets(f, "answer");
}

static void a_ticket_comes_with_the_first_answer(void **state)
{
    struct fixture *f = *state;
    n_tickets = 0;
    visit(f, NULL);
    assert_int_equal(n_tickets, 1);
    uint64_t before = f->s.sent;
    assert_int_equal(say(f, "another", 7), STREAM_OK);
    assert_int_equal(f->s.sent - before, 5 + 7 + 17); /* one record */
    assert_peer_gets(f, "another");
    assert_int_equal(n_tickets, 1);
}

/* A ticket is shown once: whoever comes back with it gets the next one. */
static void a_resumed_session_gets_one_too(void **state)
{
    struct fixture *f = *state;
    int fds[2];
    n_tickets = 0;
    visit(f, NULL);
    for (unsigned i = 1; i <= 3; i++) {
        SSL_SESSION *with = ticket;
        ticket = NULL;
        stream_close(&f->s);
        (void)close(f->peer);
        SSL_set_shutdown(peer, SSL_SENT_SHUTDOWN); /* or its session would not be resumed */
        SSL_free(peer);
        event_base_free(f->base);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
        assert_int_equal(start(f, fds), 0);
        visit(f, with);
        assert_int_equal(n_tickets, 1 + i);
        SSL_SESSION_free(with);
    }
}

static void where_there_are_none_none_comes(void **state)
{
    struct fixture *f = *state;
    n_tickets = 0;
    (void)SSL_CTX_set_options(pair.server_ctx, SSL_OP_NO_TICKET);
    visit(f, NULL);
    (void)SSL_CTX_clear_options(pair.server_ctx, SSL_OP_NO_TICKET);
    assert_int_equal(n_tickets, 0);
}

static void version_1_2_has_its_ticket_in_the_handshake(void **state)
{
    struct fixture *f = *state;
    n_tickets = 0;
    serve(f, TLS1_2_VERSION);
    shake_hands(f);
    uint64_t before = f->s.sent;
    assert_int_equal(say(f, "answer", 6), STREAM_OK);
    assert_int_equal(f->s.sent - before, 5 + 6 + 24);
    assert_peer_gets(f, "answer");
    assert_int_equal(n_tickets, 1);
}

/* close_notify is in the send of the last bytes: nothing more leaves, however the stream ends. */
static void the_last_bytes_bring_the_end(void **state)
{
    for (unsigned is_closed = 0; is_closed < 2; is_closed++) {
        struct fixture *f = *state;
        size_t n;
        char byte;
        visit(f, NULL);
        stream_expect_end(&f->s);
        assert_int_equal(say(f, "bye", 3), STREAM_OK);
        uint64_t sent = f->s.sent;
        assert_true(stream_end(&f->s));
        assert_int_equal(f->s.sent, sent);
        if (is_closed)
            stream_close(&f->s);
        assert_peer_gets(f, "bye");
        assert_int_equal(peer_takes(&byte, 1, &n), SSL_ERROR_ZERO_RETURN);
        (void)end_tls(state);
        assert_int_equal(is_closed ? setup_unix(state) : setup_tcp(state), 0);
    }
}

/* The last bytes are more than the kernel takes: what waits has the end behind it. */
static void the_end_waits_with_the_last_bytes(void **state)
{
    struct fixture *f = *state;
    size_t n, read = 0;
    visit(f, NULL);
    fill_big(0);
    stream_expect_end(&f->s);
    assert_int_equal(say(f, big, BIG), STREAM_PENDING);
    assert_true(stream_end(&f->s));
    int error = 0;
    for (unsigned ms = 0; error != SSL_ERROR_ZERO_RETURN && ms < PATIENCE_MS; ms++) {
        struct pollfd p = {.fd = f->peer, .events = POLLIN};
        (void)poll(&p, 1, 1);
        (void)peer_fill(f);
        while ((error = peer_takes(got, sizeof got, &n)) == 0)
            read += n;
        turn(f);
    }
    assert_int_equal(error, SSL_ERROR_ZERO_RETURN);
    assert_int_equal(read, BIG);
    assert_rests(f);
}

/* A step of a handshake takes long: it is not what others' answers wait for. To read of a session is no such step. */
static void what_waits_leaves_before_a_handshake_alone(void **state)
{
    struct fixture *f = *state;
    struct burst burst;
    struct stream other;
    struct iovec answer = {(char *)(uintptr_t) "answer", 6};
    char at[8];
    int fds[2];
    burst_init(&burst, f->base);
    assert_true(burst_begin(&burst));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    stream_init(&other, f->base, fds[0], on_read, on_write, f);
    stream_join(&other, &burst);
    stream_join(&f->s, &burst);
    serve(f, TLS1_3_VERSION);
    peer_step();
    (void)peer_flush(f, SIZE_MAX);
    stream_wake(&f->s); /* something follows in this turn */
    assert_int_equal(stream_send_soon(&other, &answer, 1), STREAM_OK);
    assert_int_not_equal(other.place, 0);
    assert_int_equal(stream_recv(&f->s, in, sizeof in), STREAM_AGAIN);
    assert_int_equal(other.place, 0);
    assert_int_equal(recv(fds[1], at, sizeof at, 0), 6);
    shake_hands(f);
    peer_sends(f, "question");
    stream_wake(&f->s);
    assert_int_equal(stream_send_soon(&other, &answer, 1), STREAM_OK);
    assert_int_equal(stream_recv(&f->s, in, sizeof in), 8);
    assert_int_not_equal(other.place, 0);
    assert_int_equal(recv(fds[1], at, sizeof at, 0), -1);
    stream_close(&other);
    stream_close(&f->s);
    (void)close(fds[1]);
    burst_end(&burst);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TLS_ON_UNIX(a_ticket_comes_with_the_first_answer),
        TLS_ON_UNIX(a_resumed_session_gets_one_too),
        TLS_ON_UNIX(where_there_are_none_none_comes),
        TLS_ON_UNIX(version_1_2_has_its_ticket_in_the_handshake),
        TLS_ON_UNIX(the_last_bytes_bring_the_end),
        TLS_ON_TCP(the_end_waits_with_the_last_bytes),
        TLS_ON_UNIX(what_waits_leaves_before_a_handshake_alone),
    };
    return cmocka_run_group_tests(tests, open_with_tickets, close_with_tickets);
}
