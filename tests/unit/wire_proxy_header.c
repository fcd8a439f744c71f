/* PROXY headers, v1 and v2: one way to write each, and nothing that looks a little like it.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/wire/proxy_header.h"

#include "base/check.h"
#include <stdio.h>
#include <stdlib.h>

/* The outcome of a header that stands in memory of just its size. */
static ssize_t read_one(const char *bytes, size_t len, struct proxy_header *h)
{
    char *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, len);
    ssize_t n = proxy_header_read(copy, len, h);
    free(copy);
    assert_true((n < 0) == (h->fault != NULL));
    return n;
}

/* The address that a whole header names, "" where it names none; fails where it is not whole. However it is cut: each
 * beginning of it waits for more, and bytes behind it are left alone. */
static const char *source_of(const char *bytes, size_t len)
{
    static char text[WIRE_TEXT_MAX];
    struct proxy_header h;
    char *with_more = malloc(len + 5);
    assert_non_null(with_more);
    for (size_t n = 0; n < len; n++)
        if (read_one(bytes, n, &h) != 0)
            fail_msg("%zu bytes of \"%.40s\": \"%s\"", n, bytes, h.fault ? h.fault : "whole");
    memcpy(with_more, bytes, len);
    memcpy(with_more + len, "GET /", 5);
    assert_int_equal(read_one(with_more, len + 5, &h), len);
    free(with_more);
    if (read_one(bytes, len, &h) != (ssize_t)len)
        fail_msg("\"%.60s\": \"%s\"", bytes, h.fault ? h.fault : "waits");
    text[0] = '\0';
    if (h.source.len)
        wire_addr_text(&h.source, text);
    return text;
}

