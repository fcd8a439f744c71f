"""What goes through: framing both ways, connections kept on both sides, fields rewritten, routes, address families.

SPDX-License-Identifier: Apache-2.0
"""
import re
import socket

import pytest

from backends import reply
from rig import Client, ask, route, wait_until


@pytest.fixture
def proxy(serin, v1):
    """serin before one version, its requests in v1.requests."""
    return serin(route(v1.address))


def answer_with(data):
    """A backend's answer function that sends the same bytes always."""
    return lambda connection, request: connection.send(data)


# --- connections

def test_connections_are_kept_on_both_sides(proxy, v1):
    with proxy.client() as c:
        assert [c.ask().body for _ in range(5)] == [b"v1"] * 5
    with proxy.client() as c:
        assert c.ask().status == 200
    assert v1.connections == 1


def test_pipelined_requests_are_answered_in_order(proxy, v1):
    v1.answer = lambda c, request: c.send(reply(200, request.target.encode()))
    with proxy.client() as c:
        c.send("".join(f"GET /{i} HTTP/1.1\r\nHost: web.test\r\n\r\n" for i in range(20)))
        assert [c.response().body for _ in range(20)] == [b"/%d" % i for i in range(20)]


def test_pipelined_bodies_are_not_mixed_up(proxy, v1):
    v1.answer = lambda c, request: c.send(reply(200, request.body))
    with proxy.client() as c:
        c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nfirst"
               "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nsecond\r\n0\r\n\r\n"
               "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert [c.response().body for _ in range(3)] == [b"first", b"second", b""]


def test_head_that_comes_byte_by_byte(proxy):
    with proxy.client() as c:
        for byte in b"GET / HTTP/1.1\r\nHost: web.test\r\nA: b\r\n\r\n":
            c.send(bytes([byte]))
        assert c.response().body == b"v1"


def test_client_asks_to_close(proxy):
    with proxy.client() as c:
        answer = c.ask(headers={"Connection": "close"})
        assert answer.status == 200 and answer.get("connection", "").lower() == "close"
        assert c.is_closed()


def test_backend_closes_after_each_answer(proxy, v1):
    def answer(connection, request):
        connection.send(reply(200, b"x", [("Connection", "close")]))
        connection.close()
    v1.answer = answer
    with proxy.client() as c:
        for _ in range(3):
            answer = c.ask()
            assert answer.body == b"x" and "close" not in answer.get("connection", "")
    assert v1.connections == 3


def test_idle_backend_connection_that_closed_is_not_used(proxy, v1):
    with proxy.client() as c:
        assert c.ask().status == 200
        with v1.lock:
            for sock in v1.open:
                sock.shutdown(socket.SHUT_RDWR)
        wait_until(lambda: not v1.open, 5, "the backend's connection being closed")
        assert c.ask("POST", body=b"must arrive once").status == 200
    assert [r.method for r in v1.requests] == ["GET", "POST"]


# --- bodies

BODIES = [b"", b"x", b"0123456789" * 1000, bytes(range(256)) * 4000]


@pytest.mark.parametrize("body", BODIES, ids=len)
def test_body_with_length(proxy, v1, body):
    v1.answer = lambda c, request: c.send(reply(200, request.body))
    answer = proxy.ask("POST", body=body)
    assert answer.body == body and v1.last().body == body
    assert v1.last().get("content-length") == str(len(body))


@pytest.mark.parametrize("body", BODIES, ids=len)
def test_chunked_request(proxy, v1, body):
    v1.answer = lambda c, request: c.send(reply(200, request.body))
    with proxy.client() as c:
        c.send("POST / HTTP/1.1\r\nHost: web.test\r\nTransfer-Encoding: chunked\r\n\r\n")
        for at in range(0, len(body), 5000):
            c.send(b"%x;extension=1\r\n%s\r\n" % (len(body[at:at + 5000]), body[at:at + 5000]))
        c.send("0\r\n\r\n")
        assert c.response().body == body
        assert v1.last().body == body
        assert c.ask().status == 200        # the connection lives on


@pytest.mark.parametrize("body", BODIES, ids=len)
def test_chunked_response(proxy, v1, body):
    def answer(connection, request):
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for at in range(0, len(body), 3333):
            connection.send(b"%X\r\n%s\r\n" % (len(body[at:at + 3333]), body[at:at + 3333]))
        connection.send(b"0\r\n\r\n")
    v1.answer = answer
    with proxy.client() as c:
        for _ in range(2):
            got = c.ask()
            assert got.body == body and got.get("transfer-encoding") == "chunked" and not got.all("content-length")


