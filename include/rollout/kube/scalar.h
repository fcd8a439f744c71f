/* What a plain YAML scalar is to Kubernetes. Pure. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_KUBE_SCALAR_H
#define SERIN_ROLLOUT_KUBE_SCALAR_H

#include "base/slice.h"

enum scalar_kind {
    SCALAR_TEXT,
    SCALAR_NULL,
    SCALAR_TRUE,
    SCALAR_FALSE,
    SCALAR_NUMBER,
    SCALAR_INFINITE,  /* .inf, .nan: JSON has none */
    SCALAR_TOO_LARGE, /* a number above 2^53: JSON's readers disagree about it */
};

/* Types an unquoted scalar; *number is set for SCALAR_NUMBER. 0644 is octal, 1_000 a number, yes is
 * true, 2026-01-01 and 1:30 are text, as go-yaml v2 has it. */
enum scalar_kind scalar_read(struct slice text, double *number);

#endif
