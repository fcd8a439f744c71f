/* When a run is recorded, and which of its ticks.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/recording.h"

#include "base/log.h"
#include "rollout/inside.h"
#include "rollout/journal.h"
#include "rollout/recording_file.h"
#include "rollout/recording_lines.h"
#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Histograms are ten times as long as the rest of a line; in a file of every n-th tick n times as
 * rare. */
#define HIST_EVERY_MS 10000

struct recording {
    char id[RECORD_ID_MAX]; /* of the run, also where its file cannot be written */
    struct recording_file file;
    bool failed; /* and was told */
    struct recording_text text;

    bool has_tick; /* note holds a tick that is not written yet */
    struct recording_tick note;
    unsigned skipped;  /* judged ticks since the last line */
    int64_t last_ms;   /* time of the last line */
    int64_t passed_ms; /* what the judge was told of since then */
    enum judge_verdict last_verdict;

    int64_t next_hist_ms;
    struct hist_sum base[ROLE_COUNT];    /* where the process's histograms stood */
    struct hist_sum carried[ROLE_COUNT]; /* of the run before this process */
    struct hist_sum written[ROLE_COUNT];
};

static void tell_failed(struct rollout *r, const struct why *why)
{
    struct recording *rec = r->recording;
    if (!rec->failed)
        log_warn("recording_failed", "route=%s rollout=%s why=\"%s\"", r->record.route, rec->id,
                 why->text);
    rec->failed = true;
}

/* --- begin --- */

static void read_durations(const struct rollout *r, struct hist_sum hist[ROLE_COUNT])
{
    const struct record_pair *pair = &r->record.pair;
    const struct rollout_ports *ports = &r->ports;
    memset(hist, 0, ROLE_COUNT * sizeof *hist);
    ports->durations(ports->host, r->record.route, pair->stable.name, ROLE_STABLE,
                     &hist[ROLE_STABLE]);
    ports->durations(ports->host, r->record.route, pair->canary.name, ROLE_CANARY,
                     &hist[ROLE_CANARY]);
}

/* A file that begins in the middle of a run could not be judged from its start. */
static bool is_fresh(const struct record *record)
{
    const struct judge *judge = &record->judge;
    return judge->in_rollout.stable.requests == 0 && judge->in_rollout.canary.requests == 0;
}

static void take_tail(struct recording *rec, struct recording_tail *tail)
{
    rec->last_ms = tail->t_ms;
    if (tail->hist && recording_read_hist(tail->hist, rec->carried))
        memcpy(rec->written, rec->carried, sizeof rec->written);
    free(tail->hist);
}

static enum err open_file(struct rollout *r, struct why *why)
{
    struct recording *rec = r->recording;
    char route[JOURNAL_NAME_MAX], name[RECORDING_NAME_MAX];
    int dir_fd = journal_dir(r->journal);
    struct recording_tail tail;
    journal_name(r->record.route, route, sizeof route);
    recording_file_name(name, route, rec->id);
    recording_file_init(&rec->file, name, RECORDING_BYTES_MAX);
    enum err e =
        recording_file_continue(&rec->file, dir_fd, r->record.machine.elapsed_ms, &tail, why);
    if (e == OK)
        take_tail(rec, &tail);
    if (e == OK || !is_fresh(&r->record))
        return e;
    recording_file_retain(dir_fd, route, RECORDINGS_MAX - 1);
    e = recording_file_make(&rec->file, dir_fd, why);
    if (e == OK)
        recording_add_start(&rec->text, &r->record);
    return e;
}

static void begin(struct rollout *r)
{
    struct why why = {"out of memory"};
    struct recording *rec = r->recording = calloc(1, sizeof *rec);
    if (!rec)
        return;
    memcpy(rec->id, r->record.run.id, sizeof rec->id);
    if (r->ports.durations)
        read_durations(r, rec->base);
    if (open_file(r, &why) != OK)
        tell_failed(r, &why);
}

void recording_free(struct recording *rec)
{
    if (!rec)
        return;
    recording_file_close(&rec->file);
    free(rec);
}

/* --- lines --- */

static bool is_hist_due(const struct rollout *r, struct hist_sum now[ROLE_COUNT])
{
    struct recording *rec = r->recording;
    int64_t t_ms = rec->note.input.t_ms;
    if (!r->ports.durations || t_ms < rec->next_hist_ms || !machine_is_running(&r->record.machine))
        return false; /* promoted within this very tick: who was the canary is stable now */
    if (machine_is_mirroring(&r->record.machine, &r->record.plan))
        return false; /* those of the copies are not kept */
    read_durations(r, now);
    for (unsigned role = 0; role < ROLE_COUNT; role++) {
        hist_subtract(&now[role], &rec->base[role]);
        hist_merge(&now[role], &rec->carried[role]);
        now[role].sum_us = 0; /* not recorded */
    }
    rec->next_hist_ms = t_ms + HIST_EVERY_MS * (int64_t)rec->file.every;
    return memcmp(now, rec->written, sizeof rec->written) != 0;
}

