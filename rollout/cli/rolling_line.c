/* The command line of serin rolling-update: kubectl's flags, with its defaults and its messages, and serin's own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "rollout/cli/options.h"
#include "rollout/cli/rolling_update.h"
#include "rollout/cli/usage.h"

#include <string.h>

enum {
    CHOICE_PERIOD = 1000,
    CHOICE_POLL,
    CHOICE_TIMEOUT,
    CHOICE_IMAGE,
    CHOICE_CONTAINER,
    CHOICE_PULL_POLICY,
    CHOICE_LABEL_KEY,
    CHOICE_DRY_RUN,
    CHOICE_ROLLBACK,
    CHOICE_MAX_SURGE,
    CHOICE_MAX_UNAVAILABLE,
    CHOICE_OUTPUT_FORMAT,
    CHOICE_SUPERSEDE,
    CHOICE_CLEANUP,
    CHOICE_CONTEXT,
    CHOICE_KUBECONFIG,
    CHOICE_ROUTE,
    CHOICE_ADMIN,
    CHOICE_TOKEN_FILE
};

static const struct option long_options[] = {
    {"help", no_argument, NULL, 'h'},
    {"filename", required_argument, NULL, 'f'},
    {"namespace", required_argument, NULL, 'n'},
    {"update-period", required_argument, NULL, CHOICE_PERIOD},
    {"poll-interval", required_argument, NULL, CHOICE_POLL},
    {"timeout", required_argument, NULL, CHOICE_TIMEOUT},
    {"image", required_argument, NULL, CHOICE_IMAGE},
    {"container", required_argument, NULL, CHOICE_CONTAINER},
    {"image-pull-policy", required_argument, NULL, CHOICE_PULL_POLICY},
    {"deployment-label-key", required_argument, NULL, CHOICE_LABEL_KEY},
    {"dry-run", no_argument, NULL, CHOICE_DRY_RUN},
    {"rollback", no_argument, NULL, CHOICE_ROLLBACK},
    {"max-surge", required_argument, NULL, CHOICE_MAX_SURGE},
    {"max-unavailable", required_argument, NULL, CHOICE_MAX_UNAVAILABLE},
    {"output-format", required_argument, NULL, CHOICE_OUTPUT_FORMAT},
    {"supersede", no_argument, NULL, CHOICE_SUPERSEDE},
    {"cleanup-policy", required_argument, NULL, CHOICE_CLEANUP},
    {"context", required_argument, NULL, CHOICE_CONTEXT},
    {"kubeconfig", required_argument, NULL, CHOICE_KUBECONFIG},
    {"route", required_argument, NULL, CHOICE_ROUTE},
    {"admin", required_argument, NULL, CHOICE_ADMIN},
    {"token-file", required_argument, NULL, CHOICE_TOKEN_FILE},
    {NULL, 0, NULL, 0},
};

/* kubectl's durations too: "1m0s", "0s". At least least_ms. */
static enum err take_duration(const char *option, const char *text, int64_t least_ms, uint32_t *out,
                              struct why *why)
{
    int64_t sum = 0, part;
    const char *at = text;
    bool is_good = *at != '\0';
    while (is_good && *at) {
        char piece[32];
        size_t digits = strspn(at, "0123456789"), len = digits + strspn(at + digits, "hms");
        if (len >= sizeof piece || digits == 0)
            break;
        memcpy(piece, at, len);
        piece[len] = '\0';
        part = 0;
        if (strspn(piece, "0") < digits)
            is_good = options_parse_duration(piece, &part, NULL) == OK;
        else
            is_good = len > digits || strcmp(text, "0") == 0; /* 0s, 0 */
        sum += part;
        at += len;
    }
    if (!is_good || *at || sum < least_ms || sum > INT32_MAX)
        return why_set(why, ERR_INVALID, "%s %s is no duration (expected 250ms, 10s or 1m0s)",
                       option, text);
    *out = (uint32_t)sum;
    return OK;
}

/* The place of a word in a list that ends with NULL; -1: none. */
static int place_of(const char *word, const char *const *words)
{
    for (int i = 0; words[i]; i++)
        if (strcmp(word, words[i]) == 0)
            return i;
    return -1;
}

static enum err take_word(struct rolling_line *line, int choice, const char *word, struct why *why)
{
    static const char *const formats[] = {"kubectl", "classic", NULL};
    static const char *const policies[] = {"delete", "preserve", "rename", NULL};
    static const char *const pulls[] = {"Always", "Never", "IfNotPresent", NULL};
    int at;
    switch (choice) {
    case CHOICE_OUTPUT_FORMAT:
        if ((at = place_of(word, formats)) < 0)
            return why_set(why, ERR_INVALID, "--output-format takes kubectl or classic");
        line->rolling.is_classic = at == 1;
        return OK;
    case CHOICE_CLEANUP:
        if ((at = place_of(word, policies)) < 0)
            return why_set(why, ERR_INVALID, "--cleanup-policy takes delete, preserve or rename");
        line->rolling.cleanup = (enum rolling_cleanup)((int)ROLLING_DELETE + at);
        return OK;
    default:
        if (place_of(word, pulls) < 0)
            return why_set(why, ERR_INVALID,
                           "--image-pull-policy takes Always, Never or IfNotPresent");
        line->rolling.pull_policy = word;
        return OK;
    }
}

