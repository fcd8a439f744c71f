/* What fields mean to the proxy: their ids, persistence, what is hop-by-hop, how the body is coded.
 * SPDX-License-Identifier: Apache-2.0 */
#include "http_feed.h"
#include "proxy/http/fields.h"
#include "proxy/http/syntax.h"

#define HOST "Host: a.test\r\n"
#define GET  "GET / HTTP/1.1\r\n" HOST
#define GET0 "GET / HTTP/1.0\r\n" HOST

static void names_are_classified_in_any_case(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum field_id id;
    } rows[] = {
        {"Connection", FIELD_CONNECTION},
        {"Content-Length", FIELD_CONTENT_LENGTH},
        {"Cookie", FIELD_COOKIE},
        {"Date", FIELD_DATE},
        {"Expect", FIELD_EXPECT},
        {"Forwarded", FIELD_FORWARDED},
        {"Host", FIELD_HOST},
        {"HTTP2-Settings", FIELD_HTTP2_SETTINGS},
        {"Keep-Alive", FIELD_KEEP_ALIVE},
        {"Max-Forwards", FIELD_MAX_FORWARDS},
        {"Proxy", FIELD_PROXY},
        {"Proxy-Authenticate", FIELD_PROXY_AUTHENTICATE},
        {"Proxy-Authorization", FIELD_PROXY_AUTHORIZATION},
        {"Proxy-Connection", FIELD_PROXY_CONNECTION},
        {"Server", FIELD_SERVER},
        {"TE", FIELD_TE},
        {"Trailer", FIELD_TRAILER},
        {"Transfer-Encoding", FIELD_TRANSFER_ENCODING},
        {"Upgrade", FIELD_UPGRADE},
        {"Via", FIELD_VIA},
        {"X-Forwarded-For", FIELD_X_FORWARDED_FOR},
        {"X-Forwarded-Host", FIELD_X_FORWARDED_HOST},
        {"X-Forwarded-Proto", FIELD_X_FORWARDED_PROTO},
        {"X-Request-ID", FIELD_X_REQUEST_ID},
        {"X-Serin-Mirror", FIELD_X_SERIN_MIRROR},
        {"Transfer_Encoding", FIELD_OTHER},
        {"Content-Lengti", FIELD_OTHER},
        {"Hosts", FIELD_OTHER},
        {"X", FIELD_OTHER},
        {"", FIELD_OTHER},
        {"Accept", FIELD_OTHER},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[32] = "";
        size_t n = strlen(rows[i].name);
        assert_int_equal(field_classify(slice_str(rows[i].name)), rows[i].id);
        for (size_t k = 0; k < n; k++)
            text[k] = ascii_lower(rows[i].name[k]);
        assert_int_equal(field_classify(slice_of(text, n)), rows[i].id);
        for (size_t k = 0; k < n; k++)
            text[k] = (char)(text[k] >= 'a' && text[k] <= 'z' ? text[k] - 32 : text[k]);
        assert_int_equal(field_classify(slice_of(text, n)), rows[i].id);
        for (size_t k = 0; k < n; k++) {
            char c = text[k];
            text[k] = c == '0' ? '1' : '0';
            assert_int_equal(field_classify(slice_of(text, n)), FIELD_OTHER);
            text[k] = c;
        }
    }
}

