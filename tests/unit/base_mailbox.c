/* The one-slot mailbox: the newest message wins and none is lost, between two threads as well.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mailbox.h"
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>

static void the_newest_wins_and_the_older_comes_back(void **state)
{
    (void)state;
    struct mailbox m;
    int a, b;
    mailbox_init(&m);
    assert_null(mailbox_take(&m));
    assert_null(mailbox_put(&m, &a));
    assert_ptr_equal(mailbox_put(&m, &b), &a);
    assert_ptr_equal(mailbox_take(&m), &b);
    assert_null(mailbox_take(&m));
    assert_null(mailbox_put(&m, &a));
    assert_ptr_equal(mailbox_take(&m), &a);
}

#define MESSAGES 20000

struct message {
    int number;
    int copies[15]; /* written before the put, read after the take: the sanitizer watches them */
};

struct reader {
    struct mailbox *box;
    int last, taken;
    bool in_order, whole;
};

static void *read_messages(void *arg)
{
    struct reader *r = arg;
    r->in_order = r->whole = true;
    while (r->last < MESSAGES) {
        struct message *m = mailbox_take(r->box);
        if (!m) {
            sched_yield();
            continue;
        }
        for (size_t i = 0; i < sizeof m->copies / sizeof *m->copies; i++)
            r->whole = r->whole && m->copies[i] == m->number;
        r->in_order = r->in_order && m->number > r->last;
        r->last = m->number;
        r->taken++;
        free(m);
    }
    return NULL;
}

/* Every message is freed exactly once, by the reader or by the sender that got it back. */
static void two_threads_lose_nothing(void **state)
{
    (void)state;
    struct mailbox box;
    mailbox_init(&box);
    struct reader r = {.box = &box};
    pthread_t thread;
    int returned = 0;
    assert_int_equal(pthread_create(&thread, NULL, read_messages, &r), 0);
    for (int n = 1; n <= MESSAGES; n++) {
        struct message *m = malloc(sizeof *m);
        assert_non_null(m);
        m->number = n;
        for (size_t i = 0; i < sizeof m->copies / sizeof *m->copies; i++)
            m->copies[i] = n;
        struct message *old = mailbox_put(&box, m);
        returned += old != NULL;
        free(old);
        if (n % 64 == 0)
            sched_yield(); /* lets some of them be taken on one core, too */
    }
    pthread_join(thread, NULL);
    assert_true(r.in_order && r.whole);
    assert_int_equal(r.taken + returned, MESSAGES);
    assert_null(mailbox_take(&box));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_wins_and_the_older_comes_back),
        cmocka_unit_test(two_threads_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
