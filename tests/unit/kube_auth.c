/* Tests kubeconfigs, service accounts and credentials of commands: what is taken, what is refused and how that is said.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kube_help.h"
#include "rollout/http.h"
#include "rollout/kube/auth.h"
#include "rollout/kube/text.h"

#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char directory[64];

static const char *path_of(const char *name)
{
    static char paths[4][160];
    static unsigned next;
    char *path = paths[next++ % 4];
    (void)snprintf(path, sizeof paths[0], "%s/%s", directory, name);
    return path;
}

static void write_text(const char *name, const char *text)
{
    FILE *f = fopen(path_of(name), "w");
    CHECK(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(directory, sizeof directory, "/tmp/serin-auth.XXXXXX");
    CHECK(mkdtemp(directory));
    setenv("HOME", directory, 1);
    unsetenv("KUBECONFIG");
    unsetenv("KUBERNETES_SERVICE_HOST");
    unsetenv("KUBERNETES_SERVICE_PORT");
    return 0;
}

static int tear_down(void **state)
{
    static const char *const names[] = {"config", "two", "ca.crt",    "token",
                                        "cert",   "key", "namespace", ".kube/config"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        (void)unlink(path_of(names[i]));
    (void)rmdir(path_of(".kube"));
    return rmdir(directory);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

#define CONTEXT "current-context: c\ncontexts:\n- {name: c, context: {cluster: k, user: u}}\n"
#define CLUSTER "clusters:\n- {name: k, cluster: {server: \"https://h:6443/\"}}\n"

static struct kube_auth *read_config(const char *text, struct why *why)
{
    struct kube_auth_setup setup = {.kubeconfig = path_of("config")};
    write_text("config", text);
    why->text[0] = '\0';
    return kube_auth_new(&setup, why);
}

static struct kube_auth *must_read(const char *text)
{
    struct why why;
    struct kube_auth *a = read_config(text, &why);
    if (!a)
        fail_msg("%s", why.text);
    return a;
}

static void a_whole_kubeconfig_is_taken(void **state)
{
    (void)state;
    write_text("ca.crt", "PEM");
    struct kube_auth *a = must_read(
        "apiVersion: v1\nkind: Config\npreferences: {}\ncurrent-context: c\n"
        "contexts: [{name: b, context: {cluster: x}}, {name: c, context: {cluster: k, user: u, "
        "namespace: team}}]\n"
        "clusters:\n- name: k\n  cluster: {server: 'https://[::1]:6443/prefix//', "
        "certificate-authority: ca.crt, tls-server-name: kubernetes, extensions: []}\n"
        "users:\n- name: u\n  user: {token: abc, as-groups: [], username: '', "
        "client-certificate-data: Q0VSVA==, client-key-data: S0VZ}\n");
    const struct http_tls *tls = kube_auth_tls(a);
    assert_string_equal(kube_auth_server(a), "https://[::1]:6443/prefix");
    assert_string_equal(kube_auth_namespace(a), "team");
    assert_string_equal(kube_auth_token(a), "abc");
    assert_string_equal(tls->ca_file, path_of("ca.crt"));
    assert_null(tls->ca_pem);
    assert_string_equal(tls->name, "kubernetes");
    assert_string_equal(tls->cert_pem, "CERT");
    assert_string_equal(tls->key_pem, "KEY");
    kube_auth_free(a);
}

/* Kubeconfigs, and how the reason begins or ends. */
static const struct {
    const char *text, *why;
} wrong[] = {
    {"", ": no current-context, and none was named"},
    {"[]", ": no kubeconfig: not a mapping"},
    {"a: 1\n---\nb: 1\n", ": more than one document"},
    {"a: b: c\n", ":1:5: not valid YAML: mapping values are not allowed in this context"},
    {"current-context: c\n", ": no contexts has the name c"},
    {"current-context: c\ncontexts: {}\n", ": contexts is no list"},
    {"current-context: c\ncontexts:\n- {name: c}\n", ":3: contexts[c] has no context"},
    {"current-context: c\ncontexts:\n- {name: c, context: {}}\n", ":3: contexts[c]: no cluster"},
    {CONTEXT, ": no clusters has the name k"},
    {CONTEXT "clusters:\n- {name: k, cluster: {}}\n", ":5: clusters[k]: no server"},
    {CONTEXT "clusters:\n- {name: k, cluster: {server: 7}}\n", ":5: clusters[k].server: no text"},
    {CONTEXT "clusters:\n- {name: k, cluster: {server: 'ftp://h'}}\n",
     ":5: clusters[k].server: expected https://HOST[:PORT][/PATH] and no more"},
    {CONTEXT "clusters:\n- {name: k, cluster: {server: 'https://u:p@h'}}\n",
     ":5: clusters[k].server: expected https://HOST[:PORT][/PATH] and no more"},
    {CONTEXT "clusters:\n- {name: k, cluster: {server: 'https://h',\n"
             "    certificate-authority-data: '!'}}\n",
     ":6: clusters[k].certificate-authority-data: not base64 of a text"},
    {CONTEXT "clusters:\n- {name: k, cluster: {server: 'https://h',\n"
             "    certificate-authority: /nowhere}}\n",
     ":6: clusters[k].certificate-authority: /nowhere cannot be read"},
    {CONTEXT "clusters:\n- {name: k, cluster: {server: 'https://h',\n"
             "    insecure-skip-tls-verify: true}}\n",
     ":6: clusters[k].insecure-skip-tls-verify: refused: whoever answers there would get the "
     "credentials; put the server's CA into certificate-authority-data"},
    {CONTEXT "clusters:\n- {name: k, cluster: {server: 'https://h', proxy-url: 'http://p'}}\n",
     ":5: clusters[k].proxy-url: serin speaks to no proxy"},
    {CONTEXT CLUSTER, ": no users has the name u"},
    {CONTEXT CLUSTER "users:\n- {name: u, user: {username: a, password: secret}}\n",
     ":7: users[u].username: Kubernetes takes no basic authentication since 1.19: use a token"},
    {CONTEXT CLUSTER "users:\n- {name: u, user: {as: root, token: secret}}\n",
     ":7: users[u].as: serin acts for nobody else (impersonation)"},
    {CONTEXT CLUSTER "users:\n- {name: u, user: {auth-provider: {name: gcp}}}\n",
     ":7: users[u].auth-provider: kubectl dropped these in 1.26: use exec"},
    {CONTEXT CLUSTER "users:\n- {name: u, user: {token: \"secret\\nX-Y: z\"}}\n",
     ":7: users[u].token: holds what no token holds"},
    {CONTEXT CLUSTER "users:\n- {name: u, user: {tokenFile: /nowhere}}\n",
     "/nowhere: No such file or directory"},
    {CONTEXT CLUSTER "users:\n- {name: u, user: {client-certificate-data: Q0VSVA==}}\n",
     ":7: users[u]: client-certificate and client-key go together"},
    {CONTEXT CLUSTER "users:\n- {name: u, user: {exec: {command: x}}}\n",
     ":7: users[u].apiVersion: expected client.authentication.k8s.io/v1 or "
     "client.authentication.k8s.io/v1beta1"},
    {CONTEXT CLUSTER "users:\n- {name: u, user: {exec: {command: x,\n"
                     "    apiVersion: client.authentication.k8s.io/v1}}}\n",
     ":7: users[u]: interactiveMode is needed: Never, IfAvailable or Always"},
    {CONTEXT CLUSTER "users:\n- {name: u, user: {exec: {\n"
                     "    apiVersion: client.authentication.k8s.io/v1beta1}}}\n",
     ":7: users[u]: no command"},
    {CONTEXT "clusters:\n- {name: k, cluster: {server: 'http://10.0.0.1'}}\n"
             "users:\n- {name: u, user: {token: secret}}\n",
     ":5: clusters[k].server: the credentials of u would cross the network unencrypted: use "
     "https://"},
    {CONTEXT "clusters:\n- {name: k, cluster: {server: 'http://127.0.0.1.evil.example'}}\n"
             "users:\n- {name: u, user: {token: secret}}\n",
     "would cross the network unencrypted"},
    {CONTEXT "clusters:\n- {name: k, cluster: {server: 'http://localhosts'}}\n"
             "users:\n- {name: u, user: {token: secret}}\n",
     "would cross the network unencrypted"},
};

