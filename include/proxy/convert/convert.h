/* Configurations of others into serin's own. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONVERT_CONVERT_H
#define SERIN_PROXY_CONVERT_CONVERT_H

#include "proxy/convert/draft.h"

enum convert_from {
    CONVERT_ANY, /* what the file has */
    CONVERT_INGRESS,
    CONVERT_ARGO,
    CONVERT_FLAGGER,
    CONVERT_KINDS
};

/* "ingress", "argo", "flagger"; CONVERT_KINDS where it is none of them. Pure. */
enum convert_from convert_from_name(const char *name);
const char *convert_name(enum convert_from from);

/* Writes the routes of a draft (after draft_init). *from: which objects to take; CONVERT_ANY becomes what was found,
 * Rollouts and Canaries before the Ingresses that they use. ERR_NOT_FOUND: the file has none, with the kinds that it
 * has; ERR_CONFLICT: it has Rollouts and Canaries; ERR_INVALID: nothing of it could be written, the notes say why;
 * ERR_MEMORY. Pure. O(objects squared). */
enum err convert(struct draft *d, enum convert_from *from, struct why *why) MUST_USE;

#endif
