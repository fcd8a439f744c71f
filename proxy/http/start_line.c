/* The first line of a message: request line and status line.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/start_line.h"
#include "proxy/http/syntax.h"

/* "HTTP/1.1" */
#define VERSION_BYTES 8

/* Methods are case-sensitive (RFC 9110 section 9.1). */
static enum method method_classify(struct slice s)
{
    static const struct {
        struct slice name;
        enum method method;
    } known[] = {
        {SLICE("GET"), METHOD_GET},       {SLICE("HEAD"), METHOD_HEAD},
        {SLICE("POST"), METHOD_POST},     {SLICE("PUT"), METHOD_PUT},
        {SLICE("DELETE"), METHOD_DELETE}, {SLICE("OPTIONS"), METHOD_OPTIONS},
        {SLICE("PATCH"), METHOD_PATCH},   {SLICE("CONNECT"), METHOD_CONNECT},
        {SLICE("TRACE"), METHOD_TRACE},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (slice_equal(s, known[i].name))
            return known[i].method;
    return METHOD_OTHER;
}

/* "HTTP/" DIGIT "." DIGIT: 10 * major + minor, else -1. */
static int version_parse(struct slice s)
{
    if (s.len != VERSION_BYTES || memcmp(s.at, "HTTP/", 5) != 0 || s.at[6] != '.' ||
        !syntax_is(s.at[5], SYNTAX_DIGIT) || !syntax_is(s.at[7], SYNTAX_DIGIT))
        return -1;
    return (s.at[5] - '0') * 10 + (s.at[7] - '0');
}

/* Finds the end of "http://" or "https://" at the front, in any case; 0 where there is neither. */
static size_t scheme_bytes(struct slice s)
{
    size_t n = 0;
    while (n < s.len && n < 5 && (s.at[n] | 0x20) == "https"[n])
        n++;
    if (n < 4 || s.len - n < 3 || memcmp(s.at + n, "://", 3) != 0)
        return 0;
    return n + 3;
}

/* absolute-form (RFC 9112 section 3.2.2): its authority takes the place of Host. */
static int absolute_form(struct head *h, const char *buf, struct slice target, size_t scheme)
{
    size_t end = scheme;
    while (end < target.len && target.at[end] != '/' && target.at[end] != '?')
        end++;
    struct slice authority = slice_of(target.at + scheme, end - scheme);
    struct slice path = slice_of(target.at + end, target.len - end);
    if (!syntax_is_authority(authority))
        return head_refuse(h, 400, "request target with a malformed authority");
    if (!syntax_is_target(path))
        return head_refuse(h, 400, "request target with a forbidden byte");
    h->is_absolute = true;
    h->authority = span_of(buf, authority);
    h->path = span_of(buf, path);
    return 0;
}

static int target_parse(struct head *h, const char *buf, struct slice target)
{
    h->target = h->path = span_of(buf, target);
    if (target.len && target.at[0] == '/') {
        if (!syntax_is_target(target))
            return head_refuse(h, 400, "request target with a forbidden byte");
        return 0;
    }
    if (target.len == 1 && target.at[0] == '*' && h->method == METHOD_OPTIONS)
        return 0;
    size_t scheme = scheme_bytes(target);
    if (scheme == 0)
        return head_refuse(h, 400, "request target in no known form");
    return absolute_form(h, buf, target, scheme);
}

static int method_parse(struct head *h, const char *buf, struct slice line)
{
    size_t n = syntax_token_bytes(line);
    if (n == 0 || n == line.len || line.at[n] != ' ')
        return head_refuse(h, 400, "malformed method");
    if (n > METHOD_BYTES_MAX)
        return head_refuse(h, 501, "method too long");
    struct slice method = slice_of(line.at, n);
    h->method_text = span_of(buf, method);
    h->method = (uint8_t)method_classify(method);
    return 0;
}

int start_line_request(struct head *h, const char *buf, struct span line, uint32_t uri_bytes)
{
    struct slice rest = span_in(line, buf), target, version;
    int status = method_parse(h, buf, rest);
    if (status < 0)
        return status;
    (void)slice_cut(rest, ' ', &target, &rest);
    (void)slice_cut(rest, ' ', &target, &version);
    int number = version_parse(version);
    if (number < 0)
        return head_refuse(h, 400, "malformed request line");
    if (number != 10 && number != 11)
        return head_refuse(h, 505, "HTTP version is neither 1.0 nor 1.1");
    h->minor = (uint8_t)(number - 10);
    if (h->method == METHOD_CONNECT || h->method == METHOD_TRACE)
        return head_refuse(h, 405, "CONNECT or TRACE");
    if (target.len > uri_bytes)
        return head_refuse(h, 414, "request target too long");
    return target_parse(h, buf, target);
}

/* A status line up to its code: "HTTP/1.1 200". */
#define STATUS_LINE_BYTES_MIN (VERSION_BYTES + 4)

int start_line_response(struct head *h, const char *buf, struct span line)
{
    struct slice s = span_in(line, buf);
    uint64_t code = 0;
    if (s.len < STATUS_LINE_BYTES_MIN || s.at[VERSION_BYTES] != ' ' ||
        (s.len > STATUS_LINE_BYTES_MIN && s.at[STATUS_LINE_BYTES_MIN] != ' ') ||
        !slice_parse_u64(slice_of(s.at + VERSION_BYTES + 1, 3), &code))
        return head_refuse(h, 502, "malformed status line");
    int number = version_parse(slice_of(s.at, VERSION_BYTES));
    if (number < 10 || number > 19)
        return head_refuse(h, 502, "HTTP version is not 1.x");
    if (code < 100 || code > 599)
        return head_refuse(h, 502, "status code outside of 100 to 599");
    h->minor = number == 10 ? 0 : 1;
    h->status = (uint16_t)code;
    size_t reason = s.len > STATUS_LINE_BYTES_MIN ? STATUS_LINE_BYTES_MIN + 1 : s.len;
    struct slice text = slice_of(s.at + reason, s.len - reason);
    if (!syntax_is_value(text))
        return head_refuse(h, 502, "control byte in the reason phrase");
    h->reason = span_of(buf, text);
    return 0;
}
