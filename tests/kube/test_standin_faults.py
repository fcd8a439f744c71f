"""The stand-in breaks as asked: refusals, dropped answers, broken watches, an absent server, hooks at writes.

SPDX-License-Identifier: Apache-2.0
"""
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from recorded import Client

RCS = "/api/v1/namespaces/default/replicationcontrollers"
V1 = RCS + "/my-web-v1"
SCALE = {"spec": {"replicas": 2}}


@pytest.fixture
def v1(standin):
    standin.rc("my-web-v1", 1)
    standin.settle("my-web-v1")
    return standin


class Watcher:
    """A watch in a thread; lines grow as they come, bytes count the pieces."""

    def __init__(self, standin, target):
        self.lines, self.pieces, self.ended, self.end = [], 0, threading.Event(), None
        self.moved = threading.Condition()
        opened = set(standin.api.watches)
        self.thread = threading.Thread(target=self.run, args=(Client(standin), target), daemon=True)
        self.thread.start()
        standin.wait(lambda: standin.api.watches - opened or self.ended.is_set(), what="the watch")

    def run(self, client, target):
        connection = client.connection()
        try:
            connection.request("GET", target)
            reply, buffer = connection.getresponse(), b""
            while True:
                piece = reply.read1(65536)
                if not piece:
                    break
                self.pieces += 1
                buffer += piece
                *whole, buffer = buffer.split(b"\n")
                with self.moved:
                    self.lines += [json.loads(x) for x in whole]
                    self.moved.notify_all()
            self.end = "clean"
        except (http.client.IncompleteRead, OSError):
            self.end = "abrupt"
        finally:
            connection.close()
            self.ended.set()

    def wait(self, n):
        with self.moved:
            assert self.moved.wait_for(lambda: len(self.lines) >= n, 10), self.lines
        return self.lines[n - 1]


def test_refusals_count_and_skip(v1, client):
    rule = v1.faults.status(409, times=2, skip=1, verb="update", resource="replicationcontrollers/scale")
    codes = [client.call("PUT", V1 + "/scale", {"spec": {"replicas": n}})[0] for n in (2, 3, 4, 5)]
    assert codes == [200, 409, 409, 200] and rule.hits == 2
    assert v1.get("replicationcontrollers", "my-web-v1")["spec"]["replicas"] == 5
    assert [(e.what, e.status, e.fault) for e in v1.writes()][1] == \
        ("update replicationcontrollers/scale my-web-v1", 409, "status")


def test_refusals_look_like_real_ones(v1, client):
    v1.faults.status(409, name="my-web-v1", method="PUT")
    assert client.call("PUT", V1, {})[1]["message"] == (
        'Operation cannot be fulfilled on replicationcontrollers "my-web-v1": the object has been modified; please apply '
        "your changes to the latest version and try again")
    v1.faults.status(429)
    reply = client.send("GET", V1)
    assert (reply.status, reply.headers["retry-after"], reply.headers["content-type"][:10]) == (429, "1", "text/plain")
    v1.faults.status(503, retry_after=7)
    reply = client.send("GET", V1)
    assert (reply.status, reply.headers["retry-after"], reply.data["details"]) == (503, "7", {"retryAfterSeconds": 7})
    v1.faults.status(500, path="/readyz", plain=True, message="[-]informer-sync failed\n")
    assert client.send("GET", "/readyz").body == b"[-]informer-sync failed\n"
    assert client.send("GET", V1).status == 200


@pytest.mark.parametrize("acts", [False, True])
def test_dropped(v1, client, acts):
    (v1.faults.drop_answer if acts else v1.faults.drop_request)(verb="patch")
    with pytest.raises((http.client.HTTPException, OSError)):
        client.call("PATCH", V1 + "/scale", SCALE, "application/merge-patch+json")
    assert v1.get("replicationcontrollers", "my-web-v1")["spec"]["replicas"] == (2 if acts else 1)
    assert v1.writes()[-1].status is None


def test_half_an_answer(v1, client):
    v1.faults.drop_answer(half=True)
    reply = client.send("GET", V1)
    assert not reply.whole and b"my-web-v1" in reply.body


def test_delay(v1, client):
    v1.faults.delay(0.2, acted=True, verb="update")
    start = time.monotonic()
    done = threading.Thread(target=client.call, args=("PUT", V1 + "/scale", SCALE))
    done.start()
    v1.wait(lambda: v1.get("replicationcontrollers", "my-web-v1")["spec"]["replicas"] == 2)
    done.join(10)
    assert time.monotonic() - start >= 0.2


def test_watches_end(v1):
    both = [Watcher(v1, RCS + "?watch=1"), Watcher(v1, "/api/v1/pods?watch=1")]
    both[0].wait(1), both[1].wait(1)
    v1.faults.cut_watches()
    assert [w.ended.wait(10) and w.end for w in both] == ["abrupt", "abrupt"]
    v1.faults.cut_watch(after=2, clean=True)
    one = Watcher(v1, RCS + "?watch=1")
    v1.scale("my-web-v1", 3)
    assert one.ended.wait(10) and one.end == "clean" and [x["type"] for x in one.lines] == ["ADDED", "MODIFIED"]


def test_watches_slow_and_silent(v1):
    v1.faults.slow_watch(step=100, pause=0.002)
    slow = Watcher(v1, RCS + "?watch=1")
    assert slow.wait(1)["object"]["metadata"]["name"] == "my-web-v1" and slow.pieces > 3
    v1.faults.silent_watch()
    silent = Watcher(v1, RCS + "?watch=1")
    v1.scale("my-web-v1", 2)
    slow.wait(2)
    v1.faults.cut_watches()
    assert silent.ended.wait(10) and silent.lines == []


