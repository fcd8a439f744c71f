/* A moment as HTTP writes it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/wire/date.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

void date_text(int64_t wall_s, char text[DATE_CHARS + 1])
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t second = (time_t)wall_s;
    struct tm tm = {0};
    (void)gmtime_r(&second, &tm);
    char whole[96]; /* room for any numbers, so that the compiler need not know theirs */
    (void)snprintf(whole, sizeof whole, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT",
                   days + 3 * tm.tm_wday, tm.tm_mday, months + 3 * tm.tm_mon, tm.tm_year + 1900,
                   tm.tm_hour, tm.tm_min, tm.tm_sec);
    memcpy(text, whole, DATE_CHARS);
    text[DATE_CHARS] = '\0';
}
