"""serin as a service: what it tells systemd and when, sockets that systemd opens, and the unit files.

SPDX-License-Identifier: Apache-2.0
"""
import ctypes
import fcntl
import functools
import os
import re
import socket
import subprocess
import threading
import time

import pytest

import rig
from name_server import NameServer
from procfs import open_files
from rig import ask, route, wait_until

UNITS = os.path.join(os.path.dirname(__file__), "..", "..", "conf", "systemd")
WATCHDOG_S = 0.4


# --- notifications

class Manager:
    """Plays systemd: listens on a NOTIFY_SOCKET and keeps what is said, as (moment, {name: value})."""

    def __init__(self, folder):
        self.path, self.heard = os.path.join(str(folder), "notify"), []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        while True:
            try:
                text = self.socket.recv(65536).decode()
            except OSError:
                return
            self.heard.append((time.monotonic(), dict(line.split("=", 1) for line in text.split("\n") if line)))

    def environment(self, **more):
        return {"NOTIFY_SOCKET": self.path, **more}

    def states(self):
        """The states in their order, without the signs of life between them."""
        names = ("READY", "RELOADING", "STOPPING")
        return [name for _, said in list(self.heard) for name in names if name in said]

    def all(self, name):
        return [said[name] for _, said in list(self.heard) if name in said]

    def beats(self):
        return [when for when, said in list(self.heard) if said.get("WATCHDOG") == "1"]


@pytest.fixture
def manager(tmp_path, cleanup):
    made = Manager(tmp_path)
    cleanup.append(made.socket.close)
    return made


def test_another_process_takes_over(serin, v1, manager):
    """The old one names it, while it is the one that systemd listens to; and then says nothing more."""
    web = serin(route(v1.address), environment=manager.environment())
    wait_until(lambda: manager.states() == ["READY"], 5, "READY")
    web.hand_over().wait(10)
    assert manager.all("MAINPID") == [str(web.process.pid)]
    assert "STOPPING" not in manager.states()
    web.stop()
    assert manager.states()[-1] == "STOPPING"


def test_states_in_their_order(serin, v1, manager):
    web = serin(route(v1.address), workers=2, environment=manager.environment())
    wait_until(lambda: manager.states() == ["READY"], 5, "READY")
    wait_until(lambda: manager.all("STATUS") == ["1 route; no rollout under way"], 5, "the status")
    before = time.monotonic_ns() // 1000
    web.process.send_signal(rig.signal.SIGHUP)
    wait_until(lambda: manager.states() == ["READY", "RELOADING", "READY"], 5, "the end of the reload")
    (moment,) = manager.all("MONOTONIC_USEC")
    assert before <= int(moment) <= time.monotonic_ns() // 1000
    with open(web.file, "w") as f:
        f.write("routes: nonsense\n")
    web.process.send_signal(rig.signal.SIGHUP)      # what is refused ends as well
    wait_until(lambda: manager.states() == ["READY", "RELOADING", "READY", "RELOADING", "READY"], 5, "the end of the reload")
    web.stop()
    assert manager.states()[5:] == ["STOPPING"]
    assert not manager.beats() and not manager.all("MAINPID")


def test_a_drain_asks_for_time(serin, backend, manager):
    slow = backend("v1", answer=lambda c, request: c.backend.released.wait(20))
    web = serin(route(slow.address), environment=manager.environment(), timeouts={"drain": "20s"})
    with web.client() as c:
        c.send("GET / HTTP/1.1\r\nHost: web.test\r\n\r\n")
        wait_until(lambda: slow.count() == 1, 5, "the request")
        assert not manager.all("EXTEND_TIMEOUT_USEC")
        web.process.terminate()
        wait_until(lambda: len(manager.all("EXTEND_TIMEOUT_USEC")) >= 3, 10, "more time being asked for")
        assert "draining, 1 connection left" in manager.all("STATUS")
        slow.released.set()
    web.stop()


