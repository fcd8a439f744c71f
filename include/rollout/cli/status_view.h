/* A route's status as the admin API tells it, read once into fields; what is missing is NaN, 0 or
 * "".
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_CLI_STATUS_VIEW_H
#define SERIN_ROLLOUT_CLI_STATUS_VIEW_H

#include "rollout/cli/cli.h"
#include "rollout/cli/text.h"
#include <stddef.h>

struct cJSON;

#define STATUS_VERSIONS_MAX 2
#define STATUS_STEPS_MAX    64 /* as many as a plan may have, and some */
#define STATUS_CHECKS_MAX   16

struct status_version {
    const char *name, *role;
    double requests, failed;
    double error_rate, low, high; /* ratios, 0 to 1 */
    double p50_ms, p99_ms;
    double available, endpoints;
};

/* What somebody else measures. */
struct status_check {
    const char *name, *verdict, *why;
    bool is_dry; /* shown, never decides */
};

/* Strings are borrowed from the JSON, and foreign: text_add_clean them. Never NULL. */
struct status_view {
    const char *route, *phase, *state, *cause, *stable, *canary, *rollout_id, *why, *result;
    unsigned step, steps;      /* step: 1 to steps while a rollout runs, else 0 */
    double intended, observed; /* percent */
    double against, revert_at, safe, widen_at;
    double difference[2], ratio[2]; /* canary's error rate against stable's: points, times */
    double elapsed_s, step_elapsed_s, hold_s;
    struct status_version versions[STATUS_VERSIONS_MAX];
    size_t n_versions;
    struct status_check checks[STATUS_CHECKS_MAX];
    size_t n_checks;
    double weights[STATUS_STEPS_MAX]; /* percent of each step, where the server tells them */
    size_t n_weights;
    bool is_mirroring;   /* the figures are of copies that nobody sees */
    bool is_quarantined; /* the canary has been reverted before, and does not start by itself */
    int exit;            /* as the server says; -1 = it does not */
};

/* Reads one route's status; json may be anything. Pure. */
struct status_view status_view_of(const struct cJSON *json);

/* Progressing, paused or on its way back: the rollout has not ended. Pure. */
bool status_is_running(const struct status_view *v);

/* Paused because the canary failed (on_failure: pause): it gets nobody, and only a person moves it.
 * Pure. */
bool status_has_failed(const struct status_view *v);

/* What keeps the canary from the weight that is intended, as the end of a sentence ("after the
 * breaker closes"); NULL: nothing that the server tells of. Pure. */
const char *status_hindrance(const struct status_view *v);

/* The weight in percent that users meet now: the intended one, or 0 where something hinders. NaN:
 * not known. Pure. */
double status_effective(const struct status_view *v);

/* The exit code that tells the phase. Pure. */
enum cli_exit status_exit(const struct status_view *v);

/* The exit code of several routes: the one that most needs a person. Pure. */
enum cli_exit status_worse_exit(enum cli_exit a, enum cli_exit b);

/* Adds what must differ for a status to be news: phase, state, step, weight, result, and the reason
 * but for its figures. Pure. */
void status_add_key(struct text *t, const struct status_view *v);

/* Adds one line without its end: "my-web  step 2/6  5%  ANALYZING  why". Pure. */
void status_add_line(struct text *t, const struct status_view *v);

#endif
