"""Recorded rollouts judged again: what `serin replay` says of a record, what it refuses, and a real rollout that is recorded.

SPDX-License-Identifier: Apache-2.0
"""
import glob
import json
import os
import subprocess

import pytest

import rig
from rig import QUICK, route, run_serin, wait_until

FIXTURES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fixtures", "replay")
RECORD = os.path.join(FIXTURES, "reverted.jsonl")
START = '{"op":"start","stages":[1,10,100]}'
TICK = '{"op":"tick","t":%d,"stage":0,"weight":1,"stage_t":1,"s":{"req":99,"bad":0},"c":{"req":1,"bad":0}}'


def replay(*words, code=0, cwd=FIXTURES):
    done = run_serin("replay", *words, cwd=cwd)
    assert done.returncode == code, done
    return done


@pytest.mark.parametrize("name, words", [
    ("same", []), ("config", ["-c", "new.yaml"]),
    ("set", ["--set", "fail.delta=0.3", "--set", "ceil.on=false", "--set", "lat.margin=0.5", "--set", "min_stage_s=60"])])
def test_in_words(name, words):
    """The golden texts: REPLAY_GOLDEN=write puts new ones in their place."""
    said = replay("reverted.jsonl", *words).stdout
    path = os.path.join(FIXTURES, f"{name}.txt")
    if os.environ.get("REPLAY_GOLDEN") == "write":
        with open(path, "w") as f:
            f.write(said)
    with open(path) as f:
        assert said == f.read()


def test_as_json():
    same = json.loads(replay("reverted.jsonl", "--json").stdout)
    assert same["compared"] == same["same"] == same["ticks"] and same["changes"] == "" and same["first_difference"] is None
    assert same["then"]["reverted"] == same["now"]["reverted"] and same["then"]["result"] == "reverted"
    assert [s["weight"] for s in same["stages"]] == [10, 50, 99]
    other = json.loads(replay("reverted.jsonl", "--json", "-c", "new.yaml", "--set", "alpha=0.1").stdout)
    assert "alpha 0.01 -> 0.1" in other["changes"] and other["same"] < other["compared"]
    assert other["stages"][0]["now"]["widened"]["stage_t"] == 3 and len(other["cannot_know"]) == 3


@pytest.mark.parametrize("words, code, says", [
    ([], 2, "the file is missing: serin replay FILE"), (["a", "b"], 2, 'unexpected argument "b"'),
    (["reverted.jsonl", "--route", "my-web"], 2, "--route needs --config"),
    (["reverted.jsonl", "--set", "alpha"], 2, "expected KEY=VALUE"),
    (["reverted.jsonl", "--set", "alfa=1"], 2, "config.alfa: no such key"),
    (["reverted.jsonl", "--set", "alpha=7"], 2, "false_abort: 7 is not between"),
    (["reverted.jsonl", "--dance"], 2, "unknown option --dance"),
    (["nowhere.jsonl"], 1, "nowhere.jsonl: No such file"), (["."], 1, "Is a directory"),
    (["reverted.jsonl", "-c", "nowhere.yaml"], 78, "nowhere.yaml"),
    (["reverted.jsonl", "-c", "new.yaml", "--route", "other"], 78, 'there is no route "other"'),
    (["reverted.jsonl", "-c", "new.yaml", "--route", "plain"], 78, 'route "plain" has no rollout'),
])
def test_refuses(words, code, says):
    done = replay(*words, code=code)
    assert says in done.stderr and done.stdout == "", done


@pytest.mark.parametrize("lines, says", [
    ([], "it is empty"), ([TICK % 1], "line 1: op: expected start"), (["{"], "line 1: not one JSON object"),
    ([START], "it has no tick"), ([START, TICK % 2, TICK % 1], "line 3: t: 1.000 is earlier"),
    ([START, TICK % 1, "hello \x1b[2J", TICK % 2], "line 3: not one JSON object"),
    ([START, TICK % 1, START, TICK % 2], "line 3: op: a second rollout begins"),
    ([START, TICK % 1, "[" * 5000, TICK % 2], "line 3: nested deeper than 8"),
    ([START, "x" * 70_000, TICK % 2], "line 2: longer than 65536 bytes"),
    (['{"op":"start","stages":[1,100],"config":{"\x1b[31mred":1}}', TICK % 1], "line 1: "),
    ([START, TICK % 1, '{"op":"end"}', TICK % 2, TICK % 3], "line 4: op: nothing is expected after the end"),
])
def test_refuses_bad_lines(tmp_path, lines, says):
    record = tmp_path / "record.jsonl"
    record.write_text("".join(line + "\n" for line in lines))
    done = replay(record, code=1)
    assert says in done.stderr and done.stdout == "" and "\x1b" not in done.stderr, done


