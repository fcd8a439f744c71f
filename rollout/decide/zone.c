/* Reads TZif files and answers with offsets. Section numbers are of RFC 8536.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/decide/zone.h"

#include <stdlib.h>

#define HEADER_BYTES  44
#define VERSION_AT    4
#define COUNTS_AT     20
#define TYPE_BYTES    6
#define TIME_BYTES_V1 4
#define TIME_BYTES    8
#define LEAP_BYTES    4 /* of the correction, behind its time */

struct change {
    int64_t at_s;
    int32_t offset_s; /* from then on */
};

struct zone {
    int32_t first_s; /* the offset before the first change */
    bool has_rule;
    struct zone_rule rule; /* from the last change on; always, where there is no change */
    size_t n;
    struct change changes[]; /* ascending */
};

/* Section 3.1. */
struct header {
    unsigned version;
    uint32_t n_ut, n_standard, n_leaps, n_times, n_types, n_chars;
};

static uint64_t number(const char *at, size_t bytes)
{
    uint64_t v = 0;
    for (size_t i = 0; i < bytes; i++)
        v = v << 8 | (unsigned char)at[i];
    return v;
}

/* Takes bytes off the front; NULL: there are not so many. */
static const char *take(struct slice *s, uint64_t bytes)
{
    if (bytes > s->len)
        return NULL;
    const char *at = s->at;
    *s = slice_of(s->at + bytes, s->len - (size_t)bytes);
    return at;
}

static enum err ends_early(struct why *why, const char *where)
{
    return why_set(why, ERR_INVALID, "the file ends in %s", where);
}

static enum err read_version(char byte, unsigned *version, struct why *why)
{
    *version = byte == '\0' ? 1 : (unsigned)(unsigned char)byte - '0';
    if (byte == '\0' || (byte >= '2' && byte <= '4'))
        return OK;
    return why_set(why, ERR_UNSUPPORTED, "its version byte is 0x%02x, versions 1 to 4 are read",
                   (unsigned)(unsigned char)byte);
}

static enum err read_header(struct slice *rest, struct header *h, struct why *why)
{
    const char *at = take(rest, HEADER_BYTES);
    if (!at)
        return ends_early(why, "a header");
    if (!slice_equal(slice_of(at, VERSION_AT), SLICE("TZif")))
        return why_set(why, ERR_INVALID, "not a time zone file: a header does not begin with TZif");
    enum err e = read_version(at[VERSION_AT], &h->version, why);
    uint32_t *const counts[] = {&h->n_ut,    &h->n_standard, &h->n_leaps,
                                &h->n_times, &h->n_types,    &h->n_chars};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        *counts[i] = (uint32_t)number(at + COUNTS_AT + 4 * i, 4);
    return e;
}

/* Six 32-bit counts times a few bytes do not overflow 64 bits. */
static uint64_t block_bytes(const struct header *h, unsigned time_bytes)
{
    return (uint64_t)h->n_times * (time_bytes + 1) + (uint64_t)h->n_types * TYPE_BYTES +
           h->n_chars + (uint64_t)h->n_leaps * (time_bytes + LEAP_BYTES) + h->n_standard + h->n_ut;
}

static enum err check_counts(const struct header *h, struct why *why)
{
    if (h->n_leaps > 0)
        return why_set(why, ERR_UNSUPPORTED,
                       "it counts leap seconds, as the zones under right/ do; the system's clock "
                       "does not");
    if (h->n_times > ZONE_CHANGES_MAX)
        return why_set(why, ERR_LIMIT, "%lu changes are more than %d", (unsigned long)h->n_times,
                       ZONE_CHANGES_MAX);
    if (h->n_types == 0 || h->n_types > ZONE_TYPES_MAX)
        return why_set(why, ERR_INVALID, "%lu types of local time, expected 1 to %d",
                       (unsigned long)h->n_types, ZONE_TYPES_MAX);
    if (h->n_chars == 0 || h->n_chars > ZONE_CHARS_MAX)
        return why_set(why, ERR_INVALID, "%lu bytes of abbreviations, expected 1 to %d",
                       (unsigned long)h->n_chars, ZONE_CHARS_MAX);
    if ((h->n_standard != 0 && h->n_standard != h->n_types) ||
        (h->n_ut != 0 && h->n_ut != h->n_types))
        return why_set(why, ERR_INVALID, "indicators are neither none nor one of each type");
    return OK;
}

