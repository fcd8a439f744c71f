/* One name asked for once: A and AAAA over libevent's evdns.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/lookup.h"

#include "base/check.h"
#include "base/log.h"
#include "proxy/wire/time.h"
#include <event2/dns.h>
#include <event2/event.h>
#include <stdlib.h>

#define LAST_TURNS_MAX 100 /* of the loop at a stop: callbacks that are due need one */
#define NO_PROBES      "3600"

struct lookup {
    struct list link;
    struct evdns_base *dns; /* NULL once everything is over */
    struct resolv resolv;
    char name[RESOLV_NAME_MAX + 1]; /* as in the file */
    char asked[RESOLV_NAME_MAX];    /* the one in question */
    unsigned at;                    /* in the search list */
    unsigned pending;               /* questions under way: their callbacks hold this */
    int64_t end_us;                 /* no further name of the list from then on */
    struct lookup_answer answer;
    lookup_fn *on_end; /* NULL: forgotten */
    void *arg;
};

const char *lookup_result_text(enum lookup_result result)
{
    static const char *const texts[] = {[LOOKUP_OK] = "ok",
                                        [LOOKUP_NOT_FOUND] = "not_found",
                                        [LOOKUP_TIMEOUT] = "timeout",
                                        [LOOKUP_TRUNCATED] = "truncated",
                                        [LOOKUP_ERROR] = "error"};
    CHECK((unsigned)result < LOOKUP_RESULTS);
    return texts[result];
}

static bool has_failed(const struct lookup_family *f)
{
    return f->result != LOOKUP_OK && f->result != LOOKUP_NOT_FOUND;
}

enum lookup_result lookup_result_of(const struct lookup_answer *a)
{
    if (has_failed(&a->v4))
        return a->v4.result;
    if (has_failed(&a->v6) || a->v4.result == LOOKUP_NOT_FOUND)
        return a->v6.result;
    return LOOKUP_OK;
}

uint32_t lookup_ttl_s(const struct lookup_answer *a)
{
    if (a->v4.n && a->v6.n)
        return a->v4.ttl_s < a->v6.ttl_s ? a->v4.ttl_s : a->v6.ttl_s;
    return a->v4.n ? a->v4.ttl_s : a->v6.n ? a->v6.ttl_s : 0;
}

static enum lookup_result result_of(int error)
{
    switch (error) {
    case DNS_ERR_NONE:
        return LOOKUP_OK;
    case DNS_ERR_NOTEXIST:
    case DNS_ERR_NODATA:
        return LOOKUP_NOT_FOUND;
    case DNS_ERR_TIMEOUT:
        return LOOKUP_TIMEOUT;
    case DNS_ERR_TRUNCATED:
        return LOOKUP_TRUNCATED;
    default:
        return LOOKUP_ERROR;
    }
}

static void take_addresses(struct lookup_family *f, bool is_v6, const unsigned char *bytes, int n)
{
    size_t width = is_v6 ? 16 : 4;
    for (int i = 0; i < n && f->n < LOOKUP_ADDRESSES_MAX; i++) {
        struct ip_address a = {.is_v6 = is_v6};
        memcpy(a.at, bytes + (size_t)i * width, width);
        if (ip_address_is_usable(&a))
            f->at[f->n++] = a;
    }
}

static void take(struct lookup_family *f, bool is_v6, int error, int n, int ttl,
                 const void *addresses)
{
    *f = (struct lookup_family){.result = result_of(error), .ttl_s = ttl > 0 ? (uint32_t)ttl : 0};
    if (f->result == LOOKUP_OK)
        take_addresses(f, is_v6, addresses, n);
    if (f->result == LOOKUP_OK && f->n == 0)
        f->result = LOOKUP_NOT_FOUND;
}

static void finish(struct lookup *l)
{
    if (l->dns)
        evdns_base_free(l->dns, 0);
    l->dns = NULL;
    list_remove(&l->link);
    if (l->on_end)
        l->on_end(l->arg, &l->answer);
    free(l);
}

static bool ask(struct lookup *l);

