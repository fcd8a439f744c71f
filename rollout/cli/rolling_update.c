/* The command serin rolling-update: reads its file, opens the API server, and runs the update until it is done or a
 * signal comes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/cli/rolling_update.h"
#include "base/check.h"
#include "rollout/cli/cli.h"
#include "rollout/cli/usage.h"
#include "rollout/http.h"
#include "rollout/kube/auth.h"
#include "rollout/kube/client.h"
#include "rollout/kube/manifest.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static const char help_text[] =
    "serin rolling-update replaces one replication controller by another, pod by pod, as kubectl\n"
    "rolling-update did; each step waits for ready pods, and pods that do not become ready are\n"
    "taken back.\n"
    "\n"
    "Usage: serin rolling-update OLD -f FILE             the new controller is in FILE (- = "
    "stdin)\n"
    "       serin rolling-update OLD [NEW] --image=IMAGE OLD with another image; without NEW the "
    "name\n"
    "                                                    stays\n"
    "       serin rolling-update OLD [NEW] --rollback    back to OLD (-f FILE in place of NEW, "
    "too)\n"
    "\n"
    "  -f, --filename FILE           one ReplicationController, YAML or JSON\n"
    "      --image IMAGE             of the pods\n"
    "      --container NAME          which of the pod's containers, where there are several\n"
    "      --image-pull-policy P     Always, Never or IfNotPresent; needed where the image stays\n"
    "      --deployment-label-key K  tells the pods apart with --image (deployment)\n"
    "      --rollback                ends an update the other way: OLD gets its size back\n"
    "      --update-period TIME      between scaling up and scaling down (1m0s)\n"
    "      --poll-interval TIME      between looks at pods that are not ready (3s)\n"
    "      --timeout TIME            longest time without progress, then it goes back (5m0s)\n"
    "      --max-surge N             pods above the desired number, 1 or 25% (1)\n"
    "      --max-unavailable N       pods below it (0)\n"
    "      --cleanup-policy WHAT     delete OLD, preserve it, or rename NEW to OLD\n"
    "      --supersede               another FILE for the same NEW: go back first, then roll it "
    "out\n"
    "      --dry-run                 checks everything, writes nothing\n"
    "      --output-format FORMAT    kubectl, or classic: lines and steps of kubectl 1.0\n"
    "  -n, --namespace NAME          of the controllers\n"
    "      --kubeconfig FILE         which API server; without it KUBECONFIG, ~/.kube/config, or "
    "the\n"
    "                                pod's service account\n"
    "      --context NAME            of that file\n"
    "      --route ROUTE             hands the update to the proxy that serves ROUTE, which moves "
    "the\n"
    "                                traffic with the pods\n"
    "      --admin URL               its admin port (without: SERIN_ADMIN, else "
    "http://127.0.0.1:9900)\n"
    "      --token-file FILE         with the admin token (without: SERIN_TOKEN)\n"
    "  -h, --help                    this text\n"
    "\n"
    "The same command goes on with an update that was interrupted. What was done is kept in the\n"
    "controllers' annotations, and every write depends on the version that was read.\n"
    "Exit code: 0 done, 1 error, 2 usage, 4 went back, 6 no progress, 130 interrupted.\n"
    "\n"
    "Examples: serin rolling-update my-web-v1 -f my-web-v2-rc.yaml --update-period=10s\n"
    "          serin rolling-update my-web-v1 my-web-v2 --rollback\n"
    "          serin rolling-update my-web --image=my-web:v2\n"
    "          serin rolling-update my-web-v1 my-web-v2 --route my-web\n";

static int signal_pipe[2] = {-1, -1};
static volatile sig_atomic_t signal_seen;

static void on_signal(int number)
{
    int saved = errno;
    signal_seen = number;
    (void)!write(signal_pipe[1], "", 1);
    errno = saved;
}

/* The first signal is for the next wait; a second one ends the program at once. */
static enum err catch_signals(struct why *why)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    if (pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK))
        return why_set(why, ERR_IO, "no pipe: %s", strerror(errno));
    sigemptyset(&action.sa_mask);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    return OK;
}

static bool wait_ms(void *arg, uint32_t ms)
{
    (void)arg;
    struct pollfd fd = {.fd = signal_pipe[0], .events = POLLIN};
    (void)poll(&fd, 1, ms > INT32_MAX ? INT32_MAX : (int)ms);
    return signal_seen != 0;
}

static int exit_of(enum rolling_end end)
{
    switch (end) {
    case ROLLING_DONE:
        return CLI_OK;
    case ROLLING_FAILED:
        return CLI_ERROR;
    case ROLLING_REVERTED:
        return CLI_ABORTED;
    case ROLLING_STALLED:
        return CLI_TIMED_OUT;
    case ROLLING_INTERRUPTED:
        return 128 + signal_seen;
    }
    return CLI_ERROR;
}

static enum err read_file(struct rolling_line *line, struct why *why)
{
    if (!line->file)
        return OK;
    line->objects = manifest_read(line->file, why);
    if (!line->objects)
        return ERR_INVALID;
    line->rolling.file = line->file;
    return rolling_manifest_check(line->objects, line->file, &line->rolling.manifest, why);
}

static int run(struct rolling_line *line, struct event_base *base, struct http *http)
{
    struct why why = {""};
    struct kube_auth_setup setup = {
        .kubeconfig = line->kubeconfig, .context = line->context, .name_space = line->name_space};
    struct kube_auth *auth = kube_auth_new(&setup, &why);
    struct kube *kube = auth ? kube_new(base, http, auth, NULL, NULL) : NULL;
    if (!kube) {
        fprintf(stderr, "serin: %s\n", auth ? "out of memory" : why.text);
        return CLI_ERROR;
    }
    enum rolling_end end = rolling_update(kube, &line->rolling, wait_ms, NULL);
    kube_free(kube);
    return exit_of(end);
}

static int open_and_run(struct rolling_line *line)
{
    struct event_base *base = event_base_new();
    struct http *http = base ? http_new(base) : NULL;
    int code = CLI_ERROR;
    if (http)
        code = run(line, base, http);
    else
        fprintf(stderr, "serin: out of memory\n");
    http_free(http);
    if (base)
        event_base_free(base);
    return code;
}

int rolling_update_command(int argc, char **argv)
{
    struct rolling_line line;
    struct why why = {""};
    int code = CLI_ERROR;
    if (rolling_line_parse(&line, argc, argv, &why))
        return usage_error("rolling-update", "%s", why.text);
    if (line.help) {
        fputs(help_text, stdout);
        return CLI_OK;
    }
    enum err e = read_file(&line, &why);
    if (!e && !line.route)
        e = catch_signals(&why);
    if (e)
        fprintf(stderr, "serin: %s\n", why.text);
    else
        code = line.route ? rolling_route(&line) : open_and_run(&line);
    cJSON_Delete(line.objects);
    return code;
}
