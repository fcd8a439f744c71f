/* Random worlds: people, files, endpoints, breakers, disks and kills at any time; what must hold
 * holds at every tick. Seeds are fixed, so a failure comes again; SERIN_TEST_SEED=N runs one seed
 * alone. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "rollout/inside.h"
#include "rollout_world.h"

#define SEEDS   60
#define SECONDS 500
#define CALM_S  900 /* what a rollout of the plan below may need when nothing disturbs it */

struct game {
    unsigned seed;
    uint64_t state;
    struct world world;
    struct rollout *rollout;
    struct plan plan;
    char dir[64], stable[8], canary[8], revision[8];
    int second;
    const char *act; /* the last thing that was done */
    char salt[ROLLOUT_ID_MAX];
    uint32_t weight_bp;    /* last applied */
    bool allowed_to_start; /* retry, undo or reset since the last look at the quarantine */
};

static struct game *playing;

static unsigned draw(struct game *g, unsigned below)
{
    g->state ^= g->state << 13;
    g->state ^= g->state >> 7;
    g->state ^= g->state << 17;
    return (unsigned)(g->state % below);
}

static void lose(const char *what)
{
    const struct game *g = playing;
    const struct record *record = g->rollout ? &g->rollout->record : NULL;
    fail_msg("seed %u, second %d, after %s: %s (state %s, weight %u)", g->seed, g->second, g->act,
             what, record ? machine_state_name(record->machine.state) : "down",
             record ? record->machine.weight_bp : 0);
}

/* The record on disk. False: there is none that can be read. */
static bool read_disk(const struct game *g, struct record *record)
{
    static char text[1 << 18];
    char path[96];
    (void)snprintf(path, sizeof path, "%s/r.json", g->dir);
    FILE *f = fopen(path, "r");
    if (!f)
        return false;
    size_t len = fread(text, 1, sizeof text, f);
    (void)fclose(f);
    struct why why;
    if (record_decode(record, text, len, &why) == OK)
        return true;
    lose(why.text);
    return false;
}

/* Invariants 4 and 10: the disk knows a weight before users feel it; a user keeps the version while
 * the share grows. */
static void watch_apply(void *host, const char *route, const struct rollout_split *split)
{
    struct game *g = playing;
    struct record disk;
    if (!world_disk.dead && split->weight_bp > 0 && read_disk(g, &disk)) {
        if (split->weight_bp > disk.machine.weight_bp)
            lose("a weight is in force that the disk does not know");
        record_fini(&disk);
    }
    if (g->weight_bp > 0 && split->weight_bp > 0 && strcmp(g->salt, split->salt) != 0)
        lose("the salt changed under users of the canary");
    if (split->active != (split->weight_bp > 0) || split->weight_bp > 10000)
        lose("a split that is none");
    if (!world_disk.dead) {
        g->weight_bp = split->weight_bp;
        memcpy(g->salt, split->salt, sizeof g->salt);
    }
    world_apply(host, route, split);
}

static struct rollout_setup setup_of(const struct game *g)
{
    return (struct rollout_setup){
        .route = "r",
        .state_dir = g->dir,
        .stable = {.name = g->stable},
        .canary = {.name = g->canary[0] ? g->canary : NULL,
                   .revision = g->revision[0] ? g->revision : NULL},
        .plan = &g->plan,
    };
}

static void come_up(struct game *g)
{
    struct rollout_setup setup = setup_of(g);
    struct rollout_ports ports = world_ports(&g->world);
    struct record before;
    struct why why;
    bool known = read_disk(g, &before);
    ports.apply_split = watch_apply;
    g->rollout = rollout_open(&setup, &ports, &why);
    if (!g->rollout && known) { /* a pair that does not fit: the operator names the one that does */
        memcpy(g->stable, before.pair.stable.name, sizeof g->stable);
        g->canary[0] = '\0';
        if (!before.promoted || machine_is_running(&before.machine)) {
            memcpy(g->stable, before.file.stable.name, sizeof g->stable);
            memcpy(g->canary, before.file.canary.name, sizeof g->canary);
            memcpy(g->revision, before.file.canary.revision, sizeof g->revision);
        }
        setup = setup_of(g);
        g->rollout = rollout_open(&setup, &ports, &why);
    }
    if (!g->rollout)
        lose(why.text);
    if (known && g->rollout->record.machine.weight_bp > before.machine.weight_bp)
        lose("a restart raised the weight");
    if (known)
        record_fini(&before);
    g->weight_bp = 0;
    world_boot(&g->world, g->rollout);
}

