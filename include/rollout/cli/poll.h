/* Asks for a status again and again: once a second, through short absences of the server, until a
 * signal.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_CLI_POLL_H
#define SERIN_ROLLOUT_CLI_POLL_H

#include "rollout/cli/client.h"
#include <stdbool.h>
#include <stdint.h>

struct poll {
    struct client *client;
    const char *route;    /* NULL = all */
    int64_t deadline_ms;  /* monotonic; 0 = none */
    int64_t absent_since; /* monotonic ms; 0 = the server answers */
    bool is_under_way;    /* asked once already */
    bool has_interrupt; /* Ctrl-C ends the asking; it does not where INT was ignored from the start
                         */
};

/* Catches INT and TERM from here on, so that the terminal can be put right first. timeout_ms 0 =
 * none. */
void poll_start(struct poll *p, struct client *c, const char *route, int64_t timeout_ms);

/* Waits until the next question is due, and asks. OK with *json, the caller's to free; or OK with
 * *json NULL while the server has been away for a short time, with why. ERR_TIMEOUT: the deadline
 * has passed; ERR_CLOSED: a signal came; else as client_ask. */
enum err poll_next(struct poll *p, struct cJSON **json, struct why *why) MUST_USE;

/* Lets signals act as before, and the one that came act now. */
void poll_stop(void);

#endif
