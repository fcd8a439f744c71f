/* A file with every key becomes the values that it says; an empty one the documented defaults.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/conf/load.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/log.h"
#include "conf_help.h"
#include "proxy/http/head.h"
#include "proxy/http/rewrite.h"

/* Every key that may be set in this release, none to its default. */
static const char full[] =
    "workers: 3\n"
    "kubernetes: { kubeconfig: " TESTS_DIR "/packages, context: \"arn:aws:x/y\", namespace: shop,\n"
    "  lease: front, lease_duration: 1m }\n"
    "state_dir: /tmp/state\n"
    "listeners:\n"
    "  - { bind: \"127.0.0.1:0\" }\n"
    "  - bind: unix:/run/serin.sock\n"
    "    proxy_protocol: false\n"
    "    trusted: []\n"
    "admin: { bind: \"[::1]:9901\", token_file: " TESTS_DIR "/packages }\n"
    "log: { level: debug, format: json, access: off, access_file: \"-\" }\n"
    "timeouts: { client_header: 1s, client_idle: 2s, client_body: 3s, connect: 4s,\n"
    "  response_header: 5s, upstream_idle: 6s, response_idle: 7s, request_total: 8s,\n"
    "  drain: 9s, handover: 10s, min_rate: 240B, tunnel_idle: 60m }\n"
    "limits: { header_bytes: 1KiB, headers: 2, uri_bytes: 300B, body_bytes: 5GiB,\n"
    "  connections: 6, pending_per_endpoint: 7, requests_per_connection: 8,\n"
    "  upstream_connections_per_endpoint: 0 }\n"
    "routes:\n"
    "  - name: a\n"
    "    hosts: [Shop.Example, \"*.shop.example\"]\n"
    "    paths: [/, /api/]\n"
    "    versions:\n"
    "      old: { endpoints: [\"10.0.0.1:1\", \"[::1]:2\"], revision: r1 }\n"
    "      new: { endpoints: [unix:/run/new.sock] }\n"
    "    stable: old\n"
    "    canary: new\n"
    "    balance: round_robin\n"
    "    override: { header: X-Canary, cookie: canary }\n"
    "    sticky: { by: cookie, name: uid, issue: true }\n"
    "    retry: { on: [reset, 503], to: same, methods: [GET, POST], max: 3, budget: 12.5% }\n"
    "    breaker: { window: 1s, min_requests: 0, error_rate: 12.5%, retry_after: 2s }\n"
    "    mirror: 12.5%\n    mirror_methods: [GET, PUT]\n"
    "    headers: { request_id: false, trace: false, version: X-V, forwarded: both }\n"
    "    rollout:\n"
    "      start: auto\n"
    "      steps: [0.5%, { weight: 25%, hold: 2m, min_requests: 500, pause: true }]\n"
    "      hold: 2s\n"
    "      max_hold: 3m\n"
    "      min_requests: 4\n"
    "      on_low_evidence: pause\n"
    "      bake: 5s\n"
    "      bake_weight: 60%\n"
    "      progress_deadline: 7s\n"
    "      max_pause: 8s\n"
    "      on_failure: pause\n"
    "      on_new_version: refuse\n"
    "      false_abort: 0.5%\n"
    "      harm_budget: 2%\n"
    "      checks: { errors: { margin: 200%, margin_absolute: 3% } }\n"
    "  - name: b\n"
    "    paths: [/b]\n"
    "    versions: { v1: { endpoints: [\"10.0.0.3:1\"] }, v2: { endpoints: [\"10.0.0.4:1\"] } }\n"
    "    stable: v1\n"
    "    canary: v2\n"
    "    weight: 10%\n"
    "  - name: c\n"
    "    paths: [/c]\n"
    "    versions: { v1: { endpoints: [\"10.0.0.5:1\"] } }\n"
    "    stable: v1\n"
    "  - name: d\n"
    "    paths: [/d]\n"
    "    versions:\n"
    "      v1: { workload: rc/web-v1, port: 80 }\n"
    "      v2: { workload: deployment/web-v2, port: 8080, manifest: " TESTS_DIR "/packages }\n"
    "    stable: v1\n"
    "    canary: v2\n"
    "    rollout: { replicas: { mode: capacity, max_surge: 25%, max_unavailable: 2, "
    "headroom: 150% } }\n";

