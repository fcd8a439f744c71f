/* What a request brings along that decides its version: override, sticky key. Then the guards of the canary.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/flow/assign.h"

#include "proxy/flow/ids.h"

#define STICKY_AGE_S      31536000 /* a year: longer than any rollout */
#define STICKY_COOKIE_MAX 256      /* attributes and name of an issued cookie */

static void read_override(const struct exchange *x, const char *buf, struct split_request *request)
{
    const struct config_override *conf = &x->route->conf->override;
    const struct head *head = &x->flow->head;
    struct slice value;
    if (conf->header && head_find_name(head, buf, slice_str(conf->header), &value))
        request->header = split_override_parse(value);
    if (conf->cookie && head_find_cookie(head, buf, slice_str(conf->cookie), &value))
        request->cookie = split_override_parse(value);
}

/* A new user: draws an id that the response will set as a cookie. */
static void issue_key(struct exchange *x, struct split_request *request)
{
    char *cookie = arena_alloc(&x->arena, STICKY_COOKIE_MAX);
    if (!cookie)
        return;
    char id[ID_CHARS];
    id_make(x->flow, id);
    int len = snprintf(cookie, STICKY_COOKIE_MAX,
                       "%.64s=%.*s; Path=/; Max-Age=%d; HttpOnly; SameSite=Lax",
                       x->route->conf->sticky.name, (int)ID_CHARS, id, STICKY_AGE_S);
    x->set_cookie = slice_of(cookie, (size_t)len);
    request->has_key = true;
    request->key = slice_of(memchr(cookie, '=', (size_t)len) + 1, ID_CHARS);
}

static void read_key(struct exchange *x, const char *buf, struct split_request *request)
{
    const struct config_sticky *conf = &x->route->conf->sticky;
    const struct head *head = &x->flow->head;
    switch (conf->by) {
    case STICKY_NONE:
        break;
    case STICKY_COOKIE:
        request->has_key =
            head_find_cookie(head, buf, slice_str(conf->name), &request->key) && request->key.len;
        if (!request->has_key && conf->issue)
            issue_key(x, request);
        break;
    case STICKY_HEADER:
        request->has_key =
            head_find_name(head, buf, slice_str(conf->name), &request->key) && request->key.len;
        break;
    case STICKY_CLIENT_IP:
        request->key = client_peer(x->client);
        request->has_key =
            x->client->has_address; /* not over a UNIX socket: all users would be one */
        break;
    }
}

/* The fast guard: holds with the controller stopped as well as running. Nobody who asks for the canary by name is its
 * trial: such requests do not count. */
static bool canary_may_serve(struct exchange *x)
{
    const struct route *r = x->route;
    bool is_comparable = x->assigned == ASSIGNED_WEIGHT || x->assigned == ASSIGNED_STICKY;
    if (!variant_may_serve(&r->canary))
        return false;
    if (!is_comparable)
        return !breaker_is_open(r->live->breaker, &r->conf->breaker);
    enum breaker_pass pass = breaker_ask(r->live->breaker, &r->conf->breaker, x->flow->now_us);
    x->attempt.is_trial = pass == BREAKER_TRIAL;
    return pass != BREAKER_REFUSE;
}

/* balance: hash keeps a user on an endpoint by what makes the route sticky, else by the client's address. Without
 * either the choice is a random one. */
static void note_balance_key(struct exchange *x, const char *buf, struct slice key)
{
    const struct config_sticky *conf = &x->route->conf->sticky;
    const struct head *head = &x->flow->head;
    if (key.len == 0 && conf->by == STICKY_COOKIE)
        (void)head_find_cookie(head, buf, slice_str(conf->name), &key);
    else if (key.len == 0 && conf->by == STICKY_HEADER)
        (void)head_find_name(head, buf, slice_str(conf->name), &key);
    if (key.len == 0 && x->client->has_address)
        key = client_peer(x->client);
    x->balance_hash = key.len ? hash_bytes((struct hash_salt){0, 0}, key) : flow_random(x->flow);
}

void assign_version(struct exchange *x, const char *buf)
{
    const struct route *r = x->route;
    struct split_pick pick = {false, ASSIGNED_WEIGHT, 0};
    struct split_request request = {.header = OVERRIDE_NONE, .cookie = OVERRIDE_NONE};
    if (r->split.is_active) {
        read_override(x, buf, &request);
        if (request.header == OVERRIDE_NONE && request.cookie == OVERRIDE_NONE)
            read_key(x, buf, &request);
        pick = split_pick(&r->split, x->flow->order, &request, &x->place->cursor);
    }
    if (r->conf->balance == BALANCE_HASH)
        note_balance_key(x, buf, request.has_key ? request.key : slice_of(NULL, 0));
    x->assigned = (uint8_t)pick.assigned;
    x->key_hash = pick.key_hash;
    x->attempt.is_canary = pick.canary && canary_may_serve(x);
    x->attempt.variant = x->attempt.is_canary ? &r->canary : &r->stable;
    bool is_drawn = pick.assigned == ASSIGNED_WEIGHT || pick.assigned == ASSIGNED_STICKY;
    if (__builtin_expect(r->mirror_bp != 0, 0) && is_drawn && !pick.canary)
        x->is_mirrored = mirror_chooses(x);
    if (pick.assigned == ASSIGNED_WEIGHT)
        cell_add(
            &x->attempt.variant->metrics->cells[x->flow->worker]->weighed[x->attempt.variant->role],
            1);
}
