/* Where the API server is and how serin shows who it is: a pod's service account, or a kubeconfig.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_KUBE_AUTH_H
#define SERIN_ROLLOUT_KUBE_AUTH_H

#include "base/err.h"

#include <stdbool.h>

struct http_tls;
struct kube_auth;

/* Everything may be NULL. */
struct kube_auth_setup {
    /* A file; NULL: the files of KUBECONFIG, else ~/.kube/config where it is, else the pod's service
     * account: the order of kubectl, so that both speak to the same cluster. */
    const char *kubeconfig;
    const char *context;         /* NULL: current-context */
    const char *name_space;      /* NULL: the context's, the service account's, "default" */
    const char *service_account; /* its directory; NULL: KUBE_SERVICE_ACCOUNT */
};

#define KUBE_SERVICE_ACCOUNT "/var/run/secrets/kubernetes.io/serviceaccount"

/* Reads it. NULL with the reason: file, line and key where a file is at fault. Blocks on files only. */
struct kube_auth *kube_auth_new(const struct kube_auth_setup *setup, struct why *why) MUST_USE;
void kube_auth_free(struct kube_auth *a);

/* "https://10.0.0.1:443", without a slash at the end; the namespace; CA and client certificate. */
const char *kube_auth_server(const struct kube_auth *a);
const char *kube_auth_namespace(const struct kube_auth *a);
const struct http_tls *kube_auth_tls(const struct kube_auth *a);

/* The bearer token for the next request, NULL where none is shown. A file's is read again when it
 * has changed (it rotates). Borrowed until the next call of this module. */
const char *kube_auth_token(struct kube_auth *a);

/* Where a token comes from a command (exec credential): its argument vector and environment
 * additions ("NAME=value"), NULL-terminated; false where none is to be run now (there is none, or the last one
 * is still good). What it prints goes to kube_auth_take_credential. */
bool kube_auth_needs_command(const struct kube_auth *a, const char *const **argv,
                             const char *const **env);
/* Whether that command may ask the person at the terminal. */
bool kube_auth_is_interactive(const struct kube_auth *a);

/* Takes an ExecCredential as the command printed it. ERR_INVALID: not one, with the reason, which
 * holds no part of a secret. */
enum err kube_auth_take_credential(struct kube_auth *a, const char *text, struct why *why) MUST_USE;

/* The server refused what was shown (401): read again, ask the command again. */
void kube_auth_refused(struct kube_auth *a);

#endif
