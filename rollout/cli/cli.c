/* The client's commands: finds one, reads its options, opens the client, runs it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/cli/cli.h"
#include "base/check.h"
#include "rollout/cli/command.h"
#include "rollout/cli/text.h"
#include "rollout/cli/usage.h"

#include <cjson/cJSON.h>
#include <curl/curl.h>
#include <locale.h>
#include <string.h>

typedef enum cli_exit command_fn(struct client *c, const struct cli_options *o);

struct command {
    const char *name;
    enum route_need route;
    unsigned options;
    command_fn *run;
    const char *summary, *details, *example;
};

#define VERB_OPTIONS (OPTION_JSON | OPTION_WHO)

static const struct command commands[] = {
    {"status", ROUTE_OPTIONAL, OPTION_JSON | OPTION_WATCH, command_status,
     "shows phase, step, weight, both versions, and why it is (not) moving",
     "Without ROUTE: all routes. With --watch it follows until the rollout that runs has ended;\n"
     "if none runs, it waits for one. On a terminal it is redrawn in place, and q or Ctrl-C ends\n"
     "it, not the rollout; else it prints one line a change. Colours only on a terminal, and not\n"
     "with NO_COLOR.\n"
     "Exit code: 0 healthy or done, 3 progressing, 4 degraded (aborted, a promotion that failed,\n"
     "or no endpoint of stable is available), 5 paused.",
     "serin status my-web --watch"},
    {"wait", ROUTE_REQUIRED, OPTION_JSON | OPTION_TIMEOUT, command_wait,
     "blocks until the rollout ends, for continuous integration",
     "Prints one line a change (on a terminal one that is redrawn), or with --json the last "
     "status.\n"
     "Ends at once if no rollout runs.\n"
     "A pause goes on waiting, unless the canary failed (on_failure: pause): only a person moves "
     "it.\n"
     "Exit code: 0 done, 4 aborted, 5 the canary failed and the rollout is paused, 6 timed out.",
     "serin start my-web && serin wait my-web --timeout 30m"},
    {"history", ROUTE_REQUIRED, OPTION_JSON, command_history,
     "shows past rollouts: steps, times, verdicts, who", "The newest comes first.",
     "serin history my-web"},
    {"start", ROUTE_REQUIRED, VERB_OPTIONS, command_verb, "starts the rollout of the canary",
     "The steps are those of the configuration.", "serin start my-web"},
    {"pause", ROUTE_REQUIRED, VERB_OPTIONS, command_verb, "keeps the weight where it is",
     "A canary that turns out bad is taken out all the same.", "serin pause my-web"},
    {"resume", ROUTE_REQUIRED, VERB_OPTIONS, command_verb, "goes on after a pause", NULL,
     "serin resume my-web"},
    {"promote", ROUTE_REQUIRED, VERB_OPTIONS | OPTION_FULL, command_verb,
     "goes on to the next step, whatever the evidence",
     "With --full: all the way to 100%, skips the remaining steps and the bake.",
     "serin promote my-web --full"},
    {"abort", ROUTE_REQUIRED, VERB_OPTIONS, command_verb, "puts everybody back on stable",
     "The canary stays in quarantine until `serin retry`, or until the configuration names "
     "another.",
     "serin abort my-web"},
    {"retry", ROUTE_REQUIRED, VERB_OPTIONS, command_verb, "starts an aborted rollout again",
     "From the first step, with `hold` doubled: once, however often it is retried.",
     "serin retry my-web"},
    {"undo", ROUTE_REQUIRED, VERB_OPTIONS, command_verb, "goes back after a promotion",
     "A new rollout the other way, which goes to its bake at once.", "serin undo my-web"},
    {"reset", ROUTE_REQUIRED, VERB_OPTIONS, command_verb,
     "forgets the route's record: the configuration's stable serves everyone", NULL,
     "serin reset my-web"},
    {"reload", ROUTE_NONE, VERB_OPTIONS, command_reload, "reads the configuration anew",
     "All or nothing; no connection is lost. Prints what changed, one line a change, or every "
     "error.\n"
     "A running rollout keeps the plan that it started with.",
     "serin reload"},
    {"notify", ROUTE_NONE, VERB_OPTIONS, command_notify,
     "sends a test to everybody whom the configuration's notifications name",
     "What became of it is in the log and in serin_notifications_total.", "serin notify"},
};

static const struct command *find_command(const char *word)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        if (strcmp(commands[i].name, word) == 0)
            return &commands[i];
    return NULL;
}

bool cli_is_command(const char *word)
{
    return find_command(word) != NULL;
}

const char *cli_command_name(size_t i)
{
    return i < ARRAY_LEN(commands) ? commands[i].name : NULL;
}

void cli_print_commands(FILE *out)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        fprintf(out, "  %-14s %s\n", commands[i].name, commands[i].summary);
}

static void print_help(const struct command *command)
{
    static const struct {
        unsigned option;
        const char *text;
    } lines[] = {
        {OPTION_WATCH, "  -w, --watch        follow until the rollout has ended\n"},
        {OPTION_FULL, "      --full         all the way, not only to the next step\n"},
        {OPTION_TIMEOUT, "      --timeout T    give up after T: 90s, 30m, 2h (without: never)\n"},
        {OPTION_WHO,
         "      --who NAME     in whose name, for the audit log (without: your login)\n"},
        {OPTION_JSON, "      --json         print the server's answer as JSON\n"},
    };
    static const char *const arguments[] = {
        [ROUTE_NONE] = "", [ROUTE_OPTIONAL] = " [ROUTE]", [ROUTE_REQUIRED] = " ROUTE"};
    printf("Usage: serin %s%s [options]\n\n%s: %s.\n", command->name, arguments[command->route],
           command->name, command->summary);
    if (command->details)
        printf("%s\n", command->details);
    printf("\n");
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        if (command->options & lines[i].option)
            fputs(lines[i].text, stdout);
    printf("      --admin URL    the admin port: http://host:port or unix:/path\n"
           "                     (without: SERIN_ADMIN, else " OPTIONS_ADMIN_DEFAULT ")\n"
           "      --token-file F the file with the admin token (without: SERIN_TOKEN)\n"
           "  -h, --help         this text\n\n"
           "Example: %s\n",
           command->example);
}

bool command_print_json(const struct cJSON *json, bool is_indented)
{
    char *text = is_indented ? cJSON_Print(json) : cJSON_PrintUnformatted(json);
    bool is_printed = text && puts(text) >= 0 && fflush(stdout) == 0;
    cJSON_free(text);
    return is_printed;
}

/* The names that would have been right. */
static void print_known_routes(struct client *c)
{
    struct why why;
    struct text names = {0};
    cJSON *json;
    const cJSON *item;
    if (client_status(c, NULL, &json, &why))
        return;
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(json, "routes"))
    {
        const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, "route"));
        if (names.len)
            text_add(&names, ", ");
        text_add_clean(&names, name ? name : "");
    }
    fprintf(stderr, "serin: routes are: %s\n", names.len ? text_str(&names) : "none");
    text_fini(&names);
    cJSON_Delete(json);
}

