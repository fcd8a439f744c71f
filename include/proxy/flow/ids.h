/* Ids that the proxy makes: of a request, and of the trace that begins with it.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_FLOW_IDS_H
#define SERIN_PROXY_FLOW_IDS_H

#include "base/hex.h"
#include "proxy/flow/ctx.h"

#define ID_CHARS          (2 * HEX_CHARS) /* 128 random bits */
#define TRACEPARENT_CHARS 55u             /* of version 00 */

/* Writes 128 random bits, not for secrets, as 32 hex digits. */
void id_make(struct flow *f, char out[ID_CHARS]);

/* Writes the traceparent of a trace that begins here: version 00, random ids, not sampled. No id is all zero, for no word of
 * flow_random is. (W3C Trace Context, section 3.2) */
void id_make_traceparent(struct flow *f, char out[TRACEPARENT_CHARS]);

#endif
