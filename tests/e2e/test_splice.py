"""Large bodies that the kernel moves from socket to socket: no byte is lost, added or given to somebody else, whoever is slow or leaves,
and where there is no pipe they are copied.

SPDX-License-Identifier: Apache-2.0
"""
import hashlib
import json
import os
import random
import socket
import threading

import pytest

from backends import reply
from certificates import as_config
from procfs import open_files
from rig import Client, SlowReader, route, wait_until

KIB, MIB = 1 << 10, 1 << 20
SIZE = 3 * MIB + 12345
BODY = random.Random(1).randbytes(SIZE)
HEAD = 64 * KIB             # so much of a body may come with its head, or be kept for another attempt
TAIL = 64 * KIB             # an end of less than so much may be copied: where the pieces before it leave off is the kernel's affair
PIPES, KEPT = 32, 8         # of a worker: lent at most, and kept idle
MUCH = 32 * MIB             # more than all buffers between two processes hold
GET = "GET /big HTTP/1.1\r\nHost: a\r\n\r\n"


def post(size, fields=""):
    return f"POST /big HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n{fields}\r\n".encode()


def spliced(proxy, direction):
    return proxy.metrics().sum("serin_spliced_bytes_total", direction=direction)


def pipe_ends(proxy):
    """How many ends of pipes serin has open, those of its event loops included."""
    return sum(link.startswith("pipe:") for link in open_files(proxy.process))


