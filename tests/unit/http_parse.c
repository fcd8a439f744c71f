/* Heads that are accepted and heads that are refused, however the bytes are cut.
 * SPDX-License-Identifier: Apache-2.0 */
#include "http_feed.h"

#define HOST "Host: a.test\r\n"
#define END  "\r\n"
#define GET  "GET / HTTP/1.1\r\n"
#define OK_  "HTTP/1.1 200 OK\r\n"

struct row {
    struct slice raw;
    int status; /* 0: the head is accepted and ends with raw */
};

#define ROW(status, raw)                                                                           \
    {                                                                                              \
        SLICE(raw), status                                                                         \
    }

static const struct row requests[] = {
    ROW(0, GET HOST END),
    ROW(0, "\r\n" GET HOST END),
    ROW(0, "\r\n\r\n" GET HOST END),
    ROW(400, "\r\n\r\n\r\n" GET HOST END),
    ROW(0, "GET / HTTP/1.0\r\n" END),
    ROW(0, "A!#$%&'*+-.^_`|~9 / HTTP/1.1\r\n" HOST END),
    ROW(0, "get / HTTP/1.1\r\n" HOST END),
    ROW(501, "ABCDEFGHIJABCDEFGHIJABCDEFGHIJABC / HTTP/1.1\r\n" HOST END),
    ROW(0, "ABCDEFGHIJABCDEFGHIJABCDEFGHIJAB / HTTP/1.1\r\n" HOST END),
    /* request line */
    ROW(400, "GET  / HTTP/1.1\r\n" HOST END),
    ROW(400, "GET /  HTTP/1.1\r\n" HOST END),
    ROW(400, "GET / HTTP/1.1 \r\n" HOST END),
    ROW(400, "GET / HTTP/1.1 x\r\n" HOST END),
    ROW(400, "GET\t/ HTTP/1.1\r\n" HOST END),
    ROW(400, "GET /\tHTTP/1.1\r\n" HOST END),
    ROW(400, " GET / HTTP/1.1\r\n" HOST END),
    ROW(400, "GET /\r\n" END),
    ROW(400, "GET / \r\n" END),
    ROW(400, "GET\r\n" END),
    ROW(400, "GET \r\n" END),
    ROW(400, "GET / HTTP/1.1\n" HOST END),
    ROW(400, "\n" GET HOST END),
    ROW(400, "\r" GET HOST END),
    ROW(400, "\0" GET HOST END),
    ROW(400, "\x16\x03\x01\x02"),
    ROW(400, "G\0T / HTTP/1.1\r\n" HOST END),
    ROW(400, "G\xc9T / HTTP/1.1\r\n" HOST END),
    ROW(400, "G(T / HTTP/1.1\r\n" HOST END),
    ROW(400, "SSH-2.0-OpenSSH_9.2\r\n" END),
    /* version */
    ROW(505, "GET / HTTP/2.0\r\n" HOST END),
    ROW(505, "GET / HTTP/1.2\r\n" HOST END),
    ROW(505, "GET / HTTP/0.9\r\n" HOST END),
    ROW(505, "PRI * HTTP/2.0\r\n" END),
    ROW(400, "GET / HTTP/1.10\r\n" HOST END),
    ROW(400, "GET / HTTP/1,1\r\n" HOST END),
    ROW(400, "GET / HTTP/1.\r\n" HOST END),
    ROW(400, "GET / HTTP/1.x\r\n" HOST END),
    ROW(400, "GET / HTTP/1\r\n" HOST END),
    ROW(400, "GET / http/1.1\r\n" HOST END),
    ROW(400, "GET / ICYP/1.1\r\n" HOST END),
    ROW(400, "GET / HTTP/\r1.1\r\n" HOST END),
    /* target */
    ROW(0, "GET /a/%2e%2e/%2Fx;p=1//?x=%26&y=a+b&&z==/?%41 HTTP/1.1\r\n" HOST END),
    ROW(0, "GET /a|b^[c]{d}`~!$&'()*,:@?q={\"a\"}|\\<>^` HTTP/1.1\r\n" HOST END),
    ROW(400, "GET /a\"b HTTP/1.1\r\n" HOST END),
    ROW(400, "GET /a\\b HTTP/1.1\r\n" HOST END),
    ROW(400, "GET /a<b HTTP/1.1\r\n" HOST END),
    ROW(400, "GET /a#b HTTP/1.1\r\n" HOST END),
    ROW(400, "GET /a?b#c HTTP/1.1\r\n" HOST END),
    ROW(400, "GET /%zz HTTP/1.1\r\n" HOST END),
    ROW(400, "GET /%4 HTTP/1.1\r\n" HOST END),
    ROW(400, "GET /a% HTTP/1.1\r\n" HOST END),
    ROW(0, "GET /a?%4g&q=100%&% HTTP/1.1\r\n" HOST END),
    ROW(400, "GET /a?% b HTTP/1.1\r\n" HOST END),
    ROW(400, "GET /a\x01 HTTP/1.1\r\n" HOST END),
    ROW(400, "GET /a\x7f HTTP/1.1\r\n" HOST END),
    ROW(400, "GET /caf\xc3\xa9 HTTP/1.1\r\n" HOST END),
    ROW(400, "GET /a\rb HTTP/1.1\r\n" HOST END),
    ROW(0, "OPTIONS * HTTP/1.1\r\n" HOST END),
    ROW(400, "GET * HTTP/1.1\r\n" HOST END),
    ROW(400, "OPTIONS ** HTTP/1.1\r\n" HOST END),
    ROW(400, "GET a.test:80 HTTP/1.1\r\n" HOST END),
    ROW(400, "GET a HTTP/1.1\r\n" HOST END),
    ROW(0, "GET http://b.test HTTP/1.1\r\n" HOST END),
    ROW(0, "GET HTTPS://b.test:8443/x?y HTTP/1.1\r\n" HOST END),
    ROW(0, "GET http://[::1]?q HTTP/1.1\r\n" HOST END),
    ROW(400, "GET http://u:p@b.test/ HTTP/1.1\r\n" HOST END),
    ROW(400, "GET http:///x HTTP/1.1\r\n" HOST END),
    ROW(400, "GET http:/x HTTP/1.1\r\n" HOST END),
    ROW(400, "GET http://b.test/%zz HTTP/1.1\r\n" HOST END),
    ROW(400, "GET httpx://b.test/ HTTP/1.1\r\n" HOST END),
    ROW(400, "GET ftp://b.test/ HTTP/1.1\r\n" HOST END),
    ROW(400, "GET http://b.test/ HTTP/1.1\r\n" END),
    ROW(405, "CONNECT a.test:443 HTTP/1.1\r\n" HOST END),
    ROW(405, "CONNECT /x HTTP/1.1\r\n" HOST END),
    ROW(405, "TRACE / HTTP/1.1\r\n" HOST END),
    ROW(0, "trace / HTTP/1.1\r\n" HOST END),
    /* Host */
    ROW(400, GET END),
    ROW(400, GET HOST HOST END),
    ROW(400, GET HOST "hOST: b.test\r\n" END),
    ROW(400, "GET / HTTP/1.0\r\n" HOST HOST END),
    ROW(400, GET "Host:\r\n" END),
    ROW(400, GET "Host: \t\r\n" END),
    ROW(0, GET "Host:a.test\r\n" END),
    ROW(0, GET "Host: \t a.test. \t\r\n" END),
    ROW(0, GET "Host: a_b~c-d.test:65535\r\n" END),
    ROW(0, GET "Host: a.test:\r\n" END),
    ROW(400, GET "Host: a.test:65536\r\n" END),
    ROW(400, GET "Host: a.test:-1\r\n" END),
    ROW(400, GET "Host: a.test:http\r\n" END),
    ROW(400, GET "Host: a.test:80:81\r\n" END),
    ROW(400, GET "Host: :80\r\n" END),
    ROW(400, GET "Host: u@a.test\r\n" END),
    ROW(400, GET "Host: a.test/x\r\n" END),
    ROW(400, GET "Host: a.test?x\r\n" END),
    ROW(400, GET "Host: a b.test\r\n" END),
    ROW(400, GET "Host: a\tb.test\r\n" END),
    ROW(400, GET "Host: a,b.test\r\n" END),
    ROW(400, GET "Host: ex%61mple.test\r\n" END),
    ROW(400, GET "Host: \xc3\xa9.test\r\n" END),
    ROW(400, GET "Host: a\0.test\r\n" END),
    ROW(0, GET "Host: [::1]:8080\r\n" END),
    ROW(0, GET "Host: [2001:DB8::a:1]\r\n" END),
    ROW(400, GET "Host: [::1\r\n" END),
    ROW(400, GET "Host: []\r\n" END),
    ROW(400, GET "Host: [::1]x\r\n" END),
    ROW(400, GET "Host : a.test\r\n" END),
    /* fields */
    ROW(0, GET HOST "X-A:\r\n" END),
    ROW(0, GET HOST "X-A: \t v \t \r\n" END),
    ROW(0, GET HOST "X-A: caf\xe9 \xff\r\n" END),
    ROW(0, GET HOST "X-A: \"a, b\\\"\", c=d; e\tf\r\n" END),
    ROW(0, GET HOST "!#$%&'*+-.^_`|~0: v\r\n" END),
    ROW(400, GET HOST "X-A : v\r\n" END),
    ROW(400, GET HOST "X-A\t: v\r\n" END),
    ROW(400, GET HOST ": v\r\n" END),
    ROW(400, GET HOST "garbage\r\n" END),
    ROW(400, GET HOST "X A: v\r\n" END),
    ROW(400, GET HOST "X(A: v\r\n" END),
    ROW(400, GET HOST "X\x80: v\r\n" END),
    ROW(400, GET HOST "X-A\0: v\r\n" END),
    ROW(400, GET HOST "X-A\r: v\r\n" END),
    ROW(400, GET HOST "X-A: a\0b\r\n" END),
    ROW(400, GET HOST "X-A: a\rb\r\n" END),
    ROW(400, GET HOST "X-A: a\r\r\n" END),
    ROW(400, GET HOST "X-A: a\x0b"
                      "b\r\n" END),
    ROW(400, GET HOST "X-A: a long enough value\x1b with a control in the middle\r\n" END),
    ROW(400, GET HOST "X-A: a long enough value with a control at the end\x7f\r\n" END),
    ROW(400, GET HOST "X-A: a\n" END),
    ROW(400, GET HOST "X-A: a\nX-B: b\r\n" END),
    ROW(400, GET HOST "X-A: a\r\n b\r\n" END),
    ROW(400, GET HOST "X-A: a\r\n\tb\r\n" END),
    ROW(400, GET HOST "X-A: a\r\n \r\n" END),
    ROW(400, GET " X-A: a\r\n" HOST END),
    ROW(400, GET HOST "\n"),
    ROW(400, GET HOST "\rX-Injected: 1\r\n" END),
    /* Content-Length, Expect, Max-Forwards, Connection */
    ROW(0, GET HOST "Content-Length: 0005\r\n" END),
    ROW(0, GET HOST "Content-Length: 9223372036854775807\r\n" END),
    ROW(400, GET HOST "Content-Length: 9223372036854775808\r\n" END),
    ROW(400, GET HOST "Content-Length: 18446744073709551616\r\n" END),
    ROW(400, GET HOST "Content-Length: \r\n" END),
    ROW(400, GET HOST "Content-Length: +5\r\n" END),
    ROW(400, GET HOST "Content-Length: -0\r\n" END),
    ROW(400, GET HOST "Content-Length: 0x5\r\n" END),
    ROW(400, GET HOST "Content-Length: 5 5\r\n" END),
    ROW(400, GET HOST "Content-Length: 5, 5\r\n" END),
    ROW(400, GET HOST "Content-Length: 5\r\nContent-Length: 5\r\n" END),
    ROW(400, GET HOST "Content-Length: 5\r\ncontent-length: 6\r\n" END),
    ROW(0, GET HOST "Expect: 100-Continue\r\n" END),
    ROW(417, GET HOST "Expect: x-magic\r\n" END),
    ROW(417, GET HOST "Expect: 100-continue, x\r\n" END),
    ROW(0, "GET / HTTP/1.0\r\n" HOST "Expect: x-magic\r\n" END),
    ROW(405, "OPTIONS / HTTP/1.1\r\n" HOST "Max-Forwards: 0\r\n" END),
    ROW(400, "OPTIONS / HTTP/1.1\r\n" HOST "Max-Forwards: x\r\n" END),
    ROW(0, "OPTIONS / HTTP/1.1\r\n" HOST "Max-Forwards: 5\r\n" END),
    ROW(0, GET HOST "Max-Forwards: 0\r\n" END),
    ROW(0, GET HOST "Connection: ,, ,close,\r\n" END),
};

