/* What the cluster and the DNS give becomes known: addresses of dynamic versions, and replicas.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/known_inside.h"

#include "base/log.h"
#include "proxy/control/address.h"

void known_take_replicas(struct known *k, const char *route, const char *version,
                         const struct known_replicas *replicas)
{
    struct known_version *v = known_find_version(k, route, version);
    if (v)
        v->replicas = *replicas;
}

/* An address on its way in. */
struct given {
    struct wire_addr addr;
    char text[WIRE_TEXT_MAX]; /* as wire_addr_text writes it: one spelling an address */
    bool is_known;
};

static int compare_given(const void *left, const void *right)
{
    return strcmp(((const struct given *)left)->text, ((const struct given *)right)->text);
}

static bool read_given(struct given *g, const char *text)
{
    struct why why;
    if (address_of(text, &g->addr, &why) != OK || strncmp(text, "unix:", 5) == 0)
        return false;
    wire_addr_text(&g->addr, g->text);
    g->is_known = false;
    return true;
}

/* Sorted, each once, at most KNOWN_GIVEN_MAX. Returns their number. */
static size_t gather_given(struct given *all, const struct known_version *v,
                           const char *const *texts, size_t n)
{
    size_t read = 0, kept = 0;
    for (size_t i = 0; i < n; i++)
        if (read_given(&all[read], texts[i]))
            read++;
        else
            log_warn("endpoint_refused", "route=%s version=%s why=\"%.64s is no address\"",
                     v->route, v->version, texts[i]);
    if (read)
        qsort(all, read, sizeof *all, compare_given);
    for (size_t i = 0; i < read; i++)
        if (kept == 0 || compare_given(&all[kept - 1], &all[i]) != 0)
            all[kept++] = all[i];
    if (kept <= KNOWN_GIVEN_MAX)
        return kept;
    log_warn("endpoints_cut", "route=%s version=%s why=\"%zu are more than %u\"", v->route,
             v->version, kept, KNOWN_GIVEN_MAX);
    return KNOWN_GIVEN_MAX;
}

/* Marks what is known and, where what is given is whole, forgets what is not in it but for what the file names. Workers that
 * have not adopted the next snapshot yet, and retries in a world of before, find it down: they go elsewhere where there is
 * anything else. Returns how many are gone for the data plane. */
static unsigned drop_ungiven(struct known *k, const struct known_route *r,
                             const struct known_version *v, struct given *all, size_t n,
                             bool is_whole)
{
    struct known_endpoint *e = known_next_endpoint(r, v->version, NULL), *next;
    struct given key;
    unsigned gone = 0;
    for (; e; e = next) {
        next = known_next_endpoint(r, v->version, e);
        wire_addr_text(&e->addr, key.text);
        struct given *g = n ? bsearch(&key, all, n, sizeof *all, compare_given) : NULL;
        if (g)
            g->is_known = true;
        if (g || !e->is_given || !is_whole)
            continue;
        gone += !e->is_barred;
        endpoint_note(e->state, ENDPOINT_DOWN);
        known_endpoint_forget(k, e);
    }
    return gone;
}

/* Moves it to where the order of its version's texts wants it. */
static void sort_in(const struct known_route *r, struct known_endpoint *e)
{
    struct known_endpoint *at = known_next_endpoint(r, e->version, NULL);
    while (at && at != e && strcmp(at->text, e->text) <= 0)
        at = known_next_endpoint(r, e->version, at);
    if (!at || at == e)
        return;
    list_remove(&e->link);
    list_remove(&e->of_route);
    list_push_back(&at->link, &e->link);
    list_push_back(&at->of_route, &e->of_route);
}

/* Returns how many are new for the data plane. */
static unsigned add_given(struct known *k, struct known_route *r, const struct known_version *v,
                          const struct given *all, size_t n)
{
    unsigned added = 0;
    for (size_t i = 0; i < n; i++) {
        if (all[i].is_known)
            continue;
        struct known_endpoint *e = known_endpoint_new(k, r, v->version, all[i].text, &all[i].addr);
        if (!e) {
            log_error("endpoint_not_taken", "route=%s version=%s endpoint=%s why=\"out of memory\"",
                      v->route, v->version, all[i].text);
            break;
        }
        e->is_given = true;
        e->conf = r->conf;
        sort_in(r, e);
        const struct known_endpoint *owner = known_find_rival(k, e, false);
        if (owner)
            known_endpoint_bar(k, e, owner);
        added += !e->is_barred;
    }
    return added;
}

static bool take_given(struct known *k, const char *route, const char *version,
                       const char *const *texts, size_t n, bool is_whole)
{
    struct known_route *r = known_find_route(k, route);
    const struct known_version *v = known_find_version(k, route, version);
    struct given *all = v ? malloc((n + 1) * sizeof *all) : NULL;
    if (!all) {
        if (v)
            log_error("endpoints_not_taken", "route=%s version=%s why=\"out of memory\"", route,
                      version);
        return false;
    }
    n = gather_given(all, v, texts, n);
    unsigned gone = drop_ungiven(k, r, v, all, n, is_whole);
    unsigned added = add_given(k, r, v, all, n);
    free(all);
    if (gone || added)
        log_info("endpoints", "route=%s version=%s endpoints=%u added=%u gone=%u", route, version,
                 known_count(k, route, version, false).total, added, gone);
    return gone || added;
}

bool known_take_endpoints(struct known *k, const char *route, const char *version,
                          const char *const *texts, size_t n)
{
    return take_given(k, route, version, texts, n, true);
}

bool known_add_endpoints(struct known *k, const char *route, const char *version,
                         const char *const *texts, size_t n)
{
    return take_given(k, route, version, texts, n, false);
}
