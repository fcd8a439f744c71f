/* The page of all metrics as text.
 * SPDX-License-Identifier: Apache-2.0 */
#include "metrics/expo.h"
#include "metrics/expo_cells.h"
#include "base/check.h"
#include "base/decimal.h"
#include "base/utf8.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM 16384u
#define WHOLE_MAX  1e15 /* from there on %.15g has an exponent */

static void put(struct expo *e, const char *at, size_t len)
{
    if (e->failed)
        return;
    if (len > e->room - e->len) {
        size_t room = e->room ? e->room : FIRST_ROOM;
        while (room - e->len < len)
            room *= 2;
        char *text = realloc(e->text, room);
        if (!text) {
            e->failed = true;
            return;
        }
        e->text = text;
        e->room = room;
    }
    memcpy(e->text + e->len, at, len);
    e->len += len;
}

static void put_str(struct expo *e, const char *text)
{
    put(e, text, strlen(text));
}

static void put_label_value(struct expo *e, const char *value)
{
    struct slice s = slice_str(value);
    while (s.len) {
        uint32_t c = 0;
        unsigned n = utf8_next(s, &c);
        if (n == 0)
            put_str(e, "\xef\xbf\xbd"), n = 1; /* U+FFFD: the page stays UTF-8 */
        else if (c == '\n')
            put_str(e, "\\n");
        else if (c == '"' || c == '\\')
            put_str(e, "\\"), put(e, s.at, 1);
        else
            put(e, s.at, n);
        s.at += n, s.len -= n;
    }
}

/* As printf would with %.15g, in a tenth of the time: nearly all numbers of a page are such. */
static void put_whole(struct expo *e, uint64_t value)
{
    char digits[DECIMAL_CHARS], *end = digits + sizeof digits, *at = decimal_write(end, value);
    put(e, at, (size_t)(end - at));
}

/* Exactly, and in as few digits as that takes. */
static void put_number(struct expo *e, double value)
{
    char text[40];
    if (value >= 0 && value < WHOLE_MAX && value == (double)(uint64_t)value && !signbit(value)) {
        put_whole(e, (uint64_t)value);
    } else if (value != value) {
        put_str(e, "NaN");
    } else if (value - value != 0) {
        put_str(e, value > 0 ? "+Inf" : "-Inf");
    } else {
        for (int digits = 15; digits <= 17; digits++) {
            snprintf(text, sizeof text, "%.*g", digits, value);
            if (strtod(text, NULL) == value)
                break;
        }
        put_str(e, text);
    }
}

/* le: NULL = none. */
static void put_sample(struct expo *e, enum metric_id id, const char *suffix,
                       const char *const *labels, const char *le)
{
    const struct metric *metric = metric_get(id);
    unsigned n = metric_labels(metric);
    put_str(e, metric->name);
    put_str(e, suffix);
    for (unsigned i = 0; i < n; i++) {
        put_str(e, i ? "," : "{");
        put_str(e, metric->labels[i]);
        put_str(e, "=\"");
        put_label_value(e, labels[i]);
        put_str(e, "\"");
    }
    if (le) {
        put_str(e, n ? ",le=\"" : "{le=\"");
        put_str(e, le);
        put_str(e, "\"");
    }
    put_str(e, n || le ? "} " : " ");
}

void expo_sample(struct expo *e, enum metric_id id, const char *const *labels, double value)
{
    put_sample(e, id, "", labels, NULL);
    put_number(e, value);
    put_str(e, "\n");
}

void expo_histogram(struct expo *e, enum metric_id id, const char *const *labels,
                    const struct hist_sum *sum)
{
    static const struct {
        uint64_t us;
        const char *le;
    } bounds[] = {{5000, "0.005"},  {10000, "0.01"},  {25000, "0.025"},  {50000, "0.05"},
                  {100000, "0.1"},  {250000, "0.25"}, {500000, "0.5"},   {1000000, "1.0"},
                  {2500000, "2.5"}, {5000000, "5.0"}, {10000000, "10.0"}};
    uint64_t seen = 0;
    unsigned cell = 0;
    for (size_t i = 0; i < ARRAY_LEN(bounds); i++) {
        while (cell < HIST_CELLS && hist_cell_top_us(cell) <= bounds[i].us)
            seen += sum->cells[cell++];
        put_sample(e, id, "_bucket", labels, bounds[i].le);
        put_number(e, (double)seen);
        put_str(e, "\n");
    }
    while (cell < HIST_CELLS)
        seen += sum->cells[cell++];
    put_sample(e, id, "_bucket", labels, "+Inf");
    put_number(e, (double)seen);
    put_str(e, "\n");
    put_sample(e, id, "_sum", labels, NULL);
    put_number(e, (double)sum->sum_us / 1e6);
    put_str(e, "\n");
    put_sample(e, id, "_count", labels, NULL);
    put_number(e, (double)seen);
    put_str(e, "\n");
}

