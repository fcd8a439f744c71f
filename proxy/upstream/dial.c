/* One connection to an endpoint: connect, then TLS.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/upstream/dial.h"

#include "proxy/wire/tls.h"
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

int dial_start(const struct wire_addr *to)
{
    struct sockaddr_storage ss;
    int family = wire_addr_family(to);
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (family != AF_UNIX)
        stream_prepare(fd);
    memcpy(&ss, to->bytes, to->len);
    if (connect(fd, (struct sockaddr *)&ss, to->len) == 0 || errno == EINPROGRESS)
        return fd;
    int failure = errno;
    (void)close(fd);
    errno = failure;
    return -1;
}

bool dial_is_own_fault(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS ||
           error == EADDRNOTAVAIL;
}

/* What the socket says of its connect: 0, or an errno. */
static int connect_failure(const struct stream *s)
{
    int failure = 0;
    socklen_t len = sizeof failure;
    return getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &failure, &len) < 0 ? errno : failure;
}

static bool has_ip(const struct wire_addr *a)
{
    return wire_addr_family(a) == AF_INET || wire_addr_family(a) == AF_INET6;
}

static bool start_tls(struct stream *s, const struct wire_addr *to, const struct dial_tls *tls,
                      struct sessions *sessions)
{
    char ip[WIRE_TEXT_MAX];
    const char *name = tls->name;
    if (!name && has_ip(to)) {
        (void)wire_addr_host(to, ip);
        name = ip;
    }
    if (stream_start_tls(s, tls->ctx, TLS_CLIENT, name) != OK) {
        errno = ENOMEM;
        return false;
    }
    if (sessions)
        sessions_offer(sessions, s);
    stream_read_on(s);
    return true;
}

static enum dial_progress shake_hands(struct stream *s)
{
    switch (stream_handshake(s)) {
    case TLS_MORE:
        return DIAL_MORE;
    case TLS_DONE:
        return DIAL_DONE;
    case TLS_FAILED:
        break;
    }
    errno = tls_failure(s) == TLS_FAILED_MEMORY ? ENOMEM : EPROTO;
    return DIAL_FAILED;
}

enum dial_progress dial_step(struct stream *s, short what, const struct wire_addr *to,
                             const struct dial_tls *tls, struct sessions *sessions)
{
    if (s->tls && what & EV_WRITE)
        (void)stream_flush(s); /* where that fails, reading tells */
    if (s->tls)
        return what & EV_READ ? shake_hands(s) : DIAL_MORE;
    int failure = connect_failure(s);
    if (failure) {
        errno = failure;
        return DIAL_FAILED;
    }
    (void)stream_flush(s); /* nothing waits: rests the write event */
    if (!tls->ctx)
        return DIAL_DONE;
    return start_tls(s, to, tls, sessions) ? shake_hands(s) : DIAL_FAILED;
}
