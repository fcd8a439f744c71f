/* The catalog keeps to the rules that readers of metrics rely on.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/slice.h"
#include "metrics/catalog.h"
#include <stdbool.h>
#include <string.h>

static bool ends_with(const char *text, const char *end)
{
    size_t a = strlen(text), b = strlen(end);
    return a > b && strcmp(text + a - b, end) == 0;
}

static void types_show_in_the_names(void **state)
{
    (void)state;
    for (unsigned id = 0; id < METRIC_COUNT; id++) {
        const struct metric *m = metric_get(id);
        assert_int_equal(ends_with(m->name, "_total"), m->type == METRIC_COUNTER);
        assert_int_equal(ends_with(m->name, "_info"), m->type == METRIC_INFO);
        assert_false(ends_with(m->name, "_count") || ends_with(m->name, "_sum") ||
                     ends_with(m->name, "_bucket"));
    }
}

static void units_end_the_names(void **state)
{
    (void)state;
    static const char *const units[] = {"_seconds", "_bytes", "_ratio"};
    for (unsigned id = 0; id < METRIC_COUNT; id++) {
        const struct metric *m = metric_get(id);
        char name[128];
        strncpy(name, m->name, sizeof name - 1);
        name[sizeof name - 1] = '\0';
        if (m->type == METRIC_COUNTER)
            name[strlen(name) - strlen("_total")] = '\0';
        bool has_unit = false;
        for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
            if (ends_with(name, units[i])) {
                has_unit = true;
                assert_string_equal(m->unit, units[i] + 1);
            }
        }
        assert_int_equal(has_unit, *m->unit != '\0');
    }
}

static void names_and_labels_are_plain(void **state)
{
    (void)state;
    for (unsigned id = 0; id < METRIC_COUNT; id++) {
        const struct metric *m = metric_get(id);
        assert_true(strspn(m->name, "abcdefghijklmnopqrstuvwxyz_") == strlen(m->name));
        assert_true(strncmp(m->name, "serin_", 6) == 0 || strncmp(m->name, "process_", 8) == 0);
        unsigned n = metric_labels(m);
        for (unsigned i = 0; i < METRIC_LABELS_MAX; i++) {
            assert_int_equal(m->labels[i] != NULL, i < n);
            if (i < n)
                assert_true(strspn(m->labels[i], "abcdefghijklmnopqrstuvwxyz") ==
                            strlen(m->labels[i]));
        }
        for (unsigned other = 0; other < id; other++)
            assert_string_not_equal(metric_get(other)->name, m->name);
    }
}

/* The writer copies the help as it is: it may hold nothing that needs an escape. */
static void helps_are_sentences_without_escapes(void **state)
{
    (void)state;
    for (unsigned id = 0; id < METRIC_COUNT; id++) {
        const char *help = metric_get(id)->help;
        assert_null(strpbrk(help, "\\\n\""));
        assert_true(ends_with(help, "."));
    }
}

