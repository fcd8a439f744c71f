/* Replays every scenario of tests/scenario: a world with its own clock, a plan, what happens when,
 * and what must come of it. The format is described in tests/scenario/README.md.
 *
 *     rollout_scenario [PART PARTS]      all of them, or every PARTSth from the PARTth on
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "rollout_scenario.h"
#include <glob.h>

/* One test a file, so that a failure names it. */
static void test_scenario(void **state)
{
    const char *path = *state;
    struct scenario s;
    scenario_read(&s, path);
    scenario_run(&s, 0);
}

/* Killed after every write of a state change, and some writes of evidence: what comes back ends
 * where the undisturbed run ends, and never serves more of the canary than the disk allowed. */
static void test_killed(void **state)
{
    const char *path = *state;
    struct scenario s;
    scenario_read(&s, path);
    if (s.crash_matrix) {
        scenario_run(&s, 0);
        struct scenario_end end = s.end;
        unsigned writes = world_disk.renames;
        bool state_change[WORLD_RENAMES];
        memcpy(state_change, world_disk.state_change, sizeof state_change);
        assert_true(writes < WORLD_RENAMES);
        for (unsigned k = 1; k <= writes; k++) {
            if (!state_change[k - 1] && k % 32 != 0)
                continue;
            scenario_run(&s, k);
            if (strcmp(s.end.state, end.state) != 0 || strcmp(s.end.stable, end.stable) != 0 ||
                s.end.weight_bp != end.weight_bp || s.end.result != end.result)
                fail_msg("%s: killed after write %u: %s %s %u, not %s %s %u", path, k, s.end.state,
                         s.end.stable, s.end.weight_bp, end.state, end.stable, end.weight_bp);
        }
    }
}

int main(int argc, char **argv)
{
    size_t part = argc == 3 ? strtoul(argv[1], NULL, 10) : 1,
           parts = argc == 3 ? strtoul(argv[2], NULL, 10) : 1, n = 0;
    glob_t files;
    if (part == 0 || part > parts || glob(TESTS_DIR "/scenario/*.scn", 0, NULL, &files) != 0 ||
        files.gl_pathc < parts)
        return 1;
    struct CMUnitTest *tests = calloc(2 * files.gl_pathc, sizeof *tests);
    if (!tests)
        return 1;
    for (size_t i = part - 1; i < files.gl_pathc; i += parts) {
        const char *name = strrchr(files.gl_pathv[i], '/') + 1;
        tests[n++] = (struct CMUnitTest){
            .name = name, .test_func = test_scenario, .initial_state = files.gl_pathv[i]};
        tests[n++] = (struct CMUnitTest){
            .name = name, .test_func = test_killed, .initial_state = files.gl_pathv[i]};
    }
    int failed = _cmocka_run_group_tests("scenarios", tests, n, world_quiet, NULL);
    free(tests);
    globfree(&files);
    return failed;
}
