/* The resources of the admin port: which path takes which method, under which rule, with what
 * answer.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/admin_api.h"
#include "base/check.h"
#include "base/log.h"
#include "metrics/expo.h"
#include "proxy/control/admin_change.h"
#include "proxy/control/admin_page.h"
#include "proxy/control/admin_reply.h"

#include <cjson/cJSON.h>
#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <stdlib.h>
#include <strings.h>

/* Longest route in a path; longer ones are not looked up. */
#define ROUTE_MAX 256u

enum access { ACCESS_OPEN, ACCESS_READ, ACCESS_ROUTES, ACCESS_CHANGE }; /* routes: read, too */

struct request {
    struct admin_api *api;
    struct evhttp_request *req;
    char route[ROUTE_MAX + 1]; /* "" where the path names none */
    const char *path;          /* not decoded */
    const char *action; /* behind the route: "history", "series" ... or a verb; NULL = none */
};

typedef void answer_fn(struct request *r);

/* What a path is; answer NULL = nothing. */
struct resource {
    const char *path;
    enum access access;
    answer_fn *answer;
};

static void answer_text(struct request *r, int status, const char *content_type, const char *text)
{
    struct evbuffer *body = evbuffer_new();
    if (!body || evbuffer_add(body, text, strlen(text)))
        evhttp_send_error(r->req, HTTP_INTERNAL, NULL);
    else
        admin_reply_text(r->req, status, content_type, body);
    if (body)
        evbuffer_free(body);
}

static void answer_page(struct request *r)
{
    admin_page_answer(r->req, r->path);
}

static void answer_health(struct request *r)
{
    answer_text(r, 200, "text/plain; charset=utf-8", "ok\n");
}

static void answer_ready(struct request *r)
{
    const struct admin_host *host = &r->api->host;
    bool is_ready = host->is_ready(host->host);
    answer_text(r, is_ready ? 200 : 503, "text/plain; charset=utf-8",
                is_ready ? "ready\n" : "not ready\n");
}

static const char *input_field(struct request *r, const char *name)
{
    return evhttp_find_header(evhttp_request_get_input_headers(r->req), name);
}

static void answer_metrics(struct request *r)
{
    const struct admin_host *host = &r->api->host;
    const char *accept = input_field(r, "Accept");
    enum expo_format format = expo_negotiate(slice_str(accept ? accept : ""));
    struct evbuffer *body = evbuffer_new();
    if (!body) {
        evhttp_send_error(r->req, HTTP_INTERNAL, NULL);
        return;
    }
    host->metrics(host->host, format == EXPO_OPENMETRICS, body);
    if (evbuffer_get_length(body) == 0)
        admin_reply_error(r->req, 500, "internal", "memory is short: there is no page");
    else
        admin_reply_text(r->req, 200, expo_content_type(format), body);
    evbuffer_free(body);
}

static void answer_routes(struct request *r)
{
    const struct admin_host *host = &r->api->host;
    admin_reply_json(r->req, 200, host->routes(host->host));
}

static void answer_unknown_route(struct request *r)
{
    admin_reply_error(r->req, 404, "unknown_route",
                      "there is no route \"%s\" (GET /api/v1/routes lists them)", r->route);
}

static void answer_about_route(struct request *r, cJSON *(*of)(void *host, const char *name))
{
    cJSON *json = of(r->api->host.host, r->route);
    if (json)
        admin_reply_json(r->req, 200, json);
    else
        answer_unknown_route(r);
}

static void answer_route(struct request *r)
{
    answer_about_route(r, r->api->host.route);
}

static void answer_endpoints(struct request *r)
{
    answer_about_route(r, r->api->host.endpoints);
}

static void answer_series(struct request *r)
{
    answer_about_route(r, r->api->host.series);
}

/* An object, so that it can say more one day. */
static void answer_history(struct request *r)
{
    const struct admin_host *host = &r->api->host;
    cJSON *json, *list = host->history(host->host, r->route);
    if (!list) {
        answer_unknown_route(r);
        return;
    }
    json = cJSON_CreateObject();
    if (!cJSON_AddItemToObject(json, "history", list)) {
        cJSON_Delete(list);
        cJSON_Delete(json);
        json = NULL;
    }
    admin_reply_json(r->req, 200, json);
}

