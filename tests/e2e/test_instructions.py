"""What a request costs in instructions stays within the committed budget."""
# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
import sys

import pytest

from rig import SERIN

# Those of handshakes take half a minute, and nine tenths of what they count is OpenSSL's own work: they are for the bench.
CHECKED = 'get128,hdr,get10k,chunk10k,post10k,alone,cookie,sticky,untraced,access,access_json,tls,tls10k'
BENCH = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'bench')


@pytest.mark.long
@pytest.mark.release
def test_no_scenario_is_over_its_budget():
    ran = subprocess.run([sys.executable, os.path.join(BENCH, 'instructions.py'), '--check', '--scen', CHECKED], capture_output=True, text=True,
                         timeout=600, env={**os.environ, 'SERIN': SERIN})
    assert ran.returncode == 0, ran.stdout + ran.stderr
