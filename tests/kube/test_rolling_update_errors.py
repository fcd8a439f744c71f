"""What serin rolling-update refuses, in kubectl's words, with its exit code, and before any write; --route.

SPDX-License-Identifier: Apache-2.0
"""
import http.server
import json
import threading

import pytest

from rolling_rig import Rig, golden


@pytest.fixture
def rig(tmp_path):
    with Rig(tmp_path) as one:
        yield one


def refused(rig, message, *words, code=1):
    """Says it, and writes nothing."""
    before = len(rig.standin.writes())
    out, err = rig.run(*words, code=code)
    assert message in err, err
    assert len(rig.standin.writes()) == before


USAGE = [
    ("Must specify the controller to update",),
    ("Must specify --filename or --image for new controller", "my-web-v1"),
    ("--filename and --image can not both be specified", "my-web-v1", "-f", "FILE", "--image=x"),
    ("May only specify a single filename for new controller", "my-web-v1", "-f", "FILE", "-f", "FILE"),
    ("--deployment-label-key can not be empty", "my-web-v1", "--image=x", "--deployment-label-key="),
    ("Don't specify --filename or --image on rollback", "my-web-v1", "my-web-v2", "--rollback", "--image=x"),
    ("Don't specify --filename or --image on rollback", "my-web-v1", "my-web-v2", "--rollback", "-f", "FILE"),
    ("too many arguments: c", "a", "b", "c", "--image=x"),
    ("--update-period 5 is no duration", "a", "--image=x", "--update-period=5"),
    ("--poll-interval 0s is no duration", "a", "--image=x", "--poll-interval=0s"),
    ("--timeout 1m0 is no duration", "a", "--image=x", "--timeout=1m0"),
    ("--max-surge: ", "a", "--image=x", "--max-surge=-1"),
    ("--image-pull-policy takes", "a", "--image=x", "--image-pull-policy=Maybe"),
    ("--output-format takes", "a", "--image=x", "--output-format=json"),
    ("--cleanup-policy takes", "a", "--image=x", "--cleanup-policy=keep"),
    ("--route and --image", "a", "b", "--image=x", "--route=r"),
    ("unknown option", "a", "--nope"),
]


@pytest.mark.parametrize("row", USAGE, ids=lambda row: " ".join(row[1:]))
def test_usage(tmp_path, row):
    with Rig(tmp_path, None) as rig:
        words = [rig.v2 if w == "FILE" else w for w in row[1:]]
        process = rig.start(*words, fast=())
        _, err = process.communicate(timeout=30)
        assert process.returncode == 2 and row[0] in err, err
        assert rig.standin.requests() == []


def test_durations(rig):
    """kubectl's spelling."""
    rig.run("my-web-v1", "-f", rig.v2, fast=("--update-period=0", "--poll-interval=20ms", "--timeout=1m0s"))


def test_help(rig):
    out, err = rig.run("--help", fast=())
    text = "\n".join(out)
    assert "Examples:" in text and "--rollback" in text and err == "" and max(map(len, out)) <= 100


def test_files(rig):
    v1 = open(rig.v2, encoding="utf-8").read()
    for name, text, message in [
            ("empty.yaml", "", "please make sure FILE exists and is not empty"),
            ("two.yaml", v1 + "---\n" + v1, "FILE specifies multiple items"),
            ("list.yaml", "apiVersion: v1\nkind: List\nitems: []\n", "FILE specifies multiple items"),
            ("svc.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n",
             "FILE contains a /v1, Kind=Service not a ReplicationController"),
            ("deploy.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n",
             "FILE contains a apps/v1, Kind=Deployment not a ReplicationController"),
            ("bare.yaml", "apiVersion: v1\nkind: ReplicationController\nmetadata: {name: a}\n",
             "FILE does not specify a valid ReplicationController"),
            ("minus.yaml", v1.replace("spec:\n  sel", "spec:\n  replicas: -1\n  sel"),
             "Invalid controller spec for my-web-v2; required: > 0 replicas, actual: -1"),
            ("same.yaml", v1.replace("name: my-web-v2", "name: my-web-v1"),
             "FILE cannot have the same name as the existing ReplicationController my-web-v1"),
            ("selector.yaml", v1.replace("version: v2", "version: v1"),
             "FILE must specify a matching key with non-equal value in Selector for my-web-v1"),
            ("superset.yaml", v1.replace("version: v2", "version: v1\n    extra: x"),
             "FILE must specify a matching key with non-equal value in Selector for my-web-v1"),
            ("elsewhere.yaml", v1.replace("name: my-web-v2", "name: my-web-v2\n  namespace: other"),
             'FILE is for namespace "other", not "default"')]:
        path = rig.file(name, text)
        refused(rig, message.replace("FILE", path), "my-web-v1", "-f", path)
    refused(rig, "nowhere.yaml", "my-web-v1", "-f", "/nowhere.yaml")
    refused(rig, "is named my-web-v2, not other", "my-web-v1", "other", "-f", rig.v2)


