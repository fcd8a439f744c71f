/* Growing text for the terminal: what is shown is measured in columns, and foreign bytes are made
 * harmless.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/cli/text.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void text_fini(struct text *t)
{
    free(t->at);
    *t = (struct text){0};
}

void text_clear(struct text *t)
{
    t->len = 0;
    t->failed = false;
    if (t->at)
        t->at[0] = '\0';
}

const char *text_str(const struct text *t)
{
    return t->at && !t->failed ? t->at : "";
}

/* Makes room for more bytes and their NUL. */
static bool reserve(struct text *t, size_t more)
{
    if (t->failed)
        return false;
    if (more < t->room - t->len)
        return true;
    size_t room = t->room ? t->room : 256;
    while (room - t->len <= more && room < TEXT_CEILING_BYTES)
        room *= 2;
    char *at = room - t->len > more ? realloc(t->at, room) : NULL;
    if (!at) {
        t->failed = true;
        return false;
    }
    t->at = at;
    t->room = room;
    return true;
}

void text_add_bytes(struct text *t, const char *bytes, size_t len)
{
    if (!reserve(t, len))
        return;
    memcpy(t->at + t->len, bytes, len);
    t->len += len;
    t->at[t->len] = '\0';
}

void text_add(struct text *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int len = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (len < 0 || !reserve(t, (size_t)len))
        return;
    va_start(ap, fmt);
    (void)vsnprintf(t->at + t->len, (size_t)len + 1, fmt, ap);
    va_end(ap);
    t->len += (size_t)len;
}

/* Bytes of the UTF-8 character at s (RFC 3629), 0 when it is broken or must not reach a terminal.
 */
static size_t printable_length(const unsigned char *s)
{
    if (s[0] < 0x80)
        return s[0] >= 0x20 && s[0] != 0x7f;
    size_t n = s[0] >= 0xc2 && s[0] <= 0xdf   ? 2
               : s[0] >= 0xe0 && s[0] <= 0xef ? 3
               : s[0] >= 0xf0 && s[0] <= 0xf4 ? 4
                                              : 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xc2 && s[1] < 0xa0) || (s[0] == 0xe0 && s[1] < 0xa0) ||
        (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
        (s[0] == 0xf4 && s[1] > 0x8f))
        return 0; /* C1 controls, overlong forms, surrogates, beyond Unicode */
    if (s[0] == 0xe2 && (s[1] == 0x80 || s[1] == 0x81) &&
        ((s[1] == 0x80 && (s[2] >= 0xa8 && s[2] <= 0xae)) || (s[1] == 0x81 && s[2] >= 0xa6)))
        return 0; /* line separators and changes of direction: they can make a line say something
                     else */
    return n;
}

void text_add_clean(struct text *t, const char *foreign)
{
    const unsigned char *s = (const unsigned char *)foreign;
    bool was_blank = false;
    while (*s) {
        size_t n = printable_length(s);
        bool is_blank = *s == ' ' || (*s >= '\t' && *s <= '\r');
        if (is_blank) {
            if (!was_blank)
                text_add_bytes(t, " ", 1);
            n = 1;
        } else if (n) {
            text_add_bytes(t, (const char *)s, n);
        } else {
            text_add_bytes(t, "?", 1);
            n = 1;
        }
        was_blank = is_blank;
        s += n;
    }
}

/* Bytes of the colour that begins at s: ESC [ digits and semicolons m; 0 = none. */
static size_t colour_length(const char *s)
{
    if (s[0] != '\033' || s[1] != '[')
        return 0;
    size_t n = 2 + strspn(s + 2, "0123456789;");
    return s[n] == 'm' ? n + 1 : 0;
}

static bool is_continuation(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

static size_t columns_of(const char *s, size_t len)
{
    size_t columns = 0;
    for (const char *end = s + len; s < end;) {
        size_t colour = colour_length(s);
        if (!colour)
            columns += !is_continuation(*s);
        s += colour ? colour : 1;
    }
    return columns;
}

size_t text_columns(const char *s)
{
    return columns_of(s, strlen(s));
}

size_t text_cut(const char *s, size_t columns)
{
    const char *at = s;
    while (*at) {
        size_t colour = colour_length(at);
        if (!colour && !is_continuation(*at)) {
            if (columns == 0)
                break;
            columns--;
        }
        at += colour ? colour : 1;
    }
    return (size_t)(at - s);
}

void text_pad(struct text *t, size_t columns)
{
    const char *line = strrchr(text_str(t), '\n');
    line = line ? line + 1 : text_str(t);
    for (size_t at = text_columns(line); at < columns; at++)
        text_add_bytes(t, " ", 1);
}

void text_add_wrapped(struct text *t, const char *words, size_t indent, size_t width)
{
    size_t column = indent;
    bool is_first = true;
    while (*words) {
        words += strspn(words, " ");
        size_t len = strcspn(words, " ");
        if (len == 0)
            break;
        size_t columns = columns_of(words, len);
        if (!is_first && column + 1 + columns > width) {
            text_add(t, "\n%*s", (int)indent, "");
            column = indent;
        } else if (!is_first) {
            text_add_bytes(t, " ", 1);
            column++;
        }
        text_add_bytes(t, words, len);
        column += columns;
        words += len;
        is_first = false;
    }
}
