"""The command `serin judge` over its pipe: worked examples, bad lines, and the reference of simulate.py tick by tick.

SERIN names the binary. The reference needs numpy and scipy (apt: python3-numpy python3-scipy); without them its
tests are skipped.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import subprocess

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
SERIN = os.environ.get("SERIN", os.path.join(HERE, "..", "..", "build", "dev", "serin"))
VECTORS = os.path.join(HERE, "..", "fixtures", "decision", "vectors.json")
TOLERANCE = 1e-9
LINE_MAX = 64 * 1024


class Judge:
    """The command as a child: one question, one answer."""

    def __init__(self, *arguments):
        self.child = subprocess.Popen([SERIN, "judge", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, message):
        self.child.stdin.write(json.dumps(message) + "\n")
        self.child.stdin.flush()
        return json.loads(self.child.stdout.readline())

    def end(self):
        self.child.stdin.close()
        code = self.child.wait(timeout=10)
        self.child.stdout.close()
        return code


@pytest.fixture
def judge():
    one = Judge()
    yield one
    if one.child.poll() is None:
        one.child.kill()
        one.child.wait()


def run(*arguments, given=b""):
    return subprocess.run([SERIN, "judge", *arguments], input=given, capture_output=True, timeout=30)


def near(got, want):
    return abs(got - want) <= TOLERANCE * max(1, abs(want))


def examples():
    with open(VECTORS, encoding="utf-8") as f:
        return [v for v in json.load(f)["vectors"] if v["kind"] == "judge"]


@pytest.mark.parametrize("example", examples(), ids=lambda v: v["id"])
def test_worked_examples(judge, example):
    given, want = example["in"], example["want"]
    start = {k: given[k] for k in ("stages", "config", "sticky", "baseline")}
    assert judge.ask({"op": "start", **start}) == {"ok": True}
    for tick, loge, logf, d in zip(given["ticks"], want["loge"], want["logf"], want["d"]):
        answer = judge.ask(tick)
        assert answer["d"] == d, answer
        assert near(answer["loge"], loge) and near(answer["logf"], logf)
    assert judge.end() == 0


def test_a_bad_line_is_answered_and_the_next_one_read():
    lines = [b'{"op":"tick"}', b"\0\0", b"", b"x" * (LINE_MAX + 1), b'{"op":"start","stages":[1,100]}', b'{"op":"end"}']
    done = run(given=b"\n".join(lines))
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert answers[0]["error"].startswith("line 1: op: tick before start")
    assert answers[1]["error"].startswith("line 2: not one JSON object")
    assert answers[2]["error"].startswith("line 4: longer than 65536 bytes")
    assert answers[3:] == [{"ok": True}]
    assert done.returncode == 1


@pytest.mark.parametrize("arguments, code", [(["--help"], 0), (["-c", "no/such/file"], 78), (["file"], 2), (["-c"], 2),
                                             (["--nonsense"], 2)])
def test_usage(arguments, code):
    done = run(*arguments)
    assert done.returncode == code
    assert (b"Example" in done.stdout) == (code == 0)
    assert bool(done.stderr) == (code != 0)


FILE = """\
listeners: [{ bind: "127.0.0.1:0" }]
state_dir: %s
routes:
  - name: shop
    versions: { v1: { endpoints: ["10.0.0.1:80"] }, v2: { endpoints: ["10.0.0.2:80"] } }
    stable: v1
    canary: v2
    rollout: { steps: [10%%, 50%%, 100%%], hold: 2s, max_hold: 3s, bake: 4s, false_abort: 5%%, on_low_evidence: hold }
"""
OTHER = """\
  - name: cart
    paths: [/cart]
    versions: { v1: { endpoints: ["10.0.0.3:80"] }, v2: { endpoints: ["10.0.0.4:80"] } }
    stable: v1
    canary: v2
  - name: fixed
    paths: [/fixed]
    versions: { v1: { endpoints: ["10.0.0.5:80"] } }
    stable: v1
