"""TLS to the endpoints: whom serin believes, what it keeps and resumes, and what users notice when it fails.

SPDX-License-Identifier: Apache-2.0
"""
import os
import re
import socket
import ssl
import subprocess
import threading

import pytest

from backends import TlsBackend
from certificates import EXPIRED, Authority
from rig import QUICK, route, run_serin, wait_until
from test_upgrade import accept_of, switch, upgrade

MIB = 1 << 20


def secured(versions, **more):
    """A route whose versions are (address, tls): {"v1": (nginx.address, {"ca": ...})}."""
    made = route(*(address for address, _ in versions.values()), **more)
    for name, (_, tls) in versions.items():
        if tls is not None:
            made["versions"][name]["tls"] = tls
    return made


def v1_of(address, tls, **more):
    return secured({"v1": (address, tls)}, **more)


def connection(proxy, **more):
    """What nginx says of the connection that a request came on: {"reused", "id", "requests", "protocol", "name", "subject"}."""
    answer = proxy.ask(target="/connection", **more)
    assert answer.status == 200, answer
    words = re.fullmatch(r"(\S) (\d+) (\d+) (\S+) \[(.*)\] \[(.*)\]\n", answer.body.decode()).groups()
    return dict(zip(("reused", "id", "requests", "protocol", "name", "subject"), words))


def handshakes(proxy, **labels):
    return proxy.metrics().sum("serin_upstream_tls_handshakes_total", **labels)


def server_context(pair, **options):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    for name, value in options.items():
        setattr(context, name, value)
    return context


@pytest.fixture
def web(nginx):
    """An nginx under TLS: web("v1", pair, "other directives;"). Of its own it would speak TLS 1.2 alone."""
    def make(version, pair, more=""):
        return nginx(version, [pair], more if "ssl_protocols" in more else more + "ssl_protocols TLSv1.2 TLSv1.3;")
    return make


@pytest.fixture
def secure(cleanup, authority):
    """A scripted backend under TLS: secure(answer, version="v1")."""
    def make(answer=None, version="v1", pair=None, **options):
        made = TlsBackend(server_context(pair or authority.server(version), **options), version, answer)
        cleanup.append(made.stop)
        return made
    return make


# --- whom it believes ---

def test_a_name_is_verified_and_sent(serin, web, authority):
    v1 = web("v1", authority.server(hosts=["web.internal"]))
    proxy = serin(v1_of(v1.address, {"ca": authority.ca, "server_name": "web.internal"}))
    assert proxy.ask().body == b"v1\n"
    seen = connection(proxy)
    assert seen["name"] == "web.internal" and seen["protocol"] == "TLSv1.3" and seen["subject"] == ""
    assert handshakes(proxy, route="web", version="v1", result="full") == 1 and handshakes(proxy, result="failed") == 0
    assert "tls_not_verified" not in proxy.log() and "config_warning" not in proxy.log()


def test_an_address_is_verified_and_not_sent(serin, web, authority):
    v1 = web("v1", authority.server(hosts=["127.0.0.1"]))
    proxy = serin(v1_of(v1.address, {"ca": authority.ca}))
    assert connection(proxy)["name"] == ""


def test_the_name_of_an_endpoint_is_verified(serin, web, authority):
    v1 = web("v1", authority.server(hosts=["localhost"]))
    proxy = serin(v1_of(f"dns:localhost:{v1.port}", {"ca": authority.ca}))
    assert connection(proxy)["name"] == "localhost"


def test_a_unix_socket_has_the_name_that_it_is_given(serin, web, authority):
    v1 = web("v1", authority.server(hosts=["web.internal"]))
    proxy = serin(v1_of(f"unix:{v1.folder}/socket", {"ca": authority.ca, "server_name": "web.internal"}))
    assert connection(proxy)["name"] == "web.internal"


