/* The channel between two processes of which one hands over to the other: messages with descriptors over a pair of UNIX
 * sockets (SOCK_SEQPACKET: a message is whole or not there).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_HANDOVER_CHANNEL_H
#define SERIN_PROXY_CONTROL_HANDOVER_CHANNEL_H

#include "proxy/control/handover_message.h"

struct event_base;
struct handover_channel;

#define HANDOVER_FDS_MAX 64u /* of one message; the kernel takes 253 (SCM_MAX_FD) */

/* What waits for a peer that does not read: guards the memory against one that hangs. */
#define HANDOVER_QUEUE_MAX (64u << 20)

/* Two ends, closed on exec, nonblocking. ERR_IO with errno. */
enum err handover_pair(int fds[2]) MUST_USE;

/* Whether a descriptor that somebody named is such an end. */
bool handover_is_end(int fd);

/* A message, with the descriptors that came with it. */
struct handover_received {
    struct handover_message message;
    int fds[HANDOVER_FDS_MAX];
    unsigned n_fds;
};

/* Closes the descriptors and frees the message. */
void handover_received_fini(struct handover_received *r);

/* Sends one message at once, or waits for room until the deadline (monotonic). For a process that has not begun its event
 * loop. ERR_TIMEOUT, ERR_CLOSED, ERR_IO, ERR_MEMORY. */
enum err handover_send_now(int fd, const struct handover_message *m, int64_t until_ms,
                           struct why *why) MUST_USE;

/* Waits for one message until the deadline. On OK the caller ends it with handover_received_fini. ERR_TIMEOUT, ERR_CLOSED,
 * ERR_INVALID, ERR_LIMIT, ERR_IO, ERR_MEMORY. */
enum err handover_receive_now(int fd, struct handover_received *r, int64_t until_ms,
                              struct why *why) MUST_USE;

/* r is the callee's for the call, who takes descriptors out of it by setting n_fds to 0. The channel may be freed within. */
typedef void handover_message_fn(void *arg, struct handover_received *r);

/* The peer is gone, or what it says cannot be understood. Called once. The channel may be freed within. */
typedef void handover_end_fn(void *arg, const char *why);

/* Listens to an end on the event loop; takes fd. NULL when memory is short: fd is closed. */
struct handover_channel *handover_channel_new(struct event_base *base, int fd,
                                              handover_message_fn *on_message,
                                              handover_end_fn *on_end, void *arg);

/* Sends or queues a message with descriptors, which stay the caller's and must stay open until then. What cannot be sent ends the
 * channel, in a later turn. */
void handover_channel_send(struct handover_channel *ch, const struct handover_message *m,
                           const int *fds, unsigned n_fds);

/* Rests, or reads on: for an end that another process reads by now. */
void handover_channel_rest(struct handover_channel *ch, bool rests);

/* The end itself, for another process; the channel's. */
int handover_channel_fd(const struct handover_channel *ch);

/* NULL is allowed. */
void handover_channel_free(struct handover_channel *ch);

#endif