"""


@pytest.fixture
def file(tmp_path):
    """Writes a configuration and gives its path."""
    def make(text):
        path = tmp_path / "serin.yaml"
        path.write_text(text % tmp_path)
        return str(path)
    return make


def tick(t, failed=0):
    return {"op": "tick", "t": t, "stage": 0, "stage_t": t, "s": {"req": 9 * t, "bad": 0}, "c": {"req": t, "bad": failed}}


def test_thresholds_and_stages_of_a_route(file):
    judge = Judge("-c", file(FILE))
    assert judge.ask({"op": "start"}) == {"ok": True}
    assert "of 2 s at 10%" in judge.ask(tick(1))["why"]
    judge.ask(tick(2))
    judge.ask(tick(3))
    answers = [judge.ask(tick(t))["d"] for t in (4, 5, 6)]
    assert answers[1:] == ["hold", "hold"]                      # max_hold passed; on_low_evidence: hold
    last = [judge.ask(tick(t, t - 6)) for t in range(7, 14)]
    assert [a for a in last if a["d"] == "revert"]
    assert "(limit 20:1)" in [a["why"] for a in last if a["d"] == "revert"][0]
    # what the line says stands over the file
    assert judge.ask({"op": "start", "stages": [25, 100], "config": {"min_stage_s": 9}}) == {"ok": True}
    assert "of 9 s at 25%" in judge.ask(tick(1))["why"]
    assert judge.end() == 0


def test_one_route_of_several(file):
    path = file(FILE + OTHER)
    judge = Judge("-c", path, "--route", "cart")
    judge.ask({"op": "start"})
    assert "of 60 s at 1%" in judge.ask(tick(1))["why"]
    assert judge.end() == 0
    for arguments, says in (([], b"name one with --route (shop, cart ...)"), (["--route", "fixed"], b"no route fixed with a rollout")):
        done = run("-c", path, *arguments)
        assert (done.returncode, done.stdout) == (2, b"") and says in done.stderr


def test_a_wrong_file_is_told_with_its_place(file):
    path = file(FILE.replace("50%%", "500%%"))
    done = run("-c", path)
    assert (done.returncode, done.stdout) == (78, b"")
    assert done.stderr.startswith(f"{path}:8:".encode())


def test_no_lines_are_fine():
    done = run()
    assert (done.returncode, done.stdout) == (0, b"")


SCENARIOS = ["h0-p1%", "h0-p1%-1rps", "h0-total-outage1m", "h0-sticky-badclients-dedupe", "h1-1000rps-+1", "h1-p99-x2",
             "h1-4xx+10pp", "h1-late200s-+5pp", "h1-100rps-+outage"]


@pytest.mark.parametrize("name", SCENARIOS)
def test_agrees_with_the_reference(judge, name):
    """Two rollouts of a scenario: every verdict the same, the evidence to 1e-9, the same end."""
    pytest.importorskip("numpy")
    pytest.importorskip("scipy")
    import simulate
    scenario = next(s for s in simulate.public_scenarios() if s["name"] == name)
    reference, differences = {}, []

    class Both:
        """Asks both, goes on with the reference's answer."""

        @staticmethod
        def send(message, reply=True):
            if message["op"] == "end":
                return None
            answer = judge.ask(message)
            if message["op"] == "start":
                reference["judge"] = simulate.Judge(message["stages"], None, message["sticky"], 1, message["baseline"])
                return answer
            want = reference["judge"].tick(message)
            if answer["d"] != want["d"] or not near(answer["loge"], want["loge"]) or not near(answer["logf"], want["logf"]):
                differences.append((message["t"], answer, want))
            return want

    simulate.run_external(Both, scenario, 2, 1, simulate.DEFAULTS["lat"]["margin"])
    assert not differences, differences[:3]
    assert judge.end() == 0
