/* Numbers of a decision to one sentence: what was seen, how strong it is, what it takes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/decide/judge_why.h"
#include "rollout/decide/interval.h"
#include "rollout/decide/judge_counts.h"
#include "rollout/decide/power.h"

#include <math.h>
#include <stdarg.h>

/* Both versions' intervals together hold with 95 %. */
#define INTERVAL_ALPHA 0.025

/* Odds above this are not told apart: nobody decides on their digits. */
#define ODDS_MAX 1e6

/* One number with its unit. */
struct words {
    char text[32];
};

struct sentence {
    char *text;
    size_t len;
};

static void say(struct sentence *s, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void say(struct sentence *s, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(s->text + s->len, JUDGE_WHY_MAX - s->len, fmt, ap);
    va_end(ap);
    if (n > 0)
        s->len += (size_t)n < JUDGE_WHY_MAX - s->len ? (size_t)n : JUDGE_WHY_MAX - 1 - s->len;
}

/* Two digits, and never 0% or 100% for what is only near it. */
static struct words percent(double rate)
{
    struct words w;
    double p = rate * 100;
    if (p > 0 && p < 0.0001)
        (void)snprintf(w.text, sizeof w.text, "under 0.0001%%");
    else if (p < 9.95)
        (void)snprintf(w.text, sizeof w.text, "%.2g%%", p);
    else if (p < 99.5 || rate >= 1)
        (void)snprintf(w.text, sizeof w.text, "%.0f%%", p);
    else
        (void)snprintf(w.text, sizeof w.text, "%s%%", p < 99.95 ? "99.9" : "over 99.9");
    return w;
}

static struct words weight(uint32_t weight_bp)
{
    struct words w;
    (void)snprintf(w.text, sizeof w.text, "%g%%%s", weight_bp / 100.0,
                   weight_bp ? "" : ", on copies");
    return w;
}

static struct words odds(double log_evidence)
{
    struct words w;
    double e = exp(fmin(log_evidence, log(2 * ODDS_MAX)));
    if (e > ODDS_MAX)
        (void)snprintf(w.text, sizeof w.text, "over %.0f:1", ODDS_MAX);
    else if (e >= 10)
        (void)snprintf(w.text, sizeof w.text, "%.0f:1", floor(e + 1e-9));
    else
        (void)snprintf(w.text, sizeof w.text, "%.2g:1", e < 0.001 ? 0 : e);
    return w;
}

static struct words duration(double s)
{
    struct words w;
    if (s < 1000)
        (void)snprintf(w.text, sizeof w.text, "%.0f s", s);
    else if (s < 120 * 60)
        (void)snprintf(w.text, sizeof w.text, "%.0f min", s / 60);
    else
        (void)snprintf(w.text, sizeof w.text, "%.1f h", s / 3600);
    return w;
}

/* A time that is only expected: one or two digits of it are true. */
static struct words roughly(double s)
{
    struct words w;
    static const struct {
        double seconds, most; /* most: until the next unit says it better */
        const char *unit;
    } units[] = {{1, 100, "s"}, {60, 100, "min"}, {3600, 72, "h"}, {86400, 1000, "days"}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (s / units[i].seconds < units[i].most) {
            (void)snprintf(w.text, sizeof w.text, "%.*f %s", s < 1.5 * units[i].seconds,
                           s / units[i].seconds, units[i].unit);
            return w;
        }
    }
    (void)snprintf(w.text, sizeof w.text, "years");
    return w;
}

/* Requests a minute, or in the unit that gives a number to speak of. */
static struct words pace(double a_second)
{
    struct words w;
    if (a_second >= 10)
        (void)snprintf(w.text, sizeof w.text, "%.0f a second", a_second);
    else if (a_second >= 1.0 / 60)
        (void)snprintf(w.text, sizeof w.text, "%.0f a minute", a_second * 60);
    else if (a_second >= 1.0 / 3600)
        (void)snprintf(w.text, sizeof w.text, "%.0f an hour", a_second * 3600);
    else
        (void)snprintf(w.text, sizeof w.text, "%.2g a day", a_second * 86400);
    return w;
}

/* Two digits, rounded up. */
static double round_up(double n)
{
    double unit = n < 100 ? 1 : pow(10, floor(log10(n)) - 1);
    return ceil(n / unit - 1e-9) * unit;
}

static double rate(double marked, double requests)
{
    return requests > 0 ? fmin(marked / requests, 1) : 0;
}

static void say_side(struct sentence *s, const char *verb, double marked, double requests)
{
    if (requests < 1)
        say(s, " had no requests");
    else
        say(s, "%s %.0f of %.0f%s (%s)", verb, fmin(marked, requests), requests,
            verb[0] ? " requests" : "", percent(rate(marked, requests)).text);
}

/* "canary failed 8 of 17 requests (47%), stable 2 of 1748 (0.11%)" */
static void say_facts(struct sentence *s, const struct judge *j, enum judge_check check,
                      const struct evidence_block *seen)
{
    char verb[64] = " failed";
    if (check == JUDGE_CHECK_CLIENT_ERRORS)
        (void)snprintf(verb, sizeof verb, " answered 4xx to");
    else if (check >= JUDGE_CHECK_LATENCY)
        (void)snprintf(verb, sizeof verb, " was slower than stable's p%g in",
                       j->settings.latency.quantile[check - JUDGE_CHECK_LATENCY] * 100);
    say(s, "canary");
    say_side(s, verb, seen->canary_marked, seen->canary);
    say(s, ", stable");
    say_side(s, "", seen->stable_marked, seen->stable);
}

/* The stage's counts; the whole rollout's where the evidence was earned before this stage. */
static struct evidence_block window(const struct judge *j, enum judge_check check,
                                    const char **since)
{
    struct evidence_block stage = counts_block(&j->in_stage, check, j->sticky);
    *since = "";
    if (rate(stage.canary_marked, stage.canary) > rate(stage.stable_marked, stage.stable))
        return stage;
    *since = " since the start";
    return counts_block(&j->in_rollout, check, j->sticky);
}

static struct interval difference(const struct evidence_block *seen)
{
    return interval_difference(
        interval_rate(fmin(seen->canary_marked, seen->canary), seen->canary, INTERVAL_ALPHA),
        interval_rate(fmin(seen->stable_marked, seen->stable), seen->stable, INTERVAL_ALPHA));
}

/* The null hypothesis that the evidence speaks against. */
static void say_claim(struct sentence *s, const struct judge_settings *settings,
                      enum judge_check check)
{
    const struct judge_compare *compare =
        check == JUDGE_CHECK_ERRORS ? &settings->errors : &settings->client_errors;
    if (check == JUDGE_CHECK_CEILING)
        say(s, "keeping the ceiling of %s", percent(settings->ceiling.ceiling).text);
    else if (check >= JUDGE_CHECK_LATENCY)
        say(s, "being no slower than stable");
    else
        say(s, "being no worse than stable + %g%% + %g points", compare->margin * 100,
            compare->margin_absolute * 100);
}

static void say_revert(struct sentence *s, const struct judge *j, const struct judge_input *input,
                       enum judge_check check, const struct judge_decision *decision)
{
    const char *since;
    struct evidence_block seen = window(j, check, &since);
    struct interval points = difference(&seen);
    say_facts(s, j, check, &seen);
    say(s, "%s, after %s at %s; difference %+.3g to %+.3g points; evidence %s against ", since,
        duration((double)input->stage_t_ms / 1000).text,
        weight(j->settings.stages[j->stage].weight_bp).text, points.low * 100, points.high * 100,
        odds(decision->log_evidence).text);
    say_claim(s, &j->settings, check);
    say(s, " (limit %s)", odds(decision->log_revert_at).text);
}

static void say_brake(struct sentence *s, const struct judge *j)
{
    struct evidence_block seen = counts_block(&j->in_stage, JUDGE_CHECK_ERRORS, j->sticky);
    say(s, "sudden failures at %s: ", weight(j->settings.stages[j->stage].weight_bp).text);
    say_facts(s, j, JUDGE_CHECK_ERRORS, &seen);
    if (j->brake_left_s > 0)
        say(s, "; back to %s for %s",
            weight(j->settings.stages[judge_settings_least(&j->settings)].weight_bp).text,
            duration(j->brake_left_s).text);
    else
        say(s, "; it was a short burst, the brake is let go");
}

static void say_suspicious(struct sentence *s, const struct judge *j, enum judge_check check,
                           const struct judge_decision *decision)
{
    const char *since;
    struct evidence_block seen = window(j, check, &since);
    say(s, "suspicious: ");
    say_facts(s, j, check, &seen);
    say(s, "%s; evidence %s against ", since, odds(decision->log_evidence).text);
    say_claim(s, &j->settings, check);
    say(s, "; nothing is widened until it is cleared or proved (reverts at %s)",
        odds(decision->log_revert_at).text);
}

static void say_promote(struct sentence *s, const struct judge *j, const struct judge_input *input,
                        const struct judge_decision *decision)
{
    struct evidence_block seen = counts_block(&j->in_stage, JUDGE_CHECK_ERRORS, j->sticky);
    say_facts(s, j, JUDGE_CHECK_ERRORS, &seen);
    say(s, ", in %s at %s; an excess of %.3g points or more is ruled out (%s, needed %s)",
        duration((double)input->stage_t_ms / 1000).text,
        weight(j->settings.stages[j->stage].weight_bp).text,
        judge_settings_excess(&j->settings, j->stage) * 100, odds(decision->log_safe).text,
        odds(decision->log_promote_at).text);
}

/* What it still takes to leave the stage on proof, if the canary does as stable does at it; nothing
 * where stable had no requests to tell. */
static void say_needed(struct sentence *s, const struct judge *j, const struct judge_input *input,
                       const struct judge_decision *decision)
{
    const struct judge_stage *stage = &j->settings.stages[j->stage];
    struct evidence_block seen = counts_block(&j->in_stage, JUDGE_CHECK_ERRORS, j->sticky);
    if (seen.canary < 1 || seen.stable < 1 || j->stage + 1 >= j->settings.n_stages)
        return;
    double as_stable = rate(seen.stable_marked, seen.stable);
    struct power_stage now = {as_stable, as_stable, seen.canary / seen.stable, j->log_safe};
    double more = power_widen(&j->settings, j->stage, &now);
    if (stage->min_requests > decision->stage_requests)
        more = fmax(more, (double)(stage->min_requests - decision->stage_requests));
    if (isinf(more)) {
        say(s, "; proof is out of reach while stable fails this often");
        return;
    }
    double a_second = seen.canary / fmax((double)input->stage_t_ms / 1000, 1);
    say(s, "; proof takes about %.0f more canary requests, %s at %s", round_up(fmax(more, 1)),
        roughly(more / a_second).text, pace(a_second).text);
}

static void say_low_evidence(struct sentence *s, const struct judge *j,
                             const struct judge_input *input, const struct judge_decision *decision)
{
    static const char *const then[] = {
        [LOW_EVIDENCE_ADVANCE] = "it advances on time",
        [LOW_EVIDENCE_HOLD] = "it holds",
        [LOW_EVIDENCE_PAUSE] = "the plan says pause",
        [LOW_EVIDENCE_ABORT] = "the plan says abort",
    };
    struct evidence_block seen = counts_block(&j->in_stage, JUDGE_CHECK_ERRORS, j->sticky);
    say(s, "low evidence after %s at %s: ", duration((double)input->stage_t_ms / 1000).text,
        weight(j->settings.stages[j->stage].weight_bp).text);
    say_facts(s, j, JUDGE_CHECK_ERRORS, &seen);
    say(s, "; an excess of up to %.3g points is still possible", difference(&seen).high * 100);
    say_needed(s, j, input, decision);
    say(s, "; %s", then[j->settings.on_low_evidence]);
}

static void say_no_data(struct sentence *s, const struct judge *j, const struct judge_input *input,
                        const struct judge_decision *decision)
{
    say(s, "no data: %llu canary requests in %s at %s; below %llu it neither widens nor reverts",
        (unsigned long long)decision->stage_requests,
        duration((double)input->stage_t_ms / 1000).text,
        weight(j->settings.stages[j->stage].weight_bp).text,
        (unsigned long long)j->settings.no_data_requests);
    say_needed(s, j, input, decision);
}

/* Why it is not moving yet. */
static void say_continue(struct sentence *s, const struct judge *j, const struct judge_input *input,
                         const struct judge_decision *decision)
{
    const struct judge_stage *stage = &j->settings.stages[j->stage];
    struct evidence_block seen = counts_block(&j->in_stage, JUDGE_CHECK_ERRORS, j->sticky);
    double stage_t_s = (double)input->stage_t_ms / 1000;
    bool waits = j->stage + 1 < j->settings.n_stages && stage_t_s >= stage->hold_s;
    if (j->stage + 1 >= j->settings.n_stages)
        say(s, "at the last stage (%s)", weight(stage->weight_bp).text);
    else if (stage_t_s < stage->hold_s)
        say(s, "%.0f of %s at %s", floor(stage_t_s), duration(stage->hold_s).text,
            weight(stage->weight_bp).text);
    else if (decision->stage_requests < stage->min_requests)
        say(s, "waiting for requests at %s (%llu of %llu)", weight(stage->weight_bp).text,
            (unsigned long long)decision->stage_requests, (unsigned long long)stage->min_requests);
    else
        say(s, "waiting for proof at %s", weight(stage->weight_bp).text);
    say(s, ": ");
    say_facts(s, j, JUDGE_CHECK_ERRORS, &seen);
    say(s, "; evidence to widen %s (needs %s), against %s (reverts at %s)",
        odds(decision->log_safe).text, odds(decision->log_promote_at).text,
        odds(decision->log_evidence).text, odds(decision->log_revert_at).text);
    if (waits)
        say_needed(s, j, input, decision);
}

static void say_incident(struct sentence *s, const struct judge *j)
{
    say(s,
        "the stable version itself is failing (%s of its requests of late, %s before): not the "
        "canary's doing, nothing is widened until it is over",
        percent(rate(j->fast.failed, j->fast.requests)).text,
        percent(rate(j->slow.failed, j->slow.requests)).text);
}

void judge_say(const struct judge *j, const struct judge_input *input, enum judge_check check,
               struct judge_decision *decision)
{
    struct sentence s = {decision->why, 0};
    if (decision->verdict == JUDGE_REVERT)
        say_revert(&s, j, input, check, decision);
    else if (decision->verdict == JUDGE_BRAKE)
        say_brake(&s, j);
    else if (decision->verdict == JUDGE_HOLD && decision->suspicious)
        say_suspicious(&s, j, check, decision);
    else if (decision->verdict == JUDGE_HOLD && decision->incident)
        say_incident(&s, j);
    else if (decision->no_data)
        say_no_data(&s, j, input, decision);
    else if (decision->low_evidence)
        say_low_evidence(&s, j, input, decision);
    else if (decision->verdict == JUDGE_PROMOTE)
        say_promote(&s, j, input, decision);
    else
        say_continue(&s, j, input, decision);
}
