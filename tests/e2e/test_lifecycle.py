"""A running serin's life: it drains before it stops, takes a new file whole or not at all, and keeps its logs.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import re
import signal
import socket
import threading
import time

import pytest

from procfs import open_files
from rig import Client, route, run_serin, wait_until


def hold(connection, request):
    """Answers when the backend is released."""
    connection.backend.released.wait(20)
    connection.backend.plain(connection, request)


def in_flight(proxy, backend):
    """A client with a request that waits at the backend."""
    backend.answer = hold
    before = backend.count()
    c = proxy.client()
    c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    wait_until(lambda: backend.count() > before, 10, "the request at the backend")
    return c


def is_refused(address):
    try:
        Client(address, 1).close()
        return False
    except OSError:
        return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_lets_requests_end(serin, v1, number):
    proxy = serin(route(v1.address), timeouts={"drain": "10s"})
    idle = proxy.client()
    assert idle.ask().status == 200
    address, c = proxy.address, in_flight(proxy, v1)
    proxy.process.send_signal(number)
    wait_until(lambda: is_refused(address), 10, "new connections being refused")
    assert idle.is_closed()
    assert proxy.process.poll() is None
    v1.released.set()
    answer = c.response()
    assert answer.status == 200 and answer.body == b"v1" and answer.get("connection") == "close"
    assert c.is_closed()
    assert proxy.process.wait(10) == 0


def test_stop_waits_no_longer_than_it_may(serin, v1):
    proxy = serin(route(v1.address), timeouts={"drain": "500ms"})
    c = in_flight(proxy, v1)
    proxy.process.terminate()
    proxy.process.wait(10)
    with pytest.raises((EOFError, ConnectionError)):
        c.response()


def test_second_signal_stops_at_once(serin, v1):
    proxy = serin(route(v1.address), expect=None, timeouts={"drain": "60s"})
    address = proxy.address
    in_flight(proxy, v1)
    proxy.process.terminate()
    wait_until(lambda: is_refused(address), 10, "draining")
    proxy.process.terminate()
    proxy.process.wait(5)


def test_usr1_without_an_access_log_harms_nobody(serin, v1):
    proxy = serin(route(v1.address))
    proxy.process.send_signal(signal.SIGUSR1)
    proxy.process.send_signal(signal.SIGHUP)        # which is seen after it
    wait_until(lambda: " reloaded " in proxy.log(), 10, "a line in the log")
    assert proxy.process.poll() is None and proxy.ask().status == 200


def test_a_unix_listener_is_open_to_all_and_leaves_no_file(serin, v1, tmp_path):
    path = tmp_path / "web"
    proxy = serin(route(v1.address), listeners=[{"bind": f"unix:{path}"}], workers=2)
    assert os.stat(path).st_mode & 0o777 == 0o666
    assert proxy.ask().body == b"v1"
    proxy.stop()
    assert not path.exists()


def test_a_unix_socket_that_is_another_ones_stays(serin, v1, tmp_path):
    path = tmp_path / "web"
    proxy = serin(route(v1.address), listeners=[{"bind": f"unix:{path}"}])
    path.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        proxy.stop()
        assert path.exists()


def test_stop_without_traffic_is_quick(serin, v1):
    proxy = serin(route(v1.address), timeouts={"drain": "30s"})
    began = time.monotonic()
    proxy.stop()
    assert time.monotonic() - began < 10        # not the drain time


def reload_by_signal(proxy):
    before = proxy.metrics().sum("serin_config_reloads_total")
    proxy.process.send_signal(signal.SIGHUP)
    wait_until(lambda: proxy.metrics().sum("serin_config_reloads_total") > before, 10, "the reload")


def test_reload_moves_new_requests_and_keeps_connections(serin, backend):
    old, new = backend("old"), backend("new")
    proxy = serin(route(old.address), workers=2)
    with proxy.client() as kept:
        assert kept.ask().body == b"old"
        waiting = in_flight(proxy, old)
        proxy.config["routes"] = [route(new.address)]
        proxy.write()
        reload_by_signal(proxy)
        wait_until(lambda: kept.ask().body == b"new", 5, "the new configuration on a kept connection")
        old.released.set()
        assert waiting.response().body == b"old"        # who had begun ends as it began
        assert waiting.ask().body == b"new"
    assert proxy.metrics().sum("serin_config_reloads_total", result="ok|success") == 1


def test_reload_under_load_fails_no_request(serin, shop, users):
    one, two = shop("v1"), shop("v1")
    proxy = serin(route(one.address), workers=2)
    crowd = users(proxy.address, users=50, rate=300)
    for n in range(10):
        proxy.config["routes"] = [route((one, two)[n % 2].address, headers={"request_id": n % 3 == 0})]
        proxy.write()
        proxy.cli("reload")
        done = crowd.counts()["requests"]
        wait_until(lambda: crowd.counts()["requests"] > done + 30, 10, "more requests")
    counts = crowd.stop()
    assert counts["failed"] == 0 and counts["requests"] > 300


def test_endpoints_come_and_go_under_load(serin, shop, backend, users):
    """A rolling restart of stable's servers as a proxy sees it: three of four at a time, one with a request under way."""
    shops, slow = [shop("v1") for _ in range(3)], backend("v1")
    proxy = serin(route(slow.address), workers=2)
    waiting = in_flight(proxy, slow)                # lasts over all that follows, in the world that it began in
    everyone = [s.address for s in shops]
    proxy.config["routes"] = [route(everyone)]
    proxy.write()
    proxy.cli("reload")
    crowd, at_slow = users(proxy.address, users=50, rate=500), slow.count()
    for n in range(12):
        gone = everyone[n % 3]
        proxy.config["routes"] = [route([a for a in everyone if a != gone])]
        proxy.write()
        proxy.cli("reload")
        wait_until(lambda: connections_to(proxy, gone) == 0, 10, "no connection to the one that is gone")
        assert proxy.metrics().sum("serin_endpoint_up", endpoint=gone) == 0 == slow.count() - at_slow
        done = crowd.counts()["requests"]
        wait_until(lambda: crowd.counts()["requests"] > done + 200, 20, "more requests")
        assert connections_to(proxy, gone) == 0
    counts = crowd.stop()
    assert counts["failed"] == 0 and counts["requests"] > 2400
    slow.released.set()
    assert waiting.response().body == b"v1"
    wait_until(lambda: connections_to(proxy, slow.address) == 0, 10, "its connection being closed")
    waiting.close()