def test_recorded_errors(rig):
    """The recorded sessions' own situations."""
    refused(rig, 'replicationcontrollers "nope" not found', "nope", "-f", rig.v2)
    refused(rig, "Could not find my-web-v2 to rollback.", "my-web-v1", "my-web-v2", "--rollback")
    refused(rig, "cannot have the same name as the existing ReplicationController my-web-v1",
            "my-web-v1", "my-web-v1", "--image=x")
    rig.standin.create("replicationcontrollers", open(rig.v2, encoding="utf-8").read())
    uid = rig.rc("my-web-v1")["metadata"]["uid"]
    refused(rig, f"Missing/unexpected annotations for controller my-web-v2, expected my-web-v1:{uid} : map[]",
            "my-web-v1", "-f", rig.v2)
    refused(rig, "Found existing in-progress update to image (my-web:v2).\nEither continue in-progress update with "
            "--image=my-web:v2 or rollback with --rollback", "my-web-v1", "my-web-v2", "--image=my-web:v3")
    refused(rig, "couldn't find original replica count of \"my-web-v1\"", "my-web-v1", "my-web-v2", "--rollback")
    rig.standin.change("replicationcontrollers", "my-web-v1", lambda o: {**o, "metadata": {
        **o["metadata"], "annotations": {"kubectl.kubernetes.io/original-replicas": "9"}}})
    refused(rig, "Missing/unexpected annotations for controller my-web-v2",  # what kubectl would have deleted
            "my-web-v1", "my-web-v2", "--rollback")


def test_annotations(rig):
    rig.killed_at(4, "my-web-v1", "-f", rig.v2)

    def annotate(key, value):
        rig.standin.change("replicationcontrollers", "my-web-v2", lambda o: {**o, "metadata": {**o["metadata"], "annotations": {
            **o["metadata"]["annotations"], key: value}}})
    for bad in ("abc", "-1", "1000000000", ""):
        annotate("kubectl.kubernetes.io/desired-replicas", bad)
        refused(rig, f"Unable to parse annotation for my-web-v2: kubectl.kubernetes.io/desired-replicas={bad}",
                "my-web-v1", "-f", rig.v2)
    annotate("kubectl.kubernetes.io/desired-replicas", "4")
    annotate("kubectl.kubernetes.io/update-source-id", "my-web:1234")   # a name that only begins the same
    refused(rig, "Missing/unexpected annotations for controller my-web-v2, expected my-web-v1:", "my-web-v1", "-f", rig.v2)


def test_in_the_hands_of_a_proxy(rig):
    """The record of a proxy is never written over."""
    rig.killed_at(4, "my-web-v1", "-f", rig.v2)
    rig.standin.change("replicationcontrollers", "my-web-v2", lambda o: {**o, "metadata": {**o["metadata"], "annotations": {
        **o["metadata"]["annotations"], "serin.io/rollout": '{"seq": 7}'}}})
    for words in (("-f", rig.v2), ("my-web-v2", "--rollback"), ("-f", rig.v2, "--supersede")):
        refused(rig, "my-web-v2 is in the hands of a serin proxy", "my-web-v1", *words)


def test_images(rig):
    refused(rig, "--image-pull-policy (Always|Never|IfNotPresent) must be provided when --image is the same as existing "
            "container image", "my-web-v1", "--image=my-web:v1")
    refused(rig, "container other not found in pod", "my-web-v1", "--image=x", "--container=other")
    refused(rig, "couldn't find a replication controller with source id == default/nope", "nope", "--image=x")
    rig.standin.change("replicationcontrollers", "my-web-v1", lambda o: {**o, "spec": {**o["spec"], "template": {
        **o["spec"]["template"], "spec": {**o["spec"]["template"]["spec"], "containers": [
            *o["spec"]["template"]["spec"]["containers"], {"name": "side", "image": "side:v1"}]}}}})
    refused(rig, "must specify container to update when updating a multi-container pod", "my-web-v1", "--image=x")
    rig.run("my-web-v1", "--image=side:v2", "--container=side")
    assert [c["image"] for c in rig.rc("my-web-v1")["spec"]["template"]["spec"]["containers"]] == ["my-web:v1", "side:v2"]


def test_same_image_pulled_again(rig):
    rig.run("my-web-v1", "--image=my-web:v1", "--image-pull-policy=Always")
    assert rig.rc("my-web-v1")["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"] == "Always"
    before = rig.rc("my-web-v1")["spec"]["selector"]["deployment"]
    rig.run("my-web-v1", "--image=my-web:v1", "--image-pull-policy=Always")
    assert rig.rc("my-web-v1")["spec"]["selector"]["deployment"] != before and rig.watch.least == 4


def test_bounds(rig):
    refused(rig, "one of maxSurge or maxUnavailable must be specified", "my-web-v1", "-f", rig.v2, "--max-surge=0")


