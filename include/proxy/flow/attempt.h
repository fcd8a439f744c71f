/* One attempt of an exchange on one version: endpoint, connection, retry, and the one place where it is counted.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_FLOW_ATTEMPT_H
#define SERIN_PROXY_FLOW_ATTEMPT_H

#include "proxy/flow/exchange.h"

#define REASON_NONE REASON_COUNT /* the attempt did not fail */

/* Chooses an endpoint of a version, not the one to avoid: PICK_NONE where there is none. avoid may be PICK_NONE. */
uint32_t attempt_choose(const struct exchange *x, const struct route_variant *v, uint32_t avoid);

/* Chooses an endpoint of x->attempt.variant and gets a connection; the request goes out now or when it is there.
 * x may be gone on return. */
void attempt_start(struct exchange *x);

/* Tries once more to connect where the endpoint's queue was full, while timeouts.connect lasts. False: nothing of the
 * kind. x may be gone on return. */
bool attempt_dial_again(struct exchange *x);

/* No connection within timeouts.connect: none came up, or there was no room for one. x may be gone on return. */
void attempt_connect_late(struct exchange *x);

/* The connection closed before anything of a response came. True where it had idled in the pool and the request may
 * go again on a fresh one (RFC 9112 section 9.3.1): not counted, the version is not to blame. */
bool attempt_replace_stale(struct exchange *x);

/* The attempt has failed before a final head went down: counts it, then tries once more where failover_find allows, else
 * answers 502, 503 or 504 by its reason. cause: an enum retry_on, or RETRY_NEVER. x may be gone on return. */
void attempt_failed(struct exchange *x, enum metric_reason reason, unsigned cause);

/* The upstream answered 502, 503 or 504: counts the attempt and starts another where `retry.on` names that status
 * and failover_find allows; the answer is thrown away. is_whole: nothing of it is still to come, and the connection may
 * serve again; else it is closed. False: not retried and not counted, the response goes down. */
bool attempt_retry_status(struct exchange *x, unsigned status, bool is_whole);

/* Counts the attempt with its status and reason, where it was not counted yet. is_void: neither success nor failure
 * (the client left). */
void attempt_count(struct exchange *x, unsigned status, enum metric_reason reason, bool is_void);

/* What a final head tells already: a failure does not wait for its body to end, nor does the breaker's trial for that of
 * a success. is_endless: the body lasts as long as the user looks, so that its head is all there is to count. */
void attempt_note_head(struct exchange *x, unsigned status, bool is_endless);

/* The attempt is over: counts it, and it is in flight no more. Once; later calls change nothing. */
void attempt_settle(struct exchange *x, unsigned status, enum metric_reason reason, bool is_void);

/* Gives the connection back to its pool, or closes it. */
void attempt_release(struct exchange *x, bool may_reuse);

/* The connection that was dialled is there, or not. Callback of upstream_events. */
void attempt_on_connected(void *owner, bool ok);

/* Says in the log why TLS with the endpoint has failed. */
void attempt_log_tls(const struct exchange *x);

/* It is the turn of this request, which waited for room at its endpoint. Callback of upstream_events. */
void attempt_on_room(void *owner);

#endif
