/* The command serin history: the past rollouts of a route.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/cli/command.h"
#include "rollout/cli/history_render.h"

#include <cjson/cJSON.h>
#include <unistd.h>

enum cli_exit command_history(struct client *c, const struct cli_options *o)
{
    char path[CLIENT_PATH_MAX];
    struct why why = {""};
    cJSON *json;
    client_route_path(path, o->route, "history");
    enum err e = client_ask(c, path, NULL, &json, &why);
    if (e)
        return command_failed(c, o, e, &why);
    enum cli_exit code = CLI_OK;
    if (o->json) {
        code = command_print_json(json, true) ? CLI_OK : CLI_ERROR;
    } else {
        struct style s = style_of(STDOUT_FILENO);
        struct text t = {0};
        history_render(&t, json, &s);
        fputs(text_str(&t), stdout);
        text_fini(&t);
    }
    cJSON_Delete(json);
    return code;
}
