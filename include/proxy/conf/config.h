/* The configuration as the program sees it: every key of the file, checked, in the units that its name says.
 * Immutable once read; all memory is one arena's. The keys and their meaning: README.md, "Configuration".
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONF_CONFIG_H
#define SERIN_PROXY_CONF_CONFIG_H

#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"
#include "rollout/decide/outside.h"
#include "rollout/decide/plan.h"

/* Shares are basis points, 0 to 10000; times are milliseconds and 0 means off where off is allowed. */
#define SHARE_FULL_BP 10000u

struct config_string_list {
    const char **items; /* NUL-terminated */
    size_t n;
};

struct config_network;

/* Where a key's value stands in the file; line 0: the file leaves it out. */
struct config_place {
    uint32_t line, column;
};

enum config_tls_version { CONFIG_TLS_1_2, CONFIG_TLS_1_3 };
enum config_client_certificate { CLIENT_CERTIFICATE_REQUIRED, CLIENT_CERTIFICATE_OPTIONAL };

/* A chain and the key of its first certificate. */
struct config_certificate {
    const char *certificate, *key; /* PEM files */
    struct config_place certificate_place, key_place;
};

/* What a listener with TLS shows its clients and asks of them. */
struct config_tls {
    struct config_certificate *certificates; /* at least one; without a name that fits: the first */
    size_t n_certificates;
    uint32_t min_version;        /* enum config_tls_version */
    const char *client_ca;       /* PEM file; NULL = clients are not asked for a certificate */
    uint32_t client_certificate; /* enum config_client_certificate, where there is a client_ca */
    const char *client_subject_header; /* carries the subject of a client's certificate upstream */
    struct config_place client_ca_place;
};

struct config_listener {
    const char *bind; /* "address:port", "[v6]:port", "unix:/path" or "fd:NAME", as written */
    bool proxy_protocol;
    struct config_string_list trusted;
    struct config_network *networks; /* [trusted.n], proxy/conf/address.h */
    bool has_tls;
    struct config_tls tls;
    struct config_place place; /* of bind */
};

struct config_admin {
    const char *bind;
    const char *token_file; /* NULL = none */
    const char *url;        /* where people reach it; NULL = not said */
};

enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };
enum access_format { ACCESS_OFF, ACCESS_COMBINED, ACCESS_JSON };

struct config_log {
    int level; /* enum log_level */
    enum log_format format;
    enum access_format access;
    const char *access_file;
};

struct config_timeouts {
    uint32_t client_header_ms, client_idle_ms, client_body_ms, connect_ms, response_header_ms,
        upstream_idle_ms, response_idle_ms, request_total_ms, drain_ms, handover_ms, tunnel_idle_ms;
    uint32_t min_rate_bytes; /* per second, after 5 s; 0 = off */
};

struct config_limits {
    uint32_t header_bytes, headers, uri_bytes;
    uint64_t body_bytes;  /* 0 = none */
    uint32_t connections; /* 0 = none */
    uint32_t pending_per_endpoint;
    uint32_t upstream_connections_per_endpoint; /* 0 = none */
    uint32_t requests_per_connection;           /* 0 = none */
};

struct ssl_ctx_st; /* OpenSSL's SSL_CTX */

/* TLS to the endpoints of a version. */
struct config_upstream_tls {
    const char *ca;          /* PEM file; NULL = the issuers that the system trusts */
    const char *server_name; /* NULL = the name or address of its endpoints */
    bool verify;
    struct config_certificate shown; /* to the endpoints; NULL, NULL = none */
    uint32_t min_version;            /* enum config_tls_version */
    struct config_place place, ca_place;
    const char *name; /* what its endpoints must prove to be; NULL = each its own IP address */
    struct ssl_ctx_st *context; /* borrowed from proxy/control/upstream_tls.h; NULL until then */
};

struct config_version {
    const char *name;
    const char *revision; /* NULL = none; part of the version's identity */
    struct config_string_list
        endpoints; /* "address:port", "[v6]:port", "unix:/path", "dns:name:port", as written;
                      none where it is a workload */
    bool has_tls;
    struct config_upstream_tls tls;
    const char *workload; /* "rc/my-web-v1", on Kubernetes; NULL = it has endpoints */
    const char *manifest; /* file that the workload is made from; NULL = it is there */
    uint16_t port;        /* of the workload's pods */
};

enum balance { BALANCE_LEAST_REQUESTS, BALANCE_ROUND_ROBIN, BALANCE_HASH };
enum sticky_by { STICKY_NONE, STICKY_COOKIE, STICKY_HEADER, STICKY_CLIENT_IP };

struct config_override {
    const char *header, *cookie; /* NULL = none */
};

