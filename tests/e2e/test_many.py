"""Many connections at once cost little: ten thousand that are idle and a thousand that read slowly, while others are served.

SPDX-License-Identifier: Apache-2.0
"""
import resource
import select
import socket
import statistics
import time

import pytest

from certificates import as_config
from rig import connect, route, wait_until

pytestmark = pytest.mark.load

IDLE, READERS = 10_000, 1_000
BODY = 10 << 20
READ_BYTES, READ_EVERY = 4096, 1.0      # of a slow reader, whose window is 16 KiB: well above timeouts.min_rate
WATCHED = 12.0                          # seconds: more than twice the grace that min_rate gives
DESCRIPTORS = 16_384                    # serin keeps a quarter back (4096 at most); the test itself needs a few less
IDLE_BYTES = 480                        # most resident memory of an idle connection, with what the rest of the process takes meanwhile
TLS_IDLE, TLS_IDLE_BYTES = 1_000, 16_000  # the same over TLS: a buffer of OpenSSL alone would be 17 KiB more
READER_BYTES = 28 << 10                 # of a slow reader: a piece of 16 KiB that waits (of 64 KiB for the first few), and its request
KERNEL_BYTES = 1 << 20                  # of a slow reader, in the buffers of both ends; 4 MiB and more where nothing bounds it
LAG = 1.0                               # seconds within which everybody else is answered


@pytest.fixture
def descriptors():
    """Room for both ends of all connections, in this process and (inherited) in serin."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < DESCRIPTORS:
        pytest.skip(f"needs {DESCRIPTORS} file descriptors, the hard limit is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def tcp_kib():
    """Memory of all TCP sockets of this machine, both ends of everything."""
    with open("/proc/net/sockstat") as f:
        words = next(line for line in f if line.startswith("TCP:")).split()
    return int(words[words.index("mem") + 1]) * resource.getpagesize() // 1024


def idle_client(proxy):
    """A connection that had its answer and is kept."""
    s = connect(proxy.address)
    s.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert s.recv(4096).startswith(b"HTTP/1.1 200")
    return s


def slow_reader(proxy):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
    host, port = proxy.address.rsplit(":", 1)
    s.connect((host, int(port)))
    s.sendall(b"GET /files/large HTTP/1.1\r\nHost: a\r\n\r\n")
    s.setblocking(False)
    return s


def are_open(sockets):
    """Whether no peer has closed, reset or sent anything."""
    poll = select.poll()
    for s in sockets:
        poll.register(s, select.POLLIN)
    return poll.poll(0) == []


def in_flight(proxy):
    return proxy.metrics().sum("serin_inflight_requests")


def test_ten_thousand_idle_and_a_thousand_slow_readers(serin, nginx, descriptors):
    backend = nginx("v1")       # over a UNIX socket: the kernel's TCP memory is that of serin and its clients alone
    backend.file("large", bytes(BODY))
    proxy = serin(route(f"unix:{backend.folder}/socket"), timeouts={"client_idle": "10m"})
    idle, readers = [], []
    normal = proxy.client(30)
    for _ in range(200):        # buffers that everybody shares are there
        assert normal.ask().status == 200
    before, tcp_before = proxy.rss_kib(), tcp_kib()
    try:
        idle += [idle_client(proxy) for _ in range(IDLE)]
        with_idle = proxy.rss_kib()
        readers += [slow_reader(proxy) for _ in range(READERS)]
        wait_until(lambda: in_flight(proxy) == READERS, 30, "all slow readers being served")

        lags, turns, most = [], 0, 0
        end = time.monotonic() + WATCHED
        due = time.monotonic()
        while time.monotonic() < end:
            if time.monotonic() >= due:
                due += READ_EVERY
                turns += 1
                for s in readers:
                    try:
                        assert s.recv(READ_BYTES), "a slow reader that is above the rate was closed"
                    except BlockingIOError:
                        pass
            began = time.monotonic()
            assert normal.ask().body == b"v1\n" and proxy.ask().status == 200
            lags.append(time.monotonic() - began)
            most = max(most, proxy.rss_kib())
            select.select([], [], [], 0.02)
        tcp = tcp_kib()
        assert in_flight(proxy) == READERS and proxy.metrics().sum("serin_client_errors_total") == 0

        # another rate makes them slow, those that are there already too: each is put out, and nobody else
        proxy.config["timeouts"].update(min_rate="1MiB", client_body="6s")
        proxy.write()
        proxy.cli("reload")
        began = time.monotonic()
        wait_until(lambda: in_flight(proxy) == 0, 60, "the end of the slow readers")
        gone = time.monotonic() - began
        assert proxy.metrics().sum("serin_client_errors_total", reason="slow|timeout") == READERS
        after = proxy.rss_kib()
        assert are_open(idle)
        assert all(s.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") and s.recv(4096).startswith(b"HTTP/1.1 200") for s in idle[::100])
        assert normal.ask().status == 200
    finally:
        for s in idle + readers:
            s.close()
        normal.close()
    wait_until(lambda: proxy.metrics().sum("serin_client_connections") == 0, 30, "the end of all connections")

    per_idle = (with_idle - before) * 1024 / IDLE
    per_reader = (most - with_idle) * 1024 / READERS
    print(f"\n{IDLE} idle connections: {per_idle:.0f} bytes each; {READERS} slow readers of {BODY >> 20} MiB: {per_reader / 1024:.1f} KiB each"
          f"\nRSS {before} KiB before, {with_idle} with the idle ones, {most} at most, {after} when the readers are gone"
          f"\nTCP memory of the kernel, both ends: {tcp_before} KiB before, {tcp} KiB meanwhile"
          f"\neverybody else, two requests: median {statistics.median(lags) * 1000:.1f} ms, longest {max(lags) * 1000:.0f} ms of {len(lags)}"
          f"\n{turns} turns of {READ_BYTES} bytes each; then {gone:.1f} s until the last slow reader was put out")
    assert per_idle < IDLE_BYTES
    assert per_reader < READER_BYTES
    assert most < before + (IDLE * IDLE_BYTES + READERS * READER_BYTES) // 1024
    assert tcp - tcp_before < READERS * KERNEL_BYTES // 1024
    assert max(lags) < LAG


def test_an_idle_connection_over_tls_owns_no_buffer(serin, authority, nginx, descriptors):
    listener = {"bind": "127.0.0.1:0", "tls": {"certificates": as_config(authority.server())}}
    proxy = serin(route(nginx("v1").address), listeners=[listener])
    context, idle = authority.context(), []

    def secure():
        s = context.wrap_socket(connect(proxy.address), server_hostname="web.test")
        s.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert s.recv(4096).startswith(b"HTTP/1.1 200")
        return s
    try:
        idle += [secure() for _ in range(100)]      # buffers that everybody shares are there
        before = proxy.rss_kib()
        idle += [secure() for _ in range(TLS_IDLE)]
        per_idle = (proxy.rss_kib() - before) * 1024 / TLS_IDLE
    finally:
        for s in idle:
            s.close()
    print(f"\n{TLS_IDLE} idle connections over TLS: {per_idle:.0f} bytes each")
    assert per_idle < TLS_IDLE_BYTES
