/* Reads and runs one scenario file (tests/scenario/README.md) in a world of
 * tests/unit/rollout_world.h. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_TESTS_ROLLOUT_SCENARIO_H
#define SERIN_TESTS_ROLLOUT_SCENARIO_H

#include "rollout_world.h"

#define SCENARIO_LINES 128
#define SCENARIO_TEXT  160

enum scenario_when { SCENARIO_DO, SCENARIO_BY, SCENARIO_AT, SCENARIO_DURING };

struct scenario_line {
    int number; /* in the file */
    enum scenario_when when;
    int from_s, to_s;
    char text[SCENARIO_TEXT];
    bool met;
};

struct scenario_end {
    char state[32], stable[32];
    uint32_t weight_bp;
    enum rollout_result result;
};

struct scenario {
    const char *path;
    struct scenario_line lines[SCENARIO_LINES];
    size_t n_lines;
    bool crash_matrix;
    int seconds;

    struct world world;
    struct rollout *rollout;
    char dir[64];
    struct plan plan;
    char stable[32], canary[32], revision[32];
    char open_error[WHY_MAX];
    struct scenario_end end;
};

static void scenario_fail(const struct scenario *s, const struct scenario_line *line,
                          const char *what)
{
    char *status = NULL;
    cJSON *json = s->rollout ? rollout_status(s->rollout) : NULL;
    if (json)
        status = cJSON_PrintUnformatted(json);
    fail_msg("%s:%d: %s: %s\n%s", s->path, line->number, line->text, what,
             status ? status : s->open_error);
}

/* "12" or "12.5%": the number; the sign only reads well. */
static double scenario_number(const char *word)
{
    return word ? strtod(word, NULL) : 0;
}

static int64_t scenario_ms(const char *word)
{
    return (int64_t)(scenario_number(word) * 1000);
}

static void scenario_steps(struct plan *p, char *list)
{
    char *save = NULL;
    p->n_steps = 0;
    for (char *w = strtok_r(list, ",", &save); w; w = strtok_r(NULL, ",", &save))
        p->steps[p->n_steps++] =
            (struct plan_step){.weight_bp = (uint32_t)lround(scenario_number(w) * 100),
                               .hold_ms = -1,
                               .min_requests = -1,
                               .pause = strchr(w, '!') != NULL};
}

static void scenario_abort_steps(struct plan *p, char *list)
{
    char *save = NULL;
    p->n_abort_steps = 0;
    for (char *w = strtok_r(list, ",", &save); w; w = strtok_r(NULL, ",", &save))
        p->abort_steps[p->n_abort_steps++] = scenario_number(w) / 100;
}

static void scenario_plan_word(const struct scenario *s, struct plan *p, char *word)
{
    char *value = strchr(word, '=');
    if (!value)
        fail_msg("%s: plan: %s", s->path, word);
    *value++ = '\0';
    bool pause = strcmp(value, "pause") == 0;
    if (strcmp(word, "steps") == 0)
        scenario_steps(p, value);
    else if (strcmp(word, "abort_steps") == 0)
        scenario_abort_steps(p, value);
    else if (strcmp(word, "hold") == 0)
        p->hold_ms = scenario_ms(value);
    else if (strcmp(word, "max_hold") == 0)
        p->max_hold_ms = scenario_ms(value);
    else if (strcmp(word, "bake") == 0)
        p->bake_ms = scenario_ms(value);
    else if (strcmp(word, "min_requests") == 0)
        p->min_requests = (int64_t)scenario_number(value);
    else if (strcmp(word, "max_pause") == 0)
        p->max_pause_ms = scenario_ms(value);
    else if (strcmp(word, "progress_deadline") == 0)
        p->progress_deadline_ms = scenario_ms(value);
    else if (strcmp(word, "harm_budget") == 0)
        p->harm_budget = scenario_number(value) / 100;
    else if (strcmp(word, "start") == 0)
        p->start_auto = strcmp(value, "auto") == 0;
    else if (strcmp(word, "on_failure") == 0)
        p->on_failure = pause ? ON_FAILURE_PAUSE : ON_FAILURE_ABORT;
    else if (strcmp(word, "on_new_version") == 0)
        p->on_new_version =
            strcmp(value, "refuse") == 0 ? ON_NEW_VERSION_REFUSE : ON_NEW_VERSION_RESTART;
    else if (strcmp(word, "on_low_evidence") == 0)
        p->on_low_evidence = pause                         ? LOW_EVIDENCE_PAUSE
                             : strcmp(value, "hold") == 0  ? LOW_EVIDENCE_HOLD
                             : strcmp(value, "abort") == 0 ? LOW_EVIDENCE_ABORT
                                                           : LOW_EVIDENCE_ADVANCE;
    else
        fail_msg("%s: plan: unknown key %s", s->path, word);
}

