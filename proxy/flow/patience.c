/* Large pieces of a large response.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/flow/patience.h"

static uint32_t idle_ms(const struct exchange *x)
{
    return x->world->snapshot->config->timeouts.response_idle_ms;
}

void patience_look(struct exchange *x, size_t n, bool is_taken)
{
    struct stream *from = &x->up->stream;
    uint64_t left = x->response_body.left;
    bool is_end = left <= PATIENCE_BYTES;
    bool begins = is_taken && n >= PATIENCE_QUICK && x->body_sent >= PATIENCE_FROM && !x->has_paused;
    if (from->is_patient ? is_end : begins)
        stream_read_least(from, is_end ? (uint32_t)left : PATIENCE_BYTES);
}

bool patience_end(struct exchange *x)
{
    if (x->state != EXCHANGE_REPLY || !x->up->stream.is_patient)
        return false;
    x->has_paused = true;
    stream_read_least(&x->up->stream, 1);
    exchange_deadline(x, idle_ms(x) > PATIENCE_MS ? idle_ms(x) - PATIENCE_MS : 1);
    return true;
}

uint32_t patience_deadline_ms(const struct exchange *x)
{
    return x->up->stream.is_patient ? PATIENCE_MS : idle_ms(x);
}
