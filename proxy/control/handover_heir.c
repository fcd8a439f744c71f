/* The process that takes over: it asks, takes what it is given, and says when it serves.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/handover_inside.h"

#include "base/log.h"
#include "proxy/control/admin.h"
#include "proxy/control/handover_state.h"
#include "proxy/wire/time.h"
#include "rollout/carry.h"
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool handover_is_heir(const struct handover *h)
{
    return h->heir_fd >= 0;
}

bool handover_keep(struct handover *h, const char *route, cJSON *state)
{
    struct handover_kept *k = calloc(1, sizeof *k);
    if (!k) {
        cJSON_Delete(state);
        return false;
    }
    (void)snprintf(k->route, sizeof k->route, "%s", route);
    k->state = state;
    list_push_back(&h->kept, &k->link);
    return true;
}

void handover_forget_kept(struct handover *h)
{
    struct list *node;
    while ((node = list_pop_front(&h->kept))) {
        struct handover_kept *k = CONTAINER_OF(node, struct handover_kept, link);
        cJSON_Delete(k->state);
        free(k);
    }
}

void handover_resume_rollouts(struct handover *h)
{
    struct why why;
    for (struct list *l = h->kept.next; l != &h->kept; l = l->next) {
        const struct handover_kept *k = CONTAINER_OF(l, struct handover_kept, link);
        const struct known_route *r = known_find_route(&h->control->known, k->route);
        const cJSON *carried = cJSON_GetObjectItemCaseSensitive(k->state, "rollout");
        if (r && r->rollout && carried && rollout_take_carried(r->rollout, carried, &why) != OK)
            log_warn("handover_incomplete", "route=%s why=\"%s\"", k->route, why.text);
    }
}

/* --- asking --- */

static enum err say_ready(struct handover *h, int64_t until_ms, struct why *why)
{
    const struct config *config = control_config(h->control);
    struct handover_message m = {.kind = HANDOVER_READY, .version = HANDOVER_VERSION};
    m.wants = calloc(config->n_listeners + 1, sizeof *m.wants);
    if (!m.wants)
        return why_set(why, ERR_MEMORY, "out of memory");
    for (size_t i = 0; i < config->n_listeners; i++)
        (void)snprintf(m.wants[m.n_wants++].bind, WIRE_TEXT_MAX, "%s", config->listeners[i].bind);
    m.wants[m.n_wants].is_admin = true;
    (void)snprintf(m.wants[m.n_wants++].bind, WIRE_TEXT_MAX, "%s", config->admin.bind);
    enum err e = handover_send_now(h->heir_fd, &m, until_ms, why);
    handover_message_fini(&m);
    return e;
}

static enum err take_socket(struct control *c, struct handover_received *r)
{
    const struct handover_socket *s = &r->message.socket;
    struct unix_file file = s->file;
    file.is_lent = true; /* until we serve: where we fail the other process goes on with it */
    enum err e = s->is_more ? OK : inherited_begin(&c->inherited, s->is_admin, s->bind, &file);
    if (e != OK)
        return e;
    unsigned n = r->n_fds;
    r->n_fds = 0;
    return inherited_add(&c->inherited, s->is_admin, s->bind, r->fds, n, NULL);
}

static enum err take_older(struct handover *h, struct handover_received *r)
{
    if (r->n_fds != 1 || h->n_older_fds == HANDOVER_OLDER_MAX)
        return ERR_INVALID;
    h->older_fds[h->n_older_fds++] = r->fds[0];
    r->n_fds = 0;
    return OK;
}

/* Sessions that the other process has begun go on here. */
static enum err take_tickets(struct control *c, const struct handover_received *r)
{
    unsigned char keys[TICKETS_EXPORT_BYTES];
    bool is_whole = r->n_fds == 1 && pread(r->fds[0], keys, sizeof keys, 0) == (ssize_t)sizeof keys;
    if (is_whole)
        tickets_import(&c->tickets, keys, time_monotonic_ms());
    explicit_bzero(keys, sizeof keys);
    return is_whole ? OK : ERR_INVALID;
}

