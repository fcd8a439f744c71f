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
