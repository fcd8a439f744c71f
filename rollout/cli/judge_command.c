/* Lines in, decisions out.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/cli/judge_command.h"
#include "rollout/cli/usage.h"
#include "rollout/decide/judge_protocol.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>

/* Guards memory against a line without an end. A tick is about 200 bytes, a start with every key
 * below 4 KiB. */
#define LINE_MAX_BYTES ((size_t)64 * 1024)

static const char help[] =
    "Usage: serin judge\n"
    "\n"
    "Judges a rollout from counts: reads one JSON object a line from standard input (cumulative\n"
    "counts of both versions, once a tick) and writes one decision a line. The same rule as in a\n"
    "running proxy; nothing is changed anywhere.\n"
    "\n"
    "  -h, --help   this text\n"
    "\n"
    "Lines in:   "
    "{\"op\":\"start\",\"stages\":[1,10,50,100],\"baseline\":{\"req\":600000,\"bad\":612}}\n"
    "            {\"op\":\"tick\",\"t\":1,\"stage\":0,\"weight\":1,\"stage_t\":1,\n"
    "             \"s\":{\"req\":990,\"bad\":1},\"c\":{\"req\":10,\"bad\":6}}\n"
    "            {\"op\":\"end\"}\n"
    "Lines out:  {\"ok\":true}, then "
    "{\"d\":\"continue|promote|hold|brake|revert\",\"loge\":..,\"logf\":..,\n"
    "            \"check\":\"errors\",\"why\":\"..\"} for each tick\n"
    "\n"
    "Example, a recorded rollout judged again:\n"
    "  serin judge < rollout.jsonl\n"
    "\n"
    "Exit codes: 0 every line was judged, 1 a line was bad (it is answered with "
    "{\"error\":\"..\"}),\n"
    "2 usage.\n";

/* One line without its newline. False at the end of input. *too_long: the rest of it was dropped.
 */
static bool line_read(char *line, size_t *len, bool *too_long)
{
    int c;
    *len = 0;
    *too_long = false;
    while ((c = getc_unlocked(stdin)) != EOF && c != '\n') {
        if (*len < LINE_MAX_BYTES)
            line[(*len)++] = (char)c;
        else
            *too_long = true;
    }
    return c != EOF || *len > 0;
}

static bool error_write(unsigned long long number, const struct why *why)
{
    char text[WHY_MAX + 64];
    (void)snprintf(text, sizeof text, "line %llu: %s", number, why->text);
    cJSON *answer = cJSON_CreateObject();
    char *printed = answer && cJSON_AddStringToObject(answer, "error", text)
                        ? cJSON_PrintUnformatted(answer)
                        : NULL;
    bool written = printf("%s\n", printed ? printed : "{\"error\":\"out of memory\"}") > 0;
    cJSON_free(printed);
    cJSON_Delete(answer);
    return written && fflush(stdout) == 0;
}

/* True when the line was good. Sets *broken when nobody reads the answers any more. */
static bool line_answer(struct judge_protocol *protocol, struct slice line, bool too_long,
                        unsigned long long number, bool *broken)
{
    static char reply[JUDGE_REPLY_MAX];
    struct why why;
    enum err e = too_long ? why_set(&why, ERR_LIMIT, "longer than %zu bytes", LINE_MAX_BYTES)
                          : judge_protocol_line(protocol, line, reply, &why);
    if (e)
        *broken = !error_write(number, &why);
    else if (reply[0])
        *broken = printf("%s\n", reply) < 0 || fflush(stdout) != 0;
    return e == OK;
}

static int lines_judge(void)
{
    static struct judge_protocol protocol;
    static char line[LINE_MAX_BYTES];
    size_t len;
    bool too_long, good = true, broken = false;
    judge_protocol_init(&protocol);
    for (unsigned long long number = 1; !broken && line_read(line, &len, &too_long); number++)
        if (len > 0 || too_long)
            good &= line_answer(&protocol, slice_of(line, len), too_long, number, &broken);
    return good && !broken && !ferror(stdin) ? EXIT_SUCCESS : EXIT_FAILURE;
}

int judge_command(int argc, char **argv)
{
    static const struct option options[] = {
        {"help", no_argument, NULL, 'h'},
        {"config", required_argument, NULL, 'c'},
        {"route", required_argument, NULL, 'r'},
        {0},
    };
    int option;
    struct why why;
    optind = 1;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":hc:", options, NULL)) != -1) {
        if (option == 'h') {
            (void)fputs(help, stdout);
            return EXIT_SUCCESS;
        }
        if (option == 'c' || option == 'r')
            return usage_error("judge",
                               "%s is not supported yet: give the settings in the start line",
                               option == 'c' ? "--config" : "--route");
        (void)usage_option(&why, option, argv, options);
        return usage_error("judge", "%s", why.text);
    }
    if (optind < argc)
        return usage_error("judge", "unexpected argument \"%s\" (lines come from standard input)",
                           argv[optind]);
    return lines_judge();
}
