/* The page of metrics: golden files of both formats, the rules of the series, promtool's opinion.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "metrics/expo.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ODD_ROUTE "od\"d\\ro\nute \xc3\xa9"

/* A host that has something to say of every family. */
static void host_all(void *host, struct expo *e, enum metric_id id)
{
    const struct metric *metric = metric_get(id);
    const char *labels[METRIC_LABELS_MAX] = {NULL};
    (void)host;
    if (metric->source == METRIC_FROM_CELLS)
        fail_msg("%s asked of the host", metric->name);
    for (unsigned i = 0; i < metric_labels(metric); i++)
        labels[i] = i == 0 ? "shop" : metric->labels[i];
    expo_sample(e, id, labels, id == METRIC_BUILD_INFO ? 1 : (double)id + 0.25);
}

static void host_silent(void *host, struct expo *e, enum metric_id id)
{
    (void)e;
    (void)id;
    ++*(unsigned *)host;
}

/* Two workers; a route with a canary, one with a name that needs escapes. */
static struct metrics *populated(void)
{
    struct metrics *m = metrics_new(2);
    assert_non_null(m);
    struct variant_metrics *v1 = metrics_variant(m, "shop", "v1");
    struct variant_metrics *v2 = metrics_variant(m, "shop", "v2");
    struct variant_metrics *odd = metrics_variant(m, ODD_ROUTE, "bad\xff utf8");
    struct route_metrics *route = metrics_route(m, "shop");
    struct listener_metrics *listener = metrics_listener(m, "0.0.0.0:8080");
    assert_true(v1 && v2 && odd && route && listener);
    metrics_variant_use(v1, ROLE_STABLE);
    metrics_variant_use(v2, ROLE_CANARY);
    metrics_variant_use(odd, ROLE_STABLE);
    for (unsigned w = 0; w < 2; w++) {
        cell_add(&v1->cells[w]->requests[ROLE_STABLE][ASSIGNED_WEIGHT][code_cell(200)], 450);
        hist_record(&v1->cells[w]->duration[ROLE_STABLE], 4000);
        hist_record(&v1->cells[w]->duration[ROLE_STABLE], 60000);
        cell_add(&v1->cells[w]->inflight, 3);
        cell_add(&v1->cells[w]->upstream_open, 9);
        cell_add(&v1->cells[w]->upstream_idle, 5);
        cell_add(&v1->cells[w]->upstream_connecting, 1);
        cell_add(&v1->cells[w]->tunnels, 2);
    }
    cell_add(&v2->cells[0]->requests[ROLE_CANARY][ASSIGNED_WEIGHT][code_cell(200)], 90);
    cell_add(&v2->cells[1]->requests[ROLE_CANARY][ASSIGNED_WEIGHT][code_cell(503)], 9);
    cell_add(&v2->cells[1]->requests[ROLE_CANARY][ASSIGNED_WEIGHT][code_cell(299)], 1);
    cell_add(&v2->cells[1]->requests[ROLE_CANARY][ASSIGNED_HEADER][code_cell(204)], 2);
    cell_add(&v2->cells[0]->errors[ROLE_CANARY][REASON_5XX], 9);
    cell_add(&v2->cells[1]->ejections, 2);
    cell_add(&v2->cells[0]->tls_handshakes[HANDSHAKE_FULL], 2);
    cell_add(&v2->cells[1]->tls_handshakes[HANDSHAKE_RESUMED], 7);
    hist_record(&v2->cells[0]->duration[ROLE_CANARY], 20000000);
    metrics_variant_mirror(v2);
    for (unsigned w = 0; w < 2; w++) {
        cell_add(&v2->cells[w]->mirror.results[MIRRORED_TIMEOUT], 3);
        cell_add(&v2->cells[w]->mirror.skipped[MIRROR_SKIP_BODY], 7);
        cell_add(&v2->cells[w]->mirror.inflight, 1);
    }
    cell_add(&route->cells[1]->retries[ROLE_CANARY][ROLE_STABLE][RETRY_OK], 8);
    cell_add(&route->cells[0]->retries_refused, 2);
    cell_add(&route->cells[1]->retries_refused, 4);
    cell_add(&route->cells[0]->responses[code_cell(200)], 998);
    cell_add(&listener->cells[0]->connections, 12);
    cell_add(&listener->cells[0]->open, 2);
    cell_add(&listener->cells[1]->tls_handshakes[true][false], 7);
    cell_add(&listener->cells[0]->tls_handshakes[true][true], 5);
    cell_add(&metrics_worker(m, 1)->client_errors[CLIENT_ERROR_ABORTED], 4);
    cell_add(&metrics_worker(m, 0)->accept_pauses, 1);
    cell_add(&metrics_worker(m, 0)->access_dropped, 3);
    cell_add(&metrics_worker(m, 1)->access_dropped, 4);
    cell_add(&metrics_worker(m, 0)->spliced_bytes[DIRECTION_RESPONSE], 1 << 20);
    cell_add(&metrics_worker(m, 1)->spliced_bytes[DIRECTION_RESPONSE], 5);
    cell_add(&metrics_worker(m, 1)->spliced_bytes[DIRECTION_REQUEST], 1 << 19);
    return m;
}

