/* The annotations of ingress-nginx. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONVERT_INGRESS_ANNOTATIONS_H
#define SERIN_PROXY_CONVERT_INGRESS_ANNOTATIONS_H

#include "proxy/convert/draft.h"

/* The value of an annotation "nginx.ingress.kubernetes.io/KEY" of an Ingress, or NULL. Pure. */
const struct cJSON *annotation_get(const struct cJSON *ingress, const char *key);
bool annotation_is_true(const struct cJSON *ingress, const char *key);

/* Whether its paths are regular expressions. Pure. */
bool annotation_has_regex(const struct cJSON *ingress);

/* Whether its servers are spoken to over TLS. Pure. */
bool annotation_is_tls(const struct cJSON *ingress);

/* What an Ingress says of its users' stickiness and of the choice of a server, into a route. */
void annotation_put_balance(struct draft *d, const struct cJSON *ingress, struct cJSON *route);

/* Who sees the canary: override and weight, from the annotations of a canary Ingress (also of those that Argo Rollouts
 * would add to one: `annotations`, with the prefix or without). */
void annotation_put_override(struct draft *d, const struct cJSON *annotations, const char *prefix,
                             struct cJSON *route);
void annotation_put_weight(struct draft *d, const struct cJSON *ingress, struct cJSON *route);

/* Notes about all annotations of ingress-nginx that were not carried over. */
void annotation_leave(struct draft *d, const struct cJSON *ingress, struct cJSON *route);

#define ANNOTATION_PREFIX "nginx.ingress.kubernetes.io/"

#endif
