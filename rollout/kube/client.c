/* One Kubernetes API server, asked from the control thread's loop.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A call is always in one place: with the command that gets credentials, with the HTTP client, or
 * with its own timer, which is the next try or the turn in which its end is told. done is called
 * with nothing of this file above it but the event or the HTTP answer itself, and touches the
 * client no more afterwards.
 */
#include "rollout/kube/client.h"
#include "base/check.h"
#include "base/list.h"
#include "rollout/http.h"
#include "rollout/kube/answer.h"
#include "rollout/kube/auth.h"
#include "rollout/kube/command.h"
#include "rollout/kube/retry.h"
#include "rollout/kube/clock.h"

#include <cjson/cJSON.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum kcall_state {
    KCALL_COMMAND, /* the command that gets credentials runs */
    KCALL_ASKING,  /* the HTTP client has it */
    KCALL_WAITING, /* the timer is the next try */
    KCALL_OVER,    /* the timer is the turn in which its end is told: it never got so far */
    KCALL_TOLD,    /* done is running */
    KCALL_STATES,
};

/* Bit n: the state may be followed by state n. */
static const unsigned moves[KCALL_STATES] = {
    [KCALL_COMMAND] = 1u << KCALL_WAITING | 1u << KCALL_OVER,
    [KCALL_ASKING] = 1u << KCALL_WAITING | 1u << KCALL_TOLD,
    [KCALL_WAITING] = 1u << KCALL_COMMAND | 1u << KCALL_ASKING | 1u << KCALL_OVER,
    [KCALL_OVER] = 1u << KCALL_TOLD,
};

struct kube {
    struct event_base *base;
    struct http *http;
    struct kube_auth *auth;
    kube_count_fn *count;
    void *count_arg;
    struct list calls;
    struct kube_command *command; /* NULL: none runs */
};

struct kube_call {
    struct list link;
    struct kube *kube;
    struct kube_ask ask; /* its path and body are not good any more */
    char *path, *body;
    enum kcall_state state;
    struct event *timer;
    struct http_call *http_call;
    int64_t deadline_ms, denied_ms; /* monotonic; denied_ms 0: no 403 yet */
    struct kube_try tried;
    bool has_begun;      /* a stream: its owner has seen a part of it */
    char error[WHY_MAX]; /* of what failed before it was asked */
};

static uint32_t any_number(void)
{
    uint32_t n = 0;
    (void)!getrandom(&n, sizeof n, GRND_NONBLOCK);
    return n;
}

static void call_goto(struct kube_call *c, enum kcall_state to)
{
    CHECK(moves[c->state] >> to & 1u);
    c->state = to;
}

static void call_wait(struct kube_call *c, enum kcall_state to, int64_t wait_ms)
{
    struct timeval wait = {wait_ms / 1000, (suseconds_t)(wait_ms % 1000) * 1000};
    call_goto(c, to);
    (void)event_add(c->timer, &wait);
}

static void call_free(struct kube_call *c)
{
    list_remove(&c->link);
    http_cancel(c->http_call);
    if (c->timer)
        event_free(c->timer);
    free(c->path);
    free(c->body);
    free(c);
}

/* The last of a call: the client may be gone when done returns. */
static void call_tell(struct kube_call *c, const struct kube_answer *answer)
{
    call_goto(c, KCALL_TOLD);
    list_remove(&c->link);
    c->ask.done(c->ask.arg, answer);
    call_free(c);
}

/* What fails before it is asked is told in a later turn, too. */
static void call_fail_later(struct kube_call *c, const char *reason)
{
    char words[KUBE_WORDS_MAX];
    kube_words(c->ask.verb, c->path, words);
    (void)snprintf(c->error, sizeof c->error, "cannot %.180s: %.300s", words, reason);
    call_wait(c, KCALL_OVER, 0);
}

/* Asking. */

static void on_answer(void *arg, const struct http_answer *a);

static void on_bytes(void *arg, const char *bytes, size_t len)
{
    struct kube_call *c = arg;
    c->has_begun = true;
    c->ask.on_bytes(c->ask.arg, bytes, len);
}

