/* Who may read and change through the admin port: the rules alone, without a socket (pure).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_ADMIN_GUARD_H
#define SERIN_PROXY_CONTROL_ADMIN_GUARD_H

#include "base/slice.h"

/* What the port is, fixed at start. */
struct admin_guard {
    bool is_unix;      /* a UNIX socket: no browser reaches it */
    bool is_local;     /* only this machine reaches it (a UNIX socket, or loopback) */
    struct slice host; /* the bound address without port: "127.0.0.1", "[::1]" */
    const char *token; /* NULL = none */
};

/* What a request claims of itself; NULL = the field is missing. */
struct admin_claims {
    const char *host, *origin, *authorization, *content_type;
    unsigned hosts; /* how many Host fields there are */
};

enum admin_verdict {
    ADMIN_ALLOWED,
    ADMIN_NO_TOKEN,       /* 401: none, or another one */
    ADMIN_WRONG_HOST,     /* 403: a name that the port does not go by (DNS rebinding) */
    ADMIN_FOREIGN_ORIGIN, /* 403: a page of another site (cross-site request forgery) */
    ADMIN_NOT_JSON,       /* 400: a form can post, but not as JSON */
};

/* Reading is free on this machine; elsewhere it needs the token, where one is set. Pure. */
enum admin_verdict admin_may_read(const struct admin_guard *guard,
                                  const struct admin_claims *claims);

/* Changing needs an expected Host, no foreign Origin, the token where one is set, and JSON. Pure.
 */
enum admin_verdict admin_may_change(const struct admin_guard *guard,
                                    const struct admin_claims *claims);

#endif
