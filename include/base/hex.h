/* Hexadecimal digits of a number, eight at a time: ids are made on the request path.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_BASE_HEX_H
#define SERIN_BASE_HEX_H

#include <stdint.h>
#include <string.h>

#define HEX_CHARS 16u /* of 64 bits */

/* The 8 lower-case digits of a number, the highest in the lowest byte. */
static inline uint64_t hex_word(uint32_t bits)
{
    uint64_t x = __builtin_bswap32(bits);
    x = (x | x << 16) & UINT64_C(0x0000ffff0000ffff);
    x = (x | x << 8) & UINT64_C(0x00ff00ff00ff00ff);
    x = (x >> 4 | x << 8) & UINT64_C(0x0f0f0f0f0f0f0f0f); /* the high digit of a byte comes first */
    uint64_t letters = (x + UINT64_C(0x0606060606060606)) >> 4 & UINT64_C(0x0101010101010101);
    return x + UINT64_C(0x3030303030303030) + letters * ('a' - '0' - 10);
}

/* Writes the 16 lower-case digits of a number, the highest first. Never fails. Pure. */
static inline void hex_write(char out[HEX_CHARS], uint64_t bits)
{
    uint64_t words[2] = {hex_word((uint32_t)(bits >> 32)), hex_word((uint32_t)bits)};
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    words[0] = __builtin_bswap64(words[0]);
    words[1] = __builtin_bswap64(words[1]);
#endif
    memcpy(out, words, sizeof words);
}

#endif
