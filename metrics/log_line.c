/* One log event as one line of text or JSON.
 * SPDX-License-Identifier: Apache-2.0 */
#include "metrics/log_line.h"
#include "metrics/escape.h"
#include "metrics/log.h"
#include "base/check.h"
#include "base/utf8.h"
#include <stdio.h>
#include <time.h>

/* Always kept free for the end of a line: `","cut":true}` or ` cut=true`, and the line feed. */
#define END_ROOM 16u

/* Pairs of one line: bounds the search for keys that are there twice. Further ones are message. */
#define PAIRS_MAX 48

/* All or nothing; after the first that does not fit, nothing more. False: cut. */
static bool put(struct log_line *line, const char *at, size_t len)
{
    if (line->cut || line->len + len > LOG_LINE_BYTES - END_ROOM)
        line->cut = true;
    if (line->cut)
        return false;
    memcpy(line->text + line->len, at, len);
    line->len += len;
    return true;
}

static bool put_str(struct log_line *line, const char *text)
{
    return put(line, text, strlen(text));
}

static void put_end(struct log_line *line, const char *text)
{
    size_t len = strlen(text);
    CHECK(len <= LOG_LINE_BYTES - line->len);
    memcpy(line->text + line->len, text, len);
    line->len += len;
}

static void put_time(struct log_line *line, int64_t wall_ms)
{
    char text[64];
    struct tm tm;
    time_t seconds = (time_t)(wall_ms / 1000);
    int ms = (int)(wall_ms % 1000);
    if (ms < 0)
        seconds--, ms += 1000;
    if (!gmtime_r(&seconds, &tm))
        memset(&tm, 0, sizeof tm);
    int n = snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900,
                     tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, ms);
    put(line, text, (size_t)n);
}

static bool put_hex(struct log_line *line, const char *bytes, size_t len, const char *prefix)
{
    char text[32];
    size_t at = 0;
    for (size_t i = 0; i < len; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%02x", prefix,
                               (unsigned)(unsigned char)bytes[i]);
    return put(line, text, at);
}

static bool put_text_char(struct log_line *line, struct slice s, unsigned n, uint32_t c)
{
    if (n && !escape_is_control(c))
        return put(line, s.at, n);
    if (n && c == '\n')
        return put_str(line, "\\n");
    if (n && c == '\t')
        return put_str(line, "\\t");
    return put_hex(line, s.at, n ? n : 1, "\\x");
}

static void put_text(struct log_line *line, struct slice s)
{
    while (s.len) {
        uint32_t c = 0;
        unsigned n = utf8_next(s, &c);
        if (!put_text_char(line, s, n, c))
            return;
        n = n ? n : 1;
        s.at += n, s.len -= n;
    }
}

void log_line_text(struct log_line *line, const struct log_event *event)
{
    line->len = 0;
    line->cut = false;
    put_time(line, event->wall_ms);
    put_str(line, " ");
    put_str(line, log_level_text(event->level));
    put_str(line, " ");
    put_text(line, slice_str(event->name));
    if (event->pairs.len)
        put_str(line, " ");
    put_text(line, event->pairs);
    if (line->cut || event->cut)
        put_end(line, " cut=true");
    put_end(line, "\n");
}

/* One character of a JSON string. Returns how many bytes of s it took, 0 where the line is full. */
static size_t put_json_char(struct log_line *line, struct slice s)
{
    char text[ESCAPE_BYTES_MAX];
    size_t used;
    size_t len = escape_json(s, text, &used);
    return put(line, text, len) ? used : 0;
}

static void put_json(struct log_line *line, struct slice s)
{
    while (s.len) {
        size_t used = put_json_char(line, s);
        if (used == 0)
            return;
        s.at += used, s.len -= used;
    }
}

