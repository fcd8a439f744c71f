/* A collection of objects, kept as the API server has it. SPDX-License-Identifier: Apache-2.0
 *
 * List, then stream from the list's version; a stream that ends goes on from the last version that
 * it showed, and from a new list where the server has forgotten that version (410) or where nobody
 * knows what it means any more: silence beyond what bookmarks allow, versions that go backwards (a
 * restored server answers a version of its future with silence, not with an error).
 */
#include "rollout/kube/watch.h"
#include "base/check.h"
#include "rollout/kube/client.h"
#include "rollout/kube/lines.h"
#include "rollout/kube/store.h"
#include "rollout/kube/clock.h"

#include <cjson/cJSON.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* The server ends the stream by itself after this; within, it sends a bookmark every minute. */
#define STREAM_S       300
#define STREAM_IDLE_MS 90000
#define HEAD_MS        30000
/* A stream that ends sooner, with no event, is a failure: otherwise the loop would turn for it alone. */
#define SHORT_MS      1000
#define WAIT_FIRST_MS 500
#define WAIT_MOST_MS  30000

enum watch_state { WATCH_WAITING, WATCH_LISTING, WATCH_STREAMING, WATCH_STATES };

/* Bit n: the state may be followed by state n. */
static const unsigned moves[WATCH_STATES] = {
    [WATCH_WAITING] = 1u << WATCH_LISTING | 1u << WATCH_STREAMING | 1u << WATCH_WAITING,
    [WATCH_LISTING] = 1u << WATCH_WAITING,
    [WATCH_STREAMING] = 1u << WATCH_WAITING,
};

struct kube_watch {
    struct kube *kube;
    char *list_path, *stream_path; /* stream_path ends with "resourceVersion=" */
    void (*on_change)(void *arg);
    void *arg;

    enum watch_state state;
    struct kube_call *call;
    struct event *step, *news; /* the next try; the turn in which on_change is called */
    struct kube_store store;
    struct kube_lines lines;
    char kind[64];    /* of the objects; "" = not known yet */
    char version[64]; /* from where a stream goes on; "" = only a list knows */
    uint64_t version_number;
    bool is_synced, has_begun, has_events;
    int64_t began_ms, heard_ms;
    unsigned failures;
    char trouble[WHY_MAX];
};

static void watch_goto(struct kube_watch *w, enum watch_state to)
{
    CHECK(moves[w->state] >> to & 1u);
    w->state = to;
}

static void tell_later(struct kube_watch *w)
{
    static const struct timeval next_turn = {0, 0};
    (void)event_add(w->news, &next_turn);
}

static void on_news(evutil_socket_t fd, short what, void *arg)
{
    struct kube_watch *w = arg;
    (void)fd, (void)what;
    kube_store_bury(&w->store);
    w->store.has_changed = false;
    if (w->on_change)
        w->on_change(w->arg);
}

static void set_trouble(struct kube_watch *w, const char *text)
{
    if (strcmp(w->trouble, text) == 0)
        return;
    (void)snprintf(w->trouble, sizeof w->trouble, "%s", text);
    tell_later(w);
}

/* Waiting. */

static void step_after(struct kube_watch *w, int64_t wait_ms)
{
    struct timeval wait = {wait_ms / 1000, (suseconds_t)(wait_ms % 1000) * 1000};
    watch_goto(w, WATCH_WAITING);
    (void)event_add(w->step, &wait);
}

/* Half of it by chance: many proxies lose the same server in the same moment. */
static int64_t doubled_ms(unsigned failures)
{
    uint32_t chance = 0, ms = WAIT_FIRST_MS;
    for (unsigned i = 1; i < failures && ms < WAIT_MOST_MS; i++)
        ms *= 2;
    ms = ms < WAIT_MOST_MS ? ms : WAIT_MOST_MS;
    (void)!getrandom(&chance, sizeof chance, GRND_NONBLOCK);
    return ms / 2 + chance % (ms / 2 + 1);
}

