/* Asks the admin API of a running serin: one request at a time, bounded in time and size.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/cli/client.h"
#include "base/check.h"
#include "rollout/cli/options.h"
#include "rollout/cli/text.h"

#include <cjson/cJSON.h>
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Nobody waits longer for an answer from an admin port, which is near and never blocks. */
#define CONNECT_TIMEOUT_MS 3000L
#define ANSWER_TIMEOUT_MS  10000L
/* Bounds the memory that whatever listens at the address can make us take. */
#define ANSWER_MAX_BYTES (4u * 1024u * 1024u)
/* While one process takes over from another none decides. It is a moment, and what was refused has had no effect. */
#define TAKEOVER_ASKS     50u
#define TAKEOVER_PAUSE_MS 100

struct client {
    CURL *curl;
    struct curl_slist *fields;
    char *address; /* as the user named it */
    char *base;    /* URL without its path */
    char error[CURL_ERROR_SIZE];
    client_stop_fn *should_stop;
    void *stop_arg;
    cJSON *refusal; /* the last answer, where it was an error */
    struct {
        char *at;
        size_t len;
        bool is_too_large;
    } answer;
};

static size_t on_answer(char *bytes, size_t one, size_t n, void *arg)
{
    struct client *c = arg;
    (void)one;
    if (n > ANSWER_MAX_BYTES - c->answer.len) {
        c->answer.is_too_large = true;
        return 0;
    }
    char *at = realloc(c->answer.at, c->answer.len + n + 1);
    if (!at)
        return 0;
    memcpy(at + c->answer.len, bytes, n);
    c->answer.at = at;
    c->answer.len += n;
    return n;
}

static int on_progress(void *arg, curl_off_t down, curl_off_t down_now, curl_off_t up,
                       curl_off_t up_now)
{
    struct client *c = arg;
    (void)down, (void)down_now, (void)up, (void)up_now;
    return c->should_stop && c->should_stop(c->stop_arg);
}

void client_set_stop(struct client *c, client_stop_fn *should_stop, void *arg)
{
    c->should_stop = should_stop;
    c->stop_arg = arg;
}

/* NULL when memory is short; else the caller's to free. */
static char *joined(const char *a, const char *b)
{
    char *out = NULL;
    return asprintf(&out, "%s%s", a, b) < 0 ? NULL : out;
}

static enum err set_address(struct client *c, const char *admin, struct why *why)
{
    size_t len = strlen(admin);
    c->address = strdup(admin);
    if (strncmp(admin, "unix:", 5) == 0) {
        if (admin[5] != '/')
            return why_set(why, ERR_INVALID, "admin address %s: expected unix:/path", admin);
        curl_easy_setopt(c->curl, CURLOPT_UNIX_SOCKET_PATH, admin + 5);
        c->base = strdup("http://localhost");
    } else if (strncmp(admin, "http://", 7) == 0 || strncmp(admin, "https://", 8) == 0) {
        c->base = strdup(admin);
    } else if (len == 0 || strstr(admin, "://") || admin[0] == '/') {
        return why_set(why, ERR_INVALID,
                       "admin address \"%s\": expected http://host:port or unix:/path", admin);
    } else {
        c->base = joined("http://", admin);
    }
    if (!c->address || !c->base)
        return why_set(why, ERR_MEMORY, "out of memory");
    for (len = strlen(c->base); len && c->base[len - 1] == '/'; len--)
        c->base[len - 1] = '\0';
    return OK;
}

static enum err set_options(struct client *c, const char *token, struct why *why)
{
    CURL *curl = c->curl;
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, c->error);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_answer);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, c);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, ANSWER_TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* the token is for the admin port alone */
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "serin/" SERIN_VERSION);
    c->fields = curl_slist_append(NULL, "Content-Type: application/json");
    if (token[0]) {
        char *field = joined("Authorization: Bearer ", token);
        struct curl_slist *fields = field ? curl_slist_append(c->fields, field) : NULL;
        free(field);
        if (!fields)
            return why_set(why, ERR_MEMORY, "out of memory");
        c->fields = fields;
    }
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, c->fields);
    return OK;
}

struct client *client_open(const char *admin, const char *token, struct why *why)
{
    struct client *c = calloc(1, sizeof *c);
    if (!c || !(c->curl = curl_easy_init())) {
        (void)why_set(why, ERR_MEMORY, "out of memory");
        free(c);
        return NULL;
    }
    if (set_address(c, admin, why) || set_options(c, token, why)) {
        client_close(c);
        return NULL;
    }
    return c;
}

void client_close(struct client *c)
{
    if (!c)
        return;
    curl_easy_cleanup(c->curl);
    curl_slist_free_all(c->fields);
    free(c->address);
    free(c->base);
    free(c->answer.at);
    cJSON_Delete(c->refusal);
    free(c);
}

/* Of the last answer, where it was an error; else NULL. */
static const cJSON *refusal_field(const struct client *c, const char *name)
{
    const cJSON *error = cJSON_GetObjectItemCaseSensitive(c->refusal, "error");
    return cJSON_GetObjectItemCaseSensitive(error, name);
}

const struct cJSON *client_refusal(const struct client *c)
{
    return refusal_field(c, "errors");
}

