/* Outside bytes within a line of a log: what would break or forge it becomes an escape.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_METRICS_ESCAPE_H
#define SERIN_METRICS_ESCAPE_H

#include "base/slice.h"

#define ESCAPE_BYTES_MAX 8u /* of one character: \u202e, or four bytes of UTF-8 as they are */

/* Would break the line, move a terminal's cursor or turn the reading direction. Pure. */
static inline bool escape_is_control(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029 ||
           (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

/* Writes the character that s (not empty) begins with as it stands in a JSON string: UTF-8 as it is, controls as \u00HH, a
 * byte that is no UTF-8 as the four characters \xHH. Returns how many bytes were written; *used: how many of s. Pure. */
size_t escape_json(struct slice s, char out[ESCAPE_BYTES_MAX], size_t *used);

/* The same one byte at a time, as nginx writes it: \xHH (upper case) for quotes, backslashes, controls and 8-bit bytes. */
size_t escape_combined(struct slice s, char out[ESCAPE_BYTES_MAX], size_t *used);

#endif
