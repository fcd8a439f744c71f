/* One nonblocking stream socket on an event base.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/wire/stream.h"

#include "base/check.h"
#include "proxy/wire/parts.h"
#include "proxy/wire/tls.h"
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

void stream_prepare(int fd)
{
    int most = STREAM_UNSENT_MAX, on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &most, sizeof most);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void stream_init(struct stream *s, struct event_base *base, int fd, event_callback_fn on_read,
                 event_callback_fn on_write, void *arg)
{
    s->fd = fd;
    s->is_reading = s->is_writing = s->is_over = s->is_torn = s->is_ending = false;
    s->is_deferred = s->is_unhurried = false;
    s->place = 0;
    s->burst = NULL;
    s->out = NULL;
    s->sent = 0;
    s->tls = NULL;
    s->on_write = on_write;
    CHECK(event_assign(&s->read, base, fd, EV_READ | EV_PERSIST, on_read, arg) == 0);
}

void stream_read_on(struct stream *s)
{
    if ((s->is_reading && !s->is_deferred) || event_add(&s->read, NULL) < 0)
        return;
    s->is_reading = true;
    s->is_deferred = false;
    if (s->is_over)
        stream_wake(s);
}

void stream_read_later(struct stream *s)
{
    CHECK(!s->is_reading && !s->is_over);
    s->is_reading = s->is_deferred = true;
}

void stream_read_off(struct stream *s)
{
    if (s->is_reading) {
        (void)event_del(&s->read);
        s->is_reading = s->is_deferred = false;
    }
}

void stream_wake(struct stream *s)
{
    event_active(&s->read, EV_READ, 0);
}

/* Arms the write event, of the callbacks and the base that the read event has. */
static bool write_on(struct stream *s)
{
    if (s->out)
        return true;
    struct stream_out *out = malloc(sizeof *out);
    if (!out)
        return false;
    *out = (struct stream_out){.bytes = NULL};
    CHECK(event_assign(&out->event, event_get_base(&s->read), s->fd, EV_WRITE | EV_PERSIST,
                       s->on_write, event_get_callback_arg(&s->read)) == 0);
    if (event_add(&out->event, NULL) < 0) {
        free(out);
        return false;
    }
    s->out = out;
    s->is_writing = true;
    return true;
}

void stream_write_on(struct stream *s)
{
    (void)write_on(s);
}

/* May run within the callback of the event that it frees, which libevent allows. */
static void drop_out(struct stream *s)
{
    if (!s->out)
        return;
    (void)event_del(&s->out->event);
    if (s->out->pipe)
        pipe_give(s->out->pipe);
    free(s->out->bytes);
    free(s->out);
    s->out = NULL;
    s->is_writing = false;
}

/* recv and send of the C library are points where a thread may be cancelled, which costs two locked operations a call where
 * there are threads, and nobody cancels one here. Sanitizers know what the library's do to memory. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define sys_recv recv
#define sys_send send
#else
static ssize_t sys_recv(int fd, void *buf, size_t room, int flags)
{
    return syscall(SYS_recvfrom, fd, buf, room, flags, NULL, NULL);
}

static ssize_t sys_send(int fd, const void *bytes, size_t len, int flags)
{
    return syscall(SYS_sendto, fd, bytes, len, flags, NULL, 0);
}
#endif

static ssize_t receive(struct stream *s, char *buf, size_t room, int flags)
{
    for (;;) {
        ssize_t n = sys_recv(s->fd, buf, room, flags);
        if (n >= 0)
            return n;
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return STREAM_AGAIN;
        if (errno != EINTR)
            return STREAM_ERROR;
    }
}

ssize_t stream_recv_raw(struct stream *s, char *buf, size_t room)
{
    return receive(s, buf, room, 0);
}

ssize_t stream_recv(struct stream *s, char *buf, size_t room)
{
    return s->tls ? tls_recv(s, buf, room) : stream_recv_raw(s, buf, room);
}

ssize_t stream_peek(struct stream *s, char *buf, size_t room)
{
    return receive(s, buf, room, MSG_PEEK);
}

bool stream_is_due(const struct stream *s)
{
    return s->read.ev_evcallback.evcb_flags & EVLIST_ACTIVE;
}

/* Several small parts cost less as one: the kernel looks at a vector for as long as it takes to copy some KiB here. */
#define GATHER_MAX 2048u

