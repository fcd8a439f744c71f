/* The access log's lines.
 * SPDX-License-Identifier: Apache-2.0 */
#include "metrics/access.h"
#include "base/decimal.h"
#include "metrics/escape.h"
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define CUT "..."
#define CONSTANT_MAX                                                                               \
    420u /* names, brackets, the time, numbers but those of 64 bits, words that are constants here */
_Static_assert(ACCESS_REQUEST_MAX + ACCESS_REFERER_MAX + ACCESS_AGENT_MAX + ACCESS_CLIENT_MAX +
                       2 * ACCESS_NAME_MAX + ACCESS_UPSTREAM_MAX + ACCESS_REQUEST_ID_MAX +
                       CONSTANT_MAX <=
                   ACCESS_LINE_MAX,
               "the longest line fits");

/* Longest word of role, assigned and why. */
#define WORD_MAX 24u

typedef size_t escape_fn(struct slice s, char out[ESCAPE_BYTES_MAX], size_t *used);

/* No bound is looked at but those of the fields: their sum is above. */
struct out {
    char *at;
    escape_fn *escape;
};

static void put(struct out *o, const char *bytes, size_t n)
{
    memcpy(o->at, bytes, n);
    o->at += n;
}

#define PUT(o, lit) put(o, "" lit, sizeof(lit) - 1)

/* Bytes that stand in both forms as they are. */
static inline bool is_plain(char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

#ifdef __SSE2__
/* How many of the 16 bytes are plain before the first that is not. As signed numbers 8-bit bytes are below 0x20. */
static inline size_t plain_bytes16(const char *at)
{
    __m128i bytes;
    memcpy(&bytes, at, sizeof bytes);
    __m128i odd = _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')),
                               _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')));
    odd = _mm_or_si128(odd, _mm_cmplt_epi8(bytes, _mm_set1_epi8(0x20)));
    odd = _mm_or_si128(odd, _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f)));
    return (size_t)__builtin_ctz((unsigned)_mm_movemask_epi8(odd) | 0x10000);
}
#endif

static size_t plain_bytes(struct slice s, size_t most)
{
    size_t n = 0;
    if (s.len < most)
        most = s.len;
#ifdef __SSE2__
    for (size_t more = 16; more == 16 && most - n >= 16; n += more)
        more = plain_bytes16(s.at + n);
#endif
    while (n < most && is_plain(s.at[n]))
        n++;
    return n;
}

static void put_escaped(struct out *o, struct slice s, size_t most)
{
    const char *end = o->at + most - (sizeof CUT - 1);
    char text[ESCAPE_BYTES_MAX];
    for (;;) {
        size_t used = plain_bytes(s, (size_t)(end - o->at));
        if (used)
            put(o, s.at, used);
        s.at += used, s.len -= used;
        if (s.len == 0)
            return;
        size_t len = o->escape(s, text, &used);
        if (len > (size_t)(end - o->at)) {
            PUT(o, CUT);
            return;
        }
        put(o, text, len);
        s.at += used, s.len -= used;
    }
}

static void put_number(struct out *o, uint64_t n)
{
    char digits[DECIMAL_CHARS], *end = digits + sizeof digits, *at = decimal_write(end, n);
    put(o, at, (size_t)(end - at));
}

/* The last width digits, with zeros in front. */
static void put_padded(struct out *o, uint32_t n, unsigned width)
{
    for (unsigned i = width; i-- > 0; n /= 10)
        o->at[i] = (char)('0' + n % 10);
    o->at += width;
}

/* Milliseconds with three decimals. */
static void put_ms(struct out *o, int64_t us)
{
    put_number(o, (uint64_t)us / 1000);
    PUT(o, ".");
    put_padded(o, (uint32_t)((uint64_t)us % 1000), 3);
}

struct moment {
    uint32_t year, month, day, hour, minute, second, ms;
};

