/* TLS on a stream: OpenSSL reads from the bytes of one recv, and its records gather for one send.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/wire/tls.h"

#include "base/check.h"
#include "proxy/wire/parts.h"
#include "proxy/wire/records.h"
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct tls {
    SSL *ssl;
    struct records *records;
    const char *why; /* NULL = healthy */
    uint8_t failure; /* enum tls_failure */
    bool is_client;
    bool is_established;
    bool owes_ticket;  /* server, TLS 1.3: one goes out with the first answer */
    bool has_begun;    /* server: bytes have come; client: the hello is out */
    bool has_partial;  /* OpenSSL holds the beginning of a record */
    bool got_end;      /* close_notify has come */
    bool ends_drained; /* the socket's writing side ends once nothing waits */
    uint16_t n_control;
};

/* ---- life ---- */

/* Called for every handshake message, and for alerts. An SSL_read would go on as long as there are bytes: it gets none. */
static void on_info(const SSL *ssl, int where, int value)
{
    struct records *r = records_of(SSL_get_rbio(ssl));
    struct tls *t = r->now->tls;
    (void)value;
    if (!t->is_established || !(where & (SSL_CB_LOOP | SSL_CB_ALERT)))
        return;
    if (t->n_control++ < TLS_CONTROL_MAX)
        return;
    t->failure = TLS_FAILED_FLOOD;
    t->why = "too many handshake messages after the handshake";
    r->in_len = 0;
}

static bool is_address(const char *name)
{
    ASN1_OCTET_STRING *ip = a2i_IPADDRESS(name);
    ASN1_OCTET_STRING_free(ip);
    return ip != NULL;
}

static bool set_name(SSL *ssl, const char *name)
{
    if (is_address(name))
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name);
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, name) && SSL_set_tlsext_host_name(ssl, name);
}

static SSL *make_session(struct records *r, SSL_CTX *ctx, enum tls_side side, const char *name)
{
    SSL *ssl = SSL_new(ctx);
    if (!ssl || (name && side == TLS_CLIENT && !set_name(ssl, name))) {
        SSL_free(ssl);
        ERR_clear_error();
        return NULL;
    }
    (void)BIO_up_ref(r->bio);
    SSL_set_bio(ssl, r->bio, r->bio);
    (void)SSL_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    (void)SSL_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
    SSL_set_read_ahead(ssl, 0); /* it would be a copy more of what lies in memory already */
    SSL_set_info_callback(ssl, on_info);
    if (side == TLS_SERVER) {
        (void)SSL_set_num_tickets(ssl, 0); /* see owe_ticket */
        SSL_set_accept_state(ssl);
    } else {
        SSL_set_connect_state(ssl);
    }
    return ssl;
}

enum err stream_start_tls(struct stream *s, struct ssl_ctx_st *ctx, enum tls_side side,
                          const char *server_name)
{
    CHECK(!s->tls);
    struct tls *t = calloc(1, sizeof *t);
    struct records *r = t ? records_hold() : NULL;
    if (!r) {
        free(t);
        return ERR_MEMORY;
    }
    t->ssl = make_session(r, ctx, side, server_name);
    if (!t->ssl) {
        records_release(r);
        free(t);
        return ERR_MEMORY;
    }
    t->records = r;
    t->is_client = side == TLS_CLIENT;
    s->tls = t;
    return OK;
}

void stream_stop_tls(struct stream *s)
{
    struct tls *t = s->tls;
    if (!t->failure) /* one that is freed before its end would not be resumed any more */
        SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(t->ssl);
    records_release(t->records);
    free(t);
    s->tls = NULL;
    s->is_over = false;
}

/* ---- work ---- */

/* The session of s works from here on: on an empty error queue, which SSL_get_error looks at. */
static struct records *enter(struct stream *s)
{
    struct records *r = s->tls->records;
    if (s->burst && !s->tls->is_established)
        burst_send(s->burst); /* a step of a handshake is longer than others' bytes should wait */
    if (ERR_peek_error())
        ERR_clear_error();
    records_begin(r, s);
    return r;
}

