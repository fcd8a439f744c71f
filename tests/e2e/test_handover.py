"""SIGUSR2: a new process takes the listening sockets over, and nobody notices.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import re
import signal
import ssl
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import rig
from certificates import as_config
from rig import QUICK, route, wait_until
from test_lifecycle import in_flight
from test_upgrade import echo, is_alive, open_tunnel, stay_alive


def test_a_new_process_takes_over(serin, v1):
    proxy = serin(route(v1.address), workers=2)
    address, first = proxy.address, proxy.process.pid
    with proxy.client() as kept, ThreadPoolExecutor(1) as pool:     # one that does not pause, who may have been idle for too long
        assert kept.ask().status == 200
        handing = pool.submit(proxy.hand_over)
        answer = wait_until(lambda: (a := kept.ask()) and (a.status != 200 or a.get("connection") == "close") and a, 30, "the last answer")
        assert answer.status == 200 and kept.is_closed()
        old = handing.result(20)
    assert old.pid == first and old.wait(10) == 0
    assert proxy.address == address and proxy.ask().body == b"v1"
    assert proxy.status()["state"] == "STABLE" and proxy.process.poll() is None


def hand_over_under(proxy, crowds, times):
    """So many hand-overs in a row, each once there was traffic behind the one before."""
    for _ in range(times):
        proxy.hand_over()
        before = requests(proxy)
        wait_until(lambda: requests(proxy) > before + 500 or all(c.is_done() for c in crowds), 30, "traffic at the new process")


def hand_over_until_done(proxy, crowds):
    """Without a pause, until all 100000 requests have been asked: none has failed."""
    handed = 0
    while not all(c.is_done() for c in crowds):
        hand_over_under(proxy, crowds, 1)
        handed += 1
    counts = [c.wait() for c in crowds]
    assert all(c["failed"] == 0 for c in counts) and sum(c["requests"] for c in counts) == 100000, counts
    assert handed >= 5


def requests(proxy):
    return proxy.metrics().sum("serin_responses_total")


def check(crowds, least):
    counts = [c.end() for c in crowds]
    assert all(c["failed"] == 0 for c in counts), counts
    assert sum(c["requests"] for c in counts) >= least, counts
    return counts


def test_no_request_is_lost(serin, shop, askers):
    proxy = serin(route(shop("v1").address), workers=2)
    crowds = [askers(proxy.address, keeps=True), askers(proxy.address, keeps=False)]
    hand_over_under(proxy, crowds, 5)
    kept, _ = check(crowds, 2500)
    assert kept["closes"] >= 16             # every kept connection went to the new process


@pytest.mark.load
def test_no_request_of_100000_is_lost(serin, shop, askers):
    proxy = serin(route(shop("v1").address), workers=2)
    crowds = [askers(proxy.address, keeps=True, threads=32, requests=60000),
              askers(proxy.address, keeps=False, threads=32, requests=40000)]
    hand_over_until_done(proxy, crowds)


def test_who_waits_for_a_rollout_goes_on_waiting(serin, v1, v2):
    """A command that asks the admin port again and again, and one that follows its events."""
    plan = {"steps": ["50%", "100%"], "hold": "5m", "max_hold": "10m"}
    proxy = serin(route(v1.address, v2.address, rollout=plan))
    proxy.cli("start", "web")
    proxy.at_weight(50)
    words = [rig.SERIN, "wait", "web", "--timeout", "1m"], [rig.SERIN, "status", "web", "--watch"]
    waiting = [subprocess.Popen(w, env={**os.environ, "SERIN_ADMIN": proxy.admin_url}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True, preexec_fn=rig.die_with_me) for w in words]
    try:
        for _ in range(3):
            proxy.hand_over().wait(10)
            end = time.monotonic() + 1.2        # as often as they ask
            wait_until(lambda: time.monotonic() > end or any(w.poll() is not None for w in waiting))
        proxy.cli("abort", "web")
        out, _ = waiting[0].communicate(timeout=20)
        assert waiting[0].returncode == 4, out
        assert waiting[1].poll() in (None, 4)
    finally:
        for w in waiting:
            w.kill()
            w.wait()


# --- TLS ---

@pytest.fixture
def secure(serin, authority, shop):
    def make(**more):
        listener = {"bind": "127.0.0.1:0", "tls": {"certificates": as_config(authority.server())}}
        return serin(route(shop("v1").address), workers=2, listeners=[listener], **more)
    return make


def test_no_request_is_lost_over_tls(secure, askers):
    """Sessions that the old process has begun are resumed by the new one: it has the keys of the tickets."""
    proxy = secure()
    crowds = [askers(proxy.address, keeps=True, threads=8, tls=True), askers(proxy.address, keeps=False, threads=4, tls=True)]
    hand_over_under(proxy, crowds, 4)
    kept, once = check(crowds, 2000)
    assert kept["resumed"] == kept["connections"] - 8 and once["resumed"] == once["connections"] - 4, (kept, once)


@pytest.mark.load
def test_no_request_of_100000_is_lost_over_tls(secure, askers):
    proxy = secure()
    crowds = [askers(proxy.address, keeps=True, threads=32, requests=80000, tls=True),
              askers(proxy.address, keeps=False, threads=16, requests=20000, tls=True)]
    hand_over_until_done(proxy, crowds)


def test_new_certificates_come_with_the_new_process(secure, authority):
    proxy = secure()
    new = authority.server("new")
    before = served_certificate(proxy)
    proxy.config["listeners"][0]["tls"]["certificates"] = as_config(new)
    proxy.write()
    proxy.hand_over()           # the old process may accept for a moment yet
    wait_until(lambda: served_certificate(proxy) != before, 10, "the new certificate")


def served_certificate(proxy):
    host, _, port = proxy.address.rpartition(":")
    return ssl.get_server_certificate((host, int(port)))


# --- WebSockets ---

@pytest.fixture
def chat(v1, v2):
    v1.answer = v2.answer = echo
    return v1, v2


def tunnels_alive(clients):
    return all(is_alive(c) for c in clients)


def test_websockets_go_on_in_the_old_process(serin, chat, askers):
    proxy = serin(route(chat[0].address), workers=2)
    first = [open_tunnel(proxy) for _ in range(5)]
    one = proxy.hand_over()
    second = [open_tunnel(proxy) for _ in range(5)]
    two = proxy.hand_over()
    crowd = askers(proxy.address, keeps=False, threads=4)
    wait_until(lambda: requests(proxy) > 200, 20, "traffic")
    assert tunnels_alive(first + second) and one.poll() is None and two.poll() is None
    check([crowd], 200)
    for c in first:
        c.close()
    assert one.wait(10) == 0 and tunnels_alive(second) and two.poll() is None
    proxy.process.terminate()           # the newest one's end is theirs, in the time of a drain
    assert tunnels_alive(second)
    wait_until(lambda: two.poll() is not None and proxy.process.poll() is not None, 10, "the end of all")
    assert all(c.is_closed() for c in second)


def test_a_tunnel_stays_no_longer_than_it_may(serin, chat):
    proxy = serin(route(chat[0].address), timeouts={"handover": "1500ms", "drain": "800ms"})
    c = open_tunnel(proxy)
    began = time.monotonic()
    old = proxy.hand_over()
    stay_alive([c], began + 1.2 - time.monotonic())
    assert c.is_closed() and old.wait(10) == 0


def test_a_request_stays_no_longer_than_a_drain(serin, v1):
    """Beside a tunnel, which has an hour."""
    proxy = serin(route(v1.address), timeouts={"drain": "500ms"})
    v1.answer = echo
    tunnel = open_tunnel(proxy)
    waiting = in_flight(proxy, v1)
    old = proxy.hand_over()
    assert waiting.is_closed() and is_alive(tunnel) and old.poll() is None
    assert " drain_cut " in proxy.log()
    tunnel.close()
    assert old.wait(10) == 0


def test_an_abort_reaches_the_old_processes(serin, chat):
    """Two hand-overs back: the canary's tunnels are closed there, too, and those of stable stay."""
    plan = {"steps": ["50%", "100%"], "hold": "5m", "max_hold": "10m"}
    proxy = serin(route(*[v.address for v in chat], rollout=plan, override={"header": "X-Canary"}), timeouts={"drain": "600ms"})
    proxy.cli("start", "web")
    proxy.at_weight(50)
    stable, canary = open_tunnel(proxy, "X-Canary: never\r\n"), open_tunnel(proxy, "X-Canary: always\r\n")
    assert (stable.version, canary.version) == ("v1", "v2")
    olds = [proxy.hand_over(), proxy.hand_over()]
    stay_alive([stable, canary], 1)
    proxy.cli("abort", "web")
    assert canary.is_closed() and is_alive(stable) and olds[0].poll() is None