/* OpenMetrics names a family without the suffix that its type gives its samples. */
static struct slice family_name(const struct metric *metric, enum expo_format format)
{
    struct slice name = slice_str(metric->name);
    if (format == EXPO_OPENMETRICS && metric->type == METRIC_COUNTER)
        name.len -= sizeof "_total" - 1;
    if (format == EXPO_OPENMETRICS && metric->type == METRIC_INFO)
        name.len -= sizeof "_info" - 1;
    return name;
}

static void put_comment(struct expo *e, const char *word, struct slice name, const char *text)
{
    put_str(e, word);
    put(e, name.at, name.len);
    put_str(e, " ");
    put_str(e, text);
    put_str(e, "\n");
}

static void put_family(struct expo *e, const struct metric *metric)
{
    static const char *const types[] = {"counter", "gauge", "histogram", "info"};
    struct slice name = family_name(metric, e->format);
    bool is_open = e->format == EXPO_OPENMETRICS;
    /* The older format has no info; there it is a gauge. */
    enum metric_type type = metric->type == METRIC_INFO && !is_open ? METRIC_GAUGE : metric->type;
    put_comment(e, "# HELP ", name, metric->help);
    put_comment(e, "# TYPE ", name, types[type]);
    if (is_open && *metric->unit)
        put_comment(e, "# UNIT ", name, metric->unit);
}

void expo_write(struct expo *e, const struct metrics *m, expo_host_fn *host_fn, void *host)
{
    for (unsigned id = 0; id < METRIC_COUNT; id++) {
        size_t before = e->len;
        put_family(e, metric_get(id));
        size_t head = e->len;
        if (metric_get(id)->source == METRIC_FROM_CELLS)
            expo_cells(e, m, id);
        else if (host_fn)
            host_fn(host, e, id);
        if (e->len == head)
            e->len = before;
    }
    if (e->format == EXPO_OPENMETRICS)
        put_str(e, "# EOF\n");
}

/* A weight of RFC 9110 section 12.4.2 in thousandths; 0 for what is not one. */
static unsigned quality_of(struct slice q)
{
    unsigned value = 0;
    for (size_t i = 0; i < 5; i++) {
        char c = i < q.len ? q.at[i] : i == 1 ? '.' : '0';
        if (i == 1 ? c != '.' : c < '0' || c > '9')
            return 0;
        value = i == 1 ? value : value * 10 + (unsigned)(c - '0');
    }
    return q.len <= 5 && q.len && value <= 1000 ? value : 0;
}

/* One media range: raises the quality of the format that it names. */
static void negotiate_range(struct slice range, unsigned *open_metrics, unsigned *text)
{
    struct slice type, parameters, parameter, name, value;
    unsigned quality = 1000;
    bool is_other_version = false;
    slice_cut(range, ';', &type, &parameters);
    type = slice_trim(type);
    while (parameters.len) {
        slice_cut(parameters, ';', &parameter, &parameters);
        slice_cut(slice_trim(parameter), '=', &name, &value);
        if (slice_equal_nocase(name, SLICE("q")))
            quality = quality_of(value);
        else if (slice_equal_nocase(name, SLICE("version")))
            is_other_version = !slice_equal(value, SLICE("1.0.0"));
    }
    bool is_open = slice_equal_nocase(type, SLICE("application/openmetrics-text"));
    if (is_open && !is_other_version && quality > *open_metrics)
        *open_metrics = quality;
    if (!is_open && quality > *text &&
        (slice_equal_nocase(type, SLICE("text/plain")) || slice_equal(type, SLICE("text/*")) ||
         slice_equal(type, SLICE("*/*"))))
        *text = quality;
}

enum expo_format expo_negotiate(struct slice accept)
{
    unsigned open_metrics = 0, text = 0;
    struct slice range;
    while (accept.len) {
        slice_cut(accept, ',', &range, &accept);
        negotiate_range(range, &open_metrics, &text);
    }
    return open_metrics && open_metrics >= text ? EXPO_OPENMETRICS : EXPO_PROMETHEUS;
}

const char *expo_content_type(enum expo_format format)
{
    return format == EXPO_OPENMETRICS ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                      : "text/plain; version=0.0.4; charset=utf-8";
}
