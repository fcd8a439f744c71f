/* Tests the bounds of the admin port, its events, and how it starts and stops.
 * SPDX-License-Identifier: Apache-2.0 */
#include "control_admin_fixture.h"

/* Bounds. */

static void large_requests_are_refused(void **state)
{
    struct fixture *f = *state;
    static const char *const heads[] = {
        POST_VERB("abort") "Content-Length: 5000\r\n" LAST,
        POST_VERB("abort") "Content-Length: 99999999999999999999\r\n" LAST,
        "GET /healthz HTTP/1.1\r\n" HOST "X: ",
    };
    char *request = malloc(70000);
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        size_t len = strlen(heads[i]);
        memcpy(request, heads[i], len);
        memset(request + len, 'x', 12000);
        request[len + 12000] = '\0';
        int status = ask(f, request);
        if (status != 413 && status != 400)
            fail_msg("row %zu: %s", i, f->response);
    }
    free(request);
    assert_int_equal(f->fake.verbs, 0);
}

/* The deadline is absolute: a byte now and then does not put it off. */
static void slow_clients_are_closed(void **state)
{
    struct fixture *f = *state;
    int fd = dial(f->admin);
    static const char head[] = "GET /healthz HTTP/1.1\r\nX: ";
    send_all(f, fd, head, strlen(head));
    int64_t end = now_ms() + PATIENCE_MS;
    for (char c; recv(fd, &c, 1, MSG_DONTWAIT) != 0;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        assert_true(now_ms() < end);
        send_all(f, fd, "x", 1);
        poll(&p, 1, 20);
    }
    close(fd);
    assert_int_equal(ask(f, "GET /healthz HTTP/1.1\r\n" HOST LAST), 200);
}

static void idle_connections_do_not_lock_others_out(void **state)
{
    struct fixture *f = *state;
    int idle[80];
    for (size_t i = 0; i < ARRAY_LEN(idle); i++) {
        idle[i] = dial(f->admin);
        turn(f);
    }
    assert_int_equal(ask(f, "GET /healthz HTTP/1.1\r\n" HOST LAST), 200);
    for (size_t i = 0; i < ARRAY_LEN(idle); i++)
        close(idle[i]);
}

/* Events. */

#define FOLLOW "GET /api/v1/events HTTP/1.1\r\n" HOST "\r\n"

static int follow(struct fixture *f)
{
    int fd = dial(f->admin);
    send_all(f, fd, FOLLOW, strlen(FOLLOW));
    assert_true(receive_until(f, fd, "retry: 1000\n\n"));
    assert_response_has(f, "Content-Type: text/event-stream");
    return fd;
}

static void followers_get_every_event(void **state)
{
    struct fixture *f = *state;
    int first = follow(f), second = follow(f);
    admin_publish(f->admin, "WeightChanged", "{\"a\":1}");
    admin_publish(f->admin, "tick", "{\n}");
    assert_true(receive_until(f, first, "event: WeightChanged\ndata: {\"a\":1}\n\n"));
    assert_true(receive_until(f, second, "event: tick\ndata: {\ndata: }\n\n"));
    close(first);
    admin_publish(f->admin, "tick", "{\"b\":2}");
    assert_true(receive_until(f, second, "data: {\"b\":2}\n\n"));
    close(second);
    for (int i = 0; i < 10; i++) { /* nobody is left */
        turn(f);
        admin_publish(f->admin, "tick", "{}");
    }
}

/* A follower outlives the deadline that every other connection has. */
static void followers_stay(void **state)
{
    struct fixture *f = *state;
    int fd = follow(f), slow = dial(f->admin);
    receive_until(f, slow, NULL); /* closed at its deadline, which was later than the follower's */
    close(slow);
    admin_publish(f->admin, "tick", "{\"later\":1}");
    assert_true(receive_until(f, fd, "{\"later\":1}"));
    close(fd);
}

static void followers_are_bounded_in_number(void **state)
{
    struct fixture *f = *state;
    int fds[16];
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        fds[i] = follow(f);
    assert_int_equal(ask(f, "GET /api/v1/events HTTP/1.1\r\n" HOST LAST), 503);
    assert_response_has(f, "too_many_followers");
    close(fds[0]);
    for (int64_t end = now_ms() + PATIENCE_MS; now_ms() < end;) {
        fds[0] = dial(f->admin);
        send_all(f, fds[0], FOLLOW, strlen(FOLLOW));
        if (receive_until(f, fds[0], "\r\n\r\n") && strstr(f->response, "200 OK"))
            break;
        close(fds[0]);
    }
    assert_response_has(f, "200 OK");
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        close(fds[i]);
}

static void a_follower_that_does_not_read_is_dropped(void **state)
{
    struct fixture *f = *state;
    static char large[32768];
    memset(large, 'x', sizeof large - 1);
    int deaf = follow(f), good = follow(f);
    bool is_dropped = false;
    for (int64_t end = now_ms() + PATIENCE_MS; !is_dropped && now_ms() < end;) {
        admin_publish(f->admin, "tick", large);
        admin_publish(f->admin, "mark", "{}");
        assert_true(receive_until(f, good, "event: mark\n"));
        struct pollfd p = {.fd = deaf, .events = POLLRDHUP};
        is_dropped = poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR));
    }
    assert_true(is_dropped);
    close(deaf);
    close(good);
}

