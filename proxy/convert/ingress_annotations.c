/* What each annotation of ingress-nginx becomes, or why it becomes nothing.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/convert/ingress_annotations.h"
#include "proxy/conf/text.h"
#include "proxy/convert/source.h"

#include <cjson/cJSON.h>
#include <string.h>

#define KEY_MAX     128 /* of an annotation's key with its prefix */
#define WEIGHT_MAX  1000000000
#define SHARE_FULL  10000
#define COOKIE_NAME "INGRESSCOOKIE" /* the default of session-cookie-name */

/* A key that ends in * stands for all that begin so. advice NULL: carried over. */
static const struct source_field fields[] = {
    {"canary*", NULL},
    {"affinity", NULL},
    {"session-cookie-name", NULL},
    {"load-balance", NULL},
    {"upstream-hash-by", NULL},
    {"backend-protocol", NULL},
    {"use-regex", NULL}, /* said where a path is one */
    {"affinity-mode", "a user stays on a version; among its servers on the one of their hash"},
    {"affinity-canary-behavior", "users stay on the version that they met: leave `sticky` out "
                                 "where they are not to"},
    {"session-cookie-*", "serin's cookie has Path=/, HttpOnly, SameSite=Lax and a year"},
    {"rewrite-target", "serin passes the path on as it came: let the service serve it so"},
    {"app-root", "serin sends no redirects: let the service do it"},
    {"ssl-redirect", "serin sends no redirects: let the service do it, by X-Forwarded-Proto"},
    {"force-ssl-redirect", "serin sends no redirects: let the service do it, by X-Forwarded-Proto"},
    {"permanent-redirect*", "serin sends no redirects: let the service do it"},
    {"temporal-redirect*", "serin sends no redirects: let the service do it"},
    {"from-to-www-redirect", "serin sends no redirects: let the service do it"},
    {"proxy-body-size", "set limits.body_bytes, which holds for all routes"},
    {"proxy-connect-timeout", "set timeouts.connect, which holds for all routes"},
    {"proxy-read-timeout", "set timeouts.response_header and response_idle, which hold for all "
                           "routes"},
    {"proxy-send-timeout", "set timeouts.client_body, which holds for all routes"},
    {"proxy-next-upstream*", "see routes[].retry: what is tried again, how often, and its budget"},
    {"proxy-ssl-*", "see tls of a version: ca, server_name, certificate, key, min_version"},
    {"proxy-buffer*", "serin passes bytes on as they come, and buffers none on disk"},
    {"proxy-max-temp-file-size", "serin passes bytes on as they come, and buffers none on disk"},
    {"proxy-request-buffering", "serin passes bytes on as they come, and buffers none on disk"},
    {"auth-tls-*", "see listeners[].tls: client_ca, client_certificate, client_subject_header"},
    {"auth-*", "serin asks nobody who a user is: let the service do it"},
    {"whitelist-source-range", "serin lets every client in: restrict it in the network"},
    {"denylist-source-range", "serin lets every client in: restrict it in the network"},
    {"limit-*", "serin limits no client's rate: let what stands before it do it"},
    {"global-rate-limit*", "serin limits no client's rate: let what stands before it do it"},
    {"enable-cors", "serin adds no CORS fields: let the service do it"},
    {"cors-*", "serin adds no CORS fields: let the service do it"},
    {"*-snippet", "there is no configuration of nginx here"},
    {"mirror-target", "see routes[].mirror, which copies requests to the canary"},
    {"mirror-*", "see routes[].mirror, which copies requests to the canary"},
    {"server-alias", "add the names to `hosts`"},
    {"upstream-vhost", "serin passes Host on as it came"},
    {"custom-http-errors", "serin passes the service's answers on as they are"},
    {"default-backend", "add a route that has the other hosts and paths"},
    {"service-upstream",
     "serin asks the DNS: a headless Service gives it all pods, another one its "
     "address"},
    {"enable-access-log", "see log.access, which holds for all routes"},
    {"ssl-*", "see listeners[].tls"},
};

