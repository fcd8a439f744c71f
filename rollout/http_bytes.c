/* Where an answer's bytes go: into one bounded body, or piece by piece to the owner of a stream.
 * SPDX-License-Identifier: Apache-2.0
 *
 * on_bytes is called from on_news alone (and, for what is left at a stream's end, from the turn in
 * which done would be): no frame of libcurl stands above it, so that it may cancel its call.
 */
#include "rollout/http_call.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

/* Guards memory against a head, interim ones and trailers included, without an end: libcurl keeps
 * every field. */
#define HEAD_MAX_BYTES (64u << 10)
/* The first piece of an answer: most fit, and the room doubles from there. */
#define ROOM_FIRST_BYTES 4096u
/* Guards memory against a stream that is faster than its owner: libcurl reads no further then. */
#define STREAM_HELD_MAX_BYTES (1u << 20)

static const struct timeval next_turn = {0, 0};

static bool is_good(struct http_call *c)
{
    long status = 0;
    (void)curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
    return status >= 200 && status < 300;
}

static void put_off_deadline(struct http_call *c)
{
    struct timeval idle = {c->idle_ms / 1000, (suseconds_t)(c->idle_ms % 1000) * 1000};
    (void)event_add(c->due, &idle);
}

static size_t on_head(char *bytes, size_t one, size_t n, void *arg)
{
    struct http_call *c = arg;
    (void)one;
    c->head_bytes += n;
    if (c->head_bytes > HEAD_MAX_BYTES) {
        http_call_fail(c, "the head of the answer has more than %u bytes", HEAD_MAX_BYTES);
        return 0;
    }
    bool is_end = n > 0 && (bytes[0] == '\r' || bytes[0] == '\n');
    if (c->on_bytes && is_end && is_good(c)) {
        c->is_flowing = true;
        put_off_deadline(c);
        (void)event_add(c->news, &next_turn); /* it has begun, which is news */
    }
    return n;
}

static bool make_room(struct http_call *c, size_t need)
{
    size_t room = c->room ? c->room : ROOM_FIRST_BYTES;
    while (room < need)
        room *= 2;
    if (room == c->room)
        return true;
    char *body = realloc(c->body, room);
    if (!body)
        return false;
    c->body = body;
    c->room = room;
    return true;
}

static bool keep(struct http_call *c, const char *bytes, size_t n)
{
    if (!make_room(c, c->len + n + 1)) {
        http_call_fail(c, "out of memory");
        return false;
    }
    memcpy(c->body + c->len, bytes, n);
    c->len += n;
    c->body[c->len] = '\0';
    return true;
}

static size_t on_stream(struct http_call *c, const char *bytes, size_t n)
{
    if (c->len + n > STREAM_HELD_MAX_BYTES && c->len > 0) {
        c->is_paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    if (!keep(c, bytes, n))
        return CURL_WRITEFUNC_ERROR;
    put_off_deadline(c);
    return event_add(c->news, &next_turn) == 0 ? n : CURL_WRITEFUNC_ERROR;
}

static size_t on_body(char *bytes, size_t one, size_t n, void *arg)
{
    struct http_call *c = arg;
    (void)one;
    if (c->is_flowing)
        return on_stream(c, bytes, n);
    if (n > c->most - c->len) {
        http_call_fail(c, "the answer has more than %zu bytes", c->most);
        return CURL_WRITEFUNC_ERROR;
    }
    return keep(c, bytes, n) ? n : CURL_WRITEFUNC_ERROR;
}

void http_bytes_tell(struct http_call *c)
{
    char *bytes = c->body;
    size_t len = c->len;
    c->body = NULL;
    c->len = c->room = 0;
    if (c->is_paused && c->state == CALL_RUNNING) {
        c->is_paused = false;
        (void)curl_easy_pause(c->easy, CURLPAUSE_CONT); /* may bring bytes at once */
    }
    c->on_bytes(c->arg, bytes ? bytes : "", len);
    free(bytes);
}

static void on_news(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    http_bytes_tell(arg);
}

enum err http_bytes_init(struct http_call *c, const struct http_ask *ask)
{
    c->most = ask->answer_max ? ask->answer_max : HTTP_ANSWER_MAX;
    c->on_bytes = ask->on_bytes;
    c->idle_ms = ask->idle_ms;
    if (c->on_bytes && !(c->news = evtimer_new(c->http->base, on_news, c)))
        return ERR_MEMORY;
    CURL *e = c->easy;
    /* A length above it ends the call at once; a stream has none. */
    curl_off_t most = c->on_bytes ? 0 : (curl_off_t)c->most;
    return curl_easy_setopt(e, CURLOPT_MAXFILESIZE_LARGE, most) == CURLE_OK &&
                   curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_head) == CURLE_OK &&
                   curl_easy_setopt(e, CURLOPT_HEADERDATA, c) == CURLE_OK &&
                   curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
                   curl_easy_setopt(e, CURLOPT_WRITEDATA, c) == CURLE_OK
               ? OK
               : ERR_MEMORY;
}
