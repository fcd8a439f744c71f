/* Time zones by name, from the database that the system keeps.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_ZONE_FILE_H
#define SERIN_ROLLOUT_ZONE_FILE_H

#include "rollout/decide/zone.h"
#include <stdbool.h>

#define ZONE_FILE_DIR "/usr/share/zoneinfo"
/* The longest name of the database has 32 bytes. */
#define ZONE_FILE_NAME_MAX 64

/* Whether text may be a zone's name: up to ZONE_FILE_NAME_MAX letters, digits, _ - + and single '/'
 * between them. So it cannot lead out of a directory. Pure. */
bool zone_file_is_name(const char *text);

/* Loads a zone, such as Europe/Paris, out of dir (ZONE_FILE_DIR outside of tests). "UTC" needs no
 * file. The caller frees *zone; NULL on error. The reason names the zone. ERR_INVALID: not a name,
 * not a regular file, or broken bytes; ERR_NOT_FOUND: no such zone, or no database (the package
 * tzdata is missing, which the reason says); ERR_LIMIT: too large; ERR_UNSUPPORTED: see zone_parse;
 * ERR_IO; ERR_MEMORY. Blocks on the disk: not for a thread that serves. */
enum err zone_file_load(const char *dir, const char *name, struct zone **zone,
                        struct why *why) MUST_USE;

#endif