static void step_after_failure(struct kube_watch *w, const char *trouble)
{
    set_trouble(w, trouble);
    w->failures++;
    step_after(w, doubled_ms(w->failures));
}

/* The list. */

static void set_version(struct kube_watch *w, const struct cJSON *object)
{
    const struct cJSON *metadata = cJSON_GetObjectItemCaseSensitive(object, "metadata");
    const struct cJSON *text = cJSON_GetObjectItemCaseSensitive(metadata, "resourceVersion");
    w->version_number = kube_version(object);
    w->version[0] = '\0';
    if (w->version_number > 0) /* digits only: it goes into a URL */
        (void)snprintf(w->version, sizeof w->version, "%.63s", text->valuestring);
}

/* "PodList" → "Pod". */
static void set_kind(struct kube_watch *w, const struct cJSON *list)
{
    const struct cJSON *kind = cJSON_GetObjectItemCaseSensitive(list, "kind");
    size_t len = cJSON_IsString(kind) ? strlen(kind->valuestring) : 0;
    w->kind[0] = '\0';
    if (len > 4 && len < sizeof w->kind && strcmp(kind->valuestring + len - 4, "List") == 0)
        (void)snprintf(w->kind, sizeof w->kind, "%.*s", (int)len - 4, kind->valuestring);
}

/* The answer is borrowed: the items that are kept are taken out of a copy. */
static enum err take_list(struct kube_watch *w, const struct cJSON *list)
{
    struct cJSON *copy = cJSON_Duplicate(list, true);
    struct cJSON *items = cJSON_GetObjectItemCaseSensitive(copy, "items");
    enum err err = ERR_INVALID;
    set_version(w, list);
    set_kind(w, list);
    if (!copy)
        err = ERR_MEMORY;
    else if (cJSON_IsNull(items) && w->version[0])
        err = OK; /* null is an empty list */
    else if (cJSON_IsArray(items) && w->version[0])
        err = kube_store_take_list(&w->store, items, w->version_number);
    cJSON_Delete(copy);
    return err;
}

static const char *words_for(enum err err)
{
    switch (err) {
    case ERR_LIMIT:
        return "too many objects match";
    case ERR_MEMORY:
        return "out of memory";
    default:
        return "the answer is no list of objects";
    }
}

static void on_listed(void *arg, const struct kube_answer *a)
{
    struct kube_watch *w = arg;
    w->call = NULL;
    if (a->error[0]) {
        step_after_failure(w, a->error);
        return;
    }
    enum err err = a->json ? take_list(w, a->json) : ERR_INVALID;
    if (err != OK) {
        w->version[0] = '\0';
        step_after_failure(w, words_for(err));
        return;
    }
    if (!w->is_synced || w->store.has_changed)
        tell_later(w);
    w->is_synced = true;
    step_after(w, 0);
}

/* The stream. */

static void end_stream(struct kube_watch *w)
{
    kube_cancel(w->call);
    w->call = NULL;
    kube_lines_fini(&w->lines);
}

/* From a new list: at once the first time, as after a server's restart every version is too old. */
static void list_again(struct kube_watch *w, const char *reason)
{
    end_stream(w);
    w->version[0] = '\0';
    if (w->has_events || w->failures == 0) {
        w->failures = w->has_events ? 0 : 1;
        step_after(w, 0);
    } else {
        step_after_failure(w, reason);
    }
}

static void take_error(struct kube_watch *w, const struct cJSON *status)
{
    const struct cJSON *code = cJSON_GetObjectItemCaseSensitive(status, "code");
    const struct cJSON *said = cJSON_GetObjectItemCaseSensitive(status, "message");
    char text[WHY_MAX];
    (void)snprintf(text, sizeof text, "the server ended the watch: %.400s",
                   cJSON_IsString(said) ? said->valuestring : "no reason given");
    if (cJSON_IsNumber(code) && code->valueint == 410) {
        list_again(w, text);
        return;
    }
    end_stream(w);
    w->version[0] = '\0';
    step_after_failure(w, text);
}

