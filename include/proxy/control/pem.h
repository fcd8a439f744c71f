/* Certificates and keys from PEM files, with the reason where one is of no use.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_PEM_H
#define SERIN_PROXY_CONTROL_PEM_H

#include "base/err.h"
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#define PEM_DIGEST_BYTES 32 /* SHA-256 */

/* What one file of certificates holds. */
struct pem_certificates {
    STACK_OF(X509) * list;                  /* at least one; in the order of the file */
    unsigned char digest[PEM_DIGEST_BYTES]; /* of the file's bytes: whether it has changed */
};

/* Reads every certificate of a file; other PEM objects between them are passed over. The caller frees the list
 * (sk_X509_pop_free(list, X509_free)). ERR_IO, ERR_INVALID (no certificate in it, one that is damaged), ERR_LIMIT (too
 * many, too large), ERR_MEMORY, with why a predicate to stand behind the file's name: "holds no certificate ...". Blocks
 * on the file. */
enum err pem_read_certificates(const char *path, struct pem_certificates *out,
                               struct why *why) MUST_USE;

/* Reads the private key of a file. Never asks for a passphrase: a key that has one is refused. is_public: other users of
 * the machine may read the file. The caller frees the key. Errors as above. The bytes of the file are wiped. */
enum err pem_read_key(const char *path, EVP_PKEY **out, bool *is_public, struct why *why) MUST_USE;

/* Whether TLS can be done with a key of this kind and size: RSA of 2048 bits or more, a curve of 256 or more, Ed25519,
 * Ed448. ERR_INVALID with why as above: "holds an RSA key of 1024 bits ...". */
enum err pem_check_key(const EVP_PKEY *key, struct why *why) MUST_USE;

/* When a certificate becomes and ceases to be valid, in seconds since 1970 UTC; INT64_MIN and INT64_MAX where it does
 * not say so in any form that can be read. */
int64_t pem_not_before(const X509 *certificate);
int64_t pem_not_after(const X509 *certificate);

#define PEM_TIME_MAX 24 /* "2026-11-30T12:00:00Z" */

/* A time in UTC for a message. Returns out. */
const char *pem_format_time(int64_t seconds, char out[PEM_TIME_MAX]);

/* A warning ahead of the time when a certificate expires, as a predicate: "expires in 13 days, at ...". False: it is more
 * than PEM_WARN_DAYS ahead. now: seconds since 1970. */
#define PEM_WARN_DAYS   14
#define PEM_WARNING_MAX 96
bool pem_warn_of_expiry(int64_t expires, int64_t now, char out[PEM_WARNING_MAX]);

/* The warning of a key whose is_public is set, likewise. */
#define PEM_PUBLIC_KEY "can be read by every user of this machine (expected mode 0600)"

/* Whether a server or client may come with this certificate and this key now: they belong together, the key is strong
 * enough, and the time is between its two. ERR_INVALID with why a predicate to stand behind the name of one of the two
 * files; is_key: that of the key. now: seconds since 1970. */
enum err pem_check_pair(X509 *certificate, EVP_PKEY *key, int64_t now, bool *is_key,
                        struct why *why) MUST_USE;

#endif
