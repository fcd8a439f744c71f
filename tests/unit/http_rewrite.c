/* The heads that go on, byte for byte.
 * SPDX-License-Identifier: Apache-2.0 */
#include "http_feed.h"
#include "proxy/http/rewrite.h"
#include "proxy/http/syntax.h"

#define ROOM        8192
#define TRACEPARENT "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

static struct head h;
static struct body b;
static char out[ROOM];

/* What serin adds to a plain request of 192.0.2.1 for a.test. */
#define ADDED                                                                                      \
    "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a.test\r\n"        \
    "Via: 1.1 serin\r\n\r\n"

static struct rewrite_request request_of(struct slice raw)
{
    head_init(&h, false);
    assert_int_equal(head_feed(&h, raw.at, raw.len, &usual_limits), raw.len);
    assert_int_equal(body_plan_request(&b, &h), 0);
    return (struct rewrite_request){.head = &h,
                                    .buf = raw.at,
                                    .body = &b,
                                    .client = SLICE("192.0.2.1"),
                                    .fallback_host = SLICE("fallback:80")};
}

static void check_out(ssize_t n, const char *wanted)
{
    if (n != (ssize_t)strlen(wanted) || memcmp(out, wanted, (size_t)n) != 0)
        fail_msg("got\n%.*s\nwanted\n%s", n < 0 ? 0 : (int)n, out, wanted);
}

/* Also asks that any smaller room is told, and that what comes out is a head that is accepted. */
static void check_request(const struct rewrite_request *r, const char *wanted)
{
    static struct head again;
    ssize_t n = rewrite_request(r, out, ROOM);
    check_out(n, wanted);
    for (size_t room = 0; room < (size_t)n; room++) {
        char *small = malloc(room + 1);
        assert_non_null(small);
        assert_int_equal(rewrite_request(r, small, room), -1);
        free(small);
    }
    head_init(&again, false);
    assert_int_equal(head_feed(&again, out, (size_t)n, &usual_limits), n);
}

