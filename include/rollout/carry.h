/* What a rollout knows beyond its record, carried from one process to the next: where the counters stood when they were last
 * read, and the ten minutes before. With it, and with counters that go on from where they stood, no request between the
 * two is lost to the judge; without it the next process begins as after a restart.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_CARRY_H
#define SERIN_ROLLOUT_CARRY_H

#include "base/err.h"
#include <stdbool.h>
#include <stdint.h>

struct cJSON;
struct rollout;

/* The caller frees it. NULL when memory is short. */
struct cJSON *rollout_carry(const struct rollout *r);

/* Takes it over, right behind rollout_open. The counters of the ports must go on from those of the process that wrote it.
 * ERR_INVALID: not what rollout_carry writes, with what is wrong; then nothing has changed. */
enum err rollout_take_carried(struct rollout *r, const struct cJSON *json,
                              struct why *why) MUST_USE;

/* Whole numbers up to it are written exactly: cJSON prints 15 digits. */
#define CARRY_NUMBER_MAX 1e15

/* A number from 0 to most, cut to a whole one; false, and *value stays, where item is something else or NULL. */
bool carry_read_number(const struct cJSON *item, double most, uint64_t *value);

/* The same of a member of an object. */
bool carry_read_member(const struct cJSON *json, const char *name, double most, uint64_t *value);

#endif
