"""Endpoints that fail, are slow, full, restarted: who still gets requests, for how long not, and what clients see of it.

SPDX-License-Identifier: Apache-2.0
"""
import re
import select
import threading
import time

import pytest

from backends import reply
from rig import Client, route, wait_until

QUIET = {"min_requests": 0}     # no breaker in the way
RETRIED_ALWAYS = 3              # users whose failures on one endpoint stay below the retries that are always allowed


def failing(kind):
    def answer(connection, request):
        if kind == "reset":
            connection.reset()
        connection.send(reply(int(kind), b"broken"))
    return answer


def events(proxy, name, **fields):
    """The log's lines of that event that have these fields."""
    lines = [line for line in proxy.log().splitlines() if f" {name} " in line]
    return [line for line in lines if all(f" {k}={v} " in line + " " for k, v in fields.items())]


def up(proxy, backend):
    return proxy.metrics().sum("serin_endpoint_up", endpoint=re.escape(backend.address))


class Load:
    """Clients that ask one request after another until they are told to stop. Counts their answers by status."""

    def __init__(self, address, clients, method="GET"):
        self.address, self.method, self.ending, self.counts = address, method, threading.Event(), {}
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(clients)]
        for t in self.threads:
            t.start()

    def run(self):
        client = None
        while not self.ending.is_set():
            try:
                client = client or Client(self.address)
                answer = client.ask(self.method)
                status = answer.status
                if answer.get("connection") == "close":
                    client.close()
                    client = None
            except (OSError, EOFError):
                status, client = "broken", None
            with self.lock:
                self.counts[status] = self.counts.get(status, 0) + 1
        if client:
            client.close()

    def total(self):
        with self.lock:
            return sum(self.counts.values())

    def await_more(self, n):
        goal = self.total() + n
        wait_until(lambda: self.total() >= goal, 20, f"{n} more answers")

    def stop(self):
        self.ending.set()
        for t in self.threads:
            t.join(15)
        return self.counts


@pytest.fixture
def load(cleanup):
    def make(*words, **more):
        made = Load(*words, **more)
        cleanup.append(made.stop)
        return made
    return make


@pytest.fixture
def three(backend):
    return [backend(name) for name in "abc"]


def addresses(backends):
    return [b.address for b in backends]


# --- passive ejection ---

@pytest.mark.parametrize("kind", ["500", "503", "reset"])
@pytest.mark.parametrize("workers", [1, 2])
def test_one_that_fails_is_ejected_and_comes_back_for_longer_and_longer(serin, three, load, kind, workers):
    a, b, c = three
    proxy = serin(route(addresses(three), eject={"consecutive": 5, "base": "1s"}, balance="round_robin"), workers=workers)
    assert {proxy.ask().status for _ in range(9)} == {200}
    seen = b.count() + c.count()
    a.answer = failing(kind)
    users = load(proxy.address, RETRIED_ALWAYS)
    wait_until(lambda: events(proxy, "endpoint_ejected", endpoint=a.address, failures=5, for_ms=1000), 10, "the ejection")
    assert up(proxy, a) == 0 and up(proxy, b) == up(proxy, c) == 1
    count = a.count()
    users.await_more(60)
    assert a.count() <= count + 4       # what was under way
    assert b.count() + c.count() >= seen + 60
    wait_until(lambda: events(proxy, "endpoint_ejected", endpoint=a.address, for_ms=2000), 10, "the second ejection")
    wait_until(lambda: events(proxy, "endpoint_returned", endpoint=a.address), 10, "the return")
    a.answer = a.plain
    wait_until(lambda: len(events(proxy, "endpoint_returned", endpoint=a.address)) == 2, 10, "the second return")
    count = a.count()
    wait_until(lambda: a.count() > count + 10, 10, "requests to it again")
    counts = users.stop()
    assert proxy.metrics().sum("serin_ejections_total", version="v1") == 2
    assert up(proxy, a) == 1
    if kind == "500":       # an answer like any other; of each row in which it failed the users had five and what was under way
        assert counts[500] <= 2 * 9 and set(counts) == {200, 500}
    else:                   # tried again at another endpoint
        assert set(counts) == {200}


