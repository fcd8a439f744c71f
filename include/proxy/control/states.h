/* The part of an endpoint that workers and snapshots share: made and let go of.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_STATES_H
#define SERIN_PROXY_CONTROL_STATES_H

#include "proxy/control/known.h"

/* The state of a new endpoint, with one reference: a newcomer from now on, with the quota that others of its address
 * have. NULL when memory is short. O(1). Control thread. */
struct endpoint_state *endpoint_state_new(const struct known *k, const char *text,
                                          const struct wire_addr *addr);

/* Lets go of a reference. Any thread. */
void endpoint_state_unref(struct endpoint_state *s);

#endif
