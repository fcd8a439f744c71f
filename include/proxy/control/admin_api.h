/* The resources of the admin port: which path takes which method, under which rule, with what
 * answer.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_ADMIN_API_H
#define SERIN_PROXY_CONTROL_ADMIN_API_H

#include "proxy/control/admin.h"
#include "proxy/control/admin_connections.h"
#include "proxy/control/admin_events.h"
#include "proxy/control/admin_guard.h"

struct evhttp_request;

/* What a request meets; part of struct admin. */
struct admin_api {
    struct admin_host host;
    struct admin_guard guard;
    struct admin_events events;
    struct admin_connections connections;
};

/* The general callback of evhttp: answers every request that came in whole. arg: struct admin_api.
 */
void admin_api_on_request(struct evhttp_request *req, void *arg);

#endif
