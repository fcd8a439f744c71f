"""serin convert: golden files for each kind, and what is said of what it cannot take.

The expected files are made by `serin convert`; SERIN_GOLDEN=write writes them anew, to be read before they are committed.
SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import re
import subprocess

import pytest
import yaml

from rig import REPORTS, SERIN, die_with_me, run_serin

FIXTURES = os.path.join(os.path.dirname(__file__), "..", "fixtures", "convert")
NAMES = sorted(f[:-5] for f in os.listdir(FIXTURES) if f.endswith(".yaml"))
FROM = re.compile(r"^(ingress|argo|flagger)-")


def convert(*words, text=None, cwd=FIXTURES):
    done = subprocess.run([os.path.abspath(SERIN), "convert", *words], input=text, capture_output=True, text=True, cwd=cwd, timeout=30,
                          preexec_fn=die_with_me)
    assert not any(report in done.stderr for report in REPORTS), done.stderr
    return done


def golden(name, ending, now):
    path = os.path.join(FIXTURES, f"{name}.{ending}")
    if os.environ.get("SERIN_GOLDEN") == "write":
        with open(path, "w", encoding="utf-8") as f:
            f.write(now)
    with open(path, encoding="utf-8") as f:
        return f.read()


@pytest.mark.parametrize("name", NAMES)
def test_golden(name, tmp_path):
    done = convert(f"{name}.yaml")
    assert done.returncode == 0
    assert done.stdout == golden(name, "expected", done.stdout)
    assert done.stderr == golden(name, "notes", done.stderr)
    (tmp_path / "serin.yaml").write_text(done.stdout)
    checked = run_serin("check", "-c", tmp_path / "serin.yaml")
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("name", NAMES)
def test_every_note_is_a_place_and_a_comment(name):
    """Each note names a line of the file that has the last key of its path, and stands in the result as a comment."""
    done = convert(f"{name}.yaml")
    with open(os.path.join(FIXTURES, f"{name}.yaml"), encoding="utf-8") as f:
        lines = f.read().split("\n")
    comments = re.sub(r"\s*\n *# ", " ", done.stdout)
    for note in done.stderr.splitlines():
        m = re.fullmatch(r"%s\.yaml:(\d+): \w+/[\w-]+: (?:(\S+): )?(not carried over|approximated): (.*)" % name, note)
        assert m, note
        key = re.sub(r"\[\d+\]$", "", m[2] or "")
        key = key.split("kubernetes.io/")[-1] if "annotations" in key else key.split(".")[-1]
        assert re.search(r"\[\d+\]$", m[2] or "") or key in lines[int(m[1]) - 1], note
        assert m[4].strip() in comments, note


@pytest.mark.parametrize("name", NAMES)
def test_json(name):
    plain, done = convert(f"{name}.yaml"), convert("--json", f"{name}.yaml")
    said = json.loads(done.stdout)
    assert done.returncode == 0 and not done.stderr
    assert said["yaml"] == plain.stdout and said["from"] == FROM.match(name)[1]
    assert len(said["notes"]) == len(plain.stderr.splitlines()) and said["notes_dropped"] == 0
    for note, line in zip(said["notes"], plain.stderr.splitlines()):
        assert line.startswith(f"{note['file']}:{note['line']}: {note['object']}: ") and line.endswith(f"{note['kind']}: {note['text']}")


def test_json_and_lists_are_read_alike(tmp_path):
    """What `kubectl get -o json` prints: one List, without lines."""
    with open(os.path.join(FIXTURES, "ingress-canary.yaml"), encoding="utf-8") as f:
        items = list(yaml.safe_load_all(f))
    (tmp_path / "all.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    done, plain = convert("all.json", cwd=tmp_path), convert("ingress-canary.yaml")
    assert done.returncode == 0 and done.stdout == plain.stdout
    strip = lambda text: sorted(re.sub(r"^\S+?(:\d+)?: ", "", line) for line in text.splitlines())
    assert strip(done.stderr) == strip(plain.stderr) and "all.json: Ingress/shop: " in done.stderr


def test_standard_input_and_strict(tmp_path):
    with open(os.path.join(FIXTURES, "argo-basic.yaml"), encoding="utf-8") as f:
        text = f.read()
    done = convert("--strict", "-", text=text)
    assert done.returncode == 1 and done.stdout.startswith("# Made by") and "not carried over" in done.stderr
    whole = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "a"}, "spec": {"rules": [{"host": "a.example", "http": {
        "paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "a", "port": {"number": 80}}}}]}}]}}
    done = convert("--strict", "-", text=json.dumps(whole))
    assert done.returncode == 0 and not done.stderr and 'endpoints: ["dns:a.default.svc:80"]' in done.stdout


def rollout(**more):
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": "a"}, "spec": {"strategy": {"canary": {}}}, **more}


CANARY = {"apiVersion": "flagger.app/v1beta1", "kind": "Canary", "metadata": {"name": "a"}, "spec": {}}
SERVICE = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}}
REFUSED = [  # what the file holds, words, a part of the error
    (SERVICE, [], "holds Service of v1 (expected an Ingress of networking.k8s.io, a Rollout of argoproj.io or a Canary of flagger.app)"),
    ({**rollout(), "apiVersion": "other.io/v1"}, [], "holds Rollout of other.io/v1 (expected"),
    (rollout(), ["--from", "flagger"], "holds Rollout of argoproj.io/v1alpha1 (expected a Canary of flagger.app)"),
    ({"kind": "List", "items": [rollout(), CANARY]}, [], "holds Rollouts and Canaries: say which with --from"),
    ({"kind": "List", "items": []}, [], "holds nothing (expected"),
    ({"kind": "List", "items": [{"kind": "List", "items": []}]}, [], "a list within a list"),
    ({"a": 1}, [], "no object of Kubernetes: it has no kind"),
    ({"kind": "List", "items": [7]}, [], "no object of Kubernetes"),
    (rollout(spec={"strategy": {"blueGreen": {}}}), [], "nothing of it could be written"),
    (rollout(metadata={"name": "Not_A_Name"}), [], "nothing of it could be written"),
    (CANARY, [], "nothing of it could be written"),
    ({"kind": "List", "items": [SERVICE] * 1100}, [], "more than 1024 objects"),
]


@pytest.mark.parametrize("held, words, wrong", REFUSED, ids=range(len(REFUSED)))
def test_refused(held, words, wrong, tmp_path):
    (tmp_path / "f.json").write_text(json.dumps(held))
    done = convert(*words, "f.json", cwd=tmp_path)
    assert done.returncode == 1 and not done.stdout and wrong in done.stderr, done
    assert done.stderr.splitlines()[-1].startswith("serin convert: f.json")


@pytest.mark.parametrize("text, wrong", [("a: [", "f.yaml:2:1: not valid YAML"), ("a: &x 1", "anchors are not taken here"),
                                         ("", "holds nothing"), ("x" * (1 << 20) + "yy", "more than 1048576 bytes")],
                         ids=["syntax", "anchor", "empty", "large"])
def test_what_is_no_manifest(text, wrong, tmp_path):
    (tmp_path / "f.yaml").write_text(text)
    done = convert("f.yaml", cwd=tmp_path)
    assert done.returncode == 1 and not done.stdout and wrong in done.stderr, done.stderr


@pytest.mark.parametrize("words, wrong", [([], "the file is missing: serin convert FILE"), (["a", "b"], 'unexpected argument "b" (one file)'),
                                          (["--from", "nginx", "a"], '--from "nginx" (expected ingress, argo or flagger)'),
                                          (["--from"], "--from needs a value"), (["-x"], "unknown option -x")])
def test_usage(words, wrong):
    done = convert(*words)
    assert (done.returncode, done.stdout) == (2, "") and wrong in done.stderr and "Try `serin convert --help`." in done.stderr


def test_help():
    done = convert("--help")
    assert done.returncode == 0 and "Example:" in done.stdout and not done.stderr
    assert re.search(r"^  convert +write a configuration", run_serin("--help").stdout, re.M)


def test_hostile_names_stay_texts(tmp_path):
    """No text of the file becomes anything else in the result: neither keys, nor lines, nor another's configuration."""
    evil = "x\nroutes: []\n# \x1b[2Jevil: {"
    o = rollout(metadata={"name": "a", "labels": {evil: evil}})
    o["spec"] = {evil: 1, "strategy": {"canary": {"steps": [{"setWeight": 5, evil: 1}], "trafficRouting": {evil: {}}, "analysis": {
        "templates": [{"templateName": "t"}]}}}}
    template = {"apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate", "metadata": {"name": "t"}, "spec": {"metrics": [{
        "name": evil, "successCondition": "result < 1", "provider": {"prometheus": {"address": "http://p", "query": evil}}}]}}
    (tmp_path / "f.json").write_text(json.dumps({"kind": "List", "items": [o, template]}))
    done = convert("f.json", cwd=tmp_path)
    (tmp_path / "serin.yaml").write_text(done.stdout)
    assert done.returncode in (0, 1) and "\x1b" not in done.stdout + done.stderr
    assert len(re.findall(r"^routes:", done.stdout, re.M)) == 1
    assert run_serin("check", "-c", tmp_path / "serin.yaml").returncode == 0


