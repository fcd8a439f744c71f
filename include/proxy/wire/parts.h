/* Bytes in several parts, in the order in which they are sent.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_WIRE_PARTS_H
#define SERIN_PROXY_WIRE_PARTS_H

#include <stddef.h>
#include <string.h>
#include <sys/uio.h>

/* The bytes of all n parts. */
static inline size_t parts_len(const struct iovec *parts, int n)
{
    size_t len = 0;
    for (int i = 0; i < n; i++)
        len += parts[i].iov_len;
    return len;
}

/* Copies all of them to where there is room for parts_len. A part without bytes may have no address. */
static inline void parts_copy(char *to, const struct iovec *parts, int n)
{
    for (int i = 0; i < n; to += parts[i++].iov_len)
        if (parts[i].iov_len)
            memcpy(to, parts[i].iov_base, parts[i].iov_len);
}

#endif