def sends(body, pieces=None, extra=b""):
    """An answer function with that body in pieces of the sizes given; extra bytes behind it."""
    def answer(connection, request):
        at = 0
        connection.send(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        while at < len(body):
            n = pieces() if pieces else len(body)
            connection.send(body[at:at + n] + (extra if at + n >= len(body) else b""))
            at += n
    return answer


def echoes_digest(connection, request):
    connection.send(reply(body=hashlib.sha256(request.body).hexdigest().encode()))


def at_rest(proxy):
    wait_until(lambda: proxy.metrics().sum("serin_inflight_requests") == 0, 10, "nothing being in flight")
    return proxy.metrics()


@pytest.fixture
def small(request):
    """Sizes of pieces at random, the same ones in every run: from a byte to 200 KiB."""
    numbers = random.Random(request.node.name)
    return lambda: int(2 ** numbers.uniform(0, 17.6))


def test_down_and_again(serin, v1):
    proxy = serin(route(v1.address), log={"access": "json", "access_file": "access.log"})
    v1.answer = sends(BODY)
    with proxy.client(30) as c:
        for n in (1, 2, 3):
            assert c.ask(target="/big").body == BODY
            down = spliced(proxy, "response")
            assert n * (SIZE - HEAD - TAIL) <= down <= n * SIZE
        v1.answer = v1.plain
        assert c.ask().body == b"v1"
        assert c.ask("HEAD").status == 200
        assert spliced(proxy, "response") == down and spliced(proxy, "request") == 0
    assert v1.connections == 1
    log = os.path.join(proxy.folder, "access.log")
    lines = wait_until(lambda: open(log).readlines() if open(log).read().count("\n") == 5 else None, 10, "the lines of the access log")
    assert [json.loads(line)["bytes"] for line in lines] == [SIZE, SIZE, SIZE, 2, 0]


@pytest.mark.parametrize("method", ["POST", "PUT"])     # what may be sent twice is kept in part
def test_up_and_again(serin, v1, method):
    proxy = serin(route(v1.address))
    v1.answer = echoes_digest
    with proxy.client(30) as c:
        for n in (1, 2, 3):
            assert c.ask(method, "/big", body=BODY).body.decode() == hashlib.sha256(BODY).hexdigest()
            assert n * (SIZE - 4 * HEAD) <= spliced(proxy, "request") <= n * SIZE
        assert c.ask(method, body=b"small").body.decode() == hashlib.sha256(b"small").hexdigest()
    assert v1.connections == 1


def test_a_request_behind_a_large_one(serin, v1):
    proxy = serin(route(v1.address))
    v1.answer = lambda connection, request: connection.send(reply(body=f"{request.target} {len(request.body)}".encode()))
    with proxy.client(30) as c:
        c.send(post(SIZE) + BODY + b"GET /behind HTTP/1.1\r\nHost: a\r\n\r\n" + post(SIZE) + BODY)
        assert [c.response().body for _ in range(3)] == [f"/big {SIZE}".encode(), b"/behind 0", f"/big {SIZE}".encode()]
    assert spliced(proxy, "request") > SIZE


def test_who_asks_whether_to_send(serin, v1):
    proxy = serin(route(v1.address))

    def read(connection):
        request = connection.head()
        connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.body = connection.exactly(int(request.get("content-length")))
        return request
    v1.read, v1.answer = read, echoes_digest
    with proxy.client(30) as c:
        c.send(post(SIZE, "Expect: 100-continue\r\n"))
        assert c.response().status == 100
        c.send(BODY)
        assert c.response().body.decode() == hashlib.sha256(BODY).hexdigest()
    assert spliced(proxy, "request") > SIZE - 4 * HEAD


def test_pieces_of_all_sizes(serin, v1, small):
    proxy = serin(route(v1.address))
    v1.answer = sends(BODY, small)
    with proxy.client(30) as c:
        assert c.ask(target="/big").body == BODY
        v1.answer = echoes_digest
        c.send(post(SIZE))
        at = 0
        while at < SIZE:
            n = small()
            c.send(BODY[at:at + n])
            at += n
        assert c.response().body.decode() == hashlib.sha256(BODY).hexdigest()
    assert spliced(proxy, "response") > 0 and spliced(proxy, "request") > 0


def test_a_slow_reader_and_a_slow_endpoint(serin, v1, small):
    proxy = serin(route(v1.address))
    own = pipe_ends(proxy)
    v1.answer = sends(BODY)
    with SlowReader(proxy.address) as c:
        c.send(GET)
        c.head()
        wait_until(lambda: pipe_ends(proxy) == own + 2, 20, "bytes waiting in a pipe")
        while len(c.buffer) < SIZE:
            c.buffer += c.sock.recv(small())
        assert c.buffer == BODY
        c.buffer = b""

        def read_slowly(connection):
            request = connection.head()
            size = int(request.get("content-length"))
            while len(connection.buffer) < size:
                connection.buffer += connection.sock.recv(small())
            request.body, connection.buffer = connection.buffer, b""
            return request
        v1.read, v1.answer = read_slowly, echoes_digest
        v1.refuse()
        v1.listen()
        assert c.ask("POST", body=BODY).body.decode() == hashlib.sha256(BODY).hexdigest()
    assert proxy.metrics().sum("serin_client_errors_total") == 0


def test_more_readers_than_pipes(serin, v1):
    proxy = serin(route(v1.address))
    v1.answer = sends(BODY[:MIB])
    own = pipe_ends(proxy)
    clients = [SlowReader(proxy.address) for _ in range(PIPES + 16)]
    try:
        for c in clients:
            c.send(GET)
            c.head()
        wait_until(lambda: pipe_ends(proxy) == own + 2 * PIPES, 20, "all pipes being lent")
        for c in clients:
            assert c.exactly(MIB) == BODY[:MIB]
        wait_until(lambda: pipe_ends(proxy) == own + 2 * KEPT, 10, "the others being closed")
    finally:
        for c in clients:
            c.close()
    assert spliced(proxy, "response") < len(clients) * MIB


def test_without_descriptors_they_are_copied(serin, v1):
    proxy = serin(route(v1.address), limit_fds=100)
    first, others = proxy.client(30), []
    assert first.ask().body == b"v1"
    try:
        while not proxy.metrics().sum("serin_accept_pauses_total"):     # all but the reserve is in use
            others.append(proxy.client(30))
            assert len(others) < 100
        v1.answer = sends(BODY)
        assert first.ask(target="/big").body == BODY
        assert spliced(proxy, "response") == 0
    finally:
        for c in (first, *others):
            c.close()
    assert at_rest(proxy).sum("serin_request_errors_total") == 0


@pytest.mark.parametrize("side", ["client", "endpoint"])
def test_not_over_tls(serin, authority, nginx, v1, side):
    if side == "client":
        proxy = serin(route(v1.address), listeners=[{"bind": "127.0.0.1:0", "tls": {"certificates": as_config(authority.server())}}])
        v1.answer, target = sends(BODY), "/big"
    else:
        backend = nginx("v1", [authority.server("v1")])
        backend.file("big", BODY)
        secured = route(backend.address)
        secured["versions"]["v1"]["tls"] = {"ca": authority.ca, "server_name": "web.test"}
        proxy = serin(secured)
        target = "/files/big"
    with Client(proxy.address, 30, tls=authority.context() if side == "client" else None) as c:
        assert c.ask(target=target).body == BODY
    assert spliced(proxy, "response") == 0


# ---- ends in the middle ----

@pytest.mark.parametrize("leave", [Client.close, Client.reset])
@pytest.mark.parametrize("direction", ["response", "request"])
def test_a_client_that_leaves(serin, v1, leave, direction):
    proxy = serin(route(v1.address, retry={"max": 0}))
    own = pipe_ends(proxy)
    hold, seen = threading.Event(), []
    if direction == "response":
        v1.answer = sends(bytes(MUCH))
    else:
        def read(connection):
            request = connection.head()
            hold.wait(20)
            try:
                while connection.sock.recv(1 << 20):
                    pass
                seen.append("end")
            except OSError:
                seen.append("reset")
            connection.close()
        v1.read = read
    c = proxy.client(30)
    if direction == "response":
        c.send(GET)
        c.head()
    else:
        c.sock.setblocking(False)
        c.sock.send(post(MUCH))
        def clog():
            try:
                while True:
                    c.sock.send(bytes(MIB))
            except BlockingIOError:
                return pipe_ends(proxy) > own
        wait_until(clog, 20, "the endpoint holding the client back")
    wait_until(lambda: spliced(proxy, direction) > 0, 20, "a piece going through a pipe")
    leave(c)
    hold.set()
    page = at_rest(proxy)
    assert page.sum("serin_client_errors_total", reason="aborted") == 1
    assert page.sum("serin_request_errors_total") == 0
    if direction == "request":
        wait_until(lambda: seen, 10, "the endpoint seeing it")
    v1.read, v1.answer = v1.__class__.read.__get__(v1), v1.plain
    assert proxy.ask().body == b"v1"


@pytest.mark.parametrize("leave", ["close", "reset"])
def test_an_endpoint_that_leaves(serin, v1, leave):
    """Its client must not take the body for a whole one."""
    proxy = serin(route(v1.address, retry={"max": 0}))

    def answer(connection, request):
        connection.send(f"HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n".encode() + BODY[:MIB])
        hold.wait(20)
        getattr(connection, leave)()
    hold = threading.Event()
    v1.answer = answer
    with proxy.client(30) as c:
        c.send(GET)
        c.head()
        assert c.exactly(MIB) == BODY[:MIB]
        assert spliced(proxy, "response") > 0
        hold.set()
        assert c.is_closed()
    assert at_rest(proxy).sum("serin_request_errors_total", reason="reset") == 1


def test_bytes_behind_a_response_reach_nobody(serin, v1):
    proxy = serin(route(v1.address))
    v1.answer = sends(BODY, extra=b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
    with proxy.client(30) as c:
        for _ in range(3):
            assert c.ask(target="/big").body == BODY
    assert v1.connections == 3      # none of them served again


def test_an_endpoint_that_answers_in_the_middle(serin, v1):
    proxy = serin(route(v1.address))

    def read(connection):
        request = connection.head()
        connection.exactly(MIB)
        connection.send(reply(413, b"no"))
        hold.wait(20)
        connection.close()
    hold = threading.Event()
    v1.read = read
    with proxy.client(30) as c:
        c.send(post(MUCH))
        writer = threading.Thread(target=send_all, args=(c, bytes(MUCH)), daemon=True)
        writer.start()
        answer = c.response()
        assert (answer.status, answer.body) == (413, b"no")
        hold.set()
    writer.join(10)
    page = at_rest(proxy)
    assert page.sum("serin_requests_total", code="413") == 1


def send_all(c, data):
    try:
        c.send(data)
    except OSError:
        pass    # nobody wants it any more