def test_ready_when_readyz_is(serin, v1, manager, cleanup):
    """A name that is not found yet: more time is asked for, and nobody is told that it is ready."""
    names = NameServer()
    cleanup.append(names.socket.close)
    port = v1.address.rsplit(":", 1)[1]
    web = serin(route(f"dns:web.test:{port}"), start=False, environment=manager.environment(),
                dns={"servers": [names.address], "timeout": "100ms"})
    web.start(ready=False)
    wait_until(lambda: len(manager.all("EXTEND_TIMEOUT_USEC")) >= 2, 10, "more time being asked for")
    assert not manager.states() and manager.all("STATUS")[0].startswith("waiting for endpoints; 1 route")
    web.process.send_signal(rig.signal.SIGHUP)
    wait_until(lambda: "reloaded" in web.log(), 5, "the reload")
    assert not manager.states()
    names.set("web.test", ["127.0.0.1"])
    wait_until(lambda: manager.states() == ["READY"], 20, "READY")
    assert ask(web.address).status == 200


def test_the_status_tells_of_a_rollout(serin, v1, v2, manager):
    web = serin(route(v1.address, v2.address, rollout=rig.QUICK), environment=manager.environment())
    web.cli("start", "web")
    wait_until(lambda: [s for s in manager.all("STATUS") if re.fullmatch(r"1 route; web: \w+, step 1/\d, 1%", s)], 10, "the status")


# --- the watchdog

def test_no_sign_of_life_where_none_is_asked_for(serin, v1, manager):
    """WATCHDOG_USEC of another process's environment."""
    web = serin(route(v1.address), environment=manager.environment(WATCHDOG_USEC="100000", WATCHDOG_PID="1"))
    wait_until(lambda: manager.states() == ["READY"], 5, "READY")
    web.process.send_signal(rig.signal.SIGHUP)
    wait_until(lambda: len(manager.states()) == 3, 5, "the reload")
    web.stop()
    assert not manager.beats()


def test_a_hand_over_names_the_new_process(serin, v1, manager, given):
    """From then on the new one is watched, and gives the signs of life; what systemd opened goes along."""
    web = serin(route(v1.address), workers=2, listeners=[{"bind": "fd:web"}], **given("web", [listening()]),
                environment=manager.environment(WATCHDOG_USEC=str(int(WATCHDOG_S * 1e6))))
    address = web.address
    old = web.hand_over()
    wait_until(lambda: manager.all("MAINPID") == [str(web.process.pid)], 5, "MAINPID")
    old.wait(10)
    before = len(manager.beats())
    wait_until(lambda: len(manager.beats()) > before + 5, 10, "signs of life of the new process")
    assert ask(address).status == 200
    web.stop()
    assert manager.states().count("STOPPING") == 1      # the old one's drain is none of systemd's affairs


class Frozen:
    """One thread of a process, stopped by ptrace: the others run on."""
    SEIZE, INTERRUPT, DETACH, WALL = 0x4206, 0x4207, 17, 0x40000000

    def __init__(self, tid):
        self.tid, self.libc = tid, ctypes.CDLL(None, use_errno=True)
        self.libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
        self.call(self.SEIZE)
        self.call(self.INTERRUPT)
        os.waitpid(tid, self.WALL)

    def call(self, request):
        assert self.libc.ptrace(request, self.tid, None, None) == 0, os.strerror(ctypes.get_errno())

    def release(self):
        self.call(self.DETACH)


def workers_of(pid):
    """The threads but the first one, which is control."""
    return sorted(int(t) for t in os.listdir(f"/proc/{pid}/task") if int(t) != pid)


