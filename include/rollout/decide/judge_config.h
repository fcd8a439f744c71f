/* The protocol's own names for the judge's constants.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_DECIDE_JUDGE_CONFIG_H
#define SERIN_ROLLOUT_DECIDE_JUDGE_CONFIG_H

#include "rollout/decide/judge_settings.h"

struct cJSON;

/* Fills settings for a protocol's start: every check enabled, the stages in percent, and the
 * overrides of config (NULL = none): alpha beta hold_e cap brake_s budget min_stage_s max_stage_s
 * min_req on_timeout epoch_s mass0 grid_r grid_psi grid_abs grid_b fail{w,rho,delta} c4{...}
 * ceil{w,c} lat{w,q,margin,prior_n,half_s,warmup_s} incident{fast_s,slow_s,ratio,prior_n}.
 * ERR_INVALID names the key: unknown, of another type, or out of range. Pure. */
enum err judge_config_read(struct judge_settings *settings, const struct cJSON *stages,
                           const struct cJSON *config, struct why *why) MUST_USE;

#endif
