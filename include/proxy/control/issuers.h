/* Whom to trust: the issuers of a PEM file, or those that the machine trusts.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_ISSUERS_H
#define SERIN_PROXY_CONTROL_ISSUERS_H

#include "proxy/control/pem.h"

/* Reads a file of issuers. Errors, and who frees, as pem_read_certificates; also ERR_INVALID where all of them have
 * expired. now: seconds since 1970. Blocks on the file. */
enum err issuers_read(const char *path, int64_t now, struct pem_certificates *out,
                      struct why *why) MUST_USE;

/* Reads where OpenSSL looks for issuers by default: the file and the directory of its build, or those of SSL_CERT_FILE and
 * SSL_CERT_DIR. All of it at once, since OpenSSL's own way reads the directory within a handshake. What cannot be read is
 * passed over. ERR_NOT_FOUND: there are none; ERR_MEMORY; why is a sentence. Blocks on the files (some 150). */
enum err issuers_read_system(struct pem_certificates *out, struct why *why) MUST_USE;

#endif
