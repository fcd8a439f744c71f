"""Runs serin rolling-update against the stand-in, kills it at a write, and watches over the pods meanwhile.

SPDX-License-Identifier: Apache-2.0
"""
import contextlib
import os
import re
import signal
import subprocess

from standin import StandIn

HERE = os.path.dirname(os.path.abspath(__file__))
SERIN = os.environ.get("SERIN", os.path.join(HERE, "..", "..", "build", "dev", "serin"))
GOLDEN = os.path.join(HERE, "..", "fixtures", "kubernetes", "rolling_update_golden.txt")
FAST = ("--update-period=0s", "--poll-interval=20ms", "--timeout=10s")
LIMIT_S = 30    # a run that hangs fails its test by this

MANIFEST = """apiVersion: v1
kind: ReplicationController
metadata:
  name: {name}
spec:
  selector:
    app: my-web
    version: {version}
  template:
    metadata:
      labels:
        app: my-web
        version: {version}
    spec:
      containers:
      - name: my-web
        image: {image}
        ports:
        - containerPort: 80
          protocol: TCP
"""


def golden(title):
    """The lines of standard output of a recorded command, "v1.0.1/seed 1"."""
    with open(GOLDEN, encoding="utf-8") as f:
        block = f.read().split(f"== {title}\n", 1)[1].split("\n== ", 1)[0]
    return [line for line in block.rstrip("\n").split("\n")[1:] if not line.startswith(("2| ", "-- "))]


class Watch:
    """Looks at every change: how few pods were available, how many were wanted and there."""

    def __init__(self, standin):
        self.standin, self.least, self.most_wanted, self.most_pods = standin, 10 ** 9, 0, 0
        standin.store.listeners.append(self.look)
        self.look(None)

    def look(self, _):
        with self.standin.store.lock:
            pods = [p for p in self.standin.list("pods") if not p["metadata"].get("deletionTimestamp")]
            wanted = sum(rc["spec"]["replicas"] for rc in self.standin.list("replicationcontrollers"))
        ready = sum(any(c["type"] == "Ready" and c["status"] == "True" for c in p.get("status", {}).get("conditions") or [])
                    for p in pods)
        self.least = min(self.least, ready)
        self.most_wanted, self.most_pods = max(self.most_wanted, wanted), max(self.most_pods, len(pods))

    def end(self):
        self.standin.store.listeners.remove(self.look)


class Rig:
    """One cluster with its kubeconfig and files."""

    def __init__(self, folder, replicas=4, **options):
        self.folder, self.standin, self.started = str(folder), StandIn(**options), []
        self.config = os.path.join(self.folder, "kubeconfig")
        self.standin.kubeconfig(self.config)
        if replicas is not None:
            self.standin.rc("my-web-v1", replicas)
            self.standin.settle("my-web-v1")
        self.v2 = self.file("my-web-v2-rc.yaml")
        self.watch = Watch(self.standin)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.communicate()
        self.watch.end()
        self.standin.stop()

    def file(self, name, text=None, version="v2", image=None, controller=None):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text if text is not None else MANIFEST.format(
                name=controller or f"my-web-{version}", version=version, image=image or f"my-web:{version}"))
        return path

    def start(self, *words, fast=FAST, stdin=None):
        process = subprocess.Popen([SERIN, "rolling-update", *words, "--kubeconfig", self.config, *fast], text=True,
                                   stdin=stdin or subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.started.append(process)
        return process

    def run(self, *words, code=0, **more):
        """Standard output's lines and standard error; the exit code is as expected."""
        process = self.start(*words, **more)
        out, err = process.communicate(timeout=LIMIT_S)
        assert process.returncode == code, f"exit {process.returncode}, not {code}\n{out}\n{err}"
        return out.splitlines(), err

    def killed_at(self, n, *words, **more):
        """Runs it until its n-th write has been done, and kills it before it knows. The lines until then; None where it ended
        before."""
        hook = self.standin.on_write(n, when="acted")
        process = self.start(*words, **more)
        while not hook.reached.wait(0.01):
            if process.poll() is not None:
                with self.standin.log.moved, contextlib.suppress(ValueError):
                    self.standin.log.hooks.remove(hook)
                process.communicate()
                return None
        process.kill()
        out, _ = process.communicate(timeout=LIMIT_S)
        hook.release()
        return out.splitlines()

    def interrupted_at(self, n, *words, number=signal.SIGINT):
        """The same by a signal that it may answer: (lines, standard error, exit code)."""
        hook = self.standin.on_write(n, when="acted")
        process = self.start(*words)
        assert hook.reached.wait(LIMIT_S)
        process.send_signal(number)
        hook.release()
        out, err = process.communicate(timeout=LIMIT_S)
        return out.splitlines(), err, process.returncode

    def rc(self, name):
        return self.standin.get("replicationcontrollers", name)

    def size(self, name):
        got = self.standin.replicas_of(name)
        return got and got[0]

    def annotations(self, name):
        """Without serin's own."""
        all_of_it = self.rc(name)["metadata"].get("annotations") or {}
        return {k.split("/")[-1]: v for k, v in all_of_it.items() if not k.startswith("serin.io/")}

    def images(self):
        """Of the pods that stay."""
        return sorted(p["spec"]["containers"][0]["image"] for p in self.standin.list("pods")
                      if not p["metadata"].get("deletionTimestamp"))

    def what(self):
        return [e.what for e in self.standin.writes() if e.status < 300]

    def check_writes(self):
        """Every write depends on a version that was read; a creation has none."""
        for e in self.standin.writes():
            if e.verb == "create":
                assert "resourceVersion" not in e.body["metadata"], e
            elif e.verb == "delete":
                assert e.body["preconditions"]["resourceVersion"], e
            else:
                assert e.body["metadata"]["resourceVersion"], e


def without_names(lines):
    """Generated names as <new>."""
    return [re.sub(r"my-web-v1-[0-9a-f]{16,32}", "<new>", line) for line in lines]
