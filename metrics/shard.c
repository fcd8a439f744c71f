/* Status codes and their cells; the texts of the label values.
 * SPDX-License-Identifier: Apache-2.0 */
#include "metrics/shard.h"
#include "base/check.h"

// clang-format off
/* The IANA registry of HTTP status codes, rising: ONE(code) has a cell of its own, REST(class) is where
 * the others of the class go. What the registry calls unused or temporary counts with the others. */
#define STATUS_CODES(ONE, REST) \
    ONE(100) ONE(101) ONE(102) ONE(103) REST(1) \
    ONE(200) ONE(201) ONE(202) ONE(203) ONE(204) ONE(205) ONE(206) ONE(207) ONE(208) ONE(226) REST(2) \
    ONE(300) ONE(301) ONE(302) ONE(303) ONE(304) ONE(305) ONE(307) ONE(308) REST(3) \
    ONE(400) ONE(401) ONE(402) ONE(403) ONE(404) ONE(405) ONE(406) ONE(407) ONE(408) ONE(409) \
    ONE(410) ONE(411) ONE(412) ONE(413) ONE(414) ONE(415) ONE(416) ONE(417) ONE(421) ONE(422) \
    ONE(423) ONE(424) ONE(425) ONE(426) ONE(428) ONE(429) ONE(431) ONE(451) REST(4) \
    ONE(500) ONE(501) ONE(502) ONE(503) ONE(504) ONE(505) ONE(506) ONE(507) ONE(508) ONE(510) \
    ONE(511) REST(5)

#define ONE_CELL(code)   CELL_##code,
#define REST_CELL(class) CELL_##class##XX,
enum code_cell { STATUS_CODES(ONE_CELL, REST_CELL) CELLS_USED };
_Static_assert(CELLS_USED <= CODE_CELLS, "more codes than cells");

#define ONE_ROW(code) [code] = CELL_##code,
#define NO_ROW(class)
const uint8_t code_cell_table[600] = {
    STATUS_CODES(ONE_ROW, NO_ROW)
    [0 ... 99] = CELL_5XX, /* no status at all: the version's failure */
    [104 ... 199] = CELL_1XX,
    [209 ... 225] = CELL_2XX, [227 ... 299] = CELL_2XX,
    [306] = CELL_3XX, [309 ... 399] = CELL_3XX,
    [418 ... 420] = CELL_4XX, [427] = CELL_4XX, [430] = CELL_4XX, [432 ... 450] = CELL_4XX,
    [452 ... 499] = CELL_4XX,
    [509] = CELL_5XX, [512 ... 599] = CELL_5XX,
};

#define ONE_TEXT(code)   [CELL_##code] = #code,
#define REST_TEXT(class) [CELL_##class##XX] = #class "xx",
static const char *const cell_texts[CODE_CELLS] = {STATUS_CODES(ONE_TEXT, REST_TEXT)};
// clang-format on

const char *code_cell_text(unsigned cell)
{
    return cell < CODE_CELLS ? cell_texts[cell] : NULL;
}

const char *metric_role_text(enum metric_role role)
{
    static const char *const texts[ROLE_COUNT] = {"stable", "canary"};
    CHECK((unsigned)role < ROLE_COUNT);
    return texts[role];
}

const char *metric_assigned_text(enum metric_assigned assigned)
{
    static const char *const texts[ASSIGNED_COUNT] = {"weight", "sticky", "header", "cookie"};
    CHECK((unsigned)assigned < ASSIGNED_COUNT);
    return texts[assigned];
}

const char *metric_reason_text(enum metric_reason reason)
{
    static const char *const texts[REASON_COUNT] = {"connect",   "timeout", "reset",
                                                    "malformed", "refused", "5xx"};
    CHECK((unsigned)reason < REASON_COUNT);
    return texts[reason];
}

const char *metric_client_error_text(enum metric_client_error error)
{
    static const char *const texts[CLIENT_ERROR_COUNT] = {
        "bad_request",  "timeout",   "aborted",       "no_route",    "limit",    "slow",
        "proxy_header", "untrusted", "tls_handshake", "tls_timeout", "tls_flood"};
    CHECK((unsigned)error < CLIENT_ERROR_COUNT);
    return texts[error];
}

const char *metric_retry_result_text(enum metric_retry_result result)
{
    static const char *const texts[RETRY_RESULT_COUNT] = {"ok", "failed"};
    CHECK((unsigned)result < RETRY_RESULT_COUNT);
    return texts[result];
}

const char *metric_mirrored_text(enum metric_mirrored result)
{
    static const char *const texts[MIRRORED_COUNT] = {"ok",      "4xx",   "5xx",      "connect",
                                                      "timeout", "reset", "malformed"};
    CHECK((unsigned)result < MIRRORED_COUNT);
    return texts[result];
}

const char *metric_mirror_skip_text(enum metric_mirror_skip reason)
{
    static const char *const texts[MIRROR_SKIP_COUNT] = {
        "body", "unanswered", "limit", "connections", "endpoint", "breaker", "draining"};
    CHECK((unsigned)reason < MIRROR_SKIP_COUNT);
    return texts[reason];
}

const char *metric_handshake_text(enum metric_handshake result)
{
    static const char *const texts[HANDSHAKE_COUNT] = {"full", "resumed", "failed"};
    CHECK((unsigned)result < HANDSHAKE_COUNT);
    return texts[result];
}

const char *metric_direction_text(enum metric_direction direction)
{
    static const char *const texts[DIRECTION_COUNT] = {"request", "response"};
    CHECK((unsigned)direction < DIRECTION_COUNT);
    return texts[direction];
}
