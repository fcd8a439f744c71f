/* Which bytes may stand where in an HTTP/1 message.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/syntax.h"

#define T SYNTAX_TOKEN
#define V SYNTAX_VALUE
#define P SYNTAX_PATH
#define Q SYNTAX_QUERY
#define H SYNTAX_HOST
#define X SYNTAX_HEX
#define D SYNTAX_DIGIT

#define ALPHA (T | V | P | Q | H)
#define DIGIT (T | V | P | Q | H | X | D)

/* clang-format off */
const uint8_t syntax_class[256] = {
    ['\t'] = V, [' '] = V,
    ['!'] = T | V | P | Q, ['"'] = V | Q, ['#'] = T | V, ['$'] = T | V | P | Q,
    ['%'] = T | V, ['&'] = T | V | P | Q, ['\''] = T | V | P | Q, ['('] = V | P | Q,
    [')'] = V | P | Q, ['*'] = T | V | P | Q, ['+'] = T | V | P | Q, [','] = V | P | Q,
    ['-'] = T | V | P | Q | H, ['.'] = T | V | P | Q | H, ['/'] = V | P | Q,
    ['0'] = DIGIT, ['1'] = DIGIT, ['2'] = DIGIT, ['3'] = DIGIT, ['4'] = DIGIT,
    ['5'] = DIGIT, ['6'] = DIGIT, ['7'] = DIGIT, ['8'] = DIGIT, ['9'] = DIGIT,
    [':'] = V | P | Q, [';'] = V | P | Q, ['<'] = V | Q, ['='] = V | P | Q,
    ['>'] = V | Q, ['?'] = V | Q, ['@'] = V | P | Q,
    ['A'] = ALPHA | X, ['B'] = ALPHA | X, ['C'] = ALPHA | X, ['D'] = ALPHA | X, ['E'] = ALPHA | X,
    ['F'] = ALPHA | X, ['G'] = ALPHA, ['H'] = ALPHA, ['I'] = ALPHA, ['J'] = ALPHA, ['K'] = ALPHA,
    ['L'] = ALPHA, ['M'] = ALPHA, ['N'] = ALPHA, ['O'] = ALPHA, ['P'] = ALPHA, ['Q'] = ALPHA,
    ['R'] = ALPHA, ['S'] = ALPHA, ['T'] = ALPHA, ['U'] = ALPHA, ['V'] = ALPHA, ['W'] = ALPHA,
    ['X'] = ALPHA, ['Y'] = ALPHA, ['Z'] = ALPHA,
    ['['] = V | P | Q, ['\\'] = V | Q, [']'] = V | P | Q, ['^'] = T | V | P | Q,
    ['_'] = T | V | P | Q | H, ['`'] = T | V | P | Q,
    ['a'] = ALPHA | X, ['b'] = ALPHA | X, ['c'] = ALPHA | X, ['d'] = ALPHA | X, ['e'] = ALPHA | X,
    ['f'] = ALPHA | X, ['g'] = ALPHA, ['h'] = ALPHA, ['i'] = ALPHA, ['j'] = ALPHA, ['k'] = ALPHA,
    ['l'] = ALPHA, ['m'] = ALPHA, ['n'] = ALPHA, ['o'] = ALPHA, ['p'] = ALPHA, ['q'] = ALPHA,
    ['r'] = ALPHA, ['s'] = ALPHA, ['t'] = ALPHA, ['u'] = ALPHA, ['v'] = ALPHA, ['w'] = ALPHA,
    ['x'] = ALPHA, ['y'] = ALPHA, ['z'] = ALPHA,
    ['{'] = V | P | Q, ['|'] = T | V | P | Q, ['}'] = V | P | Q, ['~'] = T | V | P | Q | H,
    /* obs-text */
    [0x80] = V, [0x81] = V, [0x82] = V, [0x83] = V, [0x84] = V, [0x85] = V, [0x86] = V, [0x87] = V,
    [0x88] = V, [0x89] = V, [0x8a] = V, [0x8b] = V, [0x8c] = V, [0x8d] = V, [0x8e] = V, [0x8f] = V,
    [0x90] = V, [0x91] = V, [0x92] = V, [0x93] = V, [0x94] = V, [0x95] = V, [0x96] = V, [0x97] = V,
    [0x98] = V, [0x99] = V, [0x9a] = V, [0x9b] = V, [0x9c] = V, [0x9d] = V, [0x9e] = V, [0x9f] = V,
    [0xa0] = V, [0xa1] = V, [0xa2] = V, [0xa3] = V, [0xa4] = V, [0xa5] = V, [0xa6] = V, [0xa7] = V,
    [0xa8] = V, [0xa9] = V, [0xaa] = V, [0xab] = V, [0xac] = V, [0xad] = V, [0xae] = V, [0xaf] = V,
    [0xb0] = V, [0xb1] = V, [0xb2] = V, [0xb3] = V, [0xb4] = V, [0xb5] = V, [0xb6] = V, [0xb7] = V,
    [0xb8] = V, [0xb9] = V, [0xba] = V, [0xbb] = V, [0xbc] = V, [0xbd] = V, [0xbe] = V, [0xbf] = V,
    [0xc0] = V, [0xc1] = V, [0xc2] = V, [0xc3] = V, [0xc4] = V, [0xc5] = V, [0xc6] = V, [0xc7] = V,
    [0xc8] = V, [0xc9] = V, [0xca] = V, [0xcb] = V, [0xcc] = V, [0xcd] = V, [0xce] = V, [0xcf] = V,
    [0xd0] = V, [0xd1] = V, [0xd2] = V, [0xd3] = V, [0xd4] = V, [0xd5] = V, [0xd6] = V, [0xd7] = V,
    [0xd8] = V, [0xd9] = V, [0xda] = V, [0xdb] = V, [0xdc] = V, [0xdd] = V, [0xde] = V, [0xdf] = V,
    [0xe0] = V, [0xe1] = V, [0xe2] = V, [0xe3] = V, [0xe4] = V, [0xe5] = V, [0xe6] = V, [0xe7] = V,
    [0xe8] = V, [0xe9] = V, [0xea] = V, [0xeb] = V, [0xec] = V, [0xed] = V, [0xee] = V, [0xef] = V,
    [0xf0] = V, [0xf1] = V, [0xf2] = V, [0xf3] = V, [0xf4] = V, [0xf5] = V, [0xf6] = V, [0xf7] = V,
    [0xf8] = V, [0xf9] = V, [0xfa] = V, [0xfb] = V, [0xfc] = V, [0xfd] = V, [0xfe] = V, [0xff] = V,
};
/* clang-format on */