static struct rollout_setup scenario_setup(const struct scenario *s)
{
    return (struct rollout_setup){
        .route = "my-web",
        .state_dir = s->dir,
        .stable = {.name = s->stable},
        .canary = {.name = s->canary[0] ? s->canary : NULL,
                   .revision = s->revision[0] ? s->revision : NULL},
        .plan = &s->plan,
        .outside = &s->world.others.outside,
    };
}

/* What the main record on disk allows the canary; 10000 where there is none to ask. */
static uint32_t scenario_disk_weight_bp(const struct scenario *s)
{
    char path[96], *text = calloc(1, 1 << 20);
    (void)snprintf(path, sizeof path, "%s/my-web.json", s->dir);
    FILE *f = fopen(path, "r");
    uint32_t weight_bp = 10000;
    struct record record;
    if (f && text && record_decode(&record, text, fread(text, 1, (1 << 20) - 1, f), NULL) == OK) {
        weight_bp = record.machine.weight_bp;
        record_fini(&record);
    }
    if (f)
        (void)fclose(f);
    free(text);
    return weight_bp;
}

static void scenario_open(struct scenario *s)
{
    struct rollout_setup setup = scenario_setup(s);
    struct rollout_ports ports = world_ports(&s->world);
    struct why why = {""};
    uint32_t allowed_bp = scenario_disk_weight_bp(s);
    s->rollout = rollout_open(&setup, &ports, &why);
    memcpy(s->open_error, why.text, sizeof s->open_error);
    if (!s->rollout)
        return;
    struct rollout_split split;
    rollout_split(s->rollout, &split);
    if (split.weight_bp > allowed_bp)
        fail_msg("%s: comes back with %u, but the disk says %u", s->path, split.weight_bp,
                 allowed_bp);
    world_boot(&s->world, s->rollout);
}

/* The process was killed: everything but the disk is gone. */
static void scenario_revive(struct scenario *s)
{
    while (world_disk.dead) {
        rollout_close(s->rollout);
        s->rollout = NULL;
        world_disk.dead = false;
        scenario_open(s);
    }
}

static void scenario_kill(struct scenario *s)
{
    world_disk.dead = true;
    rollout_close(s->rollout);
    s->rollout = NULL;
    world_disk.dead = false;
}

static void scenario_verb(struct scenario *s, const struct scenario_line *line, const char *name,
                          bool refused, bool strict)
{
    enum rollout_verb verb = ROLLOUT_START;
    struct why why = {""};
    if (!name || !rollout_verb_parse(name, &verb) || !s->rollout)
        scenario_fail(s, line, "no such verb");
    enum err e = rollout_command(s->rollout, verb, "tester", &why);
    if (world_disk.dead) { /* nobody knows whether it was done: asks again */
        scenario_revive(s);
        e = rollout_command(s->rollout, verb, "tester", &why);
    }
    if (strict && (e != OK) != refused)
        scenario_fail(s, line, e == OK ? "was not refused" : why.text);
}

