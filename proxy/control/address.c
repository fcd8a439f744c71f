/* An address as the configuration writes it, made into one that a socket takes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/address.h"

#include "proxy/conf/address.h"

enum err address_of(const char *text, struct wire_addr *out, struct why *why)
{
    struct config_address parsed;
    struct why reason = {""};
    enum err e = config_address_parse(slice_str(text), &parsed, &reason);
    if (e == OK && parsed.kind == CONFIG_ADDRESS_FD)
        return why_set(why, ERR_NOT_FOUND, "%.200s is a socket that was not given", text);
    if (e == OK && parsed.kind == CONFIG_ADDRESS_UNIX)
        e = wire_addr_unix(out, parsed.path);
    else if (e == OK)
        wire_addr_inet(out, parsed.kind == CONFIG_ADDRESS_IPV6, parsed.ip, parsed.port);
    return e == OK ? OK : why_set(why, e, "%.200s %.250s", text, reason.text);
}

bool address_is_local(const char *text)
{
    struct config_address parsed;
    return config_address_parse(slice_str(text), &parsed, NULL) == OK &&
           config_address_is_local(&parsed);
}
