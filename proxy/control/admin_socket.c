/* The socket on which the admin port listens: TCP, or a UNIX socket with its file.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/admin_socket.h"

#include "proxy/control/activation.h"
#include "proxy/control/address.h"
#include "proxy/control/inherited.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Connections that wait to be accepted: a burst of scrapes, not a flood. */
#define ADMIN_BACKLOG 64

static const char *unix_path(const struct wire_addr *a)
{
    return ((const struct sockaddr_un *)(const void *)a->bytes)->sun_path;
}

static int new_socket(const struct wire_addr *a)
{
    return socket(wire_addr_family(a), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* A file that a dead process left behind would keep us from binding; a living one's must stay. */
static enum err clear_stale_file(const struct wire_addr *a, struct why *why)
{
    struct stat st;
    const char *path = unix_path(a);
    if (lstat(path, &st) != 0)
        return errno == ENOENT ? OK : why_set(why, ERR_IO, "%s: %s", path, strerror(errno));
    if (!S_ISSOCK(st.st_mode))
        return why_set(why, ERR_CONFLICT, "%s exists and is not a socket", path);

    int fd = new_socket(a);
    if (fd < 0)
        return why_set(why, ERR_IO, "no socket for %s: %s", path, strerror(errno));
    int connected = connect(fd, (const struct sockaddr *)(const void *)a->bytes, a->len);
    int error = errno;
    close(fd);
    if (connected == 0 || error == EAGAIN) /* EAGAIN: somebody listens, with a full backlog */
        return why_set(why, ERR_CONFLICT, "another process listens on %s", path);
    if (error != ECONNREFUSED)
        return why_set(why, ERR_IO, "%s: %s", path, strerror(error));
    if (unlink(path) != 0 && errno != ENOENT)
        return why_set(why, ERR_IO, "cannot remove the stale socket %s: %s", path, strerror(errno));
    return OK;
}

static enum err bind_tcp(int fd, const struct wire_addr *a, const char *bind_text, struct why *why)
{
    int one = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (wire_addr_family(a) == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    if (bind(fd, (const struct sockaddr *)(const void *)a->bytes, a->len) != 0)
        return why_set(why, errno == EADDRINUSE ? ERR_CONFLICT : ERR_IO, "cannot bind %s: %s",
                       bind_text, strerror(errno));
    return OK;
}

static enum err bind_unix(int fd, const struct wire_addr *a, struct admin_socket *s,
                          struct why *why)
{
    const char *path = unix_path(a);
    enum err e = clear_stale_file(a, why);
    if (e)
        return e;
    if (bind(fd, (const struct sockaddr *)(const void *)a->bytes, a->len) != 0)
        return why_set(why, errno == EADDRINUSE ? ERR_CONFLICT : ERR_IO, "cannot bind %s: %s", path,
                       strerror(errno));
    if (unix_file_claim(&s->file, a, 0660) != OK)
        return why_set(why, ERR_IO, "%s: %s", path, strerror(errno));
    return OK;
}

static enum err read_bind(const char *bind_text, struct wire_addr *a, struct admin_socket *s,
                          struct why *why)
{
    struct why detail = {""};
    *s = (struct admin_socket){.fd = -1};
    if (address_of(bind_text, a, &detail) != OK)
        return why_set(why, ERR_INVALID, "admin.bind: %s", detail.text);
    s->is_unix = wire_addr_family(a) == AF_UNIX;
    s->is_local = address_is_local(bind_text);
    return OK;
}

static enum err take_all(const char *bind_text, const struct inherited_socket *given,
                         struct admin_socket *s, struct why *why)
{
    struct wire_addr a;
    int listens = 0;
    socklen_t len = sizeof listens;
    bool is_named = activation_name(bind_text) != NULL;
    *s = (struct admin_socket){.fd = -1};
    enum err e = is_named ? OK : read_bind(bind_text, &a, s, why);
    if (e != OK)
        return e;
    if (getsockopt(given->fds[0], SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) < 0 || !listens)
        return why_set(why, ERR_IO, "%s: what was handed over is no listening socket", bind_text);
    if (!s->is_unix)
        wire_addr_local(&a, given->fds[0]);
    wire_addr_text(&a, s->address);
    if (is_named) {
        s->is_unix = wire_addr_family(&a) == AF_UNIX;
        s->is_local = address_is_local(s->address);
    }
    s->file = given->file;
    s->fd = given->fds[0];
    return OK;
}

enum err admin_socket_take(const char *bind_text, struct inherited_socket *given,
                           struct admin_socket *s, struct why *why)
{
    enum err e = take_all(bind_text, given, s, why);
    for (unsigned i = e == OK ? 1 : 0; i < given->n; i++)
        close(given->fds[i]);
    free(given);
    return e;
}

enum err admin_socket_open(const char *bind_text, struct admin_socket *s, struct why *why)
{
    struct wire_addr a;
    enum err e = read_bind(bind_text, &a, s, why);
    if (e != OK)
        return e;
    int fd = new_socket(&a);
    if (fd < 0)
        return why_set(why, ERR_IO, "no socket for %s: %s", bind_text, strerror(errno));
    e = s->is_unix ? bind_unix(fd, &a, s, why) : bind_tcp(fd, &a, bind_text, why);
    if (e) {
        close(fd);
        return e;
    }
    if (listen(fd, ADMIN_BACKLOG) != 0) {
        e = why_set(why, errno == EADDRINUSE ? ERR_CONFLICT : ERR_IO, "cannot listen on %s: %s",
                    bind_text, strerror(errno));
        admin_socket_remove(s);
        close(fd);
        return e;
    }
    wire_addr_local(&a, fd);
    wire_addr_text(&a, s->address);
    s->fd = fd;
    return OK;
}

void admin_socket_remove(struct admin_socket *s)
{
    unix_file_remove(&s->file);
}
