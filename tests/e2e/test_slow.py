"""Slow and greedy clients: each is put out in its time and is counted, and everybody else is served meanwhile.

SPDX-License-Identifier: Apache-2.0
"""
import os
import re
import select
import socket
import subprocess
import threading
import time

import pytest

from backends import reply
from rig import die_with_me, route, wait_until

MIB = 1 << 20
PATIENCE = 25.0         # seconds until the last slow one must be gone: 5 s of grace, twice over, and a busy machine
LAG = 2.0               # seconds within which everybody else is answered
SMALLEST = 2304         # bytes of a receive buffer: what the kernel gives to who asks for less


SUITE = os.path.join(os.path.dirname(__file__), "..", "suites", "slowhttp", "run.sh")


class Slow(threading.Thread):
    """A client on a thread of its own that moves step() each pace seconds, until it is put out or told to stop."""
    pace = 0.2
    rcvbuf = None
    first = b""

    def __init__(self, proxy):
        super().__init__(daemon=True)
        host, port = proxy.address.rsplit(":", 1)
        s = socket.socket()
        if self.rcvbuf:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.rcvbuf)
        s.settimeout(10)
        s.connect((host, int(port)))
        self.sock, self.heard, self.ended, self.stopped = s, b"", None, threading.Event()
        self.began = time.monotonic()
        s.sendall(self.first)
        self.start()

    def run(self):
        """Takes turns; ended is when and how: (seconds, "reset", "closed" or the status that came first)."""
        try:
            while not self.stopped.wait(self.pace):
                if self.step():
                    break
        except (ConnectionResetError, BrokenPipeError):
            self.end("reset")
        self.sock.close()

    def end(self, how):
        self.ended = time.monotonic() - self.began, how

    def listen(self):
        """Whether the proxy has said its last word."""
        while select.select([self.sock], [], [], 0)[0]:
            data = self.sock.recv(65536)
            self.heard += data
            if not data:
                words = self.heard.split(b" ", 2)
                self.end(words[1].decode() if len(words) > 1 else "closed")
                return True
        return False


class SlowHead(Slow):
    """A header now and then, for ever."""
    first = b"GET / HTTP/1.1\r\nHost: a\r\n"

    def step(self):
        if self.listen():
            return True
        self.sock.sendall(b"X: y\r\n")


class Silent(Slow):
    def step(self):
        return self.listen()


class SlowBody(Slow):
    """A byte now and then, chunk by chunk."""
    first = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

    def step(self):
        if self.listen():
            return True
        self.sock.sendall(b"1\r\nx\r\n")


class NoReader(Slow):
    """Asks for much and reads nothing: its window is 0 from then on. Whether it was reset is asked without reading."""
    first = b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n"
    rcvbuf = SMALLEST

    def step(self):
        if self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise ConnectionResetError


class SlowReader(NoReader):
    """The same, but reads a few bytes now and then."""

    def step(self):
        super().step()
        self.sock.recv(8)


class NoReaderOfLittle(NoReader):
    """The same, and all of its response is in the kernel: the connection is idle."""
    first = b"GET /little HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture
def library(v1):
    """v1 with bodies of several sizes; /late takes its time in the middle of one."""
    def answer(connection, request):
        if request.target == "/big":
            connection.send(reply(200, b"x" * 10 * MIB))
        elif request.target == "/little":
            connection.send(reply(200, b"x" * 60_000))
        elif request.target == "/late":
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n1234")
            v1.released.wait(7)
            connection.send(b"5678")
        else:
            v1.plain(connection, request)
    v1.answer = answer
    return v1


def errors(proxy, reason):
    return proxy.metrics().sum("serin_client_errors_total", reason=reason)


