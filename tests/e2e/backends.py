"""Backends for end-to-end tests: scripted ones in Python that behave as badly as asked, and a real nginx.

SPDX-License-Identifier: Apache-2.0
"""
import contextlib
import os
import shutil
import socket
import struct
import subprocess
import threading

from rig import Stream, connect, die_with_me, wait_until


def reply(status=200, body=b"", headers=(), reason="OK"):
    """A response's bytes, with a length."""
    fields = "".join(f"{k}: {v}\r\n" for k, v in headers)
    return f"HTTP/1.1 {status} {reason}\r\n{fields}Content-Length: {len(body)}\r\n\r\n".encode("latin1") + body


@contextlib.contextmanager
def full_listener():
    """The address of a listener whose queue is full: it answers no connect."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = "127.0.0.1:%d" % full.getsockname()[1]
        fillers = [connect(address)]
        try:
            while len(fillers) < 10:
                fillers.append(connect(address, 0.3))
        except OSError:
            pass
        yield address
        for s in fillers:
            s.close()


class Connection(Stream):
    """A backend's side of one connection."""

    def __init__(self, backend, sock):
        super().__init__(sock)
        self.backend = backend

    def send(self, data):
        self.sock.sendall(data)

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()
        raise ConnectionResetError

    def close(self):
        raise ConnectionAbortedError


