/* Socket activation: listening sockets that systemd opened and named.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/activation.h"

#include "base/check.h"
#include "base/log.h"
#include "proxy/wire/stream.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

/* Takes one descriptor. */
static enum err add_one(struct inherited *in, const char *name, int fd, struct why *why)
{
    char bind[WIRE_TEXT_MAX];
    int len = snprintf(bind, sizeof bind, ACTIVATION_PREFIX "%s", name);
    int flags = fcntl(fd, F_GETFL);
    enum err e = OK;
    if (sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) <= 0)
        e = why_set(why, ERR_IO, "%s: descriptor %d that was given is no listening stream socket",
                    bind, fd);
    else if (len < 0 || (size_t)len >= sizeof bind)
        e = why_set(why, ERR_LIMIT, "%.40s...: the name of a given socket is too long", bind);
    else if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        e = why_set(why, ERR_IO, "%s: descriptor %d that was given: %s", bind, fd, strerror(errno));
    if (e != OK) {
        (void)close(fd);
        return e;
    }
    stream_prepare(fd);
    e = inherited_add(in, false, bind, &fd, 1, NULL);
    return e == OK ? OK : why_set(why, e, "%s: cannot keep the sockets that were given", bind);
}

enum err activation_take(struct inherited *in, struct why *why)
{
    char **names = NULL;
    enum err e = OK;
    int n = sd_listen_fds_with_names(1, &names);
    if (n < 0)
        return why_set(why, ERR_IO, "LISTEN_FDS and LISTEN_FDNAMES: %s", strerror(-n));
    for (int i = 0; i < n; i++) {
        if (e == OK)
            e = add_one(in, names[i], SD_LISTEN_FDS_START + i, why);
        else
            (void)close(SD_LISTEN_FDS_START + i);
    }
    for (int i = 0; i < n; i++)
        free(names[i]);
    free(names);
    return e;
}

/* The name of one that came by a name. */
static const char *name_of(const struct list *node)
{
    return activation_name(CONTAINER_OF(node, struct inherited_socket, link)->bind);
}

enum err activation_missing(const struct inherited *in, const char *bind, struct why *why)
{
    char names[WHY_MAX / 2] = "";
    size_t at = 0;
    for (struct list *l = in->sockets.next; l != &in->sockets; l = l->next) {
        const char *name = name_of(l);
        if (name && at < sizeof names)
            at += (size_t)snprintf(names + at, sizeof names - at, "%s%s", at ? ", " : "", name);
    }
    return why_set(why, ERR_NOT_FOUND, "%.160s: no socket of that name was given (%s%s)", bind,
                   names[0] ? "there are: " : "none was: is serin started by a socket unit?",
                   names);
}

void activation_tell_unused(const struct inherited *in)
{
    struct log_quoted quoted;
    for (struct list *l = in->sockets.next; l != &in->sockets; l = l->next)
        if (name_of(l))
            log_warn("socket_not_used", "name=%s why=\"no bind of the configuration names it\"",
                     log_quote(&quoted, slice_str(name_of(l))));
}
