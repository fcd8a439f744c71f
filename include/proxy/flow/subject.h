/* Whose certificate a client has shown, handed upstream in a field that no client can send itself.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_FLOW_SUBJECT_H
#define SERIN_PROXY_FLOW_SUBJECT_H

#include "proxy/flow/client.h"
#include "proxy/http/rewrite.h"

#define SUBJECT_MAX 1024 /* bytes that a client's certificate may add to each of its requests */

/* Takes the fields that are serin's alone out of the head in flow->head, on listeners of every kind: whoever reads it later
 * sees none that was forged. buf: the head's bytes. One comparison where the configuration has no client_ca. */
void subject_guard(const struct client *c, const char *buf);

/* Adds the subject to the request, where the client's listener asks for certificates and the client has shown one. The
 * request borrows it from the client. A subject longer than SUBJECT_MAX is left out, which the log says: to the upstream
 * the client is one without a certificate. Allocates once a connection. */
void subject_add(struct client *c, struct rewrite_request *r);

#endif
