/* The SSL_CTX of one listener: its certificates by server name, protocol, ciphers, tickets, and what it asks of clients.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_SERVER_CONTEXT_H
#define SERIN_PROXY_CONTROL_SERVER_CONTEXT_H

#include "proxy/conf/config.h"
#include "proxy/control/pem.h"

struct tickets;

/* A certificate with those that lead to its authority, and its key. */
struct server_pair {
    STACK_OF(X509) * chain; /* its own first */
    EVP_PKEY *key;
};

void server_pair_fini(struct server_pair *p);

/* Whether OpenSSL will show it: it refuses a chain with weak signatures. ERR_INVALID with why a predicate to stand behind
 * the certificate's name. */
enum err server_pair_check(const struct server_pair *p, struct why *why) MUST_USE;

/* Makes a context, to be shared by all workers. pairs: taken, in any case; at least one, each of them checked. client_ca:
 * NULL = clients are not asked for a certificate; borrowed. NULL when memory is short. */
SSL_CTX *server_context_new(const struct config_tls *conf, struct server_pair *pairs, size_t n,
                            const struct pem_certificates *client_ca) MUST_USE;

/* From here on sessions are resumed by tickets of these keys, which outlive every session. Before the context is used. */
void server_context_use_tickets(SSL_CTX *ctx, struct tickets *tickets);

#endif
