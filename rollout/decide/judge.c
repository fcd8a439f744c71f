/* One tick: differences of the counters, evidence of every check, one verdict.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/decide/judge.h"
#include "rollout/decide/judge_counts.h"
#include "rollout/decide/judge_why.h"
#include "base/check.h"

#include <math.h>
#include <string.h>

/* The predicted share of slow requests stays off 0 and 1, where the test of pairs has its poles. */
#define THETA_MIN 1e-4

/* The ceiling may be held against the canary only when this many requests showed that the stable
 * version keeps it. */
#define CEILING_BASELINE_MIN 1000

/* Guards the decays and the brake against a clock that jumps. */
#define ELAPSED_MAX_S 1e9

const char *judge_check_name(enum judge_check check)
{
    switch (check) {
    case JUDGE_CHECK_ERRORS:
        return "errors";
    case JUDGE_CHECK_CLIENT_ERRORS:
        return "client_errors";
    case JUDGE_CHECK_CEILING:
        return "ceiling";
    default:
        return "latency";
    }
}

const char *judge_verdict_name(enum judge_verdict verdict)
{
    switch (verdict) {
    case JUDGE_PROMOTE:
        return "promote";
    case JUDGE_HOLD:
        return "hold";
    case JUDGE_BRAKE:
        return "brake";
    case JUDGE_REVERT:
        return "revert";
    default:
        return "continue";
    }
}

static void fill(double *x, double value)
{
    for (size_t i = 0; i < EVIDENCE_GRID_MAX; i++)
        x[i] = value;
}

void judge_start(struct judge *j, const struct judge_settings *settings, bool sticky,
                 const struct judge_baseline *baseline)
{
    CHECK(judge_settings_check(settings, NULL) == OK);
    memset(j, 0, sizeof *j);
    j->settings = *settings;
    j->sticky = sticky;
    j->warm = true;
    for (size_t i = 0; i < JUDGE_PROCESS_COUNT; i++)
        evidence_start(&j->evidence[i], settings->mass0);
    fill(j->log_uncapped, -INFINITY);
    if (!baseline)
        return;
    double requests = (double)baseline->requests, failed = (double)baseline->failed;
    double share = settings->incident.fast_s / settings->incident.slow_s;
    j->fast = (struct judge_rate){failed * share, requests * share};
    j->slow = (struct judge_rate){failed, requests};
    j->ceiling_on =
        requests >= CEILING_BASELINE_MIN && failed < settings->ceiling.ceiling * requests;
}

void judge_rebase(struct judge *j, const struct judge_side *stable, const struct judge_side *canary)
{
    j->last = (struct judge_seen){counts_cut(stable), counts_cut(canary)};
}

static struct judge_seen take_differences(struct judge *j, const struct judge_input *input)
{
    struct judge_seen now = {counts_cut(&input->stable), counts_cut(&input->canary)};
    struct judge_seen d = {counts_gained(&j->last.stable, &now.stable),
                           counts_gained(&j->last.canary, &now.canary)};
    j->last = now;
    counts_add(&j->in_stage.stable, &d.stable);
    counts_add(&j->in_stage.canary, &d.canary);
    counts_add(&j->in_rollout.stable, &d.stable);
    counts_add(&j->in_rollout.canary, &d.canary);
    return d;
}

/* Evidence to widen is about one weight: it says nothing about the load at the next one. */
static void enter_stage(struct judge *j, unsigned stage)
{
    j->stage = stage;
    fill(j->log_safe, 0);
    j->open_safe = (struct evidence_block){0};
    j->in_stage = (struct judge_seen){0};
}

/* Gives the mass of every start time that has come to all processes. The masses
 * (1 - mass0) / (e (e + 1)) telescope, so that a long gap costs no loop. */
static void enter_epochs(struct judge *j, double t_s)
{
    double last = fmin(ceil(t_s / j->settings.epoch_s) - 1, (double)JUDGE_COUNT_MAX);
    double first = (double)j->epoch;
    if (!(last > first))
        return;
    double mass = (1 - j->settings.mass0) * (last - first) / ((first + 1) * (last + 1));
    for (size_t i = 0; i < JUDGE_PROCESS_COUNT; i++)
        evidence_pend(&j->evidence[i], mass);
    j->epoch = (uint64_t)last;
}

static const struct evidence_grid *grid_of(const struct judge_settings *settings,
                                           enum judge_process process)
{
    if (process >= JUDGE_PROCESS_LATENCY)
        return &settings->odds_grid;
    return process == JUDGE_PROCESS_CEILING ? &settings->ceiling_grid : &settings->ratio_grid;
}

