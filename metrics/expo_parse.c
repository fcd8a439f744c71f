/* The text formats of metrics back into samples: one pass, no memory of its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include "metrics/expo_parse.h"
#include "base/check.h"
#include "base/utf8.h"
#include <stdlib.h>

/* Longest number: 17 digits, point, sign and exponent need 24 bytes; longer ones only hide
 * mistakes. */
#define NUMBER_BYTES 64u

struct parser {
    enum expo_format format;
    struct why *why;
    size_t line; /* number of the present line */
    uint32_t samples;
    bool ended; /* # EOF was there */

    struct slice families[EXPO_FAMILIES_MAX]; /* all names so far; the last is the present one's */
    unsigned n_families;
    struct slice type;
    bool has_help, has_type, has_unit, has_samples; /* of the present family */

    struct expo_parsed sample;
    char values[EXPO_LINE_BYTES]; /* label values of the present line whose escapes were undone */
    size_t values_len;
};

static enum err bad(struct parser *p, enum err e, const char *what)
{
    return why_set(p->why, e, "line %zu: %s", p->line, what);
}

struct slice expo_label_value(const struct expo_parsed *sample, const char *name)
{
    for (unsigned i = 0; i < sample->n_labels; i++)
        if (slice_equal(sample->labels[i].name, slice_str(name)))
            return sample->labels[i].value;
    return slice_of(NULL, 0);
}

/* Takes lit off the front of *s. */
static bool take(struct slice *s, const char *lit)
{
    struct slice prefix = slice_str(lit);
    if (!slice_starts(*s, prefix))
        return false;
    s->at += prefix.len, s->len -= prefix.len;
    return true;
}

/* Takes a metric's name off the front of *s, or a label's, which has no colons. Empty: none there.
 */
static struct slice take_name(struct slice *s, bool is_label)
{
    size_t n = 0;
    while (n < s->len) {
        char c = ascii_lower(s->at[n]);
        bool is_digit = c >= '0' && c <= '9';
        if (!((c >= 'a' && c <= 'z') || c == '_' || (is_digit && n) || (c == ':' && !is_label)))
            break;
        n++;
    }
    struct slice name = slice_of(s->at, n);
    s->at += n, s->len -= n;
    return name;
}

static size_t digits_len(struct slice s, size_t at)
{
    size_t n = 0;
    while (at + n < s.len && s.at[at + n] >= '0' && s.at[at + n] <= '9')
        n++;
    return n;
}

/* Sign, digits with or without a point, exponent: what both formats share of strtod's language. */
static bool is_decimal(struct slice s)
{
    size_t at = s.len && (s.at[0] == '-' || s.at[0] == '+') ? 1 : 0;
    size_t whole = digits_len(s, at), fraction = 0;
    at += whole;
    if (at < s.len && s.at[at] == '.') {
        fraction = digits_len(s, at + 1);
        at += 1 + fraction;
    }
    if (whole + fraction == 0)
        return false;
    if (at < s.len && (s.at[at] == 'e' || s.at[at] == 'E')) {
        at++;
        if (at < s.len && (s.at[at] == '-' || s.at[at] == '+'))
            at++;
        size_t exponent = digits_len(s, at);
        at += exponent;
        if (exponent == 0)
            return false;
    }
    return at == s.len;
}

static bool parse_number(struct slice s, double *value)
{
    char text[NUMBER_BYTES];
    bool is_special = slice_equal(s, SLICE("NaN")) || slice_equal(s, SLICE("+Inf")) ||
                      slice_equal(s, SLICE("-Inf"));
    if (s.len >= sizeof text || !(is_special || is_decimal(s)))
        return false;
    memcpy(text, s.at, s.len);
    text[s.len] = '\0';
    *value = strtod(text, NULL);
    return true;
}

/* The value up to its closing quote, which is taken too. Borrows from the line where it has no
 * escapes. */
static bool take_value(struct parser *p, struct slice *s, struct slice *value)
{
    char *out = p->values + p->values_len;
    size_t n = 0, escapes = 0, len = 0;
    while (n < s->len && s->at[n] != '"') {
        char c = s->at[n++];
        if (c == '\\') {
            if (n == s->len)
                return false;
            c = s->at[n++];
            if (c != '\\' && c != '"' && c != 'n')
                return false;
            c = c == 'n' ? '\n' : c;
            escapes++;
        }
        out[len++] = c; /* fits: the values of a line are shorter than the line */
    }
    if (n == s->len)
        return false;
    *value = escapes ? slice_of(out, len) : slice_of(s->at, n);
    p->values_len += escapes ? len : 0;
    s->at += n + 1, s->len -= n + 1;
    return true;
}

