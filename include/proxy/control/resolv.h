/* What the system says of its name servers: resolv.conf(5).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_RESOLV_H
#define SERIN_PROXY_CONTROL_RESOLV_H

#include "proxy/conf/dns_name.h"

#define RESOLV_NAME_MAX    (DNS_NAME_MAX + 1) /* a name with its NUL */
#define RESOLV_SERVERS_MAX 8  /* a socket each; of a file the first three count, as for everybody */
#define RESOLV_SEARCH_MAX  32 /* questions for one name; Kubernetes allows a pod as many */
#define RESOLV_NDOTS_MAX   15 /* as for everybody */

struct resolv {
    char servers[RESOLV_SERVERS_MAX][64]; /* "192.0.2.1" or "192.0.2.1:53", "[::1]:53" */
    unsigned n_servers;
    char search[RESOLV_SEARCH_MAX][RESOLV_NAME_MAX];
    unsigned n_search;
    unsigned ndots; /* a name with fewer is looked for in the domains of search first */
};

/* Reads a resolv.conf; what it does not know or cannot be is passed over. hostname: this machine's, whose domain is searched
 * where the text does not say. Pure. */
void resolv_parse(struct resolv *r, struct slice text, const char *hostname);

/* The same from a file of at most RESOLV_BYTES_MAX. Where it cannot be read or names no server, 127.0.0.1 is asked, as by
 * everybody. Control thread. */
#define RESOLV_BYTES_MAX (64u * 1024u)
void resolv_read(struct resolv *r, const char *path);

/* The names to ask for one after the other where the file says name: those of the search list, and name itself, first or
 * last; one that ends with a dot is whole. *at starts with 0 and is this function's. False at the end. Pure. */
bool resolv_next(const struct resolv *r, const char *name, unsigned *at, char out[RESOLV_NAME_MAX]);

#endif
