/* The pipes of one worker, through which the kernel moves bytes from socket to socket.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/wire/pipes.h"

#include "base/check.h"
#include "proxy/wire/reserve.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

void pipes_init(struct pipes *pipes)
{
    *pipes = (struct pipes){.reserve_begin = reserve_begin()};
}

static void close_pipe(struct pipe *p)
{
    p->pipes->n--;
    (void)close(p->write_fd);
    (void)close(p->read_fd);
    free(p);
}

void pipes_fini(struct pipes *pipes)
{
    while (pipes->idle) {
        struct pipe *next = pipes->idle->next;
        close_pipe(pipes->idle);
        pipes->idle = next;
    }
    CHECK(pipes->n == 0);
}

static bool is_large_enough(int fd)
{
    int size = fcntl(fd, F_SETPIPE_SZ, (int)PIPE_BYTES);
    if (size < 0) /* over fs.pipe-max-size or the user's pages: it stays as it is */
        size = fcntl(fd, F_GETPIPE_SZ);
    return size >= (int)PIPE_BYTES_LEAST;
}

static struct pipe *open_pipe(struct pipes *pipes)
{
    int fds[2];
    if (pipe2(fds, O_NONBLOCK | O_CLOEXEC) < 0)
        return NULL;
    bool is_allowed = !reserve_has(pipes->reserve_begin, fds[0]) &&
                      !reserve_has(pipes->reserve_begin, fds[1]) && is_large_enough(fds[1]);
    struct pipe *p = is_allowed ? malloc(sizeof *p) : NULL;
    if (!p) {
        (void)close(fds[0]);
        (void)close(fds[1]);
        return NULL;
    }
    *p = (struct pipe){.read_fd = fds[0], .write_fd = fds[1], .pipes = pipes};
    pipes->n++;
    return p;
}

struct pipe *pipe_take(struct pipes *pipes)
{
    struct pipe *p = pipes->idle;
    if (pipes->is_off)
        return NULL;
    if (p) {
        pipes->idle = p->next;
        pipes->n_idle--;
        return p;
    }
    if (pipes->n >= PIPES_MAX)
        return NULL;
    if (pipes->retry_in) {
        pipes->retry_in--;
        return NULL;
    }
    p = open_pipe(pipes);
    if (!p)
        pipes->retry_in = PIPES_RETRY;
    return p;
}

void pipe_give(struct pipe *p)
{
    struct pipes *pipes = p->pipes;
    if (p->len || pipes->is_off || pipes->n_idle == PIPES_IDLE_MAX) {
        close_pipe(p);
        return;
    }
    p->next = pipes->idle;
    pipes->idle = p;
    pipes->n_idle++;
}

static ssize_t move(int from, int to, size_t most)
{
    for (;;) {
        ssize_t n = splice(from, NULL, to, NULL, most, SPLICE_F_NONBLOCK);
        if (n >= 0 || errno != EINTR)
            return n;
    }
}

ssize_t pipe_fill(struct pipe *p, int fd, uint64_t most)
{
    CHECK(p->len == 0);
    ssize_t n = move(fd, p->write_fd, most < PIPE_BYTES ? (size_t)most : PIPE_BYTES);
    if (n > 0)
        p->len = (uint32_t)n;
    if (n < 0 && (errno == ENOSYS || errno == EPERM)) /* a sandbox that knows no splice */
        errno = EINVAL;
    if (n < 0 && errno == EINVAL)
        p->pipes->is_off = true;
    return n;
}

/* No SPLICE_F_MORE: the rest of a segment would wait for bytes that may be long in coming. */
ssize_t pipe_drain(struct pipe *p, int fd)
{
    ssize_t n = move(p->read_fd, fd, p->len);
    if (n > 0)
        p->len -= (uint32_t)n;
    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? 0 : n;
}
