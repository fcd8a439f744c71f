"""A rollout on Kubernetes: pods and weight move together, one proxy decides, the other follows, and nothing is lost.

SPDX-License-Identifier: Apache-2.0
"""
import pytest

from cluster import Follower, leader_of, manifest, reach
from rig import ask, run_serin, wait_until

pytestmark = pytest.mark.long


def others(all_of_them, one):
    return next(p for p in all_of_them if p is not one)


def annotations(cluster, name):
    return cluster.standin.get("replicationcontrollers", name)["metadata"].get("annotations") or {}


def test_the_road_of_the_seed_without_a_lost_request(cluster, proxies, users):
    """3:1, 2:2, 1:3, 0:4, with the weight, before two proxies under load; then v1 is empty and v2 serves everyone."""
    both = proxies()
    load = [users(p.address, users=20, rate=150) for p in both]
    leader = leader_of(both)
    follower = others(both, leader)
    assert follower.api("POST", "routes/my-web/start")[0] == 409
    watch = Follower(follower)
    leader.cli("start", "my-web")
    for weight in (25, 50, 75):
        reach(leader, "ANALYZING", weight=weight)
        reach(follower, "ANALYZING", 5, weight=weight)
    reach(leader, "STABLE", 90)
    reach(follower, "STABLE", 10)
    counts = [u.stop() for u in load]
    assert all(c["failed"] == 0 and c["v2_requests"] > 0 for c in counts), counts
    lags = watch.lags_s(cluster)
    assert len(lags) >= 4 and max(lags.values()) < 1, lags      # what two proxies promise; some milliseconds in fact
    assert cluster.watcher.road == [(4, None), (4, 0), (4, 1), (3, 1), (3, 2), (2, 2), (2, 3), (1, 3), (1, 4), (0, 4)]
    assert (cluster.watcher.least_ready, cluster.watcher.most_pods) == (4, 5)
    for proxy in both:
        assert proxy.status("my-web")["stable"] == "v2"
        assert wait_until(lambda p=proxy: p.ask().get("x-version"), 5) == "v2"
    for name in ("my-web-v1", "my-web-v2"):
        assert not any(k.startswith("kubectl.kubernetes.io/") for k in annotations(cluster, name))
    assert all("resourceVersion" in w.body["metadata"] for w in cluster.writes() if w.verb == "patch")


def test_the_metrics_and_the_events(cluster, proxies, users):
    """What the cluster says of itself can be seen: in /metrics, in status, in kubectl describe."""
    proxy, = proxies(1)
    users(proxy.address, users=10, rate=100)
    proxy.cli("start", "my-web")
    reach(proxy, "ANALYZING", weight=25)
    page = wait_until(lambda: (lambda m: m.sum("serin_replicas", version="v2", kind="ready") == 1 and m)(proxy.metrics()), 10)
    assert page.sum("serin_replicas", version="v1", kind="wanted") in (3, 4)
    assert page.sum("serin_kubernetes_requests_total", verb="PATCH", code="200") > 3
    versions = {v["name"]: v for v in proxy.status("my-web")["versions"]}
    assert versions["v2"]["workload"] == "rc/my-web-v2" and versions["v2"]["replicas"]["wanted"] == 1
    events = wait_until(lambda: [e for e in cluster.standin.list("events") if e["reason"] == "StepStarted"], 5)
    assert events[0]["involvedObject"]["name"] in ("my-web-v1", "my-web-v2")
    proxy.cli("abort", "my-web")
    reach(proxy, "ABORTED", 40)
    assert cluster.replicas() == (4, 0)


def test_a_bad_canary_goes_and_its_pods_after_it(cluster, proxies, users):
    both = proxies()
    load = [users(p.address, users=20, rate=150) for p in both]
    leader = leader_of(both)
    leader.cli("start", "my-web")
    reach(leader, "ANALYZING", weight=50)
    cluster.shops["v2"].control(errors=50)
    reach(leader, "ABORTED", 60)
    reach(others(both, leader), "ABORTED", 10)
    assert cluster.replicas() == (4, 0)
    assert [u.stop()["v1_failed"] for u in load] == [0, 0]
    assert cluster.watcher.most_pods == 5
    kinds = {(e["type"], e["reason"]) for e in cluster.standin.list("events")}
    assert ("Warning", "RolloutAborted") in kinds and ("Normal", "StableRestored") in kinds


