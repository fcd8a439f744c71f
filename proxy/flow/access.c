/* What the access log says of a request.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/flow/access.h"

#include "proxy/upstream/pick.h"
#include "proxy/wire/time.h"

/* The line of a tunnel and all that it borrows, in one block. */
struct access_tunnel {
    struct access_line line;
    enum access_format format;
    int64_t start_us, attempt_us;
    char *end; /* of what text holds */
    char text[];
};

static void write_line(struct flow *f, enum access_format format, struct access_line *line)
{
    char text[ACCESS_LINE_MAX];
    line->wall_ms = time_wall_ms();
    size_t len = format == ACCESS_JSON ? access_json(line, text) : access_combined(line, text);
    access_ring_put(f->access, text, len);
}

/* A copy in the request's arena of as much as a line may have. */
static struct slice keep(struct exchange *x, struct slice s, size_t most)
{
    if (s.len == 0)
        return s;
    return arena_copy(&x->arena, slice_of(s.at, s.len < most ? s.len : most));
}

void access_note(struct exchange *x, const char *buf)
{
    const struct head *head = &x->flow->head;
    struct slice referer = {NULL, 0}, agent = {NULL, 0};
    bool had_memory = !x->arena.failed; /* what is short here is not missed by the request */
    (void)head_find_name(head, buf, SLICE("referer"), &referer);
    (void)head_find_name(head, buf, SLICE("user-agent"), &agent);
    struct slice request = slice_of(buf + head->method_text.at,
                                    head->target.at + head->target.len - head->method_text.at);
    struct access_line *line = arena_alloc(&x->arena, sizeof *line);
    if (line)
        *line = (struct access_line){.request = keep(x, request, ACCESS_REQUEST_MAX),
                                     .referer = keep(x, referer, ACCESS_REFERER_MAX),
                                     .user_agent = keep(x, agent, ACCESS_AGENT_MAX)};
    if (!line)
        access_ring_drop(x->flow->access);
    if (had_memory)
        x->arena.failed = false;
    x->access = line;
}

/* What the exchange knows by now, but for its end. */
static void fill(const struct exchange *x, struct access_line *line)
{
    const struct attempt *a = &x->attempt;
    line->client = client_peer(x->client);
    line->minor = x->minor;
    line->status = x->status;
    line->bytes = x->body_sent;
    line->route = x->route ? x->route->conf->name : NULL;
    line->upstream_us = ACCESS_NO_TIME;
    line->total_us = x->flow->now_us - x->start_us;
    line->retries = x->tries;
    line->request_id = x->request_id;
    line->why = x->why;
    if (!a->variant)
        return;
    line->version = a->variant->name;
    line->role = metric_role_text(a->variant->role);
    line->assigned = metric_assigned_text(x->assigned);
    if (!a->cells || a->endpoint == PICK_NONE)
        return;
    line->upstream = a->variant->endpoints[a->endpoint].text;
    line->upstream_us = x->flow->now_us - a->start_us;
}

void access_end(struct exchange *x, enum exchange_end end)
{
    if (end == END_UPGRADED)
        return; /* the tunnel writes it */
    fill(x, x->access);
    if (end == END_CLIENT_GONE && !x->head_down)
        x->access->status = STATUS_CLIENT_GONE;
    write_line(x->flow, x->world->snapshot->config->log.access, x->access);
}

void access_refused(struct client *c, unsigned status, uint64_t bytes, struct slice request_id,
                    const char *why)
{
    struct access_line line = {.client = client_peer(c),
                               .status = status,
                               .bytes = bytes,
                               .upstream_us = ACCESS_NO_TIME,
                               .total_us = ACCESS_NO_TIME,
                               .request_id = request_id,
                               .why = why};
    write_line(c->flow, c->flow->world->snapshot->config->log.access, &line);
}

/* ---- tunnels ---- */

static struct slice move(struct access_tunnel *t, struct slice s)
{
    char *at = t->end;
    if (s.len)
        memcpy(at, s.at, s.len);
    t->end += s.len;
    return slice_of(at, s.len);
}

struct access_tunnel *access_tunnel_new(struct exchange *x)
{
    if (!x->access)
        return NULL;
    struct access_line line = *x->access;
    fill(x, &line);
    struct slice upstream = slice_of(line.upstream, strlen(line.upstream) + 1);
    struct access_tunnel *t =
        malloc(sizeof *t + line.client.len + line.request.len + line.referer.len +
               line.user_agent.len + line.request_id.len + upstream.len);
    if (!t) {
        access_ring_drop(x->flow->access);
        return NULL;
    }
    *t = (struct access_tunnel){.line = line,
                                .format = x->world->snapshot->config->log.access,
                                .start_us = x->start_us,
                                .attempt_us = x->attempt.start_us,
                                .end = t->text};
    t->line.client = move(t, line.client);
    t->line.request = move(t, line.request);
    t->line.referer = move(t, line.referer);
    t->line.user_agent = move(t, line.user_agent);
    t->line.request_id = move(t, line.request_id);
    t->line.upstream = move(t, upstream).at;
    /* the names outlive the snapshot only as labels */
    t->line.route = x->route->metrics->route;
    t->line.version = x->attempt.variant->metrics->version;
    return t;
}

void access_tunnel_end(struct access_tunnel *t, struct flow *f, uint64_t bytes, const char *why)
{
    if (!t)
        return;
    t->line.bytes = bytes;
    t->line.why = why;
    t->line.upstream_us = f->now_us - t->attempt_us;
    t->line.total_us = f->now_us - t->start_us;
    write_line(f, t->format, &t->line);
    free(t);
}
