/* One leader among several proxies: a Lease of coordination.k8s.io/v1.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Nobody's clock but the own counts: another's lease is over when this process has not seen it
 * change for as long as the lease says, and the own one is held for two thirds of its duration from
 * the moment the renewal was sent, so that it ends here before it may end anywhere else. Every write
 * names the version that it has seen: of two who write, one gets 409 and looks again.
 */
#include "rollout/kube/lease.h"
#include "base/check.h"
#include "rollout/kube/client.h"
#include "rollout/kube/time.h"

#include <cjson/cJSON.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LEASES       "/apis/coordination.k8s.io/v1/namespaces/"
#define IDENTITY_MAX 254
/* After a write whose outcome is not known, or a failure: soon enough to keep what is held. */
#define LOOK_AGAIN_MS 1000u

enum lease_state {
    LEASE_WAITING,
    LEASE_READING,
    LEASE_WRITING,
    LEASE_RELEASED, /* the end: it is not tried for any more */
    LEASE_STATES,
};

/* Bit n: the state may be followed by state n. */
static const unsigned moves[LEASE_STATES] = {
    [LEASE_WAITING] =
        1u << LEASE_READING | 1u << LEASE_WRITING | 1u << LEASE_RELEASED | 1u << LEASE_WAITING,
    [LEASE_READING] = 1u << LEASE_WAITING | 1u << LEASE_WRITING | 1u << LEASE_RELEASED,
    [LEASE_WRITING] = 1u << LEASE_WAITING | 1u << LEASE_RELEASED,
};

struct kube_lease {
    struct kube *kube;
    char *list_path, *path, *name, *identity;
    uint32_t duration_ms, renew_ms;
    void (*on_change)(void *arg);
    void *arg;

    enum lease_state state;
    struct kube_call *call;
    struct event *step, *news, *expiry;
    struct cJSON *object;                /* as last seen; NULL: not known, or not there */
    bool is_fresh;                       /* object is what the server had at the last answer */
    int64_t seen_ms;                     /* when its version last changed, by the monotonic clock */
    int64_t sent_ms;                     /* when the last write was sent */
    char sent_time[KUBE_MICRO_TIME_MAX]; /* its renewTime */
    int64_t held_until_ms;
    char holder[IDENTITY_MAX];
    uint64_t transitions;
    bool was_held; /* as on_change knows it */
    char trouble[WHY_MAX];
};

static int64_t clock_of(clockid_t id, int64_t per_second)
{
    struct timespec t;
    (void)clock_gettime(id, &t);
    return (int64_t)t.tv_sec * per_second + t.tv_nsec / (1000000000 / per_second);
}

/* Monotonic, and on while the machine sleeps: the others' clocks are. */
static int64_t now_ms(void)
{
    return clock_of(CLOCK_BOOTTIME, 1000);
}

static void lease_goto(struct kube_lease *l, enum lease_state to)
{
    CHECK(moves[l->state] >> to & 1u);
    l->state = to;
}

static void arm(struct event *event, int64_t wait_ms)
{
    struct timeval wait = {wait_ms / 1000, (suseconds_t)(wait_ms % 1000) * 1000};
    (void)event_add(event, &wait);
}

static void step_after(struct kube_lease *l, int64_t wait_ms)
{
    lease_goto(l, LEASE_WAITING);
    arm(l->step, wait_ms > 0 ? wait_ms : 0);
}

static void on_news(evutil_socket_t fd, short what, void *arg)
{
    struct kube_lease *l = arg;
    (void)fd, (void)what;
    if (l->on_change)
        l->on_change(l->arg);
}

/* Tells in a later turn what has changed since on_change was last called. */
static void note_held(struct kube_lease *l)
{
    bool is_held = kube_lease_is_held(l);
    if (is_held)
        arm(l->expiry, l->held_until_ms - now_ms() + 1);
    if (is_held != l->was_held)
        arm(l->news, 0);
    l->was_held = is_held;
}

static void on_expiry(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    note_held(arg);
}

