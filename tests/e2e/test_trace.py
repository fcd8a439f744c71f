"""What tells one request from another on its way: the trace that it belongs to, its id, and the version that served it.

SPDX-License-Identifier: Apache-2.0
"""
import re

import pytest

from backends import reply, says
from rig import route, wait_until

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
BEGUN = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-00")
ID = re.compile(r"[0-9a-f]{32}")


def sent(proxy, v1, headers):
    assert proxy.ask(headers=headers).status == 200
    return v1.requests[-1]


def test_a_trace_is_passed_on_untouched(serin, v1):
    proxy = serin(route(v1.address))
    for parent in (PARENT, "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more"):
        request = sent(proxy, v1, [("traceparent", parent), ("tracestate", "a=1,b=2"), ("Tracestate", "c=3")])
        assert request.get("traceparent") == parent and request.all("tracestate") == ["a=1,b=2", "c=3"]


@pytest.mark.parametrize("headers", [
    [], [("tracestate", "a=1")], [("traceparent", PARENT[:-1]), ("tracestate", "a=1")], [("traceparent", PARENT.upper())],
    [("traceparent", "ff" + PARENT[2:])], [("traceparent", "00-" + "0" * 32 + PARENT[35:])],
    [("traceparent", PARENT), ("tracestate", "a=1"), ("traceparent", PARENT)]])
def test_a_trace_begins_here(serin, v1, headers):
    proxy = serin(route(v1.address))
    first, second = (sent(proxy, v1, headers) for _ in range(2))
    ids = [BEGUN.fullmatch(r.get("traceparent")).groups() for r in (first, second)]
    assert ids[0][0] != ids[1][0] and ids[0][1] != ids[1][1]
    assert not first.all("tracestate")


def test_a_second_attempt_is_of_the_same_trace(serin, v1, v2):
    v2.answer = says(503, b"")
    proxy = serin(route(v1.address, v2.address, weight="100%", breaker={"min_requests": 0}))
    assert proxy.ask().body == b"v1"
    assert v1.requests[-1].get("traceparent") == v2.requests[-1].get("traceparent")


def test_switched_off(serin, v1):
    proxy = serin(route(v1.address, headers={"trace": False, "request_id": False}))
    assert not sent(proxy, v1, []).all("traceparent")
    request = sent(proxy, v1, [("traceparent", "x"), ("tracestate", "y")])
    assert (request.get("traceparent"), request.get("tracestate")) == ("x", "y")


def test_the_version_that_served_it(serin, v1, v2):
    v2.answer = lambda c, r: c.send(reply(200, b"v2", [("x-serin-VERSION", "v1"), ("X-Serin-Version", "v0")]))
    proxy = serin(route(v1.address, v2.address, weight="0%", override={"header": "X-Canary"},
                        headers={"version": "X-Serin-Version"}))
    assert proxy.ask().get("x-serin-version") == "v1"
    assert proxy.ask(headers={"X-Canary": "always"}).get("x-serin-version") == "v2"
    v2.answer = lambda c, r: c.close()
    retried = proxy.ask(headers={"X-Canary": "always"})
    assert retried.get("x-serin-version") == "v1"
    v1.answer = v2.answer
    assert proxy.ask().get("x-serin-version") is None        # none did


def test_every_error_reply_has_the_request_id(serin, v1):
    v1.answer = lambda c, r: c.close()
    proxy = serin({**route(v1.address), "hosts": ["web.test"]}, limits={"body_bytes": "10B"}, timeouts={"client_header": "300ms"})
    made = [proxy.ask(), proxy.ask(host="other.test"), proxy.ask("POST", body=b"x" * 20)]
    for raw in (b"nonsense\r\n\r\n", b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", b"GET / HTTP/1.1\r\nHos"):
        with proxy.client() as c:
            c.send(raw)
            made.append(c.response())
    assert [r.status for r in made] == [502, 404, 413, 400, 405, 408]
    ids = [r.get("x-request-id") for r in made]
    assert all(ID.fullmatch(i) for i in ids) and len(set(ids)) == len(ids)
    assert v1.requests[-1].get("x-request-id") == ids[0]
    given = [("X-Request-ID", "given-by-client")]
    for answer in (proxy.ask(headers=given), proxy.ask(headers=given, host="other.test"), proxy.ask("POST", headers=given, body=b"x" * 20)):
        assert answer.status in (502, 404, 413) and answer.get("x-request-id") == "given-by-client"


def test_a_line_of_the_log_names_the_request(serin, v1):
    v1.answer = lambda c, r: c.send(b"garbage\r\n\r\n")
    proxy = serin(route(v1.address), log={"level": "debug"})
    answer = proxy.ask()
    assert answer.status == 502
    with proxy.client() as c:
        c.send(b"nonsense\r\n\r\n")
        refused = c.response()
    for event, response in (("bad_response", answer), ("bad_request", refused)):
        wait_until(lambda: re.search(rf"{event} .*request_id={response.get('x-request-id')} ", proxy.log()), 5, "the line")
