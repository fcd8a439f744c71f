/* Asks for a status again and again: once a second, through absences of the server, until a signal
 * or a key.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_CLI_POLL_H
#define SERIN_ROLLOUT_CLI_POLL_H

#include "rollout/cli/client.h"
#include "rollout/cli/terminal.h"
#include <stdbool.h>
#include <stdint.h>

struct poll {
    struct client *client;
    const char *route; /* NULL = all */
    struct terminal
        *terminal;          /* to be put right before a stop, whose keys are heard; NULL = none */
    int64_t deadline_ms;    /* monotonic; 0 = none */
    int64_t next_ms;        /* when the next question is due */
    int64_t absent_since;   /* monotonic ms; 0 = the server answers */
    bool is_under_way;      /* asked once already */
    bool is_patient;        /* a server may be away for ever: a person watches, and can end it */
    bool ends_by_interrupt; /* Ctrl-C is the usual end, not a death by signal */
    bool has_interrupt; /* Ctrl-C ends the asking; it does not where INT was ignored from the start
                         */
};

enum poll_news {
    POLL_STATUS,  /* *json is one, the caller's to free */
    POLL_AWAY,    /* the server has been away for a short time; why says it */
    POLL_RESIZED, /* the terminal has another size or was given back to us: draw anew */
};

/* Catches INT, TERM, HUP and QUIT from here on, so that the terminal can be put right first, and
 * with a terminal its change of size and Ctrl-Z. p: zero but for client, route, terminal,
 * is_patient and ends_by_interrupt; it must live until poll_stop. timeout_ms 0 = none. */
void poll_start(struct poll *p, int64_t timeout_ms);

/* Waits until the next question is due, and asks; *news says what came of it. ERR_TIMEOUT: the
 * deadline has passed; ERR_CLOSED: a signal or q came; else as client_ask. */
enum err poll_next(struct poll *p, enum poll_news *news, struct cJSON **json,
                   struct why *why) MUST_USE;

/* Lets signals act as before, and the one that came act now, unless it is the usual end. The
 * terminal must be put right. */
void poll_stop(struct poll *p);

#endif
