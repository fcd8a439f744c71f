/* Answers of the Kubernetes API server by verb and status code, for /metrics.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_KUBE_COUNTS_H
#define SERIN_PROXY_CONTROL_KUBE_COUNTS_H

#include <stdint.h>

#define KUBE_COUNTS_MAX      64 /* series: guards /metrics against a server that makes codes up */
#define KUBE_COUNTS_VERB_MAX 8  /* "DELETE" with its NUL */

struct kube_count {
    char verb[KUBE_COUNTS_VERB_MAX];
    unsigned code; /* 0: there was no answer */
    uint64_t total;
};

/* Starts zeroed. */
struct kube_counts {
    struct kube_count rows[KUBE_COUNTS_MAX];
    unsigned n;
};

/* Counts one answer. A code that is none (below 100, above 599) counts as 0; where the rows are used up a new pair counts
 * as verb "other", code 0. O(rows). */
void kube_counts_add(struct kube_counts *k, const char *verb, unsigned code);

#endif
