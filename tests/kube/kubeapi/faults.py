"""What goes wrong on purpose: rules that match requests, and switches that work at once.

SPDX-License-Identifier: Apache-2.0
"""
import itertools
import threading

from .errors import ApiError, MODIFIED, PlainError

MATCHES = ("verb", "resource", "subresource", "name", "namespace", "method", "user", "path")
ACTS = ("status", "drop_request", "drop_answer", "delay", "cut_watch", "slow_watch", "silent_watch", "expired_watch")
REASONS = {400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 409: "Conflict", 410: "Expired",
           429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable", 504: "Timeout"}
SAID = {500: "Internal error occurred: the stand-in was told to fail",
        503: "the server is currently unable to handle the request",
        504: "Timeout: request did not complete within requested timeout - context deadline exceeded"}


def matches(wanted, request):
    """Whether a request is meant. resource may be "replicationcontrollers" (with all subresources) or name one of them,
    "replicationcontrollers/scale"; a list means any of them; verb "write" means every change."""
    for key, want in wanted.items():
        if want is None:
            continue
        options = [want] if isinstance(want, str) else list(want)
        if key == "resource":
            have = [request.plural, f"{request.plural}/{request.subresource or ''}"]
        elif key == "verb":
            have = [request.verb] + (["write"] if request.writes else [])
        elif key == "user":
            have = [request.user.name if request.user else None]
        elif key == "path":
            have = [o for o in options if request.path.startswith(o)]
        else:
            have = [getattr(request, key)]
        if not set(options) & set(have):
            return False
    return True


class Rule:
    """One fault: what it matches, how often it happens, what it does. hits counts; remove() ends it."""

    def __init__(self, owner, act, wanted, times, skip, what):
        unknown = [k for k in wanted if k not in MATCHES]
        if act not in ACTS or unknown:
            raise TypeError(f"no such fault or match: {act} {unknown}")
        self.owner, self.act, self.wanted, self.left, self.skip, self.what = owner, act, wanted, times, skip, what
        self.id, self.hits = next(owner.ids), 0

    def remove(self):
        with self.owner.lock:
            if self in self.owner.rules:
                self.owner.rules.remove(self)

    def seen(self):
        return {"id": self.id, "act": self.act, "match": {k: v for k, v in self.wanted.items() if v is not None},
                "times": self.left, "skip": self.skip, "hits": self.hits, **self.what}


class Faults:
    """The rules and switches of one stand-in.

    Rules take match arguments verb (get list watch create update patch delete deletecollection, write), resource, subresource,
    name, namespace, method, user, path; times (how often, None: always) and skip (so many matching requests pass first).
    """

    def __init__(self, standin):
        self.standin, self.rules, self.ids, self.lock = standin, [], itertools.count(1), threading.RLock()

    def add(self, act, times=1, skip=0, what=None, **wanted):
        with self.lock:
            rule = Rule(self, act, wanted, times, skip, what or {})
            self.rules.append(rule)
            return rule

    def status(self, code, times=1, skip=0, retry_after=None, message=None, plain=None, **wanted):
        """Answers an error and does nothing: 409, 429 (plain text with Retry-After: 1, as from priority and fairness),
        500, 503, 504, or any other."""
        return self.add("status", times, skip, {"code": code, "retry_after": retry_after, "message": message,
                                                "plain": code == 429 if plain is None else plain}, **wanted)

    def drop_request(self, times=1, skip=0, **wanted):
        """Closes the connection and does nothing."""
        return self.add("drop_request", times, skip, **wanted)

    def drop_answer(self, times=1, skip=0, half=False, **wanted):
        """Acts, then closes the connection without an answer (half: after half of its bytes)."""
        return self.add("drop_answer", times, skip, {"half": half}, **wanted)

    def delay(self, seconds, times=1, skip=0, acted=False, **wanted):
        """Waits before acting (acted: after it, before the answer)."""
        return self.add("delay", times, skip, {"seconds": seconds, "acted": acted}, **wanted)

    def cut_watch(self, after=0, times=1, skip=0, clean=False, **wanted):
        """Ends a watch after so many events, by EOF (clean: with the last chunk)."""
        return self.add("cut_watch", times, skip, {"after": after, "clean": clean}, verb="watch", **wanted)

    def slow_watch(self, step=1, pause=0.001, times=1, skip=0, **wanted):
        """Sends a watch in pieces of so many bytes, with a pause in seconds between them."""
        return self.add("slow_watch", times, skip, {"step": step, "pause": pause}, verb="watch", **wanted)

    def silent_watch(self, times=1, skip=0, **wanted):
        """Opens a watch and says nothing, not even its end, until cut_watches() or the client leaves."""
        return self.add("silent_watch", times, skip, verb="watch", **wanted)

    def expired_watch(self, times=1, skip=0, **wanted):
        """A watch begins with ERROR 410 Expired, as if its version were too old."""
        return self.add("expired_watch", times, skip, verb="watch", **wanted)

    def clear(self):
        """Removes all rules and comes back, if away."""
        with self.lock:
            self.rules.clear()
        self.back()

    # Switches.

    def cut_watches(self, clean=False):
        """Ends all open watches now."""
        self.standin.api.end_watches("clean" if clean else "abrupt")

    def bookmark(self):
        """Every open watch that allows bookmarks gets one now."""
        self.standin.api.bookmark_watches()

    def expire_history(self):
        """Watches and continue tokens from before now are too old: 410."""
        self.standin.store.expire()

    def away(self):
        """The server is gone: connections are refused, the open ones are closed. The port stays reserved."""
        self.standin.server.away()

    def back(self):
        self.standin.server.back()

    def restart(self):
        """As a restart of the server: connections end, and versions older than a resource's newest change are 410."""
        self.standin.server.away()
        self.standin.store.restart()
        self.standin.server.back()

    def pause_controllers(self):
        self.standin.scheduler.pause()

    def resume_controllers(self):
        self.standin.scheduler.resume()

    # What the server asks.

    def take(self, request):
        """The rules that strike this request: delays, and the first other one."""
        struck = []
        with self.lock:
            for rule in list(self.rules):
                if rule.left == 0 or not matches(rule.wanted, request):
                    continue
                if rule.skip:
                    rule.skip -= 1
                    continue
                if rule.act != "delay" and any(r.act != "delay" for r in struck):
                    continue
                rule.hits += 1
                rule.left = None if rule.left is None else rule.left - 1
                struck.append(rule)
        return struck


def error_of(rule, request):
    """The exception that answers for a status rule."""
    code, wait = rule.what["code"], rule.what.get("retry_after")
    message = rule.what.get("message")
    if rule.what.get("plain"):
        return PlainError(code, message or "Too many requests, please try again later.\n",
                          [("Retry-After", str(1 if wait is None else wait))])
    headers = [("Retry-After", str(wait))] if wait is not None else []
    details = {"name": request.name, "kind": request.plural} if code in (409, 404) and request.name else None
    if code == 409:
        message = message or f'Operation cannot be fulfilled on {request.plural} "{request.name}": {MODIFIED}'
    if wait is not None and code != 409:
        details = {"retryAfterSeconds": wait}
    return ApiError(code, REASONS.get(code), message or SAID.get(code, REASONS.get(code, "")), details, headers)
