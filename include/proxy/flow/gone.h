/* Clients that break while nobody reads from them: found by looking, for no event is armed then.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_FLOW_GONE_H
#define SERIN_PROXY_FLOW_GONE_H

#include "proxy/flow/ctx.h"

/* Ends the requests whose client has reset its connection while back-pressure, or a request read ahead, keeps it from being
 * read: their version is let go of, and not blamed for the time that it would have gone on to wait. A mere end of input
 * stays unseen there: it stands behind bytes, and may be only that. O(requests under way); a system call for each client that
 * rests. */
void gone_look(struct flow *f);

#endif
