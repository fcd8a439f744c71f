/* The rules between the keys of a listener's tls.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/conf/listener_tls.h"

#include "proxy/conf/place.h"
#include "proxy/http/fields.h"
#include <ctype.h>
#include <strings.h>

/* Names of fields that mean something to the proxy are no longer than this: proxy-authorization has 19. */
#define FIELD_NAME_KNOWN_MAX 32

static struct node *tls_of(const struct tree *tree, size_t listener)
{
    return node_child(node_item(node_child(tree->root, "listeners"), listener), "tls");
}

void listener_tls_note_places(struct config *config, const struct tree *tree)
{
    for (size_t i = 0; i < config->n_listeners; i++) {
        struct config_tls *tls = &config->listeners[i].tls;
        const struct node *node = tls_of(tree, i), *list = node_child(node, "certificates");
        tls->client_ca_place = place_of(node_child(node, "client_ca"));
        for (size_t k = 0; k < tls->n_certificates; k++) {
            struct config_certificate *c = &tls->certificates[k];
            c->certificate_place = place_of(node_child(node_item(list, k), "certificate"));
            c->key_place = place_of(node_child(node_item(list, k), "key"));
        }
    }
}

static bool has_name(const struct config_string_list *list, const char *name)
{
    for (size_t i = 0; i < list->n; i++)
        if (strcasecmp(list->items[i], name) == 0)
            return true;
    return false;
}

bool listener_tls_settle(struct config *config)
{
    struct config_string_list *list = &config->subject_headers;
    list->items = arena_alloc(&config->arena, (config->n_listeners + 1) * sizeof *list->items);
    for (size_t i = 0; list->items && i < config->n_listeners; i++) {
        const struct config_tls *tls = &config->listeners[i].tls;
        if (tls->client_ca && tls->client_subject_header &&
            !has_name(list, tls->client_subject_header))
            list->items[list->n++] = tls->client_subject_header;
    }
    return list->items != NULL;
}

/* What the proxy itself reads or writes is no place for a subject, nor is what looks like it behind head_remove. */
static void check_header(const char *name, struct node *node, struct config_errors *errors)
{
    char plain[FIELD_NAME_KNOWN_MAX + 1];
    size_t len = name ? strlen(name) : 0;
    if (!node || node->bad || len > FIELD_NAME_KNOWN_MAX)
        return;
    for (size_t i = 0; i < len; i++)
        plain[i] = (char)(isalnum((unsigned char)name[i]) ? name[i] : '-');
    if (field_classify(slice_of(plain, len)) != FIELD_OTHER)
        node_complain(node, errors,
                      "\"%.64s\" is a field that means something else (expected a name of its own)",
                      name);
}

static void check_certificates(const struct config_tls *tls, struct node *list,
                               struct config_errors *errors)
{
    for (size_t i = 0; i < tls->n_certificates; i++)
        for (size_t k = 0; k < i; k++) {
            const char *mine = tls->certificates[i].certificate,
                       *other = tls->certificates[k].certificate;
            struct node *node = node_child(node_item(list, i), "certificate");
            if (node && !node->bad && mine && other && strcmp(mine, other) == 0)
                node_complain(node, errors, "\"%.200s\" is that of certificates[%zu] too", mine, k);
        }
}

void listener_tls_check(const struct config *config, struct tree *tree,
                        struct config_errors *errors)
{
    static const char *const idle[] = {"client_certificate", "client_subject_header"};
    for (size_t i = 0; i < config->n_listeners; i++) {
        const struct config_tls *tls = &config->listeners[i].tls;
        struct node *node = tls_of(tree, i);
        check_header(tls->client_subject_header, node_child(node, "client_subject_header"), errors);
        check_certificates(tls, node_child(node, "certificates"), errors);
        for (size_t k = 0; k < sizeof idle / sizeof idle[0] && !node_child(node, "client_ca"); k++)
            if (node_child(node, idle[k]))
                node_complain(node_child(node, idle[k]), errors,
                              "is of no use here (expected beside client_ca)");
    }
}
