/* The command version: which serin this is, and what it was built with.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/version_command.h"

#include "rollout/cli/usage.h"
#include <cjson/cJSON.h>
#include <curl/curl.h>
#include <event2/event.h>
#include <openssl/crypto.h>
#include <stdbool.h>
#include <stdio.h>
#include <yaml.h>

static const char *compiler(void)
{
#ifdef __clang__
    return "clang " __clang_version__;
#else
    return "gcc " __VERSION__;
#endif
}

static void print_json(void)
{
    cJSON *json = cJSON_CreateObject(), *libraries = cJSON_AddObjectToObject(json, "libraries");
    cJSON_AddStringToObject(json, "version", SERIN_VERSION);
    cJSON_AddStringToObject(json, "build", SERIN_BUILD);
    cJSON_AddStringToObject(json, "compiler", compiler());
    cJSON_AddStringToObject(libraries, "libevent", event_get_version());
    cJSON_AddStringToObject(libraries, "openssl", OpenSSL_version(OPENSSL_VERSION_STRING));
    cJSON_AddStringToObject(libraries, "libcurl", curl_version_info(CURLVERSION_NOW)->version);
    cJSON_AddStringToObject(libraries, "cjson", cJSON_Version());
    cJSON_AddStringToObject(libraries, "libyaml", yaml_get_version_string());
    char *text = cJSON_Print(json);
    if (text)
        puts(text);
    cJSON_free(text);
    cJSON_Delete(json);
}

int version_command(int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    int option;
    bool is_json = false;
    struct why why;
    optind = 1;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
        if (option == 'j') {
            is_json = true;
            continue;
        }
        if (option == 'h') {
            printf("Usage: serin version [--json]\n\nPrints version, libraries and build.\n\n"
                   "      --json   print one JSON document\n  -h, --help   this text\n\nExample: "
                   "serin version\n");
            return 0;
        }
        (void)usage_option(&why, option, argv, options);
        return usage_error("version", "%s", why.text);
    }
    if (optind < argc)
        return usage_error("version", "unexpected argument \"%s\"", argv[optind]);
    if (is_json) {
        print_json();
        return 0;
    }
    printf("serin %s (%s, %s)\nlibevent %s, OpenSSL %s, libcurl %s, cJSON %s, libyaml %s\n",
           SERIN_VERSION, SERIN_BUILD, compiler(), event_get_version(),
           OpenSSL_version(OPENSSL_VERSION_STRING), curl_version_info(CURLVERSION_NOW)->version,
           cJSON_Version(), yaml_get_version_string());
    return 0;
}