def test_too_old(v1):
    version = v1.get("replicationcontrollers", "my-web-v1")["metadata"]["resourceVersion"]
    v1.faults.expire_history()
    one = Watcher(v1, f"{RCS}?watch=1&resourceVersion={version}")
    assert one.ended.wait(10) and one.end == "clean"
    assert one.lines[0]["type"] == "ERROR" and one.lines[0]["object"]["reason"] == "Expired"
    v1.faults.expired_watch()
    one = Watcher(v1, RCS + "?watch=1")
    assert one.ended.wait(10) and one.lines[0]["object"]["code"] == 410


def test_bookmarks(v1):
    v1.options.second_s = 0.05
    one = Watcher(v1, f"{RCS}?watch=1&allowWatchBookmarks=true&timeoutSeconds=20")
    one.wait(1)
    v1.faults.bookmark()
    mark = one.wait(2)
    assert mark["type"] == "BOOKMARK" and mark["object"]["metadata"] == {
        "resourceVersion": str(v1.store.version), "creationTimestamp": None}
    assert one.ended.wait(10) and [x["type"] for x in one.lines] == ["ADDED", "BOOKMARK", "BOOKMARK"] and one.end == "clean"


def test_away_and_restarted(v1, client):
    old = v1.get("replicationcontrollers", "my-web-v1")["metadata"]["resourceVersion"]
    one = Watcher(v1, RCS + "?watch=1")
    v1.faults.away()
    assert one.ended.wait(10) and one.end == "abrupt"
    with pytest.raises(ConnectionRefusedError):
        client.call("GET", V1)
    v1.faults.back()
    assert client.call("GET", V1)[0] == 200
    v1.scale("my-web-v1", 2)
    v1.faults.restart()
    one = Watcher(v1, f"{RCS}?watch=1&resourceVersion={old}")
    assert one.ended.wait(10) and one.lines[0]["object"]["message"].startswith(f"too old resource version: {old} (")
    one = Watcher(v1, f"{RCS}?watch=1&resourceVersion={v1.store.version}")
    v1.scale("my-web-v1", 1)
    assert one.wait(1)["type"] == "MODIFIED"


def test_paused_controllers(v1, client):
    v1.faults.pause_controllers()
    client.call("PUT", V1 + "/scale", {"spec": {"replicas": 3}})
    assert client.call("GET", V1)[1]["status"]["observedGeneration"] == 1
    v1.faults.resume_controllers()
    v1.settle("my-web-v1")
    assert v1.replicas_of("my-web-v1") == (3, 3, 3)


def test_a_hook_at_the_second_write(v1, client):
    seen = []
    v1.on_write(2, lambda entry: seen.append((entry.name, entry.body)))
    client.call("PUT", V1 + "/scale", {"spec": {"replicas": 2}})
    client.call("GET", V1)
    assert seen == []
    client.call("PUT", V1 + "/scale", {"spec": {"replicas": 3}})
    v1.wait(lambda: seen)
    assert seen == [("my-web-v1", {"spec": {"replicas": 3}})]


def test_a_write_held_before_its_answer(v1, client):
    hook = v1.on_write(1, when="acted", verb="update")
    thread = threading.Thread(target=client.call, args=("PUT", V1 + "/scale", SCALE))
    thread.start()
    assert hook.reached.wait(10) and v1.get("replicationcontrollers", "my-web-v1")["spec"]["replicas"] == 2
    assert thread.is_alive()
    hook.release()
    thread.join(10)
    assert not thread.is_alive()


def test_the_log(v1, client):
    client.call("GET", V1)
    client.call("PUT", V1 + "/scale?dryRun=All", SCALE)
    assert v1.writes() == [] and len(v1.requests()) == 2
    client.call("PUT", V1 + "/scale", SCALE)
    v1.log.wait(lambda entries: len(entries) == 3)
    assert [e.what for e in v1.writes(resource="replicationcontrollers/scale")] == \
        ["update replicationcontrollers/scale my-web-v1"]
    assert v1.requests(verb="get")[0].status == 200
    v1.log.clear()
    assert v1.requests() == []


def test_a_stand_in_in_a_process_is_driven_over_http(tmp_path):
    here = os.path.dirname(os.path.abspath(__file__))
    victim = subprocess.Popen(["sleep", "60"])
    process = subprocess.Popen([sys.executable, os.path.join(here, "standin.py"), "--kubeconfig", str(tmp_path / "config")],
                               stdout=subprocess.PIPE, text=True)
    try:
        port = int(process.stdout.readline().strip().rsplit(":", 1)[1])

        def call(method, path, data=None):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request(method, path, None if data is None else json.dumps(data))
            reply = connection.getresponse()
            out = reply.status, json.loads(reply.read())
            connection.close()
            return out

        rule = {"act": "status", "code": 409, "times": 1, "match": {"verb": "create"}}
        assert call("POST", "/standin/faults", rule)[1]["id"] == 1
        rc = {"metadata": {"name": "a"}, "spec": {"template": {"metadata": {"labels": {"a": "b"}}, "spec": {
            "containers": [{"name": "c", "image": "c:1"}]}}}}
        assert call("POST", RCS, rc)[0] == 409
        call("POST", "/standin/kill", {"pid": victim.pid, "after": 1, "when": "acted"})
        assert call("POST", RCS, rc)[0] == 201
        assert victim.wait(10) == -signal.SIGKILL
        assert [e["what"] for e in call("GET", "/standin/writes")[1]["requests"]] == ["create replicationcontrollers"] * 2
        assert call("POST", "/standin/do", {"do": "nothing"})[0] == 400
        assert call("POST", "/standin/do", {"do": "cut_watches"})[0] == 200
    finally:
        victim.kill()
        victim.wait()
        process.terminate()
        assert process.wait(10) == 0
