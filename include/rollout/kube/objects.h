/* Kubernetes objects as far as a rollout looks at them: JSON to structs and paths. Pure.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_KUBE_OBJECTS_H
#define SERIN_ROLLOUT_KUBE_OBJECTS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cJSON;

#define KUBE_NAME_MAX     254 /* a DNS subdomain with its NUL */
#define KUBE_PATH_MAX     1024
#define KUBE_QUERY_MAX    (KUBE_PATH_MAX + 3 * KUBE_SELECTOR_MAX)
#define KUBE_SELECTOR_MAX 1024
#define KUBE_HASH_MAX     17
#define KUBE_REPLICAS_MAX 100000 /* more are a mistake, not a wish */

/* Annotations: kubectl's, and serin's own. */
#define KUBE_SOURCE_ID     "kubectl.kubernetes.io/update-source-id"
#define KUBE_DESIRED       "kubectl.kubernetes.io/desired-replicas"
#define KUBE_ORIGINAL      "kubectl.kubernetes.io/original-replicas"
#define KUBE_NEXT          "kubectl.kubernetes.io/next-controller-id"
#define KUBE_ROLLOUT       "serin.io/rollout"       /* the record */
#define KUBE_TEMPLATE_HASH "serin.io/template-hash" /* of the manifest that made the object */
#define KUBE_OLD_DESIRED   "kubernetes.io/desired-replicas" /* of the design note: read only */
#define KUBE_OLD_PARTNER   "kubernetes.io/update-partner"

enum kube_kind {
    KUBE_RC,
    KUBE_DEPLOYMENT,
    KUBE_REPLICASET,
    KUBE_POD,
    KUBE_LEASE,
    KUBE_EVENT,
    KUBE_HPA,
    KUBE_KINDS
};

const char *kube_kind_name(enum kube_kind kind);    /* "ReplicationController" */
const char *kube_kind_plural(enum kube_kind kind);  /* "replicationcontrollers" */
const char *kube_kind_version(enum kube_kind kind); /* "v1", "apps/v1", ... */

/* A workload as the configuration names it: "rc/NAME", "deployment/NAME", "replicaset/NAME". */
struct kube_ref {
    enum kube_kind kind;
    char name[KUBE_NAME_MAX];
};

/* ERR_INVALID: another form, or a name that is no DNS subdomain. */
enum err kube_ref_parse(const char *text, struct kube_ref *ref, struct why *why) MUST_USE;

/* Whether it is a DNS subdomain (RFC 1123): what a name of an object and of a namespace must be. Pure. */
bool kube_is_name(const char *text);

/* "/api/v1/namespaces/NS/replicationcontrollers[/NAME[/SUB]]"; name and sub may be NULL. What is no name is
 * percent-encoded; names that do not fit cut the path. Pure. */
void kube_path(char path[KUBE_PATH_MAX], enum kube_kind kind, const char *name_space,
               const char *name, const char *sub);

/* A path with "?labelSelector=..." (escaped). selector: shorter than KUBE_SELECTOR_MAX. Pure. */
void kube_query(char out[KUBE_QUERY_MAX], const char *path, const char *selector);

/* What a workload says of itself, or a manifest of one. */
struct kube_workload {
    enum kube_kind kind;
    char name[KUBE_NAME_MAX];
    char uid[64], version[64];        /* metadata.uid, metadata.resourceVersion */
    char selector[KUBE_SELECTOR_MAX]; /* "a=b,c=d" (set-based: "a in (b,c)"), sorted by key */
    char hash[KUBE_HASH_MAX];   /* KUBE_TEMPLATE_HASH where it is set, else of the live template */
    int replicas;               /* wanted: spec.replicas, 1 where left out */
    int seen, ready, available; /* status */
    bool is_observed;           /* status.observedGeneration >= metadata.generation */
    bool is_deleting;
    int min_ready_s;
    int desired, original; /* the annotations; -1 = not there */
    char source_id[KUBE_NAME_MAX + 64], next[KUBE_NAME_MAX];
};

/* Reads it. An object without a kind (those in a list have none) tells its kind by its selector: a plain one is a
 * controller's. A controller without a selector has its template's labels. ERR_INVALID names the member: missing, of
 * the wrong type, out of range (also an annotation that is no count: "abc", "-1", "1000000000"). Pure. */
enum err kube_workload_read(const struct cJSON *object, struct kube_workload *w,
                            struct why *why) MUST_USE;

/* What a pod says of itself. */
struct kube_pod {
    char name[KUBE_NAME_MAX];
    char owner[64];   /* uid of the controlling owner; "" = none */
    char address[64]; /* status.podIP; "" = none yet */
    bool is_ready;    /* Ready is True, and no deletion is under way */
    bool is_terminating;
    bool is_finished; /* phase Succeeded or Failed */
    int64_t ready_ms; /* wall time since when Ready is True; 0 = unknown */
};
/* ERR_INVALID: not a pod's shape. Pure. */
enum err kube_pod_read(const struct cJSON *object, struct kube_pod *p, struct why *why) MUST_USE;

/* Ready, and for longer than min_ready_s where that is above 0, at the wall time now_ms. Pure. */
bool kube_pod_is_available(const struct kube_pod *p, int min_ready_s, int64_t now_ms);

/* The annotation or label, NULL where there is none. Borrowed from the object. */
const char *kube_annotation(const struct cJSON *object, const char *key);
const char *kube_label(const struct cJSON *object, const char *key);

/* Sets (value NULL: removes) an annotation in the object. ERR_MEMORY; ERR_INVALID: no metadata. Pure. */
enum err kube_annotate(struct cJSON *object, const char *key, const char *value) MUST_USE;

/* Hash of a pod template (or any JSON): members sorted, nulls left out, so that spelling does not count. */
enum err kube_hash(const struct cJSON *json, char hash[KUBE_HASH_MAX]) MUST_USE; /* ERR_MEMORY */

/* Whether an update-source-id names this controller: the part before the colon, whole. */
bool kube_source_is(const char *source_id, const char *name);

#endif
