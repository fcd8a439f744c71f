/* A request's path: heads, bodies and what is written for them allocate nothing; arena and held bytes fail cleanly.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"
#include "oom.h"
#include "proxy/flow/held.h"
#include "proxy/http/parse.h"
#include "proxy/http/rewrite.h"

#include <string.h>

static const char request[] = "POST /a?b HTTP/1.1\r\nHost: a\r\nCookie: a=b\r\nX-A: 1\r\n"
                              "Connection: x-a\r\nTransfer-Encoding: chunked\r\n\r\n"
                              "5\r\nhello\r\n0\r\n\r\n";
static const struct head_limits limits = {8192, 4096, 128};
static struct head head;

static bool pass_on(void)
{
    char out[2048], bytes[sizeof request];
    struct body body;
    struct slice data;
    memcpy(bytes, request, sizeof bytes);
    head_init(&head, false);
    ssize_t n = head_feed(&head, bytes, sizeof request - 1, &limits);
    CHECK(n > 0 && body_plan_request(&body, &head) == 0);
    CHECK(body_feed(&body, bytes + n, sizeof request - 1 - (size_t)n, &data) > 0 && body.done);
    struct rewrite_request r = {
        .head = &head, .buf = bytes, .body = &body, .client = SLICE("127.0.0.1")};
    CHECK(rewrite_request(&r, out, sizeof out) > 0);
    return true;
}

/* The flag is sticky, so that one look at the end is enough. */
static bool use_arena(void)
{
    char first[64] __attribute__((aligned(ARENA_ALIGN)));
    struct arena a;
    arena_init(&a, first, sizeof first, 1u << 20);
    bool ok = true;
    for (size_t bytes = 1; bytes <= 65536; bytes *= 4) {
        char *p = arena_alloc(&a, bytes);
        if (p)
            memset(p, 'x', bytes);
        ok = ok && p && arena_copy(&a, SLICE("copy")).at;
    }
    CHECK(ok == !a.failed);
    arena_reset(&a);
    CHECK(!a.failed);
    return ok;
}

static bool hold(void)
{
    char buf[sizeof request];
    struct held held = {0};
    head_init(&head, false);
    CHECK(head_feed(&head, request, 40, &limits) == 0);
    enum err e = held_keep(&held, request, 40, &head);
    CHECK(e == OK || (e == ERR_MEMORY && !held.bytes));
    size_t n = held_restore(&held, buf, &head, false);
    CHECK(n == (e == OK ? 40u : 0u));
    held_drop(&held);
    return e == OK;
}

int main(void)
{
    CHECK(oom_every("head, body, rewriting", pass_on, 0) == 0);
    oom_every("arena", use_arena, 5);
    oom_every("held bytes", hold, 1);
    return 0;
}
