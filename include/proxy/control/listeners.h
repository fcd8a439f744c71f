/* All listening sockets of the process: inherited or opened, shared out among the workers.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_LISTENERS_H
#define SERIN_PROXY_CONTROL_LISTENERS_H

#include "proxy/conf/config.h"
#include "proxy/wire/unix_file.h"

struct inherited;

/* The sockets of one listener. A worker that serves accepts on those whose place, modulo the number of workers, is its own:
 * each SO_REUSEPORT socket has a queue of its own, and none may be without a worker. */
struct listener_sockets {
    char bind[WIRE_TEXT_MAX]; /* as the configuration writes it */
    int *fds;                 /* at least one a worker; theirs to close once they run */
    unsigned n;
    unsigned
        n_own; /* the first so many are sockets of their own, the others duplicates of the first */
    bool is_unix;
    struct unix_file file; /* of a UNIX socket, removed when it stops; path "" = none */
};

struct listeners {
    struct listener_sockets *items; /* [n], in the order of the configuration */
    size_t n;
};

/* Opens what the configuration names and in does not have. More inherited sockets than workers are kept all the same:
 * to close one would reset those who wait in its queue. On failure the reason is in why; listeners_close takes down what
 * is there. */
enum err listeners_open(struct listeners *l, const struct config *config, struct inherited *in,
                        struct why *why) MUST_USE;

/* Whether these sockets can serve a file with the same listeners: what it cannot know of a socket that is given.
 * ERR_INVALID with the place and the reason. */
enum err listeners_may_take(const struct listeners *l, const struct config *config,
                            struct why *why) MUST_USE;

/* How many sockets one worker of so many serves, over all listeners. */
size_t listeners_of(const struct listeners *l, unsigned worker, unsigned workers);

/* The descriptor at a place below that number, and whose it is. */
int listeners_at(const struct listeners *l, unsigned worker, unsigned workers, size_t at,
                 size_t *listener);

/* Removes the files of UNIX sockets that are still ours. */
void listeners_remove_files(struct listeners *l);

/* The file of one stays, whatever becomes of this process: it is another's now. */
void listeners_forget_file(struct listeners *l, size_t i);

/* Those that a process of before has lent are ours now. */
void listeners_own_files(struct listeners *l);

/* Closes the descriptors of the workers from first on, which did not start; those before close theirs themselves. */
void listeners_close(struct listeners *l, unsigned first, unsigned workers);

/* Frees the memory alone. */
void listeners_free(struct listeners *l);

#endif
