/* One name asked for once: the search list, both families, failures, and ends in the middle of it. The name server is
 * evdns's own, in the same event loop.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "metrics/log.h"
#include "proxy/control/lookup.h"
#include <arpa/inet.h>
#include <event2/dns.h>
#include <event2/dns_struct.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

/* What the server says of a name and type. A name that is nowhere does not exist. */
struct record {
    const char *name;
    int type;
    const char *addresses; /* separated by spaces; NULL: silence */
    int ttl, error;
};

static const struct record zone[] = {
    {"both.test", EVDNS_TYPE_A, "10.0.0.1 10.0.0.2", 30, 0},
    {"both.test", EVDNS_TYPE_AAAA, "2001:db8::1", 20, 0},
    {"four.test", EVDNS_TYPE_A, "10.0.0.4", 7, 0},
    {"four.test", EVDNS_TYPE_AAAA, "", 3, 0},
    {"web.first", EVDNS_TYPE_A, "10.0.1.1", 60, 0},
    {"web.first", EVDNS_TYPE_AAAA, "", 60, 0},
    {"web.second", EVDNS_TYPE_A, "10.0.2.1", 60, 0},
    {"web.second", EVDNS_TYPE_AAAA, "2001:db8::2", 60, 0},
    {"only.second", EVDNS_TYPE_AAAA, "2001:db8::3", 60, 0},
    {"broken.first", EVDNS_TYPE_A, "", 0, DNS_ERR_SERVERFAILED},
    {"broken.second", EVDNS_TYPE_A, "10.0.0.9", 60, 0},
    {"half.test", EVDNS_TYPE_A, "10.0.0.5", 60, 0},
    {"half.test", EVDNS_TYPE_AAAA, "", 0, DNS_ERR_REFUSED},
    {"fail.test", EVDNS_TYPE_A, "", 0, DNS_ERR_SERVERFAILED},
    {"fail.test", EVDNS_TYPE_AAAA, "", 0, DNS_ERR_SERVERFAILED},
    {"silent.test", EVDNS_TYPE_A, NULL, 0, 0},
    {"silent.test", EVDNS_TYPE_AAAA, NULL, 0, 0},
    {"bare", EVDNS_TYPE_A, "10.0.3.1", 60, 0},
    {"blocked.test", EVDNS_TYPE_A, "0.0.0.0", 60, 0},
};

struct world {
    struct event_base *base;
    struct evdns_server_port *server;
    struct resolv resolv;
    struct list all;
    struct lookup_answer answer;
    unsigned ends, questions;
    char asked[4096]; /* names of the A questions, in their order */
};

static struct world world;

static void add_addresses(struct evdns_server_request *request, const struct record *r,
                          const char *name)
{
    char text[256], *rest = text, *one;
    (void)snprintf(text, sizeof text, "%s", r->addresses);
    while ((one = strtok_r(rest, " ", &rest))) {
        unsigned char ip[16];
        bool is_v6 = r->type == EVDNS_TYPE_AAAA;
        assert_int_equal(inet_pton(is_v6 ? AF_INET6 : AF_INET, one, ip), 1);
        if (is_v6)
            assert_int_equal(evdns_server_request_add_aaaa_reply(request, name, 1, ip, r->ttl), 0);
        else
            assert_int_equal(evdns_server_request_add_a_reply(request, name, 1, ip, r->ttl), 0);
    }
}

static void on_question(struct evdns_server_request *request, void *arg)
{
    struct world *w = arg;
    const struct evdns_server_question *q = request->questions[0];
    w->questions++;
    if (q->type == EVDNS_TYPE_A) {
        size_t len = strlen(w->asked);
        (void)snprintf(w->asked + len, sizeof w->asked - len, "%s%s", len ? " " : "", q->name);
        for (char *c = w->asked + len; *c; c++)
            *c = ascii_lower(*c); /* evdns asks in capitals and small letters at random */
    }
    for (size_t i = 0; i < ARRAY_LEN(zone); i++) {
        const struct record *r = &zone[i];
        if (r->type != q->type || strcasecmp(r->name, q->name) != 0)
            continue;
        if (!r->addresses) {
            (void)evdns_server_request_drop(request);
            return;
        }
        add_addresses(request, r, q->name);
        (void)evdns_server_request_respond(request, r->error);
        return;
    }
    (void)evdns_server_request_respond(request, DNS_ERR_NOTEXIST);
}

static int setup(void **state)
{
    const struct log_setup quiet = {.level = LOG_ERROR};
    struct world *w = &world;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    memset(w, 0, sizeof *w);
    assert_int_equal(log_open(&quiet, NULL), OK);
    lookup_init();
    list_init(&w->all);
    w->base = event_base_new();
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    w->server = evdns_add_server_port_with_base(w->base, fd, 0, on_question, w);
    assert_non_null(w->server);
    resolv_parse(&w->resolv, SLICE("search first second"), "host");
    (void)snprintf(w->resolv.servers[w->resolv.n_servers++], sizeof w->resolv.servers[0],
                   "127.0.0.1:%u", ntohs(at.sin_port));
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    evdns_close_server_port(w->server);
    event_base_free(w->base);
    return 0;
}

