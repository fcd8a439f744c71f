/* Parses and prints integers, durations, sizes and shares without rounding.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/conf/units.h"
#include "base/check.h"
#include <inttypes.h>

struct unit {
    const char *name;
    int64_t factor;
};

/* Largest last: printing picks the largest that divides the value. */
static const struct unit duration_units[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 60 * 60 * 1000}};
static const struct unit size_units[] = {
    {"B", 1}, {"KiB", 1024}, {"MiB", 1024 * 1024}, {"GiB", 1024 * 1024 * 1024}};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Splits "250ms" into its digits and the rest, and reads the digits. */
static enum err take_digits(struct slice text, int64_t *out, struct slice *rest, struct why *why,
                            const char *kind)
{
    size_t n = 0;
    uint64_t v;
    while (n < text.len && is_digit(text.at[n]))
        n++;
    if (n == 0 && text.len > 1 && text.at[0] == '-' && is_digit(text.at[1]))
        return why_set(why, ERR_INVALID, "is negative");
    if (n == 0)
        return why_set(why, ERR_INVALID, "is not %s", kind);
    if (n > 1 && text.at[0] == '0')
        return why_set(why, ERR_INVALID, "begins with a zero");
    if (!slice_parse_u64(slice_of(text.at, n), &v) || v > INT64_MAX)
        return why_set(why, ERR_INVALID, "is too large");
    *out = (int64_t)v;
    *rest = slice_of(text.at + n, text.len - n);
    return OK;
}

enum err units_parse_integer(struct slice text, int64_t *out, struct why *why)
{
    struct slice rest;
    enum err e = take_digits(text, out, &rest, why, "an integer");
    if (!e && rest.len)
        return why_set(why, ERR_INVALID, "is not an integer");
    return e;
}

static enum err parse_unit(struct slice text, const struct unit *units, size_t n_units,
                           int64_t *out, struct why *why, const char *kind)
{
    struct slice rest;
    int64_t v;
    enum err e = take_digits(text, &v, &rest, why, kind);
    if (e)
        return e;
    if (rest.len == 0 && v == 0) {
        *out = 0;
        return OK;
    }
    if (rest.len == 0)
        return why_set(why, ERR_INVALID, "has no unit");
    for (size_t i = 0; i < n_units; i++) {
        if (!slice_equal(rest, slice_str(units[i].name)))
            continue;
        if (__builtin_mul_overflow(v, units[i].factor, out))
            return why_set(why, ERR_INVALID, "is too large");
        return OK;
    }
    return why_set(why, ERR_INVALID, "is not %s", kind);
}

enum err units_parse_duration(struct slice text, int64_t *out_ms, struct why *why)
{
    return parse_unit(text, duration_units, ARRAY_LEN(duration_units), out_ms, why, "a duration");
}

enum err units_parse_size(struct slice text, int64_t *out_bytes, struct why *why)
{
    return parse_unit(text, size_units, ARRAY_LEN(size_units), out_bytes, why, "a size");
}

/* Reads the decimals behind the point as hundredths: "5" is 50, "05" is 5. */
static enum err take_hundredths(struct slice *rest, int64_t *out, struct why *why)
{
    size_t n = 1;
    int64_t v = 0;
    for (; n < rest->len && is_digit(rest->at[n]); n++) {
        if (n > 2 && rest->at[n] != '0')
            return why_set(why, ERR_INVALID, "is finer than 0.01%%");
        if (n <= 2)
            v = v * 10 + (rest->at[n] - '0');
    }
    if (n == 1)
        return why_set(why, ERR_INVALID, "is not a share");
    *out = n == 2 ? v * 10 : v;
    *rest = slice_of(rest->at + n, rest->len - n);
    return OK;
}

enum err units_parse_share(struct slice text, int64_t *out_bp, struct why *why)
{
    struct slice rest;
    int64_t whole, hundredths = 0;
    enum err e = take_digits(text, &whole, &rest, why, "a share");
    if (e)
        return e;
    if (rest.len && rest.at[0] == '.') {
        e = take_hundredths(&rest, &hundredths, why);
        if (e)
            return e;
    }
    if (rest.len == 0 && whole == 0 && hundredths == 0) {
        *out_bp = 0;
        return OK;
    }
    if (rest.len == 0)
        return why_set(why, ERR_INVALID, "has no %% sign");
    if (!slice_equal(rest, SLICE("%")))
        return why_set(why, ERR_INVALID, "is not a share");
    if (__builtin_mul_overflow(whole, (int64_t)100, out_bp) ||
        __builtin_add_overflow(*out_bp, hundredths, out_bp))
        return why_set(why, ERR_INVALID, "is too large");
    return OK;
}

static const char *format_unit(int64_t v, const struct unit *units, size_t n_units,
                               char out[UNITS_TEXT_MAX])
{
    size_t i = n_units - 1;
    if (v == 0) {
        (void)snprintf(out, UNITS_TEXT_MAX, "0");
        return out;
    }
    while (i > 0 && v % units[i].factor != 0)
        i--;
    (void)snprintf(out, UNITS_TEXT_MAX, "%" PRId64 "%s", v / units[i].factor, units[i].name);
    return out;
}

const char *units_format_duration(int64_t ms, char out[UNITS_TEXT_MAX])
{
    return format_unit(ms, duration_units, ARRAY_LEN(duration_units), out);
}

const char *units_format_size(int64_t bytes, char out[UNITS_TEXT_MAX])
{
    return format_unit(bytes, size_units, ARRAY_LEN(size_units), out);
}

const char *units_format_share(int64_t bp, char out[UNITS_TEXT_MAX])
{
    int64_t whole = bp / 100, hundredths = bp % 100;
    if (hundredths == 0)
        (void)snprintf(out, UNITS_TEXT_MAX, "%" PRId64 "%%", whole);
    else if (hundredths % 10 == 0)
        (void)snprintf(out, UNITS_TEXT_MAX, "%" PRId64 ".%" PRId64 "%%", whole, hundredths / 10);
    else
        (void)snprintf(out, UNITS_TEXT_MAX, "%" PRId64 ".%02" PRId64 "%%", whole, hundredths);
    return out;
}