static void set_trouble(struct kube_lease *l, const char *text)
{
    (void)snprintf(l->trouble, sizeof l->trouble, "%s", text);
}

/* What a Lease says. */

static const struct cJSON *spec_member(const struct cJSON *object, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(object, "spec"), key);
}

static const char *spec_text(const struct cJSON *object, const char *key)
{
    const struct cJSON *value = spec_member(object, key);
    return cJSON_IsString(value) ? value->valuestring : "";
}

static uint64_t spec_count(const struct cJSON *object, const char *key)
{
    const struct cJSON *value = spec_member(object, key);
    return cJSON_IsNumber(value) && value->valueint > 0 ? (uint64_t)value->valueint : 0;
}

static const char *version_of(const struct cJSON *object)
{
    const struct cJSON *m = cJSON_GetObjectItemCaseSensitive(object, "metadata");
    const struct cJSON *version = cJSON_GetObjectItemCaseSensitive(m, "resourceVersion");
    return cJSON_IsString(version) ? version->valuestring : "";
}

static bool is_mine(const struct kube_lease *l)
{
    return l->object && strcmp(spec_text(l->object, "holderIdentity"), l->identity) == 0;
}

static void set_holder(struct kube_lease *l, const char *holder)
{
    if (strcmp(l->holder, holder) != 0)
        arm(l->news, 0);
    (void)snprintf(l->holder, sizeof l->holder, "%.*s", IDENTITY_MAX - 1, holder);
    for (char *c = l->holder; *c; c++) /* it goes into logs and onto screens */
        if ((unsigned char)*c < 0x20 || *c == 0x7f || *c == '"')
            *c = '?';
    if (strcmp(holder, l->identity) != 0)
        l->held_until_ms = 0; /* the server says so, whatever the clock does */
}

/* Takes the server's state in. object NULL: it is not there. */
static void see(struct kube_lease *l, const struct cJSON *object)
{
    struct cJSON *copy = object ? cJSON_Duplicate(object, true) : NULL;
    bool is_other = !l->object || !copy || strcmp(version_of(l->object), version_of(copy)) != 0;
    if (is_other)
        l->seen_ms = now_ms();
    cJSON_Delete(l->object);
    l->object = copy;
    l->is_fresh = copy || !object;
    uint64_t transitions = spec_count(copy, "leaseTransitions");
    if (transitions > l->transitions)
        l->transitions = transitions;
    set_holder(l, copy ? spec_text(copy, "holderIdentity") : "");
}

/* 0: it may be taken. */
static int64_t ms_until_free(const struct kube_lease *l)
{
    uint64_t said_ms = spec_count(l->object, "leaseDurationSeconds") * 1000;
    int64_t duration_ms = said_ms ? (int64_t)said_ms : (int64_t)l->duration_ms;
    int64_t left_ms = l->seen_ms + duration_ms - now_ms();
    if (!l->object || !l->holder[0] || is_mine(l) || left_ms < 0)
        return 0;
    return left_ms;
}

/* Writing. */

static bool set_member(struct cJSON *object, const char *key, struct cJSON *value)
{
    if (!value)
        return false;
    cJSON_DeleteItemFromObjectCaseSensitive(object, key);
    if (cJSON_AddItemToObject(object, key, value))
        return true;
    cJSON_Delete(value);
    return false;
}

static struct cJSON *member_object(struct cJSON *object, const char *key)
{
    struct cJSON *there = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsObject(there) ? there : cJSON_AddObjectToObject(object, key);
}

static struct cJSON *new_object(const struct kube_lease *l)
{
    struct cJSON *o = cJSON_CreateObject();
    struct cJSON *metadata = o ? cJSON_AddObjectToObject(o, "metadata") : NULL;
    if (metadata && cJSON_AddStringToObject(o, "apiVersion", "coordination.k8s.io/v1") &&
        cJSON_AddStringToObject(o, "kind", "Lease") &&
        cJSON_AddStringToObject(metadata, "name", l->name))
        return o;
    cJSON_Delete(o);
    return NULL;
}

