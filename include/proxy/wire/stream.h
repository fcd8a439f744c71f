/* One nonblocking stream socket on an event base: reads go to the caller's buffer, writes go out at once or, where the owner
 * lets them, with others as the turn of the loop ends (burst.h), and only what the kernel does not take is kept until it does.
 * Every byte of the request path passes here, also under TLS (tls.h): then what is said below of bytes given and got is true of
 * the plain ones, and what the kernel takes is records.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_WIRE_STREAM_H
#define SERIN_PROXY_WIRE_STREAM_H

#include "proxy/wire/burst.h"
#include "proxy/wire/pipes.h"
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Embedded by value in the connection that owns it, so that an idle connection is one allocation. */
struct stream {
    int fd; /* -1 = closed */
    bool is_reading;
    bool is_writing; /* the write event is armed: bytes wait, or a connect is under way */
    /* TLS: its end has been read from the kernel, which tells it no more; see tls_recv */
    bool is_over : 1;
    /* bytes were thrown away, or a reset is wanted: TLS says no word of farewell */
    bool is_torn : 1;
    bool is_ending : 1;     /* see stream_expect_end */
    bool is_deferred : 1;   /* see stream_read_later */
    bool is_unhurried : 1;  /* within stream_send_soon */
    uint8_t place;          /* of what waits in burst; 0 = nothing does */
    struct burst *burst;    /* NULL = every send is a system call of its own */
    struct stream_out *out; /* NULL while nothing waits and no connect is under way */
    uint64_t sent;          /* bytes that the kernel has taken, since stream_init */
    struct tls *tls;        /* NULL = plain */
    event_callback_fn on_write;
    struct event read;
};

/* What a stream has while the kernel is to tell that it takes bytes. Apart, as an idle connection pays for the other. */
struct stream_out {
    struct event event;
    struct pipe *pipe; /* lent while bytes wait in it, in front of those of bytes; else NULL */
    uint32_t at, len;
    char *bytes; /* those from at to len wait; NULL: none do here */
};

enum stream_result {
    STREAM_OK,      /* everything was taken by the kernel */
    STREAM_PENDING, /* the rest waits here; stop feeding until on_write drains it */
    STREAM_FAILED,  /* the connection is broken; errno says how */
};

/* So much at most waits in the kernel before it is even sent. Left alone a buffer grows to 4 MiB (net.ipv4.tcp_wmem) for
 * a peer that takes nothing, and a thousand such peers use up the memory that all sockets of the machine share. What is on
 * its way to a peer that reads does not count: its speed is its own. */
#define STREAM_UNSENT_MAX (128 << 10)

#define STREAM_EOF     0  /* stream_recv: the peer closed its side */
#define STREAM_AGAIN   -1 /* stream_recv: nothing there now */
#define STREAM_ERROR   -2 /* stream_recv: reset or worse; errno says how */
#define STREAM_NO_PIPE -3 /* stream_splice: it cannot be done now; nothing was read */

/* Keeps a TCP socket to STREAM_UNSENT_MAX, and lets every send leave at once (TCP_NODELAY: heads and bodies go out together).
 * What a listening socket accepts inherits both. Nothing happens to a socket of another kind. */
void stream_prepare(int fd);

/* Takes a nonblocking fd. on_read and on_write are libevent callbacks with arg; no event is armed yet. Plain, until
 * stream_start_tls. */
void stream_init(struct stream *s, struct event_base *base, int fd, event_callback_fn on_read,
                 event_callback_fn on_write, void *arg);

/* Arms or rests the read event; nothing happens where it is so already. Control of back-pressure. */
void stream_read_on(struct stream *s);
void stream_read_off(struct stream *s);

/* As if the read event were armed, for a stream that may end before anything else comes in: that saves the two system calls
 * that arm an event and take it back. Whoever calls this calls stream_read_on soon, or nobody learns that the peer left.
 * The stream must be at rest, and plain. */
void stream_read_later(struct stream *s);

/* Calls on_read in this turn of the loop, as if bytes had come. */
void stream_wake(struct stream *s);

/* Arms the write event: for a connect under way. Where memory is short it stays at rest: a deadline ends such a wait. */
void stream_write_on(struct stream *s);

/* One recv of what is there. > 0: bytes; else STREAM_EOF, STREAM_AGAIN, STREAM_ERROR. */
ssize_t stream_recv(struct stream *s, char *buf, size_t room);

