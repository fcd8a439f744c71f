"""The mirror: copies of stable's requests on the canary, whose answers nobody sees, nobody waits for, and the judge compares.

SPDX-License-Identifier: Apache-2.0
"""
import ssl
import time

import pytest

from backends import UNWELL, TlsBackend, hang, reply
from rig import QUICK, route, run_serin, wait_until

RATE = 400
JUDGED = {**QUICK, "steps": ["0%", "10%", "100%"]}      # nobody is sent to the canary at first
GET = b"GET / HTTP/1.1\r\nHost: web.test\r\n\r\n"


def mirrored(proxy, **labels):
    return proxy.metrics().sum("serin_mirrored_requests_total", **labels)


def skipped(proxy, **labels):
    return proxy.metrics().sum("serin_mirror_skipped_total", **labels)


def all_over(proxy, n):
    """n requests were chosen, and each copy has come to its end."""
    wait_until(lambda: mirrored(proxy) + skipped(proxy) == n, 10, f"the end of {n} copies")


@pytest.mark.parametrize("workers", [1, 2])
def test_share_is_exact_and_counted_apart(serin, v1, v2, workers):
    proxy = serin(route(v1.address, v2.address, weight="0%", mirror="5%"), workers=workers)
    with proxy.client() as c:           # one connection is one worker's
        for _ in range(100):
            c.send(GET * 100)
            assert {c.response().body for _ in range(100)} == {b"v1"}
    all_over(proxy, 500)
    assert mirrored(proxy, route="web", version="v2", result="ok") == v2.count() == 500
    metrics = proxy.metrics()
    assert metrics.sum("serin_requests_total") == metrics.sum("serin_requests_total", version="v1", code="200") == 10000
    assert metrics.sum("serin_responses_total") == 10000
    assert metrics.sum("serin_request_duration_seconds_count", version="v2") == 0
    assert metrics.sum("serin_mirrored_inflight_requests") == 0


def test_copy_is_the_request_with_a_sign(serin, v1, v2):
    proxy = serin(route(v1.address, v2.address, weight="0%", mirror="100%", mirror_methods=["GET", "PUT", "DELETE"]))
    forged = ("X-Serin-Mirror", "7"), ("X-Own", "a")
    assert proxy.ask("PUT", "/a?b=c", forged, b"body").body == b"v1"
    all_over(proxy, 1)
    stable, copy = v1.last(), v2.last()
    assert copy.body == stable.body == b"body" and copy.start == stable.start
    assert stable.get("x-serin-mirror") is None and copy.all("x-serin-mirror") == ["1"]
    for name in ("host", "x-own", "x-request-id", "x-forwarded-for", "content-length", "via"):
        assert copy.all(name) == stable.all(name) != [], name
    proxy.ask("POST", "/", (), b"body")
    proxy.ask("DELETE", "/")
    all_over(proxy, 2)
    assert [r.method for r in v2.requests] == ["PUT", "DELETE"]


def test_what_writes_is_not_copied_unless_it_is_named(serin, v1, v2):
    proxy = serin(route(v1.address, v2.address, weight="0%", mirror="100%"))
    for method in ("PUT", "DELETE", "POST", "PATCH"):
        proxy.ask(method, "/", (), b"body")
    proxy.ask("GET")
    all_over(proxy, 1)
    assert [r.method for r in v2.requests] == ["GET"] and v1.count() == 5


def test_large_bodies_are_not_copied(serin, v1, v2):
    proxy = serin(route(v1.address, v2.address, weight="0%", mirror="100%", mirror_methods=["PUT"]))
    with proxy.client() as c:
        assert c.ask("PUT", body=b"x" * 65536).body == b"v1"
        assert c.ask("PUT", body=b"x" * 70000).body == b"v1"
        c.send(b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
               + b"".join(b"7000\r\n" + b"y" * 0x7000 + b"\r\n" for _ in range(3)) + b"0\r\n\r\n")
        assert c.response().body == b"v1"
    all_over(proxy, 3)
    assert skipped(proxy, reason="body") == 2
    assert [len(r.body) for r in v2.requests] == [65536]
    assert [len(r.body) for r in v1.requests] == [65536, 70000, 3 * 0x7000]


def test_users_do_not_wait_for_a_canary_that_hangs(serin, v1, v2):
    """The same users, with the canary well and with one that answers nothing: what they wait is alike."""
    proxy = serin(route(v1.address, v2.address, weight="0%", mirror="100%"))

    def seconds_of(n):
        began = time.monotonic()
        with proxy.client() as c:
            for _ in range(n):
                assert c.ask().body == b"v1"
        return time.monotonic() - began

    seconds_of(50)
    well = seconds_of(400)
    before = v2.count()
    v2.answer = hang
    hung = seconds_of(400)
    assert proxy.metrics().sum("serin_mirrored_inflight_requests") == 128
    assert v2.count() - before <= 128 and skipped(proxy, reason="limit") >= 400 - 128
    assert hung < 5 * well + 1, (well, hung)       # one copy that was waited for would be 20 s
    v2.released.set()


