/* TLS on a stream against peers that mean no good: floods, garbage, wrong certificates; and against want of memory.
 * SPDX-License-Identifier: Apache-2.0 */
#include "wire_tls.h"

static void assert_failed(struct fixture *f, enum tls_failure why)
{
    errno = 0;
    assert_int_equal(stream_recv(&f->s, in, sizeof in), STREAM_ERROR);
    assert_int_equal(errno, EPROTO);
    assert_int_equal(tls_failure(&f->s), why);
    assert_true(strlen(tls_why(&f->s)) > 0);
    assert_false(stream_is_established(&f->s));
    assert_int_equal(stream_recv(&f->s, in, sizeof in), STREAM_ERROR); /* for good */
    assert_int_equal(say(f, "x", 1), STREAM_FAILED);
}

static void peer_says_bytes(struct fixture *f, const char *bytes, size_t len)
{
    assert_int_equal(send(f->peer, bytes, len, 0), len);
    await(f->s.fd, POLLIN);
}

static void plain_http_is_told_apart(void **state)
{
    struct fixture *f = *state;
    serve(f, TLS1_3_VERSION);
    peer_says(f, "G");
    assert_failed(f, TLS_FAILED_PLAIN_HTTP);
    stream_stop_tls(&f->s);
    peer_says(f, "ET / HTTP/1.1\r\n\r\n");
    assert_true(stream_recv(&f->s, in, sizeof in) > 0);
    assert_int_equal(say(f, "HTTP/1.1 400 ", 13), STREAM_OK);
    assert_int_equal(peer_reads(f, got, sizeof got), 13);
    assert_memory_equal(got, "HTTP/1.1 400 ", 13);
}

/* A letter within a handshake is not the beginning of a request. */
static void garbage_is_refused(void **state)
{
    struct fixture *f = *state;
    static const char bytes[] = "\x16\x03\x01GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    serve(f, TLS1_3_VERSION);
    peer_says_bytes(f, bytes, sizeof bytes - 1);
    assert_failed(f, TLS_FAILED_PROTOCOL);
    assert_int_equal(peer_reads(f, got, sizeof got), 7); /* an alert */
    assert_int_equal(got[0], SSL3_RT_ALERT);
}

static void zeroes_are_refused(void **state)
{
    struct fixture *f = *state;
    static const char bytes[64];
    serve(f, TLS1_3_VERSION);
    peer_says_bytes(f, bytes, sizeof bytes);
    assert_failed(f, TLS_FAILED_PROTOCOL);
}

static void a_peer_that_leaves_the_handshake_is_cut(void **state)
{
    struct fixture *f = *state;
    serve(f, TLS1_3_VERSION);
    peer_step();
    (void)peer_flush(f, 100);
    assert_int_equal(stream_recv(&f->s, in, sizeof in), STREAM_AGAIN);
    (void)shutdown(f->peer, SHUT_WR);
    await(f->s.fd, POLLIN);
    assert_int_equal(stream_recv(&f->s, in, sizeof in), STREAM_EOF);
    assert_int_equal(tls_failure(&f->s), TLS_FAILED_CUT);
}

/* What came before the damage is given, the damage is told without an event of the kernel. */
static void a_record_that_was_changed_is_refused(void **state)
{
    struct fixture *f = *state;
    serve(f, TLS1_3_VERSION);
    shake_hands(f);
    stream_read_on(&f->s);
    peer_writes("whole", 5);
    peer_writes("changed", 7);
    int n = BIO_read(SSL_get_wbio(peer), wire_bytes, sizeof wire_bytes);
    wire_bytes[n - 1] ^= 1;
    peer_says_bytes(f, wire_bytes, (size_t)n);
    assert_gets(f, "whole");
    unsigned before = f->reads;
    turn(f);
    assert_int_equal(f->reads, before + 1);
    stream_read_off(&f->s);
    assert_failed(f, TLS_FAILED_PROTOCOL);
}

/* ---- floods ---- */

static void renegotiation_is_refused(void **state)
{
    struct fixture *f = *state;
    (void)SSL_CTX_set_options(pair.client_ctx, SSL_OP_LEGACY_SERVER_CONNECT);
    serve(f, TLS1_2_VERSION);
    shake_hands(f);
    assert_int_equal(SSL_renegotiate(peer), 1);
    peer_step();
    (void)peer_flush(f, SIZE_MAX);
    assert_int_equal(stream_recv(&f->s, in, sizeof in), STREAM_AGAIN);
    assert_true(peer_fill(f) > 0);
    assert_int_equal(SSL_do_handshake(peer), -1);
    assert_int_equal(ERR_GET_REASON(ERR_peek_error()), SSL_R_NO_RENEGOTIATION);
    ERR_clear_error();
}

