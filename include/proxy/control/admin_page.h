/* The page of the admin port: its files over HTTP, with a policy that lets in nothing else.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_ADMIN_PAGE_H
#define SERIN_PROXY_CONTROL_ADMIN_PAGE_H

#include <stdbool.h>

struct evhttp_request;

/* Whether the path is "/" or one of the page's files. Pure. */
bool admin_page_has(const char *path);

/* Answers with the file of such a path, or with 304 where the browser has it (RFC 9110, section
 * 13.1.2): it asks each time, so that a page never outlives its serin. */
void admin_page_answer(struct evhttp_request *req, const char *path);

#endif
