"""A Debian that is booted from this machine's own files: systemd as process 1 with processes, mounts and a network of its own.

What it writes is kept in memory and gone with it; this machine's kernel settings, clock, services and files stay as they are.
SPDX-License-Identifier: Apache-2.0
"""
import os
import subprocess

from rig import die_with_me, wait_until

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SHARED = "/mnt"     # where it finds the folder that it shares with the test

# Within the new namespaces: puts a root together, lets go of the old one, becomes systemd.
BOOT = r"""set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
cd /mnt/root

# Read only, so that nothing is set for this machine's kernel.
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,ro,bind proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
for folder in run tmp dev; do mount -t tmpfs -o mode=755 tmpfs $folder; done
chmod 1777 tmp
for device in null zero full random urandom tty; do : >dev/$device && mount --bind /dev/$device dev/$device; done
ln -s /proc/self/fd dev/fd
ln -s pts/ptmx dev/ptmx
mount --bind "$SHARED_FOLDER" mnt

# Nothing that this machine has enabled starts in there.
rm -rf etc/systemd/system/*.wants etc/systemd/system/*.requires usr/sbin/policy-rc.d
: >etc/fstab
mkdir old
pivot_root . old
umount -l old
exec setpriv --bounding-set=-sys_time,-sys_module,-sys_rawio,-syslog,-sys_boot \
    env -i container=test PATH="$PATH" /lib/systemd/systemd --unit=basic.target --log-target=journal
"""


def why_not():
    """Why such a machine cannot be had here; None where it can."""
    if os.geteuid() != 0:
        return "needs root"
    done = subprocess.run(["unshare", "--mount", "--pid", "--net", "--fork", "true"], capture_output=True, text=True)
    return f"needs namespaces: {done.stderr.strip()}" if done.returncode else None


class Booted:
    """Ends with stop(), or with the test. shared: a folder that stands at SHARED within."""

    def __init__(self, shared):
        self.process = subprocess.Popen(["unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup", "--fork",
                                         "--kill-child", "sh", "-c", BOOT], stdin=subprocess.DEVNULL, preexec_fn=die_with_me,
                                        env={"PATH": PATH, "SHARED_FOLDER": str(shared)})
        self.first = wait_until(self.child, 10, "the first process")
        wait_until(self.is_up, 60, "systemd being up")

    def child(self):
        assert self.process.poll() is None, "the machine could not be put together"
        pid = self.process.pid
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            return f.read().split()[0:1]

    def is_up(self):
        self.child()
        return self.run("systemctl", "is-system-running", expect=None).stdout.strip() in ("running", "degraded")

    @property
    def network(self):
        """Words before a program of this machine, which then has the network of that one."""
        return ["nsenter", "--target", self.first[0], "--net"]

    def run(self, *words, expect=0, timeout=120):
        """A command to its end: (returncode, stdout, stderr)."""
        enter = ["nsenter", "--target", self.first[0], "--all", "--root", "env", "-i", "--chdir=/", f"PATH={PATH}", "LC_ALL=C"]
        done = subprocess.run([*enter, *map(str, words)], capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)
        assert expect is None or done.returncode == expect, f"{words}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def say(self, *words):
        return self.run(*words).stdout.strip()

    def has(self, path):
        return self.run("test", "-e", path, expect=None).returncode == 0

    def unit(self, name, what):
        """A property of a unit, as systemd has it."""
        return self.say("systemctl", "show", "--property", what, "--value", name)

    def journal(self, unit):
        return self.run("journalctl", "--no-pager", "--output", "cat", "--unit", unit, expect=None).stdout

    def stop(self):
        """Process 1 goes, and all others with it."""
        self.process.kill()
        self.process.wait(20)
