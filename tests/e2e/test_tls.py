"""TLS with clients: real clients and libraries, big bodies, both ends of a session, and those that mean no good.

SPDX-License-Identifier: Apache-2.0
"""
import hashlib
import os
import re
import select
import socket
import ssl
import subprocess
import threading
import time

import pytest

from backends import reply
from certificates import as_config
from rig import connect, die_with_me, route, wait_until
from test_upgrade import echo, switch, upgrade

MIB = 1 << 20
BLOCK = os.urandom(MIB)
VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
GET = b"GET / HTTP/1.1\r\nHost: web.test\r\n\r\n"


@pytest.fixture
def proxy(serin, authority):
    """Makes serin with one listener, which has TLS: proxy(route(...), timeouts=...)."""
    def make(routes, **top):
        listener = {"bind": "127.0.0.1:0", "tls": {"certificates": as_config(authority.server())}}
        return serin(routes, listeners=[listener], **top)
    return make


@pytest.fixture
def trusting(authority):
    """Makes contexts that trust the authority and speak one version: trusting("1.2")."""
    def make(version="1.3"):
        return authority.context(minimum_version=VERSIONS[version], maximum_version=VERSIONS[version])
    return make


def secure(proxy, context, timeout=10.0):
    """A TLS socket that takes an end for one only where it is announced (close_notify)."""
    return context.wrap_socket(connect(proxy.address, timeout), server_hostname="web.test", suppress_ragged_eofs=False)


def errors(proxy, reason):
    return proxy.metrics().sum("serin_client_errors_total", reason=reason)


def handshakes(proxy, **labels):
    return proxy.metrics().sum("serin_tls_handshakes_total", **labels)


# ---- real clients ----

@pytest.mark.parametrize("version", VERSIONS)
def test_curl_is_served(proxy, v1, authority, version):
    p = proxy(route(v1.address))
    port = p.address.rpartition(":")[2]
    done = subprocess.run(["curl", "-sS", "--cacert", authority.ca, f"--tlsv{version}", "--tls-max", version, "--max-time", "20",
                           "--resolve", f"web.test:{port}:127.0.0.1", "-w", " %{http_code}", f"https://web.test:{port}/",
                           f"https://web.test:{port}/again"], capture_output=True, text=True, preexec_fn=die_with_me)
    assert (done.returncode, done.stdout) == (0, "v1 200v1 200"), done
    assert [r.get("x-forwarded-proto") for r in v1.requests] == ["https", "https"]
    assert handshakes(p, version=version, resumed="false") == 1     # one connection for both


@pytest.mark.parametrize("version", ["tls1_2", "tls1_3"])
def test_openssl_is_served(proxy, v1, authority, version):
    p = proxy(route(v1.address))
    done = subprocess.run(["openssl", "s_client", "-connect", p.address, "-CAfile", authority.ca, "-servername", "web.test",
                           "-verify_return_error", "-verify_hostname", "web.test", "-quiet", "-" + version],
                          input=b"GET / HTTP/1.1\r\nHost: web.test\r\nConnection: close\r\n\r\n", capture_output=True, timeout=20,
                          preexec_fn=die_with_me)
    assert done.stdout.startswith(b"HTTP/1.1 200 OK\r\n") and done.stdout.endswith(b"v1"), done


def test_the_forwarded_field_says_https(proxy, v1, trusting):
    p = proxy(route(v1.address, headers={"forwarded": "rfc7239"}))
    assert p.ask(tls=trusting()).status == 200
    assert ";proto=https" in v1.last().get("forwarded")


def test_a_connection_serves_many_requests(proxy, v1, trusting):
    p = proxy(route(v1.address))
    with p.client(tls=trusting()) as c:
        for _ in range(50):
            assert c.ask().body == b"v1"
        c.send(GET * 20)        # in one record
        assert [c.response().body for _ in range(20)] == [b"v1"] * 20
    assert handshakes(p) == 1