static int hex_digit(char c)
{
    c = ascii_lower(c);
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One escape of log_quote or of the text form back to its byte; len 1 when there is none. */
static size_t unescape(struct slice s, char *out)
{
    *out = s.at[0];
    if (s.at[0] != '\\' || s.len < 2)
        return 1;
    if (s.at[1] == '"' || s.at[1] == '\\')
        *out = s.at[1];
    else if (s.at[1] == 'n')
        *out = '\n';
    else if (s.at[1] == 't')
        *out = '\t';
    else if (s.at[1] == 'x' && s.len >= 4 && hex_digit(s.at[2]) >= 0 && hex_digit(s.at[2]) < 8 &&
             hex_digit(s.at[3]) >= 0)
        return *out = (char)(hex_digit(s.at[2]) << 4 | hex_digit(s.at[3])), 4;
    else
        return 1;
    return 2;
}

/* The inside of a quoted value: escapes undone, then made JSON's own. */
static void put_json_unescaped(struct log_line *line, struct slice s)
{
    while (s.len) {
        char byte;
        size_t used = unescape(s, &byte);
        if (used == 1)
            used = put_json_char(line, s);
        else if (!put_json_char(line, slice_of(&byte, 1)))
            used = 0;
        if (used == 0)
            return;
        s.at += used, s.len -= used;
    }
}

struct token {
    struct slice raw;   /* all of it */
    struct slice key;   /* empty: a word of the message */
    struct slice value; /* without its quotes */
    bool quoted;
};

static bool is_key_char(char c, bool first)
{
    char l = ascii_lower(c);
    return (l >= 'a' && l <= 'z') || c == '_' ||
           (!first && ((c >= '0' && c <= '9') || c == '.' || c == '-'));
}

/* Does another pair begin here? */
static bool is_pair(struct slice s)
{
    size_t key = 0;
    while (key < s.len && is_key_char(s.at[key], key == 0))
        key++;
    return key > 0 && key < s.len && s.at[key] == '=';
}

/* Bytes up to the quote that ends a value; 0 when there is none. That quote is followed by the end
 * or by another pair, so that a reason may quote a name without escapes; failing that, by a space.
 */
static size_t quoted_len(struct slice s)
{
    size_t before_space = 0;
    for (size_t i = 1; i < s.len; i++) {
        struct slice rest = slice_of(s.at + i + 1, s.len - i - 1);
        if (s.at[i] == '\\') {
            i++;
        } else if (s.at[i] == '"') {
            if (rest.len == 0)
                return i + 1;
            if (rest.at[0] == ' ' && is_pair(slice_of(rest.at + 1, rest.len - 1)))
                return i + 1;
            if (rest.at[0] == ' ' && !before_space)
                before_space = i + 1;
        }
    }
    return before_space;
}

static struct slice word_of(struct slice s)
{
    struct slice word, rest;
    slice_cut(s, ' ', &word, &rest);
    return word;
}

/* Takes the next token off *rest. False at the end. */
static bool token_next(struct slice *rest, struct token *t)
{
    while (rest->len && rest->at[0] == ' ')
        rest->at++, rest->len--;
    if (rest->len == 0)
        return false;
    size_t key = 0;
    while (key < rest->len && is_key_char(rest->at[key], key == 0))
        key++;
    *t = (struct token){.raw = word_of(*rest)};
    if (key && key < rest->len && rest->at[key] == '=') {
        struct slice value = slice_of(rest->at + key + 1, rest->len - key - 1);
        size_t quoted = value.len && value.at[0] == '"' ? quoted_len(value) : 0;
        t->key = slice_of(rest->at, key);
        t->quoted = quoted > 0;
        t->value = quoted ? slice_of(value.at + 1, quoted - 2) : word_of(value);
        t->raw.len = key + 1 + (quoted ? quoted : t->value.len);
    }
    rest->at += t->raw.len, rest->len -= t->raw.len;
    return true;
}

/* True for a key that the line has by itself or already has. */
static bool is_taken(struct slice key, const struct token *tokens, size_t n)
{
    static const char *const own[] = {"time", "level", "event", "message", "cut"};
    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        if (slice_equal(key, slice_str(own[i])))
            return true;
    for (size_t i = 0; i < n; i++)
        if (slice_equal(key, tokens[i].key))
            return true;
    return false;
}

static size_t tokens_read(struct token tokens[PAIRS_MAX], struct slice pairs)
{
    size_t n = 0;
    struct slice rest = pairs;
    while (n < PAIRS_MAX && token_next(&rest, &tokens[n])) {
        if (is_taken(tokens[n].key, tokens, n))
            tokens[n].key.len = 0;
        n++;
    }
    if (rest.len) { /* too many: the last token and all behind it are message */
        struct token *last = &tokens[PAIRS_MAX - 1];
        *last = (struct token){.raw = {last->raw.at, (size_t)(rest.at + rest.len - last->raw.at)}};
    }
    return n;
}

static bool ends_with(struct slice s, const char *end)
{
    size_t len = strlen(end);
    return s.len > len && memcmp(s.at + s.len - len, end, len) == 0;
}

/* Only these keys may hold numbers, so that one key has one type in a log store. */
static bool is_quantity(struct slice key)
{
    static const char *const ends[] = {"_ms", "_us",       "_s",      "_seconds", "_bytes",
                                       "_bp", "_requests", "_failed", "_total"};
    static const char *const names[] = {
        "attempt",    "changes", "connections", "endpoints", "errno",     "errors",   "fd",
        "generation", "line",    "lines",       "listener",  "pid",       "requests", "routes",
        "signal",     "status",  "step",        "steps",     "threshold", "worker",   "workers"};
    for (size_t i = 0; i < ARRAY_LEN(ends); i++)
        if (ends_with(key, ends[i]))
            return true;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (slice_equal(key, slice_str(names[i])))
            return true;
    return false;
}

static size_t digits(struct slice s, size_t at)
{
    size_t n = 0;
    while (at + n < s.len && s.at[at + n] >= '0' && s.at[at + n] <= '9')
        n++;
    return n;
}

/* -?int frac? of RFC 8259, short enough that every reader keeps it exactly. */
static bool is_number(struct slice s)
{
    size_t at = s.len && s.at[0] == '-' ? 1 : 0;
    size_t whole = digits(s, at), fraction = 0;
    if (whole == 0 || (whole > 1 && s.at[at] == '0'))
        return false;
    at += whole;
    if (at < s.len && s.at[at] == '.') {
        fraction = digits(s, at + 1);
        if (fraction == 0)
            return false;
        at += 1 + fraction;
    }
    return at == s.len && whole + fraction <= 15;
}

/* Opens a member whose value is at least `value` bytes long; the opening is whole or left out. */
static bool put_key(struct log_line *line, struct slice key, const char *open, size_t value)
{
    size_t need = key.len + value + sizeof ",\"\":\"";
    if (line->cut || line->len + need > LOG_LINE_BYTES - END_ROOM) {
        line->cut = true;
        return false;
    }
    return put_str(line, ",\"") && put(line, key.at, key.len) && put_str(line, open);
}

static void put_member(struct log_line *line, const struct token *t)
{
    if (!t->quoted && is_quantity(t->key) && is_number(t->value)) {
        if (put_key(line, t->key, "\":", t->value.len)) /* half a number would be a wrong one */
            put(line, t->value.at, t->value.len);
        return;
    }
    if (!put_key(line, t->key, "\":\"", 0))
        return;
    if (t->quoted)
        put_json_unescaped(line, t->value);
    else
        put_json(line, t->value);
    put_end(line, "\"");
}

static void put_message(struct log_line *line, const struct token *tokens, size_t n)
{
    bool opened = false;
    for (size_t i = 0; i < n; i++) {
        if (tokens[i].key.len)
            continue;
        if (!opened && !put_key(line, SLICE("message"), "\":\"", 0))
            return;
        if (opened)
            put_str(line, " ");
        opened = true;
        put_json(line, tokens[i].raw);
    }
    if (opened)
        put_end(line, "\"");
}

void log_line_json(struct log_line *line, const struct log_event *event)
{
    struct token tokens[PAIRS_MAX];
    size_t n = tokens_read(tokens, event->pairs);
    line->len = 0;
    line->cut = false;
    put_str(line, "{\"time\":\"");
    put_time(line, event->wall_ms);
    put_str(line, "\",\"level\":\"");
    put_str(line, log_level_text(event->level));
    put_str(line, "\",\"event\":\"");
    put_json(line, slice_str(event->name));
    put_end(line, "\"");
    for (size_t i = 0; i < n; i++)
        if (tokens[i].key.len)
            put_member(line, &tokens[i]);
    put_message(line, tokens, n);
    if (line->cut || event->cut)
        put_end(line, ",\"cut\":true");
    put_end(line, "}\n");
}
