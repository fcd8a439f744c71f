/* The command serin wait: blocks until a rollout has ended, for continuous integration; one line a
 * change, or on a terminal one line redrawn; the exit code tells.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/cli/command.h"
#include "rollout/cli/news.h"
#include "rollout/cli/poll.h"
#include "rollout/cli/screen.h"
#include "rollout/cli/status_render.h"

#include <cjson/cJSON.h>
#include <unistd.h>

struct wait {
    const struct cli_options *options;
    struct news news;
    struct screen screen;
    struct text line; /* the last status, for the message of a timeout */
    cJSON *last;      /* for the line that is redrawn; with --json: what a timeout prints */
    enum cli_exit exit;
    bool on_terminal;
    bool is_away; /* the server's absence has been told of */
};

/* The line that is redrawn. trouble: why the server is away; NULL = it is there. */
static void draw(struct wait *w, const char *trouble)
{
    struct style s = style_of(STDOUT_FILENO);
    struct status_view v = status_view_of(w->last);
    struct text line = {0}, frame = {0};
    if (trouble) {
        text_add_clean(&line, trouble);
        text_add(&line, "; trying again\n");
    } else {
        status_render_progress(&line, &v, &s);
    }
    screen_add_frame(&frame, &w->screen, text_str(&line), &s);
    (void)terminal_write(text_str(&frame), frame.len);
    text_fini(&line);
    text_fini(&frame);
}

/* The end of it is not cut: it says why. */
static void print_change(struct wait *w, const struct status_view *v, bool is_last)
{
    if (w->on_terminal && is_last) {
        struct style s = style_of(STDOUT_FILENO);
        struct text frame = {0};
        screen_add_frame(&frame, &w->screen, "", &s);
        text_add(&frame, "%s\n", text_str(&w->line));
        (void)terminal_write(text_str(&frame), frame.len);
        text_fini(&frame);
    } else if (w->on_terminal) {
        draw(w, NULL);
    } else if (news_take(&w->news, v)) {
        puts(text_str(&w->line));
        fflush(stdout);
    }
}

/* Takes a status in, and keeps it; true: the rollout has ended, or only a person can move it. */
static bool take(struct wait *w, cJSON *json)
{
    struct status_view v = status_view_of(json);
    bool has_ended = !status_is_running(&v) || status_has_failed(&v);
    text_clear(&w->line);
    status_add_line(&w->line, &v);
    w->exit = status_exit(&v);
    w->is_away = false;
    cJSON_Delete(w->last);
    w->last = json;
    if (!w->options->json)
        print_change(w, &v, has_ended);
    else if (has_ended && !command_print_json(json, true))
        w->exit = CLI_ERROR;
    return has_ended;
}

static void take_absence(struct wait *w, const char *trouble)
{
    if (w->on_terminal)
        draw(w, trouble);
    else if (!w->is_away)
        fprintf(stderr, "serin: %s; trying again\n", trouble);
    w->is_away = true;
}

static enum err wait_for_end(struct wait *w, struct poll *p, struct why *why)
{
    for (;;) {
        cJSON *json;
        enum poll_news news;
        enum err e = poll_next(p, &news, &json, why);
        if (e)
            return e;
        if (news == POLL_STATUS && take(w, json))
            return OK;
        if (news == POLL_AWAY)
            take_absence(w, why->text);
    }
}

enum cli_exit command_wait(struct client *c, const struct cli_options *o)
{
    struct why why = {""};
    struct wait w = {.options = o};
    struct poll p = {.client = c, .route = o->route};
    w.on_terminal = style_of(STDOUT_FILENO).is_screen && !o->json;
    poll_start(&p, o->timeout_ms);
    enum err e = wait_for_end(&w, &p, &why);
    poll_stop(&p);
    if (e == ERR_TIMEOUT) {
        fprintf(stderr, "serin: timed out waiting: %s\n", text_str(&w.line));
        w.exit = CLI_TIMED_OUT;
        if (o->json && w.last && !command_print_json(w.last, true))
            w.exit = CLI_ERROR;
    } else if (e) {
        w.exit = command_failed(c, o, e, &why);
    }
    text_fini(&w.line);
    cJSON_Delete(w.last);
    return w.exit;
}