/* These names are API: a change here breaks dashboards and alerts. */
static const struct {
    enum metric_id id;
    const char *text;
} documented[] = {
    {METRIC_REQUESTS_TOTAL, "serin_requests_total route version role code assigned"},
    {METRIC_REQUEST_DURATION_SECONDS, "serin_request_duration_seconds route version role"},
    {METRIC_REQUEST_ERRORS_TOTAL, "serin_request_errors_total route version role reason"},
    {METRIC_RETRIES_TOTAL, "serin_retries_total route from to result"},
    {METRIC_RETRIES_REFUSED_TOTAL, "serin_retries_refused_total route"},
    {METRIC_RESPONSES_TOTAL, "serin_responses_total route code"},
    {METRIC_INFLIGHT_REQUESTS, "serin_inflight_requests route version"},
    {METRIC_UPSTREAM_CONNECTIONS, "serin_upstream_connections route version state"},
    {METRIC_UPSTREAM_TLS_HANDSHAKES_TOTAL,
     "serin_upstream_tls_handshakes_total route version result"},
    {METRIC_EJECTIONS_TOTAL, "serin_ejections_total route version"},
    {METRIC_TUNNELS, "serin_tunnels route version"},
    {METRIC_MIRRORED_REQUESTS_TOTAL, "serin_mirrored_requests_total route version result"},
    {METRIC_MIRROR_SKIPPED_TOTAL, "serin_mirror_skipped_total route version reason"},
    {METRIC_MIRRORED_INFLIGHT_REQUESTS, "serin_mirrored_inflight_requests route version"},
    {METRIC_CLIENT_CONNECTIONS, "serin_client_connections listener"},
    {METRIC_CONNECTIONS_TOTAL, "serin_connections_total listener"},
    {METRIC_TLS_HANDSHAKES_TOTAL, "serin_tls_handshakes_total listener version resumed"},
    {METRIC_CLIENT_ERRORS_TOTAL, "serin_client_errors_total reason"},
    {METRIC_ACCEPT_PAUSES_TOTAL, "serin_accept_pauses_total"},
    {METRIC_ACCESS_LINES_DROPPED_TOTAL, "serin_access_lines_dropped_total"},
    {METRIC_SPLICED_BYTES_TOTAL, "serin_spliced_bytes_total direction"},
    {METRIC_ENDPOINT_UP, "serin_endpoint_up route version endpoint"},
    {METRIC_ROLLOUT_WEIGHT_RATIO, "serin_rollout_weight_ratio route kind"},
    {METRIC_ROLLOUT_PHASE, "serin_rollout_phase route phase"},
    {METRIC_ROLLOUT_STEP, "serin_rollout_step route"},
    {METRIC_ROLLOUT_STEPS, "serin_rollout_steps route"},
    {METRIC_ROLLOUT_CHECK_VALUE, "serin_rollout_check_value route check"},
    {METRIC_ROLLOUT_CHECK_LIMIT, "serin_rollout_check_limit route check"},
    {METRIC_ROLLOUT_CHECK_EVIDENCE, "serin_rollout_check_evidence route check"},
    {METRIC_ROLLOUT_VERDICTS_TOTAL, "serin_rollout_verdicts_total route verdict"},
    {METRIC_ROLLOUTS_TOTAL, "serin_rollouts_total route result"},
    {METRIC_ROLLOUT_REVERTED_SECONDS, "serin_rollout_reverted_seconds route"},
    {METRIC_REPLICAS, "serin_replicas route version kind"},
    {METRIC_KUBERNETES_REQUESTS_TOTAL, "serin_kubernetes_requests_total verb code"},
    {METRIC_DNS_LOOKUPS_TOTAL, "serin_dns_lookups_total result"},
    {METRIC_DNS_ANSWER_AGE_SECONDS, "serin_dns_answer_age_seconds name"},
    {METRIC_NOTIFICATIONS_TOTAL, "serin_notifications_total target result"},
    {METRIC_CONFIG_RELOADS_TOTAL, "serin_config_reloads_total result"},
    {METRIC_CONFIG_GENERATION, "serin_config_generation"},
    {METRIC_CERTIFICATE_EXPIRY_TIMESTAMP_SECONDS,
     "serin_certificate_expiry_timestamp_seconds listener certificate"},
    {METRIC_LOG_SUPPRESSED_TOTAL, "serin_log_suppressed_total"},
    {METRIC_BUILD_INFO, "serin_build_info version"},
    {METRIC_PROCESS_CPU_SECONDS_TOTAL, "process_cpu_seconds_total"},
    {METRIC_PROCESS_OPEN_FDS, "process_open_fds"},
    {METRIC_PROCESS_MAX_FDS, "process_max_fds"},
    {METRIC_PROCESS_RESIDENT_MEMORY_BYTES, "process_resident_memory_bytes"},
    {METRIC_PROCESS_VIRTUAL_MEMORY_BYTES, "process_virtual_memory_bytes"},
    {METRIC_PROCESS_START_TIME_SECONDS, "process_start_time_seconds"},
};

static void names_and_labels_are_the_documented_ones(void **state)
{
    (void)state;
    assert_int_equal(sizeof documented / sizeof *documented, METRIC_COUNT);
    for (size_t i = 0; i < sizeof documented / sizeof *documented; i++) {
        const struct metric *m = metric_get(documented[i].id);
        struct slice head, rest = slice_str(documented[i].text);
        slice_cut(rest, ' ', &head, &rest);
        assert_true(slice_equal(head, slice_str(m->name)));
        unsigned n = 0;
        for (; rest.len; n++) {
            slice_cut(rest, ' ', &head, &rest);
            assert_true(n < metric_labels(m) && slice_equal(head, slice_str(m->labels[n])));
        }
        assert_int_equal(n, metric_labels(m));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_show_in_the_names),
        cmocka_unit_test(units_end_the_names),
        cmocka_unit_test(names_and_labels_are_plain),
        cmocka_unit_test(helps_are_sentences_without_escapes),
        cmocka_unit_test(names_and_labels_are_the_documented_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
