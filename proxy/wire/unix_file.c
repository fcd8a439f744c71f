/* The file of a listening UNIX socket.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/wire/unix_file.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum err unix_file_claim(struct unix_file *f, const struct wire_addr *addr, mode_t mode)
{
    struct sockaddr_un un;
    struct stat st;
    memcpy(&un, addr->bytes, sizeof un);
    (void)snprintf(f->path, sizeof f->path, "%s", un.sun_path);
    if (chmod(f->path, mode) == 0 && lstat(f->path, &st) == 0) {
        f->device = st.st_dev;
        f->inode = st.st_ino;
        return OK;
    }
    int failure = errno;
    (void)unlink(f->path);
    f->path[0] = '\0';
    errno = failure;
    return ERR_IO;
}

void unix_file_remove(struct unix_file *f)
{
    struct stat st;
    if (!f->is_lent && f->path[0] && lstat(f->path, &st) == 0 && st.st_dev == f->device &&
        st.st_ino == f->inode)
        (void)unlink(f->path);
    f->path[0] = '\0';
}