/* The caller owns it; NULL: nothing is shown. */
static char *authorization(struct kube *k)
{
    const char *token = kube_auth_token(k->auth);
    char *field = NULL;
    if (token && asprintf(&field, "Authorization: Bearer %s", token) < 0)
        field = NULL;
    return field;
}

static void call_ask(struct kube_call *c, int64_t left_ms)
{
    struct kube *k = c->kube;
    char *url = NULL, *field = authorization(k);
    const char *const fields[] = {"Accept: application/json", field, NULL};
    bool is_write = c->ask.verb != KUBE_GET;
    struct http_ask ask = {
        .body = c->body,
        .timeout_ms = (uint32_t)left_ms,
        .done = on_answer,
        .arg = c,
        .method = kube_verb_name(c->ask.verb),
        .type = c->ask.verb == KUBE_PATCH ? "application/merge-patch+json" : NULL,
        .fields = fields,
        .tls = kube_auth_tls(k->auth),
        .answer_max = KUBE_ANSWER_MAX,
        .is_once = is_write,
        .on_bytes = c->ask.on_bytes ? on_bytes : NULL,
        .idle_ms = c->ask.idle_ms,
    };
    if (asprintf(&url, "%s%s", kube_auth_server(k->auth), c->path) < 0)
        url = NULL;
    ask.url = url;
    c->http_call = url ? http_start(k->http, &ask) : NULL;
    free(url);
    free(field);
    if (c->http_call)
        call_goto(c, KCALL_ASKING);
    else
        call_fail_later(c, "out of memory");
}

static void call_step(struct kube_call *c);

static void on_command_done(void *arg, const char *output, const char *error)
{
    struct kube *k = arg;
    struct why why = {""};
    if (error[0])
        (void)why_set(&why, ERR_IO, "%s", error);
    else if (kube_auth_take_credential(k->auth, output, &why) == OK)
        why.text[0] = '\0';
    for (struct list *l = k->calls.next; l != &k->calls; l = l->next) {
        struct kube_call *c = CONTAINER_OF(l, struct kube_call, link);
        if (c->state != KCALL_COMMAND)
            continue;
        if (why.text[0])
            call_fail_later(c, why.text);
        else
            call_wait(c, KCALL_WAITING, 0);
    }
    kube_command_free(k->command);
    k->command = NULL;
}

/* The call waits for the command, which runs for all of them. */
static void call_await_command(struct kube_call *c, const char *const *argv, const char *const *env,
                               int64_t left_ms)
{
    struct kube *k = c->kube;
    struct why why = {""};
    struct kube_command_setup setup = {.argv = argv,
                                       .env = env,
                                       .is_interactive = kube_auth_is_interactive(k->auth),
                                       .timeout_ms = KUBE_COMMAND_MS,
                                       .done = on_command_done,
                                       .arg = k};
    if (!k->command)
        k->command = kube_command_start(k->base, &setup, &why);
    if (k->command)
        call_wait(c, KCALL_COMMAND, left_ms);
    else
        call_fail_later(c, why.text);
}

static void call_step(struct kube_call *c)
{
    const char *const *argv, *const *env;
    int64_t left_ms = c->deadline_ms - kube_monotonic_ms();
    if (left_ms <= 0)
        call_fail_later(c, "no answer in time");
    else if (kube_auth_needs_command(c->kube->auth, &argv, &env))
        call_await_command(c, argv, env, left_ms);
    else
        call_ask(c, left_ms);
}

static void on_call_timer(evutil_socket_t fd, short what, void *arg)
{
    struct kube_call *c = arg;
    (void)fd, (void)what;
    if (c->state == KCALL_OVER) {
        struct kube_answer answer = {.reason = "", .error = c->error};
        call_tell(c, &answer);
    } else if (c->state == KCALL_COMMAND) {
        call_fail_later(c, "the command that gets the credentials has not ended in time");
    } else {
        call_step(c);
    }
}

/* Answers. */

