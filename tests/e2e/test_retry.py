"""A canary that is unwell costs its users nothing: what may be sent again goes to stable, and the failure stays the canary's.

SPDX-License-Identifier: Apache-2.0
"""
import collections

import pytest

from backends import UNWELL, full_listener, hang, says
from rig import route, wait_until

OFF = {"min_requests": 0}       # no breaker: nothing but the budget bounds the retries
FLOOR = 30                      # retries in ten seconds that are always allowed


def make_unwell(backend, name):
    UNWELL[name][0](backend)
    return UNWELL[name][1:]


def timeouts(name):
    """Short for one that hangs alone: nobody else has to be quick."""
    return {"response_header": "600ms"} if "hangs" in name else {}


def ask_often(proxy, n, method="GET", body=None, headers=()):
    """n requests, each with a number of its own, over a few kept connections: their answers."""
    clients = [proxy.client() for _ in range(4)]
    try:
        return [clients[i % 4].ask(method, f"/{i}", headers, body) for i in range(n)]
    finally:
        for c in clients:
            c.close()


def at_rest(proxy):
    """The page once everything is counted: a request counts as its last byte is out, which the client may have read."""
    wait_until(lambda: proxy.metrics().sum("serin_inflight_requests") == 0, 10, "the end of the requests")
    return proxy.metrics()


def retried(page, result, to="stable"):
    return page.sum("serin_retries_total", **{"from": "canary", "to": to, "result": result})


def seen(backend):
    """How often each request came, whole or in part."""
    with backend.lock:
        return collections.Counter(r.target for r in backend.requests)


@pytest.mark.parametrize("weight", ["10%", "50%"])
@pytest.mark.parametrize("name", UNWELL)
def test_users_see_no_error(serin, v1, v2, name, weight):
    """As it comes out of the box: retries, their budget, and the breaker that spares it (with time for a slow machine)."""
    proxy = serin(route(v1.address, v2.address, weight=weight, breaker={"window": "60s"}), timeouts=timeouts(name))
    status, reason = make_unwell(v2, name)
    n = 300
    answers = ask_often(proxy, n)
    assert {(a.status, a.body) for a in answers} == {(200, b"v1")}
    page = at_rest(proxy)
    failed = page.sum("serin_requests_total", version="v2", role="canary")
    # one that cannot be connected to is left out from the first failure on, until a probe succeeds
    assert 1 <= failed <= 20 if "connect" in reason else failed == 20
    assert page.sum("serin_requests_total", version="v2", code=str(status)) == failed
    assert page.sum("serin_request_errors_total", version="v2", role="canary", reason=reason) == failed
    assert page.sum("serin_request_errors_total") == failed
    assert page.sum("serin_request_duration_seconds_count", version="v2") == failed
    # a request is counted once, for the version that first got it
    assert page.sum("serin_requests_total", version="v1", code="200") == n - failed
    assert page.sum("serin_request_duration_seconds_count", version="v1") == n - failed
    assert retried(page, "ok") == failed and page.sum("serin_retries_total") == failed
    assert page.sum("serin_retries_refused_total") == 0
    assert page.sum("serin_responses_total", code="200") == n == page.sum("serin_responses_total")
    assert seen(v1) == collections.Counter(f"/{i}" for i in range(n))


@pytest.mark.parametrize("name", ["503", "resets"])
def test_users_see_no_error_without_a_breaker(serin, v1, v2, name):
    """A tenth of the requests is below the budget, also in the first second of a process."""
    proxy = serin(route(v1.address, v2.address, weight="10%", breaker=OFF), workers=2)
    make_unwell(v2, name)
    n = 1500
    assert {a.status for a in ask_often(proxy, n)} == {200}
    page = at_rest(proxy)
    failed = page.sum("serin_requests_total", version="v2")
    assert 120 <= failed <= 180
    assert retried(page, "ok") == failed == page.sum("serin_request_errors_total")
    assert page.sum("serin_retries_refused_total") == 0


def test_connections_of_a_version_that_is_busy_are_kept(serin, v1, v2):
    proxy = serin(route(v1.address, v2.address, weight="100%", breaker=OFF))
    make_unwell(v2, "503")
    assert {a.status for a in ask_often(proxy, 20)} == {200}
    assert v2.count() == 20 and v2.connections == 1


