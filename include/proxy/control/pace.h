/* When a name is asked for again: after its answer's time to live, or after a failure.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_PACE_H
#define SERIN_PROXY_CONTROL_PACE_H

#include <stdbool.h>
#include <stdint.h>

/* A time to live below the first would make serin a flood for the name server; one above the second would leave a version
 * on addresses that are long gone. */
#define PACE_TTL_MIN_MS 1000u
#define PACE_TTL_MAX_MS 60000u

/* The first pause after a failure; each further one is twice as long, up to the second, or up to the third while nothing is
 * known: a service without endpoints has more to win. */
#define PACE_RETRY_MIN_MS     1000u
#define PACE_RETRY_MAX_MS     30000u
#define PACE_RETRY_UNKNOWN_MS 4000u

/* How long an answer is good: within the bounds, and up to an eighth longer, for a resolver that caches would give the same
 * answer again before its time, and many serins should not ask at once. random: any 32 bits. Milliseconds. Pure. */
uint32_t pace_after_answer_ms(uint32_t ttl_s, uint32_t random);

/* The pause after the n-th failure in a row (n from 1): half of it certain, half of it chance. is_unknown: the name has no
 * addresses yet. Milliseconds. Pure. */
uint32_t pace_after_failure_ms(unsigned n, bool is_unknown, uint32_t random);

#endif
