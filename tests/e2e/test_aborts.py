"""Clients that leave, in every state of a request: its version is let go of, nothing stays behind, nobody is blamed.

SPDX-License-Identifier: Apache-2.0
"""
import fcntl
import struct
import termios
import threading

import pytest

from backends import full_listener, reply
from rig import Client, route, wait_until

LEAVE = {"closes": Client.close, "resets": Client.reset}
ALONE = {"retry": {"max": 0}, "breaker": {"min_requests": 0}}
GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
MUCH = 32 << 20     # more than all buffers between two processes hold


class Watch:
    """An answer function that does its part of a response, then tells when serin ends the connection."""

    def __init__(self, *parts, read=True):
        self.parts, self.read, self.started, self.ended, self.go_on = parts, read, threading.Event(), threading.Event(), threading.Event()

    def __call__(self, connection, request):
        try:
            for part in self.parts:
                connection.send(part)
            self.started.set()
            if self.read:
                while connection.sock.recv(65536):
                    pass
            else:
                self.go_on.wait(20)
                while True:
                    connection.send(b"x" * 65536)
        except OSError:
            pass
        self.ended.set()
        connection.close()


def settled(proxy, aborted):
    """Nothing in flight, no client left, so many aborts, no failure of any version: the page that says so."""
    def is_at_rest():
        page = proxy.metrics()
        return page.sum("serin_inflight_requests") == 0 and page.sum("serin_client_connections") == 0
    wait_until(is_at_rest, 10, "nothing being in flight")
    page = proxy.metrics()      # a page is no single moment: what stands further up on that one may be older
    assert page.sum("serin_client_errors_total", reason="aborted") == aborted == page.sum("serin_client_errors_total")
    assert page.sum("serin_request_errors_total") == 0
    return page


@pytest.mark.parametrize("leave", LEAVE)
def test_within_a_head(serin, v1, leave):
    proxy = serin(route(v1.address, **ALONE))
    c = proxy.client()
    c.send(GET[:20])
    LEAVE[leave](c)
    wait_until(lambda: proxy.metrics().sum("serin_client_errors_total") == 1, 10, "its count")
    page = settled(proxy, 1)
    assert v1.count() == 0 and page.sum("serin_requests_total") == 0


@pytest.mark.parametrize("leave", LEAVE)
def test_between_requests_is_no_error(serin, v1, leave):
    proxy = serin(route(v1.address, **ALONE))
    c = proxy.client()
    assert c.ask().body == b"v1"
    LEAVE[leave](c)
    settled(proxy, 0)
    assert proxy.ask().body == b"v1" and v1.connections == 1      # the version's connection is kept


@pytest.mark.parametrize("leave", LEAVE)
def test_while_its_version_is_connected_to(serin, leave):
    """A listener whose queue is full answers no connect: nothing has been sent."""
    with full_listener() as address:
        proxy = serin(route(address, **ALONE), timeouts={"connect": "20s"})
        c = proxy.client()
        c.send(GET)
        wait_until(lambda: proxy.metrics().sum("serin_inflight_requests") == 1, 10, "the request under way")
        LEAVE[leave](c)
        page = settled(proxy, 1)
        assert page.sum("serin_requests_total", code="4xx") == 1


@pytest.mark.parametrize("leave", LEAVE)
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_within_its_body(serin, v1, framing, leave):
    """What has come is no whole request, and must not look like one."""
    seen = []

    def read(connection):
        seen.append(connection.head())
        try:
            while True:
                connection.fill()
        except (EOFError, OSError):
            seen.append(connection.buffer)
        return None
    v1.read = read
    proxy = serin(route(v1.address, **ALONE))
    c = proxy.client()
    if framing == "length":
        c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf")
    else:
        c.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
    wait_until(lambda: seen, 10, "the head at the version")
    LEAVE[leave](c)
    wait_until(lambda: len(seen) == 2, 10, "serin closing the connection to the version")
    assert b"half" in seen[1] and not seen[1].endswith(b"0\r\n\r\n")
    settled(proxy, 1)


@pytest.mark.parametrize("leave", LEAVE)
def test_while_its_version_does_not_read_the_body(serin, v1, leave):
    """Every buffer on the way is full: the client is not read any more, and its leaving is seen all the same."""
    taken, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def read(connection):
        connection.head()
        taken.set()
        go_on.wait(20)
        try:
            while connection.sock.recv(1 << 20):
                pass
        except OSError:
            pass
        ended.set()
        return None
    v1.read = read
    proxy = serin(route(v1.address, **ALONE))
    c = proxy.client(timeout=0.5)
    with pytest.raises(TimeoutError):
        c.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % MUCH + b"x" * MUCH)
    assert taken.is_set()
    LEAVE[leave](c)
    if leave == "closes":   # its end stands behind bytes that nobody reads yet
        go_on.set()
    settled(proxy, 1)
    go_on.set()
    assert ended.wait(10)


