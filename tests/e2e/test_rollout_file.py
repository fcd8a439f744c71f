"""What the configuration file does to a rollout: no way of writing it freezes one, or goes around a promotion.

SPDX-License-Identifier: Apache-2.0
"""
import copy

import pytest

from rig import route, wait_until

SLOW = {"steps": ["50%", "100%"], "hold": "5m", "bake": "1s", "max_hold": "10m"}


@pytest.fixture
def proxy(serin, v1, v2):
    """v2 at 50 %, beside another route that stays."""
    other = {**route(v1.address), "name": "other", "hosts": ["other.test"]}
    made = serin([route(v1.address, v2.address, rollout=SLOW), other], expect=None)
    made.cli("start", "web")
    made.at_weight(50)
    return made


def promote(proxy):
    proxy.cli("promote", "--full", "web")
    wait_until(lambda: proxy.status()["stable"] == "v2" and proxy.status()["state"] == "STABLE", 15, "the promotion")


def static(proxy, weight, **more):
    made = {k: v for k, v in proxy.config["routes"][0].items() if k != "rollout"}
    return {**made, "weight": weight, **more}


def reload(proxy, *routes, expect=0):
    proxy.config["routes"] = list(routes)
    proxy.write()
    return proxy.cli("reload", expect=expect)


def answers(proxy, n=100):
    with proxy.client() as c:
        return {c.ask().body for _ in range(n)}


def test_weight_in_place_of_rollout_ends_it(proxy):
    web, other = copy.deepcopy(proxy.config["routes"])
    reload(proxy, static(proxy, "0%"), other)
    assert answers(proxy) == {b"v1"}
    reload(proxy, web, other)
    assert proxy.status()["weight"]["intended"] == 0 and answers(proxy) == {b"v1"}
    wait_until(lambda: proxy.status()["state"] == "STABLE", 10, "the end of the old rollout")
    assert proxy.api("GET", "routes/web/history")[1]["history"][0]["result"] == "superseded"


def test_weight_in_place_of_rollout_at_start_ends_it(proxy):
    web, other = copy.deepcopy(proxy.config["routes"])
    proxy.kill()
    for routes in ([static(proxy, "0%"), other], [web, other]):
        proxy.config["routes"] = routes
        proxy.write()
        proxy.start()
        assert answers(proxy) == {b"v1"}
        proxy.stop()


def test_route_that_is_removed_loses_its_rollout(proxy):
    web, other = copy.deepcopy(proxy.config["routes"])
    reload(proxy, other)
    reload(proxy, web, other)
    assert proxy.status()["weight"]["intended"] == 0 and answers(proxy) == {b"v1"}
    wait_until(lambda: proxy.status()["state"] == "STABLE", 10, "the end of the old rollout")


def test_weight_is_no_way_around_a_promotion(proxy):
    _, other = copy.deepcopy(proxy.config["routes"])
    promote(proxy)
    refused = static(proxy, "10%")
    accepted = static(proxy, "0%", stable="v2", canary="v1")
    assert "v2 was promoted" in reload(proxy, refused, other, expect=None).stderr
    assert answers(proxy) == {b"v2"}
    proxy.stop()
    proxy.start(ready=False)
    assert proxy.process.wait(20) == 1 and "v2 was promoted" in proxy.log()
    proxy.config["routes"] = [accepted, other]
    proxy.write()
    proxy.start()
    assert answers(proxy) == {b"v2"}
