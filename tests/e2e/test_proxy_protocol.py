"""PROXY headers of real balancers and of a suite: whom they name is the client, and nobody else may name one.

SPDX-License-Identifier: Apache-2.0
"""
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading

import pytest

from certificates import as_config
from rig import connect, die_with_me, route, run_serin, wait_until

SUITE = os.path.join(os.path.dirname(__file__), "..", "suites", "proxy-protocol", "run.py")
REQUEST = b"GET / HTTP/1.1\r\nHost: web.test\r\nConnection: close\r\n\r\n"


def line(source, target="192.0.2.8"):
    return f"PROXY TCP4 {source} {target} 5000 80\r\n".encode()


def listener(*trusted, bind="127.0.0.1:0"):
    return {"listeners": [{"bind": bind, "proxy_protocol": True, "trusted": list(trusted)}]}


def refused(serin, reason):
    return serin.metrics().sum("serin_client_errors_total", reason=reason)


def ask_as(serin, source):
    """One request whose header names this client."""
    with serin.client() as c:
        c.send(line(source) + REQUEST)
        return c.response()


def test_suite(serin, free_port, record_property):
    """All of the 26 cases: right headers are believed, also in pieces, and nothing gets through behind a wrong one."""
    proxy = serin(route(f"127.0.0.1:{free_port}", retry={"max": 0}), **listener("127.0.0.1/32"))
    host, port = proxy.address.rsplit(":", 1)
    done = subprocess.run([sys.executable, SUITE, host, port, str(free_port)], capture_output=True, text=True, timeout=300,
                          preexec_fn=die_with_me)
    passed, failed = map(int, re.search(r"(\d+) passed, (\d+) failed\s*$", done.stdout).groups())
    record_property("cases_passed", passed)
    record_property("cases_failed", failed)
    assert (passed, failed) == (26, 0), done.stdout
    assert refused(proxy, "proxy_header") > 0 and refused(proxy, "untrusted") == 0


def test_strangers_are_refused_unread(serin, v1):
    proxy = serin(route(v1.address), **listener("10.0.0.0/8", "::/0"))
    with proxy.client() as c:
        c.send(line("192.0.2.7") + REQUEST)
        assert c.is_closed()
    assert v1.count() == 0
    assert (refused(proxy, "untrusted"), refused(proxy, "proxy_header")) == (1, 0)


def test_a_reload_trusts_another_network(serin, v1):
    proxy = serin(route(v1.address), **listener("10.0.0.0/8"))
    proxy.config.update(listener("127.0.0.0/8"))
    proxy.write()
    assert "listeners[0].trusted: 127.0.0.0/8 (before: 10.0.0.0/8)" in proxy.cli("reload")

    def is_believed():
        with proxy.client() as c:
            c.send(line("192.0.2.7") + REQUEST)
            try:
                return c.response().status == 200
            except (EOFError, ConnectionResetError):
                return False    # the worker has not adopted it yet
    wait_until(is_believed, 5, "the new network being in force")
    assert v1.last().get("x-forwarded-for") == "192.0.2.7"


def test_who_is_silent_is_let_go_in_time(serin, v1):
    proxy = serin(route(v1.address), timeouts={"client_header": "300ms"}, **listener("127.0.0.1/32"))
    with proxy.client() as silent, proxy.client() as begun:
        begun.send(b"PROXY TCP4 192.0.")
        assert silent.is_closed() and begun.is_closed()
    assert refused(proxy, "proxy_header") == 2 and v1.count() == 0


def test_over_a_unix_socket_everybody_is_trusted(serin, v1, tmp_path):
    proxy = serin(route(v1.address), **listener(bind=f"unix:{tmp_path}/front"))
    assert ask_as(proxy, "192.0.2.7").status == 200
    assert v1.last().get("x-forwarded-for") == "192.0.2.7"


def test_sticky_users_are_told_apart_by_the_header(serin, v1, v2):
    proxy = serin(route(v1.address, v2.address, weight="50%", sticky={"by": "client_ip"}), workers=2, **listener("127.0.0.0/8"))
    first = {n: ask_as(proxy, f"192.0.2.{n}").body for n in range(40)}
    assert set(first.values()) == {b"v1", b"v2"}        # all of them come from 127.0.0.1
    assert {n: ask_as(proxy, f"192.0.2.{n}").body for n in range(40)} == first


def test_the_configuration_names_who_is_trusted(serin, v1):
    proxy = serin(route(v1.address), start=False, **listener())
    answer = run_serin("check", "-c", proxy.file)
    assert answer.returncode == 78
    assert "listeners[0].trusted: names nobody who may send the PROXY header (networks such as 10.0.0.0/8)" in answer.stderr


# --- real peers

def curl(address, *more, source="127.0.0.1"):
    return subprocess.run(["curl", "-s", "-S", "-m", "10", "--interface", source, *more, f"http://{address}/"],
                          capture_output=True, text=True, timeout=30)


def test_curl(serin, v1):
    proxy = serin(route(v1.address), **listener("127.0.0.0/8"))
    done = curl(proxy.address, "--haproxy-protocol", source="127.0.0.9")
    assert done.stdout == "v1", done
    assert v1.last().get("x-forwarded-for") == "127.0.0.9"
    assert curl(proxy.address).returncode in (52, 56)       # an empty answer, or a reset


