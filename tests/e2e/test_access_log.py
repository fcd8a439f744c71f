"""The access log: a line for every request, right in every field, whole whatever comes; and nobody waits for it.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import re
import signal
import threading
import time

import pytest

from backends import hang, says
from rig import route, run_serin, wait_until
from test_upgrade import echo, open_tunnel

QUOTED = r'"((?:[^"\\\x00-\x1f\x7f-\xff]|\\x[0-9A-F]{2})*)"'
COMBINED = re.compile(r"(?P<client>\S+) - - \[(?P<time>\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000)\] " + QUOTED +
                      r" (?P<status>\d{3}) (?P<bytes>\d+) " + QUOTED + " " + QUOTED +
                      r" route=(?P<route>\S+) version=(?P<version>\S+) role=(?P<role>\S+) assigned=(?P<assigned>\S+)"
                      r" upstream=(?P<upstream>\S+) upstream_ms=(?P<upstream_ms>-|\d+\.\d{3}) total_ms=(?P<total_ms>-|\d+\.\d{3})"
                      r" retries=(?P<retries>\d+) request_id=(?P<request_id>\S+) why=(?P<why>\S+)")
NAMES = ("time", "client", "request", "status", "bytes", "referer", "user_agent", "route", "version", "role", "assigned",
         "upstream", "upstream_ms", "total_ms", "retries", "request_id", "why")


def parse_combined(line):
    """The same members as the JSON form."""
    m = COMBINED.fullmatch(line)
    assert m, f"not the combined format: {line!r}"
    found = {**m.groupdict(), "request": m[3], "referer": m[6], "user_agent": m[7]}
    found = {k: v for k, v in found.items() if v != "-"}
    for name in ("status", "bytes", "retries"):
        found[name] = int(found[name])
    for name in ("upstream_ms", "total_ms"):
        if name in found:
            found[name] = float(found[name])
    return found


def parse_json(line):
    found = json.loads(line)
    assert list(found) == [name for name in NAMES if name in found]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", found["time"])
    return found


FORMS = {"combined": parse_combined, "json": parse_json}


class Access:
    """A serin whose access log is a file, and the lines of it."""

    def __init__(self, serin, routes, file, form="json", **more):
        self.file, self.parse = file, FORMS[form]
        self.proxy = serin(routes, log={"level": "debug", "access": form, "access_file": str(file)}, **more)

    def lines(self, n):
        """Waits until there are n lines."""
        def are_there():
            text = self.file.read_bytes().decode()
            assert not text or text.endswith("\n")
            found = text.split("\n")[:-1]
            assert len(found) <= n, found
            return len(found) == n and found
        return [self.parse(line) for line in wait_until(are_there, 5, f"{n} lines")]


@pytest.fixture
def access(serin, tmp_path):
    return lambda routes, **more: Access(serin, routes, tmp_path / "access.log", **more)


@pytest.mark.parametrize("form", FORMS)
def test_a_line_says_what_happened(access, v1, form):
    log = access(route(v1.address), form=form)
    answer = log.proxy.ask("POST", "/cart?item=7", {"Referer": "http://web.test/", "User-Agent": "test/1", "Cookie": "secret",
                                                    "Authorization": "secret", "X-Request-ID": "given-by-client"}, b"body")
    line, = log.lines(1)
    assert line.pop("time") and 0 <= line["upstream_ms"] <= line.pop("total_ms") and line.pop("upstream_ms") < 10000
    assert line == {"client": "127.0.0.1", "request": "POST /cart?item=7 HTTP/1.1", "status": 200, "bytes": len(answer.body),
                    "referer": "http://web.test/", "user_agent": "test/1", "route": "web", "version": "v1", "role": "stable",
                    "assigned": "weight", "upstream": v1.address, "retries": 0, "request_id": "given-by-client"}
    assert "secret" not in log.file.read_text()


@pytest.mark.parametrize("form", FORMS)
def test_outside_bytes_cannot_break_a_line(access, v1, form):
    log = access(route(v1.address), form=form)
    agents = [bytes(range(0x20, 0x7f)), bytes(range(0x80, 0x100)), b'" 200 0 "-" "-" route=forged', b"\\" * 300, b"\xff" * 3000,
              "na\xefve \u202e".encode(), b"a" * 9000]
    with log.proxy.client() as c:
        for agent in agents:
            c.send(b"GET /" + b"x" * 5000 + b" HTTP/1.1\r\nHost: web.test\r\nUser-Agent: " + agent + b"\r\n\r\n")
            assert c.response().status == 200
    lines = log.lines(len(agents))
    assert all(line["route"] == "web" and line["request"].endswith("... HTTP/1.1") for line in lines)
    assert all(len(line) <= 4096 for line in log.file.read_bytes().split(b"\n"))
    assert lines[-1]["user_agent"] == "a" * 509 + "..."
    if form == "json":
        assert lines[0]["user_agent"] == agents[0].decode().strip() and lines[5]["user_agent"] == agents[5].decode()


def test_which_version_and_why(access, v1, v2):
    log = access(route(v1.address, v2.address, weight="0%", sticky={"by": "cookie", "name": "uid"},
                       override={"header": "X-Canary", "cookie": "canary"}))
    for headers in ((), [("Cookie", "uid=7")], [("X-Canary", "always")], [("Cookie", "canary=always")], [("X-Canary", "never")]):
        log.proxy.ask(headers=headers)
    assert [(line["version"], line["role"], line["assigned"], line["upstream"]) for line in log.lines(5)] == [
        ("v1", "stable", "weight", v1.address), ("v1", "stable", "sticky", v1.address), ("v2", "canary", "header", v2.address),
        ("v2", "canary", "cookie", v2.address), ("v1", "stable", "header", v1.address)]


def test_a_retry_and_an_answer_by_serin(access, v1, v2):
    v2.answer = says(503, b"")
    log = access(route(v1.address, v2.address, weight="100%", breaker={"min_requests": 0}))
    assert log.proxy.ask().status == 200
    v1.answer = lambda c, r: c.close()
    answer = log.proxy.ask(target="/bad")
    assert answer.status == 502 and len(answer.get("x-request-id")) == 32
    retried, failed = log.lines(2)
    assert (retried["status"], retried["retries"], retried["version"], retried["upstream"]) == (200, 1, "v1", v1.address)
    assert (failed["status"], failed["retries"], failed["why"]) == (502, 1, "reset")
    assert failed["bytes"] == len(answer.body) and failed["request_id"] == answer.get("x-request-id")


def test_a_client_that_leaves(access, backend):
    v1 = backend(answer=hang)
    log = access(route(v1.address))
    with log.proxy.client() as c:
        c.send("GET /slow HTTP/1.1\r\nHost: web.test\r\n\r\n")
        wait_until(lambda: v1.requests, 5, "the request")
    line, = log.lines(1)
    assert (line["status"], line["bytes"], line["why"]) == (499, 0, "client_aborted")


def test_a_response_that_is_cut(access, backend):
    def half(connection, request):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfour")
        connection.close()
    log = access(route(backend(answer=half).address))
    with log.proxy.client() as c, pytest.raises((EOFError, ConnectionError)):
        c.ask()
    line, = log.lines(1)
    assert (line["status"], line["bytes"], line["why"]) == (200, 4, "reset")


@pytest.mark.parametrize("raw, status, why", [
    (b"nonsense\r\n\r\n", 400, "bad_request"),
    (b"GET / HTTP/1.1\r\nHost: web.test\r\nX: " + b"x" * 40000 + b"\r\n\r\n", 431, "bad_request"),
    (b"GET / HTTP/1.1\r\nHost: ", 408, "client_timeout")])
@pytest.mark.parametrize("form", FORMS)
def test_what_never_became_a_request(access, v1, form, raw, status, why):
    log = access(route(v1.address), form=form, timeouts={"client_header": "300ms"})
    with log.proxy.client() as c:
        c.send(raw)
        answer = c.response()
    line, = log.lines(1)
    assert line.pop("time") and line == {"client": "127.0.0.1", "status": status, "bytes": len(answer.body), "retries": 0,
                                         "request_id": answer.get("x-request-id"), "why": why}


def test_no_route_and_a_head_alone(access, v1):
    log = access({**route(v1.address), "hosts": ["web.test"]})
    unknown = log.proxy.ask(target="/a", host="other.test", headers={"X-Request-ID": "given-by-client"})
    assert unknown.get("x-request-id") == "given-by-client"
    log.proxy.ask("HEAD", "/b")
    first, second = log.lines(2)
    assert (first["status"], first["why"], first["request"], first["request_id"]) == (404, "no_route", "GET /a HTTP/1.1", "given-by-client")
    assert "route" not in first and "upstream_ms" not in first
    assert (second["status"], second["bytes"], second["request"]) == (200, 0, "HEAD /b HTTP/1.1")


def test_bytes_are_those_of_the_body(access, backend):
    def chunks(connection, request):
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(100):
            connection.send(b"3e8\r\n" + b"x" * 1000 + b"\r\n")
        connection.send(b"0\r\n\r\n")
    log = access(route(backend(answer=chunks).address))
    assert len(log.proxy.ask().body) == 100000
    line, = log.lines(1)
    assert line["bytes"] == 100000


def test_a_tunnel_has_its_line_at_its_end(access, backend):
    v1 = backend(answer=echo)
    log = access(route(v1.address))
    c = open_tunnel(log.proxy, more="User-Agent: socket/1\r\nX-Request-ID: given-by-client\r\n")
    c.send(b"x" * 100)
    assert c.exactly(100) == b"x" * 100
    assert log.file.read_bytes() == b""
    began = time.monotonic()
    wait_until(lambda: time.monotonic() - began > 0.05, 5, "a measurable time")
    c.close()
    line, = log.lines(1)
    assert (line["status"], line["request"], line["user_agent"]) == (101, "GET /chat HTTP/1.1", "socket/1")
    assert (line["version"], line["upstream"], line["request_id"]) == ("v1", v1.address, "given-by-client")
    assert line["bytes"] >= 100 + len("v1|") and line["total_ms"] >= 50


class Traffic:
    """Clients that ask without a pause, until it is stopped: how many answers each of the paths got."""

    def __init__(self, proxy, n=4):
        self.proxy, self.ends, self.counts, self.errors = proxy, threading.Event(), [0] * n, []
        self.threads = [threading.Thread(target=self.run, args=(i,)) for i in range(n)]
        for t in self.threads:
            t.start()

    def run(self, i):
        try:
            with self.proxy.client() as c:
                while not self.ends.is_set():
                    assert c.ask(target=f"/{i}/{self.counts[i]}", headers={"User-Agent": "a" * 300}).status == 200
                    self.counts[i] += 1
        except Exception as e:  # reported by stop
            self.errors.append(e)

    def stop(self):
        self.ends.set()
        for t in self.threads:
            t.join()
        assert not self.errors, self.errors
        return self.counts


def test_no_line_is_lost_or_torn_by_a_rotation_under_load(access, v1):
    log = access(route(v1.address), workers=2)
    traffic = Traffic(log.proxy)
    rotated = []
    try:
        for k in range(5):
            wait_until(lambda: log.file.exists() and log.file.stat().st_size > 20000, 10, "lines")
            rotated.append(log.file.with_suffix(f".{k}"))
            os.rename(log.file, rotated[-1])
            log.proxy.process.send_signal(signal.SIGUSR1)
    finally:
        counts = traffic.stop()
    log.proxy.stop()                                    # what waits is written at a stop
    assert log.proxy.log().count("access_log_reopened") == 5
    targets = [json.loads(line)["request"].split()[1] for file in [*rotated, log.file] for line in open(file)]
    assert len(targets) == sum(counts)
    assert sorted(targets) == sorted(f"/{i}/{n}" for i, count in enumerate(counts) for n in range(count))


def test_no_line_is_lost_by_a_hand_over(access, shop, askers):
    log = access(route(shop("v1").address), workers=2)
    crowd = askers(log.proxy.address, keeps=True, pause_us=10000)   # what waits for a slow disk finds room
    old = []
    for _ in range(2):
        old.append(log.proxy.hand_over())
        size = log.file.stat().st_size
        wait_until(lambda: log.file.stat().st_size > size + 50000, 20, "lines of the new process")
    counts = crowd.end()
    assert counts["failed"] == 0 and all(process.wait(15) == 0 for process in old)
    log.proxy.stop()
    assert "access_log" not in log.proxy.log()
    lines = [parse_json(line) for line in open(log.file)]
    assert len(lines) == counts["requests"] and len({line["request_id"] for line in lines}) == len(lines)


def test_what_cannot_be_opened_again(access, v1, tmp_path):
    log = access(route(v1.address))
    os.rename(log.file, tmp_path / "old")
    log.file.mkdir()
    log.proxy.process.send_signal(signal.SIGUSR1)
    wait_until(lambda: "access_log_not_reopened" in log.proxy.log(), 5, "the reason")
    assert "Is a directory" in log.proxy.log() and "the old file" in log.proxy.log()
    log.proxy.ask(target="/still")
    wait_until(lambda: "/still" in (tmp_path / "old").read_text(), 5, "a line in the old file")


def test_a_full_disk_stops_nobody(serin, v1):
    proxy = serin(route(v1.address), log={"access": "combined", "access_file": "/dev/full"})
    wait_until(lambda: proxy.ask(headers={"User-Agent": "a" * 500}).status == 200 and "access_log_stuck" in proxy.log(), 10,
               "a warning")
    assert "No space left on device" in proxy.log()
    with proxy.client() as c:
        wait_until(lambda: c.ask(target="/" + "x" * 2000).status == 200 and
                   (c.ask().status and proxy.metrics().sum("serin_access_lines_dropped_total") > 0), 60, "lines that are dropped")
    assert proxy.log().count("access_log_stuck") == 1


def test_a_reader_that_stalls_stops_nobody(serin, v1, tmp_path):
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    proxy = serin(route(v1.address), log={"access": "json", "access_file": str(fifo)})
    n = 0
    with proxy.client() as c:
        while n < 400:
            assert c.ask(target=f"/{n}/" + "x" * 1000).status == 200
            n += 1
    got = bytearray()

    def read():
        try:
            got.extend(os.read(reader, 1 << 20))
        except BlockingIOError:
            pass
        return got.count(b"\n") == n
    wait_until(read, 10, "every line, once it is read")
    assert [json.loads(line)["request"].split("/")[1] for line in got.splitlines()] == [str(i) for i in range(n)]
    assert proxy.metrics().sum("serin_access_lines_dropped_total") == 0
    with proxy.client() as c:       # and with the pipe full again, a stop is not kept
        for _ in range(400):
            c.ask(target="/" + "x" * 1000)
    proxy.stop()
    os.close(reader)


def test_standard_output(serin, v1):
    proxy = serin(route(v1.address), log={"access": "combined"})
    proxy.ask(target="/there")
    wait_until(lambda: '"GET /there HTTP/1.1" 200' in proxy.log(), 5, "a line")
    proxy.process.send_signal(signal.SIGUSR1)
    wait_until(lambda: "access_log_reopened" in proxy.log(), 5, "the signal")
    proxy.ask(target="/too")
    wait_until(lambda: '"GET /too HTTP/1.1" 200' in proxy.log(), 5, "a line")


def fds(proxy):
    return len(os.listdir(f"/proc/{proxy.process.pid}/fd"))


def threads(proxy):
    return len(os.listdir(f"/proc/{proxy.process.pid}/task"))


def test_reload_switches_it_on_and_off(serin, v1, tmp_path):
    first, second = tmp_path / "first.log", tmp_path / "second.log"
    proxy = serin(route(v1.address))
    without = threads(proxy)

    def reload(expect=0, **log):
        proxy.config["log"] = log
        proxy.write()
        return proxy.cli("reload", expect=expect)

    def is_open(file):
        return any(os.path.realpath(f"/proc/{proxy.process.pid}/fd/{fd}") == str(file)
                   for fd in os.listdir(f"/proc/{proxy.process.pid}/fd"))
    proxy.ask(target="/0")
    reload(access="json", access_file=str(first))
    assert threads(proxy) == without + 1
    proxy.ask(target="/1")
    wait_until(lambda: first.read_text().count("\n") == 1, 5, "a line")
    reload(access="combined", access_file=str(second))
    proxy.ask(target="/2")
    wait_until(lambda: '"GET /2 HTTP/1.1"' in second.read_text(), 5, "a line in the other file")
    assert reload(expect=1, access="json", access_file=str(tmp_path / "nowhere" / "access.log")) is not None
    proxy.ask(target="/3")
    wait_until(lambda: '"GET /3 HTTP/1.1"' in second.read_text(), 5, "a line where they went before")
    reload()
    wait_until(lambda: not is_open(second), 5, "the file being closed")
    proxy.ask(target="/4")
    reload(access="json", access_file=str(first))
    proxy.ask(target="/5")
    wait_until(lambda: first.read_text().count("\n") == 2, 5, "a line")
    assert [json.loads(line)["request"].split()[1] for line in first.read_text().splitlines()] == ["/1", "/5"]
    assert second.read_text().count("\n") == 2


def test_off_costs_no_descriptor_and_no_thread(serin, v1, tmp_path):
    off, on = serin(route(v1.address)), serin(route(v1.address), log={"access": "json", "access_file": str(tmp_path / "log")})
    wait_until(lambda: threads(on) == threads(off) + 1 and fds(on) == fds(off) + 2, 10, "both being there, with what their threads make")


@pytest.mark.parametrize("file, why", [("nowhere/access.log", "No such file or directory"), (".", "Is a directory")])
def test_a_file_that_cannot_be_written_is_an_error_of_the_configuration(serin, v1, file, why):
    proxy = serin(route(v1.address), start=False, log={"access": "json", "access_file": file})
    for command in ("check", "run"):
        done = run_serin(command, "-c", proxy.file)
        assert done.returncode == 78 and "log.access_file" in done.stderr and why in done.stderr, done


def test_a_check_makes_no_file(serin, v1, tmp_path):
    proxy = serin(route(v1.address), start=False, log={"access": "json", "access_file": "access.log"})
    assert run_serin("check", "-c", proxy.file).returncode == 0
    assert not os.path.exists(os.path.join(proxy.folder, "access.log"))
    proxy.start()
    assert os.stat(os.path.join(proxy.folder, "access.log")).st_mode & 0o137 == 0
