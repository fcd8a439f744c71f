/* Passes events of rollouts on to people.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/notify/notifier.h"

#include "base/hex.h"
#include "base/list.h"
#include "base/log.h"
#include "rollout/http.h"
#include "rollout/notify/message.h"
#include "rollout/notify/queue.h"
#include "rollout/notify/signature.h"
#include <event2/event.h>
#include <event2/util.h>
#include <stdlib.h>
#include <string.h>

#define ALERTS_PATH "/api/v2/alerts"

/* Copies of what the configuration says. */
struct conf {
    char *name, *url, *secret;
    enum notify_format format;
    uint32_t events;
    char **routes;
    size_t n_routes;
    uint32_t timeout_ms;
};

struct target {
    struct list link;
    struct notifier *notifier;
    struct conf *conf;
    struct queue queue;
    struct http_call *call; /* the first of the queue is on its way */
    struct event *again;    /* pending: the first of the queue waits for its next try */
    uint64_t counts[NOTIFIER_RESULTS];
    bool is_named; /* by the configuration that is being taken over */
};

struct notifier {
    struct notifier_setup setup;
    struct list targets;
    char *page;
    int64_t flush_from_ms; /* 0 = no stop is near */
};

static struct target *target_of(struct list *l)
{
    return CONTAINER_OF(l, struct target, link);
}

/* --- receivers --- */

static void wipe(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}

static void conf_free(struct conf *c)
{
    if (!c)
        return;
    for (size_t i = 0; c->routes && i < c->n_routes; i++)
        free(c->routes[i]);
    free(c->routes);
    free(c->name);
    wipe(c->url);
    wipe(c->secret);
    free(c);
}

/* Alertmanager is named by its address alone. */
static char *whole_url(const struct notifier_target *t)
{
    size_t len = strlen(t->url), end = strlen(ALERTS_PATH);
    bool is_whole = t->format != NOTIFY_ALERTMANAGER ||
                    (len > end && strcmp(t->url + len - end, ALERTS_PATH) == 0);
    char *url = malloc(len + end + 1);
    if (!url)
        return NULL;
    while (!is_whole && len && t->url[len - 1] == '/')
        len--;
    memcpy(url, t->url, len);
    memcpy(url + len, is_whole ? "" : ALERTS_PATH, is_whole ? 1 : end + 1);
    return url;
}

static struct conf *conf_new(const struct notifier_target *t)
{
    struct conf *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->format = t->format;
    c->events = t->events;
    c->timeout_ms = t->timeout_ms;
    c->name = strdup(t->name);
    c->url = whole_url(t);
    c->secret = t->secret ? strdup(t->secret) : NULL;
    c->routes = calloc(t->n_routes + 1, sizeof *c->routes);
    bool whole = c->name && c->url && (c->secret || !t->secret) && c->routes;
    for (; whole && c->n_routes < t->n_routes; c->n_routes++)
        whole = (c->routes[c->n_routes] = strdup(t->routes[c->n_routes])) != NULL;
    if (whole)
        return c;
    conf_free(c);
    return NULL;
}

static void give_up(struct target *t, const char *why)
{
    size_t n = t->queue.n;
    for (struct queue_item *item; (item = queue_take(&t->queue));)
        free(item);
    t->counts[NOTIFIER_DROPPED] += n;
    if (n)
        log_warn("notifications_dropped", "target=%s events=%zu why=\"%s\"", t->conf->name, n, why);
}

static void target_free(struct target *t, const char *why)
{
    http_cancel(t->call);
    if (t->conf)
        give_up(t, why);
    if (t->again)
        event_free(t->again);
    conf_free(t->conf);
    list_remove(&t->link);
    free(t);
}

static void on_again(evutil_socket_t fd, short what, void *arg);

static struct target *target_new(struct notifier *n)
{
    struct target *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->notifier = n;
    list_init(&t->link);
    queue_init(&t->queue);
    t->again = evtimer_new(n->setup.base, on_again, t);
    if (t->again)
        return t;
    free(t);
    return NULL;
}