static enum err take_amount(const char *option, const char *text, struct scale_amount *amount,
                            struct why *why)
{
    struct why reason = {""};
    if (scale_amount_parse(text, amount, &reason) == OK)
        return OK;
    return why_set(why, ERR_INVALID, "%s: %.400s", option, reason.text);
}

/* Longer than the house allows: a row for each option. */
static enum err take_option(struct rolling_line *line, int choice, const char *argument,
                            struct why *why)
{
    struct rolling_options *o = &line->rolling;
    switch (choice) {
    case 'h':
        line->help = true;
        return OK;
    case 'f':
        if (line->file)
            return why_set(why, ERR_INVALID,
                           "May only specify a single filename for new controller");
        line->file = argument;
        return OK;
    case 'n':
        line->name_space = argument;
        return OK;
    case CHOICE_PERIOD:
        return take_duration("--update-period", argument, 0, &o->update_period_ms, why);
    case CHOICE_POLL:
        return take_duration("--poll-interval", argument, 1, &o->poll_ms, why);
    case CHOICE_TIMEOUT:
        line->timeout = argument;
        return take_duration("--timeout", argument, 1, &o->timeout_ms, why);
    case CHOICE_IMAGE:
        o->image = argument;
        return OK;
    case CHOICE_CONTAINER:
        o->container = argument;
        return OK;
    case CHOICE_LABEL_KEY:
        o->label_key = argument;
        return OK;
    case CHOICE_DRY_RUN:
        o->is_dry = true;
        return OK;
    case CHOICE_ROLLBACK:
        o->is_rollback = true;
        return OK;
    case CHOICE_MAX_SURGE:
        return take_amount("--max-surge", argument, &o->max_surge, why);
    case CHOICE_MAX_UNAVAILABLE:
        return take_amount("--max-unavailable", argument, &o->max_unavailable, why);
    case CHOICE_SUPERSEDE:
        o->supersedes = true;
        return OK;
    case CHOICE_CONTEXT:
        line->context = argument;
        return OK;
    case CHOICE_KUBECONFIG:
        line->kubeconfig = argument;
        return OK;
    case CHOICE_ROUTE:
        line->route = argument;
        return OK;
    case CHOICE_ADMIN:
        line->admin = argument;
        return OK;
    case CHOICE_TOKEN_FILE:
        line->token_file = argument;
        return OK;
    default:
        return take_word(line, choice, argument, why);
    }
}

/* Which of file, image and --rollback go together; in kubectl's words. */
static enum err check_source(const struct rolling_line *line, struct why *why)
{
    const struct rolling_options *o = &line->rolling;
    if (!o->label_key[0])
        return why_set(why, ERR_INVALID, "--deployment-label-key can not be empty");
    if (line->file && o->image)
        return why_set(why, ERR_INVALID, "--filename and --image can not both be specified");
    /* the first generation asked for an image on the way back, and did nothing with it */
    if (o->is_rollback && ((o->image && !o->is_classic) || (line->file && o->new)))
        return why_set(why, ERR_INVALID, "Don't specify --filename or --image on rollback");
    if (!o->is_rollback && !line->file && !o->image && !line->route)
        return why_set(why, ERR_INVALID, "Must specify --filename or --image for new controller");
    if (line->route && o->image)
        return why_set(why, ERR_INVALID,
                       "--route and --image can not both be specified: the proxy makes the new "
                       "version from its own manifest");
    return OK;
}

static enum err take_arguments(struct rolling_line *line, int n, char **arguments, struct why *why)
{
    if (n == 0)
        return why_set(why, ERR_INVALID, "Must specify the controller to update");
    if (n > 2)
        return why_set(why, ERR_INVALID, "too many arguments: %s", arguments[2]);
    line->rolling.old = arguments[0];
    line->rolling.new = n == 2 ? arguments[1] : NULL;
    return check_source(line, why);
}

enum err rolling_line_parse(struct rolling_line *line, int argc, char **argv, struct why *why)
{
    *line = (struct rolling_line){.rolling = {.label_key = "deployment",
                                              .update_period_ms = 60000,
                                              .poll_ms = 3000,
                                              .timeout_ms = 300000,
                                              .max_surge = {.value = 1}}};
    optind = 0; /* the program may have used getopt before: start anew */
    opterr = 0;
    int choice;
    while ((choice = getopt_long(argc, argv, ":hf:n:", long_options, NULL)) != -1) {
        if (choice == ':' || choice == '?')
            return usage_option(why, choice, argv, long_options);
        enum err e = take_option(line, choice, optarg, why);
        if (e || line->help)
            return e;
    }
    return take_arguments(line, argc - optind, argv + optind, why);
}
