/* Forms of texts: names, hosts, paths, addresses, networks.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/conf/text.h"
#include "conf_help.h"
#include "proxy/conf/address.h"

#define NAME_64  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define LABEL_63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

struct row {
    enum text_form form;
    const char *text;
    const char *why; /* NULL: it has the form */
};

static const struct row rows[] = {
    {TEXT_ANY, "", "is empty"},
    {TEXT_ANY, "a\tb", "holds a control character"},
    {TEXT_ANY, "a\x7f", "holds a control character"},
    {TEXT_ANY, "größe", NULL},
    {TEXT_NAME, "my-web_2.1", NULL},
    {TEXT_NAME, NAME_64, NULL},
    {TEXT_NAME, NAME_64 "a", "is longer than 64 bytes"},
    {TEXT_NAME, "a/b", "holds a character that no name may have"},
    {TEXT_NAME, "a b", "holds a character that no name may have"},
    {TEXT_NAME, "..", "is no name"},
    {TEXT_NAME, ".", "is no name"},
    {TEXT_NAME, "...", NULL},
    {TEXT_BIND, "127.0.0.1:8080", NULL},
    {TEXT_BIND, "0.0.0.0:0", NULL},
    {TEXT_BIND, "[::]:65535", NULL},
    {TEXT_BIND, "unix:/run/serin.sock", NULL},
    {TEXT_BIND, "fd:web", NULL},
    {TEXT_BIND, "fd:serin@1.socket", NULL},
    {TEXT_BIND, "fd:" NAME_64, NULL},
    {TEXT_BIND, "fd:", "names no socket"},
    {TEXT_BIND, "fd:web:80", "holds a character that no socket's name may have"},
    {TEXT_BIND, "fd:w b", "holds a character that no socket's name may have"},
    {TEXT_BIND, "fd:" NAME_64 "x", "has a name longer than 64 bytes"},
    {TEXT_ENDPOINT, "fd:web", "is a socket to listen on"},
    {TEXT_SERVER, "fd:web", "is a socket of this machine"},
    {TEXT_BIND, "8080", "has no port"},
    {TEXT_BIND, ":8080", "names no address (0.0.0.0 or [::] stands for all)"},
    {TEXT_BIND, "*:8080", "names no address (0.0.0.0 or [::] stands for all)"},
    {TEXT_BIND, "localhost:8080", "has a host name for an address"},
    {TEXT_BIND, "127.0.0.1:", "has no port"},
    {TEXT_BIND, "127.0.0.1:65536", "has a port above 65535"},
    {TEXT_BIND, "127.0.0.1:080", "has a port that is not a number"},
    {TEXT_BIND, "127.0.0.1:-1", "has a port that is not a number"},
    {TEXT_BIND, "127.0.0.1:80 ", "has a port that is not a number"},
    {TEXT_BIND, "127.0.0:80", "is not an IPv4 address and port"},
    {TEXT_BIND, "127.0.0.256:80", "is not an IPv4 address and port"},
    {TEXT_BIND, "127.0.0.01:80", "is not an IPv4 address and port"},
    {TEXT_BIND, "::1:80", "has more than one colon (IPv6 goes into brackets)"},
    {TEXT_BIND, "[::1]", "has no port"},
    {TEXT_BIND, "[::1]80", "has no port"},
    {TEXT_BIND, "[::1", "has no port"},
    {TEXT_BIND, "[::g]:80", "has no IPv6 address in its brackets"},
    {TEXT_BIND, "[127.0.0.1]:80", "has no IPv6 address in its brackets"},
    {TEXT_BIND, "[]:80", "has no IPv6 address in its brackets"},
    {TEXT_BIND, "unix:run", "has a socket path that does not begin with /"},
    {TEXT_BIND, "unix:", "has a socket path that does not begin with /"},
    {TEXT_BIND, "unix:/" NAME_64 NAME_64, "has a socket path longer than 107 bytes"},
    {TEXT_ENDPOINT, "10.0.0.1:80", NULL},
    {TEXT_ENDPOINT, "10.0.0.1:0", "has port 0"},
    {TEXT_ENDPOINT, "unix:/run/a.sock", NULL},
    {TEXT_ENDPOINT, "web:80", "is a host name (written dns:NAME:PORT)"},
    {TEXT_ENDPOINT, "dns:web:80", NULL},
    {TEXT_ENDPOINT, "dns:web-v1.Internal.:65535", NULL},
    {TEXT_ENDPOINT, "dns:_web._tcp.10.example:80", NULL},
    {TEXT_ENDPOINT,
     "dns:" LABEL_63 "." LABEL_63 "." LABEL_63
     ".aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:80",
     NULL},
    {TEXT_ENDPOINT,
     "dns:" LABEL_63 "." LABEL_63 "." LABEL_63
     ".aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:80",
     "has a name longer than 253 bytes"},
    {TEXT_ENDPOINT, "dns:" LABEL_63 "a:80", "has no name that DNS could know"},
    {TEXT_ENDPOINT, "dns:web", "has no port"},
    {TEXT_ENDPOINT, "dns:web:", "has no port"},
    {TEXT_ENDPOINT, "dns:web:0", "has port 0"},
    {TEXT_ENDPOINT, "dns:web:65536", "has a port above 65535"},
    {TEXT_ENDPOINT, "dns:web:80:80", "has a port that is not a number"},
    {TEXT_ENDPOINT, "dns::80", "has no name"},
    {TEXT_ENDPOINT, "dns:.:80", "has no name"},
    {TEXT_ENDPOINT, "dns:", "has no port"},
    {TEXT_ENDPOINT, "dns:a..b:80", "has no name that DNS could know"},
    {TEXT_ENDPOINT, "dns:a.b..:80", "has no name that DNS could know"},
    {TEXT_ENDPOINT, "dns:*.web:80", "has no name that DNS could know"},
    {TEXT_ENDPOINT, "dns:a b:80", "has no name that DNS could know"},
    {TEXT_ENDPOINT, "dns:größe:80", "has a name that is not ASCII (write its xn-- form)"},
    {TEXT_ENDPOINT, "dns:10.0.0.1:80", "has an address for a name (an address needs no dns:)"},
    {TEXT_ENDPOINT, "dns:[::1]:80", "has an address for a name (an address needs no dns:)"},
    {TEXT_BIND, "dns:web:80", "is a name, not an address"},
    {TEXT_SERVER, "127.0.0.1:53", NULL},
    {TEXT_SERVER, "[::1]:5353", NULL},
    {TEXT_SERVER, "127.0.0.1", "has no port"},
    {TEXT_SERVER, "127.0.0.1:0", "has port 0"},
    {TEXT_SERVER, "unix:/run/dns", "is a socket of this machine"},
    {TEXT_SERVER, "dns:web:53", "is a name, not an address"},
    {TEXT_SERVER, "resolver:53", "has a host name for an address"},
    {TEXT_NETWORK, "10.0.0.0/8", NULL},
    {TEXT_NETWORK, "0.0.0.0/0", NULL},
    {TEXT_NETWORK, "192.0.2.1/32", NULL},
    {TEXT_NETWORK, "fd00::/8", NULL},
    {TEXT_NETWORK, "10.0.0.0", "has no prefix length, such as /8"},
    {TEXT_NETWORK, "10.0.0.1/8", "has bits set behind its prefix of 8"},
    {TEXT_NETWORK, "10.0.0.0/33", "has a prefix length above 32"},
    {TEXT_NETWORK, "::/129", "has a prefix length above 128"},
    {TEXT_NETWORK, "ten/8", "is not a network"},
    {TEXT_HOST, "shop.example", NULL},
    {TEXT_HOST, "*.shop.example", NULL},
    {TEXT_HOST, "my_host", NULL},
    {TEXT_HOST, "192.0.2.1", NULL},
    {TEXT_HOST, "[2001:db8::1]", NULL},
    {TEXT_HOST, LABEL_63 ".example", NULL},
    {TEXT_HOST, LABEL_63 "a.example", "is not a host"},
    {TEXT_HOST, "[2001:db8::1]:80", "has no IPv6 address in its brackets, or a port"},
    {TEXT_HOST, "[" NAME_64 "]", "has no IPv6 address in its brackets"},
    {TEXT_HOST, "*", "is not needed (leave hosts out for every host)"},
    {TEXT_HOST, "*.", "is not a host"},
    {TEXT_HOST, "a.*.example", "has a * that is not the whole first label"},
    {TEXT_HOST, "*a.example", "has a * that is not the whole first label"},
    {TEXT_HOST, "shop.example:80", "is more than a host (no scheme, port or path)"},
    {TEXT_HOST, "http://shop", "is more than a host (no scheme, port or path)"},
    {TEXT_HOST, "shop..example", "is not a host"},
    {TEXT_HOST, "shop.example.", "is not a host"},
    {TEXT_HOST, "-shop", "is not a host"},
    {TEXT_HOST, "shop,example", "is not a host"},
    {TEXT_HOST, "bücher.example", "is not ASCII (write its xn-- form)"},
    {TEXT_PREFIX, "/", NULL},
    {TEXT_PREFIX, "/a%20b/~c", NULL},
    {TEXT_PREFIX, "api", "does not begin with /"},
    {TEXT_PREFIX, "/a?b", "holds a character that no path may have"},
    {TEXT_PREFIX, "/a b", "holds a character that no path may have"},
    {TEXT_PREFIX, "/*", "holds a character that no path may have"},
    {TEXT_FIELD, "X-Canary", NULL},
    {TEXT_FIELD, "X Canary", "holds a character that no such name may have"},
    {TEXT_FIELD, "a=b", "holds a character that no such name may have"},
    {TEXT_URL, "http://ci.example/approve", NULL},
    {TEXT_URL, "https://[::1]:80", NULL},
    {TEXT_URL, "ftp://ci", "does not begin with http:// or https://"},
    {TEXT_URL, "http://", "is not a URL"},
    {TEXT_URL, "http:///x", "is not a URL"},
    {TEXT_TIME, "09:00", NULL},
    {TEXT_TIME, "23:59", NULL},
    {TEXT_TIME, "24:00", "is not a time of day"},
    {TEXT_TIME, "12:60", "is not a time of day"},
    {TEXT_TIME, "9:00", "is not a time of day"},
    {TEXT_NUMBER, "0.8", NULL},
    {TEXT_NUMBER, "-12", NULL},
    {TEXT_NUMBER, "-", "is not a number"},
    {TEXT_NUMBER, "1.", "is not a number"},
    {TEXT_NUMBER, "1.2.3", "is not a number"},
    {TEXT_NUMBER, "nan", "is not a number"},
    {TEXT_WORKLOAD, "rc/my-web", NULL},
    {TEXT_WORKLOAD, "my-web", "is not a workload"},
    {TEXT_WORKLOAD, "rc/", "is not a workload"},
    {TEXT_WORKLOAD, "deployment/my.web-2", NULL},
    {TEXT_WORKLOAD, "replicaset/a", NULL},
    {TEXT_WORKLOAD, "pod/my-web", "is of no known kind"},
    {TEXT_WORKLOAD, "/my-web", "is of no known kind"},
    {TEXT_WORKLOAD, "rc/My-Web", "holds a character that no name in Kubernetes has"},
    {TEXT_WORKLOAD, "rc/a/b", "holds a character that no name in Kubernetes has"},
    {TEXT_WORKLOAD, "rc/-a", "is no name in Kubernetes"},
    {TEXT_WORKLOAD, "rc/a..b", "is no name in Kubernetes"},
    {TEXT_OBJECT, "my-web.shop", NULL},
    {TEXT_OBJECT, "a_b", "holds a character that no name in Kubernetes has"},
    {TEXT_OBJECT, ".", "is no name in Kubernetes"},
};

