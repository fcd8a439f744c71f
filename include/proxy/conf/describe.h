/* The keys in words: what a value must be, and the columns of `serin check --defaults`.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONF_DESCRIBE_H
#define SERIN_PROXY_CONF_DESCRIBE_H

#include "proxy/conf/fields.h"
#include "rollout/decide/plan.h"

#define DESCRIBE_MAX 160 /* room for any of the texts below */

/* What is expected, for an error: "a share from 0% to 100%", "one of abort, pause". Returns out.
 * Pure. */
const char *describe_expectation(const struct config_field *f, char out[DESCRIBE_MAX]);

/* The same for one item of a list of choices, texts or shares. Returns out or a constant. Pure. */
const char *describe_item(const struct config_field *f, char out[DESCRIBE_MAX]);

/* A number in the field's unit: "10s", "32KiB", "0.5%", "128". Returns out. Pure. */
const char *describe_number(const struct config_field *f, int64_t number, char out[DESCRIBE_MAX]);

/* A count or a share: "1", "25%". Returns out. Pure. */
const char *describe_amount(struct plan_amount amount, char out[DESCRIBE_MAX]);

/* Columns of the list of keys. Each returns out or a constant. Pure. */
const char *describe_type(const struct config_field *f);
const char *describe_range(const struct config_field *f, char out[DESCRIBE_MAX]);
const char *describe_standard(const struct config_field *f);
const char *describe_unit(const struct config_field *f);
const char *describe_reload(const struct config_field *f);

#endif
