/* The command serin status: one look at a route, or at all.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/cli/command.h"
#include "rollout/cli/status_render.h"

#include <cjson/cJSON.h>
#include <unistd.h>

static enum cli_exit exit_of(const cJSON *json, const char *route)
{
    enum cli_exit worst = CLI_OK;
    const cJSON *item;
    if (route) {
        struct status_view v = status_view_of(json);
        return status_exit(&v);
    }
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(json, "routes"))
    {
        struct status_view v = status_view_of(item);
        worst = status_worse_exit(worst, status_exit(&v));
    }
    return worst;
}

static void print_drawing(const cJSON *json, const char *route)
{
    struct style s = style_of(STDOUT_FILENO);
    struct text t = {0};
    if (route) {
        struct status_view v = status_view_of(json);
        status_render(&t, &v, &s);
    } else {
        status_render_all(&t, json, &s);
    }
    fputs(text_str(&t), stdout);
    text_fini(&t);
}

enum cli_exit command_status(struct client *c, const struct cli_options *o)
{
    struct why why = {""};
    cJSON *json;
    if (o->watch)
        return command_watch(c, o);
    enum err e = client_status(c, o->route, &json, &why);
    if (e)
        return command_failed(c, o, e, &why);
    enum cli_exit code = exit_of(json, o->route);
    if (!o->json)
        print_drawing(json, o->route);
    else if (!command_print_json(json, true))
        code = CLI_ERROR;
    cJSON_Delete(json);
    return code;
}
