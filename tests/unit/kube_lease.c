/* Tests the lease: taken, renewed, lost and let go, and never held longer than anybody else may think.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kube_server.h"
#include "rollout/kube/lease.h"
#include "rollout/kube/time.h"

#define LEASES "/apis/coordination.k8s.io/v1/namespaces/x/leases"

static void on_change(void *arg)
{
    (*(unsigned *)arg)++;
}

static struct kube_lease *begin(struct server *s, unsigned *changes, uint32_t renew_ms)
{
    struct kube_lease_setup setup = {.name_space = "x",
                                     .name = "l",
                                     .identity = "me",
                                     .duration_ms = 1000,
                                     .renew_ms = renew_ms,
                                     .on_change = on_change,
                                     .arg = changes};
    *changes = 0;
    struct kube_lease *l = kube_lease_new(s->kube, &setup);
    assert_non_null(l);
    assert_false(kube_lease_is_held(l));
    return l;
}

static void serve_lease(struct server *s, unsigned status, const char *holder, unsigned version,
                        unsigned transitions)
{
    char json[512];
    (void)snprintf(json, sizeof json,
                   "{\"kind\":\"Lease\",\"metadata\":{\"name\":\"l\",\"resourceVersion\":\"%u\","
                   "\"labels\":{\"kept\":\"yes\"}},\"spec\":{\"holderIdentity\":\"%s\","
                   "\"leaseDurationSeconds\":1,\"acquireTime\":\"2020-01-01T00:00:00.000000Z\","
                   "\"renewTime\":\"2020-01-01T00:00:00.000000Z\",\"leaseTransitions\":%u}}",
                   version, holder, transitions);
    serve_json(s, status, "", json);
}

static void serve_missing(struct server *s)
{
    serve_json(s, 404, "", "{\"reason\":\"NotFound\",\"message\":\"not found\"}");
}

static void serve_conflict(struct server *s)
{
    serve_json(s, 409, "", "{\"reason\":\"Conflict\",\"message\":\"modified\"}");
}

static const struct cJSON *spec_of(const struct cJSON *lease, const char *key)
{
    return cJSON_GetObjectItem(cJSON_GetObjectItem(lease, "spec"), key);
}

static struct cJSON *asked_body(struct server *s, size_t i)
{
    struct cJSON *json = cJSON_Parse(s->asked[i].body);
    assert_non_null(json);
    return json;
}

static void an_absent_lease_is_made_and_renewed(void **state)
{
    struct server *s = *state;
    unsigned changes;
    serve_missing(s);
    serve_lease(s, 201, "me", 1, 0);
    serve_lease(s, 200, "me", 2, 0);
    serve_silence(s);
    struct kube_lease *l = begin(s, &changes, 100);
    UNTIL(s, kube_lease_is_held(l) && changes > 0);
    assert_string_equal(kube_lease_holder(l), "me");
    assert_string_equal(kube_lease_trouble(l), "");
    assert_string_equal(s->asked[1].method, "POST");
    assert_string_equal(s->asked[1].path, LEASES);
    UNTIL(s, s->n_asked == 4);
    assert_string_equal(s->asked[2].method, "PUT");
    assert_string_equal(s->asked[2].path, LEASES "/l");

    struct cJSON *made = asked_body(s, 1), *renewed = asked_body(s, 2);
    assert_string_equal(cJSON_GetStringValue(spec_of(made, "holderIdentity")), "me");
    assert_int_equal(spec_of(made, "leaseDurationSeconds")->valueint, 1);
    assert_int_equal(spec_of(made, "leaseTransitions")->valueint, 0);
    assert_int_equal(strlen(cJSON_GetStringValue(spec_of(made, "acquireTime"))), 27);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(
                            cJSON_GetObjectItem(renewed, "metadata"), "resourceVersion")),
                        "1");
    assert_non_null(cJSON_GetObjectItem(cJSON_GetObjectItem(renewed, "metadata"), "labels"));
    assert_string_equal(cJSON_GetStringValue(spec_of(renewed, "acquireTime")),
                        "2020-01-01T00:00:00.000000Z"); /* as it came: only taking sets it */
    cJSON_Delete(made);
    cJSON_Delete(renewed);
    kube_lease_free(l);
}

