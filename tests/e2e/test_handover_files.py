"""A hand-over with another file: workers, listeners, the admin port; files of UNIX sockets; what was known of endpoints.

SPDX-License-Identifier: Apache-2.0
"""
import os
import signal
import time

import pytest

from cluster import leader_of, reach
from name_server import NameServer
from rig import ask, is_alive, route, wait_until


def requests(proxy):
    return proxy.metrics().sum("serin_responses_total")


def threads(pid):
    return len(os.listdir(f"/proc/{pid}/task"))


def test_workers_come_and_go(serin, shop, askers):
    """Each listening socket has a queue of its own, and none may be left without a worker."""
    proxy = serin(route(shop("v1").address), workers=1)
    crowds = [askers(proxy.address, keeps=k, threads=8) for k in (False, True)]
    for workers in (3, 2, 4, 1):
        proxy.config["workers"] = workers
        proxy.write()
        old = proxy.hand_over()
        assert threads(proxy.process.pid) == 1 + workers
        old.wait(10)
        before = requests(proxy)
        wait_until(lambda: requests(proxy) > before + 300, 20, "traffic")
    counts = [c.end() for c in crowds]
    assert all(c["failed"] == 0 for c in counts), counts


def test_listeners_come_and_go(serin, v1, free_port):
    proxy = serin(route(v1.address), listeners=[{"bind": "127.0.0.1:0"}, {"bind": "127.0.0.1:0"}])
    one, two = proxy.addresses()
    proxy.config["listeners"] = [{"bind": f"127.0.0.1:{free_port}"}, {"bind": "127.0.0.1:0"}]
    proxy.write()
    proxy.hand_over().wait(10)
    assert ask(one).status == ask(f"127.0.0.1:{free_port}").status == 200       # two of one text: in their order
    with pytest.raises(ConnectionRefusedError):
        ask(two)


def test_the_admin_port_moves(serin, v1, free_port):
    proxy = serin(route(v1.address))
    before = proxy.admin
    proxy.config["admin"] = {"bind": f"127.0.0.1:{free_port}"}
    proxy.write()
    proxy.hand_over().wait(10)
    host = f"127.0.0.1:{free_port}"
    assert ask(host, target="/readyz", host=host).status == 200
    with pytest.raises(ConnectionRefusedError):
        ask(before)


def test_files_of_unix_sockets_stay(serin, v1, tmp_path):
    web, admin = tmp_path / "web", tmp_path / "admin"
    proxy = serin(route(v1.address), workers=2, listeners=[{"bind": f"unix:{web}"}], admin={"bind": f"unix:{admin}"})
    inodes = [os.stat(f).st_ino for f in (web, admin)]
    for _ in range(2):
        proxy.hand_over().wait(10)
        assert [os.stat(f).st_ino for f in (web, admin)] == inodes
        assert [proxy.ask().body for _ in range(10)] == [b"v1"] * 10 and proxy.status()["state"] == "STABLE"
    proxy.stop()
    assert not web.exists() and not admin.exists()


def test_a_unix_listener_that_is_given_up(serin, v1, tmp_path):
    path = tmp_path / "web"
    proxy = serin(route(v1.address), listeners=[{"bind": "127.0.0.1:0"}, {"bind": f"unix:{path}"}])
    proxy.config["listeners"].pop()
    proxy.write()
    proxy.hand_over().wait(10)
    assert not path.exists() and proxy.ask().status == 200


def test_what_a_reload_could_not_change_and_routes(serin, backend):
    """The new process has read the file as it is: all of it holds."""
    a, b = backend("a"), backend("b")
    proxy = serin([{**route(a.address), "name": "a"}])
    proxy.config["routes"] = [{**route(b.address), "name": "b"}]
    proxy.write()
    proxy.hand_over()           # the old process may accept for a moment yet
    wait_until(lambda: proxy.ask().body == b"b", 10, "the new process's route")


def test_names_are_known_at_once(serin, cleanup, backend):
    """The name server is gone: the new process serves from the addresses that the old one had."""
    names = NameServer()
    cleanup.append(names.stop)
    v1 = backend("v1")
    port = v1.address.rpartition(":")[2]
    names.set("web.test", ["127.0.0.1"])
    proxy = serin(route(f"dns:web.test:{port}"), dns={"servers": [names.address], "timeout": "5s"})
    wait_until(lambda: proxy.ask().status == 200, 10, "the name being found")
    names.set("web.test", lambda question: b"")
    proxy.hand_over()
    assert [proxy.ask().status for _ in range(20)] == [200] * 20