static void note_request(struct request *r, bool streams)
{
    struct evhttp_connection *connection = evhttp_request_get_connection(r->req);
    admin_connections_note(&r->api->connections, evhttp_connection_get_bufferevent(connection),
                           streams);
}

static void answer_events(struct request *r)
{
    if (evhttp_request_get_command(r->req) == EVHTTP_REQ_HEAD) {
        answer_text(r, 200, "text/event-stream", "");
        return;
    }
    if (admin_events_follow(&r->api->events, r->req) == OK)
        note_request(r, true);
    else
        admin_reply_error(r->req, 503, "too_many_followers",
                          "too many clients follow the events already");
}

static void answer_verb(struct request *r)
{
    admin_change_route(&r->api->host, r->req, r->route, r->action);
}

static void answer_reload(struct request *r)
{
    admin_change_reload(&r->api->host, r->req);
}

static void answer_notify(struct request *r)
{
    admin_change_notify(&r->api->host, r->req);
}

static const struct resource fixed[] = {
    {"/healthz", ACCESS_OPEN, answer_health}, /* a kubelet has no token */
    {"/readyz", ACCESS_OPEN, answer_ready},
    {"/metrics", ACCESS_READ, answer_metrics},
    {"/api/v1/routes", ACCESS_ROUTES, answer_routes},
    {"/api/v1/events", ACCESS_READ, answer_events},
    {"/api/v1/reload", ACCESS_CHANGE, answer_reload},
    {"/api/v1/notifications/test", ACCESS_CHANGE, answer_notify},
};

static const struct resource nothing = {NULL, ACCESS_OPEN, NULL};

/* Behind /api/v1/routes/{route}/. */
static const struct resource of_route[] = {
    {"history", ACCESS_ROUTES, answer_history},
    {"endpoints", ACCESS_ROUTES, answer_endpoints},
    {"series", ACCESS_ROUTES, answer_series},
};

/* Decodes the route in a path. False: too long, empty, or with a NUL. */
static bool decode_route(struct request *r, struct slice encoded)
{
    char text[3 * ROUTE_MAX + 1];
    if (encoded.len == 0 || encoded.len >= sizeof text)
        return false;
    memcpy(text, encoded.at, encoded.len);
    text[encoded.len] = '\0';
    size_t len = 0;
    char *decoded = evhttp_uridecode(text, 0, &len);
    bool is_usable = decoded && len > 0 && len <= ROUTE_MAX && strlen(decoded) == len;
    if (is_usable)
        memcpy(r->route, decoded, len + 1);
    free(decoded);
    return is_usable;
}

/* Finds what a path is: fixed, a file of the page, or /api/v1/routes/{route}[/history|...|/verb]. The page is open, for a
 * browser has no token before it: there is nothing in it that the program's source does not say. */
static struct resource find_resource(struct request *r, const char *path)
{
    for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
        if (strcmp(path, fixed[i].path) == 0)
            return fixed[i];
    if (admin_page_has(path))
        return (struct resource){path, ACCESS_OPEN, answer_page};
    struct slice rest = slice_str(path), route, action;
    if (!slice_starts(rest, SLICE("/api/v1/routes/")))
        return nothing;
    rest = slice_of(rest.at + strlen("/api/v1/routes/"), rest.len - strlen("/api/v1/routes/"));
    bool has_action = slice_cut(rest, '/', &route, &action);
    if (!decode_route(r, route))
        return nothing;
    if (!has_action)
        return (struct resource){path, ACCESS_ROUTES, answer_route};
    r->action = action.at; /* the path's end is the action's */
    for (size_t i = 0; i < ARRAY_LEN(of_route); i++)
        if (strcmp(r->action, of_route[i].path) == 0)
            return of_route[i];
    if (admin_change_is_verb(r->action))
        return (struct resource){path, ACCESS_CHANGE, answer_verb};
    return nothing;
}

static bool takes_method(const struct resource *resource, enum evhttp_cmd_type method)
{
    if (resource->access == ACCESS_CHANGE)
        return method == EVHTTP_REQ_POST;
    return method == EVHTTP_REQ_GET || method == EVHTTP_REQ_HEAD;
}