/* Takes the object. False: the stream is no more. */
static bool take_event(struct kube_watch *w, enum kube_event_type type, struct cJSON *object)
{
    enum err err = OK;
    uint64_t version = kube_version(object);
    if (type == KUBE_EVENT_ERROR) {
        take_error(w, object);
        cJSON_Delete(object);
        return false;
    }
    if (version < w->version_number || version == 0) {
        cJSON_Delete(object);
        list_again(w, "the versions of the watch go backwards");
        return false;
    }
    set_version(w, object);
    w->has_events = true;
    if (type == KUBE_EVENT_ADDED || type == KUBE_EVENT_MODIFIED) {
        err = kube_store_put(&w->store, object);
    } else {
        if (type == KUBE_EVENT_DELETED)
            kube_store_remove(&w->store, object);
        cJSON_Delete(object);
    }
    if (err == OK)
        return true;
    list_again(w, words_for(err));
    return false;
}

static bool on_line(void *arg, const char *line, size_t len)
{
    struct kube_watch *w = arg;
    struct cJSON *object = NULL;
    enum kube_event_type type;
    enum err err = kube_event_read(line, len, &type, &object);
    if (err == ERR_UNSUPPORTED)
        return true; /* a type of the future */
    if (err == OK)
        return take_event(w, type, object);
    list_again(w, "a line of the watch is no event");
    return false;
}

static void on_bytes(void *arg, const char *bytes, size_t len)
{
    struct kube_watch *w = arg;
    w->heard_ms = kube_monotonic_ms();
    if (!w->has_begun) {
        w->has_begun = true;
        w->began_ms = w->heard_ms;
        set_trouble(w, "");
    }
    if (kube_lines_feed(&w->lines, bytes, len, on_line, w) != OK)
        list_again(w, "a line of the watch is too long");
    if (w->store.has_changed)
        tell_later(w);
}

static void on_stream_end(void *arg, const struct kube_answer *a)
{
    struct kube_watch *w = arg;
    bool was_good =
        w->has_begun && (w->has_events || kube_monotonic_ms() - w->began_ms >= SHORT_MS);
    w->call = NULL;
    kube_lines_fini(&w->lines);
    if (a->status == 410) {
        list_again(w, a->error);
        return;
    }
    if (w->has_begun && a->status == 0 && kube_monotonic_ms() - w->heard_ms >= STREAM_IDLE_MS)
        w->version[0] = '\0'; /* it may have been silent because its version is of no meaning */
    if (!was_good) {
        step_after_failure(w, a->error[0] ? a->error : "the server ends the watch at once");
        return;
    }
    w->failures = 0;
    step_after(w, 0);
}

/* The steps. */

static struct kube_call *start_list(struct kube_watch *w)
{
    struct kube_ask ask = {.verb = KUBE_GET,
                           .path = w->list_path,
                           .timeout_ms = HEAD_MS,
                           .done = on_listed,
                           .arg = w,
                           .is_single = true};
    return kube_start(w->kube, &ask);
}

static struct kube_call *start_stream(struct kube_watch *w)
{
    char *path = NULL;
    if (asprintf(&path, "%s%s", w->stream_path, w->version) < 0)
        return NULL;
    struct kube_ask ask = {.verb = KUBE_GET,
                           .path = path,
                           .timeout_ms = HEAD_MS,
                           .done = on_stream_end,
                           .arg = w,
                           .is_single = true,
                           .on_bytes = on_bytes,
                           .idle_ms = STREAM_IDLE_MS};
    w->has_begun = w->has_events = false;
    struct kube_call *call = kube_start(w->kube, &ask);
    free(path);
    return call;
}

static void on_step(evutil_socket_t fd, short what, void *arg)
{
    struct kube_watch *w = arg;
    bool is_known = w->version[0] != '\0';
    (void)fd, (void)what;
    w->call = is_known ? start_stream(w) : start_list(w);
    if (w->call)
        watch_goto(w, is_known ? WATCH_STREAMING : WATCH_LISTING);
    else
        step_after_failure(w, "out of memory");
}