def test_a_worker_that_hangs_lets_the_watchdog_bite(serin, v1, manager):
    web = serin(route(v1.address), workers=2, environment=manager.environment(WATCHDOG_USEC=str(int(WATCHDOG_S * 1e6))))
    wait_until(lambda: len(manager.beats()) > 10, 10, "signs of life")
    assert all(b - a < WATCHDOG_S for a, b in zip(manager.beats(), manager.beats()[1:]))
    frozen = Frozen(workers_of(web.process.pid)[-1])
    try:
        wait_until(lambda: "watchdog_withheld worker=" in web.log(), 10, "the worker being missed")
        silent_from = len(manager.beats())
        wait_until(lambda: time.monotonic() - manager.beats()[-1] > 2 * WATCHDOG_S, 10, "silence")
        assert len(manager.beats()) == silent_from
        assert web.api("GET", "routes")[0] == 200       # the control thread lives
    finally:
        frozen.release()
    wait_until(lambda: len(manager.beats()) > silent_from + 2, 10, "signs of life again")


# --- sockets that systemd opens

# Puts them at 3, 4 ... and becomes what follows, as systemd does.
GIVE = """fds=$1; names=$2; shift 2; n=3
for fd in $fds; do eval "exec $n<&$fd $fd<&-"; n=$((n + 1)); done
LISTEN_PID=$$ LISTEN_FDS=$((n - 3)) LISTEN_FDNAMES=$names exec "$@\""""


@pytest.fixture
def given(cleanup):
    """What makes a serin begin with these sockets: serin(..., **given("web:admin", [web, admin]))."""
    def make(names, sockets):
        cleanup.extend(s.close for s in sockets)
        fds = [s.fileno() for s in sockets]
        return {"before": ("bash", "-c", GIVE, "give", " ".join(map(str, fds)), names), "pass_fds": tuple(fds)}
    return make


def high(sock):
    """The same socket under a descriptor that is none of the first."""
    fd = fcntl.fcntl(sock.fileno(), fcntl.F_DUPFD, 100)
    sock.close()
    return socket.socket(fileno=fd)


def listening(address="127.0.0.1", family=socket.AF_INET):
    s = socket.socket(family)
    s.bind((address, 0) if family == socket.AF_INET else address)
    s.listen(128)
    return high(s)


def holds(process, sock):
    """Whether a process has the socket open."""
    return f"socket:[{os.fstat(sock.fileno()).st_ino}]" in open_files(process)


def test_nobody_is_refused_over_a_restart(serin, v1, given):
    """Who connects while no serin runs waits in the queue, which is systemd's."""
    front = listening()
    web = serin(route(v1.address), listeners=[{"bind": "fd:web"}], workers=3, **given("web", [front]))
    address = web.address
    assert address == "127.0.0.1:%d" % front.getsockname()[1]
    assert {ask(address).status for _ in range(20)} == {200}
    web.stop()
    waiting = [rig.Client(address) for _ in range(5)]
    for c in waiting:
        c.send("GET / HTTP/1.1\r\nHost: web.test\r\n\r\n")
    web.start()
    assert [c.response().status for c in waiting] == [200] * 5
    for c in waiting:
        c.close()


def test_a_drain_leaves_the_queue_to_the_next_one(serin, backend, given):
    slow = backend("v1", answer=lambda c, request: (c.backend.released.wait(20), c.backend.plain(c, request)))
    front = listening()
    web = serin(route(slow.address), listeners=[{"bind": "fd:web"}], **given("web", [front]))
    with web.client() as busy:
        busy.send("GET / HTTP/1.1\r\nHost: web.test\r\n\r\n")
        wait_until(lambda: slow.count() == 1, 5, "the request")
        web.process.terminate()
        wait_until(lambda: not holds(web.process, front), 5, "the listener being closed")
        late = rig.Client(web.address)      # accepted by nobody while this one drains
        slow.released.set()
        assert busy.response().status == 200
    web.stop()
    web.start()
    assert late.ask().status == 200
    late.close()


def sleeps(pid):
    """Whether the first thread waits for something."""
    with open(f"/proc/{pid}/task/{pid}/stat") as f:
        return f.read().rsplit(")", 1)[1].split()[0] == "S"


