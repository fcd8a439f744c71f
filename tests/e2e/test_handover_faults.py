"""A hand-over that does not succeed: the old process goes on as if nothing had been, and one alone acts.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import re
import shutil
import signal
import sys

import pytest

import rig
from rig import Client, is_alive, route, wait_until
from test_systemd import Frozen, workers_of

PLAN = {"steps": ["30%", "100%"], "hold": "5m", "max_hold": "10m"}

# Plays a new process: says what it is told to, and then does what it is told to.
PEER = """#!{python}
import json, os, socket, sys, time
peer = socket.socket(fileno=3)
peer.setblocking(True)
def say(message):
    peer.send(json.dumps(message).encode())
def ready(version=1):
    say({{"kind": "ready", "version": version, "wants": [
        {{"bind": "127.0.0.1:0", "admin": a, "more": False, "file": "", "device": 0, "inode": 0}} for a in (False, True)]}})
def hear(kind):
    while True:
        text = peer.recv(1 << 20)
        if not text:
            sys.exit(9)
        message = json.loads(text)
        if message["kind"] == kind:
            return message
{act}
"""


def become(proxy, act):
    """What USR2 starts from now on."""
    with open(proxy.program + ".new", "w") as f:
        f.write(PEER.format(python=sys.executable, act=act))
    os.chmod(proxy.program + ".new", 0o755)
    os.rename(proxy.program + ".new", proxy.program)


def become_serin(proxy):
    shutil.copy(rig.SERIN, proxy.program + ".new")
    os.rename(proxy.program + ".new", proxy.program)


def try_hand_over(proxy):
    before = proxy.log().count(" handover_failed ")
    proxy.process.send_signal(signal.SIGUSR2)
    wait_until(lambda: proxy.log().count(" handover_failed ") > before, 20, "its failure")
    return proxy.log().rpartition(" handover_failed ")[2].splitlines()[0]


@pytest.fixture
def proxy(serin, shop, tmp_path):
    """In a rollout at 30 %; its program is a file of its own, which can be replaced."""
    made = serin(route(shop("v1").address, shop("v2").address, rollout=PLAN), start=False, workers=2)
    made.program = str(tmp_path / "serin")
    become_serin(made)
    made.start()
    made.cli("start", "web")
    made.at_weight(30)
    return made


def judged(proxy):
    return sum(v["requests"] for v in proxy.status()["versions"])


def goes_on(proxy, crowds):
    """The same process serves, judges and obeys; no request was lost."""
    before = judged(proxy)
    wait_until(lambda: judged(proxy) > before, 10, "its ticks")
    assert proxy.process.poll() is None
    assert proxy.status()["weight"]["intended"] == 30 and proxy.status()["step"] == 1
    proxy.cli("pause", "web")
    proxy.cli("resume", "web")
    proxy.at_weight(30)
    counts = [c.end() for c in crowds]
    assert all(c["failed"] == 0 for c in counts), counts


@pytest.fixture
def crowds(proxy, askers):
    return [askers(proxy.address, keeps=k, threads=4, pause_us=500) for k in (True, False)]


ENDS = {
    "at once": ("sys.exit(7)", "exit code 7"),
    "behind ready": ("ready(); sys.exit(7)", "exit code 7"),
    "behind a part": ("ready(); hear('socket'); os.kill(os.getpid(), 9)", "signal 9"),
    "behind go": ("ready(); hear('go'); sys.exit(7)", "exit code 7"),
    "killed behind go": ("ready(); hear('go'); os.kill(os.getpid(), 11)", "signal 11"),
    "silent behind go": ("ready(); hear('go'); peer.close(); time.sleep(600)", "has ended"),
    "another version": ("ready(2); print(hear('refused')['why'], file=sys.stderr); sys.exit(1)", "exit code 1"),
    "no message": ("peer.send(b'hello'); time.sleep(600)", "message"),
    "no kind": ("say({'kind': 'hello'}); time.sleep(600)", "kind"),
    "too long a message": ("ready(); hear('go'); peer.setsockopt(1, 7, 1 << 20); peer.send(b'x' * 170000); time.sleep(600)", "too long"),
    "out of turn": ("say({'kind': 'serving'}); time.sleep(600)", "should not say"),
    "a split before its time": ("ready(); hear('go'); say({'kind': 'split', 'route': 'web', 'stable': 'v2', 'canary': 'v1', 'salt': '',"
                                " 'weight_bp': 10000, 'active': True}); time.sleep(600)", "should not say"),
}


@pytest.mark.parametrize("name", ENDS)
def test_a_new_process_that_fails(proxy, crowds, name):
    act, why = ENDS[name]
    become(proxy, act)
    assert why in try_hand_over(proxy)
    goes_on(proxy, crowds)
    if name == "another version":
        assert "speaks version 2" in proxy.log()
    become_serin(proxy)
    proxy.hand_over()                           # and then it succeeds
    assert proxy.status()["weight"]["intended"] == 30


def test_a_bad_file(proxy, crowds):
    good = json.dumps(proxy.config)
    proxy.config["routes"][0]["stable"] = "v9"
    proxy.write()
    assert "exit code 78" in try_hand_over(proxy) and "v9" in proxy.log()
    goes_on(proxy, crowds)
    proxy.config = json.loads(good)
    proxy.write()
    proxy.hand_over()


def test_a_listener_that_cannot_be_opened(proxy, crowds, free_port):
    """The new process has everything by then, and has opened the rollouts: all is taken back."""
    import socket
    with socket.socket() as other:
        other.bind(("127.0.0.1", free_port))
        other.listen()
        proxy.config["listeners"].append({"bind": f"127.0.0.1:{free_port}"})
        proxy.write()
        assert "exit code 1" in try_hand_over(proxy)
        proxy.config["listeners"].pop()
        proxy.write()
        goes_on(proxy, crowds)


def test_the_files_of_sockets_stay_where_it_fails(serin, v1, tmp_path):
    """They are the old process's as long as the new one does not serve, also where that has taken the sockets over."""
    import socket
    paths = [str(tmp_path / name) for name in ("web.sock", "admin.sock")]
    proxy = serin(route(v1.address), listeners=[{"bind": "unix:" + paths[0]}], admin={"bind": "unix:" + paths[1]})
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        proxy.config["listeners"].append({"bind": "127.0.0.1:%d" % other.getsockname()[1]})
        proxy.write()
        assert "exit code 1" in try_hand_over(proxy)
        proxy.config["listeners"].pop()
        proxy.write()
    assert proxy.ask().status == 200 and proxy.status()["state"] == "STABLE"
    proxy.hand_over().wait(10)
    assert proxy.ask().status == 200 and proxy.status()["state"] == "STABLE"
    proxy.stop()
    assert not any(map(os.path.exists, paths))


