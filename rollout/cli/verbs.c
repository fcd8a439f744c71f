/* The commands start, pause, ..., reload and notify: one verb, one audit line.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/cli/command.h"
#include "rollout/cli/numbers.h"
#include "rollout/cli/status_view.h"

#include <cjson/cJSON.h>
#include <stdlib.h>

static char *body_of(const struct cli_options *o)
{
    cJSON *json = cJSON_CreateObject();
    if (o->full)
        (void)cJSON_AddTrueToObject(json, "full");
    if (o->who[0])
        (void)cJSON_AddStringToObject(json, "who", o->who);
    char *text = cJSON_PrintUnformatted(json);
    cJSON_Delete(json);
    return text;
}

/* "my-web: abort by ada: v2 is out (now ABORTING, 0%)" */
static void print_audit_line(const struct cli_options *o, const cJSON *json)
{
    struct text t = {0};
    const char *message = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "message"));
    const cJSON *status = cJSON_GetObjectItemCaseSensitive(json, "status");
    struct status_view v = status_view_of(status);
    if (o->route) {
        text_add_clean(&t, o->route);
        text_add(&t, ": ");
    }
    text_add(&t, "%s%s", o->command, o->full ? " --full" : "");
    if (o->who[0])
        text_add(&t, " by %s", o->who);
    text_add(&t, ": ");
    text_add_clean(&t, message && message[0] ? message : "done");
    if (v.state[0]) {
        text_add(&t, " (now ");
        text_add_clean(&t, v.state);
        if (v.canary[0] && v.intended >= 0)
            text_add(&t, ", %s", number_percent(v.intended).at);
        text_add(&t, ")");
    }
    puts(text_str(&t));
    text_fini(&t);
}

/* What a reload changed, or every error, one line each. Returns how many. */
static int print_lines(const cJSON *lines, const char *indent, FILE *to)
{
    const cJSON *line;
    int n = 0;
    cJSON_ArrayForEach(line, lines)
    {
        struct text t = {0};
        const char *foreign = cJSON_GetStringValue(line);
        text_add_clean(&t, foreign ? foreign : "");
        fprintf(to, "%s%s\n", indent, text_str(&t));
        text_fini(&t);
        n++;
    }
    return n;
}

static enum cli_exit change(struct client *c, const struct cli_options *o, const char *path)
{
    struct why why = {""};
    cJSON *json;
    char *body = body_of(o);
    enum err e =
        body ? client_ask(c, path, body, &json, &why) : why_set(&why, ERR_MEMORY, "out of memory");
    cJSON_free(body);
    int errors = e ? print_lines(client_refusal(c), "", stderr) : 0;
    if (errors)
        (void)why_set(&why, e, "the old configuration stays in force: %d error%s", errors,
                      errors == 1 ? "" : "s");
    if (e)
        return command_failed(c, o, e, &why);
    if (!o->json) {
        print_audit_line(o, json);
        (void)print_lines(cJSON_GetObjectItemCaseSensitive(json, "changes"), "  ", stdout);
    }
    bool has_failed = o->json && !command_print_json(json, true);
    cJSON_Delete(json);
    return has_failed ? CLI_ERROR : CLI_OK;
}

enum cli_exit command_verb(struct client *c, const struct cli_options *o)
{
    char path[CLIENT_PATH_MAX];
    client_route_path(path, o->route, o->command);
    return change(c, o, path);
}

enum cli_exit command_notify(struct client *c, const struct cli_options *o)
{
    return change(c, o, "/api/v1/notifications/test");
}

enum cli_exit command_reload(struct client *c, const struct cli_options *o)
{
    return change(c, o, "/api/v1/reload");
}
