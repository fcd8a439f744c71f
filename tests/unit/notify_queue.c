/* A receiver's queue: its bound, what goes first, and when an event is tried again.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/notify/queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "base/check.h"
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static struct queue_item *item_of(const char *route, const char *name, int number)
{
    struct queue_item *item = calloc(1, sizeof *item);
    assert_non_null(item);
    item->event.name = name;
    (void)snprintf(item->event.route, sizeof item->event.route, "%s", route);
    (void)snprintf(item->id, sizeof item->id, "%d", number);
    return item;
}

/* The number of what had to go for it; -1: nothing. */
static int push(struct queue *q, const char *route, const char *name, int number, bool is_busy)
{
    struct queue_item *dropped = queue_push(q, item_of(route, name, number), is_busy);
    int gone = dropped ? atoi(dropped->id) : -1;
    free(dropped);
    return gone;
}

static void drain(struct queue *q)
{
    for (struct queue_item *item; (item = queue_take(q));)
        free(item);
    assert_int_equal(q->n, 0);
    assert_null(queue_first(q));
}

static void first_in_first_out(void **state)
{
    (void)state;
    struct queue q;
    queue_init(&q);
    assert_null(queue_take(&q));
    for (int i = 0; i < 5; i++)
        assert_int_equal(push(&q, "web", "StepStarted", i, false), -1);
    for (int i = 0; i < 5; i++) {
        struct queue_item *item = queue_take(&q);
        assert_int_equal(atoi(item->id), i);
        free(item);
    }
    drain(&q);
}

/* The oldest goes, but not the one that is being sent. */
static void the_oldest_makes_room(void **state)
{
    (void)state;
    struct queue q;
    queue_init(&q);
    for (int i = 0; i < (int)QUEUE_ITEMS_MAX; i++)
        assert_int_equal(push(&q, "web", "StepStarted", i, false), -1);
    assert_int_equal(push(&q, "web", "StepStarted", 100, false), 0);
    assert_int_equal(push(&q, "web", "StepStarted", 101, true), 2);
    assert_int_equal(q.n, QUEUE_ITEMS_MAX);
    assert_int_equal(atoi(queue_first(&q)->id), 1);
    drain(&q);
}

/* Where a route's rollout is remains known, however much another has to say; what says no state goes before. */
static void the_last_state_of_a_route_stays(void **state)
{
    (void)state;
    struct queue q;
    queue_init(&q);
    push(&q, "quiet", "RolloutAborted", 1000, false);
    push(&q, "quiet", "AnalysisFailed", 1001, false);
    for (int i = 0; i < (int)QUEUE_ITEMS_MAX - 2; i++)
        assert_int_equal(push(&q, "loud", "WeightChanged", i, false), -1);
    assert_int_equal(push(&q, "loud", "StepStarted", 98, false), 1001);
    for (int i = 0; i < 98; i++)
        assert_int_equal(push(&q, "loud", "StepStarted", 99 + i, false), i);
    assert_int_equal(push(&q, "loud", "StepStarted", 197, false), 98);
    assert_int_equal(atoi(queue_first(&q)->id), 1000);
    assert_false(queue_first(&q)->is_superseded);
    drain(&q);
}

/* More routes than places: each keeps its last state, so nothing can go but what others have made old. */
static void many_routes(void **state)
{
    (void)state;
    struct queue q;
    char route[16];
    queue_init(&q);
    for (int i = 0; i < 300; i++) {
        (void)snprintf(route, sizeof route, "r%d", i);
        assert_int_equal(push(&q, route, "RolloutStarted", i, false), -1);
    }
    assert_int_equal(q.n, 300);
    assert_int_equal(push(&q, "r7", "RolloutAborted", 300, false), 7);
    assert_int_equal(push(&q, "r0", "RolloutAborted", 301, true), -1); /* 0 is being sent */
    assert_int_equal(q.n, 301);
    drain(&q);
}

static void outcomes(void **state)
{
    (void)state;
    static const struct {
        unsigned status;
        enum queue_outcome outcome;
    } rows[] = {
        {200, QUEUE_SENT},    {204, QUEUE_SENT},    {0, QUEUE_RETRY},     {408, QUEUE_RETRY},
        {425, QUEUE_RETRY},   {429, QUEUE_RETRY},   {500, QUEUE_RETRY},   {503, QUEUE_RETRY},
        {599, QUEUE_RETRY},   {400, QUEUE_REFUSED}, {401, QUEUE_REFUSED}, {404, QUEUE_REFUSED},
        {301, QUEUE_REFUSED}, {307, QUEUE_REFUSED}, {410, QUEUE_REFUSED}, {999, QUEUE_REFUSED}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(queue_outcome_of(rows[i].status), rows[i].outcome);
}

static void pauses(void **state)
{
    (void)state;
    static const struct {
        unsigned tries, retry_after_s;
        uint32_t random;
        int64_t pause_ms;
    } rows[] = {
        {1, 0, 0, 500},
        {1, 0, 500, 1000},
        {1, 0, 501, 500},
        {2, 0, 0, 1000},
        {3, 0, 2000, 4000},
        {9, 0, 0, 128000},
        {10, 0, 0, 150000},
        {10, 0, 150000, 300000},
        {1000000000, 0, 150000, 300000},
        {1, 5, 0, 5010},
        {4, 1, 0, 4000},
        {1, 86400, UINT32_MAX, 600010},
        {1, UINT32_MAX, 0, 600010},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(queue_pause_ms(rows[i].tries, rows[i].retry_after_s, rows[i].random),
                         rows[i].pause_ms);
    int64_t all_ms =
        0; /* a receiver that is away is asked some twenty times in the hour, not thousands */
    unsigned tries = 0;
    while (all_ms < QUEUE_AGE_MAX_MS)
        all_ms += queue_pause_ms(++tries, 0, 0);
    assert_in_range(tries, 15, 40);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_in_first_out),
        cmocka_unit_test(the_oldest_makes_room),
        cmocka_unit_test(the_last_state_of_a_route_stays),
        cmocka_unit_test(many_routes),
        cmocka_unit_test(outcomes),
        cmocka_unit_test(pauses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
