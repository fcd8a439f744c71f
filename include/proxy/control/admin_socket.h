/* The socket on which the admin port listens: TCP, or a UNIX socket with its file.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_ADMIN_SOCKET_H
#define SERIN_PROXY_CONTROL_ADMIN_SOCKET_H

#include "base/err.h"
#include "proxy/wire/addr.h"
#include "proxy/wire/unix_file.h"
#include <stdbool.h>

struct inherited_socket;

struct admin_socket {
    int fd; /* listening, non-blocking, closed on exec; -1 once the owner has handed it on */
    bool is_local, is_unix;
    char address[WIRE_TEXT_MAX]; /* as bound, with the port that the system chose */
    struct unix_file file;
};

/* Binds and listens. A UNIX socket's file is replaced only if nobody listens on it any more, and is
 * readable and writable for owner and group (0660). ERR_INVALID: bind is no address; ERR_CONFLICT:
 * another process listens there, or the file is no socket; ERR_IO: the system refused. */
enum err admin_socket_open(const char *bind, struct admin_socket *s, struct why *why) MUST_USE;

/* Takes a socket that listens already, and frees given; what it has more than one of is closed. ERR_INVALID: bind is no
 * address; ERR_IO: it is no listening socket. */
enum err admin_socket_take(const char *bind, struct inherited_socket *given, struct admin_socket *s,
                           struct why *why) MUST_USE;

/* Removes the file of a UNIX socket if it is still ours. The descriptor is the caller's affair. */
void admin_socket_remove(struct admin_socket *s);

#endif
