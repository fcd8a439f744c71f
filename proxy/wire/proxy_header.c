/* The PROXY protocol, v1 and v2.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/wire/proxy_header.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#define V1_START "PROXY "
#define V1_MAX   107 /* the longest line, with its CRLF */

#define V2_SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V2_HEAD      16 /* signature, version and command, family and transport, length */
#define V2_LOCAL     0x20
#define V2_PROXY     0x21
#define V2_UNSPEC    0x00
#define V2_TCP4      0x11
#define V2_TCP6      0x21
#define V2_UNIX      0x31
#define TCP4_BYTES   12u /* two addresses, two ports */
#define TCP6_BYTES   36u
#define UNIX_BYTES   216u /* two paths */

#define TLV_HEAD       3 /* type, length */
#define TLV_CRC32C     0x03
#define TLV_UNIQUE_ID  0x05
#define TLV_SSL        0x20
#define UNIQUE_ID_MAX  128
#define SSL_HEAD_BYTES 5 /* what the client showed, whether it was verified; then TLVs again */

static ssize_t refuse(struct proxy_header *h, const char *fault)
{
    h->source.len = 0;
    h->fault = fault;
    return -1;
}

static unsigned byte_at(const char *bytes, size_t i)
{
    return (unsigned char)bytes[i];
}

static unsigned word_at(const char *bytes, size_t i)
{
    return byte_at(bytes, i) << 8 | byte_at(bytes, i + 1);
}

/* --- version 1: a line of text --- */

static bool parse_ip(struct slice text, bool is_v6, uint8_t ip[16])
{
    char copy[INET6_ADDRSTRLEN];
    if (text.len >= sizeof copy)
        return false;
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    return inet_pton(is_v6 ? AF_INET6 : AF_INET, copy, ip) == 1;
}

static bool parse_port(struct slice text, uint16_t *port)
{
    uint64_t number;
    if (!slice_parse_u64(text, &number) || number > UINT16_MAX ||
        (text.len > 1 && text.at[0] == '0'))
        return false;
    *port = (uint16_t)number;
    return true;
}

/* rest: "SOURCE DESTINATION SOURCE-PORT DESTINATION-PORT". Another space is part of a word that is none. */
static bool parse_pair(struct slice rest, bool is_v6, struct wire_addr *source)
{
    struct slice from, to, from_port;
    uint8_t ip[16] = {0}, ignored[16];
    uint16_t port, ignored_port;
    if (!slice_cut(rest, ' ', &from, &rest) || !slice_cut(rest, ' ', &to, &rest) ||
        !slice_cut(rest, ' ', &from_port, &rest))
        return false;
    if (!parse_ip(from, is_v6, ip) || !parse_ip(to, is_v6, ignored) ||
        !parse_port(from_port, &port) || !parse_port(rest, &ignored_port))
        return false;
    wire_addr_inet(source, is_v6, ip, port);
    return true;
}

/* Looks at what there is of a line: its bytes must be right also while it is not whole. */
static const char *v1_fault(const char *bytes, size_t len, bool is_whole)
{
    size_t text = is_whole ? len - 1 : len;
    for (size_t i = 0; i < text; i++) {
        bool is_last = i + 1 == text;
        if (bytes[i] == '\r' ? !is_last : byte_at(bytes, i) < ' ' || byte_at(bytes, i) > '~')
            return "has a byte that no PROXY line may have";
    }
    if (is_whole && (text == 0 || bytes[text - 1] != '\r'))
        return "has a line that does not end in CRLF";
    return !is_whole && len >= V1_MAX ? "has a line longer than 107 bytes" : NULL;
}

static ssize_t read_v1(const char *bytes, size_t len, struct proxy_header *h)
{
    size_t look = len < V1_MAX ? len : V1_MAX, prefix = sizeof V1_START - 1;
    if (memcmp(bytes, V1_START, look < prefix ? look : prefix) != 0)
        return refuse(h, "does not begin as a PROXY header does");
    const char *end = memchr(bytes, '\n', look);
    if (end)
        look = (size_t)(end - bytes) + 1;
    const char *fault = v1_fault(bytes, look, end != NULL);
    if (fault)
        return refuse(h, fault);
    if (!end)
        return 0;
    struct slice family, rest, line = slice_of(bytes + prefix, look - prefix - 2);
    bool has_more = slice_cut(line, ' ', &family, &rest);
    if (slice_equal(family, SLICE("UNKNOWN"))) /* whatever stands behind it says nothing */
        return (ssize_t)look;
    bool is_v6 = slice_equal(family, SLICE("TCP6"));
    if (!is_v6 && !slice_equal(family, SLICE("TCP4")))
        return refuse(h, "names no known family");
    if (!has_more || !parse_pair(rest, is_v6, &h->source))
        return refuse(h, "has no two addresses and two ports of its family");
    return (ssize_t)look;
}

/* --- version 2: binary --- */