/* So many KeyUpdates, of which each wants one back, in one flight. */
static ssize_t flood(struct fixture *f, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(SSL_key_update(peer, SSL_KEY_UPDATE_REQUESTED), 1);
        assert_int_equal(SSL_do_handshake(peer), 1);
    }
    (void)peer_flush(f, SIZE_MAX);
    return stream_recv(&f->s, in, sizeof in);
}

static void a_few_new_keys_are_taken(void **state)
{
    struct fixture *f = *state;
    serve(f, TLS1_3_VERSION);
    shake_hands(f);
    assert_int_equal(flood(f, 20), STREAM_AGAIN);
    peer_sends(f, "under new keys");
    assert_gets(f, "under new keys");
    assert_int_equal(say(f, "too", 3), STREAM_OK);
    assert_peer_gets(f, "too");
}

static void a_flood_of_new_keys_is_ended(void **state)
{
    struct fixture *f = *state;
    serve(f, TLS1_3_VERSION);
    shake_hands(f);
    uint64_t before = f->s.sent;
    assert_int_equal(flood(f, 2000), STREAM_ERROR);
    assert_true(f->s.sent + stream_pending(&f->s) - before < TLS_CONTROL_MAX * 64);
    assert_failed(f, TLS_FAILED_FLOOD);
}

static void a_flood_between_data_is_ended(void **state)
{
    struct fixture *f = *state;
    serve(f, TLS1_3_VERSION);
    shake_hands(f);
    for (unsigned i = 0; i < TLS_CONTROL_MAX && tls_failure(&f->s) == TLS_FAILED_NOT; i++) {
        peer_writes("x", 1);
        (void)flood(f, 3);
        (void)peer_fill(f);
    }
    assert_failed(f, TLS_FAILED_FLOOD);
}

/* ---- certificates ---- */

static void assert_call(struct fixture *f, const char *name, enum tls_failure why)
{
    call(f, name);
    assert_int_equal(call_through(f), why ? TLS_FAILED : TLS_DONE);
    assert_int_equal(tls_failure(&f->s), why);
}

static void a_name_is_verified(void **state)
{
    assert_call(*state, "localhost", TLS_FAILED_NOT);
    assert_string_equal(SSL_get_servername(peer, TLSEXT_NAMETYPE_host_name), "localhost");
}

static void an_address_is_verified_and_not_sent(void **state)
{
    assert_call(*state, "127.0.0.1", TLS_FAILED_NOT);
    assert_null(SSL_get_servername(peer, TLSEXT_NAMETYPE_host_name));
}

static void another_name_is_refused(void **state)
{
    struct fixture *f = *state;
    assert_call(f, "other.example", TLS_FAILED_CERTIFICATE);
    assert_string_equal(tls_why(&f->s), "hostname mismatch");
}

static void another_address_is_refused(void **state)
{
    assert_call(*state, "127.0.0.2", TLS_FAILED_CERTIFICATE);
}

static void another_authority_is_refused(void **state)
{
    struct fixture *f = *state;
    struct identity other = identity_make("another authority", NULL, NULL);
    SSL_CTX *ctx = pair_context(TLS_client_method(), NULL, &other);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    assert_int_equal(stream_start_tls(&f->s, ctx, TLS_CLIENT, "localhost"), OK);
    SSL_CTX_free(ctx);
    make_peer(pair.server_ctx, TLS_SERVER);
    assert_int_equal(call_through(f), TLS_FAILED);
    assert_int_equal(tls_failure(&f->s), TLS_FAILED_CERTIFICATE);
    identity_free(&other);
}

/* Our refusal as the peer sees it, and the peer's as we do. */
static void an_alert_is_told_apart(void **state)
{
    struct fixture *f = *state;
    (void)SSL_CTX_set_min_proto_version(pair.client_ctx, TLS1_3_VERSION);
    call(f, "localhost");
    (void)SSL_CTX_set_min_proto_version(pair.client_ctx, 0);
    (void)SSL_set_max_proto_version(peer, TLS1_2_VERSION);
    assert_int_equal(call_through(f), TLS_FAILED);
    assert_int_equal(tls_failure(&f->s), TLS_FAILED_ALERT);
}

static void bytes_before_any_request_are_refused(void **state)
{
    struct fixture *f = *state;
    call(f, "localhost");
    (void)SSL_set_max_proto_version(peer, TLS1_2_VERSION);
    assert_int_equal(stream_handshake(&f->s), TLS_MORE);
    (void)peer_fill(f);
    peer_step();
    (void)peer_flush(f, SIZE_MAX);
    assert_int_equal(stream_handshake(&f->s), TLS_MORE);
    (void)peer_fill(f);
    peer_step();
    peer_writes("HTTP/1.1 200", 12);
    (void)peer_flush(f, SIZE_MAX);
    assert_int_equal(stream_handshake(&f->s), TLS_FAILED);
    assert_int_equal(tls_failure(&f->s), TLS_FAILED_PROTOCOL);
}

