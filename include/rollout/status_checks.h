/* The checks of the judge in a rollout's status, and numbers as a status shows them.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_STATUS_CHECKS_H
#define SERIN_ROLLOUT_STATUS_CHECKS_H

#include <stdbool.h>

struct cJSON;
struct rollout;

/* Rounded to 12 digits: 100 * (1/3 + 2/3) is no 100.00000000000004. value: finite. Pure. */
double status_short_number(double value);

/* Adds a number, rounded so, or null for one that is none. False when memory is short. */
bool status_add_number(struct cJSON *json, const char *name, double value);

/* Adds "checks": [{"check","value","limit","evidence"}], each as rollout_metrics has it (null = not known yet); an empty
 * list while nothing is judged. False when memory is short. */
bool status_add_checks(const struct rollout *r, struct cJSON *json);

#endif
