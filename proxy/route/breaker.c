/* The data plane's own reflex on the canary's error rate.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/route/breaker.h"

#include "base/check.h"

#define LOAD(x)     atomic_load_explicit(&(x), memory_order_relaxed)
#define STORE(x, v) atomic_store_explicit(&(x), v, memory_order_relaxed)

struct breaker *breaker_new(unsigned workers)
{
    struct breaker *b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    b->workers = workers;
    b->cells = aligned_alloc(_Alignof(struct breaker_cells), workers * sizeof *b->cells);
    if (!b->cells) {
        free(b);
        return NULL;
    }
    breaker_reset(b);
    return b;
}

void breaker_free(struct breaker *b)
{
    if (b)
        free(b->cells);
    free(b);
}

void breaker_reset(struct breaker *b)
{
    for (unsigned w = 0; w < b->workers; w++)
        for (unsigned i = 0; i < BREAKER_SLOTS; i++) {
            STORE(b->cells[w].slots[i].epoch, 0);
            STORE(b->cells[w].slots[i].requests, 0);
            STORE(b->cells[w].slots[i].failed, 0);
        }
    STORE(b->failed_trickles, 0);
    STORE(b->trickle_used, 0);
    STORE(b->trickle_ok, 0);
    STORE(b->in_flight, 0);
    STORE(b->retry_at_us, 0);
    STORE(b->state, BREAKER_CLOSED);
}

/* Slices of time are counted from BREAKER_SLOTS on, so that an untouched slot (0) lies outside every window, also
 * while the monotonic clock is young. */
static uint64_t epoch_of(const struct config_breaker *conf, int64_t now_us)
{
    uint64_t slice_us = (uint64_t)conf->window_ms * 1000 / BREAKER_SLOTS;
    return (uint64_t)now_us / (slice_us ? slice_us : 1) + BREAKER_SLOTS;
}

static void count(struct breaker *b, unsigned worker, uint64_t epoch, bool failed)
{
    struct breaker_slot *s = &b->cells[worker].slots[epoch % BREAKER_SLOTS];
    if (LOAD(s->epoch) != epoch) {
        STORE(s->requests, 0);
        STORE(s->failed, 0);
        STORE(s->epoch, epoch);
    }
    STORE(s->requests, LOAD(s->requests) + 1);
    if (failed)
        STORE(s->failed, LOAD(s->failed) + 1);
}

static bool is_over_threshold(const struct breaker *b, const struct config_breaker *conf,
                              uint64_t epoch)
{
    uint64_t requests = 0, failed = 0;
    for (unsigned w = 0; w < b->workers; w++)
        for (unsigned i = 0; i < BREAKER_SLOTS; i++) {
            const struct breaker_slot *s = &b->cells[w].slots[i];
            if (LOAD(s->epoch) + BREAKER_SLOTS > epoch) {
                requests += LOAD(s->requests);
                failed += LOAD(s->failed);
            }
        }
    return requests >= conf->min_requests &&
           failed * SHARE_FULL_BP >= requests * conf->error_rate_bp;
}

static void forget_window(struct breaker *b)
{
    for (unsigned w = 0; w < b->workers; w++)
        for (unsigned i = 0; i < BREAKER_SLOTS; i++)
            STORE(b->cells[w].slots[i].epoch, 0);
}

static bool move(struct breaker *b, uint32_t from, uint32_t to)
{
    return atomic_compare_exchange_strong(&b->state, &from, to);
}

static void close_again(struct breaker *b)
{
    forget_window(b);
    STORE(b->failed_trickles, 0);
    STORE(b->trickle_ok, 0);
    atomic_store_explicit(&b->state, BREAKER_CLOSED, memory_order_release);
}

/* What the holder wrote is there for the next one. */
static void release_trial(struct breaker *b)
{
    atomic_store_explicit(&b->in_flight, 0, memory_order_release);
}

bool breaker_note(struct breaker *b, const struct config_breaker *conf, unsigned worker,
                  bool failed, int64_t now_us)
{
    if (conf->min_requests == 0 || LOAD(b->state) != BREAKER_CLOSED)
        return false;
    uint64_t epoch = epoch_of(conf, now_us);
    count(b, worker, epoch, failed);
    if (!failed || !is_over_threshold(b, conf, epoch))
        return false;
    STORE(b->retry_at_us, now_us + (int64_t)conf->retry_after_ms * 1000);
    if (!move(b, BREAKER_CLOSED, BREAKER_OPEN))
        return false;
    atomic_fetch_add_explicit(&b->opened, 1, memory_order_relaxed);
    return true;
}

/* One trial at a time, BREAKER_TRICKLE of them per retry_after. in_flight is a lock that is never waited for: only
 * its holder moves between OPEN and TRICKLING and touches the fields of the trickle. */
static enum breaker_pass ask_for_trial(struct breaker *b, const struct config_breaker *conf,
                                       int64_t now_us)
{
    uint32_t none = 0;
    if (!atomic_compare_exchange_strong(&b->in_flight, &none, 1))
        return BREAKER_REFUSE;
    if (now_us >= LOAD(b->retry_at_us)) {
        STORE(b->trickle_used, 0);
        STORE(b->retry_at_us, now_us + (int64_t)conf->retry_after_ms * 1000);
        (void)move(b, BREAKER_OPEN, BREAKER_TRICKLING);
    }
    uint32_t used = LOAD(b->trickle_used);
    if (LOAD(b->state) != BREAKER_TRICKLING || used >= BREAKER_TRICKLE) {
        release_trial(b);
        return BREAKER_REFUSE;
    }
    STORE(b->trickle_used, used + 1);
    return BREAKER_TRIAL;
}

bool breaker_is_open(struct breaker *b, const struct config_breaker *conf)
{
    return LOAD(b->state) != BREAKER_CLOSED && conf->min_requests != 0;
}

enum breaker_pass breaker_ask(struct breaker *b, const struct config_breaker *conf, int64_t now_us)
{
    if (__builtin_expect(LOAD(b->state) == BREAKER_CLOSED, 1))
        return BREAKER_PASS;
    if (conf->min_requests == 0) { /* a reload has switched it off */
        close_again(b);
        return BREAKER_PASS;
    }
    /* whoever sees OPEN sees its retry_at_us too */
    if (atomic_load_explicit(&b->state, memory_order_acquire) == BREAKER_OPEN &&
        now_us < LOAD(b->retry_at_us))
        return BREAKER_REFUSE;
    return ask_for_trial(b, conf, now_us);
}

void breaker_trial_end(struct breaker *b, const struct config_breaker *conf,
                       enum breaker_trial outcome, int64_t now_us)
{
    /* in any other state it was reset meanwhile: the outcome is not the present canary's */
    if (LOAD(b->state) == BREAKER_TRICKLING) {
        if (outcome == TRIAL_FAILED) {
            STORE(b->trickle_ok, 0);
            STORE(b->retry_at_us, now_us + (int64_t)conf->retry_after_ms * 1000);
            if (move(b, BREAKER_TRICKLING, BREAKER_OPEN))
                atomic_fetch_add(&b->failed_trickles, 1);
        } else if (outcome == TRIAL_OK) {
            STORE(b->trickle_ok, LOAD(b->trickle_ok) + 1);
            if (LOAD(b->trickle_ok) >= BREAKER_TRICKLE)
                close_again(b);
        }
    }
    release_trial(b);
}