static void scenario_reload(struct scenario *s, const struct scenario_line *line, bool refused)
{
    struct rollout_setup setup = scenario_setup(s);
    struct why why = {""};
    enum err e = rollout_configure(s->rollout, &setup, &why);
    if (world_disk.dead)
        scenario_revive(s);
    else if ((e != OK) != refused)
        scenario_fail(s, line, e == OK ? "was not refused" : why.text);
}

static void scenario_write_file(const struct scenario *s, const char *name, const char *text)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", s->dir, name);
    FILE *f = fopen(path, "w");
    if (!f || fputs(text, f) < 0 || fclose(f) != 0)
        fail_msg("%s: cannot write %s", s->path, path);
}

static void scenario_breaker(struct world *w, const char *state, const char *failed)
{
    w->breaker = strcmp(state, "open") == 0     ? ROLLOUT_BREAKER_OPEN
                 : strcmp(state, "closed") == 0 ? ROLLOUT_BREAKER_CLOSED
                                                : ROLLOUT_BREAKER_TRICKLE;
    w->failed_trickles = (unsigned)scenario_number(failed);
}

static void scenario_pair(struct scenario *s, const char *stable, const char *canary,
                          const char *revision)
{
    (void)snprintf(s->stable, sizeof s->stable, "%s", stable);
    (void)snprintf(s->canary, sizeof s->canary, "%s",
                   canary && strcmp(canary, "none") != 0 ? canary : "");
    (void)snprintf(s->revision, sizeof s->revision, "%s", revision ? revision : "");
}

/* What the world does; words that the rollout itself hears are in scenario_do. */
static bool scenario_do_world(struct scenario *s, char *word, char *a, char *b, char *c)
{
    struct world *w = &s->world;
    if (strcmp(word, "rate") == 0)
        w->rate = scenario_number(a);
    else if (strcmp(word, "errors") == 0)
        world_version(w, a)->error_rate = scenario_number(b) / 100;
    else if (strcmp(word, "endpoints") == 0)
        world_version(w, a)->available = (unsigned)scenario_number(b);
    else if (strcmp(word, "breaker") == 0)
        scenario_breaker(w, a, b);
    else if (strcmp(word, "workers") == 0)
        w->stuck = strcmp(a, "stuck") == 0;
    else if (strcmp(word, "disk") == 0)
        world_disk.full = strcmp(a, "full") == 0, world_disk.tight = strcmp(a, "tight") == 0;
    else if (strcmp(word, "wall") == 0)
        w->wall_ms += scenario_ms(a);
    else if (strcmp(word, "mirror") == 0)
        w->mirror = scenario_number(a) / 100;
    else if (strcmp(word, "skew") == 0)
        w->skew = scenario_number(a) / 100;
    else if (strcmp(word, "check") == 0)
        others_check(&w->others, a, b, c);
    else if (strcmp(word, "gate") == 0)
        others_gate(&w->others, a);
    else if (strcmp(word, "window") == 0)
        others_window(&w->others, a, b);
    else if (strcmp(word, "answer") == 0)
        others_say(&w->others, a, b);
    else
        return false;
    return true;
}

