/* What a request brings along that decides its version: override, sticky key. Then the guards of the canary.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_FLOW_ASSIGN_H
#define SERIN_PROXY_FLOW_ASSIGN_H

#include "proxy/flow/exchange.h"

/* Chooses the version of x->route for the request whose head is x->flow->head over buf: sets assigned and the
 * attempt's variant. Weight above 0 never reaches a canary without an available endpoint or past an open breaker.
 * May note a sticky cookie to issue. Out of memory shows in x->arena.failed. */
void assign_version(struct exchange *x, const char *buf);

#endif