/* --- sending --- */

static void send_first(struct target *t);

/* Counts the end of the first event, and goes on with the next. */
static void settle(struct target *t, enum notifier_result result)
{
    t->counts[result]++;
    free(queue_take(&t->queue));
    send_first(t);
}

static void try_again(struct target *t, struct queue_item *item, unsigned status, const char *error,
                      unsigned retry_after_s)
{
    struct notifier *n = t->notifier;
    uint32_t random;
    evutil_secure_rng_get_bytes(&random, sizeof random);
    item->tries++;
    int64_t pause_ms = queue_pause_ms(item->tries, retry_after_s, random);
    int64_t age_ms = n->setup.monotonic_ms() - item->born_ms;
    if (n->flush_from_ms)
        return; /* the last try: notifier_free says what is lost */
    if (age_ms + pause_ms > QUEUE_AGE_MAX_MS) {
        log_warn("notification_dropped", "target=%s event=%s id=%s tries=%u status=%u why=\"%s\"",
                 t->conf->name, item->event.name, item->id, item->tries, status, error);
        settle(t, NOTIFIER_DROPPED);
        return;
    }
    t->counts[NOTIFIER_RETRIED]++;
    if (item->tries == 1) /* the others say the same */
        log_warn("notification_delayed",
                 "target=%s event=%s id=%s status=%u again_in_ms=%lld why=\"%s\"", t->conf->name,
                 item->event.name, item->id, status, (long long)pause_ms, error);
    struct timeval pause = {pause_ms / 1000, pause_ms % 1000 * 1000};
    if (event_add(t->again, &pause) < 0)
        settle(t, NOTIFIER_DROPPED);
}

static void conclude(struct target *t, unsigned status, const char *error, unsigned retry_after_s)
{
    struct queue_item *item = queue_first(&t->queue);
    t->call = NULL;
    switch (queue_outcome_of(status)) {
    case QUEUE_SENT:
        if (item->tries)
            log_info("notification_sent", "target=%s event=%s id=%s tries=%u", t->conf->name,
                     item->event.name, item->id, item->tries + 1);
        settle(t, NOTIFIER_SENT);
        break;
    case QUEUE_RETRY:
        try_again(t, item, status, error, retry_after_s);
        break;
    case QUEUE_REFUSED:
        log_warn("notification_refused", "target=%s event=%s id=%s status=%u", t->conf->name,
                 item->event.name, item->id, status);
        settle(t, NOTIFIER_REFUSED);
        break;
    }
}

static void on_answer(void *arg, const struct http_answer *answer)
{
    conclude(arg, answer->status, answer->error, answer->retry_after_s);
}

/* A 2xx has begun. What else its sender has to say nobody reads. */
static void on_taken(void *arg, const char *bytes, size_t len)
{
    struct target *t = arg;
    (void)bytes;
    (void)len;
    http_cancel(t->call);
    conclude(t, 200, "", 0);
}

static struct http_call *post(struct target *t, const struct queue_item *item, const char *body)
{
    const struct notifier_setup *setup = &t->notifier->setup;
    char signature[SIGNATURE_MAX], signed_by[SIGNATURE_MAX + 32] = "", id[MESSAGE_ID_MAX + 32];
    const char *fields[] = {id, NULL, NULL};
    (void)snprintf(id, sizeof id, "X-Serin-Event: %s", item->id);
    if (t->conf->secret) {
        if (signature_make(t->conf->secret, setup->wall_ms() / 1000, body, signature) != OK)
            return NULL;
        (void)snprintf(signed_by, sizeof signed_by, "X-Serin-Signature: %s", signature);
        fields[1] = signed_by;
    }
    struct http_ask ask = {.url = t->conf->url,
                           .body = body,
                           .timeout_ms = t->conf->timeout_ms,
                           .done = on_answer,
                           .arg = t,
                           .fields = fields,
                           .is_once = true,
                           .on_bytes = on_taken,
                           .idle_ms = t->conf->timeout_ms};
    return http_start(setup->http, &ask);
}

