/* The command serin status --watch: follows a rollout until it ends; redrawn in place on a
 * terminal, else one line a change.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/cli/command.h"
#include "rollout/cli/news.h"
#include "rollout/cli/poll.h"
#include "rollout/cli/screen.h"
#include "rollout/cli/status_render.h"

#include <cjson/cJSON.h>
#include <time.h>
#include <unistd.h>

#define CURSOR_HIDE "\033[?25l"
#define CURSOR_SHOW "\033[?25h"

struct watch {
    const struct cli_options *options;
    struct screen screen;
    struct news news;
    struct text drawing; /* the last one, kept while the server is away */
    bool on_terminal, has_run, has_interrupt;
    bool runs; /* a rollout is under way now */
    enum cli_exit exit;
};

static void add_time(struct text *t)
{
    struct tm tm;
    time_t now = time(NULL);
    char text[16] = "";
    if (localtime_r(&now, &tm))
        (void)strftime(text, sizeof text, "%H:%M:%S", &tm);
    text_add(t, "%s", text);
}

static void print_news(struct watch *w, const cJSON *json, const struct status_view *v)
{
    struct text line = {0};
    if (!news_take(&w->news, v))
        return;
    if (w->options->json) {
        (void)command_print_json(json, false);
        return;
    }
    add_time(&line);
    text_add(&line, "  ");
    status_add_line(&line, v);
    puts(text_str(&line));
    text_fini(&line);
}

static void look_at(struct watch *w, const cJSON *json)
{
    struct status_view v = status_view_of(json);
    w->runs |= status_is_running(&v);
    w->exit = status_worse_exit(w->exit, status_exit(&v));
    if (!w->on_terminal)
        print_news(w, json, &v);
}

static void take(struct watch *w, const cJSON *json, const struct style *s)
{
    const cJSON *item;
    w->runs = false;
    w->exit = CLI_OK;
    if (w->options->route) {
        look_at(w, json);
    } else {
        cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(json, "routes"))
        {
            look_at(w, item);
        }
    }
    w->has_run |= w->runs;
    if (!w->on_terminal)
        return;
    text_clear(&w->drawing);
    if (w->options->route) {
        struct status_view v = status_view_of(json);
        status_render(&w->drawing, &v, s);
    } else {
        status_render_all(&w->drawing, json, s);
    }
}

/* The line below the drawing: that it lives, or why not. */
static void add_footer(struct text *t, const struct watch *w, const struct style *s,
                       const char *trouble)
{
    enum colour colour = trouble ? COLOUR_YELLOW : COLOUR_DIM;
    text_add(t, "\n%s", style_begin(s, colour));
    add_time(t);
    if (trouble) {
        text_add(t, " %s ", style_glyph(s, GLYPH_DOT));
        text_add_clean(t, trouble);
    } else if (!w->has_run) {
        text_add(t, " %s waiting for a rollout", style_glyph(s, GLYPH_DOT));
    }
    if (w->has_interrupt)
        text_add(t, " %s Ctrl-C ends the watch, not the rollout", style_glyph(s, GLYPH_DOT));
    text_add(t, "%s\n", style_end(s, colour));
}

static void draw(struct watch *w, const struct style *s, const char *trouble, bool is_last)
{
    struct text frame = {0}, drawing = {0};
    text_add(&drawing, "%s", text_str(&w->drawing));
    if (!is_last)
        add_footer(&drawing, w, s, trouble);
    screen_add_frame(&frame, &w->screen, text_str(&drawing), s);
    fputs(text_str(&frame), stdout);
    fflush(stdout);
    text_fini(&drawing);
    text_fini(&frame);
}

/* Follows until the rollout that was seen running has ended. */
static enum err follow(struct watch *w, struct poll *p, struct why *why)
{
    for (;;) {
        cJSON *json;
        enum err e = poll_next(p, &json, why);
        if (e)
            return e;
        struct style s = style_of(STDOUT_FILENO);
        if (json)
            take(w, json, &s);
        bool has_ended = json && w->has_run && !w->runs;
        if (w->on_terminal)
            draw(w, &s, json ? NULL : why->text, has_ended);
        else if (fflush(stdout) != 0)
            return why_set(why, ERR_IO, "standard output is closed");
        cJSON_Delete(json);
        if (has_ended)
            return OK;
    }
}

enum cli_exit command_watch(struct client *c, const struct cli_options *o)
{
    struct why why = {""};
    struct poll p;
    struct watch w = {.options = o};
    struct style s = style_of(STDOUT_FILENO);
    w.on_terminal = s.is_terminal && !o->json;
    poll_start(&p, c, o->route, 0);
    w.has_interrupt = p.has_interrupt;
    if (w.on_terminal)
        fputs(CURSOR_HIDE, stdout);
    enum err e = follow(&w, &p, &why);
    if (w.on_terminal) {
        fputs(CURSOR_SHOW, stdout);
        fflush(stdout);
    }
    poll_stop();
    text_fini(&w.drawing);
    return e ? command_failed(c, o, e, &why) : w.exit;
}
