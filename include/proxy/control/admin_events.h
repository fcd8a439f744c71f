/* Server-sent events of the admin port (HTML living standard, section 9.2): who follows, and what
 * they get.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_ADMIN_EVENTS_H
#define SERIN_PROXY_CONTROL_ADMIN_EVENTS_H

#include "base/err.h"
#include "base/list.h"
#include <stdint.h>

struct evhttp_request;

struct admin_events {
    struct list followers; /* of struct admin_follower */
    unsigned count;
    unsigned quiet_sweeps; /* since something was last sent */
};

void admin_events_init(struct admin_events *e);

/* Starts a stream of events on the request. ERR_LIMIT: too many follow already; ERR_MEMORY. On
 * failure nothing has been answered. */
enum err admin_events_follow(struct admin_events *e, struct evhttp_request *req) MUST_USE;

/* Sends one event to all. A follower whose unsent bytes pass the bound is dropped. Never blocks. */
void admin_events_publish(struct admin_events *e, const char *name, const char *json);

/* Keeps quiet streams alive, so that dead peers are noticed. Call it a few times a second. */
void admin_events_sweep(struct admin_events *e);

#endif
