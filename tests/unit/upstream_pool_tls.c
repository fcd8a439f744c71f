/* A pool under TLS: whom it belongs to, what its handshakes come to, sessions that are resumed, and tickets at any time.
 * SPDX-License-Identifier: Apache-2.0 */
#include "upstream_pool.h"

#include "tls_pair.h"

#include "proxy/wire/tls.h"

static struct tls_pair pair;
static SSL_CTX *other_ctx; /* of a client like pair.client_ctx */

static int open_pair(void **state)
{
    (void)state;
    pair_open(&pair);
    other_ctx = pair_context(TLS_client_method(), NULL, &pair.ca);
    SSL_CTX_set_verify(other_ctx, SSL_VERIFY_PEER, NULL);
    sessions_prepare(pair.client_ctx);
    sessions_prepare(other_ctx);
    return 0;
}

static int close_pair(void **state)
{
    (void)state;
    SSL_CTX_free(other_ctx);
    pair_close(&pair);
    return 0;
}

static struct pool *hold(struct fixture *f, SSL_CTX *ctx, const char *name)
{
    const struct dial_tls tls = {ctx, name};
    struct pool *p = pool_hold(&f->upstream, &f->addr, &tls);
    assert_non_null(p);
    return p;
}

/* The other end of a connection. */
struct server {
    int fd;
    SSL *ssl;
};

static void drop(struct server *s)
{
    SSL_free(s->ssl);
    (void)close(s->fd);
}

/* A connection of p for o, and its other end, up to where its handshake is decided. */
static struct server shake_hands(struct fixture *f, struct pool *p, struct owner *o)
{
    struct server s;
    *o = (struct owner){.connected = 0};
    o->conn = pool_dial(p, o);
    assert_non_null(o->conn);
    await(f->listener, POLLIN);
    s.fd = accept4(f->listener, NULL, NULL, SOCK_NONBLOCK);
    s.ssl = SSL_new(pair.server_ctx);
    assert_true(s.fd >= 0 && s.ssl && SSL_set_fd(s.ssl, s.fd));
    SSL_set_accept_state(s.ssl);
    for (unsigned i = 0; i < 1000 && !(SSL_is_init_finished(s.ssl) && o->connected) && !o->failed;
         i++) {
        struct pollfd both[] = {{.fd = o->conn->stream.fd, .events = POLLIN},
                                {.fd = s.fd, .events = POLLIN}};
        turn(f);
        if (SSL_do_handshake(s.ssl) != 1)
            ERR_clear_error();
        if (!o->connected && !o->failed)
            (void)poll(both, 2, 100);
    }
    assert_int_equal(o->connected + o->failed, 1);
    return s;
}

/* The same where the handshake succeeds. resumed: it did so from a session. */
static struct server connect_tls(struct fixture *f, struct pool *p, struct owner *o, bool resumed)
{
    struct server s = shake_hands(f, p, o);
    assert_int_equal(o->connected, 1);
    assert_int_equal(tls_is_resumed(&o->conn->stream), resumed);
    assert_int_equal(p->n_connecting, 0);
    return s;
}

/* What the server has said waits for the client. */
static void say(struct server *s, struct owner *o, const char *text)
{
    assert_int_equal(SSL_write(s->ssl, text, (int)strlen(text)), strlen(text));
    await(o->conn->stream.fd, POLLIN);
}

/* A ticket goes out by itself. */
static void send_ticket(struct server *s, const struct upstream_conn *c)
{
    assert_int_equal(SSL_new_session_ticket(s->ssl), 1);
    assert_int_equal(SSL_do_handshake(s->ssl), 1);
    await(c->stream.fd, POLLIN);
}

/* Reads, as a request would, what came behind the handshake. */
static void read_tickets(struct owner *o)
{
    char in[TLS_RECV_BYTES];
    await(o->conn->stream.fd, POLLIN);
    assert_int_equal(stream_recv(&o->conn->stream, in, sizeof in), STREAM_AGAIN);
}

static void pools_are_told_apart(void **state)
{
    struct fixture *f = *state;
    struct pool *a = hold(f, pair.client_ctx, "localhost");
    struct pool *pools[] = {a, hold(f, pair.client_ctx, NULL), hold(f, pair.client_ctx, "other"),
                            hold(f, other_ctx, "localhost"), f->pool};
    char name[] = "localhost"; /* the same words, elsewhere */
    for (unsigned i = 0; i < 5; i++)
        for (unsigned k = 0; k < i; k++)
            assert_ptr_not_equal(pools[i], pools[k]);
    assert_ptr_equal(hold(f, pair.client_ctx, name), a);
    assert_int_equal(a->holders, 2);
    pool_release(a);
    for (unsigned i = 0; i < 4; i++)
        pool_release(pools[i]);
}

