/* Zones by name: which names are taken, what else may lie there, and a system without the database.
 * SPDX-License-Identifier: Apache-2.0 */
#include "zone_bytes.h"
#include "rollout/zone_file.h"
#include <sys/stat.h>
#include <unistd.h>

static char dir[64], path[128];

static int make_dir(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/serin-zones-XXXXXX");
    (void)snprintf(path, sizeof path, "%s/Zone", dir);
    return 0;
}

/* A file named Zone in a directory of its own. */
static void write_zone(const char *bytes, size_t len)
{
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/Zone", dir);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

static int remove_dir(void **state)
{
    (void)state;
    (void)unlink(path);
    (void)rmdir(path);
    (void)rmdir(dir);
    return 0;
}

static void expect(const char *in, const char *name, enum err wanted, const char *text)
{
    struct why why = {""};
    struct zone *zone;
    enum err e = zone_file_load(in, name, &zone, &why);
    if (e != wanted || strcmp(why.text, text) != 0)
        fail_msg("%s: \"%s\"; expected %s: \"%s\"", err_text(e), why.text, err_text(wanted), text);
    assert_true((e == OK) == (zone != NULL));
    zone_free(zone);
}

static void test_names(void **state)
{
    (void)state;
    static const char *const good[] = {
        "UTC",     "Europe/Paris", "America/Argentina/Buenos_Aires", "Etc/GMT+5", "Etc/GMT-14",
        "NZ-CHAT", "W-SU"};
    static const char *const bad[] = {
        "",
        "/",
        "/etc/passwd",
        "../passwd",
        "Europe/../Paris",
        "..",
        ".",
        "Europe//Paris",
        "Europe/",
        "Europe/Paris ",
        "Europe\\Paris",
        "tzdata.zi",
        ":UTC",
        "Europe/Paris\n",
        "Z\xc3\xbcrich",
        "%s",
        "~",
        "CET-1CEST,M3",
        "<+03>-3",
    };
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_true(zone_file_is_name(good[i]));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(zone_file_is_name(bad[i]));
    char name[ZONE_FILE_NAME_MAX + 2];
    memset(name, 'a', sizeof name);
    name[sizeof name - 1] = '\0';
    assert_false(zone_file_is_name(name));
    name[sizeof name - 2] = '\0';
    assert_true(zone_file_is_name(name));
    expect(ZONE_FILE_DIR, "../zoneinfo/UTC", ERR_INVALID,
           "time zone ../zoneinfo/UTC: not a name of the time zone database, such as Europe/Paris");
}

static void test_the_database(void **state)
{
    (void)state;
    struct zone *zone;
    struct why why = {""};
    if (zone_file_load(ZONE_FILE_DIR, "Europe/Paris", &zone, &why) != OK)
        fail_msg("%s", why.text);
    assert_int_equal(zone_offset_s(zone, utc("2026-06-01 00:00")), 7200);
    assert_int_equal(zone_offset_s(zone, utc("2050-12-01 00:00")), 3600);
    zone_free(zone);
    expect(ZONE_FILE_DIR, "Etc/GMT+5", OK, "");
    expect(ZONE_FILE_DIR, "Europe/Pariss", ERR_NOT_FOUND,
           "time zone Europe/Pariss: not in " ZONE_FILE_DIR);
    expect(ZONE_FILE_DIR, "Europe/Paris/x", ERR_NOT_FOUND,
           "time zone Europe/Paris/x: not in " ZONE_FILE_DIR);
    expect(ZONE_FILE_DIR, "Europe", ERR_INVALID, "time zone Europe: not a file");
}

static void test_no_database(void **state)
{
    (void)state;
    expect("/no/such", "Europe/Paris", ERR_NOT_FOUND,
           "time zone Europe/Paris: there is no /no/such: install the package tzdata, or use UTC");
    expect("/no/such", "UTC", OK, "");
}

static void test_broken_files(void **state)
{
    (void)state;
    write_zone("TZif", 4);
    expect(dir, "Zone", ERR_INVALID, "time zone Zone: the file ends in a header");
    assert_int_equal(truncate(path, 0), 0);
    expect(dir, "Zone", ERR_INVALID, "time zone Zone: the file ends in a header");
    assert_int_equal(truncate(path, ZONE_BYTES_MAX), 0);
    expect(dir, "Zone", ERR_INVALID,
           "time zone Zone: not a time zone file: a header does not begin with TZif");
    assert_int_equal(truncate(path, ZONE_BYTES_MAX + 1), 0);
    expect(dir, "Zone", ERR_LIMIT,
           "time zone Zone: its file has 65537 bytes, at most 65536 are read");
}

static void test_a_link_is_followed(void **state)
{
    (void)state;
    write_zone("", 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink(ZONE_FILE_DIR "/Europe/Paris", path), 0);
    expect(dir, "Zone", OK, "");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink(path, path), 0);
    expect(dir, "Zone", ERR_IO,
           "time zone Zone: cannot open its file: Too many levels of symbolic links");
}

/* Nothing writes into it: to wait for that would hang the reload. */
static void test_a_pipe_is_refused(void **state)
{
    (void)state;
    write_zone("", 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    expect(dir, "Zone", ERR_INVALID, "time zone Zone: not a file");
}

#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, make_dir, remove_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),       cmocka_unit_test(test_the_database),
        cmocka_unit_test(test_no_database), IN_DIR(test_broken_files),
        IN_DIR(test_a_link_is_followed),    IN_DIR(test_a_pipe_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