/* CRC-32C (Castagnoli, reflected), bit by bit: a header is short, and there is one a connection. The four bytes from hole on
 * count as 0. */
static uint32_t crc32c(const char *bytes, size_t len, size_t hole)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < len; i++) {
        crc ^= i >= hole && i < hole + 4 ? 0 : byte_at(bytes, i);
        for (unsigned bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0x82f63b78) : 0);
    }
    return ~crc;
}

static const char *crc_fault(const char *bytes, size_t len, size_t at)
{
    uint32_t said = (uint32_t)word_at(bytes, at) << 16 | word_at(bytes, at + 2);
    return crc32c(bytes, len, at) == said ? NULL : "has another CRC32c than it says";
}

/* Whether TLVs fill bytes[at, end) exactly. */
static bool do_tlvs_fit(const char *bytes, size_t at, size_t end)
{
    while (end - at >= TLV_HEAD) {
        size_t len = word_at(bytes, at + 1);
        at += TLV_HEAD;
        if (len > end - at)
            return false;
        at += len;
    }
    return at == end;
}

/* Walks the TLVs of a header of len bytes, from at on. */
static const char *tlv_fault(const char *bytes, size_t at, size_t len)
{
    const char *fault = NULL;
    bool has_crc = false;
    if (!do_tlvs_fit(bytes, at, len))
        return "has a TLV that does not fit";
    while (!fault && at < len) {
        unsigned type = byte_at(bytes, at);
        size_t length = word_at(bytes, at + 1);
        at += TLV_HEAD;
        if (type == TLV_CRC32C) {
            fault = length != 4 || has_crc ? "has no CRC32c of 4 bytes, or two"
                                           : crc_fault(bytes, len, at);
            has_crc = true;
        } else if (type == TLV_UNIQUE_ID && length > UNIQUE_ID_MAX) {
            fault = "has a unique id longer than 128 bytes";
        } else if (type == TLV_SSL && (length < SSL_HEAD_BYTES ||
                                       !do_tlvs_fit(bytes, at + SSL_HEAD_BYTES, at + length))) {
            fault = "has a TLV that does not fit in that of TLS";
        }
        at += length;
    }
    return fault;
}

/* The addresses of a header of len bytes, all of them there. False: of no family that is known. */
static bool read_addresses(const char *bytes, size_t len, struct proxy_header *h, size_t *used)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    uint8_t ip[16] = {0};
    const char *at = bytes + V2_HEAD;
    size_t room = len - V2_HEAD;
    switch (byte_at(bytes, 13)) {
    case V2_TCP4:
        *used = TCP4_BYTES;
        if (room < *used)
            return true;
        memcpy(ip, at, 4);
        wire_addr_inet(&h->source, false, ip, (uint16_t)word_at(at, 8));
        return true;
    case V2_TCP6:
        *used = TCP6_BYTES;
        if (room < *used)
            return true;
        memcpy(ip, at, 16);
        wire_addr_inet(&h->source, true, ip, (uint16_t)word_at(at, 32));
        return true;
    case V2_UNIX:
        *used = UNIX_BYTES;
        memcpy(h->source.bytes, &un, sizeof un);
        h->source.len = offsetof(struct sockaddr_un, sun_path);
        return true;
    case V2_UNSPEC: /* whatever stands there says nothing */
        *used = room;
        return true;
    default:
        return false;
    }
}

static ssize_t read_v2(const char *bytes, size_t len, struct proxy_header *h)
{
    size_t signature = sizeof V2_SIGNATURE - 1, used = 0;
    if (memcmp(bytes, V2_SIGNATURE, len < signature ? len : signature) != 0)
        return refuse(h, "does not begin as a PROXY header does");
    if (len > 12 && byte_at(bytes, 12) != V2_LOCAL && byte_at(bytes, 12) != V2_PROXY)
        return refuse(h, "has an unknown version or command");
    if (len < V2_HEAD)
        return 0;
    size_t whole = V2_HEAD + word_at(bytes, 14);
    if (whole > PROXY_HEADER_MAX)
        return refuse(h, "is longer than 4096 bytes");
    if (len < whole)
        return 0;
    if (byte_at(bytes, 12) == V2_LOCAL) /* the balancer itself, for example its health check */
        return (ssize_t)whole;
    if (!read_addresses(bytes, whole, h, &used))
        return refuse(h, "names no known family");
    if (used > whole - V2_HEAD)
        return refuse(h, "is too short for the addresses of its family");
    const char *fault = tlv_fault(bytes, V2_HEAD + used, whole);
    return fault ? refuse(h, fault) : (ssize_t)whole;
}

ssize_t proxy_header_read(const char *bytes, size_t len, struct proxy_header *h)
{
    *h = (struct proxy_header){.fault = NULL};
    if (len == 0)
        return 0;
    return bytes[0] == V2_SIGNATURE[0] ? read_v2(bytes, len, h) : read_v1(bytes, len, h);
}
