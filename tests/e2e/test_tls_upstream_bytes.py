"""TLS to the endpoints: bodies, large, in pieces and cut, and connections that end or say nothing.

SPDX-License-Identifier: Apache-2.0
"""
import os
import socket
import threading

import pytest

from backends import reply
from rig import wait_until
from test_tls_upstream import secure, v1_of, web  # noqa: F401 (fixtures among them)

MIB = 1 << 20


def test_large_bodies_both_ways(serin, secure, web, authority):
    data = os.urandom(20 * MIB)

    def give_back(c, request):
        c.send(reply(200, request.body))
    proxy = serin(v1_of(secure(give_back).address, {"ca": authority.ca}))
    few = data[:4 * MIB]        # Python takes its time with more
    for _ in range(2):
        assert proxy.ask("POST", body=few).body == few
    v1 = web("v1", authority.server("files"))
    v1.file("big", data)
    proxy = serin(v1_of(v1.address, {"ca": authority.ca}))
    assert proxy.ask(target="/files/big").body == data


def test_a_crowd_with_bodies_in_pieces(serin, secure, authority):
    """More requests at once than may have large pieces: TLS is read in whole records all the same."""
    n = 70
    crowd = threading.Barrier(n)

    def in_pieces(c, request):
        c.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        crowd.wait(20)
        c.send(b"1\r\nb\r\n0\r\n\r\n")
    proxy = serin(v1_of(secure(in_pieces).address, {"ca": authority.ca}))
    clients = [proxy.client(30) for _ in range(n)]
    for c in clients:
        c.send("GET / HTTP/1.1\r\nHost: web.test\r\n\r\n")
    assert [c.response().body for c in clients] == [b"ab"] * n
    for c in clients:
        c.close()


def test_a_response_that_is_cut_is_not_taken_for_a_whole_one(serin, secure, authority):
    """Delimited by the end of the connection, which only close_notify tells from a cut (RFC 8446 section 6.1)."""
    def part(c, request):
        c.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nthe first part")
        if request.target == "/whole":
            c.sock.unwrap()
        c.close()
    proxy = serin(v1_of(secure(part).address, {"ca": authority.ca}))
    assert proxy.ask(target="/whole").body == b"the first part"
    with proxy.client() as c, pytest.raises((EOFError, ConnectionResetError)):
        c.ask(target="/cut")
    with proxy.client() as c:       # HTTP/1.0: no chunks, so it is a reset
        c.send("GET /cut HTTP/1.0\r\nHost: a\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            c.response()
    m = proxy.metrics()
    assert m.sum("serin_request_errors_total", reason="reset") == 2 and m.sum("serin_request_errors_total") == 2


def test_an_idle_connection_that_ends_is_replaced(serin, secure, authority):
    """With or without close_notify; the next request has a new one and sees nothing of it."""
    ends = threading.Event()

    def answer(c, request):
        c.backend.plain(c, request)
        if request.target != "/stay":
            if request.target == "/bye":
                c.sock.unwrap()
            ends.set()
            c.close()
    v1 = secure(answer)
    proxy = serin(v1_of(v1.address, {"ca": authority.ca}))
    for target in ("/bye", "/silent", "/bye", "/stay"):
        assert proxy.ask(target=target).status == 200
        if target != "/stay":
            assert ends.wait(5)
            ends.clear()
            wait_until(lambda: proxy.metrics().sum("serin_upstream_connections") == 0, 5, "its end")
    assert v1.connections == 4 and proxy.metrics().sum("serin_request_errors_total") == 0


def test_a_server_that_is_silent_costs_no_more_than_the_connect_timeout(serin, authority):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(16)
        proxy = serin(v1_of("127.0.0.1:%d" % silent.getsockname()[1], {"ca": authority.ca}), timeouts={"connect": "200ms"})
        assert proxy.ask().status == 504
        m = proxy.metrics()
        assert m.sum("serin_request_errors_total", reason="timeout") == 1
        assert m.sum("serin_upstream_tls_handshakes_total", result="failed") == 1
        assert m.sum("serin_upstream_connections") == 0
        wait_until(lambda: "no handshake within timeouts.connect" in proxy.log(), 5, "its line in the log")
