"""HTTP/1.1 and TLS of the stand-in: strict reading, answers framed as Go frames them, connections that faults break.

SPDX-License-Identifier: Apache-2.0
"""
import re
import socket
import ssl
import struct
import threading
import time
import uuid

from . import api as api_module, control, jsonish, watch
from .errors import ApiError, PlainError
from .request import Request
from .times import http_date

REASONS = {100: "Continue", 200: "OK", 201: "Created", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden",
           404: "Not Found", 405: "Method Not Allowed", 406: "Not Acceptable", 409: "Conflict", 410: "Gone",
           413: "Request Entity Too Large", 415: "Unsupported Media Type", 422: "Unprocessable Entity",
           429: "Too Many Requests", 500: "Internal Server Error", 503: "Service Unavailable", 504: "Gateway Timeout"}
HEAD_BYTES, BODY_BYTES, CHUNK_FROM = 1 << 20, 4 << 20, 2048
IDLE_S = 120
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+$")


class Bad(Exception):
    """The peer does not speak HTTP: 400 in plain text, and the end."""


class Reader:
    """Reads requests off a socket."""

    def __init__(self, sock):
        self.sock, self.buffer = sock, b""

    def more(self):
        data = self.sock.recv(65536)
        if not data:
            raise EOFError
        self.buffer += data

    def until(self, mark, limit):
        while mark not in self.buffer:
            if len(self.buffer) > limit:
                raise Bad("Request Header Fields Too Large")
            self.more()
        out, self.buffer = self.buffer.split(mark, 1)
        return out

    def exactly(self, n):
        while len(self.buffer) < n:
            self.more()
        out, self.buffer = self.buffer[:n], self.buffer[n:]
        return out

    def head(self):
        """(method, target, version, headers); header names in lower case."""
        while not self.buffer:
            self.more()
        lines = self.until(b"\r\n\r\n", HEAD_BYTES).decode("latin1").split("\r\n")
        first = lines[0].split(" ")
        if len(first) != 3 or not re.fullmatch(r"HTTP/1\.[01]", first[2]) or not TOKEN.match(first[0]):
            raise Bad("Bad Request")
        headers = {}
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon or not TOKEN.match(name):
                raise Bad("Bad Request: invalid header name")
            name = name.lower()
            if name in headers and name in ("content-length", "host", "transfer-encoding"):
                raise Bad("Bad Request: too many " + name)
            headers[name] = f"{headers[name]}, {value.strip()}" if name in headers else value.strip()
        if first[2] == "HTTP/1.1" and "host" not in headers:
            raise Bad("Bad Request: missing required Host header")
        return first[0], first[1], first[2], headers

    def body(self, headers):
        if headers.get("expect", "").lower() == "100-continue":
            self.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if "transfer-encoding" in headers:
            if headers["transfer-encoding"].lower() != "chunked" or "content-length" in headers:
                raise Bad("Bad Request: unsupported transfer encoding")
            return self.chunks()
        if not re.fullmatch(r"\d+", headers.get("content-length", "0")):
            raise Bad("Bad Request: bad Content-Length")
        return self.exactly(int(headers.get("content-length", "0")))

    def chunks(self):
        out = b""
        while True:
            size = self.until(b"\r\n", 100).split(b";")[0].strip()
            if not re.fullmatch(rb"[0-9a-fA-F]+", size):
                raise Bad("Bad Request: invalid chunk")
            if int(size, 16) == 0:
                while self.until(b"\r\n", HEAD_BYTES):
                    pass
                return out
            out += self.exactly(int(size, 16))
            if len(out) > BODY_BYTES * 2 or self.exactly(2) != b"\r\n":
                raise Bad("Bad Request: invalid chunk")