/* Goes on behind an answer, when it was the last one: this name is not there, the next one may be. */
static void on_answered(struct lookup *l)
{
    if (--l->pending)
        return;
    bool is_over = !l->on_end || !l->dns || lookup_result_of(&l->answer) != LOOKUP_NOT_FOUND;
    if (is_over || time_monotonic_us() > l->end_us || !ask(l))
        finish(l);
}

static void on_v4(int error, char type, int n, int ttl, void *addresses, void *arg)
{
    struct lookup *l = arg;
    (void)type;
    take(&l->answer.v4, false, error, n, ttl, addresses);
    on_answered(l);
}

static void on_v6(int error, char type, int n, int ttl, void *addresses, void *arg)
{
    struct lookup *l = arg;
    (void)type;
    take(&l->answer.v6, true, error, n, ttl, addresses);
    on_answered(l);
}

/* Asks for the next name. False where there is none, or no memory to ask: the answer is what it was. Callbacks come from
 * the loop, never from within. */
static bool ask(struct lookup *l)
{
    if (!resolv_next(&l->resolv, l->name, &l->at, l->asked))
        return false;
    if (evdns_base_resolve_ipv4(l->dns, l->asked, DNS_QUERY_NO_SEARCH, on_v4, l))
        l->pending++;
    else
        l->answer.v4 = (struct lookup_family){.result = LOOKUP_ERROR};
    if (evdns_base_resolve_ipv6(l->dns, l->asked, DNS_QUERY_NO_SEARCH, on_v6, l))
        l->pending++;
    else
        l->answer.v6 = (struct lookup_family){.result = LOOKUP_ERROR};
    return l->pending > 0;
}

static struct evdns_base *open_dns(const struct lookup_setup *setup)
{
    char timeout[32], sends[16];
    struct evdns_base *dns = evdns_base_new(setup->base, 0);
    if (!dns)
        return NULL;
    (void)snprintf(timeout, sizeof timeout, "%u.%03u", setup->timeout_ms / 1000,
                   setup->timeout_ms % 1000);
    (void)snprintf(sends, sizeof sends, "%u", LOOKUP_SENDS);
    (void)evdns_base_set_option(dns, "timeout:", timeout);
    (void)evdns_base_set_option(dns, "attempts:", sends);
    (void)evdns_base_set_option(dns, "initial-probe-timeout:", NO_PROBES);
    for (unsigned i = 0; i < setup->resolv->n_servers; i++)
        (void)evdns_base_nameserver_ip_add(dns, setup->resolv->servers[i]);
    if (evdns_base_count_nameservers(dns) > 0)
        return dns;
    evdns_base_free(dns, 0);
    return NULL;
}

struct lookup *lookup_start(const struct lookup_setup *setup)
{
    struct lookup *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    l->dns = open_dns(setup);
    l->resolv = *setup->resolv;
    l->end_us = time_monotonic_us() + (int64_t)LOOKUP_TOTAL_MS * 1000;
    l->on_end = setup->on_end;
    l->arg = setup->arg;
    (void)snprintf(l->name, sizeof l->name, "%s", setup->name);
    if (l->dns && ask(l)) {
        list_push_back(setup->all, &l->link);
        return l;
    }
    if (l->dns)
        evdns_base_free(l->dns, 0);
    free(l);
    return NULL;
}

void lookup_forget(struct lookup *l)
{
    l->on_end = NULL;
}

/* evdns hands its answers over by callbacks of their own, which hold the look-up: an evdns that is freed says that it is
 * shut down, and the look-up goes when both questions have heard so. */
void lookup_end_all(struct list *all, struct event_base *base)
{
    for (struct list *l = all->next; l != all; l = l->next) {
        struct lookup *lookup = CONTAINER_OF(l, struct lookup, link);
        lookup_forget(lookup);
        if (lookup->dns)
            evdns_base_free(lookup->dns, 1);
        lookup->dns = NULL;
    }
    for (unsigned i = 0; i < LAST_TURNS_MAX && !list_empty(all); i++)
        (void)event_base_loop(base, EVLOOP_NONBLOCK);
}

static void on_log(int is_warning, const char *text)
{
    struct log_quoted quoted;
    if (is_warning) /* what follows from it is said by who asked; the rest is every step of it */
        log_debug("dns", "says=%s", log_quote(&quoted, slice_str(text)));
}

void lookup_init(void)
{
    evdns_set_log_fn(on_log);
}
