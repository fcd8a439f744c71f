/* The table of all keys: a key is one row, and nowhere else.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/conf/fields.h"
#include "base/check.h"
#include "base/log.h"
#include "proxy/conf/config.h"
#include "proxy/http/head.h"
#include "proxy/http/rewrite.h"

#define SECOND         ((int64_t)1000)
#define HOUR           (3600 * SECOND)
#define DAY            (24 * HOUR)
#define WEEK           (7 * DAY)
#define YEAR           (365 * DAY)
#define KIB            ((int64_t)1024)
#define GIB            (KIB * KIB * KIB)
#define SHARE(percent) ((int64_t)(percent)*100)

/* Bounds on what one file may ask for: they guard the memory of a snapshot and the time of a
 * lookup. */
#define LISTENERS_MAX 64
#define ROUTES_MAX    1024
#define VERSIONS_MAX  16
#define ENDPOINTS_MAX 256
#define MATCHES_MAX   256 /* hosts, and paths, of one route */
#define SERVERS_MAX   8   /* that names are asked of: a socket each while a name is looked up */
#define LATER_MAX     64  /* items of lists that this release only checks */

#define MEMBER(type, member) sizeof(((struct type *)0)->member)
#define KEEP(scope_, type, m)                                                                      \
    .scope = scope_, .offset = offsetof(struct type, m), .width = MEMBER(type, m)
#define IN_CONFIG(m)      KEEP(SCOPE_CONFIG, config, m)
#define IN_LISTENER(m)    KEEP(SCOPE_LISTENER, config_listener, m)
#define IN_ROUTE(m)       KEEP(SCOPE_ROUTE, config_route, m)
#define IN_VERSION(m)     KEEP(SCOPE_VERSION, config_version, m)
#define IN_STEP(m)        KEEP(SCOPE_STEP, plan_step, m)
#define IN_CHECK(m)       KEEP(SCOPE_MORE_CHECK, config_more_check, m)
#define IN_GATE(m)        KEEP(SCOPE_GATE, outside_gate, m)
#define IN_WINDOW(m)      KEEP(SCOPE_WINDOW, outside_window, m)
#define COUNT(type, m)    .count_offset = offsetof(struct type, m)
#define NOWHERE           .scope = SCOPE_NONE
#define REQUIRED          .flags = FIELD_REQUIRED
#define LATER             .flags = FIELD_LATER
#define FORM(form_)       .form = form_
#define CHOICES(choices_) .choices = choices_
#define ROLLOUT           "routes[].rollout."

static const struct config_choice tls_versions[] = {{"1.2", 0, false}, {"1.3", 1, false}, {0}};
static const struct config_choice log_levels[] = {{"error", LOG_ERROR, false},
                                                  {"warn", LOG_WARN, false},
                                                  {"info", LOG_INFO, false},
                                                  {"debug", LOG_DEBUG, false},
                                                  {0}};
static const struct config_choice log_formats[] = {
    {"text", LOG_FORMAT_TEXT, false}, {"json", LOG_FORMAT_JSON, false}, {0}};
static const struct config_choice access_formats[] = {{"off", ACCESS_OFF, false},
                                                      {"combined", ACCESS_COMBINED, true},
                                                      {"json", ACCESS_JSON, true},
                                                      {0}};
static const struct config_choice balances[] = {{"least_requests", BALANCE_LEAST_REQUESTS, false},
                                                {"round_robin", BALANCE_ROUND_ROBIN, false},
                                                {"hash", BALANCE_HASH, false},
                                                {0}};
static const struct config_choice stickies[] = {{"none", STICKY_NONE, false},
                                                {"cookie", STICKY_COOKIE, false},
                                                {"header", STICKY_HEADER, false},
                                                {"client_ip", STICKY_CLIENT_IP, false},
                                                {0}};
static const struct config_choice retry_causes[] = {
    {"connect", RETRY_CONNECT, false}, {"reset", RETRY_RESET, false}, {"502", RETRY_502, false},
    {"503", RETRY_503, false},         {"504", RETRY_504, false},     {0}};
static const struct config_choice retry_targets[] = {{"same", 0, false}, {"stable", 1, false}, {0}};
static const struct config_choice methods[] = {
    {"GET", 1u << METHOD_GET, false},       {"HEAD", 1u << METHOD_HEAD, false},
    {"POST", 1u << METHOD_POST, false},     {"PUT", 1u << METHOD_PUT, false},
    {"DELETE", 1u << METHOD_DELETE, false}, {"OPTIONS", 1u << METHOD_OPTIONS, false},
    {"PATCH", 1u << METHOD_PATCH, false},   {0}};
static const struct config_choice forwardings[] = {{"x", FORWARDED_X, false},
                                                   {"rfc7239", FORWARDED_RFC7239, false},
                                                   {"both", FORWARDED_BOTH, false},
                                                   {"off", FORWARDED_OFF, false},
                                                   {0}};
static const struct config_choice starts[] = {{"manual", 0, false}, {"auto", 1, false}, {0}};
static const struct config_choice low_evidences[] = {{"advance", LOW_EVIDENCE_ADVANCE, false},
                                                     {"hold", LOW_EVIDENCE_HOLD, false},
                                                     {"pause", LOW_EVIDENCE_PAUSE, false},
                                                     {"abort", LOW_EVIDENCE_ABORT, false},
                                                     {0}};
static const struct config_choice failures[] = {
    {"abort", ON_FAILURE_ABORT, false}, {"pause", ON_FAILURE_PAUSE, false}, {0}};
