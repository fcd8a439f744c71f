"""The manifests in conf/kubernetes: kubectl and a server take them, they fit together, and the Role for people is exact.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import re
import subprocess
import sys

import pytest

import rights
from rolling_rig import SERIN, Rig

PACKAGES = {"libevent-2.1.so.7": "libevent-2.1-7", "libevent_pthreads-2.1.so.7": "libevent-pthreads-2.1-7",
            "libcjson.so.1": "libcjson1", "libcurl.so.4": "libcurl4", "libyaml-0.so.2": "libyaml-0-2",
            "libsystemd.so.0": "libsystemd0", "libssl.so.3": "libssl3", "libcrypto.so.3": "libssl3",
            "liburing.so.2": "liburing2"}     # of Debian 12
ROLE = rights.one("Role", "serin-rolling-update")
MODELS = """
import json, sys
import kubernetes.client as k
def walk(value, kind, path):
    if kind.startswith("list["):
        return [walk(v, kind[5:-1], f"{path}[{n}]") for n, v in enumerate(value)]
    if kind.startswith("dict("):
        return {key: walk(v, kind[5:-1].split(", ")[1], f"{path}.{key}") for key, v in value.items()}
    if not hasattr(k, kind):
        right = {"str": str, "int": int, "bool": bool}.get(kind, object)
        assert isinstance(value, right) and isinstance(value, bool) <= (right in (bool, object)), f"{path}: {value!r} is no {kind}"
        return value
    model, names = getattr(k, kind), {v: n for n, v in getattr(k, kind).attribute_map.items()}
    assert not set(value) - set(names), f"{path}: no such fields: {sorted(set(value) - set(names))}"
    return model(**{names[f]: walk(v, model.openapi_types[names[f]], f"{path}.{f}") for f, v in value.items()})
for o in json.load(sys.stdin):
    group, _, version = o["apiVersion"].rpartition("/")
    prefix = {"Event": "Core"}.get(o["kind"], "") + version.capitalize()
    walk(o, prefix + o["kind"], o["kind"])
print("done")
"""


def python_with(module):
    return next(p for p in (sys.executable, "/usr/bin/python3")
                if subprocess.run([p, "-c", f"import importlib.util as u; exit(not u.find_spec({module!r}))"], capture_output=True, check=False).returncode == 0)


@pytest.fixture
def kubectl(standin, tmp_path):
    config = standin.kubeconfig(tmp_path / "config")
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "KUBECONFIG": config}

    def run(*words):
        done = subprocess.run(["kubectl", *words], env=environment, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr
    return run


def test_every_field_is_one_of_the_api():
    """Against the models of the Python client, which come from the API's own description: names, types, what is required."""
    done = subprocess.run([python_with("kubernetes"), "-c", MODELS], input=json.dumps(rights.objects()), capture_output=True,
                          text=True, timeout=60, check=False)
    assert done.stdout == "done\n", done.stderr


def test_kubectl_applies_them(standin, kubectl):
    folder = rights.FOLDER
    for file in rights.files():
        assert "(server dry run)" in kubectl("apply", "--dry-run=server", "-f", file), file
    assert standin.list("deployments") == standin.list("replicationcontrollers") == []
    kubectl("apply", "-f", f"{folder}/my-web/my-web-v1-rc.yaml")
    said = kubectl("apply", "-f", folder)
    assert said.count(" created") == len([o for o in rights.objects() if o["kind"] != "ReplicationController"])
    assert "arning" not in said
    assert "successfully rolled out" in kubectl("rollout", "status", "deployment/serin", "--timeout=20s")
    again = kubectl("apply", "-f", folder).split("\n")
    assert all(line.endswith(" unchanged") for line in again if line and not line.startswith("poddisruptionbudget")), again
    kubectl("create", "-f", f"{folder}/my-web/my-web-v2-rc.yaml")
    standin.settle("my-web-v1")
    assert (standin.replicas_of("my-web-v1")[0], standin.replicas_of("my-web-v2")[0]) == (4, 1)
    names = {o["metadata"]["name"] for o in standin.list("replicationcontrollers")}
    assert names == {"my-web-v1", "my-web-v2"}, "the folder itself must not make a canary"
    assert "deleted" in kubectl("delete", "-f", folder)


