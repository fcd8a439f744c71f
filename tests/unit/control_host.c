/* How often a tick of many rollouts publishes: once for all that widen, and at once for what narrows.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "metrics/log.h"
#include "proxy/conf/load.h"
#include "proxy/control/host.h"
#include "proxy/control/publish.h"
#include "proxy/wire/time.h"
#include "rollout/http.h"
#include "rollout/notify/notifier.h"
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUTES           40u
#define TICKS_MAX        20   /* until all rollouts compare at their first step */
#define REQUESTS         100u /* that a version is said to have had between two ticks */
#define REVERT_TICKS_MAX 100  /* until that is proof */

static struct control control;
static char state_dir[] = "/tmp/serin-host-XXXXXX";

static struct config *load(void)
{
    static struct config_errors errors;
    static char text[ROUTES * 256 + 256];
    int len =
        snprintf(text, sizeof text,
                 "listeners: [{ bind: \"127.0.0.1:0\" }]\nstate_dir: %s\nroutes:\n", state_dir);
    for (unsigned i = 0; i < ROUTES; i++)
        len += snprintf(text + len, sizeof text - (size_t)len,
                        "  - { name: r%u, hosts: [h%u.test], stable: v1, canary: v2,\n"
                        "      versions: { v1: { endpoints: [\"10.0.0.1:1\"] }, "
                        "v2: { endpoints: [\"10.0.0.2:1\"] } },\n"
                        "      rollout: { start: auto, steps: [1%%, 50%%] } }\n",
                        i, i);
    struct config *c = config_load_text("f", text, (size_t)len, &errors);
    if (!c)
        config_errors_print(&errors, stderr);
    assert_non_null(c);
    return c;
}

static struct known_route *route(struct control *c, unsigned i)
{
    char name[16];
    (void)snprintf(name, sizeof name, "r%u", i);
    return known_find_route(&c->known, name);
}

static int setup(void **state)
{
    const struct log_setup quiet = {.level = LOG_ERROR};
    struct control *c = &control;
    struct why why = {""};
    memset(c, 0, sizeof *c);
    assert_non_null(mkdtemp(state_dir));
    assert_int_equal(log_open(&quiet, NULL), OK);
    c->base = event_base_new();
    c->http = http_new(c->base);
    struct notifier_setup told = {c->base, c->http, time_monotonic_ms, time_wall_ms};
    c->notifier = notifier_new(&told);
    c->metrics = metrics_new(1);
    known_init(&c->known, c->metrics, 1);
    c->keep = config_keep_new(load());
    assert_non_null(c->keep);
    assert_int_equal(known_configure(&c->known, control_config(c), &why), OK);
    for (struct list *l = c->known.endpoints.next; l != &c->known.endpoints; l = l->next)
        atomic_store(&CONTAINER_OF(l, struct known_endpoint, link)->state->health, ENDPOINT_UP);
    if (!host_open_rollouts(c, control_config(c), c->keep->manifests, &why))
        fail_msg("%s", why.text);
    for (unsigned i = 0; i < ROUTES; i++)
        host_take_split(route(c, i));
    assert_int_equal(publish(c), OK);
    *state = c;
    return 0;
}

static int teardown(void **state)
{
    struct control *c = *state;
    char command[64];
    known_fini(&c->known);
    notifier_free(c->notifier);
    http_free(c->http);
    snapshot_unref(c->snapshot);
    config_keep_unref(c->keep);
    metrics_free(c->metrics);
    event_base_free(c->base);
    (void)snprintf(command, sizeof command, "rm -rf %s", state_dir);
    assert_int_equal(system(command), 0);
    memcpy(state_dir + strlen(state_dir) - 6, "XXXXXX", 6);
    return 0;
}

/* Snapshots that a tick publishes. */
static uint64_t tick(struct control *c)
{
    uint64_t before = c->generation;
    host_tick(c);
    return c->generation - before;
}

static unsigned at_weight(const struct control *c, uint32_t weight_bp)
{
    unsigned n = 0;
    for (uint32_t i = 0; i < c->snapshot->n_routes; i++)
        n += c->snapshot->routes[i].split.weight_bp == weight_bp;
    return n;
}

/* Returns the most that a tick has published on the way. */
static uint64_t start_all(struct control *c)
{
    uint64_t most = 0;
    for (int i = 0; i < TICKS_MAX && at_weight(c, 100) < ROUTES; i++) {
        uint64_t n = tick(c);
        most = n > most ? n : most;
    }
    assert_int_equal(at_weight(c, 100), ROUTES);
    return most;
}

static void those_that_widen_share_a_snapshot(void **state)
{
    struct control *c = *state;
    assert_int_equal(start_all(c), 1);
    assert_false(c->is_publish_due);
    assert_int_equal(tick(c), 0); /* nothing has changed */
}

static void count(struct control *c, unsigned i, const char *version, enum metric_role role,
                  uint64_t failed)
{
    struct variant_cells *cells = metrics_variant(c->metrics, route(c, i)->name, version)->cells[0];
    cell_add(&cells->judged[role], REQUESTS);
    cell_add(&cells->judged_failed[role], failed);
}

/* A revert is in force before the next rollout is looked at: it shares its snapshot with none that comes later. */
static void what_is_reverted_waits_for_nobody(void **state)
{
    struct control *c = *state;
    static const unsigned bad[] = {3, 7, ROUTES - 1};
    uint64_t published = 0;
    (void)start_all(c);
    for (int t = 0; t < REVERT_TICKS_MAX && published == 0; t++) {
        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
            count(c, bad[i], "v1", ROLE_STABLE, 0);
            count(c, bad[i], "v2", ROLE_CANARY, REQUESTS);
        }
        published = tick(c);
    }
    assert_int_equal(published, ARRAY_LEN(bad));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(c->snapshot->routes[bad[i]].split.weight_bp, 0);
    assert_int_equal(at_weight(c, 100), ROUTES - ARRAY_LEN(bad));
}

/* Outside of a tick each is in force on return. */
static void a_verb_waits_for_no_tick(void **state)
{
    struct control *c = *state;
    struct why why;
    (void)start_all(c);
    uint64_t before = c->generation;
    assert_int_equal(rollout_command(route(c, 5)->rollout, ROLLOUT_ABORT, NULL, &why), OK);
    assert_true(c->generation > before);
    assert_int_equal(c->snapshot->routes[5].split.weight_bp, 0);
    before = c->generation;
    assert_int_equal(rollout_command(route(c, 6)->rollout, ROLLOUT_PROMOTE, NULL, &why), OK);
    (void)tick(c);
    assert_true(c->generation > before);
    assert_true(c->snapshot->routes[6].split.weight_bp > 100);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(those_that_widen_share_a_snapshot),
        TEST(what_is_reverted_waits_for_nobody),
        TEST(a_verb_waits_for_no_tick),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