static const struct row responses[] = {
    ROW(0, OK_ END),
    ROW(0, "HTTP/1.0 200 OK\r\n" END),
    ROW(0, "HTTP/1.2 200 OK\r\n" END),
    ROW(0, "HTTP/1.1 200\r\n" END),
    ROW(0, "HTTP/1.1 200 \r\n" END),
    ROW(0, "HTTP/1.1 299 gr\xfc\xdf"
           "e und\tmehr\r\n" END),
    ROW(0, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n" END),
    ROW(0, OK_ "Host: not checked here, for it is no request\r\n" END),
    ROW(0, OK_ "Expect: x\r\nMax-Forwards: x\r\n" END),
    ROW(502, "\r\n" OK_ END),
    ROW(502, "\0" OK_ END),
    ROW(502, "HTTP/2.0 200 OK\r\n" END),
    ROW(502, "http/1.1 200 OK\r\n" END),
    ROW(502, "HTTP/1.1.1 200 OK\r\n" END),
    ROW(502, "HTTP/1,1 200 OK\r\n" END),
    ROW(502, "HTTP/1.1 20 OK\r\n" END),
    ROW(502, "HTTP/1.1 2000 OK\r\n" END),
    ROW(502, "HTTP/1.1 -20 OK\r\n" END),
    ROW(502, "HTTP/1.1 099 OK\r\n" END),
    ROW(502, "HTTP/1.1 600 OK\r\n" END),
    ROW(502, "HTTP/1.1 200x OK\r\n" END),
    ROW(502, "HTTP/1.1  200 OK\r\n" END),
    ROW(502, "HTTP/1.1\t200 OK\r\n" END),
    ROW(502, "HTTP/1.1 OK\r\n" END),
    ROW(502, "HTTP/1.1\r\n" END),
    ROW(502, "HTTP/1.1 200 O\0K\r\n" END),
    ROW(502, "HTTP/1.1 200 O\rK\r\n" END),
    ROW(502, "HTTP/1.1 200 OK\n" END),
    ROW(502, "GET / HTTP/1.1\r\n" END),
    ROW(502, "<html>hi</html>\n"),
    ROW(502, OK_ "X-A : b\r\n" END),
    ROW(502, OK_ "X-A: a\r\n Set-Cookie: evil=1\r\n" END),
    ROW(502, OK_ "X-A: a\0b\r\n" END),
    ROW(502, OK_ "Content-Length: 5;\r\n" END),
    ROW(502, OK_ "Content-Length: 5\r\nContent-Length: 6\r\n" END),
    ROW(502, OK_ "Content-Length: 18446744073709551621\r\n" END),
};

static void check_rows(const struct row *rows, size_t n, bool is_response)
{
    static struct head h;
    for (size_t i = 0; i < n; i++) {
        ssize_t result = feed_all_ways(&h, rows[i].raw, is_response, &usual_limits);
        ssize_t wanted = rows[i].status ? -rows[i].status : (ssize_t)rows[i].raw.len;
        if (result != wanted)
            fail_msg("%s row %zu: %zd, wanted %zd (%s)\n%.*s", is_response ? "response" : "request",
                     i, result, wanted, h.fault ? h.fault : "no fault", SLICE_ARG(rows[i].raw));
        assert_int_equal(result < 0, h.fault != NULL);
    }
}

static void requests_are_judged(void **state)
{
    (void)state;
    check_rows(requests, sizeof requests / sizeof requests[0], false);
}

static void responses_are_judged(void **state)
{
    (void)state;
    check_rows(responses, sizeof responses / sizeof responses[0], true);
}

/* Every accepted head, cut short anywhere, asks for more. */
static void part_of_a_head_asks_for_more(void **state)
{
    (void)state;
    static struct head h;
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        for (size_t n = 0; requests[i].status == 0 && n < requests[i].raw.len; n++) {
            head_init(&h, false);
            assert_int_equal(feed_first(&h, requests[i].raw, n, &usual_limits), 0);
        }
    }
}

