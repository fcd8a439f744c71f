/* Kubeconfig files, merged as kubectl merges them, and a pod's service account.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/kube/place.h"
#include "base/check.h"
#include "base/slice.h"
#include "rollout/kube/manifest.h"
#include "rollout/kube/text.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* Guards against a KUBECONFIG that is none. */
#define FILES_MAX 32

struct files {
    struct file {
        char *path;
        struct cJSON *documents;
        const struct cJSON *root; /* NULL: the file is empty */
    } at[FILES_MAX];
    unsigned n;
};

void kube_place_fini(struct kube_place *p)
{
    free(p->server);
    free(p->name_space);
    free(p->token);
    free(p->token_file);
    for (size_t i = 0; p->argv && p->argv[i]; i++)
        free(p->argv[i]);
    for (size_t i = 0; p->env && p->env[i]; i++)
        free(p->env[i]);
    free(p->argv);
    free(p->env);
    for (unsigned i = 0; i < p->n_texts; i++)
        free(p->texts[i]);
}

const char *kube_place_keep(struct kube_place *p, char *text)
{
    CHECK(p->n_texts < KUBE_PLACE_TEXTS);
    if (text)
        p->texts[p->n_texts++] = text;
    return text;
}

/* Entries. */

enum err kube_entry_refuse(const struct kube_entry *e, const char *key, struct why *why,
                           const char *fmt, ...)
{
    char text[WHY_MAX / 2];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    const struct cJSON *value = key ? cJSON_GetObjectItemCaseSensitive(e->body, key) : NULL;
    unsigned line = manifest_line(value) ? manifest_line(value) : manifest_line(e->body);
    char place[24] = "";
    if (line)
        (void)snprintf(place, sizeof place, ":%u", line);
    return why_set(why, ERR_INVALID, "%s%s: %s[%s]%s%s: %s", e->path, place, e->kind, e->name,
                   key ? "." : "", key ? key : "", text);
}

enum err kube_entry_text(const struct kube_entry *e, const char *key, const char **text,
                         struct why *why)
{
    const struct cJSON *value = cJSON_GetObjectItemCaseSensitive(e->body, key);
    *text = NULL;
    if (!value || cJSON_IsNull(value))
        return OK;
    if (!cJSON_IsString(value))
        return kube_entry_refuse(e, key, why, "no text");
    if (value->valuestring[0])
        *text = value->valuestring;
    return OK;
}

enum err kube_entry_path(const struct kube_entry *e, const char *key, char **path, struct why *why)
{
    const char *text, *slash = strrchr(e->path, '/');
    enum err err = kube_entry_text(e, key, &text, why);
    *path = NULL;
    if (err != OK || !text)
        return err;
    int dir = text[0] == '/' || !slash ? 0 : (int)(slash - e->path) + 1;
    if (asprintf(path, "%.*s%s", dir, e->path, text) >= 0)
        return OK;
    *path = NULL;
    return why_set(why, ERR_MEMORY, "out of memory");
}

enum err kube_entry_data(const struct kube_entry *e, const char *key, char **data, struct why *why)
{
    const char *text;
    enum err err = kube_entry_text(e, key, &text, why);
    *data = NULL;
    if (err != OK || !text)
        return err;
    *data = kube_base64_decode(text);
    return *data ? OK : kube_entry_refuse(e, key, why, "not base64 of a text");
}

/* Files. */

static void close_files(struct files *f)
{
    for (unsigned i = 0; i < f->n; i++) {
        free(f->at[i].path);
        cJSON_Delete(f->at[i].documents);
    }
}

static enum err read_file(struct file *file, struct why *why)
{
    struct why reason = {""};
    file->documents = manifest_read(file->path, &reason);
    if (!file->documents)
        return why_set(why, ERR_INVALID, "%s", reason.text);
    if (cJSON_GetArraySize(file->documents) > 1)
        return why_set(why, ERR_INVALID, "%s: more than one document", file->path);
    file->root = cJSON_GetArrayItem(file->documents, 0);
    if (file->root && !cJSON_IsObject(file->root))
        return why_set(why, ERR_INVALID, "%s: no kubeconfig: not a mapping", file->path);
    return OK;
}

