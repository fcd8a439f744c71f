/* What two processes say to each other while one hands over to the other.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/handover_message.h"

#include "base/check.h"
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_MAX  1e15  /* whole numbers up to it are written exactly: cJSON prints 15 digits */
#define WEIGHT_MAX 10000 /* basis points */

static const char *const kinds[HANDOVER_KINDS] = {
    [HANDOVER_READY] = "ready",  [HANDOVER_REFUSED] = "refused", [HANDOVER_SOCKET] = "socket",
    [HANDOVER_OLDER] = "older",  [HANDOVER_TICKETS] = "tickets", [HANDOVER_ROUTE] = "route",
    [HANDOVER_GO] = "go",        [HANDOVER_SERVING] = "serving", [HANDOVER_SPLIT] = "split",
    [HANDOVER_GAINED] = "gained"};

const char *handover_kind_text(enum handover_kind kind)
{
    return (unsigned)kind < HANDOVER_KINDS ? kinds[kind] : "unknown";
}

void handover_message_fini(struct handover_message *m)
{
    free(m->wants);
    cJSON_Delete(m->state);
    m->wants = NULL;
    m->state = NULL;
}

/* --- writing --- */

/* Beyond the bound it is wrong by a little, but a message all the same. */
static bool add_number(cJSON *json, const char *name, uint64_t value)
{
    double number = value < (uint64_t)COUNT_MAX ? (double)value : COUNT_MAX;
    return cJSON_AddNumberToObject(json, name, number) != NULL;
}

static bool add_text(cJSON *json, const char *name, const char *value)
{
    return cJSON_AddStringToObject(json, name, value) != NULL;
}

static bool add_flag(cJSON *json, const char *name, bool value)
{
    return cJSON_AddBoolToObject(json, name, value) != NULL;
}

static bool write_socket(cJSON *json, const struct handover_socket *s)
{
    return add_text(json, "bind", s->bind) && add_flag(json, "admin", s->is_admin) &&
           add_flag(json, "more", s->is_more) && add_text(json, "file", s->file.path) &&
           add_number(json, "device", s->file.device) && add_number(json, "inode", s->file.inode);
}

static bool write_wants(cJSON *json, const struct handover_message *m)
{
    cJSON *list = cJSON_AddArrayToObject(json, "wants");
    bool is_good = list && add_number(json, "version", m->version);
    for (size_t i = 0; is_good && i < m->n_wants; i++) {
        cJSON *item = cJSON_CreateObject();
        is_good = item && cJSON_AddItemToArray(list, item) && write_socket(item, &m->wants[i]);
    }
    return is_good;
}

static bool write_split(cJSON *json, const struct known_split *s)
{
    return add_text(json, "stable", s->stable) && add_text(json, "canary", s->canary) &&
           add_text(json, "salt", s->salt) && add_number(json, "weight_bp", s->weight_bp) &&
           add_flag(json, "active", s->is_active);
}

/* The cells of struct judged_totals by name; the slow ones stand apart. */
static const struct count {
    const char *name;
    size_t at;
} counts[] = {{"requests", offsetof(struct judged_totals, requests)},
              {"failed", offsetof(struct judged_totals, failed)},
              {"client_errors", offsetof(struct judged_totals, client_errors)},
              {"key_requests", offsetof(struct judged_totals, key_requests)},
              {"key_failed", offsetof(struct judged_totals, key_failed)}};

static uint64_t *count_at(const struct judged_totals *t, size_t i)
{
    return (uint64_t *)(void *)((char *)(uintptr_t)t + counts[i].at);
}

static bool write_gained(cJSON *json, const struct handover_counts *c)
{
    double slow[JUDGED_QUANTILES];
    bool is_good = add_text(json, "name", c->version) &&
                   add_flag(json, "canary", c->role == ROLE_CANARY) &&
                   add_flag(json, "mirror", c->is_mirror);
    for (size_t i = 0; is_good && i < ARRAY_LEN(counts); i++)
        is_good = add_number(json, counts[i].name, *count_at(&c->judged, i));
    for (size_t q = 0; q < JUDGED_QUANTILES; q++)
        slow[q] = (double)c->judged.slow[q];
    cJSON *list = is_good ? cJSON_CreateDoubleArray(slow, JUDGED_QUANTILES) : NULL;
    return list && cJSON_AddItemToObject(json, "slow", list);
}

