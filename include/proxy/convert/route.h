/* A route of the draft. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONVERT_ROUTE_H
#define SERIN_PROXY_CONVERT_ROUTE_H

#include "proxy/conf/text.h"
#include "proxy/convert/draft.h"

#define ROUTE_NAME_ROOM (TEXT_NAME_MAX + 1)

/* A name of a route, version or check out of one that is wished for: what no name may hold becomes a hyphen, and it is cut at
 * most bytes (up to TEXT_NAME_MAX). Pure. */
void route_clean_name(const char *wished, size_t most, char out[ROUTE_NAME_ROOM]);

/* Who serves a version: a workload, or else a Service by its name in the DNS. All borrowed. */
struct route_servers {
    const char *version;  /* wished for; made a valid name */
    const char *workload; /* "deployment/shop"; NULL = the Service */
    const char *service, *name_space;
    int64_t port;
    bool is_tls;
};

/* Begins a route under this name, or a like one that is valid and not taken. from: what it is made from; borrowed.
 * NULL: memory was short, or there are DRAFT_ROUTES_MAX (which is said). */
struct cJSON *route_begin(struct draft *d, const struct cJSON *from, const char *name);

/* Puts versions, stable and canary (NULL = none). Where their names are the same they are called stable and canary. */
void route_put_versions(struct draft *d, struct cJSON *route, const struct route_servers *stable,
                        const struct route_servers *canary);

/* Whether a version can be written so: the form of its workload or of its endpoint. ERR_INVALID with why. Pure. */
enum err route_check_servers(const struct route_servers *servers, struct why *why) MUST_USE;

/* Adds a text of a form to the route's list `key` (made where it is not there), once. What does not have the form is
 * left out with a note at `at`. False: left out. */
bool route_add(struct draft *d, struct cJSON *route, const char *key, enum text_form form,
               const struct cJSON *at, const char *text);

/* Takes routes, hosts and paths out again that another route has, or whose workload another route moves; with notes.
 * Once, when all routes are there. */
void route_settle(struct draft *d);

#endif
