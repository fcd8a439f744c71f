/* What the tests of the Kubernetes side share: cmocka, and the recorded answers.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_TESTS_KUBE_HELP_H
#define SERIN_TESTS_KUBE_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* A fixture's bytes with a NUL behind them; the caller frees them. */
static inline char *help_read(const char *name, size_t *len)
{
    char path[512];
    (void)snprintf(path, sizeof path, TESTS_DIR "/fixtures/kubernetes/client/%s", name);
    FILE *f = fopen(path, "rb");
    char *bytes = malloc(1u << 20);
    CHECK(f && bytes);
    *len = fread(bytes, 1, (1u << 20) - 1, f);
    bytes[*len] = '\0';
    fclose(f);
    return bytes;
}

#endif