static void expect_process(const struct config *c)
{
    assert_string_equal(c->file, "f");
    assert_int_equal(c->workers, 3);
    assert_string_equal(c->state_dir, "/tmp/state");
    assert_int_equal(c->n_listeners, 2);
    assert_string_equal(c->listeners[0].bind, "127.0.0.1:0");
    assert_string_equal(c->listeners[1].bind, "unix:/run/serin.sock");
    assert_false(c->listeners[1].proxy_protocol || c->listeners[1].has_tls);
    assert_int_equal(c->listeners[1].trusted.n, 0);
    assert_string_equal(c->admin.bind, "[::1]:9901");
    assert_string_equal(c->admin.token_file, TESTS_DIR "/packages");
    assert_int_equal(c->log.level, LOG_DEBUG);
    assert_int_equal(c->log.format, LOG_FORMAT_JSON);
    assert_int_equal(c->log.access, ACCESS_OFF);
    assert_string_equal(c->log.access_file, "-");
}

static void expect_numbers(const struct config *c)
{
    const struct config_timeouts *t = &c->timeouts;
    assert_int_equal(t->client_header_ms, 1000);
    assert_int_equal(t->client_idle_ms, 2000);
    assert_int_equal(t->client_body_ms, 3000);
    assert_int_equal(t->connect_ms, 4000);
    assert_int_equal(t->response_header_ms, 5000);
    assert_int_equal(t->upstream_idle_ms, 6000);
    assert_int_equal(t->response_idle_ms, 7000);
    assert_int_equal(t->request_total_ms, 8000);
    assert_true(t->drain_ms == 9000 && t->handover_ms == 10000);
    assert_int_equal(t->min_rate_bytes, 240);
    assert_int_equal(t->tunnel_idle_ms, 3600000);
    const struct config_limits *l = &c->limits;
    assert_int_equal(l->header_bytes, 1024);
    assert_int_equal(l->headers, 2);
    assert_int_equal(l->uri_bytes, 300);
    assert_int_equal(l->body_bytes, UINT64_C(5368709120));
    assert_int_equal(l->connections, 6);
    assert_int_equal(l->pending_per_endpoint, 7);
    assert_int_equal(l->requests_per_connection, 8);
    assert_int_equal(l->upstream_connections_per_endpoint, 0);
}

static void expect_route(const struct config_route *r)
{
    assert_string_equal(r->name, "a");
    assert_int_equal(r->line, 19);
    assert_int_equal(r->hosts.n, 2);
    assert_string_equal(r->hosts.items[0], "shop.example"); /* lower case */
    assert_string_equal(r->hosts.items[1], "*.shop.example");
    assert_int_equal(r->paths.n, 2);
    assert_string_equal(r->paths.items[1], "/api/");
    assert_int_equal(r->n_versions, 2);
    assert_string_equal(r->versions[0].name, "old");
    assert_string_equal(r->versions[0].revision, "r1");
    assert_int_equal(r->versions[0].endpoints.n, 2);
    assert_string_equal(r->versions[0].endpoints.items[1], "[::1]:2");
    assert_string_equal(r->versions[1].name, "new");
    assert_null(r->versions[1].revision);
    assert_string_equal(r->versions[1].endpoints.items[0], "unix:/run/new.sock");
    assert_string_equal(r->stable, "old");
    assert_string_equal(r->canary, "new");
    assert_int_equal(r->balance, BALANCE_ROUND_ROBIN);
    assert_string_equal(r->override.header, "X-Canary");
    assert_string_equal(r->override.cookie, "canary");
    assert_int_equal(r->sticky.by, STICKY_COOKIE);
    assert_string_equal(r->sticky.name, "uid");
    assert_true(r->sticky.issue);
    assert_int_equal(r->retry.on, RETRY_RESET | RETRY_503);
    assert_int_equal(r->retry.methods, 1u << METHOD_GET | 1u << METHOD_POST);
    assert_true(!r->retry.to_stable && r->retry.max == 3 && r->retry.budget_bp == 1250);
    assert_int_equal(r->breaker.window_ms, 1000);
    assert_int_equal(r->breaker.min_requests, 0);
    assert_int_equal(r->breaker.error_rate_bp, 1250);
    assert_int_equal(r->breaker.retry_after_ms, 2000);
    assert_true(r->mirror_bp == 1250 && r->mirror_methods == (1u << METHOD_GET | 1u << METHOD_PUT));
    assert_false(r->headers.request_id || r->headers.trace);
    assert_true(!strcmp(r->headers.version, "X-V") && r->headers.forwarded == FORWARDED_BOTH);
    assert_true(r->has_rollout);
    assert_false(r->has_weight);
}

