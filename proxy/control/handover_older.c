/* Processes of before that still drain: they are told who serves now, and tell what they count.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/handover_inside.h"

#include "base/log.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct older {
    struct list link;
    struct handover *handover;
    struct handover_channel *channel;
};

static struct older *older_of(struct list *node)
{
    return CONTAINER_OF(node, struct older, link);
}

static void older_free(struct older *o)
{
    list_remove(&o->link);
    o->handover->n_older--;
    handover_channel_free(o->channel);
    free(o);
}

static void on_message(void *arg, struct handover_received *r)
{
    struct older *o = arg;
    const struct handover_message *m = &r->message;
    if (m->kind != HANDOVER_GAINED)
        return; /* `socket` and the like belong to the beginning */
    struct handover_counts *sum = handover_totals_of(
        &o->handover->gained, m->route, m->gained.version, m->gained.role, m->gained.is_mirror);
    if (sum)
        handover_counts_add(sum, &m->gained);
}

static void on_end(void *arg, const char *why)
{
    struct older *o = arg;
    log_info("older_process_ended", "left=%u why=\"%s\"", o->handover->n_older - 1, why);
    older_free(o);
}

void handover_older_add(struct handover *h, int fd)
{
    struct older *o = calloc(1, sizeof *o);
    if (!o) {
        (void)close(fd); /* it sends nobody to a canary from then on */
        return;
    }
    o->handover = h;
    list_push_back(&h->older, &o->link);
    h->n_older++;
    o->channel = handover_channel_new(h->control->base, fd, on_message, on_end, o);
    if (!o->channel)
        older_free(o);
}

void handover_older_forget(struct handover *h)
{
    while (!list_empty(&h->older))
        older_free(older_of(h->older.next));
}

unsigned handover_older_ends(const struct handover *h, int fds[])
{
    unsigned n = 0;
    for (struct list *l = h->older.next; l != &h->older; l = l->next)
        fds[n++] = handover_channel_fd(older_of(l)->channel);
    return n;
}

void handover_older_rest(struct handover *h, bool rests)
{
    for (struct list *l = h->older.next; l != &h->older; l = l->next)
        handover_channel_rest(older_of(l)->channel, rests);
}

static bool is_same(const struct known_split *a, const struct known_split *b)
{
    return a->weight_bp == b->weight_bp && a->is_active == b->is_active &&
           strcmp(a->stable, b->stable) == 0 && strcmp(a->canary, b->canary) == 0 &&
           strcmp(a->salt, b->salt) == 0;
}

static void tell(struct handover *h, struct known_route *r)
{
    struct handover_message m = {.kind = HANDOVER_SPLIT, .split = r->split};
    (void)snprintf(m.route, sizeof m.route, "%s", r->name);
    for (struct list *l = h->older.next; l != &h->older; l = l->next)
        handover_channel_send(older_of(l)->channel, &m, NULL, 0);
    r->told = r->split;
}

void handover_tell_splits(struct handover *h)
{
    if (!h || h->n_older == 0)
        return;
    for (struct list *l = h->control->known.routes.next; l != &h->control->known.routes;
         l = l->next) {
        struct known_route *r = CONTAINER_OF(l, struct known_route, link);
        if (r->conf && !is_same(&r->split, &r->told))
            tell(h, r);
    }
}

const struct handover_counts *handover_gained(const struct handover *h, const char *route,
                                              const char *version, enum metric_role role,
                                              bool is_mirror)
{
    return h ? handover_totals_find(&h->gained, route, version, role, is_mirror) : NULL;
}
