/* Fuzzer of recorded rollouts: any lines are judged again, or refused with a reason.
 * SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"
#include "rollout/decide/replay.h"
#include <cjson/cJSON.h>
#include <stdlib.h>

#define CELLS 896 /* as many as serin records */

static void check_moments(const struct replay_view *view)
{
    for (unsigned i = 0; i < JUDGE_STAGES_MAX; i++)
        CHECK(!view->widens[i].is_set || view->widens[i].stage == i);
    CHECK(!view->reverts.is_set || view->reverts.stage < JUDGE_STAGES_MAX);
}

/* Under the recorded thresholds, and under a margin for which the histograms are needed. */
static void replay_all(struct slice text, const cJSON *config)
{
    static uint64_t tops[CELLS];
    struct replay *r = malloc(sizeof *r);
    struct why why;
    CHECK(r);
    for (unsigned i = 0; i < CELLS; i++)
        tops[i] = (i + 1) * 100;
    replay_init(r, &(struct replay_cells){tops, CELLS});
    struct slice line, rest = text;
    bool more = slice_cut(rest, '\n', &line, &rest);
    bool begun = replay_read_start(r, line, &why) == OK && replay_begin(r, config, &why) == OK;
    while (begun && more) {
        more = slice_cut(rest, '\n', &line, &rest);
        char *copy = fuzz_copy(line.at, line.len);
        uint64_t before = r->ticks;
        if (replay_line(r, slice_of(copy, line.len), &why) != OK)
            CHECK(why.text[0] && r->ticks == before);
        free(copy);
    }
    if (begun) {
        replay_finish(r);
        CHECK(r->same <= r->compared && r->compared <= r->ticks && r->queued == 0);
        check_moments(&r->then);
        check_moments(&r->now);
    }
    replay_fini(r);
    free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cJSON *config = cJSON_Parse("{\"lat\":{\"margin\":0.5,\"warmup_s\":2}}");
    char *text = fuzz_copy(data, size);
    CHECK(config);
    replay_all(slice_of(text, size), NULL);
    replay_all(slice_of(text, size), config);
    free(text);
    cJSON_Delete(config);
    return 0;
}
