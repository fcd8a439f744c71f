/* Where the API server is and how serin shows who it is, kept fresh: files rotate, commands' tokens end.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/kube/auth.h"
#include "base/log.h"
#include "rollout/kube/place.h"
#include "rollout/kube/text.h"
#include "rollout/kube/time.h"
#include "rollout/kube/clock.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A token is asked for again before it ends: the request has to arrive while it is good. */
#define EARLY_MS 10000
/* RFC 1123 label. */
#define NAMESPACE_MAX 63

struct kube_auth {
    struct kube_place place;
    char name_space[NAMESPACE_MAX + 1];

    struct stat file; /* the token file as it was read */
    bool is_stale;    /* it is to be read again whatever it looks like */

    /* What the command gave; all NULL: nothing that is still good. */
    char *token, *cert_pem, *key_pem;
    bool has_credential;
    int64_t ends_ms;     /* wall time; 0 = it does not say */
    struct http_tls tls; /* the place's, with the command's certificate */
};

/* The kubeconfig that counts where none was named; the caller owns it. NULL: there is none. */
static char *default_paths(void)
{
    const char *named = getenv("KUBECONFIG"), *home = getenv("HOME");
    char *path = NULL;
    if (named && named[0])
        return strdup(named);
    if (!home || !home[0] || asprintf(&path, "%s/.kube/config", home) < 0)
        return NULL;
    if (access(path, F_OK) == 0)
        return path;
    free(path);
    return NULL;
}

static enum err find_place(struct kube_auth *a, const struct kube_auth_setup *setup,
                           struct why *why)
{
    const char *host = getenv("KUBERNETES_SERVICE_HOST");
    char *paths = setup->kubeconfig ? strdup(setup->kubeconfig) : default_paths();
    enum err err;
    if (paths)
        err = kube_place_from_files(&a->place, paths, setup->context, why);
    else if (setup->context)
        err = why_set(why, ERR_NOT_FOUND, "context %s: there is no kubeconfig", setup->context);
    else if (!host || !host[0])
        err = why_set(why, ERR_NOT_FOUND,
                      "no cluster: neither a kubeconfig (KUBECONFIG, ~/.kube/config) nor the "
                      "service account of a pod is here");
    else
        err = kube_place_from_pod(
            &a->place, setup->service_account ? setup->service_account : KUBE_SERVICE_ACCOUNT, why);
    free(paths);
    return err;
}

static enum err set_namespace(struct kube_auth *a, const char *wanted, struct why *why)
{
    const char *n = wanted ? wanted : a->place.name_space ? a->place.name_space : "default";
    size_t len = strlen(n);
    bool is_label = len > 0 && len <= NAMESPACE_MAX &&
                    strspn(n, "abcdefghijklmnopqrstuvwxyz0123456789-") == len && n[0] != '-' &&
                    n[len - 1] != '-';
    if (!is_label)
        return why_set(why, ERR_INVALID, "namespace \"%.64s\": no name that Kubernetes takes", n);
    memcpy(a->name_space, n, len + 1);
    return OK;
}

/* The file's token into place.token. What was good stays where the new one cannot be had. */
static enum err read_token(struct kube_auth *a, struct why *why)
{
    struct stat now;
    if (stat(a->place.token_file, &now) < 0)
        memset(&now, 0, sizeof now);
    bool is_same = now.st_ino == a->file.st_ino && now.st_size == a->file.st_size &&
                   now.st_mtim.tv_sec == a->file.st_mtim.tv_sec &&
                   now.st_mtim.tv_nsec == a->file.st_mtim.tv_nsec;
    if (is_same && !a->is_stale && a->place.token)
        return OK;
    char *token = kube_file_read(a->place.token_file, why);
    if (!token)
        return ERR_IO;
    kube_trim_end(token);
    if (!kube_is_token(token)) {
        free(token);
        return why_set(why, ERR_INVALID, "%s: holds no token", a->place.token_file);
    }
    free(a->place.token);
    a->place.token = token;
    a->file = now;
    a->is_stale = false;
    return OK;
}

struct kube_auth *kube_auth_new(const struct kube_auth_setup *setup, struct why *why)
{
    struct kube_auth *a = calloc(1, sizeof *a);
    if (!a) {
        (void)why_set(why, ERR_MEMORY, "out of memory");
        return NULL;
    }
    enum err err = find_place(a, setup, why);
    if (err == OK)
        err = set_namespace(a, setup->name_space, why);
    if (err == OK && a->place.token_file)
        err = read_token(a, why);
    a->tls = a->place.tls;
    if (err == OK)
        return a;
    kube_auth_free(a);
    return NULL;
}

