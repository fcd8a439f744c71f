/* Checks and gates by others, in a rollout of the draft. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONVERT_CHECKS_H
#define SERIN_PROXY_CONVERT_CHECKS_H

#include "base/slice.h"
#include "proxy/convert/draft.h"

#define CHECKS_QUERY_MAX 4096 /* bytes of a query, as the configuration has it */

/* A query of Prometheus or a webhook. All borrowed; NULL = not there. */
struct checks_item {
    const char *name, *url, *query; /* query NULL: a webhook */
    const char *min, *max;          /* numbers */
    int64_t interval_ms, failures;  /* 0: serin's own */
    const char *near; /* what it is only something like, for a note; NULL = the same */
};

/* Adds one to more_checks (made where it is not there). What serin would not take is left out with a note at `at`. */
void checks_put(struct draft *d, struct cJSON *rollout, const struct cJSON *at,
                const struct checks_item *item);

/* A gate. All borrowed. */
struct checks_gate {
    const char *moment, *url; /* url NULL: not there */
    int64_t timeout_ms;       /* 0: serin's own */
    const char *near;         /* as above */
};

/* Adds a gate, likewise. */
void checks_put_gate(struct draft *d, struct cJSON *rollout, const struct cJSON *at,
                     const struct checks_gate *gate);

/* What stands for {{ name }} in a query; NULL: not known. */
typedef const char *checks_value_fn(const void *arg, struct slice name);

/* A query with its {{ names }} filled in and its lines joined. False: a name is not known, or it is too long; out says
 * as far as it went. */
bool checks_fill(const char *query, checks_value_fn *value, const void *arg,
                 char out[CHECKS_QUERY_MAX]);

#endif
