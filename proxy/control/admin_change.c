/* Changes through the admin port: a verb on a route, or a reload, each with one audit line in the
 * log.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/admin_change.h"
#include "base/check.h"
#include "base/log.h"
#include "base/slice.h"
#include "proxy/control/admin_reply.h"

#include "rollout/decide/fields.h"
#include <cjson/cJSON.h>
#include <event2/buffer.h>
#include <event2/http.h>

/* Bounds what anyone can write into the log and the history by calling himself something. */
#define WHO_MAX 64u

struct change {
    const char *route; /* NULL = a reload, or a test of notifications */
    bool is_notify;
    const char *verb;
    bool is_full;
    char who[WHO_MAX + 1]; /* "" = not said */
    cJSON *lines;          /* of a reload: what it changed, or every error */
};

bool admin_change_is_verb(const char *verb)
{
    static const char *const verbs[] = {"start", "pause", "resume", "promote",
                                        "abort", "retry", "undo",   "reset"};
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        if (strcmp(verb, verbs[i]) == 0)
            return true;
    return false;
}

/* Shown on terminals and in histories: nothing that could pass for something else there. */
static enum err parse_who(const cJSON *item, struct change *c, struct why *why)
{
    if (!cJSON_IsString(item))
        return why_set(why, ERR_INVALID, "\"who\" is a string");
    struct slice who = slice_str(item->valuestring);
    if (who.len == 0 || who.len > WHO_MAX)
        return why_set(why, ERR_INVALID, "\"who\" has 1 to %u bytes", WHO_MAX);
    for (size_t i = 0; i < who.len; i++) {
        unsigned char byte = (unsigned char)who.at[i];
        if (byte < ' ' || byte == 0x7f || byte == '"' || byte == '\\')
            return why_set(why, ERR_INVALID,
                           "\"who\" has no control characters, quotes or backslashes");
    }
    memcpy(c->who, who.at, who.len + 1);
    return OK;
}

static enum err parse_full(const cJSON *item, struct change *c, struct why *why)
{
    if (!cJSON_IsBool(item))
        return why_set(why, ERR_INVALID, "\"full\" is true or false");
    c->is_full = cJSON_IsTrue(item);
    if (c->is_full && strcmp(c->verb, "promote") != 0)
        return why_set(why, ERR_INVALID, "\"full\" belongs to promote, not to %s", c->verb);
    return OK;
}

static enum err parse_fields(const cJSON *body, struct change *c, struct why *why)
{
    bool has_who = false, has_full = false;
    if (!cJSON_IsObject(body))
        return why_set(why, ERR_INVALID, "the body is not a JSON object");
    for (const cJSON *item = body->child; item; item = item->next) {
        enum err e;
        bool *seen = strcmp(item->string, "who") == 0    ? &has_who
                     : strcmp(item->string, "full") == 0 ? &has_full
                                                         : NULL;
        if (!seen)
            return why_set(why, ERR_INVALID, "unknown key in the body (known: who, full)");
        if (*seen)
            return why_set(why, ERR_INVALID, "\"%s\" stands twice in the body", item->string);
        *seen = true;
        e = seen == &has_who ? parse_who(item, c, why) : parse_full(item, c, why);
        if (e)
            return e;
    }
    return OK;
}

static bool is_blank(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!memchr(" \t\r\n", s.at[i], 4))
            return false;
    return true;
}

/* evhttp bounds the body; one that is empty or blank asks for nothing. */
static enum err parse_body(struct evbuffer *body, struct change *c, struct why *why)
{
    struct slice text =
        slice_of((const char *)evbuffer_pullup(body, -1), evbuffer_get_length(body));
    const char *end = NULL;
    if (is_blank(text))
        return OK;
    cJSON *json = cJSON_ParseWithLengthOpts(text.at, text.len, &end, 0);
    enum err e = OK;
    if (!json || !is_blank(slice_of(end, (size_t)(text.at + text.len - end))))
        e = why_set(why, ERR_INVALID, "the body is not JSON");
    else
        e = parse_fields(json, c, why);
    cJSON_Delete(json);
    return e;
}

static void audit(const struct change *c, enum err result, const struct why *why)
{
    struct log_quoted route, who, reason;
    log_info("admin", "verb=%s route=%s who=%s result=\"%s\" why=%s",
             c->is_full ? "promote_full" : c->verb,
             log_quote(&route, slice_str(c->route ? c->route : "-")),
             log_quote(&who, slice_str(c->who[0] ? c->who : "unknown")), err_text(result),
             log_quote(&reason, slice_str(why->text)));
}

static void reply_done(const struct admin_host *host, struct evhttp_request *req,
                       const struct change *c, const struct why *why)
{
    cJSON *json = cJSON_CreateObject();
    (void)cJSON_AddStringToObject(json, "verb", c->verb);
    if (strcmp(c->verb, "promote") == 0)
        (void)cJSON_AddBoolToObject(json, "full", c->is_full);
    if (c->route)
        (void)cJSON_AddStringToObject(json, "route", c->route);
    if (c->who[0])
        (void)cJSON_AddStringToObject(json, "who", c->who);
    (void)cJSON_AddStringToObject(json, "message", why->text);
    if (c->lines)
        (void)fields_lend(json, "changes", c->lines);
    cJSON *status = c->route ? host->route(host->host, c->route) : NULL;
    if (status && !cJSON_AddItemToObject(json, "status", status))
        cJSON_Delete(status);
    admin_reply_json(req, 200, json);
}

static void reply_refused(struct evhttp_request *req, const struct change *c, enum err e,
                          const struct why *why)
{
    const char *text = why->text[0] ? why->text : err_text(e);
    switch (e) {
    case ERR_NOT_FOUND:
        admin_reply_error(req, 404, "unknown_route", "%s", text);
        return;
    case ERR_CONFLICT:
        admin_reply_errors(req, 409, "conflict", text, c->lines);
        return;
    case ERR_INVALID:
    case ERR_UNSUPPORTED:
        admin_reply_errors(req, 400, c->route ? "bad_request" : "bad_configuration", text,
                           c->lines);
        return;
    default:
        admin_reply_error(req, 500, "internal", "%s", text);
        return;
    }
}

static void carry_out(const struct admin_host *host, struct evhttp_request *req, struct change *c)
{
    struct why why = {""};
    const char *who = NULL;
    enum err e = parse_body(evhttp_request_get_input_buffer(req), c, &why);
    if (e) {
        admin_reply_error(req, 400, "bad_request", "%s", why.text);
        return;
    }
    if (c->who[0])
        who = c->who;
    if (c->route)
        e = host->verb(host->host, c->route, c->verb, c->is_full, who, &why);
    else if (c->is_notify)
        e = host->notify(host->host, &why);
    else
        e = host->reload(host->host, c->lines, &why);
    audit(c, e, &why);
    if (e)
        reply_refused(req, c, e, &why);
    else
        reply_done(host, req, c, &why);
}

void admin_change_route(const struct admin_host *host, struct evhttp_request *req,
                        const char *route, const char *verb)
{
    struct change c = {.route = route, .verb = verb};
    carry_out(host, req, &c);
}

void admin_change_notify(const struct admin_host *host, struct evhttp_request *req)
{
    struct change c = {.verb = "notify", .is_notify = true};
    carry_out(host, req, &c);
}

void admin_change_reload(const struct admin_host *host, struct evhttp_request *req)
{
    struct change c = {.verb = "reload", .lines = cJSON_CreateArray()};
    carry_out(host, req, &c);
    cJSON_Delete(c.lines);
}