def test_an_intermediate_issuer_is_enough(serin, web, authority, tmp_path):
    below = Authority(tmp_path / "below", "below", authority)
    v1 = web("v1", below.server(hosts=["web.internal"]))
    for ca in (authority.ca, below.ca):
        assert serin(v1_of(v1.address, {"ca": ca, "server_name": "web.internal"})).ask().status == 200


@pytest.mark.parametrize("case, why", [
    ("wrong name", "hostname mismatch"), ("wrong address", "IP address mismatch"),
    ("unknown issuer", "unable to get local issuer certificate"), ("expired", "certificate has expired"),
    ("system", "unable to get local issuer certificate"), ("plain", "wrong version number"), ("old", "alert protocol version")])
def test_who_cannot_prove_it_gets_nothing(serin, nginx, web, authority, tmp_path, case, why):
    other = Authority(tmp_path / "other", "other")
    tls = {"ca": authority.ca, "server_name": "web.internal"}
    made = {"wrong name": lambda: authority.server(hosts=["else.internal"]),
            "wrong address": lambda: authority.server(hosts=["127.0.0.2"]),
            "unknown issuer": lambda: other.server(hosts=["web.internal"]),
            "expired": lambda: authority.server(hosts=["web.internal"], days=EXPIRED)}
    tls.pop({"wrong address": "server_name", "system": "ca"}.get(case), None)
    if case == "old":
        tls["min_version"] = "1.3"
    pair = made.get(case, lambda: authority.server(hosts=["web.internal"]))()
    v1 = nginx("v1") if case == "plain" else web("v1", pair, "ssl_protocols TLSv1.2;" if case == "old" else "")
    # the machine's own issuers, whatever is installed there
    proxy = serin(v1_of(v1.address, tls), environment={"SSL_CERT_FILE": other.ca, "SSL_CERT_DIR": str(tmp_path)})
    assert proxy.ask().status == 502
    m = proxy.metrics()
    assert m.sum("serin_request_errors_total", reason="connect") == 1 and m.sum("serin_request_errors_total") == 1
    assert m.sum("serin_upstream_tls_handshakes_total", result="failed") == 1
    wait_until(lambda: "tls_failed" in proxy.log(), 5, "its line in the log")
    line = next(line for line in proxy.log().splitlines() if "tls_failed" in line)
    assert f"route=web version=v1 endpoint={v1.address} " in line and why in line, line
    wait_until(lambda: why in "".join(line for line in proxy.log().splitlines() if "endpoint_down" in line), 5, "the probe's word")


def test_without_verification_anyone_is_believed_with_a_warning(serin, web, authority):
    v1 = web("v1", authority.server(hosts=["else.internal"], days=EXPIRED))
    proxy = serin(v1_of(v1.address, {"verify": False, "server_name": "web.internal"}))
    assert connection(proxy)["name"] == "web.internal"
    assert "routes[0].versions.v1.tls.verify: is false: whoever answers at its endpoints is believed" in proxy.log()
    done = run_serin("check", "-c", proxy.file)
    assert done.returncode == 0 and "tls.verify: is false" in done.stdout + done.stderr


def test_the_machines_issuers_are_the_default(serin, web, authority):
    v1 = web("v1", authority.server(hosts=["web.internal"]))
    hashed = subprocess.run(["openssl", "x509", "-hash", "-noout", "-in", authority.ca], capture_output=True, text=True,
                            check=True).stdout.strip()
    folder = os.path.join(authority.folder, "hashed")
    os.mkdir(folder)
    os.symlink(authority.ca, os.path.join(folder, hashed + ".0"))
    for environment in ({"SSL_CERT_FILE": authority.ca, "SSL_CERT_DIR": "/nonexistent"},
                        {"SSL_CERT_FILE": "/nonexistent", "SSL_CERT_DIR": "/nonexistent:" + folder}):
        proxy = serin(v1_of(v1.address, {"server_name": "web.internal"}), environment=environment)
        assert proxy.ask().status == 200
    done = run_serin("check", "-c", proxy.file, environment={"SSL_CERT_FILE": "/nonexistent", "SSL_CERT_DIR": "/nonexistent"})
    assert done.returncode == 78 and "routes[0].versions.v1.tls: this machine trusts no issuer" in done.stderr