static void fail(struct tls *t, enum tls_failure failure, const char *why)
{
    if (t->failure == TLS_FAILED_NOT) {
        t->failure = (uint8_t)failure;
        t->why = why;
    }
}

static void fail_cut(struct tls *t)
{
    fail(t, TLS_FAILED_CUT, "the peer closed the connection without a word");
}

/* What OpenSSL says of a failure. */
static void fail_by_queue(struct tls *t)
{
    unsigned long e = ERR_peek_error();
    int reason = ERR_GET_REASON(e);
    const char *why = ERR_reason_error_string(e);
    long verdict = SSL_get_verify_result(t->ssl);
    if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED && verdict != X509_V_OK)
        fail(t, TLS_FAILED_CERTIFICATE, X509_verify_cert_error_string(verdict));
    else if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
        fail(t, TLS_FAILED_CERTIFICATE, "the peer has no certificate");
    else if (reason == ERR_R_MALLOC_FAILURE)
        fail(t, TLS_FAILED_MEMORY, "out of memory");
    else if (ERR_GET_LIB(e) == ERR_LIB_SSL && reason >= SSL_AD_REASON_OFFSET)
        fail(t, TLS_FAILED_ALERT, why ? why : "alert");
    else
        fail(t, TLS_FAILED_PROTOCOL, why ? why : "protocol error");
    ERR_clear_error();
}

