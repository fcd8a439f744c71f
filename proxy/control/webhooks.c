/* URLs and secrets of notifications.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/webhooks.h"

#include "base/check.h"
#include "proxy/conf/file.h"
#include "proxy/conf/text.h"
#include "proxy/conf/token.h"
#include "rollout/notify/notifier.h"
#include <string.h>
#include <sys/stat.h>

#define PUBLIC_FILE    "can be read by every user of this machine (expected mode 0600)"
#define LINE_MAX_BYTES 512
#define FILE_BYTES_MAX 8192 /* guards against a file that was named by mistake */

struct webhook {
    char *url; /* NULL = the configuration has it */
    char *secret;
    bool is_url_public, is_secret_public;
};

struct webhooks {
    const struct config *config;
    struct webhook items[]; /* [config->n_notifications] */
};

static void add(struct config_errors *to, enum err code, const struct webhooks *w, size_t i,
                bool is_secret, const char *text)
{
    const struct config_notification *n = &w->config->notifications[i];
    struct config_place place = is_secret ? n->secret_file_place : n->url_file_place;
    struct config_error e = {.line = place.line, .column = place.column};
    (void)snprintf(e.path, sizeof e.path, "notifications[%zu].%s", i,
                   is_secret ? "secret_file" : "url_file");
    (void)snprintf(e.text, sizeof e.text, "\"%.160s\" %.200s",
                   is_secret ? n->secret_file : n->url_file, text);
    config_errors_add(to, code, &e);
}

/* The first line of a file, trimmed, for token_free. is_public: other users of the machine may read it. */
static char *read_line(const char *path, bool *is_public, struct why *why)
{
    struct stat st;
    size_t len = 0;
    struct slice line, rest;
    char *bytes = file_read(path, FILE_BYTES_MAX, &len, why);
    if (!bytes)
        return NULL;
    (void)slice_cut(slice_of(bytes, len), '\n', &line, &rest);
    line = slice_trim(slice_of(line.at, line.len - (line.len && line.at[line.len - 1] == '\r')));
    bool is_usable = line.len > 0 && len < FILE_BYTES_MAX && !memchr(line.at, '\0', line.len);
    char *text = is_usable ? strndup(line.at, line.len) : NULL;
    explicit_bzero(bytes, len);
    free(bytes);
    if (!text)
        (void)why_set(why, ERR_INVALID, "holds no text in its first line (at most %d bytes in all)",
                      FILE_BYTES_MAX - 1);
    *is_public = text && stat(path, &st) == 0 && (st.st_mode & S_IROTH);
    return text;
}

static void read_url(struct webhooks *w, size_t i, struct config_errors *errors)
{
    struct webhook *hook = &w->items[i];
    struct why why;
    hook->url = read_line(w->config->notifications[i].url_file, &hook->is_url_public, &why);
    if (hook->url && text_check(TEXT_URL, slice_str(hook->url), &why) != OK)
        (void)why_set(&why, ERR_INVALID,
                      "holds no URL (expected one line such as https://host/path)");
    else if (hook->url)
        return;
    add(errors, ERR_INVALID, w, i, false, why.text);
}

static void read_secret(struct webhooks *w, size_t i, struct config_errors *errors)
{
    struct webhook *hook = &w->items[i];
    struct why why;
    hook->secret =
        read_line(w->config->notifications[i].secret_file, &hook->is_secret_public, &why);
    if (hook->secret && strlen(hook->secret) < WEBHOOKS_SECRET_MIN)
        (void)why_set(&why, ERR_INVALID,
                      "holds a secret of %zu characters (expected one line of at least %d, such as "
                      "openssl rand -hex 32 prints)",
                      strlen(hook->secret), WEBHOOKS_SECRET_MIN);
    else if (hook->secret)
        return;
    add(errors, ERR_INVALID, w, i, true, why.text);
}

struct webhooks *webhooks_read(const struct config *config, struct config_errors *errors)
{
    struct webhooks *w = calloc(1, sizeof *w + config->n_notifications * sizeof w->items[0]);
    if (!w) {
        errors->code = ERR_MEMORY;
        return NULL;
    }
    w->config = config;
    for (size_t i = 0; i < config->n_notifications; i++) {
        if (config->notifications[i].url_file)
            read_url(w, i, errors);
        if (config->notifications[i].secret_file)
            read_secret(w, i, errors);
    }
    if (errors->code == OK)
        return w;
    webhooks_free(w);
    return NULL;
}

void webhooks_free(struct webhooks *w)
{
    for (size_t i = 0; w && i < w->config->n_notifications; i++) {
        token_free(w->items[i].url);
        token_free(w->items[i].secret);
    }
    free(w);
}

void webhooks_warn(const struct webhooks *w, struct config_errors *warnings)
{
    for (size_t i = 0; w && i < w->config->n_notifications; i++) {
        if (w->items[i].is_url_public)
            add(warnings, ERR_INVALID, w, i, false, PUBLIC_FILE);
        if (w->items[i].is_secret_public)
            add(warnings, ERR_INVALID, w, i, true, PUBLIC_FILE);
    }
}

static const struct webhook *find(const struct webhooks *w, const char *name)
{
    for (size_t i = 0; i < w->config->n_notifications; i++)
        if (strcmp(w->config->notifications[i].name, name) == 0)
            return &w->items[i];
    return NULL;
}

static void tell_if_other(const char *name, const char *key, const char *old, const char *new,
                          changes_line_fn *tell, void *arg)
{
    char line[LINE_MAX_BYTES];
    if (!old || !new || strcmp(old, new) == 0)
        return;
    (void)snprintf(line, sizeof line, "notification %s: %s: the file holds another one", name, key);
    tell(arg, line);
}

void webhooks_tell_changes(const struct webhooks *old, const struct webhooks *new,
                           changes_line_fn *tell, void *arg)
{
    for (size_t i = 0; i < new->config->n_notifications; i++) {
        const char *name = new->config->notifications[i].name;
        const struct webhook *before = find(old, name), *now = &new->items[i];
        if (!before)
            continue;
        tell_if_other(name, "url_file", before->url, now->url, tell, arg);
        tell_if_other(name, "secret_file", before->secret, now->secret, tell, arg);
    }
}

enum err webhooks_use(const struct webhooks *w, struct notifier *notifier)
{
    struct notifier_target targets[NOTIFIER_TARGETS_MAX];
    size_t n = w->config->n_notifications;
    CHECK(n <= NOTIFIER_TARGETS_MAX);
    for (size_t i = 0; i < n; i++) {
        const struct config_notification *conf = &w->config->notifications[i];
        targets[i] = (struct notifier_target){.name = conf->name,
                                              .url = conf->url ? conf->url : w->items[i].url,
                                              .secret = w->items[i].secret,
                                              .format = (enum notify_format)conf->format,
                                              .events = conf->events,
                                              .routes = conf->routes.items,
                                              .n_routes = conf->routes.n,
                                              .timeout_ms = conf->timeout_ms};
    }
    return notifier_configure(notifier, targets, n, w->config->admin.url);
}
