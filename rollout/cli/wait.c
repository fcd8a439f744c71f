/* The command serin wait: blocks until a rollout has ended, for continuous integration; one line a
 * change, the exit code tells.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/cli/command.h"
#include "rollout/cli/news.h"
#include "rollout/cli/poll.h"

#include <cjson/cJSON.h>

struct wait {
    const struct cli_options *options;
    struct news news;
    struct text line; /* the last status, for the message of a timeout */
    cJSON *last;      /* with --json: what a timeout prints */
    enum cli_exit exit;
    bool is_away; /* the server's absence has been told of */
};

/* Takes a status in, and keeps it; true: the rollout has ended, or only a person can move it. */
static bool take(struct wait *w, cJSON *json)
{
    struct status_view v = status_view_of(json);
    bool has_ended = !status_is_running(&v) || status_has_failed(&v);
    bool is_news = news_take(&w->news, &v);
    text_clear(&w->line);
    status_add_line(&w->line, &v);
    w->exit = status_exit(&v);
    if (w->options->json) {
        if (has_ended && !command_print_json(json, true))
            w->exit = CLI_ERROR;
    } else if (is_news) {
        puts(text_str(&w->line));
        fflush(stdout);
    }
    cJSON_Delete(w->last);
    w->last = json;
    return has_ended;
}

static enum err wait_for_end(struct wait *w, struct poll *p, struct why *why)
{
    for (;;) {
        cJSON *json;
        enum err e = poll_next(p, &json, why);
        if (e)
            return e;
        if (!json && !w->is_away)
            fprintf(stderr, "serin: %s; trying again\n", why->text);
        w->is_away = !json;
        if (json && take(w, json))
            return OK;
    }
}

enum cli_exit command_wait(struct client *c, const struct cli_options *o)
{
    struct why why = {""};
    struct poll p;
    struct wait w = {.options = o};
    poll_start(&p, c, o->route, o->timeout_ms);
    enum err e = wait_for_end(&w, &p, &why);
    poll_stop();
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
