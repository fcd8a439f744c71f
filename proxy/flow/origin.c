/* Who a client is: the peer of its connection, or whom a balancer names in a PROXY header.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/flow/origin.h"

#include "base/log.h"
#include "proxy/conf/address.h"
#include "proxy/wire/proxy_header.h"
#include <sys/socket.h>

size_t origin_room(const struct flow *f, unsigned listener_index, const struct wire_addr *peer)
{
    const struct config_listener *conf = &f->world->snapshot->config->listeners[listener_index];
    return conf->proxy_protocol || wire_addr_family(peer) == AF_INET6 ? CLIENT_PEER_MAX
                                                                      : CLIENT_PEER_V4_MAX;
}

static void name_peer(struct client *c, const struct wire_addr *addr)
{
    char host[WIRE_TEXT_MAX];
    size_t len = wire_addr_host(addr, host);
    c->peer_len = (uint8_t)(len < c->peer_room ? len : c->peer_room);
    memcpy(c->peer, host, c->peer_len);
}

/* Only who may reach the file of a UNIX socket connects to it: there the balancer needs no network. */
static bool is_trusted(const struct config_listener *conf, const struct wire_addr *peer)
{
    uint8_t ip[16];
    bool is_v6;
    if (!wire_addr_ip(peer, &is_v6, ip))
        return wire_addr_family(peer) == AF_UNIX;
    for (size_t i = 0; i < conf->trusted.n; i++)
        if (config_network_holds(&conf->networks[i], is_v6, ip))
            return true;
    return false;
}

static enum origin refuse(struct client *c, enum metric_client_error error, const char *why)
{
    cell_add(&c->flow->cells->client_errors[error], 1);
    log_debug("proxy_header_refused", "client=%.*s why=\"%s\"", SLICE_ARG(client_peer(c)), why);
    return ORIGIN_REFUSED;
}

enum origin origin_begin(struct client *c, const struct wire_addr *peer)
{
    const struct config_listener *conf =
        &c->flow->world->snapshot->config->listeners[c->listener_index];
    name_peer(c, peer);
    if (!conf->proxy_protocol)
        return ORIGIN_KNOWN;
    if (!is_trusted(conf, peer))
        return refuse(c, CLIENT_ERROR_UNTRUSTED, "the peer is in none of the trusted networks");
    return origin_read(c);
}

static enum origin await(struct client *c, const char *bytes, size_t len)
{
    if (len && held_keep(&c->held, bytes, len, NULL) != OK)
        return ORIGIN_REFUSED;
    stream_read_on(&c->stream);
    return ORIGIN_AWAITED;
}

enum origin origin_read(struct client *c)
{
    char *in = c->flow->in;
    struct proxy_header header;
    size_t len = held_restore(&c->held, in, &c->flow->head, false);
    ssize_t n = stream_peek(&c->stream, in + len, PROXY_HEADER_MAX - len);
    if (n == STREAM_AGAIN)
        return await(c, in, len);
    if (n <= 0)
        return len ? refuse(c, CLIENT_ERROR_PROXY_HEADER, "ends within it") : ORIGIN_REFUSED;
    ssize_t whole = proxy_header_read(in, len + (size_t)n, &header);
    if (whole < 0)
        return refuse(c, CLIENT_ERROR_PROXY_HEADER, header.fault);
    size_t take = whole ? (size_t)whole - len : (size_t)n;
    if (stream_recv(&c->stream, in + len, take) != (ssize_t)take)
        return refuse(c, CLIENT_ERROR_PROXY_HEADER, "cannot be read");
    if (whole == 0)
        return await(c, in, len + take);
    if (header.source.len)
        name_peer(c, &header.source);
    return ORIGIN_KNOWN;
}

void origin_late(struct client *c)
{
    (void)refuse(c, CLIENT_ERROR_PROXY_HEADER, "does not come within timeouts.client_header");
}