class Backend:
    """Listens on a port of its own; calls answer(connection, request) for every request, on a thread a connection.

    The default answer names the version. An answer function sends what it likes: it may hang on backend.released,
    reset or close the connection. requests keeps what was seen, connections counts those that
    carried a request (serin also looks now and then whether an endpoint can be connected to).
    """

    def __init__(self, version="v1", answer=None, family=socket.AF_INET, path=None, host="127.0.0.1", port=0):
        self.version, self.answer = version, answer or self.plain
        self.requests, self.connections, self.released = [], 0, threading.Event()
        self.lock, self.open = threading.Lock(), set()
        self.where = path or ("::1" if family == socket.AF_INET6 else host, port)
        self.family = socket.AF_UNIX if path else family
        self.listener = None
        self.listen()

    def listen(self):
        self.listener = socket.socket(self.family)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(self.where)
        self.listener.listen(512)
        if self.family == socket.AF_UNIX:
            self.address = f"unix:{self.where}"
        else:
            self.where = self.listener.getsockname()[:2]
            self.address = ("[{}]:{}" if ":" in self.where[0] else "{}:{}").format(*self.where)
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            with self.lock:
                self.open.add(sock)
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        if self.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(self, sock)
        is_first = True
        try:
            while True:
                request = self.read(connection)
                if request is None:
                    break
                with self.lock:
                    self.requests.append(request)
                    self.connections += is_first
                is_first = False
                self.answer(connection, request)
        except (OSError, EOFError):
            pass
        finally:
            sock.close()
            with self.lock:
                self.open.discard(sock)

    def read(self, connection):
        return connection.request()

    def plain(self, connection, request):
        head = ("Content-Type", "text/plain"), ("X-Version", self.version)
        data = reply(200, self.version.encode(), head)
        connection.send(data[:-len(self.version)] if request.method == "HEAD" else data)

    def count(self):
        with self.lock:
            return len(self.requests)

    def last(self):
        with self.lock:
            return self.requests[-1]

    def refuse(self):
        """Stops listening and ends every connection: from now on connecting is refused."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        with self.lock:
            sockets = list(self.open)
        for sock in sockets:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def stop(self):
        self.released.set()
        try:
            self.refuse()
        except OSError:
            pass


class TlsBackend(Backend):
    """The same under TLS; context: of ssl. It says close_notify only where an answer function does: connection.sock.unwrap()."""

    def __init__(self, context, *words, **more):
        self.context = context
        super().__init__(*words, **more)

    def serve(self, sock):
        try:
            super().serve(self.context.wrap_socket(sock, server_side=True))
        except OSError:
            sock.close()


# --- how a backend is unwell: each takes one, and makes it so for every request from then on ---

def unwell_answer(act):
    """Reads a request whole, then acts."""
    def make(backend):
        backend.answer = act
    return make


def unwell_reading(how_far, act):
    """Acts before the request is read whole: at "accept", behind its "head", or in the middle of its "body". What it saw of a
    request is among backend.requests all the same."""
    def make(backend):
        def read(connection):
            if how_far != "accept":
                if not connection.buffer:
                    connection.fill()
                request = connection.head()
                with backend.lock:
                    backend.requests.append(request)
                    backend.connections += 1
                if how_far == "body":
                    request.body = connection.exactly(min(5000, int(request.get("content-length", "0"))))
            act(connection, None)
        backend.read = read
    return make


def reset(connection, request):
    connection.reset()


def close(connection, request):
    connection.close()


def hang(connection, request):
    connection.backend.released.wait(20)
    connection.close()


def sends(data, then=close):
    def answer(connection, request):
        connection.send(data)
        then(connection, request)
    return answer


def says(status, body):
    """One answer to everything; its connections live."""
    def answer(connection, request):
        connection.send(reply(status, b"" if request.method == "HEAD" else body, reason="Unwell"))
    return answer


UNWELL = {  # name: (how to make it so, the status that it earns by itself, the reason that it is counted under)
    "refuses": (lambda backend: backend.refuse(), 502, "connect"),
    "resets-at-once": (unwell_reading("accept", reset), 502, "reset|connect"),    # the reset may be there before the connect is
    "resets-after-the-head": (unwell_reading("head", reset), 502, "reset"),
    "resets-in-the-body": (unwell_reading("body", reset), 502, "reset"),
    "resets": (unwell_answer(reset), 502, "reset"),
    "closes": (unwell_answer(close), 502, "reset"),
    "hangs": (unwell_answer(hang), 504, "timeout"),
    "half-a-head": (unwell_answer(sends(b"HTTP/1.1 200 OK\r\nContent-Le")), 502, "reset"),
    "half-a-head-and-hangs": (unwell_answer(sends(b"HTTP/1.1 200 OK\r\nContent-Le", hang)), 504, "timeout"),
    "garbage": (unwell_answer(sends(b"\x00\x01\x02 garbage\r\n\r\n")), 502, "malformed"),
    "503": (unwell_answer(says(503, b"busy")), 503, "5xx"),
    "503-without-end": (unwell_answer(sends(b"HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbusy\r\n", hang)), 503,
                        "5xx"),
    "502": (unwell_answer(says(502, b"bad")), 502, "5xx"),
    "504": (unwell_answer(says(504, b"late")), 504, "5xx"),
}


NGINX = """
daemon off; master_process off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log warn;
events {{ worker_connections 4000; }}
http {{
  access_log off; keepalive_requests 1000000; default_type text/plain; client_max_body_size 0;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{
    listen unix:{folder}/socket{tls}; listen 127.0.0.1:{port}{tls};
    {more}
    add_header X-Version {version} always;
    location / {{ return 200 "{version}\\n"; }}
    location /status/404 {{ return 404 "nothing here\\n"; }}
    location /status/500 {{ return 500 "broken\\n"; }}
    location /connection {{
      return 200 "$ssl_session_reused $connection $connection_requests $ssl_protocol [$ssl_server_name] [$ssl_client_s_dn]\n";
    }}
    location /files/ {{ alias {folder}/files/; }}
  }}
}}
"""


class Nginx:
    """A real nginx that serves its version's name, and files from its folder's files/; with TLS where it has pairs (certificates.py)
    to show."""

    def __init__(self, folder, version, pairs=(), more=""):
        """more: other directives of its server."""
        self.folder, self.version = os.path.join(str(folder), "nginx-" + version), version
        os.makedirs(os.path.join(self.folder, "files"))
        os.chmod(self.folder, 0o755)
        program = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
        assert program, "nginx is not installed (tests/run installs it)"
        shown = "".join(f"ssl_certificate {p.certificate}; ssl_certificate_key {p.key}; " for p in pairs)
        for _ in range(5):      # another process may take the free port between the look and the bind
            with socket.socket() as s:
                s.bind(("127.0.0.1", 0))
                self.port = s.getsockname()[1]
            with open(os.path.join(self.folder, "nginx.conf"), "w") as f:
                f.write(NGINX.format(folder=self.folder, port=self.port, version=version, tls=" ssl" if pairs else "",
                                     more=shown + more))
            with open(os.path.join(self.folder, "out"), "wb") as out:
                self.process = subprocess.Popen([program, "-p", self.folder, "-c", "nginx.conf"], stdin=subprocess.DEVNULL,
                                                stdout=out, stderr=out, preexec_fn=die_with_me)
            self.address = f"127.0.0.1:{self.port}"
            if wait_until(lambda: self.is_up() or self.process.poll() is not None, 10, "nginx") and self.process.poll() is None:
                return
        raise AssertionError("nginx does not start: " + open(os.path.join(self.folder, "out")).read())

    def is_up(self):
        try:
            connect(self.address, 1).close()
            return True
        except OSError:
            return False

    def file(self, name, data):
        with open(os.path.join(self.folder, "files", name), "wb") as f:
            f.write(data)

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
