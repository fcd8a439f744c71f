/* What the judge and the breaker see of a request.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/flow/judged.h"

#include "base/log.h"
#include "proxy/flow/gone.h"

static bool is_comparable(const struct exchange *x)
{
    return x->tries == 0 && (x->assigned == ASSIGNED_WEIGHT || x->assigned == ASSIGNED_STICKY);
}

static void note_request(struct attempt *a)
{
    if (!a->is_judged)
        cell_add(&a->cells->judged[a->variant->role], 1);
    a->is_judged = true;
}

unsigned judged_crossed(const struct route_live *live, enum metric_role role, int64_t age_us)
{
    unsigned bits = 0;
    for (unsigned q = 0; q < JUDGED_QUANTILES; q++) {
        uint64_t limit_us = atomic_load_explicit(&live->slow_us[role][q], memory_order_relaxed);
        bits |= (unsigned)(limit_us && (uint64_t)age_us > limit_us) << q;
    }
    return bits;
}

static unsigned crossed(const struct exchange *x)
{
    return judged_crossed(x->route->live, x->attempt.variant->role, x->flow->now_us - x->start_us);
}

/* Counts the request, once, and what is new of its age. */
static void note_age(struct exchange *x, unsigned bits)
{
    struct attempt *a = &x->attempt;
    note_request(a);
    for (unsigned q = 0; q < JUDGED_QUANTILES; q++)
        if (bits & ~(unsigned)a->slow & 1u << q)
            cell_add(&a->cells->judged_slow[a->variant->role][q], 1);
    a->slow = (uint8_t)(a->slow | bits);
}

/* A key that has failed is left out from then on: the unit of a sticky split is the key, not its requests. */
static void note_key(struct exchange *x, bool failed)
{
    struct attempt *a = &x->attempt;
    struct failed_keys *keys =
        atomic_load_explicit(&x->route->live->failed_keys, memory_order_acquire);
    bool has_key = x->assigned == ASSIGNED_STICKY;
    if (!keys || (has_key && failed_keys_has(keys, x->key_hash)))
        return;
    cell_add(&a->cells->key_requests[a->variant->role], 1);
    if (failed && (!has_key || failed_keys_mark(keys, x->key_hash)))
        cell_add(&a->cells->key_failed[a->variant->role], 1);
}

static void note_breaker(struct exchange *x, bool failed)
{
    struct route_live *live = x->route->live;
    const struct config_breaker *conf = &x->route->conf->breaker;
    if (breaker_note(live->breaker, conf, x->flow->worker, failed, x->flow->now_us))
        log_warn("breaker_open",
                 "route=%s canary=%s threshold=%u.%02u%% window_ms=%u retry_after_ms=%u "
                 "request_id=%.*s",
                 x->route->conf->name, x->attempt.variant->name, conf->error_rate_bp / 100,
                 conf->error_rate_bp % 100, conf->window_ms, conf->retry_after_ms,
                 SLICE_ARG(x->request_id));
}

void judged_settle(struct exchange *x, unsigned status, bool failed, bool is_void)
{
    struct attempt *a = &x->attempt;
    enum metric_role role = a->variant->role;
    if (!is_comparable(x))
        return;
    if (__builtin_expect(x->is_mirrored, 0) && !is_void)
        mirror_note_stable(x, status, failed);
    unsigned bits = crossed(x);
    if (!is_void || bits)
        note_age(x, bits);
    if (is_void)
        return;
    if (failed)
        cell_add(&a->cells->judged_failed[role], 1);
    else if (status >= 400)
        cell_add(&a->cells->judged_client_errors[role], 1);
    note_key(x, failed);
    if (a->is_canary && !a->is_trial)
        note_breaker(x, failed);
}

static void on_look(struct wheel_entry *e)
{
    struct flow *f = CONTAINER_OF(e, struct flow, slow_look);
    for (struct list *l = f->exchanges.next; l != &f->exchanges; l = l->next) {
        struct exchange *x = CONTAINER_OF(l, struct exchange, link);
        if (!x->attempt.is_open || !is_comparable(x))
            continue;
        unsigned bits = crossed(x);
        if (bits)
            note_age(x, bits);
    }
    gone_look(f); /* rides on this timer, and comes last: it ends requests */
    if (!list_empty(&f->exchanges))
        flow_deadline(f, e, JUDGED_LOOK_MS);
}

void judged_begin(struct flow *f)
{
    if (list_empty(&f->slow_look.link))
        flow_deadline(f, &f->slow_look, JUDGED_LOOK_MS);
}

void judged_init(struct flow *f)
{
    list_init(&f->exchanges);
    wheel_entry_init(&f->slow_look);
    f->slow_look.on_due = on_look;
}