def test_a_stop_accepts_nobody_more(serin, v1, given):
    """Who connects as the stop begins is left in the queue: this one would close the connection, the next one answers."""
    web = serin(route(v1.address), listeners=[{"bind": "fd:web"}], **given("web", [listening()]))
    address, frozen = web.address, Frozen(workers_of(web.process.pid)[0])
    try:
        web.process.terminate()
        wait_until(lambda: "draining" in web.log() and sleeps(web.process.pid), 5, "the worker being told")
        waiting = rig.Client(address)
    finally:
        frozen.release()
    web.stop()
    web.start()
    assert waiting.ask().status == 200
    waiting.close()


def test_several_sockets_and_the_admin_port(serin, v1, tmp_path, given):
    """Two addresses under one name, and the admin port on a UNIX socket, whose file stays systemd's."""
    first, second = listening(), listening("127.0.0.2")
    path = str(tmp_path / "admin")
    admin = listening(path, socket.AF_UNIX)
    web = serin(route(v1.address), listeners=[{"bind": "fd:web"}], admin={"bind": "fd:admin"}, workers=2,
                **given("web:admin:web", [first, admin, second]))
    for s in (first, second):
        assert {ask("%s:%d" % s.getsockname()).status for _ in range(10)} == {200}
    assert web.admin == f"unix:{path}" and web.status()["route"] == "web"
    web.stop()
    assert os.path.exists(path)


def test_headers_over_a_given_socket_need_networks(serin, v1, given):
    """Whether it is a UNIX socket shows only when it is there: also at a reload."""
    web = serin(route(v1.address), listeners=[{"bind": "fd:web"}], **given("web", [listening()]))
    web.config["listeners"][0]["proxy_protocol"] = True
    web.write()
    done = web.cli("reload", expect=None)
    assert done.returncode == 1 and "listeners[0].trusted: is missing (fd:web is no UNIX socket" in done.stdout + done.stderr
    assert web.ask().status == 200
    web.config["listeners"][0]["trusted"] = ["127.0.0.1/32"]
    web.write()
    web.cli("reload")

    def is_refused():
        with web.client() as c:
            try:
                return c.ask() is None
            except (EOFError, ConnectionError):
                return True
    wait_until(is_refused, 5, "a request without a header being refused")


def test_an_admin_socket_for_others_needs_a_token(serin, v1, given):
    web = serin(route(v1.address), start=False, expect=1, admin={"bind": "fd:admin"}, **given("admin", [listening("0.0.0.0")]))
    web.start(ready=False)
    assert web.process.wait(10) == 1
    assert re.search(r"start_failed .*token", web.log())


@pytest.mark.parametrize("bind, names, told", [
    ("fd:web", "http:admin", "fd:web: no socket of that name was given (there are: http, admin)"),
    ("fd:web", "", "fd:web: no socket of that name was given (none was: is serin started by a socket unit?)")])
def test_a_name_that_was_not_given(serin, v1, given, bind, names, told):
    more = given(names, [listening(), listening()]) if names else {}
    web = serin(route(v1.address), start=False, expect=1, listeners=[{"bind": bind}], **more)
    assert rig.run_serin("check", "-c", web.file).returncode == 0       # the file is right
    web.start(ready=False)
    assert web.process.wait(10) == 1
    assert told in web.log()


def test_what_is_no_listening_socket(serin, v1, given):
    ours, theirs = socket.socketpair()
    web = serin(route(v1.address), start=False, expect=1, listeners=[{"bind": "fd:web"}], **given("web", [high(ours)]))
    web.start(ready=False)
    assert web.process.wait(10) == 1
    assert "fd:web: descriptor 3 that was given is no listening stream socket" in web.log()
    theirs.close()


def test_a_socket_that_nobody_names_is_told(serin, v1, given):
    web = serin(route(v1.address), **given("web", [listening()]))
    assert re.search(r'socket_not_used name="web" ', web.log())


