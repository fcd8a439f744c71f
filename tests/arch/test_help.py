"""Every program under tests/ says what it does: --help ends with exit code 0, names the program and shows an example.

SPDX-License-Identifier: Apache-2.0
"""
import os
import re
import subprocess

import pytest

TESTS = os.path.realpath(os.path.join(os.path.dirname(__file__), ".."))


def is_program(path):
    """Whether it is meant to be run: an executable, or Python with a main."""
    if os.access(path, os.X_OK):
        return True
    with open(path, encoding="utf-8") as f:
        return path.endswith(".py") and re.search(r"^if __name__ == ['\"]__main__['\"]:", f.read(), re.M) is not None


def programs():
    files = (os.path.join(folder, name) for folder, _, names in os.walk(TESTS) for name in names)
    return sorted(os.path.relpath(path, TESTS) for path in files if path.endswith((".py", ".sh")) or os.access(path, os.X_OK)
                  if is_program(path))


def python():
    """The one that has everything: the simulator and what stands on it import numpy and scipy."""
    return subprocess.run(["bash", "-c", ". ./packages; packages_python scipy"], cwd=TESTS, capture_output=True, text=True,
                          check=True).stdout.strip()


def test_the_known_ones_are_among_them():
    assert {"run", "bench/run", "bench/instructions", "bench/bench.py", "fuzz/run", "decision/run", "kube/standin.py"} <= set(programs())


@pytest.mark.parametrize("program", programs())
def test_help(program):
    path = os.path.join(TESTS, program)
    done = subprocess.run([*([python()] if program.endswith(".py") else []), path, "--help"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert os.path.basename(program) in done.stdout and re.search(r"\bExamples?\b", done.stdout), done.stdout
