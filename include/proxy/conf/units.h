/* Numbers with units as people write them: 250ms, 16KiB, 0.01%. Exact: no floating point.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONF_UNITS_H
#define SERIN_PROXY_CONF_UNITS_H

#include "base/err.h"
#include "base/slice.h"

#define UNITS_TEXT_MAX 32 /* room for one formatted value */

/* Each parses the whole text or gives ERR_INVALID with why a predicate to stand behind the text
 * ("is not a duration"). Digits only before the unit: no sign, no space, no leading zero, no
 * overflow of int64_t. Pure. */

enum err units_parse_integer(struct slice text, int64_t *out, struct why *why) MUST_USE;

/* Milliseconds; units ms s m h; a bare 0 needs none. */
enum err units_parse_duration(struct slice text, int64_t *out_ms, struct why *why) MUST_USE;

/* Bytes; units B KiB MiB GiB; a bare 0 needs none. */
enum err units_parse_size(struct slice text, int64_t *out_bytes, struct why *why) MUST_USE;

/* Basis points of a percentage with at most two decimals; a bare 0 needs no sign. */
enum err units_parse_share(struct slice text, int64_t *out_bp, struct why *why) MUST_USE;

/* The shortest text that parses back to the same value. Returns out. Pure. */
const char *units_format_duration(int64_t ms, char out[UNITS_TEXT_MAX]);
const char *units_format_size(int64_t bytes, char out[UNITS_TEXT_MAX]);
const char *units_format_share(int64_t bp, char out[UNITS_TEXT_MAX]);

#endif
