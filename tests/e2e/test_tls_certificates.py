"""The certificates of TLS listeners with real clients: names, versions, resumption, client certificates, reloads, bad files.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import re
import signal
import ssl
import subprocess
import time

import pytest

from certificates import EXPIRED, FUTURE, Authority, Pair, as_config, self_signed, subject_of
from rig import Client, ask, die_with_me, route, run_serin, wait_until

SUBJECT = "X-Client-Cert-Subject"


@pytest.fixture
def secure(serin, v1):
    """Starts serin with TLS on its first listener and a plain second one: secure([pair], min_version="1.3")."""
    def make(pairs, start=True, workers=1, **tls):
        listeners = [{"bind": "127.0.0.1:0", "tls": {"certificates": as_config(*pairs), **tls}}, {"bind": "127.0.0.1:0"}]
        return serin(route(v1.address), start=start, workers=workers, listeners=listeners)
    return make


def peer(address, context, name):
    """What a client that asks for that name is shown: (first name of the certificate, kind of key)."""
    with Client(address, tls=context, name=name) as c:
        der = c.sock.getpeercert(binary_form=True)
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import rsa
    certificate = x509.load_der_x509_certificate(der)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
    return names[0], "rsa" if isinstance(certificate.public_key(), rsa.RSAPublicKey) else "ecdsa"


def reload(web, expect=0):
    return web.cli("reload", expect=expect)


# --- names and versions ---

def test_a_name_chooses_the_certificate(secure, authority):
    web = secure([authority.server("first", ["first.test"]),
                  authority.server("shop-ecdsa", ["shop.test"]),
                  authority.server("shop-rsa", ["shop.test"], key="rsa"),
                  authority.server("wild", ["*.shop.test"])])
    usual = authority.context(check_hostname=False)
    rsa_only = authority.context(check_hostname=False, maximum_version=ssl.TLSVersion.TLSv1_2)
    rsa_only.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")
    assert peer(web.address, usual, "shop.test") == ("shop.test", "ecdsa")
    assert peer(web.address, rsa_only, "SHOP.test") == ("shop.test", "rsa")
    assert peer(web.address, usual, "www.shop.test") == ("*.shop.test", "ecdsa")
    assert peer(web.address, usual, "a.www.shop.test") == ("first.test", "ecdsa")
    assert peer(web.address, usual, None) == ("first.test", "ecdsa")
    assert ask(web.address, tls=usual).status == 200
    assert ask(web.addresses()[1]).status == 200


def test_a_chain_is_shown_whole(secure, authority):
    between = Authority(authority.folder, "between", authority)
    web = secure([between.server()])
    assert ask(web.address, tls=authority.context()).status == 200


@pytest.mark.parametrize("least, client, works", [("1.2", ssl.TLSVersion.TLSv1_2, True), ("1.3", ssl.TLSVersion.TLSv1_2, False),
                                                  ("1.3", ssl.TLSVersion.TLSv1_3, True)])
def test_the_oldest_version(secure, authority, least, client, works):
    web = secure([authority.server()], min_version=least)
    context = authority.context(maximum_version=client)
    if works:
        assert ask(web.address, tls=context).status == 200
    else:
        with pytest.raises(ssl.SSLError):
            ask(web.address, tls=context)


def test_protocols_by_alpn(secure, authority):
    web = secure([authority.server()])
    context = authority.context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with web.client(tls=context) as c:
        assert c.sock.selected_alpn_protocol() == "http/1.1"
        assert c.ask().status == 200
    context.set_alpn_protocols(["h2"])
    with pytest.raises(ssl.SSLError, match="no application protocol"):
        web.client(tls=context)


# --- resumption ---

def visit(web, context, session=None):
    """One request; (whether the session was resumed, the session for the next one)."""
    with web.client(tls=context, session=session) as c:
        assert c.ask().status == 200
        return c.sock.session_reused, c.sock.session


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_is_resumed_by_any_worker_and_over_a_reload(secure, authority, version):
    web = secure([authority.server()], workers=2)
    context = authority.context(maximum_version=version)
    resumed, session = visit(web, context)
    assert not resumed
    for _ in range(16):     # the kernel deals connections out to both workers
        resumed, session = visit(web, context, session)
        assert resumed
    authority.server()      # a new certificate in the same files
    reload(web)
    for _ in range(8):
        resumed, session = visit(web, context, session)
        assert resumed


def test_a_session_of_before_the_clients_were_asked_is_not_resumed(secure, authority):
    web = secure([authority.server()])
    context = authority.context()
    resumed, session = visit(web, context)
    web.config["listeners"][0]["tls"]["client_ca"] = authority.ca
    web.write()
    reload(web)
    with pytest.raises((ssl.SSLError, ConnectionError, EOFError)):
        visit(web, context, session)
    context.load_cert_chain(*authority.client())
    resumed, session = visit(web, context, session)
    assert not resumed
    assert visit(web, context, session)[0]


# --- clients ---

def subject_seen(backend):
    return [(k, v) for k, v in backend.requests[-1].headers if re.fullmatch("x.client.cert.subject", k.lower())]


FORGED = [(SUBJECT, "CN=admin"), (SUBJECT.lower(), "CN=admin"), (SUBJECT.replace("-", "_"), "CN=admin"),
          ("X.Client-Cert_Subject", "CN=admin")]


def test_clients_must_show_a_certificate(secure, authority, v1, tmp_path):
    web = secure([authority.server()], client_ca=authority.ca)
    alice = authority.client("alice", subject=subject_of(("O", "Example"), ("CN", "alice")))
    context = authority.context(alice)
    assert ask(web.address, tls=context, headers=FORGED).status == 200
    assert subject_seen(v1) == [(SUBJECT, "CN=alice,O=Example")]
    with web.client(tls=context) as c:      # and for each request of a connection
        for _ in range(2):
            assert c.ask(headers=FORGED).status == 200
            assert subject_seen(v1) == [(SUBJECT, "CN=alice,O=Example")]
    stranger = Authority(tmp_path / "strangers", "strangers").client()
    for context in (authority.context(), authority.context(stranger), authority.context(authority.client("old", days=EXPIRED))):
        with pytest.raises((ssl.SSLError, ConnectionError, EOFError)):
            ask(web.address, tls=context)
    assert ask(web.addresses()[1], headers=FORGED).status == 200    # the plain listener hands nothing on either
    assert subject_seen(v1) == []


def test_clients_may_show_a_certificate(secure, authority, v1, tmp_path):
    web = secure([authority.server()], client_ca=authority.ca, client_certificate="optional", client_subject_header="X-Who")
    assert ask(web.address, tls=authority.context(), headers=[("X-Who", "CN=admin"), ("x_who", "CN=admin")]).status == 200
    assert "x-who" not in str(v1.requests[-1].headers).lower().replace("_", "-")
    assert ask(web.address, tls=authority.context(authority.client("bob"))).status == 200
    assert v1.requests[-1].get("X-Who") == "CN=bob"
    with pytest.raises((ssl.SSLError, ConnectionError, EOFError)):
        ask(web.address, tls=authority.context(Authority(tmp_path / "strangers", "strangers").client()))


def test_a_subject_cannot_break_a_header(secure, authority, v1):
    web = secure([authority.server()], client_ca=authority.ca)
    odd = authority.client("odd", subject=subject_of(("CN", 'a,b\r\nX-Admin: yes"\u00e9+')))
    assert ask(web.address, tls=authority.context(odd)).status == 200
    assert v1.requests[-1].get(SUBJECT) == 'CN=a\\,b\\0D\\0AX-Admin: yes\\"\\C3\\A9\\+'
    assert v1.requests[-1].get("X-Admin") is None
    long = authority.client("long", subject=subject_of(*[("OU", "x" * 60)] * 20))
    assert ask(web.address, tls=authority.context(long)).status == 200
    assert v1.requests[-1].get(SUBJECT) is None
    wait_until(lambda: "client_subject_left_out" in web.log(), 5, "the line in the log")


def test_a_header_is_anybodys_where_no_listener_asks_for_certificates(secure, authority, v1):
    web = secure([authority.server()])
    assert ask(web.address, tls=authority.context(), headers=[(SUBJECT, "mine")]).status == 200
    assert v1.requests[-1].get(SUBJECT) == "mine"


# --- bad files ---

def bad_files(authority):
    """What is wrong, and the words for it: (name, pair, key of the listener's tls, words)."""
    good = authority.server("good")
    text = authority.path("text")
    with open(text, "w") as f:
        f.write("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    return [
        (authority.server("expired", days=EXPIRED), "certificate", "expired.crt\" has expired at 2"),
        (authority.server("future", days=FUTURE), "certificate", "future.crt\" is not valid before 2"),
        (authority.server("weak", key="weak"), "key", "weak.key\" holds an RSA key of 1024 bits, which is too weak"),
        (authority.server("locked", passphrase="open sesame"), "key", "locked.key\" has a passphrase"),
        (Pair(good.certificate, authority.server("other").key), "key", "other.key\" is not the key of the certificate"),
        (Pair(good.key, good.key), "certificate", "good.key\" holds no certificate"),
        (Pair(good.certificate, good.certificate), "key", "good.crt\" holds no private key"),
        (Pair(text, good.key), "certificate", "text\" holds a certificate that is damaged"),
        (Pair("/nonexistent.crt", good.key), "certificate", "/nonexistent.crt\" cannot be read: No such file"),
    ]


def test_a_bad_certificate_keeps_serin_from_starting(secure, authority):
    for pair, key, words in bad_files(authority):
        web = secure([pair], start=False)
        for command in ("check", "run"):
            done = run_serin(command, "-c", web.file)
            line = done.stderr.strip()
            assert done.returncode == 78 and "\n" not in line, done
            assert re.match(re.escape(web.file) + r":\d+:\d+: listeners\[0\]\.tls\.certificates\[0\]\." + key + ': "', line), line
            assert words in line, line
            assert "sesame" not in line
    web = secure([authority.server()], start=False, client_ca=authority.server().certificate)
    done = run_serin("run", "-c", web.file)
    assert done.returncode == 78 and "listeners[0].tls.client_ca: " in done.stderr and "is no authority" in done.stderr


def test_all_bad_certificates_are_told_at_once(secure, authority):
    pairs = [pair for pair, _, _ in bad_files(authority)[:4]]
    done = run_serin("check", "--json", "-c", secure(pairs, start=False).file)
    assert done.returncode == 78
    assert [e["key"] for e in json.loads(done.stdout)["errors"]] == [
        "listeners[0].tls.certificates[0].certificate", "listeners[0].tls.certificates[1].certificate",
        "listeners[0].tls.certificates[2].key", "listeners[0].tls.certificates[3].key"]


def test_a_bad_certificate_at_a_reload_keeps_the_old_one(secure, authority):
    web = secure([authority.server()])
    host, port = web.address.split(":")
    before = ssl.get_server_certificate((host, int(port)))
    for pair, _, words in bad_files(authority)[:5]:
        web.config["listeners"][0]["tls"]["certificates"] = as_config(pair)
        web.write()
        done = reload(web, expect=None)
        assert done.returncode == 1 and words in done.stderr, done
        assert words.split('"')[1].strip() in web.log().replace('\\"', '"')
        assert ask(web.address, tls=authority.context()).status == 200
    assert ssl.get_server_certificate((host, int(port))) == before
    assert web.metrics().sum("serin_config_reloads_total", result="failed") == 5


# --- reloads ---

def test_a_reload_takes_new_certificates_from_the_same_files(secure, authority):
    web = secure([authority.server()])
    other = Authority(os.path.join(authority.folder, "other"), "other")
    with web.client(tls=authority.context()) as c:
        assert c.ask().status == 200
        new = other.server()
        os.replace(new.key, authority.path("server.key"))
        os.replace(new.certificate, authority.path("server.crt"))
        web.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "certificates[0].certificate: " in web.log(), 10, "the change in the log")
        assert re.search(r"listeners\[0\]\.tls\.certificates\[0\]\.certificate: \S+server\.crt is another one, which expires at 2\d", web.log())
        wait_until(lambda: can_ask(web.address, other.context()), 5, "the new certificate being shown")
        with pytest.raises(ssl.SSLCertVerificationError):
            ask(web.address, tls=authority.context())
        assert c.ask().status == 200        # a connection that is open goes on
    assert "listeners[0].tls.certificates[1].certificate: added" in add_certificate(web, other)


