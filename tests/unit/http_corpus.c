/* The cases of fixtures/http1 judged by the pure core alone: what it accepts, refuses and writes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "http_cases.h"
#include "proxy/http/rewrite.h"

/* Compressed cases need zlib, and those marked "wire" more than a head and a body; they are left to
 * the runners, which send all of them through a proxy. Limits have rows of their own in http_parse.c. */
struct corpus {
    const char *path;
    bool is_response;
    int cases, left_out;
};

/* What the core made of the bytes of one case. */
struct outcome {
    const char *name; /* as in expect */
    int forwarded;    /* whole messages that would have gone on */
    char *written;    /* the first final head that was written */
    size_t written_len;
    char *body; /* of that message */
    size_t body_len;
    const char *fault;
};

static struct head h;

static void keep_written(struct outcome *o, const char *out, ssize_t n, struct slice body)
{
    assert_true(n > 0);
    if (o->written)
        return;
    o->written = copy_of(slice_of(out, (size_t)n), (size_t)n);
    o->written_len = (size_t)n;
    o->body = copy_of(body, body.len);
    o->body_len = body.len;
}

/* Judges one request at buf. Returns its length, or 0 when the outcome is not "forward". */
static size_t judge_request(struct outcome *o, char *buf, size_t len)
{
    static char out[65536];
    struct body b;
    struct slice body;
    o->name = "reject";
    head_init(&h, false);
    ssize_t head = head_feed(&h, buf, len, &usual_limits);
    o->fault = h.fault;
    if (head <= 0) {
        o->name = head == 0 ? "wait" : "reject";
        return 0;
    }
    int status = body_plan_request(&b, &h);
    o->fault = b.fault;
    if (status < 0)
        return 0;
    struct rewrite_request r = {.head = &h, .buf = buf, .body = &b, .client = SLICE("127.0.0.1")};
    ssize_t n = rewrite_request(&r, out, sizeof out);
    ssize_t used = body_feed(&b, buf + head, len - (size_t)head, &body);
    o->fault = b.fault;
    if (used < 0)
        return 0;
    if (!b.done) {
        o->name = "wait";
        return 0;
    }
    o->name = "forward";
    o->forwarded++;
    keep_written(o, out, n, body);
    return (size_t)(head + used);
}

static struct outcome judge_requests(char *buf, size_t len)
{
    struct outcome o = {.name = "wait"};
    const char *first = NULL;
    for (size_t at = 0; at < len;) {
        size_t n = judge_request(&o, buf + at, len - at);
        first = first ? first : o.name;
        at += n;
        if (n == 0 || !h.keep_alive)
            break;
    }
    o.name = first ? first : o.name;
    return o;
}

/* Judges the scripted bytes as the answer to one request. closes: the backend ends its side behind
 * them. */
static struct outcome judge_response(char *buf, size_t len, bool to_head, uint8_t minor,
                                     bool closes)
{
    static char out[65536];
    struct outcome o = {.name = "502"};
    struct body b;
    struct slice body;
    size_t at = 0;
    do {
        head_init(&h, true);
        ssize_t head = head_feed(&h, buf + at, len - at, &usual_limits);
        o.fault = h.fault;
        if (head <= 0 || body_plan_response(&b, &h, to_head) < 0 || h.status == 101)
            return o;
        at += (size_t)head;
    } while (h.status < 200);
    struct rewrite_response r = {
        .head = &h, .buf = buf, .body = &b, .client_minor = minor, .keep_alive = true};
    r.buf = buf + at - h.parsed;
    ssize_t n = rewrite_response(&r, out, sizeof out);
    ssize_t used = body_feed(&b, buf + at, len - at, &body);
    o.fault = b.fault;
    o.name =
        used < 0 || !(b.done || (b.kind == BODY_UNTIL_CLOSE && closes)) ? "truncated" : "forward";
    o.forwarded = used >= 0;
    keep_written(&o, out, n, body);
    return o;
}

static bool contains(const cJSON *list, const char *text)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, list) if (strcmp(item->valuestring, text) == 0) return true;
    return false;
}

static const char *text_of(const cJSON *c, const char *key)
{
    const cJSON *item = cJSON_GetObjectItem(c, key);
    return item ? item->valuestring : NULL;
}

static bool find_written(const struct outcome *o, const char *name, struct slice *value,
                         bool is_response)
{
    static struct head again;
    head_init(&again, is_response);
    assert_int_equal(head_feed(&again, o->written, o->written_len, &usual_limits), o->written_len);
    return head_find_name(&again, o->written, slice_str(name), value);
}

/* Text of the corpus is UTF-8 for what is Latin-1 on the wire. */
static bool is_latin1(struct slice got, const char *wanted)
{
    size_t i = 0;
    for (; *wanted; wanted++, i++) {
        unsigned char c = (unsigned char)*wanted;
        if (c >= 0x80)
            c = (unsigned char)(c << 6 | ((unsigned char)*++wanted & 0x3f));
        if (i >= got.len || (unsigned char)got.at[i] != c)
            return false;
    }
    return i == got.len;
}