/* The object with this holder and this moment; what others wrote into it stays. NULL: memory. */
static struct cJSON *object_to_write(const struct kube_lease *l, const char *holder,
                                     uint32_t duration_s)
{
    struct cJSON *o = l->object ? cJSON_Duplicate(l->object, true) : new_object(l);
    struct cJSON *spec = o ? member_object(o, "spec") : NULL;
    bool is_change = holder[0] && !is_mine(l);
    double transitions = (double)(l->transitions + (is_change && (l->object || l->holder[0])));
    bool is_made =
        spec && set_member(spec, "holderIdentity", cJSON_CreateString(holder)) &&
        set_member(spec, "leaseDurationSeconds", cJSON_CreateNumber(duration_s)) &&
        set_member(spec, "renewTime", cJSON_CreateString(l->sent_time)) &&
        set_member(spec, "leaseTransitions", cJSON_CreateNumber(transitions)) &&
        (!is_change || set_member(spec, "acquireTime", cJSON_CreateString(l->sent_time)));
    if (is_made)
        return o;
    cJSON_Delete(o);
    return NULL;
}

static struct kube_call *send_write(struct kube_lease *l, const char *holder, uint32_t duration_s,
                                    void (*done)(void *arg, const struct kube_answer *a))
{
    kube_micro_time(clock_of(CLOCK_REALTIME, 1000000), l->sent_time);
    struct cJSON *body = object_to_write(l, holder, duration_s);
    struct kube_ask ask = {.verb = l->object ? KUBE_PUT : KUBE_POST,
                           .path = l->object ? l->path : l->list_path,
                           .body = body,
                           .timeout_ms = l->renew_ms,
                           .done = done,
                           .arg = l};
    l->sent_ms = now_ms();
    struct kube_call *call = body ? kube_start(l->kube, &ask) : NULL;
    cJSON_Delete(body);
    return call;
}

static void keep(struct kube_lease *l)
{
    l->held_until_ms = l->sent_ms + (int64_t)l->duration_ms * 2 / 3;
    set_trouble(l, "");
    note_held(l);
    step_after(l, l->sent_ms + l->renew_ms - now_ms());
}

/* 404, 409: the object is another one by now, which is nobody's fault. */
static void on_written(void *arg, const struct kube_answer *a)
{
    struct kube_lease *l = arg;
    bool is_overtaken = a->status == 409 || a->status == 404;
    l->call = NULL;
    if (!a->error[0] && a->json) {
        see(l, a->json);
        keep(l);
        return;
    }
    l->is_fresh = false;
    if (!is_overtaken)
        set_trouble(l, a->error);
    step_after(l, is_overtaken || a->is_unknown ? 0 : LOOK_AGAIN_MS);
}

static void write_it(struct kube_lease *l)
{
    l->call = send_write(l, l->identity, l->duration_ms / 1000, on_written);
    if (l->call) {
        lease_goto(l, LEASE_WRITING);
        return;
    }
    set_trouble(l, "out of memory");
    step_after(l, LOOK_AGAIN_MS);
}

/* Reading. */

/* A write whose answer was lost has arrived if its moment stands there. */
static bool has_arrived(const struct kube_lease *l)
{
    return is_mine(l) && l->sent_time[0] &&
           strcmp(spec_text(l->object, "renewTime"), l->sent_time) == 0;
}

static void on_read(void *arg, const struct kube_answer *a)
{
    struct kube_lease *l = arg;
    l->call = NULL;
    if (a->error[0] && a->status != 404) {
        set_trouble(l, a->error);
        step_after(l, LOOK_AGAIN_MS);
        return;
    }
    see(l, a->status == 404 ? NULL : a->json);
    set_trouble(l, "");
    note_held(l);
    int64_t wait_ms = ms_until_free(l);
    if (!l->is_fresh)
        step_after(l, LOOK_AGAIN_MS);
    else if (has_arrived(l) && l->sent_ms + (int64_t)l->duration_ms * 2 / 3 > now_ms())
        keep(l);
    else if (wait_ms == 0)
        write_it(l);
    else
        step_after(l, wait_ms + 1 < l->renew_ms ? wait_ms + 1 : l->renew_ms);
}

