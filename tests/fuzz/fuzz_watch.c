/* Fuzzer of a watch's stream: any bytes, cut anywhere, give the same events; what they carry can be kept.
 * SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"
#include "rollout/kube/lines.h"
#include "rollout/kube/store.h"

#include <cjson/cJSON.h>

struct taken {
    struct kube_store store;
    unsigned lines;
    uint64_t bytes; /* a sum over what came, to compare */
};

static bool on_line(void *arg, const char *line, size_t len)
{
    struct taken *t = arg;
    struct cJSON *object = NULL;
    enum kube_event_type type;
    CHECK(len > 0 && !memchr(line, '\n', len));
    t->lines++;
    for (size_t i = 0; i < len; i++)
        t->bytes = t->bytes * 31 + (unsigned char)line[i];
    if (kube_event_read(line, len, &type, &object) != OK)
        return true;
    CHECK(cJSON_IsObject(object) && type < KUBE_EVENT_TYPES);
    if (type == KUBE_EVENT_DELETED) {
        kube_store_remove(&t->store, object);
        cJSON_Delete(object);
    } else if (type == KUBE_EVENT_ADDED || type == KUBE_EVENT_MODIFIED) {
        (void)!kube_store_put(&t->store, object);
    } else {
        cJSON_Delete(object);
    }
    return true;
}

static void check_store(const struct kube_store *s)
{
    for (size_t i = 0; i < s->n; i++) {
        CHECK(s->items[i].version > 0 && s->items[i].name[0]);
        CHECK(i == 0 || strcmp(s->items[i - 1].name, s->items[i].name) < 0);
        CHECK(kube_store_find(s, s->items[i].name) == s->items[i].object);
    }
}

/* In pieces of at most piece bytes. */
static void feed(struct taken *t, const uint8_t *data, size_t size, size_t piece)
{
    struct kube_lines lines;
    memset(t, 0, sizeof *t);
    kube_store_init(&t->store);
    kube_lines_init(&lines);
    for (size_t at = 0, n; at < size; at += n) {
        n = size - at < piece ? size - at : piece;
        char *copy = fuzz_copy(data + at, n);
        CHECK(kube_lines_feed(&lines, copy, n, on_line, t) == OK);
        free(copy);
    }
    check_store(&t->store);
    kube_store_fini(&t->store);
    kube_lines_fini(&lines);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct taken whole, cut;
    feed(&whole, data, size, size ? size : 1);
    feed(&cut, data, size, size ? 1 + data[0] % 7 : 1);
    CHECK(whole.lines == cut.lines && whole.bytes == cut.bytes && whole.store.n == cut.store.n);
    return 0;
}