/* What must be, and must not be, in the head and body that go on. NULL, or what is wrong. */
static const char *check_written(const struct outcome *o, const cJSON *checks, bool is_response)
{
    const cJSON *item;
    struct slice value;
    cJSON_ArrayForEach(item, cJSON_GetObjectItem(checks, "absent"))
    {
        char name[64];
        (void)snprintf(name, sizeof name, "%s", item->valuestring);
        name[strcspn(name, "!")] = 0;
        if (strcmp(name, "Content-Length") != 0 && find_written(o, name, &value, is_response))
            return item->valuestring;
    }
    cJSON_ArrayForEach(item, cJSON_GetObjectItem(checks, "present"))
    {
        if (!find_written(o, item->string, &value, is_response) ||
            !is_latin1(value, item->valuestring))
            return item->string;
    }
    const cJSON *hosts = cJSON_GetObjectItem(checks, "host_any");
    if (hosts && (!find_written(o, "Host", &value, false) ||
                  !slice_equal(value, slice_str(cJSON_GetArrayItem(hosts, 0)->valuestring))))
        return "Host";
    const char *target = text_of(checks, "target");
    if (target && !memmem(o->written, o->written_len, target, strlen(target)))
        return "target";
    const char *body = text_of(checks, "body");
    char *bytes = NULL;
    size_t len = 0;
    if (!body || cJSON_HasObjectItem(checks, "body_any") || !add_bytes(body, &bytes, &len))
        return NULL;
    bool same = len == o->body_len && memcmp(bytes, o->body, len) == 0;
    free(bytes);
    return same ? NULL : "body";
}

static struct outcome judge(const cJSON *c, char *bytes, size_t len, bool is_response)
{
    if (!is_response)
        return judge_requests(bytes, len);
    const cJSON *req = cJSON_GetObjectItem(c, "req");
    const char *method = text_of(req, "method"), *version = text_of(req, "version");
    return judge_response(bytes, len, method && strcmp(method, "HEAD") == 0,
                          version && strcmp(version, "1.0") == 0 ? 0 : 1,
                          strcmp(text_of(c, "end"), "keep") != 0);
}

/* False, with a line on stderr, where the core decides differently from the case. */
static bool agrees(const cJSON *c, const struct outcome *o, bool is_response)
{
    const char *prefer = text_of(c, "prefer"), *wrong = NULL;
    const cJSON *nreq = cJSON_GetObjectItem(c, "nreq");
    int wanted = nreq ? nreq->valueint : 1;
    if (!contains(cJSON_GetObjectItem(c, "expect"), o->name) ||
        (prefer && strcmp(prefer, o->name) != 0))
        wrong = "outcome";
    else if (strcmp(o->name, "forward") == 0)
        wrong =
            o->forwarded != wanted
                ? "number of messages"
                : check_written(o, is_response ? c : cJSON_GetObjectItem(c, "fwd"), is_response);
    if (wrong)
        fprintf(stderr, "%s: %s (%s, prefers %s): %s; %s\n", text_of(c, "id"), o->name,
                text_of(c, "title"), prefer ? prefer : "any", wrong,
                o->fault ? o->fault : "no fault");
    return !wrong;
}

static void judge_corpus(void **state)
{
    const struct corpus *corpus = *state;
    size_t size = 0;
    char *text = read_file(corpus->path, &size);
    struct slice line, rest = slice_of(text, size);
    int judged = 0, left_out = 0, wrong = 0;
    while (rest.len) {
        (void)slice_cut(rest, '\n', &line, &rest);
        cJSON *c = cJSON_ParseWithLength(line.at, line.len);
        assert_non_null(c);
        char *bytes = NULL;
        size_t len = 0;
        if (bytes_of(c, &bytes, &len)) {
            bytes = realloc(bytes, len ? len : 1);
            assert_non_null(bytes);
            struct outcome o = judge(c, bytes, len, corpus->is_response);
            wrong += !agrees(c, &o, corpus->is_response);
            judged++;
            free(o.written);
            free(o.body);
        } else {
            left_out++;
        }
        free(bytes);
        cJSON_Delete(c);
    }
    free(text);
    assert_int_equal(wrong, 0);
    assert_int_equal(left_out, corpus->left_out);
    assert_int_equal(judged + left_out, corpus->cases);
}

int main(void)
{
    static struct corpus requests = {CORPUS "h1-requests/cases.jsonl", false, 296, 7},
                         responses = {CORPUS "h1-responses/cases.jsonl", true, 98, 3},
                         hostile_requests = {CORPUS "h1-requests/hostile.jsonl", false, 104, 1},
                         hostile_responses = {CORPUS "h1-responses/hostile.jsonl", true, 63, 5};
    const struct CMUnitTest tests[] = {
        {"requests", judge_corpus, NULL, NULL, &requests},
        {"responses", judge_corpus, NULL, NULL, &responses},
        {"hostile requests", judge_corpus, NULL, NULL, &hostile_requests},
        {"hostile responses", judge_corpus, NULL, NULL, &hostile_responses},
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
