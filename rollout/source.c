/* The counts of a run, over restarts of the process: differences of the data plane's counters,
 * summed. SPDX-License-Identifier: Apache-2.0 */
#include "rollout/source.h"

#include <string.h>

static struct judged_totals read_side(const struct rollout_ports *ports,
                                      const struct record *record, enum metric_role role)
{
    const char *name = role == ROLE_STABLE ? record->pair.stable.name : record->pair.canary.name;
    if (name[0] == '\0')
        return (struct judged_totals){0};
    return ports->counts(ports->host, record->route, name, role);
}

void source_base(struct source *s, const struct rollout_ports *ports, const struct record *record)
{
    s->stable = read_side(ports, record, ROLE_STABLE);
    s->canary = read_side(ports, record, ROLE_CANARY);
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

static uint64_t grown(uint64_t now, uint64_t before)
{
    return now >= before ? now - before : now;
}

static void add(struct machine_tally *sum, const struct judged_totals *now,
                const struct judged_totals *before)
{
    sum->requests += grown(now->requests, before->requests);
    sum->failed += grown(now->failed, before->failed);
    sum->client_errors += grown(now->client_errors, before->client_errors);
}

void source_read(struct source *s, const struct rollout_ports *ports, const struct record *record,
                 struct machine_counts *counts)
{
    if (strcmp(s->stable_name, record->pair.stable.name) != 0 ||
        strcmp(s->canary_name, record->pair.canary.name) != 0) {
        source_base(s, ports, record);
        source_base_durations(s, ports, record);
        return;
    }
    struct judged_totals stable = s->stable, canary = s->canary;
    source_base(s, ports, record);
    add(&counts->stable, &s->stable, &stable);
    add(&counts->canary, &s->canary, &canary);
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
    const struct judged_totals *newest = &b->samples[b->newest];
    const struct judged_totals *oldest =
        &b->samples[b->n < SOURCE_SAMPLES ? 0 : (b->newest + 1) % SOURCE_SAMPLES];
    return (struct judge_baseline){.requests = grown(newest->requests, oldest->requests),
                                   .failed = grown(newest->failed, oldest->failed)};
}