static void what_follows_the_head_is_left_alone(void **state)
{
    (void)state;
    static struct head h;
    struct slice raw = SLICE(GET HOST END "GET /next\r\n\0\n");
    assert_int_equal(feed_all_ways(&h, raw, false, &usual_limits), strlen(GET HOST END));
}

static void assert_text(struct span s, struct slice raw, const char *text)
{
    struct slice got = span_in(s, raw.at);
    if (!slice_equal(got, slice_str(text)))
        fail_msg("\"%.*s\", wanted \"%s\"", SLICE_ARG(got), text);
}

static void spans_point_at_the_parts(void **state)
{
    (void)state;
    static struct head h;
    struct slice raw =
        SLICE("\r\nPOST http://b.test:81/p?q HTTP/1.1\r\nHost: a.test\r\nX-A: \t v w \r\n\r\n");
    assert_true(feed_all_ways(&h, raw, false, &usual_limits) > 0);
    assert_int_equal(h.method, METHOD_POST);
    assert_int_equal(h.minor, 1);
    assert_text(h.method_text, raw, "POST");
    assert_text(h.target, raw, "http://b.test:81/p?q");
    assert_text(h.path, raw, "/p?q");
    assert_text(h.authority, raw, "b.test:81");
    assert_int_equal(h.n_fields, 2);
    assert_text(h.fields[0].name, raw, "Host");
    assert_int_equal(h.fields[0].id, FIELD_HOST);
    assert_text(h.fields[1].name, raw, "X-A");
    assert_text(h.fields[1].value, raw, "v w");
    assert_int_equal(h.fields[1].id, FIELD_OTHER);

    raw = SLICE("HTTP/1.0 404 Not here\r\n\r\n");
    assert_true(feed_all_ways(&h, raw, true, &usual_limits) > 0);
    assert_int_equal(h.status, 404);
    assert_int_equal(h.minor, 0);
    assert_text(h.reason, raw, "Not here");
}

