/* Ids that the proxy makes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/flow/ids.h"

void id_make(struct flow *f, char out[ID_CHARS])
{
    hex_write(out, flow_random(f));
    hex_write(out + HEX_CHARS, flow_random(f));
}

void id_make_traceparent(struct flow *f, char out[TRACEPARENT_CHARS])
{
    memcpy(out, "00-", 3);
    id_make(f, out + 3);
    out[35] = '-';
    hex_write(out + 36, flow_random(f));
    memcpy(out + 52, "-00", 3);
}
