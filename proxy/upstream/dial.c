/* Starts one nonblocking connection.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/upstream/dial.h"

#include "proxy/wire/stream.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

int dial_start(const struct wire_addr *to)
{
    struct sockaddr_storage ss;
    int family = wire_addr_family(to), on = 1;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (family != AF_UNIX) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        stream_limit_unsent(fd);
    }
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