static void on_end(void *arg, const struct lookup_answer *answer)
{
    struct world *w = arg;
    w->answer = *answer;
    w->ends++;
    (void)event_base_loopbreak(w->base);
}

static struct lookup *start(struct world *w, const char *name)
{
    struct lookup_setup setup = {w->base, &w->all, &w->resolv, name, 50, on_end, w};
    return lookup_start(&setup);
}

/* "10.0.0.1 2001:db8::1 ttl 20", or how it failed. */
static const char *lookup(struct world *w, const char *name)
{
    static char text[1024];
    char one[INET6_ADDRSTRLEN];
    size_t len = 0;
    unsigned ends = w->ends;
    w->asked[0] = '\0';
    assert_non_null(start(w, name));
    (void)event_base_dispatch(w->base);
    assert_int_equal(w->ends, ends + 1);
    assert_true(list_empty(&w->all));
    const struct lookup_family *both[] = {&w->answer.v4, &w->answer.v6};
    for (unsigned f = 0; f < 2; f++)
        for (unsigned i = 0; i < both[f]->n; i++)
            len += (size_t)snprintf(
                text + len, sizeof text - len, "%s ",
                inet_ntop(f ? AF_INET6 : AF_INET, both[f]->at[i].at, one, sizeof one));
    enum lookup_result result = lookup_result_of(&w->answer);
    if (result == LOOKUP_OK)
        (void)snprintf(text + len, sizeof text - len, "ttl %u", lookup_ttl_s(&w->answer));
    else
        (void)snprintf(text + len, sizeof text - len, "%s", lookup_result_text(result));
    return text;
}

static void test_results(void **state)
{
    static const struct {
        const char *name, *found;
    } rows[] = {
        {"both.test", "10.0.0.1 10.0.0.2 2001:db8::1 ttl 20"},
        {"four.test", "10.0.0.4 ttl 7"},
        {"nowhere.test.", "not_found"},
        {"half.test", "10.0.0.5 error"},
        {"fail.test", "timeout"},
        {"silent.test", "timeout"},
        {"blocked.test.", "not_found"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(lookup(*state, rows[i].name), rows[i].found);
}

/* Both families are of one name: where the first has only one, the second's is not taken. A failure is no "not here". */
static void test_search_list(void **state)
{
    struct world *w = *state;
    assert_string_equal(lookup(w, "web"), "10.0.1.1 ttl 60");
    assert_string_equal(w->asked, "web.first");
    assert_string_equal(lookup(w, "only"), "2001:db8::3 ttl 60");
    assert_string_equal(w->asked, "only.first only.second");
    assert_string_equal(lookup(w, "bare"), "10.0.3.1 ttl 60");
    assert_string_equal(w->asked, "bare.first bare.second bare");
    assert_string_equal(lookup(w, "bare."), "10.0.3.1 ttl 60");
    assert_string_equal(w->asked, "bare");
    assert_string_equal(lookup(w, "broken"), "timeout");
    assert_null(strstr(w->asked, "broken.second"));
    assert_string_equal(lookup(w, "none"), "not_found");
    assert_string_equal(w->asked, "none.first none.second none");
    assert_string_equal(lookup(w, "both.test"), "10.0.0.1 10.0.0.2 2001:db8::1 ttl 20");
    assert_string_equal(w->asked, "both.test");
}

static void test_sends_are_counted(void **state)
{
    struct world *w = *state;
    assert_string_equal(lookup(w, "silent.test."), "timeout");
    assert_int_equal(w->questions, 2 * LOOKUP_SENDS);
}

/* Nobody waits any more: the look-up ends by itself. */
static void test_forgotten(void **state)
{
    struct world *w = *state;
    struct lookup *l = start(w, "both.test");
    lookup_forget(l);
    while (!list_empty(&w->all))
        (void)event_base_loop(w->base, EVLOOP_ONCE);
    assert_int_equal(w->ends, 0);
}

/* At a stop: some were never answered, some answers wait in the loop. */
static void test_all_end(void **state)
{
    struct world *w = *state;
    for (unsigned i = 0; i < 8; i++) {
        assert_non_null(start(w, "silent.test"));
        assert_non_null(start(w, "both.test"));
    }
    (void)event_base_loop(w->base, EVLOOP_ONCE);
    lookup_end_all(&w->all, w->base);
    assert_true(list_empty(&w->all));
}

static void test_no_server(void **state)
{
    struct world *w = *state;
    w->resolv.n_servers = 0;
    assert_null(start(w, "both.test"));
    (void)snprintf(w->resolv.servers[w->resolv.n_servers++], sizeof w->resolv.servers[0],
                   "nonsense");
    assert_null(start(w, "both.test"));
    assert_true(list_empty(&w->all));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_results, setup, teardown),
        cmocka_unit_test_setup_teardown(test_search_list, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sends_are_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_forgotten, setup, teardown),
        cmocka_unit_test_setup_teardown(test_all_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_server, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
