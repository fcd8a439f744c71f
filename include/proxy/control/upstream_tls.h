/* The TLS contexts with which the endpoints of a configuration are spoken to: read with it, and as long as it.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_UPSTREAM_TLS_H
#define SERIN_PROXY_CONTROL_UPSTREAM_TLS_H

#include "proxy/conf/config.h"
#include "proxy/conf/errors.h"
#include "proxy/control/certificates.h"

/* The contexts of one configuration, each once. */
struct upstream_tls;

/* Makes the context of every version that has `tls` and notes it there (tls.context, borrowed, and tls.name). before: of the
 * configuration in force, or NULL. What says the same in the same words, down to the bytes of the files, shares a
 * context, with that one too: connections belong to a context, so a reload that changes nothing of it keeps them. now:
 * seconds since 1970. NULL: what is wrong with the files is among the errors. Blocks on the files. O(versions * contexts). */
struct upstream_tls *upstream_tls_read(struct config *config, int64_t now,
                                       const struct upstream_tls *before,
                                       struct config_errors *errors) MUST_USE;

/* Any thread. NULL is allowed. */
void upstream_tls_free(struct upstream_tls *u);

/* Adds what is not wise: endpoints that are believed without proof (verify: false), a certificate shown to them that
 * expires soon, a key that anybody may read. now: seconds since 1970. NULL is allowed. */
void upstream_tls_warn(const struct upstream_tls *u, const struct config *config, int64_t now,
                       struct config_errors *warnings);

/* Tells of versions whose settings are the same and whose files are not. Both have been read. O(versions^2). */
void upstream_tls_tell_changes(const struct config *old, const struct config *new,
                               changes_line_fn *tell, void *arg);

/* Tells when each certificate that serin shows to endpoints expires, each file once; its listener is "". */
void upstream_tls_expiries(const struct upstream_tls *u, certificates_expiry_fn *tell, void *arg);

#endif
