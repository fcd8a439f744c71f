/* A rolling update from its beginning to its end: looks at what is there, does what is left to do.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/kube/rolling_update.h"
#include "rollout/kube/client.h"
#include "rollout/kube/rolling.h"

#include <cjson/cJSON.h>
#include <string.h>
#include <sys/random.h>

static bool is_rename(const struct rolling *r)
{
    if (r->o->cleanup == ROLLING_BY_FORM)
        return r->o->image && !r->o->new;
    return r->o->cleanup == ROLLING_RENAME;
}

/* What the objects of the two names are, as read before the first write. */
struct found {
    struct rolling_object old, new;
    bool has_new;
};

static void found_fini(struct found *f)
{
    rolling_object_fini(&f->old);
    rolling_object_fini(&f->new);
}

/* Reads new where its name is known. */
static enum err find_new(struct rolling *r, struct found *f, struct why *why)
{
    f->has_new = false;
    if (!r->new.name[0])
        return OK;
    enum err e = rolling_read(r, &r->new, &f->new, why);
    if (e == ERR_NOT_FOUND)
        return OK;
    f->has_new = !e;
    if (!e)
        memcpy(r->new.uid, f->new.w.uid, sizeof r->new.uid);
    return e;
}

/* The new controller by its file, or by its image. */
static enum err plan_new(struct rolling *r, struct found *f, struct why *why)
{
    if (!r->o->image) {
        enum err e = rolling_new_from_file(r, &f->old, why);
        return e ? e : find_new(r, f, why);
    }
    const char *name = r->o->new ? r->o->new : f->old.w.next;
    memcpy(r->new.name, name, strlen(name) + 1);
    if (strcmp(r->new.name, r->old.name) == 0)
        return why_set(why, ERR_INVALID,
                       "%s cannot have the same name as the existing ReplicationController %s",
                       r->new.name, r->old.name);
    enum err e = find_new(r, f, why);
    if (!e && f->has_new)
        return rolling_check_image(r, &f->new, why);
    if (!e)
        e = rolling_new_from_image(r, &f->old, why);
    return e ? e : find_new(r, f, why);
}

/* Whether new runs the template of the file. One that kubectl made has no hash; what the server added to its template
 * does not count then. */
static bool is_same_template(const struct rolling *r, const struct rolling_object *new)
{
    if (!r->o->manifest)
        return true;
    if (kube_annotation(new->json, KUBE_TEMPLATE_HASH))
        return strcmp(new->w.hash, r->hash) == 0;
    const cJSON *live = cJSON_GetObjectItemCaseSensitive(new->json, "spec");
    const cJSON *wanted = cJSON_GetObjectItemCaseSensitive(r->manifest, "spec");
    return rolling_covers(cJSON_GetObjectItemCaseSensitive(live, "template"),
                          cJSON_GetObjectItemCaseSensitive(wanted, "template"));
}

static bool is_finished(const struct rolling *r, const struct found *f)
{
    return f->has_new && f->new.record.phase ==
                             ROLLING_FINISHED &&rolling_source_is(f->new.record.source, &r->old);
}

/* A controller of the new name is there: whether it is this update's. Takes what it says about sizes. */
static enum err check_resumable(struct rolling *r, const struct found *f, struct why *why)
{
    char shown[256], source[ROLLING_SOURCE_MAX];
    const struct kube_workload *new = &f->new.w;
    if (!is_finished(r, f) && !rolling_source_is(new->source_id, &r->old)) {
        rolling_source(source, &r->old);
        rolling_annotations_show(f->new.json, shown, sizeof shown);
        return why_set(why, ERR_CONFLICT,
                       "Missing/unexpected annotations for controller %s, expected %s : %s",
                       r->new.name, source, shown);
    }
    enum err e = rolling_check_hands(&f->new, why);
    if (e)
        return e;
    r->original = f->new.record.original >= 0 ? f->new.record.original : f->old.w.original;
    r->desired = new->desired >= 0 ? new->desired : r->original;
    if (r->original < 0) /* the first generation wrote no size of old */
        r->original = new->desired >= 0 ? new->desired : f->old.w.replicas;
    if (r->desired < 0)
        r->desired = r->original;
    r->is_resumed = true;
    if (r->o->manifest && !is_same_template(r, &f->new) && !r->o->supersedes)
        return why_set(why, ERR_CONFLICT,
                       "an update to another template of %s is under way: give its file again to "
                       "go on, --rollback to go back, or --supersede to go back and start with %s",
                       r->new.name, r->o->file);
    return OK;
}

