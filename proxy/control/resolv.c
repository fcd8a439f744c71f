/* What the system says of its name servers.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/resolv.h"

#include "proxy/conf/file.h"
#include <arpa/inet.h>
#include <stdlib.h>
#include <unistd.h>

#define FILE_SERVERS_MAX 3 /* as for everybody */
#define WORDS_MAX        (RESOLV_SEARCH_MAX + 1)

/* The words of a line; at most WORDS_MAX. */
static size_t split(struct slice line, struct slice words[WORDS_MAX])
{
    size_t n = 0, i = 0;
    while (n < WORDS_MAX) {
        while (i < line.len && strchr(" \t\r", line.at[i]))
            i++;
        size_t begin = i;
        while (i < line.len && !strchr(" \t\r", line.at[i]))
            i++;
        if (i == begin)
            break;
        words[n++] = slice_of(line.at + begin, i - begin);
    }
    return n;
}

static void take_server(struct resolv *r, struct slice text)
{
    unsigned char ip[16];
    char *out = r->servers[r->n_servers];
    if (r->n_servers == FILE_SERVERS_MAX || text.len >= sizeof r->servers[0])
        return;
    (void)snprintf(out, sizeof r->servers[0], "%.*s", SLICE_ARG(text));
    if (inet_pton(AF_INET, out, ip) == 1 || inet_pton(AF_INET6, out, ip) == 1)
        r->n_servers++;
}

/* A domain to look in. One that no name can be in, the root among them, is passed over. */
static void take_domain(struct resolv *r, struct slice text)
{
    if (text.len && text.at[0] == '.')
        text = slice_of(text.at + 1, text.len - 1);
    if (text.len && text.at[text.len - 1] == '.')
        text.len--;
    if (r->n_search == RESOLV_SEARCH_MAX || text.len == 0 || text.len >= RESOLV_NAME_MAX)
        return;
    struct slice label, rest = text;
    for (bool more = true; more;) {
        more = slice_cut(rest, '.', &label, &rest);
        if (!dns_label_is_good(label))
            return;
    }
    (void)snprintf(r->search[r->n_search++], RESOLV_NAME_MAX, "%.*s", SLICE_ARG(text));
}

static void take_option(struct resolv *r, struct slice text)
{
    uint64_t n;
    if (!slice_starts(text, SLICE("ndots:")) ||
        !slice_parse_u64(slice_of(text.at + 6, text.len - 6), &n))
        return;
    r->ndots = n > RESOLV_NDOTS_MAX ? RESOLV_NDOTS_MAX : (unsigned)n;
}

void resolv_parse(struct resolv *r, struct slice text, const char *hostname)
{
    struct slice line, words[WORDS_MAX];
    bool has_search = false;
    *r = (struct resolv){.ndots = 1};
    for (bool more = true; more;) {
        more = slice_cut(text, '\n', &line, &text);
        size_t n = split(line, words);
        if (n < 2 || words[0].at[0] == '#' || words[0].at[0] == ';')
            continue;
        bool is_search = slice_equal(words[0], SLICE("search")),
             is_domain = slice_equal(words[0], SLICE("domain"));
        if (is_search || is_domain) { /* the last of them counts */
            r->n_search = 0;
            has_search = true;
        }
        for (size_t i = 1; i < n; i++)
            if (is_search || (is_domain && i == 1))
                take_domain(r, words[i]);
            else if (slice_equal(words[0], SLICE("options")))
                take_option(r, words[i]);
            else if (slice_equal(words[0], SLICE("nameserver")) && i == 1)
                take_server(r, words[i]);
    }
    const char *domain = has_search ? NULL : strchr(hostname, '.');
    if (domain)
        take_domain(r, slice_str(domain + 1));
}

void resolv_read(struct resolv *r, const char *path)
{
    char hostname[256] = "";
    struct why why;
    size_t len = 0;
    char *text = file_read(path, RESOLV_BYTES_MAX, &len, &why);
    (void)gethostname(hostname, sizeof hostname - 1);
    resolv_parse(r, text ? slice_of(text, len) : SLICE(""), hostname);
    free(text);
    if (r->n_servers == 0)
        (void)snprintf(r->servers[r->n_servers++], sizeof r->servers[0], "127.0.0.1");
}

static unsigned count_dots(const char *name)
{
    unsigned n = 0;
    for (; *name; name++)
        n += *name == '.';
    return n;
}

/* The i-th name of those that come in question. False where it is too long to be one. */
static bool make(const struct resolv *r, const char *name, unsigned i, char out[RESOLV_NAME_MAX])
{
    bool is_bare_first = count_dots(name) >= r->ndots;
    int len;
    if (is_bare_first ? i == 0 : i == r->n_search)
        len = snprintf(out, RESOLV_NAME_MAX, "%s", name);
    else
        len = snprintf(out, RESOLV_NAME_MAX, "%s.%s", name, r->search[i - is_bare_first]);
    return len > 0 && len < RESOLV_NAME_MAX;
}

bool resolv_next(const struct resolv *r, const char *name, unsigned *at, char out[RESOLV_NAME_MAX])
{
    size_t len = strlen(name);
    if (len > 0 && name[len - 1] == '.') {
        (void)snprintf(out, RESOLV_NAME_MAX, "%.*s", (int)len - 1, name);
        return (*at)++ == 0;
    }
    while (*at <= r->n_search)
        if (make(r, name, (*at)++, out))
            return true;
    return false;
}
