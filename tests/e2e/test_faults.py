"""Backends and a machine that fail: what the user gets, whom it is counted for, and that serin lives on.

SPDX-License-Identifier: Apache-2.0
"""
import os
import shutil
import socket
import time

import pytest

from backends import reply
from rig import Client, connect, route, run_serin, wait_until


ALONE = {"retry": {"max": 0}, "breaker": {"min_requests": 0}}


def hang(connection, request):
    connection.backend.released.wait(20)
    connection.close()


def reset(connection, request):
    connection.reset()


def close(connection, request):
    connection.close()


def half_close(connection, request):
    """Sends nothing more, but goes on reading: no answer comes."""
    connection.sock.shutdown(socket.SHUT_WR)
    hang(connection, request)


def trickle(connection, request):
    """A head byte by byte that never ends: each byte comes in time."""
    connection.send(b"HTTP/1.1 200 OK\r\n")
    while not connection.backend.released.wait(0.02):
        connection.send(b"X")
    connection.close()


def sends(data):
    def answer(connection, request):
        connection.send(data)
        connection.close()
    return answer


FAULTS = {  # name: (the backend's answer, the status for the user, the reason it is counted under)
    "hangs": (hang, 504, "timeout"),
    "resets": (reset, 502, "reset"),
    "closes": (close, 502, "reset"),
    "half-closes": (half_close, 502, "reset"),
    "trickles": (trickle, 504, "timeout"),
    "garbage": (sends(b"\x00\x01\x02 garbage\r\n\r\n"), 502, "malformed"),
    "garbage-without-end": (sends(b"x" * 200000), 502, "malformed"),
    "half-a-head": (sends(b"HTTP/1.1 200 OK\r\nContent-Le"), 502, "reset"),
    "two-lengths": (sends(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"), 502, "malformed"),
    "head-too-large": (sends(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 300000 + b"\r\n\r\n"), 502, "malformed"),
    "http-9": (sends(b"HTTP/9.9 200 OK\r\nContent-Length: 0\r\n\r\n"), 502, "malformed"),
    "500": (sends(reply(500, b"no")), 500, "5xx"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_backend_fails_before_the_head(serin, v1, v2, name):
    answer, status, reason = FAULTS[name]
    v2.answer = answer
    proxy = serin(route(v1.address, v2.address, weight="100%", breaker={"min_requests": 0}), timeouts={"response_header": "300ms"})
    with proxy.client() as c:
        assert c.ask("POST", body=b"not to be sent twice").status == status
        assert v2.count() == 1 and v1.count() == 0
        metrics = proxy.metrics()
        assert metrics.sum("serin_request_errors_total", version="v2", role="canary", reason=reason) == 1
        assert metrics.sum("serin_request_errors_total") == 1
        assert metrics.sum("serin_requests_total", version="v2") == 1
        assert metrics.sum("serin_responses_total", code=str(status)) == 1
        v2.answer = v2.plain
        assert c.ask().body == b"v2"        # the client's connection lives, and the version is asked again


@pytest.mark.parametrize("name", ["hangs", "resets", "closes", "garbage"])
def test_safe_request_is_tried_again_on_stable(serin, v1, v2, name):
    answer, _, reason = FAULTS[name]
    v2.answer = answer
    proxy = serin(route(v1.address, v2.address, weight="100%", breaker={"min_requests": 0}), timeouts={"response_header": "300ms"})
    answer = proxy.ask()
    # a request is counted as its last byte is out: the client may have read it, and the page, a moment before
    wait_until(lambda: proxy.metrics().sum("serin_inflight_requests") == 0, 10, "its count")
    metrics = proxy.metrics()
    if name == "garbage":       # not among the causes of retry.on
        assert answer.status in (200, 502)
    else:
        assert (answer.status, answer.body) == (200, b"v1")
        assert metrics.sum("serin_retries_total", **{"from": "canary", "to": "stable", "result": "ok"}) == 1
    assert metrics.sum("serin_request_errors_total", version="v2", reason=reason) == 1
    assert metrics.sum("serin_requests_total", version="v1") == 0      # counted once, for the version that first got it


def test_refused(serin, v1, v2):
    proxy = serin(route(v1.address, v2.address, weight="100%", breaker={"min_requests": 0}))
    v2.refuse()
    with proxy.client() as c:
        assert c.ask("POST", body=b"x").body == b"v1"       # nothing was sent: safe for every method
    assert proxy.metrics().sum("serin_request_errors_total", version="v2", reason="connect") == 1
    v1.refuse()
    assert proxy.ask().status in (502, 503)


CUTS = {  # name: (what comes first, what comes when that has arrived)
    "length": (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 5000, b""),
    "chunked": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1388\r\n" + b"x" * 5000 + b"\r\n", b""),
    "bad-chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1388\r\n" + b"x" * 5000 + b"\r\n", b"zz\r\n"),
}


@pytest.mark.parametrize("name", CUTS)
@pytest.mark.parametrize("end", ["closes", "resets"])
def test_backend_fails_in_the_middle_of_a_body(serin, v1, v2, name, end):
    def answer(connection, request):
        connection.send(CUTS[name][0])
        v2.released.wait(10)
        connection.send(CUTS[name][1])
        (connection.reset if end == "resets" else connection.close)()
    v2.answer = answer
    proxy = serin(route(v1.address, v2.address, weight="100%"))
    with proxy.client() as c:
        c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert c.head().status == 200
        v2.released.set()
        rest = read_to_cut(c)
        assert b"0\r\n\r\n" not in rest and len(rest) < 6000        # cut, and not made to look whole
    metrics = proxy.metrics()
    assert metrics.sum("serin_request_errors_total", version="v2", reason="reset|malformed") == 1
    assert metrics.sum("serin_request_errors_total") == 1


def test_answer_byte_by_byte_arrives_whole(serin, v1):
    def answer(connection, request):
        for byte in reply(200, b"whole"):
            connection.send(bytes([byte]))
    v1.answer = answer
    proxy = serin(route(v1.address, **ALONE))
    with proxy.client() as c:
        assert [c.ask().body for _ in range(3)] == [b"whole"] * 3
    assert v1.connections == 1 and proxy.metrics().sum("serin_request_errors_total") == 0


@pytest.mark.parametrize("end", ["resets", "closes"])
def test_backend_fails_in_the_middle_of_an_upload(serin, v1, end):
    """It has read a part: what was sent once is not sent again, and the client is told."""
    def read(connection):
        connection.head()
        connection.exactly(1000)
        with v1.lock:
            v1.requests.append(None)
        connection.reset() if end == "resets" else connection.close()
    v1.read = read
    proxy = serin(route(v1.address, **ALONE))
    with proxy.client() as c:
        c.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + b"x" * 5000)
        assert c.response().status == 502 and v1.count() == 1
    page = at_rest(proxy)
    assert page.sum("serin_request_errors_total", version="v1", reason="reset") == 1 == page.sum("serin_request_errors_total")
    assert page.sum("serin_responses_total", code="502") == 1


def test_interim_answers_without_end(serin, v1):
    """Sixteen are passed on, then it is no answer any more."""
    v1.answer = sends(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 40)
    proxy = serin(route(v1.address, **ALONE))
    with proxy.client() as c:
        c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert [c.response().status for _ in range(17)] == [103] * 16 + [502]
    assert at_rest(proxy).sum("serin_request_errors_total", version="v1", reason="malformed") == 1


def test_too_many_wait_for_a_connection(serin):
    """A listener whose queue is full answers no connect: the first waits, the next one is told at once."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = "127.0.0.1:%d" % full.getsockname()[1]
        fillers = [connect(address)]
        try:
            while len(fillers) < 10:
                fillers.append(connect(address, 0.3))
        except OSError:
            pass
        proxy = serin(route(address, **ALONE), limits={"pending_per_endpoint": 1}, timeouts={"connect": "1s"})
        with proxy.client() as first, proxy.client() as second:
            first.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            wait_until(lambda: proxy.metrics().sum("serin_inflight_requests") == 1, 10, "the first under way")
            assert second.ask().status == 503 and first.response().status == 504
        page = at_rest(proxy)
        assert page.sum("serin_request_errors_total", reason="refused") == 1 == page.sum("serin_request_errors_total", reason="timeout")
        for s in fillers:
            s.close()


@pytest.mark.parametrize("shut", [b"", b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"])
def test_half_closed_connection_serves_no_second_request(serin, v1, shut):
    """A version that ends its side behind an answer, with or without a word, is not asked again there."""
    def answer(connection, request):
        connection.send(reply(200, b"whole") + shut)
        connection.sock.shutdown(socket.SHUT_WR)
        while connection.sock.recv(65536):
            pass
        connection.close()
    v1.answer = answer
    proxy = serin(route(v1.address, **ALONE))
    for _ in range(3):
        assert proxy.ask().body == b"whole"
    assert v1.count() == v1.connections == 3 and at_rest(proxy).sum("serin_request_errors_total") == 0


def test_backend_that_dies_and_comes_back(serin, v1):
    """Down: a refusal in time, and the gauge says so. Up again: served, with no reload."""
    proxy = serin(route(v1.address, **ALONE), timeouts={"connect": "500ms"})
    assert proxy.ask().body == b"v1"
    v1.refuse()
    assert proxy.ask().status == 502
    wait_until(lambda: proxy.metrics().sum("serin_endpoint_up", version="v1") == 0, 10, "the endpoint being down")
    assert proxy.status()["phase"] == "Degraded"
    page = at_rest(proxy)
    assert page.sum("serin_request_errors_total", version="v1", reason="connect") >= 1
    assert page.sum("serin_responses_total", code="502") >= 1
    v1.listen()
    wait_until(lambda: proxy.ask().body == b"v1", 10, "being served again")
    wait_until(lambda: proxy.metrics().sum("serin_endpoint_up", version="v1") == 1, 10, "the endpoint being up")


def at_rest(proxy):
    """The page once everything is counted; a new one, for a page is no single moment."""
    wait_until(lambda: proxy.metrics().sum("serin_inflight_requests") == 0, 10, "nothing in flight")
    return proxy.metrics()


def read_to_cut(client):
    try:
        return client.to_end()
    except ConnectionResetError:
        return client.buffer


def test_body_that_stops_coming(serin, v1):
    def answer(connection, request):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        hang(connection, request)
    v1.answer = answer
    proxy = serin(route(v1.address), timeouts={"response_idle": "300ms"})
    with proxy.client() as c:
        c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert c.head().status == 200
        assert read_to_cut(c) == b"half"
    assert proxy.metrics().sum("serin_request_errors_total", version="v1", reason="timeout") == 1


def test_client_that_leaves_is_nobodys_failure(serin, v1):
    v1.answer = hang
    proxy = serin(route(v1.address))
    for leave in (Client.close, Client.reset):
        c, before = proxy.client(), v1.count()
        c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: v1.count() > before, 10, "the request at the backend")
        leave(c)
    wait_until(lambda: proxy.metrics().sum("serin_inflight_requests") == 0, 10, "the end of the requests")
    metrics = proxy.metrics()
    assert metrics.sum("serin_request_errors_total") == 0
    assert metrics.sum("serin_client_errors_total", reason="aborted") == 2


def test_extra_bytes_of_a_backend_reach_no_other_user(serin, v1):
    v1.answer = lambda c, r: c.send(reply(200, b"mine") + reply(200, b"stolen"))
    proxy = serin(route(v1.address))
    for _ in range(5):
        with proxy.client() as c:
            assert [c.ask().body, c.ask().body] == [b"mine", b"mine"]


def test_descriptors_used_up(serin, v1):
    limit = 64
    proxy = serin(route(v1.address), limit_fds=limit)
    first = proxy.client()
    assert first.ask().status == 200
    crowd = [proxy.client() for _ in range(limit + 30)]     # the last ones wait in the listener's queue
    try:
        for c in crowd:
            c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert crowd[0].response().status == 200
        assert first.ask().status in (200, 503)             # who is in is still served, or told so
        wait_until(lambda: "accept" in proxy.log(), 10, "a line in the log that says so")
    finally:
        for c in crowd:
            c.close()
    wait_until(lambda: proxy.ask().status == 200, 10, "accepting again")
    assert proxy.metrics().sum("serin_accept_pauses_total") > 0
    assert proxy.ask().body == b"v1"


def test_connection_limit(serin, v1):
    proxy = serin(route(v1.address), limits={"connections": 10})
    inside = [proxy.client() for _ in range(10)]
    for c in inside:
        assert c.ask().status == 200
    with proxy.client() as late:
        late.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: proxy.metrics().sum("serin_accept_pauses_total") == 1, 5, "the pause")
        assert all(c.ask().status == 200 for c in inside)   # nobody is put out for a newcomer
        end = time.monotonic() + 0.5
        while time.monotonic() < end:                       # room is looked for five times meanwhile: one stretch all the same
            inside[0].ask()
        assert proxy.metrics().sum("serin_client_errors_total", reason="limit") == 1
        try:
            inside[0].close()
            assert late.response().status in (200, 503)     # who waits gets room, or is told that there was none
        except (EOFError, ConnectionError):
            pass                                            # closed without a word is an answer too
    for c in inside:
        c.close()
    wait_until(lambda: can_ask(proxy), 10, "room for another connection")


def can_ask(proxy):
    try:
        return proxy.ask().status == 200
    except (EOFError, OSError):
        return False


def test_state_dir_that_cannot_be_written_is_an_error_at_start(serin, v1, v2, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("no directory")
    proxy = serin(route(v1.address, v2.address), start=False)
    proxy.config["state_dir"] = str(blocked / "state")
    proxy.write()
    done = run_serin("run", "-c", proxy.file)
    assert done.returncode not in (0, 2) and "state" in done.stderr, done


def test_state_dir_that_goes_away_holds_the_rollout(serin, v1, v2):
    proxy = serin(route(v1.address, v2.address, rollout={"steps": ["10%", "50%", "100%"], "hold": "1s", "min_requests": 1,
                                                         "on_low_evidence": "advance", "max_hold": "3s", "harm_budget": "5%"}))
    proxy.cli("start", "web")
    proxy.at_weight(10)
    shutil.rmtree(proxy.config["state_dir"])
    with proxy.client() as c:
        for _ in range(100):
            assert c.ask().status == 200
        wait_until(lambda: c.ask().status == 200 and "error" in proxy.log(), 15, "a line in the log that says so")
        assert proxy.status()["weight"]["intended"] <= 10
        assert all(c.ask().status == 200 for _ in range(50))
    os.makedirs(proxy.config["state_dir"])
