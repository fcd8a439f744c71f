/* Decimal digits of a number: written on the request path and a hundred thousand times a page of metrics.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_BASE_DECIMAL_H
#define SERIN_BASE_DECIMAL_H

#include <stdint.h>

#define DECIMAL_CHARS 20u /* of 2^64 - 1 */

/* Writes the digits of a number so that they end at end, with DECIMAL_CHARS of room in front of it. Returns where they begin.
 * Never fails. Pure. */
static inline char *decimal_write(char *end, uint64_t n)
{
    do
        *--end = (char)('0' + n % 10);
    while (n /= 10);
    return end;
}

#endif