def test_they_fit_together():
    deployment, service, budget = rights.one("Deployment"), rights.one("Service"), rights.one("PodDisruptionBudget")
    template = deployment["spec"]["template"]
    pod, labels = template["spec"], template["metadata"]["labels"]
    box, = pod["containers"]
    for selector in (deployment["spec"]["selector"]["matchLabels"], service["spec"]["selector"],
                     budget["spec"]["selector"]["matchLabels"],
                     *(c["labelSelector"]["matchLabels"] for c in pod["topologySpreadConstraints"])):
        assert selector.items() <= labels.items()
    assert budget["spec"]["minAvailable"] < deployment["spec"]["replicas"] == 2
    assert {m["name"] for m in box["volumeMounts"]} == {v["name"] for v in pod["volumes"]}
    ports = {p["name"]: p["containerPort"] for p in box["ports"]}
    assert service["spec"]["ports"][0]["targetPort"] == "http"
    assert {box[p]["httpGet"]["port"] for p in ("readinessProbe", "livenessProbe")} == {"admin"}
    config = rights.yamlish.load(rights.one("ConfigMap")["data"]["serin.yaml"])
    assert config["listeners"] == [{"bind": f"0.0.0.0:{ports['http']}"}]
    assert config["admin"]["bind"] == f"0.0.0.0:{ports['admin']}"
    mounts = {m["name"]: m["mountPath"] for m in box["volumeMounts"]}
    assert os.path.dirname(config["admin"]["token_file"]) == mounts["admin"] and config["state_dir"] == mounts["state"]
    assert os.path.dirname(box["args"][2]) == mounts["config"] and os.path.basename(box["args"][2]) in rights.one("ConfigMap")["data"]
    assert all(m.get("readOnly") or m["name"] == "state" for m in box["volumeMounts"])
    drain = int(config["timeouts"]["drain"].rstrip("s")) + int(box["lifecycle"]["preStop"]["exec"]["command"][1])
    assert drain < pod["terminationGracePeriodSeconds"]
    assert pod["serviceAccountName"] == rights.one("ServiceAccount")["metadata"]["name"] == \
        rights.one("RoleBinding")["subjects"][0]["name"]
    assert config["kubernetes"]["lease"] in next(r for r in rights.one("Role")["rules"] if "resourceNames" in r)["resourceNames"]
    safe = box["securityContext"]
    assert safe == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] > 0
    assert all("namespace" not in o["metadata"] for o in rights.objects()), "kubectl -n says where"
    assert all(o["metadata"]["name"].startswith(("serin", "my-web")) for o in rights.objects())