static void methods_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        struct slice raw;
        enum method method;
    } rows[] = {
        {SLICE("GET / HTTP/1.1\r\n" HOST END), METHOD_GET},
        {SLICE("HEAD / HTTP/1.1\r\n" HOST END), METHOD_HEAD},
        {SLICE("POST / HTTP/1.1\r\n" HOST END), METHOD_POST},
        {SLICE("PUT / HTTP/1.1\r\n" HOST END), METHOD_PUT},
        {SLICE("DELETE / HTTP/1.1\r\n" HOST END), METHOD_DELETE},
        {SLICE("OPTIONS / HTTP/1.1\r\n" HOST END), METHOD_OPTIONS},
        {SLICE("PATCH / HTTP/1.1\r\n" HOST END), METHOD_PATCH},
        {SLICE("get / HTTP/1.1\r\n" HOST END), METHOD_OTHER},
        {SLICE("GETS / HTTP/1.1\r\n" HOST END), METHOD_OTHER},
    };
    static struct head h;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_true(feed_all_ways(&h, rows[i].raw, false, &usual_limits) > 0);
        assert_int_equal(h.method, rows[i].method);
    }
}

/* n bytes of c behind start, then end. */
static struct slice long_head(char *buf, const char *start, size_t n, const char *end)
{
    size_t len = strlen(start);
    memcpy(buf, start, len);
    memset(buf + len, 'a', n);
    memcpy(buf + len + n, end, strlen(end));
    return slice_of(buf, len + n + strlen(end));
}

