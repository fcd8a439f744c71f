/* The page of the admin port: its files over HTTP, with a policy that lets in nothing else.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/admin_page.h"

#include "base/check.h"
#include "metrics/dashboard.h"
#include "proxy/control/admin_reply.h"
#include <event2/buffer.h>
#include <event2/http.h>
#include <string.h>

/* Scripts, styles and data of this port alone: none inline, none made from text, no other host. */
static const char policy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

bool admin_page_has(const char *path)
{
    return dashboard_find(path) != NULL;
}

/* Whether the browser names this very file. Weak and strong tags compare alike here. */
static bool is_known(struct evhttp_request *req, const struct dashboard_file *file)
{
    const char *tags = evhttp_find_header(evhttp_request_get_input_headers(req), "If-None-Match");
    return tags && strstr(tags, file->etag);
}

void admin_page_answer(struct evhttp_request *req, const char *path)
{
    const struct dashboard_file *file = dashboard_find(path);
    CHECK(file);
    admin_reply_guard_with(req, file->content_type, "no-cache", policy);
    (void)evhttp_add_header(evhttp_request_get_output_headers(req), "ETag", file->etag);
    if (is_known(req, file)) {
        evhttp_send_reply(req, HTTP_NOTMODIFIED, "Not Modified", NULL);
        return;
    }
    struct evbuffer *body = evbuffer_new();
    if (!body || evbuffer_add_reference(body, file->bytes, file->len, NULL, NULL))
        evhttp_send_error(req, HTTP_INTERNAL, NULL);
    else
        evhttp_send_reply(req, HTTP_OK, "OK", body);
    if (body)
        evbuffer_free(body);
}
