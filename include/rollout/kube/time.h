/* Moments as Kubernetes writes them. Pure. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_KUBE_TIME_H
#define SERIN_ROLLOUT_KUBE_TIME_H

#include <stdbool.h>
#include <stdint.h>

#define KUBE_MICRO_TIME_MAX 32

/* MicroTime, "2026-11-23T06:19:52.876540Z": six digits, no more and no fewer are taken. wall_us: since 1970, of
 * the years 1970 to 9999. */
void kube_micro_time(int64_t wall_us, char text[KUBE_MICRO_TIME_MAX]);

/* RFC 3339, any number of digits, Z or an offset, to milliseconds since 1970. False: not so. */
bool kube_time_parse(const char *text, int64_t *wall_ms);

#endif
