/* The reader of the text formats: what serin writes comes back, what the formats forbid is refused.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "metrics/expo_parse.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Samples as one line each: family type name{label=value;...} value [@timestamp] */
struct seen {
    char text[65536];
    size_t len;
    unsigned n;
    enum err answer;
};

static void note(struct seen *s, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void note(struct seen *s, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(s->text + s->len, sizeof s->text - s->len, fmt, ap);
    va_end(ap);
    assert_true(n >= 0 && (size_t)n < sizeof s->text - s->len);
    s->len += (size_t)n;
}

static enum err on_sample(void *arg, const struct expo_parsed *p)
{
    struct seen *s = arg;
    note(s, "%.*s %.*s %.*s{", SLICE_ARG(p->family), SLICE_ARG(p->type), SLICE_ARG(p->name));
    for (unsigned i = 0; i < p->n_labels; i++)
        note(s, "%s%.*s=%.*s", i ? ";" : "", SLICE_ARG(p->labels[i].name),
             SLICE_ARG(p->labels[i].value));
    note(s, "} %g", p->value);
    if (p->has_timestamp)
        note(s, " @%.15g", p->timestamp_seconds);
    note(s, "\n");
    s->n++;
    return s->answer;
}

static enum err parse(const char *text, enum expo_format format, struct seen *s, struct why *why)
{
    memset(s, 0, sizeof *s);
    memset(why, 0, sizeof *why);
    return expo_parse(slice_str(text), format, on_sample, s, why);
}

struct good {
    const char *text, *samples;
};

static void expect_good(const struct good *rows, size_t n, enum expo_format format)
{
    static struct seen s;
    struct why why;
    for (size_t i = 0; i < n; i++) {
        enum err e = parse(rows[i].text, format, &s, &why);
        if (e != OK)
            fail_msg("%s\n%s: %s", rows[i].text, err_text(e), why.text);
        assert_string_equal(s.text, rows[i].samples);
    }
}

static void prometheus_text_is_read(void **state)
{
    (void)state;
    static const struct good rows[] = {
        {"", ""},
        {"\n", ""},
        {"# anything\n#\n\n", ""},
        {"# HELP a text \\\\ here\n", ""},
        {"# HELP a\n# TYPE a gauge\na 1\n", "a gauge a{} 1\n"},
        {"a 1\n", "a  a{} 1\n"},
        {"a{} 1\n", "a  a{} 1\n"},
        {"a:b{l=\"v\"} 1.5e3 1700000000123\n", "a:b  a:b{l=v} 1500 @1700000000.123\n"},
        {"a -1 -5\n", "a  a{} -1 @-0.005\n"},
        {"a NaN\n", "a  a{} nan\n"},
        {"a +Inf\na -Inf\n", "a  a{} inf\na  a{} -inf\n"},
        {"a .5\na 5.\na +5\na 1E-2\n", "a  a{} 0.5\na  a{} 5\na  a{} 5\na  a{} 0.01\n"},
        {"# TYPE a counter\na{x=\"\"} 1\n", "a counter a{x=} 1\n"},
        {"a{x=\"q\\\"b\\\\n\\n.\",y=\"\xc3\xa9}, \"} 1\n", "a  a{x=q\"b\\n\n.;y=\xc3\xa9}, } 1\n"},
        {"# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n",
         "h histogram h_bucket{le=1} 1\nh histogram h_bucket{le=+Inf} 2\nh histogram h_sum{} 3\n"
         "h histogram h_count{} 2\n"},
        {"# TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 3\ns_count 2\n",
         "s summary s{quantile=0.5} 1\ns summary s_sum{} 3\ns summary s_count{} 2\n"},
        {"# TYPE a untyped\na 1\na_sum 2\n", "a untyped a{} 1\na_sum  a_sum{} 2\n"},
    };
    expect_good(rows, ARRAY_LEN(rows), EXPO_PROMETHEUS);
}

static void open_metrics_is_read(void **state)
{
    (void)state;
    static const struct good rows[] = {
        {"# EOF\n", ""},
        {"# EOF", ""},
        {"# TYPE a counter\n# HELP a x\na_total 1\na_created 2\n# EOF\n",
         "a counter a_total{} 1\na counter a_created{} 2\n"},
        {"# TYPE a_seconds gauge\n# UNIT a_seconds seconds\na_seconds 1 1.5\n# EOF\n",
         "a_seconds gauge a_seconds{} 1 @1.5\n"},
        {"# TYPE b info\nb_info{v=\"1\"} 1\n# EOF\n", "b info b_info{v=1} 1\n"},
        {"# UNIT a \na 1\n# EOF\n", "a  a{} 1\n"},
        {"# TYPE g gaugehistogram\ng_bucket{le=\"+Inf\"} 1\ng_gsum 1\ng_gcount 1\n# EOF\n",
         "g gaugehistogram g_bucket{le=+Inf} 1\ng gaugehistogram g_gsum{} 1\n"
         "g gaugehistogram g_gcount{} 1\n"},
        {"# TYPE u unknown\nu 0\n# EOF\n", "u unknown u{} 0\n"},
    };
    expect_good(rows, ARRAY_LEN(rows), EXPO_OPENMETRICS);
}

struct bad {
    const char *text;
    enum err error;
    const char *reason; /* part of it */
};

static void expect_bad(const struct bad *rows, size_t n, enum expo_format format)
{
    static struct seen s;
    struct why why;
    for (size_t i = 0; i < n; i++) {
        enum err e = parse(rows[i].text, format, &s, &why);
        if (e != rows[i].error || !strstr(why.text, rows[i].reason))
            fail_msg("%s\n%s: %s, expected %s", rows[i].text, err_text(e), why.text,
                     rows[i].reason);
    }
}

static void what_prometheus_text_forbids_is_refused(void **state)
{
    (void)state;
    static const struct bad rows[] = {
        {"a 1", ERR_INVALID, "line 1: no line feed"},
        {"a 1\nb 1", ERR_INVALID, "line 2: no line feed"},
        {"1a 1\n", ERR_INVALID, "no metric's name"},
        {" a 1\n", ERR_INVALID, "no metric's name"},
        {"{x=\"1\"} 1\n", ERR_INVALID, "no metric's name"},
        {"a\n", ERR_INVALID, "one space"},
        {"a\t1\n", ERR_INVALID, "one space"},
        {"a-b 1\n", ERR_INVALID, "one space"},
        {"a \n", ERR_INVALID, "not a number"},
        {"a  1\n", ERR_INVALID, "not a number"},
        {"a 1 \n", ERR_INVALID, "timestamp"},
        {"a 1 2 3\n", ERR_INVALID, "timestamp"},
        {"a 1 1.5\n", ERR_INVALID, "timestamp"},
        {"a 1 99999999999999999999\n", ERR_INVALID, "timestamp"},
        {"a 0x10\n", ERR_INVALID, "not a number"},
        {"a inf\n", ERR_INVALID, "not a number"},
        {"a nan(1)\n", ERR_INVALID, "not a number"},
        {"a 1e\n", ERR_INVALID, "not a number"},
        {"a 1e+\n", ERR_INVALID, "not a number"},
        {"a .\n", ERR_INVALID, "not a number"},
        {"a 1..2\n", ERR_INVALID, "not a number"},
        {"a 1,5\n", ERR_INVALID, "not a number"},
        {"a 1\r\n", ERR_INVALID, "not a number"},
        {"a 1111111111111111111111111111111111111111111111111111111111111111\n", ERR_INVALID,
         "number"},
        {"a{ 1\n", ERR_INVALID, "name=\"value\""},
        {"a{x} 1\n", ERR_INVALID, "name=\"value\""},
        {"a{x=1} 1\n", ERR_INVALID, "name=\"value\""},
        {"a{x=\"1\",} 1\n", ERR_INVALID, "name=\"value\""},
        {"a{,} 1\n", ERR_INVALID, "name=\"value\""},
        {"a{x:y=\"1\"} 1\n", ERR_INVALID, "name=\"value\""},
        {"a{1x=\"1\"} 1\n", ERR_INVALID, "name=\"value\""},
        {"a{x=\"1\"y=\"2\"} 1\n", ERR_INVALID, "expected , or }"},
        {"a{x=\"1\" 1\n", ERR_INVALID, "expected , or }"},
        {"a{x=\"1\n", ERR_INVALID, "no end"},
        {"a{x=\"1\\\n", ERR_INVALID, "no end"},
        {"a{x=\"\\t\"} 1\n", ERR_INVALID, "escape"},
        {"a{x=\"1\",x=\"2\"} 1\n", ERR_INVALID, "twice"},
        {"a{x=\"\xff\"} 1\n", ERR_INVALID, "UTF-8"},
        {"# HELP a \xc0\x80\n", ERR_INVALID, "UTF-8"},
        {"# TYPE a\n", ERR_INVALID, "expected a metric's name"},
        {"# TYPE a \n", ERR_INVALID, "unknown type"},
        {"# TYPE a info\n", ERR_INVALID, "unknown type"},
        {"# TYPE a gauge x\n", ERR_INVALID, "unknown type"},
        {"# TYPE a-b gauge\n", ERR_INVALID, "expected a metric's name"},
        {"# HELP  a\n", ERR_INVALID, "expected a metric's name"},
        {"# TYPE a gauge\n# TYPE a gauge\n", ERR_INVALID, "line 2: HELP, TYPE or UNIT twice"},
        {"# HELP a x\n# HELP a x\n", ERR_INVALID, "twice"},
        {"a 1\n# TYPE a gauge\n", ERR_INVALID, "behind samples"},
        {"a 1\nb 1\na 2\n", ERR_INVALID, "line 3: a family in two pieces"},
        {"# TYPE a gauge\nb 1\na 2\n", ERR_INVALID, "two pieces"},
        {"# TYPE h histogram\nh 1\n", ERR_INVALID, "its type has not"},
    };
    expect_bad(rows, ARRAY_LEN(rows), EXPO_PROMETHEUS);
}

static void what_open_metrics_forbids_is_refused(void **state)
{
    (void)state;
    static const struct bad rows[] = {
        {"", ERR_INVALID, "no # EOF"},
        {"a 1\n", ERR_INVALID, "no # EOF"},
        {"# EOF\n\n", ERR_INVALID, "follows # EOF"},
        {"# EOF\na 1\n", ERR_INVALID, "follows # EOF"},
        {"# EOF\n# EOF\n", ERR_INVALID, "follows # EOF"},
        {"\n# EOF\n", ERR_INVALID, "an empty line"},
        {"# note\n# EOF\n", ERR_INVALID, "a comment"},
        {"#EOF\n", ERR_INVALID, "a comment"},
        {"# EOF \n", ERR_INVALID, "a comment"},
        {"# TYPE a counter\na 1\n# EOF\n", ERR_INVALID, "its type has not"},
        {"# TYPE a untyped\n# EOF\n", ERR_INVALID, "unknown type"},
        {"# UNIT a seconds\n# EOF\n", ERR_INVALID, "end with its unit"},
        {"# UNIT aseconds seconds\n# EOF\n", ERR_INVALID, "end with its unit"},
        {"# UNIT seconds seconds\n# EOF\n", ERR_INVALID, "end with its unit"},
        {"a 1 x\n# EOF\n", ERR_INVALID, "timestamp"},
        {"a 1 NaN\n# EOF\n", ERR_INVALID, "timestamp"},
        {"a 1 1e999\n# EOF\n", ERR_INVALID, "timestamp"},
        {"# TYPE a counter\na_total 1 # {id=\"1\"} 1\n# EOF\n", ERR_UNSUPPORTED, "exemplar"},
    };
    expect_bad(rows, ARRAY_LEN(rows), EXPO_OPENMETRICS);
}

/* Text of count times a piece, with the piece's first %u counting up; the caller frees it. */
static char *repeated(const char *before, const char *piece, unsigned count, const char *after)
{
    size_t room = strlen(before) + count * (strlen(piece) + 12) + strlen(after) + 1;
    char *text = malloc(room);
    assert_non_null(text);
    size_t len = (size_t)snprintf(text, room, "%s", before);
    const char *number = strstr(piece, "%u");
    for (unsigned i = 0; i < count; i++)
        len += (size_t)snprintf(text + len, room - len, "%.*s%u%s", (int)(number - piece), piece, i,
                                number + 2);
    snprintf(text + len, room - len, "%s", after);
    return text;
}

static void bounds_hold(void **state)
{
    (void)state;
    static const struct {
        const char *before, *piece, *after, *reason;
        unsigned most;
    } rows[] = {
        {"a{z=\"\"", ",l%u=\"\"", "} 1\n", "labels", EXPO_LABELS_MAX - 1},
        {"", "family%u 1\n", "", "families", EXPO_FAMILIES_MAX},
    };
    static struct seen s;
    struct why why;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (unsigned more = 0; more <= 1; more++) {
            char *text =
                repeated(rows[i].before, rows[i].piece, rows[i].most + more, rows[i].after);
            assert_int_equal(parse(text, EXPO_PROMETHEUS, &s, &why), more ? ERR_LIMIT : OK);
            assert_true(!more || strstr(why.text, rows[i].reason));
            free(text);
        }
    }
    char line[EXPO_LINE_BYTES + 3];
    memset(line, 'a', sizeof line);
    memcpy(line + sizeof line - 4, " 1\n", 4);
    assert_int_equal(parse(line, EXPO_PROMETHEUS, &s, &why), ERR_LIMIT);
    assert_int_equal(parse(line + 1, EXPO_PROMETHEUS, &s, &why), OK);
    /* The longest line, all of it escapes. */
    memcpy(line, "a{l=\"", 5);
    for (size_t i = 5; i + 6 < EXPO_LINE_BYTES; i += 2)
        memcpy(line + i, "\\\\", 2);
    memcpy(line + EXPO_LINE_BYTES - 5, "\"} 1\n", 6);
    assert_int_equal(parse(line, EXPO_PROMETHEUS, &s, &why), OK);
}

