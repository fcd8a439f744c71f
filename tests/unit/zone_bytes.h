/* Handmade time zone files, and the moments and real files that tests of zones share.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_TESTS_ZONE_BYTES_H
#define SERIN_TESTS_ZONE_BYTES_H

#include "base/check.h"
#include "rollout/decide/zone.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#define ZONE_UNUSED   __attribute__((unused))
#define ZONE_DATABASE "/usr/share/zoneinfo"

struct zone_bytes {
    char at[ZONE_BYTES_MAX + 4096];
    size_t len;
};

/* A file: its changes (each a moment and a type), the offset of every type, its rule. */
struct zone_recipe {
    char version; /* 0, or '2' to '4' */
    size_t n_changes;
    int64_t at_s[4];
    unsigned char types[4];
    size_t n_types;
    int32_t offsets_s[4];
    const char *rule;
};

ZONE_UNUSED static void zone_put(struct zone_bytes *b, uint64_t value, size_t bytes)
{
    CHECK(b->len + bytes <= sizeof b->at);
    while (bytes-- > 0)
        b->at[b->len++] = (char)(value >> 8 * bytes & 0xff);
}

/* counts: ut, standard, leaps, times, types, chars. */
ZONE_UNUSED static void zone_put_header(struct zone_bytes *b, char version,
                                        const uint32_t counts[6])
{
    zone_put(b, 0x545a6966, 4); /* TZif */
    zone_put(b, (unsigned char)version, 1);
    for (int i = 0; i < 15; i++)
        zone_put(b, 0, 1);
    for (int i = 0; i < 6; i++)
        zone_put(b, counts[i], 4);
}

ZONE_UNUSED static void zone_put_block(struct zone_bytes *b, const struct zone_recipe *r,
                                       size_t time_bytes)
{
    uint32_t counts[6] = {0, 0, 0, (uint32_t)r->n_changes, (uint32_t)r->n_types, 4};
    zone_put_header(b, r->version, counts);
    for (size_t i = 0; i < r->n_changes; i++)
        zone_put(b, (uint64_t)r->at_s[i], time_bytes);
    for (size_t i = 0; i < r->n_changes; i++)
        zone_put(b, r->types[i], 1);
    for (size_t i = 0; i < r->n_types; i++) {
        zone_put(b, (uint32_t)r->offsets_s[i], 4);
        zone_put(b, 0, 2);
    }
    zone_put(b, 0x58595a00, 4); /* XYZ and its end */
}

/* From version 2 on with a first block that says nothing, as zic writes it. */
ZONE_UNUSED static void zone_make(struct zone_bytes *b, const struct zone_recipe *r)
{
    b->len = 0;
    if (r->version != 0) {
        zone_put_header(b, r->version, (const uint32_t[6]){0, 0, 0, 0, 1, 1});
        zone_put(b, 0, 7);
    }
    zone_put_block(b, r, r->version ? 8 : 4);
    if (r->version == 0)
        return;
    zone_put(b, '\n', 1);
    for (const char *p = r->rule; *p; p++)
        zone_put(b, (unsigned char)*p, 1);
    zone_put(b, '\n', 1);
}

/* Parses a copy of exactly so many bytes, so that a sanitizer sees the byte behind it. */
ZONE_UNUSED static enum err zone_parse_copy(const char *bytes, size_t len, struct zone **zone,
                                            struct why *why)
{
    char *copy = malloc(len ? len : 1);
    CHECK(copy);
    memcpy(copy, bytes, len);
    enum err e = zone_parse(slice_of(copy, len), zone, why);
    free(copy);
    assert_true((e == OK) == (*zone != NULL));
    return e;
}

ZONE_UNUSED static struct zone *zone_of(const struct zone_recipe *recipe)
{
    struct why why = {""};
    struct zone *zone;
    struct zone_bytes b;
    zone_make(&b, recipe);
    if (zone_parse_copy(b.at, b.len, &zone, &why) != OK)
        fail_msg("%s", why.text);
    return zone;
}

/* A zone that has always had one rule. */
ZONE_UNUSED static struct zone *zone_of_rule(const char *rule)
{
    return zone_of(&(struct zone_recipe){.version = '2', .n_types = 1, .rule = rule});
}

/* Reads a file of the database; fails where it is not there. */
ZONE_UNUSED static void zone_read_real(struct zone_bytes *b, const char *name)
{
    char path[256];
    (void)snprintf(path, sizeof path, ZONE_DATABASE "/%s", name);
    FILE *f = fopen(path, "rb");
    if (!f)
        fail_msg("%s is not there: is the package tzdata installed?", path);
    b->len = fread(b->at, 1, sizeof b->at, f);
    (void)fclose(f);
}

ZONE_UNUSED static struct zone *zone_real(const char *name)
{
    struct why why = {""};
    struct zone *zone;
    struct zone_bytes b;
    zone_read_real(&b, name);
    if (zone_parse_copy(b.at, b.len, &zone, &why) != OK)
        fail_msg("%s: %s", name, why.text);
    return zone;
}

/* Seconds since 1970 of "2026-03-29 01:00" or "2026-03-29 01:00:00", in UTC. */
ZONE_UNUSED static int64_t utc(const char *text)
{
    struct tm parts = {.tm_isdst = 0};
    int n = sscanf(text, "%d-%d-%d %d:%d:%d", &parts.tm_year, &parts.tm_mon, &parts.tm_mday,
                   &parts.tm_hour, &parts.tm_min, &parts.tm_sec);
    CHECK(n >= 5);
    parts.tm_year -= 1900;
    parts.tm_mon--;
    return timegm(&parts);
}

/* Splitmix64: the same numbers on every run. */
ZONE_UNUSED static uint64_t zone_random(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

#endif
