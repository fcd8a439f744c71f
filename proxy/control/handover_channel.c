/* The channel between two processes of which one hands over to the other.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/handover_channel.h"

#include "base/check.h"
#include "proxy/wire/time.h"
#include <cjson/cJSON.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MESSAGES_PER_TURN 64 /* the loop has other things to do */

struct outgoing {
    struct list link;
    char *text;
    int fds[HANDOVER_FDS_MAX];
    unsigned n_fds;
};

struct handover_channel {
    int fd;
    struct event read, write;
    struct list queue; /* of struct outgoing */
    size_t queued;     /* bytes */
    bool is_broken;    /* told in the next turn */
    bool *is_freed;    /* set where a callback frees the channel under its own reader */
    handover_message_fn *on_message;
    handover_end_fn *on_end;
    void *arg;
};

enum err handover_pair(int fds[2])
{
    int room = (int)HANDOVER_BYTES_MAX * 2;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
        return ERR_IO;
    for (unsigned i = 0; i < 2; i++)
        (void)setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    return OK;
}

bool handover_is_end(int fd)
{
    int type = 0, family = 0;
    socklen_t len = sizeof type;
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_SEQPACKET &&
           getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len) == 0 && family == AF_UNIX;
}

void handover_received_fini(struct handover_received *r)
{
    for (unsigned i = 0; i < r->n_fds; i++)
        (void)close(r->fds[i]);
    r->n_fds = 0;
    handover_message_fini(&r->message);
}

/* Room for descriptors beside a message. */
union control_room {
    char bytes[CMSG_SPACE(HANDOVER_FDS_MAX * sizeof(int))];
    struct cmsghdr align;
};

/* 1: sent; 0: no room now; -1 with errno. */
static int send_text(int fd, const char *text, const int *fds, unsigned n_fds)
{
    union control_room room = {.bytes = {0}};
    struct iovec part = {(char *)(uintptr_t)text, strlen(text)};
    struct msghdr msg = {.msg_iov = &part, .msg_iovlen = 1};
    CHECK(n_fds <= HANDOVER_FDS_MAX);
    if (n_fds) {
        msg.msg_control = room.bytes;
        msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        struct cmsghdr *header = CMSG_FIRSTHDR(&msg);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(header), fds, n_fds * sizeof(int));
    }
    for (;;) {
        if (sendmsg(fd, &msg, MSG_NOSIGNAL) >= 0)
            return 1;
        if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS)
            return 0;
        if (errno != EINTR)
            return -1;
    }
}

static void take_fds(struct msghdr *msg, struct handover_received *r)
{
    for (struct cmsghdr *h = CMSG_FIRSTHDR(msg); h; h = CMSG_NXTHDR(msg, h)) {
        if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n && r->n_fds < HANDOVER_FDS_MAX; i++)
            memcpy(&r->fds[r->n_fds++], CMSG_DATA(h) + i * sizeof(int), sizeof(int));
    }
}

/* ERR_NOT_FOUND: nothing is there now. */
static enum err receive(int fd, char *buf, struct handover_received *r, struct why *why)
{
    union control_room room;
    struct iovec part = {buf, HANDOVER_BYTES_MAX};
    struct msghdr msg = {.msg_iov = &part,
                         .msg_iovlen = 1,
                         .msg_control = room.bytes,
                         .msg_controllen = sizeof room.bytes};
    *r = (struct handover_received){.n_fds = 0};
    ssize_t n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return ERR_NOT_FOUND;
    if (n < 0)
        return errno == ECONNRESET ? why_set(why, ERR_CLOSED, "the other process has ended")
                                   : why_set(why, ERR_IO, "%s", strerror(errno));
    take_fds(&msg, r);
    enum err e = OK;
    if (n == 0)
        e = why_set(why, ERR_CLOSED, "the other process has ended");
    else if (msg.msg_flags & MSG_CTRUNC)
        e = why_set(why, ERR_LIMIT, "no descriptor is left for what it hands over (RLIMIT_NOFILE)");
    else if (msg.msg_flags & MSG_TRUNC)
        e = why_set(why, ERR_LIMIT, "a message that is too long");
    else
        e = handover_decode(&r->message, buf, (size_t)n, why);
    if (e != OK)
        handover_received_fini(r);
    return e;
}

/* --- before the event loop runs --- */

static enum err wait_for(int fd, short what, int64_t until_ms, struct why *why)
{
    for (;;) {
        struct pollfd p = {fd, what, 0};
        int64_t left_ms = until_ms - time_monotonic_ms();
        if (left_ms <= 0)
            return why_set(why, ERR_TIMEOUT, "the other process does not answer");
        int n = poll(&p, 1, left_ms < 1000 ? (int)left_ms : 1000);
        if (n > 0)
            return OK;
        if (n < 0 && errno != EINTR)
            return why_set(why, ERR_IO, "%s", strerror(errno));
    }
}

