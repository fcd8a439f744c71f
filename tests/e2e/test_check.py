"""serin check: every error of a file at once with its place, or what the rollouts will do; the list of all keys.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import subprocess

import pytest
import rig

CONF = os.path.join(os.path.dirname(__file__), "..", "..", "conf")
GOOD = """\
listeners: [{ bind: "127.0.0.1:0" }]
routes:
  - name: shop
    versions: { v1: { endpoints: ["10.0.0.1:80"] }, v2: { endpoints: ["10.0.0.2:80"] } }
    stable: v1
    canary: v2
"""
WRONG = GOOD + """\
    rollout: { steps: [1%, 5%, 120%], hold: 5 }
worker: 2
"""
WRONG_ERRORS = [
    (7, 32, "routes[0].rollout.steps[2].weight", "120% is above 100% (a share from 0% to 100%)"),
    (7, 45, "routes[0].rollout.hold", '"5" has no unit (a duration from 0 to 168h)'),
    (8, 1, "", 'unknown key "worker" (did you mean "workers"?)'),
]


def check(*words, cwd=None):
    done = subprocess.run([os.path.abspath(rig.SERIN), "check", *words], capture_output=True, text=True, timeout=20,
                          cwd=cwd, check=False)
    for report in rig.REPORTS:
        assert report not in done.stderr, done.stderr
    return done


@pytest.fixture
def file(tmp_path):
    """Writes a configuration: file(text) gives its path."""
    def make(text, name="serin.yaml"):
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)
    return make


def test_all_errors_at_once(file):
    path = file(WRONG)
    done = check("-c", path)
    assert done.returncode == 78
    assert done.stdout == ""
    assert done.stderr.splitlines() == [f"{path}:{line}:{column}: {key + ': ' if key else ''}{text}"
                                        for line, column, key, text in WRONG_ERRORS]


def test_all_errors_as_json(file):
    path = file(WRONG)
    done = check("-c", path, "--json")
    assert done.returncode == 78
    assert json.loads(done.stdout) == {
        "file": path, "ok": False, "more_errors": 0,
        "errors": [{"line": line, "column": column, "key": key, "message": text}
                   for line, column, key, text in WRONG_ERRORS]}


def test_the_plan_of_a_rollout(file):
    path = file(GOOD + "    rollout: { steps: [1%, { weight: 50%, hold: 90s, pause: true }, 100%], bake: 1h }\n")
    done = check("-c", path)
    assert done.returncode == 0
    assert done.stderr == ""
    assert done.stdout.splitlines()[:6] == [
        f"{path}: ok",
        "route shop: v1 → v2, waits for `serin start shop`",
        "      1%  1m",
        "     50%  1m 30s, then waits for `serin promote shop`",
        "     99%  1h, bake",
        "    100%  after 1h 2m 30s at the earliest",
    ]


def test_the_plan_as_json(file):
    path = file(GOOD + "    rollout: { start: auto, steps: [5%, 100%], hold: 2s, bake: 3s, min_requests: 9 }\n")
    done = check("-c", path, "--json")
    assert done.returncode == 0
    document = json.loads(done.stdout)
    assert (document["file"], document["ok"]) == (path, True)
    notice = document["rollouts"][0].pop("notice")
    assert [stage["weight_bp"] for stage in notice["stages"]] == [500, 9900]
    assert document["rollouts"] == [{
        "name": "shop", "stable": "v1", "canary": "v2", "start": "auto", "earliest_finish_ms": 5000,
        "stages": [
            {"weight_bp": 500, "hold_ms": 2000, "min_requests": 9, "pause": False, "bake": False},
            {"weight_bp": 9900, "hold_ms": 3000, "min_requests": 9, "pause": False, "bake": True},
        ]}]


PODS = """listeners: [{ bind: "127.0.0.1:0" }]
routes:
  - name: shop
    versions:
      v1: { workload: rc/shop-v1, port: 80 }
      v2: { workload: rc/shop-v2, port: 80, manifest: v2.yaml }
    stable: v1
"""


CONTROLLER = """\
apiVersion: v1
kind: ReplicationController
metadata: { name: shop-v2 }
spec:
  selector: { app: shop, version: v2 }
  template:
    metadata: { labels: { app: shop, version: v2 } }
    spec: { containers: [{ name: shop, image: "shop:v2" }] }
