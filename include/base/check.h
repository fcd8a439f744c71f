/* Invariants that stay on in release builds: a broken one stops the process before it harms a request.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_BASE_CHECK_H
#define SERIN_BASE_CHECK_H

#include <stdio.h>
#include <stdlib.h>

/* Aborts with file, line and expression when a programming error is found. Never for outside input. */
#define CHECK(expr)                                                                                \
    do {                                                                                           \
        if (__builtin_expect(!(expr), 0)) {                                                        \
            fprintf(stderr, "serin: %s:%d: CHECK failed: %s\n", __FILE__, __LINE__, #expr);        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
