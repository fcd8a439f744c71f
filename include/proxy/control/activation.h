/* Socket activation: listening sockets that systemd opened and named (sd_listen_fds(3)), for listeners with bind: fd:NAME.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_ACTIVATION_H
#define SERIN_PROXY_CONTROL_ACTIVATION_H

#include "proxy/control/inherited.h"
#include <string.h>

#define ACTIVATION_PREFIX "fd:"

/* The NAME of a bind of fd:NAME, or NULL. */
static inline const char *activation_name(const char *bind)
{
    size_t prefix = sizeof ACTIVATION_PREFIX - 1;
    return strncmp(bind, ACTIVATION_PREFIX, prefix) == 0 ? bind + prefix : NULL;
}

/* Adds what LISTEN_FDS of the environment says under fd:NAME, and takes it out of the environment: children have none of it.
 * Without such words nothing happens. ERR_IO: one is no listening stream socket; ERR_LIMIT, ERR_MEMORY; the reason is in
 * why. */
enum err activation_take(struct inherited *in, struct why *why) MUST_USE;

/* Why a listener that asks for fd:NAME finds none, with the names that there are. Returns ERR_NOT_FOUND. */
enum err activation_missing(const struct inherited *in, const char *bind, struct why *why);

/* One warning for each socket that no listener has asked for: who connects there would wait for ever. */
void activation_tell_unused(const struct inherited *in);

#endif
