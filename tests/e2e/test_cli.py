"""The command line as an operator and a pipeline use it: every verb, exit codes, JSON, the token.

SPDX-License-Identifier: Apache-2.0
"""
import json
import re
import subprocess
import threading

import pytest

import rig
from backends import reply
from rig import route, run_serin, wait_until

STANDING = {"steps": ["10%", "50%", "100%"], "hold": "5m", "max_hold": "10m", "bake": "1s"}
VERBS = ["start", "pause", "resume", "promote", "abort", "retry", "undo", "reset"]
COMMANDS = ["run", "check", "convert", "status", "wait", "history", "judge", "replay", "version", "reload", "notify", *VERBS]


@pytest.fixture
def proxy(serin, v1, v2):
    return serin(route(v1.address, v2.address, rollout=STANDING))


def has_aborted(proxy):
    wait_until(lambda: proxy.status()["state"] == "ABORTED", 10, "the end of the abort")


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command):
    done = run_serin(command, "--help")
    assert done.returncode == 0 and command in done.stdout and "example" in done.stdout.lower() and not done.stderr


@pytest.mark.parametrize("words, code", [([], 2), (["dance"], 2), (["status", "--dance"], 2), (["start"], 2), (["wait"], 2),
                                         (["wait", "web", "--timeout", "soon"], 2), (["run", "-c", "/nowhere.yaml"], 78),
                                         (["check", "-c", "/nowhere.yaml"], 78), (["--help"], 0), (["version"], 0)])
def test_exit_codes_without_a_server(words, code):
    done = run_serin(*words)
    assert done.returncode == code and (done.stderr if code else done.stdout), done


@pytest.mark.parametrize("words, wrong, help_of", [
    (["stat"], 'serin: there is no command "stat" (did you mean "status"?)', "serin"),
    (["strat"], 'serin: there is no command "strat" (did you mean "start"?)', "serin"),
    (["dance"], 'serin: there is no command "dance"', "serin"),
    (["--dance"], "serin: unknown option --dance", "serin"),
    (["help", "nosuch"], 'serin: there is no command "nosuch"', "serin"),
    (["start"], "serin start: the route is missing: serin start ROUTE", "serin start"),
    (["promote", "web", "--timeout", "3s"], "serin promote: unknown option --timeout", "serin promote"),
    (["status", "--admin", "ftp://x"], 'serin status: admin address "ftp://x": expected http://host:port or unix:/path', "serin status"),
    (["run", "-x"], "serin run: unknown option -x", "serin run"),
    (["run", "-c"], "serin run: -c needs a value", "serin run"),
    (["run", "serin.yaml"], 'serin run: unexpected argument "serin.yaml" (the file is named by -c)', "serin run"),
    (["check", "--json=x"], "serin check: --json takes no value", "serin check"),
    (["judge", "x"], 'serin judge: unexpected argument "x" (lines come from standard input)', "serin judge"),
    (["version", "x"], 'serin version: unexpected argument "x"', "serin version"),
])
def test_wrong_usage_is_said_in_one_way(words, wrong, help_of):
    done = run_serin(*words)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"{wrong}\nTry `{help_of} --help`.\n")


@pytest.mark.parametrize("command", [*COMMANDS, "reload"])
def test_help_by_the_word_help(command):
    assert run_serin("help", command).stdout == run_serin(command, "--help").stdout
    assert re.search(r"^Usage: ", run_serin(command, "--help").stdout, re.M)
    assert re.search(r"^Example\b", run_serin(command, "--help").stdout, re.M)


def test_server_that_is_not_there(free_port):
    for words in (["status"], ["start", "web"], ["wait", "web", "--timeout", "1s"], ["reload"]):
        done = run_serin(*words, environment={"SERIN_ADMIN": f"http://127.0.0.1:{free_port}"}, timeout=20)
        assert done.returncode in (1, 6) and str(free_port) in done.stderr, (words, done)


