/* What a fuzzer's entry and its replay program share.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_TESTS_FUZZ_H
#define SERIN_TESTS_FUZZ_H

#include "base/check.h"
#include "base/slice.h"

/* Judges one input; aborts where a promise is broken. Called by libFuzzer, or by replay.c for each
 * file of a corpus. Always returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A copy of exactly n bytes, so that a sanitizer sees the byte behind it. The caller frees it. */
static inline char *fuzz_copy(const void *bytes, size_t n)
{
    char *copy = malloc(n ? n : 1);
    CHECK(copy);
    if (n)
        memcpy(copy, bytes, n);
    return copy;
}

#endif
