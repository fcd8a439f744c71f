/* Which sends of two requests in one turn wait for its end: those after which nobody's turn depends on what the kernel takes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "flow_fixture.h"

#define WHOLE  "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define BEGUN  "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"
#define ANSWER "HTTP/1.1 204 No Content\r\n\r\n"

struct two {
    int clients[2], ups[2];
};

static void say_unsettled(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Both at once: the loop sees both in one turn. */
static void both_say(struct fixture *f, const int fds[2], const char *text)
{
    say_unsettled(fds[0], text);
    say_unsettled(fds[1], text);
    settle(f);
}

/* Two clients, and two connections that have served a request each. */
static struct two open_two(struct fixture *f)
{
    struct two t = {{client_open(f), client_open(f)}, {-1, -1}};
    both_say(f, t.clients, WHOLE);
    for (unsigned i = 0; i < 2; i++) {
        t.ups[i] = called(f, ROLE_STABLE);
        assert_message(hear(t.ups[i]), "GET / HTTP/1.1\r\n", "");
    }
    both_say(f, t.ups, ANSWER);
    for (unsigned i = 0; i < 2; i++)
        assert_hears(t.clients[i], "HTTP/1.1 204 ", "");
    assert_true(burst_begin(&f->flow.burst));
    return t;
}

static void close_two(struct fixture *f, const struct two *t)
{
    for (unsigned i = 0; i < 2; i++) {
        (void)close(t->clients[i]);
        (void)close(t->ups[i]);
    }
    settle(f);
    burst_end(&f->flow.burst);
}

static void whole_requests_and_answers_leave_together(void **state)
{
    struct fixture *f = *state;
    struct two t = open_two(f);
    both_say(f, t.clients, WHOLE);
    assert_int_equal(f->flow.burst.n_system_calls, 1);
    for (unsigned i = 0; i < 2; i++)
        assert_message(hear(t.ups[i]), "GET / HTTP/1.1\r\n", "");
    both_say(f, t.ups, ANSWER);
    assert_int_equal(f->flow.burst.n_system_calls, 2);
    for (unsigned i = 0; i < 2; i++)
        assert_hears(t.clients[i], "HTTP/1.1 204 ", "");
    assert_at_rest(f);
    close_two(f, &t);
}

/* An upstream that takes no head is waited for by timeouts.response_header, a client with a body by timeouts.client_body. */
static void a_head_whose_body_is_to_come_leaves_at_once(void **state)
{
    struct fixture *f = *state;
    struct two t = open_two(f);
    both_say(f, t.clients, BEGUN);
    assert_int_equal(f->flow.burst.n_system_calls, 0);
    both_say(f, t.clients, "body");
    for (unsigned i = 0; i < 2; i++)
        assert_message(hear(t.ups[i]), "POST / HTTP/1.1\r\n", "body");
    both_say(f, t.ups, ANSWER);
    for (unsigned i = 0; i < 2; i++)
        assert_hears(t.clients[i], "HTTP/1.1 204 ", "");
    assert_at_rest(f);
    close_two(f, &t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(whole_requests_and_answers_leave_together, setup, teardown),
        cmocka_unit_test_setup_teardown(a_head_whose_body_is_to_come_leaves_at_once, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
