/* Memory that is refused at the n-th call. The linker puts the functions below before those of the C library.
 * SPDX-License-Identifier: Apache-2.0 */
#include "oom.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

static struct {
    bool is_counting, for_good; /* refuse that call only, or all from then on */
    unsigned long calls, refused_at, refused;
    long live; /* blocks that were allocated while counting or not, less those freed */
} oom;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void __real_free(void *p);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void __wrap_free(void *p);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);

static bool is_refused(void)
{
    if (!oom.is_counting)
        return false;
    oom.calls++;
    bool refuse = oom.for_good ? oom.calls >= oom.refused_at : oom.calls == oom.refused_at;
    oom.refused += refuse;
    return refuse;
}

static void *given(void *p)
{
    oom.live += p != NULL;
    return p;
}

void *__wrap_malloc(size_t size)
{
    return is_refused() ? NULL : given(__real_malloc(size));
}

void *__wrap_calloc(size_t n, size_t size)
{
    return is_refused() ? NULL : given(__real_calloc(n, size));
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return is_refused() ? NULL : given(__real_aligned_alloc(alignment, size));
}

void *__wrap_realloc(void *p, size_t size)
{
    if (is_refused())
        return NULL;
    return p ? __real_realloc(p, size) : given(__real_realloc(p, size));
}

void __wrap_free(void *p)
{
    oom.live -= p != NULL;
    __real_free(p);
}

char *__wrap_strndup(const char *s, size_t n)
{
    size_t len = strnlen(s, n);
    char *copy = __wrap_malloc(len + 1);
    if (!copy)
        return NULL;
    memcpy(copy, s, len);
    copy[len] = '\0';
    return copy;
}

char *__wrap_strdup(const char *s)
{
    return __wrap_strndup(s, strlen(s));
}

/* libyaml's own, which it calls by name: those of the program come first. */
void *yaml_malloc(size_t size);
void *yaml_realloc(void *p, size_t size);
void yaml_free(void *p);
char *yaml_strdup(const char *s);

void *yaml_malloc(size_t size)
{
    return __wrap_malloc(size ? size : 1);
}

void *yaml_realloc(void *p, size_t size)
{
    return __wrap_realloc(p, size ? size : 1);
}

void yaml_free(void *p)
{
    __wrap_free(p);
}

char *yaml_strdup(const char *s)
{
    return s ? __wrap_strdup(s) : NULL;
}

void oom_rest(void)
{
    oom.is_counting = false;
}

void oom_go_on(void)
{
    oom.is_counting = true;
}

/* One attempt; true where nothing was refused. */
static bool once(oom_attempt *attempt, unsigned long refused_at, bool for_good)
{
    long before = oom.live;
    oom.calls = oom.refused = 0;
    oom.refused_at = refused_at;
    oom.for_good = for_good;
    oom.is_counting = true;
    bool ok = attempt();
    oom.is_counting = false;
    if (oom.live != before)
        fprintf(stderr, "refused at %lu: %ld blocks left over\n", refused_at, oom.live - before);
    CHECK(oom.live == before);
    CHECK(ok || oom.refused);
    return oom.refused == 0;
}

unsigned long oom_every(const char *name, oom_attempt *attempt, unsigned long at_least)
{
    cJSON_Hooks hooks = {__wrap_malloc, __wrap_free};
    unsigned long n = 0;
    cJSON_InitHooks(&hooks);
    for (int for_good = 0; for_good < 2; for_good++)
        for (n = 1; !once(attempt, n, for_good);)
            n++;
    cJSON_InitHooks(NULL);
    printf("%s: %lu calls for memory, each of them refused once\n", name, n - 1);
    CHECK(n - 1 >= at_least);
    return n - 1;
}
