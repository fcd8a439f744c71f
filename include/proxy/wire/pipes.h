/* The pipes of one worker, through which the kernel moves bytes from socket to socket without copying them (splice(2)). A pipe
 * is lent only while bytes are in it.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_WIRE_PIPES_H
#define SERIN_PROXY_WIRE_PIPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Most pipes of one worker at a time: guards descriptors (two each), and the memory that peers who stop reading hold in
 * pipes, which no limit of sockets counts. */
#define PIPES_MAX 32u

/* So many are kept while nobody needs them. The kernel counts them against what all pipes of an unprivileged user may take
 * (fs.pipe-user-pages-soft, 64 MiB unless told otherwise), other workers' too. */
#define PIPES_IDLE_MAX 8u

/* What one takes. Half of it costs 5% more CPU for a body of 1 MiB, a quarter 15%. */
#define PIPE_BYTES (1u << 20)

/* One that could not be made as large as this is of no use: a user above his limit gets pipes of two pages. */
#define PIPE_BYTES_LEAST (64u << 10)

/* Where none can be had it is not asked for again before so many have done without. */
#define PIPES_RETRY 1000u

struct pipe {
    int write_fd, read_fd;
    uint32_t len;        /* bytes in it */
    struct pipes *pipes; /* of which it is one */
    struct pipe *next;   /* while it is idle */
};

/* Embedded by value in the worker's context. One thread. All zero = empty, with no reserve. */
struct pipes {
    struct pipe *idle;  /* used last first; all empty */
    uint32_t n, n_idle; /* n: idle and lent */
    uint32_t retry_in;  /* see PIPES_RETRY */
    unsigned
        reserve_begin; /* descriptors from here on are for others (wire/reserve.h); 0 = none are */
    bool is_off;       /* this kernel splices no sockets */
};

/* For the limit of descriptors that is in force now. Makes none yet. */
void pipes_init(struct pipes *pipes);

/* Closes them; all must have been given back. */
void pipes_fini(struct pipes *pipes);

/* An empty pipe, owned by the caller until pipe_give. NULL where none can be had now: PIPES_MAX are lent, descriptors
 * or memory are short, or the kernel does not do it. O(1); four system calls for a new one, else none. */
struct pipe *pipe_take(struct pipes *pipes);

/* Takes it back: kept, or closed where enough are idle, or where bytes are in it, which are lost. */
void pipe_give(struct pipe *p);

/* Moves up to most bytes (at most PIPE_BYTES) from a nonblocking socket into an empty pipe. Returns how many, 0 at the end of
 * the stream, or -1 and errno: EAGAIN where nothing is there now, EINVAL where it cannot be done at all, which is then asked
 * no more of any pipe. One system call. */
ssize_t pipe_fill(struct pipe *p, int fd, uint64_t most);

/* Moves what the pipe holds into a nonblocking socket. Returns how many bytes it took, 0 where it takes none now, or -1 and
 * errno where it is broken. SIGPIPE must be ignored. One system call. */
ssize_t pipe_drain(struct pipe *p, int fd);

#endif