/* Nothing is written before everything here holds. */
static enum err check_all(struct rolling *r, struct found *f, struct why *why)
{
    struct scale_bounds b;
    enum err e = plan_new(r, f, why);
    if (e)
        return e;
    r->original = f->old.w.replicas;
    if (f->has_new)
        e = check_resumable(r, f, why);
    if (!e && r->o->is_classic && r->desired <= 0)
        e = why_set(why, ERR_INVALID,
                    "Invalid controller spec for %s; required: > 0 replicas, actual: %d",
                    r->new.name, r->desired);
    if (!e && !r->o->is_classic)
        e = scale_bounds_make(r->desired, f->old.w.replicas, r->o->max_surge, r->o->max_unavailable,
                              &b, why);
    return e ? e : rolling_check_autoscalers(r, why);
}

static void say_dry(const char *from, const char *to)
{
    rolling_say("Rolling from:\n%s\nTo:\n%s", from, to);
}

/* New did not become ready in time: everything goes back to as it was. */
static enum err revert(struct rolling *r, struct why *why)
{
    enum err e = rolling_turn(r, ROLLING_REVERT, why);
    if (!e)
        e = rolling_go(r, why);
    r->cleanup = ROLLING_DELETE;
    if (!e)
        e = rolling_finish(r, why);
    r->is_reverted = !e;
    return e;
}

static enum err forward(struct rolling *r, struct why *why)
{
    enum err e = rolling_begin(r, why);
    if (e)
        return e;
    e = rolling_go(r, why);
    if (e != ERR_TIMEOUT || r->is_away)
        return e ? e : rolling_finish(r, why);
    fprintf(stderr, "serin: %s: going back from %s to %s\n", why->text, r->new.name, r->old.name);
    return revert(r, why);
}

static enum err from_the_start(struct rolling *r, struct why *why);

/* Another template under the same name: back with the one that runs, then anew. */
static enum err supersede(struct rolling *r, struct why *why)
{
    enum err e = rolling_turn(r, ROLLING_BACK, why);
    if (!e)
        e = rolling_go(r, why);
    enum rolling_cleanup cleanup = r->cleanup;
    r->cleanup = ROLLING_DELETE;
    if (!e)
        e = rolling_finish(r, why);
    r->cleanup = cleanup;
    cJSON_Delete(r->manifest);
    r->manifest = NULL;
    r->new = (struct rolling_side){.name = ""};
    r->is_resumed = false;
    return e ? e : from_the_start(r, why);
}

/* Both names are looked at; what is left to do is done. */
static enum err do_what_is_left(struct rolling *r, const struct found *f, struct why *why)
{
    if (r->o->is_dry) {
        say_dry(r->old.name, r->new.name);
        return OK;
    }
    r->from = &r->old;
    r->to = &r->new;
    if (f->has_new && !is_same_template(r, &f->new))
        return supersede(r, why);
    if (is_finished(r, f)) {
        r->cleanup = f->new.record.takes_name ? ROLLING_RENAME : r->cleanup;
        return rolling_finish(r, why);
    }
    if (f->has_new && f->new.record.phase == ROLLING_REVERT)
        return revert(r, why);
    if (f->has_new && r->o->image)
        rolling_say("Found existing update in progress (%s), resuming.", r->new.name);
    return forward(r, why);
}

/* The update has been completed, and the new controller of this very file has the old name by now. */
static bool has_been_renamed(struct rolling *r, const struct found *f)
{
    return r->o->manifest && r->cleanup == ROLLING_RENAME &&
           f->old.record.phase == ROLLING_FINISHED && rolling_hash_of_file(r) == OK &&
           kube_source_is(f->old.record.source, rolling_name_of(r->o->manifest)) &&
           strcmp(f->old.w.hash, r->hash) == 0;
}

static enum err with_old(struct rolling *r, struct found *f, struct why *why)
{
    memcpy(r->old.uid, f->old.w.uid, sizeof r->old.uid);
    if (f->old.record.phase == ROLLING_RENAMING) {
        r->cleanup = ROLLING_RENAME;
        enum err e = r->o->is_dry ? OK : rolling_rename_resume(r, &f->old, why);
        if (!e)
            rolling_say_done(r);
        return e;
    }
    if (has_been_renamed(r, f)) {
        rolling_say_done(r);
        return OK;
    }
    enum err e = check_all(r, f, why);
    return e ? e : do_what_is_left(r, f, why);
}