def test_many_routes_are_bounded(tmp_path):
    items = [{"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": f"i{n}"}, "spec": {"rules": [{"host": f"h{n}.example",
             "http": {"paths": [{"path": f"/{k}", "backend": {"service": {"name": f"s{n}", "port": {"number": 80}}}} for k in range(2)]}}]}}
             for n in range(400)]
    (tmp_path / "f.json").write_text(json.dumps({"kind": "List", "items": items}))
    done = convert("f.json", cwd=tmp_path)
    (tmp_path / "serin.yaml").write_text(done.stdout)
    assert done.returncode == 0 and done.stdout.count("- name: ") == 256 and re.search(r"\.\.\. and \d+ more\n$", done.stderr)
    assert run_serin("check", "-c", tmp_path / "serin.yaml").returncode == 0


def test_a_converted_ingress_serves(serin, v1, v2, tmp_path):
    """The result does what the annotations did: the weight, the header, the cookie; with addresses for the Services."""
    said = yaml.safe_load(convert("ingress-canary.yaml").stdout)
    shop = next(r for r in said["routes"] if r["name"] == "shop")
    shop["versions"] = {"shop-v1": {"endpoints": [v1.address]}, "shop-v2": {"endpoints": [v2.address]}}
    shop.pop("sticky"), shop.pop("balance")
    proxy = serin([shop])
    with proxy.client() as c:
        for _ in range(500):
            assert c.ask(host="shop.example").status == 200
        seen = len(v2.requests)
        assert 50 < seen < 150      # exact over 10000: 100 here, give or take
        for headers in ({"X-Tester": "always"}, {"Cookie": "staff=always"}):
            c.ask(host="www.shop.example", headers=headers)
        assert len(v2.requests) == seen + 2
        assert c.ask(host="other.example").status == 404


def test_a_canary_by_header_alone(serin, v1, v2):
    """canary-by-header without a weight: those who ask for it are on the canary, and nobody else."""
    pair = [{"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": name, "annotations": {
        "nginx.ingress.kubernetes.io/" + k: v for k, v in more.items()}}, "spec": {"rules": [{"http": {"paths": [
            {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": name, "port": {"number": 80}}}}]}}]}}
            for name, more in (("a", {}), ("b", {"canary": "true", "canary-by-header": "X-Canary"}))]
    done = convert("--strict", "-", text=json.dumps({"kind": "List", "items": pair}))
    assert done.returncode == 0, done.stderr
    web = yaml.safe_load(done.stdout)["routes"][0]
    web["versions"] = {"a": {"endpoints": [v1.address]}, "b": {"endpoints": [v2.address]}}
    proxy = serin([web])
    with proxy.client() as c:
        for _ in range(20):
            assert c.ask(headers={"X-Canary": "always"}).status == 200
            assert c.ask(headers={"X-Canary": "never"}).status == c.ask().status == 200
    assert (len(v1.requests), len(v2.requests)) == (40, 20)