static void requests_are_written_anew(void **state)
{
    (void)state;
    static const struct {
        struct slice raw;
        const char *wanted;
    } rows[] = {
        {SLICE("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"),
         "GET / HTTP/1.1\r\nHost: a.test\r\n" ADDED},
        /* order, blanks, spelling of names and repeated fields */
        {SLICE("\r\nGET /x?y HTTP/1.1\r\nX-B:2 \r\nhost:\ta.test\r\nX-A: \t v w \r\nx-b: "
               "3\r\nEmpty:\r\n\r\n"),
         "GET /x?y HTTP/1.1\r\nHost: a.test\r\nX-B: 2\r\nX-A: v w\r\nx-b: 3\r\nEmpty: \r\n" ADDED},
        /* hop-by-hop */
        {SLICE("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: x-hop, upgrade, close, "
               "host\r\nX-Hop: 1\r\nKeep-Alive: 5\r\n"
               "TE: trailers\r\nTrailer: x\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\nProxy: x\r\n"
               "Proxy-Connection: x\r\nProxy-Authorization: x\r\nCookie: a=b\r\n\r\n"),
         "GET / HTTP/1.1\r\nHost: a.test\r\nCookie: a=b\r\n" ADDED},
        {SLICE(
             "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"),
         "GET / HTTP/1.1\r\nHost: a.test\r\n" ADDED},
        /* framing: one field, normal form */
        {SLICE("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0005\r\n\r\n"),
         "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n" ADDED},
        {SLICE("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\nConnection: "
               "content-length\r\n\r\n"),
         "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n" ADDED},
        {SLICE("POST / HTTP/1.1\r\nHost: a.test\r\ntransfer-ENCODING: ChunKed\r\n\r\n"),
         "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n" ADDED},
        /* Expect */
        {SLICE("POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-Continue\r\nexpect: "
               "100-continue\r\nContent-Length: 5\r\n\r\n"),
         "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n" ADDED},
        {SLICE("GET / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\n\r\n"),
         "GET / HTTP/1.1\r\nHost: a.test\r\n" ADDED},
        /* forms of the target */
        {SLICE("GET http://a.test HTTP/1.1\r\nHost: other\r\n\r\n"),
         "GET / HTTP/1.1\r\nHost: a.test\r\n" ADDED},
        {SLICE("GET HTTP://a.test?q HTTP/1.1\r\nHost: other\r\n\r\n"),
         "GET /?q HTTP/1.1\r\nHost: a.test\r\n" ADDED},
        {SLICE("GET http://a.test/p?q HTTP/1.1\r\nHost: other\r\n\r\n"),
         "GET /p?q HTTP/1.1\r\nHost: a.test\r\n" ADDED},
        {SLICE("OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n"),
         "OPTIONS * HTTP/1.1\r\nHost: a.test\r\n" ADDED},
        {SLICE("OPTIONS http://a.test HTTP/1.1\r\nHost: a.test\r\n\r\n"),
         "OPTIONS * HTTP/1.1\r\nHost: a.test\r\n" ADDED},
        {SLICE("OPTIONS http://a.test?q HTTP/1.1\r\nHost: a.test\r\n\r\n"),
         "OPTIONS /?q HTTP/1.1\r\nHost: a.test\r\n" ADDED},
        /* Max-Forwards counts for OPTIONS only */
        {SLICE("OPTIONS / HTTP/1.1\r\nHost: a.test\r\nMax-Forwards: 5\r\n\r\n"),
         "OPTIONS / HTTP/1.1\r\nHost: a.test\r\nMax-Forwards: 4\r\n" ADDED},
        {SLICE("GET / HTTP/1.1\r\nHost: a.test\r\nMax-Forwards: 5\r\n\r\n"),
         "GET / HTTP/1.1\r\nHost: a.test\r\nMax-Forwards: 5\r\n" ADDED},
        /* HTTP/1.0 */
        {SLICE("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"),
         "POST / HTTP/1.1\r\nHost: fallback:80\r\nContent-Length: 5\r\n"
         "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\nVia: 1.0 serin\r\n\r\n"},
        /* what the client says of itself is the front of a list, or gone */
        {SLICE("GET / HTTP/1.1\r\nHost: a.test\r\nVia: 1.0 fred\r\nX-Forwarded-Proto: "
               "https\r\nX-Forwarded-Host: evil\r\n"
               "Forwarded: for=evil\r\nX-Request-ID: from-client\r\n\r\n"),
         "GET / HTTP/1.1\r\nHost: a.test\r\nVia: 1.0 fred\r\nX-Request-ID: from-client\r\n" ADDED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rewrite_request r = request_of(rows[i].raw);
        check_request(&r, rows[i].wanted);
    }
}

/* Whether it goes on is the caller's to say: never by the mere words of the client. */
static void an_upgrade_is_asked_for_anew(void **state)
{
    (void)state;
    struct rewrite_request r = request_of(
        SLICE("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: x-hop , UPGRADE\r\nX-Hop: 1\r\n"
              "Upgrade: WebSocket\r\nSec-WebSocket-Key: k\r\n\r\n"));
    r.upgrade_websocket = true;
    check_request(&r, "GET / HTTP/1.1\r\nHost: a.test\r\nSec-WebSocket-Key: k\r\n"
                      "Connection: Upgrade\r\nUpgrade: websocket\r\n" ADDED);
}

#define TOLD                                                                                       \
    "GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 1.2.3.4, 5.6.7.8\r\nX-Forwarded-For:\r\n"  \
    "X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: gopher\r\nX-Forwarded-Host: evil\r\n"          \
    "Forwarded: for=1.2.3.4\r\n\r\n"
#define START "GET / HTTP/1.1\r\nHost: a.test\r\n"

static void forwarding_fields_follow_the_mode(void **state)
{
    (void)state;
    static const struct {
        enum forwarded_mode mode;
        bool is_tls;
        const char *client, *wanted;
    } rows[] = {
        {FORWARDED_X, false, "192.0.2.1",
         START
         "X-Forwarded-For: 1.2.3.4, 5.6.7.8, 9.9.9.9, 192.0.2.1\r\nX-Forwarded-Proto: http\r\n"
         "X-Forwarded-Host: a.test\r\nVia: 1.1 serin\r\n\r\n"},
        {FORWARDED_X, true, "2001:db8::1",
         START
         "X-Forwarded-For: 1.2.3.4, 5.6.7.8, 9.9.9.9, 2001:db8::1\r\nX-Forwarded-Proto: https\r\n"
         "X-Forwarded-Host: a.test\r\nVia: 1.1 serin\r\n\r\n"},
        {FORWARDED_RFC7239, false, "192.0.2.1",
         START "Forwarded: for=1.2.3.4, for=192.0.2.1;proto=http;host=\"a.test\"\r\nVia: 1.1 "
               "serin\r\n\r\n"},
        {FORWARDED_RFC7239, true, "2001:db8::1",
         START "Forwarded: for=1.2.3.4, for=\"[2001:db8::1]\";proto=https;host=\"a.test\"\r\n"
               "Via: 1.1 serin\r\n\r\n"},
        {FORWARDED_RFC7239, true, "unknown",
         START "Forwarded: for=1.2.3.4, for=unknown;proto=https;host=\"a.test\"\r\nVia: 1.1 "
               "serin\r\n\r\n"},
        {FORWARDED_BOTH, false, "192.0.2.1",
         START
         "X-Forwarded-For: 1.2.3.4, 5.6.7.8, 9.9.9.9, 192.0.2.1\r\nX-Forwarded-Proto: http\r\n"
         "X-Forwarded-Host: a.test\r\n"
         "Forwarded: for=1.2.3.4, for=192.0.2.1;proto=http;host=\"a.test\"\r\nVia: 1.1 "
         "serin\r\n\r\n"},
        {FORWARDED_OFF, false, "192.0.2.1",
         START
         "X-Forwarded-For: 1.2.3.4, 5.6.7.8\r\nX-Forwarded-For: \r\nX-Forwarded-For: 9.9.9.9\r\n"
         "X-Forwarded-Proto: gopher\r\nX-Forwarded-Host: evil\r\nForwarded: for=1.2.3.4\r\n"
         "Via: 1.1 serin\r\n\r\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rewrite_request r = request_of(SLICE(TOLD));
        r.forwarded = rows[i].mode;
        r.is_tls = rows[i].is_tls;
        r.client = slice_str(rows[i].client);
        check_request(&r, rows[i].wanted);
    }
}

static void request_id_is_replaced_or_passed_on(void **state)
{
    (void)state;
    static const struct {
        const char *id;
        bool kept;
    } rows[] = {
        {"12345678", true},   {"aZ09._~+/=:@-", true}, {"1234567", false}, {"12345678;", false},
        {"1234 5678", false}, {"1234567\xe9", false},  {"", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char raw[128];
        int n = snprintf(raw, sizeof raw, START "X-Request-ID: %s\r\n\r\n", rows[i].id);
        (void)request_of(slice_of(raw, (size_t)n));
        struct slice kept = request_id_received(&h, raw);
        assert_true(slice_equal(kept, rows[i].kept ? slice_str(rows[i].id) : slice_of(raw, 0)));
    }
    char raw[256], id[REQUEST_ID_MAX + 2] = "";
    for (size_t n = REQUEST_ID_MAX; n <= REQUEST_ID_MAX + 1; n++) {
        memset(id, 'a', n);
        int len = snprintf(raw, sizeof raw, START "X-Request-ID: %s\r\n\r\n", id);
        (void)request_of(slice_of(raw, (size_t)len));
        assert_int_equal(request_id_received(&h, raw).len, n == REQUEST_ID_MAX ? n : 0);
    }
    struct rewrite_request r = request_of(SLICE(START "x-request-id: theirs\r\n\r\n"));
    r.request_id = SLICE("our-own-id");
    r.forwarded = FORWARDED_OFF;
    check_request(&r, START "X-Request-ID: our-own-id\r\nVia: 1.1 serin\r\n\r\n");
}

/* The most that a rewrite can add: every field without a blank, the longest authority, every mode.
 */
static void extra_bytes_are_enough(void **state)
{
    (void)state;
    static char raw[16384], room[32768];
    char authority[SYNTAX_AUTHORITY_BYTES_MAX + 1] = "", id[REQUEST_ID_MAX + 1] = "",
                                                client[46] = "";
    memset(authority, 'a', SYNTAX_AUTHORITY_BYTES_MAX);
    memset(id, 'i', REQUEST_ID_MAX);
    memset(client, ':', sizeof client - 1);
    int n =
        snprintf(raw, sizeof raw,
                 "POST http://%s HTTP/1.1\r\nHost:b\r\nTransfer-Encoding:chunked\r\n", authority);
    for (int i = 2; i < HEAD_FIELDS_MAX; i++)
        n += snprintf(raw + n, sizeof raw - (size_t)n, "A:%d\r\n", i % 10);
    n += snprintf(raw + n, sizeof raw - (size_t)n, "\r\n");
    struct head_limits limits = {
        .head_bytes = sizeof raw, .uri_bytes = 1000, .fields = HEAD_FIELDS_MAX};
    head_init(&h, false);
    assert_int_equal(head_feed(&h, raw, (size_t)n, &limits), n);
    assert_int_equal(body_plan_request(&b, &h), 0);
    struct rewrite_request r = {.head = &h,
                                .buf = raw,
                                .body = &b,
                                .client = slice_str(client),
                                .is_tls = true,
                                .forwarded = FORWARDED_BOTH,
                                .request_id = slice_str(id),
                                .traceparent = SLICE(TRACEPARENT),
                                .upgrade_websocket = true};
    size_t enough =
        (size_t)n + REWRITE_EXTRA_BYTES + REQUEST_ID_MAX + r.traceparent.len + 2 * strlen(client);
    assert_true(rewrite_request(&r, room, enough) > n);
}

static struct rewrite_response response_of(struct slice raw, bool to_head)
{
    head_init(&h, true);
    assert_int_equal(head_feed(&h, raw.at, raw.len, &usual_limits), raw.len);
    assert_int_equal(body_plan_response(&b, &h, to_head), 0);
    return (struct rewrite_response){
        .head = &h, .buf = raw.at, .body = &b, .client_minor = 1, .keep_alive = true};
}

static void check_response(const struct rewrite_response *r, const char *wanted)
{
    static struct head again;
    ssize_t n = rewrite_response(r, out, ROOM);
    check_out(n, wanted);
    for (size_t room = 0; room < (size_t)n; room++) {
        char *small = malloc(room + 1);
        assert_non_null(small);
        assert_int_equal(rewrite_response(r, small, room), -1);
        free(small);
    }
    head_init(&again, true);
    assert_int_equal(head_feed(&again, out, (size_t)n, &usual_limits), n);
}

#define OK_     "HTTP/1.1 200 OK\r\n"
#define VIA     "Via: 1.1 serin\r\n\r\n"
#define CLOSE   "Connection: close\r\n"
#define CHUNKED "Transfer-Encoding: chunked\r\n"

static void responses_are_written_anew(void **state)
{
    (void)state;
    enum { HEAD = 1, CLIENT_1_0 = 2, CLOSES = 4 };
    static const struct {
        int flags;
        struct slice raw;
        const char *wanted;
    } rows[] = {
        {0, SLICE(OK_ "Content-Length: 05\r\n\r\n"), OK_ "Content-Length: 5\r\n" VIA},
        {CLOSES, SLICE(OK_ "Content-Length: 5\r\n\r\n"), OK_ "Content-Length: 5\r\n" CLOSE VIA},
        {CLIENT_1_0, SLICE(OK_ "Content-Length: 5\r\n\r\n"),
         OK_ "Content-Length: 5\r\nConnection: keep-alive\r\n" VIA},
        {CLIENT_1_0 | CLOSES, SLICE(OK_ "Content-Length: 5\r\n\r\n"),
         OK_ "Content-Length: 5\r\n" CLOSE VIA},
        /* chunked, and what ends with the connection */
        {0, SLICE(OK_ "transfer-encoding: Chunked\r\n\r\n"), OK_ CHUNKED VIA},
        {CLOSES, SLICE(OK_ CHUNKED "\r\n"), OK_ CHUNKED CLOSE VIA},
        {CLIENT_1_0, SLICE(OK_ CHUNKED "\r\n"), OK_ CLOSE VIA},
        {0, SLICE(OK_ "\r\n"), OK_ CHUNKED VIA},
        {CLOSES, SLICE(OK_ "\r\n"), OK_ CLOSE VIA},
        {CLIENT_1_0, SLICE(OK_ "\r\n"), OK_ CLOSE VIA},
        /* no body: HEAD, 204, 304, 1xx */
        {HEAD, SLICE(OK_ "Content-Length: 500\r\n\r\n"), OK_ "Content-Length: 500\r\n" VIA},
        {HEAD, SLICE(OK_ CHUNKED "\r\n"), OK_ CHUNKED VIA},
        {HEAD | CLIENT_1_0, SLICE(OK_ CHUNKED "\r\n"), OK_ "Connection: keep-alive\r\n" VIA},
        {HEAD, SLICE(OK_ "\r\n"), OK_ VIA},
        {0, SLICE("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"),
         "HTTP/1.1 204 No Content\r\n" VIA},
        {0, SLICE("HTTP/1.1 204 No Content\r\n" CHUNKED "\r\n"), "HTTP/1.1 204 No Content\r\n" VIA},
        {0, SLICE("HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 500\r\n\r\n"),
         "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 500\r\n" VIA},
        {0, SLICE("HTTP/1.1 304 Not Modified\r\n" CHUNKED "\r\n"),
         "HTTP/1.1 304 Not Modified\r\n" VIA},
        {CLOSES,
         SLICE("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 5\r\nConnection: "
               "close\r\n\r\n"),
         "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n" VIA},
        /* status lines */
        {0, SLICE("HTTP/1.0 200 Fine\r\nContent-Length: 5\r\n\r\n"),
         "HTTP/1.1 200 Fine\r\nContent-Length: 5\r\nVia: 1.0 serin\r\n\r\n"},
        {0, SLICE("HTTP/1.1 404\r\nContent-Length: 5\r\n\r\n"),
         "HTTP/1.1 404 \r\nContent-Length: 5\r\n" VIA},
        {0,
         SLICE("HTTP/1.1 299 gr\xfc\xdf"
               "e\r\nContent-Length: 5\r\n\r\n"),
         "HTTP/1.1 299 gr\xfc\xdf"
         "e\r\nContent-Length: 5\r\n" VIA},
        /* fields */
        {0,
         SLICE(OK_ "Connection: x-back, keep-alive\r\nX-Back: 1\r\nKeep-Alive: max=100\r\nUpgrade: "
                   "h2c\r\nTrailer: x\r\n"
                   "Proxy-Authenticate: x\r\nSet-Cookie: a=1\r\nServer: s\r\nset-cookie:b=2; "
                   "Path=/\r\nDate: d\r\n"
                   "Via: 1.1 v\r\nContent-Length: 5\r\n\r\n"),
         OK_ "Set-Cookie: a=1\r\nServer: s\r\nset-cookie: b=2; Path=/\r\nDate: d\r\nVia: 1.1 v\r\n"
             "Content-Length: 5\r\n" VIA},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rewrite_response r = response_of(rows[i].raw, rows[i].flags & HEAD);
        r.client_minor = rows[i].flags & CLIENT_1_0 ? 0 : 1;
        r.keep_alive = !(rows[i].flags & CLOSES);
        check_response(&r, rows[i].wanted);
        assert_int_equal(rewrite_is_chunked(&r),
                         strstr(rows[i].wanted, CHUNKED) && !(rows[i].flags & HEAD));
    }
}

/* Whether it was asked for is the caller's to know. */
static void an_upgrade_is_answered_anew(void **state)
{
    (void)state;
    struct rewrite_response r = response_of(
        SLICE("HTTP/1.1 101 Switching Protocols\r\nConnection: x-hop, upgrade\r\nX-Hop: 1\r\n"
              "Upgrade: WebSocket\r\nSec-WebSocket-Accept: x\r\nContent-Length: 5\r\n\r\n"),
        false);
    r.keep_alive = false;
    check_response(&r, "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\n"
                       "Connection: Upgrade\r\nUpgrade: websocket\r\n" VIA);
}

static void response_gets_cookie_and_id(void **state)
{
    (void)state;
    struct slice raw =
        SLICE(OK_ "Set-Cookie: a=1\r\nX-Request-ID: upstream\r\nContent-Length: 0\r\n\r\n");
    struct rewrite_response r = response_of(raw, false);
    r.set_cookie = SLICE("uid=7; Path=/");
    r.request_id = SLICE("our-own-id");
    check_response(&r, OK_ "Set-Cookie: a=1\r\nContent-Length: 0\r\nSet-Cookie: uid=7; Path=/\r\n"
                           "X-Request-ID: our-own-id\r\n" VIA);
    r.set_cookie = r.request_id = slice_of(raw.at, 0);
    check_response(&r,
                   OK_ "Set-Cookie: a=1\r\nX-Request-ID: upstream\r\nContent-Length: 0\r\n" VIA);
}

/* What the head says of its trace, and what goes on where it begins anew and where not. */
static void a_trace_is_passed_on_or_begun(void **state)
{
    (void)state;
    static const struct {
        struct slice raw;
        enum trace_context trace;
    } rows[] = {
        {SLICE("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"), TRACE_NONE},
        {SLICE("GET / HTTP/1.1\r\nHost: a.test\r\ntracestate: a=1\r\n\r\n"), TRACE_NONE},
        {SLICE("GET / HTTP/1.1\r\nHost: a.test\r\nTraceParent: " TRACEPARENT "\r\n\r\n"),
         TRACE_VALID},
        {SLICE("GET / HTTP/1.1\r\nHost: a.test\r\ntraceparent: x\r\n\r\n"), TRACE_INVALID},
        {SLICE("GET / HTTP/1.1\r\nHost: a.test\r\ntraceparent: " TRACEPARENT
               "\r\ntraceparent: " TRACEPARENT "\r\n\r\n"),
         TRACE_INVALID},
        {SLICE("GET / HTTP/1.1\r\nHost: a.test\r\ntraceparent: x\r\ntraceparent: " TRACEPARENT
               "\r\n\r\n"),
         TRACE_INVALID},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rewrite_request r = request_of(rows[i].raw);
        assert_int_equal(h.trace, rows[i].trace);
        r.traceparent = SLICE("ours");
        check_request(&r, "GET / HTTP/1.1\r\nHost: a.test\r\n"
                          "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\n"
                          "X-Forwarded-Host: a.test\r\ntraceparent: ours\r\n"
                          "Via: 1.1 serin\r\n\r\n");
    }
    struct rewrite_request r = request_of(
        SLICE("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: traceparent\r\n"
              "traceparent: " TRACEPARENT "\r\ntracestate: a=1\r\ntracestate: b=2\r\n\r\n"));
    check_request(&r, "GET / HTTP/1.1\r\nHost: a.test\r\ntraceparent: " TRACEPARENT
                      "\r\ntracestate: a=1\r\ntracestate: b=2\r\n" ADDED);
}

static void a_response_names_its_version(void **state)
{
    (void)state;
    static const struct {
        struct slice raw;
        const char *wanted;
    } rows[] = {
        {SLICE("HTTP/1.1 204 OK\r\nX-VERSION: v9\r\nx-version: v8\r\nX-Versions: 2\r\n\r\n"),
         "HTTP/1.1 204 OK\r\nX-Versions: 2\r\nX-Version: v2\r\nVia: 1.1 serin\r\n\r\n"},
        {SLICE("HTTP/1.1 103 Early Hints\r\nX-Version: v9\r\n\r\n"),
         "HTTP/1.1 103 Early Hints\r\nVia: 1.1 serin\r\n\r\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rewrite_response r = response_of(rows[i].raw, false);
        r.keep_alive = true;
        r.version_field = SLICE("X-Version");
        r.version = SLICE("v2");
        head_remove(&h, rows[i].raw.at, r.version_field);
        check_response(&r, rows[i].wanted);
    }
}

static void subject_is_added(void **state)
{
    (void)state;
    struct rewrite_request r =
        request_of(SLICE("GET / HTTP/1.1\r\nHost: a.test\r\nX-Subject: forged\r\n\r\n"));
    r.subject_name = SLICE("X-Subject");
    r.subject = SLICE("CN=a\\,b");
    head_remove(&h, r.buf, r.subject_name);
    r.forwarded = FORWARDED_OFF;
    check_request(
        &r, "GET / HTTP/1.1\r\nHost: a.test\r\nX-Subject: CN=a\\,b\r\nVia: 1.1 serin\r\n\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(subject_is_added),
        cmocka_unit_test(requests_are_written_anew),
        cmocka_unit_test(an_upgrade_is_asked_for_anew),
        cmocka_unit_test(forwarding_fields_follow_the_mode),
        cmocka_unit_test(request_id_is_replaced_or_passed_on),
        cmocka_unit_test(extra_bytes_are_enough),
        cmocka_unit_test(responses_are_written_anew),
        cmocka_unit_test(an_upgrade_is_answered_anew),
        cmocka_unit_test(response_gets_cookie_and_id),
        cmocka_unit_test(a_trace_is_passed_on_or_begun),
        cmocka_unit_test(a_response_names_its_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
