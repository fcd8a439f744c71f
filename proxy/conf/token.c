/* The admin token: read from its file, never logged, wiped when it is let go.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/conf/token.h"

#include "proxy/conf/file.h"
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

void token_free(char *token)
{
    if (token)
        explicit_bzero(token, strlen(token));
    free(token);
}

char *token_read(const char *path, struct why *why)
{
    char buf[TOKEN_BYTES_MAX + 1];
    FILE *f = file_open(path, why);
    if (!f)
        return NULL;
    bool is_read = fgets(buf, sizeof buf, f) != NULL;
    (void)fclose(f);
    size_t from = is_read ? strspn(buf, " \t\r\n") : 0;
    size_t len = is_read ? strcspn(buf + from, "\r\n") : 0;
    while (len && (buf[from + len - 1] == ' ' || buf[from + len - 1] == '\t'))
        len--;
    char *token = len && from + len < TOKEN_BYTES_MAX ? strndup(buf + from, len) : NULL;
    explicit_bzero(buf, sizeof buf);
    if (!token)
        (void)why_set(why, ERR_INVALID, "holds no token (expected one line of 1 to %d bytes)",
                      TOKEN_BYTES_MAX - 1);
    return token;
}