static bool write_body(cJSON *json, const struct handover_message *m)
{
    switch (m->kind) {
    case HANDOVER_READY:
        return write_wants(json, m);
    case HANDOVER_REFUSED:
        return add_text(json, "why", m->why);
    case HANDOVER_SOCKET:
        return write_socket(json, &m->socket);
    case HANDOVER_ROUTE:
        return add_text(json, "route", m->route) &&
               cJSON_AddItemReferenceToObject(json, "state", m->state);
    case HANDOVER_SPLIT:
        return add_text(json, "route", m->route) && write_split(json, &m->split);
    case HANDOVER_GAINED:
        return add_text(json, "route", m->route) && write_gained(json, &m->gained);
    case HANDOVER_OLDER:
    case HANDOVER_TICKETS:
    case HANDOVER_GO:
    case HANDOVER_SERVING:
    case HANDOVER_KINDS:
        break;
    }
    return true;
}

char *handover_encode(const struct handover_message *m)
{
    cJSON *json = cJSON_CreateObject();
    CHECK((unsigned)m->kind < HANDOVER_KINDS);
    bool is_good = json && add_text(json, "kind", kinds[m->kind]) && write_body(json, m);
    char *text = is_good ? cJSON_PrintUnformatted(json) : NULL;
    cJSON_Delete(json);
    return text;
}

/* --- reading: the first thing that is wrong is said, and everything after it fails --- */

struct reader {
    const cJSON *json;
    struct why *why;
    bool is_bad;
};

static void blame(struct reader *r, const char *name, const char *expected)
{
    if (!r->is_bad)
        (void)why_set(r->why, ERR_INVALID, "%s: %s expected", name, expected);
    r->is_bad = true;
}

static const cJSON *member(const struct reader *r, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(r->json, name);
}

static void read_text(struct reader *r, const char *name, char *to, size_t size)
{
    const cJSON *item = member(r, name);
    if (!cJSON_IsString(item) || strlen(item->valuestring) >= size) {
        blame(r, name, "a short enough text");
        to[0] = '\0';
        return;
    }
    (void)snprintf(to, size, "%s", item->valuestring);
}

static bool is_count(const cJSON *item, double most)
{
    return cJSON_IsNumber(item) && item->valuedouble >= 0 && item->valuedouble <= most &&
           item->valuedouble == (double)(uint64_t)item->valuedouble;
}

static uint64_t read_number(struct reader *r, const char *name, double most)
{
    const cJSON *item = member(r, name);
    if (is_count(item, most))
        return (uint64_t)item->valuedouble;
    blame(r, name, "a whole number within its bounds");
    return 0;
}

static bool read_flag(struct reader *r, const char *name)
{
    const cJSON *item = member(r, name);
    if (!cJSON_IsBool(item))
        blame(r, name, "true or false");
    return cJSON_IsTrue(item);
}

static void read_name(struct reader *r, const char *name, char to[KNOWN_NAME_MAX])
{
    read_text(r, name, to, KNOWN_NAME_MAX);
    if (to[0] == '\0')
        blame(r, name, "a name");
}

static void read_socket(struct reader *r, struct handover_socket *s)
{
    read_text(r, "bind", s->bind, sizeof s->bind);
    s->is_admin = read_flag(r, "admin");
    s->is_more = read_flag(r, "more");
    read_text(r, "file", s->file.path, sizeof s->file.path);
    s->file.device = (dev_t)read_number(r, "device", COUNT_MAX);
    s->file.inode = (ino_t)read_number(r, "inode", COUNT_MAX);
    if (s->bind[0] == '\0')
        blame(r, "bind", "an address");
}