def test_the_controllers_are_the_scenario_s():
    for version in ("v1", "v2"):
        rc, labels = rights.one("ReplicationController", f"my-web-{version}"), {"app": "my-web", "version": version}
        assert rc["spec"]["selector"] == rc["spec"]["template"]["metadata"]["labels"] == labels
        box, = rc["spec"]["template"]["spec"]["containers"]
        assert (box["name"], box["image"]) == ("my-web", f"my-web:{version}")
        assert box["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert rights.one("ConfigMap")["data"]["my-web-v2-rc.yaml"] == rights.text_of("my-web/my-web-v2-rc.yaml")


def test_the_configuration_passes_the_check(tmp_path):
    """As it is, but for the folder of the Secret: /etc/serin-admin is no more there than the pod is."""
    data = rights.one("ConfigMap")["data"]
    for name, text in data.items():
        (tmp_path / name).write_text(text)

    def check():
        return subprocess.run([SERIN, "check", "-c", tmp_path / "serin.yaml"], capture_output=True, text=True, timeout=30, check=False)
    done = check()
    assert done.returncode == 78 and done.stderr.count("serin.yaml:") == 1
    assert "admin.token_file" in done.stderr and "/etc/serin-admin/token" in done.stderr
    (tmp_path / "token").write_text("abc\n")
    (tmp_path / "serin.yaml").write_text(data["serin.yaml"].replace("/etc/serin-admin/token", "token"))
    done = check()
    assert done.returncode == 0, done.stderr
    assert "rc/my-web-v1" in done.stdout and "rc/my-web-v2" in done.stdout
    (tmp_path / "serin.yaml").write_text(re.sub(".*token_file.*\n", "", data["serin.yaml"]))
    assert "admin.token_file: is missing" in check().stderr


def steps_of_image():
    """The Dockerfile as [(instruction, words)], its lines joined."""
    text = re.sub(r"^#.*\n", "", rights.text_of("Dockerfile"), flags=re.M).replace("\\\n", " ")
    return [(line.split()[0], line.split()[1:]) for line in text.splitlines() if line.strip()]


def test_the_image_has_what_serin_needs():
    """It is not built here. But what it copies is there, what it builds with is what tests/run installs, and what it runs
    with has the libraries of this serin."""
    steps = steps_of_image()
    assert {word for word, _ in steps} == {"FROM", "RUN", "WORKDIR", "COPY", "USER", "ENTRYPOINT", "CMD"}
    stages = [n for n, (word, _) in enumerate(steps) if word == "FROM"]
    assert len(stages) == 2 and steps[stages[0]][1][1:] == ["AS", "build"]
    for word, words in steps[:stages[1]]:
        for source in words[:-1] if word == "COPY" else ():
            assert os.path.exists(os.path.join(rights.ROOT, source)), source
    with open(os.path.join(rights.ROOT, "tests", "packages"), encoding="utf-8") as f:
        wanted = re.findall(r"([\w.+-]+)=\S+", re.search(r'PACKAGES_BUILD="([^"]*)"', f.read())[1])
    builds, runs = ([w for word, words in steps[a:b] if word == "RUN" for w in words]
                    for a, b in ((0, stages[1]), (stages[1], None)))
    assert set(wanted) <= set(builds)
    assert ("ENTRYPOINT", ['["/usr/bin/serin"]']) in steps
    args = rights.one("Deployment")["spec"]["template"]["spec"]["containers"][0]["args"]
    assert json.loads(" ".join(steps[-1][1])) == args
    needed = subprocess.run(["readelf", "-d", SERIN], capture_output=True, text=True, check=True).stdout
    for library in re.findall(r"NEEDED.*\[(?!ld-|lib(?:c|m|asan|ubsan|gcc_s|pthread|rt|dl)\.so)(.*)\]", needed):
        assert PACKAGES[library] in runs, library


# What a person may do.

def strays(rig):
    """A pod from the old template, made in the moment before the old controller's selector knows the new label."""
    def make(_):
        rig.standin.create("pods", {"metadata": {"name": "stray", "labels": {"app": "my-web", "version": "v1"}},
                                    "spec": {"containers": [{"name": "my-web", "image": "my-web:v1"}]}})
    rig.standin.on_write(3, make, "acted")      # marked, the pod labelled; selected


COMMANDS = {    # each is a stand-in of its own: what it is asked for covers every form of the command
    "file": (lambda rig: None, lambda rig: [["my-web-v1", "-f", rig.v2]]),
    "image": (strays, lambda rig: [["my-web-v1", "--image=my-web:v2"]]),
    "gone": (lambda rig: None, lambda rig: [["my-web", "--image=my-web:v2"]]),
}
NEEDED_BY = {("list", "", "replicationcontrollers"): "gone", ("patch", "", "pods"): "image", ("delete", "", "pods"): "image"}


def begin(folder, name, role):
    folder.mkdir()
    rig = Rig(folder, replicas=1, strict=True)
    rights.give(rig.standin, role)
    rig.standin.kubeconfig(rig.config, token=rights.TOKEN)
    prepare, commands = COMMANDS[name]
    prepare(rig)
    return rig, commands(rig)


def test_the_role_for_rolling_update_is_enough_and_no_more(tmp_path):
    asked = set()
    for name in COMMANDS:
        rig, commands = begin(tmp_path / name, name, ROLE)
        with rig:
            for words in commands:
                rig.run(*words, code=1 if name == "gone" else 0)
            assert not rig.standin.requests(status=403)
            asked |= rights.used(rig.standin)
    assert asked == rights.of_role(ROLE)


def test_a_right_that_is_missing_is_named(tmp_path):
    """Every one of them, in the words of the command that needs it; all at once, for each waits a second for an authorizer
    that may just be starting."""
    running = []
    try:
        for n, right in enumerate(sorted(rights.of_role(ROLE))):
            rig, (words,) = begin(tmp_path / str(n), NEEDED_BY.get(right, "file"), rights.without(ROLE, right))
            running.append((right, rig, rig.start(*words)))
        for right, _, process in running:
            _, said = process.communicate(timeout=30)
            code = 0 if right[2] == "horizontalpodautoscalers" else 1   # of those it only warns
            assert process.returncode == code and rights.is_named(right, said), f"{right}: {process.returncode} {said}"
    finally:
        for _, rig, _ in running:
            rig.__exit__()