static struct evidence_margin margin_of(const struct judge_settings *settings,
                                        enum judge_process process)
{
    if (process == JUDGE_PROCESS_RELATIVE)
        return (struct evidence_margin){1, 0};
    const struct judge_compare *check =
        process == JUDGE_PROCESS_ERRORS ? &settings->errors : &settings->client_errors;
    return (struct evidence_margin){1 + check->margin, check->margin_absolute};
}

/* The share of slow requests that stable is predicted to have, from what was seen before. */
static double theta(const struct judge *j, size_t quantile)
{
    const struct judge_latency *latency = &j->settings.latency;
    double prior = latency->prior_requests;
    double predicted = (j->slow_stable[quantile] + prior * (1 - latency->quantile[quantile])) /
                       (j->requests_stable + prior);
    return fmin(fmax(predicted, THETA_MIN), 1 - THETA_MIN);
}

static void increments_of(const struct judge *j, enum judge_process process, double *increments)
{
    const struct judge_settings *settings = &j->settings;
    const struct evidence_grid *grid = grid_of(settings, process);
    const struct evidence_block *block = &j->open[process];
    for (size_t i = 0; i < grid->n; i++) {
        if (process >= JUDGE_PROCESS_LATENCY)
            increments[i] =
                evidence_pair(grid->at[i], theta(j, process - JUDGE_PROCESS_LATENCY), block);
        else if (process == JUDGE_PROCESS_CEILING)
            increments[i] = evidence_ceiling(grid->at[i], settings->ceiling.ceiling, block);
        else
            increments[i] = evidence_ratio(grid->at[i], margin_of(settings, process), block);
    }
}

static void fold_uncapped(struct judge *j, const double *increments)
{
    double log_pending = log(j->evidence[JUDGE_PROCESS_ERRORS].pending);
    for (size_t i = 0; i < j->settings.ratio_grid.n; i++) {
        double pair[] = {j->log_uncapped[i], log_pending};
        j->log_uncapped[i] = evidence_log_sum(pair, 2) + increments[i];
    }
}

static void feed(struct judge *j, enum judge_process process, const struct evidence_block *d)
{
    struct evidence_block *open = &j->open[process];
    counts_block_add(open, d);
    if (open->canary < 1 || (open->stable < 1 && process != JUDGE_PROCESS_CEILING))
        return;
    counts_block_close(open);
    double increments[EVIDENCE_GRID_MAX];
    increments_of(j, process, increments);
    if (process == JUDGE_PROCESS_ERRORS)
        fold_uncapped(j, increments);
    evidence_fold(&j->evidence[process], increments, grid_of(&j->settings, process)->n,
                  j->settings.cap);
    *open = (struct evidence_block){0};
}

static void feed_failures(struct judge *j, const struct judge_seen *d)
{
    struct evidence_block errors = counts_block(d, JUDGE_CHECK_ERRORS, j->sticky);
    if (j->settings.errors.enabled)
        feed(j, JUDGE_PROCESS_ERRORS, &errors);
    if (j->settings.ceiling.enabled) {
        feed(j, JUDGE_PROCESS_CEILING, &errors);
        feed(j, JUDGE_PROCESS_RELATIVE, &errors);
    }
    if (j->settings.client_errors.enabled) {
        struct evidence_block refused = counts_block(d, JUDGE_CHECK_CLIENT_ERRORS, j->sticky);
        feed(j, JUDGE_PROCESS_CLIENT_ERRORS, &refused);
    }
}

/* What was seen of a cold canary is forgotten: it must be slow when warm, too. */
static void end_warm_up(struct judge *j)
{
    j->warm = false;
    for (size_t i = JUDGE_PROCESS_LATENCY; i < JUDGE_PROCESS_COUNT; i++) {
        evidence_start(&j->evidence[i], j->settings.mass0);
        j->open[i] = (struct evidence_block){0};
    }
}

static void feed_latency(struct judge *j, const struct judge_seen *d, double elapsed_s)
{
    const struct judge_latency *latency = &j->settings.latency;
    for (unsigned i = 0; i < latency->n; i++) {
        struct evidence_block slow = counts_block(d, JUDGE_CHECK_LATENCY + i, j->sticky);
        feed(j, JUDGE_PROCESS_LATENCY + i, &slow);
    }
    /* After the bets: a prediction must not know what it predicts. */
    double kept = exp2(-elapsed_s / latency->half_life_s);
    j->requests_stable = j->requests_stable * kept + (double)d->stable.requests;
    for (size_t i = 0; i < latency->n; i++)
        j->slow_stable[i] = j->slow_stable[i] * kept + (double)d->stable.slow[i];
}

