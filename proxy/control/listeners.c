/* All listening sockets of the process.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/listeners.h"

#include "base/log.h"
#include "metrics/totals.h"
#include "proxy/control/activation.h"
#include "proxy/control/address.h"
#include "proxy/control/inherited.h"
#include "proxy/worker/listener.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

_Static_assert(INHERITED_FDS_MAX >= METRIC_WORKERS_MAX, "a socket a worker can be handed on");

static enum err keep_fds(struct listener_sockets *s, const int *fds, unsigned n, struct why *why)
{
    s->fds = malloc(n * sizeof *fds);
    if (!s->fds) {
        for (unsigned i = 0; i < n; i++)
            (void)close(fds[i]);
        return why_set(why, ERR_MEMORY, "out of memory");
    }
    memcpy(s->fds, fds, n * sizeof *fds);
    s->n = n;
    return OK;
}

/* Sockets that were there before: as many more as there are workers without one. */
static enum err take_inherited(struct listener_sockets *s, struct inherited_socket *given,
                               unsigned workers, struct listener_place *place, struct why *why)
{
    int fds[INHERITED_FDS_MAX];
    unsigned n = given->n;
    memcpy(fds, given->fds, n * sizeof *fds);
    s->file = given->file;
    s->n_own = n;
    free(given);
    wire_addr_local(&place->bound, fds[0]);
    enum err e = listener_add(&place->bound, fds, n, workers, &s->n_own, why);
    if (e != OK) {
        for (unsigned i = 0; i < n; i++)
            (void)close(fds[i]);
        return e;
    }
    return keep_fds(s, fds, n > workers ? n : workers, why);
}

/* Whether the kernel shares out connections among these sockets: SO_REUSEPORT, and all of one address. */
static bool are_one_address(const int *fds, unsigned n)
{
    struct wire_addr first, other;
    wire_addr_local(&first, fds[0]);
    for (unsigned i = 0; i < n; i++) {
        int is_shared = 0;
        socklen_t len = sizeof is_shared;
        (void)getsockopt(fds[i], SOL_SOCKET, SO_REUSEPORT, &is_shared, &len);
        wire_addr_local(&other, fds[i]);
        if (!is_shared || first.len != other.len ||
            memcmp(first.bytes, other.bytes, first.len) != 0)
            return false;
    }
    return true;
}

/* The socket at a place behind the n first ones: each worker, which has those whose place is its own, gets the sockets
 * that it has none of yet. */
static unsigned socket_at(unsigned place, unsigned n, unsigned workers)
{
    unsigned worker = place % workers, skip = place / workers, j = 0;
    skip -= n > worker ? (n - worker - 1) / workers + 1 : 0; /* its first ones are at hand */
    for (;; j++) {
        if (j % workers == worker)
            continue;
        if (skip-- == 0)
            return j;
    }
}

/* Sockets of a service manager. They stay its own, so none is opened beside them: what waits there outlives this process.
 * Every worker accepts on each one, unless they are one address with a queue a worker. */
static enum err take_given(struct listener_sockets *s, struct inherited_socket *given,
                           unsigned workers, struct listener_place *place, struct why *why)
{
    unsigned n = given->n;
    bool is_shared_out = n >= workers && are_one_address(given->fds, n);
    size_t total = is_shared_out ? n : (size_t)n * workers;
    wire_addr_local(&place->bound, given->fds[0]);
    s->n_own = s->n = n;
    s->file = given->file;
    s->fds = malloc(total * sizeof *s->fds);
    if (s->fds)
        memcpy(s->fds, given->fds, n * sizeof *s->fds);
    enum err e = s->fds ? OK : why_set(why, ERR_MEMORY, "out of memory");
    for (unsigned i = n; e == OK && i < total; i++) {
        s->fds[i] = fcntl(s->fds[socket_at(i, n, workers)], F_DUPFD_CLOEXEC, 0);
        if (s->fds[i] < 0)
            e = why_set(why, ERR_IO, "%s: %s", s->bind, strerror(errno));
        else
            s->n++;
    }
    if (e != OK) {
        const int *open = s->fds ? s->fds : given->fds;
        for (unsigned i = 0; i < s->n; i++)
            (void)close(open[i]);
        free(s->fds);
        s->fds = NULL;
    }
    free(given);
    return e;
}