def program(cleanup, folder, *words):
    """A real balancer as a child process, with its output in folder/out."""
    name = shutil.which(words[0], path=os.environ["PATH"] + ":/usr/sbin")
    assert name, f"{words[0]} is not installed (tests/run installs it)"
    with open(folder / "out", "wb") as out:
        process = subprocess.Popen([name, *words[1:]], stdin=subprocess.DEVNULL, stdout=out, stderr=out, preexec_fn=die_with_me)
    cleanup.append(lambda: (process.terminate(), process.wait(10)))
    return process


def is_up(address):
    try:
        with socket.create_connection(address, 1):
            return True
    except OSError:
        return False


@pytest.mark.parametrize("how", ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id"])
def test_haproxy(serin, v1, cleanup, tmp_path, free_port, how):
    """Its clients, and its health checks, which speak for themselves (LOCAL)."""
    proxy = serin(route(v1.address), **listener("127.0.0.1/32"))
    (tmp_path / "haproxy.cfg").write_text(
        "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 10s\n  timeout server 10s\n"
        f"listen front\n  bind 127.0.0.1:{free_port}\n  unique-id-format %ci\n"
        f"  server serin {proxy.address} source 127.0.0.1 {how} check check-send-proxy inter 100ms\n")
    program(cleanup, tmp_path, "haproxy", "-db", "-f", str(tmp_path / "haproxy.cfg"))
    wait_until(lambda: is_up(("127.0.0.1", free_port)), 10, "haproxy listening")
    before = proxy.metrics().sum("serin_connections_total")
    done = curl(f"127.0.0.1:{free_port}", source="127.0.0.77")
    assert done.stdout == "v1", (done, (tmp_path / "out").read_text())
    assert v1.last().get("x-forwarded-for") == "127.0.0.77"
    wait_until(lambda: proxy.metrics().sum("serin_connections_total") > before + 3, 10, "checks having come")
    assert refused(proxy, "proxy_header") == 0


def test_nginx(serin, v1, cleanup, tmp_path, free_port):
    proxy = serin(route(v1.address), **listener("127.0.0.1/32"))
    (tmp_path / "nginx.conf").write_text(
        "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\n"
        f"daemon off; master_process off; pid {tmp_path}/pid; error_log {tmp_path}/error.log;\nevents {{}}\n"
        f"stream {{ server {{ listen 127.0.0.1:{free_port}; proxy_pass {proxy.address}; proxy_protocol on; }} }}\n")
    program(cleanup, tmp_path, "nginx", "-p", str(tmp_path), "-c", "nginx.conf")
    wait_until(lambda: is_up(("127.0.0.1", free_port)), 10, "nginx listening")
    done = curl(f"127.0.0.1:{free_port}", source="127.0.0.78")
    assert done.stdout == "v1", (done, (tmp_path / "out").read_text())
    assert v1.last().get("x-forwarded-for") == "127.0.0.78"


# --- before TLS

@pytest.fixture
def secured(serin, v1, authority):
    """serin with TLS behind a balancer that passes it on."""
    one = {"bind": "127.0.0.1:0", "proxy_protocol": True, "trusted": ["127.0.0.0/8"],
           "tls": {"certificates": as_config(authority.server())}}
    return serin(route(v1.address), listeners=[one])


@pytest.mark.parametrize("pieces", [1, 7, 1000], ids=["byte by byte", "in pieces", "at once"])
def test_header_before_tls(secured, authority, v1, pieces):
    """The header and the first bytes of TLS in one piece, or cut anywhere: neither takes a byte of the other."""
    ours, theirs = socket.socketpair()      # what the TLS library says goes through here, behind the header
    front = connect(secured.address)
    first = line("192.0.2.7")

    def pass_on():
        data = first + ours.recv(65536)
        for at in range(0, len(data), pieces):
            front.sendall(data[at:at + pieces])
        threading.Thread(target=copy, args=(front, ours), daemon=True).start()
        copy(ours, front)
    threading.Thread(target=pass_on, daemon=True).start()
    with authority.context().wrap_socket(theirs, server_hostname="web.test") as tls:
        tls.sendall(REQUEST)
        assert tls.recv(65536).startswith(b"HTTP/1.1 200 ")
    assert v1.last().get("x-forwarded-for") == "192.0.2.7" and v1.last().get("x-forwarded-proto") == "https"
    front.close()
    ours.close()


def copy(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass


def test_curl_before_tls(secured, authority, v1):
    done = subprocess.run(["curl", "-s", "-S", "-m", "10", "--interface", "127.0.0.9", "--haproxy-protocol", "--cacert",
                           authority.path("ca.crt"), f"https://{secured.address}/"], capture_output=True, text=True, timeout=30)
    assert done.stdout == "v1", done
    assert v1.last().get("x-forwarded-for") == "127.0.0.9"


def test_tls_without_a_header_is_refused(secured, authority, v1):
    with pytest.raises((ssl.SSLError, ConnectionError)):
        authority.context().wrap_socket(connect(secured.address), server_hostname="web.test")
    assert refused(secured, "proxy_header") == 1 and v1.count() == 0