static bool has_next(const struct judge *j)
{
    return j->stage + 1 < j->settings.n_stages;
}

static void feed_safe(struct judge *j, const struct judge_seen *d)
{
    struct evidence_block errors = counts_block(d, JUDGE_CHECK_ERRORS, j->sticky);
    struct evidence_block *open = &j->open_safe;
    counts_block_add(open, &errors);
    if (open->canary < 1 || open->stable < 1 || !has_next(j))
        return;
    counts_block_close(open);
    struct evidence_margin harm = {1 + j->settings.errors.margin,
                                   judge_settings_excess(&j->settings, j->stage)};
    for (size_t i = 0; i < j->settings.safe_grid.n; i++)
        j->log_safe[i] += evidence_safe(j->settings.safe_grid.at[i], harm, open);
    *open = (struct evidence_block){0};
}

static void rate_add(struct judge_rate *rate, double kept, const struct judge_side *d)
{
    rate->failed = rate->failed * kept + (double)d->failed;
    rate->requests = rate->requests * kept + (double)d->requests;
}

/* True while the stable version fails much more than it used to: not the canary's doing, but no
 * time to widen. */
static bool feed_incident(struct judge *j, const struct judge_side *stable, double elapsed_s)
{
    const struct judge_incident *incident = &j->settings.incident;
    rate_add(&j->fast, exp2(-elapsed_s / incident->fast_s), stable);
    rate_add(&j->slow, exp2(-elapsed_s / incident->slow_s), stable);
    double slow = j->slow.failed / (j->slow.requests + 1);
    double fast = (j->fast.failed + incident->prior_requests * slow) /
                  (j->fast.requests + incident->prior_requests);
    return fast > fmax(j->settings.ceiling.ceiling, incident->ratio * slow);
}

static bool is_fed(const struct judge *j, enum judge_check check)
{
    switch (check) {
    case JUDGE_CHECK_ERRORS:
        return j->settings.errors.enabled;
    case JUDGE_CHECK_CLIENT_ERRORS:
        return j->settings.client_errors.enabled;
    case JUDGE_CHECK_CEILING:
        return j->settings.ceiling.enabled && j->ceiling_on;
    default:
        return j->settings.latency.enabled && check - JUDGE_CHECK_LATENCY < j->settings.latency.n;
    }
}

static double process_log(const struct judge *j, enum judge_process process)
{
    return evidence_log(&j->evidence[process], grid_of(&j->settings, process)->n);
}

double judge_check_log(const struct judge *j, enum judge_check check)
{
    if (!is_fed(j, check))
        return 0;
    switch (check) {
    case JUDGE_CHECK_ERRORS:
        return process_log(j, JUDGE_PROCESS_ERRORS);
    case JUDGE_CHECK_CLIENT_ERRORS:
        return process_log(j, JUDGE_PROCESS_CLIENT_ERRORS);
    case JUDGE_CHECK_CEILING:
        return fmin(process_log(j, JUDGE_PROCESS_CEILING), process_log(j, JUDGE_PROCESS_RELATIVE));
    default:
        return process_log(j, JUDGE_PROCESS_LATENCY + (check - JUDGE_CHECK_LATENCY));
    }
}

static double weight_of(const struct judge_settings *settings, enum judge_check check)
{
    switch (check) {
    case JUDGE_CHECK_ERRORS:
        return settings->errors.weight;
    case JUDGE_CHECK_CLIENT_ERRORS:
        return settings->client_errors.weight;
    case JUDGE_CHECK_CEILING:
        return settings->ceiling.weight;
    default:
        return settings->latency.weight[check - JUDGE_CHECK_LATENCY];
    }
}

/* The weighted mean of the checks' evidence, ln. */
struct mean {
    double all;
    double proven; /* without latency while the canary warms up: what may revert */
    enum judge_check largest;
};

static struct mean mean_of(const struct judge *j)
{
    double all[JUDGE_CHECK_COUNT], proven[JUDGE_CHECK_COUNT];
    size_t n = JUDGE_CHECK_LATENCY + j->settings.latency.n;
    struct mean mean = {.largest = JUDGE_CHECK_ERRORS};
    double top = -INFINITY;
    for (unsigned check = 0; check < n; check++) {
        double log_weight = log(weight_of(&j->settings, check));
        all[check] = log_weight + judge_check_log(j, check);
        proven[check] = j->warm && check >= JUDGE_CHECK_LATENCY ? log_weight : all[check];
        if (is_fed(j, check) && all[check] > top) {
            top = all[check];
            mean.largest = check;
        }
    }
    mean.all = evidence_log_sum(all, n);
    mean.proven = evidence_log_sum(proven, n);
    return mean;
}

