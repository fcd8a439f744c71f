/* What others answered, as a verdict: a metrics store's query, a webhook, a gate. And how they are asked.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_DECIDE_ANSWER_H
#define SERIN_ROLLOUT_DECIDE_ANSWER_H

#include "base/slice.h"
#include "rollout/decide/outside.h"

#define ANSWER_WHY_MAX 200
#define ANSWER_URL_MAX 8192

/* From good to bad: of several the worst counts. Only FAIL ever speaks against the canary. */
enum answer_verdict {
    ANSWER_PASS,
    ANSWER_INCONCLUSIVE, /* the other side cannot tell */
    ANSWER_NO_DATA,      /* nothing was measured, or not asked yet */
    ANSWER_ERROR,        /* no usable answer: the other side is away or broken */
    ANSWER_FAIL,
    ANSWER_VERDICT_COUNT
};

/* One answer. */
struct answer {
    enum answer_verdict verdict;
    double value;             /* of a query; NaN where there is none */
    char why[ANSWER_WHY_MAX]; /* one plain sentence */
};

/* "PASS" "INCONCLUSIVE" "NO_DATA" "ERROR" "FAIL". Never NULL. Pure. */
const char *answer_verdict_name(enum answer_verdict verdict);

/* "before_start" ... Never NULL. Pure. */
const char *answer_moment_name(enum outside_moment moment);

/* What http status and body of an instant query say (Prometheus HTTP API, /api/v1/query): exactly one value, within
 * the check's bounds. status 0: no answer, error says why. Pure. */
void answer_of_query(struct answer *a, const struct outside_check *check, unsigned status,
                     const char *error, struct slice body);

/* What a webhook says: 2xx passes, 429 and 5xx are errors of its own, anything else fails. A JSON body may say more
 * exactly: {"verdict": "pass" | "fail" | "inconclusive" | "no_data", "why": "..."} with 2xx. Pure. */
void answer_of_webhook(struct answer *a, unsigned status, const char *error, struct slice body);

enum answer_gate { ANSWER_GATE_OPEN, ANSWER_GATE_CLOSED, ANSWER_GATE_AGAIN };

/* What a gate says: 2xx opens it; 429, 5xx and no answer at all mean that it is asked again; anything else closes it.
 * why: one plain sentence. Pure. */
enum answer_gate answer_of_gate(unsigned status, const char *error, char why[ANSWER_WHY_MAX]);

/* Names that a query may use. */
struct answer_names {
    const char *route, *stable, *canary;
};

/* The URL of an instant query: base, "/api/v1/query?query=", and the query with $route, $stable and $canary filled in.
 * False: longer than ANSWER_URL_MAX. Pure. */
bool answer_query_url(const struct outside_check *check, const struct answer_names *names,
                      char url[ANSWER_URL_MAX]);

#endif
