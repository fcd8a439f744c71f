/* The counts of a run, over restarts of the process: differences of the data plane's counters,
 * summed. SPDX-License-Identifier: Apache-2.0 */
#include "rollout/source.h"

#include "rollout/decide/judge_counts.h"
#include "rollout/decide/sample_ratio.h"
#include <string.h>

#define FULL_BP 10000u

_Static_assert(JUDGED_QUANTILES == JUDGE_LATENCY_MAX, "a threshold for each quantile");

static struct judge_side side_of(struct judged_totals t)
{
    struct judge_side side = {.requests = t.requests,
                              .failed = t.failed,
                              .client_errors = t.client_errors,
                              .key_requests = t.key_requests,
                              .key_failed = t.key_failed};
    memcpy(side.slow, t.slow, sizeof side.slow);
    return counts_cut(&side);
}

static struct judge_side read_side(const struct rollout_ports *ports, const struct record *record,
                                   enum metric_role role)
{
    const char *name = role == ROLE_STABLE ? record->pair.stable.name : record->pair.canary.name;
    if (name[0] == '\0')
        return (struct judge_side){0};
    return side_of(ports->counts(ports->host, record->route, name, role));
}

/* One version after the other: a pair that ends between the two shows on both sides at the next look. */
static struct judge_seen read_mirrored(const struct rollout_ports *ports,
                                       const struct record *record)
{
    const char *canary = record->pair.canary.name;
    if (!ports->mirrored || canary[0] == '\0')
        return (struct judge_seen){.stable = {0}};
    return (struct judge_seen){
        .stable = side_of(ports->mirrored(ports->host, record->route, canary, ROLE_STABLE)),
        .canary = side_of(ports->mirrored(ports->host, record->route, canary, ROLE_CANARY))};
}

void source_base(struct source *s, const struct rollout_ports *ports, const struct record *record)
{
    s->stable = read_side(ports, record, ROLE_STABLE);
    s->canary = read_side(ports, record, ROLE_CANARY);
    s->mirrored = read_mirrored(ports, record);
    memcpy(s->stable_name, record->pair.stable.name, sizeof s->stable_name);
    memcpy(s->canary_name, record->pair.canary.name, sizeof s->canary_name);
}

static void read_durations(const struct rollout_ports *ports, const struct record *record,
                           struct hist_sum *stable, struct hist_sum *canary)
{
    memset(stable, 0, sizeof *stable);
    memset(canary, 0, sizeof *canary);
    if (!ports->durations)
        return;
    ports->durations(ports->host, record->route, record->pair.stable.name, ROLE_STABLE, stable);
    if (record->pair.canary.name[0])
        ports->durations(ports->host, record->route, record->pair.canary.name, ROLE_CANARY, canary);
}

void source_base_durations(struct source *s, const struct rollout_ports *ports,
                           const struct record *record)
{
    read_durations(ports, record, &s->stable_durations, &s->canary_durations);
}

static void add(struct judge_side *sum, const struct judge_side *now,
                const struct judge_side *before)
{
    struct judge_side gained = counts_gained(before, now);
    counts_add(sum, &gained);
}

void source_read(struct source *s, const struct rollout_ports *ports, const struct record *record,
                 struct judge_seen *counts)
{
    if (strcmp(s->stable_name, record->pair.stable.name) != 0 ||
        strcmp(s->canary_name, record->pair.canary.name) != 0) {
        source_base(s, ports, record);
        source_base_durations(s, ports, record);
        return;
    }
    struct judge_seen users = {s->stable, s->canary}, mirrored = s->mirrored;
    source_base(s, ports, record);
    bool of_copies = record->machine.weight_bp == 0 && plan_begins_with_mirror(&record->plan);
    const struct judge_seen *before = of_copies ? &mirrored : &users;
    add(&counts->stable, of_copies ? &s->mirrored.stable : &s->stable, &before->stable);
    add(&counts->canary, of_copies ? &s->mirrored.canary : &s->canary, &before->canary);
}

void source_durations(const struct source *s, const struct rollout_ports *ports,
                      const struct record *record, struct hist_sum *stable, struct hist_sum *canary)
{
    read_durations(ports, record, stable, canary);
    hist_subtract(stable, &s->stable_durations);
    hist_subtract(canary, &s->canary_durations);
}

void source_note_baseline(struct source *s, const struct rollout_ports *ports,
                          const struct record *record)
{
    struct source_baseline *b = &s->baseline;
    int64_t now_ms = ports->monotonic_ms(ports->host);
    if (strcmp(b->name, record->pair.stable.name) != 0) {
        *b = (struct source_baseline){.next_ms = now_ms};
        memcpy(b->name, record->pair.stable.name, sizeof b->name);
    }
    if (now_ms < b->next_ms)
        return;
    b->next_ms = now_ms + SOURCE_SAMPLE_MS;
    b->newest = b->n ? (b->newest + 1) % SOURCE_SAMPLES : 0;
    b->samples[b->newest] = read_side(ports, record, ROLE_STABLE);
    if (b->n < SOURCE_SAMPLES)
        b->n++;
}

struct judge_baseline source_baseline(const struct source *s)
{
    const struct source_baseline *b = &s->baseline;
    if (b->n == 0)
        return (struct judge_baseline){0};
    const struct judge_side *newest = &b->samples[b->newest];
    const struct judge_side *oldest =
        &b->samples[b->n < SOURCE_SAMPLES ? 0 : (b->newest + 1) % SOURCE_SAMPLES];
    struct judge_side gained = counts_gained(oldest, newest);
    return (struct judge_baseline){.requests = gained.requests, .failed = gained.failed};
}

bool source_share_is_off(struct source_share *s, const struct rollout_ports *ports,
                         const struct record *record, bool watch)
{
    uint32_t weight_bp = record->machine.weight_bp;
    const struct record_pair *pair = &record->pair;
    if (!ports->weighed || !watch || weight_bp == 0 || weight_bp >= FULL_BP) {
        s->weight_bp = 0;
        return false;
    }
    uint64_t stable = ports->weighed(ports->host, record->route, pair->stable.name, ROLE_STABLE);
    uint64_t canary = ports->weighed(ports->host, record->route, pair->canary.name, ROLE_CANARY);
    if (s->weight_bp != weight_bp || stable < s->stable_base || canary < s->canary_base)
        *s = (struct source_share){weight_bp, stable, canary, 0, 0};
    s->canary = canary - s->canary_base;
    s->total = s->canary + stable - s->stable_base;
    return sample_ratio_is_off(s->canary, s->total, weight_bp / (double)FULL_BP);
}
