/* The keys that session tickets are sealed with.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/tickets.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <string.h>

_Static_assert(sizeof(struct ticket_key) % sizeof(uint64_t) == 0, "a key is whole words");
_Static_assert(TICKETS_KEYS * sizeof(struct ticket_key) == sizeof(((struct tickets *)0)->words),
               "words are the bytes");

/* Each word is released behind the odd sequence: a reader that sees one of them sees that too, and reads again. */
static void store(struct tickets *t, const struct ticket_key keys[TICKETS_KEYS])
{
    uint32_t sequence = atomic_load_explicit(&t->sequence, memory_order_relaxed);
    atomic_store_explicit(&t->sequence, sequence + 1, memory_order_relaxed);
    for (unsigned i = 0; i < TICKETS_KEYS; i++)
        for (unsigned k = 0; k < TICKETS_WORDS; k++) {
            uint64_t word;
            memcpy(&word, (const char *)&keys[i] + k * sizeof word, sizeof word);
            atomic_store_explicit(&t->words[i][k], word, memory_order_release);
        }
    atomic_store_explicit(&t->sequence, sequence + 2, memory_order_release);
}

static void load(struct tickets *t, struct ticket_key keys[TICKETS_KEYS])
{
    uint32_t before, after;
    do {
        before = atomic_load_explicit(&t->sequence, memory_order_acquire);
        for (unsigned i = 0; i < TICKETS_KEYS; i++)
            for (unsigned k = 0; k < TICKETS_WORDS; k++) {
                uint64_t word = atomic_load_explicit(&t->words[i][k], memory_order_acquire);
                memcpy((char *)&keys[i] + k * sizeof word, &word, sizeof word);
            }
        after = atomic_load_explicit(&t->sequence, memory_order_relaxed);
    } while (before != after || (before & 1));
}

static enum err make(struct ticket_key *key)
{
    return RAND_priv_bytes((unsigned char *)key, sizeof *key) == 1 ? OK : ERR_IO;
}

enum err tickets_init(struct tickets *t, int64_t now_ms)
{
    struct ticket_key keys[TICKETS_KEYS];
    enum err e = OK;
    for (unsigned i = 0; e == OK && i < TICKETS_KEYS; i++)
        e = make(&keys[i]);
    if (e == OK)
        store(t, keys);
    t->rotated_ms = now_ms;
    OPENSSL_cleanse(keys, sizeof keys);
    return e;
}

void tickets_fini(struct tickets *t)
{
    OPENSSL_cleanse(t, sizeof *t);
}

enum err tickets_tick(struct tickets *t, int64_t now_ms)
{
    struct ticket_key keys[TICKETS_KEYS + 1];
    if (now_ms - t->rotated_ms < TICKETS_ROTATE_MS)
        return OK;
    enum err e = make(&keys[0]);
    if (e == OK) {
        load(t, keys + 1);
        store(t, keys);
        t->rotated_ms = now_ms;
    }
    OPENSSL_cleanse(keys, sizeof keys);
    return e;
}

void tickets_sealing(struct tickets *t, struct ticket_key *out)
{
    struct ticket_key keys[TICKETS_KEYS];
    load(t, keys);
    *out = keys[0];
    OPENSSL_cleanse(keys, sizeof keys);
}

bool tickets_opening(struct tickets *t, const unsigned char name[16], struct ticket_key *out,
                     bool *is_old)
{
    struct ticket_key keys[TICKETS_KEYS];
    unsigned i = 0;
    load(t, keys);
    while (i < TICKETS_KEYS && memcmp(keys[i].name, name, sizeof keys[i].name) != 0)
        i++;
    if (i < TICKETS_KEYS)
        *out = keys[i];
    *is_old = i > 0;
    OPENSSL_cleanse(keys, sizeof keys);
    return i < TICKETS_KEYS;
}

void tickets_export(struct tickets *t, unsigned char out[TICKETS_EXPORT_BYTES])
{
    struct ticket_key keys[TICKETS_KEYS];
    load(t, keys);
    memcpy(out, keys, sizeof keys);
    memcpy(out + sizeof keys, &t->rotated_ms, sizeof t->rotated_ms);
    OPENSSL_cleanse(keys, sizeof keys);
}

void tickets_import(struct tickets *t, const unsigned char in[TICKETS_EXPORT_BYTES], int64_t now_ms)
{
    struct ticket_key keys[TICKETS_KEYS];
    int64_t rotated_ms;
    memcpy(keys, in, sizeof keys);
    memcpy(&rotated_ms, in + sizeof keys, sizeof rotated_ms);
    store(t, keys);
    t->rotated_ms = rotated_ms < now_ms ? rotated_ms : now_ms;
    OPENSSL_cleanse(keys, sizeof keys);
}
