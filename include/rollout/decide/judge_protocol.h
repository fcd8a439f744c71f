/* The judge behind one JSON object a line: for `serin judge`, other programs and simulations.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_DECIDE_JUDGE_PROTOCOL_H
#define SERIN_ROLLOUT_DECIDE_JUDGE_PROTOCOL_H

#include "base/slice.h"
#include "rollout/decide/judge.h"

/* Room for any reply with its NUL: three numbers and an escaped sentence. */
#define JUDGE_REPLY_MAX 4096

/* One rollout after another: {"op":"start"} begins the next. */
struct judge_protocol {
    struct judge_settings base; /* what a start line leaves open */
    bool has_base;              /* false: the defaults, and a start line must name its stages */
    struct judge judge;
    bool started;
    double tick_s;
};

struct cJSON;

/* Nothing started. base: the thresholds and stages over which a start line's own go, as those of a
 * route; copied; NULL = the defaults. Pure. */
void judge_protocol_init(struct judge_protocol *p, const struct judge_settings *base);

/* Begins the rollout of a start line, already parsed, under a configuration that may be another than
 * its own (NULL = none). ERR_INVALID names the member, and *p is as it was. Pure. */
enum err judge_protocol_start(struct judge_protocol *p, const struct cJSON *m,
                              const struct cJSON *config, struct why *why) MUST_USE;

/* Reads a tick line, already parsed, of the rollout that has started. ERR_INVALID names the member.
 * Pure. */
enum err judge_protocol_tick(const struct judge_protocol *p, const struct cJSON *m,
                             struct judge_input *input, struct why *why) MUST_USE;

/* Answers one line (without its newline, not NUL-terminated). reply: "" where the protocol has none
 * ({"op":"end"}). ERR_INVALID or ERR_MEMORY: *why says what is wrong with the line, reply is "" and
 * the rollout goes on as if the line had not come. Pure.
 *
 *   {"op":"start","stages":[1,10,100],"tick_s":1,"sticky":false,"baseline":{"req":0,"bad":0},
 *    "config":{"alpha":0.01, ...}}                                   -> {"ok":true}
 *   {"op":"tick","t":1,"stage":0,"weight":1,"stage_t":1,
 *    "s":{"req":99,"bad":0,"c4":1,"lat":[50,10,1]},"c":{...}}
 *        -> {"d":"continue","loge":-0.1,"logf":0.2,"check":"errors","why":"..."}
 *   {"op":"end"}                                                     -> nothing
 *
 * All counts are cumulative. c4, lat, tick_s, sticky, baseline, config may be left out, stages too
 * where there is a base; a sticky side also has ureq and ubad. */
enum err judge_protocol_line(struct judge_protocol *p, struct slice line,
                             char reply[JUDGE_REPLY_MAX], struct why *why) MUST_USE;

#endif
