/* The command serin status --watch: follows a rollout until it ends; redrawn in place on a
 * terminal, else one line a change.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/cli/command.h"
#include "rollout/cli/news.h"
#include "rollout/cli/poll.h"
#include "rollout/cli/screen.h"
#include "rollout/cli/status_view.h"
#include "rollout/cli/watch_render.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define TIME_TEXT_MAX 16

struct watch {
    const struct cli_options *options;
    struct client *client;
    struct poll poll;
    struct terminal terminal;
    struct screen screen;
    struct news news;
    struct rates_book rates;
    cJSON *last;                    /* the last status, kept while the server is away */
    char away_since[TIME_TEXT_MAX]; /* "" = it is there */
    bool on_terminal, has_run;
    bool runs; /* a rollout is under way now */
    enum cli_exit exit;
};

static void tell_time(char text[TIME_TEXT_MAX])
{
    struct tm tm;
    time_t now = time(NULL);
    text[0] = '\0';
    if (localtime_r(&now, &tm))
        (void)strftime(text, TIME_TEXT_MAX, "%H:%M:%S", &tm);
}

static void print_news(struct watch *w, const cJSON *json, const struct status_view *v)
{
    char time_text[TIME_TEXT_MAX];
    struct text line = {0};
    if (!news_take(&w->news, v))
        return;
    if (w->options->json) {
        (void)command_print_json(json, false);
        return;
    }
    tell_time(time_text);
    text_add(&line, "%s  ", time_text);
    status_add_line(&line, v);
    puts(text_str(&line));
    text_fini(&line);
}

static int64_t now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec;
}

static void look_at(struct watch *w, const cJSON *json)
{
    struct status_view v = status_view_of(json);
    w->runs |= status_is_running(&v);
    w->exit = status_worse_exit(w->exit, status_exit(&v));
    if (!w->on_terminal)
        print_news(w, json, &v);
    else if (w->options->route || watch_is_active(&v))
        rates_book_refresh(&w->rates, w->client, v.route, now_s());
}

/* Takes a status in, and keeps it. */
static void take(struct watch *w, cJSON *json)
{
    const cJSON *item;
    w->runs = false;
    w->exit = CLI_OK;
    w->away_since[0] = '\0';
    if (w->options->route) {
        look_at(w, json);
    } else {
        cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(json, "routes"))
        {
            look_at(w, item);
        }
    }
    w->has_run |= w->runs;
    cJSON_Delete(w->last);
    w->last = json;
}

static void draw(struct watch *w, const char *trouble)
{
    char clock[TIME_TEXT_MAX];
    struct style s = style_of(STDOUT_FILENO);
    struct text drawing = {0}, frame = {0};
    tell_time(clock);
    struct watch_scene scene = {.status = w->last,
                                .rates = &w->rates,
                                .clock = clock,
                                .away_since = w->away_since[0] ? w->away_since : NULL,
                                .trouble = trouble,
                                .waits = !w->has_run,
                                .has_keys = w->terminal.has_keys,
                                .has_interrupt = w->poll.has_interrupt};
    watch_render(&drawing, &scene, &s);
    screen_add_frame(&frame, &w->screen, text_str(&drawing), &s);
    (void)terminal_write(text_str(&frame), frame.len);
    text_fini(&drawing);
    text_fini(&frame);
}

/* Once an absence; on a terminal the frame says it. */
static void take_absence(struct watch *w, const char *trouble)
{
    if (w->away_since[0])
        return;
    tell_time(w->away_since);
    if (!w->on_terminal)
        fprintf(stderr, "serin: %s; trying again\n", trouble);
}

/* Follows until the rollout that was seen running has ended. */
static enum err follow(struct watch *w, struct why *why)
{
    struct why trouble = {""};
    for (;;) {
        cJSON *json;
        enum poll_news news;
        enum err e = poll_next(&w->poll, &news, &json, why);
        if (e)
            return e;
        if (news == POLL_STATUS)
            take(w, json);
        else if (news == POLL_RESIZED)
            screen_resized(&w->screen);
        else
            take_absence(w, (trouble = *why).text);
        if (w->on_terminal)
            draw(w, trouble.text);
        else if (fflush(stdout) != 0)
            return why_set(why, ERR_IO, "standard output is closed");
        if (news == POLL_STATUS && w->has_run && !w->runs)
            return OK;
    }
}

enum cli_exit command_watch(struct client *c, const struct cli_options *o)
{
    struct why why = {""};
    struct watch *w = calloc(1, sizeof *w);
    if (!w) {
        (void)why_set(&why, ERR_MEMORY, "out of memory");
        return command_failed(c, o, ERR_MEMORY, &why);
    }
    w->options = o;
    w->client = c;
    w->exit = CLI_ERROR; /* until something is known */
    w->on_terminal = style_of(STDOUT_FILENO).is_screen && !o->json;
    w->poll = (struct poll){.client = c,
                            .route = o->route,
                            .terminal = w->on_terminal ? &w->terminal : NULL,
                            .is_patient = w->on_terminal,
                            .ends_by_interrupt = true};
    poll_start(&w->poll, 0);
    if (w->on_terminal)
        terminal_begin(&w->terminal);
    enum err e = follow(w, &why);
    terminal_end(&w->terminal);
    poll_stop(&w->poll);
    enum cli_exit code = e && e != ERR_CLOSED ? command_failed(c, o, e, &why) : w->exit;
    cJSON_Delete(w->last);
    free(w);
    return code;
}
