/* Which certificates a server name asks for: the exact name, else the wildcard one label above; of each kind of key one.
 * Pure but for malloc.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_SNI_H
#define SERIN_PROXY_CONTROL_SNI_H

#include "base/err.h"
#include "base/slice.h"
#include <stdint.h>

#define SNI_NAME_MAX  253 /* bytes of a host name (RFC 1035 section 2.3.4) */
#define SNI_KINDS_MAX 5   /* of keys: RSA, RSA-PSS, elliptic curve, Ed25519, Ed448 */

/* Certificates that may all be shown for one name, by their number; each of another kind, the first of the file first. */
struct sni_match {
    uint16_t certificates[SNI_KINDS_MAX];
    uint16_t n;
};

struct sni;

/* An empty table; NULL when memory is short. */
struct sni *sni_new(void);
void sni_free(struct sni *s);

/* Adds a name that a certificate is for, "shop.example" or "*.shop.example", in any case. kind: of its key, any number. Of
 * two certificates of one kind for one name the one that was added first is shown. A name of another form is passed over:
 * no client asks for it. ERR_MEMORY. */
enum err sni_add(struct sni *s, struct slice name, uint16_t certificate, int kind) MUST_USE;

/* Puts the names in order; nothing is added after it. */
void sni_sort(struct sni *s);

/* NULL: no certificate is for that name. Any thread. O(log names). */
const struct sni_match *sni_find(const struct sni *s, struct slice name);

#endif
