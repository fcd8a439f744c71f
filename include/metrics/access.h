/* The access log's lines: one finished request as text that no outside byte can break or forge.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_METRICS_ACCESS_H
#define SERIN_METRICS_ACCESS_H

#include "base/slice.h"

/* Most bytes of a field as it is written, escapes included; a longer one is cut and ends with "...". They guard the log
 * against clients that would fill it: a head has up to 64 KiB, and an escape makes six bytes of one. */
#define ACCESS_REQUEST_MAX    2048u
#define ACCESS_REFERER_MAX    640u
#define ACCESS_AGENT_MAX      512u
#define ACCESS_CLIENT_MAX     64u
#define ACCESS_NAME_MAX       72u /* a route, a version */
#define ACCESS_UPSTREAM_MAX   128u
#define ACCESS_REQUEST_ID_MAX 128u

/* Longest line with its line feed. Also the largest write that a pipe takes as one piece (PIPE_BUF), so that lines of
 * several processes never mix. */
#define ACCESS_LINE_MAX 4096u

#define ACCESS_NO_TIME (-1) /* nothing was asked that would have taken time */

/* What is known of one request. Borrowed; an empty slice and NULL mean that there is none. */
struct access_line {
    int64_t wall_ms; /* of its end, since 1970 UTC */
    struct slice client;
    struct slice request; /* method and target as received; empty: it never became a request */
    unsigned minor;       /* HTTP/1.minor, behind request */
    unsigned status;      /* what the client saw; 499: it left before it saw one */
    uint64_t bytes;       /* of the response's body, handed to the client's connection */
    struct slice referer, user_agent;
    const char *route;
    const char *version, *role; /* of the last attempt */
    const char *assigned;       /* why it went to its version */
    const char *upstream;       /* address that was asked last */
    int64_t upstream_us; /* from the last attempt's beginning to the end; or ACCESS_NO_TIME */
    int64_t total_us;    /* from the head to the end; or ACCESS_NO_TIME */
    unsigned retries;
    struct slice request_id;
    const char *why; /* what was wrong, one word; NULL = nothing */
};

/* The combined format of Apache and nginx, then key=value pairs:
 *   client - - [01/Mar/2026:12:00:00 +0000] "GET / HTTP/1.1" 200 5 "referer" "agent" route=… version=… role=… assigned=…
 *   upstream=… upstream_ms=… total_ms=… retries=… request_id=… why=…
 * What is missing is "-". Returns the length, with the line feed. Never fails. Pure. O(length). */
size_t access_combined(const struct access_line *line, char out[ACCESS_LINE_MAX]);

/* {"time":"2026-03-01T12:00:00.123Z","client":…} likewise, always valid JSON; what is missing is left out. */
size_t access_json(const struct access_line *line, char out[ACCESS_LINE_MAX]);

#endif
