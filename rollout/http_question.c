/* What libcurl is told of one call: the manner of all of them, the question, whom it trusts.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "rollout/http_call.h"

#include <limits.h>
#include <string.h>
#include <sys/socket.h>

/* Guards the stack: a host's name and its port. */
#define CONNECT_TO_MAX 512

/* libcurl leaves its sockets open across exec. */
static curl_socket_t on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)arg, (void)purpose;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* HTTP/1.1: one call, one connection, so that no call shares the fate of another. */
static const struct {
    CURLoption option;
    long value;
} manner[] = {
    {CURLOPT_NOSIGNAL, 1},
    {CURLOPT_CONNECTTIMEOUT_MS, INT_MAX}, /* the call's own deadline is the only one */
    {CURLOPT_QUICK_EXIT, 1},
    {CURLOPT_FOLLOWLOCATION, 0}, /* a body goes where the operator said, nowhere else */
    {CURLOPT_SSL_VERIFYPEER, 1},
    {CURLOPT_SSL_VERIFYHOST, 2},
    {CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1},
};

static bool set_manner(struct http_call *c, bool is_once)
{
    CURL *e = c->easy;
    for (size_t i = 0; i < ARRAY_LEN(manner); i++)
        if (curl_easy_setopt(e, manner[i].option, manner[i].value) != CURLE_OK)
            return false;
    long once = is_once;
    return curl_easy_setopt(e, CURLOPT_FRESH_CONNECT, once) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_FORBID_REUSE, once) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_PRIVATE, c) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, on_open_socket) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_PROXY, "") == CURLE_OK && /* none from the environment */
           curl_easy_setopt(e, CURLOPT_USERAGENT, "serin/" SERIN_VERSION) == CURLE_OK;
}

static bool add_field(struct http_call *c, const char *field)
{
    struct curl_slist *longer = curl_slist_append(c->fields, field);
    if (longer)
        c->fields = longer;
    return longer != NULL;
}

/* No Expect: libcurl would wait a second for a "100 Continue" before a large body. */
static bool set_fields(struct http_call *c, const struct http_ask *ask)
{
    char type[128];
    (void)snprintf(type, sizeof type, "Content-Type: %s",
                   ask->type ? ask->type : "application/json");
    if (ask->body && !(add_field(c, type) && add_field(c, "Expect:")))
        return false;
    for (size_t i = 0; ask->fields && ask->fields[i]; i++)
        if (!add_field(c, ask->fields[i]))
            return false;
    return curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, c->fields) == CURLE_OK;
}

static bool set_body(struct http_call *c, const struct http_ask *ask)
{
    CURL *e = c->easy;
    if (ask->body) {
        curl_off_t len = (curl_off_t)strlen(ask->body);
        if (curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, len) != CURLE_OK ||
            curl_easy_setopt(e, CURLOPT_COPYPOSTFIELDS, ask->body) != CURLE_OK)
            return false;
    }
    return !ask->method || curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, ask->method) == CURLE_OK;
}

static bool set_text(CURL *e, CURLoption option, const char *text)
{
    return !text || curl_easy_setopt(e, option, text) == CURLE_OK;
}

static bool set_blob(CURL *e, CURLoption option, const char *text)
{
    if (!text)
        return true;
    struct curl_blob blob = {(void *)text, strlen(text), CURL_BLOB_COPY};
    return curl_easy_setopt(e, option, &blob) == CURLE_OK;
}

/* With issuers of its own a call trusts no others: libcurl's directory of them goes. */
static bool set_trust(CURL *e, const struct http_tls *tls)
{
    if ((tls->ca_file || tls->ca_pem) && curl_easy_setopt(e, CURLOPT_CAPATH, NULL) != CURLE_OK)
        return false;
    return set_text(e, CURLOPT_CAINFO, tls->ca_file) &&
           set_blob(e, CURLOPT_CAINFO_BLOB, tls->ca_pem) &&
           set_text(e, CURLOPT_SSLCERT, tls->cert_file) &&
           set_blob(e, CURLOPT_SSLCERT_BLOB, tls->cert_pem) &&
           set_text(e, CURLOPT_SSLKEY, tls->key_file) &&
           set_blob(e, CURLOPT_SSLKEY_BLOB, tls->key_pem);
}

/* libcurl takes the name to verify from the URL: the URL gets it, and the connection is led to the
 * host that stood there. */
static bool lead_to(struct http_call *c, CURLU *url, const char *host, const char *port,
                    const char *name)
{
    char connect_to[CONNECT_TO_MAX], *renamed = NULL;
    (void)snprintf(connect_to, sizeof connect_to, "::%s:%s", host, port);
    c->connect_to = curl_slist_append(NULL, connect_to);
    bool is_done = c->connect_to && curl_url_set(url, CURLUPART_HOST, name, 0) == CURLUE_OK &&
                   curl_url_get(url, CURLUPART_URL, &renamed, 0) == CURLUE_OK &&
                   curl_easy_setopt(c->easy, CURLOPT_URL, renamed) == CURLE_OK &&
                   curl_easy_setopt(c->easy, CURLOPT_CONNECT_TO, c->connect_to) == CURLE_OK;
    curl_free(renamed);
    return is_done;
}

static bool set_name(struct http_call *c, const struct http_ask *ask)
{
    char *host = NULL, *port = NULL;
    CURLU *url = curl_url();
    bool is_done = url != NULL;
    if (url && curl_url_set(url, CURLUPART_URL, ask->url, 0) == CURLUE_OK)
        is_done = curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
                  curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
                  lead_to(c, url, host, port, ask->tls->name);
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(url);
    return is_done;
}

enum err http_question_set(struct http_call *c, const struct http_ask *ask)
{
    bool is_set = set_manner(c, ask->is_once) &&
                  curl_easy_setopt(c->easy, CURLOPT_URL, ask->url) == CURLE_OK &&
                  set_fields(c, ask) && set_body(c, ask);
    if (is_set && ask->tls)
        is_set = set_trust(c->easy, ask->tls) && (!ask->tls->name || set_name(c, ask));
    return is_set ? OK : ERR_MEMORY;
}