def test_every_slow_client_is_put_out_and_nobody_else_notices(serin, library):
    proxy = serin(route(library.address), timeouts={"client_header": "3s", "min_rate": "2KiB"})
    kinds = (SlowHead, Silent, SlowBody, SlowReader, NoReader, NoReaderOfLittle)
    normal, late = proxy.client(20), proxy.client(20)
    slow = [kind(proxy) for _ in range(10) for kind in kinds]
    late.send("GET /late HTTP/1.1\r\nHost: a\r\n\r\n")
    try:
        end = time.monotonic() + PATIENCE
        while any(s.ended is None for s in slow):
            assert time.monotonic() < end, [(type(s).__name__, s.ended) for s in slow if s.ended is None]
            began = time.monotonic()
            assert normal.ask().body == b"v1" and proxy.ask("POST", body=b"x" * 20_000).status == 200
            assert time.monotonic() - began < LAG
            select.select([], [], [], 0.05)
        assert late.response().body == b"12345678"      # its version was the slow one
        ends = {kind: {s.ended[1] for s in slow if type(s) is kind} for kind in kinds}
        assert ends == {SlowHead: {"408"}, Silent: {"closed"}, SlowBody: {"408"}, SlowReader: {"reset"}, NoReader: {"reset"},
                        NoReaderOfLittle: {"reset"}}
        assert (errors(proxy, "timeout"), errors(proxy, "slow"), errors(proxy, "aborted")) == (10, 40, 0)
        wait_until(lambda: proxy.metrics().sum("serin_client_connections") == 2, 10, "no connection of theirs")
        assert proxy.metrics().sum("serin_inflight_requests") == 0
        assert proxy.metrics().sum("serin_request_errors_total") == 0      # nobody's fault but theirs
        print("\nput out after s: " + ", ".join(
            f"{kind.__name__} {min(t):.1f} to {max(t):.1f}" for kind in kinds
            for t in [[s.ended[0] for s in slow if type(s) is kind]]))
    finally:
        for s in slow:
            s.stopped.set()
        normal.close()
        late.close()


def test_reader_above_the_rate_gets_it_all(serin, library):
    """It takes longer than client_body to make room for more, and far longer than the grace in all: it keeps taking."""
    size, step = 600_000, 4_000
    library.answer = lambda connection, request: connection.send(reply(200, bytes(size)))
    proxy = serin(route(library.address), timeouts={"client_body": "1s"})
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALLEST)
    host, port = proxy.address.rsplit(":", 1)
    s.connect((host, int(port)))
    s.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    s.settimeout(10)
    got, began = 0, time.monotonic()
    with s:
        while True:
            data = s.recv(step)
            if not data:
                break
            got += len(data)
            if time.monotonic() - began < 8:        # some 30 KB a second; then it hurries
                select.select([], [], [], len(data) / 30_000)
    assert got > size and time.monotonic() - began > 8
    assert proxy.metrics().sum("serin_client_errors_total") == 0


def test_upload_that_the_version_does_not_read_is_not_slow(serin, v1):
    """The client has sent all that there was room for: the time until the rest is its version's."""
    def read(connection):
        connection.fill()
        request = connection.head()
        v1.released.wait(8)
        connection.exactly(int(request.get("content-length")))
        return request
    v1.read = read
    proxy = serin(route(v1.address))
    with proxy.client(30) as c:
        c.sock.settimeout(30)
        c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (24 * MIB))
        c.send(bytes(24 * MIB))
        assert c.response().status == 200


def test_rate_and_its_end_by_a_reload(serin, library):
    """timeouts.min_rate: 0 leaves a dribble alone; a reload applies to those that are there already."""
    proxy = serin(route(library.address), timeouts={"min_rate": 0})
    slow = SlowBody(proxy)
    try:
        wait_until(lambda: slow.ended or time.monotonic() - slow.began > 7, 10)
        assert slow.ended is None and errors(proxy, "slow") == 0
        proxy.config["timeouts"]["min_rate"] = "240B"
        proxy.write()
        proxy.cli("reload")
        wait_until(lambda: slow.ended, PATIENCE, "the slow client's end")
        assert slow.ended[1] == "408" and errors(proxy, "slow") == 1
    finally:
        slow.stopped.set()


