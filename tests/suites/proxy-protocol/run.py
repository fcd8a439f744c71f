#!/usr/bin/env python3
"""PROXY headers, v1 and v2, before a request to a proxy that expects one: run.py PROXY_HOST PROXY_PORT BACKEND_PORT

The proxy must take PROXY headers from this machine, forward to 127.0.0.1:BACKEND_PORT, which is played here, and name the
client in X-Forwarded-For. What the headers are: haproxy's doc/proxy-protocol.txt. A right one must be believed, also in
pieces; behind a wrong one no request may reach the backend. Ends with "N passed, N failed"; exit code 0 where nothing failed.

Example: tests/suites/proxy-protocol/run.py 127.0.0.1 8080 8001

SPDX-License-Identifier: Apache-2.0
"""
import fcntl
import os
import socket
import struct
import sys
import termios
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "fixtures", "http1", "lib"))
from h1rig import RawClient, Recorder

PATIENCE = 5.0      # seconds for an answer or an end
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
PEER = "the peer's own"
PROXY, LOCAL, UNSPEC, TCP4, TCP6, UNIX = 1, 0, 0x00, 0x11, 0x21, 0x31


def v1(words):
    return f"PROXY {words}\r\n".encode()


def v2(command, family, body=b"", version=2):
    return SIGNATURE + bytes([version << 4 | command, family]) + struct.pack(">H", len(body)) + body


def ends(family, source, target):
    """Two addresses and two ports."""
    return socket.inet_pton(family, source) + socket.inet_pton(family, target) + struct.pack(">HH", 5000, 80)


A4 = ends(socket.AF_INET, "192.0.2.7", "192.0.2.8")
A6 = ends(socket.AF_INET6, "2001:db8::7", "2001:db8::8")
LINE = v1("TCP4 192.0.2.7 192.0.2.8 5000 80")
LONGEST = ":".join(["ffff"] * 8)

CASES = [   # name; the header, or the pieces that it comes in; the client that must be named, None: refused
    ("v1-tcp4", LINE, "192.0.2.7"),
    ("v1-tcp6", v1("TCP6 2001:db8::7 2001:db8::8 5000 80"), "2001:db8::7"),
    ("v1-unknown", v1("UNKNOWN"), PEER),
    ("v1-unknown-rest", v1("UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535"), PEER),
    ("v1-longest", v1(f"TCP6 {LONGEST} {LONGEST} 65535 65535"), LONGEST),
    ("v1-pieces", [LINE[:3], LINE[3:20], LINE[20:-1], LINE[-1:]], "192.0.2.7"),
    ("v1-address", v1("TCP4 192.0.2.777 192.0.2.8 5000 80"), None),
    ("v1-port", v1("TCP4 192.0.2.7 192.0.2.8 70000 80"), None),
    ("v1-family", v1("TCP9 192.0.2.7 192.0.2.8 5000 80"), None),
    ("v1-lower-case", LINE.replace(b"PROXY", b"proxy"), None),
    ("v1-bare-lf", LINE.replace(b"\r", b""), None),
    ("v1-too-long", LINE.replace(b"\r", b" " * 200 + b"\r"), None),
    ("v1-twice", LINE + v1("TCP4 192.0.2.9 192.0.2.8 5000 80"), None),
    ("none", b"", None),
    ("v2-tcp4", v2(PROXY, TCP4, A4), "192.0.2.7"),
    ("v2-tcp6", v2(PROXY, TCP6, A6), "2001:db8::7"),
    ("v2-local", v2(LOCAL, UNSPEC), PEER),
    ("v2-unspec", v2(PROXY, UNSPEC), PEER),
    ("v2-tlvs", v2(PROXY, TCP4, A4 + b"\x04\0\x03abc\x05\0\x02id"), "192.0.2.7"),
    ("v2-tlv-large", v2(PROXY, TCP4, A4 + b"\x04" + struct.pack(">H", 400) + b"n" * 400), "192.0.2.7"),
    ("v2-unix", v2(PROXY, UNIX, b"/a".ljust(108, b"\0") + b"/b".ljust(108, b"\0")), "unknown"),
    ("v2-pieces", [v2(PROXY, TCP4, A4)[a:b] for a, b in ((0, 5), (5, 14), (14, 20), (20, 99))], "192.0.2.7"),
    ("v2-version", v2(PROXY, TCP4, A4, version=3), None),
    ("v2-command", v2(5, TCP4, A4), None),
    ("v2-short", v2(PROXY, TCP4, A4[:6]), None),
    ("v2-signature", v2(PROXY, TCP4, A4).replace(b"QUIT", b"QUIX"), None),
]


def send_piece(client, piece):
    """Sends it and waits until the other side's kernel has it, so that the next one comes by itself."""
    end = time.time() + PATIENCE
    client.pump(piece, end, lambda c: True)
    while not client.eof and time.time() < end:
        if struct.unpack("i", fcntl.ioctl(client.s, termios.TIOCOUTQ, b"\0" * 4))[0] == 0:
            return
        time.sleep(0.001)


def run(recorder, address, case):
    """None where the case is passed, else what happened."""
    name, header, wanted = case
    recorder.begin()
    client = RawClient(*address)
    for piece in header if isinstance(header, list) else [header]:
        send_piece(client, piece)
    request = f"GET /pp/{name} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()
    client.pump(request, time.time() + PATIENCE)     # to the end: answered or refused
    own = client.s.getsockname()[0] if not client.reset else address[0]
    client.close()
    seen = [m for m, _ in recorder.collect()[0] if (m.target or "").startswith("/pp/")]
    if not client.eof:
        return f"the connection is left open after {client.data[:60]!r}"
    if wanted is None:
        if seen or client.data.startswith(b"HTTP/1.1 2"):
            return f"it is believed: {client.data[:60]!r}"
        return None
    named = [m.get("x-forwarded-for") for m in seen]
    if named != [[own if wanted == PEER else wanted]]:
        return f"the backend is told {named}, the client {client.data[:60]!r}"
    return None


def main():
    if sys.argv[1:] == ["--help"]:
        print(__doc__)
        return
    address, port = (sys.argv[1], int(sys.argv[2])), int(sys.argv[3])
    recorder = Recorder([port])
    failed = 0
    for case in CASES:
        what = run(recorder, address, case)
        if what:
            failed += 1
            print(f"FAIL {case[0]}: wanted {case[2] or 'refusal'}, but {what}")
    print(f"{len(CASES) - failed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
