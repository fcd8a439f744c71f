/* TLS on a stream (OpenSSL 3): the records of one recv are decrypted, and those of one send leave in one sendmsg. A session
 * owns no buffer while it is idle: what it reads and writes passes through one pair of buffers per thread.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_WIRE_TLS_H
#define SERIN_PROXY_WIRE_TLS_H

#include "base/err.h"
#include "proxy/wire/stream.h"

struct ssl_ctx_st;
struct ssl_st;

enum tls_side { TLS_SERVER, TLS_CLIENT };

/* The room that stream_recv of a TLS stream must be given: with less, a part of what came would have to wait where no event
 * tells of it. */
#define TLS_RECV_BYTES (64u << 10)

/* Steps of OpenSSL over handshake messages and alerts after the handshake, some three a message: a flood of KeyUpdates makes
 * us derive keys, 5 us for 27 bytes. In the life of a connection nobody needs more: 2^24 records of AES-GCM go by between
 * two KeyUpdates (RFC 8446 section 5.5), and a server sends a few tickets. */
#define TLS_CONTROL_MAX 256u

/* Why a session failed. */
enum tls_failure {
    TLS_FAILED_NOT,
    TLS_FAILED_PLAIN_HTTP, /* server: the first byte is that of an HTTP request, not of a TLS record */
    TLS_FAILED_CUT, /* the peer closed or reset in the handshake; client: or later without close_notify */
    TLS_FAILED_CERTIFICATE, /* the peer's certificate does not verify, or it has none */
    TLS_FAILED_ALERT,       /* the peer refused by an alert */
    TLS_FAILED_PROTOCOL, /* no common version or cipher, a record that does not decrypt, garbage */
    TLS_FAILED_FLOOD,    /* TLS_CONTROL_MAX */
    TLS_FAILED_MEMORY,
    TLS_FAILED_COUNT
};

/* Puts TLS on a stream of which nothing has been read or sent. Sends nothing yet: a server's handshake goes on as bytes
 * come (stream_recv), a client's begins with the first stream_handshake. ctx: gets a reference for the session's life.
 * server_name: client only: sent by SNI, unless it is an address, and the certificate is verified for it; NULL = neither.
 * Renegotiation is refused. ERR_MEMORY: the stream stays plain. To be called, and the stream used, by one thread. */
enum err stream_start_tls(struct stream *s, struct ssl_ctx_st *ctx, enum tls_side side,
                          const char *server_name) MUST_USE;

/* The handshake is over and has succeeded; true for a plain stream. */
bool stream_is_established(const struct stream *s);

/* What a handshake came to. */
enum tls_progress { TLS_MORE, TLS_DONE, TLS_FAILED };

/* One step of a client's handshake, from its beginning: one recv but for the first. Called when the stream becomes
 * readable, which the caller has armed (stream_read_on); what could not be sent goes out by stream_flush from on_write.
 * TLS_FAILED: tls_failure and tls_why tell. Bytes that a server sends before it is asked for anything are a failure. */
enum tls_progress stream_handshake(struct stream *s);

/* Reads all that has come on an idle connection, on which no data is expected: true where it was nothing, or only the
 * protocol's own (session tickets, key updates), and the connection may serve on. False: data, the end, a failure, or an
 * answer of the protocol that the kernel does not take: it is to be closed. */
bool stream_take_idle(struct stream *s);

/* Takes TLS off a stream again whose peer speaks plain HTTP (TLS_FAILED_PLAIN_HTTP): an answer that it understands may be
 * sent. What it has said is lost. */
void stream_stop_tls(struct stream *s);

/* The session of a stream, for what only one side needs (resumption: SSL_set_session before the handshake); NULL = plain. */
struct ssl_st *tls_session(const struct stream *s);

enum tls_failure tls_failure(const struct stream *s);

/* The failure in words that name no secret; "" where there is none. Lives as long as the process. */
const char *tls_why(const struct stream *s);

/* True where the established session is TLS 1.3, false for TLS 1.2. */
bool tls_is_1_3(const struct stream *s);

/* True where the established session is a resumed one. */
bool tls_is_resumed(const struct stream *s);

/* The subject of the peer's certificate in one line (RFC 4514; everything but printable ASCII is escaped), where the peer
 * has one that was verified. Returns its length, 0 for none; nothing is written where it is longer than room. No NUL.
 * Allocates: for once a connection. */
size_t tls_peer_subject(const struct stream *s, char *out, size_t room);

/* ---- what stream.c calls for a stream with TLS ---- */

/* stream_recv. An end or a failure behind the last bytes is kept in s->is_over, and on_read is called for it, since the
 * kernel will not tell of it again. A server's session takes an end without close_notify for one, as the framing of HTTP
 * decides whether something is missing; to a client's it is an error (RFC 8446 section 6.1: truncation). */
ssize_t tls_recv(struct stream *s, char *buf, size_t room);

/* stream_send. Fails before the handshake is over. */
enum stream_result tls_send(struct stream *s, const struct iovec *parts, int n);

/* Everything that waited is with the kernel. */
void tls_on_drained(struct stream *s);

/* stream_end: close_notify, then the end of the socket's writing side once the kernel has it. */
bool tls_end(struct stream *s);

/* Frees the session, with a close_notify before it where that is in place. */
void tls_close(struct stream *s);

#endif
