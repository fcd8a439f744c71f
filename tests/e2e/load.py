"""Load for end-to-end tests: the demo's web application and its users as child processes.

SPDX-License-Identifier: Apache-2.0
"""
import json
import subprocess

from rig import ask, die_with_me, wait_until


class Shop:
    """conf/demo/app.c: a version whose errors (percent) and delay (ms) can be set while it runs."""

    def __init__(self, program, version, address="127.0.0.1", port=0, before=()):
        """before: words of a program that becomes it."""
        self.version = version
        self.process = subprocess.Popen([*before, program, version, str(port), address], stdout=subprocess.PIPE, text=True, preexec_fn=die_with_me)
        self.address = f"127.0.0.1:{int(self.process.stdout.readline())}"

    def control(self, **values):
        query = "&".join(f"{k}={v}" for k, v in values.items())
        assert ask(self.address, "POST", "/control?" + query, body=b"").status == 204

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
        self.process.stdout.close()


class Users:
    """conf/demo/users.c: steady traffic over kept connections."""

    def __init__(self, program, summary, address, users=300, rate=1000):
        self.summary = summary
        self.process = subprocess.Popen([program, address.rpartition(":")[2], str(users), str(rate), summary],
                                        preexec_fn=die_with_me)
        wait_until(lambda: self.counts().get("requests", 0) > 0, 10, "the users' first answers")

    def counts(self):
        """What they got so far: requests, failed, v1_requests, v1_failed ..."""
        try:
            with open(self.summary) as f:
                return json.load(f)
        except FileNotFoundError:
            return {}

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(10)
        return self.counts()


class Askers:
    """asker.c: clients that count every request which does not get its whole answer. They try nothing twice."""

    def __init__(self, program, address, keeps=True, threads=16, requests=10 ** 9, pause_us=0, tls=False,
                 before=()):
        host, _, port = address.rpartition(":")
        words = [*before, program, host, port, threads, requests, "keep" if keeps else "close", pause_us, *["tls"] * tls]
        self.process = subprocess.Popen(list(map(str, words)), stdout=subprocess.PIPE, text=True, preexec_fn=die_with_me)
        self.counts = None

    def is_done(self):
        return self.process.poll() is not None

    def end(self, seconds=120):
        """What they got; stops them where they have more to ask."""
        if self.counts is None:
            self.process.terminate()
            self.wait(seconds)
        return self.counts

    def wait(self, seconds=120):
        """What they got once they have asked for all that they were to."""
        out, _ = self.process.communicate(timeout=seconds)
        self.counts = json.loads(out)
        return self.counts
