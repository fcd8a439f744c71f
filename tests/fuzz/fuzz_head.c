/* Fuzzer of heads: however they are cut, the outcome is the same, and what is written is accepted.
 * SPDX-License-Identifier: Apache-2.0 */
/* First byte of an input: flags; second: the size of the parts. What is written for an accepted
 * head must be accepted again, with the same framing and the same fields; and what is written for
 * one message is one message, whatever its body looks like. */
#include "fuzz.h"
#include "proxy/http/parse.h"
#include "proxy/http/rewrite.h"

enum {
    IS_RESPONSE = 1,
    TO_HEAD = 2,
    CLIENT_1_0 = 4,
    KEEP_ALIVE = 8,
    MODE_SHIFT = 4,
    IS_TLS = 64,
    SMALL_LIMITS = 128
};

#define INPUT_BYTES_MAX 8192

static struct head whole, parts, again;

static ssize_t feed(struct head *h, const char *bytes, size_t n, const struct head_limits *limits)
{
    char *copy = fuzz_copy(bytes, n);
    ssize_t result = head_feed(h, copy, n, limits);
    free(copy);
    return result;
}

static void check_same(void)
{
    CHECK(whole.fault == parts.fault);
    CHECK(whole.parsed == parts.parsed && whole.n_fields == parts.n_fields);
    CHECK(whole.keep_alive == parts.keep_alive && whole.coding == parts.coding);
    CHECK(whole.has_length == parts.has_length && whole.content_length == parts.content_length);
    CHECK(whole.path.at == parts.path.at && whole.path.len == parts.path.len);
    CHECK(whole.authority.at == parts.authority.at && whole.authority.len == parts.authority.len);
    for (int i = 0; i < whole.n_fields; i++) {
        const struct field *a = &whole.fields[i], *b = &parts.fields[i];
        CHECK(a->name.at == b->name.at && a->name.len == b->name.len);
        CHECK(a->value.at == b->value.at && a->value.len == b->value.len);
        CHECK(a->id == b->id && a->hop == b->hop);
    }
}

/* Parses what was written: it must be whole, without hop-by-hop fields but those of a WebSocket where
 * upgrades. False where there is nothing more to compare. */
static bool check_written(const char *out, ssize_t n, bool is_response, bool upgrades)
{
    static const struct head_limits wide = {
        .head_bytes = 65536, .uri_bytes = 65536, .fields = HEAD_FIELDS_MAX};
    int hosts = 0;
    CHECK(n > 0);
    head_init(&again, is_response);
    ssize_t result = feed(&again, out, (size_t)n, &wide);
    if (result == -405 && whole.method == METHOD_OPTIONS)
        return false; /* Max-Forwards: 1 became 0: the next one must not pass it on */
    CHECK(result == n);
    for (int i = 0; i < again.n_fields; i++) {
        uint8_t id = again.fields[i].id;
        hosts += id == FIELD_HOST;
        CHECK(!again.fields[i].hop || id == FIELD_TRANSFER_ENCODING ||
              (id == FIELD_CONNECTION && (is_response || upgrades)) ||
              (id == FIELD_UPGRADE && upgrades));
    }
    CHECK(is_response || hosts == 1);
    CHECK(again.minor == 1 && again.upgrade_websocket == upgrades);
    return true;
}

static bool is_among(uint8_t id, const uint8_t *ids, size_t n)
{
    return n && memchr(ids, id, n);
}

/* The fields that go on are there, first, byte for byte and in their order, and behind them stands
 * nothing but what the proxy adds. skip: fields in front of them. */
static void check_fields(const char *bytes, const char *out, uint16_t skip, struct slice left_out,
                         struct slice added)
{
    uint16_t at = skip;
    for (int i = 0; i < whole.n_fields; i++) {
        const struct field *f = &whole.fields[i];
        if (f->hop || is_among(f->id, (const uint8_t *)left_out.at, left_out.len))
            continue;
        CHECK(at < again.n_fields);
        const struct field *g = &again.fields[at++];
        CHECK(f->id == g->id);
        CHECK(slice_equal(span_in(f->name, bytes), span_in(g->name, out)));
        CHECK(slice_equal(span_in(f->value, bytes), span_in(g->value, out)));
    }
    for (; at < again.n_fields; at++)
        CHECK(is_among(again.fields[at].id, (const uint8_t *)added.at, added.len));
}

