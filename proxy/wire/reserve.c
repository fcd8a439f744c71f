/* The descriptors that are kept for what must not fail for want of one.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/wire/reserve.h"

#include <limits.h>
#include <sys/resource.h>

unsigned reserve_begin(void)
{
    struct rlimit most;
    if (getrlimit(RLIMIT_NOFILE, &most) < 0 || most.rlim_cur > INT_MAX)
        return 0;
    rlim_t reserve = most.rlim_cur / FD_RESERVE_SHARE;
    return (unsigned)(most.rlim_cur - (reserve < FD_RESERVE_MAX ? reserve : FD_RESERVE_MAX));
}
