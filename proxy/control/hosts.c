/* The system's hosts file: names that need no name server.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/hosts.h"

#include "proxy/conf/file.h"
#include <arpa/inet.h>
#include <stdlib.h>

#define IP_TEXT_MAX 48 /* longer than any address that inet_pton takes */

static struct slice without_dot(struct slice name)
{
    if (name.len && name.at[name.len - 1] == '.')
        name.len--;
    return name;
}

/* The next word of a line, and the line behind it. False at its end. */
static bool next_word(struct slice *line, struct slice *word)
{
    size_t begin = 0, end;
    while (begin < line->len && (line->at[begin] == ' ' || line->at[begin] == '\t'))
        begin++;
    for (end = begin; end < line->len && line->at[end] != ' ' && line->at[end] != '\t';)
        end++;
    *word = slice_of(line->at + begin, end - begin);
    *line = slice_of(line->at + end, line->len - end);
    return word->len > 0;
}

static bool parse_ip(struct slice text, struct ip_address *out)
{
    char copy[IP_TEXT_MAX];
    if (text.len >= sizeof copy)
        return false;
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    *out = (struct ip_address){.is_v6 = memchr(copy, ':', text.len) != NULL};
    return inet_pton(out->is_v6 ? AF_INET6 : AF_INET, copy, out->at) == 1;
}

static bool names(struct slice line, struct slice name)
{
    struct slice word;
    while (next_word(&line, &word))
        if (slice_equal_nocase(without_dot(word), name))
            return true;
    return false;
}

size_t hosts_find(struct slice text, struct slice name, struct ip_address *out, size_t max)
{
    struct slice line, word, comment;
    size_t n = 0;
    name = without_dot(name);
    for (bool more = true; more && n < max;) {
        more = slice_cut(text, '\n', &line, &text);
        if (line.len && line.at[line.len - 1] == '\r')
            line.len--;
        (void)slice_cut(line, '#', &line, &comment);
        if (next_word(&line, &word) && names(line, name) && parse_ip(word, &out[n]))
            n++;
    }
    return n;
}

size_t hosts_find_in(const char *path, struct slice name, struct ip_address *out, size_t max)
{
    struct why why;
    size_t len, n = 0;
    char *text = file_read(path, HOSTS_BYTES_MAX, &len, &why);
    if (text)
        n = hosts_find(slice_of(text, len), name, out, max);
    free(text);
    return n;
}

static bool is_usable_v4(const uint8_t at[4])
{
    return at[0] != 0 &&
           at[0] < 224; /* 0/8: this network; 224/4: groups; 240/4: nobody's, everybody's */
}

bool ip_address_is_usable(const struct ip_address *a)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff}, none[15] = {0};
    if (!a->is_v6)
        return is_usable_v4(a->at);
    if (memcmp(a->at, none, sizeof none) == 0)
        return a->at[15] == 1; /* ::1, and not :: */
    bool is_link_local = a->at[0] == 0xfe && (a->at[1] & 0xc0) == 0x80;
    return a->at[0] != 0xff && !is_link_local && memcmp(a->at, mapped, sizeof mapped) != 0;
}
