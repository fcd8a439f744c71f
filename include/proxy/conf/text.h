/* What a text of the configuration may look like: names, files, hosts, addresses.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONF_TEXT_H
#define SERIN_PROXY_CONF_TEXT_H

#include "base/err.h"
#include "base/slice.h"

#define TEXT_NAME_MAX                                                                              \
    64 /* bytes of a route's or version's name: they are metric labels and file names */
#define TEXT_MAX 4096 /* of any text */

enum text_form {
    TEXT_ANY,
    TEXT_NAME,     /* route, version: [A-Za-z0-9._-] */
    TEXT_FILE,     /* a path on this machine */
    TEXT_BIND,     /* an address, port 0 allowed */
    TEXT_ENDPOINT, /* an address or dns:NAME, port 1 to 65535 */
    TEXT_SERVER,   /* an IP address, port 1 to 65535 */
    TEXT_NETWORK,  /* 10.0.0.0/8 */
    TEXT_HOST,     /* shop.example, *.shop.example, 192.0.2.1, [2001:db8::1]; no port */
    TEXT_PREFIX,   /* the beginning of a URL's path */
    TEXT_FIELD,    /* the name of a header field or a cookie: an RFC 9110 token */
    TEXT_URL,      /* http:// or https:// */
    TEXT_TIME,     /* HH:MM */
    TEXT_NUMBER,   /* a decimal number */
    TEXT_OBJECT,   /* the name of a Kubernetes object: a DNS subdomain (RFC 1123) */
    TEXT_WORKLOAD, /* rc/NAME, deployment/NAME, replicaset/NAME */
};

/* Whether the text has the form. ERR_INVALID or ERR_UNSUPPORTED with why a predicate to stand
 * behind the text ("has no port"). No form takes an empty text or one with control characters.
 * Pure. */
enum err text_check(enum text_form form, struct slice text, struct why *why) MUST_USE;

/* What the form expects, as a noun with its article: "an address such as 127.0.0.1:8080". Pure. */
const char *text_expectation(enum text_form form);

/* The form's name in the list of keys: "address". Pure. */
const char *text_form_name(enum text_form form);

#endif
