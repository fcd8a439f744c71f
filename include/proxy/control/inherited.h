/* Listening sockets that this process was given by whoever started it: by a serin that hands over, or by a service
 * manager. A listener of the configuration asks here first, by its bind text, and opens what is not there.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_INHERITED_H
#define SERIN_PROXY_CONTROL_INHERITED_H

#include "base/list.h"
#include "proxy/wire/unix_file.h"
#include <stdbool.h>

#define INHERITED_FDS_MAX 1024u /* under one name: guards the memory against an absurd giver */

/* What was given under one name. */
struct inherited_socket {
    struct list link;
    bool is_admin; /* for admin.bind, which may read as a listener does */
    char bind
        [WIRE_TEXT_MAX]; /* as the configuration writes it: "0.0.0.0:80", "unix:/path", "fd:web" */
    int fds[INHERITED_FDS_MAX];
    unsigned n;
    struct unix_file file; /* of a UNIX socket whose file goes with it; path "" = none */
};

struct inherited {
    struct list sockets; /* of struct inherited_socket, in the order in which they came */
};

void inherited_init(struct inherited *in);

/* Adds fds to what is there under a name and has no taker yet, or begins it. They become the table's: closed where this
 * fails, too. file may be NULL. ERR_LIMIT, ERR_MEMORY. */
enum err inherited_add(struct inherited *in, bool is_admin, const char *bind, const int *fds,
                       unsigned n, const struct unix_file *file) MUST_USE;

/* Another one of the same name comes behind: for two listeners whose bind texts are equal (port 0). */
enum err inherited_begin(struct inherited *in, bool is_admin, const char *bind,
                         const struct unix_file *file) MUST_USE;

/* The oldest of that name, which leaves the table: the caller owns it and its descriptors, and frees it with free(). NULL
 * where there is none. */
struct inherited_socket *inherited_take(struct inherited *in, bool is_admin, const char *bind);

/* Closes and frees what nobody took. */
void inherited_close(struct inherited *in);

#endif
