/* Replays a fuzzer's corpus without libFuzzer: every file of the folders on the command line.
 * SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>

#define FILE_BYTES_MAX (1 << 20)

/* Reads and judges one file. False when it cannot be read. */
static bool replay_file(const char *path)
{
    static uint8_t bytes[FILE_BYTES_MAX];
    FILE *f = fopen(path, "rb");
    if (!f)
        return false;
    size_t n = fread(bytes, 1, sizeof bytes, f);
    bool is_whole = !ferror(f);
    (void)fclose(f);
    uint8_t *copy = (uint8_t *)fuzz_copy(bytes, n);
    if (is_whole)
        (void)LLVMFuzzerTestOneInput(copy, n);
    free(copy);
    return is_whole;
}

/* Returns how many files were judged, -1 when the folder or a file cannot be read. */
static int replay_folder(const char *folder)
{
    int count = 0;
    DIR *dir = opendir(folder);
    if (!dir)
        return -1;
    for (struct dirent *entry = readdir(dir); entry && count >= 0; entry = readdir(dir)) {
        char path[PATH_MAX];
        if (entry->d_name[0] == '.')
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        count = replay_file(path) ? count + 1 : -1;
    }
    (void)closedir(dir);
    return count;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        int count = replay_folder(argv[i]);
        if (count <= 0) {
            fprintf(stderr, "%s: %s\n", argv[i], count < 0 ? "cannot be read" : "has no files");
            return 1;
        }
        printf("%s: %d inputs\n", argv[i], count);
    }
    return 0;
}
