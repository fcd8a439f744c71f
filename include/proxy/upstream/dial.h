/* One connection to an endpoint, from its socket to the moment when it may be used: connect, then TLS where that is asked
 * for.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_UPSTREAM_DIAL_H
#define SERIN_PROXY_UPSTREAM_DIAL_H

#include "proxy/upstream/sessions.h"
#include "proxy/wire/addr.h"

struct stream;

/* How an endpoint is spoken to. */
struct dial_tls {
    struct ssl_ctx_st *ctx; /* NULL = plain */
    const char *name;       /* what it must prove to be; NULL = its own IP address */
};

/* A nonblocking, close-on-exec socket whose connect is under way or done; it becomes writable when it is decided.
 * -1 with errno where it failed at once. stream_prepare was called for it. Any thread. */
int dial_start(const struct wire_addr *to);

/* Whether that errno is our own want of descriptors, ports or memory, and not the endpoint's fault. Pure. */
bool dial_is_own_fault(int error);

enum dial_progress { DIAL_MORE, DIAL_DONE, DIAL_FAILED };

/* One step of a connection, called for each event of a stream over dial_start's socket, the first one an EV_WRITE, until
 * it is decided; what is the event's. sessions: that it may resume and that it gives, or NULL. Arms the events that it
 * waits for: the stream reads where there is TLS, and nothing waits to be written in the end. DIAL_FAILED: errno says why,
 * EPROTO where TLS did (tls_why). */
enum dial_progress dial_step(struct stream *s, short what, const struct wire_addr *to,
                             const struct dial_tls *tls, struct sessions *sessions);

#endif
