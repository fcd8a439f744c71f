"""What serin answers itself: every error reply, its cause, and that nothing was forwarded.

SPDX-License-Identifier: Apache-2.0
"""
import time

import pytest

from backends import reply
from rig import route


def raw(head, body=b""):
    return head.replace("\n", "\r\n").encode("latin1") + b"\r\n\r\n" + body


BAD = {  # name: (bytes, the replies that are right)
    "no-version": (b"GET /\r\n\r\n", {400}),
    "bad-version": (raw("GET / HTTP/x.y\nHost: a"), {400, 505}),
    "http-3": (raw("GET / HTTP/3.0\nHost: a"), {400, 505}),
    "no-host": (raw("GET / HTTP/1.1"), {400}),
    "two-hosts": (raw("GET / HTTP/1.1\nHost: a\nHost: b"), {400}),
    "bad-host": (raw("GET / HTTP/1.1\nHost: a b"), {400}),
    "space-before-colon": (raw("GET / HTTP/1.1\nHost : a"), {400}),
    "folded": (raw("GET / HTTP/1.1\nHost: a\nX: 1\n 2"), {400}),
    "bare-lf": (b"GET / HTTP/1.1\nHost: a\n\n", {400}),
    "bare-cr": (b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r2\r\n\r\n", {400}),
    "nul": (b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\x002\r\n\r\n", {400}),
    "no-name": (raw("GET / HTTP/1.1\nHost: a\n: x"), {400}),
    "bad-method": (raw("G@T / HTTP/1.1\nHost: a"), {400, 501}),
    "no-slash": (raw("GET x HTTP/1.1\nHost: a"), {400}),
    "two-lengths": (raw("POST / HTTP/1.1\nHost: a\nContent-Length: 5\nContent-Length: 6", b"hello!"), {400}),
    "length-list": (raw("POST / HTTP/1.1\nHost: a\nContent-Length: 5, 6", b"hello!"), {400}),
    "length-plus": (raw("POST / HTTP/1.1\nHost: a\nContent-Length: +5", b"hello"), {400}),
    "length-hex": (raw("POST / HTTP/1.1\nHost: a\nContent-Length: 0x5", b"hello"), {400}),
    "length-huge": (raw("POST / HTTP/1.1\nHost: a\nContent-Length: 18446744073709551616", b""), {400, 413}),
    "length-and-chunked": (raw("POST / HTTP/1.1\nHost: a\nContent-Length: 5\nTransfer-Encoding: chunked", b"0\r\n\r\n"), {400}),
    "chunked-twice": (raw("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked, chunked", b"0\r\n\r\n"), {400}),
    "unknown-coding": (raw("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: gzip, chunked", b"0\r\n\r\n"), {400, 501}),
    "not-last-chunked": (raw("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked, gzip", b"0\r\n\r\n"), {400, 501}),
    "chunked-1.0": (raw("POST / HTTP/1.0\nHost: a\nTransfer-Encoding: chunked", b"0\r\n\r\n"), {400}),
    "connect": (raw("CONNECT a:443 HTTP/1.1\nHost: a:443"), {400, 405, 501}),
    "trace": (raw("TRACE / HTTP/1.1\nHost: a"), {405, 501}),
    "tls": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), {400}),
    "expectation": (raw("POST / HTTP/1.1\nHost: a\nExpect: magic\nContent-Length: 2", b"ab"), {417}),
}


@pytest.fixture
def proxy(serin, v1):
    return serin(route(v1.address))


@pytest.mark.parametrize("name", BAD)
def test_bad_request(proxy, v1, name):
    data, statuses = BAD[name]
    with proxy.client() as c:
        c.send(data)
        answer = c.response()
        assert answer.status in statuses, answer
        assert c.is_closed()
    assert v1.count() == 0


@pytest.mark.parametrize("name, chunk", {"size": b"zz\r\n", "size-missing": b"\r\n", "size-huge": b"10000000000000000\r\n",
                                         "no-crlf-after": b"3\r\nabcdef\r\n", "minus": b"-1\r\n", "bare-lf": b"3\nabc\n0\n\n"}.items())
def test_bad_chunk_cuts_both_sides(proxy, v1, name, chunk):
    with proxy.client() as c:
        c.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n" + chunk)
        assert c.response().status == 400
        assert c.is_closed()
    assert v1.count() == 0      # no request was complete


