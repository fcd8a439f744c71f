"""What a turn of the loop sends leaves together: everybody gets the own answers, whole and in order, with io_uring and without it.

SPDX-License-Identifier: Apache-2.0
"""
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from backends import reply
from certificates import as_config
from rig import SlowReader, route

HERE = os.path.dirname(os.path.abspath(__file__))
WITHOUT = [sys.executable, os.path.join(HERE, "without_io_uring.py")]
USERS, REQUESTS = 24, 40
PIPELINED, PAD = 200, 6000


def echo(size):
    """An answer that names its request, and has so many bytes more."""
    def answer(connection, request):
        connection.send(reply(body=request.target.encode() + b"." * size))
    return answer


def all_of(work, n):
    """Runs work(i) for i below n at once; raises what one raises."""
    with ThreadPoolExecutor(n) as pool:
        list(pool.map(work, range(n), timeout=60))


@pytest.mark.parametrize("before", [(), WITHOUT], ids=["io_uring", "without"])
@pytest.mark.parametrize("size", [0, 3000, 20000])
def test_each_gets_the_own_answers(serin, backend, before, size):
    proxy = serin(route(backend("v1", echo(size)).address), before=before)

    def user(i):
        client = proxy.client()
        for k in range(REQUESTS):
            assert client.ask(target=f"/{i}/{k}").body == f"/{i}/{k}".encode() + b"." * size
        client.close()
    all_of(user, USERS)
    assert proxy.metrics().sum("serin_requests_total", code="200") == USERS * REQUESTS
    assert ("no_io_uring" in proxy.log()) == bool(before)   # a worker's first words, which may come after "listening"


def test_each_gets_the_own_answers_over_tls(serin, backend, authority):
    proxy = serin(route(backend("v1", echo(1000)).address),
                  listeners=[{"bind": "127.0.0.1:0", "tls": {"certificates": as_config(authority.server())}}])

    def user(i):
        client = proxy.client(tls=authority.context())
        for k in range(REQUESTS):
            assert client.ask(target=f"/{i}/{k}").body == f"/{i}/{k}".encode() + b"." * 1000
        client.close()
    all_of(user, USERS)


def test_who_reads_late_loses_nothing(serin, backend):
    """Their buffers are full: what the kernel does not take as a turn ends waits."""
    proxy = serin(route(backend("v1", echo(PAD)).address))
    asked, read = threading.Barrier(USERS, timeout=60), []

    def user(i):
        client = SlowReader(proxy.address, 4096)
        client.send("".join(f"GET /{i}/{k} HTTP/1.1\r\nHost: a\r\n\r\n" for k in range(PIPELINED)))
        asked.wait()
        for k in range(PIPELINED):
            assert client.response().body == f"/{i}/{k}".encode() + b"." * PAD
            read.append(1)
        client.close()
    all_of(user, USERS)
    assert len(read) == USERS * PIPELINED