@pytest.mark.load
def test_wrk_loses_nothing(proxy, nginx, authority):
    """wrk verifies nothing; what it counts is what failed."""
    p = proxy(route(nginx("v1").address), workers=2)
    done = subprocess.run(["wrk", "-t2", "-c100", "-d3s", "--timeout", "20s", f"https://{p.address}/"], capture_output=True, text=True, timeout=30,
                          preexec_fn=die_with_me)
    assert done.returncode == 0 and int(re.search(r"(\d+) requests in", done.stdout)[1]) > 100, done
    assert "Socket errors" not in done.stdout and "Non-2xx" not in done.stdout, done.stdout
    assert 100 <= handshakes(p) <= 102
    assert errors(p, "tls_handshake") == 0


# ---- bodies ----

@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("version", VERSIONS)
def test_big_bodies_go_both_ways(proxy, backend, trusting, version, framing):
    """8 MiB up, hashed by the version, and 8 MiB down."""
    size = 8 * MIB

    def answer(connection, request):
        body = b"".join([b"%x\r\n" % len(BLOCK), BLOCK, b"\r\n"]) if framing == "chunked" else BLOCK
        field = "Transfer-Encoding: chunked" if framing == "chunked" else f"Content-Length: {size}"
        connection.send(f"HTTP/1.1 200 OK\r\nX-Digest: {hashlib.sha256(request.body).hexdigest()}\r\n{field}\r\n\r\n".encode())
        for _ in range(8):
            connection.send(body)
        connection.send(b"0\r\n\r\n" if framing == "chunked" else b"")

    p = proxy(route(backend("v1", answer=answer).address))
    expected = hashlib.sha256(BLOCK * 8).hexdigest()
    with p.client(timeout=60, tls=trusting(version)) as c:
        if framing == "length":
            c.send(f"POST / HTTP/1.1\r\nHost: web.test\r\nContent-Length: {size}\r\n\r\n")
        else:
            c.send("POST / HTTP/1.1\r\nHost: web.test\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(8):
            c.send(BLOCK if framing == "length" else b"100000\r\n" + BLOCK + b"\r\n")
        if framing == "chunked":
            c.send(b"0\r\n\r\n")
        answer = c.response()
    assert answer.get("x-digest") == expected
    assert hashlib.sha256(answer.body).hexdigest() == expected


# ---- ends ----

def test_an_end_is_announced(proxy, backend, trusting):
    """A response that ends with its connection is whole where the end was announced, and only there."""
    def answer(connection, request):
        connection.send(b"HTTP/1.1 200 OK\r\n\r\n" if request.target == "/whole" else
                        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        connection.send(b"x" * 50)
        connection.close()

    p = proxy(route(backend("v1", answer=answer).address))
    with secure(p, trusting()) as s:
        s.sendall(b"GET /whole HTTP/1.0\r\nHost: web.test\r\n\r\n")
        data = b""
        while piece := s.recv(65536):       # raises where there is no close_notify
            data += piece
        assert data.endswith(b"x" * 50)


def test_a_broken_response_does_not_look_whole(proxy, backend, trusting):
    """To a client of HTTP/1.0 a chunked response ends with its connection."""
    def answer(connection, request):
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        connection.backend.released.wait(10)
        connection.reset()

    b = backend("v1", answer=answer)
    p = proxy(route(b.address))
    with secure(p, trusting()) as s:
        s.sendall(b"GET / HTTP/1.0\r\nHost: web.test\r\n\r\n")
        data = b""
        while not data.endswith(b"hello"):
            data += s.recv(65536)
        b.released.set()
        with pytest.raises((ssl.SSLEOFError, ConnectionResetError)):
            s.recv(1)


def echoed(sock, block, seconds=30):
    """What comes back for a block, read while it is sent; by one thread, since two may not use a session of OpenSSL at once."""
    sock.setblocking(False)
    sent, got, end = 0, b"", time.monotonic() + seconds
    while len(got) < len(block):
        assert time.monotonic() < end, f"{len(got)} bytes came back for {sent}"
        waits = [[sock], []]
        try:
            if sent < len(block):
                sent += sock.send(block[sent:sent + 65536])
                waits[1] = [sock]
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            waits[1] = [sock]
        try:
            while data := sock.recv(65536):
                got += data
            assert data, f"closed after {len(got)} bytes"
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            select.select(*waits, [], 1)
    return got


def test_tunnels_run_over_tls(proxy, backend, trusting):
    p = proxy(route(backend("v1", answer=echo).address))
    with p.client(timeout=30, tls=trusting()) as c:
        c.send(upgrade())
        assert c.response().status == 101
        assert c.exactly(3) == b"v1|"
        block = os.urandom(MIB)
        assert echoed(c.sock, block) == block
        assert p.metrics().sum("serin_tunnels") == 1
    wait_until(lambda: p.metrics().sum("serin_tunnels") == 0, what="the end of the tunnel")


def test_a_version_that_ends_its_tunnel_ends_the_client_s(proxy, backend, trusting):
    def answer(connection, request):
        connection.send(switch(request) + b"bye")
        connection.close()

    p = proxy(route(backend("v1", answer=answer).address))
    with secure(p, trusting()) as s:
        s.sendall(upgrade().encode())
        data = b""
        while piece := s.recv(65536):
            data += piece
        assert data.endswith(b"bye")


def begun(context):
    """A client that has written its first flight: (session, what comes in, what goes out)."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname="web.test")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return client, incoming, outgoing


def hello(context):
    return begun(context)[2].read()


def is_listening(p):
    try:
        connect(p.address).close()
        return True
    except ConnectionRefusedError:
        return False


def through(s, incoming, outgoing, act):
    """Does act, with the bytes that it needs from the other side."""
    while True:
        try:
            return act()
        except ssl.SSLWantReadError:
            s.sendall(outgoing.read())
            data = s.recv(65536)
            assert data, "closed in the middle"
            incoming.write(data)


def test_a_stop_waits_for_a_handshake(proxy, v1, trusting):
    """Half of the hello has come when serin is told to stop: the connection still gets its answer, the last one."""
    p = proxy(route(v1.address), timeouts={"drain": "15s"})
    client, incoming, outgoing = begun(trusting())
    first = outgoing.read()
    with connect(p.address) as s:
        s.sendall(first[:60])
        wait_until(lambda: p.metrics().sum("serin_client_connections") == 1, what="the connection being there")
        p.process.terminate()
        wait_until(lambda: not is_listening(p), what="the listener being closed")
        s.sendall(first[60:])
        through(s, incoming, outgoing, client.do_handshake)
        client.write(GET)
        answer = through(s, incoming, outgoing, lambda: client.read(65536))
        assert answer.startswith(b"HTTP/1.1 200 ") and b"\r\nConnection: close\r\n" in answer
    p.process.wait(10)


# ---- those that mean no good ----


def is_closed(s, seconds=10.0):
    """Whether serin closes it within that time, whatever it says before."""
    end = time.monotonic() + seconds
    try:
        while select.select([s], [], [], max(0.0, end - time.monotonic()))[0]:
            if not s.recv(65536):
                return True
    except ConnectionResetError:
        return True
    return False


def test_half_open_handshakes_are_cut(proxy, v1, trusting):
    """100 that say nothing, 100 that stop within their hello, and 100 that stop behind it; everybody else is served."""
    p = proxy(route(v1.address), timeouts={"client_header": "1s"})
    first = hello(trusting())
    idle = [connect(p.address) for _ in range(300)]
    for s in idle[100:200]:
        s.sendall(first[:60])
    for s in idle[200:]:
        s.sendall(first)
    assert p.ask(tls=trusting()).status == 200
    for s in idle:
        assert is_closed(s)
        s.close()
    wait_until(lambda: errors(p, "tls_timeout") == 300, what="all being counted")
    assert p.metrics().sum("serin_client_connections") == 0
    assert p.ask(tls=trusting()).status == 200


def test_a_handshake_byte_by_byte_buys_no_time(proxy, v1, trusting):
    p = proxy(route(v1.address), timeouts={"client_header": "1s"})
    s = connect(p.address)
    sent = 0
    for byte in hello(trusting()):
        try:
            s.send(bytes([byte]))
        except OSError:
            break
        sent += 1
        if is_closed(s, 0.05):
            break
    assert sent < 100       # in five seconds
    assert errors(p, "tls_timeout") == 1


def test_handshakes_that_fail_are_counted(proxy, v1, authority, trusting):
    """An authority that is not trusted, a version that nobody speaks, and garbage; a look at the port is none."""
    p = proxy(route(v1.address))
    with pytest.raises(ssl.SSLError):
        secure(p, ssl.create_default_context())
    wait_until(lambda: errors(p, "tls_handshake") == 1, what="the alert being counted")
    old = subprocess.run(["openssl", "s_client", "-connect", p.address, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], input=b"",
                         capture_output=True, timeout=20, preexec_fn=die_with_me)
    assert old.returncode != 0 and b"alert protocol version" in old.stderr, old
    wait_until(lambda: errors(p, "tls_handshake") == 2, what="the old version being counted")
    with connect(p.address) as s:
        s.sendall(b"\x16\x03\x01\xff\xff" + os.urandom(100))
        assert is_closed(s)
    wait_until(lambda: errors(p, "tls_handshake") == 3, what="garbage being counted")
    connect(p.address).close()
    assert p.ask(tls=trusting()).status == 200
    assert errors(p, "tls_handshake") == 3


def test_plain_http_is_told_where_it_is(proxy, v1):
    p = proxy(route(v1.address))
    for request in (GET, b"DELETE / HTTP/1.1\r\nHost: x\r\n\r\n", b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"):
        with p.client() as c:
            c.send(request)
            answer = c.response()
            assert (answer.status, answer.body) == (400, b"400 Bad Request: this port speaks TLS (https)\n")
            assert c.is_closed()
    assert errors(p, "bad_request") == 3
    assert v1.count() == 0


def test_renegotiation_is_refused(proxy, v1, authority):
    p = proxy(route(v1.address))
    client = subprocess.Popen(["openssl", "s_client", "-connect", p.address, "-CAfile", authority.ca, "-tls1_2",
                               "-servername", "web.test"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              preexec_fn=die_with_me)
    client.stdin.write(b"R\n")
    client.stdin.flush()
    output = client.communicate(timeout=20)[0]
    assert b"RENEGOTIATING" in output and b"no renegotiation" in output, output


def test_a_flood_of_key_updates_is_ended(proxy, v1, authority):
    """s_client sends one for each line "K" of its input."""
    p = proxy(route(v1.address))
    client = subprocess.Popen(["openssl", "s_client", "-connect", p.address, "-CAfile", authority.ca, "-tls1_3",
                               "-servername", "web.test"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, preexec_fn=die_with_me)

    def is_counted():
        try:
            client.stdin.write(b"K\n")
            client.stdin.flush()
        except BrokenPipeError:
            pass
        return errors(p, "tls_flood") == 1
    try:
        wait_until(is_counted, 20, "the flood being counted")
        client.wait(10)
    finally:
        client.kill()
        client.wait()


def test_readers_that_stop_are_put_out(proxy, backend, trusting):
    """What they do not take waits as records; it is given up in time, and others are served meanwhile."""
    b = backend("v1", answer=lambda connection, request: connection.send(reply(body=BLOCK * 20 if request.target == "/big" else b"v1")))
    p = proxy(route(b.address), timeouts={"client_body": "1s"})
    slow = [secure(p, trusting()) for _ in range(5)]
    for s in slow:
        s.sendall(b"GET /big HTTP/1.1\r\nHost: web.test\r\n\r\n")
    assert p.ask(tls=trusting()).status == 200
    wait_until(lambda: errors(p, "timeout") + errors(p, "slow") == 5, 25, "the five being put out")
    wait_until(lambda: p.metrics().sum("serin_client_connections") == 0, what="their connections being gone")
    for s in slow:
        s.close()


def test_a_crowd_of_handshakes_is_served(proxy, v1, trusting):
    """More at once than a turn of the loop takes: each gets through, and so does who was there before."""
    p = proxy(route(v1.address))
    with p.client(tls=trusting()) as before:
        assert before.ask().status == 200
        statuses = []

        def one():
            statuses.append(p.ask(tls=trusting()).status)
        crowd = [threading.Thread(target=one, daemon=True) for _ in range(100)]
        for t in crowd:
            t.start()
        for _ in range(20):
            assert before.ask().status == 200
        for t in crowd:
            t.join(30)
    assert statuses == [200] * 100
    assert handshakes(p) == 101
    assert errors(p, "tls_.*") == 0
