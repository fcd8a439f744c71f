"""What every end-to-end test stands on: serin as a child process, a raw HTTP/1 client, waiting on conditions.

SPDX-License-Identifier: Apache-2.0
"""
import ctypes
import json
import os
import re
import signal
import socket
import struct
import subprocess
import time

from procfs import listens

SERIN = os.environ.get("SERIN", os.path.join(os.path.dirname(__file__), "..", "..", "build", "dev", "serin"))
REPORTS = ("AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "runtime error:", "CHECK failed")
LISTENING = re.compile(r"\blistening listener=(\d+) address=(\S+)")
ADMIN = re.compile(r"\badmin_listening address=(\S+)")
FULL = 10000


def wait_until(condition, seconds=10.0, what="the condition"):
    """Calls condition until it is true and returns what it gave; fails after that many seconds."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come true within {seconds} s (last value: {value!r})")
        time.sleep(0.01)


def die_with_me():
    """In a child, before exec: no process outlives a test run that is killed."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def adopt_orphans():
    """A process that a child leaves behind becomes this one's child: it can be waited for."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)     # PR_SET_CHILD_SUBREAPER


class Adopted:
    """A process that somebody else has started, with the face of subprocess.Popen."""

    def __init__(self, pid):
        self.pid, self.returncode = pid, None

    def poll(self):
        if self.returncode is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    self.returncode = os.waitstatus_to_exitcode(status)
            except ChildProcessError:           # its parent lives yet
                if not is_alive(self.pid):
                    self.returncode = 0         # what it was, its parent knows
        return self.returncode

    def wait(self, timeout=10):
        wait_until(lambda: self.poll() is not None, timeout, f"the end of process {self.pid}")
        return self.returncode

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def kill(self):
        self.send_signal(signal.SIGKILL)


def is_alive(pid):
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def connect(address, timeout=10.0):
    """A connected socket; address as serin writes it: 127.0.0.1:80, [::1]:80 or unix:/path."""
    if address.startswith("unix:"):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(timeout)
        s.connect(address[len("unix:"):])
        return s
    host, _, port = address.rpartition(":")
    s = socket.create_connection((host.strip("[]"), int(port)), timeout)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


class Message:
    """A request or response as it came over the wire."""

    def __init__(self, start, headers, body=b""):
        self.start, self.headers, self.body = start, headers, body
        self.trailers = []
        words = (start.split(" ", 2) + ["", ""])[:3]
        if start.startswith("HTTP/"):
            self.version, self.status, self.reason = words[0], int(words[1]), words[2]
        else:
            self.method, self.target, self.version = words

    def all(self, name):
        return [v for k, v in self.headers if k.lower() == name.lower()]

    def get(self, name, default=None):
        """The one value of a field; a repeated field fails the test."""
        values = self.all(name)
        assert len(values) <= 1, f"{name} came {len(values)} times: {values}"
        return values[0] if values else default

    def __repr__(self):
        return f"<{self.start} {self.headers} {len(self.body)} bytes>"


class Stream:
    """Reads HTTP/1 messages off a socket; strict about what it reads, for it judges the proxy."""

    def __init__(self, sock):
        self.sock, self.buffer = sock, b""

    def fill(self):
        data = self.sock.recv(262144)
        if not data:
            raise EOFError(f"closed in the middle of a message, after {self.buffer[:200]!r}")
        self.buffer += data

    def until(self, mark):
        while mark not in self.buffer:
            self.fill()
        taken, self.buffer = self.buffer.split(mark, 1)
        return taken

    def exactly(self, n):
        while len(self.buffer) < n:
            self.fill()
        taken, self.buffer = self.buffer[:n], self.buffer[n:]
        return taken

    def fields(self, lines):
        fields = []
        for line in lines:
            assert re.match(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+:", line), f"no header field: {line!r}"
            name, _, value = line.partition(":")
            fields.append((name, value.strip(" \t")))
        return fields

    def head(self):
        text = self.until(b"\r\n\r\n").decode("latin1")
        assert not re.search(r"\r(?!\n)|(?<!\r)\n|\0", text), f"stray bytes in a head: {text!r}"
        lines = text.split("\r\n")
        return Message(lines[0], self.fields(lines[1:]))

    def chunked(self, message):
        body = []
        while True:
            size = int(self.until(b"\r\n").split(b";")[0], 16)
            if size == 0:
                break
            body.append(self.exactly(size))
            assert self.exactly(2) == b"\r\n"
        lines = []
        while True:
            line = self.until(b"\r\n")
            if not line:
                break
            lines.append(line.decode("latin1"))
        message.trailers = self.fields(lines)
        return b"".join(body)

    def to_end(self):
        try:
            while True:
                self.fill()
        except EOFError:
            taken, self.buffer = self.buffer, b""
            return taken

    def request(self):
        """The next request; None where the peer is done."""
        if not self.buffer:
            try:
                self.fill()
            except EOFError:
                return None
        message = self.head()
        if message.get("transfer-encoding", "").lower() == "chunked":
            message.body = self.chunked(message)
        else:
            message.body = self.exactly(int(message.get("content-length", "0")))
        return message

    def response(self, method="GET"):
        message = self.head()
        if message.status < 200 or message.status in (204, 304) or method == "HEAD":
            return message
        if message.get("transfer-encoding", "").lower() == "chunked":
            message.body = self.chunked(message)
        elif message.all("content-length"):
            message.body = self.exactly(int(message.get("content-length")))
        else:
            message.body = self.to_end()
        return message


class Client(Stream):
    """A client connection that sends what it is told, byte by byte."""

    def __init__(self, address, timeout=10.0, tls=None, name="web.test", session=None):
        """tls: an ssl.SSLContext, and the server's name for it; session: one to resume."""
        sock = connect(address, timeout)
        super().__init__(tls.wrap_socket(sock, server_hostname=name, session=session) if tls else sock)

    def send(self, data):
        self.sock.sendall(data if isinstance(data, bytes) else data.encode("latin1"))

    def ask(self, method="GET", target="/", headers=(), body=None, host="web.test"):
        """Sends a request and reads its answer."""
        fields = list(headers.items() if isinstance(headers, dict) else headers)
        if host is not None:
            fields.insert(0, ("Host", host))
        if body is not None:
            fields.append(("Content-Length", str(len(body))))
        head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in fields) + "\r\n"
        self.send(head.encode("latin1") + (body or b""))
        return self.response(method)

    def is_closed(self, seconds=5.0):
        """Whether the peer closes within that time, with nothing more to read."""
        self.sock.settimeout(seconds)
        try:
            return self.buffer == b"" and self.sock.recv(1) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False

    def reset(self):
        """Closes with a reset instead of an end."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class SlowReader(Client):
    """A client with a small window: what it does not read does not leave serin."""

    def __init__(self, address, window=16384):
        host, port = address.rsplit(":", 1)
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        sock.settimeout(60)
        sock.connect((host, int(port)))
        Stream.__init__(self, sock)


def ask(address, method="GET", target="/", headers=(), body=None, tls=None, **kw):
    """One request on a connection of its own."""
    with Client(address, tls=tls) as c:
        return c.ask(method, target, headers, body, **kw)


class Metrics:
    """A page in the Prometheus text format."""

    SAMPLE = re.compile(r'^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$')
    LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

    def __init__(self, text):
        self.text, self.samples = text, []
        for line in text.splitlines():
            if line and not line.startswith("#"):
                m = self.SAMPLE.match(line)
                assert m, f"no sample: {line!r}"
                self.samples.append((m[1], dict(self.LABEL.findall(m[2] or "")), float(m[3])))

    def sum(self, name, **labels):
        """The sum of the samples with these labels; a label's value may be a regular expression."""
        return sum(value for n, have, value in self.samples
                   if n == name and all(re.fullmatch(str(v), have.get(k, "")) for k, v in labels.items()))