def test_a_revert_needs_no_api_server(cluster, proxies, users):
    """The users go back first; the pods follow when the server is there again."""
    proxy, = proxies(1, rollout={"steps": ["50%"], "hold": "30s"})
    users(proxy.address, users=20, rate=200)
    proxy.cli("start", "my-web")
    reach(proxy, "ANALYZING", weight=50)
    wait_until(lambda: cluster.replicas() == (2, 2), 10)
    cluster.standin.faults.away()
    cluster.shops["v2"].control(errors=50)
    reach(proxy, ("ABORTING", "RESTORING"), 40, weight=0)
    assert cluster.replicas() == (2, 2)
    assert "v1" == proxy.ask().get("x-version")
    cluster.standin.faults.back()
    reach(proxy, "ABORTED", 60)
    assert cluster.replicas() == (4, 0)


def is_ready(proxy):
    return ask(proxy.admin, target="/readyz", host=proxy.admin_host).status == 200


def test_ready_means_that_the_pods_are_known(cluster, serin):
    """A proxy that knows nobody would answer 503 to everyone: it gets no traffic until it does, and keeps it afterwards."""
    cluster.standin.faults.away()
    proxy = serin(cluster.route(), start=False, **cluster.top())
    proxy.start(ready=False)
    wait_until(lambda: "admin_listening" in proxy.log(), 10)
    wait_until(lambda: proxy.status("my-web").get("cluster", {}).get("why"), 10)
    assert not is_ready(proxy) and ask(proxy.admin, target="/healthz", host=proxy.admin_host).status == 200
    cluster.standin.faults.back()
    wait_until(lambda: is_ready(proxy), 20)
    assert proxy.ask().get("x-version") == "v1"
    cluster.standin.faults.away()
    cluster.standin.faults.cut_watches()
    wait_until(lambda: proxy.status("my-web").get("cluster", {}).get("why"), 10)
    assert is_ready(proxy) and proxy.ask().get("x-version") == "v1"


def test_another_takes_over_where_the_leader_dies(cluster, proxies, users):
    both = proxies()
    leader = leader_of(both)
    follower = others(both, leader)
    load = users(follower.address, users=20, rate=200)
    users(leader.address, users=5, rate=50)
    leader.cli("start", "my-web")
    reach(follower, "ANALYZING", weight=50)
    leader.kill()
    assert leader_of([follower]) is follower
    reach(follower, "STABLE", 90)
    assert cluster.replicas() == (0, 4)
    assert load.stop()["failed"] == 0


def test_a_proxy_without_memory_reads_the_objects(cluster, proxies, serin, users):
    """Killed, and its disk with it: the next one goes on where the objects say."""
    proxy, = proxies(1, rollout={"hold": "3s"})
    users(proxy.address, users=20, rate=200)
    proxy.cli("start", "my-web")
    reach(proxy, "ANALYZING", weight=50)
    before = proxy.status("my-web")["rollout_id"]
    proxy.kill()
    after = serin(cluster.route({"hold": "3s"}), **cluster.top())
    users(after.address, users=20, rate=200)
    reach(after, ("ANALYZING", "SCALING", "SHIFTING"), 30, weight=50)
    assert after.status("my-web")["rollout_id"] == before
    reach(after, "STABLE", 90)
    assert cluster.replicas() == (0, 4)