static struct admin_claims claims_of(struct request *r)
{
    struct admin_claims claims = {
        .host = input_field(r, "Host"),
        .origin = input_field(r, "Origin"),
        .authorization = input_field(r, "Authorization"),
        .content_type = input_field(r, "Content-Type"),
    };
    const struct evkeyval *field;
    const struct evkeyvalq *fields = evhttp_request_get_input_headers(r->req);
    for (field = fields->tqh_first; field; field = field->next.tqe_next)
        claims.hosts += strcasecmp(field->key, "Host") == 0;
    return claims;
}

static void answer_refusal(struct request *r, enum admin_verdict verdict)
{
    switch (verdict) {
    case ADMIN_ALLOWED:
        break;
    case ADMIN_NO_TOKEN:
        (void)evhttp_add_header(evhttp_request_get_output_headers(r->req), "WWW-Authenticate",
                                "Bearer realm=\"serin\"");
        admin_reply_error(r->req, 401, "unauthorized",
                          input_field(r, "Authorization")
                              ? "this is not the token of this admin port"
                              : "this needs the admin token: Authorization: Bearer TOKEN");
        break;
    case ADMIN_WRONG_HOST:
        admin_reply_error(r->req, 403, "wrong_host",
                          "the Host field names none of this port's addresses");
        break;
    case ADMIN_FOREIGN_ORIGIN:
        admin_reply_error(r->req, 403, "foreign_origin",
                          "the request comes from a page of another site");
        break;
    case ADMIN_NOT_JSON:
        admin_reply_error(r->req, 400, "not_json", "the Content-Type is not application/json");
        break;
    }
}

/* What is left of a route without its rollout would look like one that has none, and that all is done; and a verb would
 * be lost. Who is told so may ask again: nothing has come of it. */
static void answer(struct request *r, const struct resource *resource)
{
    const struct admin_host *host = &r->api->host;
    bool is_for_who_acts = resource->access == ACCESS_ROUTES || resource->access == ACCESS_CHANGE;
    if (is_for_who_acts && !host->acts(host->host))
        admin_reply_error(r->req, 503, "taking_over", "another process is taking over: ask again");
    else
        resource->answer(r);
}

static void dispatch(struct request *r)
{
    struct resource resource = find_resource(r, r->path);
    enum admin_verdict verdict = ADMIN_ALLOWED;
    if (!resource.answer) {
        admin_reply_error(r->req, 404, "not_found", "nothing is here (GET / names what there is)");
        return;
    }
    if (!takes_method(&resource, evhttp_request_get_command(r->req))) {
        const char *allowed = resource.access == ACCESS_CHANGE ? "POST" : "GET, HEAD";
        (void)evhttp_add_header(evhttp_request_get_output_headers(r->req), "Allow", allowed);
        admin_reply_error(r->req, 405, "method_not_allowed", "this takes %s", allowed);
        return;
    }
    struct admin_claims claims = claims_of(r);
    if (resource.access == ACCESS_READ || resource.access == ACCESS_ROUTES)
        verdict = admin_may_read(&r->api->guard, &claims);
    if (resource.access == ACCESS_CHANGE)
        verdict = admin_may_change(&r->api->guard, &claims);
    if (verdict == ADMIN_ALLOWED) {
        answer(r, &resource);
        return;
    }
    if (resource.access == ACCESS_CHANGE)
        log_warn("admin_refused", "verb=%s reason=%s",
                 r->action ? r->action : strrchr(r->path, '/') + 1,
                 verdict == ADMIN_NO_TOKEN         ? "token"
                 : verdict == ADMIN_WRONG_HOST     ? "host"
                 : verdict == ADMIN_FOREIGN_ORIGIN ? "origin"
                                                   : "content_type");
    answer_refusal(r, verdict);
}

void admin_api_on_request(struct evhttp_request *req, void *arg)
{
    struct admin_api *api = arg;
    struct request r = {.api = api, .req = req};
    const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(req);
    const char *path = uri ? evhttp_uri_get_path(uri) : NULL;
    note_request(&r, false);
    r.path = path;
    if (path)
        dispatch(&r);
    else
        admin_reply_error(req, 400, "bad_request", "the request target has no path");
}
