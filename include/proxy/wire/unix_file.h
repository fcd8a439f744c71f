/* The file of a listening UNIX socket: its mode, and that only our own is removed.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_WIRE_UNIX_FILE_H
#define SERIN_PROXY_WIRE_UNIX_FILE_H

#include "base/err.h"
#include "proxy/wire/addr.h"
#include <stdbool.h>
#include <sys/types.h>

struct unix_file {
    char path[WIRE_TEXT_MAX]; /* "" = none */
    dev_t device;
    ino_t inode;
    bool is_lent; /* the file is another process's, which may want it back: it stays */
};

/* Gives the file of a bound socket that does not listen yet its mode, and takes note of which file
 * it is. Call it before listen(): until then nobody gets in, so that no moment is too open. ERR_IO
 * with errno: the file is removed. */
enum err unix_file_claim(struct unix_file *f, const struct wire_addr *addr, mode_t mode) MUST_USE;

/* Removes the file, once, if it is still the one that was claimed: another process may have put its
 * own there. Call it while the socket still listens: afterwards the number of the inode may be
 * another's. */
void unix_file_remove(struct unix_file *f);

#endif
