"""testssl.sh at a TLS listener, and at nginx with its defaults beside it.

SPDX-License-Identifier: Apache-2.0
"""
import os
import re
import subprocess

import pytest

from certificates import as_config
from rig import die_with_me, route

SUITE = os.path.join(os.path.dirname(__file__), "..", "suites", "testssl", "run.sh")


@pytest.mark.long
def test_testssl(serin, nginx, v1, authority, record_property):
    """Nothing of severity MEDIUM or more, and nothing worse than at nginx."""
    hosts = ["localhost", "127.0.0.1"]
    pairs = [authority.server("ecdsa", hosts), authority.server("rsa", hosts, key="rsa")]
    web = serin(route(v1.address), listeners=[{"bind": "127.0.0.1:0", "tls": {"certificates": as_config(*pairs)}}])
    done = subprocess.run(["bash", SUITE, authority.ca, web.address.split(":")[1], str(nginx("reference", pairs).port)],
                          capture_output=True, text=True, timeout=560, preexec_fn=die_with_me)
    print("\n" + done.stdout)
    passed, failed = map(int, re.search(r"(\d+) passed, (\d+) failed\s*$", done.stdout).groups())
    record_property("cases_passed", passed)
    record_property("cases_failed", failed)
    assert failed == 0 and passed > 60, done.stdout + done.stderr