/* True while the canary is kept at the first weight. The burst is judged without the cap: the brake
 * can be taken back, so it may be quick. */
static bool brakes(struct judge *j, const struct judge_decision *decision, double elapsed_s)
{
    size_t n = j->settings.ratio_grid.n;
    double uncapped =
        evidence_log_sum(j->log_uncapped, n) - log((double)n) + log(j->settings.errors.weight);
    bool can_lower = j->stage > judge_settings_least(&j->settings);
    if (j->brake_left_s <= 0 && can_lower && uncapped >= decision->log_revert_at)
        j->brake_left_s = j->settings.brake_s;
    if (j->brake_left_s <= 0)
        return false;
    j->brake_left_s -= elapsed_s;
    if (j->brake_left_s > 0)
        return true;
    if (decision->suspicious) {
        j->brake_left_s = j->settings.brake_s; /* another round */
    } else {
        j->brake_left_s = 0; /* it was a short burst: forget it */
        memcpy(j->log_uncapped, j->evidence[JUDGE_PROCESS_ERRORS].log_r, sizeof j->log_uncapped);
    }
    return true;
}

static enum judge_verdict widen(const struct judge *j, double stage_t_s,
                                struct judge_decision *decision)
{
    const struct judge_stage *stage = &j->settings.stages[j->stage];
    if (!has_next(j) || stage_t_s < stage->hold_s)
        return JUDGE_CONTINUE;
    bool has_data = decision->stage_requests >= j->settings.no_data_requests;
    if (has_data && decision->stage_requests >= stage->min_requests &&
        decision->log_safe >= decision->log_promote_at)
        return JUDGE_PROMOTE;
    if (stage_t_s < stage->max_hold_s)
        return JUDGE_CONTINUE;
    decision->no_data = !has_data;
    decision->low_evidence = has_data;
    return has_data && j->settings.on_low_evidence == LOW_EVIDENCE_ADVANCE ? JUDGE_PROMOTE
                                                                           : JUDGE_HOLD;
}

static double seconds(int64_t ms)
{
    return (double)ms / 1000;
}

/* The order is the rule: revert, brake, hold, widen. */
static enum judge_verdict decide(struct judge *j, const struct judge_input *input,
                                 const struct mean *mean, struct judge_decision *decision)
{
    if (mean->proven >= decision->log_revert_at)
        return JUDGE_REVERT;
    if (brakes(j, decision, fmin(fmax(input->elapsed_s, 0), ELAPSED_MAX_S)))
        return JUDGE_BRAKE;
    if (decision->suspicious || decision->incident)
        return JUDGE_HOLD;
    return widen(j, seconds(input->stage_t_ms), decision);
}

void judge_tick(struct judge *j, const struct judge_input *input, struct judge_decision *decision)
{
    CHECK(input->stage < j->settings.n_stages);
    const struct judge_settings *settings = &j->settings;
    double elapsed_s = fmin(fmax(input->elapsed_s, 0), ELAPSED_MAX_S); /* a NaN becomes 0 */
    double t_s = seconds(input->t_ms);
    if (input->stage != j->stage)
        enter_stage(j, input->stage);
    enter_epochs(j, t_s);
    struct judge_seen d = take_differences(j, input);
    feed_failures(j, &d);
    if (j->warm && t_s > settings->latency.warmup_s)
        end_warm_up(j);
    if (settings->latency.enabled && input->latency_known)
        feed_latency(j, &d, elapsed_s);
    feed_safe(j, &d);
    struct mean mean = mean_of(j);
    *decision = (struct judge_decision){
        .check = judge_check_name(mean.largest),
        .incident = feed_incident(j, &d.stable, elapsed_s),
        .suspicious = mean.all >= log(settings->hold_evidence),
        .log_evidence = mean.all,
        .log_revert_at = log(1 / settings->alpha),
        .log_safe = evidence_log_sum(j->log_safe, settings->safe_grid.n) -
                    log((double)settings->safe_grid.n),
        .log_promote_at = log(1 / settings->beta),
        .stage_requests = j->in_stage.canary.requests,
    };
    decision->verdict = decide(j, input, &mean, decision);
    judge_say(j, input, mean.largest, decision);
}