static void expect_plan(const struct plan *p)
{
    assert_true(p->start_auto);
    assert_int_equal(p->n_steps, 2);
    assert_int_equal(p->steps[0].weight_bp, 50);
    assert_int_equal(p->steps[0].hold_ms, -1);
    assert_int_equal(p->steps[0].min_requests, -1);
    assert_false(p->steps[0].pause);
    assert_int_equal(p->steps[1].weight_bp, 2500);
    assert_int_equal(p->steps[1].hold_ms, 120000);
    assert_int_equal(p->steps[1].min_requests, 500);
    assert_true(p->steps[1].pause);
    assert_int_equal(p->steps[2].weight_bp, 0); /* nothing of the default's longer list is left */
    assert_int_equal(p->hold_ms, 2000);
    assert_int_equal(p->max_hold_ms, 180000);
    assert_int_equal(p->min_requests, 4);
    assert_int_equal(p->on_low_evidence, LOW_EVIDENCE_PAUSE);
    assert_int_equal(p->bake_ms, 5000);
    assert_int_equal(p->bake_weight_bp, 6000);
    assert_int_equal(p->progress_deadline_ms, 7000);
    assert_int_equal(p->max_pause_ms, 8000);
    assert_int_equal(p->on_failure, ON_FAILURE_PAUSE);
    assert_int_equal(p->on_new_version, ON_NEW_VERSION_REFUSE);
    assert_true(p->false_abort == 0.005);
    assert_true(p->harm_budget == 0.02);
    assert_true(p->errors.margin == 2.0);
    assert_true(p->errors.margin_absolute == 0.03);
}

static void expect_workloads(const struct config *c)
{
    const struct config_route *r = &c->routes[3];
    assert_string_equal(r->versions[0].workload, "rc/web-v1");
    assert_int_equal(r->versions[0].port, 80);
    assert_null(r->versions[0].manifest);
    assert_int_equal(r->versions[0].endpoints.n, 0);
    assert_string_equal(r->versions[1].workload, "deployment/web-v2");
    assert_int_equal(r->versions[1].port, 8080);
    assert_string_equal(r->versions[1].manifest, TESTS_DIR "/packages");
    assert_int_equal(r->plan.replicas_mode, PLAN_REPLICAS_CAPACITY);
    assert_true(r->plan.surge.is_share && r->plan.surge.value == 2500);
    assert_true(!r->plan.unavailable.is_share && r->plan.unavailable.value == 2);
    assert_true(r->plan.headroom == 1.5);
    assert_string_equal(c->kubernetes.kubeconfig, TESTS_DIR "/packages");
    assert_string_equal(c->kubernetes.context, "arn:aws:x/y");
    assert_string_equal(c->kubernetes.name_space, "shop");
    assert_string_equal(c->kubernetes.lease, "front");
    assert_int_equal(c->kubernetes.lease_duration_ms, 60000);
}

