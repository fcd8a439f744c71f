"""Endpoints that are names: looked up, looked up again, and kept over every way in which the DNS can fail.

SPDX-License-Identifier: Apache-2.0
"""
import os
import signal
import socket
import threading
import time

import pytest

import rig
from backends import Backend
from name_server import NXDOMAIN, REFUSED, SERVFAIL, NameServer
from rig import route, run_serin, wait_until

TRUNCATED = 0x0200


@pytest.fixture
def names(cleanup):
    made = NameServer()
    cleanup.append(made.stop)
    return made


@pytest.fixture
def at(cleanup, free_port):
    """Backends on addresses of their own and one port, as a name wants them: at("127.0.0.2") names itself by its address."""
    def make(host, version=None):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        made = Backend(version or host, family=family, host=host, port=free_port)
        cleanup.append(made.stop)
        return made
    make.port = free_port
    return make


@pytest.fixture
def proxy(serin, names):
    """serin that asks the name server of this test. timeout: short where it is silent, or else no question is to be sent twice."""
    def make(routes, servers=None, timeout="5s", **more):
        return serin(routes, dns={"servers": servers or [names.address], "timeout": timeout}, **more)
    return make


def looked_up(proxy, result):
    return proxy.metrics().sum("serin_dns_lookups_total", result=result)


def endpoints(proxy, version="v1"):
    return {labels["endpoint"] for name, labels, _ in proxy.metrics().samples
            if name == "serin_endpoint_up" and labels["version"] == version}


def served_by(proxy, n=40):
    return {proxy.ask().body.decode() for _ in range(n)}


def moves_to(proxy, *hosts):
    wait_until(lambda: served_by(proxy, 8) == set(hosts), 20, f"requests going to {hosts}")


def test_two_names(proxy, names, at):
    at("127.0.0.2"), at("127.0.0.3")
    names.set("one.test", ["127.0.0.2"])
    names.set("two.test", ["127.0.0.3"])
    web = proxy(route([f"dns:one.test:{at.port}", f"dns:two.test:{at.port}"]))
    assert served_by(web) == {"127.0.0.2", "127.0.0.3"}
    assert endpoints(web) == {f"127.0.0.2:{at.port}", f"127.0.0.3:{at.port}"}
    assert web.status()["versions"][0]["endpoints"] == 2
    assert web.log().count(" name_found ") == 2


class Load:
    """Clients on kept connections, until it is stopped; what they got."""

    def __init__(self, proxy, clients=4):
        self.proxy, self.statuses, self.bodies, self.over = proxy, [], [], threading.Event()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(clients)]
        for t in self.threads:
            t.start()

    def run(self):
        with self.proxy.client() as c:
            while not self.over.is_set():
                answer = c.ask("POST", body=b"not to be tried again")
                self.statuses.append(answer.status)
                self.bodies.append(answer.body.decode())

    def stop(self):
        self.over.set()
        for t in self.threads:
            t.join(20)
        return self.statuses


def test_address_changes_under_load(proxy, names, at):
    backends = {host: at(host) for host in ("127.0.0.2", "127.0.0.3", "127.0.0.4")}
    names.set("web.test", ["127.0.0.2"])
    web = proxy(route(f"dns:web.test:{at.port}"), workers=2)
    load = Load(web)
    for host in ("127.0.0.3", "127.0.0.4", "127.0.0.2", "127.0.0.3"):
        names.set("web.test", [host])
        wait_until(lambda: load.bodies[-1:] == [host], 20, f"requests going to {host}")
        wait_until(lambda: endpoints(web) == {f"{host}:{at.port}"}, 10, "one endpoint")
    # connections to an address that is gone are closed, so that what stood behind it can end
    wait_until(lambda: not backends["127.0.0.2"].open and not backends["127.0.0.4"].open, 10, "idle connections being closed")
    statuses = load.stop()
    assert set(statuses) == {200} and len(statuses) > 100
    assert web.metrics().sum("serin_request_errors_total") == 0
    assert "endpoints route=web version=v1 endpoints=1 added=1 gone=1" in web.log()