#define EVERY_BYTE(value) (0x0101010101010101u * (value))

static bool is_value_bytewise(const char *at, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!syntax_is(at[i], SYNTAX_VALUE))
            return false;
    return true;
}

/* Eight bytes at once: true where none is below 0x20 or DEL. A HTAB gives false, so false asks for
 * a closer look. */
static bool has_no_control8(const char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    uint64_t below_space = (word - EVERY_BYTE(0x20u)) & ~word;
    uint64_t flipped = word ^ EVERY_BYTE(0x7fu);
    uint64_t is_delete = (flipped - EVERY_BYTE(1u)) & ~flipped;
    return ((below_space | is_delete) & EVERY_BYTE(0x80u)) == 0;
}

/* The same for sixteen bytes. */
static bool has_no_control16(const char *at)
{
#ifdef __SSE2__
    __m128i bytes;
    memcpy(&bytes, at, sizeof bytes);
    __m128i below_space = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
    __m128i is_delete = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f));
    return _mm_movemask_epi8(_mm_or_si128(below_space, is_delete)) == 0;
#else
    return has_no_control8(at) && has_no_control8(at + 8);
#endif
}

/* Looks at blocks from the front, then at one that ends with the value and overlaps them. */
bool syntax_is_value(struct slice s)
{
    if (s.len < 8)
        return is_value_bytewise(s.at, s.len);
    const char *at = s.at, *end = s.at + s.len;
    if (s.len < 16)
        return (has_no_control8(at) && has_no_control8(end - 8)) || is_value_bytewise(at, s.len);
    for (; end - at > 16; at += 16)
        if (!has_no_control16(at) && !is_value_bytewise(at, 16))
            return false;
    return has_no_control16(end - 16) || is_value_bytewise(end - 16, 16);
}

bool syntax_is_target(struct slice s)
{
    uint8_t class = SYNTAX_PATH;
    for (size_t i = 0; i < s.len; i++) {
        if (syntax_is(s.at[i], class))
            continue;
        if (s.at[i] == '?') {
            class = SYNTAX_QUERY;
            continue;
        }
        if (s.at[i] == '%' && class == SYNTAX_QUERY)
            continue; /* browsers send a lone one as it was typed; here it is nobody's separator */
        if (s.at[i] != '%' || s.len - i < 3 || !syntax_is(s.at[i + 1], SYNTAX_HEX) ||
            !syntax_is(s.at[i + 2], SYNTAX_HEX))
            return false;
        i += 2;
    }
    return true;
}

