"""A small, strict stand-in of a Kubernetes API server with its controllers: StandIn for tests, or a process of its own.

SPDX-License-Identifier: Apache-2.0

See README.md beside this file for what it does and how tests drive it.
"""
import argparse
import os
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from kubeapi import access, api, controllers, deletes, deployments, faults, kinds, log, pods, scheduler, server, \
    store, yamlish  # noqa: E402


class Options:
    """Times in seconds. controller_s: a change until its controller acts (real: about 10 ms)."""

    def __init__(self, **given):
        self.controller_s, self.garbage_s = 0.005, 0.01
        self.bind_s, self.start_s, self.ready_after_s, self.grace_s = 0.002, 0.003, 0.02, 0.05
        self.future_wait_s = 0.2    # how long a read of a future version waits; a real server waits 3 s
        self.second_s = 1.0         # how long a second of a watch's timeoutSeconds takes
        self.strict = False         # without credentials: everything (as kubectl proxy), or strict: system:anonymous
        self.seed = None            # of generated names
        for name, value in given.items():
            if not hasattr(self, name):
                raise TypeError(f"no such option: {name}")
            setattr(self, name, value)


class StandIn:
    """An API server on a loopback port, until stop() or the end of a with block."""

    def __init__(self, port=0, tls=None, **options):
        """tls: an access.Certificates, whose server certificate is shown and whose authority's clients are known."""
        self.options, self.tls = Options(**options), tls
        self.store, self.log = store.Store(), log.Log()
        self.api = api.Api(self.store, self.options, self.log)
        self.auth = self.api.auth
        self.scheduler = scheduler.Scheduler(self.store.lock)
        self.pods = pods.Pods(self.store, self.scheduler, self.options)
        self.replicas = controllers.Replicas(self.api, self.scheduler, self.options)
        self.deployments = deployments.Deployments(self.api, self.scheduler, self.options, self.replicas)
        self.garbage = controllers.Garbage(self.api, self.scheduler, self.options)
        self.faults = self.api.faults = faults.Faults(self)
        self.asides = []
        if tls:
            self.auth.issuer = tls.issuer
        self.server = server.Server(self, self.api, port, tls.context() if tls else None)
        self.port = self.server.port
        self.address = f"127.0.0.1:{self.port}"
        self.url = f"{'https' if tls else 'http'}://{self.address}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Ends everything. AssertionError where a controller had failed."""
        self.log.release()
        self.api.stop()
        self.server.stop()
        self.scheduler.stop()
        if self.scheduler.failures:
            raise AssertionError("a controller of the stand-in failed:\n" + self.scheduler.failures[0])

    def aside(self, work):
        """Runs what must not hold the store's lock."""
        thread = threading.Thread(target=work, daemon=True)
        self.asides.append(thread)
        thread.start()

    # Objects, as a test sees and makes them: without a request, a log entry or a permission.

    def get(self, plural, name, namespace="default"):
        """An object of this plural ("replicationcontrollers", "leases", ...), or None. Not to be changed."""
        return self.store.get(self._resource(plural).key, None if plural == "namespaces" else namespace, name)

    def list(self, plural, namespace="default"):
        with self.store.lock:
            return self.store.list(self._resource(plural).key, None if plural == "namespaces" else namespace)

    def create(self, plural, obj, namespace="default"):
        """Creates an object from a dict or YAML text, defaulted and checked as a POST."""
        obj = yamlish.load(obj) if isinstance(obj, str) else obj
        return self.api.make(self._resource(plural), {"metadata": {}, **obj}, namespace)

    def change(self, plural, name, change, namespace="default"):
        """Stores change(obj), a changed copy, as somebody else's write: resourceVersion and generation move."""
        with self.store.lock:
            resource = self._resource(plural)
            old = self.store.get(resource.key, namespace, name)
            obj = change(old)
            if resource.generation and obj.get("spec") != old.get("spec"):
                obj = store.changed(obj, generation=old["metadata"]["generation"] + 1)
            return self.store.put(resource.key, obj)

    def scale(self, name, replicas, plural="replicationcontrollers", namespace="default"):
        """Somebody scales by hand."""
        return self.change(plural, name, lambda o: {**o, "spec": {**o["spec"], "replicas": replicas}}, namespace)

    def delete(self, plural, name, namespace="default", policy="Background"):
        with self.store.lock:
            resource = self._resource(plural)
            deletes.delete(self.api, self.store.get(resource.key, namespace, name), resource, policy)

    @staticmethod
    def _resource(plural):
        return next(r for r in kinds.RESOURCES if r.plural == plural)

    def rc(self, name, replicas=1, version=None, image=None, namespace="default", annotations=None, app="my-web"):
        """Makes the scenario's ReplicationController: labels app and version (of the name's end, by default)."""
        version = version or name.rsplit("-", 1)[-1]
        labels = {"app": app, "version": version}
        template = {"metadata": {"labels": labels, **({"annotations": annotations} if annotations else {})},
                    "spec": {"containers": [{"name": app, "image": image or f"{app}:{version}",
                                             "ports": [{"containerPort": 80, "protocol": "TCP"}]}]}}
        return self.create("replicationcontrollers", {"metadata": {"name": name}, "spec": {
            "replicas": replicas, "selector": labels, "template": template}}, namespace)

    def replicas_of(self, name, plural="replicationcontrollers", namespace="default"):
        """(wanted, there, ready) of a controller; None where it is not."""
        obj = self.get(plural, name, namespace)
        status = (obj or {}).get("status") or {}
        return obj and (obj["spec"]["replicas"], status.get("replicas", 0), status.get("readyReplicas", 0))

    def pods_of(self, name, namespace="default"):
        """The pods that a controller owns, terminating ones too."""
        return [p for p in self.list("pods", namespace)
                if any(r["name"] == name for r in p["metadata"].get("ownerReferences") or [])]

    def wait(self, ready, timeout_s=10, what="the state"):
        """Waits until ready() is true, looking after every change of an object."""
        deadline = time.monotonic() + timeout_s
        with self.store.lock:
            while not ready():
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"{what} did not come within {timeout_s} s\n" + "\n".join(self.scheduler.failures))
                self.store.moved.wait(min(left, 0.1))

    def settle(self, name, plural="replicationcontrollers", namespace="default", timeout_s=10):
        """Waits until a controller has as many ready pods as it wants, and has said so."""
        def ready():
            obj = self.get(plural, name, namespace)
            if obj is None:
                return False
            wanted, there, up = self.replicas_of(name, plural, namespace)
            return wanted == there == up and obj["status"].get("observedGeneration") == obj["metadata"]["generation"]
        self.wait(ready, timeout_s, f"{name} with all its pods ready")

    def rest(self, timeout_s=10):
        """Waits until controllers and pods have done everything that they will do by themselves. A status alone may not tell:
        a controller observes a new generation before it counts the pods that this makes or ends."""
        self.wait(self.scheduler.is_idle, timeout_s, "rest")

    # What was asked.

    def requests(self, **wanted):
        return self.log.requests(**wanted)

    def writes(self, **wanted):
        """Changes that were asked for, without those of leases and events (leases=True, events=True for these)."""
        return self.log.writes(**wanted)

    def on_write(self, n, call=None, when="answered", **wanted):
        """Calls call(entry) at the n-th write that was done from now on, leases and events not counted: when "acted" before
        its answer, "answered" right after it. Without call the write blocks there until release() of the hook returned."""
        return self.log.hook(n, call, when, wanted)

    # How clients get here.

    def kubeconfig(self, path, **what):
        return access.kubeconfig(self, path, **what)

    def service_account(self, folder, token, namespace="default"):
        return access.service_account(self, folder, token, namespace)

    def limit_pods(self, most, namespace="default"):
        """As a quota: controllers cannot make more pods. None: no limit."""
        with self.store.lock:
            self.api.limits[namespace] = most