def test_the_end_of_the_new_process_takes_the_canary_from_the_old(serin, chat):
    plan = {"steps": ["50%", "100%"], "hold": "5m", "max_hold": "10m"}
    proxy = serin(route(*[v.address for v in chat], rollout=plan, override={"header": "X-Canary"}), timeouts={"drain": "600ms"},
                  expect=None)
    proxy.cli("start", "web")
    proxy.at_weight(50)
    canary = open_tunnel(proxy, "X-Canary: always\r\n")
    old = proxy.hand_over()
    assert is_alive(canary)
    proxy.process.kill()
    assert canary.is_closed() and old.wait(10) == 0
    assert " newer_process_ended " in proxy.log()


def test_no_more_processes_than_that_are_left_behind(serin, v1):
    """Each has a tunnel."""
    v1.answer = echo
    proxy = serin(route(v1.address))
    clients = []
    for _ in range(8):
        clients.append(open_tunnel(proxy))
        proxy.hand_over()
    assert all(is_alive(c) for c in clients)
    proxy.process.send_signal(signal.SIGUSR2)
    wait_until(lambda: " handover_refused " in proxy.log(), 10, "the refusal")
    clients[3].close()
    proxy.olds[3].wait(10)
    wait_until(lambda: " older_process_ended left=7 " in proxy.log(), 10, "one less")
    proxy.hand_over()
    assert proxy.ask(headers={"X-Plain": "1"}).status == 200


