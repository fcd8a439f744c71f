/* The system's hosts file: names that need no name server.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_HOSTS_H
#define SERIN_PROXY_CONTROL_HOSTS_H

#include "base/slice.h"

struct ip_address {
    bool is_v6;
    uint8_t at[16]; /* network order; the first 4 bytes of IPv4, 0 behind them */
};

/* Finds the addresses of a name, whose case and final dot do not matter, as hosts(5) has them: those of all its lines, in
 * their order. Lines that are none are passed over. Returns how many were written to out, at most max. O(text). Pure. */
size_t hosts_find(struct slice text, struct slice name, struct ip_address *out, size_t max);

/* The same in a file of at most HOSTS_BYTES_MAX; 0 where it cannot be read. Control thread. */
#define HOSTS_BYTES_MAX                                                                            \
    (1024u * 1024u) /* guards the control thread's time: it is read for every look-up */
size_t hosts_find_in(const char *path, struct slice name, struct ip_address *out, size_t max);

/* Whether a client may connect to it: no address of nobody, of a group or of everybody, none that means another family's,
 * and none that says nothing without an interface. A name server that answers so is wrong, or wants the name blocked. Pure. */
bool ip_address_is_usable(const struct ip_address *a);

#endif
