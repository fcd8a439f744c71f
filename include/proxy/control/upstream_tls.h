/* The TLS contexts with which the endpoints of a configuration are spoken to: read with it, and as long as it.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_UPSTREAM_TLS_H
#define SERIN_PROXY_CONTROL_UPSTREAM_TLS_H

#include "proxy/conf/config.h"
#include "proxy/conf/errors.h"

/* The contexts of one configuration, each once. */
struct upstream_tls;

/* Makes the context of every version that has `tls` and notes it there (tls.context, borrowed, and tls.name). before: of the
 * configuration in force, or NULL. What says the same in the same words, down to the bytes of the files, shares a
 * context, with that one too: connections belong to a context, so a reload that changes nothing of it keeps them. NULL: what
 * is wrong with the files is among the errors. Blocks on the files. O(versions * contexts). */
struct upstream_tls *upstream_tls_read(struct config *config, const struct upstream_tls *before,
                                       struct config_errors *errors) MUST_USE;

/* Any thread. NULL is allowed. */
void upstream_tls_free(struct upstream_tls *u);

/* Warns in the log of every version in use whose endpoints are believed without proof (verify: false). */
void upstream_tls_warn(const struct config *config);

#endif
