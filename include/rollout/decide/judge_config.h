/* The protocol's own names for the judge's constants.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_DECIDE_JUDGE_CONFIG_H
#define SERIN_ROLLOUT_DECIDE_JUDGE_CONFIG_H

#include "rollout/decide/judge_settings.h"

struct cJSON;

/* Fills settings for a protocol's start: those of base (a route's; NULL = the defaults with every
 * check enabled), then the stages in percent (NULL = those of base, where there is one), then the
 * overrides of config (NULL = none): alpha beta hold_e cap brake_s budget min_stage_s max_stage_s
 * min_req on_timeout epoch_s mass0 grid_r grid_psi grid_abs grid_b fail{w,rho,delta} c4{...}
 * ceil{w,c} lat{w,q,margin,prior_n,half_s,warmup_s} incident{fast_s,slow_s,ratio,prior_n}. Beyond
 * the protocol, so that a plan fits in: min_stage_s, max_stage_s, min_req may be arrays, a number a
 * stage (the last for the rest); no_data_req; c4.on, ceil.on, lat.on (false: the check is off).
 * A stage takes its times from base's stage of the same weight, else from base's first; a check
 * that config names is enabled, unless it says otherwise. ERR_INVALID names the key: unknown, of
 * another type, or out of range. Pure. */
enum err judge_config_read(struct judge_settings *settings, const struct judge_settings *base,
                           const struct cJSON *stages, const struct cJSON *config,
                           struct why *why) MUST_USE;

/* Adds every key to the object into, so that judge_config_read with the stages of the settings gives
 * them back. lat_margin: what lies on top of stable's thresholds for the canary. ERR_MEMORY. */
enum err judge_config_write(const struct judge_settings *settings, double lat_margin,
                            struct cJSON *into) MUST_USE;

#endif