/* Beginning and ending. */

/* Text into a query: all but what needs no escape. The caller owns it. */
static char *escape(const char *text)
{
    static const char hex[] = "0123456789ABCDEF";
    char *out = malloc(strlen(text) * 3 + 1), *to = out;
    for (const char *p = text; out && *p; p++) {
        unsigned char c = (unsigned char)*p;
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                        (c >= '0' && c <= '9') || strchr("-._~", c);
        if (is_plain) {
            *to++ = (char)c;
        } else {
            *to++ = '%';
            *to++ = hex[c >> 4];
            *to++ = hex[c & 15];
        }
    }
    if (out)
        *to = '\0';
    return out;
}

static bool make_paths(struct kube_watch *w, const struct kube_watch_setup *setup)
{
    char *label = escape(setup->selector ? setup->selector : ""), *query = NULL;
    char *name = escape(setup->name ? setup->name : "");
    bool is_made = label && name &&
                   asprintf(&query, "%s%s%s%s%s", *label ? "labelSelector=" : "", label,
                            *label && *name ? "&" : "",
                            *name ? "fieldSelector=metadata.name%3D" : "", name) >= 0;
    if (!is_made)
        query = NULL;
    if (query && asprintf(&w->list_path, "%s%s%s", setup->path, *query ? "?" : "", query) < 0)
        w->list_path = NULL;
    if (query && asprintf(&w->stream_path,
                          "%s?watch=1&allowWatchBookmarks=true&timeoutSeconds=%d%s%s"
                          "&resourceVersion=",
                          setup->path, STREAM_S, *query ? "&" : "", query) < 0)
        w->stream_path = NULL;
    free(label);
    free(name);
    free(query);
    return w->list_path && w->stream_path;
}

struct kube_watch *kube_watch_new(struct kube *k, const struct kube_watch_setup *setup)
{
    struct kube_watch *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->kube = k;
    w->on_change = setup->on_change;
    w->arg = setup->arg;
    (void)snprintf(w->trouble, sizeof w->trouble, "nothing has been listed yet");
    kube_store_init(&w->store);
    kube_lines_init(&w->lines);
    w->step = evtimer_new(kube_base(k), on_step, w);
    w->news = evtimer_new(kube_base(k), on_news, w);
    if (!w->step || !w->news || !make_paths(w, setup)) {
        kube_watch_free(w);
        return NULL;
    }
    step_after(w, 0);
    return w;
}

void kube_watch_free(struct kube_watch *w)
{
    if (!w)
        return;
    end_stream(w);
    kube_store_fini(&w->store);
    if (w->step)
        event_free(w->step);
    if (w->news)
        event_free(w->news);
    free(w->list_path);
    free(w->stream_path);
    free(w);
}

bool kube_watch_is_synced(const struct kube_watch *w)
{
    return w->is_synced;
}

const char *kube_watch_trouble(const struct kube_watch *w)
{
    return w->trouble;
}

bool kube_watch_has_failed(const struct kube_watch *w)
{
    return w->failures > 0;
}

const struct cJSON *kube_watch_find(const struct kube_watch *w, const char *name)
{
    return kube_store_find(&w->store, name);
}

size_t kube_watch_count(const struct kube_watch *w)
{
    return w->store.n;
}

const struct cJSON *kube_watch_at(const struct kube_watch *w, size_t index)
{
    CHECK(index < w->store.n);
    return w->store.items[index].object;
}

/* A Scale has the name and the version of its object, and is not it. */
void kube_watch_note(struct kube_watch *w, const struct cJSON *object)
{
    const struct cJSON *kind = cJSON_GetObjectItemCaseSensitive(object, "kind");
    if (cJSON_IsString(kind) && (!w->kind[0] || strcmp(kind->valuestring, w->kind) != 0))
        return;
    struct cJSON *copy = cJSON_Duplicate(object, true);
    if (copy)
        (void)!kube_store_put(&w->store, copy); /* what is no object has nothing to say */
    if (w->store.has_changed)
        tell_later(w);
}