def test_dribbles_that_fill_limits_connections_make_room(serin, v1):
    """Nobody is refused: who comes waits to be accepted, at most for the time that the slow ones have."""
    proxy = serin(route(v1.address), limits={"connections": 20}, timeouts={"client_header": "2s"})
    slow = [SlowHead(proxy) for _ in range(20)]
    try:
        wait_until(lambda: proxy.metrics().sum("serin_client_connections") == 20, 5, "the crowd")
        with proxy.client(PATIENCE) as c:
            assert c.ask().status == 200
        assert proxy.metrics().sum("serin_accept_pauses_total") >= 1 and errors(proxy, "limit") >= 1
        wait_until(lambda: all(s.ended for s in slow), PATIENCE, "the end of the slow ones")
        assert errors(proxy, "timeout") == 20
    finally:
        for s in slow:
            s.stopped.set()


def test_requests_per_connection(serin, v1):
    proxy = serin(route(v1.address), limits={"requests_per_connection": 3})
    with proxy.client() as c:
        answers = [c.ask() for _ in range(3)]
        assert [a.get("connection") for a in answers] == [None, None, "close"] and c.is_closed()


def cpu_seconds(proxy):
    """CPU time of the process so far."""
    return time.clock_gettime((~proxy.process.pid << 3) | 2)


def test_waiting_for_descriptors_costs_no_time(serin, v1):
    """Connections wait in the listener's queue, which stays readable: nobody may turn in circles over it."""
    proxy = serin(route(v1.address), limit_fds=64, workers=2)
    crowd = [proxy.client() for _ in range(120)]
    try:
        wait_until(lambda: "accept_paused" in proxy.log(), 10, "the pause")
        before = cpu_seconds(proxy)
        assert not crowd[-1].is_closed(2.0)
        assert cpu_seconds(proxy) - before < 0.5
    finally:
        for c in crowd:
            c.close()
    wait_until(lambda: proxy.metrics().sum("serin_client_connections") == 0, 15, "the end of the crowd")
    assert proxy.ask().status == 200


def test_no_descriptor_for_an_upstream_is_503(serin, v1):
    """More requests at a time than descriptors are kept back for: those without one are told so, the others are served."""
    proxy = serin(route(v1.address), limit_fds=64)
    v1.answer = lambda connection, request: (v1.released.wait(20), v1.plain(connection, request))
    clients = [proxy.client(20) for _ in range(40)]        # the last ones wait in the listener's queue
    try:
        wait_until(lambda: "accept_paused" in proxy.log(), 10, "the pause")
        for c in clients:
            c.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        wait_until(lambda: "dial_failed" in proxy.log(), 10, "the want of descriptors")
        v1.released.set()
        statuses = [c.response().status for c in clients]
        assert set(statuses) == {200, 503} and statuses.count(200) >= 16
        assert proxy.ask().status == 200
        assert proxy.metrics().sum("serin_endpoint_up") == 1       # it is not the endpoint's fault
    finally:
        for c in clients:
            c.close()


def test_slowhttptest(serin, free_port, record_property):
    """All its modes at once."""
    proxy = serin(route(f"127.0.0.1:{free_port}"))
    done = subprocess.run(["bash", SUITE, proxy.address.split(":")[1], str(free_port)], capture_output=True, text=True, timeout=90,
                          preexec_fn=die_with_me)
    print("\n" + done.stdout)
    passed, failed = map(int, re.search(r"(\d+) passed, (\d+) failed\s*$", done.stdout).groups())
    record_property("cases_passed", passed)
    record_property("cases_failed", failed)
    assert (passed, failed) == (8, 0), done.stdout + done.stderr
    assert errors(proxy, "slow") == 400 and errors(proxy, "timeout") >= 200
