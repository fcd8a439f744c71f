/* The failure rates of the routes that a watch shows, asked for from time to time.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/cli/rates_book.h"
#include "base/hash.h"
#include "rollout/cli/client.h"
#include "rollout/cli/options.h"

#include <cjson/cJSON.h>
#include <string.h>

static uint64_t key_of(const char *route)
{
    return hash_bytes((struct hash_salt){0, 0}, slice_str(route));
}

static size_t place_of(const struct rates_book *b, const char *route)
{
    uint64_t key = key_of(route);
    size_t i = 0;
    while (i < b->n && b->of[i].route != key)
        i++;
    return i;
}

const struct rates *rates_book_find(const struct rates_book *b, const char *route)
{
    size_t i = place_of(b, route);
    return i < b->n ? &b->of[i].rates : NULL;
}

void rates_book_put(struct rates_book *b, const char *route, const struct rates *rates,
                    int64_t now_s)
{
    size_t i = place_of(b, route);
    if (i == RATES_BOOK_MAX)
        return;
    b->of[i].route = key_of(route);
    b->of[i].asked_at_s = now_s;
    b->of[i].rates = *rates;
    if (i == b->n)
        b->n++;
}

void rates_book_refresh(struct rates_book *b, struct client *c, const char *route, int64_t now_s)
{
    char path[CLIENT_PATH_MAX];
    struct rates rates;
    cJSON *json;
    size_t i = place_of(b, route);
    bool is_fresh = i < b->n && now_s - b->of[i].asked_at_s < RATES_STEP_S;
    if (is_fresh || i == RATES_BOOK_MAX || strlen(route) > OPTIONS_ROUTE_MAX)
        return;
    client_route_path(path, route, "series");
    if (client_ask(c, path, NULL, &json, NULL)) {
        if (i < b->n)
            rates = b->of[i].rates;
        else
            rates_init(&rates);
    } else {
        rates_read(&rates, json);
        cJSON_Delete(json);
    }
    rates_book_put(b, route, &rates, now_s);
}
