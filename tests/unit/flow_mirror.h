/* A route whose mirror is on, and what its canary was counted to have got.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_TESTS_FLOW_MIRROR_H
#define SERIN_TESTS_FLOW_MIRROR_H

#include "flow_fixture.h"

#include "proxy/flow/copy.h"

#define GET  "GET /a?b HTTP/1.1\r\nHost: a.test\r\nX-Own: 7\r\n\r\n"
#define PUT3 "PUT / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc"
#define OK_2 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"

static int stable_up; /* the connection on which stable got the last request */

static inline const struct mirror_cells *mirrored(const struct fixture *f)
{
    return &cells(f, ROLE_CANARY)->mirror;
}

static inline uint64_t results(const struct fixture *f, enum metric_mirrored result)
{
    return cell_read(&mirrored(f)->results[result]);
}

static inline uint64_t skipped(const struct fixture *f, enum metric_mirror_skip reason)
{
    return cell_read(&mirrored(f)->skipped[reason]);
}

static inline uint64_t all_results(const struct fixture *f)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < MIRRORED_COUNT; i++)
        sum += results(f, i);
    return sum;
}

static inline int setup_mirror(void **state)
{
    setup(state);
    struct fixture *f = *state;
    stable_up = -1;
    f->route_conf.mirror_methods = 1u << METHOD_GET | 1u << METHOD_PUT;
    f->route->split.is_active = true;
    f->route->mirror_bp = 10000;
    return 0;
}

static inline int teardown_mirror(void **state)
{
    struct fixture *f = *state;
    int result = teardown(state);
    assert_int_equal(f->flow.n_copies, 0);
    return result;
}

#define MIRROR_TEST(f) cmocka_unit_test_setup_teardown(f, setup_mirror, teardown_mirror)

/* A request goes through stable, which answers it. */
static inline void answer(struct fixture *f, int client, const char *request, const char *response)
{
    say(f, client, request);
    int fresh = called(f, ROLE_STABLE);
    if (fresh >= 0)
        stable_up = fresh;
    assert_true(hear(stable_up).len > 0);
    say(f, stable_up, response);
}

/* The same, and the connection on which the canary gets the copy. */
static inline int copy_of(struct fixture *f, int client, const char *request)
{
    answer(f, client, request, OK_2);
    assert_hears(client, "HTTP/1.1 200 OK\r\n", "hi");
    int canary = called(f, ROLE_CANARY);
    assert_true(canary >= 0);
    return canary;
}

#endif
