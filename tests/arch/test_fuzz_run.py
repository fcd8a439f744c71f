"""The fuzzers' program knows its targets, says so, and refuses what it does not know.

SPDX-License-Identifier: Apache-2.0
"""
import os
import re
import subprocess

import pytest

FUZZ = os.path.join(os.path.dirname(__file__), "..", "fuzz")


def run(*words):
    return subprocess.run([os.path.join(FUZZ, "run"), *words], capture_output=True, text=True, timeout=60)


def test_help_names_every_target():
    with open(os.path.join(FUZZ, "CMakeLists.txt")) as f:
        targets = re.findall(r"^ *serin_fuzz\((\w+) ", f.read(), re.M)
    done = run("--help")
    told = done.stdout.split("Targets:")[1].split("Seeds")[0]
    assert done.returncode == 0 and len(targets) > 8
    assert sorted(targets) == sorted(re.findall(r"^    ([a-z]+) ", told, re.M))


@pytest.mark.parametrize("words", [["nothing"], ["--seconds"], ["--seconds", "0"], ["--seconds", "x", "head"], ["--fast"]])
def test_wrong_arguments(words):
    done = run(*words)
    assert (done.returncode, done.stdout) == (2, "") and done.stderr.startswith("tests/fuzz/run: ")


def test_every_fuzzer_has_a_target_and_a_corpus():
    with open(os.path.join(FUZZ, "CMakeLists.txt")) as f:
        rows = re.findall(r"^ *serin_fuzz\((\w+) \w+ ?(\w*)\)", f.read(), re.M)
    assert {f"fuzz_{name}.c" for name, _ in rows} == {p for p in os.listdir(FUZZ) if re.fullmatch(r"fuzz_\w+\.c", p)}
    for name, corpus in rows:
        assert os.listdir(os.path.join(FUZZ, "corpus", corpus or name))
