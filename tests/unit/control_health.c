/* Active checks: what an answer is worth, how many in a row it takes, and what hostile endpoints can do.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "metrics/log.h"
#include "proxy/conf/load.h"
#include "proxy/control/health.h"
#include "proxy/wire/time.h"
#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE_US INT64_C(10000000)

/* --- answers in a row --- */

static void it_takes_some_in_a_row(void **state)
{
    static const struct {
        uint32_t rise, fall;
        enum endpoint_health before;
        const char *answers, *after; /* + good, - bad; U up, D down */
    } rows[] = {
        {2, 3, ENDPOINT_UNKNOWN, "+", "U"},
        {2, 3, ENDPOINT_UNKNOWN, "-", "D"},
        {2, 3, ENDPOINT_UNKNOWN, "-++", "DDU"},
        {2, 3, ENDPOINT_UP, "--+--+---+-++", "UUUUUUUUDDDDU"},
        {3, 1, ENDPOINT_UP, "+-++-+++", "UDDDDDDU"},
        {1, 1, ENDPOINT_DOWN, "+-+", "UDU"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct config_health conf = {.rise = rows[i].rise, .fall = rows[i].fall};
        struct health_row row = {0, 0};
        enum endpoint_health now = rows[i].before;
        for (size_t k = 0; rows[i].answers[k]; k++) {
            now = health_next(&row, &conf, now, rows[i].answers[k] == '+');
            if (now != (rows[i].after[k] == 'U' ? ENDPOINT_UP : ENDPOINT_DOWN))
                fail_msg("row %zu, answer %zu: %d", i, k, now);
        }
    }
}

/* --- over the wire --- */

struct fixture {
    struct event_base *base;
    struct metrics *metrics;
    struct known known;
    struct config *config;
    int listener;
};

static struct fixture fixture;

static struct config *load(uint16_t port, const char *health)
{
    static struct config_errors errors;
    char text[512];
    int n =
        snprintf(text, sizeof text,
                 "listeners: [{ bind: \"127.0.0.1:0\" }]\nroutes:\n  - name: web\n    stable: v1\n"
                 "    versions: { v1: { endpoints: [\"127.0.0.1:%u\"] } }\n%s",
                 port, health);
    struct config *c = config_load_text("f", text, (size_t)n, &errors);
    if (!c)
        config_errors_print(&errors, stderr);
    assert_non_null(c);
    return c;
}

#define HEALTH "    health: { path: /healthz, interval: 100ms, timeout: 50ms, rise: 2, fall: 2 }\n"

static void configure(struct fixture *f, const char *health)
{
    static uint16_t port;
    struct wire_addr a;
    struct why why;
    char text[WIRE_TEXT_MAX];
    if (f->config == NULL) {
        static const uint8_t ip[16] = {127, 0, 0, 1};
        struct sockaddr_storage ss;
        wire_addr_inet(&a, false, ip, 0);
        memcpy(&ss, a.bytes, sizeof ss);
        f->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        assert_int_equal(bind(f->listener, (struct sockaddr *)&ss, a.len), 0);
        assert_int_equal(listen(f->listener, 100), 0);
        wire_addr_local(&a, f->listener);
        wire_addr_text(&a, text);
        port = (uint16_t)strtoul(strrchr(text, ':') + 1, NULL, 10);
    }
    struct config *old = f->config;
    f->config = load(port, health);
    assert_int_equal(known_configure(&f->known, f->config, &why), OK);
    if (old)
        config_free(old);
    health_look(&f->known, f->base, 1000);
}

static int setup(void **state)
{
    const struct log_setup quiet = {.level = LOG_ERROR};
    struct fixture *f = &fixture;
    memset(f, 0, sizeof *f);
    assert_int_equal(log_open(&quiet, NULL), OK);
    f->base = event_base_new();
    f->metrics = metrics_new(1);
    known_init(&f->known, f->metrics, 1);
    configure(f, HEALTH);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    known_fini(&f->known);
    assert_int_equal(f->known.n_checks, 0);
    assert_int_equal(event_base_get_num_events(f->base, EVENT_BASE_COUNT_ADDED), 0);
    config_free(f->config);
    metrics_free(f->metrics);
    event_base_free(f->base);
    (void)close(f->listener);
    return 0;
}

static struct known_endpoint *endpoint(struct fixture *f)
{
    return CONTAINER_OF(f->known.endpoints.next, struct known_endpoint, link);
}

static void set_health(struct fixture *f, enum endpoint_health health)
{
    endpoint_note(endpoint(f)->state, health);
}

static bool is(struct fixture *f, enum endpoint_health health)
{
    return atomic_load(&endpoint(f)->state->health) == (uint32_t)health;
}

/* The next check's connection, with its request read. */
static int next_check(struct fixture *f)
{
    int64_t end = time_monotonic_us() + PATIENCE_US;
    char request[1024];
    size_t len = 0;
    int fd = -1;
    while (time_monotonic_us() < end) {
        (void)event_base_loop(f->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
        if (fd < 0)
            fd = accept4(f->listener, NULL, NULL, SOCK_NONBLOCK);
        ssize_t n = fd < 0 ? -1 : recv(fd, request + len, sizeof request - 1 - len, 0);
        if (n > 0)
            len += (size_t)n;
        request[len] = '\0';
        if (strstr(request, "\r\n\r\n"))
            break;
    }
    assert_true(fd >= 0);
    assert_true(strncmp(request, "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:", 39) == 0);
    assert_non_null(strstr(request, "\r\nConnection: close\r\n"));
    return fd;
}

/* Turns until the check is over. */
static void await_rest(struct fixture *f)
{
    int64_t end = time_monotonic_us() + PATIENCE_US;
    while (f->known.n_checks && time_monotonic_us() < end)
        (void)event_base_loop(f->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    assert_int_equal(f->known.n_checks, 0);
}

static void answers_are_good_or_bad(void **state)
{
    static char huge[HEALTH_HEAD_MAX + 100];
    static const char *const good[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 204 No\r\n\r\n",
        "HTTP/1.0 302 There\r\nLocation: /\r\n\r\n",
        "HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\nmuch",
    };
    static const char *const bad[] = {
        "HTTP/1.1 400 No\r\n\r\n",
        "HTTP/1.1 503 Busy\r\n\r\n",
        "HTTP/1.1 99 Low\r\n\r\n",
        "HTTP/1.1 200 OK\r\n",            /* and no more: in time */
        "HTTP/1.1 200 OK\r\nA b\r\n\r\n", /* no field */
        "SSH-2.0-OpenSSH\r\n",
        "\0\0\0",
        "",
        "HTTP/1.1 100 Go\r\n\r\n",
        huge,
    };
    struct fixture *f = *state;
    (void)snprintf(huge, sizeof huge, "HTTP/1.1 200 OK\r\nA: ");
    memset(huge + strlen(huge), 'a', sizeof huge - 1 - strlen(huge));
    for (size_t i = 0; i < ARRAY_LEN(good) + ARRAY_LEN(bad); i++) {
        bool is_good = i < ARRAY_LEN(good);
        const char *text = is_good ? good[i] : bad[i - ARRAY_LEN(good)];
        set_health(f, ENDPOINT_UNKNOWN);
        int fd = next_check(f);
        (void)!send(fd, text, strlen(text), MSG_NOSIGNAL);
        if (*text == '\0')
            (void)close(fd);
        await_rest(f);
        if (*text)
            (void)close(fd);
        if (!is(f, is_good ? ENDPOINT_UP : ENDPOINT_DOWN))
            fail_msg("%s", text);
    }
}

static void a_row_of_checks(void **state)
{
    static const struct {
        const char *text; /* NULL: silence */
        enum endpoint_health after;
    } rows[] = {{"HTTP/1.1 200 OK\r\n\r\n", ENDPOINT_UP},
                {NULL, ENDPOINT_UP},
                {"HTTP/1.1 500 No\r\n\r\n", ENDPOINT_DOWN},
                {"HTTP/1.1 200 OK\r\n\r\n", ENDPOINT_DOWN},
                {"HTTP/1.1 200 OK\r\n\r\n", ENDPOINT_UP}};
    struct fixture *f = *state;
    int64_t began_us = time_monotonic_us();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int fd = next_check(f);
        if (rows[i].text)
            (void)!send(fd, rows[i].text, strlen(rows[i].text), MSG_NOSIGNAL);
        await_rest(f);
        (void)close(fd);
        if (!is(f, rows[i].after))
            fail_msg("row %zu", i);
    }
    assert_true(endpoint_serves_from_us(endpoint(f)->state) > began_us); /* a newcomer again */
}

static void nobody_listens(void **state)
{
    struct fixture *f = *state;
    int64_t end = time_monotonic_us() + PATIENCE_US;
    assert_int_equal(shutdown(f->listener, SHUT_RDWR), 0);
    while (!is(f, ENDPOINT_DOWN) && time_monotonic_us() < end)
        (void)event_base_loop(f->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    assert_true(is(f, ENDPOINT_DOWN));
    assert_null(endpoint(f)->probe); /* a connect would tell less */
}

/* A reload takes the checks away in mid-check, and brings them back. */
static void checks_come_and_go(void **state)
{
    struct fixture *f = *state;
    int fd = next_check(f);
    set_health(f, ENDPOINT_UP); /* or it would be probed from now on */
    configure(f, "");
    assert_null(endpoint(f)->check);
    assert_int_equal(f->known.n_checks, 0);
    (void)close(fd);
    configure(f, HEALTH);
    assert_non_null(endpoint(f)->check);
    set_health(f, ENDPOINT_UNKNOWN);
    fd = next_check(f);
    (void)close(fd);
    await_rest(f);
    assert_true(is(f, ENDPOINT_DOWN));
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_takes_some_in_a_row),
        TEST(answers_are_good_or_bad),
        TEST(a_row_of_checks),
        TEST(nobody_listens),
        TEST(checks_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