/* A server that is silent: two thirds of the second after the last renewal was sent it is over. */
static void it_ends_here_before_it_ends_elsewhere(void **state)
{
    struct server *s = *state;
    unsigned changes;
    serve_missing(s);
    serve_lease(s, 201, "me", 1, 0);
    for (int i = 0; i < 12; i++)
        serve_silence(s);
    struct kube_lease *l = begin(s, &changes, 300);
    int64_t before = now_ms();
    UNTIL(s, kube_lease_is_held(l));
    UNTIL(s, changes >= 1);
    unsigned seen = changes;
    UNTIL(s, !kube_lease_is_held(l));
    assert_true(now_ms() - before < 1000);
    UNTIL(s, changes > seen); /* it is told, though nothing came */
    assert_string_not_equal(kube_lease_trouble(l), "");
    kube_lease_free(l);
}

static void anothers_is_taken_after_its_time_and_not_before(void **state)
{
    struct server *s = *state;
    unsigned changes;
    for (unsigned i = 0; i < 3; i++)
        serve_lease(s, 200, "you", 5, 7);
    serve_lease(s, 200, "you", 6, 7); /* renewed: the second begins anew */
    for (unsigned i = 0; i < 20; i++)
        serve_lease(s, 200, "you", 6, 7);
    struct kube_lease *l = begin(s, &changes, 250);
    UNTIL(s, s->n_asked == 4);
    int64_t renewed = now_ms();
    assert_string_equal(kube_lease_holder(l), "you");
    assert_string_equal(kube_lease_trouble(l), "");
    UNTIL(s, strcmp(s->asked[s->n_asked - 1].method, "PUT") == 0);
    assert_true(now_ms() - renewed >= 980);
    struct cJSON *taken = asked_body(s, s->n_asked - 1);
    assert_int_equal(spec_of(taken, "leaseTransitions")->valueint, 8);
    assert_string_not_equal(cJSON_GetStringValue(spec_of(taken, "acquireTime")),
                            "2020-01-01T00:00:00.000000Z");
    cJSON_Delete(taken);
    kube_lease_free(l);
}

static void one_that_was_let_go_is_taken_at_once(void **state)
{
    struct server *s = *state;
    unsigned changes;
    serve_lease(s, 200, "", 5, 7);
    serve_lease(s, 200, "me", 6, 8);
    serve_silence(s);
    struct kube_lease *l = begin(s, &changes, 500);
    UNTIL(s, kube_lease_is_held(l));
    assert_int_equal(kube_lease_transitions(l), 8);
    kube_lease_free(l);
}

static void who_comes_second_looks_again(void **state)
{
    struct server *s = *state;
    unsigned changes;
    serve_missing(s);
    serve_json(s, 409, "", "{\"reason\":\"AlreadyExists\",\"message\":\"exists\"}");
    serve_lease(s, 200, "you", 1, 0);
    serve_silence(s);
    struct kube_lease *l = begin(s, &changes, 300);
    UNTIL(s, strcmp(kube_lease_holder(l), "you") == 0);
    assert_false(kube_lease_is_held(l));
    assert_string_equal(kube_lease_trouble(l), "");
    kube_lease_free(l);
}

static void a_holder_is_fit_for_a_log(void **state)
{
    struct server *s = *state;
    unsigned changes;
    serve_lease(s, 200, "y\\nou\\\" x=\\u001b", 1, 0);
    serve_silence(s);
    struct kube_lease *l = begin(s, &changes, 300);
    UNTIL(s, kube_lease_holder(l)[0]);
    assert_string_equal(kube_lease_holder(l), "y?ou? x=?");
    kube_lease_free(l);
}

static void a_stolen_lease_is_not_held_any_more(void **state)
{
    struct server *s = *state;
    unsigned changes;
    serve_missing(s);
    serve_lease(s, 201, "me", 1, 0);
    serve_conflict(s);
    serve_lease(s, 200, "you", 3, 1);
    serve_silence(s);
    struct kube_lease *l = begin(s, &changes, 100);
    UNTIL(s, kube_lease_is_held(l));
    UNTIL(s, strcmp(kube_lease_holder(l), "you") == 0);
    assert_false(kube_lease_is_held(l));
    assert_int_equal(kube_lease_transitions(l), 1);
    kube_lease_free(l);
}

