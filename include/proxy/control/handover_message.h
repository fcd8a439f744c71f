/* What two processes say to each other while one hands over to the other: messages and their JSON. Pure.
 *
 *   new                              old
 *   ready (wants)         ->
 *                         <-  refused, or: socket ... older ... tickets, route ... gained ... go
 *   serving               ->                                    (from here on only the new one acts)
 *   split ...             ->
 *                         <-  gained ...
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_HANDOVER_MESSAGE_H
#define SERIN_PROXY_CONTROL_HANDOVER_MESSAGE_H

#include "proxy/control/known.h"
#include "proxy/wire/unix_file.h"

/* Another version of this conversation is refused, and the old process goes on. */
#define HANDOVER_VERSION 1u

/* A message beyond this was not written by us: a route with full histograms of ten minutes has some 60 KB. */
#define HANDOVER_BYTES_MAX (160u << 10)

#define HANDOVER_WANTS_MAX                                                                         \
    256u /* sockets that one process may ask for; the configuration allows 64 listeners */

enum handover_kind {
    HANDOVER_READY,   /* new: its configuration is good, and it wants these sockets */
    HANDOVER_REFUSED, /* old: no, and why */
    HANDOVER_SOCKET,  /* old, with descriptors: listening sockets of one name */
    HANDOVER_OLDER, /* old, with a descriptor: the channel to a process of before that still drains */
    HANDOVER_TICKETS, /* old, with a descriptor: a file in memory with the keys of TLS tickets */
    HANDOVER_ROUTE,   /* old: what it knows of a route */
    HANDOVER_GO,      /* old: it has stopped acting */
    HANDOVER_SERVING, /* new: it acts, and accepts */
    HANDOVER_SPLIT,   /* new: who serves a route now */
    HANDOVER_GAINED,  /* old: what it has counted since it last said so */
    HANDOVER_KINDS
};

/* A socket that is asked for, or handed on. */
struct handover_socket {
    char bind[WIRE_TEXT_MAX]; /* as the configuration writes it */
    bool is_admin;
    bool is_more;          /* more of the one before, in a further message */
    struct unix_file file; /* whose file goes with it; path "" = none */
};

/* Counts of one version in one role: what the judge compares. is_mirror: of the requests that were copied to it. */
struct handover_counts {
    char version[KNOWN_NAME_MAX];
    enum metric_role role;
    bool is_mirror;
    struct judged_totals judged;
};

struct handover_message {
    enum handover_kind kind;
    unsigned version;              /* READY */
    struct handover_socket *wants; /* READY; owned */
    size_t n_wants;                /* READY */
    struct handover_socket socket; /* SOCKET */
    char why[WHY_MAX];             /* REFUSED */
    char route[KNOWN_NAME_MAX];    /* ROUTE, SPLIT, GAINED */
    struct known_split split;      /* SPLIT */
    struct handover_counts gained; /* GAINED */
    struct cJSON *state;           /* ROUTE; owned when decoded, borrowed by handover_encode */
};

/* The JSON text; the caller frees it with cJSON_free. NULL when memory is short. */
char *handover_encode(const struct handover_message *m);

/* Reads a message. ERR_INVALID names what is missing, of the wrong type, too long or out of range; ERR_LIMIT: longer than
 * HANDOVER_BYTES_MAX; then *m holds nothing. On OK the caller frees it with handover_message_fini. */
enum err handover_decode(struct handover_message *m, const char *text, size_t len,
                         struct why *why) MUST_USE;

void handover_message_fini(struct handover_message *m);

/* The name of a kind, for a log line. Never NULL. */
const char *handover_kind_text(enum handover_kind kind);

#endif
