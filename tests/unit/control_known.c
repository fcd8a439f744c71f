/* Endpoints that come and go at run time: what is known, what a snapshot has, what a reload keeps, what /metrics shows.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "metrics/expo.h"
#include "metrics/log.h"
#include "proxy/conf/load.h"
#include "proxy/control/gauges.h"
#include "proxy/control/host.h"
#include "proxy/control/publish.h"
#include <event2/event.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

/* A route of two workloads, and one of servers. The second argument stands for more keys of the first route. */
#define FILE_OF(v1, v2, more)                                                                      \
    "listeners: [{ bind: \"127.0.0.1:0\" }]\nroutes:\n  - name: web\n    stable: v1\n    "         \
    "versions:\n"                                                                                  \
    "      v1: { " v1 " }\n      v2: { " v2 " }\n" more                                            \
    "  - name: api\n    paths: [/api]\n    stable: v1\n"                                           \
    "    versions: { v1: { endpoints: [\"10.0.0.1:80\"] } }\n"
#define PODS_1 "workload: rc/web-v1, port: 80"
#define PODS_2 "workload: rc/web-v2, port: 80"
#define CANARY "    canary: v2\n    weight: 10%\n"
#define PODS   FILE_OF(PODS_1, PODS_2, CANARY)

static struct control control;

static struct config *load(const char *text)
{
    static struct config_errors errors;
    struct config *c = config_load_text("f", text, strlen(text), &errors);
    if (!c)
        config_errors_print(&errors, stderr);
    assert_non_null(c);
    return c;
}

/* What a reload does, without its file. */
static void take_file(struct control *c, const char *text)
{
    struct why why;
    struct config_keep *old = c->keep;
    c->keep = config_keep_new(load(text));
    assert_non_null(c->keep);
    assert_int_equal(known_configure(&c->known, control_config(c), &why), OK);
    for (struct list *l = c->known.routes.next; l != &c->known.routes; l = l->next)
        host_take_split(CONTAINER_OF(l, struct known_route, link));
    assert_int_equal(publish(c), OK);
    config_keep_unref(old);
}

static int setup(void **state)
{
    const struct log_setup quiet = {.level = LOG_ERROR};
    struct control *c = &control;
    memset(c, 0, sizeof *c);
    assert_int_equal(log_open(&quiet, NULL), OK);
    c->base = event_base_new();
    c->metrics = metrics_new(1);
    known_init(&c->known, c->metrics, 1);
    take_file(c, PODS);
    *state = c;
    return 0;
}

static int teardown(void **state)
{
    struct control *c = *state;
    known_fini(&c->known);
    snapshot_unref(c->snapshot);
    config_keep_unref(c->keep);
    metrics_free(c->metrics);
    event_base_free(c->base);
    return 0;
}

/* Texts separated by blanks. */
static bool give(struct control *c, const char *version, const char *list)
{
    static char copy[4096];
    const char *texts[64];
    size_t n = 0;
    (void)snprintf(copy, sizeof copy, "%s", list);
    for (char *t = strtok(copy, " "); t; t = strtok(NULL, " "))
        texts[n++] = t;
    return known_take_endpoints(&c->known, "web", version, texts, n);
}

/* The endpoints of a version as the newest snapshot has them, separated by blanks. */
static const char *served(const struct control *c, enum metric_role role)
{
    static char text[4096];
    const struct route *r = &c->snapshot->routes[0];
    const struct route_variant *v = role == ROLE_CANARY ? &r->canary : &r->stable;
    text[0] = '\0';
    for (uint32_t i = 0; i < v->n_endpoints; i++) {
        size_t len = strlen(text);
        (void)snprintf(text + len, sizeof text - len, "%s%s", i ? " " : "", v->endpoints[i].text);
    }
    return text;
}

static void expect(struct control *c, const char *v1, const char *v2)
{
    assert_int_equal(publish(c), OK);
    assert_string_equal(served(c, ROLE_STABLE), v1);
    assert_string_equal(served(c, ROLE_CANARY), v2);
}