static void read_wants(struct reader *r, struct handover_message *m)
{
    const cJSON *list = member(r, "wants"), *item;
    int n = cJSON_GetArraySize(list);
    m->version = (unsigned)read_number(r, "version", UINT32_MAX);
    if (m->version != HANDOVER_VERSION)
        return; /* what it says beyond that is not known here */
    if (!cJSON_IsArray(list) || n > (int)HANDOVER_WANTS_MAX) {
        blame(r, "wants", "a list that is not too long");
        return;
    }
    m->wants = calloc((size_t)n + 1, sizeof *m->wants);
    if (!m->wants) {
        blame(r, "wants", "enough memory");
        return;
    }
    cJSON_ArrayForEach(item, list)
    {
        struct reader one = {item, r->why, r->is_bad};
        read_socket(&one, &m->wants[m->n_wants++]);
        r->is_bad = one.is_bad;
    }
}

static void read_split(struct reader *r, struct known_split *s)
{
    read_name(r, "stable", s->stable);
    read_text(r, "canary", s->canary, sizeof s->canary);
    read_text(r, "salt", s->salt, sizeof s->salt);
    s->weight_bp = (uint32_t)read_number(r, "weight_bp", WEIGHT_MAX);
    s->is_active = read_flag(r, "active");
    if (s->canary[0] == '\0' && (s->weight_bp || s->is_active))
        blame(r, "canary", "a name, where there is a weight,");
}

static void read_gained(struct reader *r, struct handover_counts *c)
{
    const cJSON *slow = member(r, "slow");
    read_name(r, "name", c->version);
    c->role = read_flag(r, "canary") ? ROLE_CANARY : ROLE_STABLE;
    c->is_mirror = read_flag(r, "mirror");
    for (size_t i = 0; i < ARRAY_LEN(counts); i++)
        *count_at(&c->judged, i) = read_number(r, counts[i].name, COUNT_MAX);
    for (int q = 0; q < (int)JUDGED_QUANTILES; q++) {
        const cJSON *item = cJSON_GetArrayItem(slow, q);
        if (is_count(item, COUNT_MAX))
            c->judged.slow[q] = (uint64_t)item->valuedouble;
        else
            blame(r, "slow", "a count for each quantile");
    }
}

static void read_state(struct reader *r, struct handover_message *m, cJSON *whole)
{
    m->state = cJSON_DetachItemFromObjectCaseSensitive(whole, "state");
    if (!cJSON_IsObject(m->state))
        blame(r, "state", "an object");
}

static void read_body(struct reader *r, struct handover_message *m, cJSON *whole)
{
    if (m->kind == HANDOVER_ROUTE || m->kind == HANDOVER_SPLIT || m->kind == HANDOVER_GAINED)
        read_name(r, "route", m->route);
    if (m->kind == HANDOVER_READY)
        read_wants(r, m);
    else if (m->kind == HANDOVER_REFUSED)
        read_text(r, "why", m->why, sizeof m->why);
    else if (m->kind == HANDOVER_SOCKET)
        read_socket(r, &m->socket);
    else if (m->kind == HANDOVER_ROUTE)
        read_state(r, m, whole);
    else if (m->kind == HANDOVER_SPLIT)
        read_split(r, &m->split);
    else if (m->kind == HANDOVER_GAINED)
        read_gained(r, &m->gained);
}

static void read_kind(struct reader *r, struct handover_message *m)
{
    const cJSON *kind = member(r, "kind");
    unsigned i = 0;
    while (cJSON_IsString(kind) && i < HANDOVER_KINDS && strcmp(kinds[i], kind->valuestring) != 0)
        i++;
    if (!cJSON_IsString(kind) || i == HANDOVER_KINDS)
        blame(r, "kind", "one that is known");
    m->kind = (enum handover_kind)i;
}

enum err handover_decode(struct handover_message *m, const char *text, size_t len, struct why *why)
{
    *m = (struct handover_message){.kind = HANDOVER_KINDS};
    if (len > HANDOVER_BYTES_MAX)
        return why_set(why, ERR_LIMIT, "a message of %zu bytes", len);
    cJSON *json = cJSON_ParseWithLength(text, len);
    struct reader r = {json, why, false};
    if (!cJSON_IsObject(json))
        blame(&r, "message", "an object");
    else
        read_kind(&r, m);
    if (!r.is_bad)
        read_body(&r, m, json);
    cJSON_Delete(json);
    if (!r.is_bad)
        return OK;
    handover_message_fini(m);
    *m = (struct handover_message){.kind = HANDOVER_KINDS};
    return ERR_INVALID;
}
