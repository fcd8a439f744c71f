/* Parses the addresses of listeners and endpoints strictly, without looking anything up.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/conf/address.h"
#include <arpa/inet.h>
#include <sys/un.h>

#define IP_TEXT_MAX 48 /* longer than any address that inet_pton takes */

static bool parse_ip(struct slice text, int family, uint8_t ip[16])
{
    char copy[IP_TEXT_MAX];
    if (text.len == 0 || text.len >= sizeof copy)
        return false;
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    memset(ip, 0, 16);
    return strlen(copy) == text.len && inet_pton(family, copy, ip) == 1;
}

enum err config_port_parse(struct slice text, uint16_t *port, struct why *why)
{
    uint64_t v;
    if (text.len == 0)
        return why_set(why, ERR_INVALID, "has no port");
    if (!slice_parse_u64(text, &v) || (text.len > 1 && text.at[0] == '0'))
        return why_set(why, ERR_INVALID, "has a port that is not a number");
    if (v > 65535)
        return why_set(why, ERR_INVALID, "has a port above 65535");
    *port = (uint16_t)v;
    return OK;
}

static enum err parse_unix(struct slice path, struct config_address *out, struct why *why)
{
    size_t room = sizeof(((struct sockaddr_un *)0)->sun_path);
    if (path.len == 0 || path.at[0] != '/')
        return why_set(why, ERR_INVALID, "has a socket path that does not begin with /");
    if (path.len >= room)
        return why_set(why, ERR_INVALID, "has a socket path longer than %zu bytes", room - 1);
    *out = (struct config_address){.kind = CONFIG_ADDRESS_UNIX, .path = path};
    return OK;
}

/* FileDescriptorName= of systemd.socket(5): no colon, no control character. */
static enum err parse_fd(struct slice name, struct config_address *out, struct why *why)
{
    if (name.len == 0)
        return why_set(why, ERR_INVALID, "names no socket");
    if (name.len > CONFIG_FD_NAME_MAX)
        return why_set(why, ERR_INVALID, "has a name longer than %u bytes", CONFIG_FD_NAME_MAX);
    for (size_t i = 0; i < name.len; i++)
        if (name.at[i] <= ' ' || name.at[i] > '~' || name.at[i] == ':')
            return why_set(why, ERR_INVALID, "holds a character that no socket's name may have");
    *out = (struct config_address){.kind = CONFIG_ADDRESS_FD, .path = name};
    return OK;
}

static enum err parse_ipv6(struct slice text, struct config_address *out, struct why *why)
{
    struct slice ip, port;
    (void)slice_cut(slice_of(text.at + 1, text.len - 1), ']', &ip, &port);
    if (!parse_ip(ip, AF_INET6, out->ip))
        return why_set(why, ERR_INVALID, "has no IPv6 address in its brackets");
    if (port.len == 0 || port.at[0] != ':')
        return why_set(why, ERR_INVALID, "has no port");
    out->kind = CONFIG_ADDRESS_IPV6;
    return config_port_parse(slice_of(port.at + 1, port.len - 1), &out->port, why);
}

/* Why a text before the colon is no IPv4 address, in the words of the mistake that it most likely
 * is. */
static enum err refuse_host(struct slice host, struct why *why)
{
    bool is_numeric = true;
    for (size_t i = 0; i < host.len; i++)
        is_numeric = is_numeric && ((host.at[i] >= '0' && host.at[i] <= '9') || host.at[i] == '.');
    if (host.len == 0 || slice_equal(host, SLICE("*")))
        return why_set(why, ERR_INVALID, "names no address (0.0.0.0 or [::] stands for all)");
    if (is_numeric)
        return why_set(why, ERR_INVALID, "is not an IPv4 address and port");
    return why_set(why, ERR_NOT_FOUND, "has a host name for an address");
}

enum err config_address_parse(struct slice text, struct config_address *out, struct why *why)
{
    struct slice host, port;
    *out = (struct config_address){.kind = CONFIG_ADDRESS_IPV4};
    if (slice_starts(text, SLICE("unix:")))
        return parse_unix(slice_of(text.at + 5, text.len - 5), out, why);
    if (slice_starts(text, SLICE("fd:")))
        return parse_fd(slice_of(text.at + 3, text.len - 3), out, why);
    if (slice_starts(text, SLICE("dns:")))
        return why_set(why, ERR_INVALID, "is a name, not an address");
    if (text.len && text.at[0] == '[')
        return parse_ipv6(text, out, why);
    if (!slice_cut(text, ':', &host, &port))
        return why_set(why, ERR_INVALID, "has no port");
    if (port.len && memchr(port.at, ':', port.len))
        return why_set(why, ERR_INVALID, "has more than one colon (IPv6 goes into brackets)");
    if (!parse_ip(host, AF_INET, out->ip))
        return refuse_host(host, why);
    return config_port_parse(port, &out->port, why);
}

bool config_address_equal(const struct config_address *a, const struct config_address *b)
{
    return a->kind == b->kind && a->port == b->port && memcmp(a->ip, b->ip, sizeof a->ip) == 0 &&
           (a->kind == CONFIG_ADDRESS_NAME ? slice_equal_nocase(a->path, b->path)
                                           : slice_equal(a->path, b->path));
}

bool config_address_is_local(const struct config_address *a)
{
    static const uint8_t loopback[16] = {[15] = 1};
    if (a->kind == CONFIG_ADDRESS_IPV4)
        return a->ip[0] == 127;
    return a->kind == CONFIG_ADDRESS_UNIX ||
           (a->kind == CONFIG_ADDRESS_IPV6 && memcmp(a->ip, loopback, sizeof loopback) == 0);
}

enum err config_network_parse(struct slice text, struct config_network *out, struct why *why)
{
    struct slice host, length;
    uint64_t bits;
    bool is_ipv6 = text.len && memchr(text.at, ':', text.len);
    if (!slice_cut(text, '/', &host, &length))
        return why_set(why, ERR_INVALID, "has no prefix length, such as /8");
    if (!parse_ip(host, is_ipv6 ? AF_INET6 : AF_INET, out->ip))
        return why_set(why, ERR_INVALID, "is not a network");
    if (!slice_parse_u64(length, &bits) || bits > (is_ipv6 ? 128u : 32u))
        return why_set(why, ERR_INVALID, "has a prefix length above %u", is_ipv6 ? 128u : 32u);
    for (size_t bit = (size_t)bits; bit < (is_ipv6 ? 128u : 32u); bit++)
        if (out->ip[bit / 8] & (0x80u >> bit % 8))
            return why_set(why, ERR_INVALID, "has bits set behind its prefix of %zu", (size_t)bits);
    out->bits = (uint8_t)bits;
    out->is_v6 = is_ipv6;
    return OK;
}