def can_ask(address, context):
    try:
        return ask(address, tls=context).status == 200
    except ssl.SSLCertVerificationError:
        return False


def add_certificate(web, authority):
    web.config["listeners"][0]["tls"]["certificates"] += as_config(authority.server("more", ["more.test"]))
    web.write()
    said = reload(web)
    assert peer(web.address, authority.context(), "more.test") == ("more.test", "ecdsa")
    return said


def test_tls_comes_and_goes_with_a_restart_only(secure, authority):
    web = secure([authority.server()])
    web.config["listeners"][1]["tls"] = web.config["listeners"][0]["tls"]
    web.write()
    done = reload(web, expect=None)
    assert done.returncode == 1 and "listeners[1].tls: on needs a restart (off is in force)" in done.stderr, done
    assert ask(web.addresses()[1]).status == 200


@pytest.mark.load
def test_reloads_under_load_fail_no_request(serin, nginx, authority):
    """wrk over TLS, with kept connections and with new ones for every request, while certificates are replaced."""
    listeners = [{"bind": "127.0.0.1:0", "tls": {"certificates": as_config(authority.server())}}]
    web = serin(route(nginx("v1").address), workers=2, listeners=listeners)
    runs = [subprocess.Popen(["wrk", "-t1", "-c16", "-d6s", *more, f"https://{web.address}/"], stdout=subprocess.PIPE, text=True,
                             preexec_fn=die_with_me) for more in ([], ["-H", "Connection: close"])]
    reloads = 0
    while any(run.poll() is None for run in runs):
        authority.server(key="rsa" if reloads % 2 else "ecdsa")
        reload(web)
        reloads += 1
    for run in runs:
        said = run.communicate(timeout=20)[0]
        assert "Non-2xx" not in said and "Socket errors" not in said, said
        assert int(re.search(r"(\d+) requests in", said)[1]) > 100, said
    assert reloads >= 3
    assert web.metrics().sum("serin_responses_total", code="5..") == 0      # wrk itself leaves within handshakes when its time is up


