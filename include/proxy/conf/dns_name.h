/* Endpoints that are names: dns:web.internal:8080, looked up while serin runs.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONF_DNS_NAME_H
#define SERIN_PROXY_CONF_DNS_NAME_H

#include "proxy/conf/address.h"

#define DNS_NAME_MAX 253 /* bytes of a host name, RFC 1035 section 3.1, without the final dot */

/* What an endpoint in the file stands for: an address as config_address_parse takes it, or a name of kind
 * CONFIG_ADDRESS_NAME with its host in path, borrowed from the text; a final dot, which says that the name is whole, is part
 * of it. ERR_INVALID with why a predicate to stand behind the text. Looks nothing up. Pure. */
enum err config_endpoint_parse(struct slice text, struct config_address *out,
                               struct why *why) MUST_USE;

/* Whether the text of an endpoint is a name. Pure. */
static inline bool config_endpoint_is_name(const char *text)
{
    return slice_starts(slice_str(text), SLICE("dns:"));
}

/* One label of a host name: letters, digits and inner hyphens; underscores too, since real names have them. Pure. */
bool dns_label_is_good(struct slice label);

#endif
