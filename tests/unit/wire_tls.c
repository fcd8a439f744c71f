/* TLS on a stream: every byte through, in order, in few records and calls, and both ends of a session.
 * SPDX-License-Identifier: Apache-2.0 */
#include "wire_tls.h"

#include <pthread.h>

static void in_single_bytes(struct fixture *f, int version)
{
    serve(f, version);
    assert_false(stream_is_established(&f->s));
    assert_int_equal(shake(f, 1), STREAM_AGAIN);
    assert_true(stream_is_established(&f->s));
    assert_int_equal(tls_is_1_3(&f->s), version == TLS1_3_VERSION);
    assert_false(tls_is_resumed(&f->s));
    peer_writes("hello", 5);
    ssize_t n = STREAM_AGAIN;
    while (n == STREAM_AGAIN && peer_flush(f, 1))
        n = stream_recv(&f->s, in, sizeof in);
    assert_int_equal(n, 5);
    assert_memory_equal(in, "hello", 5);
    assert_int_equal(say(f, "and back", 8), STREAM_OK);
    assert_peer_gets(f, "and back");
    assert_rests(f);
}

static void a_handshake_comes_in_single_bytes(void **state)
{
    in_single_bytes(*state, TLS1_3_VERSION);
}

static void a_handshake_of_1_2_comes_in_single_bytes(void **state)
{
    in_single_bytes(*state, TLS1_2_VERSION);
}

/* The request comes with the last flight: no event tells of it apart. */
static void data_behind_the_handshake_is_seen_at_once(void **state)
{
    struct fixture *f = *state;
    serve(f, TLS1_3_VERSION);
    peer_step();
    (void)peer_flush(f, SIZE_MAX);
    assert_int_equal(stream_recv(&f->s, in, sizeof in), STREAM_AGAIN);
    (void)peer_fill(f);
    peer_step();
    peer_sends(f, "GET");
    assert_gets(f, "GET");
    assert_true(stream_is_established(&f->s));
    assert_int_equal(stream_recv(&f->s, in, sizeof in), STREAM_AGAIN);
}

static void nothing_is_sent_before_the_handshake(void **state)
{
    struct fixture *f = *state;
    serve(f, TLS1_3_VERSION);
    errno = 0;
    assert_int_equal(say(f, "early", 5), STREAM_FAILED);
    assert_int_equal(errno, EPROTO);
    assert_int_equal(stream_send(&f->s, NULL, 0), STREAM_OK);
    char byte;
    assert_int_equal(peer_reads(f, &byte, 1), 0);
}

/* The lengths of the records at the peer's socket. */
static unsigned records(struct fixture *f, size_t lengths[], unsigned room)
{
    unsigned n = 0;
    size_t len = peer_reads(f, wire_bytes, sizeof wire_bytes);
    for (size_t at = 0; at < len; n++) {
        const unsigned char *head = (const unsigned char *)wire_bytes + at;
        assert_true(len - at >= 5 && n < room);
        assert_int_equal(head[0], SSL3_RT_APPLICATION_DATA);
        lengths[n] = (size_t)head[3] << 8 | head[4];
        at += 5 + lengths[n];
    }
    return n;
}

/* Head, chunk size, data, chunk end: one record where they fit, and full ones where they do not. */
static void parts_share_records(void **state)
{
    struct fixture *f = *state;
    size_t len[8];
    uint64_t before;
    serve(f, TLS1_3_VERSION);
    shake_hands(f);
    assert_int_equal(say(f, "the first brings a ticket", 25), STREAM_OK);
    assert_int_equal(records(f, len, 8), 2);
    before = f->s.sent;
    struct iovec parts[] = {{big, 300}, {NULL, 0}, {big, 4}, {big, 5000}, {big, 2}};
    assert_int_equal(stream_send(&f->s, parts, 5), STREAM_OK);
    assert_int_equal(f->s.sent - before, 5 + 5306 + 17); /* what the kernel took */
    assert_int_equal(records(f, len, 8), 1);
    assert_int_equal(len[0], 5306 + 17);
    struct iovec large[] = {{big, 300}, {big, 40000}, {big, 2}};
    assert_int_equal(stream_send(&f->s, large, 3), STREAM_OK);
    assert_int_equal(records(f, len, 8), 3);
    assert_int_equal(len[0], 16384 + 17);
    assert_int_equal(len[1], 16384 + 17);
    assert_int_equal(len[2], 40302 - 2 * 16384 + 17);
}