def test_reset_behind_a_request_read_ahead(serin, v1):
    """Two requests at once, and the first one hangs: nothing more is read, and no event tells of the reset."""
    v1.answer = watch = Watch()
    proxy = serin(route(v1.address, **ALONE))
    c = proxy.client()
    c.send(GET)
    assert watch.started.wait(10)
    c.send(GET)
    wait_until(lambda: not unread(c), 10, "the second one being read")
    c.reset()
    assert watch.ended.wait(10)
    settled(proxy, 1)


def unread(client):
    """Bytes that the peer's kernel has not acknowledged."""
    return struct.unpack("i", fcntl.ioctl(client.sock, termios.TIOCOUTQ, b"\0" * 4))[0]


@pytest.mark.parametrize("leave", LEAVE)
def test_while_its_version_thinks(serin, v1, leave):
    v1.answer = watch = Watch()
    proxy = serin(route(v1.address, **ALONE))
    c = proxy.client()
    c.send(GET)
    assert watch.started.wait(10)
    LEAVE[leave](c)
    assert watch.ended.wait(10)
    page = settled(proxy, 1)
    assert page.sum("serin_requests_total", version="v1", code="4xx") == 1


HEADS = {"length": b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\nhalf",
         "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", "end": b"HTTP/1.1 200 OK\r\n\r\nhalf"}


@pytest.mark.parametrize("framing", HEADS)
def test_reset_within_its_answer(serin, v1, framing):
    """The version is silent: the reset alone says that nobody waits."""
    v1.answer = watch = Watch(HEADS[framing])
    proxy = serin(route(v1.address, **ALONE))
    c = proxy.client()
    c.send(GET)
    assert c.head().status == 200
    c.reset()
    assert watch.ended.wait(10)
    assert settled(proxy, 1).sum("serin_requests_total", version="v1", code="200") == 1


@pytest.mark.parametrize("leave", LEAVE)
@pytest.mark.parametrize("reads", [True, False])
def test_within_an_answer_that_goes_on(serin, v1, leave, reads):
    """A close may only be an end of input; with the next bytes it shows. reads False: every buffer is full by then."""
    v1.answer = watch = Watch(HEADS["length"], read=False)
    proxy = serin(route(v1.address, **ALONE))
    c = proxy.client()
    c.send(GET)
    assert c.head().status == 200
    if not reads:
        watch.go_on.set()
        wait_until(lambda: proxy.metrics().sum("serin_inflight_requests") == 1, 10, "the answer under way")
    LEAVE[leave](c)
    watch.go_on.set()
    assert watch.ended.wait(10)
    assert settled(proxy, 1).sum("serin_requests_total", version="v1", code="200") == 1


def test_a_crowd_leaves_at_once(serin, v1, v2):
    """Hundreds in all states; afterwards the same process serves as before."""
    def answer(connection, request):
        if request.target == "/hang":
            connection.sock.recv(1)
            connection.close()
        connection.send(reply(200, b"x" * 100))
    v1.answer = v2.answer = answer
    proxy = serin(route(v1.address, v2.address, weight="50%", **ALONE), workers=2)
    crowd = [proxy.client() for _ in range(120)]
    for n, c in enumerate(crowd):
        c.send([GET[:9], GET.replace("/ ", "/hang "), GET, "POST /hang HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe"][n % 4])
    wait_until(lambda: v1.count() + v2.count() == 60, 10, "the whole requests at the versions")
    wait_until(lambda: proxy.metrics().sum("serin_responses_total", code="200") == 30, 10, "the answers that come at once")
    for n, c in enumerate(crowd):
        (c.reset if n % 8 < 4 else c.close)()
    settled(proxy, 90)      # all but those whose answer was there
    with proxy.client() as c:
        assert all(c.ask().status == 200 for _ in range(20))


def test_an_abort_goes_back_by_the_plans_steps(serin, v1, v2):
    """A person's: 60% > 20% > 0%, ten seconds at 20%, unless asked twice."""
    plan = {"steps": ["60%", "100%"], "hold": "5m", "max_hold": "10m", "abort_steps": ["70%", "20%", "0%"]}
    proxy = serin(route(v1.address, v2.address, rollout=plan))
    proxy.cli("start", "web")
    proxy.at_weight(60)
    proxy.cli("abort", "web")
    wait_until(lambda: proxy.status()["weight"]["intended"] == 20, 10, "the first step back")
    status = proxy.status()
    assert status["state"] == "ABORTING" and "by steps, 20% now" in status["why"], status
    with proxy.client() as c:
        assert {c.ask().body for _ in range(200)} == {b"v1", b"v2"}
    proxy.cli("abort", "web")
    assert proxy.status()["weight"]["intended"] == 0
    wait_until(lambda: proxy.status()["state"] == "ABORTED", 10, "the end")
    with proxy.client() as c:
        assert {c.ask().body for _ in range(50)} == {b"v1"}
