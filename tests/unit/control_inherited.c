/* Sockets that were given: found by name, closed where nobody takes them, shared out among more or fewer workers.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "proxy/control/inherited.h"
#include "proxy/control/listeners.h"
#include "proxy/worker/listener.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static int any_fd(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void test_found_by_name_and_kind(void **state)
{
    (void)state;
    struct inherited in;
    inherited_init(&in);
    int web[] = {any_fd(), any_fd()}, more = any_fd(), admin = any_fd();
    struct unix_file file = {.path = "/run/web", .device = 1, .inode = 2};
    assert_int_equal(inherited_add(&in, false, "unix:/run/web", web, 2, &file), OK);
    assert_int_equal(inherited_add(&in, false, "unix:/run/web", &more, 1, NULL), OK);
    assert_int_equal(inherited_add(&in, true, "unix:/run/web", &admin, 1, NULL), OK);
    assert_null(inherited_take(&in, false, "unix:/run/we"));
    struct inherited_socket *s = inherited_take(&in, false, "unix:/run/web");
    assert_non_null(s);
    assert_int_equal(s->n, 3);
    assert_int_equal(s->fds[2], more);
    assert_string_equal(s->file.path, "/run/web");
    assert_null(inherited_take(&in, false, "unix:/run/web"));
    inherited_close(&in);
    assert_false(is_open(admin));
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(close(s->fds[i]), 0);
    free(s);
}

static void test_two_of_one_name_come_in_order(void **state)
{
    (void)state;
    struct inherited in;
    inherited_init(&in);
    int first = any_fd(), second = any_fd();
    assert_int_equal(inherited_begin(&in, false, "127.0.0.1:0", NULL), OK);
    assert_int_equal(inherited_add(&in, false, "127.0.0.1:0", &first, 1, NULL), OK);
    assert_int_equal(inherited_begin(&in, false, "127.0.0.1:0", NULL), OK);
    assert_int_equal(inherited_add(&in, false, "127.0.0.1:0", &second, 1, NULL), OK);
    struct inherited_socket *s = inherited_take(&in, false, "127.0.0.1:0");
    assert_int_equal(s->fds[0], first);
    assert_int_equal(close(first), 0);
    free(s);
    inherited_close(&in);
    assert_false(is_open(second));
}

static void test_too_many_or_too_long_is_closed_and_refused(void **state)
{
    (void)state;
    struct inherited in;
    char longest[WIRE_TEXT_MAX + 1];
    int fd = any_fd();
    inherited_init(&in);
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(inherited_add(&in, false, longest, &fd, 1, NULL), ERR_LIMIT);
    assert_false(is_open(fd));
    assert_int_equal(inherited_begin(&in, false, "a", NULL), OK);
    CONTAINER_OF(in.sockets.next, struct inherited_socket, link)->n = INHERITED_FDS_MAX;
    fd = any_fd();
    assert_int_equal(inherited_add(&in, false, "a", &fd, 1, NULL), ERR_LIMIT);
    assert_false(is_open(fd));
    CONTAINER_OF(in.sockets.next, struct inherited_socket, link)->n = 0;
    inherited_close(&in);
}

/* --- shared out --- */

static struct config_listener places[1];
static struct config config = {.listeners = places, .n_listeners = 1};
static struct why why;

/* Sockets on a port of their own, as one process of so many workers has them. */
static void give(struct inherited *in, unsigned workers)
{
    struct listeners old;
    struct inherited none;
    inherited_init(&none);
    inherited_init(in);
    places[0].bind = "127.0.0.1:0";
    config.workers = workers;
    assert_int_equal(listeners_open(&old, &config, &none, &why), OK);
    assert_int_equal(old.items[0].n_own, workers);
    assert_int_equal(
        inherited_add(in, false, places[0].bind, old.items[0].fds, old.items[0].n_own, NULL), OK);
    listeners_free(&old);
}

static unsigned port_of(int fd)
{
    struct wire_addr a;
    char text[WIRE_TEXT_MAX];
    wire_addr_local(&a, fd);
    wire_addr_text(&a, text);
    return (unsigned)strtoul(strrchr(text, ':') + 1, NULL, 10);
}

/* Every socket has exactly one worker, all of one port. */
static void check_shares(unsigned before, unsigned now)
{
    struct inherited in;
    struct listeners l;
    bool seen[1024] = {false};
    size_t total = 0, listener;
    give(&in, before);
    config.workers = now;
    assert_int_equal(listeners_open(&l, &config, &in, &why), OK);
    unsigned port = port_of(l.items[0].fds[0]);
    for (unsigned w = 0; w < now; w++) {
        size_t n = listeners_of(&l, w, now);
        assert_true(n >= 1);
        for (size_t i = 0; i < n; i++) {
            int fd = listeners_at(&l, w, now, i, &listener);
            assert_false(seen[fd]);
            seen[fd] = true;
            assert_int_equal(port_of(fd), port);
        }
        assert_int_equal(listeners_at(&l, w, now, n, &listener), -1);
        total += n;
    }
    assert_int_equal(total, before > now ? before : now);
    assert_int_equal(l.items[0].n_own, total);
    listeners_close(&l, 0, now);
    listeners_free(&l);
}

static void test_workers_come_and_go(void **state)
{
    (void)state;
    check_shares(1, 1);
    check_shares(1, 4);
    check_shares(4, 1);
    check_shares(5, 3);
    check_shares(2, 3);
}

/* What has no SO_REUSEPORT (a service manager's socket, a UNIX one) is one queue under several descriptors. */
static void test_a_lone_socket_is_duplicated(void **state)
{
    (void)state;
    struct inherited in;
    struct listeners l;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(listen(fd, 1), 0);
    inherited_init(&in);
    assert_int_equal(inherited_add(&in, false, "fd:web", &fd, 1, NULL), OK);
    places[0].bind = "fd:web";
    config.workers = 3;
    assert_int_equal(listeners_open(&l, &config, &in, &why), OK);
    assert_int_equal(l.items[0].n, 3);
    assert_int_equal(l.items[0].n_own, 1);
    assert_int_equal(port_of(l.items[0].fds[2]), port_of(fd));
    assert_int_equal(fcntl(l.items[0].fds[2], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    listeners_close(&l, 0, 3);
    assert_false(is_open(fd));
    listeners_free(&l);
}

/* A start that fails half way closes the shares of those who did not start, and no others. */
static void test_closed_from_a_worker_on(void **state)
{
    (void)state;
    struct inherited in;
    struct listeners l;
    give(&in, 3);
    assert_int_equal(listeners_open(&l, &config, &in, &why), OK);
    int kept = l.items[0].fds[0], gone[] = {l.items[0].fds[1], l.items[0].fds[2]};
    listeners_close(&l, 1, 3);
    assert_true(is_open(kept) && !is_open(gone[0]) && !is_open(gone[1]));
    assert_int_equal(close(kept), 0);
    listeners_free(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found_by_name_and_kind),
        cmocka_unit_test(test_two_of_one_name_come_in_order),
        cmocka_unit_test(test_too_many_or_too_long_is_closed_and_refused),
        cmocka_unit_test(test_workers_come_and_go),
        cmocka_unit_test(test_a_lone_socket_is_duplicated),
        cmocka_unit_test(test_closed_from_a_worker_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
