"""Exchanges recorded from a real API server, replayed against a stand-in: reading them, sending them, comparing answers.

SPDX-License-Identifier: Apache-2.0
"""
import http.client
import json
import os
import re
import ssl

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fixtures", "kubernetes", "api")
TIMES = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")
AGE = re.compile(r"\d+s$")
# Not compared: the owner of fields (its own test), the volumes of the admission plugin, hosts and addresses.
LEFT_OUT = {"managedFields", "volumes", "volumeMounts"}
ANY_TEXT = {"hostIP", "podIP", "ip", "nodeName", "description"}
HEADERS = ("content-type", "retry-after", "warning", "x-content-type-options")


def dechunk(data):
    out = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        n = int(size, 16)
        if n == 0:
            return out, True
        out, data = out + data[:n], data[n + 2:]
    return out, False


class Answer:
    """status, headers (lower case), body bytes; data (JSON), lines (of a watch), whole (ended as it should)."""

    def __init__(self, status, headers, body, whole=True):
        self.status, self.headers, self.body, self.whole = status, headers, body, whole

    @property
    def data(self):
        return json.loads(self.body)

    @property
    def lines(self):
        return [json.loads(x) for x in self.body.split(b"\n") if x.strip()]


def head_of(raw):
    head, _, body = raw.partition(b"\r\n\r\n")
    lines = head.decode("latin1").split("\r\n")
    return lines[0], {k.lower(): v.strip() for k, _, v in (x.partition(":") for x in lines[1:])}, body


class Exchange:
    """One recording."""

    def __init__(self, group, name):
        self.group, self.name = group, name
        with open(os.path.join(FOLDER, group, name + ".req"), "rb") as f:
            first, self.headers, self.body = head_of(f.read())
        self.method, self.target, _ = first.split(" ")
        with open(os.path.join(FOLDER, group, name + ".resp"), "rb") as f:
            first, headers, body = head_of(f.read())
        whole = True
        if headers.get("transfer-encoding") == "chunked":
            body, whole = dechunk(body)
        self.answer = Answer(int(first.split(" ")[1]), headers, body, whole) if first else None

    @property
    def is_watch(self):
        return "watch=1" in self.target or "/watch/" in self.target


def exchanges(group):
    names = sorted(f[:-4] for f in os.listdir(os.path.join(FOLDER, group)) if f.endswith(".req"))
    return [Exchange(group, n) for n in names]


class Client:
    """A plain HTTP client of a stand-in."""

    def __init__(self, standin, token=None, certificate=None):
        self.standin, self.token, self.certificate = standin, token, certificate

    def connection(self):
        if not self.standin.tls:
            return http.client.HTTPConnection("127.0.0.1", self.standin.port, timeout=20)
        context = ssl.create_default_context(cafile=self.standin.tls.ca)
        if self.certificate:
            context.load_cert_chain(*self.certificate)
        return http.client.HTTPSConnection("127.0.0.1", self.standin.port, timeout=20, context=context)

    def send(self, method, target, body=None, headers=None):
        """One request on a connection of its own. A cut answer is an answer, with whole=False."""
        headers = {"accept": "application/json", **{k.lower(): v for k, v in (headers or {}).items()}}
        if self.token is not None:
            headers.setdefault("authorization", f"Bearer {self.token}")
        connection = self.connection()
        try:
            connection.request(method, target, body, headers)
            reply = connection.getresponse()
            try:
                data, whole = reply.read(), True
            except http.client.IncompleteRead as e:
                data, whole = e.partial, False
            return Answer(reply.status, {k.lower(): v for k, v in reply.getheaders()}, data, whole)
        finally:
            connection.close()

    def call(self, method, path, data=None, media="application/json"):
        """(status, data): data is sent and returned as JSON."""
        body = None if data is None else json.dumps(data)
        reply = self.send(method, path, body, {"Content-Type": media} if body is not None else {})
        return reply.status, reply.data