def connections_to(proxy, address):
    """How many connections serin's process has to an address, as the kernel lists them (connects of probes too)."""
    host, port = address.split(":")
    remote = "{:08X}:{:04X}".format(int.from_bytes(socket.inet_aton(host), "little"), int(port))
    with open(f"/proc/{proxy.process.pid}/net/tcp") as f:
        rows = [line.split() for line in f.readlines()[1:]]
    own = set(open_files(proxy.process))
    return sum(row[2] == remote and f"socket:[{row[9]}]" in own for row in rows)


BAD = {
    "unknown key": lambda c: c.update(worker=3),
    "no such version": lambda c: c["routes"][0].update(stable="v9"),
    "two errors": lambda c: c["routes"][0].update(stable="v9", canary="v8"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_file_changes_nothing(serin, backend, name):
    old, new = backend("old"), backend("new")
    proxy = serin(route(old.address))
    proxy.config["routes"] = [route(new.address)]
    BAD[name](proxy.config)
    proxy.write()
    done = proxy.cli("reload", expect=None)
    assert done.returncode == 1 and "serin.yaml:" in done.stderr
    errors = run_serin("check", "-c", proxy.file).stderr.splitlines()
    assert done.stderr.splitlines()[:-1] == errors           # all of them, on the terminal and in the answer
    assert proxy.api("POST", "reload")[1]["error"]["errors"] == errors
    reload_by_signal(proxy)
    assert proxy.ask().body == b"old"
    metrics = proxy.metrics()
    assert metrics.sum("serin_config_reloads_total", result="failed|error|refused") == 3
    assert proxy.log().count(" reload_failed ") == 3 and proxy.log().count(" config_error ") == 3 * len(errors)
    assert "serin.yaml:" in proxy.log()
    if name == "two errors":
        assert "v9" in proxy.log() and "v8" in proxy.log()


def test_file_that_is_gone_or_torn_changes_nothing(serin, v1):
    proxy = serin(route(v1.address))
    with open(proxy.file, "w") as f:
        f.write("{ listeners: [")
    proxy.cli("reload", expect=None)
    os.unlink(proxy.file)
    proxy.cli("reload", expect=None)
    assert proxy.ask().body == b"v1"
    assert proxy.metrics().sum("serin_config_reloads_total", result="failed|error|refused") == 2


def test_what_a_reload_cannot_change_is_refused(serin, v1):
    proxy = serin(route(v1.address))
    for key, value in (("workers", 2), ("listeners", [{"bind": "127.0.0.1:0"}, {"bind": "127.0.0.1:0"}]), ("admin", {"bind": "[::1]:0"})):
        kept, proxy.config[key] = proxy.config[key], value
        proxy.write()
        assert key in proxy.cli("reload", expect=None).stderr
        proxy.config[key] = kept
    assert proxy.metrics().sum("serin_config_reloads_total", result="failed|error|refused") == 3


def test_everything_that_needs_a_restart_is_told_at_once(serin, v1):
    proxy = serin(route(v1.address))
    proxy.config.update(workers=2, admin={"bind": "[::1]:0"}, listeners=[{"bind": "127.0.0.1:0"}, {"bind": "[::1]:0"}])
    proxy.write()
    lines = proxy.cli("reload", expect=None).stderr.splitlines()
    assert [re.sub(r"^\S*serin.yaml:\d+:\d+: ", "", line) for line in lines] == [
        "workers: 2 needs a restart (1 is in force)", "admin.bind: [::1]:0 needs a restart (127.0.0.1:0 is in force)",
        "listeners[1].bind: [::1]:0 needs a restart (none is in force)",
        "serin: the old configuration stays in force: 3 errors"]


def test_a_reload_says_what_changed(serin, v1, v2):
    pair = route(v1.address, v2.address, rollout={"steps": ["10%", "100%"], "hold": "5m", "max_hold": "10m"})
    proxy = serin(pair)

    def reload():
        proxy.write()
        return proxy.cli("reload", "--who", "ann").splitlines()
    assert reload() == ["reload by ann: configuration 2 is in force (1 route): nothing changed"]
    proxy.config["timeouts"]["connect"] = "1s"
    proxy.config["routes"].append({**route(v1.address), "name": "api", "paths": ["/api"]})
    assert reload() == ["reload by ann: configuration 3 is in force (2 routes): 2 changes",
                        "  timeouts.connect: 1s (before: 2s)", "  route api: added"]
    proxy.cli("start", "web")
    proxy.at_weight(10)
    pair["rollout"]["steps"] = ["20%", "100%"]
    assert reload()[1:] == [
        "  route web: steps, times and checks of a running rollout stay as they were at its start; the new ones are for the next",
        "  route web: rollout.steps: 20%, 100% (before: 10%, 100%), for the next rollout"]
    pair["versions"]["v2"]["revision"] = "b"
    assert reload()[1:] == [
        "  route web: the rollout of v2 is aborted, then stable v1, canary v2 revision b starts by itself",
        "  route web: versions.v2.revision: b (before: none)"]
    proxy.at_weight(20)
    del pair["canary"], pair["rollout"], proxy.config["routes"][1]
    lines = reload()
    assert lines[1] == "  route web: the rollout of v2 is aborted, then v1 serves everyone"
    assert "  route web: canary: no canary (before: v2)" in lines and "  route api: removed" in lines
    assert proxy.log().count(" admin ") == 6 and "rollout_command" not in proxy.log()


def test_reload_adds_and_removes_routes(serin, backend):
    a, b = backend("a"), backend("b")
    proxy = serin([{**route(a.address), "name": "a", "paths": ["/a"]}])
    assert proxy.ask(target="/b").status == 404
    proxy.config["routes"].append({**route(b.address), "name": "b", "paths": ["/b"]})
    proxy.write()
    proxy.cli("reload")
    assert (proxy.ask(target="/a").body, proxy.ask(target="/b").body) == (b"a", b"b")
    del proxy.config["routes"][0]
    proxy.write()
    proxy.cli("reload")
    assert proxy.ask(target="/a").status == 404 and proxy.ask(target="/b").body == b"b"
    assert proxy.metrics().sum("serin_requests_total", route="a") >= 0


def test_many_reloads_and_requests_leave_nothing_behind(serin, v1):
    proxy = serin(route(v1.address), workers=2)
    ends = threading.Event()

    def ask_on():
        while not ends.is_set():
            assert proxy.ask().status == 200
    asking = threading.Thread(target=ask_on)
    asking.start()
    try:
        for _ in range(5):
            proxy.cli("reload")
        fds, rss = len(os.listdir(f"/proc/{proxy.process.pid}/fd")), proxy.rss_kib()
        for _ in range(30):
            proxy.cli("reload")
        wait_until(lambda: len(os.listdir(f"/proc/{proxy.process.pid}/fd")) <= fds + 5, 10, "the connections' end")
        assert proxy.rss_kib() < rss + 20 * 1024
    finally:
        ends.set()
        asking.join()


def test_access_log_is_opened_again(serin, v1, tmp_path):
    log = tmp_path / "access.log"
    proxy = serin(route(v1.address), log={"access": "json", "access_file": str(log)})
    proxy.ask(target="/first", headers={"User-Agent": 'a "quoted" agent'})
    line = json.loads(wait_until(lambda: log.exists() and log.read_text(), 5, "a line"))
    assert "/first" in json.dumps(line) and "v1" in json.dumps(line)
    os.rename(log, tmp_path / "access.log.1")
    proxy.process.send_signal(signal.SIGUSR1)
    wait_until(lambda: log.exists(), 5, "a new file")
    proxy.ask(target="/second")
    wait_until(lambda: "/second" in log.read_text(), 5, "a line in the new file")
    assert "/second" not in (tmp_path / "access.log.1").read_text()
