/* Fuzzer of chunked bodies: what is decoded does not depend on how the bytes are cut.
 * SPDX-License-Identifier: Apache-2.0 */
/* First byte of an input: the size of the parts. What was decoded is encoded and decoded again. */
#include "fuzz.h"
#include "proxy/http/body.h"

#define INPUT_BYTES_MAX 65536

struct decoded {
    char bytes[INPUT_BYTES_MAX];
    size_t len, used;
    bool done, broken;
};

static struct decoded whole, parts, again;

static void feed_part(struct body *b, const char *part, size_t len, struct decoded *d)
{
    char *copy = fuzz_copy(part, len);
    struct slice data;
    ssize_t n = body_feed(b, copy, len, &data);
    d->broken = n < 0;
    d->done = b->done;
    CHECK(d->broken == (b->fault != NULL));
    CHECK(data.at >= copy && data.at + data.len <= copy + len);
    if (n >= 0) {
        CHECK((size_t)n == len || ((size_t)n < len && b->done));
        CHECK(data.len <= (size_t)n);
        memcpy(d->bytes + d->len, data.at, data.len);
        d->len += data.len;
        d->used += (size_t)n;
    }
    free(copy);
}

static void decode(struct decoded *d, const char *bytes, size_t len, size_t step)
{
    struct body b = {.kind = BODY_CHUNKED};
    d->len = d->used = 0;
    d->done = d->broken = false;
    for (size_t at = 0; at < len && !d->done && !d->broken; at += step)
        feed_part(&b, bytes + at, step < len - at ? step : len - at, d);
}

static void check_again(void)
{
    static char encoded[INPUT_BYTES_MAX + 2 * BODY_CHUNK_HEAD_MAX];
    size_t n = body_chunk_head(encoded, whole.len);
    memcpy(encoded + n, whole.bytes, whole.len);
    memcpy(encoded + n + whole.len, "\r\n0\r\n\r\n", 7);
    n += whole.len + 7;
    decode(&again, encoded, n, n);
    CHECK(again.done && again.used == n && again.len == whole.len);
    CHECK(memcmp(again.bytes, whole.bytes, whole.len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > INPUT_BYTES_MAX)
        return 0;
    const char *bytes = (const char *)data + 1;
    decode(&whole, bytes, size - 1, size - 1);
    decode(&parts, bytes, size - 1, (size_t)data[0] + 1);
    CHECK(whole.broken == parts.broken);
    if (whole.broken)
        return 0;
    CHECK(whole.done == parts.done && whole.used == parts.used && whole.len == parts.len);
    CHECK(memcmp(whole.bytes, parts.bytes, whole.len) == 0);
    if (whole.len)
        check_again();
    return 0;
}
