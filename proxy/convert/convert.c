/* Finds out what a file holds, and hands it to whoever knows that kind.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/convert/convert.h"
#include "proxy/convert/argo.h"
#include "proxy/convert/flagger.h"
#include "proxy/convert/ingress.h"
#include "proxy/convert/route.h"
#include "proxy/convert/source.h"

#include <cjson/cJSON.h>
#include <string.h>

struct kind {
    const char *name, *expected;
    bool (*is)(const struct cJSON *object);
    void (*convert)(struct draft *d);
};

static const struct kind kinds[CONVERT_KINDS] = {
    [CONVERT_INGRESS] = {"ingress", "an Ingress of networking.k8s.io", ingress_is, ingress_convert},
    [CONVERT_ARGO] = {"argo", "a Rollout of argoproj.io", argo_is, argo_convert},
    [CONVERT_FLAGGER] = {"flagger", "a Canary of flagger.app", flagger_is, flagger_convert},
};

enum convert_from convert_from_name(const char *name)
{
    enum convert_from from = CONVERT_INGRESS;
    while (from < CONVERT_KINDS && strcmp(kinds[from].name, name) != 0)
        from++;
    return from;
}

const char *convert_name(enum convert_from from)
{
    return kinds[from].name;
}

static size_t count(const struct draft *d, enum convert_from from)
{
    size_t n = 0;
    for (size_t i = 0; i < d->n_objects; i++)
        n += kinds[from].is(d->objects[i]);
    return n;
}

static enum err refuse_kinds(const struct draft *d, enum convert_from from, struct why *why)
{
    char found[256] = "nothing";
    size_t at = 0;
    for (size_t i = 0; i < d->n_objects && at < sizeof found; i++) {
        const char *version = source_text(d->objects[i], "apiVersion");
        int n = snprintf(found + at, sizeof found - at, "%s%.60s of %.60s", i ? ", " : "",
                         source_text(d->objects[i], "kind"), version ? version : "no API");
        at += n > 0 ? (size_t)n : 0;
    }
    if (from != CONVERT_ANY)
        return why_set(why, ERR_NOT_FOUND, "%s holds %s (expected %s)", d->file, found,
                       kinds[from].expected);
    return why_set(why, ERR_NOT_FOUND, "%s holds %s (expected %s, %s or %s)", d->file, found,
                   kinds[CONVERT_INGRESS].expected, kinds[CONVERT_ARGO].expected,
                   kinds[CONVERT_FLAGGER].expected);
}

static enum err choose(const struct draft *d, enum convert_from *from, struct why *why)
{
    if (*from == CONVERT_ANY && count(d, CONVERT_ARGO) && count(d, CONVERT_FLAGGER))
        return why_set(why, ERR_CONFLICT,
                       "%s holds Rollouts and Canaries: say which with --from argo or --from "
                       "flagger",
                       d->file);
    for (enum convert_from kind = CONVERT_KINDS - 1; *from == CONVERT_ANY && kind > CONVERT_ANY;
         kind--)
        if (count(d, kind))
            *from = kind;
    if (*from == CONVERT_ANY || count(d, *from) == 0)
        return refuse_kinds(d, *from, why);
    return OK;
}

/* What else the file holds: objects that go on as they are are no matter, those that split or route are. */
static void leave_objects(struct draft *d, enum convert_from from)
{
    static const char *const others[] = {
        "VirtualService", "DestinationRule",  "Gateway",      "HTTPRoute", "TrafficSplit",
        "AlertProvider",  "TraefikService",   "IngressRoute", "HTTPProxy", "Experiment",
        "ApisixRoute",    "ServersTransport", "Middleware",
    };
    for (size_t i = 0; i < d->n_objects; i++) {
        const struct cJSON *object = d->objects[i];
        for (size_t k = 0; k < sizeof others / sizeof others[0]; k++)
            if (source_is(object, NULL, others[k]))
                draft_note(d, NOTE_LEFT, object, NULL, "serin convert does not read this kind");
        for (enum convert_from kind = CONVERT_ARGO; kind < CONVERT_KINDS; kind++)
            if (kind != from && kinds[kind].is(object))
                draft_note(d, NOTE_LEFT, object, NULL, "convert it by itself, with --from %s",
                           kinds[kind].name);
    }
}

enum err convert(struct draft *d, enum convert_from *from, struct why *why)
{
    enum err err = choose(d, from, why);
    if (err)
        return err;
    kinds[*from].convert(d);
    d->subject = NULL;
    route_settle(d);
    leave_objects(d, *from);
    draft_sort_notes(d);
    if (d->failed)
        return why_set(why, ERR_MEMORY, "out of memory");
    if (!d->routes || !d->routes->child)
        return why_set(why, ERR_INVALID, "%s: nothing of it could be written", d->file);
    return OK;
}
