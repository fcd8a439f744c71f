/* The half of `serin replay` that knows configurations; the other is rollout/cli/replay.c.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/replay_command.h"

#include "proxy/conf/load.h"
#include "rollout/cli/replay.h"
#include "rollout/cli/text.h"
#include <stdio.h>
#include <sysexits.h>

static int take_plan(const struct config *config, const char *name, struct plan *plan)
{
    const struct config_route *route = config_find_route(config, name);
    if (route && route->has_rollout) {
        *plan = route->plan;
        return 0;
    }
    struct text clean = {0}; /* the name may be the record's */
    text_add_clean(&clean, name);
    fprintf(stderr, "%s: %s \"%s\"%s\n", config->file, route ? "route" : "there is no route",
            text_str(&clean),
            route ? " has no rollout: it names no canary, or has a weight"
                  : "; name one by --route");
    text_fini(&clean);
    return EX_CONFIG;
}

static int read_plan(const char *path, const char *name, struct plan *plan)
{
    struct config_errors errors;
    struct config *config = config_load(path, &errors);
    int code;
    if (config)
        code = take_plan(config, name, plan);
    else
        code = errors.code == ERR_MEMORY ? EX_SOFTWARE : EX_CONFIG;
    if (!config)
        config_errors_print(&errors, stderr);
    config_free(config);
    return code;
}

int replay_configured(int argc, char **argv)
{
    return replay_command(argc, argv, read_plan);
}
