/* What the running rollout asks of others: checks by a metrics store or a webhook, gates, times; and what it tells them.
 * Control thread. Nobody outside rollout/ includes this.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_ASKS_H
#define SERIN_ROLLOUT_ASKS_H

#include "rollout/decide/answer.h"
#include "rollout/decide/outside_json.h"
#include "rollout/decide/record.h"
#include "rollout/decide/window.h"
#include "rollout/http.h"

struct rollout;
struct asks;

#define ASKS_AGAIN_MS   10000 /* a gate that is closed or does not answer is asked again after this */
#define ASKS_TIMEOUT_MS 10000 /* for a check's answer; its interval where that is shorter */
#define ASKS_TELLS_MAX                                                                             \
    32 /* events under way: more than that to a deaf receiver are dropped, with a warning */

/* One of more_checks. */
struct ask_check {
    struct asks *asks;
    struct answer answer;   /* the last one; NO_DATA before */
    unsigned failures;      /* in a row */
    bool is_answered;       /* during this run of the process */
    int64_t due_ms;         /* monotonic; when it is asked next */
    struct http_call *call; /* under way; NULL = none */
};

/* One of gates that is asked. */
struct ask_gate {
    struct asks *asks;
    bool is_open;
    unsigned open_for; /* the step that it was opened for */
    char why[ANSWER_WHY_MAX];
    int64_t due_ms;
    struct http_call *call;
};

struct asks {
    struct rollout *rollout;
    struct outside outside; /* strings are the record's */
    struct outside_room room;
    struct ask_check checks[OUTSIDE_CHECKS_MAX];
    struct ask_gate gates[OUTSIDE_GATES_MAX];
    struct window windows[OUTSIDE_WINDOWS_MAX];
    struct zone *zones[OUTSIDE_WINDOWS_MAX];
    char windows_error[WHY_MAX]; /* why the times cannot be known: then nothing widens; "" = none */
};

/* Takes over what the record says: at open, and as a run begins. What is under way is given up. Nothing is allocated
 * where nothing is asked. */
void asks_begin(struct rollout *r);

/* Gives up what is under way and forgets all. */
void asks_end(struct rollout *r);

/* Asks what is due, while the canary has a share. Once a tick. */
void asks_tick(struct rollout *r, const struct record *next);

/* What others or the clock have against going on from here; NONE where nothing. Asks the gate that stands here. */
enum machine_cause asks_hold(struct rollout *r, const struct record *next);

/* A check has failed as often in a row as its plan allows. */
bool asks_has_failed(const struct rollout *r);

/* One sentence for a cause that came from here. False: it did not. */
bool asks_explain(const struct rollout *r, enum machine_cause cause, struct why *why);

/* Adds "more_checks", "gates" and "windows" to the status, where the run has any. False: out of memory. */
bool asks_status(const struct rollout *r, struct cJSON *json);

/* --- gate.c --- */

/* Whether the gates of a moment are open for a step; asks those that are not. */
bool gate_is_open(struct rollout *r, const struct record *next, enum outside_moment on);

/* Gives up the question under way. */
void gate_forget(struct ask_gate *g);

/* Tells whoever wants to know of a move or an end; nobody waits for the answer. name: "RolloutStarted" ... */
void gate_tell(struct rollout *r, enum outside_moment on, const char *name, const char *why);

/* Gives up what is being told. */
void gate_forget_tells(struct rollout *r);

/* The JSON that every webhook gets; the caller frees it. NULL when memory is short. name: of the check or event. */
char *gate_body(const struct rollout *r, const struct record *next, const char *on,
                const char *name, const char *why);

#endif
