/* What the parts of a rolling update share: the two controllers, the record that they carry, reading and writing them.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_KUBE_ROLLING_H
#define SERIN_ROLLOUT_KUBE_ROLLING_H

#include "rollout/kube/client.h"
#include "rollout/kube/objects.h"
#include "rollout/kube/rolling_update.h"

struct cJSON;

#define ROLLING_ID_MAX     17
#define ROLLING_SOURCE_MAX (KUBE_NAME_MAX + 64)

/* Where an update is. Kept in KUBE_ROLLOUT of the new controller; FINISHED and RENAMING in that of the survivor. */
enum rolling_phase {
    ROLLING_NONE,     /* no record, or none of this command's */
    ROLLING_FORWARD,  /* old gives way to new */
    ROLLING_BACK,     /* new gives way to old, since a person asked for it */
    ROLLING_REVERT,   /* the same, since new did not become ready */
    ROLLING_FINISHED, /* all pods are moved; the other one may be let go */
    ROLLING_RENAMING, /* a parked controller of the old name, which takes over the pods of `source` */
};

struct rolling_record {
    enum rolling_phase phase;
    char id[ROLLING_ID_MAX];         /* of the run that writes */
    char source[ROLLING_SOURCE_MAX]; /* "name:uid" of the one that gives way */
    int original;                    /* size of the old controller at the start; -1 = not known */
    int replicas;                    /* RENAMING: size to come; else -1 */
    bool is_foreign;                 /* a proxy's: only with phase NONE */
    bool takes_name;                 /* FINISHED: the old name is to be taken over */
};

/* One of the two. */
struct rolling_side {
    char name[KUBE_NAME_MAX];
    char uid[64]; /* "" = not known yet */
};

/* A run. */
struct rolling {
    struct kube *kube;
    const struct rolling_options *o;
    rolling_wait_fn *wait;
    void *wait_arg;
    char id[ROLLING_ID_MAX];
    struct rolling_side old, new;   /* as the command names them */
    struct rolling_side *from, *to; /* which way */
    int original, desired;          /* old's size at the start; to's size at the end */
    enum rolling_cleanup cleanup;
    struct cJSON *manifest; /* of the new controller, as it is posted; owned; NULL = none */
    char hash[KUBE_HASH_MAX];
    bool is_resumed;     /* new was there already */
    bool is_reverted;    /* the way back is complete */
    int64_t deadline_us; /* monotonic: of the progress */
    int last_from, last_to, most_ready;
    struct {
        char name[KUBE_NAME_MAX];
        int replicas;
    } said;            /* the last line of a walk, until it is so: it is not said twice */
    bool is_contended; /* the last scaling met a conflict: look again at once */
    bool is_away;      /* the API server's absence has been told of */
};

/* An object as it was read, and what it says. */
struct rolling_object {
    struct cJSON *json; /* owned */
    struct kube_workload w;
    struct rolling_record record;
};
void rolling_object_fini(struct rolling_object *object);

/* --- rolling_ask.c */

/* As kube_do; at most as long as the update's timeout. ERR_CLOSED: a read, and it is to stop. */
enum err rolling_ask(struct rolling *r, enum kube_verb verb, const char *path,
                     const struct cJSON *body, struct cJSON **json, bool *is_unknown,
                     struct why *why) MUST_USE;

/* --- rolling_io.c */

int64_t rolling_now_us(void); /* monotonic */

/* Waits. ERR_CLOSED: it is to stop; ERR_TIMEOUT: no progress for too long. */
enum err rolling_pause(struct rolling *r, uint32_t ms, struct why *why) MUST_USE;
/* Something has moved: the deadline does too. */
void rolling_progress(struct rolling *r);

/* Reads a controller; waits for an API server that is away. ERR_NOT_FOUND: it is not there, or another of that name
 * is; ERR_TIMEOUT; ERR_CLOSED. */
enum err rolling_read(struct rolling *r, const struct rolling_side *side,
                      struct rolling_object *object, struct why *why) MUST_USE;

/* GET of a path, likewise. */
enum err rolling_get(struct rolling *r, const char *path, struct cJSON **json,
                     struct why *why) MUST_USE;

/* Changes the object as it is to be; called again on each fresh copy, so it must come to the same. */
typedef enum err rolling_change_fn(struct rolling *r, struct rolling_object *object, void *arg,
                                   struct why *why);

/* Reads, changes and writes a controller until the change stands in it: conflicts and lost answers are read again. */
enum err rolling_change(struct rolling *r, struct rolling_side *side, rolling_change_fn *change,
                        void *arg, struct why *why) MUST_USE;

/* Wants replicas of the object as it was read. ERR_CONFLICT: it has changed, or the outcome is not known: look again. */
enum err rolling_scale(struct rolling *r, const struct kube_workload *seen, int replicas,
                       struct why *why) MUST_USE;

/* Creates a controller. ERR_CONFLICT: somebody else's is there. */
enum err rolling_create(struct rolling *r, const struct cJSON *manifest, struct rolling_side *side,
                        struct why *why) MUST_USE;

/* Deletes a controller that has no replicas (is_orphaning: leaves its pods alone), and waits until it is gone. One that is not
 * there is good. ERR_CONFLICT: it has replicas again. */
enum err rolling_delete(struct rolling *r, struct rolling_side *side, bool is_orphaning,
                        struct why *why) MUST_USE;

/* --- rolling_record.c (pure) */

