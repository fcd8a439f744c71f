/* A restart without losing a connection: SIGUSR2 starts the program again, the new process takes the listening sockets over, and
 * the old one ends with its last connection.
 *
 * Two rules hold at every moment. One process acts (rollouts, verbs, the admin port, the cluster): the old one until it says
 * go, the new one from `serving` on, and in between nobody. Somebody accepts: the old one until the new one says
 * that it does. Until then the old one takes everything back where the new one ends, errs or is late.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_HANDOVER_H
#define SERIN_PROXY_CONTROL_HANDOVER_H

#include "proxy/control/handover_totals.h"

struct control;
struct handover;

/* How long the new process may take to read its files, and again to begin to serve. */
#define HANDOVER_WAIT_MS 30000

/* Processes of before that still serve their tunnels, each with all its memory: more are not left behind. */
#define HANDOVER_OLDER_MAX 8u

/* At the start. ERR_INVALID: the environment says that there is somebody to take over from, and there is not. */
enum err handover_new(struct control *c, struct handover **h, struct why *why) MUST_USE;

/* NULL is allowed. Ends the process that was to take over, if it has not. */
void handover_free(struct handover *h);

/* --- the process that hands over --- */

/* SIGUSR2: starts the program again; what comes of it is in the log. Refused (in the log) while one is under way, at a stop,
 * and for process 1 of a container, which would end with it. */
void handover_begin(struct handover *h);

/* The process stops: who was to take over ends. Nothing happens where it has taken over. */
void handover_cancel(struct handover *h);

/* True from SIGUSR2 on until it has failed: no reload meanwhile. */
bool handover_is_under_way(const struct handover *h);

/* Once a second: tells the process that has taken over what was counted here. */
void handover_tick(struct handover *h);

/* --- the process that takes over --- */

bool handover_is_heir(const struct handover *h);

/* Behind the reading of the configuration: asks for the sockets, and waits until the other one has stopped acting. What it
 * knows of endpoints and breakers is taken at once. ERR_CONFLICT: it refuses, with its reason; ERR_TIMEOUT, ERR_CLOSED ... */
enum err handover_ask(struct handover *h, struct why *why) MUST_USE;

/* Behind the opening of the rollouts: they go on where they were. */
void handover_take_states(struct handover *h);

/* Workers accept and everything is there: the other one may go. */
void handover_serve(struct handover *h);

/* Tells the processes of before who serves now, where that has changed. NULL is allowed. */
void handover_tell_splits(struct handover *h);

/* What processes of before have counted of a version; NULL where nothing. Since the first of them started. h may be NULL. */
const struct handover_counts *handover_gained(const struct handover *h, const char *route,
                                              const char *version, enum metric_role role,
                                              bool is_mirror);

#endif