/* UTC. gmtime_r takes a lock that all threads share. The days since 1970 become a date as Hinnant's civil_from_days has it:
 * in a year that begins with March the leap day comes last. */
static struct moment moment_of(int64_t wall_ms)
{
    uint64_t ms = wall_ms > 0 ? (uint64_t)wall_ms : 0, s = ms / 1000;
    uint64_t days = s / 86400 + 719468; /* since 0000-03-01 */
    uint32_t of_day = (uint32_t)(s % 86400);
    uint64_t era = days / 146097;
    uint32_t day_of_era = (uint32_t)(days % 146097);
    uint32_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint32_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint32_t from_march = (5 * day_of_year + 2) / 153;
    uint32_t month = from_march < 10 ? from_march + 3 : from_march - 9;
    return (struct moment){.year = (uint32_t)(era * 400) + year_of_era + (month <= 2),
                           .month = month,
                           .day = day_of_year - (153 * from_march + 2) / 5 + 1,
                           .hour = of_day / 3600,
                           .minute = of_day / 60 % 60,
                           .second = of_day % 60,
                           .ms = (uint32_t)(ms % 1000)};
}

static void put_clock(struct out *o, const struct moment *m)
{
    put_padded(o, m->hour, 2);
    PUT(o, ":");
    put_padded(o, m->minute, 2);
    PUT(o, ":");
    put_padded(o, m->second, 2);
}

/* ---- combined ---- */

static void put_combined_time(struct out *o, int64_t wall_ms)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct moment m = moment_of(wall_ms);
    put_padded(o, m.day, 2);
    PUT(o, "/");
    put(o, months + 3 * (m.month - 1), 3);
    PUT(o, "/");
    put_padded(o, m.year, 4);
    PUT(o, ":");
    put_clock(o, &m);
    PUT(o, " +0000");
}

static void put_or_dash(struct out *o, struct slice s, size_t most)
{
    if (s.len)
        put_escaped(o, s, most);
    else
        PUT(o, "-");
}

static void put_text_or_dash(struct out *o, const char *text, size_t most)
{
    put_or_dash(o, text ? slice_str(text) : slice_of(NULL, 0), most);
}

static void put_ms_or_dash(struct out *o, int64_t us)
{
    if (us == ACCESS_NO_TIME)
        PUT(o, "-");
    else
        put_ms(o, us);
}

static void put_http(struct out *o, unsigned minor)
{
    if (minor == 0)
        PUT(o, " HTTP/1.0");
    else
        PUT(o, " HTTP/1.1");
}

static void put_pairs(struct out *o, const struct access_line *line)
{
    PUT(o, " route=");
    put_text_or_dash(o, line->route, ACCESS_NAME_MAX);
    PUT(o, " version=");
    put_text_or_dash(o, line->version, ACCESS_NAME_MAX);
    PUT(o, " role=");
    put_text_or_dash(o, line->role, WORD_MAX);
    PUT(o, " assigned=");
    put_text_or_dash(o, line->assigned, WORD_MAX);
    PUT(o, " upstream=");
    put_text_or_dash(o, line->upstream, ACCESS_UPSTREAM_MAX);
    PUT(o, " upstream_ms=");
    put_ms_or_dash(o, line->upstream_us);
    PUT(o, " total_ms=");
    put_ms_or_dash(o, line->total_us);
    PUT(o, " retries=");
    put_number(o, line->retries);
    PUT(o, " request_id=");
    put_or_dash(o, line->request_id, ACCESS_REQUEST_ID_MAX);
    PUT(o, " why=");
    put_text_or_dash(o, line->why, WORD_MAX);
}

