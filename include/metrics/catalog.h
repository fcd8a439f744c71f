/* Every metric once: name, type, unit, source of its samples, labels, help. The names are API.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_METRICS_CATALOG_H
#define SERIN_METRICS_CATALOG_H

#define METRIC_LABELS_MAX 5 /* the most labels of one family */

/* INFO: a gauge that is always 1 and says something in its labels. */
enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM, METRIC_INFO };

/* Who knows the samples. */
enum metric_source {
    METRIC_FROM_CELLS,   /* shards: expo_write sums them (metrics/shard.h) */
    METRIC_FROM_HOST,    /* the host's callback writes them (expo_host_fn) */
    METRIC_FROM_PROCESS, /* the host's callback passes them on to process_expose (metrics/process.h)
                          */
};

#define METRIC_LABELS(...)                                                                         \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define METRIC_NO_LABELS                                                                           \
    {                                                                                              \
        (const char *)0                                                                            \
    }

/* X(id, name, type, unit, source, labels, help); order = order on the page. A new family is one row
 * here and its cells or its host code. Counters end in _total; a unit ends the name (before
 * _total), a family of type INFO ends in _info. */
// clang-format off
#define METRIC_CATALOG(X) \
    X(REQUESTS_TOTAL, "serin_requests_total", COUNTER, "", CELLS, \
      METRIC_LABELS("route", "version", "role", "code", "assigned"), \
      "Requests by the version that first got them and the status code of that first attempt; " \
      "a code that has no name of its own counts under its class (2xx).") \
    X(REQUEST_DURATION_SECONDS, "serin_request_duration_seconds", HISTOGRAM, "seconds", CELLS, \
      METRIC_LABELS("route", "version", "role"), \
      "Time of the first attempt on a version, from the request's head to the end of the " \
      "response; of an upgraded connection to its 101.") \
    X(REQUEST_ERRORS_TOTAL, "serin_request_errors_total", COUNTER, "", CELLS, \
      METRIC_LABELS("route", "version", "role", "reason"), \
      "First attempts that a version failed, by reason.") \
    X(RETRIES_TOTAL, "serin_retries_total", COUNTER, "", CELLS, \
      METRIC_LABELS("route", "from", "to", "result"), \
      "Further attempts after a failed one, by the role that failed, the role that was asked " \
      "instead, and how that ended.") \
    X(RETRIES_REFUSED_TOTAL, "serin_retries_refused_total", COUNTER, "", CELLS, \
      METRIC_LABELS("route"), \
      "Failed attempts that were not followed by another one only because the route's retry.budget " \
      "was used up.") \
    X(RESPONSES_TOTAL, "serin_responses_total", COUNTER, "", CELLS, \
      METRIC_LABELS("route", "code"), \
      "Responses as clients saw them, after retries.") \
    X(INFLIGHT_REQUESTS, "serin_inflight_requests", GAUGE, "", CELLS, \
      METRIC_LABELS("route", "version"), \
      "Requests now on their way through a version.") \
    X(UPSTREAM_CONNECTIONS, "serin_upstream_connections", GAUGE, "", CELLS, \
      METRIC_LABELS("route", "version", "state"), \
      "Connections to endpoints that requests for a version have opened: idle, active (carrying a " \
      "request) and connecting.") \
    X(UPSTREAM_TLS_HANDSHAKES_TOTAL, "serin_upstream_tls_handshakes_total", COUNTER, "", CELLS, \
      METRIC_LABELS("route", "version", "result"), \
      "TLS handshakes with endpoints of a version for requests: full, resumed (without its keys " \
      "and certificates anew) and failed.") \
    X(EJECTIONS_TOTAL, "serin_ejections_total", COUNTER, "", CELLS, \
      METRIC_LABELS("route", "version"), \
      "Times that an endpoint of a version was left out for having failed.") \
    X(TUNNELS, "serin_tunnels", GAUGE, "", CELLS, \
      METRIC_LABELS("route", "version"), \
      "Upgraded connections (WebSocket) now open on a version.") \
    X(MIRRORED_REQUESTS_TOTAL, "serin_mirrored_requests_total", COUNTER, "", CELLS, \
      METRIC_LABELS("route", "version", "result"), \
      "Copies of stable's requests that a canary got, by how they ended; nobody sees its answers, " \
      "and no other family counts them.") \
    X(MIRROR_SKIPPED_TOTAL, "serin_mirror_skipped_total", COUNTER, "", CELLS, \
      METRIC_LABELS("route", "version", "reason"), \
      "Requests that were chosen for the mirror and not copied, by reason.") \
    X(MIRRORED_INFLIGHT_REQUESTS, "serin_mirrored_inflight_requests", GAUGE, "", CELLS, \
      METRIC_LABELS("route", "version"), \
      "Copies now on their way through a canary.") \
    X(CLIENT_CONNECTIONS, "serin_client_connections", GAUGE, "", CELLS, \
      METRIC_LABELS("listener"), \
      "Client connections now open.") \
    X(CONNECTIONS_TOTAL, "serin_connections_total", COUNTER, "", CELLS, \
      METRIC_LABELS("listener"), \
      "Client connections accepted.") \
    X(TLS_HANDSHAKES_TOTAL, "serin_tls_handshakes_total", COUNTER, "", CELLS, \
      METRIC_LABELS("listener", "version", "resumed"), \
      "TLS handshakes with clients that succeeded, by TLS version; those that failed are among " \
      "serin_client_errors_total.") \
    X(CLIENT_ERRORS_TOTAL, "serin_client_errors_total", COUNTER, "", CELLS, \
      METRIC_LABELS("reason"), \
      "Requests and connections that failed on the client's side, by reason.") \
    X(ACCEPT_PAUSES_TOTAL, "serin_accept_pauses_total", COUNTER, "", CELLS, \
      METRIC_NO_LABELS, \
      "Times that a worker stopped accepting: limits.connections was reached, or file descriptors " \
      "were used up.") \
    X(ACCESS_LINES_DROPPED_TOTAL, "serin_access_lines_dropped_total", COUNTER, "", CELLS, \
      METRIC_NO_LABELS, \
      "Lines of the access log that were not written: its file or its reader did not take them.") \
    X(SPLICED_BYTES_TOTAL, "serin_spliced_bytes_total", COUNTER, "bytes", CELLS, \
      METRIC_LABELS("direction"), \
      "Bytes of large request and response bodies that the kernel moved from socket to socket; all " \
      "others were copied.") \
    X(ENDPOINT_UP, "serin_endpoint_up", GAUGE, "", HOST, \
      METRIC_LABELS("route", "version", "endpoint"), \
      "1 where the endpoint may get requests, 0 where it is down or ejected.") \
    X(ROLLOUT_WEIGHT_RATIO, "serin_rollout_weight_ratio", GAUGE, "ratio", HOST, \
      METRIC_LABELS("route", "kind"), \
      "The canary's share of the requests, 0 to 1: intended, and observed at this step.") \
    X(ROLLOUT_PHASE, "serin_rollout_phase", GAUGE, "", HOST, \
      METRIC_LABELS("route", "phase"), \
      "1 for the phase that the route's rollout is in, 0 for the others.") \
    X(ROLLOUT_STEP, "serin_rollout_step", GAUGE, "", HOST, \
      METRIC_LABELS("route"), \
      "The step that the rollout is at, from 1; 0 while none runs.") \
    X(ROLLOUT_STEPS, "serin_rollout_steps", GAUGE, "", HOST, \
      METRIC_LABELS("route"), \
      "Steps of the rollout's plan.") \
    X(ROLLOUT_CHECK_VALUE, "serin_rollout_check_value", GAUGE, "", HOST, \
      METRIC_LABELS("route", "check"), \
      "What a check measures on the canary, in the unit of its limit.") \
    X(ROLLOUT_CHECK_LIMIT, "serin_rollout_check_limit", GAUGE, "", HOST, \
      METRIC_LABELS("route", "check"), \
      "The largest value that a check tolerates.") \
    X(ROLLOUT_CHECK_EVIDENCE, "serin_rollout_check_evidence", GAUGE, "", HOST, \
      METRIC_LABELS("route", "check"), \
      "Evidence that the canary is worse, as N to 1.") \
    X(ROLLOUT_VERDICTS_TOTAL, "serin_rollout_verdicts_total", COUNTER, "", HOST, \
      METRIC_LABELS("route", "verdict"), \
      "Verdicts of the judge, one a tick.") \
    X(ROLLOUTS_TOTAL, "serin_rollouts_total", COUNTER, "", HOST, \
      METRIC_LABELS("route", "result"), \
      "Rollouts that ended, by result.") \
    X(ROLLOUT_REVERTED_SECONDS, "serin_rollout_reverted_seconds", GAUGE, "seconds", HOST, \
      METRIC_LABELS("route"), \
      "Of the last revert: time from the first failed canary request to weight 0.") \
    X(REPLICAS, "serin_replicas", GAUGE, "", HOST, \
      METRIC_LABELS("route", "version", "kind"), \
      "Replicas of a version's workload: wanted, current, ready and available.") \
    X(KUBERNETES_REQUESTS_TOTAL, "serin_kubernetes_requests_total", COUNTER, "", HOST, \
      METRIC_LABELS("verb", "code"), \
      "Requests to the Kubernetes API server, by the status code of the answer; none = there was " \
      "none.") \
    X(DNS_LOOKUPS_TOTAL, "serin_dns_lookups_total", COUNTER, "", HOST, \
      METRIC_LABELS("result"), \
      "Look-ups of endpoints that are names, by result.") \
    X(DNS_ANSWER_AGE_SECONDS, "serin_dns_answer_age_seconds", GAUGE, "seconds", HOST, \
      METRIC_LABELS("name"), \
      "Time since a name was last found; its addresses of then serve on.") \
    X(NOTIFICATIONS_TOTAL, "serin_notifications_total", COUNTER, "", HOST, \
      METRIC_LABELS("target", "result"), \
      "What became of events for a receiver of notifications: sent, dropped and refused; retried " \
      "counts tries that failed and were followed by another.") \
    X(CONFIG_RELOADS_TOTAL, "serin_config_reloads_total", COUNTER, "", HOST, \
      METRIC_LABELS("result"), \
      "Attempts to read the configuration anew, by result.") \
    X(CONFIG_GENERATION, "serin_config_generation", GAUGE, "", HOST, \
      METRIC_NO_LABELS, \
      "Number of the configuration in force; grows with every one that is taken over.") \
    X(CERTIFICATE_EXPIRY_TIMESTAMP_SECONDS, "serin_certificate_expiry_timestamp_seconds", GAUGE, "seconds", HOST, \
      METRIC_LABELS("listener", "certificate"), \
      "When a certificate, by its file, expires, in seconds since 1970 UTC; listener is empty for " \
      "one that is shown to endpoints.") \
    X(LOG_SUPPRESSED_TOTAL, "serin_log_suppressed_total", COUNTER, "", PROCESS, \
      METRIC_NO_LABELS, \
      "Log lines that were not written: over the rate of their place, or not taken by the " \
      "destination.") \
    X(BUILD_INFO, "serin_build_info", INFO, "", PROCESS, \
      METRIC_LABELS("version"), \
      "The release that is running.") \
    X(PROCESS_CPU_SECONDS_TOTAL, "process_cpu_seconds_total", COUNTER, "seconds", PROCESS, \
      METRIC_NO_LABELS, \
      "User and system CPU time spent.") \
    X(PROCESS_OPEN_FDS, "process_open_fds", GAUGE, "", PROCESS, \
      METRIC_NO_LABELS, \
      "Open file descriptors.") \
    X(PROCESS_MAX_FDS, "process_max_fds", GAUGE, "", PROCESS, \
      METRIC_NO_LABELS, \
      "Largest number of open file descriptors.") \
    X(PROCESS_RESIDENT_MEMORY_BYTES, "process_resident_memory_bytes", GAUGE, "bytes", PROCESS, \
      METRIC_NO_LABELS, \
      "Resident memory size.") \
    X(PROCESS_VIRTUAL_MEMORY_BYTES, "process_virtual_memory_bytes", GAUGE, "bytes", PROCESS, \
      METRIC_NO_LABELS, \
      "Virtual memory size.") \
    X(PROCESS_START_TIME_SECONDS, "process_start_time_seconds", GAUGE, "seconds", PROCESS, \
      METRIC_NO_LABELS, \
      "Start of the process, seconds since 1970 UTC.")
// clang-format on

#define METRIC_ENUM_ROW(id, name, type, unit, source, labels, help) METRIC_##id,
enum metric_id { METRIC_CATALOG(METRIC_ENUM_ROW) METRIC_COUNT };
#undef METRIC_ENUM_ROW

struct metric {
    const char *name; /* as on the page of the Prometheus text format */
    enum metric_type type;
    const char *unit; /* "" = none */
    enum metric_source source;
    const char *labels[METRIC_LABELS_MAX]; /* the unused ones at the end are NULL */
    const char *help;
};

/* The catalog's row. Never NULL; CHECKs that id is below METRIC_COUNT. Pure. */
const struct metric *metric_get(enum metric_id id);

/* How many labels a row has. Pure. */
unsigned metric_labels(const struct metric *metric);

#endif
