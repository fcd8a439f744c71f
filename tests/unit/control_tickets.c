/* The ring of ticket keys: what opens what after how many hours, and that a reader never sees half a change.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/tickets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <string.h>

static void test_keys_age(void **state)
{
    (void)state;
    struct tickets t = {0};
    static const struct ticket_key none;
    struct ticket_key first, key;
    bool is_old = true;
    int64_t now_ms = 1000;
    assert_int_equal(tickets_init(&t, now_ms), OK);
    tickets_sealing(&t, &first);
    assert_memory_not_equal(&first, &none, sizeof first);
    assert_int_equal(tickets_tick(&t, now_ms + TICKETS_ROTATE_MS - 1), OK);
    assert_true(tickets_opening(&t, first.name, &key, &is_old));
    assert_false(is_old);
    assert_memory_equal(&key, &first, sizeof key);
    for (unsigned hour = 1; hour < TICKETS_KEYS; hour++) {
        now_ms += TICKETS_ROTATE_MS;
        assert_int_equal(tickets_tick(&t, now_ms), OK);
        tickets_sealing(&t, &key);
        assert_memory_not_equal(&key, &first, sizeof key);
        assert_true(tickets_opening(&t, first.name, &key, &is_old));
        assert_true(is_old);
        assert_memory_equal(&key, &first, sizeof key);
    }
    assert_int_equal(tickets_tick(&t, now_ms + TICKETS_ROTATE_MS), OK);
    assert_false(tickets_opening(&t, first.name, &key, &is_old));
    tickets_fini(&t);
}

static void test_another_process_opens_them(void **state)
{
    (void)state;
    struct tickets mine = {0}, other = {0};
    struct ticket_key key, same;
    unsigned char bytes[TICKETS_EXPORT_BYTES];
    bool is_old;
    assert_int_equal(tickets_init(&mine, 0), OK);
    assert_int_equal(tickets_init(&other, 0), OK);
    tickets_sealing(&mine, &key);
    assert_false(tickets_opening(&other, key.name, &same, &is_old));
    tickets_export(&mine, bytes);
    tickets_import(&other, bytes, 0);
    assert_true(tickets_opening(&other, key.name, &same, &is_old));
    assert_false(is_old);
    assert_memory_equal(&key, &same, sizeof key);
    assert_int_equal(tickets_tick(&other, TICKETS_ROTATE_MS), OK);
    assert_true(tickets_opening(&other, key.name, &same, &is_old) && is_old);
    tickets_fini(&mine);
    static const struct tickets wiped;
    assert_memory_equal(&mine, &wiped, sizeof mine);
}

/* Otherwise keys would live for ever where processes take over from each other within the hour. */
static void test_another_process_changes_them_when_it_was_due(void **state)
{
    (void)state;
    struct tickets mine = {0}, other = {0};
    struct ticket_key first, key;
    unsigned char bytes[TICKETS_EXPORT_BYTES];
    assert_int_equal(tickets_init(&mine, 1000), OK);
    tickets_sealing(&mine, &first);
    tickets_export(&mine, bytes);
    tickets_import(&other, bytes, TICKETS_ROTATE_MS);
    assert_int_equal(tickets_tick(&other, TICKETS_ROTATE_MS + 999), OK);
    tickets_sealing(&other, &key);
    assert_memory_equal(&key, &first, sizeof key);
    assert_int_equal(tickets_tick(&other, TICKETS_ROTATE_MS + 1000), OK);
    tickets_sealing(&other, &key);
    assert_memory_not_equal(&key, &first, sizeof key);
    tickets_import(&other, bytes, 500); /* a clock that is behind: an hour from now at the latest */
    assert_int_equal(tickets_tick(&other, 500 + TICKETS_ROTATE_MS), OK);
    tickets_sealing(&other, &key);
    assert_memory_not_equal(&key, &first, sizeof key);
}

#define CHANGES 20000

struct reader {
    struct tickets *tickets;
    _Atomic bool is_over;
    unsigned n, torn;
};

/* Every byte of a key that this test puts in is the same. */
static bool is_whole(const struct ticket_key *key)
{
    const unsigned char *bytes = (const unsigned char *)key;
    return memcmp(bytes, bytes + 1, sizeof *key - 1) == 0;
}

static void *read_on(void *arg)
{
    struct reader *r = arg;
    do {
        struct ticket_key key;
        tickets_sealing(r->tickets, &key);
        r->torn += !is_whole(&key);
        r->n++;
    } while (!atomic_load(&r->is_over));
    return NULL;
}

static void test_no_reader_sees_half_a_change(void **state)
{
    (void)state;
    struct tickets t = {0};
    unsigned char bytes[TICKETS_EXPORT_BYTES] = {0};
    struct reader r = {.tickets = &t};
    pthread_t thread;
    tickets_import(&t, bytes, 0);
    assert_int_equal(pthread_create(&thread, NULL, read_on, &r), 0);
    for (unsigned i = 0; i < CHANGES; i++) {
        memset(bytes, (int)(i & 0xff), sizeof bytes);
        tickets_import(&t, bytes, 0);
    }
    atomic_store(&r.is_over, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(r.n > 0);
    assert_int_equal(r.torn, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_age),
        cmocka_unit_test(test_another_process_opens_them),
        cmocka_unit_test(test_another_process_changes_them_when_it_was_due),
        cmocka_unit_test(test_no_reader_sees_half_a_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