# --- who it is itself ---

def test_a_client_certificate_is_shown(serin, web, authority, tmp_path):
    v1 = web("v1", authority.server(), f"ssl_client_certificate {authority.ca}; ssl_verify_client on;")
    mine = authority.client("serin")
    tls = {"ca": authority.ca, "server_name": "web.test"}
    proxy = serin(v1_of(v1.address, {**tls, "certificate": mine.certificate, "key": mine.key}))
    assert connection(proxy)["subject"] == "CN=serin"
    assert serin(v1_of(v1.address, tls)).ask().status == 400         # nginx's way to say so
    stranger = Authority(tmp_path / "other", "other").client("serin")
    assert serin(v1_of(v1.address, {**tls, "certificate": stranger.certificate, "key": stranger.key})).ask().status == 400


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_server_that_refuses_serin_says_why(serin, secure, authority, version):
    """By an alert: before the end of the handshake (1.2), or behind it (1.3)."""
    v1 = secure(verify_mode=ssl.CERT_REQUIRED, maximum_version=version)
    v1.context.load_verify_locations(authority.ca)
    proxy = serin(v1_of(v1.address, {"ca": authority.ca}))
    assert proxy.ask().status == 502 and v1.count() == 0
    wait_until(lambda: re.search(r'tls_failed .*alert', proxy.log()), 5, "its line in the log")


# --- files ---

def test_what_is_wrong_with_files_is_told_with_its_place(serin, authority, tmp_path):
    good, other = authority.client("good"), authority.client("other")
    expired = authority.issue("expired", days=EXPIRED)
    empty = tmp_path / "empty.crt"
    empty.write_text("nothing\n")
    old = Authority(tmp_path / "old", "old")
    Authority.write(old.ca, Authority.build(old.subject, old.private, EXPIRED, old, []))
    proxy = serin(v1_of("127.0.0.1:1", {}), start=False)
    rows = [({"ca": str(empty)}, "ca", f'"{empty}" holds no certificate'),
            ({"ca": good.key}, "ca", f'"{good.key}" holds no certificate'),
            ({"ca": old.ca}, "ca", f'"{old.ca}" holds no issuer that has not expired (the last one at '),
            ({"ca": "/nonexistent"}, "ca", '"/nonexistent" cannot be read: No such file or directory'),
            ({"certificate": expired.certificate, "key": expired.key}, "certificate", f'"{expired.certificate}" has expired at '),
            ({"certificate": good.certificate, "key": other.key}, "key", f'"{other.key}" is not the key of the certificate'),
            ({"certificate": good.certificate, "key": str(empty)}, "key", f'"{empty}" holds no private key'),
            ({"certificate": str(empty), "key": good.key}, "certificate", f'"{empty}" holds no certificate')]
    for tls, key, what in rows:
        proxy.config["routes"] = [v1_of("127.0.0.1:1", tls)]
        proxy.write()
        done = run_serin("check", "-c", proxy.file)
        assert done.returncode == 78, (tls, done)
        line = next(n for n, text in enumerate(open(proxy.file), 1) if f'"{key}":' in text)
        assert re.match(re.escape(proxy.file) + rf":{line}:\d+: routes\[0\]\.versions\.v1\.tls\.{key}: ", done.stderr), done.stderr
        assert what in done.stderr, (tls, done.stderr)
        assert run_serin("run", "-c", proxy.file).returncode == 78


