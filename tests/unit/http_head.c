/* Looking things up in a head.
 * SPDX-License-Identifier: Apache-2.0 */
#include "http_feed.h"

static struct head h;

static void feed(struct slice raw)
{
    assert_int_equal(feed_all_ways(&h, raw, false, &usual_limits), raw.len);
}

static void first_field_is_found(void **state)
{
    (void)state;
    struct slice raw = SLICE(
                     "GET / HTTP/1.1\r\nHost: a.test\r\nX-A: 1\r\nx-a: 2\r\nVia: 1.0 b\r\n\r\n"),
                 value;
    feed(raw);
    assert_true(head_find(&h, raw.at, FIELD_VIA, &value));
    assert_true(slice_equal(value, SLICE("1.0 b")));
    assert_false(head_find(&h, raw.at, FIELD_COOKIE, &value));
    assert_true(head_find_name(&h, raw.at, SLICE("x-A"), &value));
    assert_true(slice_equal(value, SLICE("1")));
    assert_true(head_find_name(&h, raw.at, SLICE("HOST"), &value));
    assert_true(slice_equal(value, SLICE("a.test")));
    assert_false(head_find_name(&h, raw.at, SLICE("X-"), &value));
}

static void cookies_are_found(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value; /* value NULL: there is none */
    } rows[] = {
        {"a", "1"},        {"uid", "\"q q\""}, {"empty", ""},   {"eq", "x=y"},
        {"second", "yes"}, {"tight", "1"},     {"A", NULL},     {"ui", NULL},
        {"flag", NULL},    {"", NULL},         {"last", "end"},
    };
    struct slice raw =
        SLICE("GET / HTTP/1.1\r\nHost: a.test\r\nCookie: a=1; uid=\"q q\"; empty=; flag; eq=x=y\r\n"
              "X-Cookie: A=9\r\ncookie: a=2;tight=1;; second=yes ; last=end\r\n\r\n");
    feed(raw);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct slice value = {0};
        bool found = head_find_cookie(&h, raw.at, slice_str(rows[i].name), &value);
        if (found != (rows[i].value != NULL))
            fail_msg("cookie %s %s", rows[i].name, found ? "found" : "not found");
        if (found)
            assert_true(slice_equal(value, slice_str(rows[i].value)));
    }
}

static void names_are_removed_in_every_spelling(void **state)
{
    (void)state;
    struct slice raw =
        SLICE("GET / HTTP/1.1\r\nX-Subject: 1\r\nHost: a.test\r\nx_SUBJECT: 2\r\nX.Subject: 3\r\n"
              "X-Subjects: 4\r\nXSubject: 5\r\nX-Subject: 6\r\nY-Subject: 7\r\n\r\n");
    static const char *const left[] = {"Host", "X-Subjects", "XSubject", "Y-Subject"};
    feed(raw);
    head_remove(&h, raw.at, SLICE("X-Nothing"));
    assert_int_equal(h.n_fields, 8);
    head_remove(&h, raw.at, SLICE("X-Subject"));
    assert_int_equal(h.n_fields, sizeof left / sizeof left[0]);
    for (uint16_t i = 0; i < h.n_fields; i++)
        assert_true(slice_equal(span_in(h.fields[i].name, raw.at), slice_str(left[i])));
}

static void path_is_what_routes(void **state)
{
    (void)state;
    static const struct {
        const char *line, *path;
    } rows[] = {
        {"GET /a/b?c=d/e", "/a/b"},      {"GET /", "/"},
        {"GET http://a.test", "/"},      {"GET http://a.test?x", "/"},
        {"GET http://a.test/x?y", "/x"}, {"OPTIONS *", "*"},
        {"OPTIONS http://a.test", "*"},  {"OPTIONS http://a.test?x", "/"},
        {"OPTIONS http://a.test/", "/"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[128];
        int n = snprintf(text, sizeof text, "%s HTTP/1.1\r\nHost: a.test\r\n\r\n", rows[i].line);
        feed(slice_of(text, (size_t)n));
        assert_true(slice_equal(head_path(&h, text), slice_str(rows[i].path)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_field_is_found),
        cmocka_unit_test(cookies_are_found),
        cmocka_unit_test(names_are_removed_in_every_spelling),
        cmocka_unit_test(path_is_what_routes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