@pytest.mark.parametrize("nth, when", [(1, "answered"), (3, "acted"), (5, "acted"), (8, "answered")])
def test_killed_after_a_write(cluster, proxies, users, nth, when):
    """kill -9 in the moment of a write, answered or not: the same end, and never a pod too few."""
    proxy, = proxies(1, rollout={"steps": ["50%"]})
    users(proxy.address, users=10, rate=150)
    hook = cluster.standin.on_write(nth, lambda entry: proxy.kill(), when, resource="replicationcontrollers")
    proxy.cli("start", "my-web", expect=None)
    wait_until(lambda: proxy.process.poll() is not None, 30, "the kill")
    del hook
    proxy.start()
    users(proxy.address, users=10, rate=150)
    leader_of([proxy])
    status = proxy.status("my-web")
    if status["state"] == "STABLE" and status["stable"] == "v1":
        proxy.cli("start", "my-web")    # killed before anybody heard of it
    wait_until(lambda: proxy.status("my-web")["stable"] == "v2", 90, "the promotion")
    wait_until(lambda: cluster.replicas() == (0, 4), 20)
    assert cluster.watcher.least_ready >= 4 and cluster.watcher.most_pods <= 5


def test_an_autoscaler_is_refused_before_any_write(cluster, proxies):
    proxy, = proxies(1)
    cluster.standin.create("horizontalpodautoscalers", {
        "metadata": {"name": "web"}, "spec": {"maxReplicas": 9, "scaleTargetRef": {
            "apiVersion": "v1", "kind": "ReplicationController", "name": "my-web-v1"}}})
    proxy.cli("start", "my-web")
    wait_until(lambda: "horizontalpodautoscaler web moves rc/my-web-v1" in proxy.status("my-web")["why"], 10)
    assert cluster.writes() == [] and cluster.replicas() == (4, None)
    cluster.standin.delete("horizontalpodautoscalers", "web")
    wait_until(lambda: cluster.replicas()[1] == 1, 30, "the canary's first pod")


def test_pods_that_never_become_ready_end_it(cluster, proxies):
    """A crash-looping image gets nobody, and stable keeps its pods."""
    cluster.write_manifest(manifest(image="my-web:bad"))
    proxy, = proxies(1, rollout={"progress_deadline": "5s"})
    proxy.cli("start", "my-web")
    reach(proxy, "ABORTED", 40)
    assert cluster.replicas() == (4, 0) and cluster.watcher.least_ready == 4
    assert "progress_deadline" in proxy.status("my-web")["why"]


def test_conflicts_and_lost_answers(cluster, proxies, users):
    """Nothing is done twice, and nothing is forgotten."""
    proxy, = proxies(1, rollout={"steps": ["50%"]})
    users(proxy.address, users=10, rate=150)
    faults = cluster.standin.faults
    storm = faults.status(409, times=6, verb="patch", resource="replicationcontrollers")
    lost = faults.drop_answer(times=3, skip=4, verb="write", resource="replicationcontrollers")
    proxy.cli("start", "my-web")
    wait_until(lambda: proxy.status("my-web")["stable"] == "v2", 120, "the promotion")
    wait_until(lambda: cluster.replicas() == (0, 4), 20)
    assert storm.hits == 6 and lost.hits == 3
    assert (cluster.watcher.least_ready, cluster.watcher.most_pods) == (4, 5)


def test_undo_brings_the_old_pods_back(cluster, proxies, users):
    proxy, = proxies(1, rollout={"steps": ["50%"]})
    load = users(proxy.address, users=10, rate=150)
    proxy.cli("start", "my-web")
    wait_until(lambda: proxy.status("my-web")["stable"] == "v2" and cluster.replicas() == (0, 4), 90)
    reach(proxy, "STABLE", 20)
    proxy.cli("undo", "my-web")
    wait_until(lambda: proxy.status("my-web")["stable"] == "v1" and cluster.replicas() == (4, 0), 60)
    assert load.stop()["failed"] == 0


def test_a_manifest_that_cannot_be_is_told_by_check(cluster, serin):
    proxy = serin(cluster.route(), start=False, **cluster.top())
    cluster.write_manifest({**manifest(), "kind": "Deployment"})
    done = run_serin("check", "-c", proxy.file)
    assert done.returncode == 78
    assert "kind is Deployment (expected ReplicationController)" in done.stderr
    wrong = manifest()
    wrong["metadata"]["name"] = "other"
    cluster.write_manifest(wrong)
    done = run_serin("check", "-c", proxy.file)
    assert done.returncode == 78
    assert "metadata.name is other (expected my-web-v2)" in done.stderr
    assert "routes[0].versions.v2.manifest" in done.stderr