/* The same, but what is read stays there for the next one. Before TLS begins. */
ssize_t stream_peek(struct stream *s, char *buf, size_t room);

/* True where the loop has seen the peer's bytes or its end and is yet to call on_read in this turn. No system call. */
bool stream_is_due(const struct stream *s);

/* One send of all parts (at most STREAM_PARTS_MAX); what is left is copied and goes out by stream_flush.
 * While bytes wait, new ones queue behind them. */
#define STREAM_PARTS_MAX 8
enum stream_result stream_send(struct stream *s, const struct iovec *parts, int n);

/* The same on a plain stream where more follows in the next moment: what fills no segment may wait for it in the kernel. */
enum stream_result stream_send_more(struct stream *s, const struct iovec *parts, int n);

/* Lets stream_send_soon use the burst of the thread's, which outlives the stream. */
static inline void stream_join(struct stream *s, struct burst *burst)
{
    s->burst = burst;
}

/* The same as stream_send where the caller needs not know at once what the kernel takes: the bytes may leave with those of
 * other streams at the end of this turn of the loop. STREAM_OK promises less than there: what the kernel does not take then
 * waits for on_write as ever, and so does a failure; on_read is called where reading is on, so that the owner looks. */
enum stream_result stream_send_soon(struct stream *s, const struct iovec *parts, int n);

/* What waits for the end of the turn is sent now. True where the kernel has all bytes that were ever given, or, for want of
 * memory to keep what it did not take, the socket is shut down: the next use of it fails. */
bool stream_settle(struct stream *s);

/* What is sent next is the last, and stream_end or stream_close follows at once: the end travels in the same packet. */
static inline void stream_expect_end(struct stream *s)
{
    s->is_ending = true;
}

/* Moves up to most bytes of what is there from one plain stream to another for which nothing waits, without copying them.
 * Returns what stream_recv would, and where that is > 0 sets *sent to what stream_send would return: what the peer does not
 * take waits in the pipe, which to holds until then. Or STREAM_NO_PIPE: the bytes are to be copied, which may be done at
 * any time. Two system calls. */
ssize_t stream_splice(struct stream *from, struct stream *to, struct pipes *pipes, uint64_t most,
                      enum stream_result *sent);

/* Called from on_write: sends what waits. STREAM_OK: drained, the write event rests. */
enum stream_result stream_flush(struct stream *s);

/* Bytes that the kernel was offered and has not taken: not those that wait for the end of the turn, see stream_settle. */
static inline size_t stream_pending(const struct stream *s)
{
    const struct stream_out *out = s->out;
    return out ? out->len - out->at + (out->pipe ? out->pipe->len : 0) : 0;
}

/* Ends our side: behind what was sent the peer reads an end. Nothing may wait, and nothing may be sent after it; a second
 * call changes nothing. False: the connection is gone. */
bool stream_end(struct stream *s);

/* Throws away what waits and rests the write event: the peer takes nothing more. */
void stream_discard(struct stream *s);

/* Whether the kernel holds input that was not read, as far as it tells. */
bool stream_unread(const struct stream *s);

/* Whether the kernel has bytes, an end or an error to read. One poll. */
bool stream_is_readable(const struct stream *s);

/* The connection is gone in both directions (reset, or given up by the kernel): what the events would tell if one was armed.
 * One poll. */
bool stream_is_gone(const struct stream *s);

/* Bytes that the kernel has taken and the peer has not acknowledged; 0 where the kernel does not tell. */
uint32_t stream_unacknowledged(const struct stream *s);

/* Closes the socket and frees what waited. TLS: says so to a peer that is owed nothing more (close_notify), if the kernel
 * takes it at once. The stream may be initialised again. */
void stream_close(struct stream *s);

/* Makes close send RST: for a body that must not look whole. */
void stream_reset_on_close(struct stream *s);

/* ---- for burst.c: the rest of what waited there, which the kernel has not taken; len = 0: it has taken all ---- */

void stream_on_burst(struct stream *s, const char *rest, size_t len);

/* ---- what tls.c receives and sends through: the same for bytes as they are on the wire ---- */

ssize_t stream_recv_raw(struct stream *s, char *buf, size_t room);
enum stream_result stream_send_raw(struct stream *s, const struct iovec *parts, int n);

#endif
