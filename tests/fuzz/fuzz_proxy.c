/* Fuzzer of PROXY headers: a beginning of one waits, and what is read does not depend on what follows.
 * SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"
#include "proxy/wire/proxy_header.h"

static ssize_t read_copy(const uint8_t *data, size_t size, struct proxy_header *h)
{
    char *copy = fuzz_copy(data, size);
    ssize_t n = proxy_header_read(copy, size, h);
    free(copy);
    CHECK((n < 0) == (h->fault != NULL));
    CHECK(n <= (ssize_t)size && n <= PROXY_HEADER_MAX);
    CHECK(n > 0 || h->source.len == 0);
    CHECK(n != 0 || size < PROXY_HEADER_MAX);
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proxy_header whole, alone, part;
    char text[WIRE_TEXT_MAX], host[WIRE_TEXT_MAX];
    ssize_t n = read_copy(data, size, &whole);
    if (n > 0) {
        CHECK(read_copy(data, (size_t)n, &alone) == n);
        CHECK(alone.source.len == whole.source.len &&
              memcmp(alone.source.bytes, whole.source.bytes, sizeof whole.source.bytes) == 0);
        wire_addr_text(&whole.source, text);
        CHECK(wire_addr_host(&whole.source, host) < sizeof host);
    }
    size_t len = n > 0 ? (size_t)n - 1 : size;
    for (size_t i = 0; i < len; i += i < 64 ? 1 : 61) {
        ssize_t early = read_copy(data, i, &part);
        CHECK(n < 0 ? early <= 0
                    : early ==
                          0); /* bad bytes may be told before all are there, good ones never are */
    }
    return 0;
}
