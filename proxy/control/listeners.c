/* All listening sockets of the process.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/listeners.h"

#include "base/log.h"
#include "metrics/totals.h"
#include "proxy/control/address.h"
#include "proxy/control/inherited.h"
#include "proxy/worker/listener.h"
#include <stdlib.h>
#include <string.h>
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
    return given ? take_inherited(s, given, workers, place, why) : open_new(s, workers, place, why);
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
        wire_addr_text(&place.bound, text);
        log_info("listening", "listener=%zu address=%s workers=%u", i, text, config->workers);
    }
    return OK;
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
