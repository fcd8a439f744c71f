"""A terminal for tests: a program on a pseudo-terminal, and the screen that it draws.

SPDX-License-Identifier: Apache-2.0
"""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import rig

SEQUENCE = re.compile(r"\x1b\[(\??)([0-9;]*)([A-Za-z])")


class Screen:
    """What a person would see. Strict: a control character or a sequence that serin has no business to send is an error."""

    def __init__(self, rows, columns, may_wrap=False):
        self.rows, self.columns, self.may_wrap = rows, columns, may_wrap
        self.lines, self.row, self.column = [""] * rows, 0, 0
        self.is_cursor_shown, self.wraps, self.colours, self.clears, self.rest = True, True, set(), 0, ""

    def resize(self, rows, columns):
        self.lines = (self.lines + [""] * rows)[:rows]
        self.rows, self.columns, self.row = rows, columns, min(self.row, rows - 1)

    def next_line(self):
        self.row += 1
        if self.row == self.rows:
            self.lines, self.row = self.lines[1:] + [""], self.rows - 1

    def put(self, c):
        if self.column == self.columns:
            if not self.wraps:
                return
            assert self.may_wrap, f"a line is longer than the screen: {self.lines[self.row]!r}"
            self.column = 0
            self.next_line()
        line = self.lines[self.row].ljust(self.column)
        self.lines[self.row] = line[:self.column] + c + line[self.column + 1:]
        self.column += 1

    def obey(self, private, numbers, letter):
        n = int(numbers or 1) if numbers.isdigit() or not numbers else None
        if private:
            assert numbers in ("25", "7") and letter in "hl", (numbers, letter)
            if numbers == "25":
                self.is_cursor_shown = letter == "h"
            else:
                self.wraps = letter == "h"
        elif letter == "m":
            self.colours.add(numbers)
        elif letter == "A":
            assert n <= self.row, "the cursor leaves the screen"
            self.row -= n
        elif letter == "H" and not numbers:
            self.row = self.column = 0
        elif letter == "K" and not numbers:
            self.lines[self.row] = self.lines[self.row][:self.column]
        elif letter == "J" and not numbers:
            self.lines[self.row] = self.lines[self.row][:self.column]
            self.lines[self.row + 1:] = [""] * (self.rows - self.row - 1)
        elif letter == "J" and numbers == "2":
            self.lines = [""] * self.rows
            self.clears += 1
        else:
            raise AssertionError(f"an unexpected sequence: {numbers!r} {letter!r}")

    def feed(self, text):
        text, at = self.rest + text, 0
        while at < len(text):
            c = text[at]
            if c == "\x1b":
                m = SEQUENCE.match(text, at)
                if not m:
                    assert len(text) - at < 16, f"no sequence: {text[at:at + 16]!r}"
                    break
                self.obey(*m.groups())
                at = m.end()
                continue
            if c == "\n":
                self.next_line()
            elif c == "\r":
                self.column = 0
            else:
                assert c >= " " and c != "\x7f" and not "\x80" <= c < "\xa0", f"a control character: {c!r}"
                self.put(c)
            at += 1
        self.rest = text[at:]

    def text(self):
        return "\n".join(line.rstrip() for line in self.lines).rstrip("\n")


class OnTerminal:
    """A program as the foreground job of a pseudo-terminal of its own."""

    def __init__(self, *words, rows=50, columns=80, environment=None, may_wrap=False):
        self.master, self.slave = pty.openpty()
        self.screen, self.raw, self.undecoded = Screen(rows, columns, may_wrap), "", b""
        self.set_size(rows, columns)
        self.modes = termios.tcgetattr(self.slave)

        def before_exec():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            rig.die_with_me()

        env = {"PATH": os.environ["PATH"], "TERM": "xterm", "LC_ALL": "C.UTF-8", **(environment or {})}
        env = {k: v for k, v in env.items() if v is not None}
        self.process = subprocess.Popen([str(w) for w in words], stdin=self.slave, stdout=self.slave, stderr=self.slave,
                                        env=env, preexec_fn=before_exec, close_fds=True)

    def set_size(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, rows, columns):
        self.look()
        self.set_size(rows, columns)        # the kernel sends WINCH
        self.screen.resize(rows, columns)

    def look(self):
        """Takes in what was written so far."""
        while select.select([self.master], [], [], 0.02)[0]:
            try:
                data = os.read(self.master, 65536)
            except OSError:
                break
            if not data:
                break
            whole = self.undecoded + data
            text = whole.decode(errors="ignore")
            self.undecoded = whole[len(text.encode()):]
            self.raw += text
            self.screen.feed(text)
        return self.screen.text()

    def shows(self, *what, seconds=20):
        """Waits until all of that stands on the screen; returns its text."""
        end = time.monotonic() + seconds
        while True:
            text = self.look()
            if all(re.search(w, text) for w in what):
                return text
            assert time.monotonic() < end and (self.process.poll() is None or any(w in self.raw for w in what)), \
                f"{what} did not come on the screen; exit code {self.process.poll()}:\n{text}"

    def press(self, keys):
        os.write(self.master, keys.encode())

    def signal(self, number):
        self.process.send_signal(number)

    def end(self, seconds=10):
        """Waits for the program's end; returns its exit code. The terminal must be as it was before."""
        end = time.monotonic() + seconds
        while self.process.poll() is None:
            self.look()
            assert time.monotonic() < end, f"it does not end:\n{self.screen.text()}"
        self.look()
        assert self.screen.is_cursor_shown and self.screen.wraps and self.is_restored()
        return self.process.returncode

    def is_restored(self):
        return termios.tcgetattr(self.slave) == self.modes

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)