class Connection:
    """One connection, on a thread of its own."""

    def __init__(self, server, sock):
        self.server, self.api, self.sock, self.certificate = server, server.api, sock, None

    def run(self):
        try:
            self.sock.settimeout(IDLE_S)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.server.tls and not self.handshake():
                return
            reader = Reader(self.sock)
            while self.serve(reader):
                pass
        except Bad as e:
            self.quietly(f"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"
                         f"400 {e}".encode())
        except (OSError, EOFError, ValueError):     # the peer left, or the socket was closed under this thread
            pass
        finally:
            self.server.forget(self)

    def quietly(self, data):
        try:
            self.sock.sendall(data)
        except OSError:
            pass

    def handshake(self):
        if self.sock.recv(1, socket.MSG_PEEK) != b"\x16":
            self.quietly(b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")
            return False
        with self.server.lock:
            context = self.server.tls
        self.sock = self.server.replace(self, context.wrap_socket(self.sock, server_side=True))
        self.certificate = self.sock.getpeercert() or None
        return True

    def serve(self, reader):
        """One request; false where it was the last one."""
        method, target, version, headers = reader.head()
        request = Request(method, target, headers, reader.body(headers), self.certificate)
        last = version == "HTTP/1.0" or "close" in headers.get("connection", "").lower()
        if request.path.startswith("/standin"):
            self.sock.sendall(self.bytes_of(control.answer(self.server.standin, request), request, last))
            return not last
        request.entry = self.api.log.add(request)
        try:
            answer, rules = self.api.answer(request)
        except (ApiError, PlainError) as e:
            answer, rules = api_module.failure(e), []
        except api_module.Dropped:
            self.api.log.answered(request.entry, request, None)
            return False
        if answer.stream:
            self.api.log.answered(request.entry, request, 200)
            return self.stream(answer.stream, rules) and not last
        return self.finish(request, answer, rules, last)

    def finish(self, request, answer, rules, last):
        """Hooks, the answer, hooks; a drop_answer rule ends the connection in between."""
        hooks = self.api.log.due(request, answer.code)
        drop = next((r for r in rules if r.act == "drop_answer"), None)
        self.api.log.answered(request.entry, request, None if drop else answer.code)
        for hook in hooks:
            if hook.when == "acted":
                hook.strike(request.entry)
        data = self.bytes_of(answer, request, last)
        if drop:
            if drop.what["half"]:
                self.sock.sendall(data[:len(data) // 2])
            return False
        try:
            self.sock.sendall(data)
        finally:
            for hook in hooks:
                if hook.when == "answered":
                    hook.strike(request.entry)
        return not last

    def bytes_of(self, answer, request, last):
        if answer.text is not None:
            body = answer.text
        else:
            pretty = request.query.get("pretty") in ("1", "true") or \
                re.match(r"curl/|Wget/|Mozilla/", request.headers.get("user-agent", "")) and "pretty" not in request.query
            body = (jsonish.dumps(answer.body, 2 if pretty else None) + "\n").encode()
        head = [f"HTTP/1.1 {answer.code} {REASONS.get(answer.code, 'Unknown')}", f"Audit-Id: {uuid.uuid4()}",
                "Cache-Control: no-cache, private", f"Content-Type: {answer.content_type}"]
        head += [f"{k}: {v}" for k, v in answer.headers]
        head += [f"Warning: 299 - {jsonish.dumps(w)}" for w in request.warnings]
        head += [f"Date: {http_date()}"] + (["Connection: close"] if last else [])
        if request.method == "HEAD":
            return ("\r\n".join(head) + "\r\n\r\n").encode()
        if len(body) > CHUNK_FROM and not last:
            head.append("Transfer-Encoding: chunked")
            body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        else:
            head.append(f"Content-Length: {len(body)}")
        return ("\r\n".join(head) + "\r\n\r\n").encode("latin1") + body

    def stream(self, one, rules):
        """A watch; true where it ended so that the connection goes on."""
        head = (f"HTTP/1.1 200 OK\r\nAudit-Id: {uuid.uuid4()}\r\nCache-Control: no-cache, private\r\n"
                f"Content-Type: application/json\r\nDate: {http_date()}\r\nTransfer-Encoding: chunked\r\n\r\n")
        step, pause, silent = None, 0, False
        for rule in rules:
            if rule.act == "slow_watch":
                step, pause = rule.what["step"], rule.what["pause"]
            elif rule.act == "cut_watch":
                one.limit, one.cut_clean = rule.what["after"], rule.what["clean"]
            elif rule.act == "expired_watch":
                one.version = "1"
            silent = silent or rule.act == "silent_watch"

        def send(data):
            data = b"%x\r\n%s\r\n" % (len(data), data)
            for at in range(0, len(data), step or len(data)):
                self.sock.sendall(data[at:at + (step or len(data))])
                if step:
                    self.api.stopped.wait(pause)

        one.begin()
        try:
            self.sock.sendall(head.encode())
            end = self.silence(one) if silent else one.run(send, lambda: watch.readable(self.sock))
            if end == "clean":
                self.sock.sendall(b"0\r\n\r\n")
            return end == "clean"
        finally:
            with self.api.store.lock:
                self.api.watches.discard(one)

    def silence(self, one):
        store = self.api.store
        while not watch.readable(self.sock):
            with store.lock:
                if one.cut:
                    return one.cut
                store.moved.wait(watch.LOOK_S)
        return "abrupt"


class Server:
    """The listening socket and all connections. Only ever on loopback."""

    def __init__(self, standin, api, port=0, tls=None, host="127.0.0.1"):
        self.standin, self.api, self.tls, self.host = standin, api, tls, host
        self.lock, self.connections, self.threads = threading.Lock(), {}, set()
        self.port, self.closing = port, False
        self.listener = self.bound()
        self.port = self.listener.getsockname()[1]
        self.listen()

    def bound(self):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((self.host, self.port))
        return sock

    def listen(self):
        self.listener.listen(128)
        thread = threading.Thread(target=self.accept, args=(self.listener,), name="standin-accept", daemon=True)
        self.acceptor = thread
        thread.start()

    def accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            connection = Connection(self, sock)
            thread = threading.Thread(target=connection.run, name="standin-connection", daemon=True)
            with self.lock:
                self.connections[connection] = sock
                self.threads.add(thread)
                self.threads = {t for t in self.threads if t.is_alive() or t is thread}
            thread.start()

    def replace(self, connection, sock):
        with self.lock:
            self.connections[connection] = sock
        return sock

    def forget(self, connection):
        with self.lock:
            sock = self.connections.pop(connection, None)
        if sock:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()

    def away(self):
        """Closes everything; the port stays bound without listening, so that connections are refused."""
        if self.acceptor is None:
            return
        try:
            self.listener.shutdown(socket.SHUT_RDWR)    # wakes accept
        except OSError:
            pass
        self.listener.close()
        self.acceptor.join(5)
        self.acceptor, self.listener = None, self.bound()
        self.end_connections()

    def back(self):
        if self.acceptor is None and not self.closing:
            self.listen()

    def end_connections(self, reset=False):
        with self.lock:
            for sock in self.connections.values():
                try:
                    if reset:
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        self.api.end_watches("abrupt")

    def stop(self):
        self.closing = True
        self.away()
        self.listener.close()
        deadline = time.monotonic() + 5
        for thread in list(self.threads):
            thread.join(max(0, deadline - time.monotonic()))


def context(certificate, key, authorities):
    """A server's TLS settings. Certificates of all these authorities are let in; the API tells the foreign ones apart."""
    out = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    out.load_cert_chain(certificate, key)
    for path in authorities:
        out.load_verify_locations(path)
    out.verify_mode = ssl.CERT_OPTIONAL
    return out