static void note_try(struct kube_call *c, const struct http_answer *a, const struct kube_reading *r)
{
    struct kube_try *t = &c->tried;
    int64_t now = kube_monotonic_ms();
    t->status = a->status;
    t->is_sent = a->is_sent;
    t->is_lasting = a->is_lasting;
    t->is_rbac = r->is_rbac;
    t->retry_after_s = r->retry_after_s;
    t->tries++;
    t->refusals += a->status == 401;
    if (a->status == 403 && c->denied_ms == 0)
        c->denied_ms = now;
    t->denied_ms = c->denied_ms ? now - c->denied_ms : 0;
}

/* Whether, and when, it is asked again. -1: no. */
static int64_t wait_before_next(struct kube_call *c)
{
    int64_t wait_ms = kube_retry_wait_ms(&c->tried, any_number());
    bool is_about_me = c->tried.status == 401 || c->tried.status == 403;
    if (c->has_begun || (c->ask.is_single && !is_about_me))
        return -1;
    return wait_ms >= 0 && kube_monotonic_ms() + wait_ms < c->deadline_ms ? wait_ms : -1;
}

static void on_answer(void *arg, const struct http_answer *a)
{
    struct kube_call *c = arg;
    struct kube *k = c->kube;
    struct kube_reading r;
    c->http_call = NULL;
    kube_reading_init(&r, c->ask.verb, c->path, a);
    note_try(c, a, &r);
    if (k->count)
        k->count(k->count_arg, kube_verb_name(c->ask.verb), a->status);
    if (a->status == 401)
        kube_auth_refused(k->auth);
    int64_t wait_ms = wait_before_next(c);
    if (wait_ms >= 0) {
        call_wait(c, KCALL_WAITING, wait_ms);
    } else {
        struct kube_answer answer = {.status = a->status,
                                     .reason = r.reason,
                                     .error = r.error,
                                     .json = r.json,
                                     .is_unknown = kube_try_is_unknown(&c->tried)};
        call_tell(c, &answer);
    }
    kube_reading_fini(&r);
}

/* Beginning and ending. */

static bool call_init(struct kube_call *c, const struct kube_ask *ask)
{
    c->ask = *ask;
    c->tried.verb = ask->verb;
    c->path = strdup(ask->path);
    c->body = ask->body ? cJSON_PrintUnformatted(ask->body) : NULL;
    c->timer = evtimer_new(c->kube->base, on_call_timer, c);
    c->deadline_ms = kube_monotonic_ms() + (ask->timeout_ms ? ask->timeout_ms : KUBE_TIMEOUT_MS);
    return c->path && c->timer && (c->body || !ask->body);
}

struct kube_call *kube_start(struct kube *k, const struct kube_ask *ask)
{
    struct kube_call *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->kube = k;
    c->state = KCALL_WAITING;
    list_init(&c->link);
    if (!call_init(c, ask)) {
        call_free(c);
        return NULL;
    }
    list_push_back(&k->calls, &c->link);
    call_step(c);
    return c;
}

void kube_cancel(struct kube_call *c)
{
    if (c && c->state != KCALL_TOLD)
        call_free(c);
}

struct kube *kube_new(struct event_base *base, struct http *http, struct kube_auth *auth,
                      kube_count_fn *count, void *arg)
{
    struct kube *k = calloc(1, sizeof *k);
    if (!k) {
        kube_auth_free(auth);
        return NULL;
    }
    k->base = base;
    k->http = http;
    k->auth = auth;
    k->count = count;
    k->count_arg = arg;
    list_init(&k->calls);
    return k;
}

void kube_free(struct kube *k)
{
    if (!k)
        return;
    while (!list_empty(&k->calls))
        call_free(CONTAINER_OF(k->calls.next, struct kube_call, link));
    kube_command_free(k->command);
    kube_auth_free(k->auth);
    free(k);
}

const char *kube_namespace(const struct kube *k)
{
    return kube_auth_namespace(k->auth);
}

struct event_base *kube_base(const struct kube *k)
{
    return k->base;
}
