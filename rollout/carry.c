/* What a rollout knows beyond its record, carried from one process to the next.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/carry.h"

#include "rollout/decide/judge_counts.h"
#include "rollout/inside.h"
#include <cjson/cJSON.h>
#include <string.h>

#define NUMBERS (5 + JUDGE_LATENCY_MAX) /* of one side */

/* --- writing --- */

static cJSON *write_side(const struct judge_side *side)
{
    double numbers[NUMBERS] = {(double)side->requests, (double)side->failed,
                               (double)side->client_errors, (double)side->key_requests,
                               (double)side->key_failed};
    for (unsigned i = 0; i < JUDGE_LATENCY_MAX; i++)
        numbers[5 + i] = (double)side->slow[i];
    return cJSON_CreateDoubleArray(numbers, (int)NUMBERS);
}

static bool add_side(cJSON *json, const char *name, const struct judge_side *side)
{
    cJSON *item = write_side(side);
    return item && cJSON_AddItemToObject(json, name, item);
}

static bool write_source(cJSON *json, const struct source *s)
{
    return cJSON_AddStringToObject(json, "stable", s->stable_name) &&
           cJSON_AddStringToObject(json, "canary", s->canary_name) &&
           add_side(json, "stable_counts", &s->stable) &&
           add_side(json, "canary_counts", &s->canary) &&
           add_side(json, "stable_mirrored", &s->mirrored.stable) &&
           add_side(json, "canary_mirrored", &s->mirrored.canary);
}

/* The oldest sample first. */
static bool write_baseline(cJSON *json, const struct source_baseline *b)
{
    bool is_good = cJSON_AddStringToObject(json, "baseline", b->name) &&
                   cJSON_AddNumberToObject(json, "next_ms", (double)b->next_ms);
    cJSON *list = is_good ? cJSON_AddArrayToObject(json, "samples") : NULL;
    size_t oldest = b->n < SOURCE_SAMPLES ? 0 : (b->newest + 1) % SOURCE_SAMPLES;
    for (size_t i = 0; list && i < b->n; i++) {
        cJSON *item = write_side(&b->samples[(oldest + i) % SOURCE_SAMPLES]);
        if (!item || !cJSON_AddItemToArray(list, item))
            return false;
    }
    return list != NULL;
}

cJSON *rollout_carry(const struct rollout *r)
{
    cJSON *json = cJSON_CreateObject();
    if (json && write_source(json, &r->source) && write_baseline(json, &r->source.baseline))
        return json;
    cJSON_Delete(json);
    return NULL;
}

/* --- reading --- */

bool carry_read_number(const cJSON *item, double most, uint64_t *value)
{
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0) || !(item->valuedouble <= most))
        return false;
    *value = (uint64_t)item->valuedouble;
    return true;
}

bool carry_read_member(const cJSON *json, const char *name, double most, uint64_t *value)
{
    return carry_read_number(cJSON_GetObjectItemCaseSensitive(json, name), most, value);
}

static bool read_name(const cJSON *json, const char *name, char to[RECORD_NAME_MAX])
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);
    if (!cJSON_IsString(item) || strlen(item->valuestring) >= RECORD_NAME_MAX)
        return false;
    memset(to, 0, RECORD_NAME_MAX);
    memcpy(to, item->valuestring, strlen(item->valuestring));
    return true;
}

static bool read_side(const cJSON *list, struct judge_side *side)
{
    uint64_t numbers[NUMBERS];
    const cJSON *item;
    int n = 0;
    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) != (int)NUMBERS)
        return false;
    cJSON_ArrayForEach(
        item, list) if (!carry_read_number(item, CARRY_NUMBER_MAX, &numbers[n++])) return false;
    *side = (struct judge_side){.requests = numbers[0],
                                .failed = numbers[1],
                                .client_errors = numbers[2],
                                .key_requests = numbers[3],
                                .key_failed = numbers[4]};
    memcpy(side->slow, numbers + 5, sizeof side->slow);
    *side = counts_cut(side);
    return true;
}

static bool read_named_side(const cJSON *json, const char *name, struct judge_side *side)
{
    return read_side(cJSON_GetObjectItemCaseSensitive(json, name), side);
}

static bool read_source(const cJSON *json, struct source *s)
{
    return read_name(json, "stable", s->stable_name) && read_name(json, "canary", s->canary_name) &&
           read_named_side(json, "stable_counts", &s->stable) &&
           read_named_side(json, "canary_counts", &s->canary) &&
           read_named_side(json, "stable_mirrored", &s->mirrored.stable) &&
           read_named_side(json, "canary_mirrored", &s->mirrored.canary);
}

static bool read_baseline(const cJSON *json, struct source_baseline *b)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(json, "samples"), *item;
    uint64_t next_ms;
    *b = (struct source_baseline){.n = 0};
    if (!read_name(json, "baseline", b->name) ||
        !carry_read_member(json, "next_ms", CARRY_NUMBER_MAX, &next_ms) || !cJSON_IsArray(list) ||
        cJSON_GetArraySize(list) > SOURCE_SAMPLES)
        return false;
    b->next_ms = (int64_t)next_ms;
    cJSON_ArrayForEach(item, list) if (!read_side(item, &b->samples[b->n++])) return false;
    b->newest = b->n ? b->n - 1 : 0;
    return true;
}

enum err rollout_take_carried(struct rollout *r, const cJSON *json, struct why *why)
{
    struct source source = r->source;
    if (!read_source(json, &source))
        return why_set(why, ERR_INVALID, "route %s: the counts are not what serin hands over",
                       r->record.route);
    if (!read_baseline(json, &source.baseline))
        return why_set(why, ERR_INVALID,
                       "route %s: the last ten minutes are not what serin hands over",
                       r->record.route);
    int64_t now_ms = r->ports.monotonic_ms(r->ports.host);
    if (source.baseline.next_ms > now_ms + SOURCE_SAMPLE_MS) /* of another clock */
        source.baseline.next_ms = now_ms;
    r->source = source;
    return OK;
}
