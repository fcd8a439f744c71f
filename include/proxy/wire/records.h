/* The buffers through which the TLS sessions of a thread read and write, and OpenSSL's way to them.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_WIRE_RECORDS_H
#define SERIN_PROXY_WIRE_RECORDS_H

#include "proxy/wire/tls.h"

#include <openssl/bio.h>
#include <openssl/ssl3.h>

#define RECORD_MAX         SSL3_RT_MAX_PLAIN_LENGTH /* plain bytes of one record (RFC 8446 section 5.1) */
#define RECORDS_RECV_BYTES TLS_RECV_BYTES           /* most of one recv */
/* The largest usual send, a full receive buffer behind a head, with what its records add; a larger one leaves in pieces. */
#define RECORDS_OUT_BYTES (80u << 10)

/* One per thread that has sessions, since only one of them works at a time. Lives as long as the last of them, which another
 * thread may close once this one has ended. */
struct records {
    unsigned sessions;
    /* Both sides of every session: an idle connection pays for none. In a handshake OpenSSL puts a buffer of its own before
     * it, and takes it away again; the link back to that one is the only thing that sessions would write over each other,
     * and nothing follows it. */
    struct bio_st *bio;
    struct stream *now; /* whose session works */
    const char *in;     /* records that are yet to be read */
    size_t in_len, out_len;
    char recv[RECORDS_RECV_BYTES];
    char out[RECORDS_OUT_BYTES];
    char plain[RECORD_MAX]; /* of the caller: what goes into one record */
};

/* The calling thread's, for one session more. NULL when memory is short. */
struct records *records_hold(void);

/* One session less. */
void records_release(struct records *r);

/* Those in which OpenSSL works, from a session's BIO. */
struct records *records_of(struct bio_st *bio);

/* The session of s works from here on: nothing is there to be read, nothing gathered. */
void records_begin(struct records *r, struct stream *s);

/* Hands what is gathered to the stream that works: one sendmsg, or behind what waits. */
enum stream_result records_send(struct records *r);

#endif
