/* Large pieces of a large response: where a version sends faster than it is read, the next piece is awaited until much of it is
 * there. Each that is saved is a turn of the loop and two system calls, and a MiB comes in half as many. Next to nothing is held
 * back by that: the end of a body is a piece however small, and a version that pauses is waited for once in a response.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_FLOW_PATIENCE_H
#define SERIN_PROXY_FLOW_PATIENCE_H

#include "proxy/flow/exchange.h"

/* How much of a body is awaited, or what is left of it. With half of it 1 MiB costs 6% more CPU, with twice as much the same. */
#define PATIENCE_BYTES (256u << 10)

/* So much of the response was taken before. A client that reads nothing never takes it (STREAM_UNSENT_MAX, and what its own
 * kernel holds): for such no more waits on this side than ever. */
#define PATIENCE_FROM (256u << 10)

/* The piece before was no smaller: a version that is read faster than it sends has nothing to gain. */
#define PATIENCE_QUICK (32u << 10)

/* So long at most, and up to a tick of the wheel more. Then the version has paused: the rest of this response is read as it
 * comes. */
#define PATIENCE_MS 50u

/* A piece of n bytes of a response with a length was read, and more is to come. is_taken: the client's socket has all of it. */
void patience_look(struct exchange *x, size_t n, bool is_taken);

/* The exchange's deadline has come. True: it was that of a piece, which is read as it is, as soon as anything of it is there. */
bool patience_end(struct exchange *x);

/* The time until more of the response must come, in milliseconds. */
uint32_t patience_deadline_ms(const struct exchange *x);

#endif