#define A "10.1.0.1:80"
#define B "10.1.0.2:80"
#define C "10.1.0.3:80"

static void addresses_come_and_go(void **state)
{
    struct control *c = *state;
    expect(c, "", "");
    assert_false(variant_may_serve(&c->snapshot->routes[0].canary));
    assert_true(give(c, "v1", C " " A));
    assert_string_equal(served(c, ROLE_STABLE), ""); /* whoever asks publishes */
    expect(c, A " " C, "");
    assert_false(give(c, "v1", A " " C)); /* in whatever order */
    assert_true(give(c, "v2", B));
    expect(c, A " " C, B);
    assert_true(variant_may_serve(&c->snapshot->routes[0].canary));
    assert_true(give(c, "v1", C " [fd00::2]:80 " C " [fd00:0::2]:80"));
    expect(c, C " [fd00::2]:80", B);
    assert_true(give(c, "v1", B " [fd00::2]:80 " A));
    expect(c, A " [fd00::2]:80", B); /* B is v2's */
    assert_true(give(c, "v1", ""));
    expect(c, "", B);
    assert_int_equal(known_count(&c->known, "web", "v1", false).total, 0);
}

static void what_is_no_address_is_left_out(void **state)
{
    struct control *c = *state;
    assert_true(give(c, "v1", "nonsense 10.1.0.1 unix:/a dns:a:80 " A " 10.1.0.2:99999 :80"));
    expect(c, A, "");
    assert_false(give(c, "v3", A)); /* no such version */
    const char *text = A;
    assert_false(known_take_endpoints(&c->known, "api", "v1", &text, 1)); /* no workload */
    assert_false(known_take_endpoints(&c->known, "none", "v1", &text, 1));
}

static void no_more_than_there_is_room_for(void **state)
{
    struct control *c = *state;
    enum { N = KNOWN_GIVEN_MAX + 500 };
    static char texts[N][24];
    static const char *list[N];
    for (unsigned i = 0; i < N; i++) {
        (void)snprintf(texts[i], sizeof texts[i], "10.2.%u.%u:80", i / 200, i % 200 + 1);
        list[i] = texts[i];
    }
    assert_true(known_take_endpoints(&c->known, "web", "v1", list, N));
    assert_int_equal(known_count(&c->known, "web", "v1", false).total, KNOWN_GIVEN_MAX);
    assert_false(known_take_endpoints(&c->known, "web", "v1", list, N)); /* the same ones again */
    assert_int_equal(publish(c), OK);
    assert_int_equal(c->snapshot->routes[0].stable.n_endpoints, KNOWN_GIVEN_MAX);
}

/* A pod whose labels are changed, or whose address went to another one: the two lists may be told in any order. */
static void an_address_is_one_versions(void **state)
{
    struct control *c = *state;
    assert_true(give(c, "v1", A " " B));
    assert_false(give(c, "v2", B)); /* v1 had it first */
    expect(c, A " " B, "");
    assert_int_equal(known_count(&c->known, "web", "v2", false).total, 0);
    assert_true(give(c, "v1", A)); /* and lets go of it */
    expect(c, A, B);
    assert_int_equal(known_count(&c->known, "web", "v2", false).total, 1);
    assert_false(give(c, "v1", A " " B));
    assert_false(give(c, "v1", A)); /* one that was barred goes unseen */
    expect(c, A, B);
    /* the file's word stands over the cluster's */
    take_file(c, FILE_OF("endpoints: [\"" B "\"]", PODS_2, CANARY));
    expect(c, B, "");
    take_file(c, FILE_OF("endpoints: [\"" C "\"]", PODS_2, CANARY));
    expect(c, C, B);
}

