/* Answers of the admin port: JSON, text and errors, each with the same guarding fields.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_ADMIN_REPLY_H
#define SERIN_PROXY_CONTROL_ADMIN_REPLY_H

#include "base/err.h"

struct cJSON;
struct evbuffer;
struct evhttp_request;

/* Adds the fields of every answer: no store, no sniffing, no framing, no script. */
void admin_reply_guard(struct evhttp_request *req, const char *content_type);

/* The same for an answer that a browser may keep or run: cache is its Cache-Control, policy its
 * Content-Security-Policy (CSP level 3). */
void admin_reply_guard_with(struct evhttp_request *req, const char *content_type, const char *cache,
                            const char *policy);

/* Answers with a body; drained on return. */
void admin_reply_text(struct evhttp_request *req, int status, const char *content_type,
                      struct evbuffer *body);

/* Answers with JSON and frees it. json NULL: 500, memory was short. */
void admin_reply_json(struct evhttp_request *req, int status, struct cJSON *json);

/* Answers {"error":{"code","message"}}. code: one word, lower case, part of the API. */
void admin_reply_error(struct evhttp_request *req, int status, const char *code, const char *fmt,
                       ...) PRINTF_LIKE(4, 5);

/* The same with "errors" beside the message, each of several reasons whole. errors: an array of
 * strings, borrowed; NULL or empty = none. */
void admin_reply_errors(struct evhttp_request *req, int status, const char *code,
                        const char *message, struct cJSON *errors);

#endif