def test_a_certificate_that_is_about_to_expire_warns_and_is_a_metric(serin, web, authority):
    v1 = web("v1", authority.server())
    soon = authority.issue("soon", days=(-1, 3))
    os.chmod(soon.key, 0o644)
    proxy = serin(v1_of(v1.address, {"ca": authority.ca, "certificate": soon.certificate, "key": soon.key}))
    log = proxy.log()
    assert re.search(r'config_warning .*routes\[0\]\.versions\.v1\.tls\.certificate: .*expires in [23] days', log), log
    assert re.search(r'config_warning .*tls\.key: .*can be read by every user', log), log
    assert proxy.metrics().sum("serin_certificate_expiry_timestamp_seconds", listener="", certificate=re.escape(soon.certificate)) > 1e9


# --- what is kept, resumed, and never shared ---

def test_connections_are_kept_and_sessions_resumed(serin, web, authority):
    v1 = web("v1", authority.server())
    proxy = serin(v1_of(v1.address, {"ca": authority.ca}))
    first, second = connection(proxy), connection(proxy)
    assert second["id"] == first["id"] and second["requests"] == "2" and handshakes(proxy) == 1


@pytest.mark.parametrize("protocol", ["TLSv1.2", "TLSv1.3"])
def test_a_new_connection_resumes(serin, web, authority, protocol):
    v1 = web("v1", authority.server(), f"keepalive_timeout 0; ssl_protocols {protocol}; ssl_session_cache none;")
    proxy = serin(v1_of(v1.address, {"ca": authority.ca}))
    seen = [connection(proxy) for _ in range(20)]
    assert {s["protocol"] for s in seen} == {protocol} and len({s["id"] for s in seen}) == 20
    assert [s["reused"] for s in seen] == ["."] + 19 * ["r"]
    assert handshakes(proxy, result="full") == 1 and handshakes(proxy, result="resumed") == 19


def test_versions_with_different_identities_share_nothing(serin, web, authority):
    """One address, two routes: of the same identity they share connections and sessions, of others nothing."""
    v1 = web("v1", authority.server(hosts=["a.internal", "b.internal"]))
    tls = {"ca": authority.ca, "server_name": "a.internal"}
    routes = [{**v1_of(v1.address, dict(tls, **more)), "name": name, "hosts": [name + ".test"]}
              for name, more in (("a", {}), ("same", {}), ("b", {"server_name": "b.internal"}), ("c", {"verify": False}),
                                 ("d", {"min_version": "1.3"}))]
    proxy = serin(routes)
    seen = {name: connection(proxy, host=name + ".test") for name in ("a", "same", "b", "c", "d")}
    assert seen["same"]["id"] == seen["a"]["id"] and seen["same"]["requests"] == "2"
    assert len({s["id"] for s in seen.values()}) == 4
    assert [seen[name]["reused"] for name in "abcd"] == 4 * ["."]
    assert seen["b"]["name"] == "b.internal" and seen["c"]["name"] == "a.internal"


def test_a_reload_keeps_what_has_not_changed_and_nothing_else(serin, web, authority, tmp_path):
    other = Authority(tmp_path / "other", "other")
    ca = str(tmp_path / "trusted.crt")
    Authority.write(ca, authority.public)
    v1 = web("v1", authority.server(hosts=["web.internal"]))
    proxy = serin(v1_of(v1.address, {"ca": ca, "server_name": "web.internal"}))
    before = connection(proxy)

    proxy.config["routes"][0]["balance"] = "round_robin"
    proxy.write()
    proxy.cli("reload")
    assert connection(proxy)["id"] == before["id"]

    Authority.write(ca, authority.public, other.public)     # the same setting, another file
    assert "versions.v1.tls: the certificates that it names are others" in proxy.cli("reload")
    seen = []       # a request may still be the old configuration's: its worker has not looked yet
    wait_until(lambda: seen.append(connection(proxy)) or seen[-1]["id"] != before["id"], 5, "a new connection")
    after = seen[-1]
    assert after["reused"] == "."
    wait_until(lambda: proxy.metrics().sum("serin_upstream_connections", state="idle") == 1, 5, "the old one's end")

    with open(ca, "w") as f:
        f.write("broken\n")
    assert "tls.ca" in proxy.cli("reload", expect=None).stderr
    assert connection(proxy)["id"] == after["id"]            # the old ones stay in force

    Authority.write(ca, other.public)
    proxy.cli("reload")
    wait_until(lambda: proxy.ask().status == 502, 5, "an end")      # nobody is believed for having been believed
    assert proxy.ask().status == 502
    assert "unable to get local issuer certificate" in proxy.log()

    proxy.config["routes"][0]["versions"]["v1"]["tls"] = {"ca": authority.ca, "server_name": "web.internal"}
    proxy.write()
    proxy.cli("reload")
    wait_until(lambda: proxy.ask().status == 200, 10, "the endpoint being up, whose next fall tells why")
    proxy.config["routes"][0]["versions"]["v1"]["tls"]["server_name"] = "else.internal"
    proxy.write()
    proxy.cli("reload")
    wait_until(lambda: proxy.ask().status == 502 and "hostname mismatch" in proxy.log(), 10, "the other name being asked for")
    assert proxy.ask().status == 502

    proxy.config["routes"][0]["versions"]["v1"]["tls"]["server_name"] = "web.internal"
    proxy.write()
    proxy.cli("reload")
    wait_until(lambda: proxy.ask().status == 200, 10, "the endpoint being up again")