static const struct config_choice new_versions[] = {
    {"restart", ON_NEW_VERSION_RESTART, false}, {"refuse", ON_NEW_VERSION_REFUSE, false}, {0}};
static const struct config_choice replica_modes[] = {
    {"none", PLAN_REPLICAS_NONE, false},
    {"match_weight", PLAN_REPLICAS_MATCH_WEIGHT, false},
    {"capacity", PLAN_REPLICAS_CAPACITY, false},
    {"coupled", PLAN_REPLICAS_COUPLED, false},
    {0}};
static const struct config_choice cleanups[] = {
    {"preserve", CLEANUP_PRESERVE, false}, {"delete", CLEANUP_DELETE, false}, {0}};
static const struct config_choice gate_moments[] = {{"before_start", GATE_BEFORE_START, false},
                                                    {"before_step", GATE_BEFORE_STEP, false},
                                                    {"before_promote", GATE_BEFORE_PROMOTE, false},
                                                    {"after_end", GATE_AFTER_END, false},
                                                    {"event", GATE_EVENT, false},
                                                    {0}};
static const struct config_choice weekdays[] = {
    {"mon", 1, false},  {"tue", 2, false},  {"wed", 4, false},  {"thu", 8, false},
    {"fri", 16, false}, {"sat", 32, false}, {"sun", 64, false}, {0}};