/* The oldest that there is something to say of: in another form, since a reload, there may be nothing. */
static struct queue_item *next_of(struct target *t)
{
    struct queue_item *item;
    while ((item = queue_first(&t->queue)) &&
           !message_is_wanted(t->conf->format, &item->event, t->conf->events)) {
        t->counts[NOTIFIER_DROPPED]++;
        free(queue_take(&t->queue));
    }
    return item;
}

/* Sends the oldest, unless one is under way or waits for its time. */
static void send_first(struct target *t)
{
    if (t->call || evtimer_pending(t->again, NULL))
        return;
    struct queue_item *item = next_of(t);
    if (!item)
        return;
    struct message m = {.event = &item->event,
                        .id = item->id,
                        .page = t->notifier->page,
                        .events = t->conf->events};
    char *body = message_make(t->conf->format, &m);
    t->call = body ? post(t, item, body) : NULL;
    free(body);
    if (!t->call)
        try_again(t, item, 0, "out of memory", 0);
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    send_first(arg);
}

/* --- events --- */

static bool wants(const struct conf *c, const struct rollout_event *event)
{
    bool is_route = c->n_routes == 0 || !event->route[0];
    for (size_t i = 0; i < c->n_routes && !is_route; i++)
        is_route = strcmp(c->routes[i], event->route) == 0;
    return is_route && message_is_wanted(c->format, event, c->events);
}

static void drop(struct target *t, struct queue_item *item)
{
    t->counts[NOTIFIER_DROPPED]++;
    log_warn("notification_dropped",
             "target=%s event=%s id=%s tries=%u why=\"more than %u events wait\"", t->conf->name,
             item->event.name, item->id, item->tries, QUEUE_ITEMS_MAX);
    free(item);
}

static void enqueue(struct target *t, const struct rollout_event *event, const char *id)
{
    struct queue_item *item = calloc(1, sizeof *item);
    if (!item) {
        t->counts[NOTIFIER_DROPPED]++;
        return;
    }
    item->event = *event;
    item->born_ms = t->notifier->setup.monotonic_ms();
    memcpy(item->id, id, MESSAGE_ID_MAX);
    bool is_busy = t->call || evtimer_pending(t->again, NULL);
    struct queue_item *dropped = queue_push(&t->queue, item, is_busy);
    if (dropped)
        drop(t, dropped);
    send_first(t);
}

void notifier_tell(struct notifier *n, const struct rollout_event *event)
{
    uint64_t bits[2];
    char id[MESSAGE_ID_MAX];
    evutil_secure_rng_get_bytes(bits, sizeof bits);
    hex_write(id, bits[0]);
    hex_write(id + HEX_CHARS, bits[1]);
    id[2 * HEX_CHARS] = '\0';
    for (struct list *l = n->targets.next; l != &n->targets; l = l->next)
        if (wants(target_of(l)->conf, event))
            enqueue(target_of(l), event, id);
}

size_t notifier_test(struct notifier *n)
{
    size_t found = 0;
    struct rollout_event e = {.wall_ms = n->setup.wall_ms(),
                              .name = MESSAGE_TEST,
                              .phase = "",
                              .state = "",
                              .verdict = "none"};
    (void)snprintf(e.why, sizeof e.why,
                   "A person has asked for it: events of rollouts arrive here.");
    for (struct list *l = n->targets.next; l != &n->targets; l = l->next)
        found++;
    notifier_tell(n, &e);
    return found;
}

