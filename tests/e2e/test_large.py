"""Bodies larger than memory may be: streamed both ways, held back where the other side is slow, and unharmed.

SPDX-License-Identifier: Apache-2.0
"""
import socket
import threading
import time
import zlib

import pytest

from rig import route, wait_until

MIB = 1 << 20
BLOCK = bytes(zlib.crc32(i.to_bytes(4, "big")) & 0xff for i in range(MIB))      # no two KiB alike
RSS_LIMIT_KIB = 64 * 1024
STALLED_LIMIT = 32 * MIB    # what four socket buffers and a proxy may hold while the far side does not read

pytestmark = pytest.mark.release


def head(size, framing, start):
    """The head of a message that carries size bytes."""
    field = f"Content-Length: {size}" if framing == "length" else "Transfer-Encoding: chunked"
    return f"{start}\r\n{field}\r\n\r\n".encode()


def write(send, size, framing, sent=None):
    """Sends size bytes of BLOCK over and over."""
    for _ in range(size // MIB):
        send(BLOCK if framing == "length" else b"100000\r\n" + BLOCK + b"\r\n")
        if sent is not None:
            sent.append(MIB)
    if framing == "chunked":
        send(b"0\r\n\r\n")


def read(stream, size, framing, pause=None):
    """Reads a body and checks every byte of it; pause(n) is called after each MiB."""
    if framing == "chunked":
        crc = got = 0
        while True:
            n = int(stream.until(b"\r\n").split(b";")[0], 16)
            data = stream.exactly(n)
            assert stream.exactly(2) == b"\r\n"
            if n == 0:
                break
            crc, got = zlib.crc32(data, crc), got + n
        assert (got, crc) == (size, checksum(size))
        return
    buffer = bytearray(MIB)
    got = at = 0
    if stream.buffer:
        at = len(stream.buffer)
        buffer[:at], stream.buffer = stream.buffer, b""
    while got < size:
        while at < MIB:
            n = stream.sock.recv_into(memoryview(buffer)[at:])
            assert n, f"closed after {got + at} of {size} bytes"
            at += n
        assert buffer == BLOCK, f"other bytes between {got} and {got + MIB}"
        got, at = got + MIB, 0
        if pause:
            pause(got)


def checksum(size):
    crc = 0
    for _ in range(size // MIB):
        crc = zlib.crc32(BLOCK, crc)
    return crc


def serves(backend, size, framing):
    """Makes the backend send a body of that size; returns what it sent so far, MiB by MiB."""
    sent = []

    def answer(connection, request):
        connection.send(head(size, framing, "HTTP/1.1 200 OK"))
        write(connection.send, size, framing, sent)
    backend.answer = answer
    return sent


def takes(backend, size, framing):
    """Makes the backend read and check a request body of that size, once it is released."""
    def read_request(connection):
        if not connection.buffer:
            connection.fill()
        request = connection.head()
        backend.released.wait(30)
        read(connection, size, framing)
        return request
    backend.read = read_request


@pytest.mark.parametrize("size, framing", [(1024 * MIB, "length"), (256 * MIB, "chunked")])
def test_download(serin, v1, size, framing):
    proxy = serin(route(v1.address))
    serves(v1, size, framing)
    with proxy.client(60) as c:
        c.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
        c.head()
        read(c, size, framing)
        assert proxy.rss_kib() < RSS_LIMIT_KIB
        v1.answer = v1.plain
        assert c.ask().body == b"v1"
    print(f"\n{size // MIB} MiB down ({framing}): RSS {proxy.rss_kib()} KiB")


@pytest.mark.parametrize("size, framing", [(1024 * MIB, "length"), (256 * MIB, "chunked")])
def test_upload(serin, v1, size, framing):
    proxy = serin(route(v1.address))
    takes(v1, size, framing)
    v1.released.set()
    with proxy.client(60) as c:
        c.send(head(size, framing, "POST /big HTTP/1.1\r\nHost: a"))
        write(c.send, size, framing)
        assert c.response().body == b"v1"
    assert proxy.rss_kib() < RSS_LIMIT_KIB
    print(f"\n{size // MIB} MiB up ({framing}): RSS {proxy.rss_kib()} KiB")


def has_stalled(sent):
    """True when nothing was added for half a second."""
    before = len(sent)
    time.sleep(0.5)     # the condition itself: silence over this time
    return len(sent) == before and before > 0


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_slow_reader_holds_the_backend_back(serin, v1, framing):
    size = 128 * MIB
    proxy = serin(route(v1.address))
    sent = serves(v1, size, framing)
    with proxy.client(60) as c:
        c.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
        c.head()
        wait_until(lambda: has_stalled(sent), 20, "the backend being held back")
        assert sum(sent) < STALLED_LIMIT
        with proxy.client() as other:       # everybody else is served meanwhile
            v1.answer = v1.plain
            assert other.ask().body == b"v1"
        read(c, size, framing)
    assert proxy.rss_kib() < RSS_LIMIT_KIB


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_slow_backend_holds_the_client_back(serin, v1, framing):
    size = 128 * MIB
    proxy = serin(route(v1.address))
    takes(v1, size, framing)
    sent = []
    with proxy.client(60) as c:
        c.send(head(size, framing, "POST /big HTTP/1.1\r\nHost: a"))
        writer = threading.Thread(target=write, args=(c.send, size, framing, sent), daemon=True)
        writer.start()
        wait_until(lambda: has_stalled(sent), 20, "the client being held back")
        assert sum(sent) < STALLED_LIMIT
        v1.released.set()
        assert c.response().body == b"v1"
        writer.join(10)
    assert proxy.rss_kib() < RSS_LIMIT_KIB


def test_many_stalled_readers_cost_little(serin, v1):
    proxy = serin(route(v1.address))
    sent = serves(v1, 64 * MIB, "length")
    clients = []
    try:
        for _ in range(100):
            c = proxy.client(30)
            clients.append(c)
            c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            c.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
        for c in clients:
            c.head()
        wait_until(lambda: has_stalled(sent), 20, "all backends being held back")
        assert proxy.rss_kib() < RSS_LIMIT_KIB
    finally:
        for c in clients:
            c.close()
    wait_until(lambda: proxy.metrics().sum("serin_inflight_requests") == 0, 20, "the end of all requests")
