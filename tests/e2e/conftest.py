"""Fixtures of the end-to-end tests. SERIN names the binary; everything started here ends with its test.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import random
import shlex
import socket
import subprocess

import pytest

import rig
from backends import Backend, Nginx
from certificates import Authority
from cluster import Cluster, leader_of
from load import Askers, Shop, Users

DEMO = os.path.join(os.path.dirname(__file__), "..", "..", "conf", "demo")


def pytest_configure(config):
    config.addinivalue_line("markers", "long: takes a quarter of a minute or more; these begin, so that none is left alone at the end")
    config.addinivalue_line("markers", "release: needs the release build, but no speed; tests/run runs these at once")
    config.addinivalue_line("markers", "load: needs the release build, and the machine for itself: by the second, by what the kernel holds")


def pytest_collection_modifyitems(items):
    if items and not os.access(rig.SERIN, os.X_OK):
        pytest.exit(f"there is no {rig.SERIN}: build it, or name one in SERIN", 1)
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture
def cleanup():
    """A stack of what to stop, the last started first. Every one is stopped; the first error is the test's."""
    stack, errors = [], []
    yield stack
    for stop in reversed(stack):
        try:
            stop()
        except Exception as e:  # the others still have to end
            errors.append(e)
    if errors:
        raise errors[0]


@pytest.fixture
def backend(cleanup):
    """Makes scripted backends: backend("v2", answer=...)."""
    def make(*words, **more):
        made = Backend(*words, **more)
        cleanup.append(made.stop)
        return made
    return make


@pytest.fixture
def v1(backend):
    return backend("v1")


@pytest.fixture
def v2(backend):
    return backend("v2")


@pytest.fixture
def nginx(cleanup, tmp_path):
    """Makes real nginx backends: nginx("v1"), with TLS: nginx("v1", [pair])."""
    def make(version, *words):
        made = Nginx(tmp_path, version, *words)
        cleanup.append(made.stop)
        return made
    return make


@pytest.fixture
def serin(cleanup, tmp_path):
    """Makes and starts serin: serin(route(...), workers=2). Ends with SIGTERM, exit code 0 and no sanitizer's report."""
    def make(routes, start=True, expect=0, **top):
        folder = tmp_path / f"serin{len(cleanup)}"
        folder.mkdir()
        made = rig.Serin(folder, routes, **top)
        cleanup.append(lambda: made.stop(expect))
        return made.start() if start else made
    return make


@pytest.fixture
def authority(tmp_path):
    """A certificate authority, which issues what a test needs: authority.server("web", ["web.test"])."""
    return Authority(tmp_path / "certificates")


@pytest.fixture(scope="session")
def programs(tmp_path_factory):
    """The demo's programs and asker.c, compiled: {"app": path, "users": path, "asker": path}."""
    folder = tmp_path_factory.mktemp("programs")
    flags = shlex.split(subprocess.run(["pkg-config", "--cflags", "--libs", "libevent", "openssl"], capture_output=True, text=True,
                                       check=True).stdout)
    warnings = ["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Wstrict-prototypes",
                "-Wmissing-prototypes", "-Wvla", "-Wformat=2", "-Werror"]
    sources = {"app": f"{DEMO}/app.c", "users": f"{DEMO}/users.c", "asker": os.path.join(os.path.dirname(__file__), "asker.c")}
    for name, source in sources.items():
        subprocess.run(["cc", "-O2", "-pthread", *warnings, source, "-o", f"{folder}/{name}", *flags], check=True)
    return {name: f"{folder}/{name}" for name in sources}


@pytest.fixture
def shop(cleanup, programs):
    """Starts the demo's web application: shop("v2", errors=5)."""
    def make(version, address="127.0.0.1", **control):
        made = Shop(programs["app"], version, address)
        cleanup.append(made.stop)
        if control:
            made.control(**control)
        return made
    return make


@pytest.fixture
def users(cleanup, programs, tmp_path):
    """Starts steady traffic: users(serin.address, users=300, rate=1000)."""
    def make(address, **more):
        made = Users(programs["users"], str(tmp_path / f"users{len(cleanup)}.json"), address, **more)
        cleanup.append(made.stop)
        return made
    return make


@pytest.fixture
def askers(cleanup, programs):
    """Starts clients of which every request must get its whole answer: askers(serin.address, keeps=True, requests=1000)."""
    def make(address, **more):
        made = Askers(programs["asker"], address, **more)
        cleanup.append(made.end)
        return made
    return make


@pytest.fixture
def prometheus(cleanup, tmp_path):
    """Starts a real Prometheus on a port, which scrapes an address every second: prometheus(serin.admin, port, rules=[file])."""
    def make(target, port, rules=()):
        config = tmp_path / "prometheus.yml"
        config.write_text("global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\n"
                          f"rule_files: {json.dumps([os.path.abspath(r) for r in rules])}\n"
                          f'scrape_configs: [{{job_name: serin, static_configs: [{{targets: ["{target}"]}}]}}]\n')
        log = open(tmp_path / "prometheus.log", "wb")
        process = subprocess.Popen(["prometheus", f"--config.file={config}", f"--storage.tsdb.path={tmp_path}/data",
                                    f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log, preexec_fn=rig.die_with_me)
        cleanup.append(lambda: (process.terminate(), process.wait(20), log.close()))

        def is_ready():
            try:
                return rig.ask(f"127.0.0.1:{port}", target="/-/ready").status == 200
            except OSError:
                return False
        rig.wait_until(is_ready, 30, "Prometheus being ready")
        return process
    return make


@pytest.fixture
def cluster(cleanup, shop, tmp_path):
    made = Cluster(str(tmp_path), shop)
    cleanup.append(made.stop)
    return made


@pytest.fixture
def proxies(cluster, serin):
    """Starts so many, and waits until one of them leads."""
    def make(n=2, rollout=None, **more):
        made = [serin(cluster.route(rollout, **more), **cluster.top()) for _ in range(n)]
        leader_of(made)
        return made
    return make


@pytest.fixture
def free_port():
    """A port of 127.0.0.1 on which nobody listens now. Below those that the kernel hands out by itself (from 32768 on, unless
    told otherwise): one of them could become serin's own, or a client's, before it is used."""
    for _ in range(100):
        port = random.randrange(20000, 32000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port between 20000 and 32000 is free")
