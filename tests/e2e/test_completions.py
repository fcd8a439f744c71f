"""Completions in real shells: they offer what the binary has, and the routes of the serin that runs.

SPDX-License-Identifier: Apache-2.0
"""
import glob
import os
import pty
import re
import select
import subprocess
import time

import pytest

import rig
from rig import route, run_serin

ROOT = os.path.join(os.path.dirname(__file__), "..", "..")
COMPLETIONS = os.path.abspath(os.path.join(ROOT, "conf", "completions"))
STANDING = {"steps": ["10%", "100%"], "hold": "5m", "max_hold": "10m"}

ZSH = r"""
autoload -Uz compinit; compinit -u -D
compadd() {
    local -a hits
    [[ " ${@[1,(i)(-|--)]} " == *" "-(O|A|D)" "* ]] && { builtin compadd "$@"; return }
    builtin compadd -A hits "$@"
    ((${#hits})) && print -rl -- HIT:$^hits
}
finish() { print -r -- ALL-OFFERED }
comppostfuncs=(finish)
zle -C offers complete-word _main_complete
bindkey '^I' offers
PS1=READY\ ;
"""


class Shells:
    """What a shell offers for a line, as a set of words without descriptions."""

    def __init__(self, folder, environment):
        self.folder = folder
        os.symlink(os.path.abspath(rig.SERIN), f"{folder}/serin")
        self.environment = {"PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(folder), "TERM": "dumb", "LC_ALL": "C.UTF-8",
                            "XDG_DATA_HOME": f"{folder}/data", "XDG_CONFIG_HOME": f"{folder}/config",
                            "ZDOTDIR": str(folder), **environment}

    def run(self, *words):
        done = subprocess.run(words, env=self.environment, cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=60)
        assert not done.stderr, done.stderr
        return done.stdout

    def bash(self, line):
        script = f"source {COMPLETIONS}/serin.bash; compopt() {{ :; }}; COMP_LINE=$1 COMP_POINT=${{#1}}; _serin; " \
                 "((${#COMPREPLY[@]})) && printf '%s\\n' \"${COMPREPLY[@]}\"; true"
        return set(self.run("bash", "--norc", "-c", script, "bash", line).split())

    def fish(self, line):
        script = f"source {COMPLETIONS}/serin.fish; complete -C $argv[1]"
        return {offer.split("\t")[0] for offer in self.run("fish", "--private", "-c", script, line).splitlines()}

    def zsh(self, line):
        with open(f"{self.folder}/.zshrc", "w") as f:
            f.write(f"fpath=({COMPLETIONS} $fpath)\n{ZSH}")
        pid, master = pty.fork()
        if pid == 0:
            os.chdir(self.folder)
            os.execvpe("zsh", ["zsh", "-d", "-i"], self.environment)
        try:
            self.read_until(master, "READY ")
            os.write(master, f"{line}\t".encode())
            text = self.read_until(master, "ALL-OFFERED")
        finally:
            os.close(master)
            os.kill(pid, 9)
            os.waitpid(pid, 0)
        return set(re.findall(r"HIT:(\S+)", text))

    @staticmethod
    def read_until(fd, mark, seconds=30):
        end, data = time.monotonic() + seconds, b""
        while mark.encode() not in data:
            assert time.monotonic() < end, f"no {mark!r} in {data!r}"
            if select.select([fd], [], [], 0.1)[0]:
                data += os.read(fd, 65536)
        return data.decode(errors="replace")


@pytest.fixture
def proxy(serin, v1, v2, backend):
    return serin([route(v1.address, v2.address, rollout=STANDING),
                  {**route(backend("v1").address), "name": "web-2.old_one", "hosts": ["old.test"]}])


@pytest.fixture
def nobody(tmp_path, free_port):
    return Shells(tmp_path, {"SERIN_ADMIN": f"http://127.0.0.1:{free_port}"})


@pytest.fixture(params=["bash", "zsh", "fish"])
def shell(request):
    return request.param


def commands():
    return set(re.findall(r"^  ([a-z][a-z-]*) +\S", run_serin("help").stdout, re.M))


def options(command):
    """As its help lists them."""
    return set(re.findall(r"^ +(?:-\w, )?(--[a-z-]+)", run_serin("help", command).stdout, re.M))