static enum err explain_no_answer(const struct client *c, CURLcode code, struct why *why)
{
    long os_error = 0;
    const char *hint = "(another address: --admin URL or SERIN_ADMIN)";
    curl_easy_getinfo(c->curl, CURLINFO_OS_ERRNO, &os_error);
    if (c->answer.is_too_large)
        return why_set(why, ERR_LIMIT, "%s answers with more than %u bytes", c->address,
                       ANSWER_MAX_BYTES);
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return why_set(why, ERR_CLOSED, "interrupted");
    if (code == CURLE_OPERATION_TIMEDOUT)
        return why_set(why, ERR_TIMEOUT, "%s does not answer in time %s", c->address, hint);
    if (code == CURLE_COULDNT_CONNECT && os_error)
        return why_set(why, ERR_IO, "cannot reach serin at %s: %s; is it running there? %s",
                       c->address, strerror((int)os_error), hint);
    return why_set(why, ERR_IO, "cannot reach serin at %s: %s %s", c->address,
                   c->error[0] ? c->error : curl_easy_strerror(code), hint);
}

static enum err err_of_status(long status)
{
    switch (status) {
    case 404:
        return ERR_NOT_FOUND;
    case 409:
        return ERR_CONFLICT;
    case 503: /* one process takes over from another: who waits asks again */
        return ERR_IO;
    default:
        return ERR_INVALID;
    }
}

/* The server's own words, as far as they are serin's. */
static enum err explain_refusal(const struct client *c, long status, struct why *why)
{
    const char *message = cJSON_GetStringValue(refusal_field(c, "message"));
    if (!message)
        return why_set(why, ERR_INVALID,
                       "what listens at %s is not serin's admin port: it answers %ld", c->address,
                       status);
    struct text clean = {0};
    text_add_clean(&clean, message);
    (void)why_set(why, OK, "%s%s", text_str(&clean),
                  status == 401 ? " (SERIN_TOKEN or --token-file FILE)" : "");
    text_fini(&clean);
    return err_of_status(status);
}

static enum err read_answer(struct client *c, cJSON **json, struct why *why)
{
    long status = 0;
    curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
    cJSON *answer = c->answer.len ? cJSON_ParseWithLength(c->answer.at, c->answer.len) : NULL;
    if (status == 200 && (cJSON_IsObject(answer) || cJSON_IsArray(answer))) {
        *json = answer;
        return OK;
    }
    c->refusal = answer;
    return explain_refusal(c, status, why);
}

static bool is_taking_over(const struct client *c)
{
    const char *code = cJSON_GetStringValue(refusal_field(c, "code"));
    return code && strcmp(code, "taking_over") == 0;
}

static void forget_answer(struct client *c)
{
    cJSON_Delete(c->refusal);
    c->refusal = NULL;
    free(c->answer.at);
    c->answer.at = NULL;
    c->answer.len = 0;
    c->answer.is_too_large = false;
    c->error[0] = '\0';
}

static enum err ask_once(struct client *c, struct cJSON **json, struct why *why)
{
    forget_answer(c);
    CURLcode code = curl_easy_perform(c->curl);
    return code == CURLE_OK ? read_answer(c, json, why) : explain_no_answer(c, code, why);
}

enum err client_ask(struct client *c, const char *path, const char *body, struct cJSON **json,
                    struct why *why)
{
    static const struct timespec pause = {0, TAKEOVER_PAUSE_MS * 1000000L};
    char *url;
    *json = NULL;
    if (!(url = joined(c->base, path)))
        return why_set(why, ERR_MEMORY, "out of memory");
    curl_easy_setopt(c->curl, CURLOPT_URL, url);
    if (body)
        curl_easy_setopt(c->curl, CURLOPT_COPYPOSTFIELDS, body);
    else
        curl_easy_setopt(c->curl, CURLOPT_HTTPGET, 1L);
    free(url); /* curl has copied it */
    enum err e = ask_once(c, json, why);
    curl_easy_setopt(c->curl, CURLOPT_FRESH_CONNECT, 1L); /* whoever listens there by then */
    for (unsigned asks = 1; is_taking_over(c) && asks < TAKEOVER_ASKS; asks++) {
        (void)nanosleep(&pause, NULL);
        if (c->should_stop && c->should_stop(c->stop_arg)) {
            e = why_set(why, ERR_CLOSED, "interrupted");
            break;
        }
        e = ask_once(c, json, why);
    }
    curl_easy_setopt(c->curl, CURLOPT_FRESH_CONNECT, 0L);
    return e;
}

void client_route_path(char out[CLIENT_PATH_MAX], const char *route, const char *action)
{
    static const char hex[] = "0123456789ABCDEF";
    static const char prefix[] = "/api/v1/routes/";
    char *to = out + strlen(prefix);
    CHECK(strlen(route) <= OPTIONS_ROUTE_MAX);
    memcpy(out, prefix, sizeof prefix);
    for (const unsigned char *s = (const unsigned char *)route; *s; s++) {
        bool is_unreserved = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') ||
                             (*s >= '0' && *s <= '9') || strchr("-._~", *s);
        if (is_unreserved) { /* RFC 3986, section 2.3 */
            *to++ = (char)*s;
        } else {
            *to++ = '%';
            *to++ = hex[*s >> 4];
            *to++ = hex[*s & 15];
        }
    }
    *to = '\0';
    if (action)
        (void)snprintf(to, (size_t)(out + CLIENT_PATH_MAX - to), "/%s", action);
}

enum err client_status(struct client *c, const char *route, struct cJSON **json, struct why *why)
{
    char path[CLIENT_PATH_MAX];
    if (!route)
        return client_ask(c, "/api/v1/routes", NULL, json, why);
    client_route_path(path, route, NULL);
    return client_ask(c, path, NULL, json, why);
}