static enum err take_route(struct handover *h, struct handover_message *m)
{
    struct known_route *r = known_find_route(&h->control->known, m->route);
    cJSON *state = m->state;
    m->state = NULL;
    if (r)
        handover_take_endpoints(&h->control->known, r, state);
    return handover_keep(h, m->route, state) ? OK : ERR_MEMORY;
}

static enum err take_gained(struct handover *h, const struct handover_message *m)
{
    struct handover_counts *sum = handover_totals_of(&h->gained, m->route, m->gained.version,
                                                     m->gained.role, m->gained.is_mirror);
    if (!sum)
        return ERR_MEMORY;
    handover_counts_add(sum, &m->gained);
    return OK;
}

/* ERR_NOT_FOUND: this kind has no place here. */
static enum err take(struct handover *h, struct handover_received *r, struct why *why)
{
    switch (r->message.kind) {
    case HANDOVER_SOCKET:
        return take_socket(h->control, r);
    case HANDOVER_OLDER:
        return take_older(h, r);
    case HANDOVER_TICKETS:
        return take_tickets(h->control, r);
    case HANDOVER_ROUTE:
        return take_route(h, &r->message);
    case HANDOVER_GAINED:
        return take_gained(h, &r->message);
    case HANDOVER_REFUSED:
        return why_set(why, ERR_CONFLICT, "%s", r->message.why);
    case HANDOVER_GO:
        return OK;
    default:
        return ERR_NOT_FOUND;
    }
}

enum err handover_ask(struct handover *h, struct why *why)
{
    int64_t until_ms = time_monotonic_ms() + HANDOVER_WAIT_MS;
    struct why reason = {""};
    struct handover_received r;
    bool is_over = false;
    enum err e = say_ready(h, until_ms, &reason);
    while (e == OK && !is_over) {
        e = handover_receive_now(h->heir_fd, &r, until_ms, &reason);
        if (e != OK)
            break;
        enum handover_kind kind = r.message.kind;
        e = take(h, &r, &reason);
        handover_received_fini(&r);
        if (e != OK && reason.text[0] == '\0')
            (void)why_set(&reason, e, "%s: %s", handover_kind_text(kind), err_text(e));
        is_over = kind == HANDOVER_GO;
    }
    return e == OK ? OK : why_set(why, e, "nothing is taken over: %.450s", reason.text);
}

/* --- serving --- */

void handover_take_states(struct handover *h)
{
    handover_resume_rollouts(h);
    for (struct list *l = h->kept.next; l != &h->kept; l = l->next) {
        const struct handover_kept *k = CONTAINER_OF(l, struct handover_kept, link);
        struct known_route *r = known_find_route(&h->control->known, k->route);
        if (r && r->conf)
            handover_take_minutes(h->control->metrics, r, k->state, time_monotonic_ms());
    }
    handover_forget_kept(h);
}

/* The other one has ended meanwhile, or is about to end this one: it goes on alone, until then. */
void handover_serve(struct handover *h)
{
    struct handover_message m = {.kind = HANDOVER_SERVING};
    struct why why;
    int fd = h->heir_fd;
    h->heir_fd = -1;
    if (handover_send_now(fd, &m, time_monotonic_ms() + HANDOVER_WAIT_MS, &why) != OK)
        log_warn("handover_unheard", "why=\"%s\"", why.text);
    listeners_own_files(&h->control->listeners);
    admin_own_file(h->control->admin);
    for (unsigned i = 0; i < h->n_older_fds; i++)
        handover_older_add(h, h->older_fds[i]);
    h->n_older_fds = 0;
    handover_older_add(h, fd);
    log_info("took_over", "from_pid=%d older=%u", (int)getppid(), h->n_older);
    handover_tell_splits(h);
}
