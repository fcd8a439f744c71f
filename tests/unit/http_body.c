/* Framing is decided once or refused; chunks decode to the same bytes however they are cut.
 * SPDX-License-Identifier: Apache-2.0 */
#include "http_feed.h"
#include "proxy/http/body.h"

#define HOST "Host: a.test\r\n"
#define POST "POST / HTTP/1.1\r\n" HOST
#define OK_  "HTTP/1.1 200 OK\r\n"

static struct head h;

static void requests_are_framed(void **state)
{
    (void)state;
    static const struct {
        struct slice raw;
        int status;
        enum body_kind kind;
        uint64_t left;
        bool done;
    } rows[] = {
        {SLICE(POST "\r\n"), 0, BODY_NONE, 0, true},
        {SLICE(POST "Content-Length: 0\r\n\r\n"), 0, BODY_LENGTH, 0, true},
        {SLICE(POST "Content-Length: 7\r\n\r\n"), 0, BODY_LENGTH, 7, false},
        {SLICE(POST "Transfer-Encoding: Chunked\r\n\r\n"), 0, BODY_CHUNKED, 0, false},
        {SLICE(POST "Transfer-Encoding: chunked\r\nContent-Length: 7\r\n\r\n"), -400, 0, 0, true},
        {SLICE(POST "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n"), -400, 0, 0, true},
        {SLICE(POST "Content-Length: 7\r\nTransfer-Encoding: identity\r\n\r\n"), -400, 0, 0, true},
        {SLICE("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), -400, 0, 0, true},
        {SLICE(POST "Transfer-Encoding: chunked, chunked\r\n\r\n"), -400, 0, 0, true},
        {SLICE(POST "Transfer-Encoding:\r\n\r\n"), -400, 0, 0, true},
        {SLICE(POST "Transfer-Encoding: identity\r\n\r\n"), -501, 0, 0, true},
        {SLICE(POST "Transfer-Encoding: gzip, chunked\r\n\r\n"), -501, 0, 0, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct body b;
        assert_int_equal(feed_all_ways(&h, rows[i].raw, false, &usual_limits), rows[i].raw.len);
        assert_int_equal(body_plan_request(&b, &h), rows[i].status);
        assert_int_equal(b.kind, rows[i].kind);
        assert_int_equal(b.left, rows[i].left);
        assert_int_equal(b.done, rows[i].done);
        assert_int_equal(b.fault != NULL, rows[i].status != 0);
    }
}

static void responses_are_framed(void **state)
{
    (void)state;
    static const struct {
        struct slice raw;
        bool to_head;
        int status;
        enum body_kind kind;
        uint64_t left;
    } rows[] = {
        {SLICE(OK_ "\r\n"), false, 0, BODY_UNTIL_CLOSE, 0},
        {SLICE("HTTP/1.0 200 OK\r\n\r\n"), false, 0, BODY_UNTIL_CLOSE, 0},
        {SLICE(OK_ "Content-Length: 7\r\n\r\n"), false, 0, BODY_LENGTH, 7},
        {SLICE(OK_ "Transfer-Encoding: chunked\r\n\r\n"), false, 0, BODY_CHUNKED, 0},
        {SLICE(OK_ "Content-Length: 7\r\n\r\n"), true, 0, BODY_NONE, 0},
        {SLICE(OK_ "\r\n"), true, 0, BODY_NONE, 0},
        {SLICE(OK_ "Transfer-Encoding: chunked\r\n\r\n"), true, 0, BODY_NONE, 0},
        {SLICE("HTTP/1.1 103 E\r\nContent-Length: 7\r\n\r\n"), false, 0, BODY_NONE, 0},
        {SLICE("HTTP/1.1 204 N\r\nContent-Length: 7\r\n\r\n"), false, 0, BODY_NONE, 0},
        {SLICE("HTTP/1.1 204 N\r\nTransfer-Encoding: chunked\r\n\r\n"), false, 0, BODY_NONE, 0},
        {SLICE("HTTP/1.1 304 N\r\nContent-Length: 7\r\n\r\n"), false, 0, BODY_NONE, 0},
        {SLICE("HTTP/1.1 205 R\r\nContent-Length: 0\r\n\r\n"), false, 0, BODY_LENGTH, 0},
        {SLICE(OK_ "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"), false, -502, 0, 0},
        {SLICE(OK_ "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"), true, -502, 0, 0},
        {SLICE(OK_ "Transfer-Encoding: gzip, chunked\r\n\r\n"), false, -502, 0, 0},
        {SLICE(OK_ "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"), false, -502,
         0, 0},
        {SLICE("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), false, -502, 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct body b;
        assert_int_equal(feed_all_ways(&h, rows[i].raw, true, &usual_limits), rows[i].raw.len);
        assert_int_equal(body_plan_response(&b, &h, rows[i].to_head), rows[i].status);
        assert_int_equal(b.kind, rows[i].kind);
        assert_int_equal(b.left, rows[i].left);
        assert_int_equal(b.done, b.kind == BODY_NONE || (b.kind == BODY_LENGTH && b.left == 0));
    }
}

/* What feeding a body comes to. */
struct decoded {
    char *bytes;
    size_t len, used;
    bool done, broken;
};

/* Feeds one part from a buffer of its own and adds what comes out. */
static void feed_part(struct body *b, struct slice part, struct decoded *d)
{
    char *copy = copy_of(part, part.len);
    struct slice data;
    ssize_t n = body_feed(b, copy, part.len, &data);
    d->broken = n < 0;
    assert_int_equal(d->broken, b->fault != NULL);
    if (n >= 0) {
        assert_true(data.len <= part.len && (size_t)n <= part.len);
        assert_true(data.at >= copy && data.at + data.len <= copy + part.len);
        assert_true((size_t)n == part.len || b->done);
        if (data.len)
            memcpy(d->bytes + d->len, data.at, data.len);
        d->len += data.len;
        d->used += (size_t)n;
    }
    d->done = b->done;
    free(copy);
}

static struct decoded feed_cut_at(const struct body *start, struct slice raw, size_t cut,
                                  size_t step)
{
    struct body b = *start;
    struct decoded d = {.bytes = malloc(raw.len + 1)};
    assert_non_null(d.bytes);
    for (size_t at = 0; at < raw.len && !d.broken && !d.done; at += cut, cut = step)
        feed_part(&b, slice_of(raw.at + at, cut < raw.len - at ? cut : raw.len - at), &d);
    return d;
}

static void assert_same_decoded(struct decoded a, struct decoded b)
{
    assert_int_equal(a.broken, b.broken);
    if (!a.broken) {
        assert_int_equal(a.done, b.done);
        assert_int_equal(a.used, b.used);
        assert_int_equal(a.len, b.len);
        assert_memory_equal(a.bytes, b.bytes, a.len);
    }
    free(b.bytes);
}

/* Whole, in pieces of 1, 2, 3 and 7 bytes, and cut once at every place. The caller frees bytes. */
static struct decoded decode_all_ways(const struct body *start, struct slice raw)
{
    static const size_t steps[] = {1, 2, 3, 7};
    struct decoded whole = feed_cut_at(start, raw, raw.len, raw.len);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
        assert_same_decoded(whole, feed_cut_at(start, raw, steps[i], steps[i]));
    for (size_t cut = 1; cut < raw.len && raw.len <= EVERY_CUT_BYTES_MAX; cut++)
        assert_same_decoded(whole, feed_cut_at(start, raw, cut, raw.len));
    return whole;
}

static void check_decoded(const struct body *start, struct slice raw, const char *text, size_t used,
                          bool done)
{
    struct decoded d = decode_all_ways(start, raw);
    if (d.broken || d.done != done || d.used != used || d.len != strlen(text) ||
        memcmp(d.bytes, text, d.len) != 0)
        fail_msg("%s%zu used, \"%.*s\" from\n%.*s", d.broken ? "broken, " : "", d.used, (int)d.len,
                 d.bytes, SLICE_ARG(raw));
    free(d.bytes);
}

static void length_and_close_pass_bytes_through(void **state)
{
    (void)state;
    struct body length = {.kind = BODY_LENGTH, .left = 5}, close = {.kind = BODY_UNTIL_CLOSE};
    struct body none = {.kind = BODY_NONE, .done = true};
    check_decoded(&length, SLICE("helloGET"), "hello", 5, true);
    check_decoded(&length, SLICE("hell"), "hell", 4, false);
    check_decoded(&close, SLICE("hello"), "hello", 5, false);
    struct slice data;
    char buf[] = "GET";
    assert_int_equal(body_feed(&none, buf, 3, &data), 0);
    assert_int_equal(data.len, 0);
}

static void chunks_are_decoded(void **state)
{
    (void)state;
    static const struct {
        struct slice raw;
        const char *text;
        size_t behind; /* bytes of raw that do not belong to the body */
        bool done;
    } rows[] = {
        {SLICE("0\r\n\r\n"), "", 0, true},
        {SLICE("5\r\nhello\r\n0\r\n\r\n"), "hello", 0, true},
        {SLICE("5\r\nhello\r\n6\r\n world\r\n1\r\n!\r\n0\r\n\r\nGET / HTTP/1.1\r\n"),
         "hello world!", 16, true},
        {SLICE("A\r\n0123456789\r\nb\r\n01234567890\r\n0\r\n\r\n"), "012345678901234567890", 0,
         true},
        {SLICE("0000000000000005\r\nhello\r\n0000000000000000\r\n\r\n"), "hello", 0, true},
        {SLICE("5;ext\r\nhello\r\n0;last\r\n\r\n"), "hello", 0, true},
        {SLICE("5;a=b;c=d\r\nhello\r\n0\r\n\r\n"), "hello", 0, true},
        {SLICE("5 ; a = b\t;c\r\nhello\r\n0\r\n\r\n"), "hello", 0, true},
        {SLICE("5;a=\"b;\\\"c \xff\" ;d\r\nhello\r\n0\r\n\r\n"), "hello", 0, true},
        {SLICE("2\r\n\r\n\r\n0\r\n\r\n"), "\r\n", 0, true},
        {SLICE("5\r\nhello\r\n0\r\nX-T: 1\r\nContent-Length: 50\r\nHost:\r\n\r\nGET"), "hello", 3,
         true},
        {SLICE("5\r\nhello\r\n"), "hello", 0, false},
        {SLICE("5\r\nhel"), "hel", 0, false},
        {SLICE("7fffffffffffffff\r\nhel"), "hel", 0, false},
    };
    struct body start = {.kind = BODY_CHUNKED};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check_decoded(&start, rows[i].raw, rows[i].text, rows[i].raw.len - rows[i].behind,
                      rows[i].done);
}

static void broken_chunks_are_refused(void **state)
{
    (void)state;
    static const struct slice rows[] = {
        SLICE("\r\nhello"),
        SLICE(" 5\r\n"),
        SLICE("+5\r\n"),
        SLICE("-0\r\n"),
        SLICE("0x5\r\n"),
        SLICE("0_5\r\n"),
        SLICE("g\r\n"),
        SLICE("\xef\xbc\x95\r\n"),
        SLICE("\"5\"\r\n"),
        SLICE("5these\r\n"),
        SLICE("5\0\r\n"),
        SLICE("5\t\r\n"),
        SLICE("5 \r\n"),
        SLICE("5 x\r\n"),
        SLICE("5\n"),
        SLICE("5\rhello"),
        SLICE("5\r\r;A"),
        SLICE("00000000000000005\r\n"),
        SLICE("8000000000000000\r\n"),
        SLICE("fffffffffffffffe\r\n"),
        SLICE("10000000000000005\r\n"),
        SLICE("100000005000000000\r\n"),
        SLICE("5;\r\n"),
        SLICE("5;\nxx"),
        SLICE("5;a=\r\n"),
        SLICE("5;a =\r\n"),
        SLICE("5;=b\r\n"),
        SLICE("5;a \r\n"),
        SLICE("5;a=b \r\n"),
        SLICE("5;a b\r\n"),
        SLICE("5;a=b c\r\n"),
        SLICE("5;a=\"b\"c\r\n"),
        SLICE("5;a=\"b\r\n"),
        SLICE("5;a=\"\\\r\n"),
        SLICE("5;a=\0\r\n"),
        SLICE("5;a=\"\0"),
        SLICE("5;a\x7f\r\n"),
        SLICE("5;a(\r\n"),
        SLICE("5\r\nhello0\r\n"),
        SLICE("5\r\nhello!!\r\n"),
        SLICE("5\r\nhello\n"),
        SLICE("5\r\nhello\r0"),
        SLICE("5\r\nhello\r\n\r\n"),
        SLICE("0\n"),
        SLICE("0\r\r\n"),
        SLICE("0\r\n\n"),
        SLICE("0\r\n\rX"),
        SLICE("0\r\nX-T : 1\r\n"),
        SLICE("0\r\nGET / HTTP/1.1\r\n"),
        SLICE("0\r\n: 1\r\n"),
        SLICE("0\r\nX\r\n"),
        SLICE("0\r\n X: 1\r\n"),
        SLICE("0\r\nX: 1\r\n Y: 2\r\n"),
        SLICE("0\r\nX: a\rb\r\n"),
        SLICE("0\r\nX: a\0b\r\n"),
        SLICE("0\r\nX: a\n"),
        SLICE("0\r\nX\x85: a\r\n"),
    };
    struct body start = {.kind = BODY_CHUNKED};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct decoded d = decode_all_ways(&start, rows[i]);
        if (!d.broken)
            fail_msg("row %zu was accepted:\n%.*s", i, SLICE_ARG(rows[i]));
        free(d.bytes);
    }
}

/* first, then n times 'a', then last: broken or not. */
static bool is_broken(const char *first, size_t n, const char *last)
{
    static char raw[20000];
    size_t len = strlen(first);
    memcpy(raw, first, len);
    memset(raw + len, 'a', n);
    memcpy(raw + len + n, last, strlen(last));
    struct body start = {.kind = BODY_CHUNKED};
    struct decoded d = decode_all_ways(&start, slice_of(raw, len + n + strlen(last)));
    free(d.bytes);
    return d.broken;
}

static void lines_are_bounded(void **state)
{
    (void)state;
    size_t line_rest = strlen("1;\r\n"), trailer_rest = strlen("X:\r\n\r\n");
    assert_false(is_broken("1;", CHUNK_LINE_BYTES_MAX - line_rest, "\r\nz\r\n"));
    assert_true(is_broken("1;", CHUNK_LINE_BYTES_MAX - line_rest + 1, "\r\nz\r\n"));
    assert_true(is_broken("1;", CHUNK_LINE_BYTES_MAX, ""));
    assert_false(is_broken("0\r\nX:", TRAILER_BYTES_MAX - trailer_rest, "\r\n\r\n"));
    assert_true(is_broken("0\r\nX:", TRAILER_BYTES_MAX - trailer_rest + 1, "\r\n\r\n"));
    assert_true(is_broken("0\r\nX:", TRAILER_BYTES_MAX, ""));
}

static void one_chunk_stays_where_it_is(void **state)
{
    (void)state;
    char buf[] = "5\r\nhello\r\n0\r\n\r\n";
    struct body b = {.kind = BODY_CHUNKED};
    struct slice data;
    assert_int_equal(body_feed(&b, buf, sizeof buf - 1, &data), sizeof buf - 1);
    assert_ptr_equal(data.at, buf + 3);
    assert_string_equal(buf, "5\r\nhello\r\n0\r\n\r\n");
}

static void many_chunks_are_one_piece(void **state)
{
    (void)state;
    char raw[6 * 1000 + 6], text[1001];
    for (int i = 0; i < 1000; i++) {
        memcpy(raw + 6 * i, "1\r\nz\r\n", 6);
        raw[6 * i + 3] = text[i] = (char)('a' + i % 26);
    }
    memcpy(raw + 6000, "0\r\n\r\n", 6);
    text[1000] = 0;
    struct body start = {.kind = BODY_CHUNKED};
    check_decoded(&start, slice_of(raw, 6005), text, 6005, true);
}

static void size_lines_are_written(void **state)
{
    (void)state;
    static const struct {
        size_t n;
        const char *line;
    } rows[] = {
        {1, "1\r\n"},
        {15, "f\r\n"},
        {16, "10\r\n"},
        {65536, "10000\r\n"},
        {SIZE_MAX, "ffffffffffffffff\r\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[BODY_CHUNK_HEAD_MAX];
        size_t len = body_chunk_head(out, rows[i].n);
        assert_int_equal(len, strlen(rows[i].line));
        assert_memory_equal(out, rows[i].line, len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_framed),
        cmocka_unit_test(responses_are_framed),
        cmocka_unit_test(length_and_close_pass_bytes_through),
        cmocka_unit_test(chunks_are_decoded),
        cmocka_unit_test(broken_chunks_are_refused),
        cmocka_unit_test(lines_are_bounded),
        cmocka_unit_test(one_chunk_stays_where_it_is),
        cmocka_unit_test(many_chunks_are_one_piece),
        cmocka_unit_test(size_lines_are_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