def test_rolling_update_hands_over_to_the_proxy(cluster, proxies, users):
    """The command starts the rollout and follows it; --rollback afterwards is the way back."""
    proxy, = proxies(1, rollout={"steps": ["50%"]})
    load = users(proxy.address, users=10, rate=150)
    said = proxy.cli("rolling-update", "my-web-v1", "-f", cluster.manifest_file, "--route", "my-web",
                     "--kubeconfig", cluster.kubeconfig_file)
    assert "my-web" in said and cluster.replicas() == (0, 4)
    proxy.cli("rolling-update", "my-web-v1", "my-web-v2", "--rollback", "--route", "my-web",
              "--kubeconfig", cluster.kubeconfig_file)
    wait_until(lambda: cluster.replicas() == (4, 0) and proxy.status("my-web")["stable"] == "v1", 30)
    assert load.stop()["failed"] == 0
    other = manifest(image="my-web:other")
    cluster.write_manifest(other)
    done = proxy.cli("rolling-update", "my-web-v1", "-f", cluster.manifest_file, "--route", "my-web",
                     "--kubeconfig", cluster.kubeconfig_file, expect=None)
    assert done.returncode == 1 and "another template than the manifest of route my-web" in done.stderr


def test_another_manifest_in_mid_rollout(cluster, proxies, users):
    """A new template under the same name is a new version: the old one goes, the new one starts anew."""
    proxy, = proxies(1, rollout={"steps": ["50%"], "hold": "4s"})
    users(proxy.address, users=10, rate=150)
    proxy.cli("start", "my-web")
    reach(proxy, "ANALYZING", weight=50)
    first = cluster.standin.get("replicationcontrollers", "my-web-v2")["metadata"]["uid"]
    cluster.write_manifest(manifest(image="my-web:v2b"))
    proxy.cli("reload")
    wait_until(lambda: proxy.status("my-web")["stable"] == "v2" and cluster.replicas() == (0, 4), 90)
    now = cluster.standin.get("replicationcontrollers", "my-web-v2")
    assert now["metadata"]["uid"] != first
    assert now["spec"]["template"]["spec"]["containers"][0]["image"] == "my-web:v2b"


def test_deployments_are_workloads_too(cluster, serin, users):
    """Two deployments, and a canary without a manifest: it is there already, with no pods."""
    def deployment(version, replicas):
        labels = {"app": "shop", "version": version}
        return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": f"shop-{version}"},
                "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": {
                    "metadata": {"labels": labels}, "spec": {"containers": [{"name": "shop", "image": f"shop:{version}"}]}}}}
    for version, replicas in (("v1", 3), ("v2", 0)):
        cluster.standin.create("deployments", deployment(version, replicas))
    cluster.standin.settle("shop-v1", "deployments")
    route = cluster.route({"steps": ["33%"], "replicas": {"mode": "capacity", "cleanup": "delete"}})
    for version in ("v1", "v2"):
        route["versions"][version] = {"workload": f"deployment/shop-{version}", "port": cluster.port(version)}
    proxy = serin(route, **cluster.top())
    leader_of([proxy])
    wait_until(lambda: proxy.ask().get("x-version") == "v1", 10)
    load = users(proxy.address, users=10, rate=150)
    proxy.cli("start", "my-web")
    reach(proxy, "ANALYZING", weight=33)
    assert cluster.standin.replicas_of("shop-v1", "deployments")[0] == 3
    assert cluster.standin.replicas_of("shop-v2", "deployments")[0] == 2   # 3 * 33% * 1.2, rounded up
    wait_until(lambda: proxy.status("my-web")["stable"] == "v2", 60)
    wait_until(lambda: cluster.standin.get("deployments", "shop-v1") is None, 10, "the old one deleted")
    assert cluster.standin.replicas_of("shop-v2", "deployments") == (3, 3, 3)
    assert load.stop()["failed"] == 0
