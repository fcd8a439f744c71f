"""One thread that runs what is due, under the store's lock: the controllers' work queue and all delays.

SPDX-License-Identifier: Apache-2.0
"""
import heapq
import itertools
import threading
import time
import traceback


class Scheduler:
    """at() and soon() may be called from any thread; work runs on one, in the order of its time."""

    def __init__(self, lock):
        self.lock, self.wake = lock, threading.Condition()
        self.due, self.count, self.stopping = [], itertools.count(), False
        self.waiting, self.paused, self.held = {}, False, []    # waiting: key -> its moment
        self.at_work = False
        self.failures = []      # tracebacks: tests look here when something is missing
        self.thread = threading.Thread(target=self._run, name="standin-controllers", daemon=True)
        self.thread.start()

    def at(self, after_s, work, *arguments):
        with self.wake:
            heapq.heappush(self.due, (time.monotonic() + after_s, next(self.count), work, arguments))
            self.wake.notify()

    def soon(self, after_s, key, work, *arguments):
        """The same, but once: while work with this key waits for the same moment or an earlier one, it is not queued again."""
        when = time.monotonic() + after_s
        with self.wake:
            if self.waiting.get(key, when + 1) <= when:
                return
            self.waiting[key] = when
        self.at(after_s, self._once, key, when, work, arguments)

    def _once(self, key, when, work, arguments):
        with self.wake:
            if self.waiting.get(key) != when:   # an earlier one came in between
                return
            del self.waiting[key]
        if self.paused:
            self.held.append((key, work, arguments))
        else:
            work(*arguments)

    def is_idle(self):
        """Whether nothing will happen before somebody asks for it: work that waits for a rollout's deadline does not count,
        nor what is kept by pause()."""
        with self.wake:
            return not self.at_work and all(work == self._once and arguments[0][0] == "deadline"
                                            for _, _, work, arguments in self.due)

    def pause(self):
        """Controllers do nothing from now on; what they would have done is kept. Pods' own lives go on."""
        with self.lock:
            self.paused = True

    def resume(self):
        with self.lock:
            self.paused, held, self.held = False, self.held, []
        for key, work, arguments in held:
            self.soon(0, key, work, *arguments)

    def _run(self):
        while True:
            with self.wake:
                while not self.stopping and (not self.due or self.due[0][0] > time.monotonic()):
                    self.wake.wait(self.due[0][0] - time.monotonic() if self.due else None)
                if self.stopping:
                    return
                _, _, work, arguments = heapq.heappop(self.due)
                self.at_work = True     # before the lock is had: whoever holds it must not take this for idleness
            try:
                with self.lock:
                    work(*arguments)
            except Exception:   # the other controllers still have to work
                self.failures.append(traceback.format_exc())
            with self.wake:
                self.at_work = False

    def stop(self):
        with self.wake:
            self.stopping = True
            self.wake.notify()
        self.thread.join(5)