static enum err take_label(struct parser *p, struct slice *s)
{
    struct expo_parsed *sample = &p->sample;
    if (sample->n_labels == EXPO_LABELS_MAX)
        return bad(p, ERR_LIMIT, "more labels than a reader takes");
    struct expo_label *label = &sample->labels[sample->n_labels];
    label->name = take_name(s, true);
    if (label->name.len == 0 || !take(s, "=\""))
        return bad(p, ERR_INVALID, "a label is not name=\"value\"");
    if (!take_value(p, s, &label->value))
        return bad(p, ERR_INVALID, "a label's value has no end or an unknown escape");
    for (unsigned i = 0; i < sample->n_labels; i++)
        if (slice_equal(sample->labels[i].name, label->name))
            return bad(p, ERR_INVALID, "a label is there twice");
    sample->n_labels++;
    return OK;
}

static enum err take_labels(struct parser *p, struct slice *s)
{
    p->sample.n_labels = 0;
    p->values_len = 0;
    if (!take(s, "{") || take(s, "}"))
        return OK;
    do {
        enum err e = take_label(p, s);
        if (e != OK)
            return e;
    } while (take(s, ","));
    return take(s, "}") ? OK : bad(p, ERR_INVALID, "expected , or } behind a label");
}

/* Makes name the present family. */
static enum err family_begin(struct parser *p, struct slice name)
{
    for (unsigned i = 0; i < p->n_families; i++)
        if (slice_equal(p->families[i], name))
            return bad(p, ERR_INVALID, "a family in two pieces, or a sample that its type has not");
    if (p->n_families == EXPO_FAMILIES_MAX)
        return bad(p, ERR_LIMIT, "more families than a reader takes");
    p->families[p->n_families++] = name;
    p->type = slice_of(name.at, 0);
    p->has_help = p->has_type = p->has_unit = p->has_samples = false;
    return OK;
}

static struct slice family(const struct parser *p)
{
    return p->n_families ? p->families[p->n_families - 1] : slice_of(NULL, 0);
}

struct type_row {
    const char *name;
    bool is_prometheus, is_open;
    const char *suffixes[4]; /* of its samples; "" = the family's own name */
    const char *open_suffix; /* one more that only OpenMetrics has */
};