static void test_forms(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct why why = {{0}};
        enum err e = text_check(rows[i].form, slice_str(rows[i].text), &why);
        if ((e == OK) != (rows[i].why == NULL) || (e && strcmp(why.text, rows[i].why) != 0))
            fail_msg("\"%s\": %d \"%s\"", rows[i].text, e, why.text);
    }
}

static void test_a_nul_is_refused(void **state)
{
    (void)state;
    assert_int_equal(text_check(TEXT_FILE, slice_of("/a\0b", 4), NULL), ERR_INVALID);
    assert_int_equal(text_check(TEXT_BIND, slice_of("1.2.3.4\0:80", 11), NULL), ERR_INVALID);
}

static struct config_address address(const char *text)
{
    struct config_address a;
    assert_int_equal(config_address_parse(slice_str(text), &a, NULL), OK);
    return a;
}

static void test_addresses(void **state)
{
    (void)state;
    struct config_address a = address("[0:0::1]:80"), b = address("[::1]:80"),
                          c = address("[::1]:81");
    assert_true(config_address_equal(&a, &b));
    assert_false(config_address_equal(&b, &c));
    a = address("1.2.3.4:513");
    assert_memory_equal(a.ip, "\1\2\3\4", 4);
    assert_int_equal(a.port, 513);
    static const struct {
        const char *text;
        bool is_local;
    } locals[] = {{"127.0.0.1:1", true}, {"127.9.9.9:1", true}, {"0.0.0.0:1", false},
                  {"[::1]:1", true},     {"[::]:1", false},     {"128.0.0.1:1", false},
                  {"unix:/a", true},     {"fd:a", false},       {"[::ffff:127.0.0.1]:1", false}};
    for (size_t i = 0; i < ARRAY_LEN(locals); i++) {
        a = address(locals[i].text);
        assert_int_equal(config_address_is_local(&a), locals[i].is_local);
    }
}

