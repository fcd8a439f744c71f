/* The HMAC of a message.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/notify/signature.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIME_TEXT_MAX 24 /* 19 digits, a sign, the point and the NUL */

enum err signature_make(const char *secret, int64_t wall_s, const char *body,
                        char out[SIGNATURE_MAX])
{
    static const char hex[] = "0123456789abcdef";
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    size_t room = TIME_TEXT_MAX + strlen(body) + 1;
    char *text = malloc(room);
    if (!text)
        return ERR_MEMORY;
    int len = snprintf(text, room, "%lld.%s", (long long)wall_s, body);
    bool is_made = HMAC(EVP_sha256(), secret, (int)strlen(secret), (const unsigned char *)text,
                        (size_t)len, mac, &n) != NULL;
    free(text);
    if (!is_made)
        return ERR_MEMORY;
    len = snprintf(out, SIGNATURE_MAX, "t=%lld,v1=", (long long)wall_s);
    for (unsigned i = 0; i < n; i++) {
        out[len++] = hex[mac[i] >> 4];
        out[len++] = hex[mac[i] & 15];
    }
    out[len] = '\0';
    return OK;
}