def test_a_version_becomes_plain_and_secret_again(serin, web, authority, backend):
    """A reload that turns TLS on or off never sends a request the other way."""
    plain, secret = backend("plain"), web("secret", authority.server())
    proxy = serin(v1_of(plain.address, None))
    assert proxy.ask().body == b"plain"
    proxy.config["routes"] = [v1_of(secret.address, {"ca": authority.ca})]
    proxy.write()
    proxy.cli("reload")
    wait_until(lambda: proxy.ask().body == b"secret\n", 5, "the other version")
    proxy.config["routes"] = [v1_of(plain.address, None)]
    proxy.write()
    proxy.cli("reload")
    wait_until(lambda: proxy.ask().body == b"plain", 5, "the first one")
    assert all(r.target == "/" for r in plain.requests) and proxy.metrics().sum("serin_request_errors_total") == 0


# --- tunnels ---

def test_a_websocket_over_tls_with_half_close(serin, secure, authority):
    def echo(c, request):
        c.send(switch(request))
        data, c.buffer = c.buffer, b""
        while True:
            if data:
                c.send(data)
            data = c.sock.recv(65536)
            if not data:
                c.send(b"goodbye")
                c.sock.unwrap()
                c.close()
    proxy = serin(v1_of(secure(echo).address, {"ca": authority.ca}))
    data = os.urandom(4 * MIB)
    with proxy.client() as c:
        c.send(upgrade("a" * 22 + "=="))
        assert c.head().get("sec-websocket-accept") == accept_of("a" * 22 + "==")
        sender = threading.Thread(target=c.send, args=(data,))
        sender.start()
        assert c.exactly(len(data)) == data
        sender.join()
        c.sock.shutdown(socket.SHUT_WR)
        assert c.to_end() == b"goodbye"
    wait_until(lambda: proxy.metrics().sum("serin_tunnels") == 0, 5, "its end")


# --- the others that dial ---

def test_active_checks_speak_tls(serin, web, authority):
    """Good and bad versions; what they are asked for verifies like a request."""
    v1, v2 = web("v1", authority.server()), web("v2", authority.server("other", ["else.internal"]))
    tls = {"ca": authority.ca, "server_name": "web.test"}
    proxy = serin(secured({"v1": (v1.address, tls), "v2": (v2.address, tls)}, weight="50%",
                          health={"path": "/", "interval": "100ms", "timeout": "2s"}))

    def up(version):
        return proxy.metrics().sum("serin_endpoint_up", version=version)
    wait_until(lambda: "endpoint_up route=web version=v1" in proxy.log() and up("v2") == 0, 10, "both being known")
    assert up("v1") == 1 and re.search(r"endpoint_down route=web version=v2 .*hostname mismatch", proxy.log())
    assert all(proxy.ask().body == b"v1\n" for _ in range(50))
    assert handshakes(proxy, version="v2") == 0
    v1.stop()
    wait_until(lambda: up("v1") == 0, 10, "v1 being down")