def arguments():
    parser = argparse.ArgumentParser(
        formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__.split("\n")[0],
        epilog="Prints its address and serves until it is ended.\n\nExamples:\n"
               "  standin.py --port 0 --kubeconfig /tmp/kubeconfig\n"
               "  standin.py --load my-web-v1-rc.yaml &\n"
               "  curl -d '{\"act\": \"status\", \"code\": 409, \"times\": 3, \"match\": {\"verb\": \"update\"}}' "
               "http://127.0.0.1:PORT/standin/faults")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default 0: a free one)")
    parser.add_argument("--tls", metavar="DIR", help="HTTPS; the authority and certificates are made in this folder")
    parser.add_argument("--token", action="append", default=[], metavar="TOKEN[=USER]",
                        help="a good bearer token (default user: admin, who may do everything)")
    parser.add_argument("--strict", action="store_true", help="without credentials one is system:anonymous")
    parser.add_argument("--rbac", metavar="FILE", help="Roles and bindings to enforce")
    parser.add_argument("--load", action="append", default=[], metavar="FILE", help="manifests to create at the start")
    parser.add_argument("--kubeconfig", metavar="FILE", help="write a kubeconfig here")
    parser.add_argument("--ready-after", type=float, default=0.02, metavar="S", help="seconds until a pod is ready")
    return parser.parse_args()


def main():
    given = arguments()
    tls = access.Certificates(given.tls) if given.tls else None
    standin = StandIn(given.port, tls, strict=given.strict, ready_after_s=given.ready_after)
    for item in given.token:
        token, _, user = item.partition("=")
        standin.auth.token(token, user or "admin")
    if given.rbac:
        with open(given.rbac, encoding="utf-8") as f:
            standin.auth.load(f.read())
    for path in given.load:
        with open(path, encoding="utf-8") as f:
            for obj in yamlish.load_all(f.read()):
                resource = next(r for r in kinds.RESOURCES if r.kind == obj["kind"])
                standin.create(resource.plural, obj, obj["metadata"].get("namespace", "default"))
    if given.kubeconfig:
        standin.kubeconfig(given.kubeconfig, token=given.token[0].split("=")[0] if given.token else None)
    print(standin.url, flush=True)
    end = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: end.set())
    end.wait()
    standin.stop()


if __name__ == "__main__":
    main()
