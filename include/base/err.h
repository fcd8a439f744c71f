/* How functions fail: a small negative code for the program, a sentence for the person.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_BASE_ERR_H
#define SERIN_BASE_ERR_H

#include <stdarg.h>
#include <stdio.h>

#define MUST_USE          __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))

enum err {
    OK = 0,
    ERR_MEMORY = -1,      /* out of memory, or an arena's ceiling */
    ERR_INVALID = -2,     /* outside input that breaks its grammar or range */
    ERR_LIMIT = -3,       /* a bound on size or count was reached */
    ERR_IO = -4,          /* a system call failed; errno said why at the time */
    ERR_NOT_FOUND = -5,   /* no such route, version, key or file */
    ERR_CONFLICT = -6,    /* not possible in the present state */
    ERR_UNSUPPORTED = -7, /* known, but not built yet */
    ERR_CLOSED = -8,      /* the peer closed */
    ERR_TIMEOUT = -9,     /* a deadline passed */
    ERR_DENIED = -10,     /* not permitted, or not known who asks */
};

/* Names an error for a log line. Never NULL. Pure. */
static inline const char *err_text(enum err e)
{
    switch (e) {
    case OK:
        return "ok";
    case ERR_MEMORY:
        return "out of memory";
    case ERR_INVALID:
        return "invalid";
    case ERR_LIMIT:
        return "limit reached";
    case ERR_IO:
        return "input/output error";
    case ERR_NOT_FOUND:
        return "not found";
    case ERR_CONFLICT:
        return "conflict";
    case ERR_UNSUPPORTED:
        return "not supported yet";
    case ERR_CLOSED:
        return "closed by peer";
    case ERR_TIMEOUT:
        return "timed out";
    case ERR_DENIED:
        return "denied";
    }
    return "unknown error";
}

#define WHY_MAX 512

/* The reason of a failure in words: object, value, expectation. The caller owns it; a callee fills it. */
struct why {
    char text[WHY_MAX];
};

/* Writes the reason (cut at WHY_MAX) and hands e back, so that a failure is one line. why may be NULL. */
static inline enum err why_set(struct why *why, enum err e, const char *fmt, ...) PRINTF_LIKE(3, 4);
static inline enum err why_set(struct why *why, enum err e, const char *fmt, ...)
{
    if (why) {
        va_list ap;
        va_start(ap, fmt);
        (void)vsnprintf(why->text, sizeof why->text, fmt, ap);
        va_end(ap);
    }
    return e;
}

#endif
