/* Reads one line of the protocol, feeds the judge, writes one line.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/decide/judge_protocol.h"
#include "rollout/decide/judge_config.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

/* Times in milliseconds stay exact and far from overflow. */
#define TIME_MAX_S 1e12

void judge_protocol_init(struct judge_protocol *p, const struct judge_settings *base)
{
    memset(p, 0, sizeof *p);
    p->has_base = base != NULL;
    if (base)
        p->base = *base;
}

static const cJSON *member(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

/* A number within bounds; absent only where a default is given (not NaN). */
static enum err read_number(const cJSON *object, const char *name, double fallback, double most,
                            double *value, struct why *why)
{
    const cJSON *item = member(object, name);
    *value = item ? item->valuedouble : fallback;
    if (!item && !isnan(fallback))
        return OK;
    if (!cJSON_IsNumber(item) || !(*value >= 0 && *value <= most))
        return why_set(why, ERR_INVALID, "%s: expected a number from 0 to %g", name, most);
    return OK;
}

static enum err read_count(const cJSON *item, const char *name, uint64_t *count, struct why *why)
{
    double value = cJSON_IsNumber(item) ? item->valuedouble : -1;
    if (!(value >= 0 && value <= (double)JUDGE_COUNT_MAX) || value != floor(value))
        return why_set(why, ERR_INVALID, "%s: expected a whole number from 0 to 2^53", name);
    *count = (uint64_t)value;
    return OK;
}

static enum err read_slow(const cJSON *lat, struct judge_side *side, struct why *why)
{
    if (!cJSON_IsArray(lat) || cJSON_GetArraySize(lat) > JUDGE_LATENCY_MAX)
        return why_set(why, ERR_INVALID, "lat: expected an array of up to %d counts",
                       JUDGE_LATENCY_MAX);
    const cJSON *item;
    size_t i = 0;
    cJSON_ArrayForEach(item, lat)
    {
        enum err e = read_count(item, "lat", &side->slow[i++], why);
        if (e)
            return e;
    }
    return OK;
}

static enum err read_side(const cJSON *object, bool sticky, struct judge_side *side,
                          struct why *why)
{
    const struct {
        const char *name;
        uint64_t *count;
        bool needed;
    } counts[] = {
        {"req", &side->requests, true},      {"bad", &side->failed, true},
        {"c4", &side->client_errors, false}, {"ureq", &side->key_requests, sticky},
        {"ubad", &side->key_failed, sticky},
    };
    *side = (struct judge_side){0};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        const cJSON *item = member(object, counts[i].name);
        enum err e =
            item || counts[i].needed ? read_count(item, counts[i].name, counts[i].count, why) : OK;
        if (e)
            return e;
    }
    const cJSON *lat = member(object, "lat");
    return lat ? read_slow(lat, side, why) : OK;
}

static enum err read_baseline(const cJSON *object, struct judge_baseline *baseline, struct why *why)
{
    *baseline = (struct judge_baseline){0};
    if (!object || cJSON_IsNull(object))
        return OK;
    enum err e = read_count(member(object, "req"), "baseline.req", &baseline->requests, why);
    return e ? e : read_count(member(object, "bad"), "baseline.bad", &baseline->failed, why);
}

enum err judge_protocol_start(struct judge_protocol *p, const cJSON *m, const cJSON *config,
                              struct why *why)
{
    struct judge_settings settings;
    struct judge_baseline baseline;
    double tick_s;
    const cJSON *sticky = member(m, "sticky");
    if (sticky && !cJSON_IsBool(sticky))
        return why_set(why, ERR_INVALID, "sticky: expected true or false");
    enum err e = judge_config_read(&settings, p->has_base ? &p->base : NULL, member(m, "stages"),
                                   config, why);
    if (!e)
        e = read_baseline(member(m, "baseline"), &baseline, why);
    if (!e)
        e = read_number(m, "tick_s", 1, 1e6, &tick_s, why);
    if (e)
        return e;
    judge_start(&p->judge, &settings, cJSON_IsTrue(sticky), &baseline);
    p->tick_s = tick_s;
    p->started = true;
    return OK;
}

