/* What one turn of a worker's loop sends, handed to the kernel in one system call (io_uring) as the turn ends.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/wire/burst.h"

#include "base/check.h"
#include "proxy/wire/parts.h"
#include "proxy/wire/stream.h"
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <sys/socket.h>

static void on_turn_ends(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    burst_send(arg);
}

void burst_init(struct burst *b, struct event_base *base)
{
    b->ring = NULL;
    b->bytes = NULL;
    b->n = b->n_bytes = 0;
    b->n_system_calls = 0;
    CHECK(event_assign(&b->turn_ends, base, -1, 0, on_turn_ends, b) == 0);
}

bool burst_begin(struct burst *b)
{
    struct io_uring *ring = malloc(sizeof *ring);
    char *bytes = malloc(BURST_BYTES);
    struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER |
                                              IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL};
    int failure = ring && bytes ? io_uring_queue_init_params(BURST_MAX, ring, &params) : -ENOMEM;
    if (failure < 0) {
        free(bytes);
        free(ring);
        errno = -failure;
        return false;
    }
    (void)io_uring_register_ring_fd(ring); /* saves the look-up of the descriptor */
    b->ring = ring;
    b->bytes = bytes;
    return true;
}

static void close_ring(struct burst *b)
{
    io_uring_queue_exit(b->ring);
    free(b->ring);
    b->ring = NULL;
}

void burst_end(struct burst *b)
{
    burst_send(b);
    if (b->ring)
        close_ring(b);
    free(b->bytes);
    b->bytes = NULL;
    (void)event_del(&b->turn_ends);
}

bool burst_takes(const struct burst *b, size_t len)
{
    return b->ring && len <= BURST_PIECE_MAX &&
           event_base_get_num_events(event_get_base(&b->turn_ends), EVENT_BASE_COUNT_ACTIVE) > 0;
}

uint8_t burst_put(struct burst *b, struct stream *s, const struct iovec *parts, int n)
{
    if (b->n == BURST_MAX || b->n_bytes > BURST_BYTES - BURST_PIECE_MAX)
        burst_send(b);
    if (b->n == 0)
        event_active(&b->turn_ends, EV_TIMEOUT, 0);
    uint32_t at = b->n_bytes;
    uint32_t len = (uint32_t)parts_len(parts, n);
    parts_copy(b->bytes + at, parts, n);
    b->n_bytes += len;
    b->items[b->n++] = (struct burst_item){s, at, len};
    return (uint8_t)b->n;
}

uint32_t burst_drop(struct burst *b, uint8_t place)
{
    b->items[place - 1].stream = NULL;
    return b->items[place - 1].len;
}

/* taken: bytes, or an errno below zero. */
static void tell(struct burst *b, const struct burst_item *item, ssize_t taken)
{
    size_t sent = taken > 0 ? (size_t)taken : 0;
    stream_on_burst(item->stream, b->bytes + item->at + sent, item->len - sent);
}

static void send_one(struct burst *b, const struct burst_item *item)
{
    b->n_system_calls++;
    tell(b, item,
         send(item->stream->fd, b->bytes + item->at, item->len, MSG_NOSIGNAL | MSG_DONTWAIT));
}

/* One by one: where there is only one, or the ring is gone. */
static void send_each(struct burst *b)
{
    for (uint32_t i = 0; i < b->n; i++)
        if (b->items[i].stream)
            send_one(b, &b->items[i]);
}

/* Asks the ring for each of them. Returns how many there are. */
static unsigned ask_for_all(struct burst *b)
{
    unsigned n = 0;
    for (uint32_t i = 0; i < b->n; i++) {
        const struct burst_item *item = &b->items[i];
        if (!item->stream)
            continue;
        struct io_uring_sqe *sqe = io_uring_get_sqe(b->ring);
        io_uring_prep_send(sqe, item->stream->fd, b->bytes + item->at, item->len,
                           MSG_NOSIGNAL | MSG_DONTWAIT);
        io_uring_sqe_set_data64(sqe, i);
        n++;
    }
    return n;
}

/* Hands over what was asked for. Returns how many of it the kernel would not even look at: it has no memory. */
static unsigned submit(struct burst *b)
{
    int taken;
    do {
        b->n_system_calls++;
        taken = io_uring_submit(b->ring);
    } while (taken == -EINTR || (taken > 0 && io_uring_sq_ready(b->ring)));
    return io_uring_sq_ready(b->ring);
}

/* Tells so many streams what became of their bytes. */
static void take_answers(struct burst *b, unsigned n)
{
    while (n) {
        struct io_uring_cqe *cqe;
        int failure = io_uring_wait_cqe(b->ring, &cqe); /* is there */
        CHECK(failure == 0 || failure == -EINTR);
        if (failure)
            continue;
        struct burst_item *item = &b->items[io_uring_cqe_get_data64(cqe)];
        tell(b, item, cqe->res);
        item->stream = NULL;
        io_uring_cqe_seen(b->ring, cqe);
        n--;
    }
}

static void send_by_ring(struct burst *b)
{
    unsigned asked = ask_for_all(b), refused = submit(b);
    take_answers(b, asked - refused);
    if (refused == 0)
        return;
    close_ring(b);
    send_each(b);
}

void burst_send(struct burst *b)
{
    if (b->n > 1 && b->ring)
        send_by_ring(b);
    else
        send_each(b);
    b->n = b->n_bytes = 0;
}
