/* Field lines of a head: each checked and classified as it comes, all of them together at the end.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_HTTP_FIELDS_H
#define SERIN_PROXY_HTTP_FIELDS_H

#include "proxy/http/head.h"

/* Options over all Connection fields: guards the work of comparing each with every field name. */
#define CONNECTION_OPTIONS_MAX 64

/* The id of a field by its name, which must be a token. Pure. O(1): by length and first letter. */
enum field_id field_classify(struct slice name);

/* Adds the field of a line without its CR LF to h. 0, or -400 with h->fault. Pure. O(line).
 * h->n_fields must be below HEAD_FIELDS_MAX. */
int fields_add(struct head *h, const char *buf, struct span line);

/* Adds the fields of the lines from h->parsed on in one pass over each, as long as they are plain: a name of at most 2
 * SYNTAX_BLOCK letters and dashes, a colon, one blank, a value without blanks around it, CR LF, all of it within len, and
 * SYNTAX_BLOCK bytes at least. Moves h->parsed behind them. What they mean is what fields_add would make of them, and it is
 * fields_add that says what the line at h->parsed is. most: of h->n_fields. 0, or the negated status with h->fault. Pure.
 * O(bytes taken). */
int fields_add_plain(struct head *h, const char *buf, size_t len, uint16_t most);

/* Draws the conclusions when the head has ended: Host, persistence, hop-by-hop fields, expectation.
 * 0, or the negated status with h->fault (-400, -405, -417). Pure. O(fields x connection options).
 */
int fields_end(struct head *h, const char *buf);

#endif
