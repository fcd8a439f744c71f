/* By what a receiver knows that a message is serin's and whole: an HMAC of it with a secret that both have.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_NOTIFY_SIGNATURE_H
#define SERIN_ROLLOUT_NOTIFY_SIGNATURE_H

#include "base/err.h"
#include <stdint.h>

/* "t=" and a number, ",v1=" and 64 digits, with the NUL. */
#define SIGNATURE_MAX 96

/* Writes "t=SECONDS,v1=HEX": HEX is HMAC-SHA-256 (RFC 2104) of "SECONDS.BODY" with the secret's bytes as the key, as Stripe's
 * webhooks have it. The time is part of it, so that an old message cannot be sent anew. wall_s: since 1970. ERR_MEMORY where
 * OpenSSL cannot. */
enum err signature_make(const char *secret, int64_t wall_s, const char *body,
                        char out[SIGNATURE_MAX]) MUST_USE;

#endif