static void read_it(struct kube_lease *l)
{
    struct kube_ask ask = {.verb = KUBE_GET,
                           .path = l->path,
                           .timeout_ms = l->renew_ms,
                           .done = on_read,
                           .arg = l,
                           .is_single = true};
    l->call = kube_start(l->kube, &ask);
    if (l->call) {
        lease_goto(l, LEASE_READING);
        return;
    }
    set_trouble(l, "out of memory");
    step_after(l, LOOK_AGAIN_MS);
}

static void on_step(evutil_socket_t fd, short what, void *arg)
{
    struct kube_lease *l = arg;
    (void)fd, (void)what;
    if (l->is_fresh && is_mine(l))
        write_it(l);
    else
        read_it(l);
}

/* Beginning and ending. */

static bool set_names(struct kube_lease *l, const struct kube_lease_setup *setup)
{
    if (asprintf(&l->list_path, LEASES "%s/leases", setup->name_space) < 0)
        l->list_path = NULL;
    if (asprintf(&l->path, LEASES "%s/leases/%s", setup->name_space, setup->name) < 0)
        l->path = NULL;
    l->name = strdup(setup->name);
    l->identity = strndup(setup->identity, IDENTITY_MAX - 1);
    return l->list_path && l->path && l->name && l->identity;
}

struct kube_lease *kube_lease_new(struct kube *k, const struct kube_lease_setup *setup)
{
    struct kube_lease *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    l->kube = k;
    l->duration_ms = setup->duration_ms ? setup->duration_ms : KUBE_LEASE_DURATION_MS;
    l->renew_ms = setup->renew_ms ? setup->renew_ms : KUBE_LEASE_RENEW_MS;
    l->on_change = setup->on_change;
    l->arg = setup->arg;
    CHECK(l->duration_ms >= 1000 && l->duration_ms % 1000 == 0 && setup->identity[0]);
    CHECK(l->renew_ms < l->duration_ms * 2ull / 3);
    l->step = evtimer_new(kube_base(k), on_step, l);
    l->news = evtimer_new(kube_base(k), on_news, l);
    l->expiry = evtimer_new(kube_base(k), on_expiry, l);
    if (!l->step || !l->news || !l->expiry || !set_names(l, setup)) {
        kube_lease_free(l);
        return NULL;
    }
    step_after(l, 0);
    return l;
}

void kube_lease_free(struct kube_lease *l)
{
    if (!l)
        return;
    kube_cancel(l->call);
    if (l->step)
        event_free(l->step);
    if (l->news)
        event_free(l->news);
    if (l->expiry)
        event_free(l->expiry);
    cJSON_Delete(l->object);
    free(l->list_path);
    free(l->path);
    free(l->name);
    free(l->identity);
    free(l);
}

/* The lease may be gone by now: arg is not looked at. */
static void on_released(void *arg, const struct kube_answer *a)
{
    (void)arg, (void)a;
}

/* As client-go does it: no holder, and a second at most until anybody may have it. */
void kube_lease_release(struct kube_lease *l)
{
    if (l->state == LEASE_RELEASED)
        return;
    bool is_held = kube_lease_is_held(l);
    kube_cancel(l->call);
    l->call = NULL;
    (void)event_del(l->step);
    lease_goto(l, LEASE_RELEASED);
    if (is_held && is_mine(l))
        (void)!send_write(l, "", 1, on_released); /* the client's own from here on */
    set_holder(l, "");
    note_held(l);
}

bool kube_lease_is_held(const struct kube_lease *l)
{
    return l->state != LEASE_RELEASED && now_ms() < l->held_until_ms;
}

bool kube_lease_was_held(const struct kube_lease *l)
{
    return strcmp(l->holder, l->identity) == 0;
}

const char *kube_lease_holder(const struct kube_lease *l)
{
    return l->holder;
}

uint64_t kube_lease_transitions(const struct kube_lease *l)
{
    return l->transitions;
}

const char *kube_lease_trouble(const struct kube_lease *l)
{
    return l->trouble;
}