/* Old is gone. Done where new says that it took its place; or the rename is left to do. */
static enum err without_old(struct rolling *r, struct found *f, struct why *why)
{
    struct why reason = *why;
    const char *name = r->o->new ? r->o->new : "";
    r->from = &r->old;
    r->to = &r->new;
    if (r->o->manifest) {
        name = rolling_name_of(r->o->manifest);
        if (rolling_hash_of_file(r) != OK)
            return why_set(why, ERR_MEMORY, "out of memory");
    }
    memcpy(r->new.name, name, strlen(name) + 1);
    enum err e = name[0] ? find_new(r, f, why) : rolling_find_successor(r, &f->new, why);
    if (e)
        return e;
    f->has_new |= !name[0];
    bool is_completed = f->has_new && f->new.record.phase == ROLLING_FINISHED &&kube_source_is(
                                                                 f->new.record.source, r->old.name);
    if (name[0] && (!is_completed || !is_same_template(r, &f->new)))
        return why_set(why, ERR_NOT_FOUND, "%s", reason.text);
    if (r->o->image && (e = rolling_check_image(r, &f->new, why)))
        return e;
    if (r->o->is_dry)
        return OK;
    bool takes_name = !name[0] || f->new.record.takes_name;
    r->cleanup = takes_name ? ROLLING_RENAME : ROLLING_DELETE;
    r->original = f->new.record.original;
    e = takes_name ? rolling_rename(r, why) : OK;
    if (!e)
        rolling_say_done(r);
    return e;
}

static enum err from_the_start(struct rolling *r, struct why *why)
{
    struct found f = {.has_new = false};
    r->old.uid[0] = '\0';
    rolling_progress(r);
    enum err e = rolling_read(r, &r->old, &f.old, why);
    if (e == OK)
        e = with_old(r, &f, why);
    else if (e == ERR_NOT_FOUND)
        e = without_old(r, &f, why);
    found_fini(&f);
    return e;
}

static void explain_stop(struct rolling *r)
{
    if (!r->from || r->last_from < 0 || r->last_to < 0) {
        fprintf(stderr, "serin: interrupted\n");
        return;
    }
    fprintf(stderr,
            "serin: interrupted: %s has %d replicas, %s has %d of %d\n"
            "serin: to go on, give the same command again; to go back: serin rolling-update %s %s "
            "--rollback\n",
            r->from->name, r->last_from, r->to->name, r->last_to, r->desired, r->old.name,
            r->new.name);
}

static enum rolling_end end_of(struct rolling *r, enum err e, const struct why *why)
{
    if (e == ERR_CLOSED) {
        explain_stop(r);
        return ROLLING_INTERRUPTED;
    }
    if (e)
        fprintf(stderr, "serin: %s\n", why->text);
    if (e == ERR_TIMEOUT)
        return ROLLING_STALLED;
    return e ? ROLLING_FAILED : r->is_reverted ? ROLLING_REVERTED : ROLLING_DONE;
}

enum rolling_end rolling_update(struct kube *k, const struct rolling_options *o,
                                rolling_wait_fn *wait, void *arg)
{
    struct why why = {""};
    uint64_t id = 0;
    struct rolling r = {.kube = k, .o = o, .wait = wait, .wait_arg = arg, .last_from = -1};
    enum err e = OK;
    if (getrandom(&id, sizeof id, 0) != sizeof id)
        e = why_set(&why, ERR_IO, "no random numbers");
    (void)snprintf(r.id, sizeof r.id, "%016llx", (unsigned long long)id);
    if (!e && (!kube_is_name(o->old) || (o->new && !kube_is_name(o->new))))
        e = why_set(&why, ERR_INVALID, "\"%s\" is no name of a controller",
                    kube_is_name(o->old) ? o->new : o->old);
    if (!e) {
        memcpy(r.old.name, o->old, strlen(o->old) + 1);
        r.cleanup = o->cleanup == ROLLING_PRESERVE ? ROLLING_PRESERVE
                    : is_rename(&r)                ? ROLLING_RENAME
                                                   : ROLLING_DELETE;
        e = o->is_rollback ? rolling_back(&r, &why) : from_the_start(&r, &why);
    }
    cJSON_Delete(r.manifest);
    return end_of(&r, e, &why);
}
