/* What goes over: sockets, processes of before, what is known of routes, counts.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/handover_inside.h"

#include "base/log.h"
#include "proxy/control/admin.h"
#include "proxy/control/cluster.h"
#include "proxy/control/handover_state.h"
#include "proxy/wire/time.h"
#include "rollout/carry.h"
#include <cjson/cJSON.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* In as many messages as it takes. */
static void send_fds(struct handover *h, const struct handover_socket *socket, const int *fds,
                     unsigned n)
{
    struct handover_message m = {.kind = HANDOVER_SOCKET, .socket = *socket};
    for (unsigned at = 0; at < n; at += HANDOVER_FDS_MAX) {
        unsigned part = n - at < HANDOVER_FDS_MAX ? n - at : HANDOVER_FDS_MAX;
        m.socket.is_more = at > 0;
        handover_channel_send(h->channel, &m, fds + at, part);
    }
}

static void give_admin(struct handover *h, const char *bind)
{
    struct control *c = h->control;
    struct handover_socket socket = {.is_admin = true};
    if (strcmp(bind, control_config(c)->admin.bind) != 0)
        return;
    (void)snprintf(socket.bind, sizeof socket.bind, "%s", bind);
    int fd = admin_fd(c->admin, &socket.file);
    send_fds(h, &socket, &fd, 1);
    h->gave_admin = true;
}

static void give_listener(struct handover *h, const char *bind)
{
    const struct listeners *all = &h->control->listeners;
    struct handover_socket socket = {.is_admin = false};
    size_t i = 0;
    while (i < all->n && (h->gave[i] || strcmp(all->items[i].bind, bind) != 0))
        i++;
    if (i == all->n)
        return; /* the new process opens it */
    (void)snprintf(socket.bind, sizeof socket.bind, "%s", bind);
    socket.file = all->items[i].file;
    send_fds(h, &socket, all->items[i].fds, all->items[i].n_own);
    h->gave[i] = true;
}

static void give_older(struct handover *h)
{
    struct handover_message m = {.kind = HANDOVER_OLDER};
    int fds[HANDOVER_OLDER_MAX];
    unsigned n = handover_older_ends(h, fds);
    handover_older_rest(h, true);
    for (unsigned i = 0; i < n; i++)
        handover_channel_send(h->channel, &m, &fds[i], 1);
}

/* In a file in memory: no copy of them is left behind in either process. Without them sessions begin anew. */
static void give_tickets(struct handover *h)
{
    struct handover_message m = {.kind = HANDOVER_TICKETS};
    unsigned char keys[TICKETS_EXPORT_BYTES];
    h->tickets_fd = memfd_create("serin-tickets", MFD_CLOEXEC);
    if (h->tickets_fd < 0)
        return;
    tickets_export(&h->control->tickets, keys);
    if (write(h->tickets_fd, keys, sizeof keys) == (ssize_t)sizeof keys)
        handover_channel_send(h->channel, &m, &h->tickets_fd, 1);
    explicit_bzero(keys, sizeof keys);
}

/* --- routes --- */

static void send_state(struct handover *h, const char *route, cJSON *state)
{
    struct handover_message m = {.kind = HANDOVER_ROUTE, .state = state};
    (void)snprintf(m.route, sizeof m.route, "%s", route);
    handover_channel_send(h->channel, &m, NULL, 0);
}

static void give_endpoints(struct handover *h, const struct known_route *r)
{
    struct list *at = NULL;
    do {
        cJSON *state = handover_endpoints_of(r, &at);
        if (state)
            send_state(h, r->name, state);
        cJSON_Delete(state);
    } while (at);
}

/* The rollout is closed: its record is written, and its lock is free for the other process. */
static void give_route(struct handover *h, struct known_route *r)
{
    cJSON *state = handover_state_of(r, time_monotonic_ms());
    cJSON *carried = r->rollout && state ? rollout_carry(r->rollout) : NULL;
    if (carried && !cJSON_AddItemToObject(state, "rollout", carried))
        cJSON_Delete(carried);
    rollout_close(r->rollout);
    r->rollout = NULL;
    if (!r->conf || !state) {
        cJSON_Delete(state);
        return;
    }
    send_state(h, r->name, state);
    give_endpoints(h, r);
    (void)handover_keep(h, r->name, state); /* in case it is taken back */
}

/* --- counts --- */

struct handover_counts handover_own_counts(const struct variant_metrics *v, enum metric_role role,
                                           bool is_mirror)
{
    struct handover_counts c = {.role = role,
                                .is_mirror = is_mirror,
                                .judged = is_mirror ? metrics_mirrored(v, role)
                                                    : metrics_judged(v, role)};
    (void)snprintf(c.version, sizeof c.version, "%s", v->version);
    return c;
}

static void send_counts(void *arg, const char *route, const struct handover_counts *counts)
{
    struct handover *h = arg;
    struct handover_message m = {.kind = HANDOVER_GAINED, .gained = *counts};
    (void)snprintf(m.route, sizeof m.route, "%s", route);
    if (!handover_counts_is_zero(counts))
        handover_channel_send(h->channel, &m, NULL, 0);
}

/* What a version has counted since the other process was told. */
static void tell_version(struct handover *h, const struct variant_metrics *v, enum metric_role role,
                         bool is_mirror)
{
    struct handover_counts now = handover_own_counts(v, role, is_mirror), gained = now;
    struct handover_counts *told =
        handover_totals_of(&h->told, v->route, v->version, role, is_mirror);
    if (!told)
        return; /* told when there is memory */
    handover_counts_subtract(&gained, told);
    send_counts(h, v->route, &gained);
    *told = now;
}

void handover_tick(struct handover *h)
{
    const struct metrics *all = h->control->metrics;
    if ((h->phase != HANDOVER_DONE && h->phase != HANDOVER_GIVEN) || !h->channel)
        return;
    for (size_t i = 0; i < metrics_variant_count(all); i++)
        for (unsigned role = 0; role < ROLE_COUNT; role++) {
            tell_version(h, metrics_variant_at(all, i), (enum metric_role)role, false);
            tell_version(h, metrics_variant_at(all, i), (enum metric_role)role, true);
        }
}

/* All counts of before, and of this process. */
static void give_counts(struct handover *h)
{
    handover_totals_each(&h->gained, send_counts, h);
    handover_totals_fini(&h->told);
    handover_tick(h);
}

void handover_give(struct handover *h, const struct handover_message *wants)
{
    struct control *c = h->control;
    struct handover_message go = {.kind = HANDOVER_GO};
    c->acts = false;
    h->phase = HANDOVER_GIVEN;
    admin_rest(c->admin, true);
    cluster_release(c);
    for (size_t i = 0; i < wants->n_wants; i++)
        if (wants->wants[i].is_admin)
            give_admin(h, wants->wants[i].bind);
        else
            give_listener(h, wants->wants[i].bind);
    give_older(h);
    give_tickets(h);
    for (struct list *l = c->known.routes.next; l != &c->known.routes; l = l->next)
        give_route(h, CONTAINER_OF(l, struct known_route, link));
    give_counts(h);
    handover_channel_send(h->channel, &go, NULL, 0);
}
