/* Opens files that people name.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/conf/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *kind_of(mode_t mode)
{
    if (S_ISFIFO(mode))
        return "a pipe";
    return S_ISSOCK(mode) ? "a socket" : S_ISDIR(mode) ? "a directory" : "a device";
}

FILE *file_open(const char *path, struct why *why)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0) {
        (void)why_set(why, ERR_IO, "cannot be read: %s", strerror(errno));
    } else if (!S_ISREG(st.st_mode)) {
        (void)why_set(why, ERR_INVALID, "is %s (expected a regular file)", kind_of(st.st_mode));
    } else {
        FILE *file = fdopen(fd, "r");
        if (file)
            return file;
        (void)why_set(why, ERR_MEMORY, "cannot be read: %s", strerror(errno));
    }
    if (fd >= 0)
        (void)close(fd);
    return NULL;
}

char *file_read(const char *path, size_t most, size_t *len, struct why *why)
{
    FILE *file = file_open(path, why);
    char *text = file ? malloc(most + 1) : NULL;
    if (file && !text)
        (void)why_set(why, ERR_MEMORY, "cannot be read: out of memory");
    if (text) {
        *len = fread(text, 1, most, file);
        text[*len] = '\0';
    }
    if (file)
        (void)fclose(file);
    return text;
}