def test_the_last_one_is_never_ejected(serin, backend):
    a, b = backend("a", answer=failing("500")), backend("b", answer=failing("500"))
    proxy = serin([route([a.address, b.address], eject={"consecutive": 2, "base": "60s", "max_ejected": "100%"}),
                   {**route(backend("c", answer=failing("500")).address, eject={"consecutive": 2}), "name": "one", "paths": ["/one"]}])
    with proxy.client() as c:
        assert {c.ask().status for _ in range(40)} == {500}
        assert {c.ask(target="/one").status for _ in range(10)} == {500}
    assert len(events(proxy, "endpoint_ejected")) == 1
    m = proxy.metrics()
    assert m.sum("serin_endpoint_up", route="web") == 1 and m.sum("serin_endpoint_up", route="one") == 1


def test_never_more_than_max_ejected(serin, backend):
    bad = [backend(answer=failing("500")) for _ in range(3)]
    proxy = serin(route(addresses(bad) + [backend().address], eject={"consecutive": 1, "base": "60s", "max_ejected": "50%"}))
    with proxy.client() as c:
        for _ in range(60):
            c.ask()
    assert len(events(proxy, "endpoint_ejected")) == 2


def test_ejection_is_switched_off_by_a_reload(serin, three):
    a, b, c = three
    a.answer = failing("500")
    proxy = serin(route(addresses(three), eject={"consecutive": 1, "base": "60s"}, balance="round_robin"))
    with proxy.client() as client:
        for _ in range(9):
            client.ask()
        assert up(proxy, a) == 0
        proxy.config["routes"][0]["eject"] = {"consecutive": 0}
        proxy.write()
        proxy.cli("reload")
        assert up(proxy, a) == 1
        count = a.count()
        wait_until(lambda: client.ask() and a.count() > count, 10, "a request to it")
    wait_until(lambda: events(proxy, "endpoint_returned", endpoint=a.address), 5, "the log's word")


def test_an_ejected_endpoint_of_the_canary(serin, v1, backend):
    """Status knows it, and the canary goes on with the other one."""
    good, bad = backend("v2"), backend("v2", answer=failing("503"))
    proxy = serin(route(v1.address, [good.address, bad.address], weight="100%", breaker=QUIET,
                        eject={"consecutive": 3, "base": "60s"}))
    with proxy.client() as c:
        wait_until(lambda: c.ask() and events(proxy, "endpoint_ejected", version="v2"), 10, "the ejection")
        assert {c.ask().body for _ in range(20)} == {b"v2"}
    canary = next(v for v in proxy.status()["versions"] if v["role"] == "canary")
    assert (canary["available"], canary["endpoints"]) == (1, 2)


# --- connects ---

def test_a_canary_that_cannot_be_reached_any_more(serin, v1, v2):
    """Three connects in a row take the last endpoint too: of users, or of the control thread, which looks after the first one."""
    proxy = serin(route(v1.address, v2.address, weight="100%", breaker=QUIET))
    wait_until(lambda: proxy.ask().body == b"v2", 5, "the canary")
    v2.refuse()
    assert proxy.ask().body == b"v1"        # tried again there
    wait_until(lambda: up(proxy, v2) == 0, 10, "the endpoint being down")
    assert events(proxy, "endpoint_down", endpoint=v2.address)
    assert proxy.metrics().sum("serin_request_errors_total", version="v2", reason="connect") == 1
    assert {proxy.ask().body for _ in range(20)} == {b"v1"}
    assert proxy.metrics().sum("serin_request_errors_total", version="v2", reason="connect") == 1
    v2.listen()
    wait_until(lambda: proxy.ask().body == b"v2", 10, "the canary's return")


# --- active checks ---

class Checked:
    """A backend's answer whose /healthz is what well says: True, False, or None for silence."""

    def __init__(self, backend):
        self.backend, self.well, self.checks = backend, True, 0

    def __call__(self, connection, request):
        if request.target != "/healthz":
            self.backend.plain(connection, request)
            return
        self.checks += 1
        assert request.get("user-agent").startswith("serin/") and request.get("host") == self.backend.address
        if self.well is None:
            self.backend.released.wait(10)
        connection.send(reply(200 if self.well else 500))


HEALTH = {"path": "/healthz", "interval": "100ms", "timeout": "100ms", "rise": 2, "fall": 3}


@pytest.fixture
def checked(backend):
    def make(name):
        made = backend(name)
        made.answer = Checked(made)
        return made
    return make


