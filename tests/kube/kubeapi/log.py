"""The request log, and hooks on writes: what a client did, and the places where a test stops it.

SPDX-License-Identifier: Apache-2.0
"""
import threading
import time

from .faults import matches

SIZED = ("replicationcontrollers", "replicasets", "deployments", "pods", "services", "namespaces")


class Entry:
    """One request. status is None until it was answered (or where it never was); fault names the rule that struck."""

    def __init__(self, number, request):
        self.n, self.at, self.method, self.target = number, time.monotonic(), request.method, request.target
        self.path, self.query, self.verb = request.path, request.query, request.verb
        self.group, self.resource, self.subresource = request.group, request.plural, request.subresource
        self.namespace, self.name, self.writes = request.namespace, request.name, request.writes
        self.agent = request.headers.get("user-agent", "")
        self.status = self.user = self.body = self.fault = None

    @property
    def what(self):
        """"patch replicationcontrollers/scale my-web-v1": the line that tests compare."""
        sub = f"/{self.subresource}" if self.subresource else ""
        return f"{self.verb} {self.resource}{sub} {self.name}" if self.name else f"{self.verb} {self.resource or self.path}{sub}"

    def seen(self):
        return {**{k: v for k, v in vars(self).items() if k != "at"}, "what": self.what}

    def __repr__(self):
        return f"<{self.n}: {self.what} -> {self.status}{' ' + self.fault if self.fault else ''} {self.body or ''}>"


class Hook:
    """Calls something at the n-th write that was done, or blocks it there: reached is set, release() lets go."""

    def __init__(self, owner, n, call, when, wanted):
        self.owner, self.left, self.call, self.when, self.wanted = owner, n, call, when, wanted
        self.reached, self.released = threading.Event(), threading.Event()
        self.entry = None

    def release(self):
        self.released.set()

    def strike(self, entry):
        self.entry = entry
        self.reached.set()
        if self.call:
            self.call(entry)
        else:
            self.released.wait(self.owner.longest_s)


class Log:
    """All requests in their order; condition moves with each."""

    longest_s = 30  # a blocked answer goes on by itself after this

    def __init__(self):
        self.entries, self.moved, self.hooks, self.count = [], threading.Condition(), [], 0

    def add(self, request):
        with self.moved:
            self.count += 1
            entry = Entry(self.count, request)
            self.entries.append(entry)
            self.moved.notify_all()
            return entry

    def answered(self, entry, request, status):
        with self.moved:
            entry.status, entry.body = status, request.data if request.data is not None else entry.body
            self.moved.notify_all()

    def clear(self):
        with self.moved:
            self.entries.clear()

    def requests(self, **wanted):
        """Entries by verb, resource ("replicationcontrollers" or with "/scale"), name, status, method, user ..."""
        def has(entry):
            for key, want in wanted.items():
                have = [getattr(entry, key)]
                if key == "resource":
                    have.append(f"{entry.resource}/{entry.subresource or ''}")
                if want not in have:
                    return False
            return True
        with self.moved:
            return [e for e in self.entries if has(e)]

    def writes(self, leases=False, events=False, **wanted):
        """Entries of changes that were asked for, done or not; leases and events only if wanted."""
        return [e for e in self.requests(**wanted) if e.writes and (leases or e.resource != "leases")
                and (events or e.resource != "events")]

    def wait(self, ready, timeout_s=10):
        """Waits until ready(entries) is true; AssertionError with the log where it never is."""
        with self.moved:
            if not self.moved.wait_for(lambda: ready(self.entries), timeout_s):
                raise AssertionError("no such request came:\n" + "\n".join(map(repr, self.entries[-40:])))

    def hook(self, n, call, when, wanted):
        if when not in ("acted", "answered"):
            raise ValueError('when is "acted" (done, not answered yet) or "answered"')
        hook = Hook(self, n, call, when, {"resource": SIZED, **wanted})
        with self.moved:
            self.hooks.append(hook)
        return hook

    def due(self, request, status):
        """The hooks that a write reaches; each counts the write once."""
        if not request.writes or not 200 <= status < 300:
            return []
        with self.moved:
            hit = []
            for hook in list(self.hooks):
                if matches(hook.wanted, request):
                    hook.left -= 1
                    if hook.left == 0:
                        self.hooks.remove(hook)
                        hit.append(hook)
            return hit

    def release(self):
        """Lets everything go that a hook holds, for the end."""
        with self.moved:
            self.longest_s = 0
            for hook in self.hooks:
                hook.release()
