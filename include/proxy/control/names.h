/* Endpoints that are names: looked up at the start and again by their time to live, for as long as the file has them.
 *
 * What a name is known to be stays for ever where it cannot be looked up, and where it is said to be gone or to have no
 * address: an outage of the DNS, or a zone that was emptied by mistake, is no reason to stop a service that runs. An address
 * where nobody answers is found by its endpoint's health; to let go of one, give the name another, or take it from the file.
 * Control thread.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_NAMES_H
#define SERIN_PROXY_CONTROL_NAMES_H

#include "proxy/control/lookup.h"

#define NAMES_ASKING_MAX  32u /* look-ups at a time: a handful of sockets each */
#define NAMES_HOSTS_TTL_S 10u /* how soon a changed hosts file is noticed */
#define NAMES_READY_MAX_MS                                                                         \
    15000 /* that /readyz waits for the first addresses of the stable versions */

struct control;
struct names;

/* NULL when memory is short. c outlives it. */
struct names *names_new(struct control *c);

/* Ends every look-up; called while everything that the event loop may touch is still there. NULL is allowed. */
void names_free(struct names *n);

/* Takes over what the present configuration names: new names are asked for at once, those that are not named any more are
 * forgotten, those that stay keep their addresses and their time. Endpoints follow without a snapshot: the caller publishes.
 * ERR_MEMORY. */
enum err names_configure(struct names *n, struct why *why) MUST_USE;

/* Whether every name of a version that is a stable one now has addresses. True from then on, and at the latest
 * NAMES_READY_MAX_MS after names_new: a start waits for the DNS, a reload does not take a service out. now_ms: monotonic. */
bool names_are_ready(struct names *n, int64_t now_ms);

/* Look-ups that ended so since the start. */
uint64_t names_lookups(const struct names *n, enum lookup_result result);

/* Calls fn for every name with the seconds since it was last found; NAN where it never was. */
typedef void names_age_fn(void *arg, const char *name, double age_s);
void names_ages(const struct names *n, names_age_fn *fn, void *arg);

#endif
