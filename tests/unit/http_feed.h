/* Feeds one head in every way it can be cut and asks for the same outcome each time.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_TESTS_HTTP_FEED_H
#define SERIN_TESTS_HTTP_FEED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proxy/http/parse.h"

static const struct head_limits usual_limits = {
    .head_bytes = 32768, .uri_bytes = 16384, .fields = 128};

/* Longer heads are cut at one place in 97 only. */
#define EVERY_CUT_BYTES_MAX 1500

/* A copy of exactly n bytes, so that a sanitizer sees the byte behind it. */
static inline char *copy_of(struct slice raw, size_t n)
{
    char *copy = malloc(n ? n : 1);
    assert_non_null(copy);
    memcpy(copy, raw.at, n);
    return copy;
}

/* Feeds raw's first n bytes, from a buffer at a new place. */
static inline ssize_t feed_first(struct head *h, struct slice raw, size_t n,
                                 const struct head_limits *limits)
{
    char *copy = copy_of(raw, n);
    ssize_t result = head_feed(h, copy, n, limits);
    free(copy);
    return result;
}

static inline void assert_same_span(struct span a, struct span b)
{
    assert_int_equal(a.at, b.at);
    assert_int_equal(a.len, b.len);
}

static inline void assert_same_fields(const struct head *a, const struct head *b)
{
    assert_int_equal(a->n_fields, b->n_fields);
    assert_int_equal(a->field_ids, b->field_ids);
    for (int i = 0; i < a->n_fields; i++) {
        assert_same_span(a->fields[i].name, b->fields[i].name);
        assert_same_span(a->fields[i].value, b->fields[i].value);
        assert_int_equal(a->fields[i].id, b->fields[i].id);
        assert_int_equal(a->fields[i].hop, b->fields[i].hop);
    }
}

static inline void assert_same_head(const struct head *a, const struct head *b)
{
    assert_ptr_equal(a->fault, b->fault);
    assert_int_equal(a->minor, b->minor);
    assert_int_equal(a->method, b->method);
    assert_int_equal(a->status, b->status);
    assert_same_span(a->method_text, b->method_text);
    assert_same_span(a->target, b->target);
    assert_same_span(a->path, b->path);
    assert_same_span(a->authority, b->authority);
    assert_same_span(a->reason, b->reason);
    assert_int_equal(a->keep_alive, b->keep_alive);
    assert_int_equal(a->expect_continue, b->expect_continue);
    assert_int_equal(a->upgrade_websocket, b->upgrade_websocket);
    assert_int_equal(a->has_length, b->has_length);
    assert_int_equal(a->content_length, b->content_length);
    assert_int_equal(a->coding, b->coding);
    assert_int_equal(a->chunked, b->chunked);
    assert_int_equal(a->parsed, b->parsed);
    assert_same_fields(a, b);
}

/* Feeds raw in two parts. A refusal or an end in the first is the result. */
static inline ssize_t feed_cut(struct head *h, struct slice raw, size_t cut, bool is_response,
                               const struct head_limits *limits)
{
    head_init(h, is_response);
    ssize_t result = feed_first(h, raw, cut, limits);
    return result != 0 ? result : feed_first(h, raw, raw.len, limits);
}

static inline ssize_t feed_bytewise(struct head *h, struct slice raw, bool is_response,
                                    const struct head_limits *limits)
{
    ssize_t result = 0;
    size_t step = raw.len <= EVERY_CUT_BYTES_MAX ? 1 : 97;
    head_init(h, is_response);
    for (size_t n = 0; n < raw.len && result == 0; n += step)
        result = feed_first(h, raw, n, limits);
    return result != 0 ? result : feed_first(h, raw, raw.len, limits);
}

/* Feeds raw whole, byte by byte and cut at every place, into *h at last. Returns what head_feed
 * says, which is the same each time. */
static inline ssize_t feed_all_ways(struct head *h, struct slice raw, bool is_response,
                                    const struct head_limits *limits)
{
    static struct head other;
    head_init(h, is_response);
    ssize_t whole = feed_first(h, raw, raw.len, limits);
    assert_int_equal(feed_bytewise(&other, raw, is_response, limits), whole);
    assert_same_head(h, &other);
    size_t step = raw.len <= EVERY_CUT_BYTES_MAX ? 1 : 97;
    for (size_t cut = 0; cut <= raw.len; cut += step) {
        assert_int_equal(feed_cut(&other, raw, cut, is_response, limits), whole);
        assert_same_head(h, &other);
    }
    return whole;
}

#endif