static void go_down(struct game *g)
{
    const struct machine *m = &g->rollout->record.machine;
    bool stopped = !world_disk.dead && machine_is_running(m) && m->weight_bp == 0 &&
                   (m->state == MACHINE_ABORTING || m->state == MACHINE_PAUSED);
    if (g->rollout->unwritten) /* what the disk never knew is lost, a quarantine too */
        g->allowed_to_start = true;
    rollout_close(g->rollout);
    g->rollout = NULL;
    world_disk.dead = false;
    world_disk.full = false;
    world_disk.kills = 0;
    come_up(g);
    if (stopped && g->rollout->record.machine.weight_bp > 0)
        lose("a stop was forgotten");
}

/* Invariant 5. */
static void check_abort(struct game *g, enum machine_state before, enum err e)
{
    bool past =
        before == MACHINE_STABLE || before == MACHINE_FINALIZING || before == MACHINE_COMPLETED;
    if (past != (e == ERR_CONFLICT))
        lose("abort was answered wrongly");
    if (e == OK && g->rollout->record.machine.weight_bp != 0)
        lose("an abort left users on the canary");
}

static void act_verb(struct game *g)
{
    static const enum rollout_verb verbs[] = {ROLLOUT_START,        ROLLOUT_START,  ROLLOUT_START,
                                              ROLLOUT_PAUSE,        ROLLOUT_RESUME, ROLLOUT_PROMOTE,
                                              ROLLOUT_PROMOTE_FULL, ROLLOUT_ABORT,  ROLLOUT_RETRY,
                                              ROLLOUT_RETRY,        ROLLOUT_UNDO,   ROLLOUT_RESET};
    enum rollout_verb verb = verbs[draw(g, ARRAY_LEN(verbs))];
    struct why why = {""};
    struct machine before = g->rollout->record.machine;
    g->act = rollout_verb_name(verb);
    enum err e = rollout_command(g->rollout, verb, "tester", &why);
    if (e != OK && why.text[0] == '\0')
        lose("refused without a reason");
    if (e == ERR_CONFLICT && g->rollout->record.machine.state != before.state)
        lose("refused, but moved");
    if (verb == ROLLOUT_ABORT && !world_disk.dead)
        check_abort(g, before.state, e);
    if (verb == ROLLOUT_RETRY || verb == ROLLOUT_RESET || verb == ROLLOUT_UNDO)
        g->allowed_to_start = true;
}

static void act_file(struct game *g)
{
    struct game now = *g;
    struct why why;
    g->act = "reload";
    switch (draw(g, 5)) {
    case 0:
        g->canary[0] = '\0';
        break;
    case 1:
        (void)snprintf(g->revision, sizeof g->revision, "b%u", draw(g, 2));
        break;
    case 2:
        memcpy(g->stable, g->rollout->record.pair.stable.name, sizeof g->stable);
        break;
    default:
        break;
    }
    if (draw(g, 2))
        (void)snprintf(g->canary, sizeof g->canary, "v%u", 1 + draw(g, 4));
    if (strcmp(g->stable, g->canary) == 0)
        g->canary[0] = '\0';
    struct rollout_setup setup = setup_of(g);
    if (rollout_configure(g->rollout, &setup, &why) != OK) {
        memcpy(g->stable, now.stable, sizeof g->stable);
        memcpy(g->canary, now.canary, sizeof g->canary);
        memcpy(g->revision, now.revision, sizeof g->revision);
    }
}

static void act_world(struct game *g)
{
    static const double errors[] = {0, 0, 0, 0, 0.001, 0.05, 0.5};
    static const double rates[] = {1000, 1000, 1000, 100, 3, 0};
    struct world *w = &g->world;
    struct world_version *v = &w->versions[draw(g, (unsigned)w->n_versions)];
    g->act = "the world";
    switch (draw(g, 8)) {
    case 0:
        v->available = draw(g, 3);
        break;
    case 1:
        v->available = 2;
        break;
    case 2:
        v->error_rate = errors[draw(g, ARRAY_LEN(errors))];
        break;
    case 3:
        w->rate = rates[draw(g, ARRAY_LEN(rates))];
        break;
    case 4:
        w->breaker = (enum rollout_breaker)draw(g, 3);
        w->failed_trickles = w->breaker == ROLLOUT_BREAKER_CLOSED ? 0 : draw(g, 3);
        break;
    case 5:
        w->breaker = ROLLOUT_BREAKER_CLOSED;
        w->failed_trickles = 0;
        break;
    case 6:
        w->stuck = draw(g, 4) == 0;
        break;
    default:
        w->wall_ms += (int64_t)draw(g, 7200000) - 3600000;
        break;
    }
}

static void act(struct game *g)
{
    unsigned what = draw(g, 100);
    g->act = "nothing";
    if (what < 8)
        act_verb(g);
    else if (what < 10)
        act_file(g);
    else if (what < 20)
        act_world(g);
    else if (what == 20)
        world_disk.full = !world_disk.full;
    else if (what == 21)
        world_disk.kills = 1 + draw(g, 8);
    else if (what == 22)
        g->act = "kill";
}