/* The answer to the renewal is lost: the lease itself says that it arrived. */
static void a_lost_answer_is_read_up(void **state)
{
    struct server *s = *state;
    unsigned changes;
    char json[512];
    serve_missing(s);
    serve_nothing(s);
    struct kube_lease *l = begin(s, &changes, 200);
    UNTIL(s, s->n_asked == 2);
    struct cJSON *made = asked_body(s, 1);
    (void)snprintf(json, sizeof json,
                   "{\"metadata\":{\"name\":\"l\",\"resourceVersion\":\"1\"},\"spec\":{"
                   "\"holderIdentity\":\"me\",\"leaseDurationSeconds\":1,\"renewTime\":\"%s\"}}",
                   cJSON_GetStringValue(spec_of(made, "renewTime")));
    cJSON_Delete(made);
    serve_json(s, 200, "", json);
    serve_silence(s);
    UNTIL(s, kube_lease_is_held(l));
    assert_int_equal(s->n_asked, 3);
    kube_lease_free(l);
}

static void let_go_it_is_written_even_if_it_is_forgotten(void **state)
{
    struct server *s = *state;
    unsigned changes;
    serve_missing(s);
    serve_lease(s, 201, "me", 1, 4);
    serve_lease(s, 200, "", 2, 4);
    struct kube_lease *l = begin(s, &changes, 500);
    UNTIL(s, kube_lease_is_held(l));
    kube_lease_release(l);
    assert_false(kube_lease_is_held(l));
    assert_string_equal(kube_lease_holder(l), "");
    kube_lease_release(l);
    kube_lease_free(l);
    UNTIL(s, s->n_asked == 3);
    struct cJSON *body = asked_body(s, 2);
    assert_string_equal(cJSON_GetStringValue(spec_of(body, "holderIdentity")), "");
    assert_int_equal(spec_of(body, "leaseDurationSeconds")->valueint, 1);
    assert_int_equal(spec_of(body, "leaseTransitions")->valueint, 4);
    cJSON_Delete(body);
}

static void moments_have_six_digits(void **state)
{
    static const struct {
        int64_t wall_us;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000000Z"},
        {1, "1970-01-01T00:00:00.000001Z"},
        {1795414792876540, "2026-11-23T06:19:52.876540Z"},
        {1795414793000000, "2026-11-23T06:19:53.000000Z"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[KUBE_MICRO_TIME_MAX];
        int64_t ms;
        kube_micro_time(rows[i].wall_us, text);
        assert_string_equal(text, rows[i].text);
        assert_true(kube_time_parse(text, &ms));
        assert_int_equal(ms, rows[i].wall_us / 1000);
    }
}

static void moments_are_read_strictly(void **state)
{
    static const struct {
        const char *text;
        int64_t ms; /* -1: refused */
    } rows[] = {
        {"2024-01-01T00:00:00Z", 1704067200000},
        {"2024-01-01t00:00:00.5z", 1704067200500},
        {"2024-01-01T02:00:00.123456789+02:00", 1704067200123},
        {"2023-12-31T23:30:00-00:30", 1704067200000},
        {"2024-02-29T00:00:00Z", 1709164800000},
        {"", -1},
        {"2024-01-01", -1},
        {"2024-01-01T00:00:00", -1},
        {"2024-01-01 00:00:00Z", -1},
        {"2024-13-01T00:00:00Z", -1},
        {"2024-01-01T24:00:00Z", -1},
        {"2024-01-01T00:00:00Zx", -1},
        {"24-01-01T00:00:00Z", -1},
        {"2024-01-01T00:00:00+2:00", -1},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t ms = -1;
        assert_int_equal(kube_time_parse(rows[i].text, &ms), rows[i].ms >= 0);
        if (rows[i].ms >= 0)
            assert_int_equal(ms, rows[i].ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(an_absent_lease_is_made_and_renewed),
        CASE(it_ends_here_before_it_ends_elsewhere),
        CASE(anothers_is_taken_after_its_time_and_not_before),
        CASE(one_that_was_let_go_is_taken_at_once),
        CASE(who_comes_second_looks_again),
        CASE(a_holder_is_fit_for_a_log),
        CASE(a_stolen_lease_is_not_held_any_more),
        CASE(a_lost_answer_is_read_up),
        CASE(let_go_it_is_written_even_if_it_is_forgotten),
        cmocka_unit_test(moments_have_six_digits),
        cmocka_unit_test(moments_are_read_strictly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