const struct cJSON *annotation_get(const struct cJSON *ingress, const char *key)
{
    char whole[KEY_MAX];
    (void)snprintf(whole, sizeof whole, ANNOTATION_PREFIX "%s", key);
    return source_get(source_at(ingress, "metadata.annotations"), whole);
}

bool annotation_is_true(const struct cJSON *ingress, const char *key)
{
    char whole[KEY_MAX];
    (void)snprintf(whole, sizeof whole, ANNOTATION_PREFIX "%s", key);
    return source_is_true(source_at(ingress, "metadata.annotations"), whole);
}

static const char *text_of(const struct cJSON *item)
{
    return cJSON_IsString(item) ? item->valuestring : "";
}

bool annotation_has_regex(const struct cJSON *ingress)
{
    return annotation_is_true(ingress, "use-regex") || annotation_get(ingress, "rewrite-target");
}

bool annotation_is_tls(const struct cJSON *ingress)
{
    return strcmp(text_of(annotation_get(ingress, "backend-protocol")), "HTTPS") == 0;
}

/* --- who serves --- */

static void put_affinity(struct draft *d, const struct cJSON *ingress, struct cJSON *route)
{
    const struct cJSON *affinity = annotation_get(ingress, "affinity");
    const struct cJSON *named = annotation_get(ingress, "session-cookie-name");
    const char *name = *text_of(named) ? text_of(named) : COOKIE_NAME;
    struct why why;
    if (!affinity)
        return;
    if (strcmp(text_of(affinity), "cookie") != 0) {
        draft_note(d, NOTE_LEFT, affinity, route, "serin knows sticky: { by: cookie }");
        return;
    }
    if (text_check(TEXT_FIELD, slice_str(name), &why) != OK || strlen(name) > 64) {
        draft_note(d, NOTE_LEFT, named, route, "\"%.64s\" is no name of a cookie", name);
        return;
    }
    draft_note(d, NOTE_NEAR, affinity, route,
               "the cookie keeps a user on a version, and on one of its servers; those that "
               "ingress-nginx has set mean nothing to serin, which sets its own under this name");
    draft_put_text(d, route, "balance", "hash");
    struct cJSON *sticky = draft_put_object(d, route, "sticky");
    draft_put_text(d, sticky, "by", "cookie");
    draft_put_text(d, sticky, "name", name);
    draft_put_bool(d, sticky, "issue", true);
}

static bool is_client_address(const char *variable)
{
    return strcmp(variable, "$remote_addr") == 0 || strcmp(variable, "$binary_remote_addr") == 0;
}

void annotation_put_balance(struct draft *d, const struct cJSON *ingress, struct cJSON *route)
{
    const struct cJSON *balance = annotation_get(ingress, "load-balance");
    const struct cJSON *hash = annotation_get(ingress, "upstream-hash-by");
    const struct cJSON *protocol = annotation_get(ingress, "backend-protocol");
    bool has_affinity = strcmp(text_of(annotation_get(ingress, "affinity")), "cookie") == 0;
    if (protocol && strcmp(text_of(protocol), "HTTP") != 0)
        draft_note(d, annotation_is_tls(ingress) ? NOTE_NEAR : NOTE_LEFT, protocol, route,
                   annotation_is_tls(ingress)
                       ? "serin verifies the certificates of the servers: name their issuer in "
                         "tls.ca (or, as ingress-nginx does, verify: false)"
                       : "serin speaks HTTP/1.1 to its servers");
    put_affinity(d, ingress, route);
    if (hash && is_client_address(text_of(hash)) && !has_affinity)
        draft_put_text(d, route, "balance", "hash");
    else if (hash)
        draft_note(d, NOTE_LEFT, hash, route,
                   "balance: hash goes by the client's address, or by what makes users sticky");
    else if (strcmp(text_of(balance), "round_robin") == 0 && !has_affinity)
        draft_put_text(d, route, "balance", "round_robin");
    else if (balance && !has_affinity)
        draft_note(d, NOTE_NEAR, balance, route, "serin takes the less busy of two servers");
}

/* --- who sees the canary --- */

