"""Watches: what is there, what changes, bookmarks, the end; and what faults make of them.

SPDX-License-Identifier: Apache-2.0
"""
import select
import time

from . import convert, jsonish, tables
from .errors import bad_request, expired
from .lists import form_of, matcher, version_of
from .request import Answer
from .store import changed

BOOKMARK_BEFORE_END_S, BOOKMARK_EVERY_S = 1.5, 60.0
LONGEST_S = 1800
LOOK_S = 0.5    # how often an idle watch looks whether its client is still there


def timeout_of(request):
    text = request.query.get("timeoutSeconds", "")
    if text and not text.lstrip("-").isdigit():
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    return int(text or 0) if int(text or 0) > 0 else LONGEST_S


class Watch:
    """One open watch. ended, cut and bookmark are set by others, under the store's lock."""

    def __init__(self, api, request, resource):
        self.api, self.request, self.resource = api, request, resource
        self.match, self.form = matcher(request, resource), form_of(request)
        self.version = version_of(request)
        self.bookmarks = request.query.get("allowWatchBookmarks") in ("1", "true", "True")
        second = api.options.second_s
        seconds = timeout_of(request) * second
        self.started = time.monotonic()
        self.ends = self.started + seconds
        self.next_bookmark = min(self.started + BOOKMARK_EVERY_S * second, self.ends - BOOKMARK_BEFORE_END_S * second)
        if seconds <= BOOKMARK_BEFORE_END_S * second:
            self.next_bookmark = float("inf")
        self.cut = self.want_bookmark = False   # cut: "clean" ends with the last chunk, "abrupt" without it
        self.limit, self.sent, self.cut_clean = None, 0, False  # a fault may end the watch after so many events

    def shown(self, obj):
        obj = convert.to_version(obj, self.resource)
        if self.form == "partial":
            return tables.partial(obj)
        if self.form == "table":
            return tables.table([obj], self.resource, {"resourceVersion": obj["metadata"]["resourceVersion"]},
                                self.request.query.get("includeObject"))
        return obj

    def line(self, kind, obj):
        return jsonish.dumps({"type": kind, "object": obj}).encode() + b"\n"

    def seen(self, event):
        """The line of an event for this watch's selector, or None."""
        if event.key != self.resource.key:
            return None
        if self.request.where and event.obj["metadata"].get("namespace") != self.request.where:
            return None
        before = event.before is not None and self.match(event.before)
        after = event.type != "DELETED" and self.match(event.obj)
        if after:
            return self.line("MODIFIED" if before else "ADDED", self.shown(event.obj))
        if before:
            last = event.obj if event.type == "DELETED" else \
                changed(event.before, resourceVersion=event.obj["metadata"]["resourceVersion"])
            return self.line("DELETED", self.shown(last))
        return None

    def bookmark(self):
        meta = {"resourceVersion": str(self.api.store.version), "creationTimestamp": None}
        empty = {"replicas": 0} if self.resource.kind in ("ReplicationController", "ReplicaSet") else {}
        return self.line("BOOKMARK", {"kind": self.resource.kind, "apiVersion": self.resource.api_version, "metadata": meta,
                                      **({"spec": empty, "status": empty} if self.resource.generation else {})})

    def error(self, e):
        return self.line("ERROR", e.status())

    def begin(self):
        """Takes what is there; whatever changes after this is seen."""
        store = self.api.store
        with store.lock:
            self.api.watches.add(self)
            self.at, floor = int(self.version or 0), store.floor_of(self.resource.key)
            self.first, self.old = [], self.at and self.at < floor
            if self.old:
                self.first = [self.error(expired(self.at, floor))]
            elif not self.at:
                self.at = store.version
                self.first = [self.line("ADDED", self.shown(o)) for o in store.list(self.resource.key, self.request.where)
                              if self.match(o)]

    def run(self, send, gone):
        """Sends lines until the end; send(bytes) may raise OSError, gone() tells whether the client has left.
        Returns how it ended: "clean" or "abrupt"."""
        at = self.at
        for line in self.first:
            if self.over():
                return self.cut
            self.send(send, line)
        if self.old:
            return "clean"
        while True:
            lines, at, end = self.next(at)
            for line in lines:
                if self.over():
                    return self.cut
                self.send(send, line)
            if end or self.over():
                return self.cut or "clean"
            if gone():
                return "abrupt"

    def send(self, send, line):
        self.sent += 1
        send(line)

    def over(self):
        if self.limit is not None and self.sent >= self.limit:
            self.cut = "clean" if self.cut_clean else "abrupt"
            return True
        return self.cut == "abrupt"

    def next(self, at):
        """Waits for something to say: (lines, version up to which it was looked, is it the end)."""
        store, clock = self.api.store, time.monotonic
        with store.lock:
            if at >= store.version and not self.pending(clock()):
                store.moved.wait(max(0.0, min(self.ends - clock(), self.wake(clock()), LOOK_S)))
            if self.cut == "abrupt":
                return [], at, True
            events = store.events[store.since(at):]
            lines = [x for x in map(self.seen, events) if x]
            at = max(at, store.version)
            if self.bookmarks and (self.want_bookmark or clock() >= self.next_bookmark):
                lines.append(self.bookmark())
                before, every = (s * self.api.options.second_s for s in (BOOKMARK_BEFORE_END_S, BOOKMARK_EVERY_S))
                self.next_bookmark = float("inf") if self.ends - clock() <= before else min(clock() + every, self.ends - before)
            self.want_bookmark = False
            return lines, at, bool(self.cut) or clock() >= self.ends

    def pending(self, now):
        return self.cut or self.want_bookmark or now >= self.ends or self.bookmarks and now >= self.next_bookmark

    def wake(self, now):
        return self.next_bookmark - now if self.bookmarks else LONGEST_S


def watch(api, request):
    """The answer of a watch: a stream. Mistakes in the query are plain answers."""
    return Answer(stream=Watch(api, request, request.resource))


def readable(sock):
    """Whether the peer sent something or closed, without waiting."""
    try:
        return bool(select.select([sock], [], [], 0)[0])
    except (OSError, ValueError):
        return True
