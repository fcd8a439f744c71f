/* The PROXY protocol, v1 and v2: what a balancer says of the client before the client's own bytes. Pure.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_WIRE_PROXY_HEADER_H
#define SERIN_PROXY_WIRE_PROXY_HEADER_H

#include "proxy/wire/addr.h"
#include <sys/types.h>

/* The longest header that is read. v2 could have 64 KiB of TLVs, which every connection could make us keep. */
#define PROXY_HEADER_MAX 4096

struct proxy_header {
    struct wire_addr
        source; /* the client; len 0: the header names none (LOCAL, UNKNOWN, UNSPEC) and the peer's own address stands;
                   AF_UNIX: a client of a UNIX socket, whose path nobody needs */
    const char *fault; /* where it is bad: why, as a predicate */
};

/* Reads the header at the start of bytes. > 0: whole, so many bytes long; 0: all that is there belongs to a header of
 * which more must come (of a header of PROXY_HEADER_MAX bytes never); -1: bad, and fault says why. Strict: one way to write
 * a header, as haproxy's doc/proxy-protocol.txt defines it; TLVs must fit, and a CRC32c among them must be right. O(len). */
ssize_t proxy_header_read(const char *bytes, size_t len, struct proxy_header *h);

#endif
