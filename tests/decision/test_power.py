"""What `serin check` says it takes to notice, beside what it takes in simulated rollouts: within a factor of 1.6.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import subprocess

import pytest

pytest.importorskip("numpy")
pytest.importorskip("scipy")
import numpy as np  # noqa: E402  (after the skip)
import simulate     # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
SERIN = os.environ.get("SERIN", os.path.join(HERE, "..", "..", "build", "dev", "serin"))
FACTOR = 1.6
ROLLOUTS = 200
REQUESTS = 1_000_000
FILE = """\
listeners: [{ bind: "127.0.0.1:0" }]
state_dir: %s
routes:
  - name: shop
    versions: { v1: { endpoints: ["10.0.0.1:80"] }, v2: { endpoints: ["10.0.0.2:80"] } }
    stable: v1
    canary: v2
    rollout: { steps: [1%%, 5%%, 10%%, 50%%, 100%%] }
"""
STAGES = [1, 5, 10, 50]


def cell_tops_us():
    """The upper bounds of serin's histogram: 32 cells an octave."""
    tops = list(range(64))
    for shift in range(1, 27):
        tops += [((32 + i) << shift) + (1 << shift) - 1 for i in range(32)]
    return tops


def durations():
    """The simulator's latencies as stable's histogram."""
    below, cells = 1.0, []
    for top in cell_tops_us()[1:]:
        above = float(simulate.lat_sf(top / 1000, simulate.LAT))
        count = round(REQUESTS * below) - round(REQUESTS * above)
        below = above
        if count:
            cells.append([top, count])
    return cells


@pytest.fixture
def check(tmp_path):
    """What serin check says at a traffic: a dictionary by weight in percent."""
    def ask(requests_s, error_rate):
        (tmp_path / "shop.seen").write_text(json.dumps({
            "at_ms": 0, "seconds": 600, "requests_s": requests_s, "stable_requests": REQUESTS,
            "stable_failed": int(error_rate * REQUESTS), "durations_us": durations()}))
        (tmp_path / "serin.yaml").write_text(FILE % tmp_path)
        done = subprocess.run([SERIN, "check", "-c", str(tmp_path / "serin.yaml"), "--json"], capture_output=True, check=True,
                              timeout=30)
        notice = json.loads(done.stdout)["rollouts"][0]["notice"]
        assert notice["seen"] and notice["latency_known"]
        return {stage["weight_bp"] // 100: stage for stage in notice["stages"]}
    return ask


def simulated(requests_s, percent, canary, config=None):
    """Median canary requests until the revert of a bad canary that stays at one weight."""
    scenario = {"name": "power", "kind": "h1", "rps": requests_s, "base": {"p": 0.001, "p4": 0.02}, "canary": canary,
                "stages": [percent], "no_promote": True, "horizon": 7200, "seed": 7}
    result = simulate.run_builtin(simulate.RULES["ev"], scenario, ROLLOUTS, 1, config)
    reverted = result["outcome"] == 2
    assert reverted.mean() > .95
    return float(np.median(result["creq"]))


CASES = [  # column, requests a second, weight, what is wrong with the canary
    ("errors_x5", 1000, 1, {"mult": 5}), ("errors_x5", 1000, 10, {"mult": 5}), ("errors_x5", 100, 50, {"mult": 5}),
    ("errors_x2", 1000, 10, {"mult": 2}),
    ("slower_30", 1000, 5, {"lat": 1.3}), ("slower_30", 100, 10, {"lat": 1.3}), ("slower_30", 100, 50, {"lat": 1.3}),
]
# Only the p99 may revert (the p50 would be sooner), and the warm-up is over at once.
P99_ALONE = {"lat": {"w": [1e-300, 1e-300, 0.20], "warmup_s": 0}}


@pytest.mark.parametrize("column, requests_s, percent, canary", CASES, ids=lambda v: str(v))
def test_beside_the_simulation(check, column, requests_s, percent, canary):
    said = check(requests_s, 0.001)[percent][column]
    took = simulated(requests_s, percent, canary, P99_ALONE if "lat" in canary else None)
    print(f"{column} {requests_s}/s {percent} %: said {said['canary_requests']}, took {took:.0f}")
    assert took / FACTOR <= said["canary_requests"] <= took * FACTOR
    assert said["seconds"] == pytest.approx(said["canary_requests"] / (requests_s * percent / 100), rel=.1, abs=1)
