/* The pipes of a worker: how many there are, who gets one, and what becomes of it. What moves through them: wire_stream_splice.c.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/wire/pipes.h"

#include "proxy/wire/reserve.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static void one_that_was_given_back_is_lent_again(void **state)
{
    struct pipes pipes;
    (void)state;
    pipes_init(&pipes);
    struct pipe *a = pipe_take(&pipes), *b = pipe_take(&pipes);
    assert_true(a && b && a != b);
    assert_int_equal(fcntl(a->read_fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_true(fcntl(a->write_fd, F_GETPIPE_SZ) >= (int)PIPE_BYTES_LEAST);
    pipe_give(a);
    pipe_give(b);
    assert_ptr_equal(pipe_take(&pipes), b); /* used last, first */
    pipe_give(b);
    assert_int_equal(pipes.n, 2);
    int fd = a->read_fd;
    pipes_fini(&pipes);
    assert_int_equal(pipes.n, 0);
    assert_false(is_open(fd));
}

static void one_with_bytes_in_it_is_closed(void **state)
{
    struct pipes pipes;
    (void)state;
    pipes_init(&pipes);
    struct pipe *p = pipe_take(&pipes);
    int ends[] = {p->read_fd, p->write_fd};
    assert_int_equal(write(p->write_fd, "abc", 3), 3);
    p->len = 3;
    pipe_give(p);
    assert_int_equal(pipes.n, 0);
    assert_null(pipes.idle);
    assert_false(is_open(ends[0]) || is_open(ends[1]));
    pipes_fini(&pipes);
}

static void there_are_no_more_than_the_bound(void **state)
{
    struct pipes pipes;
    struct pipe *lent[PIPES_MAX];
    (void)state;
    pipes_init(&pipes);
    for (unsigned i = 0; i < PIPES_MAX; i++)
        assert_non_null(lent[i] = pipe_take(&pipes));
    assert_null(pipe_take(&pipes));
    pipe_give(lent[7]);
    assert_ptr_equal(pipe_take(&pipes), lent[7]); /* at once: that one could be had */
    for (unsigned i = 0; i < PIPES_MAX; i++)
        pipe_give(lent[i]);
    assert_int_equal(pipes.n, PIPES_IDLE_MAX); /* kept for the next ones */
    pipes_fini(&pipes);
}

/* Until PIPES_RETRY have done without, and no descriptor is lost by trying. */
static void assert_refuses_then(struct pipes *pipes, bool is_had)
{
    for (unsigned i = 0; i < PIPES_RETRY; i++)
        assert_null(pipe_take(pipes));
    struct pipe *p = pipe_take(pipes);
    assert_int_equal(p != NULL, is_had);
    if (p)
        pipe_give(p);
    pipes_fini(pipes);
}

static void the_last_descriptors_are_for_others(void **state)
{
    struct pipes pipes;
    (void)state;
    int next = dup(0);
    (void)close(next);
    pipes_init(&pipes);
    for (int i = 0; i < 2; i++) { /* either end */
        pipes.reserve_begin = (unsigned)(next + i);
        pipes.retry_in = 0;
        assert_null(pipe_take(&pipes));
        assert_int_equal(pipes.n, 0);
        assert_false(is_open(next));
    }
    assert_refuses_then(&pipes, false);
    pipes_init(&pipes);
    pipes.reserve_begin = (unsigned)next;
    assert_null(pipe_take(&pipes));
    pipes.reserve_begin = 0;
    assert_refuses_then(&pipes, true);
}

static void without_a_descriptor_there_is_none(void **state)
{
    struct pipes pipes;
    struct rlimit before;
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int next = dup(0);
    (void)close(next);
    struct rlimit few = {(rlim_t)next + 1, before.rlim_max};
    pipes_init(&pipes);
    pipes.reserve_begin = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    assert_null(pipe_take(&pipes));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_false(is_open(next));
    assert_refuses_then(&pipes, true);
}

/* A pipe cannot be spliced into itself: the answer is that of where a kernel or a sandbox knows nothing of it. */
static void where_it_cannot_be_done_it_is_not_tried_again(void **state)
{
    struct pipes pipes;
    (void)state;
    pipes_init(&pipes);
    struct pipe *p = pipe_take(&pipes), *idle = pipe_take(&pipes);
    pipe_give(idle);
    int own = dup(p->read_fd); /* an end of a pipe, to be read into the same pipe */
    errno = 0;
    assert_int_equal(pipe_fill(p, own, 100), -1);
    assert_int_equal(errno, EINVAL);
    (void)close(own);
    assert_true(pipes.is_off);
    assert_null(pipe_take(&pipes)); /* nor is an idle one given */
    pipe_give(p);
    assert_int_equal(pipes.n, 1);
    pipes_fini(&pipes);
}

static void the_reserve_is_a_share_and_bounded(void **state)
{
    struct rlimit before;
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit small = {400, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &small), 0);
    assert_int_equal(reserve_begin(), 300);
    assert_true(reserve_has(300, 300) && reserve_has(300, 399) && !reserve_has(300, 299));
    assert_false(reserve_has(0, 1 << 30));
    if (before.rlim_max == RLIM_INFINITY || before.rlim_max >= 20000) {
        struct rlimit large = {20000, before.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &large), 0);
        assert_int_equal(reserve_begin(), 20000 - FD_RESERVE_MAX);
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_was_given_back_is_lent_again),
        cmocka_unit_test(one_with_bytes_in_it_is_closed),
        cmocka_unit_test(there_are_no_more_than_the_bound),
        cmocka_unit_test(the_last_descriptors_are_for_others),
        cmocka_unit_test(without_a_descriptor_there_is_none),
        cmocka_unit_test(where_it_cannot_be_done_it_is_not_tried_again),
        cmocka_unit_test(the_reserve_is_a_share_and_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