static enum err read_types(const char *at, const struct header *h, int32_t *offsets_s,
                           struct why *why)
{
    for (size_t i = 0; i < h->n_types; i++, at += TYPE_BYTES) {
        int32_t offset_s = (int32_t)(uint32_t)number(at, 4);
        if (offset_s < ZONE_OFFSET_MIN_S || offset_s > ZONE_OFFSET_MAX_S)
            return why_set(why, ERR_INVALID, "offset %ld s of type %zu is not in %d to %d",
                           (long)offset_s, i, ZONE_OFFSET_MIN_S, ZONE_OFFSET_MAX_S);
        if ((unsigned char)at[4] > 1 || (unsigned char)at[5] >= h->n_chars)
            return why_set(why, ERR_INVALID, "type %zu has an impossible mark or abbreviation", i);
        offsets_s[i] = offset_s;
    }
    return OK;
}

static int64_t read_time(const char *at, unsigned time_bytes)
{
    uint64_t v = number(at, time_bytes);
    return time_bytes == TIME_BYTES_V1 ? (int32_t)(uint32_t)v : (int64_t)v;
}

/* times: all moments, and behind them a type for each. */
static enum err read_changes(struct zone *z, const char *times, unsigned time_bytes,
                             const struct header *h, const int32_t *offsets_s, struct why *why)
{
    const char *types = times + (size_t)h->n_times * time_bytes;
    for (size_t i = 0; i < h->n_times; i++, times += time_bytes) {
        int64_t at_s = read_time(times, time_bytes);
        unsigned type = (unsigned char)types[i];
        if (at_s < -ZONE_WALL_MAX_S || at_s > ZONE_WALL_MAX_S)
            return why_set(why, ERR_INVALID, "change %zu is at %lld s, far beyond any calendar", i,
                           (long long)at_s);
        if (i > 0 && at_s <= z->changes[i - 1].at_s)
            return why_set(why, ERR_INVALID, "change %zu is not later than the one before", i);
        if (type >= h->n_types)
            return why_set(why, ERR_INVALID, "change %zu is to type %u of %lu", i, type,
                           (unsigned long)h->n_types);
        z->changes[i] = (struct change){at_s, offsets_s[type]};
    }
    z->n = h->n_times;
    return OK;
}

/* Section 3.2, after check_counts. */
static enum err read_block(struct zone *z, struct slice *rest, const struct header *h,
                           struct why *why)
{
    unsigned time_bytes = h->version == 1 ? TIME_BYTES_V1 : TIME_BYTES;
    int32_t offsets_s[ZONE_TYPES_MAX];
    const char *times = take(rest, block_bytes(h, time_bytes));
    if (!times)
        return ends_early(why, "its data");
    const char *types = times + (size_t)h->n_times * (time_bytes + 1);
    const char *chars = types + (size_t)h->n_types * TYPE_BYTES;
    const char *indicators = chars + h->n_chars;
    if (chars[h->n_chars - 1] != '\0')
        return why_set(why, ERR_INVALID, "its last abbreviation has no end");
    for (size_t i = 0; i < (size_t)h->n_standard + h->n_ut; i++)
        if ((unsigned char)indicators[i] > 1)
            return why_set(why, ERR_INVALID, "indicator %zu is neither 0 nor 1", i);
    enum err e = read_types(types, h, offsets_s, why);
    if (e != OK)
        return e;
    z->first_s = offsets_s[0];
    return read_changes(z, times, time_bytes, h, offsets_s, why);
}

