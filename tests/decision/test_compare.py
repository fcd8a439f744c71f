"""tests/decision/run: serin is the reference rule, and a program that is not is found out.

SPDX-License-Identifier: Apache-2.0
"""
import os
import subprocess
import sys

import pytest

pytest.importorskip("numpy")
pytest.importorskip("scipy")
import numpy as np  # noqa: E402  (after the skip)
import compare      # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
SERIN = os.path.abspath(os.environ.get("SERIN", os.path.join(HERE, "..", "..", "build", "dev", "serin")))


def run(*arguments):
    return subprocess.run([os.path.join(HERE, "run"), *arguments], capture_output=True, text=True, timeout=120, check=False,
                          env={**os.environ, "SERIN": SERIN})


def test_serin_is_the_reference_rule():
    done = run("--quick", "--reps", "8")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| 1000rps-+1 | 0% ·" in done.stdout
    assert done.stdout.rstrip().endswith("serin agrees with the reference rule in 7 scenarios (4 sigma).")


@pytest.mark.parametrize("says", ["continue", "revert"])
def test_another_rule_is_found_out(tmp_path, says):
    program = tmp_path / "other.py"
    program.write_text("import sys\nfor line in sys.stdin:\n    if 'end' not in line[:12]:\n"
                       f"        print('{{\"d\":\"{says}\"}}' if 'tick' in line[:12] else '{{\"ok\":true}}', flush=True)\n")
    done = run("--quick", "--reps", "4", "--set", "h0-p0.1%,h1-1000rps-+outage", "--cmd", f"{sys.executable} {program}")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "NOT THE RULE: h0-p0.1%: " in done.stdout


def test_usage():
    assert run("--help").returncode == 0 and "Example" in run("--help").stdout
    assert run("--nonsense").returncode == 2
    assert run("--set", "nosuch").returncode != 0


def test_bounds():
    few, many = np.arange(20) < 1, np.arange(1000) < 5
    assert not compare.differ_share("reverted", "x", few, many)             # 5 % of 20 beside 0.5 %: one rollout
    assert compare.differ_share("reverted", "x", np.arange(100) < 12, many)
    assert not compare.above_bound("x", np.arange(100) < 5)
    assert compare.above_bound("x", np.arange(100) < 8)
    spread = np.linspace(0, 100, 1000)
    assert not compare.differ_rank("seconds", "x", spread[::10] + 5, spread)
    assert compare.differ_rank("seconds", "x", spread[::10] + 20, spread)
    assert not compare.differ_rank("failed requests", "x", np.zeros(5), np.zeros(9))
    one = {"end": np.array([4., 9.]), "outcome": np.array([2, 1]), "paired": {"end": np.array([4.]), "outcome": np.array([2])}}
    assert not compare.differ_paired("x", one)
    assert compare.differ_paired("x", {**one, "end": np.array([5., 9.])})
