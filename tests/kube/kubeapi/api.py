"""The API as a whole: authentication, faults, authorization, and who answers what.

SPDX-License-Identifier: Apache-2.0
"""
import random
import threading

from . import auth, deletes, discovery, errors, faults, kinds, lists, watch, writes
from .errors import ApiError, bad_request
from .request import Answer

COLLECTION = {"list": lists.list_objects, "create": writes.create, "watch": watch.watch,
              "deletecollection": deletes.delete_collection}
OBJECT = {"get": lists.get_object, "update": writes.update, "patch": writes.patch_object, "delete": deletes.delete_object,
          "watch": watch.watch}
SCALE = {"get": writes.get_scale, "update": writes.put_scale, "patch": writes.patch_scale}
STATUS = {"get": lists.get_object, "update": writes.update, "patch": writes.patch_object}


class Dropped(Exception):
    """The connection ends without an answer."""


class Api:
    """One API server's behaviour, without its sockets."""

    def __init__(self, store, options, log):
        self.store, self.options, self.log = store, options, log
        self.auth, self.faults, self.limits = auth.Auth(options.strict), None, {}
        self.stopping, self.stopped = False, threading.Event()
        self.chance = random.Random(options.seed)
        self.watches = set()
        for name in ("default", "kube-system"):
            self.make(kinds.of(kinds.NAMESPACE), {"metadata": {"name": name}}, None)

    def make(self, resource, obj, namespace):
        """Creates an object from inside; the controllers and tests do so."""
        with self.store.lock:
            return self.store.put(resource.key, writes.build(self, obj, resource, namespace, "kube-controller-manager"))

    def make_pod(self, obj, namespace):
        """A pod, unless the limit of the namespace is reached: then 403 as from a quota."""
        with self.store.lock:
            have = len(self.store.list(kinds.POD, namespace))
            most = self.limits.get(namespace)
            if most is not None and have >= most:
                name = obj["metadata"]["generateName"] + writes.suffix(self.chance)
                raise errors.forbidden(f'pods "{name}" is forbidden: exceeded quota: q, requested: pods=1, used: pods={have}, '
                                       f"limited: pods={most}", {"name": name, "kind": "pods"})
            return self.make(kinds.of(kinds.POD), obj, namespace)

    def answer(self, request):
        """(answer, rules that still have something to do). Raises ApiError, PlainError or Dropped."""
        request.user = self.auth.authenticate(request)
        request.entry.user = request.user.name
        rules = self.faults.take(request)
        for rule in rules:
            request.entry.fault = rule.act
            if rule.act == "delay" and not rule.what["acted"]:
                self.stopped.wait(rule.what["seconds"])
            elif rule.act == "status":
                if rule.what["code"] == 403 and not rule.what["message"]:
                    if not request.is_resource:
                        raise auth.no_path(request.user, request)
                    sub = f"/{request.subresource}" if request.subresource else ""
                    raise auth.refusal(request.user, request.verb, request.group, request.plural + sub, request.namespace,
                                       request.name)
                raise faults.error_of(rule, request)
            elif rule.act == "drop_request":
                raise Dropped
        request.user = self.auth.authorize(request.user, request)
        answer = self.dispatch(request)
        for rule in rules:
            if rule.act == "delay" and rule.what["acted"]:
                self.stopped.wait(rule.what["seconds"])
        return answer, rules

    def dispatch(self, request):
        if not request.is_resource:
            return discovery.answer(self, request)
        resource = request.resource
        if resource is None:
            if request.group and not any((r.group, r.version) == (request.group, request.version) for r in kinds.RESOURCES):
                raise discovery.page_not_found()
            raise errors.no_such_resource()
        if resource.group == "authorization.k8s.io" and request.verb == "create":
            return auth.review(self, request)
        if request.subresource:
            if request.subresource not in resource.subresources:
                raise errors.no_such_resource()
            handler = (SCALE if request.subresource == "scale" else STATUS).get(request.verb)
        else:
            handler = (OBJECT if request.name else COLLECTION).get(request.verb)
        if handler is None or not request.subresource and request.verb not in resource.verbs:
            raise errors.method_not_allowed()
        if resource.namespaced and not request.namespace and request.verb not in ("list", "watch"):
            raise bad_request("an empty namespace may not be set during creation") if request.verb == "create" \
                else errors.method_not_allowed()
        if request.verb == "watch" and request.name:
            request.query["fieldSelector"] = f"metadata.name={request.name}"
        return handler(self, request)

    # Open watches, for faults and the end.

    def end_watches(self, how):
        with self.store.lock:
            for one in self.watches:
                one.cut = how
            self.store.moved.notify_all()

    def bookmark_watches(self):
        with self.store.lock:
            for one in self.watches:
                one.want_bookmark = one.bookmarks
            self.store.moved.notify_all()

    def stop(self):
        self.stopping = True
        self.stopped.set()
        self.end_watches("abrupt")


def failure(e):
    """The answer of an exception."""
    if isinstance(e, ApiError):
        return Answer(e.code, e.status(), e.headers)
    return Answer(e.code, text=e.text.encode(), headers=e.headers, content_type="text/plain; charset=utf-8")
