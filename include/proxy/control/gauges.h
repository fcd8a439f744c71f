/* The families of /metrics that no cell holds: endpoints, rollouts, reloads.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_GAUGES_H
#define SERIN_PROXY_CONTROL_GAUGES_H

#include "metrics/expo.h"

/* An expo_host_fn; host is the struct control. */
void gauges_expose(void *host, struct expo *e, enum metric_id id);

#endif