static void what_is_wrong_is_said_with_its_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct why why;
        assert_null(read_config(wrong[i].text, &why));
        size_t n = strlen(why.text), end = strlen(wrong[i].why);
        bool is_so = end <= n && strcmp(why.text + n - end, wrong[i].why) == 0;
        if (!is_so && !strstr(why.text, wrong[i].why))
            fail_msg("row %zu: %s", i, why.text);
        assert_null(strstr(why.text, "secret"));
    }
}

static void near_servers_may_be_plain(void **state)
{
    static const char *const servers[] = {"http://127.0.0.1:1", "http://127.8.9.1",
                                          "http://localhost/x", "http://[::1]:80",
                                          "HTTP://LOCALHOST:1"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(servers); i++) {
        char text[512];
        (void)snprintf(text, sizeof text,
                       CONTEXT "clusters:\n- {name: k, cluster: {server: '%s'}}\n"
                               "users:\n- {name: u, user: {token: t}}\n",
                       servers[i]);
        kube_auth_free(must_read(text));
    }
}

static void files_are_merged_first_come_first_served(void **state)
{
    char paths[512];
    struct why why = {""};
    struct kube_auth_setup setup = {0};
    (void)state;
    write_text("config", "contexts: [{name: c, context: {cluster: k, user: u, namespace: one}}]\n"
                         "users: [{name: u, user: {token: first}}]\n");
    write_text("two", "current-context: c\n" CLUSTER
                      "contexts: [{name: c, context: {cluster: k, user: u, namespace: two}}]\n"
                      "users: [{name: u, user: {token: second}}]\n");
    (void)snprintf(paths, sizeof paths, ":%s/missing:%s:%s:", directory, path_of("config"),
                   path_of("two"));
    setenv("KUBECONFIG", paths, 1);
    setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1", 1); /* does not count beside it */
    struct kube_auth *a = kube_auth_new(&setup, &why);
    assert_non_null(a);
    assert_string_equal(kube_auth_namespace(a), "one");
    assert_string_equal(kube_auth_token(a), "first");
    assert_string_equal(kube_auth_server(a), "https://h:6443");
    kube_auth_free(a);

    setup.context = "d";
    assert_null(kube_auth_new(&setup, &why));
    assert_non_null(strstr(why.text, "no contexts has the name d"));
    setup.context = NULL;
    setup.name_space = "Not/One";
    assert_null(kube_auth_new(&setup, &why));
    assert_string_equal(why.text, "namespace \"Not/One\": no name that Kubernetes takes");
    setenv("KUBECONFIG", path_of("missing"), 1);
    assert_null(kube_auth_new(&setup, &why));
    assert_non_null(strstr(why.text, "missing: No such file or directory"));
}