@pytest.mark.parametrize("sick", [False, None])
def test_checks_take_an_endpoint_away_and_bring_it_back(serin, checked, sick):
    a, b = checked("a"), checked("b")
    proxy = serin(route(addresses([a, b]), health=HEALTH, balance="round_robin"))
    wait_until(lambda: len(events(proxy, "endpoint_up")) == 2, 10, "both being up")
    with proxy.client() as c:
        assert {c.ask().body for _ in range(10)} == {b"a", b"b"}
        before = a.answer.checks
        a.answer.well = sick
        wait_until(lambda: up(proxy, a) == 0, 10, "the endpoint being down")
        assert a.answer.checks - before >= 3
        assert "500" in events(proxy, "endpoint_down", endpoint=a.address)[0] or sick is None
        assert {c.ask().body for _ in range(10)} == {b"b"}
        a.answer.well = True
        wait_until(lambda: up(proxy, a) == 1, 10, "the endpoint being up")
        wait_until(lambda: c.ask().body == b"a", 10, "a request to it")
    assert not [r for r in a.requests + b.requests if r.get("x-forwarded-for") is None and r.target != "/healthz"]


def test_a_failed_check_takes_the_last_endpoint_of_the_canary(serin, v1, checked):
    v2 = checked("v2")
    proxy = serin([{**route(v1.address, v2.address, weight="100%", breaker=QUIET), "health": {**HEALTH, "path": "/healthz"}}])
    wait_until(lambda: events(proxy, "endpoint_up", version="v2"), 10, "the canary being up")
    assert {proxy.ask().body for _ in range(10)} == {b"v2"}
    v2.answer.well = False
    wait_until(lambda: up(proxy, v2) == 0, 10, "the endpoint being down")
    assert {proxy.ask().body for _ in range(10)} == {b"v1"}     # everyone, and nobody has seen an error
    assert proxy.metrics().sum("serin_request_errors_total") == 0


def test_a_stable_that_is_sick_still_serves(serin, checked):
    """There is nobody else: better its answers than none."""
    a = checked("a")
    a.answer.well = False
    proxy = serin(route(a.address, health=HEALTH))
    wait_until(lambda: up(proxy, a) == 0, 10, "the endpoint being down")
    assert proxy.ask().body == b"a"
    wait_until(lambda: proxy.status()["phase"] == "Degraded", 10, "status saying so")


def test_many_endpoints_are_not_checked_at_once(serin, checked):
    backends = [checked(str(i)) for i in range(20)]
    proxy = serin(route(addresses(backends), health={**HEALTH, "interval": "5s", "timeout": "2s"}))
    wait_until(lambda: len(events(proxy, "endpoint_up")) == 20, 10, "all being up")
    times = sorted(float(re.search(r"T\d\d:\d\d:(\d\d\.\d+)", line)[1]) for line in events(proxy, "endpoint_up"))
    assert len({round(t * 20) for t in times}) > 5      # of the twenty slices of the first second


# --- balances ---

def test_a_slow_endpoint_gets_less(serin, backend, load):
    def slow(connection, request):
        connection.backend.released.wait(0.05)
        connection.backend.plain(connection, request)
    a, b, c = backend("a", answer=slow), backend("b"), backend("c")
    proxy = serin(route(addresses([a, b, c])))
    users = load(proxy.address, 12)
    wait_until(lambda: a.count() >= 40, 20, "requests to the slow one")
    assert set(users.stop()) == {200}
    assert a.count() < 0.6 * min(b.count(), c.count())
    assert 0.7 < b.count() / c.count() < 1.4


def test_hash_keeps_users_where_they_are(serin, three):
    proxy = serin(route(addresses(three), balance="hash", sticky={"by": "header", "name": "X-User"}), workers=2)

    def places():
        with proxy.client() as c:
            return {u: c.ask(headers={"X-User": f"user-{u}"}).body for u in range(60)}
    before = places()
    assert set(before.values()) == {b"a", b"b", b"c"} and places() == before
    three[2].refuse()
    wait_until(lambda: up(proxy, three[2]) == 0 or not places(), 10, "the endpoint being down")
    after = places()
    assert all(after[u] == before[u] for u in before if before[u] != b"c") and b"c" not in after.values()
    with proxy.client() as c:       # without the header: by the client's address
        assert len({c.ask().body for _ in range(20)}) == 1


# --- room at an endpoint ---

class Busy:
    """Answers when it is told to; knows how many requests and connections it had at once."""

    def __init__(self):
        self.lock, self.now, self.most, self.go = threading.Lock(), 0, 0, threading.Event()

    def __call__(self, connection, request):
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        self.go.wait(10)
        with self.lock:
            self.now -= 1
        connection.backend.plain(connection, request)


