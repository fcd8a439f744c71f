/* What follows from the tls of the listeners: rules between its keys, and the headers that are serin's alone.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONF_LISTENER_TLS_H
#define SERIN_PROXY_CONF_LISTENER_TLS_H

#include "proxy/conf/config.h"
#include "proxy/conf/tree.h"

/* Notes where the keys stand that name files. */
void listener_tls_note_places(struct config *config, const struct tree *tree);

/* Fills config->subject_headers; names are told apart as servers do, without regard to case. False: out of memory.
 * O(listeners^2). */
bool listener_tls_settle(struct config *config);

/* Reports keys that need a client_ca, a header that cannot be one, and a file that is named twice on one listener: its
 * expiry is one sample. O(certificates^2). */
void listener_tls_check(const struct config *config, struct tree *tree,
                        struct config_errors *errors);

#endif
