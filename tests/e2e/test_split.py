"""Who gets which version: exact shares, overrides, users that stay where they are.

SPDX-License-Identifier: Apache-2.0
"""
import socket

import pytest

from rig import Client, route, wait_until

STEPS = {"steps": ["10%", "50%", "100%"], "hold": "5m", "max_hold": "10m"}      # stands still unless promoted by hand


def versions_of(client, n, headers=""):
    """The versions that answer n pipelined requests, in order."""
    out = []
    while len(out) < n:
        batch = min(100, n - len(out))
        client.send(f"GET / HTTP/1.1\r\nHost: web.test\r\n{headers}\r\n" * batch)
        out += [client.response().body.strip().decode() for _ in range(batch)]
    return out


@pytest.fixture
def split(serin, nginx):
    """serin between two real backends: split(weight="10%")."""
    addresses = [nginx("v1").address, nginx("v2").address]
    return lambda **more: serin(route(*addresses, **more))


@pytest.mark.parametrize("weight, share", [("10%", 1000), ("33.33%", 3333), ("0.02%", 2), ("99.99%", 9999)])
def test_share_is_exact(split, weight, share):
    proxy = split(weight=weight)
    with proxy.client() as c:
        got = [v == "v2" for v in versions_of(c, 12500)]
    for first in range(0, 2501, 250):       # any ten thousand in a row
        assert abs(sum(got[first:first + 10000]) - share) <= 1
    metrics = proxy.metrics()
    assert metrics.sum("serin_requests_total", version="v2", role="canary", assigned="weight", code="200") == sum(got)
    assert metrics.sum("serin_requests_total") == metrics.sum("serin_responses_total") == 12500


def test_order_is_shuffled_not_striped(split):
    with split(weight="10%").client() as c:
        got = versions_of(c, 3000)
    places = [i for i, v in enumerate(got) if v == "v2"]
    gaps = {b - a for a, b in zip(places, places[1:])}
    assert len(gaps) > 15 and min(gaps) <= 2 and max(gaps) >= 25


def test_all_and_nothing(split):
    proxy = split(weight="0%")
    with proxy.client() as c:
        assert set(versions_of(c, 300)) == {"v1"}
    proxy.config["routes"][0]["weight"] = "100%"
    proxy.write()
    proxy.cli("reload")
    with proxy.client() as c:
        assert set(versions_of(c, 300)) == {"v2"}


def test_override_is_stronger_than_weight(split):
    proxy = split(weight="50%", override={"header": "X-Canary", "cookie": "canary"})
    asks = [("X-Canary: always\r\n", "v2"), ("X-Canary: never\r\n", "v1"), ("Cookie: a=b; canary=always\r\n", "v2"),
            ("Cookie: canary=never\r\n", "v1"), ("X-Canary: never\r\nCookie: canary=always\r\n", "v1")]
    with proxy.client() as c:
        for headers, version in asks:
            assert set(versions_of(c, 20, headers)) == {version}, headers
        assert set(versions_of(c, 100, "X-Canary: perhaps\r\n")) == {"v1", "v2"}
    metrics = proxy.metrics()
    assert metrics.sum("serin_requests_total", assigned="header") == 60
    assert metrics.sum("serin_requests_total", assigned="cookie") == 40
    assert metrics.sum("serin_requests_total", assigned="weight") == 100


def test_override_needs_a_rollout(split):
    proxy = split(override={"header": "X-Canary"}, rollout=STEPS)
    always = "X-Canary: always\r\n"
    with proxy.client() as c:
        assert set(versions_of(c, 10, always)) == {"v1"}
        proxy.cli("start", "web")
        wait_until(lambda: versions_of(c, 1, always) == ["v2"], 10, "an override during the rollout")
        assert set(versions_of(c, 10, always)) == {"v2"}
        proxy.cli("abort", "web")
        assert set(versions_of(c, 10, always)) == {"v1"}


USERS = range(400)


def by_cookie(proxy, user):
    with proxy.client() as c:
        return versions_of(c, 1, f"Cookie: theme=dark; uid=user-{user}; z=1\r\n")[0]


