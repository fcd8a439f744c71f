/* Socket addresses: what goes in comes out as text, as bytes and as the kernel's own view.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/wire/addr.h"

#include "base/check.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const char *text_of(const struct wire_addr *a)
{
    static char text[WIRE_TEXT_MAX];
    memset(text, 'x', sizeof text);
    wire_addr_text(a, text);
    assert_non_null(memchr(text, '\0', sizeof text));
    return text;
}

static const char *host_of(const struct wire_addr *a)
{
    static char host[WIRE_TEXT_MAX];
    memset(host, 'x', sizeof host);
    size_t len = wire_addr_host(a, host);
    assert_int_equal(len, strlen(host));
    return host;
}

static struct wire_addr inet(const char *ip, uint16_t port)
{
    struct wire_addr a;
    uint8_t bytes[16] = {0};
    bool is_v6 = strchr(ip, ':') != NULL;
    assert_int_equal(inet_pton(is_v6 ? AF_INET6 : AF_INET, ip, bytes), 1);
    memset(&a, 0xa5, sizeof a);
    wire_addr_inet(&a, is_v6, bytes, port);
    return a;
}

static void inet_addresses_read_as_the_configuration_writes_them(void **state)
{
    static const struct {
        const char *ip;
        uint16_t port;
        const char *text, *host;
        int family;
    } rows[] = {
        {"127.0.0.1", 80, "127.0.0.1:80", "127.0.0.1", AF_INET},
        {"0.0.0.0", 0, "0.0.0.0:0", "0.0.0.0", AF_INET},
        {"255.255.255.255", 65535, "255.255.255.255:65535", "255.255.255.255", AF_INET},
        {"1.2.3.4", 0x1234, "1.2.3.4:4660", "1.2.3.4", AF_INET},
        {"::1", 80, "[::1]:80", "::1", AF_INET6},
        {"::", 0, "[::]:0", "::", AF_INET6},
        {"2001:db8:0:0:0:0:0:1", 443, "[2001:db8::1]:443", "2001:db8::1", AF_INET6},
        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535,
         "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", AF_INET6},
        /* an IPv4 client of a dual-stack socket: X-Forwarded-For wants it as IPv4 */
        {"::ffff:192.0.2.1", 80, "[::ffff:192.0.2.1]:80", "192.0.2.1", AF_INET6},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct wire_addr a = inet(rows[i].ip, rows[i].port);
        assert_string_equal(text_of(&a), rows[i].text);
        assert_string_equal(host_of(&a), rows[i].host);
        assert_int_equal(wire_addr_family(&a), rows[i].family);
    }
}

/* "ip:port" or "[ip]:port" back to an address. */
static struct wire_addr parse(const char *text)
{
    char ip[WIRE_TEXT_MAX];
    const char *colon = strrchr(text, ':');
    bool is_v6 = text[0] == '[';
    size_t len = (size_t)(colon - text) - (is_v6 ? 2 : 0);
    memcpy(ip, text + is_v6, len);
    ip[len] = '\0';
    return inet(ip, (uint16_t)strtoul(colon + 1, NULL, 10));
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Pools compare addresses by their bytes: two that read alike are the same bytes. */
static void an_ip_is_told_by_its_bytes(void **state)
{
    static const uint8_t v4[4] = {192, 0, 2, 1}, v6[16] = {0x20, 1, [15] = 1};
    struct wire_addr a = inet("192.0.2.1", 80);
    uint8_t ip[16];
    bool is_v6 = true;
    (void)state;
    assert_true(wire_addr_ip(&a, &is_v6, ip) && !is_v6);
    assert_memory_equal(ip, v4, 4);
    a = inet("::ffff:192.0.2.1", 80); /* the same, over a socket of both families */
    is_v6 = true;
    assert_true(wire_addr_ip(&a, &is_v6, ip) && !is_v6);
    assert_memory_equal(ip, v4, 4);
    a = inet("2001::1", 80);
    assert_true(wire_addr_ip(&a, &is_v6, ip) && is_v6);
    assert_memory_equal(ip, v6, 16);
    assert_int_equal(wire_addr_unix(&a, SLICE("/a")), OK);
    assert_false(wire_addr_ip(&a, &is_v6, ip));
    a.len = 0;
    assert_false(wire_addr_ip(&a, &is_v6, ip));
}

static void random_addresses_come_back_from_their_text(void **state)
{
    uint64_t seed = 99;
    (void)state;
    for (unsigned i = 0; i < 20000; i++) {
        uint8_t ip[16];
        struct wire_addr a, b;
        for (unsigned k = 0; k < 16; k++) /* with many zeros, for "::" */
            ip[k] = next_random(&seed) & 1u << 20 ? (uint8_t)(next_random(&seed) >> 30) : 0;
        memset(&a, (int)(i & 255), sizeof a);
        wire_addr_inet(&a, i & 1, ip, (uint16_t)(next_random(&seed) >> 40));
        b = parse(text_of(&a));
        assert_int_equal(a.len, b.len);
        assert_memory_equal(a.bytes, b.bytes, sizeof a.bytes);
    }
}

/* --- UNIX sockets --- */

#define PATH_BYTES sizeof((struct sockaddr_un){0}.sun_path)

static void a_path_comes_back_and_is_a_sockaddr(void **state)
{
    static const size_t lengths[] = {1, 2, 50, PATH_BYTES - 1};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        char path[PATH_BYTES], text[WIRE_TEXT_MAX] = "unix:";
        struct wire_addr a;
        struct sockaddr_un un;
        memset(path, 'p', sizeof path); /* not terminated behind the slice */
        path[0] = '/';
        memset(&a, 0xa5, sizeof a);
        assert_int_equal(wire_addr_unix(&a, slice_of(path, lengths[i])), OK);
        strncat(text, path, lengths[i]);
        assert_string_equal(text_of(&a), text);
        assert_string_equal(host_of(&a), "unknown");
        assert_int_equal(wire_addr_family(&a), AF_UNIX);
        memcpy(&un, a.bytes, sizeof un);
        assert_int_equal(strnlen(un.sun_path, PATH_BYTES), lengths[i]);
        assert_int_equal(a.len, offsetof(struct sockaddr_un, sun_path) + lengths[i] + 1);
    }
}

