"""serin on a terminal: the watch that is redrawn in place, and the line of serin wait.

SPDX-License-Identifier: Apache-2.0
"""
import http.server
import json
import os
import re
import signal
import threading

import pytest

import rig
from rig import route, wait_until
from screen import OnTerminal

STANDING = {"steps": ["10%", "50%", "100%"], "hold": "5m", "max_hold": "10m", "bake": "1s"}
SPARKS = "▁▂▃▄▅▆▇█"


@pytest.fixture
def proxy(serin, v1, v2):
    return serin(route(v1.address, v2.address, rollout=STANDING))


@pytest.fixture
def terminal(cleanup):
    def make(*words, **more):
        made = OnTerminal(*words, **more)
        cleanup.append(made.stop)
        return made
    return make


@pytest.fixture
def watch(terminal, proxy):
    """serin status --watch on a terminal, of a rollout at 10%."""
    proxy.cli("start", "web")
    proxy.at_weight(10)

    def make(*words, environment=None, **more):
        return terminal(rig.SERIN, "status", *words, "--watch",
                        environment={"SERIN_ADMIN": proxy.admin_url, **(environment or {})}, **more)
    return make


def test_a_watch_is_redrawn_in_place(proxy, watch):
    watching = watch("web")
    watching.shows("Progressing · ANALYZING", "q ends this")
    for _ in range(60):
        proxy.ask()
    text = watching.shows("failing  over the last", rf"v2 canary  [ {SPARKS}]*▁  0%")
    assert text.count("web   v1 → v2") == 1 and "10% intended" in text and "proof it is worse" in text
    before = watching.raw.count("\x1b[J")
    wait_until(lambda: watching.look() and watching.raw.count("\x1b[J") >= before + 3, 20, "three more frames")
    assert watching.screen.text().count("web   v1 → v2") == 1 and watching.screen.clears == 0
    assert not watching.screen.is_cursor_shown and not watching.is_restored()
    proxy.cli("promote", "web")
    watching.shows("50% intended")
    watching.press("xyz")                                  # nothing; and nothing of it is shown
    watching.press("q")
    assert watching.end() == 3
    assert "xyz" not in watching.screen.text()


def test_a_watch_ends_with_the_rollout(proxy, watch):
    watching = watch("web")
    watching.shows("ANALYZING")
    proxy.cli("abort", "web")
    assert watching.end(30) == 4
    assert "Degraded · ABORTED" in watching.screen.text()


@pytest.mark.parametrize("number, key, code", [(signal.SIGINT, "\x03", 3), (signal.SIGTERM, None, -15), (signal.SIGHUP, None, -1),
                                               (signal.SIGQUIT, "\x1c", -3)])
def test_a_signal_leaves_the_terminal_as_it_was(watch, number, key, code):
    watching = watch()
    watching.shows("ANALYZING")
    if key:
        watching.press(key)
    else:
        watching.signal(number)
    assert watching.end() == code


def test_a_stopped_job_gives_the_terminal_back(watch, terminal, proxy):
    # By its name, not by its path: bash prints the command of a stopped job, and a long path would wrap.
    watching = terminal("bash", "-c", "set -m; serin status web --watch; echo; echo back to the shell; read -r; fg; exit $?",
                        environment={"SERIN_ADMIN": proxy.admin_url, "PATH": f"{os.path.dirname(rig.SERIN)}:{os.environ['PATH']}"})
    watching.shows("ANALYZING")
    assert not watching.is_restored()
    watching.press("\x1a")
    watching.shows("back to the shell")
    assert watching.screen.is_cursor_shown and watching.is_restored()
    watching.press("\n")
    wait_until(lambda: watching.look() and watching.screen.clears == 1, 10, "a screen that is drawn anew")
    text = watching.shows("ANALYZING", "q ends this")
    assert "back to the shell" not in text and not watching.screen.is_cursor_shown
    watching.press("q")
    assert watching.end() == 3


def test_a_resize_draws_anew(watch):
    watching = watch("web", columns=120)
    watching.shows("q ends this", "ANALYZING")
    for rows, columns in ((60, 40), (12, 80), (50, 200)):
        clears = watching.screen.clears
        watching.resize(rows, columns)
        wait_until(lambda: watching.look() and watching.screen.clears > clears, 5, "the new frame")
        text = watching.shows("q ends this", "ANALYZING")
        assert text.count("web   v1 → v2") == 1 and len(text.split("\n")) < rows
        assert all(len(line) <= columns for line in text.split("\n"))
    watching.press("q")
    assert watching.end() == 3


@pytest.mark.parametrize("environment, has_colour", [({}, True), ({"NO_COLOR": ""}, True), ({"NO_COLOR": "1"}, False)])
def test_colours(watch, environment, has_colour):
    watching = watch("web", environment=environment)
    watching.shows("Progressing", "q ends this")
    assert bool(watching.screen.colours) == has_colour
    watching.press("q")
    assert watching.end() == 3


@pytest.mark.parametrize("term", ["dumb", "", None])
def test_a_dumb_terminal_gets_lines(proxy, watch, term):
    watching = watch("web", environment={"TERM": term}, may_wrap=True)
    watching.shows(r"\d\d:\d\d:\d\d  web  step 1/3  10%  ANALYZING  watches")
    proxy.cli("abort", "web")
    assert watching.end(30) == 4
    assert "\x1b" not in watching.raw


