/* A configuration is loaded whole, or refused for want of memory.
 * SPDX-License-Identifier: Apache-2.0 */
#include "oom.h"
#include "proxy/conf/load.h"

#include <stdio.h>

#define TEXT_BYTES_MAX 65536

static char text[TEXT_BYTES_MAX];
static size_t text_len;
static struct config_errors errors;

static bool load_good(void)
{
    struct config *config = config_load_text("f", text, text_len, &errors);
    CHECK(config ? errors.code == OK : errors.code == ERR_MEMORY && errors.n > 0);
    config_free(config);
    return config;
}

/* Its own errors may be all that is said: they stand in the file whatever memory there is. */
static bool load_wrong(void)
{
    struct config *config = config_load_text("f", text, text_len, &errors);
    CHECK(!config && errors.n > 0);
    CHECK(errors.code == ERR_MEMORY || errors.code == ERR_INVALID);
    return errors.code == ERR_INVALID;
}

static void read_text(const char *path)
{
    FILE *f = fopen(path, "rb");
    CHECK(f);
    text_len = fread(text, 1, sizeof text, f);
    CHECK(text_len > 0 && text_len < sizeof text);
    (void)fclose(f);
}

int main(void)
{
    read_text(TESTS_DIR "/fuzz/corpus/config/minimal.yaml");
    oom_every("a small file", load_good, 10);
    read_text(TESTS_DIR "/fuzz/corpus/config/workloads.yaml");
    oom_every("a file with workloads and checks", load_good, 100);
    read_text(TESTS_DIR "/fuzz/corpus/config/many-errors.yaml");
    oom_every("a file with many errors", load_wrong, 100);
    return 0;
}
