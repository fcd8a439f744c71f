/* Asks the admin API of a running serin: one request at a time, bounded in time and size.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_CLI_CLIENT_H
#define SERIN_ROLLOUT_CLI_CLIENT_H

#include "base/err.h"
#include <stdbool.h>

struct cJSON;
struct client;

/* admin: "http://host:port", "https://...", "host:port", "unix:/path". token: "" = none. Both are
 * copied. NULL with the reason: an address that is none, memory. */
struct client *client_open(const char *admin, const char *token, struct why *why);
void client_close(struct client *c);

/* Asked about once a second while an answer is awaited: true ends the question with ERR_CLOSED. So
 * that a signal and a key are heard while a server hangs. NULL = nobody is asked. */
typedef bool client_stop_fn(void *arg);
void client_set_stop(struct client *c, client_stop_fn *should_stop, void *arg);

/* Asks and waits; where one process takes over from another just now, asks again for 5 s. body:
 * NULL = GET, else a POST of that JSON text. On OK *json is the answer, the caller's to free. why
 * tells a person everything else. ERR_IO: nobody answers at the address, or none that decides;
 * ERR_TIMEOUT: not in time; ERR_NOT_FOUND: 404; ERR_CONFLICT: 409; ERR_INVALID: refused otherwise,
 * or the answer is none of serin's; ERR_LIMIT: it is too large; ERR_CLOSED: client_set_stop. */
enum err client_ask(struct client *c, const char *path, const char *body, struct cJSON **json,
                    struct why *why) MUST_USE;

/* Every reason why the last question was refused, as an array of strings, where the server tells
 * more than one sentence (reload); else NULL. Foreign. Borrowed until the next question. */
const struct cJSON *client_refusal(const struct client *c);

/* GET of a route's status, or of all with route NULL; likewise. */
enum err client_status(struct client *c, const char *route, struct cJSON **json,
                       struct why *why) MUST_USE;

#define CLIENT_PATH_MAX 1024 /* room for the path of any route and its action */

/* Writes /api/v1/routes/ROUTE[/action], percent-encoded. action NULL = none. route: at most
 * OPTIONS_ROUTE_MAX bytes. Pure. */
void client_route_path(char out[CLIENT_PATH_MAX], const char *route, const char *action);

#endif