static void lines_that_are_right(void **state)
{
    static const struct {
        const char *line, *source;
    } rows[] = {
        {"PROXY TCP4 192.0.2.7 192.0.2.8 5000 80\r\n", "192.0.2.7:5000"},
        {"PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n", "0.0.0.0:0"},
        {"PROXY TCP6 2001:db8::7 2001:db8::8 5000 80\r\n", "[2001:db8::7]:5000"},
        {"PROXY TCP6 2001:DB8::7 ::1 5000 80\r\n", "[2001:db8::7]:5000"},
        {"PROXY TCP6 ::ffff:192.0.2.7 ::1 5000 80\r\n", "[::ffff:192.0.2.7]:5000"},
        {"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
         "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
        {"PROXY UNKNOWN\r\n", ""},
        {"PROXY UNKNOWN \r\n", ""},
        {"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", ""},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(source_of(rows[i].line, strlen(rows[i].line)), rows[i].source);
}

static void lines_that_are_wrong(void **state)
{
    static const char *const rows[] = {
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "proxy TCP4 192.0.2.7 192.0.2.8 5000 80\r\n",
        "PROXY\r\n",
        "PROXY \r\n",
        "PROXY  TCP4 192.0.2.7 192.0.2.8 5000 80\r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP4 192.0.2.7 192.0.2.8 5000\r\n",
        "PROXY TCP4 192.0.2.7 192.0.2.8 5000 80 \r\n",
        "PROXY TCP4 192.0.2.7 192.0.2.8 5000 80 1\r\n",
        "PROXY TCP4  192.0.2.7 192.0.2.8 5000 80\r\n",
        "PROXY TCP4 192.0.2.7  192.0.2.8 5000 80\r\n",
        "PROXY TCP4\t192.0.2.7 192.0.2.8 5000 80\r\n",
        "PROXY TCP4 192.0.2.777 192.0.2.8 5000 80\r\n",
        "PROXY TCP4 192.0.2.7 192.0.2.888 5000 80\r\n",
        "PROXY TCP4 192.0.2.07 192.0.2.8 5000 80\r\n",
        "PROXY TCP4 192.0.2 192.0.2.8 5000 80\r\n",
        "PROXY TCP4 0xc0000207 192.0.2.8 5000 80\r\n",
        "PROXY TCP4 2001:db8::7 2001:db8::8 5000 80\r\n",
        "PROXY TCP6 192.0.2.7 192.0.2.8 5000 80\r\n",
        "PROXY TCP6 2001:db8::7::1 2001:db8::8 5000 80\r\n",
        "PROXY TCP6 [2001:db8::7] 2001:db8::8 5000 80\r\n",
        "PROXY TCP6 fe80::1%1 2001:db8::8 5000 80\r\n",
        "PROXY TCP4 192.0.2.7 192.0.2.8 70000 80\r\n",
        "PROXY TCP4 192.0.2.7 192.0.2.8 5000 65536\r\n",
        "PROXY TCP4 192.0.2.7 192.0.2.8 05000 80\r\n",
        "PROXY TCP4 192.0.2.7 192.0.2.8 +5000 80\r\n",
        "PROXY TCP4 192.0.2.7 192.0.2.8 -1 80\r\n",
        "PROXY TCP4 192.0.2.7 192.0.2.8  80\r\n",
        "PROXY TCP4 192.0.2.7 192.0.2.8 18446744073709556616 80\r\n",
        "PROXY TCP9 192.0.2.7 192.0.2.8 5000 80\r\n",
        "PROXY tcp4 192.0.2.7 192.0.2.8 5000 80\r\n",
        "PROXY UDP4 192.0.2.7 192.0.2.8 5000 80\r\n",
        "PROXY UNKNOWNX\r\n",
        "PROXY UNKNOWN a\001b\r\n",
        "PROXY TCP4 192.0.2.7 192.0.2.8 5000 80\n",
        "PROXY TCP4 192.0.2.7 192.0.2.8 5000 80\r",
        "PROXY TCP4 192.0.2.7 192.0.2.8 5000 80\r\r\n",
        "PROXY TCP4 192.0.2.7 192.0.2.8 5000 80\rX\r\n",
        "\nPROXY TCP4 192.0.2.7 192.0.2.8 5000 80\r\n",
        "\r\nPROXY TCP4 192.0.2.7 192.0.2.8 5000 80\r\n",
    };
    (void)state;
    struct proxy_header h;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t len = strlen(rows[i]);
        bool waits = rows[i][len - 1] == '\r'; /* may yet be right */
        if (read_one(rows[i], len, &h) != (waits ? 0 : -1))
            fail_msg("taken: \"%s\"", rows[i]);
        assert_int_equal(h.source.len, 0);
    }
}

static void a_line_has_at_most_107_bytes(void **state)
{
    char line[200];
    struct proxy_header h;
    (void)state;
    memset(line, 'x', sizeof line);
    memcpy(line, "PROXY UNKNOWN ", 14);
    line[105] = '\r';
    line[106] = '\n';
    assert_int_equal(read_one(line, 106, &h), 0);
    assert_int_equal(read_one(line, sizeof line, &h), 107);
    line[105] = 'x';
    line[106] = '\r';
    line[107] = '\n';
    assert_int_equal(read_one(line, 106, &h), 0);
    assert_int_equal(read_one(line, 107, &h), -1);
    assert_int_equal(read_one(line, sizeof line, &h), -1);
}

/* --- version 2 --- */

static char built[PROXY_HEADER_MAX + 64];

/* Writes a header into built; returns its length. body: what its length counts. */
static size_t build(unsigned version_command, unsigned family, const char *body, size_t len)
{
    memcpy(built, "\r\n\r\n\0\r\nQUIT\n", 12);
    built[12] = (char)version_command;
    built[13] = (char)family;
    built[14] = (char)(len >> 8);
    built[15] = (char)len;
    memcpy(built + 16, body, len);
    return 16 + len;
}

/* 192.0.2.7:5000 to 192.0.2.8:80 */
#define TCP4 "\xc0\0\2\7\xc0\0\2\x08\x13\x88\0\x50"
/* 2001:db8::7 to 2001:db8::8 */
#define TCP6                                                                                       \
    "\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\7\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\x08\x13\x88\0\x50"
#define BODY(text) text, sizeof(text) - 1

static void headers_that_are_right(void **state)
{
    static const char paths[216] = "/a";
    static const struct {
        unsigned version_command, family;
        const char *body;
        size_t len;
        const char *source;
    } rows[] = {
        {0x21, 0x11, BODY(TCP4), "192.0.2.7:5000"},
        {0x21, 0x21, BODY(TCP6), "[2001:db8::7]:5000"},
        {0x21, 0x31, paths, sizeof paths, "unix:"},
        {0x21, 0x00, BODY(""), ""},
        {0x21, 0x00, BODY("whatever"), ""},
        {0x20, 0x00, BODY(""), ""},
        {0x20, 0x11, BODY(TCP4), ""},       /* LOCAL: also where it says a family */
        {0x20, 0x55, BODY("whatever"), ""}, /* which is ignored */
        {0x21, 0x11, BODY(TCP4 "\4\0\0"), "192.0.2.7:5000"},            /* NOOP, empty */
        {0x21, 0x11, BODY(TCP4 "\4\0\3abc\5\0\2id"), "192.0.2.7:5000"}, /* and a unique id */
        {0x21, 0x11, BODY(TCP4 "\xee\0\1x"), "192.0.2.7:5000"}, /* a type that is not known */
        {0x21, 0x11, BODY(TCP4 "\x20\0\5\1\0\0\0\0"), "192.0.2.7:5000"}, /* TLS */
        {0x21, 0x11, BODY(TCP4 "\x20\0\x0f\1\0\0\0\0\x21\0\7TLSv1.3"), "192.0.2.7:5000"},
        {0x21, 0x21, BODY(TCP6 "\1\0\2h2"), "[2001:db8::7]:5000"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t len = build(rows[i].version_command, rows[i].family, rows[i].body, rows[i].len);
        assert_string_equal(source_of(built, len), rows[i].source);
    }
}

static void headers_that_are_wrong(void **state)
{
    static const struct {
        unsigned version_command, family;
        const char *body;
        size_t len;
    } rows[] = {
        {0x31, 0x11, BODY(TCP4)},
        {0x11, 0x11, BODY(TCP4)},
        {0x25, 0x11, BODY(TCP4)},
        {0x22, 0x11, BODY(TCP4)},
        {0x21, 0x12, BODY(TCP4)}, /* datagrams on a stream */
        {0x21, 0x22, BODY(TCP6)},
        {0x21, 0x10, BODY(TCP4)},
        {0x21, 0x01, BODY("")},
        {0x21, 0x41, BODY(TCP4)},
        {0x21, 0x11, BODY("\xc0\0\2\7\xc0\0")},
        {0x21, 0x11, BODY("")},
        {0x21, 0x21, BODY(TCP4)},
        {0x21, 0x31, BODY(TCP6)},
        {0x21, 0x11, BODY(TCP4 "\4")},
        {0x21, 0x11, BODY(TCP4 "\4\0")},
        {0x21, 0x11, BODY(TCP4 "\4\0\4abc")},
        {0x21, 0x11, BODY(TCP4 "\4\0\3abc\5\0\3id")},
        {0x21, 0x11,
         BODY(TCP4 "\4\xff\xff"
                   "abc")},
        {0x21, 0x11, BODY(TCP4 "\3\0\4abcd")}, /* another CRC32c */
        {0x21, 0x11, BODY(TCP4 "\3\0\3abc")},
        {0x21, 0x11, BODY(TCP4 "\x20\0\4\1\0\0\0")}, /* TLS: less than it begins with */
        {0x21, 0x11, BODY(TCP4 "\x20\0\x0b\1\0\0\0\0\x21\0\7TLS")},
    };
    struct proxy_header h;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t len = build(rows[i].version_command, rows[i].family, rows[i].body, rows[i].len);
        if (read_one(built, len, &h) != -1)
            fail_msg("row %zu is taken", i);
        assert_int_equal(h.source.len, 0);
    }
    size_t len = build(0x21, 0x11, BODY(TCP4));
    built[10] = 'X';
    assert_int_equal(read_one(built, len, &h), -1);
    assert_int_equal(read_one(built, 11, &h), -1); /* as soon as it can be told */
    len = build(0x31, 0x11, BODY(TCP4));
    assert_int_equal(read_one(built, 13, &h), -1);
}

static void a_header_has_at_most_4096_bytes(void **state)
{
    static char body[PROXY_HEADER_MAX] = TCP4 "\4";
    struct proxy_header h;
    (void)state;
    size_t len = PROXY_HEADER_MAX - 16, rest = len - 12 - 3;
    body[13] = (char)(rest >> 8);
    body[14] = (char)rest;
    assert_int_equal(read_one(built, build(0x21, 0x11, body, len), &h), PROXY_HEADER_MAX);
    assert_int_equal(read_one(built, build(0x21, 0x11, body, len + 1), &h), -1);
    assert_int_equal(read_one(built, 16, &h), -1); /* not only when all of it is there */
    assert_int_equal(read_one(built, build(0x20, 0, body, len + 1), &h), -1);
}

static void a_unique_id_has_at_most_128_bytes(void **state)
{
    static char body[12 + 3 + 129] = TCP4 "\5\0\x80";
    struct proxy_header h;
    (void)state;
    assert_int_equal(read_one(built, build(0x21, 0x11, body, sizeof body - 1), &h),
                     16 + 12 + 3 + 128);
    body[14] = (char)0x81;
    assert_int_equal(read_one(built, build(0x21, 0x11, body, sizeof body), &h), -1);
}

static void a_crc32c_is_verified(void **state)
{
    size_t len = build(0x21, 0x11, BODY(TCP4 "\3\0\4\xb1\xb9\x57\x5c\4\0\1x"));
    struct proxy_header h;
    (void)state;
    assert_string_equal(source_of(built, len), "192.0.2.7:5000");
    for (size_t i = 16; i < len; i++) { /* whatever byte is another one */
        if (i == 28)
            continue; /* which makes it another TLV than that of the CRC32c */
        built[i] ^= 1;
        assert_int_equal(read_one(built, len, &h), -1);
        built[i] ^= 1;
    }
    len = build(0x21, 0x11, BODY(TCP4 "\3\0\4\xb1\xb9\x57\x5c\3\0\4\xb1\xb9\x57\x5c"));
    assert_int_equal(read_one(built, len, &h), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_that_are_right),
        cmocka_unit_test(lines_that_are_wrong),
        cmocka_unit_test(a_line_has_at_most_107_bytes),
        cmocka_unit_test(headers_that_are_right),
        cmocka_unit_test(headers_that_are_wrong),
        cmocka_unit_test(a_header_has_at_most_4096_bytes),
        cmocka_unit_test(a_unique_id_has_at_most_128_bytes),
        cmocka_unit_test(a_crc32c_is_verified),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