static void request_line_is_bounded(void **state)
{
    (void)state;
    static struct head h;
    static char buf[2000];
    struct head_limits limits = {.head_bytes = 4000, .uri_bytes = 100, .fields = 8};
    const char *end = " HTTP/1.1\r\n" HOST END;
    assert_true(feed_all_ways(&h, long_head(buf, "GET /", 99, end), false, &limits) > 0);
    assert_int_equal(feed_all_ways(&h, long_head(buf, "GET /", 100, end), false, &limits), -414);
    assert_int_equal(feed_all_ways(&h, long_head(buf, "GET /", 1000, end), false, &limits), -414);
    assert_int_equal(feed_all_ways(&h, long_head(buf, "GET /", 200, ""), false, &limits), -414);
    assert_int_equal(feed_all_ways(&h, long_head(buf, "", 200, ""), false, &limits), -414);
}

static void head_is_bounded(void **state)
{
    (void)state;
    static struct head h;
    static char buf[4000];
    struct head_limits limits = {.head_bytes = 1000, .uri_bytes = 100, .fields = 8};
    size_t rest = strlen(GET HOST "X-A: " END END);
    const char *start = GET HOST "X-A: ";
    assert_true(feed_all_ways(&h, long_head(buf, start, 1000 - rest, END END), false, &limits) ==
                1000);
    assert_int_equal(feed_all_ways(&h, long_head(buf, start, 1001 - rest, END END), false, &limits),
                     -431);
    assert_int_equal(feed_all_ways(&h, long_head(buf, start, 1000, ""), false, &limits), -431);
    assert_int_equal(feed_all_ways(&h, long_head(buf, OK_ "X-A: ", 1000, ""), true, &limits), -502);
    limits.head_bytes = 50000;
    static char large[80000];
    assert_int_equal(feed_all_ways(&h, long_head(large, start, 70000, END END), false, &limits),
                     -431);
}

