/* Moments of the wall clock as text. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_MOMENT_H
#define SERIN_ROLLOUT_MOMENT_H

#include <stdint.h>

#define MOMENT_TEXT_MAX 40

/* RFC 3339, UTC, whole seconds: 2026-03-01T12:00:00Z. wall_ms: since 1970. */
void moment_rfc3339(int64_t wall_ms, char text[MOMENT_TEXT_MAX]);

/* The same without punctuation, for ids: 20260301T120000Z. */
void moment_stamp(int64_t wall_ms, char text[MOMENT_TEXT_MAX]);

#endif