def test_classic_wants_replicas(tmp_path):
    with Rig(tmp_path, 0) as rig:
        refused(rig, "Invalid controller spec for my-web-v2; required: > 0 replicas, actual: 0",
                "my-web-v1", "-f", rig.v2, "--output-format=classic")
        rig.run("my-web-v1", "-f", rig.v2)      # the second generation: nothing to move
        assert rig.size("my-web-v2") == 0 and rig.rc("my-web-v1") is None


@pytest.mark.parametrize("target", ["my-web-v1", "my-web-v2"])
def test_autoscaler(rig, target):
    rig.standin.create("horizontalpodautoscalers", {
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"},
        "spec": {"scaleTargetRef": {"apiVersion": "v1", "kind": "ReplicationController", "name": target}, "maxReplicas": 9}})
    refused(rig, f'horizontalpodautoscalers "web" scales {target}', "my-web-v1", "-f", rig.v2)


def test_foreign_pods_do_not_count(rig):
    """A ready pod that only looks like one of the new controller's opens no gate."""
    rig.standin.create("pods", {"metadata": {"name": "stray", "labels": {"app": "my-web", "version": "v2"}, "ownerReferences": [
        {"apiVersion": "v1", "kind": "ReplicationController", "name": "x", "uid": "u", "controller": True}]},
        "spec": {"containers": [{"name": "a", "image": "b"}]}})
    bad = rig.file("bad.yaml", image="my-web:bad")
    rig.run("my-web-v1", "-f", bad, code=4, fast=("--update-period=0s", "--poll-interval=20ms", "--timeout=300ms"))
    assert rig.size("my-web-v1") == 4


def test_no_server(tmp_path):
    with Rig(tmp_path) as rig:
        rig.standin.faults.away()
        _, err = rig.run("my-web-v1", "-f", rig.v2, code=6, fast=("--timeout=300ms", "--poll-interval=20ms"))
        assert "timed out waiting for any update progress to be made" in err
        rig.standin.faults.back()


def test_completed(rig):
    """The same command once more, after the end: done is done; another file is not."""
    rig.run("my-web-v1", "-f", rig.v2)
    out, _ = rig.run("my-web-v1", "-f", rig.v2)
    assert out == golden("v1.1.7/seed 1")[-1:]
    refused(rig, 'replicationcontrollers "my-web-v1" not found', "my-web-v1", "-f", rig.file("o.yaml", image="my-web:v9"))
    refused(rig, 'replicationcontrollers "my-web-v1" not found', "my-web-v1", "my-web-v2", "--rollback")


class Proxy:
    """As much of serin's admin API as --route asks for."""

    def __init__(self, state="STABLE", versions=("my-web-v1", "my-web-v2"), revision=None):
        self.posts, self.state, proxy = [], state, self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self, body):
                text = json.dumps(body).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def do_GET(self):
                self.answer(proxy.status())

            def do_POST(self):
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                proxy.posts.append(self.path)
                proxy.state = "ABORTED" if self.path.endswith("abort") else "STABLE"
                self.answer({"message": "done", "status": proxy.status()})

            def log_message(self, *_):
                pass

        self.versions = [{"name": f"v{i + 1}", "workload": f"rc/{name}", "revision": revision or ""}
                         for i, name in enumerate(versions)]
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def status(self):
        running = self.state == "ANALYZING"
        phase = "Progressing" if running else "Degraded" if self.state == "ABORTED" else "Healthy"
        return {"route": "my-web", "phase": phase, "state": self.state, "stable": "v1", "canary": "v2",
                "versions": self.versions, "exit": 3 if running else 4 if self.state == "ABORTED" else 0}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


@pytest.mark.parametrize("state, words, posted, code", [
    ("STABLE", (), "start", 0), ("ANALYZING", ("--rollback",), "abort", 4), ("STABLE", ("--rollback",), "undo", 0)])
def test_route(rig, state, words, posted, code):
    with Proxy(state) as proxy:
        rig.run("my-web-v1", "my-web-v2", "--route", "my-web", "--admin", proxy.url, *words, code=code, fast=())
        assert proxy.posts == [f"/api/v1/routes/my-web/{posted}"]
        assert rig.standin.requests() == []


def test_route_refuses(rig):
    with Proxy(versions=("my-web-v1", "other")) as proxy:
        refused(rig, "route my-web has no version whose workload is rc/my-web-v2", "my-web-v1", "my-web-v2",
                "--route", "my-web", "--admin", proxy.url)
        assert proxy.posts == []
    with Proxy(revision="0123456789abcdef") as proxy:
        refused(rig, "has another template than the manifest of route my-web", "my-web-v1", "-f", rig.v2,
                "--route", "my-web", "--admin", proxy.url)
        out, _ = rig.run("my-web-v1", "my-web-v2", "--route", "my-web", "--admin", proxy.url, "--dry-run", fast=())
        assert out == ["Rolling from:", "my-web-v1", "To:", "my-web-v2"] and proxy.posts == []
