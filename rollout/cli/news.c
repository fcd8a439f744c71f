/* Which routes have changed since they were last told of: for lines that are printed once a change.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/cli/news.h"
#include "base/hash.h"

static uint64_t hash_text(const char *text)
{
    return hash_bytes((struct hash_salt){0, 0}, slice_str(text));
}

bool news_take(struct news *n, const struct status_view *v)
{
    struct text key = {0};
    status_add_key(&key, v);
    uint64_t route = hash_text(v->route), now = hash_text(text_str(&key));
    text_fini(&key);
    for (unsigned i = 0; i < n->count; i++) {
        if (n->seen[i].route != route)
            continue;
        bool has_changed = n->seen[i].key != now;
        n->seen[i].key = now;
        return has_changed;
    }
    if (n->count < NEWS_ROUTES_MAX) {
        n->seen[n->count].route = route;
        n->seen[n->count++].key = now;
    }
    return true;
}
