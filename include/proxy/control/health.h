/* Active checks: asks each endpoint of a route with `health` over HTTP/1.1 whether it is well.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_HEALTH_H
#define SERIN_PROXY_CONTROL_HEALTH_H

#include "proxy/control/known.h"

struct event_base;

#define HEALTH_RUNNING_MAX 256   /* checks under way at a time: guards descriptors and memory */
#define HEALTH_HEAD_MAX    8192u /* bytes of an answer's head */

/* Answers in a row, of one kind. */
struct health_row {
    uint32_t good, bad;
};

/* What an endpoint is after one more answer: the first one decides of an endpoint that is not known, then it takes
 * conf->fall bad ones in a row to take it down and conf->rise good ones to bring it back. Pure. */
enum endpoint_health health_next(struct health_row *row, const struct config_health *conf,
                                 enum endpoint_health before, bool is_good);

/* Looks after all endpoints, once a second and when there are new ones: starts the checks that the configuration asks
 * for, ends the others, and probes (probe.h) where there are none. Each endpoint is asked every interval, give or take a
 * tenth, and first at a random moment of the first second at most, so that they are not all asked at once. A good answer
 * is 2xx or 3xx within the timeout. */
void health_look(struct known *k, struct event_base *base, uint32_t connect_ms);

/* Ends the checks of one endpoint; nothing happens where there are none. */
void health_stop(struct known_endpoint *e);

#endif
