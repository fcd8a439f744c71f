/* The descriptors that are kept for what must not fail for want of one: upstreams, files, the admin port.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_WIRE_RESERVE_H
#define SERIN_PROXY_WIRE_RESERVE_H

#include <stdbool.h>

/* Clients alone could take every descriptor, and nothing could be dialled for them: a share is kept back. */
#define FD_RESERVE_SHARE 4u /* one in so many */
#define FD_RESERVE_MAX   4096u

/* The first descriptor of the reserve under the limit of the process (RLIMIT_NOFILE) that is in force now; 0 = there is no
 * limit. One system call. */
unsigned reserve_begin(void);

/* Whether a new descriptor is of the reserve that begins there. The kernel gives out the lowest free number: a high one says
 * how many are in use. */
static inline bool reserve_has(unsigned begin, int fd)
{
    return begin > 0 && (unsigned)fd >= begin;
}

#endif