size_t access_combined(const struct access_line *line, char out[ACCESS_LINE_MAX])
{
    struct out o = {out, escape_combined};
    put_or_dash(&o, line->client, ACCESS_CLIENT_MAX);
    PUT(&o, " - - [");
    put_combined_time(&o, line->wall_ms);
    PUT(&o, "] \"");
    put_or_dash(&o, line->request, ACCESS_REQUEST_MAX);
    if (line->request.len)
        put_http(&o, line->minor);
    PUT(&o, "\" ");
    put_number(&o, line->status);
    PUT(&o, " ");
    put_number(&o, line->bytes);
    PUT(&o, " \"");
    put_or_dash(&o, line->referer, ACCESS_REFERER_MAX);
    PUT(&o, "\" \"");
    put_or_dash(&o, line->user_agent, ACCESS_AGENT_MAX);
    PUT(&o, "\"");
    put_pairs(&o, line);
    PUT(&o, "\n");
    return (size_t)(o.at - out);
}

/* ---- JSON ---- */

static void put_json_time(struct out *o, int64_t wall_ms)
{
    struct moment m = moment_of(wall_ms);
    put_padded(o, m.year, 4);
    PUT(o, "-");
    put_padded(o, m.month, 2);
    PUT(o, "-");
    put_padded(o, m.day, 2);
    PUT(o, "T");
    put_clock(o, &m);
    PUT(o, ".");
    put_padded(o, m.ms, 3);
    PUT(o, "Z");
}

/* name: with quotes, colon and the comma before it. */
static void put_member(struct out *o, struct slice name, struct slice value, size_t most)
{
    if (value.len == 0)
        return;
    put(o, name.at, name.len);
    PUT(o, "\"");
    put_escaped(o, value, most);
    PUT(o, "\"");
}

static void put_member_text(struct out *o, struct slice name, const char *value, size_t most)
{
    if (value)
        put_member(o, name, slice_str(value), most);
}

static void put_member_ms(struct out *o, struct slice name, int64_t us)
{
    if (us == ACCESS_NO_TIME)
        return;
    put(o, name.at, name.len);
    put_ms(o, us);
}

static void put_json_request(struct out *o, const struct access_line *line)
{
    if (line->request.len == 0)
        return;
    PUT(o, ",\"request\":\"");
    put_escaped(o, line->request, ACCESS_REQUEST_MAX);
    put_http(o, line->minor);
    PUT(o, "\"");
}

size_t access_json(const struct access_line *line, char out[ACCESS_LINE_MAX])
{
    struct out o = {out, escape_json};
    PUT(&o, "{\"time\":\"");
    put_json_time(&o, line->wall_ms);
    PUT(&o, "\"");
    put_member(&o, SLICE(",\"client\":"), line->client, ACCESS_CLIENT_MAX);
    put_json_request(&o, line);
    PUT(&o, ",\"status\":");
    put_number(&o, line->status);
    PUT(&o, ",\"bytes\":");
    put_number(&o, line->bytes);
    put_member(&o, SLICE(",\"referer\":"), line->referer, ACCESS_REFERER_MAX);
    put_member(&o, SLICE(",\"user_agent\":"), line->user_agent, ACCESS_AGENT_MAX);
    put_member_text(&o, SLICE(",\"route\":"), line->route, ACCESS_NAME_MAX);
    put_member_text(&o, SLICE(",\"version\":"), line->version, ACCESS_NAME_MAX);
    put_member_text(&o, SLICE(",\"role\":"), line->role, WORD_MAX);
    put_member_text(&o, SLICE(",\"assigned\":"), line->assigned, WORD_MAX);
    put_member_text(&o, SLICE(",\"upstream\":"), line->upstream, ACCESS_UPSTREAM_MAX);
    put_member_ms(&o, SLICE(",\"upstream_ms\":"), line->upstream_us);
    put_member_ms(&o, SLICE(",\"total_ms\":"), line->total_us);
    PUT(&o, ",\"retries\":");
    put_number(&o, line->retries);
    put_member(&o, SLICE(",\"request_id\":"), line->request_id, ACCESS_REQUEST_ID_MAX);
    put_member_text(&o, SLICE(",\"why\":"), line->why, WORD_MAX);
    PUT(&o, "}\n");
    return (size_t)(o.at - out);
}
