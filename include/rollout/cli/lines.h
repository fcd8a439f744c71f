/* Reads lines of bounded length from a stream.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_CLI_LINES_H
#define SERIN_ROLLOUT_CLI_LINES_H

#include "base/slice.h"
#include <stdio.h>

/* Guards memory against a line without an end. A tick is about 250 bytes, with histograms at most
 * 42 KiB, a start with every key below 12 KiB. */
#define LINES_BYTES_MAX ((size_t)64 * 1024)

struct lines {
    FILE *in;                  /* borrowed */
    unsigned long long number; /* of the line, from 1 */
    struct slice line;         /* without its newline; until the next one */
    bool too_long;             /* the rest of it was dropped */
    bool is_torn;              /* the input ended before its newline */
    char bytes[64 * 1024];
};

void lines_init(struct lines *l, FILE *in);

/* The next line. False at the end of input, or where it cannot be read (ferror). O(line). */
bool lines_next(struct lines *l);

#endif
