/* Who may read and change through the admin port: Host, Origin, token, content type.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/admin_guard.h"

#include <arpa/inet.h>

/* Compares in a time that depends on the length of what was sent alone, so that answers do not tell
 * how much of a guess is right. */
static bool equal_in_constant_time(struct slice sent, struct slice secret)
{
    unsigned difference = sent.len != secret.len;
    for (size_t i = 0; i < sent.len; i++) {
        unsigned char other = secret.len ? (unsigned char)secret.at[i % secret.len] : 0;
        difference |= (unsigned)((unsigned char)sent.at[i] ^ other);
    }
    return difference == 0;
}

static bool has_token(const struct admin_guard *guard, const struct admin_claims *claims)
{
    struct slice scheme, token;
    if (!claims->authorization)
        return false;
    if (!slice_cut(slice_trim(slice_str(claims->authorization)), ' ', &scheme, &token))
        return false;
    if (!slice_equal_nocase(scheme, SLICE("Bearer")))
        return false;
    return equal_in_constant_time(slice_trim(token), slice_str(guard->token));
}

/* Parts "name:port", "1.2.3.4:port", "[v6]:port"; the port may be missing. False: none of them. */
static bool host_without_port(struct slice host, struct slice *name)
{
    struct slice rest = host;
    if (host.len && host.at[0] == '[') {
        const char *end = memchr(host.at, ']', host.len);
        if (!end)
            return false;
        *name = slice_of(host.at, (size_t)(end - host.at) + 1);
        rest = slice_of(end + 1, host.len - name->len);
        if (rest.len == 0)
            return true;
        if (rest.at[0] != ':')
            return false;
        rest = slice_of(rest.at + 1, rest.len - 1);
    } else if (!slice_cut(host, ':', name, &rest)) {
        return name->len > 0;
    }
    uint64_t port = 0;
    return name->len > 0 && slice_parse_u64(rest, &port) && port <= UINT16_MAX;
}

enum literal { LITERAL_NONE, LITERAL_LOOPBACK, LITERAL_OTHER };

static enum literal literal_of(struct slice name)
{
    char text[INET6_ADDRSTRLEN] = "";
    unsigned char ip[sizeof(struct in6_addr)];
    bool is_ipv6 = name.len > 2 && name.at[0] == '[';
    if (is_ipv6)
        name = slice_of(name.at + 1, name.len - 2);
    if (name.len >= sizeof text)
        return LITERAL_NONE;
    memcpy(text, name.at, name.len);
    if (is_ipv6) {
        if (inet_pton(AF_INET6, text, ip) != 1)
            return LITERAL_NONE;
        return memcmp(ip, &in6addr_loopback, sizeof ip) == 0 ? LITERAL_LOOPBACK : LITERAL_OTHER;
    }
    if (inet_pton(AF_INET, text, ip) != 1)
        return LITERAL_NONE;
    return ip[0] == 127 ? LITERAL_LOOPBACK : LITERAL_OTHER;
}

/* On this machine's own addresses a browser is the danger: a page of any site can point its own
 * name there, but not the names below. On other addresses the token is required, which no page has,
 * and the machine goes by names that the port cannot know. */
static bool is_expected_host(const struct admin_guard *guard, const struct admin_claims *claims)
{
    struct slice name;
    if (guard->is_unix)
        return true;
    if (claims->hosts != 1 || !claims->host)
        return false;
    if (!host_without_port(slice_trim(slice_str(claims->host)), &name))
        return false;
    if (slice_equal_nocase(name, SLICE("localhost")) || slice_equal_nocase(name, guard->host))
        return true;
    if (!guard->is_local)
        return true;
    return literal_of(name) == LITERAL_LOOPBACK;
}

/* A page of the port itself sends its own address; programs send none. */
static bool is_own_origin(const struct admin_claims *claims)
{
    if (!claims->origin)
        return true;
    struct slice origin = slice_trim(slice_str(claims->origin));
    if (slice_starts(origin, SLICE("http://")))
        origin = slice_of(origin.at + 7, origin.len - 7);
    else if (slice_starts(origin, SLICE("https://")))
        origin = slice_of(origin.at + 8, origin.len - 8);
    else
        return false;
    return claims->host && slice_equal_nocase(origin, slice_trim(slice_str(claims->host)));
}

static bool is_json(const struct admin_claims *claims)
{
    struct slice type, parameters;
    if (!claims->content_type)
        return false;
    slice_cut(slice_str(claims->content_type), ';', &type, &parameters);
    return slice_equal_nocase(slice_trim(type), SLICE("application/json"));
}

enum admin_verdict admin_may_read(const struct admin_guard *guard,
                                  const struct admin_claims *claims)
{
    if (guard->is_local || !guard->token || has_token(guard, claims))
        return ADMIN_ALLOWED;
    return ADMIN_NO_TOKEN;
}

enum admin_verdict admin_may_change(const struct admin_guard *guard,
                                    const struct admin_claims *claims)
{
    if (!is_expected_host(guard, claims))
        return ADMIN_WRONG_HOST;
    if (!is_own_origin(claims))
        return ADMIN_FOREIGN_ORIGIN;
    if (guard->token && !has_token(guard, claims))
        return ADMIN_NO_TOKEN;
    if (!is_json(claims))
        return ADMIN_NOT_JSON;
    return ADMIN_ALLOWED;
}