static void persistence_follows_version_and_connection(void **state)
{
    (void)state;
    static const struct {
        struct slice raw;
        bool keep_alive;
    } rows[] = {
        {SLICE(GET "\r\n"), true},
        {SLICE(GET "Connection: close\r\n\r\n"), false},
        {SLICE(GET "Connection: foo, CLOSE\r\n\r\n"), false},
        {SLICE(GET "Connection: foo\r\nconnection: x,,close\r\n\r\n"), false},
        {SLICE(GET "Connection: closed\r\n\r\n"), true},
        {SLICE(GET "Connection: keep-alive\r\n\r\n"), true},
        {SLICE(GET0 "\r\n"), false},
        {SLICE(GET0 "Connection: Keep-Alive\r\n\r\n"), true},
        {SLICE(GET0 "Connection: keep-alive, close\r\n\r\n"), false},
        {SLICE(GET0 "Keep-Alive: timeout=5\r\n\r\n"), false},
        {SLICE(GET0 "Proxy-Connection: keep-alive\r\n\r\n"), false},
    };
    static struct head h;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_true(feed_all_ways(&h, rows[i].raw, false, &usual_limits) > 0);
        assert_int_equal(h.keep_alive, rows[i].keep_alive);
    }
}

static bool is_hop(const struct head *h, struct slice raw, const char *name)
{
    for (int i = 0; i < h->n_fields; i++)
        if (slice_equal_nocase(span_in(h->fields[i].name, raw.at), slice_str(name)))
            return h->fields[i].hop;
    fail_msg("no field %s", name);
    return false;
}

static void hop_by_hop_fields_are_marked(void **state)
{
    (void)state;
    static struct head h;
    struct slice raw =
        SLICE(GET "Connection: x-hop,,X-HOP2 , keep-alive, not a token\r\n"
                  "connection: x-Hop3, Te\r\nX-Hop: 1\r\nX-hop2: 1\r\nX-HOP3: 1\r\nX-Hop4: 1\r\n"
                  "Keep-Alive: 5\r\nTE: trailers\r\nTrailer: x\r\nUpgrade: foo\r\nProxy: x\r\n"
                  "Proxy-Connection: x\r\nProxy-Authorization: x\r\nHTTP2-Settings: x\r\n"
                  "Transfer-Encoding: chunked\r\nAccept: */*\r\n\r\n");
    assert_true(feed_all_ways(&h, raw, false, &usual_limits) > 0);
    static const char *const gone[] = {
        "connection",
        "x-hop",
        "x-hop2",
        "x-hop3",
        "keep-alive",
        "te",
        "trailer",
        "upgrade",
        "proxy",
        "proxy-connection",
        "proxy-authorization",
        "http2-settings",
        "transfer-encoding",
    };
    for (size_t i = 0; i < sizeof gone / sizeof gone[0]; i++)
        assert_true(is_hop(&h, raw, gone[i]));
    assert_false(is_hop(&h, raw, "host"));
    assert_false(is_hop(&h, raw, "x-hop4"));
    assert_false(is_hop(&h, raw, "accept"));
}

static void end_to_end_fields_cannot_be_named_away(void **state)
{
    (void)state;
    static struct head h;
    struct slice raw = SLICE(
        GET
        "Connection: host, cookie, content-length, authorization, x-forwarded-for, via, date,"
        " x-request-id, content-type, cache-control, forwarded, x-real-ip\r\n"
        "Cookie: a=b\r\nContent-Length: 1\r\nAuthorization: x\r\nX-Forwarded-For: x\r\nVia: x\r\n"
        "Date: x\r\nX-Request-ID: x\r\nContent-Type: x\r\nCache-Control: x\r\nForwarded: x\r\n"
        "X-Real-IP: x\r\n\r\n");
    assert_true(feed_all_ways(&h, raw, false, &usual_limits) > 0);
    for (int i = 0; i < h.n_fields; i++)
        assert_int_equal(h.fields[i].hop, h.fields[i].id == FIELD_CONNECTION);
}

static void connection_options_are_counted(void **state)
{
    (void)state;
    static struct head h;
    char raw[1000] = GET "Connection: a";
    for (int i = 1; i < CONNECTION_OPTIONS_MAX; i++)
        strcat(raw, ",a");
    size_t len = strlen(raw);
    strcat(raw, "\r\n\r\n");
    assert_true(feed_all_ways(&h, slice_str(raw), false, &usual_limits) > 0);
    strcpy(raw + len, ",a\r\n\r\n");
    assert_int_equal(feed_all_ways(&h, slice_str(raw), false, &usual_limits), -400);
}

