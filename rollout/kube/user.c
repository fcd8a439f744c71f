/* The user of a kubeconfig: a token, a client certificate, or the command that gets them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "rollout/kube/place.h"
#include "rollout/kube/text.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define EXEC_V1      "client.authentication.k8s.io/v1"
#define EXEC_V1BETA1 "client.authentication.k8s.io/v1beta1"
/* Guards memory and the kernel's own bound. */
#define EXEC_ITEMS_MAX 256

/* What would mean something else if it were passed over. */
static const struct {
    const char *key, *why;
} refused[] = {
    {"username", "Kubernetes takes no basic authentication since 1.19: use a token"},
    {"password", "Kubernetes takes no basic authentication since 1.19: use a token"},
    {"auth-provider", "kubectl dropped these in 1.26: use exec"},
    {"as", "serin acts for nobody else (impersonation)"},
    {"as-uid", "serin acts for nobody else (impersonation)"},
    {"as-groups", "serin acts for nobody else (impersonation)"},
    {"as-user-extra", "serin acts for nobody else (impersonation)"},
};

static enum err refuse_foreign(const struct kube_entry *user, struct why *why)
{
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        const struct cJSON *v = cJSON_GetObjectItemCaseSensitive(user->body, refused[i].key);
        if (v && !cJSON_IsNull(v) && !(cJSON_IsString(v) && !v->valuestring[0]) &&
            !(cJSON_IsArray(v) && !v->child) && !(cJSON_IsObject(v) && !v->child))
            return kube_entry_refuse(user, refused[i].key, why, "%s", refused[i].why);
    }
    return OK;
}

static enum err take_token(struct kube_place *p, const struct kube_entry *user, struct why *why)
{
    const char *token;
    enum err err = kube_entry_path(user, "tokenFile", &p->token_file, why);
    if (err == OK)
        err = kube_entry_text(user, "token", &token, why);
    if (err != OK || !token || p->token_file) /* the file goes first, as in kubectl */
        return err;
    if (!kube_is_token(token))
        return kube_entry_refuse(user, "token", why, "holds what no token holds");
    p->token = strdup(token);
    return p->token ? OK : why_set(why, ERR_MEMORY, "out of memory");
}

/* One of a pair: the data, or else the file. */
static enum err take_pem(struct kube_place *p, const struct kube_entry *user, const char *key,
                         const char **pem, const char **file, struct why *why)
{
    char data_key[64], *data = NULL, *path = NULL;
    (void)snprintf(data_key, sizeof data_key, "%s-data", key);
    enum err err = kube_entry_data(user, data_key, &data, why);
    if (err == OK)
        err = kube_entry_path(user, key, &path, why);
    *pem = kube_place_keep(p, data);
    const char *kept = kube_place_keep(p, path);
    *file = data ? NULL : kept;
    if (err == OK && *file && access(*file, R_OK) < 0)
        err = kube_entry_refuse(user, key, why, "%s cannot be read", *file);
    return err;
}

static enum err take_certificate(struct kube_place *p, const struct kube_entry *user,
                                 struct why *why)
{
    struct http_tls *t = &p->tls;
    enum err err = take_pem(p, user, "client-certificate", &t->cert_pem, &t->cert_file, why);
    if (err == OK)
        err = take_pem(p, user, "client-key", &t->key_pem, &t->key_file, why);
    if (err == OK && (t->cert_pem || t->cert_file) != (t->key_pem || t->key_file))
        err = kube_entry_refuse(user, NULL, why, "client-certificate and client-key go together");
    return err;
}

/* The command. */

/* A relative command that names a directory is meant from the file's own; a bare name is looked for
 * in PATH. */
static enum err take_command(char **argv, const struct kube_entry *exec, struct why *why)
{
    const char *command;
    enum err err = kube_entry_text(exec, "command", &command, why);
    if (err != OK)
        return err;
    if (!command)
        return kube_entry_refuse(exec, NULL, why, "no command");
    if (strchr(command, '/'))
        return kube_entry_path(exec, "command", &argv[0], why);
    argv[0] = strdup(command);
    return argv[0] ? OK : why_set(why, ERR_MEMORY, "out of memory");
}