"""


def test_versions_that_are_workloads(file, tmp_path):
    (tmp_path / "v2.yaml").write_text(CONTROLLER)
    path = file(PODS)
    assert check("-c", path).stdout.splitlines() == [
        f"{path}: ok", "route shop: v1 serves everyone", "  v1: pods of rc/shop-v1, port 80"]
    path = file(PODS + "    canary: v2\n    rollout: { replicas: { mode: capacity, max_surge: 25%, headroom: 150% } }\n")
    lines = check("-c", path).stdout.splitlines()
    at = lines.index("  v1: pods of rc/shop-v1, port 80")
    assert lines[at + 1:at + 3] == [
        f"  v2: pods of rc/shop-v2, port 80, created from {tmp_path}/v2.yaml where it is not there",
        "  replicas: capacity, at most 25% more and 0 fewer than wanted, headroom 150%"]
    rollout = json.loads(check("-c", path, "--json").stdout)["rollouts"][0]
    assert rollout["workloads"] == {
        "v1": {"workload": "rc/shop-v1", "port": 80},
        "v2": {"workload": "rc/shop-v2", "port": 80, "manifest": f"{tmp_path}/v2.yaml"}}
    assert rollout["replicas"] == {"mode": "capacity", "max_surge": "25%", "max_unavailable": "0", "headroom": 1.5}
    path = file(PODS + "    canary: v2\n    rollout: { replicas: { mode: none } }\n")
    assert "  replicas: none are moved" in check("-c", path).stdout.splitlines()


SEEN = {"at_ms": 1764190000000, "seconds": 600, "requests_s": 93.2, "stable_requests": 55000, "stable_failed": 550,
        "durations_us": [[999, 54000], [9999, 500], [19999, 500]]}


def notice_of(text):
    """The table of what it takes to notice: its head, and its rows by weight."""
    lines = text.splitlines()
    at = next(i for i, line in enumerate(lines) if "to notice" in line)
    return lines[at + 1], {line.split()[0]: line for line in lines[at + 3:]}


def test_what_it_takes_to_notice(file, tmp_path):
    path = file(GOOD + f"    rollout: {{ steps: [1%, 50%, 100%], min_requests: 7000 }}\nstate_dir: {tmp_path}\n")
    head, rows = notice_of(check("-c", path).stdout)
    assert head == "  for example at 100 requests a second and 0.1% errors (of this route no traffic was seen yet)"
    assert list(rows) == ["1%", "50%", "99%"]
    assert rows["1%"].split()[1:3] == ["51,000", "(14h"] and "7,000 (1h 56m)" in rows["1%"] and " - " in rows["1%"]
    (tmp_path / "shop.seen").write_text(json.dumps(SEEN))
    head, rows = notice_of(check("-c", path).stdout)
    assert head == "  at the traffic last seen (2025-11-26T20:46:40Z, 10m 00s): 93.2 requests a second, 1% errors"
    assert all(" - " not in row for row in rows.values())
    notice = json.loads(check("-c", path, "--json").stdout)["rollouts"][0]["notice"]
    assert (notice["seen"], notice["seen_at"], notice["latency_known"]) == (True, "2025-11-26T20:46:40Z", True)
    assert (notice["requests_s"], notice["error_rate"]) == (93.2, 0.01)
    x2, x5 = notice["stages"][1]["errors_x2"], notice["stages"][1]["errors_x5"]
    assert x2["canary_requests"] > 5 * x5["canary_requests"] > 0
    assert abs(x2["seconds"] - x2["canary_requests"] / 46.6) < 3


def test_what_is_inside_the_margin_is_never_noticed(file, tmp_path):
    path = file(GOOD + f"state_dir: {tmp_path}\n")
    (tmp_path / "shop.seen").write_text(json.dumps({**SEEN, "stable_failed": 0, "durations_us": [[999, 10]]}))
    head, rows = notice_of(check("-c", path).stdout)
    assert head.endswith("93.2 requests a second, no errors in 55,000")
    assert rows["1%"].count("within the margin") == 2 and " - " in rows["1%"]
    notice = json.loads(check("-c", path, "--json").stdout)["rollouts"][0]["notice"]
    assert notice["stages"][0]["errors_x5"] is None and not notice["latency_known"]


def test_a_file_of_what_was_seen_that_is_broken(file, tmp_path):
    path = file(GOOD + f"state_dir: {tmp_path}\n")
    (tmp_path / "shop.seen").write_text("{")
    done = check("-c", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert notice_of(done.stdout)[0].endswith(f"(of this route no traffic was seen yet: {tmp_path}/shop.seen: not what serin writes)")


def test_a_static_split(file):
    path = file(GOOD + "    weight: 12.5%\n")
    done = check("-c", path)
    assert (done.returncode, done.stdout.splitlines()) == (
        0, [f"{path}: ok", "route shop: 12.5% of requests to v2, without a controller"])


@pytest.mark.parametrize("name", ["serin.yaml", "minimal.yaml", "default/serin.yaml", "demo/serin.yaml"])
def test_the_projects_own_files(name):
    done = check("-c", os.path.join(CONF, name))
    assert (done.returncode, done.stderr) == (0, "")


def test_the_file_in_the_present_folder(file, tmp_path):
    if os.path.exists("/etc/serin/serin.yaml"):
        pytest.skip("this machine has a configuration of its own")
    file(GOOD)
    assert check(cwd=tmp_path).stdout.startswith("./serin.yaml: ok\n")


def test_a_file_that_is_not_there(tmp_path):
    path = str(tmp_path / "none.yaml")
    done = check("-c", path)
    assert (done.returncode, done.stderr) == (78, f"{path}: cannot be read: No such file or directory\n")
    document = json.loads(check("-c", path, "--json").stdout)
    assert document["errors"] == [
        {"line": 0, "column": 0, "key": "", "message": "cannot be read: No such file or directory"}]


@pytest.mark.parametrize("words", [["check"], ["run"]])
def test_neither_default_is_there(words, tmp_path):
    if os.path.exists("/etc/serin/serin.yaml"):
        pytest.skip("this machine has a configuration of its own")
    done = rig.run_serin(*words, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (
        78, "no configuration: neither /etc/serin/serin.yaml nor ./serin.yaml is there (name the file: -c FILE)\n")


@pytest.mark.parametrize("command", ["check", "run"])
def test_an_empty_token_file(command, file, tmp_path):
    (tmp_path / "token").write_text("\n")
    path = file(GOOD + "admin: { bind: '0.0.0.0:0', token_file: token }\n")
    done = rig.run_serin(command, "-c", path)
    assert (done.returncode, done.stderr) == (
        78, f'{path}:7:41: admin.token_file: "{tmp_path}/token" holds no token (expected one line of 1 to 4095 bytes)\n')


def test_the_list_of_keys():
    done = check("--defaults")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    head, rows = lines[0], {line.split()[0]: line for line in lines[1:]}
    assert head.split() == ["KEY", "TYPE", "RANGE", "DEFAULT", "UNIT", "RELOAD", "WHAT", "IT", "IS"]
    row = rows["routes[].rollout.bake_weight"]
    for column, text in (("TYPE", "share"), ("RANGE", "0.01%..99.99%"), ("DEFAULT", "99%"), ("UNIT", "%"),
                         ("RELOAD", "next rollout")):
        assert row[head.index(column):].startswith(text + " "), (column, row)
    for line in lines[1:]:
        assert line[head.index("RELOAD"):].startswith(("yes ", "next rollout ", "restart ")), line


def test_the_list_of_keys_as_json():
    keys = {k["key"]: k for k in json.loads(check("--defaults", "--json").stdout)}
    assert len(keys) > 100
    assert keys["timeouts.connect"] == {
        "key": "timeouts.connect", "type": "duration", "range": "1ms..24h", "default": "2s", "unit": "ms s m h",
        "reload": "yes", "help": "for a connection to an endpoint to come up", "required": False}
    assert keys["routes[].name"]["required"]


def test_help():
    done = check("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Example:\n" in done.stdout and "--defaults" in done.stdout


@pytest.mark.parametrize("words", [["--nonsense"], ["serin.yaml"], ["-c"]])
def test_wrong_usage(words):
    done = check(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith("Try `serin check --help`.\n")


def test_output_that_cannot_be_written(file):
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run([rig.SERIN, "check", "--defaults"], stdout=full, stderr=subprocess.PIPE, timeout=20,
                              check=False)
    assert done.returncode == 1