/* Start and stop. */

static void a_unix_socket_serves_and_goes(void **state)
{
    struct fixture *f = *state;
    struct why why = {""};
    struct stat st;
    char bind_text[128], *path = bind_text + 5;
    snprintf(bind_text, sizeof bind_text, "unix:%s/admin", f->directory);
    admin_stop(f->admin);
    f->admin = start(f, bind_text, NULL, &why);
    if (!f->admin)
        fail_msg("%s", why.text);
    assert_string_equal(admin_address(f->admin), bind_text);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0660);
    assert_int_equal(ask(f, "POST /api/v1/routes/my-web/abort HTTP/1.1\r\n" JSON LAST), 200);

    /* A living socket is not taken away, */
    assert_null(start(f, bind_text, NULL, &why));
    assert_non_null(strstr(why.text, "another process listens"));
    assert_int_equal(ask(f, "GET /healthz HTTP/1.1\r\n" HOST LAST), 200);
    admin_stop(f->admin);
    assert_int_equal(stat(path, &st), -1);

    /* what is no socket neither, */
    FILE *file = fopen(path, "w");
    fclose(file);
    f->admin = start(f, bind_text, NULL, &why);
    assert_null(f->admin);
    assert_non_null(strstr(why.text, "is not a socket"));
    unlink(path);

    /* but the file of a dead process is. */
    struct wire_addr a;
    assert_int_equal(address_of(bind_text, &a, NULL), OK);
    int dead = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(dead, (struct sockaddr *)(void *)a.bytes, a.len), 0);
    close(dead);
    f->admin = start(f, bind_text, NULL, &why);
    assert_non_null(f->admin);
}

static void bad_setups_are_refused(void **state)
{
    struct fixture *f = *state;
    struct why why = {""};
    assert_null(start(f, "nonsense", NULL, &why));
    assert_non_null(strstr(why.text, "admin.bind"));
    assert_non_null(strstr(why.text, "nonsense"));
    assert_null(start(f, "127.0.0.1:0", "", &why));
    assert_non_null(strstr(why.text, "empty"));
    assert_null(start(f, "0.0.0.0:0", NULL, &why));
    assert_non_null(strstr(why.text, "token_file"));
    assert_null(start(f, admin_address(f->admin), NULL, &why));
    assert_non_null(strstr(why.text, "cannot bind"));
    assert_null(start(f, "unix:/nonexistent/directory/admin", NULL, &why));
}

static void reading_from_outside_needs_the_token(void **state)
{
    struct fixture *f = *state;
    struct why why = {""};
    struct admin *loopback = f->admin;
    f->admin = start(f, "0.0.0.0:0", "secret", &why);
    assert_non_null(f->admin);
    /* dialling 0.0.0.0 reaches this machine */
    assert_int_equal(ask(f, "GET /api/v1/routes HTTP/1.1\r\n" HOST LAST), 401);
    assert_int_equal(ask(f, "GET /metrics HTTP/1.1\r\n" HOST LAST), 401);
    assert_int_equal(ask(f, "GET /api/v1/events HTTP/1.1\r\n" HOST LAST), 401);
    assert_int_equal(ask(f, "GET /api/v1/routes/my-web/series HTTP/1.1\r\n" HOST LAST), 401);
    assert_int_equal(ask(f, "GET /healthz HTTP/1.1\r\n" HOST LAST), 200);
    assert_int_equal(ask(f, "GET /page/app.js HTTP/1.1\r\n" HOST LAST),
                     200); /* it asks for the token */
    assert_int_equal(
        ask(f, "GET /metrics HTTP/1.1\r\n" HOST "Authorization: Bearer secret\r\n" LAST), 200);
    admin_stop(f->admin);
    f->admin = loopback;
}

/* Under ASan this also shows that nothing is used or leaked after the end. */
static void stopping_closes_everything(void **state)
{
    struct fixture *f = *state;
    struct why why;
    int follower = follow(f), half = dial(f->admin), idle = dial(f->admin);
    send_all(f, half, "GET / HT", 8);
    admin_publish(f->admin, "tick", "{}");
    admin_stop(f->admin);
    f->admin = NULL;
    turn(f);
    assert_false(receive_until(f, follower, NULL));
    assert_false(receive_until(f, half, NULL));
    assert_false(receive_until(f, idle, NULL));
    close(follower);
    close(half);
    close(idle);
    f->admin = start(f, "[::1]:0", NULL, &why);
    if (f->admin) /* not every machine has IPv6 */
        assert_int_equal(ask(f, "GET /healthz HTTP/1.1\r\nHost: [::1]\r\n" LAST), 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(large_requests_are_refused),
        CASE(slow_clients_are_closed),
        CASE(idle_connections_do_not_lock_others_out),
        CASE(followers_get_every_event),
        CASE(followers_stay),
        CASE(followers_are_bounded_in_number),
        CASE(a_follower_that_does_not_read_is_dropped),
        CASE(a_unix_socket_serves_and_goes),
        CASE(bad_setups_are_refused),
        CASE(reading_from_outside_needs_the_token),
        CASE(stopping_closes_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