static enum err take_arguments(struct kube_place *p, const struct kube_entry *exec, struct why *why)
{
    const struct cJSON *args = cJSON_GetObjectItemCaseSensitive(exec->body, "args"), *it;
    size_t n = 1;
    if ((args && !cJSON_IsArray(args) && !cJSON_IsNull(args)) ||
        cJSON_GetArraySize(args) > EXEC_ITEMS_MAX)
        return kube_entry_refuse(exec, "args", why, "no list of at most %d texts", EXEC_ITEMS_MAX);
    p->argv = calloc((size_t)cJSON_GetArraySize(args) + 2, sizeof *p->argv);
    if (!p->argv)
        return why_set(why, ERR_MEMORY, "out of memory");
    enum err err = take_command(p->argv, exec, why);
    if (err != OK)
        return err;
    cJSON_ArrayForEach(it, args)
    {
        if (!cJSON_IsString(it))
            return kube_entry_refuse(exec, "args", why, "not all of them are texts");
        p->argv[n] = strdup(it->valuestring);
        if (!p->argv[n++])
            return why_set(why, ERR_MEMORY, "out of memory");
    }
    return OK;
}

/* certificate-authority-data, of the file where there is one. NULL: none, or memory. */
static char *encoded_ca(const struct kube_place *p)
{
    struct why why;
    char *pem = p->tls.ca_pem    ? strdup(p->tls.ca_pem)
                : p->tls.ca_file ? kube_file_read(p->tls.ca_file, &why)
                                 : NULL;
    char *encoded = pem ? kube_base64_encode(pem, strlen(pem)) : NULL;
    free(pem);
    return encoded;
}

static bool add_cluster(const struct kube_place *p, struct cJSON *spec)
{
    struct cJSON *cluster = cJSON_AddObjectToObject(spec, "cluster");
    char *ca = encoded_ca(p);
    bool is_added =
        cluster && cJSON_AddStringToObject(cluster, "server", p->server) &&
        (!p->tls.name || cJSON_AddStringToObject(cluster, "tls-server-name", p->tls.name)) &&
        (!ca || cJSON_AddStringToObject(cluster, "certificate-authority-data", ca));
    free(ca);
    return is_added;
}

/* KUBERNETES_EXEC_INFO=...: what a command is told; the caller owns it. */
static char *exec_info(const struct kube_place *p, const struct kube_entry *exec)
{
    struct cJSON *info = cJSON_CreateObject();
    struct cJSON *spec = info ? cJSON_AddObjectToObject(info, "spec") : NULL;
    char *json = NULL, *text = NULL;
    bool wants_cluster =
        cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(exec->body, "provideClusterInfo"));
    if (spec && cJSON_AddStringToObject(info, "kind", "ExecCredential") &&
        cJSON_AddStringToObject(info, "apiVersion", p->exec_version) &&
        cJSON_AddBoolToObject(spec, "interactive", p->is_interactive) &&
        (!wants_cluster || add_cluster(p, spec)))
        json = cJSON_PrintUnformatted(info);
    if (json && asprintf(&text, "KUBERNETES_EXEC_INFO=%s", json) < 0)
        text = NULL;
    cJSON_free(json);
    cJSON_Delete(info);
    return text;
}

static enum err take_environment(struct kube_place *p, const struct kube_entry *exec,
                                 struct why *why)
{
    const struct cJSON *env = cJSON_GetObjectItemCaseSensitive(exec->body, "env"), *it;
    size_t n = 0;
    if ((env && !cJSON_IsArray(env) && !cJSON_IsNull(env)) ||
        cJSON_GetArraySize(env) > EXEC_ITEMS_MAX)
        return kube_entry_refuse(exec, "env", why, "no list of at most %d", EXEC_ITEMS_MAX);
    p->env = calloc((size_t)cJSON_GetArraySize(env) + 2, sizeof *p->env);
    if (!p->env || !(p->env[n++] = exec_info(p, exec)))
        return why_set(why, ERR_MEMORY, "out of memory");
    cJSON_ArrayForEach(it, env)
    {
        const struct cJSON *name = cJSON_GetObjectItemCaseSensitive(it, "name");
        const struct cJSON *value = cJSON_GetObjectItemCaseSensitive(it, "value");
        if (!cJSON_IsString(name) || !cJSON_IsString(value) || strchr(name->valuestring, '='))
            return kube_entry_refuse(exec, "env", why, "not all of them have name and value");
        if (asprintf(&p->env[n], "%s=%s", name->valuestring, value->valuestring) < 0) {
            p->env[n] = NULL;
            return why_set(why, ERR_MEMORY, "out of memory");
        }
        n++;
    }
    return OK;
}