def test_a_program_that_is_gone(proxy, crowds):
    os.unlink(proxy.program)
    assert "No such file" in try_hand_over(proxy)
    goes_on(proxy, crowds)
    assert " handover_started " not in proxy.log()


def started(proxy):
    found = re.findall(r" handover_started pid=(\d+)", proxy.log())
    return found and int(found[-1])


def test_while_the_new_process_takes_its_time(proxy, crowds):
    """It has everything and does not serve: nobody acts, everybody is served, and who asks is told so."""
    become(proxy, "ready(); hear('go'); print(' peer_has_all', file=sys.stderr, flush=True); time.sleep(600)")
    before = json.dumps(proxy.config)
    with Client(proxy.admin) as admin:
        admin.ask(target="/healthz", host=proxy.admin_host)
        proxy.process.send_signal(signal.SIGUSR2)
        wait_until(lambda: " peer_has_all" in proxy.log(), 20, "the new process having everything")
        written = os.stat(os.path.join(proxy.config["state_dir"], "web.json")).st_mtime_ns
        for path in ("routes/web/abort", "reload", "notifications/test"):
            answer = admin.ask("POST", "/api/v1/" + path, {"Content-Type": "application/json"}, b"{}", host=proxy.admin_host)
            assert answer.status == 503 and b"taking over" in answer.body
        for path in ("routes", "routes/web", "routes/web/history"):     # a route without its rollout would look as if all was done
            answer = admin.ask(target="/api/v1/" + path, host=proxy.admin_host)
            assert answer.status == 503 and b"taking over" in answer.body
        assert admin.ask(target="/metrics", host=proxy.admin_host).status == 200
        proxy.process.send_signal(signal.SIGUSR2)
        wait_until(lambda: ' handover_refused why="one is under way"' in proxy.log(), 10, "the refusal of a second one")
        proxy.process.send_signal(signal.SIGHUP)
        wait_until(lambda: " reload_failed " in proxy.log(), 10, "the refusal of a reload")
        done = [proxy.ask().status for _ in range(200)]
        assert set(done) == {200}
        assert os.stat(os.path.join(proxy.config["state_dir"], "web.json")).st_mtime_ns == written
    os.kill(started(proxy), signal.SIGKILL)
    wait_until(lambda: " handover_failed " in proxy.log(), 10, "its end")
    assert before == json.dumps(proxy.config)
    goes_on(proxy, crowds)


