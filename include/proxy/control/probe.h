/* Finds out whether endpoints can be reached that are new or have failed, so that no user's request has to.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_PROBE_H
#define SERIN_PROXY_CONTROL_PROBE_H

#include "proxy/control/known.h"

struct event_base;

/* Starts a connect, with TLS where its version has that, to every endpoint that is not known to be up, or has just failed one,
 * and has none under way; the outcome goes to its health when it is there. Those of a route with active checks are left to them
 * (health.h). Says in the log what has changed meanwhile. At most PROBES_MAX at a time. timeout_ms: of one connect. */
#define PROBES_MAX 128
void probe_all(struct known *k, struct event_base *base, uint32_t timeout_ms);

/* One line in the log where an endpoint is up or down and was not before, whoever found out; why: of down. */
void probe_say(struct known_endpoint *e, const char *why);

/* Gives up the connect of one endpoint; nothing happens where none is under way. */
void probe_cancel(struct known_endpoint *e);

#endif