# --- what is not sent again ---

@pytest.mark.parametrize("name", [name for name in UNWELL if name != "503-without-end"])     # which would go down, without end
def test_post_is_never_sent_twice(serin, v1, v2, name):
    proxy = serin(route(v1.address, v2.address, weight="100%", breaker=OFF), timeouts=timeouts(name))
    status, reason = make_unwell(v2, name)
    n, body = 5, b"x" * 20000
    answers = ask_often(proxy, n, "POST", body)
    twice = {target: times for target, times in (seen(v1) + seen(v2)).items() if times > 1}
    assert not twice
    page = at_rest(proxy)
    if "connect" in reason:     # nothing was sent: safe for every method
        assert name != "refuses" or {(a.status, a.body) for a in answers} == {(200, b"v1")}
        assert [r.body for r in v1.requests] == [body] * sum(a.status == 200 for a in answers)
        assert {a.status for a in answers} <= {200, status}
    else:
        assert {a.status for a in answers} == {status}
        assert v1.count() == 0 and page.sum("serin_retries_total") == 0
        assert page.sum("serin_requests_total", version="v2", code=str(status)) == n
        assert page.sum("serin_responses_total", code=str(status)) == n
    assert page.sum("serin_retries_refused_total") == 0
    assert page.sum("serin_request_errors_total", version="v2", reason=reason) >= 1


def test_methods_are_those_of_the_policy(serin, v1, v2):
    proxy = serin(route(v1.address, v2.address, weight="100%", breaker=OFF, retry={"methods": ["GET", "PATCH"]}))
    make_unwell(v2, "503")
    expected = {"GET": 200, "PATCH": 200, "HEAD": 503, "PUT": 503, "DELETE": 503, "OPTIONS": 503, "POST": 503, "BREW": 503}
    with proxy.client() as c:
        assert {method: c.ask(method).status for method in expected} == expected


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
def test_methods_by_default(serin, v1, v2, method):
    proxy = serin(route(v1.address, v2.address, weight="100%", breaker=OFF))
    v2.answer = says(503, b"busy")
    answer = proxy.ask(method)
    assert (answer.status, answer.get("x-version")) == (200, "v1")


def test_switched_off_by_a_reload(serin, v1, v2):
    proxy = serin(route(v1.address, v2.address, weight="100%", breaker=OFF))
    make_unwell(v2, "503")
    assert proxy.ask().status == 200
    proxy.config["routes"][0]["retry"] = {"max": 0}
    proxy.write()
    proxy.cli("reload")
    wait_until(lambda: proxy.ask().status == 503, 10, "the policy without retries")
    before = v1.count()
    assert (proxy.ask().body, v1.count()) == (b"busy", before)


# --- bodies ---