@pytest.mark.long
@pytest.mark.parametrize("act", ["time.sleep(600)", "ready(); hear('go'); time.sleep(600)"])
def test_a_new_process_that_hangs(proxy, crowds, act):
    become(proxy, act)
    proxy.process.send_signal(signal.SIGUSR2)
    pid = wait_until(lambda: started(proxy), 10, "the new process")
    wait_until(lambda: " handover_failed " in proxy.log(), 45, "the end of patience")
    assert "in time" in proxy.log().rpartition(" handover_failed ")[2] and not is_alive(pid)
    goes_on(proxy, crowds)


def test_a_stop_ends_the_new_process_too(proxy):
    become(proxy, "ready(); hear('go'); time.sleep(600)")
    proxy.process.send_signal(signal.SIGUSR2)
    pid = wait_until(lambda: started(proxy), 10, "the new process")
    proxy.stop()
    assert not is_alive(pid)


def test_a_stop_lets_the_new_process_finish(proxy):
    """It has the sockets, and may have accepted somebody: it is asked to end, not killed."""
    become(proxy, "import signal\nready(); hear('go')\n"
                  "signal.signal(signal.SIGTERM, lambda *_: sys.exit(print(' peer_finishes', file=sys.stderr, flush=True)))\n"
                  "print(' peer_has_all', file=sys.stderr, flush=True)\ntime.sleep(600)")
    proxy.process.send_signal(signal.SIGUSR2)
    wait_until(lambda: " peer_has_all" in proxy.log(), 20, "the new process having everything")
    with Client(proxy.address) as busy, Client(proxy.admin) as admin:
        busy.send("GET / HTTP/1.1\r\n")          # the stop waits for the rest of it
        proxy.process.terminate()
        wait_until(lambda: " peer_finishes" in proxy.log(), 10, "its end")
        assert admin.ask(target="/metrics", host=proxy.admin_host).status == 200
    proxy.stop()


def test_signals_to_all_processes_do_not_end_the_new_one(serin, v1, tmp_path):
    """Its start is long enough to be met: logrotate signals every process of the service."""
    proxy = serin(route(v1.address), log={"access": "json", "access_file": str(tmp_path / "access.log")})
    for number, word in ((signal.SIGUSR1, " access_log_reopened "), (signal.SIGHUP, " reloaded ")):
        proxy.hand_over(meanwhile=number)
        wait_until(lambda: word in proxy.log(), 10, "the signal being heard")
    assert " handover_failed " not in proxy.log() and proxy.ask().status == 200


def test_a_channel_that_is_none(serin, v1, tmp_path):
    for value in ("", "0", "2", "99", "x"):
        done = rig.run_serin("run", "-c", serin(route(v1.address), start=False).file, environment={"SERIN_HANDOVER_FD": value})
        assert done.returncode == 1 and "SERIN_HANDOVER_FD" in done.stderr


def test_a_stop_right_behind_a_hand_over(serin, v1):
    """Before its workers even know that they drain: the listening sockets are the new process's, which goes on accepting."""
    proxy = serin(route(v1.address))
    frozen = Frozen(workers_of(proxy.process.pid)[0])
    try:
        old = proxy.hand_over(alone=False)
        old.terminate()
        wait_until(lambda: " draining " in proxy.log(), 10, "the old process being told")
    finally:
        frozen.release()
    wait_until(lambda: not is_alive(old.pid), 10, "its end")
    assert [proxy.ask().status for _ in range(20)] == [200] * 20
