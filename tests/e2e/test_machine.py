"""A machine that runs out of something: ports, disk. Each in a namespace of its own, so that nobody else notices.

SPDX-License-Identifier: Apache-2.0
"""
import ctypes
import errno
import fcntl
import os
import socket
import struct
import threading

import pytest

from backends import Backend
from rig import route, wait_until

CLONE_NEWNS, CLONE_NEWNET = 0x20000, 0x40000000
MS_REC, MS_PRIVATE = 0x4000, 0x40000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
libc = ctypes.CDLL(None, use_errno=True)


def checked(code):
    if code < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@pytest.fixture
def within(cleanup):
    """Runs body on a thread that has left the namespaces of the rest: within(flags, body). What it starts is in there too. The
    thread stays to the end of the test: a child dies with the thread that started it (rig.die_with_me)."""
    def enter(flags, body):
        result, done, end = [], threading.Event(), threading.Event()

        def run():
            try:
                checked(libc.unshare(flags))
                if flags & CLONE_NEWNS:     # what is mounted from now on is seen by no other
                    checked(libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None))
                result.append((body(), None))
            except BaseException as e:      # raised where it was asked for
                result.append((None, e))
            done.set()
            end.wait()
        thread = threading.Thread(target=run)
        cleanup.append(lambda: (end.set(), thread.join()))
        thread.start()
        done.wait()
        value, error = result[0]
        if isinstance(error, OSError) and error.errno in (errno.EPERM, errno.EACCES, errno.EROFS):
            pytest.skip(f"namespaces of its own are not permitted here: {error}")
        if error:
            raise error
        return value
    return enter


def loopback_up():
    with socket.socket() as s:
        name = struct.pack("16sh", b"lo", 0)
        flags = struct.unpack("16sh", fcntl.ioctl(s, SIOCGIFFLAGS, name))[1]
        fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sh", b"lo", flags | IFF_UP))


def test_local_ports_used_up(serin, within, cleanup, tmp_path):
    """The version is not to blame: who finds no port is told 503, and the endpoint stays in."""
    ports = 8

    def start():
        loopback_up()
        v1 = Backend("v1", lambda c, r: (v1.released.wait(20) if r.target == "/wait" else None, v1.plain(c, r)))
        cleanup.append(v1.stop)
        proxy = serin(route(v1.address, retry={"max": 0}, breaker={"min_requests": 0}), listeners=[{"bind": f"unix:{tmp_path}/s"}],
                      admin={"bind": f"unix:{tmp_path}/a"})
        with open("/proc/sys/net/ipv4/ip_local_port_range", "w") as f:
            f.write(f"50000 {50000 + ports - 1}")
        return v1, proxy
    v1, proxy = within(CLONE_NEWNET, start)
    waiting = [proxy.client() for _ in range(ports)]
    for n, c in enumerate(waiting, 1):
        c.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: v1.count() == n, 10, "the request at the version")
    with proxy.client() as c:
        assert [c.ask("POST", body=b"x").status for _ in range(3)] == [503, 503, 503]
    page = proxy.metrics()
    assert page.sum("serin_request_errors_total", version="v1", reason="refused") == 3 == page.sum("serin_request_errors_total")
    assert page.sum("serin_responses_total", code="503") == 3 and page.sum("serin_endpoint_up", version="v1") == 1
    assert "dial_failed" in proxy.log() and "Cannot assign requested address" in proxy.log()
    v1.released.set()
    assert all(c.response().body == b"v1" for c in waiting)
    for c in waiting:
        c.close()
    assert all(proxy.ask().status == 200 for _ in range(20))        # over the connections that are kept


def test_disk_full_in_mid_rollout(serin, within, v1, v2, tmp_path):
    """Nobody is shifted while it cannot be written down; users notice nothing, an abort acts, room lets a rollout go on."""
    state, ballast = tmp_path / "disk", tmp_path / "disk" / "ballast"
    state.mkdir()

    def start():
        checked(libc.mount(b"none", os.fsencode(state), b"tmpfs", 0, b"size=512k"))
        return os.open(state, os.O_RDONLY), serin(
            route(v1.address, v2.address, rollout={"steps": ["10%", "50%", "100%"], "hold": "1s", "min_requests": 1, "bake": "1s",
                                                   "on_low_evidence": "advance", "max_hold": "2s", "harm_budget": "5%"}),
            state_dir=str(state))
    disk, proxy = within(CLONE_NEWNS, start)

    def fill():
        fd = os.open(ballast.name, os.O_WRONLY | os.O_CREAT, 0o600, dir_fd=disk)
        try:
            while True:
                os.write(fd, b"x" * 4096)
        except OSError as e:
            assert e.errno == errno.ENOSPC
        os.close(fd)

    def serve_until(condition, what):
        with proxy.client() as c:
            wait_until(lambda: c.ask().status == 200 and condition(), 20, what)
            assert all(c.ask().status == 200 for _ in range(20))

    proxy.cli("start", "web")
    proxy.at_weight(10)
    fill()
    serve_until(lambda: proxy.status()["state"] == "HOLDING", "the rollout holding")
    assert proxy.status()["weight"]["intended"] == 10 and "space" in proxy.log()
    page = proxy.metrics()
    assert page.sum("serin_rollout_phase", phase="Progressing") == 1 and page.sum("serin_rollout_step") >= 0
    assert page.sum("serin_rollout_weight_ratio", kind="intended") == pytest.approx(0.1)
    os.unlink(ballast.name, dir_fd=disk)
    serve_until(lambda: proxy.status()["weight"]["intended"] > 10, "the rollout going on")
    fill()
    proxy.cli("abort", "web")
    serve_until(lambda: proxy.status()["weight"]["intended"] == 0, "everybody on stable")
    assert proxy.metrics().sum("serin_rollout_weight_ratio", kind="intended") == 0
    assert proxy.metrics().sum("serin_request_errors_total") == 0
    os.close(disk)
