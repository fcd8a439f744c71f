/* Rules between the keys of notifications; no message shows what a URL says.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include "conf_help.h"

#define ITEM(text) GOOD "notifications: [{ " text " }]\n"

static void test_items(void **state)
{
    (void)state;
    static const struct help_row rows[] = {
        {ITEM("name: a, url: \"https://h/s\""), ""},
        {ITEM("name: a, url_file: a.url, format: slack, events: [aborted], routes: [r], timeout: "
              "1s"),
         ""},
        {ITEM("name: a"),
         "f:7:17: notifications[0].url: is missing (or url_file, a file with the URL)\n"},
        {ITEM("url: \"https://h/s\""), "f:7:17: notifications[0].name: is missing (its name in the "
                                       "log and in metrics, where the URL is not shown)\n"},
        {ITEM("name: a, url: \"https://h/s\", url_file: b"),
         "f:7:58: notifications[0].url_file: stands beside url (expected one of the two)\n"},
        {ITEM("name: a, url: \"ftp://h/SECRET\""),
         "f:7:33: notifications[0].url: what stands here does not begin with http:// or https:// "
         "(a URL such as "
         "http://host/path)\n"},
        {ITEM("name: a, url: \"https:///SECRET\""),
         "f:7:33: notifications[0].url: what stands here is not a URL (a URL such as "
         "http://host/path)\n"},
        {ITEM("name: a, url: [\"https://h/SECRET\"]"),
         "f:7:28: notifications[0].url: is a list (expected a URL such as http://host/path)\n"},
        {ITEM("name: a, url: \"https://h/s\", routes: [r, shop]"),
         "f:7:60: notifications[0].routes[1]: \"shop\" is no route of this file\n"},
        {ITEM("name: a, url: \"https://h/s\" }, { name: a, url: \"https://h/t\""),
         "f:7:58: notifications[1].name: \"a\" is the name of notifications[0] too\n"},
        {GOOD "notifications: [\"https://h/SECRET\"]\n",
         "f:7:17: notifications[0]: is a single value (expected a mapping of keys)\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        help_expect(rows[i].text, rows[i].errors);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(test_items)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
