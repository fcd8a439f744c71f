"""What the proxy counts for the judge: latency by age, client errors, sticky users by their first failure, streams by their head.

SPDX-License-Identifier: Apache-2.0
"""
import itertools
import time

import pytest

from rig import route, wait_until

RATE = 400
# one long step, so that only the evidence can end it
LONG = {"steps": ["25%", "100%"], "hold": "5m", "max_hold": "10m", "checks": {"latency": {"warmup": "0s"}}}


def start_when_known(proxy, crowd):
    """Starts the rollout once stable has a past: a thousand requests within the look of every ten seconds."""
    wait_until(lambda: crowd.counts()["requests"] > 12 * RATE, 60, "a past of stable")
    proxy.cli("start", "web")


@pytest.mark.load
@pytest.mark.parametrize("delay_ms, what", [(40, "slower"), (20_000, "never answers in time")])
def test_slow_version_is_reverted(serin, shop, users, delay_ms, what):
    v1, v2 = shop("v1", delay_ms=10), shop("v2", delay_ms=delay_ms)
    proxy = serin(route(v1.address, v2.address, rollout=LONG))
    crowd = users(proxy.address, users=300, rate=RATE)
    start_when_known(proxy, crowd)
    began = time.monotonic()
    wait_until(lambda: proxy.status()["state"] == "ABORTED", 45, "the revert")
    seconds = time.monotonic() - began
    status = proxy.status()
    print(f"\nv2 {what}: reverted after {seconds:.0f} s: {status['why']}")
    assert status["result"] == "reverted" and "slower" in status["why"], status["why"]
    # the requests that hang have not ended yet: they were counted for their age
    if delay_ms > 1000:
        assert seconds < delay_ms / 1000 and proxy.metrics().sum("serin_request_duration_seconds_count", version="v2") < 5


def answer_404(connection, request):
    connection.send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")


def test_client_errors_count(serin, v1, v2):
    proxy = serin(route(v1.address, v2.address, rollout={**LONG, "checks": {"client_errors": {"margin": "10%"}}}))
    v2.answer = answer_404
    proxy.cli("start", "web")
    proxy.at_weight(25)
    with proxy.client() as c:
        wait_until(lambda: (c.ask(), proxy.status()["state"] == "ABORTED")[1], 60, "the revert")
    assert proxy.status()["result"] == "reverted" and "4xx" in proxy.status()["why"], proxy.status()["why"]


def test_client_errors_do_not_count_where_switched_off(serin, v1, v2):
    proxy = serin(route(v1.address, v2.address, rollout={**LONG, "checks": {"client_errors": {"enabled": False}}}))
    v2.answer = answer_404
    proxy.cli("start", "web")
    proxy.at_weight(25)
    until = time.monotonic() + 8        # the condition is that nothing happens over this time
    with proxy.client() as c:
        while time.monotonic() < until:
            c.ask()
    status = proxy.status()
    assert status["state"] == "ANALYZING" and status["evidence"]["against"] < 10, status
    shown = {labels["check"] for name, labels, _ in proxy.metrics().samples if name == "serin_rollout_check_evidence"}
    assert {"errors", "latency_p50", "latency_p90", "latency_p99"} <= shown and "client_errors" not in shown


def test_one_broken_user_is_one_failure(serin, v1, v2):
    """A user whose every request fails is the user's trouble, or the version's with one user: not hundreds of failures."""
    proxy = serin(route(v1.address, v2.address, breaker={"min_requests": 0}, sticky={"by": "cookie", "name": "uid"}, rollout=LONG))
    fails = lambda connection, request: connection.send(
        b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n" if "uid=broken" in request.get("cookie", "")
        else b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nv2")
    v2.answer = fails
    proxy.cli("start", "web")
    proxy.at_weight(25)
    with proxy.client() as c:
        name = lambda i: {"Cookie": f"uid=broken{i}"}
        broken = next(i for i in range(200) if c.ask(headers=name(i)).status == 500)     # one that the canary has
        until = time.monotonic() + 10       # the condition is that nothing happens over this time
        while time.monotonic() < until:
            for user in range(20):
                c.ask(headers={"Cookie": f"uid=user{user}"})
            assert c.ask(headers=name(broken)).status == 500
        status = proxy.status()
        assert status["state"] == "ANALYZING" and status["evidence"]["against"] < 10, status
        canary = next(v for v in status["versions"] if v["role"] == "canary")
        assert canary["failed"] > 100       # it is shown what happened
        page = proxy.metrics()
        assert page.sum("serin_rollout_check_value", check="errors") > 0.1 > page.sum("serin_rollout_check_limit", check="errors")
        # users who fail one after the other are the version's fault
        others = itertools.count(1000)

        def is_reverted():
            for user in range(20):
                c.ask(headers={"Cookie": f"uid=user{user}"})
            c.ask(headers=name(next(others)))
            return proxy.status()["state"] == "ABORTED"
        wait_until(is_reverted, 60, "the revert")


def test_stream_counts_with_its_head(serin, v1, v2):
    """Server-sent events last as long as the user looks: they are no slow request."""
    proxy = serin(route(v1.address))

    def stream(connection, request):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ndata:\r\n")
        v1.released.wait(20)
        connection.send(b"0\r\n\r\n")
    v1.answer = stream
    with proxy.client() as c:
        c.send("GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
        assert c.head().status == 200
        wait_until(lambda: proxy.metrics().sum("serin_requests_total", code="200") == 1, 5, "its count")
        assert proxy.metrics().sum("serin_inflight_requests", version="v1") == 1
        v1.released.set()
        wait_until(lambda: proxy.metrics().sum("serin_inflight_requests", version="v1") == 0, 5, "its end")
        assert proxy.metrics().sum("serin_requests_total", code="200") == 1
