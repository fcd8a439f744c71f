/* The two clocks of the Kubernetes side, in milliseconds. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_KUBE_CLOCK_H
#define SERIN_ROLLOUT_KUBE_CLOCK_H

#include <stdint.h>

int64_t kube_monotonic_ms(void); /* since an arbitrary start; never goes back */
int64_t kube_wall_ms(void);      /* since 1970 UTC; may jump */

#endif