static void scenario_do(struct scenario *s, const struct scenario_line *line, bool strict)
{
    char text[SCENARIO_TEXT], *save = NULL;
    memcpy(text, line->text, sizeof text);
    char *word = strtok_r(text, " ", &save);
    if (strcmp(word, "plan") == 0) {
        for (char *w = strtok_r(NULL, " ", &save); w; w = strtok_r(NULL, " ", &save))
            scenario_plan_word(s, &s->plan, w);
        return;
    }
    char *a = strtok_r(NULL, " ", &save), *b = strtok_r(NULL, " ", &save);
    char *c = strtok_r(NULL, " ", &save);
    if (scenario_do_world(s, word, a, b, c))
        return;
    if (strcmp(word, "pair") == 0) {
        scenario_pair(s, a, b, c);
    } else if (strcmp(word, "reload") == 0) {
        scenario_reload(s, line, a && strcmp(a, "refused") == 0);
    } else if (strcmp(word, "kill") == 0) {
        scenario_kill(s);
    } else if (strcmp(word, "stop") == 0) {
        rollout_close(s->rollout);
        s->rollout = NULL;
        world_disk.dead = false; /* killed while it ended: it is not there either way */
    } else if (strcmp(word, "run") == 0) {
        scenario_open(s);
        bool refused = a && strcmp(a, "refused") == 0;
        if (!world_disk.dead && (s->rollout == NULL) != refused)
            scenario_fail(s, line, s->rollout ? "was not refused" : s->open_error);
        scenario_revive(s);
    } else if (strcmp(word, "spoil") == 0) {
        scenario_write_file(s, a, "{\"schema\":1,\"state\":\"ANALYZING\",\"weight_desired\":9900");
    } else if (strcmp(word, "refuse") == 0) {
        scenario_verb(s, line, a, true, strict);
    } else {
        scenario_verb(s, line, word, false, strict);
    }
}

static bool scenario_compare(double value, const char *relation, double bound)
{
    if (strcmp(relation, "<=") == 0)
        return value <= bound + 1e-9;
    if (strcmp(relation, ">=") == 0)
        return value >= bound - 1e-9;
    return fabs(value - bound) < 1e-9;
}

static const char *scenario_text(const cJSON *json, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);
    return cJSON_IsString(item) ? item->valuestring : "none";
}

static bool scenario_holds(const struct scenario *s, const struct scenario_line *line)
{
    char text[SCENARIO_TEXT], *save = NULL;
    memcpy(text, line->text, sizeof text);
    const char *what = strtok_r(text, " ", &save), *a = strtok_r(NULL, " ", &save);
    const char *b = strtok_r(NULL, " ", &save);
    if (strcmp(what, "event") == 0)
        return world_event_count(&s->world, a) > 0;
    if (strcmp(what, "asked") == 0 || strcmp(what, "unasked") == 0) {
        bool asked = others_find((struct others *)(uintptr_t)&s->world.others, a)->asked > 0;
        return asked == (what[0] == 'a');
    }
    if (strcmp(what, "copies") == 0)
        return scenario_compare(s->world.copies, a, scenario_number(b));
    if (strcmp(what, "sent") == 0)
        return scenario_compare(s->world.weight_bp / 100.0, a, scenario_number(b));
    cJSON *json = rollout_status(s->rollout);
    bool holds;
    if (strcmp(what, "weight") == 0) {
        const cJSON *weight = cJSON_GetObjectItem(json, "weight");
        holds = scenario_compare(cJSON_GetObjectItem(weight, "intended")->valuedouble, a,
                                 scenario_number(b));
    } else if (strcmp(what, "step") == 0 || strcmp(what, "exit") == 0) {
        holds = fabs(cJSON_GetObjectItem(json, what)->valuedouble - scenario_number(a)) < 1e-9;
    } else if (strcmp(what, "says") == 0) {
        holds = strstr(scenario_text(json, "why"), line->text + 5) != NULL;
    } else if (strcmp(what, "quarantined") == 0) {
        const cJSON *list = cJSON_GetObjectItem(json, "quarantine");
        holds = cJSON_GetArraySize(list) == (int)scenario_number(a);
    } else {
        holds = strcmp(scenario_text(json, what), a) == 0;
    }
    cJSON_Delete(json);
    return holds;
}

static void scenario_check(struct scenario *s, int now_s)
{
    for (size_t i = 0; i < s->n_lines; i++) {
        struct scenario_line *line = &s->lines[i];
        if (line->when == SCENARIO_DO || line->met || now_s > line->to_s || !s->rollout)
            continue;
        if (line->when != SCENARIO_BY && now_s < line->from_s)
            continue;
        bool holds = scenario_holds(s, line);
        if (line->when == SCENARIO_BY)
            line->met = holds && now_s >= line->from_s;
        else if (!holds)
            scenario_fail(s, line, "does not hold");
        if (now_s == line->to_s && line->when == SCENARIO_BY && !line->met)
            scenario_fail(s, line, "did not come");
    }
}