def test_systemd_socket_activate(serin, v1, free_port, tmp_path):
    """The real one: it becomes serin with the first connection, which is served."""
    address = f"127.0.0.1:{free_port}"
    web = serin(route(v1.address), start=False, listeners=[{"bind": "fd:web"}], admin={"bind": "fd:admin"},
                before=("systemd-socket-activate", "--fdname=web:admin", "-l", address, "-l", str(tmp_path / "admin")))
    web.start(ready=False)
    wait_until(lambda: web.log().count("Listening on") == 2, 10, "the sockets")
    with rig.Client(address, 20) as c:
        assert c.ask().status == 200
    wait_until(web.is_ready, 10, "serin being ready")
    assert web.address == address and web.admin == f"unix:{tmp_path}/admin"


# --- the unit files

@pytest.fixture
def units(tmp_path):
    """Copies of the unit files, with the serin that is tested as their program."""
    for name in os.listdir(UNITS):
        text = open(os.path.join(UNITS, name)).read()
        (tmp_path / name).write_text(text.replace("/usr/bin/serin ", os.path.abspath(rig.SERIN) + " "))
    return tmp_path


def analyze(*words):
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, timeout=60)


def test_units_are_right(units):
    done = analyze("verify", "--man=no", str(units / "serin.service"), str(units / "serin.socket"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_unit_is_hardened(units):
    """1.5 of 10: most services have 9; a web server needs the network, and ports below 1024."""
    done = analyze("security", "--offline=yes", "--threshold=15", str(units / "serin.service"))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr


def allowed_calls(text):
    """System calls that the unit's SystemCallFilter lines leave."""
    calls = set()
    for words in re.findall(r"^SystemCallFilter=(.*)$", text, re.M):
        named = {c for word in words.lstrip("~").split() for c in expand(word)}
        calls = calls - named if words[0] == "~" else calls | named
    return calls


@functools.lru_cache(None)
def expand(word):
    """The calls of a group, and of those in it."""
    if not word.startswith("@"):
        return frozenset([word])
    lines = [line.strip() for line in analyze("syscall-filter", word).stdout.splitlines()[1:]]
    return frozenset(c for line in lines if line and line[0] != "#" for c in expand(line))


def test_the_unit_allows_what_serin_calls(serin, v1, v2, manager, units, tmp_path):
    """A whole life under strace: both kinds of socket, a rollout, a reload, an abort, a drain."""
    trace = tmp_path / "trace"
    web = serin(route(v1.address, v2.address, rollout=rig.QUICK), workers=2, before=("strace", "-D", "-f", "-o", str(trace)),
                listeners=[{"bind": "127.0.0.1:0"}, {"bind": f"unix:{tmp_path}/front"}],
                environment=manager.environment(WATCHDOG_USEC="200000", ASAN_OPTIONS="detect_leaks=0"))
    web.cli("start", "web")
    web.at_weight(1)
    assert {ask(address).status for address in web.addresses() for _ in range(20)} == {200}
    web.metrics()
    web.cli("reload")
    web.cli("abort", "web")
    wait_until(manager.beats, 5, "a sign of life")
    web.stop()
    wait_until(lambda: re.search(r"\+\+\+ exited with 0 \+\+\+\s*$", trace.read_text(errors="replace")), 10, "strace's end")
    called = set(re.findall(r"^\d+ +(?:<\.\.\. )?(\w+)(?:\(| resumed)", trace.read_text(errors="replace"), re.M))
    assert {"accept4", "epoll_wait", "renameat", "sendmsg"} <= called
    assert called - allowed_calls((units / "serin.service").read_text()) == set()


def test_the_unit_leaves_time_for_a_drain(units):
    """TimeoutStopSec is above the default of timeouts.drain."""
    text = (units / "serin.service").read_text()
    rows = dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    drain = re.search(r"^timeouts\.drain +\S+ .*?(\d+)s", rig.run_serin("check", "--defaults").stdout, re.M)
    assert int(rows["TimeoutStopSec"]) > int(drain[1])
    assert (rows["Type"], rows["KillMode"], rows["StateDirectory"]) == ("notify", "mixed", "serin")