/* A call to OpenSSL did not succeed. */
static void note_error(struct tls *t, int result)
{
    switch (SSL_get_error(t->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        break;
    case SSL_ERROR_ZERO_RETURN:
        t->got_end = true;
        break;
    default:
        fail_by_queue(t);
    }
}

/* OpenSSL would send two tickets as soon as the handshake is over, in a packet of their own. One does, as clients come back
 * with the last one, and there is a packet for it: the first answer. A resumed session gets one too, since a client should
 * not show the same ticket twice (RFC 8446 appendix C.4). */
static void owe_ticket(struct tls *t)
{
    t->owes_ticket = !t->is_client && SSL_version(t->ssl) == TLS1_3_VERSION &&
                     !(SSL_get_options(t->ssl) & SSL_OP_NO_TICKET);
}

/* Whether one is due: the next write begins with it. */
static bool pay_ticket(struct tls *t)
{
    bool is_due = t->owes_ticket && SSL_new_session_ticket(t->ssl) == 1;
    t->owes_ticket = false;
    return is_due;
}

static void note_established(struct tls *t)
{
    if (t->is_established || !SSL_is_init_finished(t->ssl))
        return;
    t->is_established = true;
    owe_ticket(t);
}

/* Reads until every record is through: their plain bytes are fewer than what came. The last call is saved where nothing is
 * left to be read, since it would take a buffer and give it back. */
static size_t read_all(struct tls *t, char *buf, size_t room)
{
    struct records *r = t->records;
    size_t at = 0, n;
    for (;;) {
        int result = SSL_read_ex(t->ssl, buf + at, room - at, &n);
        if (result != 1) {
            note_error(t, result);
            break;
        }
        at += n;
        CHECK(at < room);
        if (r->in_len == 0 && !SSL_has_pending(t->ssl))
            break;
    }
    t->has_partial = SSL_has_pending(t->ssl);
    note_established(t);
    return at;
}

/* What follows where no bytes are left. */
static ssize_t tell_end(struct stream *s)
{
    struct tls *t = s->tls;
    if (t->got_end && !t->failure)
        return STREAM_EOF;
    errno = t->failure == TLS_FAILED_MEMORY ? ENOMEM : EPROTO;
    return STREAM_ERROR;
}

static bool is_plain_http(const struct tls *t, const char *bytes)
{
    return !t->is_client && !t->has_begun && bytes[0] >= 'A' && bytes[0] <= 'Z';
}

/* n bytes have come into records->recv. */
static ssize_t take_records(struct stream *s, size_t n, char *buf, size_t room)
{
    struct tls *t = s->tls;
    struct records *r = enter(s);
    size_t got = 0;
    if (is_plain_http(t, r->recv)) {
        fail(t, TLS_FAILED_PLAIN_HTTP, "plain HTTP");
    } else {
        t->has_begun = true;
        r->in = r->recv;
        r->in_len = n;
        got = read_all(t, buf, room);
    }
    if (r->out_len)
        (void)records_send(r); /* where that fails, reading tells */
    if (t->failure || t->got_end) {
        s->is_over = true;
        if (got == 0)
            return tell_end(s);
        if (s->is_reading)
            stream_wake(s);
    }
    return got ? (ssize_t)got : STREAM_AGAIN;
}

/* The socket has ended without close_notify. */
static ssize_t take_raw_end(struct stream *s)
{
    struct tls *t = s->tls;
    if (t->is_established && !t->is_client)
        return STREAM_EOF;
    fail_cut(t);
    s->is_over = true;
    return t->is_client ? tell_end(s) : STREAM_EOF;
}

ssize_t tls_recv(struct stream *s, char *buf, size_t room)
{
    struct tls *t = s->tls;
    CHECK(room >= TLS_RECV_BYTES);
    if (s->is_over)
        return tell_end(s);
    ssize_t n = stream_recv_raw(s, t->records->recv,
                                RECORDS_RECV_BYTES - (t->has_partial ? RECORD_MAX : 0));
    if (n > 0)
        return take_records(s, (size_t)n, buf, room);
    if (n == 0)
        return take_raw_end(s);
    if (n == STREAM_ERROR && !t->is_established)
        fail_cut(t);
    return n;
}

/* What is left of the parts that are sent. */
struct rest {
    const struct iovec *part;
    size_t at, left; /* within the part; of all of them */
};

static const char *skip_empty(struct rest *rest)
{
    while (rest->at == rest->part->iov_len) {
        rest->part++;
        rest->at = 0;
    }
    return (const char *)rest->part->iov_base + rest->at;
}

/* Copies the next n bytes, which are there. */
static void gather(struct rest *rest, char *to, size_t n)
{
    while (n) {
        const char *from = skip_empty(rest);
        size_t have = rest->part->iov_len - rest->at, cut = have < n ? have : n;
        memcpy(to, from, cut);
        rest->at += cut;
        to += cut;
        n -= cut;
    }
}

/* Writes one record: from where its bytes lie, or gathered where they are of several parts. */
static bool write_record(struct tls *t, struct rest *rest)
{
    size_t n = rest->left < RECORD_MAX ? rest->left : RECORD_MAX, written;
    const char *from = skip_empty(rest);
    if (rest->part->iov_len - rest->at >= n) {
        rest->at += n;
    } else {
        from = t->records->plain;
        gather(rest, t->records->plain, n);
    }
    rest->left -= n;
    if (SSL_write_ex(t->ssl, from, n, &written) == 1 && written == n)
        return true;
    fail_by_queue(t);
    return false;
}

enum stream_result tls_send(struct stream *s, const struct iovec *parts, int n)
{
    struct tls *t = s->tls;
    struct rest rest = {.part = parts, .left = parts_len(parts, n)};
    CHECK(n <= STREAM_PARTS_MAX);
    if (rest.left == 0)
        return stream_pending(s) ? STREAM_PENDING : STREAM_OK;
    errno = EPROTO;
    if (!t->is_established || t->failure || SSL_get_shutdown(t->ssl) & SSL_SENT_SHUTDOWN)
        return STREAM_FAILED;
    struct records *r = enter(s);
    bool has_ticket = pay_ticket(t);
    while (rest.left)
        if (!write_record(t, &rest))
            return STREAM_FAILED;
    if (has_ticket)
        (void)SSL_free_buffers(t->ssl); /* that of reading, which it has made anew */
    if (s->is_ending && SSL_shutdown(t->ssl) < 0)
        ERR_clear_error();
    return records_send(r);
}

/* ---- the end ---- */

/* Sends close_notify, if there is anybody to say it to and it was not said. */
static void say_end(struct stream *s)
{
    struct tls *t = s->tls;
    if (!t->is_established || t->failure || s->is_torn ||
        SSL_get_shutdown(t->ssl) & SSL_SENT_SHUTDOWN)
        return;
    struct records *r = enter(s);
    if (SSL_shutdown(t->ssl) < 0)
        ERR_clear_error();
    if (r->out_len)
        (void)records_send(r);
}

bool tls_end(struct stream *s)
{
    say_end(s);
    s->tls->ends_drained = stream_pending(s) > 0;
    return s->tls->ends_drained || shutdown(s->fd, SHUT_WR) == 0;
}

void tls_on_drained(struct stream *s)
{
    if (s->tls->ends_drained)
        (void)shutdown(s->fd, SHUT_WR);
    s->tls->ends_drained = false;
}

void tls_close(struct stream *s)
{
    if (!stream_pending(s))
        say_end(s);
    stream_stop_tls(s);
}

/* ---- a client's handshake, and connections at rest ---- */

/* A recv whose data nobody wants. STREAM_AGAIN where none came. */
static ssize_t recv_nothing(struct stream *s)
{
    char unwanted[TLS_RECV_BYTES];
    ssize_t n = tls_recv(s, unwanted, sizeof unwanted);
    if (n > 0)
        fail(s->tls, TLS_FAILED_PROTOCOL, "data that nobody asked for");
    return n;
}

enum tls_progress stream_handshake(struct stream *s)
{
    struct tls *t = s->tls;
    if (t->is_client && !t->has_begun) {
        struct records *r = enter(s);
        t->has_begun = true;
        int result = SSL_do_handshake(t->ssl);
        if (result != 1)
            note_error(t, result);
        if (records_send(r) == STREAM_FAILED)
            fail_cut(t);
    } else if (recv_nothing(s) == STREAM_EOF) {
        fail_cut(t);
    }
    return t->failure ? TLS_FAILED : t->is_established ? TLS_DONE : TLS_MORE;
}

/* Whether the kernel has neither bytes nor an end. */
static bool is_read_out(const struct stream *s)
{
    char byte;
    return recv(s->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
           (errno == EAGAIN || errno == EWOULDBLOCK);
}

/* TLS_CONTROL_MAX bounds the turns. */
bool stream_take_idle(struct stream *s)
{
    while (recv_nothing(s) == STREAM_AGAIN && !stream_pending(s))
        if (is_read_out(s))
            return true;
    return false;
}

/* ---- questions ---- */

bool stream_is_established(const struct stream *s)
{
    return !s->tls || (s->tls->is_established && !s->tls->failure);
}

struct ssl_st *tls_session(const struct stream *s)
{
    return s->tls ? s->tls->ssl : NULL;
}

enum tls_failure tls_failure(const struct stream *s)
{
    return s->tls ? (enum tls_failure)s->tls->failure : TLS_FAILED_NOT;
}

const char *tls_why(const struct stream *s)
{
    return s->tls && s->tls->why ? s->tls->why : "";
}

bool tls_is_1_3(const struct stream *s)
{
    return SSL_version(s->tls->ssl) == TLS1_3_VERSION;
}

bool tls_is_resumed(const struct stream *s)
{
    return SSL_session_reused(s->tls->ssl);
}

size_t tls_peer_subject(const struct stream *s, char *out, size_t room)
{
    X509 *peer = s->tls ? SSL_get0_peer_certificate(s->tls->ssl) : NULL;
    BIO *line =
        peer && SSL_get_verify_result(s->tls->ssl) == X509_V_OK ? BIO_new(BIO_s_mem()) : NULL;
    size_t len = 0;
    char *at;
    if (!line)
        return 0;
    if (X509_NAME_print_ex(line, X509_get_subject_name(peer), 0, XN_FLAG_RFC2253) >= 0) {
        len = (size_t)BIO_get_mem_data(line, &at);
        if (len && len <= room)
            memcpy(out, at, len);
    }
    BIO_free(line);
    return len;
}
