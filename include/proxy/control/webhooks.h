/* What notifications name beside the configuration: URLs and secrets in files of their own, read with it and wiped with it.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_WEBHOOKS_H
#define SERIN_PROXY_CONTROL_WEBHOOKS_H

#include "proxy/conf/changes.h"
#include "proxy/conf/config.h"
#include "proxy/conf/errors.h"

struct notifier;
struct webhooks;

/* A shorter secret could be guessed from one message: 16 characters of base64 are 96 bits. */
#define WEBHOOKS_SECRET_MIN 16

/* Reads the files of every notification. config outlives it. NULL: errors says what is wrong with which, never what they
 * hold; errors->code ERR_MEMORY where memory was short. Blocks for the files. */
struct webhooks *webhooks_read(const struct config *config, struct config_errors *errors) MUST_USE;

/* Wipes what was read. NULL is allowed. */
void webhooks_free(struct webhooks *w);

/* Adds a warning for each file that every user of the machine can read. */
void webhooks_warn(const struct webhooks *w, struct config_errors *warnings);

/* Says which files, named by both configurations, hold something else now. */
void webhooks_tell_changes(const struct webhooks *old, const struct webhooks *new,
                           changes_line_fn *tell, void *arg);

/* From here on these are told. ERR_MEMORY: who was told before is. */
enum err webhooks_use(const struct webhooks *w, struct notifier *notifier) MUST_USE;

#endif