static enum err add_file(struct files *f, struct slice path, bool is_needed, struct why *why)
{
    char *copy = strndup(path.at, path.len);
    if (!copy)
        return why_set(why, ERR_MEMORY, "out of memory");
    if (!is_needed && access(copy, F_OK) < 0) {
        free(copy);
        return OK;
    }
    if (f->n == FILES_MAX) {
        free(copy);
        return why_set(why, ERR_LIMIT, "KUBECONFIG names more than %d files", FILES_MAX);
    }
    struct file *file = &f->at[f->n++];
    file->path = copy;
    return read_file(file, why);
}

static enum err read_files(struct files *f, const char *paths, struct why *why)
{
    struct slice rest = slice_str(paths), path;
    bool is_only = !strchr(paths, ':');
    enum err err = OK;
    for (bool more = true; more && err == OK;) {
        more = slice_cut(rest, ':', &path, &rest);
        if (path.len)
            err = add_file(f, path, is_only, why);
    }
    if (err == OK && f->n == 0)
        return why_set(why, ERR_NOT_FOUND, "%s: none of these files is there", paths);
    return err;
}

/* The entry of that name in the first file that has one: {name: NAME, member: BODY}. */
static enum err find_entry(const struct files *f, const char *kind, const char *member,
                           struct kube_entry *e, struct why *why)
{
    e->kind = kind;
    for (unsigned i = 0; i < f->n; i++) {
        const struct cJSON *list = cJSON_GetObjectItemCaseSensitive(f->at[i].root, kind), *it;
        e->path = f->at[i].path;
        if (list && !cJSON_IsArray(list) && !cJSON_IsNull(list))
            return why_set(why, ERR_INVALID, "%s: %s is no list", e->path, kind);
        cJSON_ArrayForEach(it, list)
        {
            const struct cJSON *name = cJSON_GetObjectItemCaseSensitive(it, "name");
            if (!cJSON_IsString(name) || strcmp(name->valuestring, e->name) != 0)
                continue;
            e->body = cJSON_GetObjectItemCaseSensitive(it, member);
            return cJSON_IsObject(e->body)
                       ? OK
                       : why_set(why, ERR_INVALID, "%s:%u: %s[%s] has no %s", e->path,
                                 manifest_line(it), kind, e->name, member);
        }
    }
    return why_set(why, ERR_INVALID, "%s: no %s has the name %s", f->at[0].path, kind, e->name);
}

static const char *current_context(const struct files *f)
{
    for (unsigned i = 0; i < f->n; i++) {
        const struct cJSON *c = cJSON_GetObjectItemCaseSensitive(f->at[i].root, "current-context");
        if (cJSON_IsString(c) && c->valuestring[0])
            return c->valuestring;
    }
    return NULL;
}

/* The cluster. */

static enum err take_server(struct kube_place *p, const struct kube_entry *cluster, struct why *why)
{
    const char *server;
    enum err err = kube_entry_text(cluster, "server", &server, why);
    if (err != OK)
        return err;
    if (!server)
        return kube_entry_refuse(cluster, NULL, why, "no server");
    bool is_url = strncasecmp(server, "https://", 8) == 0 || strncasecmp(server, "http://", 7) == 0;
    if (!is_url || strpbrk(server, "@?# \t\r\n"))
        return kube_entry_refuse(cluster, "server", why,
                                 "expected https://HOST[:PORT][/PATH] and no more");
    p->server = strdup(server);
    if (!p->server)
        return why_set(why, ERR_MEMORY, "out of memory");
    for (size_t n = strlen(p->server); n && p->server[n - 1] == '/'; n--)
        p->server[n - 1] = '\0';
    return OK;
}

static enum err refuse_unverified(const struct kube_entry *cluster, struct why *why)
{
    static const char key[] = "insecure-skip-tls-verify";
    const char *proxy;
    if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(cluster->body, key)))
        return kube_entry_refuse(cluster, key, why,
                                 "refused: whoever answers there would get the credentials; put "
                                 "the server's CA into certificate-authority-data");
    enum err err = kube_entry_text(cluster, "proxy-url", &proxy, why);
    if (err == OK && proxy)
        return kube_entry_refuse(cluster, "proxy-url", why, "serin speaks to no proxy");
    return err;
}

