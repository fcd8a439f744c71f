/* Listening sockets that this process was given.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/inherited.h"

#include "base/check.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void inherited_init(struct inherited *in)
{
    list_init(&in->sockets);
}

static struct inherited_socket *socket_of(struct list *node)
{
    return CONTAINER_OF(node, struct inherited_socket, link);
}

static bool is_named(const struct inherited_socket *s, bool is_admin, const char *bind)
{
    return s->is_admin == is_admin && strcmp(s->bind, bind) == 0;
}

/* The newest of that name: what is given in several parts goes there. */
static struct inherited_socket *find_last(const struct inherited *in, bool is_admin,
                                          const char *bind)
{
    struct inherited_socket *found = NULL;
    for (struct list *l = in->sockets.next; l != &in->sockets; l = l->next)
        if (is_named(socket_of(l), is_admin, bind))
            found = socket_of(l);
    return found;
}

enum err inherited_begin(struct inherited *in, bool is_admin, const char *bind,
                         const struct unix_file *file)
{
    struct inherited_socket *s = calloc(1, sizeof *s);
    if (!s || strlen(bind) >= sizeof s->bind) {
        free(s);
        return s ? ERR_LIMIT : ERR_MEMORY;
    }
    s->is_admin = is_admin;
    (void)snprintf(s->bind, sizeof s->bind, "%s", bind);
    if (file)
        s->file = *file;
    list_push_back(&in->sockets, &s->link);
    return OK;
}

static void close_all(const int *fds, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        (void)close(fds[i]);
}

enum err inherited_add(struct inherited *in, bool is_admin, const char *bind, const int *fds,
                       unsigned n, const struct unix_file *file)
{
    enum err e = OK;
    struct inherited_socket *s = find_last(in, is_admin, bind);
    if (!s) {
        e = inherited_begin(in, is_admin, bind, file);
        s = e == OK ? find_last(in, is_admin, bind) : NULL;
    }
    if (e == OK && n > INHERITED_FDS_MAX - s->n)
        e = ERR_LIMIT;
    if (e != OK) {
        close_all(fds, n);
        return e;
    }
    memcpy(s->fds + s->n, fds, n * sizeof *fds);
    s->n += n;
    return OK;
}

struct inherited_socket *inherited_take(struct inherited *in, bool is_admin, const char *bind)
{
    for (struct list *l = in->sockets.next; l != &in->sockets; l = l->next) {
        struct inherited_socket *s = socket_of(l);
        if (!is_named(s, is_admin, bind) || s->n == 0)
            continue;
        list_remove(&s->link);
        return s;
    }
    return NULL;
}

void inherited_close(struct inherited *in)
{
    struct list *node;
    while ((node = list_pop_front(&in->sockets))) {
        struct inherited_socket *s = socket_of(node);
        close_all(s->fds, s->n);
        free(s);
    }
}
