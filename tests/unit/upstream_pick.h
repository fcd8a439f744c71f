/* Endpoints to choose from, and good random bits.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_TESTS_UPSTREAM_PICK_H
#define SERIN_TESTS_UPSTREAM_PICK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/upstream/pick.h"

#include "base/check.h"

#define ENDPOINTS_MAX 10

struct fixture {
    struct endpoint endpoints[ENDPOINTS_MAX];
    struct endpoint_state states[ENDPOINTS_MAX];
    uint32_t load[ENDPOINTS_MAX];
    uint32_t *loads[ENDPOINTS_MAX];
    uint32_t turn;
    struct pick pick;
};

static inline void start(struct fixture *f, uint32_t n, enum balance balance)
{
    memset(f, 0, sizeof *f);
    for (uint32_t i = 0; i < ENDPOINTS_MAX; i++) {
        f->endpoints[i].state = &f->states[i];
        f->loads[i] = &f->load[i];
    }
    f->pick = (struct pick){.endpoints = f->endpoints,
                            .n = n,
                            .loads = f->loads,
                            .balance = balance,
                            .avoid = PICK_NONE,
                            .turn = &f->turn,
                            .now_us = INT64_C(1000000000)};
}

static inline void set_health(struct fixture *f, uint32_t i, enum endpoint_health health)
{
    endpoint_note(&f->states[i], health);
}

/* Those whose bit is set are down. */
static inline void set_down(struct fixture *f, unsigned down)
{
    for (uint32_t i = 0; i < f->pick.n; i++)
        set_health(f, i, down & 1u << i ? ENDPOINT_DOWN : ENDPOINT_UP);
}

/* Ejected for so long from now on. */
static inline void eject(struct fixture *f, uint32_t i, int64_t for_us)
{
    f->states[i].serves_from_us = f->pick.now_us + for_us;
}

/* Picks with these two random places: the whole number modulo n is the first, its upper half the
 * second. */
static inline uint32_t pick_from(struct fixture *f, uint32_t a, uint32_t b)
{
    f->pick.random = (uint64_t)b << 32 | a;
    while (f->pick.random % f->pick.n != a % f->pick.n)
        f->pick.random++;
    return pick_endpoint(&f->pick);
}

/* splitmix64: good in all bits, as struct pick asks for. */
static inline uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static inline double chi_square(const unsigned *n, unsigned k, double expected)
{
    double sum = 0;
    for (unsigned i = 0; i < k; i++)
        sum += ((double)n[i] - expected) * ((double)n[i] - expected) / expected;
    return sum;
}

static const enum balance balances[] = {BALANCE_LEAST_REQUESTS, BALANCE_ROUND_ROBIN, BALANCE_HASH};

#endif