def test_a_sick_endpoint_stays_out(serin, backend):
    """What its checks have found goes over: no request finds out again."""
    well, sick = backend("v1"), backend("v1")
    sick.answer = lambda c, r: c.send(b"HTTP/1.1 503 Sick\r\nContent-Length: 0\r\n\r\n")
    proxy = serin(route([well.address, sick.address], health={"path": "/healthz", "interval": "200ms", "fall": 2}, retry={"max": 0}))
    wait_until(lambda: proxy.metrics().sum("serin_endpoint_up", endpoint=sick.address) == 0, 10, "the endpoint being down")
    proxy.hand_over()
    assert [proxy.ask().status for _ in range(30)] == [200] * 30


def test_an_open_breaker_stays_open(serin, v1, v2):
    v2.answer = lambda c, r: c.send(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
    proxy = serin(route(v1.address, v2.address, weight="50%", breaker={"min_requests": 5, "retry_after": "5m"}))
    wait_until(lambda: [proxy.ask().status for _ in range(20)] == [200] * 20, 10, "the breaker being open")
    proxy.hand_over()
    assert [proxy.ask().status for _ in range(40)] == [200] * 40


# --- the other ways to change or end a process ---

def test_hup_under_load(serin, shop, askers):
    one, two = shop("v1"), shop("v1")
    proxy = serin(route(one.address), workers=2)
    crowds = [askers(proxy.address, keeps=k, threads=8) for k in (True, False)]
    for n in range(10):
        proxy.config["routes"] = [route((one, two)[n % 2].address)]
        proxy.write()
        before, reloads = requests(proxy), proxy.metrics().sum("serin_config_reloads_total")
        proxy.process.send_signal(signal.SIGHUP)
        wait_until(lambda: proxy.metrics().sum("serin_config_reloads_total") > reloads, 10, "the reload")
        wait_until(lambda: requests(proxy) > before + 100, 10, "traffic")
    counts = [c.end() for c in crowds]
    assert all(c["failed"] == 0 and c["requests"] > 500 for c in counts), counts


@pytest.mark.parametrize("keeps", [True, False])
def test_a_stop_under_load_answers_whoever_is_connected(serin, shop, askers, keeps):
    """Nobody is accepted any more: that is the only failure."""
    for _ in range(3):
        proxy = serin(route(shop("v1").address), timeouts={"drain": "10s"})
        crowd = askers(proxy.address, keeps=keeps, threads=16)
        wait_until(lambda: requests(proxy) > 500, 20, "traffic")
        proxy.stop()
        counts = crowd.end()
        assert counts["connect"] == counts["failed"], str(counts)


def test_a_stop_with_idle_connections_is_quick(serin, v1):
    proxy = serin(route(v1.address), timeouts={"drain": "30s"})
    idle = [proxy.client() for _ in range(20)]
    for c in idle:
        assert c.ask().status == 200
    began = time.monotonic()
    proxy.stop()                        # 5 s of patience, and one for those who do not look
    assert time.monotonic() - began < 15


def test_every_process_ends_with_the_newest(serin, v1):
    proxy = serin(route(v1.address), timeouts={"drain": "1s"})
    waiting = []
    for _ in range(3):
        waiting.append(proxy.client())
        waiting[-1].send("GET / HTTP/1.1\r\nHost: a\r\n")     # a head that is not whole: as long as a drain
        proxy.hand_over()
    olds = [o.pid for o in proxy.olds]
    proxy.stop()
    assert not any(is_alive(pid) for pid in olds)


@pytest.mark.long
def test_the_lease_and_the_pods(cluster, proxies, users):
    """On Kubernetes: the old process lets go of the lease, the new one takes it and goes on with the record; pods are known at once."""
    proxy, = proxies(1)
    crowd = users(proxy.address, users=20, rate=150)
    proxy.cli("start", "my-web")
    reach(proxy, "ANALYZING", weight=25)
    run = proxy.status("my-web")["rollout_id"]
    proxy.hand_over()
    assert [proxy.ask().status for _ in range(20)] == [200] * 20
    leader_of([proxy])
    status = proxy.status("my-web")
    assert status["rollout_id"] == run and status["weight"]["intended"] >= 25
    reach(proxy, "STABLE", 90)
    counts = crowd.stop()
    assert counts["failed"] == 0 and proxy.status("my-web")["stable"] == "v2"
