"""The manual: made from the binary's help and its table of keys, whole, and without a complaint of groff or mandoc.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import re
import subprocess

import pytest

import rig
from rig import run_serin
from test_completions import commands, options

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
PAGES = ["serin.1", "serin.yaml.5"]


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("man")
    subprocess.run([f"{ROOT}/conf/man/make", os.path.abspath(rig.SERIN), "1.2.3", str(folder)], check=True, timeout=60)
    assert sorted(os.listdir(folder)) == PAGES
    return folder


def shown(pages, page, width=120):
    """As a person reads it, without bold and italics."""
    done = subprocess.run(["mandoc", "-T", "utf8", "-O", f"width={width}", str(pages / page)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return re.sub(r".\x08", "", done.stdout)


@pytest.mark.parametrize("page", PAGES)
def test_it_is_well_formed(pages, page):
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", str(pages / page)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout + done.stderr == ""
    done = subprocess.run(["groff", "-K", "utf8", "-man", "-ww", "-T", "utf8", str(pages / page)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stderr == "" and len(done.stdout) > 5000


def test_every_command_and_option(pages):
    text = shown(pages, "serin.1")
    assert "serin 1.2.3" in text and "@" not in re.sub(r"\S@\S", "", text)
    chapters = dict(re.findall(r"^   serin ([a-z-]+)$(.*?)(?=^   serin |^[A-Z])", text, re.M | re.S))
    assert set(chapters) == commands() - {"help"}
    for command, chapter in chapters.items():
        assert {o for o in options(command) if re.search(rf"^ +(-\w, )?{o}\b", chapter, re.M)} == options(command), command
        words = lambda s: re.sub(r"\s+", " ", s.replace("‐\n", "-"))
        help_text = words(run_serin("help", command).stdout)
        examples = re.findall(r"Examples?: (serin [^:]*?)(?: serin |$| Exit)", help_text)
        assert all(example.strip() in words(chapter) for example in examples), (command, examples)


def test_every_key(pages):
    text = shown(pages, "serin.yaml.5", width=200)
    keys = json.loads(run_serin("check", "--defaults", "--json").stdout)
    told = re.findall(r"^ {7}(\w[\w.*\[\]]*)(?:$| )", text.split("\nKEYS\n")[1].split("\nEXAMPLES\n")[0], re.M)
    assert [k for k in told if k in {key["key"] for key in keys}] == [key["key"] for key in keys]
    one_line = re.sub(r"\s+", " ", text)
    for key in keys:
        assert re.sub(r"\s+", " ", key["help"])[1:] in one_line, key["key"]
        if key["default"] not in ("", "(none)", "(required)"):
            assert f"default: {key['default']};" in one_line, key["key"]


def test_it_is_installed_with_the_completions(tmp_path):
    """By GNUInstallDirs, from the tree that the binary was built in."""
    build = os.path.dirname(os.path.abspath(rig.SERIN))
    with open(f"{build}/CMakeCache.txt") as f:
        is_sanitized = not re.search(r"^SERIN_SANITIZE:STRING=$", f.read(), re.M)
    for part in ("completions", "man"):
        subprocess.run(["cmake", "--install", f"{build}/conf/{part}", "--prefix", str(tmp_path)], check=True, capture_output=True, timeout=60)
    found = {os.path.relpath(os.path.join(d, f), tmp_path) for d, _, files in os.walk(tmp_path) for f in files}
    completions = {"share/bash-completion/completions/serin", "share/zsh/site-functions/_serin", "share/fish/vendor_completions.d/serin.fish"}
    manual = set() if is_sanitized else {"share/man/man1/serin.1", "share/man/man5/serin.yaml.5"}
    assert found == completions | manual
