/* What a kubeconfig or a pod's files say: where the server is, whom to trust, how to show who one is.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_KUBE_PLACE_H
#define SERIN_ROLLOUT_KUBE_PLACE_H

#include "base/err.h"
#include "rollout/http.h"

#define KUBE_PLACE_TEXTS 16

/* Every text is owned by the place. */
struct kube_place {
    char *server;     /* without a slash at the end */
    char *name_space; /* NULL: not said */
    char *token, *token_file;
    struct http_tls tls;
    char **argv, **env; /* of the exec command, NULL behind the last; argv NULL: there is none */
    const char *exec_version; /* "client.authentication.k8s.io/v1" */
    bool is_interactive;      /* the command may ask the person at the terminal */

    char *texts[KUBE_PLACE_TEXTS]; /* what tls points to */
    unsigned n_texts;
};

void kube_place_fini(struct kube_place *place);

/* Keeps a text (taken; NULL = memory was short) until the place ends, and gives it back. */
const char *kube_place_keep(struct kube_place *place, char *text);

/* Reads files as kubectl does: of each name and key the first file that has it counts, files that do not exist are left out
 * unless it is the only one named, paths in them are relative to their own. paths: separated by colons. context: NULL =
 * current-context. What serin does not speak (basic auth, impersonation, proxies, unverified TLS) is refused, as it would
 * silently mean something else. ERR_NOT_FOUND: no file is there. ERR_INVALID with file, line and key. */
enum err kube_place_from_files(struct kube_place *place, const char *paths, const char *context,
                               struct why *why) MUST_USE;

/* The service account of the pod: token, CA and namespace of that directory, the server from
 * KUBERNETES_SERVICE_HOST and _PORT. */
enum err kube_place_from_pod(struct kube_place *place, const char *directory,
                             struct why *why) MUST_USE;

/* The user of a kubeconfig: the part of kube_place_from_files that reads "users". */
struct kube_entry;
enum err kube_place_take_user(struct kube_place *place, const struct kube_entry *user,
                              const struct kube_entry *cluster, struct why *why) MUST_USE;

/* One named entry of a kubeconfig, and where it stands. */
struct cJSON;
struct kube_entry {
    const char *path;         /* of the file */
    const char *kind, *name;  /* "users", "alice" */
    const struct cJSON *body; /* NULL: no such entry */
};

/* A text of an entry: *text NULL where it is absent, null or empty. ERR_INVALID: no text. */
enum err kube_entry_text(const struct kube_entry *e, const char *key, const char **text,
                         struct why *why) MUST_USE;
/* A path, made absolute by the file's directory; the caller owns it. */
enum err kube_entry_path(const struct kube_entry *e, const char *key, char **path,
                         struct why *why) MUST_USE;
/* The text behind a key's base64; the caller owns it. */
enum err kube_entry_data(const struct kube_entry *e, const char *key, char **data,
                         struct why *why) MUST_USE;
/* Says of a key what is wrong, with file and line. */
enum err kube_entry_refuse(const struct kube_entry *e, const char *key, struct why *why,
                           const char *fmt, ...) PRINTF_LIKE(4, 5);

#endif