/* Section 3.3: a rule between two line ends; an empty one says that the last change stays. */
static enum err read_footer(struct zone *z, struct slice *rest, struct why *why)
{
    struct slice rule;
    const char *first = take(rest, 1);
    if (!first || *first != '\n' || !slice_cut(*rest, '\n', &rule, rest))
        return why_set(why, ERR_INVALID, "its rule does not stand between two line ends");
    z->has_rule = rule.len > 0;
    return z->has_rule ? zone_rule_read(rule, &z->rule, why) : OK;
}

/* Stops behind the header that counts: the second one from version 2 on, whose first block is for
 * readers of version 1. */
static enum err read_headers(struct slice *rest, struct header *h, struct why *why)
{
    enum err e = read_header(rest, h, why);
    if (e != OK || h->version == 1)
        return e;
    unsigned version = h->version;
    if (!take(rest, block_bytes(h, TIME_BYTES_V1)))
        return ends_early(why, "its first data");
    e = read_header(rest, h, why);
    if (e == OK && h->version != version)
        return why_set(why, ERR_INVALID, "its headers are of versions %u and %u", version,
                       h->version);
    return e;
}

static enum err read_rest(struct zone *z, struct slice rest, const struct header *h,
                          struct why *why)
{
    enum err e = read_block(z, &rest, h, why);
    if (e == OK && h->version > 1)
        e = read_footer(z, &rest, why);
    if (e == OK && rest.len > 0)
        e = why_set(why, ERR_INVALID, "%zu bytes follow its end", rest.len);
    return e;
}

enum err zone_parse(struct slice bytes, struct zone **zone, struct why *why)
{
    struct header h;
    *zone = NULL;
    if (bytes.len > ZONE_BYTES_MAX)
        return why_set(why, ERR_LIMIT, "%zu bytes are more than %u", bytes.len, ZONE_BYTES_MAX);
    enum err e = read_headers(&bytes, &h, why);
    if (e == OK)
        e = check_counts(&h, why);
    if (e != OK)
        return e;
    struct zone *z = calloc(1, sizeof *z + h.n_times * sizeof z->changes[0]);
    if (!z)
        return why_set(why, ERR_MEMORY, "out of memory");
    e = read_rest(z, bytes, &h, why);
    if (e == OK)
        *zone = z;
    else
        zone_free(z);
    return e;
}

struct zone *zone_utc(void)
{
    return calloc(1, sizeof(struct zone)); /* no change, no rule, offset 0 */
}

void zone_free(struct zone *zone)
{
    free(zone);
}

static int64_t clamp(int64_t wall_s)
{
    if (wall_s < -ZONE_WALL_MAX_S)
        return -ZONE_WALL_MAX_S;
    return wall_s > ZONE_WALL_MAX_S ? ZONE_WALL_MAX_S : wall_s;
}

/* How many changes lie at or before a moment. */
static size_t changes_until(const struct zone *z, int64_t wall_s)
{
    size_t low = 0, high = z->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (z->changes[middle].at_s <= wall_s)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int32_t zone_offset_s(const struct zone *z, int64_t wall_s)
{
    wall_s = clamp(wall_s);
    size_t n = changes_until(z, wall_s);
    if (n == z->n && z->has_rule)
        return zone_rule_offset_s(&z->rule, wall_s);
    return n > 0 ? z->changes[n - 1].offset_s : z->first_s;
}

int64_t zone_until_s(const struct zone *z, int64_t wall_s)
{
    if (wall_s >= ZONE_WALL_MAX_S)
        return ZONE_NEVER_S;
    wall_s = clamp(wall_s);
    size_t n = changes_until(z, wall_s);
    if (n < z->n)
        return z->changes[n].at_s;
    return z->has_rule ? zone_rule_until_s(&z->rule, wall_s) : ZONE_NEVER_S;
}