static void a_pod_knows_its_server(void **state)
{
    struct why why = {""};
    struct kube_auth_setup setup = {.service_account = directory};
    (void)state;
    assert_null(kube_auth_new(&setup, &why));
    assert_non_null(strstr(why.text, "no cluster: neither a kubeconfig"));
    setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
    setenv("KUBERNETES_SERVICE_PORT", "443", 1);
    assert_null(kube_auth_new(&setup, &why));
    assert_non_null(strstr(why.text, "ca.crt: cannot be read"));
    write_text("ca.crt", "PEM");
    write_text("namespace", "prod");
    assert_null(kube_auth_new(&setup, &why));
    assert_non_null(strstr(why.text, "token: No such file or directory"));
    write_text("token", " \n");
    assert_null(kube_auth_new(&setup, &why));
    assert_non_null(strstr(why.text, "token: holds no token"));
    write_text("token", "one\n");
    struct kube_auth *a = kube_auth_new(&setup, &why);
    assert_non_null(a);
    assert_string_equal(kube_auth_server(a), "https://[fd00::1]:443");
    assert_string_equal(kube_auth_namespace(a), "prod");
    assert_string_equal(kube_auth_token(a), "one");
    write_text("token", "other\n"); /* it rotates */
    assert_string_equal(kube_auth_token(a), "other");
    (void)unlink(path_of("token")); /* what was good stays */
    assert_string_equal(kube_auth_token(a), "other");
    kube_auth_free(a);

    assert_int_equal(mkdir(path_of(".kube"), 0700), 0);
    write_text(".kube/config", CONTEXT CLUSTER "users: [{name: u, user: {token: home}}]\n");
    write_text("token", "one\n");
    a = kube_auth_new(&setup, &why); /* as kubectl: a kubeconfig goes first */
    assert_non_null(a);
    assert_string_equal(kube_auth_token(a), "home");
    kube_auth_free(a);
}

#define EXEC                                                                                       \
    CONTEXT CLUSTER "users:\n- name: u\n  user: {exec: {apiVersion: "                              \
                    "client.authentication.k8s.io/v1, command: bin/get, args: [a, 'b c'], "        \
                    "interactiveMode: Never, env: [{name: X, value: y=z}], "                       \
                    "provideClusterInfo: true}}\n"
#define CREDENTIAL(status)                                                                         \
    "{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/v1\",\"status\":"  \
    "{" status "}}"