static void a_reload_keeps_them(void **state)
{
    struct control *c = *state;
    assert_true(give(c, "v1", A));
    assert_true(give(c, "v2", B));
    const struct known_endpoint *e = known_find_endpoint(&c->known, "web", "v1", A);
    const struct endpoint_state *state_before = e->state;
    endpoint_note(e->state, ENDPOINT_UP);
    take_file(c, FILE_OF(PODS_1, PODS_2, CANARY "    sticky: { by: client_ip }\n"));
    expect(c, A, B);
    e = known_find_endpoint(&c->known, "web", "v1", A);
    assert_ptr_equal(e->state, state_before); /* with their health */
    /* another object: its pods take over when they are known */
    take_file(c, FILE_OF("workload: rc/web-v3, port: 80", PODS_2, CANARY));
    expect(c, A, B);
    assert_true(give(c, "v1", C));
    expect(c, C, B);
    /* to servers and back: who served goes on until the pods are known */
    take_file(c, FILE_OF("endpoints: [\"" A "\"]", PODS_2, CANARY));
    expect(c, A, B);
    take_file(c, PODS);
    expect(c, A, B);
    assert_true(give(c, "v1", C));
    expect(c, C, B);
    /* a version that the file drops, and brings again */
    take_file(c, FILE_OF(PODS_1, "endpoints: [\"10.9.0.1:80\"]", CANARY));
    take_file(c, PODS);
    assert_true(give(c, "v2", ""));
    expect(c, C, "");
}

/* A request under way that fails is tried again on a pod that is there, if there is one. */
static void one_that_goes_is_down_for_the_old_world(void **state)
{
    struct control *c = *state;
    assert_true(give(c, "v1", A " " B));
    expect(c, A " " B, "");
    struct snapshot *old = snapshot_ref(c->snapshot);
    assert_true(give(c, "v1", B));
    expect(c, B, "");
    assert_false(endpoint_is_reachable(old->routes[0].stable.endpoints[0].state));
    assert_true(endpoint_is_reachable(old->routes[0].stable.endpoints[1].state));
    assert_string_equal(old->routes[0].stable.endpoints[0].text, A); /* its text is its own */
    assert_true(give(c, "v1", A " " B));
    expect(c, A " " B, "");
    assert_true(endpoint_is_reachable(c->snapshot->routes[0].stable.endpoints[0].state));
    snapshot_unref(old);
}

/* Ten thousand pods come and go, some with the addresses of others: no trace is left of them. */
static void pods_that_went_cost_nothing(void **state)
{
    struct control *c = *state;
    char texts[3][24];
    const char *list[] = {texts[0], texts[1], texts[2]};
    size_t before = 0;
    for (unsigned i = 0; i < 10000; i++) {
        for (unsigned k = 0; k < 3; k++)
            (void)snprintf(texts[k], sizeof texts[k], "127.%u.%u.%u:1", 3 + k, (i + k) / 250,
                           i % 250);
        (void)publish_endpoints(c, "web", i % 7 ? "v1" : "v2", list, 3); /* which probes them */
        if (i == 100)
            before = mallinfo2().uordblks;
    }
    assert_true(mallinfo2().uordblks < before + 4096);
    assert_true(known_count(&c->known, "web", "v1", false).total <= 3);
    assert_true(known_count(&c->known, "web", "v2", false).total <= 3);
    assert_int_equal(c->snapshot->n_endpoints,
                     known_count(&c->known, "web", "v1", false).total +
                         known_count(&c->known, "web", "v2", false).total + 1);
}

static const char *page(struct control *c)
{
    static char copy[1 << 16];
    struct expo e = {.format = EXPO_PROMETHEUS};
    expo_write(&e, c->metrics, gauges_expose, c);
    assert_false(e.failed);
    (void)snprintf(copy, sizeof copy, "%.*s", (int)e.len, e.text);
    free(e.text);
    return copy;
}

#define UP(v, e) "serin_endpoint_up{route=\"web\",version=\"" v "\",endpoint=\"" e "\"} 1\n"

