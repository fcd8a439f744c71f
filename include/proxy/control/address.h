/* An address as the configuration writes it, made into one that a socket takes.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_ADDRESS_H
#define SERIN_PROXY_CONTROL_ADDRESS_H

#include "base/err.h"
#include "proxy/wire/addr.h"

/* ERR_INVALID, ERR_UNSUPPORTED with the reason, which begins with the text. */
enum err address_of(const char *text, struct wire_addr *out, struct why *why) MUST_USE;

/* Only this machine can reach it: loopback, UNIX. False for a text that is no address. */
bool address_is_local(const char *text);

#endif
