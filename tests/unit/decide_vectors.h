/* Reads tests/fixtures/decision/vectors.json: worked examples of the rule, made with 60 digits.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_TESTS_UNIT_DECIDE_VECTORS_H
#define SERIN_TESTS_UNIT_DECIDE_VECTORS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <cjson/cJSON.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VECTORS_PATH TESTS_DIR "/fixtures/decision/vectors.json"

/* Far above a double's rounding, far below anything that could turn a decision. */
#define VECTORS_TOLERANCE 1e-9

/* The whole file; the caller deletes it. */
static inline cJSON *vectors_load(void)
{
    FILE *file = fopen(VECTORS_PATH, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long size = ftell(file);
    assert_true(size > 0);
    rewind(file);
    char *text = malloc((size_t)size);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, (size_t)size, file), size);
    (void)fclose(file);
    cJSON *all = cJSON_ParseWithLength(text, (size_t)size);
    free(text);
    assert_non_null(all);
    return all;
}

static inline const cJSON *vectors_member(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    if (!item)
        fail_msg("the vectors have no %s", name);
    return item;
}

static inline double vectors_number(const cJSON *object, const char *name)
{
    const cJSON *item = vectors_member(object, name);
    assert_true(cJSON_IsNumber(item));
    return item->valuedouble;
}

static inline void vectors_compare(const char *id, const char *what, double got, double want)
{
    if (!(fabs(got - want) <= VECTORS_TOLERANCE * fmax(1, fabs(want))))
        fail_msg("%s: %s is %.17g, expected %.17g", id, what, got, want);
}

/* Calls check for every vector of a kind and fails where their number is not the expected one. */
static inline void vectors_each(const char *kind, int expected,
                                void (*check)(const char *id, const cJSON *in, const cJSON *want))
{
    cJSON *all = vectors_load();
    const cJSON *vector;
    int n = 0;
    cJSON_ArrayForEach(vector, vectors_member(all, "vectors"))
    {
        if (strcmp(vectors_member(vector, "kind")->valuestring, kind) != 0)
            continue;
        check(vectors_member(vector, "id")->valuestring, vectors_member(vector, "in"),
              vectors_member(vector, "want"));
        n++;
    }
    cJSON_Delete(all);
    assert_int_equal(n, expected);
}

/* A small generator with the same numbers everywhere (xorshift64*, Marsaglia and Vigna). */
struct vectors_random {
    uint64_t state;
};

static inline uint64_t vectors_next(struct vectors_random *r)
{
    r->state ^= r->state >> 12;
    r->state ^= r->state << 25;
    r->state ^= r->state >> 27;
    return r->state * UINT64_C(0x2545F4914F6CDD1D);
}

/* In [0, 1). */
static inline double vectors_uniform(struct vectors_random *r)
{
    return (double)(vectors_next(r) >> 11) * 0x1p-53;
}

#endif