static void assert_pattern(size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (got[i] != pattern(i))
            fail_msg("byte %zu of %zu is not in its place", i, n);
}

/* Far more than the kernel takes, sent in pieces of any number of parts against a peer that reads now and then. */
static void what_the_kernel_does_not_take_waits_in_order(void **state)
{
    struct fixture *f = *state;
    serve(f, TLS1_3_VERSION);
    shake_hands(f);
    size_t sent = 0, read = 0, most = 0;
    fill_big(0);
    for (size_t i = 1; sent < BIG; i++) {
        size_t n = i * 7919 % 150000;
        n = n < BIG - sent ? n : BIG - sent;
        struct iovec parts[] = {{big + sent, n / 3}, {big + sent + n / 3, n - n / 3}};
        enum stream_result r = stream_send(&f->s, parts, 2);
        assert_true(r == (stream_pending(&f->s) ? STREAM_PENDING : STREAM_OK));
        sent += n;
        most = stream_pending(&f->s) > most ? stream_pending(&f->s) : most;
    }
    assert_in_range(most, 1, 2 * BIG);
    for (unsigned idle = 0; read < BIG && idle < 1000; idle++) {
        size_t n;
        if (peer_fill(f))
            idle = 0;
        while (peer_takes(got + read, sizeof got - read, &n) == 0)
            read += n;
        turn(f);
    }
    assert_int_equal(read, BIG);
    assert_pattern(BIG);
    assert_rests(f);
}

/* Records of any size against a loop that is told by events alone: none stays behind where no event tells of it. */
static void every_record_of_a_recv_is_seen(void **state)
{
    struct fixture *f = *state;
    serve(f, TLS1_3_VERSION);
    shake_hands(f);
    fill_big(0);
    for (size_t at = 0, i = 1; at < BIG; i++) {
        size_t n = i * 2654435761u % 16384 + 1;
        n = n < BIG - at ? n : BIG - at;
        peer_writes(big + at, n);
        at += n;
    }
    stream_read_on(&f->s);
    size_t read = 0;
    int at = 0, len = 0;
    for (size_t i = 0; read < BIG && i < 1000000; i++) {
        if (at == len) {
            len = BIO_read(SSL_get_wbio(peer), wire_bytes, (int)(i * 7919 % sizeof wire_bytes));
            len = len > 0 ? len : 0;
            at = 0;
        }
        ssize_t n = at < len ? send(f->peer, wire_bytes + at, (size_t)(len - at), 0) : 0;
        at += n > 0 ? (int)n : 0;
        unsigned before = f->reads;
        turn(f);
        n = f->reads > before ? stream_recv(&f->s, in, sizeof in) : STREAM_AGAIN;
        assert_true(n > 0 || n == STREAM_AGAIN);
        if (n > 0)
            memcpy(got + read, in, (size_t)n);
        read += n > 0 ? (size_t)n : 0;
    }
    assert_int_equal(read, BIG);
    assert_pattern(BIG);
    stream_read_off(&f->s);
}

/* ---- the two ends of a session ---- */

static void ends_are_told_both_ways(void **state)
{
    struct fixture *f = *state;
    size_t n;
    serve(f, TLS1_3_VERSION);
    shake_hands(f);
    assert_true(stream_end(&f->s));
    assert_true(stream_end(&f->s));
    assert_int_equal(say(f, "too late", 8), STREAM_FAILED);
    (void)peer_fill(f);
    assert_int_equal(peer_takes(got, sizeof got, &n), SSL_ERROR_ZERO_RETURN);
    assert_int_equal(recv(f->peer, got, 1, 0), 0); /* and the socket's end */
    peer_sends(f, "still there");
    assert_gets(f, "still there");
    assert_int_equal(SSL_shutdown(peer), 1);
    (void)peer_flush(f, SIZE_MAX);
    assert_int_equal(stream_recv(&f->s, in, sizeof in), STREAM_EOF);
    assert_int_equal(stream_recv(&f->s, in, sizeof in), STREAM_EOF);
}

