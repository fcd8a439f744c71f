/* Borrowed bytes: a pointer and a length, valid until the lender returns. Not NUL-terminated.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_BASE_SLICE_H
#define SERIN_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const char *at;
    size_t len;
};

/* For printf("%.*s", SLICE_ARG(s)). */
#define SLICE_ARG(s) (int)(s).len, (s).at
#define SLICE(lit)   ((struct slice){"" lit, sizeof(lit) - 1})

static inline struct slice slice_of(const char *at, size_t len)
{
    return (struct slice){at, len};
}

static inline struct slice slice_str(const char *text)
{
    return (struct slice){text, strlen(text)};
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

/* ASCII lower case of one byte; other bytes pass through. Never depends on the locale. */
static inline char ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static inline bool slice_equal_nocase(struct slice a, struct slice b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (ascii_lower(a.at[i]) != ascii_lower(b.at[i]))
            return false;
    return true;
}

static inline bool slice_starts(struct slice s, struct slice prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.at, prefix.at, prefix.len) == 0);
}

/* Drops spaces and tabs (OWS, RFC 9110 section 5.6.3) at both ends. */
static inline struct slice slice_trim(struct slice s)
{
    while (s.len && (s.at[0] == ' ' || s.at[0] == '\t'))
        s.at++, s.len--;
    while (s.len && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t'))
        s.len--;
    return s;
}

/* Cuts at the first sep: head gets what stands before it, rest what stands behind. False: no sep, and head is
 * all of s, rest is empty. */
static inline bool slice_cut(struct slice s, char sep, struct slice *head, struct slice *rest)
{
    const char *p = s.len ? memchr(s.at, sep, s.len) : NULL;
    if (!p) {
        *head = s;
        *rest = slice_of(s.at + s.len, 0);
        return false;
    }
    *head = slice_of(s.at, (size_t)(p - s.at));
    *rest = slice_of(p + 1, s.len - head->len - 1);
    return true;
}

/* Parses decimal digits only: no sign, no space, no empty text. False also on overflow of 64 bits. */
static inline bool slice_parse_u64(struct slice s, uint64_t *out)
{
    uint64_t v = 0;
    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        unsigned d = (unsigned)(unsigned char)s.at[i] - '0';
        if (d > 9 || __builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, d, &v))
            return false;
    }
    *out = v;
    return true;
}

#endif
