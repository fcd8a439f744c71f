/* Base64 and small files, as credentials come. SPDX-License-Identifier: Apache-2.0 */
#include "rollout/kube/text.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Guards the head of a request. */
#define TOKEN_MAX (64u << 10)

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* The six bits of a digit; 64: padding; 65: a line end; 66: none of these. */
static unsigned digit_of(char c)
{
    const char *at = c ? strchr(alphabet, c) : NULL;
    if (at)
        return (unsigned)(at - alphabet);
    return c == '=' ? 64 : c == '\n' || c == '\r' ? 65 : 66;
}

/* Writes the bytes of a group of four digits, count of them digits. False: not canonical, a NUL. */
static bool put_group(uint32_t bits, unsigned count, char *out, size_t *len)
{
    unsigned bytes = count - 1;
    if (count < 2 || (count == 2 && bits & 0xffff) || (count == 3 && bits & 0xff))
        return false;
    for (unsigned i = 0; i < bytes; i++) {
        char byte = (char)(bits >> (16 - 8 * i) & 0xff);
        if (!byte)
            return false;
        out[(*len)++] = byte;
    }
    return true;
}

static bool decode(const char *text, char *out, size_t *len)
{
    uint32_t bits = 0;
    unsigned count = 0, pads = 0;
    for (const char *p = text; *p; p++) {
        unsigned d = digit_of(*p);
        if (d == 65)
            continue;
        if (d == 66 || (d < 64 && pads) || (d == 64 && ++pads > 2))
            return false;
        if (d == 64)
            continue;
        bits |= (uint32_t)d << (18 - 6 * count);
        if (++count < 4)
            continue;
        if (!put_group(bits, 4, out, len))
            return false;
        bits = count = 0;
    }
    if (count == 0)
        return pads == 0;
    return count + pads == 4 && put_group(bits, count, out, len);
}

char *kube_base64_decode(const char *text)
{
    size_t len = 0;
    char *out = malloc(strlen(text) / 4 * 3 + 4);
    if (!out)
        return NULL;
    if (!decode(text, out, &len)) {
        free(out);
        return NULL;
    }
    out[len] = '\0';
    return out;
}

char *kube_base64_encode(const char *bytes, size_t len)
{
    char *out = malloc((len + 2) / 3 * 4 + 1), *to = out;
    if (!out)
        return NULL;
    for (size_t i = 0; i < len; i += 3) {
        size_t left = len - i < 3 ? len - i : 3;
        uint32_t bits = 0;
        for (size_t k = 0; k < left; k++)
            bits |= (uint32_t)(unsigned char)bytes[i + k] << (16 - 8 * k);
        for (size_t k = 0; k < 4; k++)
            *to++ = k <= left ? alphabet[bits >> (18 - 6 * k) & 63] : '=';
    }
    *to = '\0';
    return out;
}

char *kube_file_read(const char *path, struct why *why)
{
    FILE *f = fopen(path, "re");
    char *text = f ? malloc(KUBE_FILE_MAX + 1u) : NULL;
    size_t len = text ? fread(text, 1, KUBE_FILE_MAX + 1u, f) : 0;
    enum err err = OK;
    if (!f || (text && ferror(f)))
        err =
            why_set(why, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "%s: %s", path, strerror(errno));
    else if (!text)
        err = why_set(why, ERR_MEMORY, "%s: out of memory", path);
    else if (len > KUBE_FILE_MAX)
        err = why_set(why, ERR_LIMIT, "%s: more than %u bytes", path, KUBE_FILE_MAX);
    else if (memchr(text, '\0', len))
        err = why_set(why, ERR_INVALID, "%s: no text", path);
    if (f)
        (void)fclose(f);
    if (err == OK) {
        text[len] = '\0';
        return text;
    }
    free(text);
    return NULL;
}

void kube_trim_end(char *text)
{
    size_t len = strlen(text);
    while (len && strchr(" \t\r\n", text[len - 1]))
        text[--len] = '\0';
}

bool kube_is_token(const char *text)
{
    size_t len = 0;
    for (; text[len]; len++)
        if (text[len] < 0x21 || text[len] > 0x7e)
            return false;
    return len > 0 && len <= TOKEN_MAX;
}
