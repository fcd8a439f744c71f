/* How far a word is from a name that was perhaps meant: for "did you mean".
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_BASE_NEAREST_H
#define SERIN_BASE_NEAREST_H

#include "base/slice.h"

#define NEAREST_MAX                                                                                \
    48 /* bytes of a word that may be a mistyped one; longer ones get no suggestion */

static inline size_t nearest_least(size_t a, size_t b, size_t c)
{
    size_t ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* Edit distance in which two neighbours changing places count once (optimal string alignment),
 * without regard to case. SIZE_MAX: too far from the name to be a slip of it, or one is longer than
 * NEAREST_MAX. O(length^2). Pure. */
static inline size_t nearest_distance(struct slice word, struct slice name)
{
    size_t rows[3][NEAREST_MAX + 1];
    size_t *before = rows[0], *last = rows[1], *now = rows[2];
    if (word.len > NEAREST_MAX || name.len > NEAREST_MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= name.len; j++)
        before[j] = last[j] = j;
    for (size_t i = 1; i <= word.len; i++) {
        now[0] = i;
        for (size_t j = 1; j <= name.len; j++) {
            size_t differs = ascii_lower(word.at[i - 1]) != ascii_lower(name.at[j - 1]);
            now[j] = nearest_least(last[j] + 1, now[j - 1] + 1, last[j - 1] + differs);
            if (i > 1 && j > 1 && word.at[i - 1] == name.at[j - 2] &&
                word.at[i - 2] == name.at[j - 1])
                now[j] = nearest_least(now[j], before[j - 2] + 1, now[j]);
        }
        size_t *spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[name.len] <= 1 + name.len / 4 ? last[name.len] : SIZE_MAX;
}

#endif