def test_response_that_ends_with_its_connection(proxy, v1):
    def answer(connection, request):
        connection.send(b"HTTP/1.1 200 OK\r\n\r\nall there is")
        connection.close()
    v1.answer = answer
    assert proxy.ask().body == b"all there is"


def test_first_bytes_do_not_wait_for_the_last(proxy, v1):
    def answer(connection, request):
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        v1.released.wait(10)
        connection.send(b"4\r\nlast\r\n0\r\n\r\n")
    v1.answer = answer
    with proxy.client() as c:
        c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        c.head()
        assert c.exactly(10) == b"5\r\nfirst\r\n"
        v1.released.set()
        assert c.exactly(14) == b"4\r\nlast\r\n0\r\n\r\n"


def test_request_body_is_not_held_back(proxy, v1):
    seen = []

    def read(connection):
        if not connection.buffer:
            try:
                connection.fill()
            except EOFError:
                return None
        request = connection.head()
        seen.append(connection.exactly(5))
        request.body = connection.exactly(5)
        return request
    v1.read = read
    with proxy.client() as c:
        c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nfirst")
        wait_until(lambda: seen, 5, "the first bytes at the backend")
        c.send("other")
        assert c.response().status == 200


def test_backend_answers_before_the_body_is_there(proxy, v1):
    def read(connection):
        return connection.head() if connection.buffer or connection.fill() is None else None

    def answer(connection, request):
        connection.send(reply(403, b"no", [("Connection", "close")]))
        connection.close()
    v1.read, v1.answer = read, answer
    with proxy.client() as c:
        c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nbeginning")
        assert c.response().status == 403


# --- methods and statuses without a body

def test_head(proxy, v1):
    v1.answer = answer_with(b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n")
    with proxy.client() as c:
        answer = c.ask("HEAD")
        assert answer.get("content-length") == "12345"
        v1.answer = v1.plain
        assert c.ask().body == b"v1"


@pytest.mark.parametrize("status", [204, 304])
def test_status_without_body(proxy, v1, status):
    v1.answer = answer_with(b"HTTP/1.1 %d X\r\nETag: \"a\"\r\n\r\n" % status)
    with proxy.client() as c:
        answer = c.ask()
        assert answer.status == status and answer.get("etag") == '"a"' and not answer.all("transfer-encoding")
        v1.answer = v1.plain
        assert c.ask().body == b"v1"
    assert v1.connections == 1


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "QUERY"])
def test_method_goes_through(proxy, v1, method):
    assert proxy.ask(method).status == 200
    assert v1.last().method == method


@pytest.mark.parametrize("status", [201, 301, 404, 429, 500, 599])
def test_status_goes_through(proxy, v1, status):
    v1.answer = answer_with(reply(status, b"body", reason="As It Likes"))
    answer = proxy.ask("POST", body=b"")
    assert (answer.status, answer.body) == (status, b"body")


# --- 1xx

