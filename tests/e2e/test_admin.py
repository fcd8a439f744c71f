"""The admin port of a running serin: who may change what, server-sent events, and the terminal that watches.

SPDX-License-Identifier: Apache-2.0
"""
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import termios
import time

import pytest

import rig
from rig import Client, ask, route, wait_until

STANDING = {"steps": ["10%", "50%", "100%"], "hold": "5m", "max_hold": "10m", "bake": "1s"}
JSON = [("Content-Type", "application/json")]


@pytest.fixture
def proxy(serin, v1, v2):
    return serin(route(v1.address, v2.address, rollout=STANDING))


def post(proxy, path, headers=JSON, body=b"", **kw):
    return ask(proxy.admin, "POST", path, headers, body, **{"host": proxy.admin_host, **kw})


@pytest.mark.parametrize("headers, host, status", [
    ([], None, 400),                                            # no JSON
    ([("Content-Type", "text/plain")], None, 400),              # what a form can post
    (JSON, "evil.example", 403),                                # DNS rebinding
    (JSON + [("Origin", "http://evil.example")], None, 403),    # a page of another site
])
def test_no_web_page_can_act(proxy, headers, host, status):
    answer = post(proxy, "/api/v1/routes/web/start", headers, host=host or proxy.admin_host)
    assert answer.status == status and json.loads(answer.body)["error"]["message"]
    assert proxy.status()["phase"] == "Healthy"


def test_errors_are_json(proxy):
    for method, path, status in (("GET", "/nowhere", 404), ("GET", "/api/v1/routes/shop", 404),
                                 ("DELETE", "/api/v1/routes", 405), ("GET", "/api/v1/reload", 405)):
        answer = ask(proxy.admin, method, path, host=proxy.admin_host)
        assert answer.status == status and set(json.loads(answer.body)["error"]) == {"code", "message"}
        assert bool(answer.all("allow")) == (status == 405)
    assert post(proxy, "/api/v1/routes/web/pause").status == 409
    assert post(proxy, "/api/v1/routes/web/start", body=b'{"speed":"ludicrous"}').status == 400
    assert post(proxy, "/api/v1/routes/web/start", body=b" " * 10000).status == 413


def test_pages_are_guarded(proxy):
    for path in ("/", "/api/v1/routes", "/metrics", "/healthz"):
        answer = ask(proxy.admin, target=path, host=proxy.admin_host)
        assert answer.status == 200 and answer.get("x-content-type-options") == "nosniff"
        assert answer.get("cache-control") == ("no-cache" if path == "/" else "no-store") and "'none'" in answer.get("content-security-policy")


def events(client, names):
    """Reads server-sent events until one of each name has come; returns their data."""
    found, text = {}, ""
    while not names <= set(found):
        size = int(client.until(b"\r\n"), 16)
        text += client.exactly(size).decode()
        client.exactly(2)
        for name, data in re.findall(r"event: (\S+)\ndata: (.*)\n\n", text):
            found[name] = json.loads(data)
    return found


def test_events_tell_of_changes_and_ticks(proxy):
    with Client(proxy.admin, timeout=15) as client:
        client.send(f"GET /api/v1/events HTTP/1.1\r\nHost: {proxy.admin_host}\r\n\r\n")
        assert client.head().get("content-type") == "text/event-stream"
        proxy.cli("start", "web")
        assert events(client, {"RolloutStarted", "tick"})


def test_a_crowd_on_the_admin_port_harms_no_user(proxy):
    crowd = [rig.connect(proxy.admin) for _ in range(90)]
    for s in crowd:
        s.sendall(b"GET / HTTP/1.1\r\nX: ")
    assert proxy.ask().body == b"v1"
    for s in crowd:
        s.close()
    wait_until(lambda: proxy.api("GET", "routes")[0] == 200, 10, "the admin port's answer")