def test_a_rollout_by_hand(proxy):
    proxy.cli("status", "web", expect=0)
    proxy.cli("pause", "web", expect=1)             # nothing runs
    proxy.cli("start", "web")
    proxy.at_weight(10)
    proxy.cli("start", "web", expect=1)             # runs already
    proxy.cli("status", "web", expect=3)
    proxy.cli("pause", "web")
    proxy.cli("status", "web", expect=5)
    proxy.cli("resume", "web")
    proxy.cli("status", "web", expect=3)
    proxy.cli("promote", "web")
    proxy.at_weight(50)
    proxy.cli("abort", "web")
    has_aborted(proxy)
    proxy.cli("status", "web", expect=4)
    proxy.cli("start", "web", expect=1)             # in quarantine
    proxy.cli("retry", "web")
    proxy.at_weight(10)
    proxy.cli("abort", "web")
    has_aborted(proxy)
    proxy.cli("reset", "web")
    proxy.cli("status", "web", expect=0)
    assert proxy.ask().body == b"v1"


def test_promotion_by_hand_and_undo(proxy):
    proxy.cli("start", "web")
    proxy.at_weight(10)
    proxy.cli("promote", "web", "--full")
    wait_under_traffic(proxy, 0)
    assert {proxy.ask().body for _ in range(50)} == {b"v2"}
    assert proxy.status()["stable"] == "v2"
    proxy.cli("undo", "web")
    wait_under_traffic(proxy, 0)
    assert {proxy.ask().body for _ in range(50)} == {b"v1"}


def wait_under_traffic(proxy, code, seconds=30):
    """serin wait, while somebody asks: without traffic nothing moves."""
    ends = threading.Event()

    def ask_on():
        with proxy.client() as c:
            while not ends.wait(0.005):
                c.ask()
    asking = threading.Thread(target=ask_on)
    asking.start()
    try:
        return proxy.cli("wait", "web", "--timeout", f"{seconds}s", expect=code)
    finally:
        ends.set()
        asking.join()


def test_wait(proxy):
    proxy.cli("wait", "web", "--timeout", "5s", expect=0)       # nothing runs: that is an end
    proxy.cli("start", "web")
    proxy.cli("wait", "web", "--timeout", "2s", expect=6)
    waiting = subprocess.Popen([rig.SERIN, "wait", "web", "--timeout", "30s"], env={"SERIN_ADMIN": proxy.admin_url},
                               stdout=subprocess.PIPE, text=True, preexec_fn=rig.die_with_me)
    assert waiting.stdout.readline()
    proxy.cli("abort", "web")
    out, _ = waiting.communicate(timeout=20)
    assert waiting.returncode == 4, out


def broken(connection, request):
    connection.send(reply(500, b"broken", reason="Internal Server Error"))


def test_wait_ends_where_only_a_person_can_go_on(serin, v1, backend):
    """on_failure: pause: the canary gets nobody, and nothing moves by itself any more."""
    v2 = backend("v2", answer=broken)
    proxy = serin(route(v1.address, v2.address, breaker={"min_requests": 0},
                        rollout={**STANDING, "steps": ["50%", "100%"], "on_failure": "pause"}))
    proxy.cli("start", "web")
    wait_under_traffic(proxy, 5)
    assert proxy.status()["weight"]["intended"] == 0
    text = proxy.cli("status", "web", expect=5)
    assert "serin retry web or serin abort web" in text and "serin resume" not in text


def test_wait_prints_the_last_status_at_its_timeout(proxy):
    proxy.cli("start", "web")
    done = proxy.cli("wait", "web", "--json", "--timeout", "1s", expect=None)
    assert done.returncode == 6 and json.loads(done.stdout)["route"] == "web" and "timed out" in done.stderr


def test_a_fixed_weight_without_a_canary_to_serve_it(serin, v1, free_port):
    proxy = serin(route(v1.address, f"127.0.0.1:{free_port}", weight="50%"))
    wait_until(lambda: "0% in effect (50% when an endpoint is available)" in proxy.cli("status", "web"), 10, "the canary being away")
    canary = proxy.status()["versions"][1]
    assert (canary["requests"], canary["p50_ms"], canary["p99_ms"]) == (0, None, None)