def test_ascii_where_the_terminal_is_no_utf8(proxy, watch):
    watching = watch("web", environment={"LC_ALL": "C"})
    proxy.ask()
    watching.shows("v1 -> v2", "failing", "v1 stable  [ _]*_  0%")
    watching.press("q")
    assert watching.end() == 3
    assert watching.raw.isascii()


def test_several_routes_on_a_low_terminal(serin, v1, v2, backend, terminal):
    more = [{**route(backend("v1").address), "name": f"quiet-{i}", "hosts": [f"quiet-{i}.test"]} for i in range(6)]
    proxy = serin([*more, route(v1.address, v2.address, rollout=STANDING)])
    proxy.cli("start", "web")
    proxy.at_weight(10)
    watching = terminal(rig.SERIN, "status", "--watch", rows=14, environment={"SERIN_ADMIN": proxy.admin_url})
    text = watching.shows(r"… \d more routes\n")
    lines = text.split("\n")
    assert lines[0].startswith("web   v1 → v2") and len(lines) <= 13
    assert text.count("quiet-") + int(text.split(" more routes")[0].split()[-1]) == 6
    watching.resize(40, 80)
    text = watching.shows("quiet-5")
    assert "more routes" not in text
    watching.press("q")
    assert watching.end() == 3


def test_a_watch_outlives_a_restart(serin, v1, v2, tmp_path, terminal):
    proxy = serin(route(v1.address, v2.address, rollout=STANDING), admin={"bind": f"unix:{tmp_path}/admin"})
    proxy.cli("start", "web")
    proxy.at_weight(10)
    watching = terminal(rig.SERIN, "status", "web", "--watch", environment={"SERIN_ADMIN": proxy.admin_url})
    watching.shows("ANALYZING", "q ends this")
    proxy.stop()
    text = watching.shows(r"not connected since \d\d:\d\d:\d\d: cannot reach serin")
    assert "10% intended" in text                   # what was known stays
    proxy.start()
    text = watching.shows("q ends this", "ANALYZING")
    assert "not connected" not in text
    watching.press("q")
    assert watching.end() == 3


class Hostile(http.server.BaseHTTPRequestHandler):
    """An admin port that wants to write on the operator's terminal, or never answers."""
    hangs = False
    is_hanging, ends = threading.Event(), threading.Event()

    def do_GET(self):
        bad = "\x1b]0;owned\x07\x1b[2J\r\n\x9b5A‮" + "w" * 300
        status = {"route": "web" + bad, "phase": "Progressing" + bad, "state": bad, "stable": bad, "canary": bad, "why": bad,
                  "step": 1, "steps": 2, "weights": [1, 2], "weight": {"intended": 1e300}, "more_checks": [{"name": bad, "why": bad}],
                  "versions": [{"name": bad, "role": bad, "requests": 1e308, "error_rate": -5, "interval": [bad]}] * 2}
        if self.path.endswith("/series"):
            status = {"columns": ["t", bad], "points": [[1e308, bad], bad, None]}
        elif self.hangs:
            self.is_hanging.set()
            self.ends.wait(30)
            return
        body = json.dumps(status if "/routes/" in self.path else {"routes": [status] * 3}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def hostile(cleanup):
    class Mine(Hostile):
        is_hanging, ends = threading.Event(), threading.Event()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mine)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    cleanup.append(lambda: (Mine.ends.set(), server.shutdown(), thread.join(), server.server_close()))
    return Mine, f"http://127.0.0.1:{server.server_port}"


@pytest.mark.parametrize("words", [["status", "web", "--watch"], ["status", "--watch"], ["wait", "web"], ["status", "web"], ["status"]])
def test_nothing_that_a_server_says_controls_the_terminal(hostile, terminal, words):
    watching = terminal(rig.SERIN, *words, environment={"SERIN_ADMIN": hostile[1]},
                        may_wrap="--watch" not in words)  # screen.py is strict
    if "--watch" in words:
        watching.shows("q ends this")
        watching.press("q")
    elif words[0] == "wait":
        watching.shows("web")
        watching.press("\x03")
    assert watching.end() in (1, 3, -2)


def test_q_is_heard_while_the_server_hangs(hostile, terminal):
    watching = terminal(rig.SERIN, "status", "web", "--watch", environment={"SERIN_ADMIN": hostile[1]})
    watching.shows("q ends this")
    hostile[0].hangs = True
    assert hostile[0].is_hanging.wait(10)
    watching.press("q")
    assert watching.end(5) == 1                     # as the status that was known; the answer would come after 10 s


def test_wait_redraws_one_line(proxy, terminal):
    proxy.cli("start", "web")
    waiting = terminal(rig.SERIN, "wait", "web", environment={"SERIN_ADMIN": proxy.admin_url}, may_wrap=True)
    waiting.shows(r"^[━╸─]+  web  step 1/3  10%  ANALYZING")
    proxy.cli("promote", "web")
    assert waiting.shows("step 2/3").count("\n") == 0
    proxy.cli("abort", "web")
    assert waiting.end(30) == 4
    end = re.fullmatch(r"web  step 2/3  0%  ABORTED  .* by .*", waiting.screen.text(), re.S)     # whole, and nothing else
    assert end and "…" not in end[0]


def test_wait_times_out_on_a_terminal(proxy, terminal):
    proxy.cli("start", "web")
    waiting = terminal(rig.SERIN, "wait", "web", "--timeout", "2s", environment={"SERIN_ADMIN": proxy.admin_url}, may_wrap=True)
    assert waiting.end() == 6
    assert "timed out waiting: web" in waiting.screen.text().replace("\n", "")