static void a_pool_keeps_its_context(void **state)
{
    struct fixture *f = *state;
    struct owner o;
    SSL_CTX *ctx = pair_context(TLS_client_method(), NULL, &pair.ca);
    struct pool *p = hold(f, ctx, "localhost");
    SSL_CTX_free(ctx); /* the configuration is gone */
    struct server s = connect_tls(f, p, &o, false);
    pool_close(o.conn);
    drop(&s);
    pool_release(p);
}

static void what_does_not_verify_is_no_connection(void **state)
{
    struct fixture *f = *state;
    struct owner o;
    static const struct {
        const char *name;
        bool ok;
    } rows[] = {{"localhost", true},
                {"127.0.0.1", true},
                {NULL, true},
                {"else", false},
                {"127.0.0.2", false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct pool *p = hold(f, pair.client_ctx, rows[i].name);
        struct server s = shake_hands(f, p, &o);
        assert_int_equal(o.connected, rows[i].ok);
        assert_int_equal(p->n_connecting, 0);
        if (!rows[i].ok) {
            assert_int_equal(o.failure, EPROTO);
            assert_int_equal(tls_failure(&o.conn->stream), TLS_FAILED_CERTIFICATE);
            assert_true(tls_why(&o.conn->stream)[0]);
        }
        const char *sent = SSL_get_servername(s.ssl, TLSEXT_NAMETYPE_host_name);
        bool is_name = rows[i].name && rows[i].name[0] > '9';
        assert_string_equal(sent ? sent : "none", is_name ? rows[i].name : "none");
        pool_close(o.conn);
        drop(&s);
        pool_release(p);
    }
}

static void sessions_serve_once_and_few_are_kept(void **state)
{
    struct fixture *f = *state;
    struct owner o;
    struct pool *p = hold(f, pair.client_ctx, "localhost"), *q = hold(f, other_ctx, "localhost");
    for (unsigned i = 0; i < 3; i++) {
        struct server s = connect_tls(f, p, &o, i > 0);
        size_t before = p->sessions.n;
        read_tickets(&o);
        assert_true(p->sessions.n > before && p->sessions.n <= SESSIONS_MAX);
        pool_close(o.conn);
        drop(&s);
    }
    struct server s = connect_tls(f, p, &o, true);
    for (unsigned i = 0; i < 3 * SESSIONS_MAX; i++) {
        send_ticket(&s, o.conn);
        read_tickets(&o);
    }
    assert_int_equal(p->sessions.n, SESSIONS_MAX);
    pool_close(o.conn);
    drop(&s);
    /* where what is given is not read each serves once, but the last one */
    for (unsigned i = 0; i < 2 * SESSIONS_MAX; i++) {
        s = connect_tls(f, p, &o, true);
        assert_int_equal(p->sessions.n, i + 1 < SESSIONS_MAX ? SESSIONS_MAX - 1 - i : 1);
        pool_close(o.conn);
        drop(&s);
    }
    s = connect_tls(f, q, &o, false); /* another identity never resumes them */
    pool_close(o.conn);
    drop(&s);
    pool_release(p);
    pool_release(q);
}

static void a_ticket_on_an_idle_connection_does_no_harm(void **state)
{
    struct fixture *f = *state;
    struct owner o, next = {.connected = 0};
    struct pool *p = hold(f, pair.client_ctx, "localhost");
    struct server s = connect_tls(f, p, &o, false);
    struct upstream_conn *c = o.conn;
    pool_put(c, NOW_US, false); /* those of the handshake have not been read yet */
    for (unsigned i = 0; i < 3; i++) {
        await(c->stream.fd, POLLIN);
        turn(f);
        assert_int_equal(p->n_idle, 1);
        send_ticket(&s, c);
    }
    turn(f);
    assert_true(p->sessions.n > 2);
    assert_ptr_equal(pool_take(p, &next, NOW_US), c);
    assert_true(c->is_reused);
    next.conn = c;
    say(&s, &next, "an answer");
    turn(f);
    assert_int_equal(next.readable, 1);
    pool_close(c);
    drop(&s);
    pool_release(p);
}

/* The first callback of a turn takes from the pool, whose connection the loop has seen readable in that turn. */
struct taker {
    struct owner owner;
    struct pool *pool;
    struct owner user;
    struct upstream_conn *got;
};

static void take_now(struct owner *o)
{
    struct taker *t = CONTAINER_OF(o, struct taker, owner);
    char byte;
    (void)!read(o->conn->stream.fd, &byte, 1);
    t->got = pool_take(t->pool, &t->user, NOW_US);
}

enum deed { TICKET, DATA, END, CUT, DEEDS };

static void what_the_loop_has_seen_is_looked_at(void **state)
{
    struct fixture *f = *state;
    for (unsigned deed = TICKET; deed < DEEDS; deed++) {
        struct taker t = {.owner = {.connected = 0}};
        int trigger = connect_new(f, &t.owner);
        struct owner o;
        struct pool *p = hold(f, pair.client_ctx, "localhost");
        struct server s = connect_tls(f, p, &o, false);
        read_tickets(&o);
        t.pool = p;
        t.owner.on_readable = take_now;
        assert_int_equal(event_priority_set(&t.owner.conn->stream.read, 0), 0); /* it comes first */
        stream_read_on(&t.owner.conn->stream);
        pool_put(o.conn, NOW_US, deed == DATA);
        assert_int_equal(send(trigger, "x", 1, 0), 1);
        await(t.owner.conn->stream.fd, POLLIN);
        if (deed == TICKET)
            assert_int_equal(SSL_new_session_ticket(s.ssl) && SSL_do_handshake(s.ssl), 1);
        else if (deed == DATA)
            assert_int_equal(SSL_write(s.ssl, "late", 4), 4);
        else if (deed == END)
            assert_true(SSL_shutdown(s.ssl) >= 0);
        else
            (void)shutdown(s.fd, SHUT_WR);
        await(o.conn->stream.fd, POLLIN);
        turn(f);
        if (deed == TICKET && t.got)
            pool_close(t.got);
        else if (deed == TICKET)
            fail_msg("a connection with a ticket was not taken");
        else
            assert_null(t.got);
        assert_int_equal(p->n_idle, 0);
        pool_close(t.owner.conn);
        (void)close(trigger);
        drop(&s);
        pool_release(p);
    }
}

static void data_or_an_end_on_an_idle_connection_closes_it(void **state)
{
    struct fixture *f = *state;
    for (unsigned deed = DATA; deed < DEEDS; deed++) {
        struct owner o;
        struct pool *p = hold(f, pair.client_ctx, "localhost");
        struct server s = connect_tls(f, p, &o, false);
        read_tickets(&o);
        pool_put(o.conn, NOW_US, false);
        if (deed == DATA)
            assert_int_equal(SSL_write(s.ssl, "late", 4), 4);
        else if (deed == END)
            assert_true(SSL_shutdown(s.ssl) >= 0);
        else
            (void)shutdown(s.fd, SHUT_WR);
        await(o.conn->stream.fd, POLLIN);
        turn(f);
        assert_int_equal(p->n_idle, 0);
        assert_int_equal(p->n_open, 0);
        drop(&s);
        pool_release(p);
    }
}

/* The answer and what ends the connection come at once: it goes to the pool, and serves nobody there. */
static void an_end_behind_the_answer_is_not_lost(void **state)
{
    struct fixture *f = *state;
    struct owner o, next = {.connected = 0};
    char in[TLS_RECV_BYTES];
    struct pool *p = hold(f, pair.client_ctx, "localhost");
    struct server s = connect_tls(f, p, &o, false);
    read_tickets(&o);
    say(&s, &o, "answer");
    assert_true(SSL_shutdown(s.ssl) >= 0);
    assert_int_equal(stream_recv(&o.conn->stream, in, sizeof in), 6);
    pool_put(o.conn, NOW_US, false);
    assert_null(pool_take(p, &next, NOW_US));
    assert_int_equal(p->n_idle, 0);
    drop(&s);
    pool_release(p);
}

#define ON_A_POOL(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        ON_A_POOL(pools_are_told_apart),
        ON_A_POOL(a_pool_keeps_its_context),
        ON_A_POOL(what_does_not_verify_is_no_connection),
        ON_A_POOL(sessions_serve_once_and_few_are_kept),
        ON_A_POOL(a_ticket_on_an_idle_connection_does_no_harm),
        ON_A_POOL(what_the_loop_has_seen_is_looked_at),
        ON_A_POOL(data_or_an_end_on_an_idle_connection_closes_it),
        ON_A_POOL(an_end_behind_the_answer_is_not_lost),
    };
    return cmocka_run_group_tests(tests, open_pair, close_pair);
}
