/* Base64 and small files, as credentials come. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_KUBE_TEXT_H
#define SERIN_ROLLOUT_KUBE_TEXT_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

/* Guards memory against a credential file that is none. */
#define KUBE_FILE_MAX (1u << 20)

/* Decodes base64 (RFC 4648 section 4; line ends between are skipped) to a text with its NUL, which the caller
 * frees. NULL: not base64, a NUL within, or memory. */
char *kube_base64_decode(const char *text);

/* The reverse, in one line; the caller frees it. NULL when memory is short. */
char *kube_base64_encode(const char *bytes, size_t len);

/* A whole small text file; the caller frees it. NULL with the reason. Blocks. */
char *kube_file_read(const char *path, struct why *why) MUST_USE;

/* Cuts white space at the end. */
void kube_trim_end(char *text);

/* A bearer token may stand in a header field: visible ASCII, not empty, no longer than 64 KiB. */
bool kube_is_token(const char *text);

#endif