static void test_every_key(void **state)
{
    (void)state;
    struct config *c = help_good(full);
    expect_process(c);
    expect_numbers(c);
    assert_int_equal(c->n_routes, 4);
    expect_route(&c->routes[0]);
    expect_plan(&c->routes[0].plan);
    assert_true(c->routes[1].has_weight);
    assert_false(c->routes[1].has_rollout);
    assert_int_equal(c->routes[1].weight_bp, 1000);
    assert_null(c->routes[2].canary);
    assert_false(c->routes[2].has_rollout || c->routes[2].has_weight);
    assert_ptr_equal(config_find_route(c, "b"), &c->routes[1]);
    assert_null(config_find_route(c, "e"));
    expect_workloads(c);
    assert_ptr_equal(config_find_version(&c->routes[0], "new"), &c->routes[0].versions[1]);
    assert_null(config_find_version(&c->routes[0], "v1"));
    config_free(c);
}

static void expect_default_route(const struct config_route *r)
{
    assert_int_equal(r->hosts.n, 0);
    assert_int_equal(r->paths.n, 1);
    assert_string_equal(r->paths.items[0], "/");
    assert_int_equal(r->balance, BALANCE_LEAST_REQUESTS);
    assert_null(r->override.header);
    assert_null(r->override.cookie);
    assert_int_equal(r->sticky.by, STICKY_NONE);
    assert_null(r->sticky.name);
    assert_false(r->sticky.issue);
    assert_int_equal(r->retry.on, RETRY_CONNECT | RETRY_RESET | RETRY_502 | RETRY_503 | RETRY_504);
    assert_true(r->retry.to_stable);
    assert_int_equal(r->retry.methods, 1u << METHOD_GET | 1u << METHOD_HEAD | 1u << METHOD_OPTIONS |
                                           1u << METHOD_PUT | 1u << METHOD_DELETE);
    assert_int_equal(r->retry.max, 1);
    assert_int_equal(r->retry.budget_bp, 2000);
    assert_null(r->health.path);
    assert_int_equal(r->eject.consecutive, 5);
    assert_int_equal(r->eject.base_ms, 30000);
    assert_int_equal(r->eject.max_ejected_bp, 5000);
    assert_int_equal(r->breaker.window_ms, 10000);
    assert_int_equal(r->breaker.min_requests, 20);
    assert_int_equal(r->breaker.error_rate_bp, 5000);
    assert_int_equal(r->breaker.retry_after_ms, 30000);
    assert_int_equal(r->mirror_bp, 0);
    assert_true(r->headers.request_id && r->headers.trace && !r->headers.version &&
                r->headers.forwarded == FORWARDED_X);
}

/* The controller's own defaults and the table's are the same plan. */
static void expect_default_plan(const struct plan *p)
{
    struct plan d;
    plan_default(&d);
    assert_int_equal(p->start_auto, d.start_auto);
    assert_int_equal(p->n_steps, d.n_steps);
    for (size_t i = 0; i < d.n_steps; i++) {
        assert_int_equal(p->steps[i].weight_bp, d.steps[i].weight_bp);
        assert_int_equal(p->steps[i].hold_ms, d.steps[i].hold_ms);
        assert_int_equal(p->steps[i].min_requests, d.steps[i].min_requests);
        assert_int_equal(p->steps[i].pause, d.steps[i].pause);
    }
    assert_int_equal(p->hold_ms, d.hold_ms);
    assert_int_equal(p->max_hold_ms, d.max_hold_ms);
    assert_int_equal(p->min_requests, d.min_requests);
    assert_int_equal(p->on_low_evidence, d.on_low_evidence);
    assert_int_equal(p->bake_ms, d.bake_ms);
    assert_int_equal(p->bake_weight_bp, d.bake_weight_bp);
    assert_int_equal(p->progress_deadline_ms, d.progress_deadline_ms);
    assert_int_equal(p->max_pause_ms, d.max_pause_ms);
    assert_int_equal(p->on_failure, d.on_failure);
    assert_int_equal(p->on_new_version, d.on_new_version);
    assert_true(p->false_abort == d.false_abort && p->harm_budget == d.harm_budget);
    assert_true(p->errors.margin == d.errors.margin);
    assert_true(p->errors.margin_absolute == d.errors.margin_absolute);
    assert_true(p->errors_ceiling == d.errors_ceiling);
    assert_true(p->client_errors.margin == d.client_errors.margin);
    assert_true(p->client_errors.margin_absolute == d.client_errors.margin_absolute);
    assert_true(p->latency_margin == d.latency_margin);
    assert_int_equal(p->n_quantiles, d.n_quantiles);
    for (size_t i = 0; i < d.n_quantiles; i++)
        assert_true(p->quantiles[i] == d.quantiles[i]);
    assert_int_equal(p->latency_warmup_ms, d.latency_warmup_ms);
    assert_int_equal(p->replicas_mode, d.replicas_mode);
    assert_true(p->surge.is_share == d.surge.is_share && p->surge.value == d.surge.value);
    assert_true(p->unavailable.is_share == d.unavailable.is_share &&
                p->unavailable.value == d.unavailable.value);
    assert_true(p->headroom == d.headroom);
}