/* The head as written at out[0, n), with the body framed anew, is read as one message with that body. planned: how it
 * came, written: how it goes on. */
static void check_is_one(char *out, size_t n, struct body planned, struct body written,
                         struct slice rest)
{
    struct slice data, got;
    char *copy = fuzz_copy(rest.at, rest.len);
    ssize_t used = body_feed(&planned, copy, rest.len, &data);
    size_t at = n;
    if (used >= 0 && planned.done && written.kind != BODY_UNTIL_CLOSE) {
        bool is_chunked = written.kind == BODY_CHUNKED;
        if (is_chunked && data.len)
            at += body_chunk_head(out + at, data.len);
        memcpy(out + at, data.at, data.len);
        at += data.len;
        if (is_chunked) {
            memcpy(out + at, data.len ? "\r\n0\r\n\r\n" : "0\r\n\r\n", data.len ? 7 : 5);
            at += data.len ? 7 : 5;
        }
        char *wire = fuzz_copy(out + n, at - n);
        CHECK(body_feed(&written, wire, at - n, &got) == (ssize_t)(at - n) && written.done);
        CHECK(got.len == data.len);
        CHECK(data.len == 0 || memcmp(got.at, data.at, data.len) == 0);
        free(wire);
    }
    free(copy);
}

static void check_target(const char *bytes, const char *out, struct slice fallback)
{
    struct slice path = span_in(whole.path, bytes), target = span_in(again.target, out);
    if (whole.method == METHOD_OPTIONS && path.len == 0)
        CHECK(slice_equal(target, SLICE("*")));
    else if (path.len == 0)
        CHECK(slice_equal(target, SLICE("/")));
    else if (path.at[0] == '?')
        CHECK(target.at[0] == '/' && slice_equal(slice_of(target.at + 1, target.len - 1), path));
    else
        CHECK(slice_equal(target, path));
    CHECK(slice_equal(span_in(again.method_text, out), span_in(whole.method_text, bytes)));
    CHECK(slice_equal(span_in(again.authority, out),
                      whole.authority.len ? span_in(whole.authority, bytes) : fallback));
}

static void check_request_fields(const struct rewrite_request *r, const char *out)
{
    static const uint8_t added[] = {FIELD_TRANSFER_ENCODING,
                                    FIELD_CONTENT_LENGTH,
                                    FIELD_EXPECT,
                                    FIELD_MAX_FORWARDS,
                                    FIELD_FORWARDED,
                                    FIELD_X_FORWARDED_FOR,
                                    FIELD_X_FORWARDED_HOST,
                                    FIELD_X_FORWARDED_PROTO,
                                    FIELD_X_REQUEST_ID,
                                    FIELD_VIA,
                                    FIELD_CONNECTION,
                                    FIELD_UPGRADE};
    uint8_t left_out[11] = {FIELD_HOST, FIELD_CONTENT_LENGTH, FIELD_EXPECT, FIELD_X_SERIN_MIRROR};
    size_t n = 4;
    if (r->forwarded != FORWARDED_OFF) {
        left_out[n++] = FIELD_FORWARDED;
        left_out[n++] = FIELD_X_FORWARDED_FOR;
        left_out[n++] = FIELD_X_FORWARDED_HOST;
        left_out[n++] = FIELD_X_FORWARDED_PROTO;
    }
    if (r->request_id.len)
        left_out[n++] = FIELD_X_REQUEST_ID;
    if (whole.method == METHOD_OPTIONS)
        left_out[n++] = FIELD_MAX_FORWARDS;
    check_fields(r->buf, out, 1, slice_of((const char *)left_out, n),
                 slice_of((const char *)added, sizeof added));
}

static void check_request(const char *bytes, size_t len, uint8_t flags)
{
    static char out[2 * INPUT_BYTES_MAX + REWRITE_EXTRA_BYTES + REQUEST_ID_MAX];
    struct body body, body_again;
    if (body_plan_request(&body, &whole) < 0)
        return;
    struct rewrite_request r = {.head = &whole,
                                .buf = bytes,
                                .body = &body,
                                .client = SLICE("2001:db8::1"),
                                .is_tls = flags & IS_TLS,
                                .upgrade_websocket = whole.upgrade_websocket,
                                .forwarded = (enum forwarded_mode)((flags >> MODE_SHIFT) & 3),
                                .request_id = request_id_received(&whole, bytes),
                                .fallback_host = SLICE("fallback")};
    size_t room = whole.parsed + REWRITE_EXTRA_BYTES + r.request_id.len + 2 * r.client.len +
                  r.fallback_host.len;
    ssize_t n = rewrite_request(&r, out, room);
    if (!check_written(out, n, false, r.upgrade_websocket))
        return;
    CHECK(body_plan_request(&body_again, &again) == 0);
    CHECK(body_again.kind == body.kind && body_again.left == body.left);
    CHECK(again.method == whole.method);
    check_target(bytes, out, r.fallback_host);
    check_request_fields(&r, out);
    check_is_one(out, (size_t)n, body, body_again,
                 slice_of(bytes + whole.parsed, len - whole.parsed));
}

