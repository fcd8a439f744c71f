/* Numbers for people: counts, shares, times; short and steady in width (pure).
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/cli/numbers.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Nothing that serin counts or times comes near; it keeps the texts within their room. */
#define LARGEST 1e15

static const struct number_text unknown = {"-"};

static int is_shown(double v)
{
    return v >= 0; /* false for NaN */
}

struct number_text number_count(double n)
{
    struct number_text digits, out;
    if (!is_shown(n))
        return unknown;
    snprintf(digits.at, sizeof digits.at, "%.0f", fmin(n, LARGEST));
    size_t len = strlen(digits.at), to = 0;
    for (size_t i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            out.at[to++] = ',';
        out.at[to++] = digits.at[i];
    }
    out.at[to] = '\0';
    return out;
}

struct number_text number_percent(double percent)
{
    struct number_text out;
    if (!is_shown(percent))
        return unknown;
    snprintf(out.at, sizeof out.at, "%.2f", fmin(percent, LARGEST));
    size_t len = strlen(out.at);
    while (out.at[len - 1] == '0')
        len--;
    if (out.at[len - 1] == '.')
        len--;
    out.at[len] = '%';
    out.at[len + 1] = '\0';
    return out;
}

struct number_text number_rate(double ratio)
{
    struct number_text out;
    double percent = ratio * 100;
    if (!is_shown(ratio))
        return unknown;
    if (percent == 0)
        return (struct number_text){"0%"};
    if (percent < 0.01)
        return (struct number_text){"<0.01%"};
    if (percent >= 99.995)
        return (struct number_text){"100%"};
    snprintf(out.at, sizeof out.at, percent < 9.995 ? "%.2f%%" : "%.1f%%", percent);
    return out;
}

struct number_text number_latency(double ms)
{
    struct number_text out;
    if (!is_shown(ms))
        return unknown;
    ms = fmin(ms, LARGEST);
    if (ms < 0.995)
        snprintf(out.at, sizeof out.at, "%.2f ms", ms);
    else if (ms < 99.5)
        snprintf(out.at, sizeof out.at, "%.1f ms", ms);
    else if (ms < 999.5)
        snprintf(out.at, sizeof out.at, "%.0f ms", ms);
    else
        snprintf(out.at, sizeof out.at, "%.2f s", ms / 1000);
    return out;
}

struct number_text number_duration(double seconds)
{
    struct number_text out;
    if (!is_shown(seconds))
        return unknown;
    unsigned long long s = (unsigned long long)fmin(seconds, LARGEST);
    if (s < 60)
        snprintf(out.at, sizeof out.at, "%llus", s);
    else if (s < 3600)
        snprintf(out.at, sizeof out.at, "%llum %02llus", s / 60, s % 60);
    else if (s < 86400)
        snprintf(out.at, sizeof out.at, "%lluh %02llum", s / 3600, s / 60 % 60);
    else
        snprintf(out.at, sizeof out.at, "%llud %02lluh", s / 86400, s / 3600 % 24);
    return out;
}

struct number_text number_odds(double odds)
{
    struct number_text out;
    if (!is_shown(odds))
        return unknown;
    if (odds >= 1e6)
        return (struct number_text){"over 1,000,000"};
    if (odds >= 99.5)
        return number_count(odds);
    snprintf(out.at, sizeof out.at, odds < 9.95 ? "%.1f" : "%.0f", odds);
    return out;
}

struct number_text number_points(double points)
{
    struct number_text out;
    if (isnan(points))
        return unknown;
    if (fabs(points) < 0.005)
        return (struct number_text){"0"};
    points = fmin(fmax(points, -LARGEST), LARGEST);
    snprintf(out.at, sizeof out.at, fabs(points) < 9.995 ? "%+.2f" : "%+.1f", points);
    return out;
}
