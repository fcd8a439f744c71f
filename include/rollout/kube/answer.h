/* What an answer of the API server says, in one sentence where it says no. Pure.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_KUBE_ANSWER_H
#define SERIN_ROLLOUT_KUBE_ANSWER_H

#include "rollout/kube/client.h"

#include <stddef.h>

struct http_answer;

#define KUBE_WORDS_MAX 512

/* "update replicationcontrollers/scale \"my-web-v1\" in namespace default", from verb and path. Cut where it does not fit. */
void kube_words(enum kube_verb verb, const char *path, char words[KUBE_WORDS_MAX]);

/* "GET" and so on, as HTTP spells it. */
const char *kube_verb_name(enum kube_verb verb);

/* What was understood of one HTTP answer. */
struct kube_reading {
    struct cJSON *json; /* owned; NULL = the body is none */
    const char *reason; /* in json, or "" */
    char error[WHY_MAX];
    unsigned retry_after_s; /* of the head, or of the Status object */
    bool is_rbac;           /* 403 by the authorizer */
};

/* Understands an answer to verb and path. */
void kube_reading_init(struct kube_reading *r, enum kube_verb verb, const char *path,
                       const struct http_answer *answer);
void kube_reading_fini(struct kube_reading *r);

#endif