bool notifier_flush(struct notifier *n)
{
    bool is_busy = false, is_first = n->flush_from_ms == 0;
    int64_t now_ms = n->setup.monotonic_ms();
    if (is_first)
        n->flush_from_ms = now_ms;
    for (struct list *l = n->targets.next; l != &n->targets; l = l->next) {
        struct target *t = target_of(l);
        if (is_first) {
            (void)event_del(t->again);
            send_first(t);
        }
        is_busy = is_busy || t->call;
    }
    return is_busy && now_ms - n->flush_from_ms < NOTIFIER_FLUSH_MS;
}

/* --- the whole --- */

static struct target *find(struct notifier *n, const char *name)
{
    for (struct list *l = n->targets.next; l != &n->targets; l = l->next)
        if (target_of(l)->conf && strcmp(target_of(l)->conf->name, name) == 0)
            return target_of(l);
    return NULL;
}

static void drop_unnamed(struct notifier *n)
{
    for (struct list *l = n->targets.next, *next; l != &n->targets; l = next) {
        next = l->next;
        if (!target_of(l)->is_named)
            target_free(target_of(l), "the configuration does not name it any more");
    }
}

/* confs are given away. Those of a new name come with a target. */
static void take(struct notifier *n, struct conf **confs, struct target **fresh, size_t n_confs)
{
    for (struct list *l = n->targets.next; l != &n->targets; l = l->next)
        target_of(l)->is_named = false;
    for (size_t i = 0; i < n_confs; i++) {
        struct target *t = fresh[i] ? fresh[i] : find(n, confs[i]->name);
        if (fresh[i])
            list_push_back(&n->targets, &t->link);
        conf_free(t->conf);
        t->conf = confs[i];
        t->is_named = true;
    }
    drop_unnamed(n);
}

enum err notifier_configure(struct notifier *n, const struct notifier_target *targets,
                            size_t n_targets, const char *page)
{
    struct conf *confs[NOTIFIER_TARGETS_MAX] = {NULL};
    struct target *fresh[NOTIFIER_TARGETS_MAX] = {NULL};
    char *copy = page ? strdup(page) : NULL;
    bool whole = n_targets <= NOTIFIER_TARGETS_MAX && (copy || !page);
    for (size_t i = 0; whole && i < n_targets; i++) {
        confs[i] = conf_new(&targets[i]);
        if (confs[i] && !find(n, targets[i].name))
            fresh[i] = target_new(n);
        whole = confs[i] && (fresh[i] || find(n, targets[i].name));
    }
    if (whole) {
        take(n, confs, fresh, n_targets);
        free(n->page);
        n->page = copy;
        return OK;
    }
    for (size_t i = 0; i < NOTIFIER_TARGETS_MAX; i++) {
        conf_free(confs[i]);
        if (fresh[i])
            target_free(fresh[i], "");
    }
    free(copy);
    return ERR_MEMORY;
}

const char *notifier_counts(const struct notifier *n, size_t i, uint64_t counts[NOTIFIER_RESULTS])
{
    for (struct list *l = n->targets.next; l != &n->targets; l = l->next)
        if (i-- == 0) {
            memcpy(counts, target_of(l)->counts, sizeof target_of(l)->counts);
            return target_of(l)->conf->name;
        }
    return NULL;
}

const char *notifier_result_name(enum notifier_result result)
{
    static const char *const names[] = {[NOTIFIER_SENT] = "sent",
                                        [NOTIFIER_RETRIED] = "retried",
                                        [NOTIFIER_DROPPED] = "dropped",
                                        [NOTIFIER_REFUSED] = "refused"};
    return names[result];
}

struct notifier *notifier_new(const struct notifier_setup *setup)
{
    struct notifier *n = calloc(1, sizeof *n);
    if (!n)
        return NULL;
    n->setup = *setup;
    list_init(&n->targets);
    return n;
}

void notifier_free(struct notifier *n)
{
    if (!n)
        return;
    while (!list_empty(&n->targets))
        target_free(target_of(n->targets.next), "the process ends");
    free(n->page);
    free(n);
}