static void test_networks_hold_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *network;
        bool is_v6;
        uint8_t ip[16];
        bool is_held;
    } held[] = {
        {"10.0.0.0/8", false, {10, 255, 255, 255}, true},
        {"10.0.0.0/8", false, {11, 0, 0, 0}, false},
        {"10.0.0.0/8", true, {10}, false},
        {"0.0.0.0/0", false, {255, 255, 255, 255}, true},
        {"0.0.0.0/0", true, {0}, false},
        {"::/0", true, {0xff}, true},
        {"192.0.2.1/32", false, {192, 0, 2, 1}, true},
        {"192.0.2.1/32", false, {192, 0, 2, 0}, false},
        {"192.0.2.128/25", false, {192, 0, 2, 255}, true},
        {"192.0.2.128/25", false, {192, 0, 2, 127}, false},
        {"172.16.0.0/12", false, {172, 31, 0, 1}, true},
        {"172.16.0.0/12", false, {172, 32, 0, 1}, false},
        {"2001:db8::/33", true, {0x20, 1, 0xd, 0xb8, 0x7f}, true},
        {"2001:db8::/33", true, {0x20, 1, 0xd, 0xb8, 0x80}, false},
        {"::1/128", true, {[15] = 1}, true},
        {"::1/128", true, {[15] = 2}, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(held); i++) {
        struct config_network network;
        assert_int_equal(config_network_parse(slice_str(held[i].network), &network, NULL), OK);
        if (config_network_holds(&network, held[i].is_v6, held[i].ip) != held[i].is_held)
            fail_msg("row %zu: %s", i, held[i].network);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_a_nul_is_refused),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_networks_hold_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