/* No end of the socket comes behind it: only a wake can tell, also when reading rested meanwhile. */
static void an_end_behind_the_last_bytes_is_told(void **state)
{
    struct fixture *f = *state;
    serve(f, TLS1_3_VERSION);
    shake_hands(f);
    stream_read_on(&f->s);
    peer_writes("last", 4);
    (void)SSL_shutdown(peer);
    (void)peer_flush(f, SIZE_MAX);
    assert_gets(f, "last");
    unsigned before = f->reads;
    stream_read_off(&f->s);
    turn(f);
    assert_int_equal(f->reads, before);
    stream_read_on(&f->s);
    turn(f);
    assert_int_equal(f->reads, before + 1);
    assert_int_equal(stream_recv(&f->s, in, sizeof in), STREAM_EOF);
    stream_read_off(&f->s);
}

/* HTTP says where a request ends: to a server an end without close_notify is one. */
static void an_end_of_the_socket_is_one_to_a_server(void **state)
{
    struct fixture *f = *state;
    serve(f, TLS1_3_VERSION);
    shake_hands(f);
    peer_sends(f, "whole");
    (void)shutdown(f->peer, SHUT_WR);
    assert_gets(f, "whole");
    assert_int_equal(stream_recv(&f->s, in, sizeof in), STREAM_EOF);
}

/* A response that ends with its connection would look whole, wherever somebody in between has cut it. */
static void an_end_of_the_socket_is_an_error_to_a_client(void **state)
{
    struct fixture *f = *state;
    call(f, "localhost");
    assert_int_equal(call_through(f), TLS_DONE);
    peer_sends(f, "half of i");
    (void)shutdown(f->peer, SHUT_WR);
    assert_gets(f, "half of i");
    errno = 0;
    assert_int_equal(stream_recv(&f->s, in, sizeof in), STREAM_ERROR);
    assert_int_equal(errno, EPROTO);
    assert_int_equal(tls_failure(&f->s), TLS_FAILED_CUT);
}

static void close_notify_is_an_end_to_a_client(void **state)
{
    struct fixture *f = *state;
    call(f, "localhost");
    assert_int_equal(call_through(f), TLS_DONE);
    (void)SSL_shutdown(peer);
    (void)peer_flush(f, SIZE_MAX);
    (void)shutdown(f->peer, SHUT_WR);
    assert_int_equal(stream_recv(&f->s, in, sizeof in), STREAM_EOF);
}

/* What the kernel does not take of the end goes out later, and the socket ends behind it. */
static void an_end_waits_its_turn(void **state)
{
    struct fixture *f = *state;
    serve(f, TLS1_3_VERSION);
    shake_hands(f);
    size_t sent = clog_up(f), read = 0, n;
    assert_true(stream_end(&f->s));
    assert_true(stream_pending(&f->s) > 0);
    int error = SSL_ERROR_WANT_READ;
    for (unsigned idle = 0; error == SSL_ERROR_WANT_READ && idle < 1000; idle++) {
        if (peer_fill(f))
            idle = 0;
        while ((error = peer_takes(got, sizeof got, &n)) == 0)
            read += n;
        turn(f);
    }
    assert_int_equal(error, SSL_ERROR_ZERO_RETURN);
    assert_int_equal(read, sent);
    await(f->peer, POLLIN);
    assert_int_equal(recv(f->peer, got, 1, 0), 0);
    assert_rests(f);
}

static int peer_sees(struct fixture *f)
{
    size_t n;
    (void)peer_fill(f);
    return peer_takes(got, sizeof got, &n);
}

static void a_close_says_so(void **state)
{
    struct fixture *f = *state;
    serve(f, TLS1_3_VERSION);
    shake_hands(f);
    stream_close(&f->s);
    assert_int_equal(peer_sees(f), SSL_ERROR_ZERO_RETURN);
}

