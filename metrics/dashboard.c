/* Finds the files of the admin port's page among those that were compiled in.
 * SPDX-License-Identifier: Apache-2.0 */
#include "metrics/dashboard.h"

#include <string.h>

const struct dashboard_file *dashboard_find(const char *path)
{
    for (const struct dashboard_file *f = dashboard_files; f->path; f++)
        if (strcmp(f->path, path) == 0)
            return f;
    return NULL;
}
