/* What a plan asks of others: checks by a metrics store or a webhook, gates before a move, times at which it may widen.
 * Strings and arrays are borrowed from whoever built it.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_DECIDE_OUTSIDE_H
#define SERIN_ROLLOUT_DECIDE_OUTSIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OUTSIDE_CHECKS_MAX  16
#define OUTSIDE_GATES_MAX   16
#define OUTSIDE_WINDOWS_MAX 16

enum outside_kind { OUTSIDE_PROMETHEUS, OUTSIDE_WEBHOOK };

/* One of `more_checks`. */
struct outside_check {
    enum outside_kind kind;
    const char *name, *url;
    const char
        *query; /* prometheus: PromQL with one value; $route, $stable and $canary are replaced */
    const char *min, *max; /* prometheus: bounds of a good value as written; NULL = none */
    int64_t interval_ms;
    uint32_t failures; /* FAILs in a row that abort */
    bool dry_run;      /* shown, never decides */
};

enum outside_moment {
    GATE_BEFORE_START,
    GATE_BEFORE_STEP,
    GATE_BEFORE_PROMOTE,
    GATE_AFTER_END, /* told, not asked */
    GATE_EVENT,     /* told of every move */
};

/* One of `gates`. */
struct outside_gate {
    enum outside_moment on;
    const char *url;
    int64_t timeout_ms;
};

/* One of `windows`: on these days from the first minute up to the last, which is not in it. to <= from: over midnight,
 * into the next day. */
struct outside_window {
    uint32_t days;         /* bit 0 = Monday ... bit 6 = Sunday */
    const char *from, *to; /* "HH:MM"; to may be "24:00" */
    const char *tz;        /* name in the time zone database, such as Europe/Paris */
};

struct outside {
    struct outside_check *checks;
    size_t n_checks;
    struct outside_gate *gates;
    size_t n_gates;
    struct outside_window *windows;
    size_t n_windows;
};

#endif
