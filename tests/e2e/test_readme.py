"""What the README promises: its two commands are there, and its configurations are right.

SPDX-License-Identifier: Apache-2.0
"""
import os
import re

import pytest

from rig import run_serin

ROOT = os.path.join(os.path.dirname(__file__), "..", "..")


def readme():
    path = os.path.join(ROOT, "README.md")
    if not os.path.exists(path):
        pytest.fail("there is no README.md")
    with open(path, encoding="utf-8") as f:
        return f.read()


@pytest.mark.parametrize("command", ["conf/demo/run", "tests/run"])
def test_command_is_there(command):
    assert command in readme()
    assert os.access(os.path.join(ROOT, command), os.X_OK)


def test_configurations_pass_the_check(tmp_path):
    blocks = [b for b in re.findall(r"```yaml\n(.*?)```", readme(), re.S)
              if re.search(r"^listeners:", b, re.M) and re.search(r"^routes:", b, re.M)]
    assert blocks, "the README shows no whole configuration"
    for n, block in enumerate(blocks):
        file = tmp_path / f"readme-{n}.yaml"
        file.write_text(block)
        done = run_serin("check", "-c", file, cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr


def test_paths_exist():
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", readme()):
        assert os.path.exists(os.path.join(ROOT, target)), target
