"""Whole corpora through a live serin: malformed and unusual HTTP/1 both ways, and varnishtest's sequences.

SPDX-License-Identifier: Apache-2.0
"""
import glob
import os
import re
import subprocess
import sys

import pytest

from rig import die_with_me, route

TESTS = os.path.join(os.path.dirname(__file__), "..")


@pytest.fixture
def proxy(serin, free_port):
    """serin before one version whose port the suite itself will listen on; no reflex of its own in the way."""
    made = serin(route(f"127.0.0.1:{free_port}", breaker={"min_requests": 0}), timeouts={"response_header": "6s"})
    made.backend_port = free_port
    return made


@pytest.mark.parametrize("cases", ["cases", "hostile"])
@pytest.mark.parametrize("corpus", ["h1-requests", "h1-responses"])
def test_http1(proxy, record_property, corpus, cases):
    """Every case ends as it must, and as it best should (strict); none is smuggled, ambiguous or poisoned."""
    host, port = proxy.address.rsplit(":", 1)
    folder = os.path.join(TESTS, "fixtures", "http1", corpus)
    with open(f"{folder}/{cases}.jsonl") as f:
        carried = len(f.readlines())
    done = subprocess.run([sys.executable, f"{folder}/run.py", "--host", host, "--port", port, "--cases", f"{folder}/{cases}.jsonl",
                           "--backend-ports", str(proxy.backend_port)], capture_output=True, text=True, timeout=550,
                          preexec_fn=die_with_me)
    passed, failed = map(int, re.search(r"(\d+) passed, (\d+) failed\s*$", done.stdout).groups())
    record_property("cases_passed", passed)
    record_property("cases_failed", failed)
    assert passed == carried and not failed, done.stdout[-12000:]
    assert re.search(rf"^strict: {carried} of {carried};", done.stdout, re.M), done.stdout[-12000:]
    assert not re.search(r"^(critical|poisoned|malformed bytes).*: [1-9]", done.stdout, re.M), done.stdout[-4000:]


@pytest.mark.parametrize("name", [os.path.basename(p)[:-len(".vtc")] for p in sorted(glob.glob(f"{TESTS}/suites/vtc/*.vtc"))])
def test_varnishtest(proxy, name):
    host, port = proxy.address.rsplit(":", 1)
    done = subprocess.run(["varnishtest", "-t", "20", f"-Dproxy_addr={host}", f"-Dproxy_port={port}", f"-Dbe_port={proxy.backend_port}",
                           os.path.join(TESTS, "suites", "vtc", name + ".vtc")], capture_output=True, text=True, timeout=60,
                          cwd=proxy.folder, preexec_fn=die_with_me)
    assert done.returncode == 0, done.stdout[-6000:]