static const struct cJSON *prefixed(const struct cJSON *annotations, const char *prefix,
                                    const char *key)
{
    char whole[KEY_MAX];
    (void)snprintf(whole, sizeof whole, "%s%s", prefix, key);
    return source_get(annotations, whole);
}

/* Adds a field of `override`; false: it is no name of one. */
static void put_chooser(struct draft *d, const struct cJSON *at, struct cJSON *override,
                        const char *key, struct cJSON *route)
{
    struct why why;
    if (!at)
        return;
    if (text_check(TEXT_FIELD, slice_str(text_of(at)), &why) != OK)
        draft_note(d, NOTE_LEFT, at, route, "\"%.100s\" %s", text_of(at), why.text);
    else
        draft_put_text(d, override, key, text_of(at));
}

void annotation_put_override(struct draft *d, const struct cJSON *annotations, const char *prefix,
                             struct cJSON *route)
{
    const struct cJSON *header = prefixed(annotations, prefix, "canary-by-header");
    const struct cJSON *cookie = prefixed(annotations, prefix, "canary-by-cookie");
    const struct cJSON *value = prefixed(annotations, prefix, "canary-by-header-value");
    const struct cJSON *pattern = prefixed(annotations, prefix, "canary-by-header-pattern");
    const struct cJSON *matched = value ? value : pattern;
    if (matched && header)
        draft_note(d, NOTE_LEFT, matched, route,
                   "serin knows the values always and never: let those who are to see the canary "
                   "send \"%.64s: always\"",
                   text_of(header));
    if (!header && !cookie)
        return;
    struct cJSON *override = draft_put_object(d, route, "override");
    put_chooser(d, header, override, "header", route);
    put_chooser(d, cookie, override, "cookie", route);
}

void annotation_put_weight(struct draft *d, const struct cJSON *ingress, struct cJSON *route)
{
    const struct cJSON *weight = annotation_get(ingress, "canary-weight");
    const struct cJSON *whole = annotation_get(ingress, "canary-weight-total");
    int64_t total = 100, share = 0;
    if (whole && (!source_count(whole, WEIGHT_MAX, &total) || total == 0)) {
        draft_note(d, NOTE_NEAR, whole, route, "not a number above 0: taken for 100");
        total = 100;
    }
    if (weight && !source_count(weight, WEIGHT_MAX, &share)) {
        draft_note(d, NOTE_NEAR, weight, route, "not a number: taken for 0");
        share = 0;
    }
    share = share > total ? total : share;
    int64_t bp = (share * SHARE_FULL + total / 2) / total;
    if (bp * total != share * SHARE_FULL)
        draft_note(d, NOTE_NEAR, weight, route, "shares are kept to a hundredth of a percent");
    draft_comment(
        d, route,
        "A fixed share, as before. For a canary that widens by itself while it is healthy "
        "put `rollout: {}` in its place, then `serin start`.");
    draft_put_share(d, route, "weight", bp);
}

/* --- the rest --- */

static bool is_meant(const char *pattern, const char *key)
{
    size_t len = strlen(pattern), key_len = strlen(key);
    if (pattern[0] == '*')
        return key_len >= len - 1 && strcmp(key + key_len - (len - 1), pattern + 1) == 0;
    if (len && pattern[len - 1] == '*')
        return strncmp(pattern, key, len - 1) == 0;
    return strcmp(pattern, key) == 0;
}

void annotation_leave(struct draft *d, const struct cJSON *ingress, struct cJSON *route)
{
    const struct cJSON *item;
    cJSON_ArrayForEach(item, source_at(ingress, "metadata.annotations"))
    {
        struct slice key = slice_str(item->string ? item->string : "");
        size_t i = 0;
        if (!slice_starts(key, SLICE(ANNOTATION_PREFIX)))
            continue; /* another program's */
        while (i < sizeof fields / sizeof fields[0] &&
               !is_meant(fields[i].key, key.at + strlen(ANNOTATION_PREFIX)))
            i++;
        if (i == sizeof fields / sizeof fields[0])
            draft_note(d, NOTE_LEFT, item, route, "serin has no such setting");
        else if (fields[i].advice)
            draft_note(d, NOTE_LEFT, item, route, "%s", fields[i].advice);
    }
}