static bool is_port(struct slice s)
{
    uint64_t port = 0;
    return s.len == 0 || (s.len <= 5 && slice_parse_u64(s, &port) && port <= UINT16_MAX);
}

/* Four numbers up to 255 without leading zeros. */
static bool is_ipv4(struct slice s)
{
    for (int i = 0; i < 4; i++) {
        struct slice part;
        uint64_t value;
        bool more = slice_cut(s, '.', &part, &s);
        if (more != (i < 3) || part.len > 3 || !slice_parse_u64(part, &value) || value > 255 ||
            (part.len > 1 && part.at[0] == '0'))
            return false;
    }
    return true;
}

/* One group of hexadecimal digits, or an IPv4 address in the place of the last two. Returns how
 * many groups it stands for, 0 when it is neither. */
static int ipv6_group(struct slice part, bool is_last)
{
    size_t n = 0;
    while (n < part.len && syntax_is(part.at[n], SYNTAX_HEX))
        n++;
    if (n == part.len)
        return n >= 1 && n <= 4 ? 1 : 0;
    return is_last && is_ipv4(part) ? 2 : 0;
}

/* Counts the groups of a list without "::"; -1 when one is malformed. An empty list has none. */
static int ipv6_groups(struct slice s, bool is_tail)
{
    int groups = 0;
    bool more = s.len > 0;
    while (more) {
        struct slice part;
        more = slice_cut(s, ':', &part, &s);
        int n = ipv6_group(part, is_tail && !more);
        if (n == 0)
            return -1;
        groups += n;
    }
    return groups;
}

/* IPv6address of RFC 3986 section 3.2.2; no zone. */
static bool is_ipv6(struct slice s)
{
    const char *gap = s.len ? memmem(s.at, s.len, "::", 2) : NULL;
    if (!gap)
        return ipv6_groups(s, true) == 8;
    struct slice front = slice_of(s.at, (size_t)(gap - s.at));
    struct slice back = slice_of(gap + 2, s.len - front.len - 2);
    int front_groups = ipv6_groups(front, false), back_groups = ipv6_groups(back, true);
    return front_groups >= 0 && back_groups >= 0 && front_groups + back_groups <= 7;
}

bool syntax_is_authority(struct slice s)
{
    if (s.len == 0 || s.len > SYNTAX_AUTHORITY_BYTES_MAX)
        return false;
    size_t n = 0;
    if (s.at[0] == '[') {
        const char *end = memchr(s.at, ']', s.len);
        if (!end || !is_ipv6(slice_of(s.at + 1, (size_t)(end - s.at - 1))))
            return false;
        n = (size_t)(end - s.at) + 1;
    } else {
        while (n < s.len && syntax_is(s.at[n], SYNTAX_HOST))
            n++;
    }
    if (n == s.len)
        return true;
    return n > 0 && s.at[n] == ':' && is_port(slice_of(s.at + n + 1, s.len - n - 1));
}

bool syntax_list_next(struct slice *list, struct slice *element)
{
    while (list->len) {
        (void)slice_cut(*list, ',', element, list);
        *element = slice_trim(*element);
        if (element->len)
            return true;
    }
    return false;
}

/* So many lower-case hexadecimal digits, not all of them 0. */
static bool is_trace_id(struct slice s)
{
    bool is_zero = true;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.at[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
            return false;
        is_zero = is_zero && c == '0';
    }
    return !is_zero;
}

static bool is_trace_byte(const char *at)
{
    return is_trace_id(slice_of(at, 2)) || memcmp(at, "00", 2) == 0;
}

bool syntax_is_traceparent(struct slice s)
{
    if (s.len < 55 || s.at[2] != '-' || s.at[35] != '-' || s.at[52] != '-')
        return false;
    bool is_00 = memcmp(s.at, "00", 2) == 0;
    if (!is_trace_byte(s.at) || memcmp(s.at, "ff", 2) == 0 || !is_trace_byte(s.at + 53))
        return false;
    if (s.len > 55 && (is_00 || s.at[55] != '-'))
        return false;
    return is_trace_id(slice_of(s.at + 3, 32)) && is_trace_id(slice_of(s.at + 36, 16));
}
