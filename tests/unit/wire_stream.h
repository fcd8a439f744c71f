/* One stream on an event base and its peer, a plain socket: what the tests of wire/stream.c share.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_TESTS_WIRE_STREAM_H
#define SERIN_TESTS_WIRE_STREAM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/wire/stream.h"

#include "base/check.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE_MS 10000

struct fixture {
    struct event_base *base;
    struct stream s;
    int peer;
    unsigned reads, writes; /* callbacks so far */
    enum stream_result flushed;
};

static inline void on_read(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    ((struct fixture *)arg)->reads++;
}

static inline void on_write(evutil_socket_t fd, short what, void *arg)
{
    struct fixture *f = arg;
    (void)fd;
    (void)what;
    f->writes++;
    f->flushed = stream_flush(&f->s);
}

static inline void set_nonblocking(int fd)
{
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
}

/* Two ends of a TCP connection over loopback. */
static inline void connect_pair(int fds[2])
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM, 0), small = 1;
    assert_int_equal(bind(listener, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &len), 0);
    fds[0] = socket(AF_INET, SOCK_STREAM, 0);
    /* the smallest that the kernel allows: a short write needs few bytes */
    (void)setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    (void)setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    assert_int_equal(connect(fds[0], (struct sockaddr *)&at, len), 0);
    fds[1] = accept(listener, NULL, NULL);
    assert_true(fds[1] >= 0);
    (void)close(listener);
}

static inline int start(struct fixture *f, int fds[2])
{
    set_nonblocking(fds[0]);
    set_nonblocking(fds[1]);
    f->base = event_base_new();
    f->peer = fds[1];
    f->flushed = STREAM_PENDING;
    memset(&f->s, 0xa5, sizeof f->s); /* as malloc leaves it */
    stream_init(&f->s, f->base, fds[0], on_read, on_write, f);
    return f->base ? 0 : -1;
}

static struct fixture fixture;

static inline int setup_tcp(void **state)
{
    int fds[2];
    fixture = (struct fixture){.peer = -1};
    *state = &fixture;
    connect_pair(fds);
    return start(&fixture, fds);
}

static inline int setup_unix(void **state)
{
    int fds[2];
    fixture = (struct fixture){.peer = -1};
    *state = &fixture;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
        return -1;
    return start(&fixture, fds);
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    stream_close(&f->s);
    if (f->peer >= 0)
        (void)close(f->peer);
    event_base_free(f->base);
    return 0;
}

/* One turn of the loop, which waits for nothing. */
static inline void turn(struct fixture *f)
{
    (void)event_base_loop(f->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

static inline void await(int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};
    assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
}

static inline void peer_says(struct fixture *f, const char *text)
{
    assert_int_equal(send(f->peer, text, strlen(text), 0), strlen(text));
    await(f->s.fd, POLLIN);
}

static inline enum stream_result say(struct fixture *f, const char *at, size_t len)
{
    struct iovec part = {(char *)(uintptr_t)at, len};
    return stream_send(&f->s, &part, 1);
}

/* What the peer has to read now, appended to out. */
static inline size_t peer_reads(struct fixture *f, char *out, size_t room)
{
    ssize_t n = recv(f->peer, out, room, 0);
    assert_true(n >= 0 || errno == EAGAIN);
    return n > 0 ? (size_t)n : 0;
}

static inline void assert_rests(const struct fixture *f)
{
    assert_null(f->s.out);
    assert_int_equal(stream_pending(&f->s), 0);
    assert_false(f->s.is_writing);
    assert_int_equal(event_base_get_num_events(f->base, EVENT_BASE_COUNT_ADDED), f->s.is_reading);
}

static inline void assert_waits(const struct fixture *f, size_t bytes)
{
    assert_non_null(f->s.out);
    assert_int_equal(stream_pending(&f->s), bytes);
    assert_true(f->s.is_writing);
    assert_true(event_pending(&f->s.out->event, EV_WRITE, NULL));
}

#define BIG (1u << 20)
static char big[BIG], got[2 * BIG];

/* Byte i of everything that a test sends: no two places nearby look alike. */
static inline char pattern(size_t i)
{
    return (char)(i * 2654435761u >> 13);
}

static inline void fill_big(size_t from)
{
    for (size_t i = 0; i < BIG; i++)
        big[i] = pattern(from + i);
}

/* Sends big until some of it waits; returns how many bytes were sent. */
static inline size_t clog_up(struct fixture *f)
{
    size_t sent = 0;
    for (unsigned i = 0; i < 64; i++) {
        fill_big(sent);
        sent += BIG;
        if (say(f, big, BIG) == STREAM_PENDING)
            return sent;
    }
    fail_msg("the kernel takes everything");
    return 0;
}

#define ON_UNIX(f) cmocka_unit_test_setup_teardown(f, setup_unix, teardown)
#define ON_TCP(f)  cmocka_unit_test_setup_teardown(f, setup_tcp, teardown)

#endif
