/* A rolling update that a running proxy carries out: it is checked, started or undone by the admin API, and followed.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "rollout/cli/client.h"
#include "rollout/cli/command.h"
#include "rollout/cli/options.h"
#include "rollout/cli/rolling_update.h"
#include "rollout/cli/status_view.h"
#include "rollout/cli/usage.h"
#include "rollout/kube/objects.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

static const char *text_of(const cJSON *object, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
    return text ? text : "";
}

/* The version whose workload is this controller; NULL: none. */
static const cJSON *version_of(const cJSON *status, const char *controller)
{
    const cJSON *version;
    struct kube_ref ref;
    cJSON_ArrayForEach(version, cJSON_GetObjectItemCaseSensitive(status, "versions"))
    {
        if (kube_ref_parse(text_of(version, "workload"), &ref, NULL) == OK && ref.kind == KUBE_RC &&
            strcmp(ref.name, controller) == 0)
            return version;
    }
    return NULL;
}

static const char *new_name(const struct rolling_line *line)
{
    const cJSON *metadata = cJSON_GetObjectItemCaseSensitive(line->rolling.manifest, "metadata");
    return line->rolling.new ? line->rolling.new : text_of(metadata, "name");
}

/* Whether the route's versions are the two controllers of the command, and new runs the file's template. */
static enum err check_route(const struct rolling_line *line, const cJSON *status, struct why *why)
{
    const char *const names[] = {line->rolling.old, new_name(line)};
    const cJSON *version = NULL;
    char hash[KUBE_HASH_MAX];
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (names[i][0] && !(version = version_of(status, names[i])))
            return why_set(why, ERR_CONFLICT,
                           "route %s has no version whose workload is rc/%s: name both in its "
                           "configuration",
                           line->route, names[i]);
    const char *revision = names[1][0] ? text_of(version, "revision") : "";
    if (!line->rolling.manifest || !revision[0])
        return OK;
    const cJSON *spec = cJSON_GetObjectItemCaseSensitive(line->rolling.manifest, "spec");
    if (kube_hash(cJSON_GetObjectItemCaseSensitive(spec, "template"), hash) != OK)
        return why_set(why, ERR_MEMORY, "out of memory");
    if (strcmp(hash, revision) == 0)
        return OK;
    return why_set(why, ERR_CONFLICT,
                   "%s has another template than the manifest of route %s: let the proxy read it "
                   "(serin reload)",
                   line->file, line->route);
}

/* Starts it, or the way back: abort while it runs, undo afterwards. One that runs already is only followed. */
static enum cli_exit set_going(struct client *c, const struct rolling_line *line,
                               struct cli_options *o, const struct status_view *v)
{
    bool is_running = status_is_running(v);
    if (is_running && !line->rolling.is_rollback) {
        printf("Found existing update in progress (%s), resuming.\n", new_name(line));
        fflush(stdout);
        return CLI_OK;
    }
    if (line->rolling.is_rollback)
        o->command = is_running ? "abort" : "undo";
    else
        o->command = "start";
    return command_verb(c, o);
}

static enum cli_exit run(struct client *c, const struct rolling_line *line, struct cli_options *o)
{
    struct why why = {""};
    cJSON *status;
    enum err e = client_status(c, line->route, &status, &why);
    if (e)
        return command_failed(c, o, e, &why);
    e = check_route(line, status, &why);
    enum cli_exit code = CLI_OK;
    if (e) {
        fprintf(stderr, "serin: %s\n", why.text);
        code = CLI_ERROR;
    } else if (line->rolling.is_dry) {
        printf("Rolling from:\n%s\nTo:\n%s\n", line->rolling.old, new_name(line));
    } else {
        struct status_view v = status_view_of(status);
        code = set_going(c, line, o, &v);
    }
    cJSON_Delete(status);
    if (code != CLI_OK || line->rolling.is_dry)
        return code;
    o->command = "wait";
    return command_wait(c, o);
}

/* The client's options, read as those of serin wait. */
static enum err options_of(const struct rolling_line *line, struct cli_options *o, struct why *why)
{
    static const struct options_spec spec = {"rolling-update", OPTION_TIMEOUT | OPTION_WHO,
                                             ROUTE_REQUIRED};
    char word[] = "rolling-update", admin[] = "--admin", token[] = "--token-file",
         timeout[] = "--timeout", end[] = "--";
    char *argv[10];
    int n = 0;
    argv[n++] = word;
    if (line->admin) {
        argv[n++] = admin;
        argv[n++] = (char *)(uintptr_t)line->admin; /* getopt permutes, and changes no text */
    }
    if (line->token_file) {
        argv[n++] = token;
        argv[n++] = (char *)(uintptr_t)line->token_file;
    }
    if (line->timeout) {
        argv[n++] = timeout;
        argv[n++] = (char *)(uintptr_t)line->timeout;
    }
    argv[n++] = end;
    argv[n++] = (char *)(uintptr_t)line->route;
    argv[n] = NULL;
    return options_parse(o, &spec, n, argv, why);
}

int rolling_route(struct rolling_line *line)
{
    struct why why = {""};
    struct cli_options o;
    if (options_of(line, &o, &why))
        return usage_error("rolling-update", "%s", why.text);
    struct client *c = client_open(o.admin, o.token, &why);
    if (!c) {
        fprintf(stderr, "serin: %s\n", why.text);
        return CLI_ERROR;
    }
    enum cli_exit code = run(c, line, &o);
    client_close(c);
    return (int)code;
}