static void expect_default_process(const struct config *c)
{
    assert_in_range(c->workers, 1, 256);
    assert_string_equal(c->state_dir, "/var/lib/serin");
    assert_string_equal(c->admin.bind, "127.0.0.1:9900");
    assert_null(c->admin.token_file);
    assert_null(c->kubernetes.kubeconfig);
    assert_null(c->kubernetes.context);
    assert_null(c->kubernetes.name_space);
    assert_string_equal(c->kubernetes.lease, "serin");
    assert_int_equal(c->kubernetes.lease_duration_ms, 15000);
    assert_int_equal(c->log.level, LOG_INFO);
    assert_int_equal(c->log.format, LOG_FORMAT_TEXT);
    assert_int_equal(c->log.access, ACCESS_OFF);
    assert_string_equal(c->log.access_file, "-");
    static const struct config_timeouts timeouts = {.client_header_ms = 10000,
                                                    .client_idle_ms = 60000,
                                                    .client_body_ms = 30000,
                                                    .connect_ms = 2000,
                                                    .response_header_ms = 60000,
                                                    .upstream_idle_ms = 30000,
                                                    .response_idle_ms = 60000,
                                                    .drain_ms = 30000,
                                                    .handover_ms = 3600000,
                                                    .tunnel_idle_ms = 3600000,
                                                    .min_rate_bytes = 240};
    assert_memory_equal(&c->timeouts, &timeouts, sizeof timeouts);
    assert_int_equal(c->limits.header_bytes, 32768);
    assert_int_equal(c->limits.headers, 128);
    assert_int_equal(c->limits.uri_bytes, 16384);
    assert_int_equal(c->limits.body_bytes, 0);
    assert_int_equal(c->limits.connections, 0);
    assert_int_equal(c->limits.pending_per_endpoint, 1024);
    assert_int_equal(c->limits.upstream_connections_per_endpoint, 0);
    assert_int_equal(c->limits.requests_per_connection, 0);
}

static void test_defaults(void **state)
{
    (void)state;
    struct config *c = help_good(GOOD);
    expect_default_process(c);
    expect_default_route(&c->routes[0]);
    expect_default_plan(&c->routes[0].plan);
    assert_true(c->routes[0].has_rollout); /* a canary and no static weight */
    config_free(c);
}

/* A default that is written out is the default: the file with every key is the file with none. */
static void test_written_defaults_are_the_defaults(void **state)
{
    (void)state;
    struct config *c = config_load(TESTS_DIR "/../conf/serin.yaml", &help_errors);
    assert_string_equal(help_print(), "");
    assert_non_null(c);
    expect_default_process(c);
    assert_int_equal(c->routes[0].hosts.n, 2); /* the one example that is no default */
    c->routes[0].hosts.n = 0;
    expect_default_route(&c->routes[0]);
    expect_default_plan(&c->routes[0].plan);
    config_free(c);
    c = config_load(TESTS_DIR "/../conf/minimal.yaml", &help_errors);
    assert_string_equal(help_print(), "");
    assert_non_null(c);
    expect_default_process(c);
    expect_default_route(&c->routes[0]);
    expect_default_plan(&c->routes[0].plan);
    config_free(c);
}

