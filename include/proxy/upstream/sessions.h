/* TLS sessions of one endpoint that its next connections may resume: few, the newest first, and never another endpoint's.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_UPSTREAM_SESSIONS_H
#define SERIN_PROXY_UPSTREAM_SESSIONS_H

#include <stdbool.h>
#include <stddef.h>

struct ssl_ctx_st;
struct ssl_session_st;
struct stream;

/* A server sends two tickets a handshake, and one a resumption. A session holds the peer's certificates: some KiB. */
#define SESSIONS_MAX 4u

/* Embedded by whoever dials, zeroed. One thread. */
struct sessions {
    struct ssl_session_st *items[SESSIONS_MAX]; /* the oldest first */
    size_t n;
};

/* Makes a context of clients tell of the sessions that servers give. Once, before it is used. */
void sessions_prepare(struct ssl_ctx_st *ctx);

/* Before the handshake of a stream with TLS: its session is the newest one that is kept, if there is any, and what its
 * server gives in return is kept, as long as the stream has TLS: s outlives it. A session of TLS 1.3 serves once while there
 * are others (RFC 8446 appendix C.4: a second use tells an observer that it is the same client, which serin's address says
 * too); the last one serves on, or a burst of connections would cost a full handshake each. */
void sessions_offer(struct sessions *s, struct stream *stream);

/* Lets all go. */
void sessions_fini(struct sessions *s);

#endif
