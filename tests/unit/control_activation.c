/* Sockets that systemd gave: named in the configuration, shared by the workers, never opened beside.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/control/activation.h"

#include "base/check.h"
#include "proxy/control/listeners.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOCKETS_MAX 8

static struct config_listener places[1] = {{.bind = "fd:web", .place = {2, 3}}};
static struct config config = {.file = "f", .listeners = places, .n_listeners = 1};
static struct why why;

/* A listening socket of 127.0.0.1; port 0 = any. */
static int listening(in_port_t port, bool is_shared)
{
    int on = is_shared, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 8), 0);
    return fd;
}

static in_port_t port_of(int fd)
{
    struct sockaddr_in at;
    socklen_t len = sizeof at;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    return at.sin_port;
}

static bool is_open(int fd)
{
    int on;
    socklen_t len = sizeof on;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) == 0;
}

static void give(struct inherited *in, const int *fds, unsigned n)
{
    inherited_init(in);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(inherited_add(in, false, "fd:web", &fds[i], 1, NULL), OK);
}

/* Opened for so many workers; every worker accepts on this many sockets. */
static void open_for(struct listeners *l, struct inherited *in, unsigned workers, size_t each)
{
    size_t listener;
    config.workers = workers;
    assert_int_equal(listeners_open(l, &config, in, &why), OK);
    for (unsigned w = 0; w < workers; w++) {
        assert_int_equal(listeners_of(l, w, workers), each);
        for (size_t i = 0; i < each; i++)
            assert_true(is_open(listeners_at(l, w, workers, i, &listener)));
    }
}

static void close_all(struct listeners *l, unsigned workers)
{
    int *fds = l->items[0].fds;
    unsigned n = l->items[0].n;
    listeners_close(l, 0, workers);
    for (unsigned i = 0; i < n; i++)
        assert_false(is_open(fds[i]));
    listeners_free(l);
}

/* Every worker accepts on each address, through a descriptor of its own. */
static void check_addresses(unsigned n, unsigned workers)
{
    int fds[SOCKETS_MAX];
    in_port_t ports[SOCKETS_MAX];
    struct inherited in;
    struct listeners l;
    size_t listener;
    for (unsigned i = 0; i < n; i++) {
        fds[i] = listening(0, false);
        ports[i] = port_of(fds[i]);
    }
    give(&in, fds, n);
    open_for(&l, &in, workers, n);
    assert_int_equal(l.items[0].n, n * workers);
    assert_int_equal(l.items[0].n_own, n);
    for (unsigned w = 0; w < workers; w++)
        for (unsigned k = 0; k < n; k++) {
            unsigned found = 0;
            for (size_t i = 0; i < n; i++)
                found += port_of(listeners_at(&l, w, workers, i, &listener)) == ports[k];
            assert_int_equal(found, 1);
        }
    close_all(&l, workers);
}

static void test_every_worker_accepts_on_every_address(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 5; n++)
        for (unsigned workers = 1; workers <= 5; workers++)
            check_addresses(n, workers);
}

/* ReusePort=yes and as many sockets as workers: the kernel shares out. */
static void test_sockets_of_one_address_are_shared_out(void **state)
{
    (void)state;
    struct inherited in;
    struct listeners l;
    int fds[3] = {listening(0, true)};
    fds[1] = listening(port_of(fds[0]), true);
    fds[2] = listening(port_of(fds[0]), true);
    give(&in, fds, 3);
    open_for(&l, &in, 3, 1);
    close_all(&l, 3);
    fds[0] = listening(0, true);
    fds[1] = listening(port_of(fds[0]), true);
    give(&in, fds, 2);
    open_for(&l, &in, 3,
             2); /* fewer: no queue of our own beside systemd's, which would end with us */
    close_all(&l, 3);
}

static void test_a_name_that_was_not_given_is_told_with_those_that_were(void **state)
{
    (void)state;
    struct inherited in;
    struct listeners l;
    int fd = listening(0, false), other = listening(0, false);
    inherited_init(&in);
    config.workers = 1;
    assert_int_equal(listeners_open(&l, &config, &in, &why), ERR_NOT_FOUND);
    assert_string_equal(why.text, "fd:web: no socket of that name was given (none was: is serin "
                                  "started by a socket unit?)");
    listeners_free(&l);
    assert_int_equal(inherited_add(&in, false, "fd:http", &fd, 1, NULL), OK);
    assert_int_equal(inherited_add(&in, false, "fd:admin", &other, 1, NULL), OK);
    assert_int_equal(listeners_open(&l, &config, &in, &why), ERR_NOT_FOUND);
    assert_string_equal(why.text,
                        "fd:web: no socket of that name was given (there are: http, admin)");
    listeners_free(&l);
    inherited_close(&in);
}

static void test_headers_over_a_given_tcp_socket_need_networks(void **state)
{
    (void)state;
    struct inherited in;
    struct listeners l;
    int fd = listening(0, false);
    places[0].proxy_protocol = true;
    give(&in, &fd, 1);
    config.workers = 2;
    assert_int_equal(listeners_open(&l, &config, &in, &why), ERR_INVALID);
    assert_string_equal(why.text,
                        "f:2:3: listeners[0].trusted: is missing (fd:web is no UNIX socket: "
                        "networks whose PROXY headers are believed)");
    close_all(&l, 2);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    give(&in, &fd, 1);
    open_for(&l, &in, 2, 1);
    close_all(&l, 2);
    places[0].proxy_protocol = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_worker_accepts_on_every_address),
        cmocka_unit_test(test_sockets_of_one_address_are_shared_out),
        cmocka_unit_test(test_a_name_that_was_not_given_is_told_with_those_that_were),
        cmocka_unit_test(test_headers_over_a_given_tcp_socket_need_networks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
