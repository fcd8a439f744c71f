/* What a process knows of a route goes over to the next: ten minutes, breaker, endpoints, counts.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "metrics/log.h"
#include "proxy/control/handover_message.h"
#include "proxy/control/handover_state.h"
#include "proxy/control/handover_totals.h"
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#define NOW_MS 5000000

/* One process: its counters, and what it knows. */
struct process {
    struct metrics *metrics;
    struct known known;
    struct known_route *route;
    const struct variant_metrics *v1, *v2;
};

static struct process old, new;
static const char *fixed[] = {"127.0.0.1:81", "127.0.0.1:82"}, *none[] = {"dns:web.test:80"};
static struct config_version versions[2];
static struct config_route route;
static struct config config;

static void boot(struct process *p)
{
    struct why why;
    p->metrics = metrics_new(2);
    known_init(&p->known, p->metrics, 2);
    assert_int_equal(known_configure(&p->known, &config, &why), OK);
    p->route = known_find_route(&p->known, "web");
    p->v1 = metrics_variant(p->metrics, "web", "v1");
    p->v2 = metrics_variant(p->metrics, "web", "v2");
    p->route->split = (struct known_split){.stable = "v1", .canary = "v2"};
}

static void end(struct process *p)
{
    known_fini(&p->known);
    metrics_free(p->metrics);
}

static int setup(void **state)
{
    const struct log_setup quiet = {.level = LOG_ERROR};
    (void)state;
    assert_int_equal(log_open(&quiet, NULL), OK);
    versions[0] = (struct config_version){.name = "v1", .endpoints = {fixed, 2}};
    versions[1] = (struct config_version){.name = "v2", .endpoints = {none, 1}};
    route = (struct config_route){
        .name = "web", .versions = versions, .n_versions = 2, .eject = {.consecutive = 5}};
    config = (struct config){.routes = &route, .n_routes = 1};
    boot(&old);
    boot(&new);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    end(&old);
    end(&new);
    return 0;
}

static void serve(const struct process *p, unsigned n, uint64_t us)
{
    for (unsigned i = 0; i < n; i++) {
        hist_record(&p->v1->cells[i % 2]->duration[ROLE_STABLE], us);
        cell_add(&p->v1->cells[i % 2]->judged[ROLE_STABLE], 1);
    }
}

/* Through the bytes of a message, as between two processes. */
static cJSON *carry(cJSON *state)
{
    struct handover_message m = {.kind = HANDOVER_ROUTE, .route = "web", .state = state}, back;
    struct why why;
    char *text = handover_encode(&m);
    assert_true(text && strlen(text) < HANDOVER_BYTES_MAX);
    assert_int_equal(handover_decode(&back, text, strlen(text), &why), OK);
    cJSON_free(text);
    cJSON_Delete(state);
    return back.state;
}

static void hand_over(int64_t now_ms)
{
    struct list *at = NULL;
    cJSON *state = carry(handover_state_of(old.route, now_ms));
    handover_take_endpoints(&new.known, new.route, state);
    handover_take_minutes(new.metrics, new.route, state, now_ms);
    cJSON_Delete(state);
    do {
        cJSON *some = handover_endpoints_of(known_find_route(&old.known, "web"), &at);
        state = some ? carry(some) : NULL;
        if (state)
            handover_take_endpoints(&new.known, new.route, state);
        cJSON_Delete(state);
    } while (at);
}

static uint64_t quantile(const struct process *p, double q, uint64_t *n)
{
    struct hist_sum sum;
    slowness_sum(&p->route->slowness, &sum);
    *n = hist_count(&sum);
    return hist_quantile_us(&sum, q);
}

/* Ruling: ten minutes of histograms are always kept, over a hand-over too. */
static void test_how_slow_it_was(void **state)
{
    (void)state;
    uint64_t n, before;
    int64_t now = NOW_MS;
    assert_true(slowness_look(&old.route->slowness, old.v1, now));
    for (unsigned minute = 0; minute < 12; minute++) {
        serve(&old, 100, minute < 6 ? 1000 : 9000);
        now += 60000;
        assert_true(slowness_look(&old.route->slowness, old.v1, now));
    }
    serve(&old, 50, 9000); /* since the last look */
    hand_over(now + 3000);
    (void)quantile(&old, 0.5, &before);
    uint64_t median = quantile(&old, 0.5, &n);
    assert_true(before >= 850);
    assert_int_equal(quantile(&new, 0.5, &n), median);
    assert_int_equal(n, before);
    serve(&new, 100, 9000); /* what the new process serves counts from 0 */
    assert_true(slowness_look(&new.route->slowness, new.v1, now + 14000));
    (void)quantile(&new, 0.5, &n);
    assert_int_equal(n, before + 100);
    for (unsigned minute = 1; minute <= 12; minute++) /* and what is old goes */
        assert_true(slowness_look(&new.route->slowness, new.v1, now + 14000 + minute * 60000));
    (void)quantile(&new, 0.5, &n);
    assert_int_equal(n, 0);
}

