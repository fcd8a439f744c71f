/* Fuzzer of the metrics reader: what it takes, written again, gives the same samples.
 * SPDX-License-Identifier: Apache-2.0 */
/* First byte of an input: the format. */
#include "fuzz.h"
#include "metrics/expo_parse.h"
#include <stdarg.h>
#include <stdio.h>

#define INPUT_BYTES_MAX 65536

/* Room for the worst growth: a TYPE line for each sample, every byte escaped, 24 digits a number.
 */
struct page {
    char text[INPUT_BYTES_MAX * 24];
    size_t len;
    enum expo_format format;
    char family[EXPO_LINE_BYTES + 1];
};

static struct page first, second;

static void put(struct page *p, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void put(struct page *p, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(p->text + p->len, sizeof p->text - p->len, fmt, ap);
    va_end(ap);
    CHECK(n >= 0 && (size_t)n < sizeof p->text - p->len);
    p->len += (size_t)n;
}

static void put_value(struct page *p, struct slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        char c = value.at[i];
        if (c == '\n')
            put(p, "\\n");
        else if (c == '\0') /* printf would take it for the end */
            p->text[p->len++] = c;
        else
            put(p, c == '"' || c == '\\' ? "\\%c" : "%c", c);
    }
}

static void put_number(struct page *p, double value)
{
    if (value != value)
        put(p, "NaN");
    else if (value - value != 0)
        put(p, value > 0 ? "+Inf" : "-Inf");
    else
        put(p, "%.17g", value);
}

static enum err write_again(void *arg, const struct expo_parsed *s)
{
    struct page *p = arg;
    CHECK(s->name.len > 0 && s->n_labels <= EXPO_LABELS_MAX);
    CHECK(slice_starts(s->name, s->family));
    if (!slice_equal(s->family, slice_str(p->family))) {
        snprintf(p->family, sizeof p->family, "%.*s", SLICE_ARG(s->family));
        if (s->type.len)
            put(p, "# TYPE %s %.*s\n", p->family, SLICE_ARG(s->type));
    }
    put(p, "%.*s", SLICE_ARG(s->name));
    for (unsigned i = 0; i < s->n_labels; i++) {
        put(p, "%s%.*s=\"", i ? "," : "{", SLICE_ARG(s->labels[i].name));
        put_value(p, s->labels[i].value);
        put(p, "\"");
    }
    put(p, s->n_labels ? "} " : " ");
    put_number(p, s->value);
    bool is_exact = s->timestamp_seconds > -1e12 && s->timestamp_seconds < 1e12;
    if (s->has_timestamp && !is_exact)
        put(p, " 0"); /* a double does not hold its milliseconds */
    else if (s->has_timestamp && p->format == EXPO_PROMETHEUS)
        put(p, " %.0f", s->timestamp_seconds * 1000);
    else if (s->has_timestamp)
        put(p, " %.17g", s->timestamp_seconds);
    put(p, "\n");
    return OK;
}

static enum err parse(struct page *out, enum expo_format format, const char *text, size_t len)
{
    struct why why = {""};
    out->len = 0;
    out->format = format;
    out->family[0] = '\0';
    enum err e = expo_parse(slice_of(text, len), format, write_again, out, &why);
    CHECK((e == OK) == (why.text[0] == '\0'));
    if (format == EXPO_OPENMETRICS)
        put(out, "# EOF\n");
    return e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > INPUT_BYTES_MAX)
        return 0;
    enum expo_format format = data[0] % 2 ? EXPO_OPENMETRICS : EXPO_PROMETHEUS;
    char *text = fuzz_copy(data + 1, size - 1);
    (void)expo_negotiate(slice_of(text, size - 1));
    enum err e = parse(&first, format, text, size - 1);
    free(text);
    if (e != OK)
        return 0;
    CHECK(parse(&second, format, first.text, first.len) == OK);
    CHECK(second.len == first.len && memcmp(second.text, first.text, first.len) == 0);
    return 0;
}
