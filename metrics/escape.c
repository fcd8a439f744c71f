/* Outside bytes within a line of a log.
 * SPDX-License-Identifier: Apache-2.0 */
#include "metrics/escape.h"
#include "base/utf8.h"

static size_t put_hex(char *out, const char *prefix, const char *digits, unsigned bits, unsigned n)
{
    size_t len = strlen(prefix);
    memcpy(out, prefix, len);
    for (unsigned i = n; i-- > 0; bits >>= 4)
        out[len + i] = digits[bits & 15];
    return len + n;
}

size_t escape_json(struct slice s, char out[ESCAPE_BYTES_MAX], size_t *used)
{
    static const char digits[] = "0123456789abcdef";
    uint32_t c = 0;
    unsigned n = utf8_next(s, &c);
    *used = n ? n : 1;
    if (n == 0)
        return put_hex(out, "\\\\x", digits, (unsigned char)s.at[0], 2);
    if (escape_is_control(c))
        return put_hex(out, "\\u", digits, c, 4);
    size_t len = 0;
    if (c == '"' || c == '\\')
        out[len++] = '\\';
    memcpy(out + len, s.at, n);
    return len + n;
}

size_t escape_combined(struct slice s, char out[ESCAPE_BYTES_MAX], size_t *used)
{
    unsigned char c = (unsigned char)s.at[0];
    *used = 1;
    if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\')
        return put_hex(out, "\\x", "0123456789ABCDEF", c, 2);
    out[0] = (char)c;
    return 1;
}
