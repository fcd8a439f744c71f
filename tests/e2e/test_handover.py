"""SIGUSR2: a new process takes the listening sockets over, and nobody notices.

SPDX-License-Identifier: Apache-2.0
"""
import pytest

from rig import route


def test_a_new_process_takes_over(serin, v1):
    proxy = serin(route(v1.address), workers=2)
    address, first = proxy.address, proxy.process.pid
    with proxy.client() as kept:
        assert kept.ask().status == 200
        old = proxy.hand_over()
        answer = kept.ask()
        assert answer.status == 200 and answer.get("connection") == "close" and kept.is_closed()
    assert old.pid == first and old.wait(10) == 0
    assert proxy.address == address and proxy.ask().body == b"v1"
    assert proxy.status()["state"] == "STABLE" and proxy.process.poll() is None
