/* The system's resolv.conf and hosts file: what is read, what is asked for, which addresses are usable.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "proxy/control/hosts.h"
#include "proxy/control/resolv.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SIXTY "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

/* "servers | search | ndots" as one text. */
static const char *said(const struct resolv *r)
{
    static char text[4096];
    size_t len = 0;
    for (unsigned i = 0; i < r->n_servers; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s ", r->servers[i]);
    len += (size_t)snprintf(text + len, sizeof text - len, "|");
    for (unsigned i = 0; i < r->n_search; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, " %s", r->search[i]);
    (void)snprintf(text + len, sizeof text - len, " | %u", r->ndots);
    return text;
}

static void test_files(void **state)
{
    (void)state;
    static const struct {
        const char *text, *hostname, *said;
    } rows[] = {
        {"", "host", "| | 1"},
        {"", "host.corp.example", "| corp.example | 1"},
        {"search .\n", "host.corp.example", "| | 1"},
        {"nameserver 192.0.2.1\n", "host", "192.0.2.1 | | 1"},
        {"nameserver\t2001:db8::1 # the first\r\n ; no\nnameserver 192.0.2.2", "host",
         "2001:db8::1 192.0.2.2 | | 1"},
        {"nameserver 1.2.3\nnameserver x\nnameserver 192.0.2.1:53\nnameserver 192.0.2.9\n", "host",
         "192.0.2.9 | | 1"},
        {"nameserver 1.1.1.1\nnameserver 1.1.1.2\nnameserver 1.1.1.3\nnameserver 1.1.1.4\n", "host",
         "1.1.1.1 1.1.1.2 1.1.1.3 | | 1"},
        {"search a.example b.example.\noptions timeout:1 ndots:5 rotate\n", "host.c.example",
         "| a.example b.example | 5"},
        {"domain a.example b.example\n", "host", "| a.example | 1"},
        {"search a.example\ndomain b.example\n", "host", "| b.example | 1"},
        {"search a..example a.example -b c/d\n", "host", "| a.example | 1"},
        {"options ndots:0\n", "host", "| | 0"},
        {"options ndots:99\n", "host", "| | 15"},
        {"options ndots:-1 ndots:x ndots:\n", "host", "| | 1"},
        {"#nameserver 192.0.2.1\n# search a\n;options ndots:3", "host", "| | 1"},
        {"search\nnameserver\noptions\n\n\n", "host.a.example", "| a.example | 1"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct resolv r;
        resolv_parse(&r, slice_str(rows[i].text), rows[i].hostname);
        assert_string_equal(said(&r), rows[i].said);
    }
}

static void test_very_many_domains(void **state)
{
    (void)state;
    static char text[65536] = "search";
    struct resolv r;
    for (size_t i = 0, len = 6; i < 2000; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, " d%zu.example", i);
    resolv_parse(&r, slice_str(text), "host");
    assert_int_equal(r.n_search, RESOLV_SEARCH_MAX);
    assert_string_equal(r.search[31], "d31.example");
}

/* The names that are asked for, in their order. */
static const char *asked(const struct resolv *r, const char *name)
{
    static char text[4096];
    char one[RESOLV_NAME_MAX];
    size_t len = 0;
    unsigned at = 0;
    text[0] = '\0';
    while (resolv_next(r, name, &at, one))
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%s", len ? " " : "", one);
    assert_false(resolv_next(r, name, &at, one));
    return text;
}

static void test_search(void **state)
{
    (void)state;
    struct resolv r = {.n_servers = 0, .ndots = 1};
    assert_string_equal(asked(&r, "web"), "web");
    assert_string_equal(asked(&r, "web.test."), "web.test");
    resolv_parse(&r, slice_str("search a.example b\n"), "host");
    assert_string_equal(asked(&r, "web"), "web.a.example web.b web");
    assert_string_equal(asked(&r, "web.test"), "web.test web.test.a.example web.test.b");
    assert_string_equal(asked(&r, "web."), "web");
    r.ndots = 5;
    assert_string_equal(asked(&r, "web.test"), "web.test.a.example web.test.b web.test");
    assert_string_equal(asked(&r, "a.b.c.d.e.f"),
                        "a.b.c.d.e.f a.b.c.d.e.f.a.example a.b.c.d.e.f.b");
    /* one that would be too long is passed over */
    assert_string_equal(asked(&r, SIXTY "." SIXTY "." SIXTY "." SIXTY ".12345"),
                        SIXTY "." SIXTY "." SIXTY "." SIXTY ".12345.b " SIXTY "." SIXTY "." SIXTY
                              "." SIXTY ".12345");
}

static const char *found(const char *text, const char *name, size_t max)
{
    static char out[1024];
    struct ip_address at[32];
    char one[INET6_ADDRSTRLEN];
    size_t n = hosts_find(slice_str(text), slice_str(name), at, max), len = 0;
    assert_in_range(n, 0, max);
    out[0] = '\0';
    for (size_t i = 0; i < n; i++)
        len += (size_t)snprintf(
            out + len, sizeof out - len, "%s%s", len ? " " : "",
            inet_ntop(at[i].is_v6 ? AF_INET6 : AF_INET, at[i].at, one, sizeof one));
    return out;
}

static void test_hosts(void **state)
{
    (void)state;
    static const char text[] = "127.0.0.1 localhost\n"
                               "::1\tlocalhost ip6-localhost # web\r\n"
                               "# 10.0.0.9 web\n"
                               "  10.0.0.1  web.test web   alias\n"
                               "10.0.0.300 web\n"
                               "nonsense web\n"
                               "10.0.0.2\n"
                               "\n"
                               "10.0.0.3 other WEB.\n"
                               "2001:db8::7 web";
    assert_string_equal(found(text, "localhost", 32), "127.0.0.1 ::1");
    assert_string_equal(found(text, "web", 32), "10.0.0.1 10.0.0.3 2001:db8::7");
    assert_string_equal(found(text, "Web.", 32), "10.0.0.1 10.0.0.3 2001:db8::7");
    assert_string_equal(found(text, "web", 1), "10.0.0.1");
    assert_string_equal(found(text, "web", 0), "");
    assert_string_equal(found(text, "alias", 32), "10.0.0.1");
    assert_string_equal(found(text, "ali", 32), "");
    assert_string_equal(found(text, "10.0.0.2", 32), "");
    assert_string_equal(found("", "web", 32), "");
}

static void test_files_on_disk(void **state)
{
    (void)state;
    char path[] = "/tmp/serin-hosts-XXXXXX";
    struct ip_address a;
    struct resolv r;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "192.0.2.7 web\nnameserver ::1\n", 29), 29);
    assert_int_equal(close(fd), 0);
    assert_int_equal(hosts_find_in(path, SLICE("web"), &a, 1), 1);
    assert_memory_equal(a.at, "\xc0\x00\x02\x07", 4);
    resolv_read(&r, path);
    assert_string_equal(r.servers[0], "::1");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(hosts_find_in(path, SLICE("web"), &a, 1), 0);
    resolv_read(&r, path); /* as everybody does */
    assert_int_equal(r.n_servers, 1);
    assert_string_equal(r.servers[0], "127.0.0.1");
}

static void test_usable_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_usable;
    } rows[] = {
        {"127.0.0.1", true},
        {"10.0.0.1", true},
        {"223.255.255.255", true},
        {"0.0.0.0", false},
        {"0.1.2.3", false},
        {"224.0.0.1", false},
        {"240.0.0.1", false},
        {"255.255.255.255", false},
        {"::1", true},
        {"2001:db8::1", true},
        {"fd00::1", true},
        {"::2", false},
        {"::", false},
        {"ff02::1", false},
        {"fe80::1", false},
        {"febf::1", false},
        {"fec0::1", true},
        {"::ffff:10.0.0.1", false},
        {"64:ff9b::1", true},
        {"::1:0", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct ip_address a = {.is_v6 = strchr(rows[i].text, ':') != NULL};
        assert_int_equal(inet_pton(a.is_v6 ? AF_INET6 : AF_INET, rows[i].text, a.at), 1);
        assert_int_equal(ip_address_is_usable(&a), rows[i].is_usable);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),         cmocka_unit_test(test_very_many_domains),
        cmocka_unit_test(test_search),        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_files_on_disk), cmocka_unit_test(test_usable_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