static void check_response(const char *bytes, size_t len, uint8_t flags)
{
    static const uint8_t left_out[] = {FIELD_CONTENT_LENGTH, FIELD_X_REQUEST_ID};
    static const uint8_t added[] = {FIELD_TRANSFER_ENCODING,
                                    FIELD_CONTENT_LENGTH,
                                    FIELD_CONNECTION,
                                    FIELD_OTHER, /* Set-Cookie */
                                    FIELD_X_REQUEST_ID,
                                    FIELD_VIA,
                                    FIELD_UPGRADE};
    static char out[2 * INPUT_BYTES_MAX + REWRITE_EXTRA_BYTES + REQUEST_ID_MAX];
    struct body body, body_again;
    if (body_plan_response(&body, &whole, flags & TO_HEAD) < 0)
        return;
    struct rewrite_response r = {.head = &whole,
                                 .buf = bytes,
                                 .body = &body,
                                 .client_minor = flags & CLIENT_1_0 ? 0 : 1,
                                 .keep_alive = flags & KEEP_ALIVE,
                                 .set_cookie = SLICE("a=b"),
                                 .request_id = SLICE("12345678")};
    size_t room = whole.parsed + REWRITE_EXTRA_BYTES + r.request_id.len + r.set_cookie.len;
    ssize_t n = rewrite_response(&r, out, room);
    CHECK(check_written(out, n, true, whole.status == 101));
    CHECK(again.status == whole.status);
    CHECK(body_plan_response(&body_again, &again, flags & TO_HEAD) == 0);
    CHECK(body_again.left == body.left);
    bool chunked = rewrite_is_chunked(&r);
    CHECK((body_again.kind == BODY_CHUNKED) == chunked);
    /* A body without an end of its own must not be followed by another response. */
    CHECK(body_again.kind != BODY_UNTIL_CLOSE || !again.keep_alive);
    check_fields(bytes, out, 0, slice_of((const char *)left_out, sizeof left_out),
                 slice_of((const char *)added, sizeof added));
    check_is_one(out, (size_t)n, body, body_again,
                 slice_of(bytes + whole.parsed, len - whole.parsed));
}

/* Asks for lookups too: they must stay inside of the bytes. */
static void look_around(const char *bytes)
{
    struct slice value;
    (void)head_find_cookie(&whole, bytes, SLICE("a"), &value);
    (void)head_find_name(&whole, bytes, SLICE("x-a"), &value);
    CHECK(whole.is_response || head_path(&whole, bytes).len > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > INPUT_BYTES_MAX)
        return 0;
    uint8_t flags = data[0];
    struct head_limits limits = {.head_bytes = 8192, .uri_bytes = 4096, .fields = 128};
    if (flags & SMALL_LIMITS)
        limits = (struct head_limits){.head_bytes = 120, .uri_bytes = 20, .fields = 4};
    bool is_response = flags & IS_RESPONSE;
    size_t len = size - 2, step = (size_t)data[1] + 1;
    char *bytes = fuzz_copy(data + 2, len);
    head_init(&whole, is_response);
    head_init(&parts, is_response);
    ssize_t result = feed(&whole, bytes, len, &limits), in_parts = 0;
    for (size_t n = 0; n < len && in_parts == 0; n += step)
        in_parts = feed(&parts, bytes, n, &limits);
    if (in_parts == 0)
        in_parts = feed(&parts, bytes, len, &limits);
    CHECK(result == in_parts);
    check_same();
    CHECK(result >= 0 || (whole.fault && (!is_response || result == -502)));
    if (result > 0) {
        look_around(bytes);
        if (is_response)
            check_response(bytes, len, flags);
        else
            check_request(bytes, len, flags);
    }
    free(bytes);
    return 0;
}