static void the_callback_can_stop_it(void **state)
{
    (void)state;
    static struct seen s;
    s = (struct seen){.answer = ERR_CONFLICT};
    assert_int_equal(expo_parse(SLICE("a 1\nb 2\n"), EXPO_PROMETHEUS, on_sample, &s, NULL),
                     ERR_CONFLICT);
    assert_int_equal(s.n, 1);
}

static void no_reason_is_asked_for(void **state)
{
    (void)state;
    static struct seen s;
    s = (struct seen){.answer = OK};
    assert_int_equal(expo_parse(SLICE("a\n"), EXPO_PROMETHEUS, on_sample, &s, NULL), ERR_INVALID);
}

/* Every family through the host, so that all names, types and units are on the page. */
static void host_all(void *host, struct expo *e, enum metric_id id)
{
    const char *labels[METRIC_LABELS_MAX] = {"a\\b\"c\nd", "\xe2\x82\xac", "", "}", ","};
    (void)host;
    expo_sample(e, id, labels, 1.0 / ((double)id + 3));
}

struct round_trip {
    struct {
        char labels[512];
        double value;
    } first[1024];
    unsigned n, checked;
};

static void sample_key(const struct expo_parsed *p, char *out, size_t room)
{
    size_t len = (size_t)snprintf(out, room, "%.*s", SLICE_ARG(p->name));
    for (unsigned i = 0; i < p->n_labels; i++)
        len += (size_t)snprintf(out + len, room - len, "|%.*s=%.*s", SLICE_ARG(p->labels[i].name),
                                SLICE_ARG(p->labels[i].value));
    assert_true(len < room);
}