def test_torn_last_line_and_foreign_bytes(tmp_path):
    record = tmp_path / "record.jsonl"
    start = json.dumps({"op": "start", "stages": [1, 100], "route": "a\x1b[2J\u202eb", "canary": "c\nd"})
    record.write_text("\n".join([start, TICK % 1, TICK % 2, (TICK % 3)[:50]]))
    done = replay(record)
    assert "The last line is not whole" in done.stdout and "The record has no end" in done.stdout
    assert "2 ticks" in done.stdout and "\x1b" not in done.stdout


def test_a_real_rollout_is_recorded(serin, shop, users):
    v1, v2 = shop("v1"), shop("v2")
    proxy = serin(route(v1.address, v2.address, rollout={**QUICK, "steps": ["5%", "25%", "100%"], "hold": "3s"}))
    crowd = users(proxy.address, users=200, rate=300)
    wait_until(lambda: crowd.counts()["requests"] > 600, 20, "some traffic")
    proxy.cli("start", "web")
    proxy.at_weight(25)
    v2.control(errors=30)
    wait_until(lambda: proxy.status()["state"] == "ABORTED", 30, "the revert")
    [record] = glob.glob(os.path.join(proxy.config["state_dir"], "web.web-*.jsonl"))
    wait_until(lambda: '"op":"end"' in open(record).read(), 5, "the end of the record")

    told = json.loads(replay(record, "--json").stdout)
    assert told["then"]["result"] == "reverted" and told["then"]["reverted"] is not None, told
    assert told["now"]["reverted"] == told["then"]["reverted"] and told["same"] == told["compared"] == told["ticks"], told
    assert told["now"]["reverted"]["failed"] > 0

    with open(record) as f:
        judged = subprocess.run([rig.SERIN, "judge"], stdin=f, capture_output=True, text=True, timeout=30)
    answers = [json.loads(line) for line in judged.stdout.splitlines()]
    assert judged.returncode == 0 and answers[0] == {"ok": True} and answers[-1]["d"] == "revert", judged
    assert [a["d"] for a in answers[1:-1] if a["d"] == "revert"] == []

    # under the running configuration nothing changes; under one that lets much pass it would not have been reverted
    again = json.loads(replay(record, "-c", proxy.file, "--json").stdout)
    assert again["changes"] == "" and again["now"]["reverted"] == told["then"]["reverted"]
    lax = json.loads(replay(record, "--set", "fail.delta=0.5", "--set", "ceil.on=false", "--set", "c4.on=false",
                            "--json").stdout)
    assert lax["now"]["reverted"] is None


def test_a_record_goes_on_after_a_crash(serin, shop, users, free_port):
    v1, v2 = shop("v1"), shop("v2")
    proxy = serin(route(v1.address, v2.address, rollout={**QUICK, "steps": ["20%", "100%"], "hold": "5m", "max_hold": "10m"}),
                  listeners=[{"bind": f"127.0.0.1:{free_port}"}])
    users(proxy.address, users=200, rate=300)
    proxy.cli("start", "web")
    proxy.at_weight(20)
    [record] = glob.glob(os.path.join(proxy.config["state_dir"], "web.web-*.jsonl"))

    def ticks():
        with open(record) as f:
            return f.read().count('"op":"tick"')

    def after(n):
        wait_until(lambda: ticks() >= n, 20, f"{n} recorded ticks")

    after(3)
    proxy.kill()
    with open(record, "a") as f:
        f.write('{"op":"tick","t":99')         # what a write leaves that was cut short
    proxy.start()
    before = ticks()
    after(before + 3)
    told = json.loads(replay(record, "--json").stdout)      # while it is written
    assert told["same"] == told["compared"] >= before + 3 and told["then"]["result"] == "", told
    proxy.cli("abort", "web")
    wait_until(lambda: '"op":"end"' in open(record).read(), 10, "the end of the record")
    told = json.loads(replay(record, "--json").stdout)
    assert told["then"]["result"] == "aborted" and told["now"]["reverted"] is None and told["same"] == told["compared"], told
