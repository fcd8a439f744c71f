/* What is kept of a request's body, framed as it goes up, for another attempt.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_FLOW_REPLAY_H
#define SERIN_PROXY_FLOW_REPLAY_H

#include "proxy/flow/exchange.h"
#include <sys/uio.h>

/* Keeps more of it where another attempt may be made, or the mirror wants it; else all of it is forgotten. is_open: there is a
 * connection that takes it. False: there is none, and it cannot be kept (more than EXCHANGE_REPLAY_MAX, or memory): it would
 * stand nowhere. O(bytes). */
bool replay_take(struct exchange *x, const struct iovec *parts, int n, bool is_open);

/* There is no other attempt any more: what was kept is freed. */
void replay_forget(struct exchange *x);

#endif
