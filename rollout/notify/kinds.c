/* What can be notified of, and in which form.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/notify/kinds.h"

#include "base/check.h"
#include <stddef.h>
#include <string.h>

static const struct {
    const char *event;
    enum notify_kind kind;
} events[] = {
    {"RolloutStarted", NOTIFY_STARTED},     {"StepStarted", NOTIFY_STEP},
    {"StepCompleted", NOTIFY_JUDGED},       {"AnalysisInconclusive", NOTIFY_JUDGED},
    {"AnalysisFailed", NOTIFY_JUDGED},      {"WeightChanged", NOTIFY_WEIGHT},
    {"RolloutHeld", NOTIFY_HELD},           {"RolloutPaused", NOTIFY_PAUSED},
    {"RolloutResumed", NOTIFY_RESUMED},     {"PromotionFailed", NOTIFY_FAILED},
    {"RolloutAborted", NOTIFY_ABORTED},     {"StableRestored", NOTIFY_RESTORED},
    {"RolloutCompleted", NOTIFY_COMPLETED}, {"RolloutReset", NOTIFY_RESET},
    {"LeaderChanged", NOTIFY_LEADER},
};

static const struct {
    enum notify_kind kind;
    const char *name;
} kinds[] = {
    {NOTIFY_STARTED, "started"},   {NOTIFY_STEP, "step"},           {NOTIFY_JUDGED, "judged"},
    {NOTIFY_WEIGHT, "weight"},     {NOTIFY_HELD, "held"},           {NOTIFY_PAUSED, "paused"},
    {NOTIFY_RESUMED, "resumed"},   {NOTIFY_FAILED, "failed"},       {NOTIFY_ABORTED, "aborted"},
    {NOTIFY_RESTORED, "restored"}, {NOTIFY_COMPLETED, "completed"}, {NOTIFY_RESET, "reset"},
    {NOTIFY_WARNING, "warning"},   {NOTIFY_LEADER, "leader"},
};

enum notify_kind notify_kind_of(const char *event)
{
    for (size_t i = 0; i < ARRAY_LEN(events); i++)
        if (strcmp(events[i].event, event) == 0)
            return events[i].kind;
    return NOTIFY_WARNING;
}

bool notify_kind_is_state(enum notify_kind kind)
{
    return !(kind & (NOTIFY_JUDGED | NOTIFY_WEIGHT | NOTIFY_WARNING | NOTIFY_LEADER));
}

const char *notify_kind_name(enum notify_kind kind)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (kinds[i].kind == kind)
            return kinds[i].name;
    return "warning";
}
