/* Moments as Kubernetes writes them. SPDX-License-Identifier: Apache-2.0 */
#include "rollout/kube/time.h"

#include <stdio.h>
#include <time.h>

void kube_micro_time(int64_t wall_us, char text[KUBE_MICRO_TIME_MAX])
{
    time_t seconds = (time_t)(wall_us / 1000000);
    struct tm t = {0};
    (void)gmtime_r(&seconds, &t);
    size_t n = strftime(text, KUBE_MICRO_TIME_MAX, "%Y-%m-%dT%H:%M:%S", &t);
    (void)snprintf(text + n, KUBE_MICRO_TIME_MAX - n, ".%06uZ", (unsigned)(wall_us % 1000000));
}

/* n digits, within bounds. */
static bool take_number(const char **p, int n, int least, int most, int *number)
{
    *number = 0;
    for (; n > 0; n--, (*p)++) {
        if (**p < '0' || **p > '9')
            return false;
        *number = *number * 10 + (**p - '0');
    }
    return *number >= least && *number <= most;
}

static bool take_mark(const char **p, char upper)
{
    bool is_there = **p == upper || **p == (char)(upper | 0x20);
    *p += is_there;
    return is_there;
}

static int take_fraction_ms(const char **p)
{
    int ms = 0, scale = 100;
    if (**p != '.')
        return 0;
    for ((*p)++; **p >= '0' && **p <= '9'; (*p)++, scale /= 10)
        ms += (**p - '0') * scale;
    return ms;
}

static bool take_offset_s(const char **p, int *offset_s)
{
    int hours, minutes, sign = **p == '-' ? -1 : 1;
    *offset_s = 0;
    if (take_mark(p, 'Z'))
        return true;
    if (**p != '+' && **p != '-')
        return false;
    (*p)++;
    if (!take_number(p, 2, 0, 23, &hours) || !take_mark(p, ':') ||
        !take_number(p, 2, 0, 59, &minutes))
        return false;
    *offset_s = sign * (hours * 3600 + minutes * 60);
    return true;
}

bool kube_time_parse(const char *text, int64_t *wall_ms)
{
    struct tm t = {0};
    const char *p = text;
    int year, month, offset_s;
    bool is_date = take_number(&p, 4, 1970, 9999, &year) && take_mark(&p, '-') &&
                   take_number(&p, 2, 1, 12, &month) && take_mark(&p, '-') &&
                   take_number(&p, 2, 1, 31, &t.tm_mday) && take_mark(&p, 'T');
    if (!is_date || !take_number(&p, 2, 0, 23, &t.tm_hour) || !take_mark(&p, ':') ||
        !take_number(&p, 2, 0, 59, &t.tm_min) || !take_mark(&p, ':') ||
        !take_number(&p, 2, 0, 60, &t.tm_sec))
        return false;
    int ms = take_fraction_ms(&p);
    if (!take_offset_s(&p, &offset_s) || *p)
        return false;
    t.tm_year = year - 1900;
    t.tm_mon = month - 1;
    *wall_ms = ((int64_t)timegm(&t) - offset_s) * 1000 + ms;
    return true;
}