static enum err take_mode(struct kube_place *p, const struct kube_entry *exec, struct why *why)
{
    const char *version, *mode;
    enum err err = kube_entry_text(exec, "apiVersion", &version, why);
    if (err == OK)
        err = kube_entry_text(exec, "interactiveMode", &mode, why);
    if (err != OK)
        return err;
    bool is_v1 = version && strcmp(version, EXEC_V1) == 0;
    if (!is_v1 && !(version && strcmp(version, EXEC_V1BETA1) == 0))
        return kube_entry_refuse(exec, "apiVersion", why, "expected %s or %s", EXEC_V1,
                                 EXEC_V1BETA1);
    if (!mode && is_v1)
        return kube_entry_refuse(exec, NULL, why,
                                 "interactiveMode is needed: Never, IfAvailable or Always");
    p->exec_version = is_v1 ? EXEC_V1 : EXEC_V1BETA1;
    if (mode && strcmp(mode, "Never") == 0)
        return OK;
    bool is_always = mode && strcmp(mode, "Always") == 0;
    if (mode && !is_always && strcmp(mode, "IfAvailable") != 0)
        return kube_entry_refuse(exec, "interactiveMode", why,
                                 "expected Never, IfAvailable or Always");
    p->is_interactive = isatty(STDIN_FILENO);
    if (is_always && !p->is_interactive)
        return kube_entry_refuse(exec, "interactiveMode", why,
                                 "the command asks a person, and standard input is no terminal");
    return OK;
}

static enum err take_exec(struct kube_place *p, const struct kube_entry *user, struct why *why)
{
    struct kube_entry exec = *user;
    exec.body = cJSON_GetObjectItemCaseSensitive(user->body, "exec");
    if (!exec.body || cJSON_IsNull(exec.body))
        return OK;
    if (!cJSON_IsObject(exec.body))
        return kube_entry_refuse(user, "exec", why, "no mapping");
    enum err err = take_mode(p, &exec, why);
    if (err == OK)
        err = take_arguments(p, &exec, why);
    return err == OK ? take_environment(p, &exec, why) : err;
}

/* localhost, 127.x.y.z or ::1, whole: 127.0.0.1.example.com is somebody else's name. */
static bool is_this_machine(const char *host)
{
    size_t n = strcspn(host, "/:");
    if (strncasecmp(host, "[::1]", 5) == 0)
        return !host[5] || host[5] == ':' || host[5] == '/';
    if (n == 9 && strncasecmp(host, "localhost", n) == 0)
        return true;
    return strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == n;
}

/* A token would be readable by everyone between: kubectl drops it without a word. */
static enum err check_secrecy(const struct kube_place *p, const struct kube_entry *user,
                              const struct kube_entry *cluster, struct why *why)
{
    bool has_secret = p->token || p->token_file || p->argv;
    if (!has_secret || strncasecmp(p->server, "https://", 8) == 0 ||
        is_this_machine(p->server + strlen("http://")))
        return OK;
    return kube_entry_refuse(cluster, "server", why,
                             "the credentials of %s would cross the network unencrypted: use "
                             "https://",
                             user->name);
}

enum err kube_place_take_user(struct kube_place *p, const struct kube_entry *user,
                              const struct kube_entry *cluster, struct why *why)
{
    enum err err = refuse_foreign(user, why);
    if (err == OK)
        err = take_token(p, user, why);
    if (err == OK)
        err = take_certificate(p, user, why);
    if (err == OK && !p->token && !p->token_file) /* a token goes first, as in kubectl */
        err = take_exec(p, user, why);
    return err == OK ? check_secrecy(p, user, cluster, why) : err;
}
