/* What a plain YAML scalar is to Kubernetes: the types of go-yaml v2, which kubectl and its kin read
 * manifests with. SPDX-License-Identifier: Apache-2.0 */
#include "rollout/kube/scalar.h"
#include "base/check.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

/* Guards the stack: a number that people write is shorter; anything longer is text. */
#define NUMBER_MAX 64
/* JSON's readers agree on whole numbers up to here. */
#define WHOLE_MAX 9007199254740992.0

static const struct {
    const char *text;
    enum scalar_kind kind;
} words[] = {
    {"", SCALAR_NULL},         {"~", SCALAR_NULL},        {"null", SCALAR_NULL},
    {"Null", SCALAR_NULL},     {"NULL", SCALAR_NULL},     {"y", SCALAR_TRUE},
    {"Y", SCALAR_TRUE},        {"yes", SCALAR_TRUE},      {"Yes", SCALAR_TRUE},
    {"YES", SCALAR_TRUE},      {"true", SCALAR_TRUE},     {"True", SCALAR_TRUE},
    {"TRUE", SCALAR_TRUE},     {"on", SCALAR_TRUE},       {"On", SCALAR_TRUE},
    {"ON", SCALAR_TRUE},       {"n", SCALAR_FALSE},       {"N", SCALAR_FALSE},
    {"no", SCALAR_FALSE},      {"No", SCALAR_FALSE},      {"NO", SCALAR_FALSE},
    {"false", SCALAR_FALSE},   {"False", SCALAR_FALSE},   {"FALSE", SCALAR_FALSE},
    {"off", SCALAR_FALSE},     {"Off", SCALAR_FALSE},     {"OFF", SCALAR_FALSE},
    {".nan", SCALAR_INFINITE}, {".NaN", SCALAR_INFINITE}, {".NAN", SCALAR_INFINITE},
    {".inf", SCALAR_INFINITE}, {".Inf", SCALAR_INFINITE}, {".INF", SCALAR_INFINITE},
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)? */
static bool is_float(const char *p)
{
    size_t before = 0, after = 0;
    p += *p == '-' || *p == '+';
    for (; is_digit(*p); p++)
        before++;
    if (*p == '.')
        for (p++; is_digit(*p); p++)
            after++;
    if (before + after == 0)
        return false;
    if (*p == 'e' || *p == 'E') {
        p += p[1] == '-' || p[1] == '+' ? 2 : 1;
        if (!is_digit(*p))
            return false;
        while (is_digit(*p))
            p++;
    }
    return *p == '\0';
}

/* The base that a whole number is written in, and where its digits begin. */
static int base_of(const char **digits)
{
    const char *p = *digits;
    if (p[0] != '0' || p[1] == '\0')
        return 10;
    char mark = (char)(p[1] | 0x20);
    *digits += mark == 'x' || mark == 'b' || mark == 'o' ? 2 : 1;
    return mark == 'x' ? 16 : mark == 'b' ? 2 : 8;
}

static bool read_whole(const char *text, double *number)
{
    bool is_negative = *text == '-';
    const char *digits = text + (*text == '-' || *text == '+');
    int base = base_of(&digits);
    char *end;
    if (!is_digit(*digits) && !(base == 16 && strchr("abcdefABCDEF", *digits) && *digits))
        return false;
    errno = 0;
    unsigned long long n = strtoull(digits, &end, base);
    if (*end || errno)
        return false;
    *number = is_negative ? -(double)n : (double)n;
    return true;
}

static enum scalar_kind read_number(const char *text, double *number)
{
    if (!read_whole(text, number)) {
        if (!is_float(text))
            return SCALAR_TEXT;
        *number = strtod(text, NULL); /* the C locale: serin sets no other */
    }
    if (!isfinite(*number))
        return SCALAR_TEXT;
    return fabs(*number) <= WHOLE_MAX ? SCALAR_NUMBER : SCALAR_TOO_LARGE;
}

enum scalar_kind scalar_read(struct slice text, double *number)
{
    char plain[NUMBER_MAX];
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (slice_equal(text, slice_str(words[i].text)))
            return words[i].kind;
    struct slice magnitude = text;
    if (text.len > 1 && (text.at[0] == '-' || text.at[0] == '+'))
        magnitude = slice_of(text.at + 1, text.len - 1);
    if (slice_equal_nocase(magnitude, SLICE(".inf")))
        return SCALAR_INFINITE;
    if (text.len >= NUMBER_MAX || !(is_digit(text.at[0]) || strchr("+-.", text.at[0])))
        return SCALAR_TEXT;
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] != '_')
            plain[n++] = text.at[i];
    plain[n] = '\0';
    return read_number(plain, number);
}