def test_a_route_without_a_canary_shows_its_requests(serin, v1):
    proxy = serin(route(v1.address))
    for _ in range(20):
        proxy.ask()
    assert proxy.status()["versions"][0]["requests"] == 20


def test_a_fixed_weight_under_an_open_breaker(serin, v1, backend):
    v2 = backend("v2", answer=broken)
    proxy = serin(route(v1.address, v2.address, weight="50%"))
    for _ in range(60):
        proxy.ask()
    assert "0% in effect (50% after the breaker closes)" in proxy.cli("status", "web")


def test_watch_in_a_pipe(proxy):
    watching = subprocess.Popen([rig.SERIN, "status", "web", "--watch"], env={"SERIN_ADMIN": proxy.admin_url},
                                stdout=subprocess.PIPE, text=True, preexec_fn=rig.die_with_me)
    proxy.cli("start", "web")
    line = watching.stdout.readline()
    proxy.at_weight(10)
    proxy.cli("abort", "web")
    rest, _ = watching.communicate(timeout=20)
    assert watching.returncode == 4 and "\x1b" not in line + rest and len(rest.splitlines()) < 30


def test_json(proxy):
    proxy.cli("start", "web", "--json")
    proxy.at_weight(10)
    status = json.loads(proxy.cli("status", "web", "--json", expect=3))
    assert (status["route"], status["stable"], status["canary"], status["phase"]) == ("web", "v1", "v2", "Progressing")
    assert status["exit"] == 3 and status["why"] and status["weight"]["intended"] == 10
    assert {v["name"]: v["role"] for v in status["versions"]} == {"v1": "stable", "v2": "canary"}
    everything = json.loads(proxy.cli("status", "--json", expect=3))
    assert [r["route"] for r in everything["routes"]] == ["web"]
    proxy.cli("abort", "web", "--who", "Anna")
    has_aborted(proxy)
    runs = json.loads(proxy.cli("history", "web", "--json"))["history"]
    assert runs[0]["canary"] == "v2" and runs[0]["result"] == "aborted"
    version = json.loads(run_serin("version", "--json").stdout)
    assert version["version"] and set(version["libraries"]) == {"libevent", "openssl", "libcurl", "cjson", "libyaml"}


def test_text_says_why(proxy):
    proxy.cli("start", "web")
    proxy.at_weight(10)
    text = proxy.cli("status", "web", expect=3)
    assert "v2" in text and "10%" in text.replace(" ", "") and "\x1b" not in text
    assert "v2" in proxy.cli("history", "web")


def test_unknown_route_names_those_there_are(proxy):
    for command in ("status", "start", "history", "wait"):
        done = proxy.cli(command, "shop", expect=None)
        assert done.returncode == 1 and "web" in done.stderr


def test_every_change_leaves_an_audit_line(proxy):
    proxy.cli("start", "web", "--who", "Anna")
    proxy.cli("abort", "web", "--who", "Bert")
    assert "Anna" in proxy.log() and "Bert" in proxy.log()


def test_token(serin, v1, v2, tmp_path):
    token = tmp_path / "token"
    token.write_text("a-secret-of-some-length\n")
    proxy = serin(route(v1.address, v2.address, rollout=STANDING), admin={"bind": "127.0.0.1:0", "token_file": str(token)})
    proxy.cli("status", "web")                                      # reading needs none
    assert "token" in proxy.cli("start", "web", expect=None).stderr.lower()
    done = proxy.cli("start", "web", expect=None, environment={"SERIN_TOKEN": "wrong"})
    assert done.returncode == 1 and "this is not the token of this admin port" in done.stderr
    assert proxy.status()["phase"] == "Healthy"
    proxy.cli("start", "web", environment={"SERIN_TOKEN": "a-secret-of-some-length"})
    proxy.cli("abort", "web", "--token-file", token)
    assert "a-secret" not in proxy.log()


def test_admin_over_a_unix_socket(serin, v1, v2, tmp_path):
    proxy = serin(route(v1.address, v2.address, rollout=STANDING), admin={"bind": f"unix:{tmp_path}/admin"})
    proxy.cli("start", "web")
    proxy.cli("status", "web", "--admin", proxy.admin_url, expect=3)
