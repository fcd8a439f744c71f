/* Memory that is refused at the n-th call: for every n until there is no n-th call, and nothing may leak or crash.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_TESTS_OOM_H
#define SERIN_TESTS_OOM_H

#include "base/check.h"

#include <stdbool.h>
#include <stddef.h>

/* Does something whole and frees all of it. True where it succeeded; where it did not, it has looked at how (ERR_MEMORY, NULL
 * with a reason) and CHECKs that. */
typedef bool oom_attempt(void);

/* Makes the attempt again and again: the first call for memory is refused, then the second ..., until an attempt gets through
 * without any being refused, which must then succeed. Twice: only that call is refused, and all from then on. What is
 * allocated must be freed after every attempt. Prints and returns how many calls a whole attempt makes; fewer than at_least
 * fail, for then nothing was tried. Calls that count: malloc, calloc, realloc, strdup, strndup, aligned_alloc of everything
 * that is linked statically, and those of cJSON and libyaml. */
unsigned long oom_every(const char *name, oom_attempt *attempt, unsigned long at_least);

/* Between the two no call counts, and none is refused: for what an attempt only stands on. */
void oom_rest(void);
void oom_go_on(void);

#endif
