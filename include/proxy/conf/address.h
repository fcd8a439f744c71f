/* Addresses as the configuration writes them: 127.0.0.1:8080, [::1]:8080, unix:/run/serin.sock.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONF_ADDRESS_H
#define SERIN_PROXY_CONF_ADDRESS_H

#include "base/err.h"
#include "base/slice.h"

#define CONFIG_FD_NAME_MAX                                                                         \
    64 /* bytes of NAME in fd:NAME; systemd allows more, and its own default is a unit's name */

enum config_address_kind {
    CONFIG_ADDRESS_IPV4,
    CONFIG_ADDRESS_IPV6,
    CONFIG_ADDRESS_UNIX,
    CONFIG_ADDRESS_FD, /* a socket that whoever starts serin has opened; what it is bound to shows then */
    CONFIG_ADDRESS_NAME, /* only from config_endpoint_parse (proxy/conf/dns_name.h) */
};

struct config_address {
    enum config_address_kind kind;
    uint8_t ip[16];    /* network order; the first 4 bytes of IPv4, 0 behind them */
    uint16_t port;     /* 0: any free one */
    struct slice path; /* of a UNIX socket, or the name (FD, NAME); borrowed from the text */
};

/* Parses one address; a name is none. ERR_NOT_FOUND: a host name; ERR_INVALID:
 * anything else that is none, with why a predicate to stand behind the text. Pure. */
enum err config_address_parse(struct slice text, struct config_address *out,
                              struct why *why) MUST_USE;

/* Parses a port, 0 to 65535 in decimal without leading zeros. ERR_INVALID with a predicate as above. Pure. */
enum err config_port_parse(struct slice text, uint16_t *port, struct why *why) MUST_USE;

/* Whether two addresses name the same socket: the same bytes however they were written; names in any case. Pure. */
bool config_address_equal(const struct config_address *a, const struct config_address *b);

/* Only this machine can reach it: 127.0.0.0/8, ::1, UNIX. False for FD, of which nobody knows yet. Pure. */
bool config_address_is_local(const struct config_address *a);

/* A network as the configuration writes it: 10.0.0.0/8, fd00::/8. */
struct config_network {
    uint8_t ip[16]; /* network order; the first 4 bytes of IPv4, 0 behind them */
    uint8_t bits;   /* of the prefix; those behind it are 0 */
    bool is_v6;
};

/* Parses an address, a slash and the length of the prefix; bits behind it must be 0. ERR_INVALID with why a predicate to
 * stand behind the text. Pure. */
enum err config_network_parse(struct slice text, struct config_network *out,
                              struct why *why) MUST_USE;

/* Whether an address is of the network. ip: 4 or 16 bytes in network order. Pure. */
static inline bool config_network_holds(const struct config_network *n, bool is_v6,
                                        const uint8_t *ip)
{
    size_t bytes = n->bits / 8;
    unsigned rest = n->bits % 8;
    return n->is_v6 == is_v6 && memcmp(n->ip, ip, bytes) == 0 &&
           (rest == 0 || (n->ip[bytes] ^ ip[bytes]) >> (8 - rest) == 0);
}

#endif
