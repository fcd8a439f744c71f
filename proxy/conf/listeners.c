/* Rules between the keys of a listener.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/conf/listeners.h"

#include "proxy/conf/address.h"

/* Without a network nobody could connect. A UNIX socket's peers are trusted by the mode of its file; whether a socket that
 * is given is one is asked when it is there. */
static void check_trusted(const struct config_listener *l, struct node *node,
                          struct config_errors *errors)
{
    struct config_address address;
    struct node *trusted = node_child(node, "trusted"), *wants = node_child(node, "proxy_protocol");
    if ((trusted && trusted->bad) || (wants && wants->bad))
        return;
    if (!l->proxy_protocol && l->trusted.n)
        node_complain(trusted, errors, "is of no use here (expected proxy_protocol: true)");
    if (!l->proxy_protocol || l->trusted.n || !l->bind ||
        config_address_parse(slice_str(l->bind), &address, NULL) != OK ||
        address.kind == CONFIG_ADDRESS_UNIX || address.kind == CONFIG_ADDRESS_FD)
        return;
    if (trusted)
        node_complain(trusted, errors,
                      "names nobody who may send the PROXY header (networks such as 10.0.0.0/8)");
    else
        node_complain_key(
            node, "trusted", errors,
            "is missing (networks whose PROXY headers are believed, such as 10.0.0.0/8)");
}

void listeners_check(const struct config *config, struct node *root, struct config_errors *errors)
{
    struct node *listeners = node_child(root, "listeners");
    struct node *node = listeners ? listeners->first : NULL;
    for (size_t i = 0; node && i < config->n_listeners; i++, node = node->next)
        check_trusted(&config->listeners[i], node, errors);
}
