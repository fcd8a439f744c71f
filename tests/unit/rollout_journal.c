/* The journal: names, locks, backups, what a failed write leaves behind.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "rollout/journal.h"
#include "rollout_world.h"

static char dir[64];

static int make_dir(void **state)
{
    (void)state;
    memset(&world_disk, 0, sizeof world_disk);
    world_make_dir(dir);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    world_remove_dir(dir);
    return 0;
}

static bool exists(const char *state_dir, const char *route)
{
    bool found = false;
    struct why why = {""};
    if (journal_exists(state_dir, route, &found, &why) != OK)
        fail_msg("%s", why.text);
    return found;
}

static void check_copy(const struct journal *j, enum journal_copy copy, const char *want)
{
    char *text = NULL;
    size_t len = 0;
    struct why why = {""};
    enum err e = journal_read(j, copy, &text, &len, &why);
    if (!want) {
        assert_int_equal(e, ERR_NOT_FOUND);
        return;
    }
    if (e != OK)
        fail_msg("%s", why.text);
    assert_string_equal(text, want);
    assert_int_equal(len, strlen(want));
    free(text);
}

static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *route, *name;
    } rows[] = {
        {"my-web", "my-web"}, {"a.b_C9", "a.b_C9"},     {"..", "%2E."},   {"../etc", "%2E.%2Fetc"},
        {"a/b", "a%2Fb"},     {"a%2Fb", "a%252Fb"},     {" ", "%20"},     {"\xc3\xa9", "%C3%A9"},
        {"a\nb", "a%0Ab"},    {".hidden", "%2Ehidden"}, {"x~y", "x%7Ey"},
    };
    char name[JOURNAL_NAME_MAX], other[JOURNAL_NAME_MAX], route[400];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        journal_name(rows[i].route, name, sizeof name);
        assert_string_equal(name, rows[i].name);
    }
    journal_name("", name, sizeof name);
    assert_true(name[0] == '~'); /* not empty */
    memset(route, '/', sizeof route - 1);
    route[sizeof route - 1] = '\0';
    journal_name(route, name, sizeof name);
    assert_true(strlen(name) < 200 && strchr(name, '/') == NULL);
    route[sizeof route - 2] = 'x'; /* differs only behind the cut */
    journal_name(route, other, sizeof other);
    assert_string_not_equal(name, other);
}

static void test_write_and_read(void **state)
{
    (void)state;
    struct why why;
    assert_false(exists(dir, "r"));
    struct journal *j = journal_open(dir, "r", &why);
    assert_non_null(j);
    assert_int_equal(journal_marked(j), JOURNAL_NEW);
    check_copy(j, JOURNAL_MAIN, NULL);
    check_copy(j, JOURNAL_BACKUP, NULL);
    assert_int_equal(journal_write(j, "one", true, &why), OK);
    assert_int_equal(journal_marked(j), JOURNAL_USED);
    assert_true(exists(dir, "r"));
    assert_false(exists(dir, "s"));
    check_copy(j, JOURNAL_MAIN, "one");
    check_copy(j, JOURNAL_BACKUP, "one"); /* never behind a state change */
    assert_int_equal(journal_write(j, "evidence", false, &why), OK);
    check_copy(j, JOURNAL_MAIN, "evidence");
    check_copy(j, JOURNAL_BACKUP, "one");
    assert_int_equal(journal_write(j, "two", true, &why), OK);
    check_copy(j, JOURNAL_BACKUP, "two");
    journal_close(j);

    j = journal_open(dir, "r", &why);
    assert_non_null(j);
    assert_int_equal(journal_marked(j), JOURNAL_USED);
    check_copy(j, JOURNAL_MAIN, "two");
    journal_keep_corrupt(j);
    check_copy(j, JOURNAL_MAIN, NULL);
    journal_close(j);
}