/* The page as a string; the caller frees it. */
static char *page(const struct metrics *m, enum expo_format format, expo_host_fn *host_fn)
{
    struct expo e = {.format = format};
    unsigned asked = 0;
    expo_write(&e, m, host_fn, &asked);
    assert_false(e.failed);
    char *text = realloc(e.text, e.len + 1);
    assert_non_null(text);
    text[e.len] = '\0';
    return text;
}

/* To accept a change of the page, run with SERIN_GOLDEN=write and read the difference. */
static void compare_with_golden(const char *name, const char *text)
{
    char path[512], golden[65536];
    snprintf(path, sizeof path, "%s/fixtures/metrics/%s", TESTS_DIR, name);
    if (getenv("SERIN_GOLDEN")) {
        FILE *out = fopen(path, "w");
        assert_non_null(out);
        fputs(text, out);
        fclose(out);
    }
    FILE *in = fopen(path, "r");
    assert_non_null(in);
    size_t len = fread(golden, 1, sizeof golden - 1, in);
    fclose(in);
    golden[len] = '\0';
    assert_string_equal(text, golden);
}

static void pages_are_the_golden_ones(void **state)
{
    (void)state;
    struct metrics *m = populated();
    char *text = page(m, EXPO_PROMETHEUS, host_all);
    compare_with_golden("page.txt", text);
    free(text);
    text = page(m, EXPO_OPENMETRICS, host_all);
    compare_with_golden("page.openmetrics.txt", text);
    free(text);
    metrics_free(m);
}

static void assert_has(const char *text, const char *line)
{
    if (!strstr(text, line))
        fail_msg("missing on the page: %s", line);
}

static void assert_lacks(const char *text, const char *part)
{
    if (strstr(text, part))
        fail_msg("should not be on the page: %s", part);
}

/* sum(rate(code=~"5..")) / sum(rate()) must have both of its sides before the first failure. */
static void a_version_in_use_has_its_zeros_from_the_start(void **state)
{
    (void)state;
    struct metrics *m = metrics_new(1);
    struct variant_metrics *v = metrics_variant(m, "r", "v2");
    metrics_variant_use(v, ROLE_CANARY);
    char *text = page(m, EXPO_PROMETHEUS, NULL);
    static const char *const codes[] = {"200", "404", "500", "502", "503", "504"};
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        char line[256];
        snprintf(line, sizeof line,
                 "\nserin_requests_total{route=\"r\",version=\"v2\",role=\"canary\",code=\"%s\","
                 "assigned=\"weight\"} 0\n",
                 codes[i]);
        assert_has(text, line);
    }
    assert_has(text, "\nserin_request_errors_total{route=\"r\",version=\"v2\",role=\"canary\","
                     "reason=\"5xx\"} 0\n");
    assert_has(text, "\nserin_request_duration_seconds_count{route=\"r\",version=\"v2\","
                     "role=\"canary\"} 0\n");
    assert_has(text, "\nserin_inflight_requests{route=\"r\",version=\"v2\"} 0\n");
    assert_has(text, "\nserin_tunnels{route=\"r\",version=\"v2\"} 0\n");
    assert_lacks(text, "role=\"stable\"");
    assert_lacks(text, "code=\"201\"");
    assert_lacks(text, "assigned=\"sticky\"");
    free(text);
    metrics_free(m);
}

