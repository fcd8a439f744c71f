/* Which endpoints are left out for having failed.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/upstream/eject.h"

/* Two workers may take two endpoints at the same moment. Each first does it and then looks whether that was one too
 * many; in this order at least one of them sees the other. Hence these, and not relaxed ones. */
#define TAKE(x, v) atomic_store_explicit(&(x), v, memory_order_seq_cst)
#define LOOK(x)    atomic_load_explicit(&(x), memory_order_seq_cst)

static bool is_ejected(struct endpoint_state *s, int64_t now_us)
{
    return LOOK(s->serves_from_us) > now_us;
}

/* Whether one more than those that are out may be: others serve, and the share of the version is kept. */
static bool is_within_bounds(const struct eject_place *p, const struct config_eject *conf,
                             int64_t now_us)
{
    uint64_t out = 0;
    uint32_t serving = 0;
    for (uint32_t i = 0; i < p->n; i++) {
        struct endpoint_state *s = p->endpoints[i].state;
        bool is_out = i == p->at || is_ejected(s, now_us);
        out += is_out;
        serving += !is_out && LOOK(s->health) != ENDPOINT_DOWN;
    }
    return serving > 0 && out * SHARE_FULL_BP <= (uint64_t)p->n * conf->max_ejected_bp;
}

/* The number of the ejection that comes now. */
static uint32_t next_number(struct endpoint_state *s, const struct config_eject *conf,
                            int64_t now_us)
{
    uint64_t before = ENDPOINT_LOAD(s->ejections);
    int64_t served_us = now_us - ENDPOINT_LOAD(s->serves_from_us);
    uint64_t healed = (uint64_t)served_us / ((uint64_t)conf->base_ms * 1000);
    return (uint32_t)(before > healed ? before - healed + 1 : 1);
}

static uint32_t length_ms(const struct config_eject *conf, uint32_t number)
{
    uint64_t most = conf->base_ms > EJECT_LONGEST_MS ? conf->base_ms : EJECT_LONGEST_MS;
    uint64_t ms = (uint64_t)conf->base_ms * number;
    return (uint32_t)(ms < most ? ms : most);
}

uint32_t eject_note_failure(const struct eject_place *p, const struct config_eject *conf,
                            int64_t now_us)
{
    struct endpoint_state *s = p->endpoints[p->at].state;
    int64_t serves_from_us = ENDPOINT_LOAD(s->serves_from_us);
    if (conf->consecutive == 0 || serves_from_us > now_us)
        return 0; /* what was under way when it was ejected says nothing new */
    uint32_t row = atomic_fetch_add_explicit(&s->failures, 1, memory_order_relaxed) + 1;
    if (row < conf->consecutive || !is_within_bounds(p, conf, now_us))
        return 0;
    uint32_t number = next_number(s, conf, now_us), ms = length_ms(conf, number);
    int64_t until_us = now_us + (int64_t)ms * 1000;
    if (!atomic_compare_exchange_strong(&s->serves_from_us, &serves_from_us, until_us))
        return 0; /* another worker was first */
    if (!is_within_bounds(p, conf, now_us)) {
        TAKE(s->serves_from_us, serves_from_us);
        return 0;
    }
    ENDPOINT_STORE(s->ejections, number);
    ENDPOINT_STORE(s->failures, 0);
    return ms;
}

static bool another_serves(const struct eject_place *p, int64_t now_us)
{
    for (uint32_t i = 0; i < p->n; i++) {
        struct endpoint_state *s = p->endpoints[i].state;
        if (i != p->at && !is_ejected(s, now_us) && LOOK(s->health) != ENDPOINT_DOWN)
            return true;
    }
    return false;
}

void eject_note_connect(const struct eject_place *p, bool is_checked, int64_t now_us)
{
    struct endpoint_state *s = p->endpoints[p->at].state;
    uint32_t before = ENDPOINT_LOAD(s->health);
    uint32_t row = atomic_fetch_add_explicit(&s->connect_failures, 1, memory_order_relaxed) + 1;
    if (before == ENDPOINT_DOWN)
        return;
    bool is_certain = row >= EJECT_CONNECTS || (before == ENDPOINT_UNKNOWN && !is_checked);
    if (!is_certain && (is_checked || !another_serves(p, now_us)))
        return;
    TAKE(s->health, ENDPOINT_DOWN);
    if (!is_certain && !another_serves(p, now_us))
        TAKE(s->health, before);
}

void eject_note_connected(struct endpoint_state *s, bool is_checked, int64_t now_us)
{
    if (is_checked)
        ENDPOINT_STORE(s->connect_failures, 0);
    else
        endpoint_come_up(s, now_us);
}

void eject_note_probe(struct endpoint_state *s)
{
    uint32_t row = atomic_fetch_add_explicit(&s->connect_failures, 1, memory_order_relaxed) + 1;
    if (row >= EJECT_CONNECTS || ENDPOINT_LOAD(s->health) == ENDPOINT_UNKNOWN)
        endpoint_note(s, ENDPOINT_DOWN);
}

void eject_forget(struct endpoint_state *s, int64_t now_us)
{
    ENDPOINT_STORE(s->failures, 0);
    ENDPOINT_STORE(s->ejections, 0);
    if (ENDPOINT_LOAD(s->serves_from_us) > now_us)
        ENDPOINT_STORE(s->serves_from_us, now_us);
}
