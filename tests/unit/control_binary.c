/* The program is started again with its words and its environment, one descriptor, and one more variable.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "proxy/control/binary.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct why why;

static void test_it_remembers_itself(void **state)
{
    (void)state;
    struct binary b;
    char link[4096];
    assert_int_equal(binary_remember(&b, &why), OK);
    ssize_t n = readlink("/proc/self/exe", link, sizeof link - 1);
    assert_true(n > 0);
    link[n] = '\0';
    assert_int_equal(b.program[0], '/');
    struct stat one, other;
    assert_true(stat(b.program, &one) == 0 && stat(link, &other) == 0);
    assert_int_equal(one.st_ino, other.st_ino);
    assert_non_null(strstr(b.argv[0], "control_binary"));
    binary_fini(&b);
}

/* What a started program has found, as it says on standard output. */
static const char *start(const char *script, int channel)
{
    static char said[8192];
    char path[] = "/tmp/serin-binary-XXXXXX", *argv[] = {path, (char *)"a word", NULL};
    struct binary b = {.program = path, .argv = argv};
    int out[2], kept = dup(STDOUT_FILENO), status;
    pid_t pid;
    int fd = mkstemp(path);
    assert_true(fd >= 0 && dprintf(fd, "#!/bin/sh\n%s\n", script) > 0 && fchmod(fd, 0700) == 0);
    (void)close(fd);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    (void)fflush(stdout);
    (void)dup2(out[1], STDOUT_FILENO);
    enum err e = binary_start(&b, channel, &pid, &why);
    (void)dup2(kept, STDOUT_FILENO);
    (void)close(kept);
    (void)close(out[1]);
    assert_int_equal(e, OK);
    size_t len = 0;
    for (ssize_t n; (n = read(out[0], said + len, sizeof said - 1 - len)) > 0; len += (size_t)n)
        continue;
    said[len] = '\0';
    (void)close(out[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    (void)unlink(path);
    return said;
}

static void test_words_and_environment(void **state)
{
    (void)state;
    int channel = open("/dev/null", O_RDWR | O_CLOEXEC);
    (void)setenv("SERIN_TEST_WORD", "kept", 1);
    (void)setenv("LISTEN_FDS", "3", 1);
    (void)setenv("LISTEN_PID", "1", 1);
    (void)setenv(BINARY_CHANNEL_ENV, "77", 1);
    const char *said = start(
        "echo \"$1 $SERIN_TEST_WORD [$LISTEN_FDS$LISTEN_PID] $" BINARY_CHANNEL_ENV "\"", channel);
    assert_string_equal(said, "a word kept [] 3\n");
    (void)unsetenv("LISTEN_FDS");
    (void)unsetenv("LISTEN_PID");
    (void)unsetenv(BINARY_CHANNEL_ENV);
    (void)close(channel);
}

/* Also one that is not closed on exec, of a library that forgot: a listening socket would stay open for ever. */
static void test_no_descriptor_but_the_channel(void **state)
{
    (void)state;
    int leaks = fcntl(open("/dev/null", O_RDONLY), F_DUPFD, 50),
        channel = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    const char *said = start(
        "for fd in 3 4 5 50; do [ -e /proc/self/fd/$fd ] && readlink /proc/self/fd/$fd; done; true",
        channel);
    assert_int_equal(strncmp(said, "/dev/zero\n", 10),
                     0); /* the shell itself opens more, in its own time */
    assert_null(strstr(said, "/dev/null"));
    (void)close(leaks);
    (void)close(channel);
}

/* Its number is that which the new process looks for. */
static void test_a_channel_that_is_there_already(void **state)
{
    (void)state;
    int channel = open("/dev/zero", O_RDONLY | O_CLOEXEC),
        kept = fcntl(BINARY_CHANNEL_FD, F_DUPFD_CLOEXEC, 60);
    if (channel != BINARY_CHANNEL_FD)
        assert_int_equal(dup3(channel, BINARY_CHANNEL_FD, O_CLOEXEC), BINARY_CHANNEL_FD);
    const char *said = start("readlink /proc/self/fd/3", BINARY_CHANNEL_FD);
    assert_string_equal(said, "/dev/zero\n");
    if (kept >= 0)
        (void)dup2(kept, BINARY_CHANNEL_FD);
}

static void test_a_program_that_is_gone(void **state)
{
    (void)state;
    char *argv[] = {(char *)"/nonexistent/serin", NULL};
    struct binary b = {.program = argv[0], .argv = argv};
    pid_t pid = 0;
    assert_int_equal(binary_start(&b, STDIN_FILENO, &pid, &why), ERR_IO);
    assert_non_null(strstr(why.text, "/nonexistent/serin: No such file"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_remembers_itself),
        cmocka_unit_test(test_words_and_environment),
        cmocka_unit_test(test_no_descriptor_but_the_channel),
        cmocka_unit_test(test_a_channel_that_is_there_already),
        cmocka_unit_test(test_a_program_that_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
