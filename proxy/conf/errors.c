/* Collects the errors of a configuration file in the order of the file and prints them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/conf/errors.h"
#include <stdbool.h>
#include <string.h>

#define LINE_MAX_BYTES 1024 /* of one printed error: path, text and a file name of usual length */

void config_errors_init(struct config_errors *e, const char *file)
{
    e->file = file;
    e->code = OK;
    e->n = e->dropped = 0;
}

static bool stands_before(const struct config_error *a, const struct config_error *b)
{
    return a->line != b->line ? a->line < b->line : a->column < b->column;
}

void config_errors_add(struct config_errors *e, enum err code, const struct config_error *error)
{
    if (e->code == OK || code == ERR_MEMORY)
        e->code = code;
    size_t at = e->n;
    while (at > 0 && stands_before(error, &e->items[at - 1]))
        at--;
    if (e->n == CONFIG_ERRORS_MAX) {
        e->dropped++;
        if (at == e->n)
            return;
        e->n--;
    }
    memmove(&e->items[at + 1], &e->items[at], (e->n - at) * sizeof e->items[0]);
    e->items[at] = *error;
    e->n++;
}

void config_error_format(const struct config_errors *e, size_t i, char *out, size_t room)
{
    const struct config_error *it = &e->items[i];
    const char *colon = it->path[0] ? ": " : "";
    if (it->line)
        (void)snprintf(out, room, "%s:%u:%u: %s%s%s", e->file, it->line, it->column, it->path,
                       colon, it->text);
    else
        (void)snprintf(out, room, "%s: %s%s%s", e->file, it->path, colon, it->text);
}

void config_errors_print(const struct config_errors *e, FILE *to)
{
    char line[LINE_MAX_BYTES];
    for (size_t i = 0; i < e->n; i++) {
        config_error_format(e, i, line, sizeof line);
        fprintf(to, "%s\n", line);
    }
    if (e->dropped)
        fprintf(to, "%s: … and %zu more\n", e->file, e->dropped);
}