def test_413(serin, v1):
    proxy = serin(route(v1.address), limits={"body_bytes": "1KiB"})
    assert proxy.ask("POST", body=b"x" * 1024).status == 200
    assert proxy.ask("POST", body=b"x" * 1025).status == 413
    with proxy.client() as c:
        c.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + b"200\r\n" + b"x" * 512 + b"\r\n")
        c.send((b"200\r\n" + b"x" * 512 + b"\r\n") * 2)
        assert c.response().status == 413
        assert c.is_closed()
    assert v1.count() == 1


def test_413_is_said_before_the_body_is_asked_for(serin, v1):
    proxy = serin(route(v1.address), limits={"body_bytes": "1KiB"})
    with proxy.client() as c:
        c.send("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 99999\r\n\r\n")
        assert c.response().status == 413
    assert v1.count() == 0


def test_414_and_431(serin, v1):
    proxy = serin(route(v1.address), limits={"uri_bytes": "1KiB", "header_bytes": "8KiB", "headers": 20})
    long = {414: [("/" + "x" * 1024, [])],
            431: [("/", [("A", "x" * 8192)]), ("/", [(f"A{i}", "x") for i in range(21)]), ("/", [("A", "x" * 1000)] * 9)],
            200: [("/" + "x" * 1000, [("A", "x" * 6000)]), ("/", [(f"A{i}", "x") for i in range(19)])]}
    for status, asks in long.items():
        for target, headers in asks:
            assert proxy.ask(target=target, headers=headers).status == status
    assert v1.count() == 2


def test_431_needs_no_end_of_head(proxy, v1):
    with proxy.client() as c:
        c.send(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
        try:
            for _ in range(64):
                c.send(b"x" * 1024)
        except OSError:
            pass
        assert c.response().status == 431
    assert v1.count() == 0


def test_408_for_a_head_that_does_not_end(serin, v1):
    proxy = serin(route(v1.address), timeouts={"client_header": "300ms"})
    with proxy.client() as c:
        c.send("GET / HTTP/1.1\r\nHost: a\r\n")
        began = time.monotonic()
        assert c.response().status == 408
        assert c.is_closed()
    assert time.monotonic() - began < 5


def test_408_for_a_body_that_does_not_come(serin, v1):
    proxy = serin(route(v1.address), timeouts={"client_body": "300ms"})
    with proxy.client() as c:
        c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf")
        assert c.response().status == 408
        assert c.is_closed()
    assert v1.count() == 0


def test_idle_connection_is_closed_without_a_word(serin, v1):
    proxy = serin(route(v1.address), timeouts={"client_idle": "300ms"})
    with proxy.client() as c:
        assert c.ask().status == 200
        assert c.is_closed()


def test_502_and_503_and_504(serin, backend, free_port):
    nobody = f"127.0.0.1:{free_port}"
    hangs = backend("hangs", answer=lambda c, r: c.backend.released.wait(10))
    garbage = backend("garbage", answer=lambda c, r: (c.send(b"garbage\r\n\r\n"), c.close()))
    routes = [{**route(where), "name": name, "paths": [f"/{name}"]}
              for name, where in (("nobody", nobody), ("hangs", hangs.address), ("garbage", garbage.address))]
    proxy = serin(routes, timeouts={"response_header": "300ms"})
    with proxy.client() as c:       # the client's connection lives through all of them
        assert c.ask(target="/garbage").status == 502
        assert c.ask(target="/hangs").status == 504
        assert c.ask(target="/nobody").status in (502, 503)
        assert c.ask(target="/none").status == 404


def test_error_replies_are_well_formed(proxy):
    with proxy.client() as c:
        c.send("GET / HTTP/1.1\r\n\r\n")
        answer = c.response()
    assert answer.get("connection") == "close" and int(answer.get("content-length")) == len(answer.body)
    assert answer.get("content-type", "").startswith("text/") or not answer.body


def test_client_errors_are_counted(proxy, v1):
    for data in (b"GET /\r\n\r\n", b"\0\r\n\r\n"):
        with proxy.client() as c:
            c.send(data)
            c.response()
    metrics = proxy.metrics()
    assert metrics.sum("serin_client_errors_total") == 2
    assert metrics.sum("serin_requests_total") == 0
    v1.answer = lambda c, r: c.send(reply())
    assert proxy.ask().status == 200