static enum err open_new(struct listener_sockets *s, unsigned workers, struct listener_place *place,
                         struct why *why)
{
    struct wire_addr addr;
    int fds[METRIC_WORKERS_MAX];
    enum err e = address_of(s->bind, &addr, why);
    if (e == OK)
        e = listener_open(&addr, fds, workers, place, why);
    if (e != OK)
        return e;
    s->file = place->file;
    s->n_own = wire_addr_family(&addr) == AF_UNIX ? 1 : workers;
    return keep_fds(s, fds, workers, why);
}

static enum err open_one(struct listener_sockets *s, const char *bind, unsigned workers,
                         struct inherited *in, struct listener_place *place, struct why *why)
{
    if (strlen(bind) >= sizeof s->bind)
        return why_set(why, ERR_LIMIT, "listener %.40s...: too long", bind);
    (void)snprintf(s->bind, sizeof s->bind, "%s", bind);
    struct inherited_socket *given = inherited_take(in, false, bind);
    if (activation_name(bind))
        return given ? take_given(s, given, workers, place, why)
                     : activation_missing(in, bind, why);
    return given ? take_inherited(s, given, workers, place, why) : open_new(s, workers, place, why);
}

enum err listeners_may_take(const struct listeners *l, const struct config *config, struct why *why)
{
    for (size_t i = 0; i < l->n && i < config->n_listeners; i++) {
        const struct config_listener *conf = &config->listeners[i];
        if (conf->proxy_protocol && conf->trusted.n == 0 && !l->items[i].is_unix)
            return why_set(why, ERR_INVALID,
                           "%.200s:%u:%u: listeners[%zu].trusted: is missing (%.80s is no UNIX "
                           "socket: networks whose PROXY headers are believed)",
                           config->file, conf->place.line, conf->place.column, i, conf->bind);
    }
    return OK;
}

enum err listeners_open(struct listeners *l, const struct config *config, struct inherited *in,
                        struct why *why)
{
    *l = (struct listeners){calloc(config->n_listeners + 1, sizeof *l->items), 0};
    if (!l->items)
        return why_set(why, ERR_MEMORY, "out of memory");
    for (size_t i = 0; i < config->n_listeners; i++) {
        struct listener_place place = {.bound = {.len = 0}};
        char text[WIRE_TEXT_MAX];
        enum err e =
            open_one(&l->items[i], config->listeners[i].bind, config->workers, in, &place, why);
        if (e != OK)
            return e;
        l->n++;
        l->items[i].is_unix = wire_addr_family(&place.bound) == AF_UNIX;
        wire_addr_text(&place.bound, text);
        log_info("listening", "listener=%zu address=%s workers=%u", i, text, config->workers);
    }
    return listeners_may_take(l, config, why);
}

/* The places of one listener that are a worker's: worker, worker + workers ... */
static unsigned share(const struct listener_sockets *s, unsigned worker, unsigned workers)
{
    return s->n > worker ? (s->n - worker - 1) / workers + 1 : 0;
}

size_t listeners_of(const struct listeners *l, unsigned worker, unsigned workers)
{
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++)
        n += share(&l->items[i], worker, workers);
    return n;
}

int listeners_at(const struct listeners *l, unsigned worker, unsigned workers, size_t at,
                 size_t *listener)
{
    for (*listener = 0; *listener < l->n; ++*listener) {
        const struct listener_sockets *s = &l->items[*listener];
        unsigned n = share(s, worker, workers);
        if (at < n)
            return s->fds[worker + at * workers];
        at -= n;
    }
    return -1;
}

void listeners_remove_files(struct listeners *l)
{
    for (size_t i = 0; i < l->n; i++)
        unix_file_remove(&l->items[i].file);
}

void listeners_forget_file(struct listeners *l, size_t i)
{
    l->items[i].file.path[0] = '\0';
}

void listeners_own_files(struct listeners *l)
{
    for (size_t i = 0; i < l->n; i++)
        l->items[i].file.is_lent = false;
}

void listeners_close(struct listeners *l, unsigned first, unsigned workers)
{
    for (size_t i = 0; i < l->n; i++)
        for (unsigned k = 0; k < l->items[i].n; k++)
            if (k % workers >= first)
                (void)close(l->items[i].fds[k]);
}

void listeners_free(struct listeners *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->items[i].fds);
    free(l->items);
    *l = (struct listeners){NULL, 0};
}