/* ---- what is known of the client ---- */

static SSL_CTX *asking(int mode)
{
    SSL_CTX *ctx = pair_context(TLS_server_method(), &pair.server, &pair.ca);
    SSL_CTX_set_verify(ctx, mode, NULL);
    return ctx;
}

static void ask(struct fixture *f, int mode, const struct identity *client)
{
    SSL_CTX *server_ctx = asking(mode);
    SSL_CTX *client_ctx = pair_context(TLS_client_method(), client, &pair.ca);
    assert_int_equal(stream_start_tls(&f->s, server_ctx, TLS_SERVER, NULL), OK);
    make_peer(client_ctx, TLS_CLIENT);
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
}

static void the_subject_is_one_line(void **state)
{
    struct fixture *f = *state;
    static const char expected[] = "CN=a client\\, \\\"quoted\\\"\\0D\\0AX-Admin: yes,O=Serin";
    struct identity id =
        identity_make("a client, \"quoted\"\r\nX-Admin: yes", "DNS:client", &pair.ca);
    char line[128];
    ask(f, SSL_VERIFY_PEER, &id);
    shake_hands(f);
    memset(line, 'x', sizeof line);
    assert_int_equal(tls_peer_subject(&f->s, line, 20), strlen(expected));
    assert_int_equal(line[0], 'x'); /* cut, it could be somebody else's */
    assert_int_equal(tls_peer_subject(&f->s, line, sizeof line), strlen(expected));
    assert_memory_equal(line, expected, strlen(expected));
    identity_free(&id);
}

static void without_a_certificate_there_is_no_subject(void **state)
{
    struct fixture *f = *state;
    char line[128];
    ask(f, SSL_VERIFY_PEER, NULL);
    shake_hands(f);
    assert_int_equal(tls_peer_subject(&f->s, line, sizeof line), 0);
}

static int take_any(int ok, X509_STORE_CTX *ctx)
{
    (void)ok;
    (void)ctx;
    return 1;
}

/* A context that lets it through makes it no verified one. */
static void a_certificate_that_is_not_verified_has_no_subject(void **state)
{
    struct fixture *f = *state;
    struct identity own = identity_make("own", NULL, NULL);
    char line[128];
    ask(f, SSL_VERIFY_PEER, &own);
    SSL_set_verify(tls_session(&f->s), SSL_VERIFY_PEER, take_any);
    shake_hands(f);
    assert_int_equal(tls_peer_subject(&f->s, line, sizeof line), 0);
    identity_free(&own);
}