/* Groups whose keys are all commented out. */
static void test_empty_groups(void **state)
{
    (void)state;
    struct config *c =
        help_good(GOOD "    rollout:\n      checks: {}\n    headers: ~\nadmin:\nlog:\n");
    expect_default_process(c);
    expect_default_plan(&c->routes[0].plan);
    config_free(c);
}

static void expect_unreadable(const char *path, const char *line)
{
    assert_null(config_load(path, &help_errors));
    assert_int_equal(help_errors.code, ERR_IO);
    assert_string_equal(help_print(), line);
}

static void test_unreadable_files(void **state)
{
    (void)state;
    expect_unreadable("/nonexistent/serin.yaml",
                      "/nonexistent/serin.yaml: cannot be read: No such file or directory\n");
    expect_unreadable("/", "/: is a directory (expected a regular file)\n");
    expect_unreadable("/dev/null", "/dev/null: is a device (expected a regular file)\n");
    expect_unreadable(NULL, "no configuration: neither /etc/serin/serin.yaml nor ./serin.yaml is "
                            "there (name the file: -c FILE)\n");
}

static void test_a_missing_token_file(void **state)
{
    (void)state;
    help_expect(GOOD "admin: { token_file: /nonexistent/token }\n",
                "f:7:22: admin.token_file: \"/nonexistent/token\" cannot be read: No such file or "
                "directory\n");
}

/* Nobody writes to the pipe: reading it would wait for ever. */
static void test_a_pipe_is_no_file(void **state)
{
    (void)state;
    char directory[] = "/tmp/serin-conf-XXXXXX", path[64], line[128];
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/pipe", directory);
    snprintf(line, sizeof line, "%s: is a pipe (expected a regular file)\n", path);
    assert_int_equal(mkfifo(path, 0600), 0);
    expect_unreadable(path, line);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(directory), 0);
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* A token file is beside the configuration that names it, and is read when that is checked. */
static void test_the_token_file_is_read(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "\n", " \t\n"};
    char directory[] = "/tmp/serin-conf-XXXXXX", conf[64], token[64], line[256];
    assert_non_null(mkdtemp(directory));
    snprintf(conf, sizeof conf, "%s/serin.yaml", directory);
    snprintf(token, sizeof token, "%s/token", directory);
    write_file(conf, GOOD "admin: { token_file: token }\nstate_dir: state\n");
    write_file(token, "secret\n");
    struct config *c = config_load(conf, &help_errors);
    assert_string_equal(help_print(), "");
    assert_string_equal(c->admin.token_file, token);
    assert_memory_equal(c->state_dir, directory, strlen(directory));
    config_free(c);
    snprintf(line, sizeof line,
             "%s:7:22: admin.token_file: \"%s\" holds no token (expected one line of 1 to 4095 "
             "bytes)\n",
             conf, token);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        write_file(token, bad[i]);
        assert_null(config_load(conf, &help_errors));
        assert_string_equal(help_print(), line);
    }
    assert_int_equal(unlink(conf) + unlink(token) + rmdir(directory), 0);
}

static void test_default_path(void **state)
{
    (void)state;
    char before[4096], directory[] = "/tmp/serin-conf-XXXXXX";
    const char *etc = "/etc/serin/serin.yaml";
    assert_non_null(getcwd(before, sizeof before));
    assert_non_null(mkdtemp(directory));
    assert_int_equal(chdir(directory), 0);
    if (access(etc, F_OK) != 0)
        assert_null(config_default_path());
    int fd = open("serin.yaml", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_string_equal(config_default_path(), access(etc, F_OK) == 0 ? etc : "./serin.yaml");
    assert_int_equal(unlink("serin.yaml"), 0);
    assert_int_equal(chdir(before), 0);
    assert_int_equal(rmdir(directory), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_key),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_written_defaults_are_the_defaults),
        cmocka_unit_test(test_empty_groups),
        cmocka_unit_test(test_unreadable_files),
        cmocka_unit_test(test_a_missing_token_file),
        cmocka_unit_test(test_a_pipe_is_no_file),
        cmocka_unit_test(test_the_token_file_is_read),
        cmocka_unit_test(test_default_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
