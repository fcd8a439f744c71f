"""The objects, their history and everyone who waits for a change: what etcd and the watch cache are to a real server.

SPDX-License-Identifier: Apache-2.0

Objects are never changed after they were stored: whoever wants a change stores a changed copy. That is why reads,
events and old versions are references. Everything happens under one lock, which is reentrant.
"""
import bisect
import threading
import uuid
from collections import namedtuple

FIRST_VERSION = 400     # like a young cluster's; watches from before it get 410

Event = namedtuple("Event", "version type key obj before")  # obj: the state now (DELETED: the last one, version moved on)


def changed(obj, **metadata):
    """A shallow copy of an object with metadata of its own, and these entries in it (None removes)."""
    meta = dict(obj["metadata"])
    for name, value in metadata.items():
        if value is None:
            meta.pop(name, None)
        else:
            meta[name] = value
    return {**obj, "metadata": meta}


class Store:
    """Objects by (group, plural) and (namespace, name); every write has a version of its own and is an event."""

    def __init__(self):
        self.lock = threading.RLock()
        self.moved = threading.Condition(self.lock)  # after every write, and to wake watches
        self.version = FIRST_VERSION
        self.objects, self.events, self.listeners = {}, [], []
        self.compacted = 0              # lists of exactly an older version are 410
        self.floor = FIRST_VERSION      # watches from an older version are 410
        self.floors = {}                # the same of one resource, after a restart
        self.newest = {}                # version of each resource's last change

    def of(self, key):
        return self.objects.setdefault(key, {})

    def get(self, key, namespace, name):
        return self.of(key).get((namespace, name))

    def put(self, key, obj):
        """Stores an object under its metadata and returns it as stored, with its version (and uid, when it is new)."""
        with self.lock:
            meta = obj["metadata"]
            where = (meta.get("namespace"), meta["name"])
            before = self.of(key).get(where)
            self.version += 1
            obj = changed(obj, resourceVersion=str(self.version), uid=meta.get("uid") or str(uuid.uuid4()))
            self.of(key)[where] = obj
            self._event("MODIFIED" if before else "ADDED", key, obj, before)
            return obj

    def remove(self, key, obj):
        """Removes an object; watches see its last state with a version of its own."""
        with self.lock:
            where = (obj["metadata"].get("namespace"), obj["metadata"]["name"])
            before = self.of(key).pop(where)
            self.version += 1
            obj = changed(obj, resourceVersion=str(self.version))
            self._event("DELETED", key, obj, before)
            return obj

    def _event(self, kind, key, obj, before):
        event = Event(self.version, kind, key, obj, before)
        self.events.append(event)
        self.newest[key] = self.version
        for listener in self.listeners:
            listener(event)
        self.moved.notify_all()

    def list(self, key, namespace=None):
        """The objects of a resource in the order of a real list (namespace, name)."""
        found = self.of(key)
        return [found[w] for w in sorted(found, key=lambda w: (w[0] or "", w[1])) if namespace is None or w[0] == namespace]

    def list_at(self, key, namespace, version):
        """The list as it was at a version: what happened since is undone."""
        found = dict(self.of(key))
        for event in reversed(self.events):
            if event.version <= version:
                break
            if event.key == key:
                where = (event.obj["metadata"].get("namespace"), event.obj["metadata"]["name"])
                found.pop(where, None)
                if event.before is not None:
                    found[where] = event.before
        return [found[w] for w in sorted(found, key=lambda w: (w[0] or "", w[1])) if namespace is None or w[0] == namespace]

    def since(self, version):
        """Index of the first event after a version."""
        return bisect.bisect_right(self.events, version, key=lambda e: e.version)

    def floor_of(self, key):
        return max(self.floor, self.floors.get(key, 0))

    def expire(self):
        """Forgets the history: watches and exact lists of older versions get 410 from now on."""
        with self.lock:
            self.version += 1  # so that even a client that saw everything is too old
            self.compacted = self.floor = self.version

    def restart(self):
        """The watch cache starts empty: what is older than a resource's newest change is 410."""
        with self.lock:
            self.floors.update(self.newest)
