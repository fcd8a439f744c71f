/* Listening sockets: one per worker with SO_REUSEPORT, so that the kernel shares out connections and workers share
 * nothing. Accepting pauses where descriptors or connections run out, and goes on by itself.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_WORKER_LISTENER_H
#define SERIN_PROXY_WORKER_LISTENER_H

#include "proxy/flow/ctx.h"
#include "proxy/wire/unix_file.h"

#define LISTEN_BACKLOG  4096
#define ACCEPT_BATCH    64  /* connections taken per turn: others wait their turn too */
#define ACCEPT_PAUSE_MS 100 /* until accepting is tried again */

#define LISTEN_UNIX_MODE                                                                           \
    0666 /* of a UNIX socket, whatever the umask: clients of a proxy are everybody, as with nginx */

/* What was opened. */
struct listener_place {
    struct wire_addr bound; /* the address in force */
    struct unix_file
        file; /* of a UNIX socket; removed when nobody listens any more (unix_file_remove) */
};

/* Opens n nonblocking sockets on one address (port 0: the first one's port for all). A UNIX socket is one socket
 * under n descriptors; a stale file is removed only where nobody listens on it. place: what is in force.
 * ERR_IO with the reason in why: nothing is open then. */
enum err listener_open(const struct wire_addr *addr, int fds[], unsigned n,
                       struct listener_place *place, struct why *why) MUST_USE;

/* Adds to have sockets that listen on bound already until there are n: with SO_REUSEPORT where they have it, else
 * duplicates of the first. own: how many are sockets of their own. Nothing happens where there are enough. ERR_IO with
 * the reason: those that were there stay open, the others are closed. */
enum err listener_add(const struct wire_addr *bound, int fds[], unsigned have, unsigned n,
                      unsigned *own, struct why *why) MUST_USE;

/* One socket on one worker. */
struct listener {
    struct flow *flow;
    struct listener_cells *cells;
    unsigned index; /* among those of the configuration */
    int fd;
    bool is_paused;
    bool is_lent; /* systemd's: the socket and its queue outlive this process */
    unsigned
        reserve_begin; /* descriptors from here on are not for clients (wire/reserve.h); 0 = no limit */
    struct event accept, resume;
};

/* Begins to accept. index: of the listener in the configuration. Takes the fd. flow->world must be there. */
void listener_start(struct listener *l, struct flow *f, unsigned index, int fd,
                    struct listener_cells *cells);

/* Has the kernel begin no more connections; those that it has begun are still accepted. For a socket that no other process
 * has; systemd's is stopped. */
void listener_turn_away(struct listener *l);

/* Stops accepting and closes the socket; connections that the kernel had queued are accepted first, unless the queue is there
 * for the next process as well. One whose handshake is under way is reset: see listener_turn_away. */
void listener_stop(struct listener *l);

#endif
