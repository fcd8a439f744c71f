/* One line at a time.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/cli/lines.h"

_Static_assert(sizeof((struct lines *)0)->bytes == LINES_BYTES_MAX, "room for the longest line");

void lines_init(struct lines *l, FILE *in)
{
    l->in = in;
    l->number = 0;
}

bool lines_next(struct lines *l)
{
    int c;
    size_t len = 0;
    l->number++;
    l->too_long = false;
    while ((c = getc_unlocked(l->in)) != EOF && c != '\n') {
        if (len < sizeof l->bytes)
            l->bytes[len++] = (char)c;
        else
            l->too_long = true;
    }
    l->is_torn = c == EOF;
    l->line = slice_of(l->bytes, len);
    return c != EOF || len > 0;
}
