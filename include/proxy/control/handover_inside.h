/* What the files of a hand-over share. Nobody else includes this.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_HANDOVER_INSIDE_H
#define SERIN_PROXY_CONTROL_HANDOVER_INSIDE_H

#include "proxy/control/binary.h"
#include "proxy/control/control.h"
#include "proxy/control/handover.h"
#include "proxy/control/handover_channel.h"

enum handover_phase {
    HANDOVER_IDLE,
    HANDOVER_ASKED,  /* the new process was started, and reads its files */
    HANDOVER_GIVEN,  /* this one acts no more, and waits for the new one to serve */
    HANDOVER_ENDING, /* it failed: the new process has to be gone before anything is taken back */
    HANDOVER_DONE,   /* the new one acts; this one drains */
};

struct handover {
    struct control *control;
    struct binary binary; /* program NULL = not known: nothing is handed over */

    enum handover_phase phase;
    pid_t child;                      /* 0 = none, or its end was seen */
    struct handover_channel *channel; /* to it */
    struct event *timer;              /* of the phase */
    int64_t kill_at_ms;
    bool has_given, is_killed; /* while it ends */
    char why[WHY_MAX];         /* why it failed */
    bool *gave;                /* [listeners]: which sockets went over */
    bool gave_admin;
    int tickets_fd;              /* keys on their way; -1 = none */
    struct handover_totals told; /* own counts that the new one knows */

    int heir_fd; /* the end to the process that this one takes over from; -1 = none, or it has */
    int older_fds[HANDOVER_OLDER_MAX];
    unsigned n_older_fds;
    struct list older; /* processes of before that still drain */
    unsigned n_older;
    struct handover_totals gained; /* what they counted */

    struct list kept; /* struct handover_kept: what goes over, or has come */
};

/* The state of one route, until it is taken over or no longer needed. */
struct handover_kept {
    struct list link;
    char route[KNOWN_NAME_MAX];
    struct cJSON *state;
};

/* Takes state. False when memory is short: it is freed. */
bool handover_keep(struct handover *h, const char *route, struct cJSON *state);
void handover_forget_kept(struct handover *h);

/* Lets the rollouts that are open go on with what is kept of them. */
void handover_resume_rollouts(struct handover *h);

/* Listens to a process of before; takes fd. */
void handover_older_add(struct handover *h, int fd);
void handover_older_forget(struct handover *h);

/* The descriptors of those processes, at most HANDOVER_OLDER_MAX; returns their number. */
unsigned handover_older_ends(const struct handover *h, int fds[]);

/* They are another's to read for now, or this one's again. */
void handover_older_rest(struct handover *h, bool rests);

/* What this process alone has counted. */
struct handover_counts handover_own_counts(const struct variant_metrics *v, enum metric_role role,
                                           bool is_mirror);

/* Stops acting, and sends all that the new process needs, up to `go`. wants: of its READY. */
void handover_give(struct handover *h, const struct handover_message *wants);

#endif