enum cli_exit command_failed(struct client *c, const struct cli_options *o, enum err e,
                             const struct why *why)
{
    fprintf(stderr, "serin: %s%s%s\n", o->route ? o->route : "", o->route ? ": " : "", why->text);
    if (e == ERR_NOT_FOUND && o->route)
        print_known_routes(c);
    return CLI_ERROR;
}

static enum cli_exit run_with_client(const struct command *command, const struct cli_options *o)
{
    struct why why = {""};
    struct client *c = client_open(o->admin, o->token, &why);
    if (!c)
        return (enum cli_exit)usage_error(command->name, "%s", why.text);
    enum cli_exit code = command->run(c, o);
    client_close(c);
    if (fflush(stdout) != 0 || ferror(stdout))
        return CLI_ERROR;
    return code;
}

int cli_run(const char *word, int argc, char **argv)
{
    struct cli_options o;
    struct why why = {""};
    const struct command *command = find_command(word);
    if (!command)
        return usage_error("", "there is no command \"%s\"", word);
    struct options_spec spec = {command->name, command->options, command->route};
    enum err e = options_parse(&o, &spec, argc, argv, &why);
    if (e == ERR_INVALID)
        return usage_error(command->name, "%s", why.text);
    if (e) {
        fprintf(stderr, "serin %s: %s\n", command->name, why.text);
        return CLI_ERROR;
    }
    if (o.help) {
        print_help(command);
        return CLI_OK;
    }
    (void)setlocale(LC_CTYPE, "");
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        fprintf(stderr, "serin: libcurl cannot start\n");
        return CLI_ERROR;
    }
    enum cli_exit code = run_with_client(command, &o);
    curl_global_cleanup();
    return (int)code;
}