static void test_one_process_acts(void **state)
{
    (void)state;
    struct why why = {""};
    struct journal *first = journal_open(dir, "r", &why), *other = journal_open(dir, "s", &why);
    assert_non_null(first);
    assert_non_null(other); /* another route is another lock */
    assert_null(journal_open(dir, "r", &why));
    assert_non_null(strstr(why.text, "another process"));
    journal_close(first);
    first = journal_open(dir, "r", &why);
    assert_non_null(first);
    journal_close(first);
    journal_close(other);
}

static void test_full_disk(void **state)
{
    (void)state;
    struct why why = {""};
    struct journal *j = journal_open(dir, "r", &why);
    assert_int_equal(journal_write(j, "one", true, &why), OK);
    world_disk.full = true;
    assert_int_equal(journal_write(j, "two", true, &why), ERR_IO);
    assert_non_null(strstr(why.text, "No space left"));
    assert_int_equal(journal_write(j, "two", false, &why), ERR_IO);
    world_disk.full = false;
    check_copy(j, JOURNAL_MAIN, "one");
    check_copy(j, JOURNAL_BACKUP, "one");
    char temp[128];
    (void)snprintf(temp, sizeof temp, "%s/r.json.tmp", dir);
    assert_int_equal(access(temp, F_OK), -1);
    assert_int_equal(journal_write(j, "two", true, &why), OK);
    journal_close(j);
}

/* What must not be lost takes the backup's room; where even that does not do, the mark tells of it
 * until the record can. */
static void test_stop_on_a_full_disk(void **state)
{
    (void)state;
    struct why why = {""};
    struct journal *j = journal_open(dir, "r", &why);
    assert_int_equal(journal_mark(j, JOURNAL_PAUSED, &why), ERR_IO); /* nothing to stop yet */
    assert_int_equal(journal_write(j, "one", true, &why), OK);
    world_disk.tight = true;
    assert_int_equal(journal_write(j, "two", true, &why), ERR_IO);
    assert_int_equal(journal_write_alone(j, "two", &why), OK);
    check_copy(j, JOURNAL_MAIN, "two");
    check_copy(j, JOURNAL_BACKUP, NULL);
    world_disk.full = true;
    assert_int_equal(journal_write(j, "three", true, &why), ERR_IO);
    assert_int_equal(journal_write_alone(j, "three", &why), ERR_IO);
    check_copy(j, JOURNAL_MAIN, "two");
    assert_int_equal(journal_mark(j, JOURNAL_PAUSED, &why), OK);
    assert_int_equal(journal_mark(j, JOURNAL_ABORTED, &why), OK);
    journal_close(j);
    world_disk.full = world_disk.tight = false;
    assert_true(exists(dir, "r"));
    j = journal_open(dir, "r", &why);
    assert_int_equal(journal_marked(j), JOURNAL_ABORTED);
    assert_int_equal(journal_write(j, "four", true, &why), OK);
    assert_int_equal(journal_marked(j), JOURNAL_USED);
    journal_close(j);
    j = journal_open(dir, "r", &why);
    assert_int_equal(journal_marked(j), JOURNAL_USED);
    world_disk.dead = true; /* another error than want of room: the backup stays */
    assert_int_equal(journal_write(j, "five", true, &why), ERR_IO);
    assert_int_equal(journal_write_alone(j, "five", &why), ERR_IO);
    world_disk.dead = false;
    check_copy(j, JOURNAL_BACKUP, "four");
    journal_close(j);
}

/* The backup is written first: killed between the two, the record is the one before, and whole. */
static void test_killed_between(void **state)
{
    (void)state;
    struct why why;
    struct journal *j = journal_open(dir, "r", &why);
    assert_int_equal(journal_write(j, "one", true, &why), OK);
    world_disk.kills = 1;
    assert_int_equal(journal_write(j, "two", true, &why), ERR_IO);
    world_disk.dead = false;
    check_copy(j, JOURNAL_MAIN, "one");
    check_copy(j, JOURNAL_BACKUP, "two");
    journal_close(j);
}