static void drop_credential(struct kube_auth *a)
{
    free(a->token);
    free(a->cert_pem);
    free(a->key_pem);
    a->token = a->cert_pem = a->key_pem = NULL;
    a->has_credential = false;
    a->ends_ms = 0;
    a->tls = a->place.tls;
}

void kube_auth_free(struct kube_auth *a)
{
    if (!a)
        return;
    drop_credential(a);
    kube_place_fini(&a->place);
    free(a);
}

const char *kube_auth_server(const struct kube_auth *a)
{
    return a->place.server;
}

const char *kube_auth_namespace(const struct kube_auth *a)
{
    return a->name_space;
}

const struct http_tls *kube_auth_tls(const struct kube_auth *a)
{
    return &a->tls;
}

const char *kube_auth_token(struct kube_auth *a)
{
    struct why why = {""};
    struct log_quoted quoted;
    if (a->place.argv)
        return a->token;
    if (a->place.token_file && read_token(a, &why) != OK)
        log_warn("kube_token_unread", "why=%s", log_quote(&quoted, slice_str(why.text)));
    return a->place.token;
}

void kube_auth_refused(struct kube_auth *a)
{
    a->is_stale = true;
    drop_credential(a);
}

/* The command. */

bool kube_auth_needs_command(const struct kube_auth *a, const char *const **argv,
                             const char *const **env)
{
    bool is_good = a->has_credential && (!a->ends_ms || kube_wall_ms() < a->ends_ms - EARLY_MS);
    if (!a->place.argv || is_good)
        return false;
    *argv = (const char *const *)a->place.argv;
    *env = (const char *const *)a->place.env;
    return true;
}

bool kube_auth_is_interactive(const struct kube_auth *a)
{
    return a->place.is_interactive;
}

static const char *text_of(const struct cJSON *object, const char *key)
{
    const struct cJSON *value = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsString(value) && value->valuestring[0] ? value->valuestring : NULL;
}

static enum err check_credential(const struct kube_auth *a, const struct cJSON *json,
                                 const struct cJSON *status, struct why *why)
{
    const char *kind = text_of(json, "kind"), *version = text_of(json, "apiVersion");
    const char *token = text_of(status, "token");
    const char *cert = text_of(status, "clientCertificateData");
    const char *key = text_of(status, "clientKeyData");
    if (!kind || strcmp(kind, "ExecCredential") != 0)
        return why_set(why, ERR_INVALID, "the command %s printed no ExecCredential",
                       a->place.argv[0]);
    if (!version || strcmp(version, a->place.exec_version) != 0)
        return why_set(why, ERR_INVALID, "the command %s speaks another apiVersion than %s",
                       a->place.argv[0], a->place.exec_version);
    if (!token && !cert)
        return why_set(why, ERR_INVALID, "the command %s gave neither token nor certificate",
                       a->place.argv[0]);
    if (!cert != !key)
        return why_set(why, ERR_INVALID, "the command %s gave a certificate without its key",
                       a->place.argv[0]);
    if (token && !kube_is_token(token))
        return why_set(why, ERR_INVALID, "the command %s gave what no token holds",
                       a->place.argv[0]);
    return OK;
}

static char *copy_of(const char *text, enum err *err)
{
    char *copy = text ? strdup(text) : NULL;
    if (text && !copy)
        *err = ERR_MEMORY;
    return copy;
}

static enum err keep_credential(struct kube_auth *a, const struct cJSON *status, struct why *why)
{
    const char *ends = text_of(status, "expirationTimestamp");
    enum err err = OK;
    drop_credential(a);
    if (ends && !kube_time_parse(ends, &a->ends_ms))
        return why_set(why, ERR_INVALID, "the command %s gave an expirationTimestamp that is none",
                       a->place.argv[0]);
    a->token = copy_of(text_of(status, "token"), &err);
    a->cert_pem = copy_of(text_of(status, "clientCertificateData"), &err);
    a->key_pem = copy_of(text_of(status, "clientKeyData"), &err);
    if (err != OK) {
        drop_credential(a);
        return why_set(why, err, "out of memory");
    }
    if (a->cert_pem) {
        a->tls.cert_pem = a->cert_pem;
        a->tls.key_pem = a->key_pem;
        a->tls.cert_file = a->tls.key_file = NULL;
    }
    a->has_credential = true;
    return OK;
}

enum err kube_auth_take_credential(struct kube_auth *a, const char *text, struct why *why)
{
    struct cJSON *json = cJSON_Parse(text);
    const struct cJSON *status = cJSON_GetObjectItemCaseSensitive(json, "status");
    enum err err = check_credential(a, json, status, why);
    if (err == OK)
        err = keep_credential(a, status, why);
    cJSON_Delete(json);
    return err;
}