static void codings_are_told_apart(void **state)
{
    (void)state;
#define TE(v) SLICE(GET "Transfer-Encoding: " v "\r\n\r\n")
    static const struct {
        struct slice raw;
        enum transfer_coding coding;
    } rows[] = {
        {SLICE(GET "\r\n"), CODING_NONE},
        {SLICE(GET "Content-Encoding: chunked\r\nTransfer_Encoding: chunked\r\n\r\n"), CODING_NONE},
        {TE("chunked"), CODING_CHUNKED},
        {TE("\tChUnKeD \t"), CODING_CHUNKED},
        {TE("chunked,"), CODING_UNKNOWN},
        {TE("chunked, chunked"), CODING_MALFORMED},
        {TE("chunked, identity"), CODING_MALFORMED},
        {TE("chunked\r\nTransfer-Encoding: chunked"), CODING_MALFORMED},
        {TE("cow\r\nTransfer-Encoding: chunked"), CODING_MALFORMED},
        {TE(""), CODING_MALFORMED},
        {TE(","), CODING_MALFORMED},
        {TE("identity"), CODING_UNKNOWN},
        {TE("gzip, chunked"), CODING_UNKNOWN},
        {TE("xchunked"), CODING_UNKNOWN},
        {TE("chunked;q=1"), CODING_UNKNOWN},
        {TE("\"chunked\""), CODING_UNKNOWN},
        {TE("\xa0"
            "chunked"),
         CODING_UNKNOWN},
        {TE("chun\tked"), CODING_UNKNOWN},
    };
    static struct head h;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_true(feed_all_ways(&h, rows[i].raw, false, &usual_limits) > 0);
        if (h.coding != rows[i].coding)
            fail_msg("coding %d of\n%.*s", h.coding, SLICE_ARG(rows[i].raw));
        assert_int_equal(h.chunked, h.coding == CODING_CHUNKED);
    }
}

static void wishes_are_noted(void **state)
{
    (void)state;
    static const struct {
        struct slice raw;
        bool expect, websocket;
    } rows[] = {
        {SLICE(GET "\r\n"), false, false},
        {SLICE(GET "Expect: 100-continue\r\n\r\n"), true, false},
        {SLICE(GET0 "Expect: 100-continue\r\n\r\n"), false, false},
        {SLICE(GET "Connection: upgrade\r\nUpgrade: WebSocket\r\n\r\n"), false, true},
        {SLICE(GET "Upgrade: websocket\r\n\r\n"), false, false},
        {SLICE(GET "Connection: upgrade\r\n\r\n"), false, false},
        {SLICE(GET "Connection: upgrade\r\nUpgrade: h2c\r\n\r\n"), false, false},
        {SLICE(GET "Connection: upgrade\r\nUpgrade: websocket, h2c\r\n\r\n"), false, false},
        {SLICE(GET "Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n\r\n"), false,
         false},
        {SLICE(GET "Connection: upgrade\r\nUpgrade: h2c\r\nUpgrade: websocket\r\n\r\n"), false,
         false},
        {SLICE(GET0 "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n"), false, false},
    };
    static struct head h;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_true(feed_all_ways(&h, rows[i].raw, false, &usual_limits) > 0);
        assert_int_equal(h.expect_continue, rows[i].expect);
        assert_int_equal(h.upgrade_websocket, rows[i].websocket);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_classified_in_any_case),
        cmocka_unit_test(persistence_follows_version_and_connection),
        cmocka_unit_test(hop_by_hop_fields_are_marked),
        cmocka_unit_test(end_to_end_fields_cannot_be_named_away),
        cmocka_unit_test(connection_options_are_counted),
        cmocka_unit_test(codings_are_told_apart),
        cmocka_unit_test(wishes_are_noted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
