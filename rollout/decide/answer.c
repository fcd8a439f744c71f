/* What others answered, as a verdict.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/decide/answer.h"

#include "base/check.h"
#include <cjson/cJSON.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_LONGEST 8 /* of what stands behind a "$" */

const char *answer_verdict_name(enum answer_verdict verdict)
{
    static const char *const names[ANSWER_VERDICT_COUNT] = {"PASS", "INCONCLUSIVE", "NO_DATA",
                                                            "ERROR", "FAIL"};
    CHECK((unsigned)verdict < ANSWER_VERDICT_COUNT);
    return names[verdict];
}

const char *answer_moment_name(enum outside_moment moment)
{
    static const char *const names[] = {"before_start", "before_step", "before_promote",
                                        "after_end", "event"};
    CHECK((unsigned)moment < ARRAY_LEN(names));
    return names[moment];
}

static void say(struct answer *a, enum answer_verdict verdict, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void say(struct answer *a, enum answer_verdict verdict, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(a->why, sizeof a->why, fmt, ap);
    va_end(ap);
    a->verdict = verdict;
}

static const cJSON *member(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

static const char *string_of(const cJSON *item)
{
    return cJSON_IsString(item) ? item->valuestring : "";
}

/* [time, "value"] as Prometheus writes a sample. False: it is none. */
static bool read_sample(const cJSON *sample, double *value)
{
    const char *text = string_of(cJSON_GetArrayItem(sample, 1));
    char *end;
    if (cJSON_GetArraySize(sample) != 2 || text[0] == '\0')
        return false;
    *value = strtod(text, &end);
    return *end == '\0';
}

static void judge_value(struct answer *a, const struct outside_check *check)
{
    double min = check->min ? strtod(check->min, NULL) : -INFINITY;
    double max = check->max ? strtod(check->max, NULL) : INFINITY;
    if (isnan(a->value))
        say(a, ANSWER_NO_DATA, "the value is not a number");
    else if (a->value < min)
        say(a, ANSWER_FAIL, "%g is below %s", a->value, check->min);
    else if (a->value > max)
        say(a, ANSWER_FAIL, "%g is above %s", a->value, check->max);
    else
        say(a, ANSWER_PASS, "%g is good", a->value);
}

static void judge_result(struct answer *a, const struct outside_check *check, const cJSON *data)
{
    const cJSON *result = member(data, "result");
    const char *type = string_of(member(data, "resultType"));
    bool is_vector = strcmp(type, "vector") == 0;
    if (!cJSON_IsArray(result) || (!is_vector && strcmp(type, "scalar") != 0))
        say(a, ANSWER_ERROR,
            "the answer is not one value but a %.40s (expected a vector or scalar)",
            type[0] ? type : "result of no type");
    else if (is_vector && cJSON_GetArraySize(result) == 0)
        say(a, ANSWER_NO_DATA, "the query found nothing");
    else if (is_vector && cJSON_GetArraySize(result) > 1)
        say(a, ANSWER_ERROR, "the query found %d series (expected one)",
            cJSON_GetArraySize(result));
    else if (!read_sample(is_vector ? member(result->child, "value") : result, &a->value))
        say(a, ANSWER_ERROR, "the answer's value cannot be read");
    else
        judge_value(a, check);
}

void answer_of_query(struct answer *a, const struct outside_check *check, unsigned status,
                     const char *error, struct slice body)
{
    *a = (struct answer){.value = NAN};
    if (status == 0) {
        say(a, ANSWER_ERROR, "no answer: %s", error);
        return;
    }
    cJSON *json = cJSON_ParseWithLength(body.at, body.len);
    const char *said = string_of(member(json, "error"));
    if (status != 200 || strcmp(string_of(member(json, "status")), "success") != 0)
        say(a, ANSWER_ERROR, "it answered %u%s%.120s", status, said[0] ? ": " : "", said);
    else
        judge_result(a, check, member(json, "data"));
    cJSON_Delete(json);
}

/* What a body says beyond its status. False: nothing of the kind. */
static bool read_verdict(struct answer *a, struct slice body)
{
    static const struct {
        const char *word;
        enum answer_verdict verdict;
    } words[] = {{"pass", ANSWER_PASS},
                 {"fail", ANSWER_FAIL},
                 {"inconclusive", ANSWER_INCONCLUSIVE},
                 {"no_data", ANSWER_NO_DATA}};
    cJSON *json = cJSON_ParseWithLength(body.at, body.len);
    const char *word = string_of(member(json, "verdict")), *why = string_of(member(json, "why"));
    bool found = false;
    for (size_t i = 0; i < ARRAY_LEN(words) && !found; i++) {
        found = strcmp(word, words[i].word) == 0;
        if (found)
            say(a, words[i].verdict, "it says %s%s%.120s", word, why[0] ? ": " : "", why);
    }
    cJSON_Delete(json);
    return found;
}

static bool is_success(unsigned status)
{
    return status >= 200 && status < 300;
}

static bool is_own_trouble(unsigned status)
{
    return status == 429 || status >= 500;
}

void answer_of_webhook(struct answer *a, unsigned status, const char *error, struct slice body)
{
    *a = (struct answer){.value = NAN};
    if (status == 0)
        say(a, ANSWER_ERROR, "no answer: %s", error);
    else if (is_own_trouble(status))
        say(a, ANSWER_ERROR, "it answered %u", status);
    else if (!is_success(status))
        say(a, ANSWER_FAIL, "it answered %u", status);
    else if (!read_verdict(a, body))
        say(a, ANSWER_PASS, "it answered %u", status);
}

enum answer_gate answer_of_gate(unsigned status, const char *error, char why[ANSWER_WHY_MAX])
{
    if (status == 0)
        (void)snprintf(why, ANSWER_WHY_MAX, "no answer: %.150s", error);
    else
        (void)snprintf(why, ANSWER_WHY_MAX, "it answered %u", status);
    if (status == 0 || is_own_trouble(status))
        return ANSWER_GATE_AGAIN;
    return is_success(status) ? ANSWER_GATE_OPEN : ANSWER_GATE_CLOSED;
}

/* A text that grows up to its room. */
struct url {
    char *at, *end;
    bool is_cut;
};

static void put(struct url *u, char c)
{
    if (u->end - u->at > 1)
        *u->at++ = c;
    else
        u->is_cut = true;
}

static void put_text(struct url *u, const char *text)
{
    while (*text)
        put(u, *text++);
}

/* RFC 3986 section 2.1: everything but the unreserved characters. */
static void put_encoded(struct url *u, struct slice s)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.len; i++) {
        char c = s.at[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '.' || c == '_' || c == '~';
        if (plain) {
            put(u, c);
        } else {
            put(u, '%');
            put(u, hex[(unsigned char)c >> 4]);
            put(u, hex[(unsigned char)c & 15]);
        }
    }
}

/* The name behind a "$" that is filled in, or NULL; *len: how long it is. */
static const char *find_name(const char *at, const struct answer_names *names, size_t *len)
{
    const struct {
        const char *name, *value;
    } known[] = {{"route", names->route}, {"stable", names->stable}, {"canary", names->canary}};
    char word[NAME_LONGEST + 1] = "";
    for (*len = 0; *len < NAME_LONGEST && ((at[*len] >= 'a' && at[*len] <= 'z') || at[*len] == '_');
         ++*len)
        word[*len] = at[*len];
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (strcmp(word, known[i].name) == 0)
            return known[i].value;
    return NULL;
}

bool answer_query_url(const struct outside_check *check, const struct answer_names *names,
                      char url[ANSWER_URL_MAX])
{
    struct url u = {url, url + ANSWER_URL_MAX, false};
    size_t base = strlen(check->url), len;
    while (base > 0 && check->url[base - 1] == '/')
        base--;
    for (size_t i = 0; i < base; i++)
        put(&u, check->url[i]);
    put_text(&u, "/api/v1/query?query=");
    for (const char *at = check->query; *at;) {
        const char *value = *at == '$' ? find_name(at + 1, names, &len) : NULL;
        put_encoded(&u, value ? slice_str(value) : slice_of(at, 1));
        at += value ? len + 1 : 1;
    }
    *u.at = '\0';
    return !u.is_cut;
}