static void a_version_of_which_nothing_was_said_has_both_roles(void **state)
{
    (void)state;
    struct metrics *m = metrics_new(1);
    struct variant_metrics *v = metrics_variant(m, "r", "v1");
    for (unsigned round = 0; round < 2; round++) {
        char *text = page(m, EXPO_PROMETHEUS, NULL);
        assert_has(text, "role=\"stable\",code=\"200\",assigned=\"weight\"} 0\n");
        assert_has(text, "role=\"canary\",code=\"200\",assigned=\"weight\"}");
        free(text);
        cell_add(&v->cells[0]->requests[ROLE_CANARY][ASSIGNED_WEIGHT][code_cell(200)], 1);
    }
    metrics_free(m);
}

/* v1 was stable; after a promotion and a new rollout it counts as a canary although nobody said so.
 */
static void a_role_that_has_counted_is_shown(void **state)
{
    (void)state;
    struct metrics *m = metrics_new(1);
    struct variant_metrics *v = metrics_variant(m, "r", "v1");
    metrics_variant_use(v, ROLE_STABLE);
    cell_add(&v->cells[0]->requests[ROLE_CANARY][ASSIGNED_STICKY][code_cell(404)], 6);
    char *text = page(m, EXPO_PROMETHEUS, NULL);
    assert_has(text, "role=\"canary\",code=\"404\",assigned=\"sticky\"} 6\n");
    assert_has(text, "role=\"canary\",code=\"200\",assigned=\"sticky\"} 0\n");
    assert_has(text, "role=\"stable\",code=\"200\",assigned=\"weight\"} 0\n");
    free(text);
    metrics_free(m);
}

/* What goes to stable stands at 0 before, so that rate() sees the first one. */
static void retries_to_stable_have_their_zeros_and_others_are_shown_once_they_happened(void **state)
{
    (void)state;
    struct metrics *m = metrics_new(2);
    struct route_metrics *r = metrics_route(m, "r");
    char *text = page(m, EXPO_PROMETHEUS, NULL);
    assert_has(
        text,
        "\nserin_retries_total{route=\"r\",from=\"stable\",to=\"stable\",result=\"failed\"} 0\n");
    assert_has(
        text, "\nserin_retries_total{route=\"r\",from=\"canary\",to=\"stable\",result=\"ok\"} 0\n");
    assert_lacks(text, "to=\"canary\"");
    free(text);
    cell_add(&r->cells[1]->retries[ROLE_CANARY][ROLE_STABLE][RETRY_FAILED], 2);
    cell_add(&r->cells[1]->retries[ROLE_CANARY][ROLE_CANARY][RETRY_OK], 1);
    text = page(m, EXPO_PROMETHEUS, NULL);
    assert_has(
        text,
        "\nserin_retries_total{route=\"r\",from=\"canary\",to=\"stable\",result=\"ok\"} 0\n"
        "serin_retries_total{route=\"r\",from=\"canary\",to=\"stable\",result=\"failed\"} 2\n");
    assert_has(
        text, "\nserin_retries_total{route=\"r\",from=\"canary\",to=\"canary\",result=\"ok\"} 1\n");
    free(text);
    metrics_free(m);
}

