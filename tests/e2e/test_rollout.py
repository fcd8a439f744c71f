"""Whole rollouts with real traffic: a good version arrives, a bad one is taken back, a crash or silence changes nothing.

SPDX-License-Identifier: Apache-2.0
"""
import time

import pytest

from rig import QUICK, route, wait_until

RATE = 800


@pytest.fixture
def versions(shop):
    return shop("v1"), shop("v2")


def weight(proxy):
    return proxy.status()["weight"]["intended"]


def another_second(crowd):
    """Waits for a second's worth of requests; returns the counts."""
    before = crowd.counts()
    wait_until(lambda: crowd.counts()["requests"] > before["requests"] + RATE, 10, "another second of traffic")
    return crowd.counts()


def is_state(proxy, *states):
    return proxy.status()["state"] in states


@pytest.mark.load
def test_good_version_reaches_everyone(serin, versions, users):
    proxy = serin(route(*[v.address for v in versions], rollout=QUICK), workers=2)
    crowd = users(proxy.address, users=300, rate=RATE)
    began = time.monotonic()
    proxy.cli("start", "web")
    seen = []

    def is_over():
        status = proxy.status()
        if status["result"] == "completed":
            return True
        if not seen or seen[-1] != status["weight"]["intended"]:
            seen.append(status["weight"]["intended"])
        return False
    wait_until(is_over, 90, "v2 serving everyone")
    took = time.monotonic() - began
    assert seen == sorted(seen), f"the weight fell: {seen}"
    before = another_second(crowd)      # meanwhile what was on its way has arrived and is in the summary
    another_second(crowd)
    counts = crowd.stop()
    assert counts["failed"] == 0
    assert counts["v1_requests"] == before["v1_requests"], "v1 still gets requests"
    print(f"\nv2 reached everyone in {took:.1f} s; weights {seen}; {counts['requests']} requests, 0 failed")
    proxy.stop()
    proxy.start()       # and after a restart it still serves everyone
    assert {proxy.ask().get("x-version") for _ in range(20)} == {"v2"}
    assert proxy.status()["stable"] == "v2"


@pytest.mark.load
@pytest.mark.parametrize("errors, most_failed, most_seconds", [(5, 100, 20), (30, 250, 12), (100, 500, 8)])
def test_version_that_turns_bad_is_taken_back(serin, versions, users, errors, most_failed, most_seconds):
    v1, v2 = versions
    plan = {**QUICK, "steps": ["1%", "10%", "25%", "50%", "100%"], "hold": "3s", "max_hold": "30s"}
    proxy = serin(route(v1.address, v2.address, rollout=plan), workers=2)
    crowd = users(proxy.address, users=300, rate=RATE)
    proxy.cli("start", "web")
    wait_until(lambda: weight(proxy) >= 25, 60, "the middle of the rollout")
    failed = crowd.counts()["failed"]
    assert failed == 0
    v2.control(errors=errors)
    began = time.monotonic()
    wait_until(lambda: weight(proxy) == 0, 60, "weight 0")
    seconds = time.monotonic() - began
    wait_until(lambda: is_state(proxy, "ABORTED"), 10, "the end of the revert")
    before = crowd.counts()
    another_second(crowd)
    counts = crowd.stop()
    print(f"\nv2 turned {errors} % bad at 25 %: weight 0 after {seconds:.2f} s, {counts['failed']} users' requests failed "
          f"of {counts['requests']}; first failure to weight 0 by serin's own clock: "
          f"{proxy.metrics().sum('serin_rollout_reverted_seconds'):.2f} s; why: {proxy.status()['why']}")
    assert seconds < most_seconds and counts["failed"] < most_failed
    assert counts["v2_requests"] - before["v2_requests"] <= RATE / 5, "v2 still gets requests"
    assert proxy.status()["result"] == "reverted" and proxy.status()["quarantine"][0]["name"] == "v2"


def result_of_newest(proxy):
    return proxy.api("GET", "routes/web/history")[1]["history"][0]


def test_version_that_is_bad_from_the_start(serin, shop, users):
    proxy = serin(route(shop("v1").address, shop("v2", errors=20).address, rollout={**QUICK, "steps": ["10%", "50%", "100%"]}))
    crowd = users(proxy.address, users=50, rate=300)
    proxy.cli("start", "web")
    wait_until(lambda: is_state(proxy, "ABORTED"), 60, "the revert")
    counts = crowd.stop()
    assert counts["failed"] < 60
    assert {proxy.ask().get("x-version") for _ in range(20)} == {"v1"}
    assert result_of_newest(proxy)["result"] == "reverted" and "failed" in result_of_newest(proxy)["why"]


def test_version_that_trips_the_breaker_is_reverted_when_its_trials_fail(serin, shop, users):
    proxy = serin(route(shop("v1").address, shop("v2", errors=100).address, breaker={"retry_after": "1s"},
                        rollout={**QUICK, "steps": ["50%", "100%"]}))
    crowd = users(proxy.address, users=50, rate=200)
    proxy.cli("start", "web")
    wait_until(lambda: is_state(proxy, "ABORTED"), 60, "the revert")
    counts = crowd.stop()
    assert 20 <= counts["failed"] <= 40, "the breaker's threshold and a few trials"
    assert result_of_newest(proxy)["result"] == "reverted"


