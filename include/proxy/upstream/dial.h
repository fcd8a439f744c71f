/* Starts one nonblocking connection.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_UPSTREAM_DIAL_H
#define SERIN_PROXY_UPSTREAM_DIAL_H

#include "proxy/wire/addr.h"

/* A nonblocking, close-on-exec socket whose connect is under way or done; it becomes writable when it is decided.
 * -1 with errno where it failed at once. TCP_NODELAY is set: heads and bodies leave in one send. Any thread. */
int dial_start(const struct wire_addr *to);

/* Whether that errno is our own want of descriptors, ports or memory, and not the endpoint's fault. Pure. */
bool dial_is_own_fault(int error);

#endif