static void a_command_is_asked_when_its_answer_is_over(void **state)
{
    struct kube_auth *a = must_read(EXEC);
    const char *const *argv, *const *env;
    struct why why;
    (void)state;
    assert_true(kube_auth_needs_command(a, &argv, &env));
    assert_false(kube_auth_is_interactive(a));
    assert_string_equal(argv[0], path_of("bin/get"));
    assert_string_equal(argv[1], "a");
    assert_string_equal(argv[2], "b c");
    assert_null(argv[3]);
    assert_string_equal(env[0],
                        "KUBERNETES_EXEC_INFO={\"spec\":{\"interactive\":false,\"cluster\":{"
                        "\"server\":\"https://h:6443\"}},\"kind\":\"ExecCredential\","
                        "\"apiVersion\":\"client.authentication.k8s.io/v1\"}");
    assert_string_equal(env[1], "X=y=z");
    assert_null(env[2]);
    assert_null(kube_auth_token(a));

    assert_int_equal(kube_auth_take_credential(a, CREDENTIAL("\"token\":\"t\""), &why), OK);
    assert_false(kube_auth_needs_command(a, &argv, &env));
    assert_string_equal(kube_auth_token(a), "t");
    kube_auth_refused(a);
    assert_true(kube_auth_needs_command(a, &argv, &env));
    assert_int_equal(
        kube_auth_take_credential(
            a, CREDENTIAL("\"token\":\"t\",\"expirationTimestamp\":\"2020-01-01T00:00:00Z\""),
            &why),
        OK);
    assert_true(kube_auth_needs_command(a, &argv, &env)); /* over before it began */
    assert_int_equal(kube_auth_take_credential(
                         a,
                         CREDENTIAL("\"clientCertificateData\":\"C\",\"clientKeyData\":\"K\","
                                    "\"expirationTimestamp\":\"2999-01-01T00:00:00Z\""),
                         &why),
                     OK);
    assert_false(kube_auth_needs_command(a, &argv, &env));
    assert_string_equal(kube_auth_tls(a)->cert_pem, "C");
    assert_null(kube_auth_token(a));
    kube_auth_free(a);
}

static void what_is_no_credential_is_refused_without_a_secret(void **state)
{
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"", "printed no ExecCredential"},
        {"secret", "printed no ExecCredential"},
        {"{\"kind\":\"Secret\"}", "printed no ExecCredential"},
        {"{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/v1beta1\"}",
         "speaks another apiVersion than client.authentication.k8s.io/v1"},
        {CREDENTIAL(""), "gave neither token nor certificate"},
        {CREDENTIAL("\"token\":7"), "gave neither token nor certificate"},
        {CREDENTIAL("\"clientCertificateData\":\"secret\""), "gave a certificate without its key"},
        {CREDENTIAL("\"token\":\"secret\\r\\nX: y\""), "gave what no token holds"},
        {CREDENTIAL("\"token\":\"secret\",\"expirationTimestamp\":\"soon\""),
         "gave an expirationTimestamp that is none"},
    };
    struct kube_auth *a = must_read(EXEC);
    const char *const *argv, *const *env;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct why why = {""};
        assert_int_equal(kube_auth_take_credential(a, rows[i].text, &why), ERR_INVALID);
        if (!strstr(why.text, rows[i].why))
            fail_msg("%s", why.text);
        assert_null(strstr(why.text, "secret"));
        assert_true(kube_auth_needs_command(a, &argv, &env));
        assert_null(kube_auth_token(a));
    }
    kube_auth_free(a);
}

static void base64_is_read_strictly(void **state)
{
    static const struct {
        const char *text, *bytes; /* NULL: refused */
    } rows[] = {
        {"", ""},        {"QQ==", "A"},        {"QUI=", "AB"},
        {"QUJD", "ABC"}, {"QUJDRA==", "ABCD"}, {"QU\nJD\r\nRA==\n", "ABCD"},
        {"QQ", NULL},    {"QQ=", NULL},        {"QQ===", NULL},
        {"QR==", NULL},  {"Q=Q=", NULL},       {"=", NULL},
        {"Q", NULL},     {"QUJD=", NULL},      {"QU D", NULL},
        {"QUJ_", NULL},  {"AAAA", NULL},       {"QQ==QQ==", NULL},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char *bytes = kube_base64_decode(rows[i].text);
        assert_int_equal(bytes != NULL, rows[i].bytes != NULL);
        if (bytes) {
            assert_string_equal(bytes, rows[i].bytes);
            char *again = kube_base64_encode(bytes, strlen(bytes));
            char *back = kube_base64_decode(again);
            assert_string_equal(back, bytes);
            free(back);
            free(again);
        }
        free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_whole_kubeconfig_is_taken),
        CASE(what_is_wrong_is_said_with_its_place),
        CASE(near_servers_may_be_plain),
        CASE(files_are_merged_first_come_first_served),
        CASE(a_pod_knows_its_server),
        CASE(a_command_is_asked_when_its_answer_is_over),
        CASE(what_is_no_credential_is_refused_without_a_secret),
        cmocka_unit_test(base64_is_read_strictly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
