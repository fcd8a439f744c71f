/* One name asked for once: A and AAAA over libevent's evdns, which never blocks.
 *
 * What evdns (libevent 2.1) does: identifiers from a secure generator, three sends of a question, the next server where one
 * is silent. What it does not: TCP, so that an answer of more than 512 bytes is a failure (LOOKUP_TRUNCATED); EDNS; DNSSEC; a
 * check that an answer keeps the question's capital letters. Its socket keeps its port, and it remembers which servers were
 * silent and asks those for google.com: here every look-up has an evdns of its own, so that each has another port, reads
 * resolv.conf anew, and is over before that question would be asked. Its search list would go on behind a failure and for
 * either family by itself, and mix the addresses of two names: the list is gone through here.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_LOOKUP_H
#define SERIN_PROXY_CONTROL_LOOKUP_H

#include "base/list.h"
#include "proxy/control/hosts.h"
#include "proxy/control/resolv.h"

#define LOOKUP_ADDRESSES_MAX 32u /* of one family; evdns takes no more of an answer */
#define LOOKUP_SENDS         3u  /* of one question, to one server after the other */

struct event_base;

enum lookup_result {
    LOOKUP_OK,
    LOOKUP_NOT_FOUND, /* no such name, or no address of that family */
    LOOKUP_TIMEOUT,   /* no server answered, or all of them with SERVFAIL */
    LOOKUP_TRUNCATED, /* the answer does not fit into a datagram */
    LOOKUP_ERROR,     /* refused, or an answer that is none */
    LOOKUP_RESULTS,
};

/* "ok", "not_found" ...: the label of serin_dns_lookups_total. Pure. */
const char *lookup_result_text(enum lookup_result result);

/* What one family's question came to. */
struct lookup_family {
    enum lookup_result result;
    struct ip_address at[LOOKUP_ADDRESSES_MAX]; /* those that are usable */
    unsigned n;                                 /* above 0 where result is LOOKUP_OK */
    uint32_t ttl_s;
};

struct lookup_answer {
    struct lookup_family v4, v6;
};

/* The result of both: a failure of either stands over what the other found; else whatever was found. Pure. */
enum lookup_result lookup_result_of(const struct lookup_answer *a);

/* The shorter time to live of what was found; 0 where nothing was. Pure. */
uint32_t lookup_ttl_s(const struct lookup_answer *a);

typedef void lookup_fn(void *arg, const struct lookup_answer *answer);

struct lookup_setup {
    struct event_base *base;
    struct list *all;            /* of the caller: those under way, for lookup_end_all */
    const struct resolv *resolv; /* copied */
    const char *name;            /* as in the file, a final dot and all; copied */
    uint32_t timeout_ms;         /* of one send */
    lookup_fn *on_end;           /* called once, from the event loop */
    void *arg;
};

struct lookup;

/* Asks. The names of the search list follow where one does not exist, for at most LOOKUP_TOTAL_MS; a failure ends the
 * look-up. NULL when memory or descriptors are short: on_end is not called. Control thread. */
#define LOOKUP_TOTAL_MS 20000
struct lookup *lookup_start(const struct lookup_setup *setup);

/* Nobody waits for it any more: on_end is not called. It frees itself when its questions have ended. */
void lookup_forget(struct lookup *l);

/* Ends all of a list without a call of on_end; the event loop is run until their last callbacks are through. Only from
 * outside of the loop. */
void lookup_end_all(struct list *all, struct event_base *base);

/* Has evdns say what it warns of into the log, at level debug, and not to stderr. Once. */
void lookup_init(void);

#endif
