"""What the kernel tells of a process.

SPDX-License-Identifier: Apache-2.0
"""
import os


def open_files(process):
    """What the descriptors of a process refer to, as the kernel writes it."""
    folder, links = f"/proc/{process.pid}/fd", []
    for fd in os.listdir(folder):
        try:
            links.append(os.readlink(f"{folder}/{fd}"))
        except FileNotFoundError:       # closed meanwhile
            pass
    return links


def listens(process):
    """Whether a process has a listening TCP socket open."""
    if process.poll() is not None:
        return False
    with open("/proc/net/tcp") as f:
        listening = {f"socket:[{row[9]}]" for row in map(str.split, f) if row[3] == "0A"}
    return not listening.isdisjoint(open_files(process))