enum err handover_send_now(int fd, const struct handover_message *m, int64_t until_ms,
                           struct why *why)
{
    char *text = handover_encode(m);
    enum err e = text ? OK : why_set(why, ERR_MEMORY, "out of memory");
    int sent = 0;
    while (e == OK && sent == 0) {
        sent = send_text(fd, text, NULL, 0);
        if (sent == 0)
            e = wait_for(fd, POLLOUT, until_ms, why);
        else if (sent < 0)
            e = why_set(why, ERR_CLOSED, "%s", strerror(errno));
    }
    cJSON_free(text);
    return e;
}

enum err handover_receive_now(int fd, struct handover_received *r, int64_t until_ms,
                              struct why *why)
{
    char *buf = malloc(HANDOVER_BYTES_MAX);
    enum err e = buf ? ERR_NOT_FOUND : why_set(why, ERR_MEMORY, "out of memory");
    while (e == ERR_NOT_FOUND) {
        e = wait_for(fd, POLLIN, until_ms, why);
        if (e == OK)
            e = receive(fd, buf, r, why);
    }
    free(buf);
    return e;
}

/* --- on the event loop --- */

static void free_outgoing(struct handover_channel *ch, struct outgoing *o)
{
    ch->queued -= strlen(o->text);
    list_remove(&o->link);
    cJSON_free(o->text);
    free(o);
}

/* Told in a later turn: who sends is not prepared for its channel to go. */
static void break_later(struct handover_channel *ch)
{
    ch->is_broken = true;
    event_active(&ch->read, EV_READ, 0);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct handover_channel *ch = arg;
    (void)what;
    while (!list_empty(&ch->queue)) {
        struct outgoing *o = CONTAINER_OF(ch->queue.next, struct outgoing, link);
        int sent = send_text((int)fd, o->text, o->fds, o->n_fds);
        if (sent < 0)
            break_later(ch);
        if (sent <= 0)
            break;
        free_outgoing(ch, o);
    }
    if (!list_empty(&ch->queue) && !ch->is_broken)
        (void)event_add(&ch->write, NULL);
}

void handover_channel_send(struct handover_channel *ch, const struct handover_message *m,
                           const int *fds, unsigned n_fds)
{
    struct outgoing *o = calloc(1, sizeof *o);
    char *text = o ? handover_encode(m) : NULL;
    CHECK(n_fds <= HANDOVER_FDS_MAX);
    if (!text || ch->queued > HANDOVER_QUEUE_MAX || strlen(text) > HANDOVER_BYTES_MAX) {
        cJSON_free(text);
        free(o);
        break_later(ch);
        return;
    }
    o->text = text;
    o->n_fds = n_fds;
    if (n_fds)
        memcpy(o->fds, fds, n_fds * sizeof *fds);
    bool was_empty = list_empty(&ch->queue);
    ch->queued += strlen(text);
    list_push_back(&ch->queue, &o->link);
    if (was_empty)
        on_writable(ch->fd, EV_WRITE, ch);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct handover_channel *ch = arg;
    struct why why = {"it takes no messages"};
    bool is_freed = false;
    enum err e = ch->is_broken ? ERR_CLOSED : OK;
    char *buf = malloc(HANDOVER_BYTES_MAX);
    (void)what;
    if (!buf)
        e = why_set(&why, ERR_MEMORY, "out of memory");
    ch->is_freed = &is_freed;
    for (unsigned i = 0; e == OK && !is_freed && i < MESSAGES_PER_TURN; i++) {
        struct handover_received r;
        e = receive((int)fd, buf, &r, &why);
        if (e != OK)
            break;
        ch->on_message(ch->arg, &r);
        handover_received_fini(&r);
    }
    free(buf);
    if (is_freed)
        return;
    ch->is_freed = NULL;
    if (e == OK || e == ERR_NOT_FOUND)
        return;
    (void)event_del(&ch->read);
    (void)event_del(&ch->write);
    ch->on_end(ch->arg, why.text);
}

struct handover_channel *handover_channel_new(struct event_base *base, int fd,
                                              handover_message_fn *on_message,
                                              handover_end_fn *on_end, void *arg)
{
    struct handover_channel *ch = calloc(1, sizeof *ch);
    if (!ch) {
        (void)close(fd);
        return NULL;
    }
    ch->fd = fd;
    ch->on_message = on_message;
    ch->on_end = on_end;
    ch->arg = arg;
    list_init(&ch->queue);
    CHECK(event_assign(&ch->read, base, fd, EV_READ | EV_PERSIST, on_readable, ch) == 0);
    CHECK(event_assign(&ch->write, base, fd, EV_WRITE, on_writable, ch) == 0);
    (void)event_add(&ch->read, NULL);
    return ch;
}

void handover_channel_rest(struct handover_channel *ch, bool rests)
{
    if (rests)
        (void)event_del(&ch->read);
    else
        (void)event_add(&ch->read, NULL);
}

int handover_channel_fd(const struct handover_channel *ch)
{
    return ch->fd;
}

void handover_channel_free(struct handover_channel *ch)
{
    if (!ch)
        return;
    if (ch->is_freed)
        *ch->is_freed = true;
    (void)event_del(&ch->read);
    (void)event_del(&ch->write);
    while (!list_empty(&ch->queue))
        free_outgoing(ch, CONTAINER_OF(ch->queue.next, struct outgoing, link));
    (void)close(ch->fd);
    free(ch);
}
