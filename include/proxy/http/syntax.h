/* Which bytes may stand where in an HTTP/1 message: characters, values, targets, authorities.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_HTTP_SYNTAX_H
#define SERIN_PROXY_HTTP_SYNTAX_H

#include "base/slice.h"
#include <stddef.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* Bits of syntax_class. */
#define SYNTAX_TOKEN 0x01 /* tchar (RFC 9110 section 5.6.2) */
#define SYNTAX_VALUE 0x02 /* field-vchar, obs-text, SP and HTAB (section 5.5) */
#define SYNTAX_PATH  0x04 /* a byte of a path, but not '%' */
#define SYNTAX_QUERY 0x08 /* a byte of a query, but not '%' */
#define SYNTAX_HOST  0x10 /* a byte of a host name */
#define SYNTAX_HEX   0x20
#define SYNTAX_DIGIT 0x40

/* The longest authority that is accepted: a DNS name of 253 bytes, its last dot, ":65535". Guards
 * logs and upstreams. */
#define SYNTAX_AUTHORITY_BYTES_MAX 260

/* The classes of each byte. Constant. */
extern const uint8_t syntax_class[256];

static inline bool syntax_is(char c, uint8_t classes)
{
    return (syntax_class[(unsigned char)c] & classes) != 0;
}

#define SYNTAX_BLOCK 16u /* bytes that are looked at in one step */

/* How many of the SYNTAX_BLOCK bytes at the front are letters or "-": what most names of fields are made of. Pure. */
static inline size_t syntax_name_bytes(const char *at)
{
#ifdef __SSE2__
    __m128i bytes;
    memcpy(&bytes, at, sizeof bytes);
    __m128i lower = _mm_or_si128(bytes, _mm_set1_epi8(0x20));
    __m128i letter = _mm_and_si128(_mm_cmpgt_epi8(lower, _mm_set1_epi8('a' - 1)),
                                   _mm_cmplt_epi8(lower, _mm_set1_epi8('z' + 1)));
    __m128i dash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('-'));
    unsigned others = (unsigned)_mm_movemask_epi8(_mm_or_si128(letter, dash)) ^ 0xffff;
    return (size_t)__builtin_ctz(others | 0x10000);
#else
    size_t n = 0;
    while (n < SYNTAX_BLOCK && ((unsigned char)((at[n] | 0x20) - 'a') < 26 || at[n] == '-'))
        n++;
    return n;
#endif
}

#ifdef __SSE2__
/* The control bytes among SYNTAX_BLOCK of them, HTAB and DEL too: a bit for each, the first byte's lowest. Pure. */
static inline unsigned syntax_control_bits(const char *at)
{
    __m128i bytes;
    memcpy(&bytes, at, sizeof bytes);
    __m128i below_space = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
    __m128i is_delete = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f));
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(below_space, is_delete));
}
#endif

/* The first control byte in [at, end), HTAB and DEL too; NULL where there is none. SYNTAX_BLOCK bytes before end must be
 * readable. Pure. O(result). */
static inline const char *syntax_control(const char *at, const char *end)
{
#ifdef __SSE2__
    const char *last = end - SYNTAX_BLOCK;
    unsigned found;
    for (; at <= last; at += SYNTAX_BLOCK) {
        found = syntax_control_bits(at);
        if (found)
            return at + __builtin_ctz(found);
    }
    if (at >= end)
        return NULL;
    /* what is left is less than a block: the last block, without what was looked at or lies before */
    found = syntax_control_bits(last) >> (at - last);
    return found ? at + __builtin_ctz(found) : NULL;
#else
    for (; at < end; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            return at;
    return NULL;
#endif
}

/* How many bytes at the front of s are token bytes. A byte that is none must stand behind s, as the
 * CR behind every line does: it is what ends the search. Pure. O(result). */
static inline size_t syntax_token_bytes(struct slice s)
{
    size_t n = s.len >= SYNTAX_BLOCK ? syntax_name_bytes(s.at) : 0;
    while (syntax_is(s.at[n], SYNTAX_TOKEN))
        n++;
    return n;
}

/* True where every byte may stand in a field value or a reason phrase: no control byte but HTAB.
 * Pure. O(n), eight bytes a step. */
bool syntax_is_value(struct slice s);

/* True for a path with query that may be passed on: no "#", and in the path "%" is followed by two
 * hexadecimal digits. Bytes that RFC 3986 forbids but that clients do send raw (for example | ^ [ ] in a path, and
 * any visible byte but # in a query) are let through; controls, spaces and 8-bit bytes are not.
 * Pure. */
bool syntax_is_target(struct slice s);

/* True for host [":" port] (RFC 9110 section 7.2) that is not empty: a name of letters, digits and
 * "-._~", an IPv4 address, or an IPv6 address in brackets; a port up to 65535 or empty. No user
 * information. Percent-encoding and sub-delims, which the grammar allows and no name or address
 * has, are refused. Pure. */
bool syntax_is_authority(struct slice s);

/* Compares a token with a name in lower case. Exact for tokens only: bytes outside of
 * syntax_class's TOKEN may be taken for others. Pure. O(n), eight bytes a step. */
static inline bool syntax_token_is(struct slice token, const char *lower, size_t len)
{
    size_t i = 0;
    if (token.len != len)
        return false;
    for (; i + 8 <= len; i += 8) {
        uint64_t got, wanted;
        memcpy(&got, token.at + i, 8);
        memcpy(&wanted, lower + i, 8);
        if ((got | UINT64_C(0x2020202020202020)) != wanted)
            return false;
    }
    for (; i < len; i++)
        if ((token.at[i] | 0x20) != lower[i])
            return false;
    return true;
}

/* True for a traceparent that may be passed on (W3C Trace Context, section 3.2): version 00, or a later one with more behind
 * what 00 has; neither id all zero. Pure. */
bool syntax_is_traceparent(struct slice s);

/* Takes the next element of a comma-separated list (RFC 9110 section 5.6.1), trimmed; empty ones
 * are passed over. False at the end of the list. Does not know quoted strings. Pure. */
bool syntax_list_next(struct slice *list, struct slice *element);

#endif