static ssize_t send_once(struct stream *s, const struct iovec *parts, int n, size_t total)
{
    int flags = MSG_NOSIGNAL | (s->is_ending ? MSG_MORE : 0);
    if (n == 1)
        return sys_send(s->fd, parts->iov_base, parts->iov_len, flags);
    if (total <= GATHER_MAX) {
        char gathered[GATHER_MAX];
        parts_copy(gathered, parts, n);
        return sys_send(s->fd, gathered, total, flags);
    }
    struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)parts, .msg_iovlen = (size_t)n};
    return sendmsg(s->fd, &msg, flags);
}

/* One system call; 0 when the kernel takes nothing now, -1 when the connection is broken. total: bytes of all parts. */
static ssize_t send_parts(struct stream *s, const struct iovec *parts, int n, size_t total)
{
    for (;;) {
        ssize_t sent = send_once(s, parts, n, total);
        if (sent >= 0) {
            s->sent += (uint64_t)sent;
            return sent;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return 0;
        if (errno != EINTR)
            return -1;
    }
}

/* Copies all bytes of the parts but the first skip behind what waits in out already. */
static enum stream_result keep_rest(struct stream *s, const struct iovec *parts, int n, size_t skip)
{
    size_t total = parts_len(parts, n), waiting = s->out ? s->out->len - s->out->at : 0;
    if (total - skip > UINT32_MAX - waiting) {
        errno = ENOBUFS;
        return STREAM_FAILED;
    }
    char *bytes = malloc(waiting + total - skip);
    if (!bytes || !write_on(s)) {
        free(bytes);
        return STREAM_FAILED;
    }
    if (waiting)
        memcpy(bytes, s->out->bytes + s->out->at, waiting);
    size_t at = waiting;
    for (int i = 0; i < n; i++) {
        size_t cut = skip < parts[i].iov_len ? skip : parts[i].iov_len;
        skip -= cut;
        if (parts[i].iov_len > cut)
            memcpy(bytes + at, (const char *)parts[i].iov_base + cut, parts[i].iov_len - cut);
        at += parts[i].iov_len - cut;
    }
    free(s->out->bytes);
    s->out->bytes = bytes;
    s->out->at = 0;
    s->out->len = (uint32_t)at;
    return STREAM_PENDING;
}

enum stream_result stream_send_raw(struct stream *s, const struct iovec *parts, int n)
{
    size_t total = parts_len(parts, n);
    CHECK(n <= STREAM_PARTS_MAX);
    if (!stream_settle(s))
        return total ? keep_rest(s, parts, n, 0) : STREAM_PENDING;
    if (total == 0)
        return STREAM_OK;
    if (s->is_unhurried && s->burst && burst_takes(s->burst, total)) {
        s->place = burst_put(s->burst, s, parts, n);
        s->sent += total;
        return STREAM_OK;
    }
    ssize_t sent = send_parts(s, parts, n, total);
    if (sent < 0)
        return STREAM_FAILED;
    if ((size_t)sent == total)
        return STREAM_OK;
    return keep_rest(s, parts, n, (size_t)sent);
}

enum stream_result stream_send_more(struct stream *s, const struct iovec *parts, int n)
{
    bool is_ending = s->is_ending;
    CHECK(!s->tls);
    s->is_ending = true; /* the kernel is told the same where an end follows */
    enum stream_result r = stream_send_raw(s, parts, n);
    s->is_ending = is_ending;
    return r;
}

enum stream_result stream_send(struct stream *s, const struct iovec *parts, int n)
{
    return s->tls ? tls_send(s, parts, n) : stream_send_raw(s, parts, n);
}

enum stream_result stream_send_soon(struct stream *s, const struct iovec *parts, int n)
{
    s->is_unhurried = true;
    enum stream_result r = stream_send(s, parts, n);
    s->is_unhurried = false;
    return r;
}

bool stream_settle(struct stream *s)
{
    if (s->place)
        burst_send(s->burst);
    return stream_pending(s) == 0;
}

void stream_on_burst(struct stream *s, const char *rest, size_t len)
{
    struct iovec part = {(char *)(uintptr_t)rest, len};
    s->place = 0;
    s->sent -= len;
    if (len == 0)
        return;
    if (keep_rest(s, &part, 1, 0) == STREAM_FAILED) {
        s->is_torn = true;
        (void)shutdown(s->fd, SHUT_RDWR); /* both sides learn that bytes are missing */
    } else if (s->is_reading) {
        stream_wake(s); /* the owner thinks that all is out */
    }
}

/* Moves on what is in the pipe. */
static enum stream_result drain_pipe(struct stream *s, struct pipe *p)
{
    ssize_t sent = pipe_drain(p, s->fd);
    if (sent < 0)
        return STREAM_FAILED;
    s->sent += (uint64_t)sent;
    return p->len ? STREAM_PENDING : STREAM_OK;
}

ssize_t stream_splice(struct stream *from, struct stream *to, struct pipes *pipes, uint64_t most,
                      enum stream_result *sent)
{
    CHECK(!from->tls && !to->tls);
    if (!stream_settle(to))
        return STREAM_NO_PIPE;
    struct pipe *p = pipe_take(pipes);
    if (!p)
        return STREAM_NO_PIPE;
    ssize_t got = pipe_fill(p, from->fd, most);
    if (got <= 0) {
        int failure = errno;
        pipe_give(p);
        if (got == 0)
            return STREAM_EOF;
        errno = failure;
        return failure == EAGAIN || failure == EWOULDBLOCK ? STREAM_AGAIN
               : failure == EINVAL                         ? STREAM_NO_PIPE
                                                           : STREAM_ERROR;
    }
    *sent = drain_pipe(to, p);
    if (*sent == STREAM_PENDING && write_on(to)) {
        to->out->pipe = p;
        return got;
    }
    if (*sent == STREAM_PENDING)
        *sent = STREAM_FAILED;
    pipe_give(p);
    return got;
}

static enum stream_result flush_pipe(struct stream *s)
{
    enum stream_result r = drain_pipe(s, s->out->pipe);
    if (r == STREAM_OK) {
        pipe_give(s->out->pipe);
        s->out->pipe = NULL;
    }
    return r;
}

enum stream_result stream_flush(struct stream *s)
{
    (void)stream_settle(s);
    enum stream_result first = s->out && s->out->pipe ? flush_pipe(s) : STREAM_OK;
    if (first != STREAM_OK)
        return first;
    if (stream_pending(s)) {
        struct iovec rest = {s->out->bytes + s->out->at, stream_pending(s)};
        ssize_t sent = send_parts(s, &rest, 1, rest.iov_len);
        if (sent < 0)
            return STREAM_FAILED;
        s->out->at += (uint32_t)sent;
        if (stream_pending(s))
            return STREAM_PENDING;
    }
    drop_out(s);
    if (s->tls)
        tls_on_drained(s);
    return STREAM_OK;
}

bool stream_end(struct stream *s)
{
    (void)stream_settle(s);
    if (s->tls)
        return tls_end(s);
    return shutdown(s->fd, SHUT_WR) == 0;
}

void stream_discard(struct stream *s)
{
    s->is_torn = s->is_torn || s->place || stream_pending(s);
    if (s->place)
        s->sent -= burst_drop(s->burst, s->place);
    s->place = 0;
    drop_out(s);
}

bool stream_unread(const struct stream *s)
{
    int n = 0;
    return ioctl(s->fd, SIOCINQ, &n) == 0 && n > 0;
}

bool stream_is_readable(const struct stream *s)
{
    struct pollfd p = {.fd = s->fd, .events = POLLIN};
    return poll(&p, 1, 0) > 0;
}

bool stream_is_gone(const struct stream *s)
{
    struct pollfd p = {.fd = s->fd};
    return poll(&p, 1, 0) > 0 && p.revents & (POLLERR | POLLHUP);
}

uint32_t stream_unacknowledged(const struct stream *s)
{
    int n = 0;
    return ioctl(s->fd, SIOCOUTQ, &n) == 0 && n > 0 ? (uint32_t)n : 0;
}

void stream_reset_on_close(struct stream *s)
{
    struct linger hard = {.l_onoff = 1, .l_linger = 0};
    s->is_torn = true;
    (void)setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
}

void stream_close(struct stream *s)
{
    if (s->fd < 0)
        return;
    (void)stream_settle(s); /* its descriptor may be another's in the next moment */
    if (s->tls)
        tls_close(s);
    /* also takes back a wake that has not run yet */
    (void)event_del(&s->read);
    s->is_reading = s->is_deferred = false;
    drop_out(s);
    (void)close(s->fd);
    s->fd = -1;
}
