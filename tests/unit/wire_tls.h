/* A stream with TLS and its peer, which is OpenSSL on memory and a plain socket, so that a test says which bytes go when.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_TESTS_WIRE_TLS_H
#define SERIN_TESTS_WIRE_TLS_H

#include "wire_stream.h"

#include "tls_pair.h"

#include "proxy/wire/tls.h"

static struct tls_pair pair;
static SSL *peer; /* the other side of fixture.s */
static char in[TLS_RECV_BYTES], wire_bytes[1u << 16];

static inline int open_pair(void **state)
{
    (void)state;
    pair_open(&pair);
    return 0;
}

static inline int close_pair(void **state)
{
    (void)state;
    pair_close(&pair);
    return 0;
}

static inline int end_tls(void **state)
{
    SSL_free(peer);
    peer = NULL;
    int result = teardown(state);
    assert_int_equal(ERR_peek_error(),
                     0); /* whatever happened: the queue of the thread is used up */
    return result;
}

static inline void make_peer(SSL_CTX *ctx, enum tls_side side)
{
    peer = SSL_new(ctx);
    assert_non_null(peer);
    SSL_set_bio(peer, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    if (side == TLS_SERVER)
        SSL_set_accept_state(peer);
    else
        SSL_set_connect_state(peer);
}

/* The stream is the server; the peer a client with this newest version. */
static inline void serve(struct fixture *f, int version)
{
    assert_int_equal(stream_start_tls(&f->s, pair.server_ctx, TLS_SERVER, NULL), OK);
    make_peer(pair.client_ctx, TLS_CLIENT);
    (void)SSL_set_max_proto_version(peer, version);
}

/* The stream is a client that looks for this name; the peer the server. */
static inline void call(struct fixture *f, const char *name)
{
    assert_int_equal(stream_start_tls(&f->s, pair.client_ctx, TLS_CLIENT, name), OK);
    make_peer(pair.server_ctx, TLS_SERVER);
}

/* What the peer's session wants sent goes to its socket, at most so many bytes of it. Returns how many. */
static inline size_t peer_flush(struct fixture *f, size_t most)
{
    int n = BIO_read(SSL_get_wbio(peer), wire_bytes,
                     (int)(most < sizeof wire_bytes ? most : sizeof wire_bytes));
    if (n <= 0)
        return 0;
    assert_int_equal(send(f->peer, wire_bytes, (size_t)n, MSG_NOSIGNAL), n);
    await(f->s.fd, POLLIN);
    return (size_t)n;
}

/* What has come at the peer's socket goes to its session. Returns how many bytes. */
static inline size_t peer_fill(struct fixture *f)
{
    size_t all = 0, n;
    while ((n = peer_reads(f, wire_bytes, sizeof wire_bytes)) > 0) {
        assert_int_equal(BIO_write(SSL_get_rbio(peer), wire_bytes, (int)n), n);
        all += n;
    }
    return all;
}

static inline void peer_step(void)
{
    if (SSL_do_handshake(peer) != 1)
        ERR_clear_error();
}

/* Both sides, in steps, until neither has anything to say. The peer sends in pieces of so many bytes. */
static inline ssize_t shake(struct fixture *f, size_t piece)
{
    ssize_t n = STREAM_AGAIN;
    for (unsigned i = 0; i < 20000; i++) {
        (void)peer_fill(f);
        peer_step();
        if (!peer_flush(f, piece))
            return n;
        n = stream_recv(&f->s, in, sizeof in);
        if (n != STREAM_AGAIN)
            return n;
    }
    fail_msg("the handshake goes on for ever");
    return n;
}

static inline void shake_hands(struct fixture *f)
{
    assert_int_equal(shake(f, SIZE_MAX), STREAM_AGAIN);
    assert_true(stream_is_established(&f->s));
    assert_true(SSL_is_init_finished(peer));
    assert_int_equal(tls_failure(&f->s), TLS_FAILED_NOT);
    assert_string_equal(tls_why(&f->s), "");
}

/* The stream is a client: steps until its handshake has come to something. */
static inline enum tls_progress call_through(struct fixture *f)
{
    enum tls_progress p = stream_handshake(&f->s);
    for (unsigned i = 0; p == TLS_MORE && i < 100; i++) {
        (void)peer_fill(f);
        peer_step();
        if (peer_flush(f, SIZE_MAX))
            p = stream_handshake(&f->s);
    }
    (void)peer_fill(f); /* our last flight; the peer's tickets wait for its next peer_flush */
    peer_step();
    return p;
}

/* The peer encrypts; nothing leaves before peer_flush. */
static inline void peer_writes(const char *at, size_t len)
{
    size_t n;
    assert_int_equal(SSL_write_ex(peer, at, len, &n), 1);
    assert_int_equal(n, len);
}

static inline void peer_sends(struct fixture *f, const char *text)
{
    peer_writes(text, strlen(text));
    (void)peer_flush(f, SIZE_MAX);
}

/* One SSL_read at the peer: what SSL_get_error says of it, 0 for bytes, whose number goes to *n. */
static inline int peer_takes(char *at, size_t room, size_t *n)
{
    int result = SSL_read_ex(peer, at, room, n);
    int error = result == 1 ? 0 : SSL_get_error(peer, result);
    ERR_clear_error();
    return error;
}

static inline void assert_peer_gets(struct fixture *f, const char *text)
{
    size_t n = 0;
    (void)peer_fill(f);
    assert_int_equal(peer_takes(got, sizeof got, &n), 0);
    assert_int_equal(n, strlen(text));
    assert_memory_equal(got, text, n);
}

static inline void assert_gets(struct fixture *f, const char *text)
{
    assert_int_equal(stream_recv(&f->s, in, sizeof in), strlen(text));
    assert_memory_equal(in, text, strlen(text));
}

#define TLS_ON_UNIX(f) cmocka_unit_test_setup_teardown(f, setup_unix, end_tls)
#define TLS_ON_TCP(f)  cmocka_unit_test_setup_teardown(f, setup_tcp, end_tls)

#endif
