/* The writes before the walk of a rolling update: the new controller, and what both need to be found again.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/kube/rolling.h"

#include <cjson/cJSON.h>
#include <string.h>

static enum err memory(enum err e, struct why *why)
{
    return e ? why_set(why, ERR_MEMORY, "out of memory") : OK;
}

static struct rolling_record record_of(const struct rolling *r, enum rolling_phase phase)
{
    struct rolling_record record = {.phase = phase, .original = r->original, .replicas = -1};
    memcpy(record.id, r->id, sizeof record.id);
    rolling_source(record.source, &r->old);
    return record;
}

/* Takes the update over: from now on any other run stops. */
static enum err take_over(struct rolling *r, struct rolling_object *object, void *arg,
                          struct why *why)
{
    const enum rolling_phase *phase = arg;
    char source[ROLLING_SOURCE_MAX];
    struct rolling_record record = record_of(r, *phase);
    enum err e = rolling_record_write(object->json, &record);
    if (!e && *phase == ROLLING_FORWARD) {
        rolling_source(source, &r->old);
        e = kube_annotate(object->json, KUBE_SOURCE_ID, source);
        if (!e)
            e = rolling_annotate_count(object->json, KUBE_DESIRED, r->desired);
    }
    return memory(e, why);
}

/* Old: its size to come back to; what is left of another update goes. */
static enum err note_original(struct rolling *r, struct rolling_object *object, void *arg,
                              struct why *why)
{
    (void)arg;
    enum err e = rolling_annotate_count(object->json, KUBE_ORIGINAL, r->original);
    if (!e)
        e = kube_annotate(object->json, KUBE_SOURCE_ID, NULL);
    if (!e)
        e = kube_annotate(object->json, KUBE_DESIRED, NULL);
    if (!e && object->record.phase != ROLLING_NONE)
        e = kube_annotate(object->json, KUBE_ROLLOUT, NULL);
    return memory(e, why);
}

static enum err create_new(struct rolling *r, struct why *why)
{
    char source[ROLLING_SOURCE_MAX];
    struct rolling_record record = record_of(r, ROLLING_FORWARD);
    rolling_source(source, &r->old);
    enum err e = kube_annotate(r->manifest, KUBE_SOURCE_ID, source);
    if (!e)
        e = rolling_annotate_count(r->manifest, KUBE_DESIRED, r->desired);
    if (!e)
        e = kube_annotate(r->manifest, KUBE_TEMPLATE_HASH, r->hash);
    if (!e)
        e = rolling_record_write(r->manifest, &record);
    if (e)
        return memory(e, why);
    if (r->o->is_classic)
        rolling_say("Creating %s", r->new.name);
    e = rolling_create(r, r->manifest, &r->new, why);
    if (!e && !r->o->is_classic)
        rolling_say("Created %s", r->new.name);
    return e;
}

enum err rolling_begin(struct rolling *r, struct why *why)
{
    enum rolling_phase phase = ROLLING_FORWARD;
    rolling_progress(r);
    r->from = &r->old;
    r->to = &r->new;
    enum err e = r->o->image ? rolling_label_old(r, why) : OK;
    if (e)
        return e;
    if (!r->is_resumed) {
        e = create_new(r, why);
    } else {
        e = rolling_change(r, &r->new, take_over, &phase, why);
        if (!e)
            rolling_say("Continuing update with existing controller %s.", r->new.name);
    }
    return e ? e : rolling_change(r, &r->old, note_original, NULL, why);
}

/* Old is the one that grows from now on. */
static enum err note_turn(struct rolling *r, struct rolling_object *object, void *arg,
                          struct why *why)
{
    (void)arg;
    char source[ROLLING_SOURCE_MAX];
    rolling_source(source, &r->new);
    enum err e = kube_annotate(object->json, KUBE_SOURCE_ID, source);
    if (!e)
        e = rolling_annotate_count(object->json, KUBE_DESIRED, r->original);
    if (!e)
        e = rolling_annotate_count(object->json, KUBE_ORIGINAL, r->original);
    return memory(e, why);
}

enum err rolling_turn(struct rolling *r, enum rolling_phase phase, struct why *why)
{
    struct why reason = {""};
    rolling_progress(r);
    r->from = &r->new;
    r->to = &r->old;
    r->desired = r->original;
    r->said.name[0] = '\0';
    enum err e = rolling_change(r, &r->new, take_over, &phase, why);
    if (e)
        return e;
    if (r->o->is_classic) {
        rolling_say("Found existing update in progress (%s), resuming.", r->new.name);
        rolling_say("Found desired replicas.");
    } else {
        rolling_say("Setting \"%s\" replicas to %d", r->old.name, r->original);
    }
    e = rolling_change(r, &r->old, note_turn, NULL, &reason);
    if (e)
        return why_set(why, e, "the way back cannot be recorded in %s: %.400s", r->old.name,
                       reason.text);
    rolling_say("Continuing update with existing controller %s.", r->old.name);
    return OK;
}

enum err rolling_go(struct rolling *r, struct why *why)
{
    return r->o->is_classic ? rolling_walk_classic(r, why) : rolling_walk(r, why);
}