struct rolling_record rolling_record_read(const struct cJSON *object);
enum err rolling_record_write(struct cJSON *object, const struct rolling_record *record) MUST_USE;

/* ERR_CONFLICT where a proxy has the update of this controller in its hands. */
enum err rolling_check_hands(const struct rolling_object *object, struct why *why) MUST_USE;

/* "name:uid" */
void rolling_source(char source[ROLLING_SOURCE_MAX], const struct rolling_side *side);
bool rolling_source_is(const char *source, const struct rolling_side *side);

/* Sets or removes (-1) a count. */
enum err rolling_annotate_count(struct cJSON *object, const char *key, int count) MUST_USE;

/* Removes every annotation of an update. */
enum err rolling_annotations_clear(struct cJSON *object) MUST_USE;

/* "map[a:b c:d]", as kubectl shows the annotations. */
void rolling_annotations_show(const struct cJSON *object, char *out, size_t room);

/* Whether everything that wanted has is in live too: what the API server adds does not count. */
bool rolling_covers(const struct cJSON *live, const struct cJSON *wanted);

/* --- rolling_new.c: the new controller, from a file or from the old one */

/* Makes r->manifest of the file, and checks it beside old. */
enum err rolling_new_from_file(struct rolling *r, const struct rolling_object *old,
                               struct why *why) MUST_USE;
/* Makes r->manifest of old with another image; r->new gets its name where it has none. */
enum err rolling_new_from_image(struct rolling *r, const struct rolling_object *old,
                                struct why *why) MUST_USE;
/* A copy without what the API server fills in and what belongs to another update, that wants no pods. NULL: memory. */
struct cJSON *rolling_bare_copy(const struct cJSON *object);
/* The image that new runs already differs: ERR_CONFLICT, with the two ways to go on. */
enum err rolling_check_image(const struct rolling *r, const struct rolling_object *new,
                             struct why *why) MUST_USE;
/* r->hash of the file's template. ERR_MEMORY. */
enum err rolling_hash_of_file(struct rolling *r) MUST_USE;
/* ERR_CONFLICT where an autoscaler would fight. */
enum err rolling_check_autoscalers(struct rolling *r, struct why *why) MUST_USE;

/* --- rolling_label.c: the label that tells the pods of two controllers of one selector apart */

/* Gives old, its pods and its selector the label, in the order that leaves no pod without a controller. */
enum err rolling_label_old(struct rolling *r, struct why *why) MUST_USE;

/* --- rolling_walk.c */

/* Moves the pods from r->from to r->to. ERR_TIMEOUT, ERR_CLOSED, ERR_NOT_FOUND (deleted by somebody), ERR_CONFLICT
 * (another run has taken over). */
enum err rolling_walk(struct rolling *r, struct why *why) MUST_USE;

/* --- rolling_classic.c */
enum err rolling_walk_classic(struct rolling *r, struct why *why) MUST_USE;

/* What both walks share. */
struct rolling_look {
    struct kube_workload from, to;
};
/* Reads both; takes note of progress. */
enum err rolling_look(struct rolling *r, struct rolling_look *look, struct why *why) MUST_USE;
/* Pods of to that are available; at most as many as it wants. */
enum err rolling_ready(struct rolling *r, const struct rolling_look *look, int *ready,
                       struct why *why) MUST_USE;

/* Whether the walk is at its end: all of to is there and available, nothing of from is. */
enum err rolling_is_there(struct rolling *r, const struct rolling_look *look, bool *is_there,
                          struct why *why) MUST_USE;
/* The period between up and down; it does not count as lack of progress. */
enum err rolling_sleep(struct rolling *r, struct why *why) MUST_USE;

/* --- rolling_begin.c: the writes before the walk */

/* Creates new, or goes on with the one that is there; from here on old gives way to new. */
enum err rolling_begin(struct rolling *r, struct why *why) MUST_USE;
/* Turns round: old is to have its original size again. phase: ROLLING_BACK or ROLLING_REVERT. */
enum err rolling_turn(struct rolling *r, enum rolling_phase phase, struct why *why) MUST_USE;
/* Walks in the manner that is asked for. */
enum err rolling_go(struct rolling *r, struct why *why) MUST_USE;

/* --- rolling_end.c: the writes after it */

/* Clears the survivor's annotations and lets the other one go, as the policy says; prints the last line. */
enum err rolling_finish(struct rolling *r, struct why *why) MUST_USE;
/* The last line. */
void rolling_say_done(const struct rolling *r);

/* --- rolling_rename.c */

/* r->new takes the name of r->old, which is gone: its pods stay as they are. Goes on from wherever it was. */
enum err rolling_rename(struct rolling *r, struct why *why) MUST_USE;
/* The same from a parked controller. */
enum err rolling_rename_resume(struct rolling *r, const struct rolling_object *parked,
                               struct why *why) MUST_USE;

/* --- rolling_back.c */

/* The way back that a person asks for. */
enum err rolling_back(struct rolling *r, struct why *why) MUST_USE;
/* The controller whose source is r->old.name; ERR_NOT_FOUND: there is none. */
enum err rolling_find_successor(struct rolling *r, struct rolling_object *object,
                                struct why *why) MUST_USE;
/* metadata.name; "" where it is none. */
const char *rolling_name_of(const struct cJSON *object);

/* Prints a line, and lets it out. */
void rolling_say(const char *fmt, ...) PRINTF_LIKE(1, 2);

#endif
