/* Bytes that wait: kept with the parser's progress, given back once, and never more than there is
 * room for. SPDX-License-Identifier: Apache-2.0 */
#include "http_feed.h"

#include "proxy/flow/held.h"

#include "base/check.h"
#include "proxy/flow/ctx.h"

static const struct head_limits limits = {FLOW_HELD_MAX, FLOW_HELD_MAX, HEAD_FIELDS_MAX};
static char room[FLOW_HELD_MAX + 1];
static struct head h, whole;

static void assert_empty(const struct held *held)
{
    assert_null(held->bytes);
    assert_int_equal(held_len(held), 0);
    assert_false(held_is_ahead(held));
}

/* As if another connection had used the parser meanwhile. */
static void spoil(struct head *head)
{
    memset(head, 0xa5, sizeof *head);
}

static void bytes_come_back_once(void **state)
{
    struct held held = {0};
    char text[] = "read ahead";
    (void)state;
    assert_int_equal(held_keep(&held, text, 10, NULL), OK);
    memset(text, 'x', sizeof text);
    spoil(&h);
    assert_int_equal(held_restore(&held, room, &h, false), 10);
    assert_memory_equal(room, "read ahead", 10);
    assert_empty(&held);
    assert_int_equal(h.scanned, 0); /* begun anew */
    assert_int_equal(h.n_fields, 0);
    spoil(&h);
    assert_int_equal(held_restore(&held, room, &h, false), 0);
    assert_int_equal(h.scanned, 0);
}

static void a_head_begun_anew_is_of_its_kind(void **state)
{
    struct held held = {0};
    (void)state;
    for (unsigned is_response = 0; is_response < 2; is_response++) {
        spoil(&h);
        assert_int_equal(held_restore(&held, room, &h, is_response), 0);
        assert_int_equal(h.is_response, is_response);
    }
    struct slice raw = SLICE("HTTP/1.1 204 \r\n\r\n");
    assert_int_equal(held_keep(&held, raw.at, raw.len, NULL), OK);
    spoil(&h);
    assert_int_equal(held_restore(&held, room, &h, true), raw.len);
    assert_int_equal(head_feed(&h, room, raw.len, &limits), raw.len);
    assert_int_equal(h.status, 204);
}

static void no_bytes_are_held_as_none(void **state)
{
    struct held held = {0};
    (void)state;
    assert_int_equal(held_keep(&held, "", 0, NULL), OK);
    assert_int_equal(held_len(&held), 0);
    assert_int_equal(held_restore(&held, room, &h, false), 0);
    assert_empty(&held);
}

/* Begins a head, then keeps and restores it at every byte: the outcome is that of the whole. */
static void check_bytewise(struct slice raw, bool is_response)
{
    struct held held = {0};
    ssize_t n = 0;
    head_init(&whole, is_response);
    assert_int_equal(head_feed(&whole, raw.at, raw.len, &limits), raw.len);
    for (size_t at = 0; at < raw.len; at++) {
        spoil(&h);
        memset(room, 'x', at + 1);
        assert_int_equal(held_restore(&held, room, &h, is_response), at);
        room[at] = raw.at[at];
        n = head_feed(&h, room, at + 1, &limits);
        if (at + 1 < raw.len) {
            assert_int_equal(n, 0);
            assert_int_equal(held_keep(&held, room, at + 1, &h), OK);
            assert_false(held_is_ahead(&held));
        }
    }
    assert_int_equal(n, raw.len);
    assert_memory_equal(room, raw.at, raw.len);
    assert_same_head(&h, &whole);
    assert_empty(&held);
}

static void the_parser_goes_on_where_it_was(void **state)
{
    (void)state;
    check_bytewise(SLICE("POST /a?b HTTP/1.1\r\nHost: a.test\r\nContent-Length: 12\r\nX-A: 1\r\n"
                         "Connection: close, X-A\r\nCookie: a=b; c=d\r\n\r\n"),
                   false);
    check_bytewise(SLICE("\r\nGET / HTTP/1.0\r\n\r\n"), false);
    check_bytewise(SLICE("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nServer: x\r\n\r\n"), true);
}

/* The table of fields is kept as far as it goes: from none to all of it. */
static void any_number_of_fields_is_kept(void **state)
{
    (void)state;
    for (unsigned n = 0; n <= HEAD_FIELDS_MAX; n += n < 4 ? 1 : 63) {
        static char raw[HEAD_FIELDS_MAX * 16 + 64];
        struct held held = {0};
        size_t len = (size_t)snprintf(raw, sizeof raw, "HTTP/1.1 200 OK\r\n");
        for (unsigned i = 0; i < n; i++)
            len += (size_t)snprintf(raw + len, sizeof raw - len, "X-%u: %u\r\n", i, i);
        head_init(&h, true);
        assert_int_equal(head_feed(&h, raw, len, &limits), 0);
        assert_int_equal(h.n_fields, n);
        memcpy(&whole, &h, sizeof whole);
        assert_int_equal(held_keep(&held, raw, len, &h), OK);
        spoil(&h);
        assert_int_equal(held_restore(&held, room, &h, true), len);
        assert_memory_equal(&h, &whole, offsetof(struct head, fields) + n * sizeof whole.fields[0]);
        memcpy(room + len, "\r\n", 2);
        assert_int_equal(head_feed(&h, room, len + 2, &limits), len + 2);
    }
}

static void what_was_held_is_replaced(void **state)
{
    struct held held = {0};
    (void)state;
    head_init(&h, false);
    assert_int_equal(head_feed(&h, "GET / HT", 8, &limits), 0);
    assert_int_equal(held_keep(&held, "GET / HT", 8, &h), OK);
    assert_int_equal(held_keep(&held, "other", 5, NULL), OK);
    assert_true(held_is_ahead(&held)); /* the old progress is not over the new bytes */
    assert_int_equal(held_restore(&held, room, &h, false), 5);
    assert_memory_equal(room, "other", 5);
    assert_int_equal(h.scanned, 0);
}

static void no_more_is_held_than_there_is_room_for(void **state)
{
    struct held held = {0};
    (void)state;
    memset(room, 'a', sizeof room);
    assert_int_equal(held_keep(&held, room, FLOW_HELD_MAX, NULL), OK);
    assert_int_equal(held_len(&held), FLOW_HELD_MAX);
    assert_int_equal(held_keep(&held, room, FLOW_HELD_MAX + 1, NULL), ERR_LIMIT);
    assert_empty(&held); /* nor what was held before */
    head_init(&h, false);
    assert_int_equal(held_keep(&held, room, SIZE_MAX, &h), ERR_LIMIT);
    assert_empty(&held);
}

static void drop_frees_and_may_come_twice(void **state)
{
    struct held held = {0};
    (void)state;
    held_drop(&held);
    head_init(&h, false);
    assert_int_equal(held_keep(&held, "x", 1, &h), OK);
    held_drop(&held);
    assert_empty(&held);
    held_drop(&held);
    assert_int_equal(held_restore(&held, room, &h, false), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_come_back_once),
        cmocka_unit_test(a_head_begun_anew_is_of_its_kind),
        cmocka_unit_test(no_bytes_are_held_as_none),
        cmocka_unit_test(the_parser_goes_on_where_it_was),
        cmocka_unit_test(any_number_of_fields_is_kept),
        cmocka_unit_test(what_was_held_is_replaced),
        cmocka_unit_test(no_more_is_held_than_there_is_room_for),
        cmocka_unit_test(drop_frees_and_may_come_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