static const struct type_row *type_find(enum expo_format format, struct slice name)
{
    static const struct type_row rows[] = {
        {"gauge", true, true, {""}, NULL},
        {"histogram", true, true, {"_bucket", "_sum", "_count"}, "_created"},
        {"summary", true, true, {"", "_sum", "_count"}, "_created"},
        {"untyped", true, false, {""}, NULL},
        {"counter", true, false, {""}, NULL},
        {"counter", false, true, {"_total"}, "_created"},
        {"unknown", false, true, {""}, NULL},
        {"info", false, true, {"_info"}, NULL},
        {"stateset", false, true, {""}, NULL},
        {"gaugehistogram", false, true, {"_bucket", "_gsum", "_gcount"}, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if ((format == EXPO_OPENMETRICS ? rows[i].is_open : rows[i].is_prometheus) &&
            slice_equal(name, slice_str(rows[i].name)))
            return &rows[i];
    return NULL;
}

/* Does the sample's name belong to the present family? */
static bool family_has(const struct parser *p, struct slice name)
{
    struct slice own = family(p);
    if (p->n_families == 0 || !slice_starts(name, own))
        return false;
    struct slice suffix = slice_of(name.at + own.len, name.len - own.len);
    const struct type_row *row = type_find(p->format, p->type);
    if (!row)
        return suffix.len == 0;
    for (size_t i = 0; i < ARRAY_LEN(row->suffixes) && row->suffixes[i]; i++)
        if (slice_equal(suffix, slice_str(row->suffixes[i])))
            return true;
    return p->format == EXPO_OPENMETRICS && row->open_suffix &&
           slice_equal(suffix, slice_str(row->open_suffix));
}

static enum err parse_timestamp(struct parser *p, struct slice s)
{
    struct expo_parsed *sample = &p->sample;
    struct slice whole = s;
    uint64_t ms;
    sample->has_timestamp = true;
    if (slice_starts(s, SLICE("# {")) && p->format == EXPO_OPENMETRICS)
        return bad(p, ERR_UNSUPPORTED, "an exemplar");
    if (p->format == EXPO_OPENMETRICS) {
        bool is_good = is_decimal(s) && parse_number(s, &sample->timestamp_seconds) &&
                       sample->timestamp_seconds - sample->timestamp_seconds == 0;
        return is_good ? OK : bad(p, ERR_INVALID, "the timestamp is not a number");
    }
    bool is_negative = take(&whole, "-");
    if (!slice_parse_u64(whole, &ms) || ms > INT64_MAX)
        return bad(p, ERR_INVALID, "the timestamp is not a whole number");
    sample->timestamp_seconds = (is_negative ? -(double)ms : (double)ms) / 1000;
    return OK;
}

static enum err parse_sample(struct parser *p, struct slice s)
{
    struct expo_parsed *sample = &p->sample;
    struct slice value, timestamp;
    sample->name = take_name(&s, false);
    if (sample->name.len == 0)
        return bad(p, ERR_INVALID, "no metric's name at the start of the line");
    enum err e = take_labels(p, &s);
    if (e != OK)
        return e;
    if (!take(&s, " "))
        return bad(p, ERR_INVALID, "expected one space before the value");
    bool has_more = slice_cut(s, ' ', &value, &timestamp);
    if (!parse_number(value, &sample->value))
        return bad(p, ERR_INVALID, "the value is not a number");
    sample->has_timestamp = false;
    if (has_more && (e = parse_timestamp(p, timestamp)) != OK)
        return e;
    if (!family_has(p, sample->name) && (e = family_begin(p, sample->name)) != OK)
        return e;
    if (++p->samples > EXPO_SAMPLES_MAX)
        return bad(p, ERR_LIMIT, "more samples than a reader takes");
    p->has_samples = true;
    sample->family = family(p);
    sample->type = p->type;
    return OK;
}

static enum err parse_type(struct parser *p, struct slice text)
{
    if (!type_find(p->format, text))
        return bad(p, ERR_INVALID, "an unknown type");
    p->type = text;
    return OK;
}

static enum err parse_unit(struct parser *p, struct slice unit)
{
    struct slice name = family(p);
    if (unit.len == 0)
        return OK;
    if (name.len <= unit.len || name.at[name.len - unit.len - 1] != '_' ||
        !slice_equal(slice_of(name.at + name.len - unit.len, unit.len), unit))
        return bad(p, ERR_INVALID, "the name does not end with its unit");
    return OK;
}

/* "# WORD name rest", with WORD and its space taken off; seen: was it there already? */
static enum err parse_meta(struct parser *p, struct slice s, const char *word)
{
    struct slice name = take_name(&s, false);
    bool is_help = word[2] == 'H', is_type = word[2] == 'T';
    if (name.len == 0 || (!take(&s, " ") && !(s.len == 0 && !is_type)))
        return bad(p, ERR_INVALID, "expected a metric's name, a space and a text");
    if (!slice_equal(family(p), name)) {
        enum err e = family_begin(p, name);
        if (e != OK)
            return e;
    }
    bool *seen = is_help ? &p->has_help : is_type ? &p->has_type : &p->has_unit;
    if (*seen || p->has_samples)
        return bad(p, ERR_INVALID, "HELP, TYPE or UNIT twice, or behind samples");
    *seen = true;
    if (is_help)
        return OK;
    return is_type ? parse_type(p, s) : parse_unit(p, s);
}

static enum err parse_comment(struct parser *p, struct slice s)
{
    static const char *const words[] = {"# HELP ", "# TYPE ", "# UNIT "};
    bool is_open = p->format == EXPO_OPENMETRICS;
    for (size_t i = 0; i < (is_open ? 3u : 2u); i++)
        if (take(&s, words[i]))
            return parse_meta(p, s, words[i]);
    if (!is_open)
        return OK;
    if (!slice_equal(s, SLICE("# EOF")))
        return bad(p, ERR_INVALID, "a comment that is not HELP, TYPE, UNIT or EOF");
    p->ended = true;
    return OK;
}

static enum err parse_line(struct parser *p, struct slice s, expo_sample_fn *fn, void *arg)
{
    if (p->ended)
        return bad(p, ERR_INVALID, "something follows # EOF");
    if (s.len > EXPO_LINE_BYTES)
        return bad(p, ERR_LIMIT, "a longer line than a reader takes");
    if (!utf8_valid(s))
        return bad(p, ERR_INVALID, "bytes that are not UTF-8");
    if (s.len == 0)
        return p->format == EXPO_OPENMETRICS ? bad(p, ERR_INVALID, "an empty line") : OK;
    if (s.at[0] == '#')
        return parse_comment(p, s);
    enum err e = parse_sample(p, s);
    return e == OK ? fn(arg, &p->sample) : e;
}

enum err expo_parse(struct slice text, enum expo_format format, expo_sample_fn *fn, void *arg,
                    struct why *why)
{
    struct parser p = {.format = format, .why = why};
    while (text.len) {
        struct slice line;
        p.line++;
        bool is_whole = slice_cut(text, '\n', &line, &text);
        if (!is_whole && !(format == EXPO_OPENMETRICS && slice_equal(line, SLICE("# EOF"))))
            return bad(&p, ERR_INVALID, "no line feed at the end");
        enum err e = parse_line(&p, line, fn, arg);
        if (e != OK)
            return e;
    }
    if (format == EXPO_OPENMETRICS && !p.ended)
        return bad(&p, ERR_INVALID, "no # EOF at the end");
    return OK;
}
