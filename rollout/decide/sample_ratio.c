/* Observed against intended share.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/decide/sample_ratio.h"

#include <math.h>

bool sample_ratio_is_off(uint64_t canary, uint64_t total, double share)
{
    double n = (double)total, smaller = n * fmin(share, 1 - share);
    if (smaller < SAMPLE_RATIO_LEAST)
        return false;
    double sigma = sqrt(n * share * (1 - share));
    return fabs((double)canary - n * share) > SAMPLE_RATIO_SIGMAS * sigma;
}