static enum err keep(void *arg, const struct expo_parsed *p)
{
    struct round_trip *t = arg;
    assert_true(t->n < ARRAY_LEN(t->first));
    sample_key(p, t->first[t->n].labels, sizeof t->first[t->n].labels);
    t->first[t->n++].value = p->value;
    return OK;
}

static enum err compare(void *arg, const struct expo_parsed *p)
{
    struct round_trip *t = arg;
    char key[512];
    assert_true(t->checked < t->n);
    sample_key(p, key, sizeof key);
    assert_string_equal(key, t->first[t->checked].labels);
    assert_true(p->value == t->first[t->checked].value);
    t->checked++;
    return OK;
}

/* Both formats give the same samples with the very same numbers. */
static void what_is_written_comes_back(void **state)
{
    (void)state;
    static struct round_trip t;
    struct why why = {""};
    struct metrics *m = metrics_new(3);
    struct variant_metrics *v = metrics_variant(m, "r\"\\\n", "v1");
    struct route_metrics *r = metrics_route(m, "r\"\\\n");
    assert_true(v && r && metrics_listener(m, "[::1]:80"));
    for (unsigned code = 100; code < 600; code += 7)
        cell_add(&v->cells[code % 3]->requests[ROLE_STABLE][code % 4][code_cell(code)], code);
    for (uint64_t us = 1; us < 100000000; us *= 3)
        hist_record(&v->cells[us % 3]->duration[ROLE_STABLE], us);
    struct expo text = {.format = EXPO_PROMETHEUS}, open = {.format = EXPO_OPENMETRICS};
    expo_write(&text, m, host_all, NULL);
    expo_write(&open, m, host_all, NULL);
    assert_false(text.failed || open.failed);
    enum err e = expo_parse(slice_of(text.text, text.len), EXPO_PROMETHEUS, keep, &t, &why);
    if (e != OK)
        fail_msg("%s", why.text);
    e = expo_parse(slice_of(open.text, open.len), EXPO_OPENMETRICS, compare, &t, &why);
    if (e != OK)
        fail_msg("%s", why.text);
    assert_int_equal(t.checked, t.n);
    assert_true(t.n > 100);
    for (unsigned i = 0; i < t.n; i++) {
        if (strncmp(t.first[i].labels, "serin_config_generation", 23) == 0)
            assert_true(t.first[i].value == 1.0 / (METRIC_CONFIG_GENERATION + 3.0));
        if (strstr(t.first[i].labels, "role=stable|code=107"))
            fail_msg("a code without a cell of its own");
    }
    free(text.text);
    free(open.text);
    metrics_free(m);
}