static void fields_are_counted(void **state)
{
    (void)state;
    static struct head h;
    struct head_limits limits = {.head_bytes = 1000, .uri_bytes = 100, .fields = 3};
    assert_true(feed_all_ways(&h, SLICE(GET HOST "A: 1\r\nB: 2\r\n" END), false, &limits) > 0);
    assert_int_equal(
        feed_all_ways(&h, SLICE(GET HOST "A: 1\r\nB: 2\r\nC: 3\r\n" END), false, &limits), -431);
}

static void table_of_fields_holds_its_bound(void **state)
{
    (void)state;
    static struct head h;
    static char buf[4000];
    struct head_limits limits = {.head_bytes = 4000, .uri_bytes = 100, .fields = HEAD_FIELDS_MAX};
    size_t len = strlen(GET HOST);
    memcpy(buf, GET HOST, len);
    for (int i = 1; i < HEAD_FIELDS_MAX; i++, len += 6)
        memcpy(buf + len, "A: 1\r\n", 6);
    memcpy(buf + len, "\r\n", 2);
    assert_true(feed_all_ways(&h, slice_of(buf, len + 2), false, &limits) > 0);
    assert_int_equal(h.n_fields, HEAD_FIELDS_MAX);
    memcpy(buf + len, "A: 1\r\n\r\n", 8);
    assert_int_equal(feed_all_ways(&h, slice_of(buf, len + 8), false, &limits), -431);
}

/* Blocks of bytes are looked at where there are as many, which depends on how far the end is. */
static void a_field_is_the_same_at_every_distance_from_the_end(void **state)
{
    (void)state;
    static struct head h;
    for (int name = 1; name <= 34; name++)
        for (int value = 0; value <= 18; value++) {
            char buf[128];
            int len =
                snprintf(buf, sizeof buf, GET HOST "%.*s: %.*s\r\n\r\n", name,
                         "abc-efghijklmnopqrstuvwxyzabcdefgh", value, "0123456789 b\x80~ fgh");
            struct slice raw = slice_of(buf, (size_t)len);
            assert_int_equal(feed_all_ways(&h, raw, false, &usual_limits), len);
            assert_int_equal(h.n_fields, 2);
            assert_int_equal(h.fields[1].name.len, name);
            assert_int_equal(h.fields[1].value.at + (uint32_t)value + 4, len);
            buf[len - 5] = '\x7f';
            assert_int_equal(feed_all_ways(&h, raw, false, &usual_limits), -400);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_judged),
        cmocka_unit_test(responses_are_judged),
        cmocka_unit_test(part_of_a_head_asks_for_more),
        cmocka_unit_test(what_follows_the_head_is_left_alone),
        cmocka_unit_test(spans_point_at_the_parts),
        cmocka_unit_test(methods_are_told_apart),
        cmocka_unit_test(request_line_is_bounded),
        cmocka_unit_test(head_is_bounded),
        cmocka_unit_test(fields_are_counted),
        cmocka_unit_test(table_of_fields_holds_its_bound),
        cmocka_unit_test(a_field_is_the_same_at_every_distance_from_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
