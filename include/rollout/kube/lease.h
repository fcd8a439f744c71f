/* One leader among several proxies: a Lease of coordination.k8s.io/v1.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_KUBE_LEASE_H
#define SERIN_ROLLOUT_KUBE_LEASE_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct kube;
struct kube_lease;

#define KUBE_LEASE_DURATION_MS 15000u /* an absent leader is followed after this */
#define KUBE_LEASE_RENEW_MS    5000u

struct kube_lease_setup {
    const char *name_space, *name, *identity; /* copied */
    uint32_t duration_ms, renew_ms;           /* 0 = the defaults; whole seconds */
    void (*on_change)(void *arg);             /* held or not, or another holder; may be NULL */
    void *arg;
};

/* Begins to try. NULL when memory is short. */
struct kube_lease *kube_lease_new(struct kube *k, const struct kube_lease_setup *setup) MUST_USE;

/* Forgets it; a lease that is held stays until it runs out. */
void kube_lease_free(struct kube_lease *l);

/* Lets a held lease go, so that another may take it at once: begins the write and does not wait. */
void kube_lease_release(struct kube_lease *l);

/* True only while the last renewal that was answered is younger, by the monotonic clock and from
 * the moment it was sent, than two thirds of the duration: it ends before anybody else may take
 * it. */
bool kube_lease_is_held(const struct kube_lease *l);

/* Whether this process was the last that held it, as far as is known. */
bool kube_lease_was_held(const struct kube_lease *l);

/* Who holds it as far as is known; "" = nobody. */
const char *kube_lease_holder(const struct kube_lease *l);

/* How often it changed hands: a number that only grows (leaseTransitions). */
uint64_t kube_lease_transitions(const struct kube_lease *l);

/* "" or why it cannot be had. */
const char *kube_lease_trouble(const struct kube_lease *l);

#endif
