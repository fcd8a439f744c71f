"""A cluster for end-to-end tests: the stand-in of an API server, the demo's application behind every pod's address, and
one or two serins before it.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import sys
import threading
import time

from rig import wait_until

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "kube"))
from standin import StandIn  # noqa: E402

NAMES = {"v1": "my-web-v1", "v2": "my-web-v2"}


def manifest(version="v2", image=None):
    """The scenario's controller, without a number of replicas."""
    labels = {"app": "my-web", "version": version}
    return {"apiVersion": "v1", "kind": "ReplicationController", "metadata": {"name": NAMES[version]},
            "spec": {"selector": labels, "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "my-web", "image": image or f"my-web:{version}",
                                         "ports": [{"containerPort": 80}]}]}}}}


class Watcher:
    """Looks at the pods after every change, and keeps the least and the most that there ever were."""

    def __init__(self, standin):
        self.standin, self.ended = standin, False
        self.least_ready, self.most_pods, self.road = 10 ** 6, 0, []
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()

    def watch(self):
        store = self.standin.store
        with store.lock:
            while not self.ended:
                self.look()
                store.moved.wait(0.1)

    def look(self):
        wanted = [self.standin.replicas_of(name) for name in NAMES.values()]
        pods = [p for p in self.standin.list("pods")
                if "deletionTimestamp" not in p["metadata"] and p["metadata"]["labels"].get("app") == "my-web"]
        ready = sum(any(c["type"] == "Ready" and c["status"] == "True" for c in p["status"].get("conditions") or [])
                    for p in pods)
        self.least_ready, self.most_pods = min(self.least_ready, ready), max(self.most_pods, len(pods))
        step = tuple(w[0] if w else None for w in wanted)
        if not self.road or self.road[-1] != step:
            self.road.append(step)

    def stop(self):
        self.ended = True
        self.thread.join(5)


class Cluster:
    """my-web-v1 with four pods, and what it takes to run serin before it."""

    def __init__(self, folder, shop, standin=None, replicas=4):
        self.folder = folder
        self.standin = standin or StandIn()
        self.shops = {v: shop(v, "0.0.0.0") for v in NAMES}    # pods have addresses of their own in 127.64.0.0/10
        self.manifest_file = os.path.join(folder, "my-web-v2-rc.yaml")
        self.kubeconfig_file = os.path.join(folder, "kubeconfig")
        self.write_manifest(manifest())
        self.standin.kubeconfig(self.kubeconfig_file)
        self.standin.rc("my-web-v1", replicas)
        self.standin.settle("my-web-v1")
        self.watcher = Watcher(self.standin)

    def write_manifest(self, obj):
        with open(self.manifest_file, "w") as f:
            json.dump(obj, f)

    def port(self, version):
        return int(self.shops[version].address.rpartition(":")[2])

    def route(self, rollout=None, **more):
        return {"name": "my-web", "stable": "v1", "canary": "v2",
                "versions": {"v1": {"workload": "rc/my-web-v1", "port": self.port("v1")},
                             "v2": {"workload": "rc/my-web-v2", "port": self.port("v2"), "manifest": self.manifest_file}},
                "rollout": {"steps": ["25%", "50%", "75%"], "hold": "1s", "bake": "1s", "min_requests": 20, "harm_budget": "5%",
                            "checks": {"latency": {"warmup": "10m"}}, **(rollout or {})}, **more}

    def top(self, **more):
        """The part of the configuration beside the routes."""
        return {"kubernetes": {"kubeconfig": self.kubeconfig_file, "lease_duration": "3s"}, **more}

    def replicas(self):
        """(wanted of v1, wanted of v2); None where it is not there."""
        return tuple(r and r[0] for r in (self.standin.replicas_of(n) for n in NAMES.values()))

    def record(self, version):
        """The record on an object, or None."""
        obj = self.standin.get("replicationcontrollers", NAMES[version])
        text = ((obj or {}).get("metadata", {}).get("annotations") or {}).get("serin.io/rollout")
        return text and json.loads(text)

    def writes(self):
        return self.standin.writes(resource="replicationcontrollers")

    def stop(self):
        self.watcher.stop()
        self.standin.stop()


class Follower:
    """When a proxy has which weight, beside when an object was written with it."""

    def __init__(self, proxy):
        self.proxy, self.ended, self.since = proxy, False, {}
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()

    def watch(self):
        while not self.ended:
            self.since.setdefault(self.proxy.status("my-web")["weight"]["intended"], time.monotonic())
            time.sleep(0.005)

    def lags_s(self, cluster):
        """Seconds from the request that wrote a weight to the moment in which the proxy has it."""
        self.ended = True
        self.thread.join(5)
        written = {}
        for w in cluster.writes():
            record = json.loads(((w.body or {}).get("metadata", {}).get("annotations") or {}).get("serin.io/rollout") or "{}")
            if w.status == 200 and record.get("weight_desired"):
                written.setdefault(record["weight_desired"] / 100, w.at)
        return {weight: self.since[weight] - at for weight, at in written.items() if weight in self.since}


def leader_of(proxies):
    """The one that decides."""
    def find():
        leading = [p for p in proxies if p.process and p.status("my-web").get("cluster", {}).get("standing") == "leads"]
        return leading[0] if len(leading) == 1 else None
    return wait_until(find, 20, "one leader")


def reach(proxy, state, seconds=60, weight=None):
    """Waits until the rollout is in this state (one of them), with this weight where it is given."""
    states = (state,) if isinstance(state, str) else state

    def is_there():
        status = proxy.status("my-web")
        return status["state"] in states and (weight is None or status["weight"]["intended"] == weight) and status
    return wait_until(is_there, seconds, f"{states} at {weight} %")