def test_time_to_live(proxy, names, at):
    """A name is asked for again by its time to live, but no more than once a second."""
    at("127.0.0.2")
    for name, ttl in (("long.test", 3600), ("none.test", 0), ("huge.test", 0x7fffffff)):
        names.set(name, lambda question, ttl=ttl: question.reply(["127.0.0.2"], ttl))
    began = time.monotonic()
    proxy(route([f"dns:{name}:{at.port}" for name in ("long.test", "none.test", "huge.test")]))
    wait_until(lambda: names.count("none.test", "A") >= 4, 20, "a name without a time to live being asked for")
    assert names.count("none.test", "A") <= 2 + (time.monotonic() - began)
    assert names.count("none.test", "AAAA") >= 3
    assert names.count("long.test", "A") == names.count("huge.test", "A") == 1


def garbage(question):
    return question.packet[:2] + b"\x81\x80" + b"\xff" * 60


def wrong_id(question):
    forged = [question.head(1, id=i) + question.record("127.0.0.9", 60) for i in range(200) if i != question.id]
    return [*forged, question.head(0, rcode=NXDOMAIN)]


def other_question(question):
    packet = question.reply(["127.0.0.9"], 60)
    return packet.replace(packet[13:16], b"zzz", 1)


FAILURES = {  # name: (what the name server says, the result that is counted)
    "nxdomain": (NXDOMAIN, "not_found"),
    "empty": ([], "not_found"),
    "servfail": (SERVFAIL, "timeout"),
    "refused": (REFUSED, "error"),
    "silence": (lambda question: None, "timeout"),
    "truncated": (lambda question: question.reply(["127.0.0.9"], flags=TRUNCATED), "truncated"),
    "garbage": (garbage, "error"),
    "short": (lambda question: question.packet[:2] + b"\x81", "timeout|error"),
    "other-question": (other_question, "error"),
    "wrong-id": (wrong_id, "not_found"),
    "nobody": (["0.0.0.0", "255.255.255.255", "224.0.0.1", "::", "ff02::1", "fe80::1", "::ffff:127.0.0.9"], "not_found"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_failure_keeps_what_is_known(proxy, names, at, name):
    what, result = FAILURES[name]
    at("127.0.0.2"), at("127.0.0.3")
    names.set("web.test", ["127.0.0.2"])
    web = proxy(route(f"dns:web.test:{at.port}"), timeout="200ms")
    before = looked_up(web, result)
    names.set("web.test", what)
    wait_until(lambda: looked_up(web, result) >= before + 2, 30, f"two look-ups with {result}")
    assert served_by(web, 5) == {"127.0.0.2"} and endpoints(web) == {f"127.0.0.2:{at.port}"}
    assert web.log().count(" name_not_found ") == 1, "one line, not one a look-up"
    assert "kept=1" in web.log()
    assert 'serin_dns_answer_age_seconds{name="web.test"} ' in web.metrics().text
    names.set("web.test", ["127.0.0.3"])
    moves_to(web, "127.0.0.3")
    assert web.log().count(" name_found ") == 2


def test_name_server_goes_and_comes_back(serin, at, cleanup):
    """Nobody listens there any more: nothing else happens to those that are served."""
    at("127.0.0.2"), at("127.0.0.3")
    first = NameServer()
    first.set("web.test", ["127.0.0.2"])
    web = serin(route(f"dns:web.test:{at.port}"), dns={"servers": [first.address], "timeout": "100ms"})
    first.stop()
    wait_until(lambda: looked_up(web, "timeout") >= 2, 30, "look-ups without an answer")
    assert served_by(web, 5) == {"127.0.0.2"}
    second = NameServer()
    cleanup.append(second.stop)
    second.set("web.test", ["127.0.0.3"])
    web.config["dns"]["servers"] = [first.address, second.address]
    web.write()
    web.cli("reload")       # applies to the next question
    moves_to(web, "127.0.0.3")


def test_never_found(proxy, names, at):
    """503 from a version without endpoints, and not ready, but all else works."""
    at("127.0.0.2")
    web = proxy([route(f"dns:web.test:{at.port}")], start=False)
    web.start(ready=False)
    wait_until(lambda: rig.ADMIN.search(web.log()) and web.addresses(), 10, "serin listening")
    assert web.ask().status == 503
    wait_until(lambda: looked_up(web, "not_found") >= 1, 20, "a look-up")
    assert web.ask().status == 503
    assert rig.ask(web.admin, target="/readyz", host=web.admin).status == 503
    assert rig.ask(web.admin, target="/healthz", host=web.admin).status == 200
    assert "no endpoint of v1 is available: requests are answered 503" in web.status()["why"]
    names.set("web.test", ["127.0.0.2"])
    wait_until(web.is_ready, 20, "serin being ready")
    assert web.ask().body == b"127.0.0.2"


def test_canary_that_is_not_found_gets_nobody(proxy, names, at):
    at("127.0.0.2", "v1"), at("127.0.0.3", "v2")
    names.set("stable.test", ["127.0.0.2"])
    web = proxy(route(f"dns:stable.test:{at.port}", f"dns:canary.test:{at.port}", weight="100%"))      # ready without it
    assert served_by(web, 10) == {"v1"}
    names.set("canary.test", ["127.0.0.3"])
    moves_to(web, "v2")


def test_mixed_with_addresses(proxy, names, at):
    """The union: what a name has in common with the list is there once, and stays when the name moves away."""
    for host in ("127.0.0.2", "127.0.0.3", "127.0.0.4"):
        at(host)
    names.set("web.test", ["127.0.0.3", "127.0.0.2", "127.0.0.3"])
    web = proxy(route([f"127.0.0.2:{at.port}", f"dns:web.test:{at.port}", f"dns:WEB.test.:{at.port}"]))
    assert endpoints(web) == {f"127.0.0.2:{at.port}", f"127.0.0.3:{at.port}"}
    assert web.status()["versions"][0]["endpoints"] == 2
    names.set("web.test", ["127.0.0.4"])
    moves_to(web, "127.0.0.2", "127.0.0.4")
    assert endpoints(web) == {f"127.0.0.2:{at.port}", f"127.0.0.4:{at.port}"}


def test_both_families(proxy, names, at):
    at("::1"), at("127.0.0.2")
    names.set("web.test", ["::1"])
    web = proxy(route(f"dns:web.test:{at.port}"))
    assert served_by(web, 5) == {"::1"} and endpoints(web) == {f"[::1]:{at.port}"}
    names.set("web.test", ["::1", "127.0.0.2"])
    moves_to(web, "::1", "127.0.0.2")
    names.set("web.test", ["127.0.0.2"])     # the name is there, and has no such address any more
    moves_to(web, "127.0.0.2")
    # one family cannot be asked for: the other moves on, and what is known of the first stays
    names.set("web.test", lambda question: question.reply(["::1"]) if question.type == "AAAA" else question.head(0, rcode=REFUSED))
    moves_to(web, "::1", "127.0.0.2")
    wait_until(lambda: looked_up(web, "error") >= 1, 10, "a look-up of which one half failed")
    assert endpoints(web) == {f"[::1]:{at.port}", f"127.0.0.2:{at.port}"}


def many(n):
    return lambda question: question.reply([f"127.0.{i // 250}.{i % 250 + 1}" for i in range(n)])


@pytest.mark.parametrize("n", [90, 4000])
def test_answer_of_very_many(proxy, names, at, n):
    """At most 32 addresses of a family; an answer beyond what evdns reads is none."""
    at("127.0.0.1")
    names.set("web.test", many(n))
    names.set("one.test", ["127.0.0.1"])
    web = proxy(route([f"dns:web.test:{at.port}", f"dns:one.test:{at.port}"]), start=False)
    web.start(ready=False)
    wait_until(lambda: rig.ADMIN.search(web.log()) and web.addresses(), 10, "serin listening")
    wait_until(lambda: web.status()["versions"][0]["endpoints"], 10, "endpoints")
    wait_until(lambda: names.count("web.test", "A") >= 2, 20, "a second look-up")
    assert web.status()["versions"][0]["endpoints"] <= 33
    wait_until(lambda: web.ask("POST", body=b"x").status == 200, 20, "an answer of the one that is there")


def test_reload(proxy, names, at):
    """From addresses to names and back: nobody notices, and what is not named any more is not asked for."""
    for host in ("127.0.0.2", "127.0.0.3", "127.0.0.4"):
        at(host)
    gate = threading.Event()

    def slow(question):
        gate.wait(20)
        return question.reply(["127.0.0.3"], 60)
    web = proxy(route(f"127.0.0.2:{at.port}"))
    load = Load(web)

    def take(*texts):
        web.config["routes"][0]["versions"]["v1"]["endpoints"] = [f"{text}:{at.port}" for text in texts]
        web.write()
        return web.cli("reload")
    names.set("slow.test", slow)
    assert f"endpoints: dns:slow.test:{at.port} (before: 127.0.0.2:{at.port})" in take("dns:slow.test")
    assert served_by(web, 5) == {"127.0.0.2"}, "what served before serves on until the name is found"
    assert rig.ask(web.admin, target="/readyz", host=web.admin).status == 200, "a reload does not take a service out"
    gate.set()
    moves_to(web, "127.0.0.3")
    names.set("fast.test", ["127.0.0.4"])
    take("dns:slow.test", "dns:fast.test")
    moves_to(web, "127.0.0.3", "127.0.0.4")
    assert names.count("slow.test", "A") == 1, "a name that stays is not asked for anew"
    take("dns:slow.test")
    moves_to(web, "127.0.0.3")
    asked = names.count("fast.test")
    take("127.0.0.2")
    assert served_by(web, 5) == {"127.0.0.2"}
    names.set("tick.test", ["127.0.0.4"])
    take("127.0.0.2", "dns:tick.test")
    wait_until(lambda: names.count("tick.test", "A") >= 3, 20, "two seconds passing")
    assert names.count("fast.test") == asked
    assert set(load.stop()) == {200}


def test_one_address_of_two_versions(proxy, names, at):
    """A name of the canary that leads to stable is no canary: whoever has the address keeps it."""
    at("127.0.0.2")
    names.set("web.test", ["127.0.0.2"])
    web = proxy(route(f"127.0.0.2:{at.port}", f"dns:web.test:{at.port}", weight="100%"))
    wait_until(lambda: "endpoint_shared" in web.log(), 10, "the line on it")
    assert web.ask().status == 200 and endpoints(web, "v2") == set()
    assert web.metrics().sum("serin_requests_total", version="v2") == 0


@pytest.mark.skipif(not any(line.split()[:1] == ["127.0.0.1"] and "localhost" in line.split() for line in open("/etc/hosts")),
                    reason="no localhost in /etc/hosts")
def test_hosts_file(proxy, names, at):
    at("127.0.0.1")
    web = proxy(route(f"dns:localhost:{at.port}"))
    assert served_by(web, 3) == {"127.0.0.1"}
    assert names.asked == []


def test_second_server(proxy, names, at, free_port):
    """A server that is silent is passed over."""
    at("127.0.0.2")
    names.set("web.test", ["127.0.0.2"])
    web = proxy(route(f"dns:web.test:{at.port}"), servers=[f"127.0.0.1:{free_port}", names.address], timeout="200ms")
    assert served_by(web, 3) == {"127.0.0.2"}


def test_stop_in_the_middle_of_questions(proxy, names, at):
    for i in range(40):     # more than are asked for at a time
        names.set(f"web{i}.test", lambda question: None)
    web = proxy(route([f"dns:web{i}.test:{at.port}" for i in range(40)]), start=False)
    web.start(ready=False)
    wait_until(lambda: len(names.asked) >= 32, 10, "questions")
    assert len({name for name, _ in names.asked}) <= 32
    os.kill(web.process.pid, signal.SIGTERM)
    assert web.process.wait(10) == 0


def test_same_name_for_both_versions(tmp_path):
    config = tmp_path / "serin.yaml"
    config.write_text("listeners: [{bind: '127.0.0.1:0'}]\nroutes:\n- name: web\n  stable: v1\n  versions:\n"
                      "    v1: {endpoints: ['dns:web.test:80', 'dns:web.test:81']}\n    v2: {endpoints: ['dns:WEB.test:80']}\n")
    done = run_serin("check", "-c", config)
    assert done.returncode == 78
    assert 'dns:WEB.test:80 is an endpoint of version "v1" too' in done.stderr
