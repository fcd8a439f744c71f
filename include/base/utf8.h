/* UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_BASE_UTF8_H
#define SERIN_BASE_UTF8_H

#include "base/slice.h"

/* Bytes of the character that s begins with, 1 to 4, and its code point; 0 where s is empty or does
 * not begin with a whole character. Pure. */
static inline unsigned utf8_next(struct slice s, uint32_t *code_point)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    if (s.len == 0)
        return 0;
    unsigned char first = (unsigned char)s.at[0];
    if (first < 0x80) {
        *code_point = first;
        return 1;
    }
    unsigned n = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || s.len < n)
        return 0;
    uint32_t c = first & (0x7fu >> n);
    for (unsigned i = 1; i < n; i++) {
        unsigned char more = (unsigned char)s.at[i];
        if ((more & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (more & 0x3f);
    }
    if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    *code_point = c;
    return n;
}

/* True when every byte belongs to a whole character. Pure. O(len). */
static inline bool utf8_valid(struct slice s)
{
    uint32_t c;
    while (s.len) {
        unsigned n = utf8_next(s, &c);
        if (n == 0)
            return false;
        s.at += n, s.len -= n;
    }
    return true;
}

#endif