static void test_the_fullest_histogram_fits(void **state)
{
    (void)state;
    struct known_route *r = old.route;
    assert_true(slowness_look(&r->slowness, old.v1, NOW_MS));
    for (unsigned s = 0; s < RECENT_SLICES; s++)
        for (unsigned i = 0; i < HIST_CELLS; i++)
            r->slowness.recent->slices[s][i] = UINT32_MAX - i;
    hand_over(NOW_MS + 1000);
    for (unsigned s = 0; s < RECENT_SLICES; s++)
        assert_memory_equal(
            new.route->slowness.recent
                ->slices[(new.route->slowness.recent->slice + s) % RECENT_SLICES],
            r->slowness.recent->slices[(r->slowness.recent->slice + s) % RECENT_SLICES],
            sizeof r->slowness.recent->slices[0]);
}

static void test_another_stable_begins_anew(void **state)
{
    (void)state;
    uint64_t n;
    assert_true(slowness_look(&old.route->slowness, old.v1, NOW_MS));
    serve(&old, 100, 1000);
    new.route->split = (struct known_split){.stable = "v2", .canary = "v1"};
    hand_over(NOW_MS + 10000);
    (void)quantile(&new, 0.5, &n);
    assert_int_equal(n, 0);
}

static void test_how_busy_it_was(void **state)
{
    (void)state;
    struct seen_figures before, after;
    int64_t now = NOW_MS;
    for (unsigned minute = 0; minute < 14; minute++) { /* the ring goes round */
        (void)seen_look_at(&old.route->seen, old.v1, old.v2, now);
        serve(&old, 600, 1000);
        now += SEEN_STEP_MS;
    }
    (void)seen_look_at(&old.route->seen, old.v1, old.v2, now);
    seen_figures(&old.route->seen, &before);
    assert_int_equal(before.requests, 6000);
    hand_over(now + 1000);
    serve(&new, 1200, 1000);
    assert_true(seen_look_at(&new.route->seen, new.v1, new.v2, now + SEEN_STEP_MS));
    seen_figures(&new.route->seen, &after);
    assert_int_equal(after.requests, 6600);
    assert_true(after.seconds > 599 && after.seconds < 601);
}

static void test_an_open_breaker(void **state)
{
    (void)state;
    struct breaker *b = old.route->live.breaker, *taken = new.route->live.breaker;
    hand_over(NOW_MS);
    assert_int_equal(atomic_load(&taken->state), BREAKER_CLOSED);
    atomic_store(&b->state, BREAKER_TRICKLING);
    atomic_store(&b->retry_at_us, 123456789);
    atomic_store(&b->failed_trickles, 1);
    hand_over(NOW_MS);
    assert_int_equal(atomic_load(&taken->state), BREAKER_OPEN);
    assert_int_equal(atomic_load(&taken->retry_at_us), 123456789);
    assert_int_equal(atomic_load(&taken->failed_trickles), 1);
}

static struct known_endpoint *endpoint(struct process *p, const char *version, const char *text)
{
    return known_find_endpoint(&p->known, "web", version, text);
}

static void test_endpoints(void **state)
{
    (void)state;
    static const char *const given[] = {"10.0.0.1:80", "10.0.0.2:80"};
    struct endpoint_state *sick = endpoint(&old, "v1", fixed[1])->state;
    assert_true(known_take_endpoints(&old.known, "web", "v2", given, 2));
    ENDPOINT_STORE(sick->health, ENDPOINT_DOWN);
    ENDPOINT_STORE(sick->serves_from_us, INT64_C(99999999999));
    ENDPOINT_STORE(sick->ejections, 3);
    ENDPOINT_STORE(endpoint(&old, "v2", given[0])->state->health, ENDPOINT_UP);
    hand_over(NOW_MS);
    const struct endpoint_state *taken = endpoint(&new, "v1", fixed[1])->state;
    assert_int_equal(atomic_load(&taken->health), ENDPOINT_DOWN);
    assert_int_equal(endpoint_serves_from_us(taken), INT64_C(99999999999));
    assert_int_equal(atomic_load(&taken->ejections), 3);
    assert_int_equal(atomic_load(&endpoint(&new, "v1", fixed[0])->state->health), ENDPOINT_UNKNOWN);
    assert_int_equal(known_count(&new.known, "web", "v2", false).total,
                     2); /* before any name is looked up */
    assert_int_equal(known_count(&new.known, "web", "v2", true).available, 1);
}