def test_commands_and_options_of_the_binary(nobody, shell):
    offers = getattr(nobody, shell)
    known = commands()
    assert {"run", "status", "wait", "rolling-update"} <= known
    assert offers("serin ") - {"--help", "--version"} == known
    assert offers("serin sta") == {"start", "status"}
    assert offers("serin help ro") == {"rolling-update"}
    for command in known - {"help"}:
        assert options(command) and {o for o in offers(f"serin {command} --") if o.startswith("--")} == options(command), command
    assert offers("serin nosuch ") == set() and offers("serin start --json ") == set()


def test_help_names_every_option_that_is_taken():
    """What completions and manual are made from is whole, and none of it is made up."""
    taken = set()
    for path in glob.glob(f"{ROOT}/proxy/*.c") + glob.glob(f"{ROOT}/rollout/cli/*.c"):
        with open(path) as f:
            taken |= {"--" + name for name in re.findall(r'\{"([a-z-]+)", (?:no|required)_argument', f.read())}
    offered = {o for command in commands() for o in options(command) if command != "help"}
    assert taken == offered and len(taken) >= 29
    for command in commands() - {"help"}:
        for option in options(command) - {"--help"}:
            for words in ([option], [option, "x"]):         # behind what is wrong nothing is done
                done = run_serin(command, *words, "--no-such-option")
                assert done.returncode in (1, 2, 78) and f"unknown option {option}" not in done.stderr, (command, words, done)


def test_routes_come_from_the_serin_that_runs(proxy, tmp_path, shell, free_port):
    offers = getattr(Shells(tmp_path, {"SERIN_ADMIN": proxy.admin_url}), shell)
    assert offers("serin wait ") == {"web", "web-2.old_one"}
    assert offers("serin status --json web-") == {"web-2.old_one"}
    assert offers("serin wait --timeout 5m ") == {"web", "web-2.old_one"}
    assert offers("serin judge --route ") == {"web", "web-2.old_one"}
    assert offers("serin wait web ") == set()               # one route is enough
    assert offers("serin wait --timeout ") == set()
    nobody = f"http://127.0.0.1:{free_port}"
    assert offers(f"serin wait --admin {nobody} ") == set() and offers(f"serin wait --admin={nobody} ") == set()
    assert offers(f"serin wait --admin {proxy.admin_url} w") == {"web", "web-2.old_one"}


def test_files(nobody, shell, tmp_path):
    offers = getattr(nobody, shell)
    (tmp_path / "serin.yaml").write_text("")
    (tmp_path / "web.jsonl").write_text("")
    assert "serin.yaml" in offers("serin check -c se") and "serin.yaml" in offers("serin run --config se")
    assert {o.rpartition("=")[2] for o in offers("serin run --config=se")} >= {"serin.yaml"}
    assert "web.jsonl" in offers("serin replay we") and "web.jsonl" in offers("serin convert --strict we")
    assert offers("serin start we") == set()                # a route, and nobody answers


def test_names_that_are_none_never_reach_the_shell(tmp_path, shell):
    """A server that is not serin answers with what a shell would carry out."""
    mark = tmp_path / "carried-out"
    fake = tmp_path / "fake"
    fake.mkdir()
    program = fake / "serin"
    program.write_text(f"#!/bin/sh\nif [ \"$1\" = help ]; then exec {os.path.abspath(rig.SERIN)} \"$@\"; fi\n"
                       f"cat <<'E'\n\t\"route\":\t\"$(touch {mark})\",\n\t\"route\":\t\"`touch {mark}`\",\n\t\"route\":\t\"a;b\",\n"
                       "\t\"route\":\t\"good\",\nE\n")
    program.chmod(0o755)
    shells = Shells(tmp_path, {})
    shells.environment["PATH"] = f"{fake}:{os.environ['PATH']}"
    assert getattr(shells, shell)("serin wait ") == {"good"}
    assert not mark.exists()


def test_a_person_at_bash(proxy, tmp_path):
    """The TAB key, not only the function behind it."""
    shells = Shells(tmp_path, {"SERIN_ADMIN": proxy.admin_url, "PS1": "READY "})
    pid, master = pty.fork()
    if pid == 0:
        os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], shells.environment)
    try:
        os.write(master, f"PS1='NOW '; source {COMPLETIONS}/serin.bash\n".encode())
        shells.read_until(master, "\nNOW ")
        os.write(master, b"serin wai\tweb-\t--tim\t1s; echo code $?\n")
        text = shells.read_until(master, "code ")
        assert "serin wait web-2.old_one --timeout 1s" in text
    finally:
        os.close(master)
        os.kill(pid, 9)
        os.waitpid(pid, 0)
