/* A snapshot is built and published whole; where memory is short the old one stays in force, and the next try succeeds.
 * SPDX-License-Identifier: Apache-2.0 */
#include "metrics/log.h"
#include "oom.h"
#include "proxy/conf/load.h"
#include "proxy/control/host.h"
#include "proxy/control/publish.h"

#include <string.h>

static const char text[] =
    "listeners: [{ bind: \"127.0.0.1:0\" }]\nroutes:\n"
    "  - name: web\n    hosts: [a.example, \"*.b.example\"]\n    paths: [/, /x]\n    stable: v1\n"
    "    canary: v2\n    weight: 10%\n    versions:\n"
    "      v1: { endpoints: [\"10.0.0.1:80\", \"10.0.0.2:80\"] }\n"
    "      v2: { endpoints: [\"10.0.0.3:80\"] }\n"
    "  - name: pods\n    hosts: [c.example]\n    stable: v1\n"
    "    versions: { v1: { workload: rc/web, port: 80 } }\n";

static struct control control;

/* What a start does. False: out of memory. */
static bool configure(struct control *c)
{
    struct why why = {""};
    enum err e = known_configure(&c->known, control_config(c), &why);
    CHECK(e == OK || e == ERR_MEMORY);
    if (e != OK)
        return false;
    for (struct list *l = c->known.routes.next; l != &c->known.routes; l = l->next)
        host_take_split(CONTAINER_OF(l, struct known_route, link));
    return true;
}

static bool publish_or_keep(struct control *c)
{
    const struct snapshot *before = c->snapshot;
    enum err e = publish(c);
    CHECK(e == OK || (e == ERR_MEMORY && c->snapshot == before && c->is_publish_due));
    if (e == OK)
        return true;
    oom_rest(); /* memory again: the next tick */
    CHECK(publish(c) == OK && c->snapshot != before && !c->is_publish_due);
    oom_go_on();
    return false;
}

static bool world(struct control *c)
{
    static const char *const given[] = {"10.1.0.1:80", "10.1.0.2:80"};
    if (!configure(c) || !publish_or_keep(c))
        return false;
    (void)known_take_endpoints(&c->known, "pods", "v1", given, ARRAY_LEN(given));
    return publish_or_keep(c);
}

static bool build(void)
{
    static struct config_errors errors;
    struct control *c = &control;
    memset(c, 0, sizeof *c);
    oom_rest();
    struct config *config = config_load_text("f", text, sizeof text - 1, &errors);
    CHECK(config);
    oom_go_on();
    c->metrics = metrics_new(1);
    c->keep = c->metrics ? config_keep_new(config) : NULL;
    known_init(&c->known, c->metrics, 1);
    bool ok = c->keep && world(c);
    known_fini(&c->known);
    snapshot_unref(c->snapshot);
    if (c->keep)
        config_keep_unref(c->keep);
    else
        config_free(config);
    metrics_free(c->metrics);
    return ok;
}

int main(void)
{
    const struct log_setup silent = {.level = LOG_ERROR};
    CHECK(log_open(&silent, NULL) == OK);
    oom_every("a snapshot of two routes", build, 20);
    return 0;
}
