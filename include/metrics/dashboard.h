/* The page of the admin port, as files that were compiled into the binary (metrics/dashboard/).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_METRICS_DASHBOARD_H
#define SERIN_METRICS_DASHBOARD_H

#include <stddef.h>

struct dashboard_file {
    const char *path; /* "/" or "/page/NAME" */
    const char *content_type;
    const char *etag; /* quoted: a digest of the bytes (RFC 9110, section 8.8.3) */
    const unsigned char *bytes;
    size_t len;
};

/* Made by metrics/dashboard/embed.cmake; ends with a path of NULL. */
extern const struct dashboard_file dashboard_files[];

/* The file that a path names; NULL = none. Static. Pure. O(files). */
const struct dashboard_file *dashboard_find(const char *path);

#endif