static void test_bad_directories(void **state)
{
    (void)state;
    struct why why = {""};
    char path[128];
    (void)snprintf(path, sizeof path, "%s/made", dir);
    struct journal *j = journal_open(path, "r", &why); /* its last part is made */
    assert_non_null(j);
    journal_close(j);
    (void)snprintf(path, sizeof path, "%s/no/such", dir);
    assert_null(journal_open(path, "r", &why));
    assert_non_null(strstr(why.text, path));
    (void)snprintf(path, sizeof path, "%s/file", dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    (void)fclose(f);
    assert_null(journal_open(path, "r", &why));
}

/* That there is no directory says that there is no state; that it cannot be looked into says
 * nothing. */
static void test_unknown_is_not_absent(void **state)
{
    (void)state;
    struct why why = {""};
    char path[128];
    bool found;
    (void)snprintf(path, sizeof path, "%s/none", dir);
    assert_false(exists(path, "r"));
    (void)snprintf(path, sizeof path, "%s/file", dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    (void)fclose(f);
    assert_false(exists(path, "r"));
    (void)snprintf(path, sizeof path, "%s/loop", dir);
    assert_int_equal(symlink("loop", path), 0);
    assert_int_equal(journal_exists(path, "r", &found, &why), ERR_IO);
    assert_non_null(strstr(why.text, "loop"));
}

/* Removed and made again while a process runs: it goes on there, with a lock of its own. */
static void test_directory_made_again(void **state)
{
    (void)state;
    struct why why = {""};
    char path[128];
    (void)snprintf(path, sizeof path, "%s/again", dir);
    struct journal *j = journal_open(path, "r", &why);
    assert_int_equal(journal_write(j, "one", true, &why), OK);
    world_remove_dir(path);
    assert_int_equal(journal_write(j, "two", true, &why), ERR_IO); /* nobody makes it unasked */
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(journal_write(j, "two", true, &why), OK);
    check_copy(j, JOURNAL_MAIN, "two");
    assert_int_equal(journal_marked(j), JOURNAL_USED);
    assert_null(journal_open(path, "r", &why));
    assert_non_null(strstr(why.text, "another process"));
    world_remove_dir(path); /* and where another process was quicker, it is refused */
    struct journal *other = journal_open(path, "r", &why);
    assert_int_equal(journal_write(other, "theirs", true, &why), OK);
    assert_int_equal(journal_write(j, "three", true, &why), ERR_IO);
    assert_non_null(strstr(why.text, "another process"));
    check_copy(other, JOURNAL_MAIN, "theirs");
    journal_close(other);
    journal_close(j);
}

/* What lies there instead of a record: a link to elsewhere, a directory, something huge. */
static void test_strange_files(void **state)
{
    (void)state;
    struct why why;
    char path[128], *text;
    size_t len;
    struct journal *j = journal_open(dir, "r", &why);
    (void)snprintf(path, sizeof path, "%s/r.json", dir);
    assert_int_equal(symlink("/etc/hostname", path), 0);
    assert_int_equal(journal_read(j, JOURNAL_MAIN, &text, &len, &why), ERR_IO);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(journal_read(j, JOURNAL_MAIN, &text, &len, &why), ERR_IO);
    assert_int_equal(rmdir(path), 0);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(ftruncate(fileno(f), (off_t)JOURNAL_BYTES_MAX + 1), 0);
    (void)fclose(f);
    assert_int_equal(journal_read(j, JOURNAL_MAIN, &text, &len, &why), ERR_LIMIT);
    journal_close(j);
}

#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, make_dir, remove_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),       IN_DIR(test_write_and_read),
        IN_DIR(test_one_process_acts),      IN_DIR(test_full_disk),
        IN_DIR(test_killed_between),        IN_DIR(test_bad_directories),
        IN_DIR(test_strange_files),         IN_DIR(test_stop_on_a_full_disk),
        IN_DIR(test_unknown_is_not_absent), IN_DIR(test_directory_made_again),
    };
    return cmocka_run_group_tests(tests, world_quiet, NULL);
}
