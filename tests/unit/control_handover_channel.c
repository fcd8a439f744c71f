/* The channel of a hand-over: messages in their order with their descriptors, a peer that does not read, one that ends or
 * says what cannot be understood. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "proxy/control/handover_channel.h"
#include "proxy/wire/time.h"
#include <cjson/cJSON.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static struct event_base *base;
static struct handover_channel *channel;
static int peer;
static unsigned heard, fds_heard, ended;
static char last_route[KNOWN_NAME_MAX], ended_why[WHY_MAX];
static bool frees_itself;
static struct why why;

static void on_message(void *arg, struct handover_received *r)
{
    (void)arg;
    heard++;
    fds_heard += r->n_fds;
    (void)snprintf(last_route, sizeof last_route, "%s", r->message.route);
    if (frees_itself) {
        handover_channel_free(channel);
        channel = NULL;
    }
}

static void on_end(void *arg, const char *reason)
{
    (void)arg;
    ended++;
    (void)snprintf(ended_why, sizeof ended_why, "%s", reason);
}

static int setup(void **state)
{
    int fds[2];
    (void)state;
    heard = fds_heard = ended = 0;
    frees_itself = false;
    base = event_base_new();
    assert_int_equal(handover_pair(fds), OK);
    assert_true(handover_is_end(fds[0]) && fcntl(fds[1], F_GETFD) == FD_CLOEXEC);
    peer = fds[1];
    channel = handover_channel_new(base, fds[0], on_message, on_end, NULL);
    return channel ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    handover_channel_free(channel);
    event_base_free(base);
    if (peer >= 0)
        (void)close(peer);
    return 0;
}

static void settle(void)
{
    for (unsigned i = 0; i < 20; i++)
        (void)event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

static int64_t in_ms(int64_t ms)
{
    return time_monotonic_us() / 1000 + ms;
}

static struct handover_message route_message(unsigned n, size_t filler)
{
    struct handover_message m = {.kind = HANDOVER_ROUTE, .state = cJSON_CreateObject()};
    char *text = calloc(1, filler + 1);
    memset(text, 'x', filler);
    (void)snprintf(m.route, sizeof m.route, "r%u", n);
    assert_non_null(cJSON_AddStringToObject(m.state, "filler", text));
    free(text);
    return m;
}

static int any_fd(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static bool is_null_device(int fd)
{
    struct stat one, other;
    return fstat(fd, &one) == 0 && stat("/dev/null", &other) == 0 && one.st_rdev == other.st_rdev &&
           (fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

static void test_descriptors_come_along(void **state)
{
    (void)state;
    struct handover_message m = {.kind = HANDOVER_SOCKET, .socket = {.bind = "a"}};
    struct handover_received r;
    int fds[HANDOVER_FDS_MAX];
    for (unsigned i = 0; i < HANDOVER_FDS_MAX; i++)
        fds[i] = any_fd();
    handover_channel_send(channel, &m, fds, HANDOVER_FDS_MAX);
    assert_int_equal(handover_receive_now(peer, &r, in_ms(5000), &why), OK);
    assert_int_equal(r.n_fds, HANDOVER_FDS_MAX);
    for (unsigned i = 0; i < HANDOVER_FDS_MAX; i++) {
        assert_true(r.fds[i] != fds[i] && is_null_device(r.fds[i]));
        (void)close(fds[i]);
    }
    int one = r.fds[0];
    handover_received_fini(&r); /* nobody took them */
    assert_int_equal(fcntl(one, F_GETFD), -1);
}

/* Far more than the socket holds, to a peer that begins to read later: all of it, in order. */
static void test_what_has_no_room_waits(void **state)
{
    (void)state;
    int fd = any_fd();
    for (unsigned i = 0; i < 100; i++) {
        struct handover_message m = route_message(i, 100000);
        handover_channel_send(channel, &m, &fd, i % 2);
        cJSON_Delete(m.state);
    }
    for (unsigned i = 0; i < 100; i++) {
        struct handover_received r;
        char name[16];
        (void)snprintf(name, sizeof name, "r%u", i);
        assert_int_equal(handover_receive_now(peer, &r, in_ms(5000), &why), OK);
        assert_string_equal(r.message.route, name);
        assert_int_equal(r.n_fds, i % 2);
        handover_received_fini(&r);
        settle();
    }
    (void)close(fd);
    assert_int_equal(ended, 0);
}

