"""A name server for end-to-end tests: over UDP on the loopback, scripted, as wrong as asked.

SPDX-License-Identifier: Apache-2.0
"""
import ipaddress
import socket
import struct
import threading

TYPES = {1: "A", 28: "AAAA"}
NXDOMAIN, SERVFAIL, REFUSED = 3, 2, 5


class Question:
    """What was asked, and the bytes to answer with."""

    def __init__(self, packet):
        self.packet, self.id = packet, struct.unpack(">H", packet[:2])[0]
        labels, at = [], 12
        while packet[at]:
            labels.append(packet[at + 1:at + 1 + packet[at]])
            at += 1 + packet[at]
        self.name = b".".join(labels).decode().lower()
        self.type = TYPES.get(struct.unpack(">H", packet[at + 1:at + 3])[0], "other")
        self.bytes = packet[12:at + 5]

    def head(self, answers, rcode=0, flags=0, id=None):
        return struct.pack(">HHHHHH", self.id if id is None else id, 0x8180 | flags | rcode, 1, answers, 0, 0) + self.bytes

    def record(self, address, ttl):
        ip = ipaddress.ip_address(address)
        return b"\xc0\x0c" + struct.pack(">HHIH", 1 if ip.version == 4 else 28, 1, ttl, len(ip.packed)) + ip.packed

    def reply(self, addresses, ttl=1, **more):
        mine = [a for a in addresses if (":" in a) == (self.type == "AAAA")]
        return self.head(len(mine), **more) + b"".join(self.record(a, ttl) for a in mine)


class NameServer:
    """zone[name] is a list of addresses of both families, a response code, or a function of the question that returns bytes,
    a list of packets to send one after the other, or None for silence. A name that it does not have does not exist. ttl
    holds for all. asked keeps (name, type) of what came."""

    def __init__(self):
        self.zone, self.ttl, self.asked = {}, 1, []
        self.lock = threading.Lock()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def set(self, name, what):
        with self.lock:
            self.zone[name] = what

    def count(self, name, type=None):
        with self.lock:
            return sum(n == name and type in (None, t) for n, t in self.asked)

    def answer(self, question):
        with self.lock:
            self.asked.append((question.name, question.type))
            what, ttl = self.zone.get(question.name, NXDOMAIN), self.ttl
        if callable(what):
            return what(question)
        return question.head(0, rcode=what) if isinstance(what, int) else question.reply(what, ttl)

    def run(self):
        while True:
            packet, peer = self.socket.recvfrom(4096)
            if not packet:
                return
            answers = self.answer(Question(packet))
            for data in answers if isinstance(answers, list) else [answers]:
                if data is not None:
                    self.socket.sendto(data, peer)

    def stop(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(b"", self.socket.getsockname())
        self.thread.join(10)
        self.socket.close()
