/* Socket addresses as the configuration writes them: "127.0.0.1:80", "[::1]:80", "unix:/path".
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_WIRE_ADDR_H
#define SERIN_PROXY_WIRE_ADDR_H

#include "base/err.h"
#include "base/slice.h"

#define WIRE_ADDR_BYTES 128 /* a struct sockaddr_storage */
#define WIRE_TEXT_MAX   128 /* the longest text of an address, with its NUL */

/* A struct sockaddr of any family, opaque so that pure rooms can carry it. Compared by bytes. */
struct wire_addr {
    _Alignas(8) unsigned char bytes[WIRE_ADDR_BYTES];
    uint32_t len; /* 0 = none */
};

/* An IPv4 (4 bytes of ip) or IPv6 (16 bytes) address; ip in network order, port in host order. Never fails. */
void wire_addr_inet(struct wire_addr *a, bool is_v6, const uint8_t ip[16], uint16_t port);

/* A UNIX socket. ERR_INVALID: the path is empty or longer than the system allows. */
enum err wire_addr_unix(struct wire_addr *a, struct slice path) MUST_USE;

/* Writes the address as the configuration does. Never fails; an unknown family gives "unknown". */
void wire_addr_text(const struct wire_addr *a, char out[WIRE_TEXT_MAX]);

/* The address without its port, as X-Forwarded-For wants it; "unknown" for UNIX sockets. Returns its length. */
size_t wire_addr_host(const struct wire_addr *a, char out[WIRE_TEXT_MAX]);

/* The IP address, 4 or 16 bytes in network order; an IPv4 one in the form of IPv6 (::ffff:192.0.2.1) as IPv4. False: it has
 * none. */
bool wire_addr_ip(const struct wire_addr *a, bool *is_v6, uint8_t ip[16]);

int wire_addr_family(const struct wire_addr *a);

/* The address that a socket is bound to; len 0 where the kernel does not say. */
void wire_addr_local(struct wire_addr *a, int fd);

#endif