static void test_a_peer_that_never_reads_is_given_up(void **state)
{
    (void)state;
    struct handover_message m = route_message(0, 150000);
    for (unsigned i = 0; i < HANDOVER_QUEUE_MAX / 150000 + 10 && !ended; i++)
        handover_channel_send(channel, &m, NULL, 0);
    assert_int_equal(ended, 0); /* not under the one who sends */
    settle();
    assert_int_equal(ended, 1);
    cJSON_Delete(m.state);
}

static void test_messages_are_told(void **state)
{
    (void)state;
    struct handover_message m = {.kind = HANDOVER_SPLIT, .route = "web", .split = {.stable = "v1"}};
    for (unsigned i = 0; i < 200; i++)
        assert_int_equal(handover_send_now(peer, &m, in_ms(5000), &why), OK), settle();
    assert_int_equal(heard, 200);
    assert_string_equal(last_route, "web");
    handover_channel_rest(channel, true);
    assert_int_equal(handover_send_now(peer, &m, in_ms(5000), &why), OK);
    settle();
    assert_int_equal(heard, 200);
    handover_channel_rest(channel, false);
    settle();
    assert_int_equal(heard, 201);
}

static void test_an_end_is_told_once(void **state)
{
    (void)state;
    struct handover_message m = {.kind = HANDOVER_GO};
    assert_int_equal(handover_send_now(peer, &m, in_ms(5000), &why), OK);
    (void)close(peer);
    peer = -1;
    settle();
    assert_int_equal(heard, 1); /* what it had said comes first */
    assert_int_equal(ended, 1);
    assert_non_null(strstr(ended_why, "ended"));
    handover_channel_send(channel, &m, NULL, 0); /* harmless */
}

static void test_what_cannot_be_understood_ends_it(void **state)
{
    (void)state;
    assert_int_equal(send(peer, "hello", 5, 0), 5);
    settle();
    assert_int_equal(heard, 0);
    assert_int_equal(ended, 1);
}

static void test_what_is_too_long_ends_it(void **state)
{
    (void)state;
    char *text = calloc(1, HANDOVER_BYTES_MAX + 1);
    memset(text, '{', HANDOVER_BYTES_MAX + 1);
    assert_int_equal(send(peer, text, HANDOVER_BYTES_MAX + 1, 0), HANDOVER_BYTES_MAX + 1);
    settle();
    assert_int_equal(ended, 1);
    assert_non_null(strstr(ended_why, "too long"));
    free(text);
}

static void test_it_may_be_freed_within(void **state)
{
    (void)state;
    struct handover_message m = {.kind = HANDOVER_GO};
    frees_itself = true;
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(handover_send_now(peer, &m, in_ms(5000), &why), OK);
    settle();
    assert_int_equal(heard, 1);
    assert_int_equal(ended, 0);
}

static void test_waiting_has_a_deadline(void **state)
{
    (void)state;
    struct handover_received r;
    struct handover_message m = route_message(0, 100000);
    assert_int_equal(handover_receive_now(peer, &r, in_ms(20), &why), ERR_TIMEOUT);
    enum err e = OK;
    for (unsigned i = 0; i < 100 && e == OK; i++)
        e = handover_send_now(peer, &m, in_ms(20), &why); /* nobody turns the loop */
    assert_int_equal(e, ERR_TIMEOUT);
    cJSON_Delete(m.state);
    handover_channel_free(channel);
    channel = NULL;
    assert_int_equal(handover_receive_now(peer, &r, in_ms(5000), &why), ERR_CLOSED);
    m = (struct handover_message){.kind = HANDOVER_GO};
    assert_int_equal(handover_send_now(peer, &m, in_ms(5000), &why), ERR_CLOSED);
}

static void test_others_are_no_ends(void **state)
{
    (void)state;
    int fds[2], null = any_fd();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_false(handover_is_end(fds[0]) || handover_is_end(null) || handover_is_end(-1));
    (void)close(fds[0]);
    (void)close(fds[1]);
    (void)close(null);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_descriptors_come_along),
        TEST(test_what_has_no_room_waits),
        TEST(test_a_peer_that_never_reads_is_given_up),
        TEST(test_messages_are_told),
        TEST(test_an_end_is_told_once),
        TEST(test_what_cannot_be_understood_ends_it),
        TEST(test_what_is_too_long_ends_it),
        TEST(test_it_may_be_freed_within),
        TEST(test_waiting_has_a_deadline),
        TEST(test_others_are_no_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
