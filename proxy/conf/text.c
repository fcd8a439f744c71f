/* Checks the form of the configuration's texts.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/conf/text.h"
#include "proxy/conf/dns_name.h"

struct form {
    const char *name, *expectation;
};

static const struct form forms[] = {
    [TEXT_ANY] = {"text", "a text"},
    [TEXT_NAME] = {"name", "1 to 64 of A-Z a-z 0-9 . _ -"},
    [TEXT_FILE] = {"file", "the path of a file"},
    [TEXT_BIND] = {"address", "127.0.0.1:8080, [::1]:8080, unix:/path or fd:NAME"},
    [TEXT_ENDPOINT] = {"address", "127.0.0.1:8080, [::1]:8080, unix:/path or dns:NAME:8080"},
    [TEXT_SERVER] = {"address", "127.0.0.1:53 or [::1]:53"},
    [TEXT_NETWORK] = {"network", "a network such as 10.0.0.0/8"},
    [TEXT_HOST] = {"host", "a host such as shop.example or *.shop.example"},
    [TEXT_PREFIX] = {"path", "the beginning of a path such as /api/"},
    [TEXT_FIELD] = {"name", "a name as in an HTTP field"},
    [TEXT_URL] = {"url", "a URL such as http://host/path"},
    [TEXT_TIME] = {"time", "a time of day such as 09:00"},
    [TEXT_NUMBER] = {"number", "a number such as 0.8"},
    [TEXT_OBJECT] = {"name", "a name in Kubernetes such as my-web"},
    [TEXT_WORKLOAD] = {"workload", "rc/NAME, deployment/NAME or replicaset/NAME"},
};

static bool is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

static enum err check_name(struct slice text, struct why *why)
{
    if (text.len > TEXT_NAME_MAX)
        return why_set(why, ERR_INVALID, "is longer than %u bytes", TEXT_NAME_MAX);
    for (size_t i = 0; i < text.len; i++)
        if (!is_alpha(text.at[i]) && !is_digit(text.at[i]) && !is_one_of(text.at[i], "._-"))
            return why_set(why, ERR_INVALID, "holds a character that no name may have");
    if (slice_equal(text, SLICE(".")) || slice_equal(text, SLICE("..")))
        return why_set(why, ERR_INVALID,
                       "is no name"); /* a record in state_dir is a file named so */
    return OK;
}

static enum err check_bind(struct slice text, struct why *why)
{
    struct config_address address;
    return config_address_parse(text, &address, why);
}

static enum err check_endpoint(struct slice text, struct why *why)
{
    struct config_address address;
    enum err e = config_endpoint_parse(text, &address, why);
    if (e == ERR_NOT_FOUND)
        return why_set(why, ERR_INVALID, "is a host name (written dns:NAME:PORT)");
    if (e == OK && address.kind == CONFIG_ADDRESS_FD)
        return why_set(why, ERR_INVALID, "is a socket to listen on");
    if (e == OK && address.port == 0 && address.kind != CONFIG_ADDRESS_UNIX)
        return why_set(why, ERR_INVALID, "has port 0");
    return e;
}

static enum err check_server(struct slice text, struct why *why)
{
    struct config_address address;
    enum err e = config_address_parse(text, &address, why);
    if (e == OK && (address.kind == CONFIG_ADDRESS_UNIX || address.kind == CONFIG_ADDRESS_FD))
        return why_set(why, ERR_INVALID, "is a socket of this machine");
    if (e == OK && address.port == 0)
        return why_set(why, ERR_INVALID, "has port 0");
    return e;
}

static enum err check_network(struct slice text, struct why *why)
{
    struct config_network network;
    return config_network_parse(text, &network, why);
}

static enum err check_ipv6_host(struct slice text, struct why *why)
{
    char address[80];
    struct config_address ignored;
    if (text.len > 64)
        return why_set(why, ERR_INVALID, "has no IPv6 address in its brackets");
    int len = snprintf(address, sizeof address, "%.*s:1", SLICE_ARG(text));
    if (config_address_parse(slice_of(address, (size_t)len), &ignored, NULL))
        return why_set(why, ERR_INVALID, "has no IPv6 address in its brackets, or a port");
    return OK;
}

static enum err check_host(struct slice text, struct why *why)
{
    struct slice label, rest = text;
    bool more = true;
    if (text.at[0] == '[')
        return check_ipv6_host(text, why);
    if (slice_equal(text, SLICE("*")))
        return why_set(why, ERR_INVALID, "is not needed (leave hosts out for every host)");
    if (text.len > DNS_NAME_MAX)
        return why_set(why, ERR_INVALID, "is longer than %u bytes", DNS_NAME_MAX);
    if (memchr(text.at, ':', text.len) || memchr(text.at, '/', text.len))
        return why_set(why, ERR_INVALID, "is more than a host (no scheme, port or path)");
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.at[i] >= 0x80)
            return why_set(why, ERR_INVALID, "is not ASCII (write its xn-- form)");
    if (slice_starts(text, SLICE("*.")))
        rest = slice_of(text.at + 2, text.len - 2);
    while (more) {
        more = slice_cut(rest, '.', &label, &rest);
        if (memchr(label.at, '*', label.len))
            return why_set(why, ERR_INVALID, "has a * that is not the whole first label");
        if (!dns_label_is_good(label))
            return why_set(why, ERR_INVALID, "is not a host");
    }
    return OK;
}

