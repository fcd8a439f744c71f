/* A moment as HTTP writes it.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_WIRE_DATE_H
#define SERIN_PROXY_WIRE_DATE_H

#include <stdint.h>

#define DATE_CHARS 29 /* "Sun, 06 Nov 1994 08:49:37 GMT" */

/* A second since 1970 UTC for a Date field, with its NUL (RFC 9110 section 5.6.7). Years 1970 to 9999. */
void date_text(int64_t wall_s, char text[DATE_CHARS + 1]);

#endif
