/* What every exporter says of its process (process_*), and which build it is.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_METRICS_PROCESS_H
#define SERIN_METRICS_PROCESS_H

#include "metrics/expo.h"
#include <stdbool.h>

/* Writes the samples of a METRIC_FROM_PROCESS family. False: not one of these, nothing written. A
 * host's expo_host_fn begins with `if (process_expose(e, id)) return;`. A value that /proc does not
 * give is left out. Control thread. */
bool process_expose(struct expo *e, enum metric_id id);

#endif
