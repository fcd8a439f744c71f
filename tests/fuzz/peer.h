/* The same bytes read by serin's HTTP/1 core and by llhttp, the parser of Node.js: what both accept they frame alike.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_TESTS_PEER_H
#define SERIN_TESTS_PEER_H

#include "base/slice.h"

/* Longer inputs are not compared. */
#define PEER_BYTES_MAX 65536

struct peer_report {
    unsigned alike;    /* whole messages that both accept */
    unsigned stricter; /* messages that llhttp accepts and serin refuses, for a known reason */
    char text[400];    /* what differs */
};

/* Reads message after message until one of the two refuses, needs more, or says that the connection ends. is_response: they
 * are responses; to_head: the first one answers HEAD. False where the two differ in a way that is not among the known
 * ones: method, target, version, fields, body, length or persistence of a message, or what is accepted. */
bool peer_compare(struct slice bytes, bool is_response, bool to_head, struct peer_report *report);

#endif
