/* Which call of the API server is tried again, and after how long. Pure.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_KUBE_RETRY_H
#define SERIN_ROLLOUT_KUBE_RETRY_H

#include "rollout/kube/client.h"

/* An authorizer that has just started knows no rules yet and denies everybody: so long a 403 may
 * pass. */
#define KUBE_DENIED_PATIENCE_MS 1000

/* What became of a try. */
struct kube_try {
    enum kube_verb verb;
    unsigned status;        /* 0: no whole answer */
    bool is_sent;           /* a byte of the question may have arrived */
    bool is_lasting;        /* status 0, and the next try would fail alike */
    bool is_rbac;           /* 403 by the authorizer, not by a quota or a webhook */
    unsigned retry_after_s; /* 0 = not said */
    unsigned tries;         /* made until now, this one too */
    unsigned refusals;      /* answers with 401 until now, this one too */
    int64_t denied_ms;      /* since the first 403; 0 = this is it */
};

/* The wait before the next try, in milliseconds; -1: this answer stands. random: any value; spreads
 * those who were turned away together. */
int64_t kube_retry_wait_ms(const struct kube_try *t, uint32_t random);

/* Whether nobody can know what a write has done. */
bool kube_try_is_unknown(const struct kube_try *t);

#endif
