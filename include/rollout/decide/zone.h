/* A time zone: how far its clock is ahead of UTC at any moment; from a TZif file (RFC 8536).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_DECIDE_ZONE_H
#define SERIN_ROLLOUT_DECIDE_ZONE_H

#include "rollout/decide/zone_rule.h"

/* The largest file of the database has 4 KiB; bounds what a foreign one makes us read. */
#define ZONE_BYTES_MAX (64u << 10)
/* Some 240 are in use; bounds the memory of a zone and the walk over its changes (tzcode: 2000). */
#define ZONE_CHANGES_MAX 2000
/* An index into the types is one byte. */
#define ZONE_TYPES_MAX 256
/* Bytes of all abbreviations, which are skipped; some 50 are in use. */
#define ZONE_CHARS_MAX 1024

struct zone;

/* Reads a file of version 1 to 4: the 64-bit block where there is one, and its rule for what comes
 * after the last change. Every byte may be hostile. The caller frees *zone, which is one allocation
 * of at most some 32 KB; NULL on error. Leap seconds (the "right/" zones) are refused: such zones
 * count other seconds than the system's clock. ERR_INVALID; ERR_LIMIT: larger than the bounds
 * above; ERR_UNSUPPORTED: leap seconds or an unknown version; ERR_MEMORY. The reason does not name
 * the zone. Pure. O(bytes). */
enum err zone_parse(struct slice bytes, struct zone **zone, struct why *why) MUST_USE;

/* UTC, without any file. The caller frees it. NULL: out of memory. */
struct zone *zone_utc(void);

/* NULL is allowed. */
void zone_free(struct zone *zone);

/* Seconds east of UTC, ZONE_OFFSET_MIN_S to ZONE_OFFSET_MAX_S. wall_s: since 1970, any; beyond
 * ZONE_WALL_MAX_S as at that one. Never fails. Any thread. Pure. O(log changes). */
int32_t zone_offset_s(const struct zone *z, int64_t wall_s);

/* The first moment after wall_s at which the offset may change: it is the same in between.
 * ZONE_NEVER_S: it stays as it is. Never fails. Any thread. Pure. O(log changes). */
int64_t zone_until_s(const struct zone *z, int64_t wall_s);

#endif