static void scenario_note_end(struct scenario *s)
{
    struct rollout_split split;
    rollout_split(s->rollout, &split);
    cJSON *json = rollout_status(s->rollout), *history = rollout_history(s->rollout);
    (void)snprintf(s->end.state, sizeof s->end.state, "%s", scenario_text(json, "state"));
    (void)snprintf(s->end.stable, sizeof s->end.stable, "%s", split.stable);
    s->end.weight_bp = split.weight_bp;
    s->end.result = (enum rollout_result)cJSON_GetArraySize(history);
    cJSON_Delete(json);
    cJSON_Delete(history);
}

/* kill_at: dead after that many renames, then started again; 0 = never. */
static void scenario_run(struct scenario *s, unsigned kill_at)
{
    world_init(&s->world);
    plan_default(&s->plan);
    scenario_pair(s, "v1", "v2", NULL);
    world_make_dir(s->dir);
    world_disk.kills = kill_at;
    s->rollout = NULL;
    for (size_t i = 0; i < s->n_lines; i++)
        s->lines[i].met = false;
    for (int now_s = 0; now_s <= s->seconds; now_s++) {
        if (now_s == 1) {
            scenario_open(s);
            scenario_revive(s);
            if (!s->rollout)
                fail_msg("%s: %s", s->path, s->open_error);
        }
        for (size_t i = 0; i < s->n_lines; i++)
            if (s->lines[i].when == SCENARIO_DO && s->lines[i].from_s == now_s)
                scenario_do(s, &s->lines[i], kill_at == 0);
        if (now_s == 0)
            continue;
        world_second(&s->world);
        if (s->rollout)
            rollout_tick(s->rollout);
        scenario_revive(s);
        if (kill_at == 0)
            scenario_check(s, now_s);
    }
    scenario_note_end(s);
    rollout_close(s->rollout);
    s->rollout = NULL;
    world_remove_dir(s->dir);
}

static void scenario_read_line(struct scenario *s, char *text, int number)
{
    struct scenario_line *line = &s->lines[s->n_lines];
    int used = 0;
    *line = (struct scenario_line){.number = number, .when = SCENARIO_DO};
    if (strcmp(text, "crash matrix") == 0) {
        s->crash_matrix = true;
        return;
    }
    if (sscanf(text, "end %d", &s->seconds) == 1)
        return;
    if (sscanf(text, "by %d %n", &line->to_s, &used) == 1 && used > 0)
        line->when = SCENARIO_BY;
    else if (sscanf(text, "from %d to %d always %n", &line->from_s, &line->to_s, &used) == 2 &&
             used > 0)
        line->when = SCENARIO_DURING;
    else if (sscanf(text, "from %d by %d %n", &line->from_s, &line->to_s, &used) == 2 && used > 0)
        line->when = SCENARIO_BY;
    else if (sscanf(text, "at %d expect %n", &line->from_s, &used) == 1 && used > 0)
        line->when = SCENARIO_AT, line->to_s = line->from_s;
    else
        (void)sscanf(text, "at %d %n", &line->from_s, &used);
    (void)snprintf(line->text, sizeof line->text, "%s", text + used);
    s->n_lines++;
}

static void scenario_read(struct scenario *s, const char *path)
{
    char text[256];
    int number = 0;
    *s = (struct scenario){.path = path, .seconds = 60};
    FILE *f = fopen(path, "r");
    if (!f)
        fail_msg("%s: cannot be read", path);
    while (fgets(text, sizeof text, f)) {
        number++;
        text[strcspn(text, "#\n")] = '\0';
        size_t len = strlen(text);
        while (len > 0 && text[len - 1] == ' ')
            text[--len] = '\0';
        if (len > 0 && s->n_lines < SCENARIO_LINES)
            scenario_read_line(s, text, number);
    }
    (void)fclose(f);
}

#endif
