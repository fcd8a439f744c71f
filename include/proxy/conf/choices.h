/* The words that keys take.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONF_CHOICES_H
#define SERIN_PROXY_CONF_CHOICES_H

#include "proxy/conf/fields.h"

/* Each ends with a row without a name. */
extern const struct config_choice config_tls_versions[], config_client_certificates[],
    config_log_levels[], config_log_formats[], config_access_formats[], config_balances[],
    config_stickies[], config_retry_causes[], config_retry_targets[], config_methods[],
    config_mirror_methods[], config_forwardings[], config_starts[], config_low_evidences[],
    config_failures[], config_new_versions[], config_replica_modes[], config_cleanups[],
    config_gate_moments[], config_weekdays[], config_notify_formats[], config_notify_kinds[];

#endif
