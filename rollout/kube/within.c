/* A manifest beside the object that the API server made of it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/kube/within.h"

#include "base/check.h"
#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A Go server leaves such a member out. */
static bool is_empty(const cJSON *json)
{
    if (cJSON_IsObject(json) || cJSON_IsArray(json))
        return !json->child;
    return cJSON_IsNull(json) || cJSON_IsFalse(json) ||
           (cJSON_IsNumber(json) && json->valuedouble == 0) ||
           (cJSON_IsString(json) && json->valuestring[0] == '\0');
}

/* A number with one of Kubernetes' suffixes. NAN: it is none. */
static double quantity_of(const cJSON *json)
{
    static const struct {
        const char *suffix;
        double times;
    } units[] = {{"", 1},        {"m", 1e-3},    {"u", 1e-6},    {"n", 1e-9},
                 {"k", 1e3},     {"M", 1e6},     {"G", 1e9},     {"T", 1e12},
                 {"P", 1e15},    {"E", 1e18},    {"Ki", 0x1p10}, {"Mi", 0x1p20},
                 {"Gi", 0x1p30}, {"Ti", 0x1p40}, {"Pi", 0x1p50}, {"Ei", 0x1p60}};
    if (cJSON_IsNumber(json))
        return json->valuedouble;
    const char *text = cJSON_GetStringValue(json);
    size_t len = text ? strspn(text, "0123456789.+-") : 0;
    if (len == 0)
        return NAN;
    char *end = NULL;
    double value = strtod(text, &end);
    for (size_t i = 0; end > text && i < ARRAY_LEN(units); i++)
        if (strcmp(end, units[i].suffix) == 0)
            return value * units[i].times;
    return NAN;
}

static bool is_same_value(const cJSON *mine, const cJSON *its)
{
    if (cJSON_Compare(mine, its, true))
        return true;
    double a = quantity_of(mine), b = quantity_of(its);
    return fabs(a - b) <= 1e-9 * fabs(a); /* NAN: false */
}

static bool is_list_within(const cJSON *manifest, const cJSON *object)
{
    const cJSON *mine = manifest->child, *its = object->child;
    for (; mine && its; mine = mine->next, its = its->next)
        if (!kube_is_within(mine, its))
            return false;
    return !mine && !its;
}

bool kube_is_within(const cJSON *manifest, const cJSON *object)
{
    if (!object || cJSON_IsNull(object))
        return is_empty(manifest);
    if (cJSON_IsNull(manifest))
        return true;
    if (!cJSON_IsObject(manifest) && !cJSON_IsArray(manifest))
        return is_same_value(manifest, object);
    if ((manifest->type & 0xff) != (object->type & 0xff))
        return false;
    if (cJSON_IsArray(manifest))
        return is_list_within(manifest, object);
    const cJSON *member;
    cJSON_ArrayForEach(member, manifest)
    {
        if (!kube_is_within(member, cJSON_GetObjectItemCaseSensitive(object, member->string)))
            return false;
    }
    return true;
}