@pytest.mark.parametrize("how", sorted(UNWELL))
def test_nobody_sees_what_the_canary_does(serin, v1, v2, how):
    make, _, _ = UNWELL[how]
    proxy = serin(route(v1.address, v2.address, weight="0%", mirror="100%", retry={"max": 0}),
                  timeouts={"response_header": "300ms", "connect": "300ms", "response_idle": "300ms"})
    make(v2)
    with proxy.client() as c:
        for _ in range(30):
            answer = c.ask()
            assert (answer.status, answer.body) == (200, b"v1")
    all_over(proxy, 30)
    assert mirrored(proxy, result="ok") == 0 and mirrored(proxy) > 0
    metrics = proxy.metrics()
    assert metrics.sum("serin_responses_total", code="200") == 30
    assert metrics.sum("serin_request_errors_total") == metrics.sum("serin_ejections_total") == 0
    assert "breaker_open" not in proxy.log()


def test_off_without_a_rollout(serin, v1, v2):
    proxy = serin(route(v1.address, v2.address, mirror="100%", rollout=JUDGED))
    for _ in range(20):
        assert proxy.ask().body == b"v1"
    assert mirrored(proxy) == skipped(proxy) == v2.count() == 0
    proxy.cli("start", "web")
    proxy.at_weight(0)
    assert proxy.ask().body == b"v1"
    all_over(proxy, 1)
    proxy.cli("abort", "web")
    wait_until(lambda: proxy.status()["state"] == "ABORTED", 10, "the abort")
    assert proxy.ask().body == b"v1"
    assert v2.count() == 1


def test_a_stop_does_not_wait_for_copies(serin, v1, v2):
    proxy = serin(route(v1.address, v2.address, weight="0%", mirror="100%"), timeouts={"drain": "60s"})
    v2.answer = hang
    for _ in range(5):
        assert proxy.ask().body == b"v1"
    wait_until(lambda: v2.count() == 5, 10, "the copies")
    proxy.stop()        # within 15 s, and clean
    v2.released.set()


def test_a_first_step_of_nobody_needs_the_mirror(serin, v1, v2):
    proxy = serin(route(v1.address, v2.address, rollout=JUDGED), start=False)
    done = run_serin("check", "-c", proxy.file)
    assert done.returncode == 78 and "rollout.steps[0].weight: 0% is a step without users" in done.stderr, done
    proxy.config["routes"][0]["mirror"] = "20%"
    proxy.write()
    done = run_serin("check", "-c", proxy.file)
    assert done.returncode == 0 and "0%  2s, judged by copies of 20% of the requests" in done.stdout, done


def test_status_tells_of_copies(serin, v1, v2):
    proxy = serin(route(v1.address, v2.address, mirror="50%", rollout={**JUDGED, "hold": "5m", "max_hold": "10m"}))
    proxy.cli("start", "web")
    proxy.at_weight(0)
    with proxy.client() as c:
        for _ in range(40):
            c.ask()
    wait_until(lambda: proxy.metrics().sum("serin_mirrored_inflight_requests") == 0, 10, "the end of the copies")
    copies = mirrored(proxy)
    assert 0 < copies < 40      # half of any 10000, shuffled
    wait_until(lambda: [v["requests"] for v in proxy.status()["versions"]] == [copies, copies], 5, "the pairs in the status")
    status = proxy.status()
    assert status["mirroring"] and status["why"].startswith("nobody is sent to v2 yet: watches copies of v1's requests")
    shown = proxy.cli("status", "web", expect=3)
    assert "0% intended" in shown and "copies of stable's requests" in shown, shown


@pytest.mark.load
def test_a_bad_canary_is_out_before_any_user_has_seen_it(serin, shop, users):
    v1, v2 = shop("v1"), shop("v2", errors=50)
    proxy = serin(route(v1.address, v2.address, mirror="20%", rollout={**JUDGED, "start": "auto"}), workers=2)
    crowd = users(proxy.address, users=50, rate=RATE)
    wait_until(lambda: proxy.status()["state"] == "ABORTED", 30, "the abort")
    status = proxy.status()
    assert status["result"] == "reverted" and "0%, on copies" in status["why"], status["why"]
    got = crowd.stop()
    assert got["failed"] == 0 and got.get("v2_requests", 0) == 0 and got["requests"] > 0, got
    metrics = proxy.metrics()
    assert metrics.sum("serin_requests_total", version="v2") == 0
    copies = metrics.sum("serin_mirrored_requests_total")
    assert metrics.sum("serin_mirrored_requests_total", result="5xx") > 0
    assert [q["name"] for q in status["quarantine"]] == ["v2"]
    for _ in range(50):
        assert proxy.ask().body.strip() != b""
    assert mirrored(proxy) == copies        # nothing goes to what is in quarantine