# --- rollouts ---

def judged(proxy):
    return {v["name"]: v["requests"] for v in proxy.status()["versions"]}


def lock_holders(proxy):
    """Who holds the lock of the route's record, as the kernel tells it."""
    inode = os.stat(os.path.join(proxy.config["state_dir"], "web.lock")).st_ino
    with open("/proc/locks") as f:
        rows = [line.split() for line in f]
    return [int(row[4]) for row in rows if row[5].endswith(f":{inode}")]


def record(proxy):
    with open(os.path.join(proxy.config["state_dir"], "web.json")) as f:
        return json.load(f)


def test_a_rollout_goes_on_where_it_was(serin, shop, askers):
    """Step, run and evidence: each request that was asked within the step is judged, whoever counted it."""
    plan = {"steps": ["30%", "100%"], "hold": "5m", "max_hold": "10m"}
    proxy = serin(route(shop("v1").address, shop("v2").address, rollout=plan), workers=2)
    proxy.cli("start", "web")
    proxy.at_weight(30)
    run, epoch = proxy.status()["rollout_id"], record(proxy)["epoch"]
    crowds = [askers(proxy.address, keeps=k, threads=8, requests=4000) for k in (True, False)]
    for n in range(1, 5):
        proxy.hand_over()
        status = proxy.status()
        assert (status["rollout_id"], status["weight"]["intended"], status["step"]) == (run, 30, 1)
        assert lock_holders(proxy) == [proxy.process.pid] and record(proxy)["epoch"] == epoch + n
        before = sum(judged(proxy).values())
        wait_until(lambda: sum(judged(proxy).values()) > before or all(c.is_done() for c in crowds), 10, "a tick")
    asked = sum(c.wait()["requests"] for c in crowds)
    assert all(c.counts["failed"] == 0 for c in crowds)
    wait_until(lambda: sum(judged(proxy).values()) == asked, 10, f"all {asked} requests being judged: {judged(proxy)}")
    assert 0.25 < judged(proxy)["v2"] / asked < 0.35
    moves = re.findall(r" rollout_move (.*)", proxy.log())
    assert len(moves) == len(set(moves))        # none was made twice


@pytest.mark.load
def test_a_whole_rollout_over_hand_overs(serin, shop, users):
    plan = {**QUICK, "start": "auto"}
    # with that time an idle connection is not closed before 5 s: no user's pause is as long, so that none crosses the end
    proxy = serin(route(shop("v1").address, shop("v2").address, rollout=plan), workers=2, timeouts={"drain": "30s"})
    crowd = users(proxy.address, users=100, rate=800)
    weights, handed = [], 0

    def is_over():
        status = proxy.status()
        if status["result"] == "completed":
            return True
        if not weights or weights[-1] != status["weight"]["intended"]:
            weights.append(status["weight"]["intended"])
        return False
    while not is_over():
        proxy.hand_over()
        handed += 1
        end = time.monotonic() + 3
        wait_until(lambda: is_over() or time.monotonic() > end, 10)
        assert handed < 40, proxy.status()
    counts = crowd.stop()
    assert weights == sorted(weights) and handed >= 3, (weights, handed)
    assert counts["failed"] == 0
    assert proxy.log().count(" to=COMPLETED ") == 1
