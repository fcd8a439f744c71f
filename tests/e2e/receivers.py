"""Receivers of notifications: a real HTTP server that keeps what it gets, and a real Alertmanager.

SPDX-License-Identifier: Apache-2.0
"""
import http.server
import json
import subprocess
import threading
import time

import rig


class Post:
    """One POST as it came."""

    def __init__(self, handler):
        self.at = time.monotonic()
        self.path, self.headers = handler.path, dict(handler.headers.items())
        self.body = handler.rfile.read(int(handler.headers["Content-Length"]))
        self.json = json.loads(self.body)
        self.id = self.headers["X-Serin-Event"]


class Receiver:
    """Python's own HTTP server. answers: what to say to the next POSTs, (status, headers) each; behind them always 200."""

    def __init__(self):
        self.posts, self.answers, self.lock = [], [], threading.Lock()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                post = Post(self)
                with receiver.lock:
                    receiver.posts.append(post)
                    status, headers = receiver.answers.pop(0) if receiver.answers else (200, {})
                self.send_response(status)
                for name, value in {"Content-Length": "2", **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *words):
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, request, client_address):
                pass                        # serin does not stay to read the answer

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def seen(self):
        with self.lock:
            return list(self.posts)

    def events(self):
        """Names of generic events, in the order in which they came."""
        return [p.json["event"] for p in self.seen()]

    def wait_for(self, event, seconds=15):
        """The first POST of that event."""
        return rig.wait_until(lambda: next((p for p in self.seen() if p.json["event"] == event), None), seconds, f"the event {event}")


class Alertmanager:
    """Debian's, alone, with nobody to tell."""

    def __init__(self, folder, port):
        config = folder / "alertmanager.yml"
        config.write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
        self.log = open(folder / "alertmanager.log", "wb")
        self.address = f"127.0.0.1:{port}"
        self.process = subprocess.Popen(["prometheus-alertmanager", f"--config.file={config}", f"--storage.path={folder}/alerts",
                                         f"--web.listen-address={self.address}", "--cluster.listen-address="],
                                        stdout=self.log, stderr=self.log, preexec_fn=rig.die_with_me)
        rig.wait_until(self.is_ready, 30, "Alertmanager being ready")

    def is_ready(self):
        assert self.process.poll() is None, "Alertmanager has ended"
        try:
            return rig.ask(self.address, target="/-/ready").status == 200
        except OSError:
            return False

    def alerts(self):
        """Those that fire now, by name."""
        answer = rig.ask(self.address, target="/api/v2/alerts")
        assert answer.status == 200, answer
        return {a["labels"]["alertname"]: a for a in json.loads(answer.body)}

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
        self.log.close()
