/* Answers of the Kubernetes API server by verb and status code.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/kube_counts.h"

#include <stdio.h>
#include <string.h>

static struct kube_count *find(struct kube_counts *k, const char *verb, unsigned code)
{
    for (unsigned i = 0; i < k->n; i++)
        if (k->rows[i].code == code && strcmp(k->rows[i].verb, verb) == 0)
            return &k->rows[i];
    return NULL;
}

void kube_counts_add(struct kube_counts *k, const char *verb, unsigned code)
{
    if (code < 100 || code > 599)
        code = 0;
    struct kube_count *row = find(k, verb, code);
    if (!row && k->n >= KUBE_COUNTS_MAX - 1) {
        verb = "other";
        code = 0;
        row = find(k, verb, code);
    }
    if (!row) {
        row = &k->rows[k->n++];
        (void)snprintf(row->verb, sizeof row->verb, "%s", verb);
        row->code = code;
    }
    row->total++;
}
