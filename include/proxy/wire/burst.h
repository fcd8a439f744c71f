/* What one turn of a worker's loop sends, handed to the kernel in one system call (io_uring) as the turn ends. Sent one by
 * one each send is a system call of its own, and where the peer shares the core each may let the peer run first.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_WIRE_BURST_H
#define SERIN_PROXY_WIRE_BURST_H

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/* So many sends wait at most: whoever came first waits for all of them. */
#define BURST_MAX 64u

/* The most bytes of one, and of all. They are copied, which costs more than the system call above some KiB. */
#define BURST_PIECE_MAX (16u << 10)
#define BURST_BYTES     (256u << 10)

struct stream;
struct burst_item {
    struct stream *stream;
    uint32_t at, len; /* within bytes */
};

struct io_uring; /* liburing's */

/* Embedded by value in the worker's context. One thread. */
struct burst {
    struct event turn_ends;  /* active while something waits */
    struct io_uring *ring;   /* NULL = none: every send leaves at once */
    uint32_t n, n_bytes;     /* what waits */
    uint64_t n_system_calls; /* since burst_init */
    struct burst_item items[BURST_MAX];
    char *bytes; /* BURST_BYTES of them while there is a ring, and until burst_end */
};

/* On a base; without a ring yet. */
void burst_init(struct burst *b, struct event_base *base);

/* Makes the ring: called by the thread that will use it. False: errno says why there is none (EPERM, ENOSYS: not allowed, as in
 * many containers; EINVAL: Linux before 6.1; EMFILE, ENOMEM), and everything works as well without. */
bool burst_begin(struct burst *b);

/* Sends what waits and lets go of the ring: called by the thread that used it, at its end. */
void burst_end(struct burst *b);

/* Whether so many bytes may wait for the end of the turn. False too where nothing else is to be done in it: then they
 * leave as soon by themselves. No system call. */
bool burst_takes(const struct burst *b, size_t len);

/* Copies the parts, which burst_takes, to be sent on the stream; nothing of that stream may wait yet. Returns the item's
 * place, from 1 to BURST_MAX. */
uint8_t burst_put(struct burst *b, struct stream *s, const struct iovec *parts, int n);

/* Forgets one item: it is not sent. Returns how many bytes it had. */
uint32_t burst_drop(struct burst *b, uint8_t place);

/* Sends all that waits, now, in one system call. Each stream is told what the kernel took of it (stream_on_burst). */
void burst_send(struct burst *b);

#endif