def by_header(proxy, user):
    with proxy.client() as c:
        return versions_of(c, 1, f"X-User: user-{user}\r\n")[0]


def by_client_ip(proxy, user):
    host, port = proxy.address.split(":")
    with socket.create_connection((host, int(port)), 10, source_address=(f"127.1.{user // 200}.{user % 200 + 1}", 0)) as s:
        c = Client.__new__(Client)
        c.sock, c.buffer = s, b""
        return versions_of(c, 1)[0]


@pytest.mark.parametrize("sticky, ask", [({"by": "cookie", "name": "uid"}, by_cookie), ({"by": "header", "name": "X-User"}, by_header),
                                         ({"by": "client_ip"}, by_client_ip)], ids=["cookie", "header", "client_ip"])
def test_users_stay_while_the_weight_grows_and_go_home_on_abort(split, sticky, ask):
    proxy = split(sticky=sticky, rollout=STEPS)
    canary_users = lambda: {u for u in USERS if ask(proxy, u) == "v2"}
    assert canary_users() == set()
    proxy.cli("start", "web")
    proxy.at_weight(10)
    at_10 = canary_users()
    assert canary_users() == at_10 and 0.03 < len(at_10) / len(USERS) < 0.2
    proxy.cli("promote", "web")
    proxy.at_weight(50)
    at_50 = canary_users()
    assert at_10 < at_50 and 0.38 < len(at_50) / len(USERS) < 0.62
    assert proxy.metrics().sum("serin_requests_total", role="canary", assigned="sticky") >= len(at_50)
    proxy.cli("abort", "web")
    assert canary_users() == set()


def test_new_rollout_draws_new_users(split):
    proxy = split(sticky={"by": "cookie", "name": "uid"}, rollout=STEPS)
    drawn = []
    for verb in ("start", "retry"):
        proxy.cli(verb, "web")
        proxy.at_weight(10)
        drawn.append({u for u in USERS if by_cookie(proxy, u) == "v2"})
        proxy.cli("abort", "web")
        wait_until(lambda: proxy.status()["state"] == "ABORTED", 10, "the end of the abort")
    assert drawn[0] and drawn[1] and drawn[0] != drawn[1]


def test_issued_cookie_sticks(split):
    proxy = split(weight="50%", sticky={"by": "cookie", "name": "serin_uid", "issue": True})
    for _ in range(20):
        first = proxy.ask()
        cookie = first.get("set-cookie")
        name, _, value = cookie.split(";")[0].partition("=")
        assert name == "serin_uid" and value
        with proxy.client() as c:
            again = [c.ask(headers={"Cookie": f"serin_uid={value}"}) for _ in range(5)]
        assert {a.body for a in again} == {first.body}
        assert not any(a.all("set-cookie") for a in again)


def test_status_knows_a_stable_that_is_down(serin, v1, v2):
    proxy = serin([route(v1.address, v2.address, weight="0%"), {**route(v1.address), "name": "plain", "hosts": ["plain.test"]}])
    names = ("web", "plain")
    proxy.cli("status", expect=0)
    v1.refuse()
    assert {proxy.ask(host=host).status for host in ("web.test", "plain.test")} == {502}
    for name in names:
        wait_until(lambda: proxy.status(name)["phase"] == "Degraded", 10, f"{name} being degraded")
        assert "no endpoint of v1 is available" in proxy.status(name)["why"]
        proxy.cli("status", name, expect=4)


def test_no_weight_without_an_endpoint(serin, backend):
    v1, v2 = backend("v1"), backend("v2")
    proxy = serin(route(v1.address, v2.address, weight="50%", breaker={"min_requests": 0}))
    v2.refuse()
    with proxy.client() as c:
        answers = [c.ask() for _ in range(200)]
    assert all(a.status == 200 and a.body == b"v1" for a in answers)
    assert proxy.metrics().sum("serin_request_errors_total", version="v2") < 100     # soon nobody is sent there any more
    v2.listen()     # where it was before
    with proxy.client() as c:
        wait_until(lambda: c.ask().body == b"v2", 20, "the canary's return")