static void test_thousands_of_endpoints(void **state)
{
    (void)state;
    static char texts[KNOWN_GIVEN_MAX][32];
    const char *list[KNOWN_GIVEN_MAX];
    for (unsigned i = 0; i < KNOWN_GIVEN_MAX; i++) {
        (void)snprintf(texts[i], sizeof texts[i], "10.1.%u.%u:8080", i / 256, i % 256);
        list[i] = texts[i];
    }
    assert_true(known_take_endpoints(&old.known, "web", "v2", list, KNOWN_GIVEN_MAX));
    hand_over(NOW_MS);
    assert_int_equal(known_count(&new.known, "web", "v2", false).total, KNOWN_GIVEN_MAX);
}

/* Numbers and texts by chance in place of each member: nothing breaks, and what is taken is within its bounds. */
static void test_hostile_states(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "null",         "-1",
        "1e308",        "\"x\"",
        "[]",           "{}",
        "[[-1,1e300]]", "[[900,1,895]]",
        "[[1,2],[3]]",  "[{\"version\":\"v1\",\"text\":\"127.0.0.1:81\",\"health\":7}]"};
    assert_true(slowness_look(&old.route->slowness, old.v1, NOW_MS));
    (void)seen_look_at(&old.route->seen, old.v1, old.v2, NOW_MS);
    struct list *at = NULL;
    cJSON *good = handover_state_of(old.route, NOW_MS),
          *more = handover_endpoints_of(known_find_route(&old.known, "web"), &at);
    assert_true(
        cJSON_AddItemToObject(good, "endpoints", cJSON_DetachItemFromObject(more, "endpoints")));
    cJSON_Delete(more);
    for (int member = 0; member < cJSON_GetArraySize(good); member++)
        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
            cJSON *json = cJSON_Duplicate(good, true);
            cJSON_ReplaceItemInObjectCaseSensitive(json, cJSON_GetArrayItem(json, member)->string,
                                                   cJSON_Parse(bad[i]));
            handover_take_endpoints(&new.known, new.route, json);
            handover_take_minutes(new.metrics, new.route, json, NOW_MS);
            for (struct list *l = new.known.endpoints.next; l != &new.known.endpoints; l = l->next)
                assert_true(
                    atomic_load(&CONTAINER_OF(l, struct known_endpoint, link)->state->health) <=
                    ENDPOINT_DOWN);
            assert_true(new.route->seen.n <= SEEN_LOOKS);
            cJSON_Delete(json);
        }
    cJSON_Delete(good);
}

/* --- totals --- */

static void add_up(void *arg, const char *name, const struct handover_counts *c)
{
    assert_string_equal(name, "web");
    *(uint64_t *)arg += c->judged.requests;
}

static void test_totals(void **state)
{
    (void)state;
    struct handover_totals t;
    struct handover_counts d = {.judged = {9, 2, 3, {4, 5, 6}, 7, 8}}, back;
    uint64_t sum = 0;
    handover_totals_init(&t);
    assert_null(handover_totals_find(&t, "web", "v1", ROLE_STABLE, false));
    assert_true(handover_counts_is_zero(handover_totals_of(&t, "web", "v1", ROLE_CANARY, false)));
    for (unsigned i = 0; i < 2; i++)
        handover_counts_add(handover_totals_of(&t, "web", "v1", ROLE_STABLE, false), &d);
    back = *handover_totals_find(&t, "web", "v1", ROLE_STABLE, false);
    assert_int_equal(back.judged.requests, 18);
    handover_counts_subtract(&back, &d);
    assert_memory_equal(&back.judged, &d.judged, sizeof d.judged);
    assert_true(handover_counts_is_zero(handover_totals_find(&t, "web", "v1", ROLE_CANARY, false)));
    handover_totals_of(&t, "web", "v1", ROLE_STABLE, true)->judged.failed =
        1; /* copies stand apart */
    assert_int_equal(handover_totals_find(&t, "web", "v1", ROLE_STABLE, false)->judged.failed, 4);
    handover_totals_each(&t, add_up, &sum);
    assert_int_equal(sum, 18);
    assert_int_equal(t.names.n, 3);
    handover_totals_fini(&t);
    assert_int_equal(t.names.n, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_how_slow_it_was),
        TEST(test_the_fullest_histogram_fits),
        TEST(test_another_stable_begins_anew),
        TEST(test_how_busy_it_was),
        TEST(test_an_open_breaker),
        TEST(test_endpoints),
        TEST(test_thousands_of_endpoints),
        TEST(test_hostile_states),
        TEST(test_totals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