static void series_follow_the_pods(void **state)
{
    struct control *c = *state;
    struct known_replicas replicas = {true, 4, 3, 2, 1};
    assert_null(strstr(page(c), "serin_replicas"));
    assert_null(strstr(page(c), "serin_kubernetes_requests_total"));
    assert_true(give(c, "v1", A " " B));
    assert_false(give(c, "v2", B));
    assert_non_null(strstr(page(c), UP("v1", A) UP("v1", B)));
    assert_null(strstr(page(c), UP("v2", B))); /* barred */
    assert_true(give(c, "v1", A));
    assert_null(strstr(page(c), UP("v1", B)));
    assert_non_null(strstr(page(c), UP("v2", B)));

    known_take_replicas(&c->known, "web", "v1", &replicas);
    known_take_replicas(&c->known, "web", "v9", &replicas); /* nobody's */
    assert_non_null(strstr(page(c),
                           "serin_replicas{route=\"web\",version=\"v1\",kind=\"wanted\"} 4\n"
                           "serin_replicas{route=\"web\",version=\"v1\",kind=\"current\"} 3\n"
                           "serin_replicas{route=\"web\",version=\"v1\",kind=\"ready\"} 2\n"
                           "serin_replicas{route=\"web\",version=\"v1\",kind=\"available\"} 1\n"));
    assert_null(strstr(page(c), "serin_replicas{route=\"web\",version=\"v2\""));
    take_file(c, FILE_OF("endpoints: [\"" A "\"]", PODS_2, CANARY));
    assert_null(strstr(page(c), "serin_replicas"));
}

static void answers_are_counted(void **state)
{
    struct control *c = *state;
    control_count_kubernetes(c, "GET", 200);
    control_count_kubernetes(c, "GET", 200);
    control_count_kubernetes(c, "PATCH", 409);
    control_count_kubernetes(c, "GET", 0);
    control_count_kubernetes(c, "GET", 7); /* no code */
    assert_non_null(strstr(page(c),
                           "serin_kubernetes_requests_total{verb=\"GET\",code=\"200\"} 2\n"
                           "serin_kubernetes_requests_total{verb=\"PATCH\",code=\"409\"} 1\n"
                           "serin_kubernetes_requests_total{verb=\"GET\",code=\"none\"} 2\n"));
    for (unsigned code = 100; code < 600; code++)
        control_count_kubernetes(c, "POST", code);
    assert_int_equal(c->kube_counts.n, KUBE_COUNTS_MAX);
    assert_non_null(
        strstr(page(c), "serin_kubernetes_requests_total{verb=\"other\",code=\"none\"} 440\n"));
    control_count_kubernetes(c, "GET", 200); /* who has a row keeps it */
    assert_non_null(
        strstr(page(c), "serin_kubernetes_requests_total{verb=\"GET\",code=\"200\"} 3\n"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* The file's addresses stay whatever a name is known to be; what served before stays until the list is whole. */
static void names_beside_addresses(void **state)
{
    struct control *c = *state;
    take_file(c, FILE_OF("endpoints: [\"" B "\", \"dns:web.test:80\"]", PODS_2, CANARY));
    expect(c, B, "");
    assert_false(give(c, "v1", B));
    assert_true(give(c, "v1", C " " B " " A));
    expect(c, A " " B " " C, "");
    assert_true(give(c, "v1", C));
    expect(c, B " " C, "");
    const char *more[] = {A, C};
    assert_true(known_add_endpoints(&c->known, "web", "v1", more, 2));
    expect(c, A " " B " " C, "");
    assert_false(known_add_endpoints(&c->known, "web", "v1", more, 2));
    take_file(c, FILE_OF("endpoints: [\"dns:web.test:80\"]", PODS_2, CANARY));
    expect(c, A " " B " " C, "");
    assert_true(give(c, "v1", C));
    expect(c, C, "");
    take_file(c, FILE_OF("endpoints: [\"" A "\"]", PODS_2, CANARY));
    expect(c, A, "");
    assert_false(give(c, "v1", C)); /* what comes too late */
    assert_false(known_add_endpoints(&c->known, "web", "v1", more, 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(addresses_come_and_go),
        TEST(what_is_no_address_is_left_out),
        TEST(no_more_than_there_is_room_for),
        TEST(an_address_is_one_versions),
        TEST(a_reload_keeps_them),
        TEST(one_that_goes_is_down_for_the_old_world),
        TEST(pods_that_went_cost_nothing),
        TEST(series_follow_the_pods),
        TEST(answers_are_counted),
        TEST(names_beside_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