class Replay:
    """Sends the recordings of a group; learns which uid, version, name and token here stands for which there."""

    def __init__(self, standin, client):
        self.standin, self.client, self.known, self.found = standin, client, {}, []

    def translate(self, text):
        for there in sorted(self.known, key=len, reverse=True):
            if len(there) > 7:
                text = text.replace(there, self.known[there])
        return text

    def version(self, there):
        return self.known.get("rv:" + there, there)

    def request(self, exchange, seconds=None):
        """Sends a recorded request, translated; seconds replaces the timeout of a watch."""
        target = re.sub(r"resourceVersion=(\d+)", lambda m: "resourceVersion=" + self.version(m[1]),
                        self.translate(exchange.target))
        if seconds:
            target = re.sub(r"timeoutSeconds=\d+", f"timeoutSeconds={seconds}", target)
        body = re.sub(r'("resourceVersion": ?)"(\d+)"', lambda m: f'{m[1]}"{self.version(m[2])}"',
                      self.translate(exchange.body.decode("utf-8")))
        headers = {k: v for k, v in exchange.headers.items() if k not in ("host", "content-length")}
        return self.client.send(exchange.method, target, body.encode() or None, headers)

    def step(self, exchange, seconds=None, loose=()):
        """Sends one and compares its answer. loose: names of members that are not compared here."""
        here = self.request(exchange, seconds)
        self.compare(exchange, here, loose)
        return here

    def compare(self, exchange, here, loose=()):
        there, where = exchange.answer, f"{exchange.group}/{exchange.name}"
        if here.status != there.status:
            self.found.append(f"{where}: {here.status} for {there.status}: {here.body[:600]!r}")
            return
        for name in HEADERS:
            if here.headers.get(name) != there.headers.get(name):
                self.found.append(f"{where}: {name}: {here.headers.get(name)} for {there.headers.get(name)}")
        if exchange.is_watch and there.status == 200:
            self.compare_lines(where, there.lines, here.lines, loose)
        elif "json" not in there.headers.get("content-type", "json"):
            if there.body != here.body:
                self.found.append(f"{where}: {here.body[:300]!r} for {there.body[:300]!r}")
        elif there.body:
            self.look(where, there.data, here.data, loose)

    def compare_lines(self, where, there, here, loose):
        if [x["type"] for x in there] != [x["type"] for x in here]:
            self.found.append(f"{where}: {[x['type'] for x in here]} for {[x['type'] for x in there]}")
            return
        for n, (a, b) in enumerate(zip(there, here)):
            self.look(f"{where} line {n}", a, b, loose)

    def look(self, where, there, here, loose, key=""):
        """Compares two values, and learns from them."""
        if key in ("pod-template-hash", "generateName"):    # another hash of the same template
            self.known[there.rstrip("-")] = here.rstrip("-")
        if key == "pod-template-hash":
            return
        if key in loose or key in LEFT_OUT or key in ANY_TEXT and type(there) is type(here):
            return
        if isinstance(there, dict) and isinstance(here, dict):
            for name in sorted(set(there) | set(here)):
                if name in LEFT_OUT or name in loose:
                    continue
                if name not in here or name not in there:
                    self.found.append(f"{where}.{name}: {'missing here' if name in there else 'not there'}: "
                                      f"{there.get(name, here.get(name))}")
                elif name == "name" and ("generateName" in there or "pod-template-hash" in there.get("labels", {})):
                    self.known[there[name]] = here[name]
                else:
                    self.look(f"{where}.{name}", there[name], here[name], loose, name)
        elif isinstance(there, list) and isinstance(here, list):
            if len(there) != len(here):
                self.found.append(f"{where}: {len(here)} items for {len(there)}")
            elif key == "items":
                there, here = sorted(there, key=likeness), sorted(here, key=likeness)
            for n, (a, b) in enumerate(zip(there, here)):
                self.look(f"{where}[{n}]", a, b, loose, key if key != "items" else "")
        else:
            self.leaf(where, there, here, key)

    def leaf(self, where, there, here, key):
        if isinstance(there, str) and isinstance(here, str):
            if key == "resourceVersion":
                self.known["rv:" + there] = here
                return
            if key in ("uid", "continue"):
                self.known[there] = here
                return
            if TIMES.match(there) and TIMES.match(here) or key == "cells" and AGE.match(there) and AGE.match(here):
                return
            if key == "message" or key == "name":
                there, here = plain(self.translate(there)), plain(here)
            else:
                there = self.translate(there)
        if there != here or type(there) is not type(here):
            self.found.append(f"{where}: {here!r} for {there!r}")


def plain(text):
    """A message without the numbers of versions, the tails of generated names and whole objects."""
    text = re.sub(r'"\{.*\}"', '"{...}"', text)
    text = re.sub(r"(current: |version: |record \()\d+", r"\g<1>N", text)
    text = re.sub(r"too old resource version: N \(\d+\)", "too old resource version: N (N)", text)
    text = re.sub(r"\.18ea98[0-9a-f]{10}$", ".N", text)
    text = re.sub(r"\b(x\.|my-web-v1[.-]|gen-)[a-z0-9]{5}\b", r"\g<1>NNNNN", text)
    return text


def likeness(obj):
    """What items are put in order by, where their names are made up."""
    meta = obj["metadata"]
    if "pod-template-hash" in meta.get("labels", {}) and "template" in obj["spec"]:
        return obj["spec"]["template"]["spec"]["containers"][0]["image"]
    if "generateName" not in meta:
        return "0" + re.sub(r"\.\w{16}$", "", meta["name"])
    labels = {k: v for k, v in meta.get("labels", {}).items() if k != "pod-template-hash"}
    shape = {"owned": "ownerReferences" in meta, "labels": labels, "spec": [c["image"] for c in
             obj.get("spec", {}).get("containers", [])], "going": "deletionTimestamp" in meta,
             "phase": obj.get("status", {}).get("phase")}
    return "1" + json.dumps(shape, sort_keys=True)