/* Every beginning of a page is refused or read, but never read beyond its end. */
static void every_beginning_of_a_page_is_safe(void **state)
{
    (void)state;
    static const char page[] = "# HELP a x\n# TYPE a histogram\n# UNIT a_s "
                               "s\na_bucket{le=\"1\\n\",b=\"\xc3\xa9\"} 1e+3 17\n"
                               "a_sum NaN\n# EOF\n";
    static struct seen s;
    for (size_t len = 0; len < sizeof page; len++) {
        for (unsigned format = EXPO_PROMETHEUS; format <= EXPO_OPENMETRICS; format++) {
            char *exact =
                malloc(len ? len : 1); /* so that the address sanitizer sees one byte more */
            assert_non_null(exact);
            memcpy(exact, page, len);
            s = (struct seen){.answer = OK};
            enum err e = expo_parse(slice_of(exact, len), format, on_sample, &s, NULL);
            assert_true(e == OK || e == ERR_INVALID);
            free(exact);
        }
    }
}

static void labels_are_found_by_name(void **state)
{
    (void)state;
    struct expo_parsed p = {.labels = {{SLICE("a"), SLICE("1")}, {SLICE("b"), SLICE("")}},
                            .n_labels = 2};
    assert_true(slice_equal(expo_label_value(&p, "a"), SLICE("1")));
    assert_non_null(expo_label_value(&p, "b").at);
    assert_null(expo_label_value(&p, "c").at);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prometheus_text_is_read),
        cmocka_unit_test(open_metrics_is_read),
        cmocka_unit_test(what_prometheus_text_forbids_is_refused),
        cmocka_unit_test(what_open_metrics_forbids_is_refused),
        cmocka_unit_test(bounds_hold),
        cmocka_unit_test(the_callback_can_stop_it),
        cmocka_unit_test(no_reason_is_asked_for),
        cmocka_unit_test(what_is_written_comes_back),
        cmocka_unit_test(every_beginning_of_a_page_is_safe),
        cmocka_unit_test(labels_are_found_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