def test_100_continue(proxy, v1):
    def read(connection):
        if not connection.buffer:
            connection.fill()
        request = connection.head()
        if request.get("expect") == "100-continue":
            connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.body = connection.exactly(int(request.get("content-length", "0")))
        return request
    v1.read = read
    with proxy.client() as c:
        c.send("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        assert c.response().status == 100
        c.send("body")
        assert c.response().status == 200
    assert v1.last().body == b"body"


def test_expectation_that_is_refused(proxy, v1):
    def read(connection):
        if not connection.buffer:
            connection.fill()
        return connection.head()

    def answer(connection, request):
        connection.send(reply(417, b"", [("Connection", "close")]))
        connection.close()
    v1.read, v1.answer = read, answer
    with proxy.client() as c:
        c.send("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        assert c.response().status == 417


def test_early_hints_come_early(proxy, v1):
    def answer(connection, request):
        connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n")
        v1.released.wait(10)
        connection.send(reply(200, b"late"))
    v1.answer = answer
    with proxy.client() as c:
        c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        hints = c.response()
        assert hints.status == 103 and hints.get("link") == "</style.css>"
        v1.released.set()
        assert c.response().body == b"late"


# --- HTTP/1.0

def test_http_1_0_client(proxy, v1):
    with proxy.client() as c:
        c.send("GET /old HTTP/1.0\r\nHost: web.test\r\n\r\n")
        assert c.response().body == b"v1"
        assert c.is_closed()
    assert v1.last().version == "HTTP/1.1"


def test_http_1_0_keep_alive(proxy):
    with proxy.client() as c:
        for _ in range(2):
            c.send("GET / HTTP/1.0\r\nHost: web.test\r\nConnection: keep-alive\r\n\r\n")
            answer = c.response()
            assert answer.body == b"v1" and answer.get("connection", "").lower() == "keep-alive"


def test_http_1_0_client_gets_no_chunks_and_no_1xx(proxy, v1):
    v1.answer = answer_with(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                            b"5\r\nhello\r\n0\r\n\r\n")
    with proxy.client() as c:
        c.send("GET / HTTP/1.0\r\n\r\n")
        answer = c.response()
        assert answer.status == 200 and answer.body == b"hello" and not answer.all("transfer-encoding")


# --- fields

def test_hop_by_hop_fields_stay_on_their_hop(proxy, v1):
    v1.answer = answer_with(reply(200, b"", [("Connection", "x-back"), ("X-Back", "1"), ("Keep-Alive", "timeout=5"),
                                             ("X-End", "to end")]))
    answer = proxy.ask(headers=[("Connection", "X-Hop, keep-alive"), ("X-Hop", "1"), ("Keep-Alive", "5"),
                                ("Proxy-Connection", "keep-alive"), ("Proxy-Authorization", "Basic x"), ("TE", "trailers"),
                                ("X-End", "to end")])
    forwarded = v1.last()
    for name in ("x-hop", "keep-alive", "proxy-connection", "te", "upgrade"):
        assert not forwarded.all(name), name
    assert forwarded.get("x-end") == "to end" and answer.get("x-end") == "to end"
    assert not answer.all("x-back") and not answer.all("keep-alive")


def test_fields_named_in_connection_cannot_remove_what_matters(proxy, v1):
    proxy.ask("POST", headers=[("Connection", "Host, Content-Length, Cookie"), ("Cookie", "a=b")], body=b"12345")
    assert v1.last().get("host") == "web.test" and v1.last().body == b"12345" and v1.last().get("cookie") == "a=b"


def test_forwarded_fields(proxy, v1):
    proxy.ask(headers={"X-Forwarded-For": "203.0.113.7"})
    forwarded = v1.last()
    assert re.fullmatch(r"203\.0\.113\.7, ?127\.0\.0\.1", forwarded.get("x-forwarded-for"))
    assert forwarded.get("x-forwarded-proto") == "http" and forwarded.get("x-forwarded-host") == "web.test"
    assert not forwarded.all("forwarded")


@pytest.mark.parametrize("mode, has_x, has_rfc7239", [("x", True, False), ("rfc7239", False, True), ("both", True, True),
                                                      ("off", False, False)])
def test_forwarded_modes(serin, v1, mode, has_x, has_rfc7239):
    serin(route(v1.address, headers={"request_id": False, "forwarded": mode})).ask()
    assert bool(v1.last().all("x-forwarded-for")) == has_x
    assert bool(v1.last().all("forwarded")) == has_rfc7239
    assert not v1.last().all("x-request-id")


def test_request_id(proxy, v1):
    proxy.ask()
    proxy.ask()
    ids = [r.get("x-request-id") for r in v1.requests]
    assert all(re.fullmatch(r"[\x21-\x7e]{8,128}", i) for i in ids) and ids[0] != ids[1]
    proxy.ask(headers={"X-Request-ID": "given-by-the-client"})
    assert v1.last().get("x-request-id") == "given-by-the-client"
    proxy.ask(headers={"X-Request-ID": "no good\x80"})
    assert v1.last().get("x-request-id") != "no good\x80"


def test_fields_keep_their_order_and_bytes(proxy, v1):
    sent = [("A", "1"), ("B", "two words"), ("A", "2"), ("Set-Thing", "caf\xe9; x=\"y,z\""), ("Empty", "")]
    proxy.ask(headers=sent)
    assert [(k, v) for k, v in v1.last().headers if k in ("A", "B", "Set-Thing", "Empty")] == sent


def test_set_cookie_is_not_folded(proxy, v1):
    v1.answer = answer_with(reply(200, b"", [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]))
    assert proxy.ask().all("set-cookie") == ["a=1", "b=2"]


def test_target_goes_through_unchanged(proxy, v1):
    for target in ("/a?b=c&d", "/%2e%2e/x", "/a//b/../c", "/?", "/" + "x" * 5000):
        assert proxy.ask(target=target).status == 200
        assert v1.last().target == target


# --- routes

def test_hosts_and_paths_choose_the_route(serin, backend):
    names = ["any", "shop", "wild", "api", "api-v9"]
    backends = {n: backend(n) for n in names}
    rules = {"any": {}, "shop": {"hosts": ["shop.example"]}, "wild": {"hosts": ["*.shop.example"]},
             "api": {"hosts": ["shop.example"], "paths": ["/api/"]}, "api-v9": {"hosts": ["shop.example"], "paths": ["/api/v9/"]}}
    proxy = serin([{**route(backends[n].address), "name": n, **rules[n]} for n in names])
    for host, target, name in [("shop.example", "/", "shop"), ("SHOP.example:8080", "/x", "shop"), ("www.shop.example", "/", "wild"),
                               ("shop.example", "/api/v1", "api"), ("shop.example", "/api/v9/x", "api-v9"),
                               ("shop.example", "/apis", "shop"), ("other.example", "/api/", "any")]:
        assert proxy.ask(target=target, host=host).body == name.encode(), (host, target)


def test_no_route_is_404(serin, v1):
    proxy = serin(route(v1.address, hosts=["shop.example"], paths=["/shop"]))
    assert proxy.ask(target="/shop", host="shop.example").status == 200
    assert proxy.ask(target="/shop", host="other.example").status == 404
    assert proxy.ask(target="/", host="shop.example").status == 404
    assert v1.count() == 1


# --- address families

def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
        return True
    except OSError:
        return False


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")
def test_ipv6_both_sides(serin, backend):
    six = backend("six", family=socket.AF_INET6)
    proxy = serin(route(six.address), listeners=[{"bind": "[::1]:0"}])
    assert proxy.address.startswith("[::1]:")
    assert proxy.ask().body == b"six"
    assert six.last().get("x-forwarded-for") == "::1"


def test_unix_sockets_both_sides(serin, backend, tmp_path):
    local = backend("local", path=str(tmp_path / "backend"))
    proxy = serin(route(local.address), listeners=[{"bind": f"unix:{tmp_path}/front"}], admin={"bind": f"unix:{tmp_path}/admin"})
    assert [proxy.ask().body for _ in range(3)] == [b"local"] * 3
    assert local.last().get("host") == "web.test"
    assert proxy.metrics().sum("serin_requests_total", version="v1") == 3
    proxy.stop()
    proxy.start()       # the socket's file of an earlier run is in nobody's way
    assert proxy.ask().body == b"local"


def test_several_listeners_and_workers(serin, v1):
    proxy = serin(route(v1.address), workers=3, listeners=[{"bind": "127.0.0.1:0"}, {"bind": "127.0.0.1:0"}])
    for address in proxy.addresses() * 10:
        assert ask(address).body == b"v1"
    assert proxy.metrics().sum("serin_requests_total") == 20


def test_endpoints_of_a_version_share_its_requests(serin, backend):
    both = [backend("a"), backend("b")]
    proxy = serin(route([b.address for b in both], balance="round_robin"))
    with Client(proxy.address) as c:
        for _ in range(20):
            c.ask()
    assert [b.count() for b in both] == [10, 10]


def test_real_nginx_and_curl(serin, nginx, tmp_path):
    import subprocess
    web = nginx("v1")
    web.file("page", b"0123456789" * 12345)
    proxy = serin(route(web.address))
    got = tmp_path / "got"
    done = subprocess.run(["curl", "-sS", "--fail", "-o", got, "-w", "%{http_code} %{num_connects}\n",
                           f"http://{proxy.address}/files/page", "--next", "-sS", "-o", "/dev/null", "-w", "%{http_code}\n", "-r", "0-9",
                           f"http://{proxy.address}/files/page"], capture_output=True, text=True, timeout=30)
    assert done.stdout.split() == ["200", "1", "206"], done
    assert got.read_bytes() == b"0123456789" * 12345
