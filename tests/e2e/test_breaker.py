"""The data plane's own reflex: a failing canary loses its users within one request of the threshold, then is tried gently.

SPDX-License-Identifier: Apache-2.0
"""
import pytest

from backends import reply
from rig import route, wait_until

BREAKER = {"window": "10s", "min_requests": 20, "error_rate": "50%", "retry_after": "5m"}


def broken(connection, request):
    connection.send(reply(500, b"broken", reason="Internal Server Error"))


@pytest.fixture
def proxy(serin, v1, v2):
    return serin(route(v1.address, v2.address, weight="50%", breaker=BREAKER))


def test_opens_at_the_threshold_to_the_request(proxy, v2):
    v2.answer = broken
    with proxy.client() as c:
        answers = [c.ask().status for _ in range(300)]
    assert answers.count(500) == 20 and v2.count() == 20
    assert set(answers[-200:]) == {200}
    print(f"\nbreaker: {answers.count(500)} users' requests failed of {len(answers)}")


def test_counts_before_they_are_enough(proxy, v2):
    with proxy.client() as c:
        while v2.count() < 30:
            assert c.ask().status == 200
        v2.answer = broken
        answers = [c.ask().status for _ in range(300)]
    assert answers.count(500) == 30      # 30 of 60 canary requests: the half of them


def test_rate_below_the_threshold_is_left_alone(proxy, v2):
    v2.answer = lambda c, r: (broken if len(v2.requests) % 5 == 0 else v2.plain)(c, r)
    with proxy.client() as c:
        answers = [c.ask() for _ in range(400)]
    assert sum(a.body == b"v2" or a.status == 500 for a in answers) == pytest.approx(200, abs=30)


def test_trickle_finds_out_that_it_is_over(serin, v1, v2):
    proxy = serin(route(v1.address, v2.address, weight="50%", breaker={**BREAKER, "retry_after": "1s"}))
    v2.answer = broken
    with proxy.client() as c:
        while c.ask().status == 500 or v2.count() < 20:
            pass
        v2.answer = v2.plain
        wait_until(lambda: sum(c.ask().body == b"v2" for _ in range(100)) >= 25, 20, "the canary's return to its share")


def test_trickle_that_fails_stays_a_trickle(serin, v1, v2):
    proxy = serin(route(v1.address, v2.address, weight="50%", breaker={**BREAKER, "retry_after": "3s"}))
    v2.answer = broken
    failed = 0
    with proxy.client() as c:
        while v2.count() < 20:
            failed += c.ask().status == 500
        wait_until(lambda: c.ask().status == 500, 10, "the first trial request")
        assert all(c.ask().status == 200 for _ in range(50))    # one was enough: closed to users for another period
    assert v2.count() <= 20 + 5


def test_holds_during_a_rollout(serin, v1, v2):
    steps = {"steps": ["50%", "100%"], "hold": "5m", "max_hold": "10m"}
    proxy = serin(route(v1.address, v2.address, breaker=BREAKER, rollout=steps))
    proxy.cli("start", "web")
    proxy.at_weight(50)
    v2.answer = broken
    with proxy.client() as c:
        answers = [c.ask().status for _ in range(300)]
    assert answers.count(500) <= 20      # by the breaker, or by the judge where it was quicker
    assert set(answers[-200:]) == {200}
    wait_until(lambda: proxy.status()["state"] in ("HOLDING", "ABORTED"), 10, "the controller's knowledge of it")


def test_counts_of_all_workers_are_one(serin, v1, v2):
    proxy = serin(route(v1.address, v2.address, weight="50%", breaker=BREAKER), workers=3)
    v2.answer = broken
    statuses = []
    for _ in range(40):     # a connection each time, so that every worker gets its part
        with proxy.client() as c:
            statuses += [c.ask().status for _ in range(10)]
    assert 20 <= statuses.count(500) <= 22