static enum err start(struct judge_protocol *p, const cJSON *m, char *reply, struct why *why)
{
    enum err e = judge_protocol_start(p, m, member(m, "config"), why);
    if (!e)
        (void)snprintf(reply, JUDGE_REPLY_MAX, "{\"ok\":true}");
    return e;
}

enum err judge_protocol_tick(const struct judge_protocol *p, const cJSON *m,
                             struct judge_input *input, struct why *why)
{
    const struct judge_settings *settings = &p->judge.settings;
    double t, stage, stage_t, weight;
    enum err e = read_number(m, "t", NAN, TIME_MAX_S, &t, why);
    if (!e)
        e = read_number(m, "stage_t", NAN, TIME_MAX_S, &stage_t, why);
    if (!e)
        e = read_number(m, "stage", NAN, (double)settings->n_stages - 1, &stage, why);
    if (e)
        return e;
    if (stage != floor(stage))
        return why_set(why, ERR_INVALID, "stage: expected a whole number");
    *input = (struct judge_input){.t_ms = llround(t * 1000),
                                  .stage_t_ms = llround(stage_t * 1000),
                                  .elapsed_s = p->tick_s,
                                  .stage = (unsigned)stage};
    e = read_number(m, "weight", settings->stages[input->stage].weight_bp / 100.0, 100, &weight,
                    why);
    if (!e)
        e = read_side(member(m, "s"), p->judge.sticky, &input->stable, why);
    if (!e)
        e = read_side(member(m, "c"), p->judge.sticky, &input->canary, why);
    input->latency_known = member(member(m, "s"), "lat") && member(member(m, "c"), "lat");
    input->weight_bp = e ? 0 : (uint32_t)lround(weight * 100);
    return e;
}

static enum err print_decision(const struct judge_decision *decision, char *reply, struct why *why)
{
    cJSON *answer = cJSON_CreateObject();
    bool printed = answer &&
                   cJSON_AddStringToObject(answer, "d", judge_verdict_name(decision->verdict)) &&
                   cJSON_AddNumberToObject(answer, "loge", decision->log_evidence) &&
                   cJSON_AddNumberToObject(answer, "logf", decision->log_safe) &&
                   cJSON_AddStringToObject(answer, "check", decision->check) &&
                   cJSON_AddStringToObject(answer, "why", decision->why) &&
                   cJSON_PrintPreallocated(answer, reply, JUDGE_REPLY_MAX, false);
    cJSON_Delete(answer);
    return printed ? OK : why_set(why, ERR_MEMORY, "out of memory");
}

static enum err tick(struct judge_protocol *p, const cJSON *m, char *reply, struct why *why)
{
    struct judge_input input;
    struct judge_decision decision;
    if (!p->started)
        return why_set(why, ERR_INVALID, "op: tick before start");
    enum err e = judge_protocol_tick(p, m, &input, why);
    if (e)
        return e;
    judge_tick(&p->judge, &input, &decision);
    return print_decision(&decision, reply, why);
}

static enum err dispatch(struct judge_protocol *p, const cJSON *m, char *reply, struct why *why)
{
    const cJSON *op = member(m, "op");
    const char *name = cJSON_IsString(op) ? op->valuestring : "";
    if (strcmp(name, "start") == 0)
        return start(p, m, reply, why);
    if (strcmp(name, "tick") == 0)
        return tick(p, m, reply, why);
    if (strcmp(name, "end") == 0) {
        p->started = false;
        return OK;
    }
    return why_set(why, ERR_INVALID, "op: expected start, tick or end");
}

static bool is_blank(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\r'))
        at++;
    return at == end;
}

enum err judge_protocol_line(struct judge_protocol *p, struct slice line,
                             char reply[JUDGE_REPLY_MAX], struct why *why)
{
    const char *end = NULL;
    reply[0] = '\0';
    cJSON *m = cJSON_ParseWithLengthOpts(line.at, line.len, &end, false);
    enum err e = OK;
    if (!m || !cJSON_IsObject(m) || !is_blank(end, line.at + line.len))
        e = why_set(why, ERR_INVALID, "not one JSON object");
    else
        e = dispatch(p, m, reply, why);
    cJSON_Delete(m);
    if (e)
        reply[0] = '\0';
    return e;
}