/* clang-format off */
const struct config_field config_fields[] = {
/* path, type, default, least, most, what applies it, help, where it is kept, what is special */
{"workers", TYPE_INTEGER, "auto", 1, 256, RELOAD_RESTART,
 "threads of the data plane; auto = as many as cores are online", IN_CONFIG(workers), .word = "auto"},
{"state_dir", TYPE_TEXT, "/var/lib/serin", 0, 0, RELOAD_RESTART,
 "directory in which rollouts survive a restart and are recorded; a relative one is beside this file", IN_CONFIG(state_dir), FORM(TEXT_FILE)},

{"listeners", TYPE_LIST, NULL, 1, LISTENERS_MAX, RELOAD_RESTART, "where clients connect",
 IN_CONFIG(listeners), COUNT(config, n_listeners), REQUIRED, .items = SCOPE_LISTENER},
{"listeners[].bind", TYPE_TEXT, NULL, 0, 0, RELOAD_RESTART,
 "address:port, [v6]:port or unix:/path; port 0 = any free one", IN_LISTENER(bind), REQUIRED, FORM(TEXT_BIND)},
{"listeners[].proxy_protocol", TYPE_BOOL, "false", 0, 0, RELOAD_RESTART,
 "accept PROXY v1 and v2 headers, from trusted addresses only", IN_LISTENER(proxy_protocol), LATER},
{"listeners[].trusted", TYPE_TEXTS, "[]", 0, LATER_MAX, RELOAD_RESTART,
 "networks whose PROXY headers are believed", IN_LISTENER(trusted), LATER, FORM(TEXT_NETWORK)},
{"listeners[].tls", TYPE_MAPPING, NULL, 0, 0, RELOAD_RESTART, "TLS on this listener", IN_LISTENER(has_tls), LATER},
{"listeners[].tls.certificates", TYPE_LIST, NULL, 1, LATER_MAX, RELOAD_YES, "certificates to choose from by name",
 NOWHERE, REQUIRED},
{"listeners[].tls.certificates[].certificate", TYPE_TEXT, NULL, 0, 0, RELOAD_YES, "PEM file of the chain",
 NOWHERE, REQUIRED, FORM(TEXT_FILE)},
{"listeners[].tls.certificates[].key", TYPE_TEXT, NULL, 0, 0, RELOAD_YES, "PEM file of the private key",
 NOWHERE, REQUIRED, FORM(TEXT_FILE)},
{"listeners[].tls.min_version", TYPE_CHOICE, "1.2", 0, 0, RELOAD_YES, "oldest protocol version accepted",
 NOWHERE, CHOICES(tls_versions)},
{"listeners[].tls.client_ca", TYPE_TEXT, NULL, 0, 0, RELOAD_YES, "PEM file; clients must show a certificate of these",
 NOWHERE, FORM(TEXT_FILE)},

{"admin", TYPE_MAPPING, NULL, 0, 0, RELOAD_RESTART, "the operator's port: page, API, /metrics, /healthz, /readyz",
 NOWHERE},
{"admin.bind", TYPE_TEXT, "127.0.0.1:9900", 0, 0, RELOAD_RESTART, "address:port, [v6]:port or unix:/path",
 IN_CONFIG(admin.bind), FORM(TEXT_BIND)},
{"admin.token_file", TYPE_TEXT, NULL, 0, 0, RELOAD_RESTART,
 "file with the token that changes need, beside this file if relative; required unless bind is local", IN_CONFIG(admin.token_file), FORM(TEXT_FILE)},

{"log", TYPE_MAPPING, NULL, 0, 0, RELOAD_YES, "what serin says about itself", NOWHERE},
{"log.level", TYPE_CHOICE, "info", 0, 0, RELOAD_YES, "least important level that is written",
 IN_CONFIG(log.level), CHOICES(log_levels)},
{"log.format", TYPE_CHOICE, "text", 0, 0, RELOAD_YES, "form of a line", IN_CONFIG(log.format), CHOICES(log_formats)},
{"log.access", TYPE_CHOICE, "off", 0, 0, RELOAD_YES, "one line per finished request",
 IN_CONFIG(log.access), CHOICES(access_formats)},
{"log.access_file", TYPE_TEXT, "-", 0, 0, RELOAD_RESTART, "where access lines go; - = standard output",
 IN_CONFIG(log.access_file), LATER, FORM(TEXT_FILE)},

{"timeouts", TYPE_MAPPING, NULL, 0, 0, RELOAD_YES, "how long the data plane waits", NOWHERE},
{"timeouts.client_header", TYPE_DURATION, "10s", 1, DAY, RELOAD_YES, "for a whole request head, the first one from accept on",
 IN_CONFIG(timeouts.client_header_ms)},
{"timeouts.client_idle", TYPE_DURATION, "60s", 1, DAY, RELOAD_YES, "for the next request on a kept connection",
 IN_CONFIG(timeouts.client_idle_ms)},
{"timeouts.client_body", TYPE_DURATION, "30s", 1, DAY, RELOAD_YES, "for the next bytes of a request body, or of a response to be taken",
 IN_CONFIG(timeouts.client_body_ms)},
{"timeouts.connect", TYPE_DURATION, "2s", 1, DAY, RELOAD_YES, "for a connection to an endpoint to come up",
 IN_CONFIG(timeouts.connect_ms)},
{"timeouts.response_header", TYPE_DURATION, "60s", 1, DAY, RELOAD_YES, "for an endpoint's response head",
 IN_CONFIG(timeouts.response_header_ms)},
{"timeouts.upstream_idle", TYPE_DURATION, "30s", 1, DAY, RELOAD_YES, "that an unused endpoint connection is kept",
 IN_CONFIG(timeouts.upstream_idle_ms)},
{"timeouts.response_idle", TYPE_DURATION, "60s", 1, DAY, RELOAD_YES, "for the next bytes of a response body",
 IN_CONFIG(timeouts.response_idle_ms)},
{"timeouts.request_total", TYPE_DURATION, "0", 1, DAY, RELOAD_YES, "for a request from its head to its end",
 IN_CONFIG(timeouts.request_total_ms), .zero = "off"},
{"timeouts.drain", TYPE_DURATION, "30s", 1, DAY, RELOAD_YES, "for open requests to end before a stop, and tunnels of a version that serves no more",
 IN_CONFIG(timeouts.drain_ms), .zero = "no waiting"},
{"timeouts.min_rate", TYPE_SIZE, "240B", 1, GIB, RELOAD_YES, "least bytes a second of a body up or down, after 5 s",
 IN_CONFIG(timeouts.min_rate_bytes), .zero = "off"},
{"timeouts.tunnel_idle", TYPE_DURATION, "1h", 1, WEEK, RELOAD_YES, "for the next bytes of an upgraded connection",
 IN_CONFIG(timeouts.tunnel_idle_ms)},

{"limits", TYPE_MAPPING, NULL, 0, 0, RELOAD_YES, "how much a client may use", NOWHERE},
{"limits.header_bytes", TYPE_SIZE, "32KiB", KIB, 64 * KIB, RELOAD_YES, "a request head; larger: 431",
 IN_CONFIG(limits.header_bytes)},
{"limits.headers", TYPE_INTEGER, "128", 1, HEAD_FIELDS_MAX, RELOAD_YES, "fields of a request head; more: 431",
 IN_CONFIG(limits.headers)},
{"limits.uri_bytes", TYPE_SIZE, "16KiB", 256, 64 * KIB, RELOAD_YES, "a request target; longer: 414",
 IN_CONFIG(limits.uri_bytes)},
{"limits.body_bytes", TYPE_SIZE, "0", 1, 1024 * GIB, RELOAD_YES, "a request body; larger: 413",
 IN_CONFIG(limits.body_bytes), .zero = "no limit"},
{"limits.connections", TYPE_INTEGER, "0", 1, 10000000, RELOAD_YES, "client connections of the process",
 IN_CONFIG(limits.connections), .zero = "no limit"},
{"limits.pending_per_endpoint", TYPE_INTEGER, "1024", 1, 1000000, RELOAD_YES,
 "requests that wait for a connection to one endpoint; more, or longer than timeouts.connect: 503", IN_CONFIG(limits.pending_per_endpoint)},
{"limits.upstream_connections_per_endpoint", TYPE_INTEGER, "0", 1, 1000000, RELOAD_YES,
 "connections to one address, at least one a worker; more requests wait", IN_CONFIG(limits.upstream_connections_per_endpoint), .zero = "no limit"},
{"limits.requests_per_connection", TYPE_INTEGER, "0", 1, 1000000000, RELOAD_YES,
 "requests on one client connection before it is closed", IN_CONFIG(limits.requests_per_connection),
 .zero = "no limit"},

{"dns", TYPE_MAPPING, NULL, 0, 0, RELOAD_YES, "how endpoints that are names are looked up", NOWHERE},
{"dns.servers", TYPE_TEXTS, NULL, 1, SERVERS_MAX, RELOAD_YES,
 "servers to ask, in place of /etc/resolv.conf and its search list", IN_CONFIG(dns.servers), FORM(TEXT_SERVER), .absent_help = "those of /etc/resolv.conf"},
{"dns.timeout", TYPE_DURATION, "2s", 50, 30 * SECOND, RELOAD_YES, "for an answer, before the question is sent again (3 times in all)",
 IN_CONFIG(dns.timeout_ms)},

{"kubernetes", TYPE_MAPPING, NULL, 0, 0, RELOAD_RESTART, "the cluster of versions that are workloads", NOWHERE},
{"kubernetes.kubeconfig", TYPE_TEXT, NULL, 0, 0, RELOAD_RESTART,
 "file that says where it is, beside this file if relative", IN_CONFIG(kubernetes.kubeconfig),
 FORM(TEXT_FILE), .absent_help = "KUBECONFIG, else ~/.kube/config, else the service account"},
{"kubernetes.context", TYPE_TEXT, NULL, 0, 0, RELOAD_RESTART, "context of the kubeconfig", IN_CONFIG(kubernetes.context),
 .absent_help = "current-context"},
{"kubernetes.namespace", TYPE_TEXT, NULL, 0, 0, RELOAD_RESTART, "namespace of the workloads",
 IN_CONFIG(kubernetes.name_space), FORM(TEXT_OBJECT), .absent_help = "the context's or the pod's"},
{"kubernetes.lease", TYPE_TEXT, "serin", 0, 0, RELOAD_RESTART, "Lease by which one of several serins moves replicas",
 IN_CONFIG(kubernetes.lease), FORM(TEXT_OBJECT)},
{"kubernetes.lease_duration", TYPE_DURATION, "15s", 3 * SECOND, HOUR, RELOAD_RESTART,
 "after which another may take the Lease of one that is gone; whole seconds", IN_CONFIG(kubernetes.lease_duration_ms)},

{"routes", TYPE_LIST, NULL, 1, ROUTES_MAX, RELOAD_YES, "which requests go where",
 IN_CONFIG(routes), COUNT(config, n_routes), REQUIRED, .items = SCOPE_ROUTE},
{"routes[].name", TYPE_TEXT, NULL, 0, 0, RELOAD_YES, "its name in commands, metrics and records",
 IN_ROUTE(name), REQUIRED, FORM(TEXT_NAME)},
{"routes[].hosts", TYPE_TEXTS, NULL, 1, MATCHES_MAX, RELOAD_YES, "hosts it serves, *.name too",
 IN_ROUTE(hosts), .flags = FIELD_LOWER_CASE, FORM(TEXT_HOST), .absent_help = "every host"},
{"routes[].paths", TYPE_TEXTS, "[/]", 1, MATCHES_MAX, RELOAD_YES, "path prefixes it serves; the longest wins",
 IN_ROUTE(paths), FORM(TEXT_PREFIX)},
{"routes[].versions", TYPE_NAMED, NULL, 1, VERSIONS_MAX, RELOAD_YES, "its versions, by name",
 IN_ROUTE(versions), COUNT(config_route, n_versions), REQUIRED, .items = SCOPE_VERSION},
{"routes[].versions.*.endpoints", TYPE_TEXTS, NULL, 1, ENDPOINTS_MAX, RELOAD_YES,
 "address:port, [v6]:port, unix:/path or dns:NAME:port of its servers; or else workload", IN_VERSION(endpoints), FORM(TEXT_ENDPOINT)},
{"routes[].versions.*.revision", TYPE_TEXT, NULL, 0, 0, RELOAD_YES,
 "part of its identity: another revision is a new version", IN_VERSION(revision), FORM(TEXT_NAME)},
{"routes[].versions.*.tls", TYPE_MAPPING, NULL, 0, 0, RELOAD_YES, "TLS to its endpoints", IN_VERSION(has_tls), LATER},
{"routes[].versions.*.tls.ca", TYPE_TEXT, NULL, 0, 0, RELOAD_YES, "PEM file of the certificates to trust",
 NOWHERE, FORM(TEXT_FILE)},
{"routes[].versions.*.tls.server_name", TYPE_TEXT, NULL, 0, 0, RELOAD_YES, "name that its certificate must show",
 NOWHERE, FORM(TEXT_HOST)},
{"routes[].versions.*.workload", TYPE_TEXT, NULL, 0, 0, RELOAD_YES,
 "on Kubernetes, instead of endpoints: its pods serve", IN_VERSION(workload), FORM(TEXT_WORKLOAD)},
{"routes[].versions.*.manifest", TYPE_TEXT, NULL, 0, 0, RELOAD_YES,
 "YAML file to create the workload from, beside this file if relative", IN_VERSION(manifest), FORM(TEXT_FILE)},
{"routes[].versions.*.port", TYPE_INTEGER, NULL, 1, 65535, RELOAD_YES, "port of the workload's pods",
 IN_VERSION(port)},
{"routes[].stable", TYPE_TEXT, NULL, 0, 0, RELOAD_YES, "version that serves everyone while no rollout runs",
 IN_ROUTE(stable), REQUIRED, FORM(TEXT_NAME)},
{"routes[].canary", TYPE_TEXT, NULL, 0, 0, RELOAD_YES, "version to be rolled out",
 IN_ROUTE(canary), FORM(TEXT_NAME), .absent_help = "no canary"},
{"routes[].balance", TYPE_CHOICE, "least_requests", 0, 0, RELOAD_YES, "choice of an endpoint within a version",
 IN_ROUTE(balance), CHOICES(balances)},
{"routes[].override", TYPE_MAPPING, NULL, 0, 0, RELOAD_YES,
 "requests that choose by themselves: value always or never", NOWHERE},
{"routes[].override.header", TYPE_TEXT, NULL, 0, 0, RELOAD_YES, "name of the header", IN_ROUTE(override.header),
 FORM(TEXT_FIELD)},
{"routes[].override.cookie", TYPE_TEXT, NULL, 0, 0, RELOAD_YES, "name of the cookie", IN_ROUTE(override.cookie),
 FORM(TEXT_FIELD)},
{"routes[].sticky", TYPE_MAPPING, NULL, 0, 0, RELOAD_YES, "users stay on the version that they got first", NOWHERE},
{"routes[].sticky.by", TYPE_CHOICE, "none", 0, 0, RELOAD_YES, "what tells one user from another",
 IN_ROUTE(sticky.by), CHOICES(stickies)},
{"routes[].sticky.name", TYPE_TEXT, NULL, 0, 0, RELOAD_YES, "name of the cookie or header", IN_ROUTE(sticky.name),
 FORM(TEXT_FIELD)},
{"routes[].sticky.issue", TYPE_BOOL, "false", 0, 0, RELOAD_YES, "by cookie: set one where a request has none",
 IN_ROUTE(sticky.issue)},
{"routes[].retry", TYPE_MAPPING, NULL, 0, 0, RELOAD_YES, "another try while nothing was sent to the client", NOWHERE},
{"routes[].retry.on", TYPE_SET, "[connect, reset, 502, 503, 504]", 0, 5, RELOAD_YES, "failures that are tried again",
 IN_ROUTE(retry.on), CHOICES(retry_causes)},
{"routes[].retry.to", TYPE_CHOICE, "stable", 0, 0, RELOAD_YES,
 "where a request that failed on the canary goes: stable, or another endpoint of the same version",
 IN_ROUTE(retry.to_stable), CHOICES(retry_targets)},
{"routes[].retry.methods", TYPE_SET, "[GET, HEAD, OPTIONS, PUT, DELETE]", 0, 7, RELOAD_YES,
 "methods that are tried again after they were sent", IN_ROUTE(retry.methods), CHOICES(methods)},
{"routes[].retry.max", TYPE_INTEGER, "1", 1, 10, RELOAD_YES, "further tries of one request",
 IN_ROUTE(retry.max), .zero = "off"},
{"routes[].retry.budget", TYPE_SHARE, "20%", 0, SHARE(100), RELOAD_YES,
 "most retries, as a share of the requests of the last 10 s; 30 in that time are always allowed",
 IN_ROUTE(retry.budget_bp)},
{"routes[].health", TYPE_MAPPING, NULL, 0, 0, RELOAD_YES, "active checks of the endpoints; left out = off", NOWHERE},
{"routes[].health.path", TYPE_TEXT, NULL, 0, 0, RELOAD_YES, "what is asked for; 2xx and 3xx are good answers",
 IN_ROUTE(health.path), REQUIRED, FORM(TEXT_PREFIX)},
{"routes[].health.interval", TYPE_DURATION, "5s", 100, DAY, RELOAD_YES, "from one check to the next",
 IN_ROUTE(health.interval_ms)},
{"routes[].health.timeout", TYPE_DURATION, "2s", 1, DAY, RELOAD_YES, "for the answer", IN_ROUTE(health.timeout_ms)},
{"routes[].health.rise", TYPE_INTEGER, "2", 1, 100, RELOAD_YES, "good answers in a row that bring it back",
 IN_ROUTE(health.rise)},
{"routes[].health.fall", TYPE_INTEGER, "3", 1, 100, RELOAD_YES, "bad ones in a row that take it away, the last one of a version too",
 IN_ROUTE(health.fall)},
{"routes[].eject", TYPE_MAPPING, NULL, 0, 0, RELOAD_YES, "endpoints that fail are left out for a time", NOWHERE},
{"routes[].eject.consecutive", TYPE_INTEGER, "5", 1, 1000, RELOAD_YES, "failures in a row that eject",
 IN_ROUTE(eject.consecutive), .zero = "off"},
{"routes[].eject.base", TYPE_DURATION, "30s", 1, DAY, RELOAD_YES, "first ejection's length; further ones are longer, up to 5m",
 IN_ROUTE(eject.base_ms)},
{"routes[].eject.max_ejected", TYPE_SHARE, "50%", 0, SHARE(100), RELOAD_YES, "most endpoints of a version out at once, and never the last",
 IN_ROUTE(eject.max_ejected_bp)},
{"routes[].breaker", TYPE_MAPPING, NULL, 0, 0, RELOAD_YES, "the data plane's own reflex on a failing canary", NOWHERE},
{"routes[].breaker.window", TYPE_DURATION, "10s", 100, HOUR, RELOAD_YES, "time over which the error rate is taken",
 IN_ROUTE(breaker.window_ms)},
{"routes[].breaker.min_requests", TYPE_INTEGER, "20", 1, 1000000, RELOAD_YES, "fewest requests in the window that count",
 IN_ROUTE(breaker.min_requests), .zero = "off"},
{"routes[].breaker.error_rate", TYPE_SHARE, "50%", 1, SHARE(100), RELOAD_YES, "share of failures that opens it",
 IN_ROUTE(breaker.error_rate_bp)},
{"routes[].breaker.retry_after", TYPE_DURATION, "30s", 1, DAY, RELOAD_YES, "before a trickle tries the canary again",
 IN_ROUTE(breaker.retry_after_ms)},
{"routes[].mirror", TYPE_SHARE, "0%", 0, SHARE(100), RELOAD_YES,
 "copy of stable requests to the canary, answers thrown away", IN_ROUTE(mirror_bp), LATER},
{"routes[].headers", TYPE_MAPPING, NULL, 0, 0, RELOAD_YES, "what is added to requests", NOWHERE},
{"routes[].headers.request_id", TYPE_BOOL, "true", 0, 0, RELOAD_YES, "X-Request-ID, kept or made",
 IN_ROUTE(headers.request_id)},
{"routes[].headers.forwarded", TYPE_CHOICE, "x", 0, 0, RELOAD_YES, "x = X-Forwarded-*, rfc7239 = Forwarded",
 IN_ROUTE(headers.forwarded), CHOICES(forwardings)},
{"routes[].weight", TYPE_SHARE, NULL, 0, SHARE(100), RELOAD_YES,
 "the canary's share in a static split, instead of a rollout", IN_ROUTE(weight_bp), .absent_help = "no static split"},

{"routes[].rollout", TYPE_MAPPING, NULL, 0, 0, RELOAD_ROLLOUT, "how the canary's share grows", NOWHERE},
{ROLLOUT "start", TYPE_CHOICE, "manual", 0, 0, RELOAD_YES, "auto = as soon as a new pair of versions is read",
 IN_ROUTE(plan.start_auto), CHOICES(starts)},
{ROLLOUT "steps", TYPE_LIST, "[1%, 5%, 10%, 25%, 50%, 100%]", 1, PLAN_STEPS_MAX, RELOAD_ROLLOUT,
 "rising shares; an item is a share or a mapping", IN_ROUTE(plan.steps), COUNT(config_route, plan.n_steps),
 .flags = FIELD_INLINE, .items = SCOPE_STEP, .short_key = "weight"},
{ROLLOUT "steps[].weight", TYPE_SHARE, NULL, 0, SHARE(100), RELOAD_ROLLOUT, "the canary's share at this step",
 IN_STEP(weight_bp), REQUIRED},
{ROLLOUT "steps[].hold", TYPE_DURATION, NULL, 0, WEEK, RELOAD_ROLLOUT, "shortest time at this step",
 IN_STEP(hold_ms), .absent = -1, .absent_help = "rollout.hold"},
{ROLLOUT "steps[].min_requests", TYPE_INTEGER, NULL, 0, 1000000000, RELOAD_ROLLOUT,
 "fewest canary requests at this step", IN_STEP(min_requests), .absent = -1, .absent_help = "rollout.min_requests"},
{ROLLOUT "steps[].pause", TYPE_BOOL, "false", 0, 0, RELOAD_ROLLOUT, "wait for `serin promote` when it has passed",
 IN_STEP(pause)},
{ROLLOUT "hold", TYPE_DURATION, "1m", 0, WEEK, RELOAD_ROLLOUT, "shortest time at a step", IN_ROUTE(plan.hold_ms)},
{ROLLOUT "max_hold", TYPE_DURATION, "10m", 1, WEEK, RELOAD_ROLLOUT,
 "longest time without the evidence to widen, then on_low_evidence", IN_ROUTE(plan.max_hold_ms)},
{ROLLOUT "min_requests", TYPE_INTEGER, "50", 0, 1000000000, RELOAD_ROLLOUT,
 "fewest canary requests at a step before it widens on evidence", IN_ROUTE(plan.min_requests)},
{ROLLOUT "on_low_evidence", TYPE_CHOICE, "advance", 0, 0, RELOAD_ROLLOUT,
 "after max_hold; with next to no requests it always holds", IN_ROUTE(plan.on_low_evidence), CHOICES(low_evidences)},
{ROLLOUT "bake", TYPE_DURATION, "5m", 0, WEEK, RELOAD_ROLLOUT, "time at bake_weight before 100%",
 IN_ROUTE(plan.bake_ms)},
{ROLLOUT "bake_weight", TYPE_SHARE, "99%", 1, SHARE(100) - 1, RELOAD_ROLLOUT,
 "share while baking: stable keeps the rest, so that the judge can still revert", IN_ROUTE(plan.bake_weight_bp)},
{ROLLOUT "progress_deadline", TYPE_DURATION, "10m", SECOND, WEEK, RELOAD_ROLLOUT,
 "for endpoints to become available; pause and hold do not count", IN_ROUTE(plan.progress_deadline_ms)},
{ROLLOUT "max_pause", TYPE_DURATION, "24h", SECOND, YEAR, RELOAD_ROLLOUT, "longest pause, then abort",
 IN_ROUTE(plan.max_pause_ms)},
{ROLLOUT "on_failure", TYPE_CHOICE, "abort", 0, 0, RELOAD_ROLLOUT, "pause = weight 0 and wait for a person",
 IN_ROUTE(plan.on_failure), CHOICES(failures)},
{ROLLOUT "on_new_version", TYPE_CHOICE, "restart", 0, 0, RELOAD_ROLLOUT, "another canary while one is rolled out",
 IN_ROUTE(plan.on_new_version), CHOICES(new_versions)},
{ROLLOUT "abort_steps", TYPE_SHARES, "[]", 0, LATER_MAX, RELOAD_ROLLOUT, "shares on the way back, if not at once to 0",
 NOWHERE, LATER},
{ROLLOUT "replicas", TYPE_MAPPING, NULL, 0, 0, RELOAD_ROLLOUT, "replicas on Kubernetes: both versions are workloads",
 NOWHERE},
{ROLLOUT "replicas.mode", TYPE_CHOICE, "match_weight", 0, 0, RELOAD_ROLLOUT, "how they follow the weight",
 IN_ROUTE(plan.replicas_mode), CHOICES(replica_modes)},
{ROLLOUT "replicas.max_surge", TYPE_AMOUNT, "1", 0, PLAN_REPLICAS_MAX, RELOAD_ROLLOUT,
 "most pods beyond the wanted number", IN_ROUTE(plan.surge)},
{ROLLOUT "replicas.max_unavailable", TYPE_AMOUNT, "0", 0, PLAN_REPLICAS_MAX, RELOAD_ROLLOUT,
 "most pods below the wanted number", IN_ROUTE(plan.unavailable)},
{ROLLOUT "replicas.headroom", TYPE_SHARE, "120%", SHARE(100), SHARE(1000), RELOAD_ROLLOUT,
 "mode capacity: canary pods, as a share of what the weight needs", IN_ROUTE(plan.headroom)},
{ROLLOUT "replicas.cleanup", TYPE_CHOICE, "preserve", 0, 0, RELOAD_ROLLOUT,
 "a workload that was replaced: kept with 0 replicas, or deleted", IN_ROUTE(plan.cleanup), CHOICES(cleanups)},
{ROLLOUT "false_abort", TYPE_SHARE, "1%", 1, SHARE(50), RELOAD_ROLLOUT,
 "largest probability that a canary no worse than stable is reverted", IN_ROUTE(plan.false_abort)},
{ROLLOUT "harm_budget", TYPE_SHARE, "0.1%", 1, SHARE(50), RELOAD_ROLLOUT,
 "excess failures that may go unnoticed, as a share of all traffic", IN_ROUTE(plan.harm_budget)},
{ROLLOUT "checks", TYPE_MAPPING, NULL, 0, 0, RELOAD_ROLLOUT, "what is compared", NOWHERE},
{ROLLOUT "checks.errors", TYPE_MAPPING, NULL, 0, 0, RELOAD_ROLLOUT, "5xx, resets, timeouts", NOWHERE},
{ROLLOUT "checks.errors.margin", TYPE_SHARE, "10%", 0, SHARE(1000), RELOAD_ROLLOUT,
 "allowed above stable, as a share of stable's rate", IN_ROUTE(plan.errors.margin)},
{ROLLOUT "checks.errors.margin_absolute", TYPE_SHARE, "0.02%", 0, SHARE(100), RELOAD_ROLLOUT,
 "allowed above stable, as a share of requests", IN_ROUTE(plan.errors.margin_absolute)},
{ROLLOUT "checks.errors.ceiling", TYPE_SHARE, "1%", 1, SHARE(100), RELOAD_ROLLOUT,
 "error rate that is too much where stable keeps below it", IN_ROUTE(plan.errors_ceiling), .zero = "off"},
{ROLLOUT "checks.client_errors", TYPE_MAPPING, NULL, 0, 0, RELOAD_ROLLOUT, "4xx", NOWHERE},
{ROLLOUT "checks.client_errors.enabled", TYPE_BOOL, "true", 0, 0, RELOAD_ROLLOUT, "false = not judged",
 IN_ROUTE(plan.client_errors_judged)},
{ROLLOUT "checks.client_errors.margin", TYPE_SHARE, "25%", 0, SHARE(1000), RELOAD_ROLLOUT,
 "allowed above stable, as a share of stable's rate", IN_ROUTE(plan.client_errors.margin)},
{ROLLOUT "checks.client_errors.margin_absolute", TYPE_SHARE, "0.5%", 0, SHARE(100), RELOAD_ROLLOUT,
 "allowed above stable, as a share of requests", IN_ROUTE(plan.client_errors.margin_absolute)},
{ROLLOUT "checks.latency", TYPE_MAPPING, NULL, 0, 0, RELOAD_ROLLOUT, "response times", NOWHERE},
{ROLLOUT "checks.latency.enabled", TYPE_BOOL, "true", 0, 0, RELOAD_ROLLOUT, "false = not judged",
 IN_ROUTE(plan.latency_judged)},
{ROLLOUT "checks.latency.margin", TYPE_SHARE, "5%", 0, SHARE(1000), RELOAD_ROLLOUT,
 "allowed above stable's quantiles", IN_ROUTE(plan.latency_margin)},
{ROLLOUT "checks.latency.quantiles", TYPE_SHARES, "[50%, 90%, 99%]", 1, PLAN_QUANTILES_MAX, RELOAD_ROLLOUT,
 "quantiles that are compared", IN_ROUTE(plan.quantiles), COUNT(config_route, plan.n_quantiles)},
{ROLLOUT "checks.latency.warmup", TYPE_DURATION, "2m", 0, DAY, RELOAD_ROLLOUT, "time of a new canary that is left out",
 IN_ROUTE(plan.latency_warmup_ms)},
{ROLLOUT "more_checks", TYPE_LIST, "[]", 0, OUTSIDE_CHECKS_MAX, RELOAD_ROLLOUT, "checks by others",
 IN_ROUTE(more_checks), COUNT(config_route, n_more_checks), .items = SCOPE_MORE_CHECK},
{ROLLOUT "more_checks[].prometheus", TYPE_MAPPING, NULL, 0, 0, RELOAD_ROLLOUT, "a query", IN_CHECK(has_prometheus)},
{ROLLOUT "more_checks[].prometheus.name", TYPE_TEXT, NULL, 0, 0, RELOAD_ROLLOUT, "its name", IN_CHECK(prometheus.name),
 REQUIRED, FORM(TEXT_NAME)},
{ROLLOUT "more_checks[].prometheus.url", TYPE_TEXT, NULL, 0, 0, RELOAD_ROLLOUT, "the server", IN_CHECK(prometheus.url),
 REQUIRED, FORM(TEXT_URL)},
{ROLLOUT "more_checks[].prometheus.query", TYPE_TEXT, NULL, 0, 0, RELOAD_ROLLOUT,
 "PromQL with one value; $route, $stable and $canary are filled in", IN_CHECK(prometheus.query), REQUIRED},
{ROLLOUT "more_checks[].prometheus.min", TYPE_TEXT, NULL, 0, 0, RELOAD_ROLLOUT, "least good value",
 IN_CHECK(prometheus.min), FORM(TEXT_NUMBER)},
{ROLLOUT "more_checks[].prometheus.max", TYPE_TEXT, NULL, 0, 0, RELOAD_ROLLOUT, "largest good value",
 IN_CHECK(prometheus.max), FORM(TEXT_NUMBER)},
{ROLLOUT "more_checks[].prometheus.interval", TYPE_DURATION, "1m", SECOND, DAY, RELOAD_ROLLOUT, "how often it is asked",
 IN_CHECK(prometheus.interval_ms)},
{ROLLOUT "more_checks[].prometheus.failures", TYPE_INTEGER, "3", 1, 1000, RELOAD_ROLLOUT, "failures in a row that abort",
 IN_CHECK(prometheus.failures)},
{ROLLOUT "more_checks[].prometheus.dry_run", TYPE_BOOL, "false", 0, 0, RELOAD_ROLLOUT, "shown, never decides",
 IN_CHECK(prometheus.dry_run)},
{ROLLOUT "more_checks[].webhook", TYPE_MAPPING, NULL, 0, 0, RELOAD_ROLLOUT, "a POST that is answered by 2xx",
 IN_CHECK(has_webhook)},
{ROLLOUT "more_checks[].webhook.name", TYPE_TEXT, NULL, 0, 0, RELOAD_ROLLOUT, "its name", IN_CHECK(webhook.name), REQUIRED,
 FORM(TEXT_NAME)},
{ROLLOUT "more_checks[].webhook.url", TYPE_TEXT, NULL, 0, 0, RELOAD_ROLLOUT, "where it goes", IN_CHECK(webhook.url),
 REQUIRED, FORM(TEXT_URL)},
{ROLLOUT "more_checks[].webhook.interval", TYPE_DURATION, "1m", SECOND, DAY, RELOAD_ROLLOUT, "how often it is asked",
 IN_CHECK(webhook.interval_ms)},
{ROLLOUT "more_checks[].webhook.failures", TYPE_INTEGER, "3", 1, 1000, RELOAD_ROLLOUT, "failures in a row that abort",
 IN_CHECK(webhook.failures)},
{ROLLOUT "more_checks[].webhook.dry_run", TYPE_BOOL, "false", 0, 0, RELOAD_ROLLOUT, "shown, never decides",
 IN_CHECK(webhook.dry_run)},
{ROLLOUT "gates", TYPE_LIST, "[]", 0, OUTSIDE_GATES_MAX, RELOAD_ROLLOUT, "who is asked before a move",
 IN_ROUTE(outside.gates), COUNT(config_route, outside.n_gates), .items = SCOPE_GATE},
{ROLLOUT "gates[].on", TYPE_CHOICE, NULL, 0, 0, RELOAD_ROLLOUT, "when", IN_GATE(on), REQUIRED, CHOICES(gate_moments)},
{ROLLOUT "gates[].url", TYPE_TEXT, NULL, 0, 0, RELOAD_ROLLOUT, "where the POST goes", IN_GATE(url), REQUIRED,
 FORM(TEXT_URL)},
{ROLLOUT "gates[].timeout", TYPE_DURATION, "10s", 1, DAY, RELOAD_ROLLOUT, "for the answer", IN_GATE(timeout_ms)},
{ROLLOUT "windows", TYPE_LIST, "[]", 0, OUTSIDE_WINDOWS_MAX, RELOAD_ROLLOUT, "times at which it may widen",
 IN_ROUTE(outside.windows), COUNT(config_route, outside.n_windows), .items = SCOPE_WINDOW},
{ROLLOUT "windows[].days", TYPE_SET, "[mon, tue, wed, thu, fri, sat, sun]", 1, 7, RELOAD_ROLLOUT, "days of the week",
 IN_WINDOW(days), CHOICES(weekdays)},
{ROLLOUT "windows[].from", TYPE_TEXT, NULL, 0, 0, RELOAD_ROLLOUT, "first minute", IN_WINDOW(from), REQUIRED,
 FORM(TEXT_TIME)},
{ROLLOUT "windows[].to", TYPE_TEXT, NULL, 0, 0, RELOAD_ROLLOUT, "minute of the end", IN_WINDOW(to), REQUIRED,
 FORM(TEXT_TIME)},
{ROLLOUT "windows[].tz", TYPE_TEXT, "UTC", 0, 0, RELOAD_ROLLOUT, "time zone such as Europe/Paris", IN_WINDOW(tz)},
};
/* clang-format on */

const size_t config_fields_n = ARRAY_LEN(config_fields);

size_t config_scope_size(enum config_scope scope)
{
    static const size_t sizes[SCOPES] = {
        [SCOPE_CONFIG] = sizeof(struct config),
        [SCOPE_LISTENER] = sizeof(struct config_listener),
        [SCOPE_ROUTE] = sizeof(struct config_route),
        [SCOPE_VERSION] = sizeof(struct config_version),
        [SCOPE_STEP] = sizeof(struct plan_step),
        [SCOPE_MORE_CHECK] = sizeof(struct config_more_check),
        [SCOPE_GATE] = sizeof(struct outside_gate),
        [SCOPE_WINDOW] = sizeof(struct outside_window),
    };
    return sizes[scope];
}