struct config_sticky {
    enum sticky_by by;
    const char *name;
    bool issue; /* by cookie: sets one where the request has none */
};

enum retry_on {
    RETRY_CONNECT = 1,
    RETRY_RESET = 2,
    RETRY_502 = 4,
    RETRY_503 = 8,
    RETRY_504 = 16,
};

struct config_retry {
    uint32_t on; /* set of enum retry_on */
    bool to_stable;
    uint32_t methods; /* set of 1u << enum method (proxy/http/head.h) */
    uint32_t max;
    uint32_t budget_bp;
};

struct config_health {
    const char *path; /* NULL = no active checks */
    uint32_t interval_ms, timeout_ms, rise, fall;
};

struct config_eject {
    uint32_t consecutive; /* 0 = off */
    uint32_t base_ms;
    uint32_t max_ejected_bp;
};

struct config_breaker {
    uint32_t window_ms, min_requests, error_rate_bp, retry_after_ms; /* min_requests 0 = off */
};

struct config_headers {
    bool request_id, trace;
    const char
        *version;  /* field of a response that names the version which served it; NULL = none */
    int forwarded; /* enum forwarded_mode (proxy/http/rewrite.h) */
};

/* An item of more_checks as the file has it: one of the two. config_route.outside has what it says. */
struct config_more_check {
    bool has_prometheus, has_webhook;
    struct outside_check prometheus, webhook;
};

struct config_route {
    const char *name;
    struct config_string_list hosts; /* n 0 = any */
    struct config_string_list paths; /* at least one */
    struct config_version *versions;
    size_t n_versions;
    const char *stable;
    const char *canary; /* NULL = none */
    enum balance balance;
    struct config_override override;
    struct config_sticky sticky;
    struct config_retry retry;
    struct config_health health;
    struct config_eject eject;
    struct config_breaker breaker;
    uint32_t mirror_bp;      /* 0 = off */
    uint32_t mirror_methods; /* set of 1u << enum method (proxy/http/head.h) */
    struct config_headers headers;
    bool has_weight; /* a static split instead of a rollout */
    uint32_t weight_bp;
    bool
        has_rollout; /* a canary is named and no static weight: plan holds (defaults where the file is silent) */
    struct plan plan; /* rollout/decide/plan.h */
    struct config_more_check *more_checks;
    size_t n_more_checks;
    struct outside outside; /* rollout/decide/outside.h */
    int line;               /* where the route stands in the file, for messages */
};

struct config_dns {
    struct config_string_list servers; /* "127.0.0.1:53"; n 0 = what the system asks */
    uint32_t timeout_ms;               /* of one question to one server */
};

/* Each NULL = left out. */
struct config_kubernetes {
    const char *kubeconfig, *context, *name_space;
    const char *lease; /* never NULL */
    uint32_t lease_duration_ms;
};

/* Somebody who is told of rollouts. The URL may be a secret: neither it nor what a file says is ever shown. */
struct config_notification {
    const char *name;
    const char *url, *url_file;       /* one of the two; the other NULL */
    const char *secret_file;          /* NULL = messages are not signed */
    uint32_t format;                  /* enum notify_format (rollout/notify/kinds.h) */
    uint32_t events;                  /* sum of enum notify_kind */
    struct config_string_list routes; /* n 0 = every route */
    uint32_t timeout_ms;
    struct config_place url_file_place, secret_file_place;
};

struct config {
    struct arena arena;
    const char *file; /* as named by the user */
    uint32_t workers; /* resolved: auto = online cores */
    const char *state_dir;
    struct config_listener *listeners;
    size_t n_listeners;
    /* Names that only serin may set: the client_subject_header of every listener with a client_ca, each once. */
    struct config_string_list subject_headers;
    struct config_admin admin;
    struct config_log log;
    struct config_timeouts timeouts;
    struct config_limits limits;
    struct config_dns dns;
    struct config_kubernetes kubernetes;
    struct config_notification *notifications;
    size_t n_notifications;
    struct config_route *routes;
    size_t n_routes;
    struct {
        struct config_place workers, state_dir, listeners, admin_bind, token_file;
        struct config_place kubeconfig, context, name_space, lease, lease_duration;
    } places; /* of the keys that need a restart */
};

/* Whether its endpoints come and go at run time: it is a workload, or one of its endpoints is a name. Pure.
 * O(endpoints). */
bool config_version_is_dynamic(const struct config_version *v);

/* Finds a route or a version by name; NULL where there is none. Pure. */
const struct config_route *config_find_route(const struct config *c, const char *name);
const struct config_version *config_find_version(const struct config_route *r, const char *name);

#endif