/* Where a line is written every n ticks, one that says something new is written all the same. */
static bool is_line_due(const struct recording *rec)
{
    return rec->skipped >= rec->file.every || rec->note.moved ||
           rec->note.verdict != rec->last_verdict;
}

static void add_tick(struct rollout *r, bool moved)
{
    struct recording *rec = r->recording;
    struct recording_tick *tick = &rec->note;
    struct hist_sum hist[ROLE_COUNT];
    tick->moved = moved;
    tick->state = r->record.machine.state;
    tick->cause = r->record.machine.cause;
    rec->has_tick = false;
    if (!is_line_due(rec))
        return;
    int64_t t_ms = tick->input.t_ms;
    tick->dt_ms = rec->passed_ms == t_ms - rec->last_ms ? -1 : rec->passed_ms;
    tick->hist[ROLE_STABLE] = tick->hist[ROLE_CANARY] = NULL;
    if (is_hist_due(r, hist)) {
        memcpy(rec->written, hist, sizeof rec->written);
        tick->hist[ROLE_STABLE] = &hist[ROLE_STABLE];
        tick->hist[ROLE_CANARY] = &hist[ROLE_CANARY];
        tick->slow_us = r->record.slow_us;
    }
    recording_add_tick(&rec->text, tick);
    rec->last_ms = t_ms;
    rec->passed_ms = 0;
    rec->skipped = 0;
    rec->last_verdict = tick->verdict;
}

/* How the recorded run ended; NULL: it has not. */
static const char *result_of(const struct rollout *r, const char **why)
{
    const struct record *record = &r->record;
    *why = record->run.why;
    if (strcmp(record->run.id, r->recording->id) == 0)
        return machine_is_running(&record->machine) ? NULL
                                                    : rollout_result_name(record->run.result);
    const cJSON *run = record->history ? record->history->child : NULL; /* another has begun */
    const cJSON *id = cJSON_GetObjectItemCaseSensitive(run, "id");
    const cJSON *result = cJSON_GetObjectItemCaseSensitive(run, "result");
    const cJSON *reason = cJSON_GetObjectItemCaseSensitive(run, "why");
    bool is_it = cJSON_IsString(id) && strcmp(id->valuestring, r->recording->id) == 0;
    *why = is_it && cJSON_IsString(reason) ? reason->valuestring : "";
    return is_it && cJSON_IsString(result) ? result->valuestring : "none";
}

static void flush(struct rollout *r)
{
    struct recording *rec = r->recording;
    struct recording_text *text = &rec->text;
    struct why why = {"out of memory"};
    enum err e = text->failed ? ERR_MEMORY : OK;
    if (e == OK && text->len > 0)
        e = recording_file_append(&rec->file, journal_dir(r->journal), text->at, text->len, &why);
    if (e != OK)
        tell_failed(r, &why);
    /* A start that is not written yet is kept: without it nothing that follows can be read. */
    if (e == ERR_IO && rec->file.size == 0 && text->len < RECORDING_LINE_MAX)
        return;
    text->len = 0;
    text->failed = false;
}

/* Writes what there is, and the end where the run has ended. */
static void write_lines(struct rollout *r)
{
    struct recording *rec = r->recording;
    const char *why, *result = result_of(r, &why);
    if (result && rec->file.fd >= 0)
        recording_add_end(&rec->text, result, why);
    if (rec->file.fd >= 0)
        flush(r);
    if (!result)
        return;
    recording_free(rec);
    r->recording = NULL;
}

/* --- what the tick calls --- */

void recording_look(struct rollout *r)
{
    const struct record *record = &r->record;
    if (r->recording && strcmp(r->recording->id, record->run.id) != 0)
        write_lines(r);
    if (!r->recording && record->judged && machine_is_running(&record->machine))
        begin(r);
}

void recording_note(struct rollout *r, const struct judge_input *input)
{
    struct recording *rec = r->recording;
    if (!rec || rec->file.fd < 0)
        return;
    rec->note = (struct recording_tick){.input = *input,
                                        .sticky = r->record.judge.sticky,
                                        .quantiles = r->record.plan.n_quantiles,
                                        .verdict = r->decision.verdict,
                                        .check = r->decision.check};
    rec->passed_ms += llround(input->elapsed_s * 1000);
    rec->skipped++;
    rec->has_tick = true;
}

void recording_write(struct rollout *r, bool moved)
{
    struct recording *rec = r->recording;
    if (!rec)
        return;
    if (rec->has_tick)
        add_tick(r, moved);
    write_lines(r);
}