# --- expiry ---

def test_expiry_is_a_metric_and_a_warning(secure, authority):
    soon, later = authority.server("soon", days=(-1, 5.5)), authority.server("later", ["later.test"], days=(-1, 20.5))
    web = secure([soon, later])
    metrics = web.metrics()
    name = "serin_certificate_expiry_timestamp_seconds"
    for pair, days in ((soon, 5.5), (later, 20.5)):
        left = metrics.sum(name, listener=re.escape("127.0.0.1:0"), certificate=re.escape(pair.certificate)) - time.time()
        assert days * 86400 - 120 < left <= days * 86400
    assert re.search(r'config_warning why=".*listeners\[0\]\.tls\.certificates\[0\]\.certificate: .*soon\.crt.* expires in 5 days, at 2\d',
                     web.log()), web.log()
    assert "later.crt" not in web.log()
    done = run_serin("check", "-c", web.file)
    assert done.returncode == 0 and re.search(r"warning: .*soon\.crt\" expires in 5 days", done.stderr)
    assert [w["key"] for w in json.loads(run_serin("check", "--json", "-c", web.file).stdout)["warnings"]] == [
        "listeners[0].tls.certificates[0].certificate"]
    os.chmod(later.key, 0o644)
    assert re.search(r"warning: .*later\.key\" can be read by every user", run_serin("check", "-c", web.file).stderr)