static enum err take_cluster(struct kube_place *p, const struct kube_entry *cluster,
                             struct why *why)
{
    char *pem = NULL, *path = NULL;
    const char *name = NULL;
    enum err err = refuse_unverified(cluster, why);
    if (err == OK)
        err = take_server(p, cluster, why);
    if (err == OK)
        err = kube_entry_data(cluster, "certificate-authority-data", &pem, why);
    if (err == OK)
        err = kube_entry_path(cluster, "certificate-authority", &path, why);
    if (err == OK)
        err = kube_entry_text(cluster, "tls-server-name", &name, why);
    p->tls.ca_pem = kube_place_keep(p, pem);
    const char *file = kube_place_keep(p, path);
    p->tls.ca_file = pem ? NULL : file; /* the data goes first, as in kubectl */
    if (err == OK && p->tls.ca_file && access(p->tls.ca_file, R_OK) < 0)
        err = kube_entry_refuse(cluster, "certificate-authority", why, "%s cannot be read",
                                p->tls.ca_file);
    if (err == OK && name && !(p->tls.name = kube_place_keep(p, strdup(name))))
        err = why_set(why, ERR_MEMORY, "out of memory");
    return err;
}

static enum err take_context(struct kube_place *p, const struct files *f,
                             const struct kube_entry *context, struct why *why)
{
    const char *name_space = NULL;
    struct kube_entry cluster = {0}, user = {0};
    enum err err = kube_entry_text(context, "namespace", &name_space, why);
    if (err == OK && name_space && !(p->name_space = strdup(name_space)))
        err = why_set(why, ERR_MEMORY, "out of memory");
    if (err == OK)
        err = kube_entry_text(context, "cluster", &cluster.name, why);
    if (err == OK && !cluster.name)
        err = kube_entry_refuse(context, NULL, why, "no cluster");
    if (err == OK)
        err = find_entry(f, "clusters", "cluster", &cluster, why);
    if (err == OK)
        err = take_cluster(p, &cluster, why);
    if (err == OK)
        err = kube_entry_text(context, "user", &user.name, why);
    if (err != OK || !user.name)
        return err; /* a cluster may know nobody */
    err = find_entry(f, "users", "user", &user, why);
    return err == OK ? kube_place_take_user(p, &user, &cluster, why) : err;
}

enum err kube_place_from_files(struct kube_place *p, const char *paths, const char *context,
                               struct why *why)
{
    struct files f = {.n = 0};
    struct kube_entry entry = {.name = context};
    enum err err = read_files(&f, paths, why);
    if (err == OK && !entry.name)
        entry.name = current_context(&f);
    if (err == OK && !entry.name)
        err = why_set(why, ERR_INVALID, "%s: no current-context, and none was named", f.at[0].path);
    if (err == OK)
        err = find_entry(&f, "contexts", "context", &entry, why);
    if (err == OK)
        err = take_context(p, &f, &entry, why);
    close_files(&f);
    return err;
}

/* A pod. */

static enum err take_namespace(struct kube_place *p, const char *directory, struct why *why)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/namespace", directory);
    p->name_space = kube_file_read(path, why);
    if (!p->name_space)
        return ERR_IO;
    kube_trim_end(p->name_space);
    return OK;
}

enum err kube_place_from_pod(struct kube_place *p, const char *directory, struct why *why)
{
    const char *host = getenv("KUBERNETES_SERVICE_HOST"), *port = getenv("KUBERNETES_SERVICE_PORT");
    char *ca = NULL;
    if (!host || !host[0] || !port || !port[0])
        return why_set(why, ERR_NOT_FOUND,
                       "KUBERNETES_SERVICE_HOST and _PORT are not set: this is no pod");
    bool is_ipv6 = strchr(host, ':') != NULL;
    if (asprintf(&p->server, "https://%s%s%s:%s", is_ipv6 ? "[" : "", host, is_ipv6 ? "]" : "",
                 port) < 0)
        p->server = NULL;
    if (asprintf(&p->token_file, "%s/token", directory) < 0)
        p->token_file = NULL;
    if (asprintf(&ca, "%s/ca.crt", directory) < 0)
        ca = NULL;
    p->tls.ca_file = kube_place_keep(p, ca);
    if (!p->server || !p->token_file || !ca)
        return why_set(why, ERR_MEMORY, "out of memory");
    if (access(ca, R_OK) < 0)
        return why_set(why, ERR_IO, "%s: cannot be read", ca);
    return take_namespace(p, directory, why);
}