/* Invariant 8, and what the fields must be to each other. */
static void check_world(struct game *g, const struct record *before, unsigned available)
{
    const struct record *record = &g->rollout->record;
    struct why why;
    if (machine_check(&record->machine, &record->plan, &why) != OK)
        lose(why.text);
    if (record->machine.weight_bp > before->machine.weight_bp && available == 0 &&
        record->machine.state != MACHINE_FINALIZING)
        lose("the weight was raised for a canary that cannot serve");
    if (record->n_quarantine < before->n_quarantine && !g->allowed_to_start)
        lose("a version left the quarantine by itself");
    if (record->machine.weight_bp > 0 && record_find_quarantine(record, &record->pair.canary) >= 0)
        lose("a version in quarantine has users");
    if (strcmp(record->run.id, before->run.id) != 0 && before->machine.state == MACHINE_ABORTED &&
        record_pair_equal(&record->file, &before->file) && !g->allowed_to_start)
        lose("an aborted rollout started again by itself");
    if (record->machine.state == MACHINE_ABORTED &&
        machine_phase(&record->machine) != ROLLOUT_PHASE_DEGRADED)
        lose("an aborted rollout looks well");
    cJSON *status = rollout_status(g->rollout), *history = rollout_history(g->rollout);
    if (!status || !history || cJSON_GetArraySize(history) > 10)
        lose("no status, or too much history");
    cJSON_Delete(status);
    cJSON_Delete(history);
}

static void second(struct game *g, bool disturbed)
{
    struct record before = g->rollout->record;
    if (disturbed)
        act(g);
    if (g->act[0] == 'k' || world_disk.dead) {
        go_down(g);
        before = g->rollout->record;
    }
    world_second(&g->world);
    const char *canary = g->rollout->record.pair.canary.name;
    unsigned available = canary[0] ? world_version(&g->world, canary)->available : 1;
    rollout_tick(g->rollout);
    if (world_disk.dead)
        go_down(g);
    else
        check_world(g, &before, available);
    g->allowed_to_start = false;
}

/* Left alone in a healthy world, everything comes to rest. */
static void calm_down(struct game *g)
{
    struct why why;
    world_disk.full = false;
    world_disk.kills = 0;
    g->world.stuck = false;
    g->world.rate = 1000;
    g->world.breaker = ROLLOUT_BREAKER_CLOSED;
    g->world.failed_trickles = 0;
    for (size_t i = 0; i < g->world.n_versions; i++) {
        g->world.versions[i].available = 2;
        g->world.versions[i].error_rate = 0;
    }
    g->act = "calm";
    if (g->rollout->record.machine.state == MACHINE_PAUSED &&
        rollout_command(g->rollout, ROLLOUT_RESUME, "tester", &why) != OK &&
        rollout_command(g->rollout, ROLLOUT_ABORT, "tester", &why) != OK)
        lose(why.text);
    for (int i = 0; i < CALM_S; i++, g->second++)
        second(g, false);
    enum machine_state state = g->rollout->record.machine.state;
    if (state != MACHINE_STABLE && state != MACHINE_ABORTED)
        lose("did not come to rest");
}

static void play(unsigned seed)
{
    struct game g = {
        .seed = seed, .state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1, .act = "start"};
    playing = &g;
    world_init(&g.world);
    for (int i = 0; i < 10; i++)
        (void)draw(&g, 2);
    plan_default(&g.plan);
    g.plan.n_steps = 2;
    g.plan.steps[0].weight_bp = 1000;
    g.plan.steps[1].weight_bp = 5000;
    g.plan.hold_ms = 3000 * draw(&g, 3);
    g.plan.max_hold_ms = 60000;
    g.plan.bake_ms = 10000;
    g.plan.harm_budget = 0.01;
    g.plan.start_auto = draw(&g, 2) == 0;
    g.plan.max_pause_ms = 100000;
    g.plan.progress_deadline_ms = 30000;
    g.plan.on_failure = (enum plan_on_failure)draw(&g, 2);
    g.plan.on_new_version = (enum plan_on_new_version)draw(&g, 2);
    g.plan.on_low_evidence = (enum plan_low_evidence)draw(&g, 4);
    memcpy(g.stable, "v1", 3);
    memcpy(g.canary, "v2", 3);
    world_make_dir(g.dir);
    for (int i = 1; i <= 4; i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "v%d", i);
        (void)world_version(&g.world, name);
    }
    come_up(&g);
    for (g.second = 0; g.second < SECONDS; g.second++)
        second(&g, true);
    calm_down(&g);
    rollout_close(g.rollout);
    world_remove_dir(g.dir);
}

static void test_random(void **state)
{
    (void)state;
    const char *one = getenv("SERIN_TEST_SEED");
    for (unsigned seed = 1; !one && seed <= SEEDS; seed++)
        play(seed);
    if (one)
        play((unsigned)atoi(one));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random)};
    return cmocka_run_group_tests(tests, world_quiet, NULL);
}