def test_a_canary_with_a_bad_certificate_gets_no_users(serin, web, authority):
    """It is probed before anybody is sent there; whoever is all the same goes on to stable."""
    v1, v2 = web("v1", authority.server()), web("v2", authority.server("other", days=EXPIRED))
    tls = {"ca": authority.ca, "server_name": "web.test"}
    proxy = serin(secured({"v1": (v1.address, tls), "v2": (v2.address, tls)}, weight="50%"))
    answers = [proxy.ask(headers={"X-Request": str(n)}) for n in range(200)]
    assert {(a.status, a.body) for a in answers} == {(200, b"v1\n")}
    m = proxy.metrics()
    failed = m.sum("serin_upstream_tls_handshakes_total", version="v2", result="failed")
    assert failed <= 5 and m.sum("serin_retries_total", result="ok") == failed and m.sum("serin_retries_total", result="failed") == 0
    assert re.search(r"endpoint_down route=web version=v2 .*certificate has expired", proxy.log())


def test_a_rollout_to_a_canary_that_loses_its_certificate_is_taken_back(serin, secure, web, authority):
    """Handshakes that begin to fail in mid-rollout are failures of the canary, and its users are stable's."""
    bad = server_context(authority.server("bad", ["else.internal"]))
    is_bad = threading.Event()

    def answer(c, request):
        if is_bad.is_set():
            c.backend.context = bad
        c.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nv2")
        c.close()
    v1, v2 = web("v1", authority.server()), secure(answer, "v2", pair=authority.server("good", ["web.test"]))
    tls = {"ca": authority.ca, "server_name": "web.test"}
    proxy = serin(secured({"v1": (v1.address, tls), "v2": (v2.address, tls)}, rollout={**QUICK, "steps": ["50%"], "hold": "30s"}))
    proxy.cli("start", "web")
    proxy.at_weight(50)
    assert {proxy.ask().status for _ in range(50)} == {200} and v2.count() > 0
    is_bad.set()

    def is_over():
        assert {proxy.ask().status for _ in range(20)} == {200}
        return proxy.status()["weight"]["intended"] == 0 or proxy.metrics().sum("serin_endpoint_up", version="v2") == 0
    wait_until(is_over, 20, "the canary being left alone")
    assert "hostname mismatch" in proxy.log()


# --- under load ---

def test_wrk_with_keep_alive(serin, web, authority):
    v1 = web("v1", authority.server())
    proxy = serin(v1_of(v1.address, {"ca": authority.ca}), workers=2)
    done = subprocess.run(["wrk", "-t1", "-c16", "-d2s", f"http://{proxy.address}/"], capture_output=True, text=True, timeout=60,
                          check=True)
    requests = int(re.search(r"(\d+) requests in", done.stdout)[1])
    assert requests > 100 and "Non-2xx" not in done.stdout and "Socket errors" not in done.stdout, done.stdout
    m = proxy.metrics()
    assert m.sum("serin_requests_total", code="200") >= requests and m.sum("serin_request_errors_total") == 0
    assert m.sum("serin_upstream_tls_handshakes_total") <= 64 < requests


def test_a_crowd_of_new_connections_resumes(serin, web, authority):
    v1 = web("v1", authority.server(), "keepalive_timeout 0;")
    proxy = serin(v1_of(v1.address, {"ca": authority.ca}))
    subprocess.run(["wrk", "-t1", "-c16", "-d2s", f"http://{proxy.address}/"], capture_output=True, timeout=60, check=True)
    m = proxy.metrics()
    full, resumed = (m.sum("serin_upstream_tls_handshakes_total", result=result) for result in ("full", "resumed"))
    assert full <= 16 and resumed > 2 * full and m.sum("serin_request_errors_total") == 0, (full, resumed)
