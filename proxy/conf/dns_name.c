/* Parses endpoints that are names, strictly, without looking anything up.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/conf/dns_name.h"

#define LABEL_MAX 63 /* RFC 1035 section 3.1 */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_in_label(char c)
{
    char lower = ascii_lower(c);
    return is_digit(c) || (lower >= 'a' && lower <= 'z') || c == '-' || c == '_';
}

bool dns_label_is_good(struct slice label)
{
    if (label.len == 0 || label.len > LABEL_MAX || label.at[0] == '-' ||
        label.at[label.len - 1] == '-')
        return false;
    for (size_t i = 0; i < label.len; i++)
        if (!is_in_label(label.at[i]))
            return false;
    return true;
}

static enum err check_host(struct slice host, struct why *why)
{
    struct slice label = {0}, rest = host;
    bool more = true, is_numeric = true;
    if (host.len && host.at[host.len - 1] == '.')
        rest.len--;
    if (rest.len == 0)
        return why_set(why, ERR_INVALID, "has no name");
    if (rest.len > DNS_NAME_MAX)
        return why_set(why, ERR_INVALID, "has a name longer than %u bytes", DNS_NAME_MAX);
    for (size_t i = 0; i < rest.len; i++)
        if ((unsigned char)rest.at[i] >= 0x80)
            return why_set(why, ERR_INVALID, "has a name that is not ASCII (write its xn-- form)");
    while (more) {
        more = slice_cut(rest, '.', &label, &rest);
        if (!dns_label_is_good(label))
            return why_set(why, ERR_INVALID, "has no name that DNS could know");
    }
    for (size_t i = 0; i < label.len; i++)
        is_numeric = is_numeric && is_digit(label.at[i]);
    if (is_numeric)
        return why_set(why, ERR_INVALID, "has an address for a name (an address needs no dns:)");
    return OK;
}

static enum err parse_name(struct slice text, struct config_address *out, struct why *why)
{
    struct slice host, port;
    *out = (struct config_address){.kind = CONFIG_ADDRESS_NAME};
    if (text.len && text.at[0] == '[')
        return why_set(why, ERR_INVALID, "has an address for a name (an address needs no dns:)");
    if (!slice_cut(text, ':', &host, &port))
        return why_set(why, ERR_INVALID, "has no port");
    out->path = host;
    enum err e = config_port_parse(port, &out->port, why);
    return e == OK ? check_host(host, why) : e;
}

enum err config_endpoint_parse(struct slice text, struct config_address *out, struct why *why)
{
    if (slice_starts(text, SLICE("dns:")))
        return parse_name(slice_of(text.at + 4, text.len - 4), out, why);
    return config_address_parse(text, out, why);
}
