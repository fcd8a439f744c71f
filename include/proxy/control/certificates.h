/* The certificates of the listeners: read with the configuration, and as long as it.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_CERTIFICATES_H
#define SERIN_PROXY_CONTROL_CERTIFICATES_H

#include "proxy/conf/changes.h"
#include "proxy/conf/config.h"
#include "proxy/conf/errors.h"

struct certificates;
struct ssl_ctx_st;
struct tickets;

/* Reads and checks the certificates, keys and client authorities of all listeners and makes their contexts. NULL: what is
 * wrong with them, all of it, is among the errors. now: seconds since 1970 UTC. Blocks on the files. The configuration
 * has to outlive the result. */
struct certificates *certificates_read(const struct config *config, int64_t now,
                                       struct config_errors *errors) MUST_USE;

/* Lets go of the contexts; sessions that are open keep theirs. Any thread. NULL is allowed. */
void certificates_free(struct certificates *c);

/* The contexts by listener, NULL for one without TLS; the array NULL where no listener has any. Borrowed. */
struct ssl_ctx_st **certificates_contexts(const struct certificates *c);

/* Sessions are resumed by tickets of these keys, which outlive every session. Before the contexts are used. */
void certificates_use_tickets(struct certificates *c, struct tickets *tickets);

/* What a person should do something about before it is too late: a certificate that expires within 14 days, or has expired
 * since it was read; a key that every user of the machine may read. Each is added with its place. now as above. */
void certificates_warn(const struct certificates *c, int64_t now, struct config_errors *warnings);

/* Takes one certificate: the listener's bind, its file, and when it expires, in seconds since 1970 UTC. */
typedef void certificates_expiry_fn(void *arg, const char *listener, const char *file,
                                    int64_t expires);

/* Tells each pair of bind and file once. O(certificates^2). */
void certificates_expiries(const struct certificates *c, certificates_expiry_fn *tell, void *arg);

/* Tells what changed in the files while their names stayed: "listeners[0].tls.certificates[0].certificate: web.crt is
 * another one, which expires at 2026-11-30T12:00:00Z". O(certificates^2). */
void certificates_tell_changes(const struct certificates *old, const struct certificates *new,
                               changes_line_fn *tell, void *arg);

#endif
