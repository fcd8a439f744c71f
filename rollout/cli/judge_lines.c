/* Lines in, decisions out.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/cli/judge_lines.h"
#include "rollout/decide/judge_protocol.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>

/* Guards memory against a line without an end. A tick is about 200 bytes, a start with every key
 * below 4 KiB. */
#define LINE_MAX_BYTES ((size_t)64 * 1024)

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

int judge_lines(const struct judge_settings *base)
{
    static struct judge_protocol protocol;
    static char line[LINE_MAX_BYTES];
    size_t len;
    bool too_long, good = true, broken = false;
    judge_protocol_init(&protocol, base);
    for (unsigned long long number = 1; !broken && line_read(line, &len, &too_long); number++)
        if (len > 0 || too_long)
            good &= line_answer(&protocol, slice_of(line, len), too_long, number, &broken);
    return good && !broken && !ferror(stdin) ? EXIT_SUCCESS : EXIT_FAILURE;
}