@pytest.mark.load
def test_kill_and_restart_in_the_middle(serin, versions, users):
    plan = {**QUICK, "steps": ["1%", "10%", "50%", "100%"]}
    proxy = serin(route(*[v.address for v in versions], rollout=plan), start=False)
    proxy.start()
    crowd = users(proxy.address, users=100, rate=RATE)
    proxy.cli("start", "web")
    wait_until(lambda: weight(proxy) >= 10, 60, "the second step")
    before = proxy.status()
    crowd.stop()
    proxy.kill()
    proxy.start()
    after = proxy.status()
    assert after["rollout_id"] == before["rollout_id"]
    assert 0 < after["weight"]["intended"] <= max(before["weight"]["intended"], 10)
    crowd = users(proxy.address, users=100, rate=RATE)
    wait_until(lambda: proxy.status()["result"] == "completed", 90, "v2 serving everyone")
    assert crowd.stop()["failed"] == 0


def test_kill_again_and_again_never_widens(serin, v1, v2):
    proxy = serin(route(v1.address, v2.address, rollout={"steps": ["10%", "50%", "100%"], "hold": "5m", "max_hold": "10m"}))
    proxy.cli("start", "web")
    wait_until(lambda: weight(proxy) == 10, 10, "the first step")
    for _ in range(5):
        proxy.kill()
        proxy.start()
        assert weight(proxy) <= 10
        wait_until(lambda: weight(proxy) == 10, 10, "the step where it was")
    proxy.cli("abort", "web")
    proxy.kill()
    proxy.start()
    wait_until(lambda: is_state(proxy, "ABORTED"), 10, "the abort that was recorded")
    assert weight(proxy) == 0 and {proxy.ask().body for _ in range(50)} == {b"v1"}


def test_nobody_sends_traffic(serin, v1, v2):
    plan = {"steps": ["10%", "50%", "100%"], "hold": "1s", "max_hold": "2s", "min_requests": 1, "on_low_evidence": "advance"}
    proxy = serin(route(v1.address, v2.address, rollout=plan))
    proxy.cli("start", "web")
    wait_until(lambda: weight(proxy) == 10, 10, "the first step")
    end = time.monotonic() + 8      # four times the longest time that a step may take
    while time.monotonic() < end:
        status = proxy.status()
        assert status["weight"]["intended"] == 10 and status["phase"] == "Progressing", status
        time.sleep(0.2)             # the condition is that nothing changes over this time
    assert "request" in proxy.status()["why"].lower() or "traffic" in proxy.status()["why"].lower()
    proxy.cli("status", "web", expect=3)


def test_aborted_version_stays_out_until_retry(serin, v1, v2):
    proxy = serin(route(v1.address, v2.address, rollout={"start": "auto", "steps": ["10%", "100%"], "hold": "5m", "max_hold": "10m"}))
    wait_until(lambda: weight(proxy) == 10, 10, "a start by itself")
    proxy.cli("abort", "web")
    wait_until(lambda: is_state(proxy, "ABORTED"), 10, "the abort")
    proxy.cli("reload")
    proxy.stop()
    proxy.start()
    proxy.cli("start", "web", expect=1)
    assert is_state(proxy, "ABORTED") and weight(proxy) == 0
    assert {proxy.ask().body for _ in range(50)} == {b"v1"}
    proxy.cli("retry", "web")
    wait_until(lambda: weight(proxy) == 10, 10, "the second try")


def test_another_version_gets_its_own_rollout(serin, v1, v2, backend):
    v3 = backend("v3")
    plan = {"start": "auto", "steps": ["10%", "100%"], "hold": "5m", "max_hold": "10m"}
    proxy = serin(route(v1.address, v2.address, rollout=plan))
    wait_until(lambda: weight(proxy) == 10, 10, "the first rollout")
    proxy.cli("abort", "web")
    proxy.config["routes"][0]["versions"]["v3"] = {"endpoints": [v3.address]}
    proxy.config["routes"][0]["canary"] = "v3"
    proxy.write()
    proxy.cli("reload")
    wait_until(lambda: weight(proxy) == 10 and proxy.status()["canary"] == "v3", 10, "the rollout of v3")
    with proxy.client() as c:
        assert {c.ask().body for _ in range(100)} == {b"v1", b"v3"}
    assert [r["canary"] for r in proxy.api("GET", "routes/web/history")[1]["history"]] == ["v3", "v2"]


def test_canary_that_goes_away_is_nobodys_trouble(serin, v1, v2):
    proxy = serin(route(v1.address, v2.address, breaker={"min_requests": 0},
                        rollout={"steps": ["50%", "100%"], "hold": "5m", "max_hold": "10m"}))
    proxy.cli("start", "web")
    wait_until(lambda: weight(proxy) == 50, 10, "the first step")
    v2.refuse()
    with proxy.client() as c:
        assert all(c.ask().status == 200 for _ in range(200))


def test_a_second_process_does_not_act(serin, v1, v2):
    proxy = serin(route(v1.address, v2.address))
    other = serin(route(v1.address, v2.address), start=False, expect=None)
    other.config["state_dir"] = proxy.config["state_dir"]
    other.write()
    other.start(ready=False)
    assert other.process.wait(20) != 0 and "lock" in other.log()
    other.process = None