static enum err check_prefix(struct slice text, struct why *why)
{
    if (text.at[0] != '/')
        return why_set(why, ERR_INVALID, "does not begin with /");
    for (size_t i = 0; i < text.len; i++)
        if (is_one_of(text.at[i], " ?#\"<>\\^`{|}*") || (unsigned char)text.at[i] >= 0x80)
            return why_set(why, ERR_INVALID, "holds a character that no path may have");
    return OK;
}

static enum err check_token(struct slice text, struct why *why)
{
    for (size_t i = 0; i < text.len; i++)
        if (!is_alpha(text.at[i]) && !is_digit(text.at[i]) &&
            !is_one_of(text.at[i], "!#$%&'*+-.^_`|~"))
            return why_set(why, ERR_INVALID, "holds a character that no such name may have");
    return OK;
}

static enum err check_url(struct slice text, struct why *why)
{
    struct slice rest;
    if (slice_starts(text, SLICE("http://")))
        rest = slice_of(text.at + 7, text.len - 7);
    else if (slice_starts(text, SLICE("https://")))
        rest = slice_of(text.at + 8, text.len - 8);
    else
        return why_set(why, ERR_INVALID, "does not begin with http:// or https://");
    if (rest.len == 0 || rest.at[0] == '/' || memchr(rest.at, ' ', rest.len))
        return why_set(why, ERR_INVALID, "is not a URL");
    return OK;
}

static enum err check_time(struct slice text, struct why *why)
{
    const char *t = text.at;
    bool is_time = text.len == 5 && is_digit(t[0]) && is_digit(t[1]) && t[2] == ':' &&
                   is_one_of(t[3], "012345") && is_digit(t[4]) &&
                   (t[0] < '2' || (t[0] == '2' && t[1] < '4'));
    return is_time ? OK : why_set(why, ERR_INVALID, "is not a time of day");
}

static enum err check_number(struct slice text, struct why *why)
{
    size_t i = text.at[0] == '-', digits = 0, points = 0;
    for (; i < text.len; i++) {
        digits += is_digit(text.at[i]);
        points += text.at[i] == '.';
        if (!is_digit(text.at[i]) && text.at[i] != '.')
            return why_set(why, ERR_INVALID, "is not a number");
    }
    if (digits == 0 || points > 1 || text.at[text.len - 1] == '.')
        return why_set(why, ERR_INVALID, "is not a number");
    return OK;
}

/* Labels of a-z, 0-9 and inner hyphens, with dots between them. */
static enum err check_object(struct slice text, struct why *why)
{
    struct slice label, rest = text;
    bool more = true;
    if (text.len > DNS_NAME_MAX)
        return why_set(why, ERR_INVALID, "is longer than %u bytes", DNS_NAME_MAX);
    for (size_t i = 0; i < text.len; i++)
        if (!is_digit(text.at[i]) && !(text.at[i] >= 'a' && text.at[i] <= 'z') &&
            !is_one_of(text.at[i], "-."))
            return why_set(why, ERR_INVALID, "holds a character that no name in Kubernetes has");
    while (more) {
        more = slice_cut(rest, '.', &label, &rest);
        if (!dns_label_is_good(label))
            return why_set(why, ERR_INVALID, "is no name in Kubernetes");
    }
    return OK;
}

static enum err check_workload(struct slice text, struct why *why)
{
    struct slice kind, name;
    if (!slice_cut(text, '/', &kind, &name) || name.len == 0)
        return why_set(why, ERR_INVALID, "is not a workload");
    if (!slice_equal(kind, SLICE("rc")) && !slice_equal(kind, SLICE("deployment")) &&
        !slice_equal(kind, SLICE("replicaset")))
        return why_set(why, ERR_INVALID, "is of no known kind");
    return check_object(name, why);
}

enum err text_check(enum text_form form, struct slice text, struct why *why)
{
    if (text.len == 0)
        return why_set(why, ERR_INVALID, "is empty");
    if (text.len > TEXT_MAX)
        return why_set(why, ERR_INVALID, "is longer than %u bytes", TEXT_MAX);
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.at[i] < 0x20 || text.at[i] == 0x7f)
            return why_set(why, ERR_INVALID, "holds a control character");
    switch (form) {
    case TEXT_ANY:
    case TEXT_FILE:
        return OK;
    case TEXT_NAME:
        return check_name(text, why);
    case TEXT_BIND:
        return check_bind(text, why);
    case TEXT_ENDPOINT:
        return check_endpoint(text, why);
    case TEXT_SERVER:
        return check_server(text, why);
    case TEXT_NETWORK:
        return check_network(text, why);
    case TEXT_HOST:
        return check_host(text, why);
    case TEXT_PREFIX:
        return check_prefix(text, why);
    case TEXT_FIELD:
        return check_token(text, why);
    case TEXT_URL:
        return check_url(text, why);
    case TEXT_TIME:
        return check_time(text, why);
    case TEXT_NUMBER:
        return check_number(text, why);
    case TEXT_OBJECT:
        return check_object(text, why);
    case TEXT_WORKLOAD:
        return check_workload(text, why);
    }
    return why_set(why, ERR_INVALID, "has no known form");
}

const char *text_expectation(enum text_form form)
{
    return forms[form].expectation;
}

const char *text_form_name(enum text_form form)
{
    return forms[form].name;
}
