/* The keys that session tickets are sealed with: made here, in memory only, changed by the hour, shared by all workers.
 * The control thread writes; workers read in the middle of a handshake without a lock and without an allocation.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_TICKETS_H
#define SERIN_PROXY_CONTROL_TICKETS_H

#include "base/err.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define TICKETS_KEYS      3 /* the one that seals, and two older ones that still open */
#define TICKETS_ROTATE_MS (60 * 60 * 1000)
/* How long a session may be resumed: no longer than its key lives. */
#define TICKETS_LIFETIME_S ((TICKETS_KEYS - 1) * TICKETS_ROTATE_MS / 1000)

struct ticket_key {
    unsigned char name[16]; /* stands in the ticket: which key opens it */
    unsigned char aes[32], hmac[32];
};

#define TICKETS_WORDS (sizeof(struct ticket_key) / sizeof(uint64_t))

/* A sequence lock: odd while the keys are being changed. */
struct tickets {
    _Atomic uint32_t sequence;
    _Atomic uint64_t words[TICKETS_KEYS][TICKETS_WORDS]; /* the newest first */
    int64_t rotated_ms;                                  /* of the control thread */
};

/* Makes all keys anew, at random. ERR_IO: the machine has no random bytes. */
enum err tickets_init(struct tickets *t, int64_t now_ms) MUST_USE;

/* Wipes the keys. No worker may use them any more. */
void tickets_fini(struct tickets *t);

/* Puts a new key in front where an hour has passed; the oldest one is overwritten. now_ms: monotonic. ERR_IO: the old
 * ones stay, and the next call tries again. Control thread. */
enum err tickets_tick(struct tickets *t, int64_t now_ms) MUST_USE;

/* Copies the key that seals. The caller wipes it. Any thread; waits for nothing but the few stores of a change. */
void tickets_sealing(struct tickets *t, struct ticket_key *out);

/* Copies the key of that name. False: none has it. is_old: it seals no longer. The caller wipes it. Any thread. */
bool tickets_opening(struct tickets *t, const unsigned char name[16], struct ticket_key *out,
                     bool *is_old);

/* All keys as bytes and when they were changed, so that a process that takes over opens what this one has sealed, and changes
 * them when it was due. They are secret: the caller wipes them (OPENSSL_cleanse) and sends them nowhere but to that process.
 * Control thread. */
#define TICKETS_EXPORT_BYTES (TICKETS_KEYS * sizeof(struct ticket_key) + sizeof(int64_t))
void tickets_export(struct tickets *t, unsigned char out[TICKETS_EXPORT_BYTES]);

/* Takes over the keys of another process in place of its own. Both have one clock; a change that lies ahead of now_ms was of
 * another. Control thread; also while workers run. */
void tickets_import(struct tickets *t, const unsigned char in[TICKETS_EXPORT_BYTES],
                    int64_t now_ms);

#endif
