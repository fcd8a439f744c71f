/* The statuses and golden texts of tests/unit/status.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_TESTS_UNIT_CLI_FILES_H
#define SERIN_TESTS_UNIT_CLI_FILES_H

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>

/* Reads a file of tests/unit/status; the caller frees it. */
static char *read_file(const char *name, const char *suffix)
{
    char path[512];
    snprintf(path, sizeof path, TESTS_DIR "/unit/status/%s%s", name, suffix);
    FILE *file = fopen(path, "r");
    if (!file)
        fail_msg("%s is missing", path);
    char *text = calloc(1, 32768);
    assert_true(fread(text, 1, 32767, file) < 32767);
    fclose(file);
    return text;
}

static cJSON *read_json(const char *name)
{
    char *text = read_file(name, ".json");
    cJSON *json = cJSON_Parse(text);
    if (!json)
        fail_msg("%s is no JSON", name);
    free(text);
    return json;
}

#endif