/* For each bound: the longest duration that its bucket counts is in a cell whose top is within it.
 */
static void buckets_never_show_a_request_as_faster(void **state)
{
    (void)state;
    static const struct {
        uint64_t us;
        const char *le;
    } rows[] = {
        {4991, "0.005"},   {4992, "0.01"},    {9983, "0.01"},     {9984, "0.025"},
        {24575, "0.025"},  {24576, "0.05"},   {49151, "0.05"},    {49152, "0.1"},
        {98303, "0.1"},    {98304, "0.25"},   {249855, "0.25"},   {249856, "0.5"},
        {499711, "0.5"},   {499712, "1.0"},   {999423, "1.0"},    {999424, "2.5"},
        {2490367, "2.5"},  {2490368, "5.0"},  {4980735, "5.0"},   {4980736, "10.0"},
        {9961471, "10.0"}, {9961472, "+Inf"}, {1u << 31, "+Inf"}, {0, "0.005"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct expo e = {.format = EXPO_PROMETHEUS};
        struct hist_sum sum = {.sum_us = rows[i].us};
        const char *const labels[] = {"r", "v", "stable"};
        sum.cells[hist_cell(rows[i].us)] = 1;
        expo_histogram(&e, METRIC_REQUEST_DURATION_SECONDS, labels, &sum);
        char first[128];
        snprintf(first, sizeof first, "le=\"%s\"} 1\n", rows[i].le);
        char *one = strstr(e.text, "\"} 1\n");
        assert_non_null(one);
        /* The first bucket that has it is the expected one. */
        size_t back = strlen(first) - strlen("\"} 1\n");
        assert_true(one - e.text > (ptrdiff_t)back);
        if (strncmp(one - back, first, strlen(first)) != 0)
            fail_msg("%llu us: %.40s, expected %s", (unsigned long long)rows[i].us, one - back,
                     first);
        assert_non_null(strstr(e.text, "_count{route=\"r\",version=\"v\",role=\"stable\"} 1\n"));
        free(e.text);
    }
}

static void numbers_are_exact_and_short(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } rows[] = {
        {0, "0"},
        {1, "1"},
        {-3, "-3"},
        {0.1, "0.1"},
        {0.1 + 0.2, "0.30000000000000004"},
        {1.0 / 3, "0.3333333333333333"},
        {123456789012345, "123456789012345"},
        {9007199254740991, "9007199254740991"},
        {1e21, "1e+21"},
        {5e-324, "4.94065645841247e-324"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        {0.0 / 1, "0"},
        {__builtin_inf(), "+Inf"},
        {-__builtin_inf(), "-Inf"},
        {__builtin_nan(""), "NaN"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct expo e = {.format = EXPO_PROMETHEUS};
        char line[128];
        expo_sample(&e, METRIC_CONFIG_GENERATION, NULL, rows[i].value);
        int len = snprintf(line, sizeof line, "serin_config_generation %s\n", rows[i].text);
        assert_int_equal(e.len, len);
        assert_memory_equal(e.text, line, e.len);
        free(e.text);
    }
}

static void families_without_samples_are_left_out(void **state)
{
    (void)state;
    struct metrics *m = metrics_new(1);
    struct expo e = {.format = EXPO_OPENMETRICS};
    unsigned asked = 0, expected = 0;
    expo_write(&e, m, host_silent, &asked);
    for (unsigned id = 0; id < METRIC_COUNT; id++)
        expected += metric_get(id)->source != METRIC_FROM_CELLS;
    assert_int_equal(asked, expected);
    char *text = page(m, EXPO_OPENMETRICS, host_silent);
    assert_lacks(text, "serin_config_generation");
    assert_lacks(text, "serin_requests");
    assert_has(text, "# TYPE serin_client_errors counter\n");
    assert_string_equal(text + strlen(text) - 6, "# EOF\n");
    free(text);
    free(e.text);
    metrics_free(m);
}

static void accept_headers_choose_the_format(void **state)
{
    (void)state;
    static const struct {
        const char *accept;
        enum expo_format format;
    } rows[] = {
        {"", EXPO_PROMETHEUS},
        {"*/*", EXPO_PROMETHEUS},
        {"text/plain", EXPO_PROMETHEUS},
        {"application/openmetrics-text", EXPO_OPENMETRICS},
        {"Application/OpenMetrics-Text ; Version=1.0.0", EXPO_OPENMETRICS},
        {"application/openmetrics-text;version=0.0.1", EXPO_PROMETHEUS},
        {"application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;"
         "q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
         EXPO_OPENMETRICS},
        {"application/openmetrics-text;q=0.4, text/plain;q=0.5", EXPO_PROMETHEUS},
        {"application/openmetrics-text;q=0.5, text/plain;q=0.5", EXPO_OPENMETRICS},
        {"application/openmetrics-text;q=0", EXPO_PROMETHEUS},
        {"application/openmetrics-text;q=0.000", EXPO_PROMETHEUS},
        {"application/openmetrics-text;q=0.001", EXPO_OPENMETRICS},
        {"application/openmetrics-text;q=0.0001", EXPO_PROMETHEUS},
        {"application/openmetrics-text;q=2", EXPO_PROMETHEUS},
        {"application/openmetrics-text;q=", EXPO_PROMETHEUS},
        {"application/openmetrics-text;q=x", EXPO_PROMETHEUS},
        {"application/openmetrics-text;q=1;version=2.0.0", EXPO_PROMETHEUS},
        {"text/html, application/openmetrics-text;q=0.2, */*;q=0.1", EXPO_OPENMETRICS},
        {",;,;q=1,,;;=", EXPO_PROMETHEUS},
        {"application/openmetrics-textual", EXPO_PROMETHEUS},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (expo_negotiate(slice_str(rows[i].accept)) != rows[i].format)
            fail_msg("%s", rows[i].accept);
    assert_string_equal(expo_content_type(EXPO_PROMETHEUS),
                        "text/plain; version=0.0.4; charset=utf-8");
    assert_string_equal(expo_content_type(EXPO_OPENMETRICS),
                        "application/openmetrics-text; version=1.0.0; charset=utf-8");
}

/* promtool's exit status for a page; its complaints go to stderr. */
static int promtool(const char *text)
{
    FILE *tool = popen("promtool check metrics >&2", "w");
    assert_non_null(tool);
    fputs(text, tool);
    return pclose(tool);
}

static void promtool_has_nothing_to_say(void **state)
{
    (void)state;
    if (system("command -v promtool >/dev/null 2>&1") != 0)
        skip();
    struct metrics *m = populated();
    char *text = page(m, EXPO_PROMETHEUS, host_all);
    assert_int_equal(promtool(text), 0);
    free(text);
    metrics_free(m);
    m = metrics_new(1);
    text = page(m, EXPO_PROMETHEUS, NULL);
    assert_int_equal(promtool(text), 0);
    free(text);
    metrics_free(m);
    assert_int_not_equal(promtool("# TYPE a_total gauge\na_total 1\n"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_are_the_golden_ones),
        cmocka_unit_test(a_version_in_use_has_its_zeros_from_the_start),
        cmocka_unit_test(a_version_of_which_nothing_was_said_has_both_roles),
        cmocka_unit_test(a_role_that_has_counted_is_shown),
        cmocka_unit_test(
            retries_to_stable_have_their_zeros_and_others_are_shown_once_they_happened),
        cmocka_unit_test(buckets_never_show_a_request_as_faster),
        cmocka_unit_test(numbers_are_exact_and_short),
        cmocka_unit_test(families_without_samples_are_left_out),
        cmocka_unit_test(accept_headers_choose_the_format),
        cmocka_unit_test(promtool_has_nothing_to_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
