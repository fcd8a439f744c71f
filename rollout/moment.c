/* Moments of the wall clock as text.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/moment.h"

#include <string.h>
#include <time.h>

static struct tm parts_of(int64_t wall_ms)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm parts;
    if (!gmtime_r(&seconds, &parts))
        memset(&parts, 0, sizeof parts);
    return parts;
}

void moment_rfc3339(int64_t wall_ms, char text[MOMENT_TEXT_MAX])
{
    struct tm parts = parts_of(wall_ms);
    if (strftime(text, MOMENT_TEXT_MAX, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
        text[0] = '\0';
}

void moment_stamp(int64_t wall_ms, char text[MOMENT_TEXT_MAX])
{
    struct tm parts = parts_of(wall_ms);
    if (strftime(text, MOMENT_TEXT_MAX, "%Y%m%dT%H%M%SZ", &parts) == 0)
        text[0] = '\0';
}
