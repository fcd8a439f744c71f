/* Those that a rollout of the test world asks: they answer, by their URL, what the test says, a second later.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_TESTS_ROLLOUT_OTHERS_H
#define SERIN_TESTS_ROLLOUT_OTHERS_H

#include "rollout/decide/outside.h"
#include "rollout/http.h"
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OTHERS_MAX   16
#define OTHERS_CALLS 64
#define OTHERS_TEXT  128

struct http_call {
    struct http_ask ask;
    char url[OTHERS_TEXT], body[1024];
    bool is_open;
};

/* One of them: "http://NAME/". */
struct other {
    char name[32];
    unsigned status; /* 0: no answer */
    char body[OTHERS_TEXT];
    unsigned asked;
    char last[1024]; /* the body that it got last */
};

/* A rollout's `more_checks`, `gates` and `windows`, and the world's answers to them. */
struct others {
    struct other all[OTHERS_MAX];
    size_t n;
    struct http_call calls[OTHERS_CALLS];
    struct outside outside;
    struct outside_check checks[OUTSIDE_CHECKS_MAX];
    struct outside_gate gates[OUTSIDE_GATES_MAX];
    struct outside_window windows[OUTSIDE_WINDOWS_MAX];
    char texts[64][OTHERS_TEXT];
    size_t n_texts;
};

static inline struct other *others_find(struct others *o, const char *name)
{
    for (size_t i = 0; i < o->n; i++)
        if (strcmp(o->all[i].name, name) == 0)
            return &o->all[i];
    if (o->n == OTHERS_MAX)
        abort();
    struct other *found = &o->all[o->n++];
    *found = (struct other){.status = 0};
    (void)snprintf(found->name, sizeof found->name, "%s", name);
    return found;
}

static inline struct http_call *others_ask(struct others *o, const struct http_ask *ask)
{
    for (size_t i = 0; i < OTHERS_CALLS; i++) {
        struct http_call *c = &o->calls[i];
        if (c->is_open)
            continue;
        *c = (struct http_call){.ask = *ask, .is_open = true};
        (void)snprintf(c->url, sizeof c->url, "%s", ask->url);
        (void)snprintf(c->body, sizeof c->body, "%s", ask->body ? ask->body : "");
        return c;
    }
    abort();
}

/* A second has passed: who was asked answers. */
static inline void others_answer(struct others *o)
{
    struct http_call now[OTHERS_CALLS];
    for (size_t i = 0; i < OTHERS_CALLS; i++) {
        now[i] = o->calls[i];
        o->calls[i].is_open = false;
    }
    for (size_t i = 0; i < OTHERS_CALLS; i++) {
        char name[32] = "";
        if (!now[i].is_open)
            continue;
        (void)sscanf(now[i].url, "http://%31[^/]", name);
        struct other *other = others_find(o, name);
        other->asked++;
        memcpy(other->last, now[i].body, sizeof other->last);
        struct http_answer answer = {.status = other->status,
                                     .error = other->status ? "" : "connection refused",
                                     .body = other->status ? other->body : "",
                                     .len = other->status ? strlen(other->body) : 0};
        now[i].ask.done(now[i].ask.arg, &answer);
    }
}

/* The process is gone, and with it its questions. */
static inline void others_forget(struct others *o)
{
    for (size_t i = 0; i < OTHERS_CALLS; i++)
        o->calls[i].is_open = false;
}

static inline const char *others_text(struct others *o, const char *format, const char *a)
{
    if (o->n_texts == 64)
        abort();
    char *text = o->texts[o->n_texts++];
    int n = snprintf(text, OTHERS_TEXT, "%s%s/", format, a);
    if (n < 0 || n >= OTHERS_TEXT)
        abort();
    return text;
}

static inline void others_join(struct others *o)
{
    o->outside.checks = o->checks;
    o->outside.gates = o->gates;
    o->outside.windows = o->windows;
}

/* "check NAME prometheus|webhook [dry_run]": asked every 10 s, a value up to 0.8 passes, 2 failures in a row abort. */
static inline void others_check(struct others *o, const char *name, const char *kind,
                                const char *dry_run)
{
    bool query = strcmp(kind, "prometheus") == 0;
    const char *url = others_text(o, "http://", name);
    char *kept = o->texts[o->n_texts++];
    (void)snprintf(kept, OTHERS_TEXT, "%s", name);
    o->checks[o->outside.n_checks++] =
        (struct outside_check){.kind = query ? OUTSIDE_PROMETHEUS : OUTSIDE_WEBHOOK,
                               .name = kept,
                               .url = url,
                               .query = query ? "up" : NULL,
                               .max = query ? "0.8" : NULL,
                               .interval_ms = 10000,
                               .failures = 2,
                               .dry_run = dry_run != NULL};
    others_join(o);
}

/* "gate before_step" */
static inline void others_gate(struct others *o, const char *on)
{
    static const char *const names[] = {"before_start", "before_step", "before_promote",
                                        "after_end", "event"};
    unsigned moment = 0;
    while (moment < 5 && strcmp(names[moment], on) != 0)
        moment++;
    if (moment == 5)
        abort();
    o->gates[o->outside.n_gates++] = (struct outside_gate){.on = (enum outside_moment)moment,
                                                           .url = others_text(o, "http://", on),
                                                           .timeout_ms = 10000};
    others_join(o);
}

/* "window 00:10 00:20": every day, UTC. */
static inline void others_window(struct others *o, const char *from, const char *to)
{
    char *kept = o->texts[o->n_texts++];
    (void)snprintf(kept, OTHERS_TEXT, "%.5s", from);
    char *end = o->texts[o->n_texts++];
    (void)snprintf(end, OTHERS_TEXT, "%.5s", to);
    o->windows[o->outside.n_windows++] =
        (struct outside_window){.days = 0x7f, .from = kept, .to = end, .tz = "UTC"};
    others_join(o);
}

/* "answer NAME pass|fail|STATUS|none|VALUE%": a value is what Prometheus would say. */
static inline void others_say(struct others *o, const char *name, const char *what)
{
    struct other *other = others_find(o, name);
    other->body[0] = '\0';
    if (strcmp(what, "none") == 0) {
        other->status = 0;
    } else if (strchr(what, '%')) {
        other->status = 200;
        (void)snprintf(
            other->body, sizeof other->body,
            "{\"status\":\"success\",\"data\":{\"resultType\":\"scalar\",\"result\":[1,\"%g\"]}}",
            strtod(what, NULL) / 100);
    } else if (what[0] >= '0' && what[0] <= '9') {
        other->status = (unsigned)strtoul(what, NULL, 10);
    } else {
        other->status = 200;
        (void)snprintf(other->body, sizeof other->body, "{\"verdict\":\"%s\"}", what);
    }
}

#endif