static void a_required_certificate_that_is_missing_is_refused(void **state)
{
    struct fixture *f = *state;
    ask(f, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    assert_int_equal(shake(f, SIZE_MAX), STREAM_ERROR);
    assert_int_equal(tls_failure(&f->s), TLS_FAILED_CERTIFICATE);
}

static void a_foreign_certificate_is_refused(void **state)
{
    struct fixture *f = *state;
    struct identity own = identity_make("own", NULL, NULL);
    ask(f, SSL_VERIFY_PEER, &own);
    assert_int_equal(shake(f, SIZE_MAX), STREAM_ERROR);
    assert_int_equal(tls_failure(&f->s), TLS_FAILED_CERTIFICATE);
    identity_free(&own);
}

/* ---- resumption ---- */

static SSL_SESSION *saved;

static int save(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    SSL_SESSION_free(saved);
    saved = session;
    return 1;
}

/* A session serves the next connection, also where the first one was closed without the peer's answer. */
static void a_client_resumes(void **state)
{
    struct fixture *f = *state;
    int fds[2];
    SSL_CTX_set_session_cache_mode(pair.client_ctx,
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
    SSL_CTX_sess_set_new_cb(pair.client_ctx, save);
    call(f, "localhost");
    assert_int_equal(call_through(f), TLS_DONE);
    assert_false(tls_is_resumed(&f->s));
    (void)peer_flush(f, SIZE_MAX);
    assert_true(stream_take_idle(&f->s)); /* tickets */
    assert_non_null(saved);
    stream_close(&f->s);
    (void)close(f->peer);
    SSL_free(peer);
    event_base_free(f->base);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(start(f, fds), 0);
    call(f, "localhost");
    assert_int_equal(SSL_set_session(tls_session(&f->s), saved), 1);
    assert_int_equal(call_through(f), TLS_DONE);
    assert_true(tls_is_resumed(&f->s));
    SSL_CTX_sess_set_new_cb(pair.client_ctx, NULL);
    SSL_SESSION_free(saved);
    saved = NULL;
}

/* ---- want of memory ---- */

static long allocations_left = -1; /* -1: no end of them */
static bool is_counting;

static bool is_refused(void)
{
    if (!is_counting || allocations_left < 0)
        return false;
    if (allocations_left == 0)
        return true;
    allocations_left--;
    return false;
}

static void *scarce_malloc(size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    return is_refused() ? NULL : malloc(n);
}

static void *scarce_realloc(void *at, size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    return is_refused() ? NULL : realloc(at, n);
}

static void plain_free(void *at, const char *file, int line)
{
    (void)file;
    (void)line;
    free(at);
}

/* One connection in which the stream's side gets so many allocations of OpenSSL. True where they were enough. */
static bool lives_on(struct fixture *f, long allocations)
{
    bool is_whole = false;
    ssize_t n = STREAM_AGAIN;
    allocations_left = allocations;
    is_counting = true;
    enum err e = stream_start_tls(&f->s, pair.server_ctx, TLS_SERVER, NULL);
    is_counting = false;
    if (e != OK)
        return false;
    make_peer(pair.client_ctx, TLS_CLIENT);
    for (unsigned i = 0; i < 4 && n == STREAM_AGAIN; i++) {
        (void)peer_fill(f);
        peer_step();
        if (SSL_is_init_finished(peer) && i)
            peer_writes("x", 1);
        if (!peer_flush(f, SIZE_MAX))
            break;
        is_counting = true;
        n = stream_recv(&f->s, in, sizeof in);
        is_counting = false;
    }
    if (n > 0) {
        is_counting = true;
        is_whole = say(f, "y", 1) == STREAM_OK;
        is_counting = false;
    }
    assert_true(n != STREAM_ERROR || tls_failure(&f->s) != TLS_FAILED_NOT);
    is_counting = true;
    stream_stop_tls(&f->s);
    is_counting = false;
    return is_whole;
}

static void want_of_memory_ends_the_connection_alone(void **state)
{
    struct fixture *f = *state;
    long n = 0;
    bool is_whole = lives_on(f, -1); /* what is made once a process */
    assert_true(is_whole);
    for (is_whole = false; !is_whole && n < 5000; n++) {
        int fds[2];
        SSL_free(peer);
        peer = NULL;
        stream_close(&f->s);
        (void)close(f->peer);
        event_base_free(f->base);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
        assert_int_equal(start(f, fds), 0);
        is_whole = lives_on(f, n);
        ERR_clear_error();
    }
    allocations_left = -1;
    assert_in_range(n, 20, 4999);
}

int main(void)
{
    if (CRYPTO_set_mem_functions(scarce_malloc, scarce_realloc, plain_free) != 1)
        return 1;
    const struct CMUnitTest tests[] = {
        TLS_ON_UNIX(plain_http_is_told_apart),
        TLS_ON_UNIX(garbage_is_refused),
        TLS_ON_UNIX(zeroes_are_refused),
        TLS_ON_UNIX(a_peer_that_leaves_the_handshake_is_cut),
        TLS_ON_UNIX(a_record_that_was_changed_is_refused),
        TLS_ON_UNIX(renegotiation_is_refused),
        TLS_ON_UNIX(a_few_new_keys_are_taken),
        TLS_ON_UNIX(a_flood_of_new_keys_is_ended),
        TLS_ON_UNIX(a_flood_between_data_is_ended),
        TLS_ON_UNIX(a_name_is_verified),
        TLS_ON_UNIX(an_address_is_verified_and_not_sent),
        TLS_ON_UNIX(another_name_is_refused),
        TLS_ON_UNIX(another_address_is_refused),
        TLS_ON_UNIX(another_authority_is_refused),
        TLS_ON_UNIX(an_alert_is_told_apart),
        TLS_ON_UNIX(bytes_before_any_request_are_refused),
        TLS_ON_UNIX(the_subject_is_one_line),
        TLS_ON_UNIX(without_a_certificate_there_is_no_subject),
        TLS_ON_UNIX(a_certificate_that_is_not_verified_has_no_subject),
        TLS_ON_UNIX(a_required_certificate_that_is_missing_is_refused),
        TLS_ON_UNIX(a_foreign_certificate_is_refused),
        TLS_ON_UNIX(a_client_resumes),
        TLS_ON_UNIX(want_of_memory_ends_the_connection_alone),
    };
    return cmocka_run_group_tests(tests, open_pair, close_pair);
}
