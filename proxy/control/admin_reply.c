/* Answers of the admin port: JSON, text and errors, each with the same guarding fields.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/admin_reply.h"
#include "rollout/decide/fields.h"

#include <cjson/cJSON.h>
#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <string.h>

static const char *reason_phrase(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 409:
        return "Conflict";
    case 503:
        return "Service Unavailable";
    default:
        return "Internal Server Error";
    }
}

void admin_reply_guard_with(struct evhttp_request *req, const char *content_type, const char *cache,
                            const char *policy)
{
    const char *const fields[][2] = {
        {"Content-Type", content_type},
        {"Cache-Control", cache},
        {"Content-Security-Policy", policy},
        {"X-Content-Type-Options", "nosniff"},
        {"X-Frame-Options", "DENY"},
        {"Referrer-Policy", "no-referrer"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
    };
    struct evkeyvalq *headers = evhttp_request_get_output_headers(req);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        (void)evhttp_add_header(headers, fields[i][0], fields[i][1]);
}

void admin_reply_guard(struct evhttp_request *req, const char *content_type)
{
    admin_reply_guard_with(
        req, content_type, "no-store",
        "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'");
}

void admin_reply_text(struct evhttp_request *req, int status, const char *content_type,
                      struct evbuffer *body)
{
    admin_reply_guard(req, content_type);
    evhttp_send_reply(req, status, reason_phrase(status), body);
}

static void free_printed(const void *data, size_t len, void *arg)
{
    (void)data, (void)len;
    cJSON_free(arg);
}

void admin_reply_json(struct evhttp_request *req, int status, struct cJSON *json)
{
    struct evbuffer *body = evbuffer_new();
    char *text = json ? cJSON_PrintUnformatted(json) : NULL;
    cJSON_Delete(json);
    if (!body || !text || evbuffer_add_reference(body, text, strlen(text), free_printed, text)) {
        cJSON_free(text);
        evhttp_send_error(req, HTTP_INTERNAL, NULL);
    } else {
        evbuffer_add(body, "\n", 1);
        admin_reply_text(req, status, "application/json", body);
    }
    if (body)
        evbuffer_free(body);
}

void admin_reply_error(struct evhttp_request *req, int status, const char *code, const char *fmt,
                       ...)
{
    struct why message;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(message.text, sizeof message.text, fmt, ap);
    va_end(ap);
    admin_reply_errors(req, status, code, message.text, NULL);
}

void admin_reply_errors(struct evhttp_request *req, int status, const char *code,
                        const char *message, struct cJSON *errors)
{
    cJSON *json = cJSON_CreateObject();
    cJSON *error = cJSON_AddObjectToObject(json, "error");
    (void)cJSON_AddStringToObject(error, "code", code);
    (void)cJSON_AddStringToObject(error, "message", message);
    if (cJSON_GetArraySize(errors) > 0)
        (void)fields_lend(error, "errors", errors);
    admin_reply_json(req, status, json);
}
