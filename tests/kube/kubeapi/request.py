"""A request as the API sees it: verb, group, version, namespace, resource, name and subresource of a path.

SPDX-License-Identifier: Apache-2.0
"""
from urllib.parse import parse_qs, unquote, urlsplit

from . import kinds

METHODS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
COLLECTION = {"get": "list", "delete": "deletecollection"}


class Request:
    """What came over the wire, and what it asks for. user, entry and warnings are filled in on the way."""

    def __init__(self, method, target, headers=None, body=b"", certificate=None):
        parts = urlsplit(target)
        self.method, self.target, self.path = method, target, unquote(parts.path)
        self.query = {k: v[-1] for k, v in parse_qs(parts.query, keep_blank_values=True).items()}
        self.headers, self.body, self.certificate = headers or {}, body, certificate
        self.user, self.entry, self.warnings, self.data = None, None, [], None
        self.group = self.version = self.plural = self.namespace = self.name = self.subresource = None
        self.verb, self.is_resource = method.lower(), False
        self._parse([p for p in self.path.split("/") if p])

    def _parse(self, parts):
        if parts[:1] == ["api"] and len(parts) > 2:
            self.group, self.version, rest = "", parts[1], parts[2:]
        elif parts[:1] == ["apis"] and len(parts) > 3:
            self.group, self.version, rest = parts[1], parts[2], parts[3:]
        else:
            return
        self.is_resource = True
        old_watch = rest[0] == "watch" and len(rest) > 1
        rest = rest[1:] if old_watch else rest
        if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
            self.namespace, rest = rest[1], rest[2:]
        self.plural, self.name = rest[0], rest[1] if len(rest) > 1 else None
        self.subresource = "/".join(rest[2:]) or None
        if self.plural == "namespaces":
            self.namespace = self.name
        self.verb = METHODS.get(self.method, self.method.lower())
        if not self.name:
            self.verb = COLLECTION.get(self.verb, self.verb)
        if old_watch or self.verb == "list" and self.query.get("watch") in ("1", "true", "True"):
            self.verb = "watch"

    @property
    def resource(self):
        return kinds.find(self.group, self.version, self.plural) if self.is_resource else None

    @property
    def where(self):
        """Namespace of the objects: None for those that have none."""
        return self.namespace if self.plural != "namespaces" else None

    @property
    def dry_run(self):
        return self.query.get("dryRun") == "All"

    @property
    def manager(self):
        """fieldManager, or the first word of the user agent, as the real server names managers."""
        return self.query.get("fieldManager") or self.headers.get("user-agent", "unknown").split("/")[0][:128]

    @property
    def writes(self):
        return self.method in ("POST", "PUT", "PATCH", "DELETE") and not self.dry_run and self.group != "authorization.k8s.io"


class Answer:
    """What goes back: a body to serialise, raw bytes, or (stream) a function that writes to the connection itself."""

    def __init__(self, code=200, body=None, headers=(), text=None, content_type="application/json", stream=None):
        self.code, self.body, self.headers, self.text = code, body, list(headers), text
        self.content_type, self.stream = content_type, stream