static void a_path_without_room_or_bytes_is_refused(void **state)
{
    static const size_t lengths[] = {0, PATH_BYTES, PATH_BYTES + 1, 4096};
    static char path[4096];
    (void)state;
    memset(path, 'p', sizeof path);
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        struct wire_addr a = inet("127.0.0.1", 80);
        assert_int_equal(wire_addr_unix(&a, slice_of(path, lengths[i])), ERR_INVALID);
        assert_int_equal(a.len, 0); /* nothing of before is left */
        assert_string_equal(text_of(&a), "unknown");
    }
}

/* --- what is none --- */

static void no_address_and_strange_families_are_unknown(void **state)
{
    static const sa_family_t families[] = {AF_UNSPEC, AF_PACKET, AF_NETLINK, 0xffff};
    struct wire_addr a = {.len = 0};
    (void)state;
    memset(a.bytes, 0xff, sizeof a.bytes);
    assert_int_equal(wire_addr_family(&a), AF_UNSPEC);
    assert_string_equal(text_of(&a), "unknown");
    assert_string_equal(host_of(&a), "unknown");
    for (size_t i = 0; i < ARRAY_LEN(families); i++) {
        struct sockaddr sa = {.sa_family = families[i]};
        a = inet("127.0.0.1", 80);
        memcpy(a.bytes, &sa, sizeof sa);
        assert_string_equal(text_of(&a), "unknown");
        assert_string_equal(host_of(&a), "unknown");
    }
}

/* The peer of a socketpair, and an accepted client of a UNIX socket: a family and no more. */
static void an_unnamed_unix_socket_has_no_host(void **state)
{
    int fds[2];
    struct wire_addr a;
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    wire_addr_local(&a, fds[0]);
    assert_int_equal(a.len, sizeof(sa_family_t));
    assert_int_equal(wire_addr_family(&a), AF_UNIX);
    assert_string_equal(host_of(&a), "unknown");
    assert_string_equal(text_of(&a), "unix:");
    (void)close(fds[0]);
    (void)close(fds[1]);
}

/* --- the kernel's view --- */

/* Binds to the address; -1 where the machine has none such (no IPv6). */
static int bind_to(const struct wire_addr *a)
{
    struct sockaddr_storage ss;
    memcpy(&ss, a->bytes, sizeof ss);
    int fd = socket(wire_addr_family(a), SOCK_STREAM, 0);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&ss, a->len) < 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static void the_kernel_binds_where_the_text_says(void **state)
{
    static const char *const ips[] = {"127.0.0.1", "::1"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ips); i++) {
        struct wire_addr asked = inet(ips[i], 0), bound, again;
        int fd = bind_to(&asked);
        if (fd < 0 && i == 1)
            continue;
        assert_true(fd >= 0);
        memset(&bound, 0xa5, sizeof bound);
        wire_addr_local(&bound, fd);
        assert_string_equal(host_of(&bound), ips[i]);
        assert_string_not_equal(strrchr(text_of(&bound), ':'), ":0"); /* a port was chosen */
        again = parse(text_of(&bound));
        assert_int_equal(again.len, bound.len);
        assert_memory_equal(again.bytes, bound.bytes, sizeof again.bytes);
        (void)close(fd);
    }
}

static void a_bound_unix_socket_says_its_path(void **state)
{
    char dir[] = "/tmp/serin-addr-XXXXXX", path[64];
    struct wire_addr a, bound;
    (void)state;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/s", dir);
    assert_int_equal(wire_addr_unix(&a, slice_str(path)), OK);
    int fd = bind_to(&a);
    assert_true(fd >= 0);
    wire_addr_local(&bound, fd);
    assert_int_equal(bound.len, a.len);
    assert_memory_equal(bound.bytes, a.bytes, sizeof a.bytes);
    (void)close(fd);
    (void)unlink(path);
    (void)rmdir(dir);
}

static void what_is_no_socket_has_no_address(void **state)
{
    int fds[2];
    struct wire_addr a = inet("127.0.0.1", 80);
    (void)state;
    wire_addr_local(&a, -1);
    assert_int_equal(a.len, 0);
    assert_int_equal(pipe(fds), 0);
    a = inet("127.0.0.1", 80);
    wire_addr_local(&a, fds[0]);
    assert_int_equal(a.len, 0);
    (void)close(fds[0]);
    (void)close(fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inet_addresses_read_as_the_configuration_writes_them),
        cmocka_unit_test(an_ip_is_told_by_its_bytes),
        cmocka_unit_test(random_addresses_come_back_from_their_text),
        cmocka_unit_test(a_path_comes_back_and_is_a_sockaddr),
        cmocka_unit_test(a_path_without_room_or_bytes_is_refused),
        cmocka_unit_test(no_address_and_strange_families_are_unknown),
        cmocka_unit_test(an_unnamed_unix_socket_has_no_host),
        cmocka_unit_test(the_kernel_binds_where_the_text_says),
        cmocka_unit_test(a_bound_unix_socket_says_its_path),
        cmocka_unit_test(what_is_no_socket_has_no_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
