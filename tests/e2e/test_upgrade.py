"""Upgraded connections (WebSocket): how they begin, bytes both ways, how they end, and what never becomes one.

SPDX-License-Identifier: Apache-2.0
"""
import base64
import contextlib
import hashlib
import os
import re
import signal
import socket
import threading
import time

import pytest

from backends import reply
from rig import QUICK, route, wait_until

MIB = 1 << 20
RSS_GROWTH_KIB = 8 * 1024       # what tunnels may cost that carry far more than this
MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"      # RFC 6455 section 1.3


def upgrade(key=None, host="web.test", more=""):
    key = key or base64.b64encode(os.urandom(16)).decode()
    return (f"GET /chat HTTP/1.1\r\nHost: {host}\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{more}\r\n")


def accept_of(key):
    return base64.b64encode(hashlib.sha1((key + MAGIC).encode()).digest()).decode()


def switch(request, protocol="websocket", more=""):
    accept = accept_of(request.get("sec-websocket-key", ""))
    return (f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\n{more}\r\n").encode()


def echo(connection, request):
    """Upgrades what asks for it and gives back every byte; in the end of its input it says so and closes."""
    if request.get("upgrade") != "websocket":
        connection.backend.plain(connection, request)
        return
    connection.send(switch(request) + connection.backend.version.encode() + b"|")
    data, connection.buffer = connection.buffer, b""
    while True:
        if data:
            connection.send(data)
        data = connection.sock.recv(65536)
        if not data:
            connection.send(b"goodbye")
            connection.close()


def open_tunnel(proxy, more=""):
    """A client in a tunnel; version says whose."""
    key = base64.b64encode(os.urandom(16)).decode()
    c = proxy.client()
    c.send(upgrade(key, more=more))
    answer = c.head()
    assert answer.status == 101 and answer.get("upgrade") == "websocket" and answer.get("connection") == "Upgrade", answer
    assert answer.get("sec-websocket-accept") == accept_of(key)
    assert not answer.all("content-length") and not answer.all("transfer-encoding")
    c.version = c.until(b"|").decode()
    return c


def is_alive(c, word=b"ping"):
    c.send(word)
    return c.exactly(len(word)) == word


def stay_alive(clients, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert all(is_alive(c) for c in clients)


def tunnels(proxy, **labels):
    return proxy.metrics().sum("serin_tunnels", **labels)


@pytest.fixture
def chat(v1, v2):
    v1.answer = v2.answer = echo
    return v1, v2


# --- how one begins ---

def test_a_websocket_is_passed_through_and_counted(serin, chat):
    proxy = serin(route(chat[0].address))
    c = open_tunnel(proxy, more="Connection: x-hop\r\nX-Hop: 1\r\nCookie: a=b\r\n")
    request = chat[0].last()
    assert request.get("upgrade") == "websocket" and request.get("connection") == "Upgrade"
    assert request.get("cookie") == "a=b" and request.get("x-hop") is None and request.get("via") == "1.1 serin"
    assert is_alive(c) and is_alive(c, b"\0\xff\r\n\r\nGET / HTTP/1.1\r\n\r\n")
    m = proxy.metrics()
    assert m.sum("serin_tunnels", route="web", version="v1") == 1 and m.sum("serin_inflight_requests") == 0
    assert m.sum("serin_requests_total", code="101", version="v1", role="stable", assigned="weight") == 1
    assert m.sum("serin_requests_total") == 1 and m.sum("serin_responses_total", code="101") == 1
    assert m.sum("serin_request_duration_seconds_count") == 1 and m.sum("serin_request_duration_seconds_sum") < 5
    c.sock.shutdown(socket.SHUT_WR)
    assert c.to_end() == b"goodbye"
    wait_until(lambda: tunnels(proxy) == 0, 5, "its end")
    m = proxy.metrics()
    assert m.sum("serin_requests_total") == 1 and m.sum("serin_request_duration_seconds_count") == 1
    assert m.sum("serin_request_errors_total") == 0 and m.sum("serin_client_errors_total") == 0


def test_one_with_frames_behind_the_answer_and_early_ones(serin, v1):
    def answer(connection, request):
        assert connection.buffer == b""         # nothing came with the request
        connection.send(switch(request) + b"first frame")
        connection.send(connection.exactly(5))
        connection.close()
    v1.answer = answer
    proxy = serin(route(v1.address))
    with proxy.client() as c:
        c.send(upgrade() + "early")
        assert c.head().status == 101 and c.exactly(11) == b"first frame" and c.exactly(5) == b"early"
        assert c.is_closed()


@pytest.mark.parametrize("start, fields, body", [
    ("GET", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ\r\n", ""),
    ("GET", "Connection: Upgrade\r\nUpgrade: h2c, websocket\r\n", ""),
    ("GET", "Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n", ""),
    ("GET", "Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n", ""),
    ("GET", "Upgrade: websocket\r\n", ""),
    ("GET", "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 4\r\n", "GET "),
    ("GET", "Connection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n", "4\r\nGET \r\n0\r\n\r\n"),
    ("POST", "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n", ""),
])
def test_anything_else_goes_on_without_upgrade(serin, v1, start, fields, body):
    """Such a request is an ordinary one; a 101 to it is nonsense, and what stands behind it a request of its own."""
    proxy = serin(route(v1.address))
    with proxy.client() as c:
        c.send(f"{start} / HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}")
        assert c.response().body == b"v1"
        seen = v1.last()
        assert not seen.all("upgrade") and not seen.all("connection") and not seen.all("http2-settings")
        assert seen.body == (b"GET " if body else b"")
        v1.answer = lambda connection, request: connection.send(switch(request) + reply())
        c.send(f"{start} / HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
        assert c.response().status == 502
    assert tunnels(proxy) == 0 and proxy.metrics().sum("serin_request_errors_total", reason="malformed") >= 1


@pytest.mark.parametrize("method, target", [("CONNECT", "a:80"), ("TRACE", "/")])
def test_connect_and_trace_are_refused(serin, v1, method, target):
    proxy = serin(route(v1.address))
    with proxy.client() as c:
        c.send(f"{method} {target} HTTP/1.1\r\nHost: a:80\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert c.response().status == 405 and c.is_closed()
    assert v1.count() == 0


@pytest.mark.parametrize("answer", [
    b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
    b"HTTP/1.0 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
])
def test_a_101_that_does_not_match_is_malformed(serin, v1, answer):
    v1.answer = lambda connection, request: connection.send(answer + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
    proxy = serin(route(v1.address, retry={"on": ["connect", "reset", "502", "503", "504"]}))
    with proxy.client() as c:
        c.send(upgrade())
        assert c.response().status == 502
        v1.answer = v1.plain
        assert c.ask().body == b"v1"        # the client's connection goes on, on another one to the backend
    assert proxy.metrics().sum("serin_request_errors_total", reason="malformed") == 1 and tunnels(proxy) == 0


@pytest.mark.parametrize("status", [200, 403, 426])
def test_behind_a_refused_one_stands_an_ordinary_request(serin, v1, status):
    """A request smuggled behind an upgrade that is refused is read, checked and written anew like every other one."""
    def answer(connection, request):
        if request.target == "/chat":
            assert connection.buffer == b""
            connection.sock.settimeout(0.2)
            with pytest.raises(TimeoutError):           # and nothing comes before it was answered
                connection.sock.recv(1)
            connection.sock.settimeout(None)
            connection.send(reply(status, b"no"))
        else:
            connection.backend.plain(connection, request)
    v1.answer = answer
    proxy = serin(route(v1.address))
    with proxy.client() as c:
        c.send(upgrade() + "GET /admin HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 127.0.0.1\r\nConnection: x-evil\r\nX-Evil: 1\r\n\r\n")
        assert c.response().status == status
        assert c.response().body == b"v1"
        seen = v1.last()
        assert seen.target == "/admin" and seen.get("x-forwarded-for").endswith(", 127.0.0.1") and not seen.all("x-evil")
        c.send(upgrade() + "\x81\x85no request at all\r\n\r\n")
        assert c.response().status == status and c.response().status == 400 and c.is_closed()
    m = proxy.metrics()
    assert v1.count() == 3 and m.sum("serin_requests_total") == 3 and m.sum("serin_tunnels") == 0


def test_a_canary_that_cannot_answer_is_replaced_by_stable(serin, chat):
    chat[1].refuse()
    proxy = serin(route(chat[0].address, chat[1].address, weight="100%"))
    c = open_tunnel(proxy)
    assert c.version == "v1" and is_alive(c)
    assert tunnels(proxy, version="v1") == 1 and tunnels(proxy, version="v2") == 0


# --- bytes ---

def pump(sock, total, block=os.urandom(1 << 16)):
    for _ in range(total // len(block)):
        sock.sendall(block)


def test_large_frames_both_ways_with_back_pressure(serin, chat):
    """Each side sends far more than anybody holds, and reads when the other is stuck."""
    proxy = serin(route(chat[0].address))
    total, n = 64 * MIB, 4
    clients = [open_tunnel(proxy) for _ in range(n)]
    before = proxy.rss_kib()
    senders = [threading.Thread(target=pump, args=(c.sock, total), daemon=True) for c in clients]
    for t in senders:
        t.start()
    seen = []

    def is_stuck():         # it has read nothing for a while
        seen.append(bytes_read(proxy))
        return len(seen) > 20 and seen[-1] == seen[-20]
    wait_until(is_stuck, 30, "everybody being stuck")
    assert proxy.rss_kib() - before < RSS_GROWTH_KIB
    got = [0] * n

    def read(i):
        clients[i].sock.settimeout(60)
        while got[i] < total:
            got[i] += len(clients[i].sock.recv(1 << 18)) or total
    readers = [threading.Thread(target=read, args=(i,), daemon=True) for i in range(n)]
    for t in readers:
        t.start()
    for t in senders + readers:
        t.join(120)
    assert got == [total] * n
    assert proxy.rss_kib() - before < RSS_GROWTH_KIB
    assert all(is_alive(c) for c in clients)
    print(f"\n{n} tunnels of {total // MIB} MiB each way: RSS {before} -> {proxy.rss_kib()} KiB")


def bytes_read(proxy):
    """Bytes that serin has read so far."""
    with open(f"/proc/{proxy.process.pid}/io") as f:
        return int(re.search(r"rchar: (\d+)", f.read())[1])


def test_an_end_of_either_side_is_passed_on(serin, v1):
    def answer(connection, request):
        connection.send(switch(request))
        assert connection.exactly(4) == b"half"
        if request.get("x-first") == "client":
            assert connection.sock.recv(1) == b""
            connection.send(b"still here")
        else:
            connection.send(b"that was all")
            connection.sock.shutdown(socket.SHUT_WR)
            assert connection.exactly(10) == b"still here"
            assert connection.sock.recv(1) == b""
        connection.backend.finished = True
        connection.close()
    v1.answer = answer
    proxy = serin(route(v1.address))
    for first in ("client", "backend"):
        v1.finished = False
        with proxy.client() as c:
            c.send(upgrade(more=f"X-First: {first}\r\n"))
            assert c.head().status == 101
            c.send("half")
            if first == "client":
                c.sock.shutdown(socket.SHUT_WR)
                assert c.to_end() == b"still here"
            else:
                assert c.to_end() == b"that was all"
                c.send("still here")
                c.sock.shutdown(socket.SHUT_WR)
            wait_until(lambda: v1.finished, 5, "the backend's end")
        wait_until(lambda: tunnels(proxy) == 0, 5, "the end of the tunnel")


def test_a_side_that_breaks_ends_the_other(serin, chat):
    proxy = serin(route(chat[0].address))
    c = open_tunnel(proxy)
    c.reset()
    wait_until(lambda: tunnels(proxy) == 0, 5, "its end")
    c = open_tunnel(proxy)
    chat[0].refuse()
    assert c.is_closed()
    c.close()
    wait_until(lambda: tunnels(proxy) == 0, 5, "its end")
    m = proxy.metrics()
    assert m.sum("serin_request_errors_total", reason="reset|timeout|malformed|5xx") == 0


# --- how long it lasts ---

def test_an_idle_one_is_closed(serin, chat):
    proxy = serin(route(chat[0].address), timeouts={"tunnel_idle": "1s", "request_total": "500ms", "client_idle": "200ms",
                                                    "response_idle": "300ms", "upstream_idle": "200ms"})
    c = open_tunnel(proxy)
    stay_alive([c], 2.5)        # no other deadline counts, and bytes put this one off
    assert c.is_closed(5)
    wait_until(lambda: tunnels(proxy) == 0, 5, "its end")


def test_it_survives_a_reload(serin, chat):
    proxy = serin(route(chat[0].address, chat[1].address, weight="50%"), workers=2, timeouts={"drain": "300ms"})
    clients = [open_tunnel(proxy) for _ in range(8)]
    assert {c.version for c in clients} == {"v1", "v2"}
    for n, weight in enumerate(("1%", "99%", "0%")):
        proxy.config["routes"][0]["weight"] = weight
        proxy.config["timeouts"]["tunnel_idle"] = f"{30 + n}m"
        proxy.write()
        proxy.process.send_signal(signal.SIGHUP)
        wait_until(lambda: proxy.metrics().sum("serin_config_reloads_total", result="ok") == n + 1, 10, "the reload")
        stay_alive(clients, 0.6)        # longer than a drain
    assert tunnels(proxy) == 8


@pytest.mark.parametrize("change", ["version", "route"])
def test_a_version_that_a_reload_takes_away_closes_its_own(serin, chat, change):
    routes = [route(chat[0].address, chat[1].address, weight="50%"),
              {**route(chat[0].address), "name": "other", "hosts": ["other.test"]}]
    proxy = serin(routes, timeouts={"drain": "500ms"})
    clients = [open_tunnel(proxy) for _ in range(4)]
    other = proxy.client()
    other.send(upgrade(host="other.test"))
    assert other.head().status == 101 and other.until(b"|") == b"v1"
    if change == "version":
        proxy.config["routes"][0] = route(chat[0].address)
    else:
        del proxy.config["routes"][1]
    proxy.write()
    began = time.monotonic()
    proxy.cli("reload")
    gone = [c for c in clients if c.version == "v2"] if change == "version" else [other]
    stay = [c for c in clients + [other] if c not in gone]
    assert len(gone) >= 1 and all(is_alive(c) for c in gone)
    for c in gone:
        assert c.is_closed(5)
    assert time.monotonic() - began > 0.4
    assert all(is_alive(c) for c in stay)
    assert "tunnels_closing" in proxy.log()


def steady(proxy, stop):
    """Requests until stop is set; some of them are the canary's proof."""
    with contextlib.suppress(OSError, EOFError), proxy.client() as c:
        while not stop.is_set():
            c.ask()


def test_an_abort_closes_the_canarys_after_the_drain(serin, chat, cleanup):
    plan = {**QUICK, "steps": [{"weight": "50%", "pause": True}, "100%"]}
    proxy = serin(route(chat[0].address, chat[1].address, rollout=plan), workers=2, timeouts={"drain": "1s"})
    proxy.cli("start", "web")
    proxy.at_weight(50)
    clients = [open_tunnel(proxy) for _ in range(20)]
    canary, stable = ([c for c in clients if c.version == v] for v in ("v2", "v1"))
    assert canary and stable
    assert tunnels(proxy, version="v2") == len(canary) and tunnels(proxy, version="v1") == len(stable)
    began = time.monotonic()
    proxy.cli("abort", "web")
    wait_until(lambda: proxy.status()["weight"]["intended"] == 0, 5, "everybody back on stable")
    stable.append(open_tunnel(proxy))
    assert stable[-1].version == "v1"
    if time.monotonic() - began < 0.8:
        assert tunnels(proxy, version="v2") == len(canary) and all(is_alive(c) for c in canary)
    for c in canary:
        assert c.is_closed(5)
    assert 1 <= time.monotonic() - began < 5
    assert all(is_alive(c) for c in stable)
    wait_until(lambda: tunnels(proxy, version="v2") == 0, 5, "the end of the canary's")
    assert tunnels(proxy, version="v1") == len(stable)


def test_a_promotion_closes_those_of_the_old_version(serin, chat, cleanup):
    proxy = serin(route(chat[0].address, chat[1].address, rollout={**QUICK, "steps": ["50%", "100%"], "hold": "1s", "bake": "1s",
                                                                   "max_hold": "1s", "min_requests": 1}), timeouts={"drain": "500ms"})
    stop = threading.Event()
    threads = [threading.Thread(target=steady, args=(proxy, stop), daemon=True) for _ in range(2)]
    cleanup.append(lambda: (stop.set(), [t.join(10) for t in threads]))
    old = open_tunnel(proxy)
    assert old.version == "v1"
    for t in threads:
        t.start()
    proxy.cli("start", "web")
    wait_until(lambda: proxy.status()["weight"]["intended"] == 50, 20, "half of the traffic")
    new = [c for c in (open_tunnel(proxy) for _ in range(6)) if c.version == "v2"]
    assert new and is_alive(old)
    wait_until(lambda: proxy.status()["stable"] == "v2", 60, "the promotion")
    assert old.is_closed(10)
    assert all(is_alive(c) for c in new)


def test_a_stop_leaves_them_until_the_drain_ends(serin, chat):
    proxy = serin(route(chat[0].address), workers=2, timeouts={"drain": "3s"})
    clients = [open_tunnel(proxy) for _ in range(6)]
    began = time.monotonic()
    proxy.process.terminate()
    wait_until(lambda: "draining" in proxy.log(), 5, "the drain")
    stay_alive(clients, 1)
    for c in clients:
        assert c.is_closed(10)
        c.close()
    assert proxy.process.wait(10) == 0 and time.monotonic() - began > 1.5