/* A body must not look whole, nor may records follow a hole. */
static void a_reset_and_a_loss_say_nothing(void **state)
{
    struct fixture *f = *state;
    serve(f, TLS1_3_VERSION);
    shake_hands(f);
    stream_reset_on_close(&f->s);
    stream_close(&f->s);
    struct pollfd p = {.fd = f->peer, .events = POLLIN};
    assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
    assert_true(recv(f->peer, got, sizeof got, 0) <= 0);
}

static void a_discard_leaves_nothing_to_say(void **state)
{
    struct fixture *f = *state;
    serve(f, TLS1_3_VERSION);
    shake_hands(f);
    (void)clog_up(f);
    stream_discard(&f->s);
    assert_rests(f);
    int error = 0;
    size_t n;
    stream_close(&f->s);
    while (error == 0 || peer_fill(f))
        error = peer_takes(got, sizeof got, &n);
    assert_int_equal(error, SSL_ERROR_WANT_READ); /* the end is missing, as it should be */
}

/* ---- connections at rest, and their thread ---- */

static void tickets_do_not_disturb_an_idle_connection(void **state)
{
    struct fixture *f = *state;
    call(f, "localhost");
    assert_int_equal(call_through(f), TLS_DONE);
    assert_true(peer_flush(f, SIZE_MAX) > 0);
    assert_true(stream_take_idle(&f->s));
    assert_true(stream_take_idle(&f->s));
    assert_int_equal(say(f, "GET", 3), STREAM_OK);
    assert_peer_gets(f, "GET");
    peer_sends(f, "unasked");
    assert_false(stream_take_idle(&f->s));
}

static void an_idle_connection_that_ends_is_found(void **state)
{
    struct fixture *f = *state;
    call(f, "localhost");
    assert_int_equal(call_through(f), TLS_DONE);
    (void)SSL_shutdown(peer);
    (void)peer_flush(f, SIZE_MAX);
    assert_false(stream_take_idle(&f->s));
}

static void *start_elsewhere(void *arg)
{
    struct fixture *f = arg;
    return stream_start_tls(&f->s, pair.server_ctx, TLS_SERVER, NULL) == OK ? f : NULL;
}

/* A worker has ended; its connections are closed by who has waited for it. */
static void a_session_outlives_its_thread(void **state)
{
    struct fixture *f = *state;
    pthread_t thread;
    void *result;
    assert_int_equal(pthread_create(&thread, NULL, start_elsewhere, f), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, f);
    stream_close(&f->s);
    assert_null(f->s.tls);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TLS_ON_TCP(a_handshake_comes_in_single_bytes),
        TLS_ON_UNIX(a_handshake_of_1_2_comes_in_single_bytes),
        TLS_ON_UNIX(data_behind_the_handshake_is_seen_at_once),
        TLS_ON_UNIX(nothing_is_sent_before_the_handshake),
        TLS_ON_UNIX(parts_share_records),
        TLS_ON_UNIX(what_the_kernel_does_not_take_waits_in_order),
        TLS_ON_TCP(what_the_kernel_does_not_take_waits_in_order),
        TLS_ON_UNIX(every_record_of_a_recv_is_seen),
        TLS_ON_TCP(every_record_of_a_recv_is_seen),
        TLS_ON_UNIX(ends_are_told_both_ways),
        TLS_ON_UNIX(an_end_behind_the_last_bytes_is_told),
        TLS_ON_TCP(an_end_of_the_socket_is_one_to_a_server),
        TLS_ON_TCP(an_end_of_the_socket_is_an_error_to_a_client),
        TLS_ON_TCP(close_notify_is_an_end_to_a_client),
        TLS_ON_TCP(an_end_waits_its_turn),
        TLS_ON_UNIX(a_close_says_so),
        TLS_ON_TCP(a_reset_and_a_loss_say_nothing),
        TLS_ON_UNIX(a_discard_leaves_nothing_to_say),
        TLS_ON_UNIX(tickets_do_not_disturb_an_idle_connection),
        TLS_ON_UNIX(an_idle_connection_that_ends_is_found),
        TLS_ON_UNIX(a_session_outlives_its_thread),
    };
    return cmocka_run_group_tests(tests, open_pair, close_pair);
}
