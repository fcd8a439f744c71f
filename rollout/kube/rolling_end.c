/* The writes after the walk of a rolling update: the survivor's annotations go, then the other controller.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/kube/rolling.h"

#include <cjson/cJSON.h>
#include <string.h>

/* The survivor: what it replaces stands in its record, so that a run that is stopped between here and the deletion
 * finds out what is left to do. */
static enum err clear_survivor(struct rolling *r, struct rolling_object *object, void *arg,
                               struct why *why)
{
    (void)arg;
    struct rolling_record record = {.phase = ROLLING_FINISHED,
                                    .original = r->original,
                                    .replicas = -1,
                                    .takes_name = r->cleanup == ROLLING_RENAME};
    memcpy(record.id, r->id, sizeof record.id);
    rolling_source(record.source, r->from);
    enum err e = rolling_annotations_clear(object->json);
    if (!e)
        e = rolling_record_write(object->json, &record);
    return e ? why_set(why, ERR_MEMORY, "out of memory") : OK;
}

static enum err clear_other(struct rolling *r, struct rolling_object *object, void *arg,
                            struct why *why)
{
    (void)r;
    (void)arg;
    enum err e = rolling_annotations_clear(object->json);
    if (!e)
        e = kube_annotate(object->json, KUBE_ROLLOUT, NULL);
    return e ? why_set(why, ERR_MEMORY, "out of memory") : OK;
}

void rolling_say_done(const struct rolling *r)
{
    bool takes_name = r->cleanup == ROLLING_RENAME;
    const char *survivor = takes_name ? r->old.name : r->to->name;
    if (r->o->is_classic)
        rolling_say("%s", survivor);
    else if (takes_name)
        rolling_say("replicationcontroller \"%s\" rolling updated", survivor);
    else
        rolling_say("replicationcontroller \"%s\" rolling updated to \"%s\"", r->from->name,
                    survivor);
}

enum err rolling_finish(struct rolling *r, struct why *why)
{
    rolling_progress(r);
    enum err e = rolling_change(r, r->to, clear_survivor, NULL, why);
    if (e)
        return e;
    if (r->cleanup == ROLLING_PRESERVE) {
        e = rolling_change(r, r->from, clear_other, NULL, why);
    } else {
        rolling_say("Update succeeded. Deleting %s%s",
                    r->cleanup == ROLLING_RENAME ? "old controller: " : "", r->from->name);
        e = rolling_delete(r, r->from, false, why);
    }
    if (!e && r->cleanup == ROLLING_RENAME)
        e = rolling_rename(r, why);
    if (!e)
        rolling_say_done(r);
    return e;
}
