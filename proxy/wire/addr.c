/* Socket addresses as the configuration writes them: "127.0.0.1:80", "[::1]:80", "unix:/path".
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/wire/addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

_Static_assert(sizeof(struct sockaddr_storage) <= WIRE_ADDR_BYTES, "an address of any family fits");

void wire_addr_inet(struct wire_addr *a, bool is_v6, const uint8_t ip[16], uint16_t port)
{
    *a = (struct wire_addr){.len = 0};
    if (is_v6) {
        struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
        memcpy(&in6.sin6_addr, ip, sizeof in6.sin6_addr);
        memcpy(a->bytes, &in6, sizeof in6);
        a->len = sizeof in6;
    } else {
        struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_port = htons(port)};
        memcpy(&in4.sin_addr, ip, sizeof in4.sin_addr);
        memcpy(a->bytes, &in4, sizeof in4);
        a->len = sizeof in4;
    }
}

enum err wire_addr_unix(struct wire_addr *a, struct slice path)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    *a = (struct wire_addr){.len = 0};
    if (path.len == 0 || path.len >= sizeof un.sun_path)
        return ERR_INVALID;
    memcpy(un.sun_path, path.at, path.len);
    memcpy(a->bytes, &un, sizeof un);
    a->len = (uint32_t)(offsetof(struct sockaddr_un, sun_path) + path.len + 1);
    return OK;
}

int wire_addr_family(const struct wire_addr *a)
{
    struct sockaddr sa;
    memcpy(&sa, a->bytes, sizeof sa);
    return a->len ? sa.sa_family : AF_UNSPEC;
}

bool wire_addr_ip(const struct wire_addr *a, bool *is_v6, uint8_t ip[16])
{
    struct sockaddr_in in4;
    struct sockaddr_in6 in6;
    int family = wire_addr_family(a);
    if (family == AF_INET) {
        memcpy(&in4, a->bytes, sizeof in4);
        memcpy(ip, &in4.sin_addr, 4);
        *is_v6 = false;
    } else if (family == AF_INET6) {
        memcpy(&in6, a->bytes, sizeof in6);
        *is_v6 = !IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr);
        memcpy(ip, in6.sin6_addr.s6_addr + (*is_v6 ? 0 : 12), *is_v6 ? 16 : 4);
    }
    return family == AF_INET || family == AF_INET6;
}

size_t wire_addr_host(const struct wire_addr *a, char out[WIRE_TEXT_MAX])
{
    struct sockaddr_in in4;
    struct sockaddr_in6 in6;
    const char *text = NULL;
    switch (wire_addr_family(a)) {
    case AF_INET:
        memcpy(&in4, a->bytes, sizeof in4);
        text = inet_ntop(AF_INET, &in4.sin_addr, out, WIRE_TEXT_MAX);
        break;
    case AF_INET6:
        memcpy(&in6, a->bytes, sizeof in6);
        if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr))
            text = inet_ntop(AF_INET, in6.sin6_addr.s6_addr + 12, out, WIRE_TEXT_MAX);
        else
            text = inet_ntop(AF_INET6, &in6.sin6_addr, out, WIRE_TEXT_MAX);
        break;
    default:
        break;
    }
    if (!text)
        memcpy(out, "unknown", sizeof "unknown");
    return strlen(out);
}

void wire_addr_text(const struct wire_addr *a, char out[WIRE_TEXT_MAX])
{
    char host[WIRE_TEXT_MAX];
    struct sockaddr_in in4;
    struct sockaddr_in6 in6;
    struct sockaddr_un un;
    switch (wire_addr_family(a)) {
    case AF_INET:
        memcpy(&in4, a->bytes, sizeof in4);
        (void)wire_addr_host(a, host);
        (void)snprintf(out, WIRE_TEXT_MAX, "%.64s:%u", host, ntohs(in4.sin_port));
        break;
    case AF_INET6:
        memcpy(&in6, a->bytes, sizeof in6);
        if (!inet_ntop(AF_INET6, &in6.sin6_addr, host, sizeof host))
            memcpy(host, "unknown", sizeof "unknown");
        (void)snprintf(out, WIRE_TEXT_MAX, "[%.64s]:%u", host, ntohs(in6.sin6_port));
        break;
    case AF_UNIX:
        memcpy(&un, a->bytes, sizeof un);
        (void)snprintf(out, WIRE_TEXT_MAX, "unix:%.108s", un.sun_path);
        break;
    default:
        (void)snprintf(out, WIRE_TEXT_MAX, "unknown");
    }
}

void wire_addr_local(struct wire_addr *a, int fd)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof ss;
    memset(&ss, 0, sizeof ss);
    *a = (struct wire_addr){.len = 0};
    if (getsockname(fd, (struct sockaddr *)&ss, &len) == 0 && len <= sizeof ss) {
        memcpy(a->bytes, &ss, sizeof ss);
        a->len = (uint32_t)len;
    }
}