def test_requests_wait_for_room_and_not_without_end(serin, backend):
    busy = Busy()
    a = backend("a", answer=busy)
    proxy = serin(route(a.address), limits={"upstream_connections_per_endpoint": 2, "pending_per_endpoint": 3})
    clients = [proxy.client() for _ in range(6)]
    for c in clients[:2]:
        c.send("GET / HTTP/1.1\r\nHost: web.test\r\n\r\n")
    wait_until(lambda: busy.now == 2, 10, "two running")   # while they connect they are among those that wait
    for c in clients[2:5]:
        c.send("GET / HTTP/1.1\r\nHost: web.test\r\n\r\n")
    wait_until(lambda: proxy.metrics().sum("serin_inflight_requests") == 5, 10, "two running and three waiting")
    m = proxy.metrics()
    assert m.sum("serin_upstream_connections", version="v1", state="active") == 2
    refused = clients[5].ask()
    assert (refused.status, refused.get("retry-after")) == (503, "1")
    busy.go.set()
    assert {c.response().status for c in clients[:5]} == {200}
    assert busy.most == 2 and a.connections == 2
    wait_until(lambda: proxy.metrics().sum("serin_upstream_connections", state="idle") == 2, 10, "both being idle")
    assert proxy.metrics().sum("serin_upstream_connections") == 2
    for c in clients:
        c.close()


def test_who_waits_too_long_is_told_so(serin, backend):
    busy = Busy()
    a = backend("a", answer=busy)
    proxy = serin(route(a.address), limits={"upstream_connections_per_endpoint": 1}, timeouts={"connect": "300ms"})
    with proxy.client() as first, proxy.client() as second:
        first.send("GET / HTTP/1.1\r\nHost: web.test\r\n\r\n")
        wait_until(lambda: busy.now == 1, 10, "the first request")
        answer = second.ask()
        assert (answer.status, answer.get("retry-after")) == (503, "1")
        assert up(proxy, a) == 1
        busy.go.set()
        assert first.response().status == 200
        assert second.ask().status == 200


def open_at_once(backend):
    """How many connections stood beside each other. One whose end the kernel has already, though not yet the thread that serves
    it, is none: its successor is allowed."""
    with backend.lock:
        descriptors = [d for d in (sock.fileno() for sock in backend.open) if d >= 0]   # -1: closed in this moment
    ends = select.poll()
    for descriptor in descriptors:
        ends.register(descriptor, select.POLLRDHUP)
    return len(descriptors) - len(ends.poll(0))


def test_the_limit_is_the_processes(serin, backend, load):
    """Over workers and over routes; every worker gets along, and there are never more connections."""
    busy = Busy()

    def answer(connection, request):
        with busy.lock:
            busy.most = max(busy.most, open_at_once(connection.backend))
        connection.backend.plain(connection, request)
    a = backend("a", answer=answer)
    proxy = serin([route(a.address), {**route(a.address), "name": "other", "paths": ["/other"]}], workers=2,
                  limits={"upstream_connections_per_endpoint": 3})
    users = load(proxy.address, 16)
    users.await_more(500)
    with proxy.client() as c:
        assert {c.ask(target="/other").status for _ in range(20)} == {200}
    assert set(users.stop()) == {200}
    assert busy.most <= 4       # a probe's may stand beside them


def test_fewer_connections_than_workers_are_refused(serin, v1):
    proxy = serin(route(v1.address), start=False, workers=3, limits={"upstream_connections_per_endpoint": 2}, expect=78)
    proxy.start(ready=False)
    assert proxy.process.wait(10) == 78
    assert "upstream_connections_per_endpoint: 2 is below workers 3" in proxy.log()
    proxy.process = None


# --- restarts ---

@pytest.mark.parametrize("workers", [1, 2])
def test_no_request_fails_while_an_endpoint_is_restarted(serin, checked, load, workers):
    """GET, which may be sent twice: what was under way on the endpoint goes to another one. Where five of them came to that
    before a check, the endpoint is ejected as well, here for a second at a time."""
    three = [checked(name) for name in "abc"]
    proxy = serin(route(addresses(three), health=HEALTH, eject={"base": "1s"}), workers=workers)
    wait_until(lambda: len(events(proxy, "endpoint_up")) == 3, 10, "all being up")
    users = load(proxy.address, RETRIED_ALWAYS)
    users.await_more(100)
    for one in three:
        one.refuse()
        wait_until(lambda: up(proxy, one) == 0, 10, "the endpoint being down")
        users.await_more(50)
        one.listen()
        wait_until(lambda: up(proxy, one) == 1, 10, "the endpoint being up")
        count = one.count()
        wait_until(lambda: one.count() > count + 20, 10, "users of it")
    assert set(users.stop()) == {200}
