/* The rules between the keys of notifications.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/conf/notifications.h"

#include "proxy/conf/place.h"
#include <string.h>

void notifications_note_places(struct config *config, const struct tree *tree)
{
    const struct node *list = node_child(tree->root, "notifications");
    for (size_t i = 0; i < config->n_notifications; i++) {
        const struct node *node = node_item(list, i);
        config->notifications[i].url_file_place = place_of(node_child(node, "url_file"));
        config->notifications[i].secret_file_place = place_of(node_child(node, "secret_file"));
    }
}

static void check_name(const struct config *config, size_t at, struct node *node,
                       struct config_errors *errors)
{
    const char *name = config->notifications[at].name;
    for (size_t i = 0; name && i < at; i++) {
        const char *other = config->notifications[i].name;
        if (!other || strcmp(name, other) != 0)
            continue;
        node_complain(node_child(node, "name"), errors,
                      "\"%s\" is the name of notifications[%zu] too", name, i);
        return;
    }
}

static void check_url(struct node *node, struct config_errors *errors)
{
    struct node *url = node_child(node, "url"), *file = node_child(node, "url_file");
    if (url && file)
        node_complain(file, errors, "stands beside url (expected one of the two)");
    else if (!url && !file)
        node_complain_key(node, "url", errors, "is missing (or url_file, a file with the URL)");
}

static void check_routes(const struct config *config, const struct config_notification *n,
                         const struct node *list, struct config_errors *errors)
{
    struct node *node = list ? list->first : NULL;
    for (size_t i = 0; node && i < n->routes.n; i++, node = node->next)
        if (!node->bad && n->routes.items[i] && !config_find_route(config, n->routes.items[i]))
            node_complain(node, errors, "\"%.64s\" is no route of this file", n->routes.items[i]);
}

void notifications_check(const struct config *config, struct tree *tree,
                         struct config_errors *errors)
{
    const struct node *list = node_child(tree->root, "notifications");
    for (size_t i = 0; i < config->n_notifications; i++) {
        struct node *node = node_item(list, i);
        if (!node || node->bad || node->kind != NODE_MAPPING)
            continue;
        check_name(config, i, node, errors);
        check_url(node, errors);
        check_routes(config, &config->notifications[i], node_child(node, "routes"), errors);
    }
}
