/* Answers to what never becomes a request.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_FLOW_REFUSE_H
#define SERIN_PROXY_FLOW_REFUSE_H

#include "proxy/flow/client.h"

#define REFUSE_NO_MEMORY "out_of_memory" /* the access log's word for it */

/* Answers, counts it as the client's error (but 503: memory was short), and closes. text: what the client should know
 * besides the status; NULL = nothing. The reply has an id of its own, as the access log's line has. */
void refuse_client(struct client *c, unsigned status, const char *text);

/* The same for a head that flow->head refused: what was wrong goes to the log. */
void refuse_head(struct client *c, unsigned status);

/* The access log's word for an error of a client. Pure. */
const char *refuse_word(enum metric_client_error e);

#endif