def chunked(body, size=1000):
    parts = [body[i:i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in parts) + b"0\r\n\r\n"


BODIES = {"length": 50000, "chunked": 50000, "small": 10}


@pytest.mark.parametrize("framing", BODIES)
@pytest.mark.parametrize("name", ["refuses", "resets-after-the-head", "resets-in-the-body", "resets", "503", "hangs"])
def test_a_body_that_is_sent_again_arrives_whole(serin, v1, v2, name, framing):
    if framing == "chunked" and name == "resets-in-the-body":
        name = "resets-after-the-head"      # it reads by the length
    proxy = serin(route(v1.address, v2.address, weight="100%", breaker=OFF), timeouts=timeouts(name))
    make_unwell(v2, name)
    body = bytes(i * 7 % 251 for i in range(BODIES[framing]))
    with proxy.client() as c:
        for i in range(3):
            if framing == "chunked":
                c.send(f"PUT /{i} HTTP/1.1\r\nHost: web.test\r\nTransfer-Encoding: chunked\r\n\r\n".encode() + chunked(body))
                answer = c.response()
            else:
                answer = c.ask("PUT", f"/{i}", body=body)
            assert (answer.status, answer.body) == (200, b"v1")
    assert [(r.target, r.body) for r in v1.requests] == [(f"/{i}", body) for i in range(3)]
    # one that refuses is asked no more
    assert name == "refuses" or retried(at_rest(proxy), "ok") == 3


def test_a_body_in_pieces_arrives_whole(serin, v1, v2):
    """The first endpoint fails while the client has not sent all: the rest goes to the next one alone."""
    proxy = serin(route(v1.address, v2.address, weight="100%", breaker=OFF))
    make_unwell(v2, "resets-after-the-head")
    arrived = []
    v1.read = lambda connection: arrived.append(1) or type(v1).read(v1, connection)
    with proxy.client() as c:
        c.send("PUT /x HTTP/1.1\r\nHost: web.test\r\nContent-Length: 9\r\n\r\nabc")
        wait_until(lambda: arrived, 10, "the request at stable")
        for piece in ("def", "ghi"):
            c.send(piece)
        assert c.response().body == b"v1"
    assert [r.body for r in v1.requests] == [b"abcdefghi"]


LARGE = bytes(i * 7 % 251 for i in range(1 << 20))


def test_a_body_that_is_too_large_to_be_kept_is_sent_once(serin, v1, v2):
    proxy = serin(route(v1.address, v2.address, weight="100%", breaker=OFF))
    make_unwell(v2, "resets")
    with proxy.client() as c:
        assert c.ask("PUT", body=LARGE).status == 502
    assert v1.count() == 0 and [r.body for r in v2.requests] == [LARGE]
    page = at_rest(proxy)
    assert page.sum("serin_retries_total") == page.sum("serin_retries_refused_total") == 0


def test_one_of_which_nothing_was_sent_may_be_of_any_size(serin, v1, v2):
    proxy = serin(route(v1.address, v2.address, weight="100%", breaker=OFF))
    v2.refuse()
    with proxy.client() as c:
        assert c.ask("POST", body=LARGE).body == b"v1"
    assert [r.body for r in v1.requests] == [LARGE]


# --- connections ---

def test_connect_that_hangs(serin, v1):
    """A listener whose queue is full answers no connect at all."""
    with full_listener() as address:
        proxy = serin(route(v1.address, address, weight="100%", breaker=OFF), timeouts={"connect": "200ms"})
        answer = proxy.ask("POST", body=b"whole")
        assert (answer.status, answer.body) == (200, b"v1")
        page = at_rest(proxy)
        assert page.sum("serin_requests_total", version="v2", code="504") == 1 == retried(page, "ok")
        assert page.sum("serin_request_errors_total", version="v2", reason="timeout") == 1
    assert [r.body for r in v1.requests] == [b"whole"]


def test_a_connection_that_went_stale_is_nobodys_failure(serin, v1, v2):
    """v2 ends a kept connection as the next request is on its way: that is asked for anew, of v2, and not from the budget."""
    proxy = serin(route(v1.address, v2.address, weight="100%", breaker=OFF, retry={"max": 0}))
    used = collections.Counter()

    def read(connection):
        used[connection] += 1
        if used[connection] == 2:
            connection.fill()
            connection.reset()
        return type(v2).read(v2, connection)
    v2.read = read
    with proxy.client() as c:
        assert [c.ask(target=f"/{i}").body for i in range(10)] == [b"v2"] * 10
    page = at_rest(proxy)
    assert page.sum("serin_request_errors_total") == page.sum("serin_retries_total") == 0
    assert page.sum("serin_requests_total", version="v2", code="200") == 10
    assert v2.connections > 1 and v1.count() == 0


# --- whose it is ---

@pytest.mark.parametrize("how", ["override", "sticky"])
def test_users_of_the_canary_get_stable_too(serin, v1, v2, how):
    """Those who asked for it by name, and those whose key is on it: stable's answer is better than none."""
    more = {"override": {"override": {"header": "X-Canary"}, "weight": "0%"},
            "sticky": {"sticky": {"by": "header", "name": "X-User"}, "weight": "100%"}}[how]
    proxy = serin(route(v1.address, v2.address, breaker=OFF, **more))
    make_unwell(v2, "503")
    headers = [("X-Canary", "always"), ("X-User", "ada")]
    assert {(a.status, a.body) for a in ask_often(proxy, 10, headers=headers)} == {(200, b"v1")}
    page = at_rest(proxy)
    assigned = {"override": "header", "sticky": "sticky"}[how]
    assert page.sum("serin_requests_total", version="v2", assigned=assigned, code="503") == 10 == retried(page, "ok")


def test_the_judge_sees_each_request_once(serin, v1, v2):
    """The failure and its latency stay with the canary; the retry makes stable neither busier nor better."""
    rollout = {"steps": ["50%", "100%"], "hold": "5m", "max_hold": "10m"}
    proxy = serin(route(v1.address, v2.address, breaker={**OFF}, retry={"budget": "100%"}, rollout=rollout))
    proxy.cli("start", "web")
    proxy.at_weight(50)
    make_unwell(v2, "503")
    n = 20          # too few for a verdict
    assert {a.status for a in ask_often(proxy, n)} == {200}
    page = at_rest(proxy)
    failed = page.sum("serin_requests_total", version="v2", code="503")
    assert failed > 0 and retried(page, "ok") == failed

    def figures():
        versions = {v["role"]: v for v in proxy.status()["versions"]}
        return [versions["canary"]["requests"], versions["canary"]["failed"], versions["stable"]["requests"],
                versions["stable"]["failed"]]
    wait_until(lambda: figures() == [failed, failed, n - failed, 0], 10, f"{failed} failures of the canary's in {figures()}")


def test_when_both_fail_the_user_sees_stables_answer(serin, v1, v2):
    proxy = serin(route(v1.address, v2.address, weight="100%", breaker=OFF), timeouts=timeouts("hangs"))
    make_unwell(v2, "503")
    v1.answer = hang
    assert proxy.ask().status == 504
    page = at_rest(proxy)
    assert retried(page, "failed") == 1 == page.sum("serin_requests_total", version="v2", code="503")
    assert page.sum("serin_requests_total", version="v1") == 0 == page.sum("serin_request_errors_total", version="v1")
    assert page.sum("serin_responses_total", code="504") == 1


def test_stable_has_another_endpoint(serin, backend, v1):
    other = backend("v1")
    make_unwell(other, "resets")
    proxy = serin(route([v1.address, other.address]))
    assert {a.body for a in ask_often(proxy, FLOOR)} == {b"v1"}
    page = at_rest(proxy)
    failed = page.sum("serin_requests_total", version="v1", role="stable", code="502")
    assert failed > 0
    assert page.sum("serin_retries_total", **{"from": "stable", "to": "stable", "result": "ok"}) == failed


# --- the budget ---

def test_budget_that_is_used_up_shows(serin, v1, v2):
    """Three workers have one budget; who comes too late gets the canary's own answer."""
    proxy = serin(route(v1.address, v2.address, weight="100%", breaker=OFF, retry={"budget": "0%"}), workers=3)
    make_unwell(v2, "503")
    answers = []
    for i in range(20):     # connections of their own, so that every worker gets its part
        with proxy.client() as c:
            answers += [(a.status, a.body) for a in (c.ask() for _ in range(3))]
    assert answers == [(200, b"v1")] * FLOOR + [(503, b"busy")] * (60 - FLOOR)
    page = at_rest(proxy)
    assert retried(page, "ok") == FLOOR and page.sum("serin_retries_refused_total", route="web") == 60 - FLOOR
    assert page.sum("serin_requests_total", version="v2", code="503") == 60
    assert page.sum("serin_responses_total", code="200") == FLOOR
    assert page.sum("serin_responses_total", code="503") == 60 - FLOOR
    assert proxy.log().count("retry_budget_used_up") == 1


def test_budget_is_a_share_of_the_requests(serin, v1, v2):
    proxy = serin(route(v1.address, v2.address, weight="50%", breaker=OFF))
    assert {a.status for a in ask_often(proxy, 500)} == {200}
    make_unwell(v2, "503")
    statuses = collections.Counter(a.status for a in ask_often(proxy, 1000))
    page = at_rest(proxy)
    refused, failed = page.sum("serin_retries_refused_total"), page.sum("serin_requests_total", version="v2", code="503")
    assert statuses == {200: 1000 - refused, 503: refused}
    assert retried(page, "ok") == failed - refused
    # a fifth of those 1500, however long they took; less only what came before enough others had
    assert 100 <= failed - refused <= 300 and refused > 0
    print(f"\nbudget: {failed:.0f} requests failed on the canary, {failed - refused:.0f} were sent again")
