/* The cases of fixtures/http1: files of JSON lines, and the bytes of a case.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_TESTS_HTTP_CASES_H
#define SERIN_TESTS_HTTP_CASES_H

#include "http_feed.h"

#include <cjson/cJSON.h>

#define CORPUS TESTS_DIR "/fixtures/http1/"

static inline char *read_file(const char *path, size_t *len)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    long size = ftell(f);
    assert_true(size > 0);
    rewind(f);
    char *text = malloc((size_t)size + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, (size_t)size, f), size);
    text[size] = 0;
    *len = (size_t)size;
    (void)fclose(f);
    return text;
}

/* Adds the decoded bytes of base64 text. */
static inline void decode(const char *text, char **bytes, size_t *len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t group = 0;
    int bits = 0;
    *bytes = realloc(*bytes, *len + strlen(text) + 1);
    assert_non_null(*bytes);
    for (; *text && *text != '='; text++) {
        const char *digit = strchr(digits, *text);
        assert_non_null(digit);
        group = (group << 6 | (uint32_t)(digit - digits)) & 0xffffff;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            (*bytes)[(*len)++] = (char)(group >> bits);
        }
    }
}

/* Adds the bytes of "t:" and text, whose characters (all below 256) are bytes. */
static inline void decode_text(const char *text, char **bytes, size_t *len)
{
    *bytes = realloc(*bytes, *len + strlen(text) + 1);
    assert_non_null(*bytes);
    for (text += 2; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c >= 0x80)
            c = (unsigned char)(c << 6 | ((unsigned char)*++text & 0x3f));
        (*bytes)[(*len)++] = (char)c;
    }
}

/* Adds what one string of a case says. False where it is compressed. */
static inline bool add_bytes(const char *text, char **bytes, size_t *len)
{
    if (strncmp(text, "z:", 2) == 0)
        return false;
    if (strncmp(text, "t:", 2) == 0)
        decode_text(text, bytes, len);
    else
        decode(text, bytes, len);
    return true;
}

/* All bytes of a case, in one piece. False where the core cannot judge it. */
static inline bool bytes_of(const cJSON *c, char **bytes, size_t *len)
{
    const cJSON *raw = cJSON_GetObjectItem(c, "raw"), *part;
    const cJSON *parts =
        cJSON_GetObjectItem(c, cJSON_HasObjectItem(c, "script") ? "script" : "parts");
    if (cJSON_HasObjectItem(c, "wire") || (raw && !add_bytes(raw->valuestring, bytes, len)))
        return false;
    cJSON_ArrayForEach(part, parts) if (!add_bytes(cJSON_GetArrayItem(part, 1)->valuestring, bytes,
                                                   len)) return false;
    return true;
}

#endif