@pytest.mark.load
def test_a_healthy_canary_widens_and_is_judged_by_its_users_then(serin, shop, users):
    v1, v2 = shop("v1"), shop("v2")
    proxy = serin(route(v1.address, v2.address, mirror="50%", rollout=JUDGED), workers=2)
    crowd = users(proxy.address, users=50, rate=RATE)
    proxy.cli("start", "web")
    proxy.at_weight(0)
    wait_until(lambda: proxy.status()["weight"]["intended"] >= 10, 30, "the first users")
    wait_until(lambda: proxy.status()["result"] == "completed", 60, "the promotion")
    got = crowd.stop()
    assert got["failed"] == 0 and got["v2_requests"] > 0
    steps = proxy.api("GET", "routes/web/history")[1]["history"][0]["steps"]
    assert [s["weight"] for s in steps][:2] == [0, 10] and steps[0]["verdict"] == "promote", steps


def test_a_canary_that_refuses_waits_for_its_endpoint(serin, v1, v2):
    proxy = serin(route(v1.address, v2.address, mirror="100%", rollout={**JUDGED, "hold": "5m", "max_hold": "10m"}))
    proxy.cli("start", "web")
    proxy.at_weight(0)
    v2.refuse()
    with proxy.client() as c:
        wait_until(lambda: (c.ask(), proxy.status()["state"] in ("HOLDING", "ABORTED"))[1], 15, "the rollout to see it")
    assert proxy.metrics().sum("serin_responses_total", code="200") == proxy.metrics().sum("serin_responses_total")


def test_what_stable_fails_too_is_not_the_canarys_doing(serin, v1, v2):
    """Both versions answer 503 to the same tenth of the requests: the pairs are alike, so it widens."""
    def tenth(backend):
        def answer(connection, request):
            bad = request.target.endswith("0")
            connection.send(reply(503 if bad else 200, b"x"))
        return answer
    v1.answer, v2.answer = tenth(v1), tenth(v2)
    plan = {**JUDGED, "on_low_evidence": "advance", "max_hold": "4s",
            "checks": {"errors": {"ceiling": "0%"}, "latency": {"enabled": False}}}
    proxy = serin(route(v1.address, v2.address, mirror="100%", retry={"max": 0}, eject={"consecutive": 0}, rollout=plan))
    proxy.cli("start", "web")
    proxy.at_weight(0)
    count = 0
    with proxy.client() as c:
        def go():
            nonlocal count
            for _ in range(20):
                c.ask(target=f"/{count}")
                count += 1
            return proxy.status()["weight"]["intended"] > 0
        wait_until(go, 60, "the first users")
    status = proxy.status()
    assert status["result"] != "reverted", status["why"]
    assert mirrored(proxy, result="5xx") > 10


def test_a_canary_that_the_file_drops_gets_no_more(serin, v1, v2):
    proxy = serin(route(v1.address, v2.address, mirror="100%", rollout={**JUDGED, "hold": "5m", "max_hold": "10m"}))
    proxy.cli("start", "web")
    proxy.at_weight(0)
    with proxy.client() as c:
        c.ask()
        all_over(proxy, 1)
        proxy.config["routes"] = [route(v1.address)]
        proxy.write()
        proxy.cli("reload")
        for _ in range(20):
            assert c.ask().body == b"v1"
    assert v2.count() == 1


def test_copies_go_by_tls_where_users_would(serin, v1, cleanup, authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.server("v2", ["v2.test"]))
    secure = TlsBackend(context, "v2")
    cleanup.append(secure.stop)
    made = route(v1.address, secure.address, weight="0%", mirror="100%")
    made["versions"]["v2"]["tls"] = {"ca": authority.ca, "server_name": "v2.test"}
    proxy = serin(made)
    with proxy.client() as c:
        for n in range(1, 11):
            assert c.ask().body == b"v1"
            all_over(proxy, n)
    assert mirrored(proxy, result="ok") == secure.count() == 10
    assert proxy.metrics().sum("serin_upstream_tls_handshakes_total", version="v2", result="full") == 1
    made["versions"]["v2"]["tls"]["server_name"] = "other.test"
    proxy.write()
    proxy.cli("reload")
    assert proxy.ask().body == b"v1"
    all_over(proxy, 11)
    assert mirrored(proxy, result="connect") == 1 and "tls_failed" in proxy.log()
