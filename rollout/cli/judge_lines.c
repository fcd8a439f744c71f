/* Lines in, decisions out.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/cli/judge_lines.h"
#include "rollout/cli/lines.h"
#include "rollout/decide/judge_protocol.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>

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
static bool line_answer(struct judge_protocol *protocol, const struct lines *l, bool *broken)
{
    static char reply[JUDGE_REPLY_MAX];
    struct why why;
    enum err e = l->too_long ? why_set(&why, ERR_LIMIT, "longer than %zu bytes", LINES_BYTES_MAX)
                             : judge_protocol_line(protocol, l->line, reply, &why);
    if (e)
        *broken = !error_write(l->number, &why);
    else if (reply[0])
        *broken = printf("%s\n", reply) < 0 || fflush(stdout) != 0;
    return e == OK;
}

int judge_lines(const struct judge_settings *base)
{
    static struct judge_protocol protocol;
    static struct lines lines;
    bool good = true, broken = false;
    judge_protocol_init(&protocol, base);
    lines_init(&lines, stdin);
    while (!broken && lines_next(&lines))
        if (lines.line.len > 0 || lines.too_long)
            good &= line_answer(&protocol, &lines, &broken);
    return good && !broken && !ferror(stdin) ? EXIT_SUCCESS : EXIT_FAILURE;
}