def test_a_stale_socket_file_is_replaced(serin, v1, v2, tmp_path):
    proxy = serin(route(v1.address, v2.address, rollout=STANDING), admin={"bind": f"unix:{tmp_path}/admin"})
    proxy.kill()
    assert os.path.exists(f"{tmp_path}/admin")
    proxy.start()
    assert proxy.status()["phase"] == "Healthy"
    proxy.stop()
    assert not os.path.exists(f"{tmp_path}/admin")


class Terminal:
    """serin on a terminal of its own; the lines are what a person sees at the end."""

    def __init__(self, rows, columns, environment, *words, in_background=False):
        self.columns, self.raw = columns, b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            if in_background:               # as a script's shell starts what ends with &
                signal.signal(signal.SIGINT, signal.SIG_IGN)
            os.execve(rig.SERIN, [rig.SERIN, *words], {**os.environ, "LC_ALL": "C.UTF-8", "TERM": "xterm", **environment})
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, seconds=0.2):
        """What has come by now; False at the end."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return True
        try:
            self.raw += os.read(self.fd, 65536)
            return True
        except OSError:
            return False

    def wait(self, seconds=30):
        end = time.monotonic() + seconds
        while self.read():
            if time.monotonic() > end:
                os.kill(self.pid, signal.SIGKILL)
                raise AssertionError("the command did not end: " + "\n".join(self.lines()))
        return os.waitpid(self.pid, 0)[1]

    def lines(self):
        screen, row, column = {}, 0, 0
        for move, letter, plain in re.findall(r"\x1b\[\??([0-9;]*)([A-Za-z])|([^\x1b])", self.raw.decode(errors="replace")):
            if plain == "\n":
                row += 1
            elif plain == "\r":
                column = 0
            elif plain:
                assert column < self.columns, f"a line is wider than the terminal: {screen.get(row)}"
                screen[row] = screen.get(row, "").ljust(column)[:column] + plain + screen.get(row, "")[column + 1:]
                column += 1
            elif letter == "A":
                row -= int(move)
            elif letter == "K":
                screen[row] = screen.get(row, "")[:column]
            elif letter == "J":
                screen = {r: t for r, t in screen.items() if r < row}
        return [screen.get(r, "").rstrip() for r in range(max(screen, default=-1) + 1)]


@pytest.mark.parametrize("columns", [100, 50])
def test_watch_on_a_terminal(proxy, columns):
    terminal = Terminal(50, columns, {"SERIN_ADMIN": proxy.admin_url}, "status", "web", "--watch")
    wait_until(lambda: terminal.read() and "waiting for a rollout" in "".join(terminal.lines()), 10, "the first drawing")
    proxy.cli("start", "web")
    wait_until(lambda: terminal.read() and "1 of 3" in "".join(terminal.lines()), 10, "the first step")
    assert sum(line.startswith("web ") for line in terminal.lines()) == 1, terminal.lines()     # redrawn in place
    assert b"\x1b[36m" in terminal.raw                                                         # in colour
    proxy.cli("abort", "web")
    assert os.waitstatus_to_exitcode(terminal.wait()) == 4
    assert "ABORTED" in "".join(terminal.lines()) and b"\x1b[?25h" in terminal.raw              # the cursor is back


def test_watch_in_the_background_of_a_script(proxy):
    """Ctrl-C is the script's there: the watch does not take it, and does not promise to."""
    terminal = Terminal(50, 80, {"SERIN_ADMIN": proxy.admin_url}, "status", "web", "--watch", in_background=True)
    wait_until(lambda: terminal.read() and "waiting for a rollout" in "".join(terminal.lines()), 10, "the first drawing")
    os.write(terminal.fd, b"\x03")
    proxy.cli("start", "web")
    wait_until(lambda: terminal.read() and "1 of 3" in "".join(terminal.lines()), 10, "the first step")
    assert "Ctrl-C" not in "".join(terminal.lines())
    os.kill(terminal.pid, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(terminal.wait()) == -signal.SIGTERM
