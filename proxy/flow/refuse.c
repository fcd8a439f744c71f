/* Answers to what never becomes a request.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/flow/refuse.h"

#include "base/log.h"
#include "proxy/flow/access.h"
#include "proxy/flow/ids.h"
#include "proxy/flow/reply.h"

const char *refuse_word(enum metric_client_error e)
{
    switch (e) { /* some of a version's errors have the same names */
    case CLIENT_ERROR_TIMEOUT:
        return "client_timeout";
    case CLIENT_ERROR_ABORTED:
        return "client_aborted";
    case CLIENT_ERROR_SLOW:
        return "client_slow";
    default:
        return metric_client_error_text(e);
    }
}

/* Counts it, and returns the word for it. */
static const char *count(struct client *c, unsigned status)
{
    if (status == 503)
        return REFUSE_NO_MEMORY;
    enum metric_client_error e = status == 408 ? CLIENT_ERROR_TIMEOUT : CLIENT_ERROR_BAD_REQUEST;
    cell_add(&c->flow->cells->client_errors[e], 1);
    return refuse_word(e);
}

static void answer(struct client *c, struct reply *reply)
{
    const char *why = count(c, reply->status);
    enum stream_result sent = reply_send(c, reply);
    if (access_is_on(c->flow))
        access_refused(c, reply->status, reply->body_bytes, reply->request_id, why);
    if (sent == STREAM_FAILED)
        client_abort(c, false);
    else
        client_response_done(c, CLIENT_NEXT_LINGER);
}

void refuse_client(struct client *c, unsigned status, const char *text)
{
    char id[ID_CHARS];
    id_make(c->flow, id);
    struct reply reply = {
        .status = status, .minor = 1, .request_id = slice_of(id, sizeof id), .why = text};
    answer(c, &reply);
}

void refuse_head(struct client *c, unsigned status)
{
    char id[ID_CHARS];
    const char *fault = c->flow->head.fault;
    id_make(c->flow, id);
    log_debug("bad_request", "client=%.*s status=%u request_id=%.*s why=\"%s\"",
              SLICE_ARG(client_peer(c)), status, (int)sizeof id, id, fault ? fault : "");
    struct reply reply = {.status = status, .minor = 1, .request_id = slice_of(id, sizeof id)};
    answer(c, &reply);
}