def route(v1, v2=None, **more):
    """A route's part of the configuration: v1 and v2 are addresses, or lists of them."""
    as_list = lambda v: [v] if isinstance(v, str) else list(v)
    versions = {"v1": {"endpoints": as_list(v1)}}
    if v2 is not None:
        versions["v2"] = {"endpoints": as_list(v2)}
    return {"name": "web", "versions": versions, "stable": "v1", **({"canary": "v2"} if v2 is not None else {}), **more}


QUICK = {"steps": ["1%", "10%", "50%", "100%"], "hold": "2s", "max_hold": "60s", "bake": "2s", "min_requests": 50,
         "harm_budget": "5%"}     # a rollout of a few seconds


class Serin:
    """serin run as a child process in a folder of its own. Stops, and is checked for a clean end, with the test."""

    def __init__(self, folder, routes, environment=None, limit_fds=None, before=(), pass_fds=(), **top):
        self.folder = str(folder)
        self.file = os.path.join(self.folder, "serin.yaml")
        self.environment, self.limit_fds, self.process, self.runs = environment or {}, limit_fds, None, 0
        self.olds, self.program = [], SERIN     # processes that have handed over
        self.before, self.pass_fds = before, pass_fds       # words of a program that becomes serin, and what it inherits
        self.config = {"workers": 1, "state_dir": os.path.join(self.folder, "state"),
                       "listeners": [{"bind": "127.0.0.1:0"}], "admin": {"bind": "127.0.0.1:0"},
                       "timeouts": {}, "routes": routes if isinstance(routes, list) else [routes]}
        self.config.update(top)
        self.config["timeouts"] = {"drain": "2s", **self.config["timeouts"]}
        os.makedirs(self.config["state_dir"], exist_ok=True)
        self.write()

    def write(self):
        """Puts the configuration on disk (JSON is YAML)."""
        with open(self.file, "w") as f:
            json.dump(self.config, f, indent=1)

    def start(self, ready=True):
        self.runs += 1
        self.log_file = os.path.join(self.folder, f"serin-{self.runs}.log")

        def before_exec():
            die_with_me()
            if self.limit_fds:
                import resource
                resource.setrlimit(resource.RLIMIT_NOFILE, (self.limit_fds, self.limit_fds))

        with open(self.log_file, "wb") as log:
            self.process = subprocess.Popen([*self.before, self.program, "run", "-c", self.file], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, cwd=self.folder, env={**os.environ, **self.environment},
                                            preexec_fn=before_exec, pass_fds=self.pass_fds)
        if ready:
            wait_until(self.is_ready, 20, "serin being ready")
        return self

    def is_ready(self):
        code = self.process.poll()
        assert code is None, f"serin ended with {code}:\n{self.log()}"
        if not ADMIN.search(self.log()) or len(self.addresses()) < len(self.config["listeners"]):
            return False
        try:
            return ask(self.admin, target="/readyz", host=self.admin_host).status == 200
        except OSError:
            return False

    def log(self):
        with open(self.log_file, errors="replace") as f:
            return f.read()

    def addresses(self):
        return [address for _, address in sorted({int(n): a for n, a in LISTENING.findall(self.log())}.items())]

    @property
    def address(self):
        return self.addresses()[0]

    @property
    def admin(self):
        return ADMIN.search(self.log())[1]

    @property
    def admin_host(self):
        return "localhost" if self.admin.startswith("unix:") else self.admin

    @property
    def admin_url(self):
        return self.admin if self.admin.startswith("unix:") else "http://" + self.admin

    def ask(self, method="GET", target="/", headers=(), body=None, **kw):
        return ask(self.address, method, target, headers, body, **kw)

    def client(self, timeout=10.0, **more):
        return Client(self.address, timeout, **more)

    def settle(self):
        """Until each of its threads has been at rest once, or for a second: an answer is there before its worker has counted it."""
        busy, end = set(os.listdir(f"/proc/{self.process.pid}/task")), time.monotonic() + 1
        while busy and time.monotonic() < end:
            busy = {thread for thread in busy if self.is_running(thread)}
            time.sleep(0.001)

    def is_running(self, thread):
        """Or would, if it had a core."""
        try:
            with open(f"/proc/{self.process.pid}/task/{thread}/stat") as f:
                return f.read().rpartition(")")[2].split()[0] == "R"
        except OSError:     # it has ended
            return False

    def metrics(self):
        self.settle()
        answer = ask(self.admin, target="/metrics", host=self.admin_host)
        assert answer.status == 200, answer
        return Metrics(answer.body.decode())

    def api(self, method, path, body=None):
        """(status, JSON) of an admin call."""
        headers = [("Content-Type", "application/json")] if method == "POST" else []
        answer = ask(self.admin, method, "/api/v1/" + path, headers,
                     json.dumps(body or {}).encode() if method == "POST" else None, host=self.admin_host)
        return answer.status, json.loads(answer.body or b"null")

    def status(self, name="web"):
        code, body = self.api("GET", f"routes/{name}")
        assert code == 200, body
        return body

    def at_weight(self, weight, name="web"):
        """Waits until that weight is in force in every worker and being judged."""
        def is_there():
            status = self.status(name)
            return status["weight"]["intended"] == weight and status["state"] in ("ANALYZING", "HOLDING")
        wait_until(is_there, 15, f"the weight of {weight} %")

    def cli(self, *words, expect=0, environment=None):
        """Runs a serin command against this one; returns what it printed."""
        done = run_serin(*words, environment={"SERIN_ADMIN": self.admin_url, **(environment or {})})
        assert expect is None or done.returncode == expect, \
            f"serin {' '.join(words)}: exit {done.returncode}, not {expect}\n{done.stdout}{done.stderr}"
        return done if expect is None else done.stdout

    def rss_kib(self):
        with open(f"/proc/{self.process.pid}/status") as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1])

    def hand_over(self, signal_it=True, meanwhile=None, alone=True):
        """SIGUSR2, and the new process accepts. Returns the old one, which drains. alone: once that accepts nobody any more, which may
        take a moment. meanwhile: a signal that the new process gets as soon as it is there."""
        adopt_orphans()
        old = self.process
        log = self.log()
        if signal_it:
            old.send_signal(signal.SIGUSR2)
        if meanwhile:
            started = wait_until(lambda: re.search(r" handover_started pid=(\d+)", self.log()[len(log):]), 10, "the new process")
            os.kill(int(started[1]), meanwhile)
        pid = int(wait_until(lambda: re.search(r" handed_over to_pid=(\d+)", self.log()[len(log):]), 20, "the hand-over")[1])
        wait_until(lambda: f" took_over from_pid={old.pid} " in self.log()[len(log):], 20, "the new process' word")
        self.process = Adopted(pid)
        self.olds.append(old)
        if alone:
            wait_until(lambda: not listens(old), 10, "the old process listening no more")
        return old

    def kill(self):
        """No goodbye: what a crash or kill -9 leaves."""
        self.process.kill()
        self.process.wait()

    def stop(self, expect=0):
        """SIGTERM, and a clean end."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError("serin did not stop within 15 s of SIGTERM:\n" + self.log()[-4000:]) from None
        if self.process:
            for report in REPORTS:
                assert report not in self.log(), self.log()[-8000:]
            assert expect is None or self.process.returncode in (expect, -signal.SIGKILL), \
                f"serin ended with {self.process.returncode}:\n{self.log()[-4000:]}"
            self.process = None
        for old in self.olds:               # the newest one's end is theirs
            try:
                old.wait(10)
            except (AssertionError, subprocess.TimeoutExpired):
                old.kill()
                raise AssertionError("a process that has handed over did not end:\n" + self.log()[-4000:]) from None
        self.olds = []


def run_serin(*words, environment=None, timeout=60, cwd=None):
    """A serin command to its end."""
    done = subprocess.run([SERIN, *map(str, words)], capture_output=True, text=True, timeout=timeout, cwd=cwd,
                          stdin=subprocess.DEVNULL, env={**os.environ, **(environment or {})}, preexec_fn=die_with_me)
    for report in REPORTS:
        assert report not in done.stderr, done.stderr
    return done
