/* The admin port: metrics, health, the API and its page, over HTTP on the control thread's event
 * base. It knows the rest of the program only by the callbacks of its host, so that it can be
 * tested alone.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_ADMIN_H
#define SERIN_PROXY_CONTROL_ADMIN_H

#include "base/err.h"
#include "proxy/wire/unix_file.h"
#include <stdbool.h>
#include <stdint.h>

struct admin;
struct cJSON;
struct evbuffer;
struct event_base;
struct inherited_socket;

struct admin_setup {
    const char *bind;     /* "127.0.0.1:9900", "[::1]:0", "unix:/path"; port 0 = any free one */
    const char *token;    /* content of the token file, read and trimmed; NULL = none. Copied. */
    uint32_t deadline_ms; /* from accept or a request to the end of the next; 0 = default, 30 s */
    struct inherited_socket
        *given; /* listens on bind already: taken, also on failure; NULL = open one */
};

/* What the port asks of its host; each is called on the thread of the event base and must not
 * block: while one runs, no tick does. host outlives the admin port. */
struct admin_host {
    void *host;

    /* {"routes":[...]}; the caller frees it. NULL when memory is short. */
    struct cJSON *(*routes)(void *host);

    /* One route, as `serin status` prints it; the caller frees it. NULL = no such route. */
    struct cJSON *(*route)(void *host, const char *name);

    /* A list of the past rollouts of a route, the newest first; the caller frees it and answers it
     * as {"history":[...]}. NULL = no such route. */
    struct cJSON *(*history)(void *host, const char *name);

    /* {"route","endpoints":[...],"left_out"}: who serves a route, and how they are; the caller frees
     * it. NULL = no such route. */
    struct cJSON *(*endpoints)(void *host, const char *name);

    /* {"route","columns":[...],"points":[[...],...]}: the last day of a route, the oldest first; the
     * caller frees it. NULL = no such route. */
    struct cJSON *(*series)(void *host, const char *name);

    /* A person's verb: start pause resume promote abort retry undo reset; full: promote to the end.
     * who: NULL = unknown. OK: done, *why may say what ("" = nothing to say). ERR_NOT_FOUND: no
     * such route; ERR_CONFLICT: not in this state, *why names the verb that is possible. */
    enum err (*verb)(void *host, const char *route, const char *verb, bool full, const char *who,
                     struct why *why);

    /* Reads the configuration anew. OK: *why says how much changed, else the first error. Adds to
     * lines, an array, one string a change, or one an error. */
    enum err (*reload)(void *host, struct cJSON *lines, struct why *why);

    /* Sends a test to everybody who is told of rollouts. OK: *why says to how many; ERR_CONFLICT: there is nobody. */
    enum err (*notify)(void *host, struct why *why);

    /* Appends the page of /metrics; nothing when memory is short. */
    void (*metrics)(void *host, bool openmetrics, struct evbuffer *out);

    /* Listening and configured. */
    bool (*is_ready)(void *host);

    /* False while nobody can say how rollouts stand, since they go over to another process: routes are answered 503. */
    bool (*acts)(void *host);
};

/* Binds and serves. setup and admin_host are copied. NULL with the reason: a bind that is none, an
 * address in use, a UNIX socket on which another process listens, an address that others can reach
 * without a token, memory. Calls no callback before the event loop runs. SIGPIPE must be ignored by
 * the process. */
struct admin *admin_start(struct event_base *base, const struct admin_setup *setup,
                          const struct admin_host *host, struct why *why);

/* The bound address, with the port that the system chose: "127.0.0.1:41234", "[::1]:9900",
 * "unix:/path". Owned by a. Never NULL. */
const char *admin_address(const struct admin *a);

/* Sends one event to everyone who follows GET /api/v1/events. name: without line breaks. json:
 * text. A client that does not keep up is dropped. Never blocks. O(clients). */
void admin_publish(struct admin *a, const char *name, const char *json);

/* Whether anybody follows the events that admin_publish sends. */
bool admin_is_followed(const struct admin *a);

/* The listening socket, for another process that goes on with it; owned by a. file: of a UNIX socket, path "" otherwise. */
int admin_fd(const struct admin *a, struct unix_file *file);

/* Rests, or goes on: who connects meanwhile waits in the socket's queue. */
void admin_rest(struct admin *a, bool rests);

/* The UNIX socket's file stays when the port is closed: it is another process's by now. */
void admin_forget_file(struct admin *a);

/* Where a process of before has lent it, it is ours now. */
void admin_own_file(struct admin *a);

/* Closes the port and every connection, removes its UNIX socket. NULL is allowed. Not from within a
 * callback of the host. */
void admin_stop(struct admin *a);

#endif
