"""The Debian package on a Debian that is booted for it, with systemd: installed, upgraded under load, removed, purged.

SPDX-License-Identifier: Apache-2.0
"""
import os
import re
import shutil
import subprocess

import pytest

import booted
import rig
from load import Askers, Shop
from rig import wait_until

pytestmark = pytest.mark.release       # what is packed is the release build

UNIT = "serin.service"
FRONT, BACK = "127.0.0.1:8080", 8000        # of the configuration as it is installed
WHY_NOT = booted.why_not()
boots = pytest.mark.skipif(WHY_NOT is not None, reason=f"booting a machine {WHY_NOT}")


def build_folder():
    return os.path.dirname(os.path.abspath(rig.SERIN))


def pack(folder, *words):
    """cpack's package of the build that is tested."""
    subprocess.run(["cpack", "--config", f"{build_folder()}/CPackConfig.cmake", "-B", folder, *words], check=True,
                   stdout=subprocess.DEVNULL)
    (name,) = [n for n in os.listdir(folder) if n.endswith(".deb")]
    return os.path.join(folder, name)


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return pack(tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="module")
def newer(tmp_path_factory):
    """The same of a version that is higher than any."""
    return pack(tmp_path_factory.mktemp("newer"), "-R", "99.0.0")


class Machine(booted.Booted):
    def __init__(self, folder, programs):
        self.folder, self.programs = str(folder), programs
        super().__init__(folder)

    def install(self, package):
        """dpkg -i; what it said."""
        shutil.copy(package, self.folder)
        done = self.run("dpkg", "-i", f"{booted.SHARED}/{os.path.basename(package)}")
        return done.stdout + done.stderr

    def write(self, path, text):
        with open(os.path.join(self.folder, "text"), "w", encoding="utf-8") as f:
            f.write(text)
        self.run("cp", "--no-preserve=all", f"{booted.SHARED}/text", path)

    def is_active(self):
        return self.run("systemctl", "is-active", UNIT, expect=None).stdout.strip() == "active"

    def pid(self):
        """The process that systemd watches."""
        return int(self.unit(UNIT, "MainPID"))

    def program(self, pid):
        return self.say("readlink", f"/proc/{pid}/exe")

    def status(self, target="/", address=FRONT):
        done = subprocess.run([*self.network, "curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}",
                               f"http://{address}{target}"], capture_output=True, text=True, timeout=20)
        return int(done.stdout)

    def askers(self, keeps):
        return Askers(self.programs["asker"], FRONT, keeps, pause_us=2000, before=self.network)     # the cores are dpkg's, too


@pytest.fixture
def machine(tmp_path, programs, cleanup):
    folder = tmp_path / "shared"
    folder.mkdir(mode=0o755)
    made = Machine(folder, programs)
    cleanup.append(made.stop)
    return made


@pytest.fixture
def served(machine, package, cleanup):
    """One with serin, and the service that stands behind it."""
    shop = Shop(machine.programs["app"], "v1", port=BACK, before=machine.network)
    cleanup.append(shop.stop)
    machine.install(package)
    wait_until(lambda: machine.status() == 200, 10, "serin passing on")
    return machine


def shipped(package):
    """The regular files of a package: {path: mode}."""
    out = subprocess.run(["dpkg-deb", "--contents", package], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 5) for line in out.splitlines()]
    assert {row[1] for row in rows} == {"root/root"}
    return {row[5][1:]: row[0] for row in rows if row[0][0] == "-"}


def installed(folder, prefix, destdir=None):
    """What cmake --install puts there, as paths below folder."""
    subprocess.run(["cmake", "--install", build_folder(), "--prefix", prefix], check=True, stdout=subprocess.DEVNULL,
                   env={**os.environ, **({"DESTDIR": destdir} if destdir else {})})
    return {os.path.relpath(os.path.join(d, f), folder) for d, _, fs in os.walk(folder) for f in fs}


# --- what is in it

def test_lintian_has_no_error(package):
    done = subprocess.run(["lintian", "--fail-on", "error", package], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_package_has_what_a_service_needs(package):
    files = shipped(package)
    assert {"/usr/bin/serin", "/etc/serin/serin.yaml", "/etc/logrotate.d/serin", "/usr/lib/systemd/system/serin.service",
            "/usr/lib/sysusers.d/serin.conf", "/usr/share/doc/serin/copyright", "/usr/share/doc/serin/changelog.gz",
            "/usr/share/doc/serin/examples/serin.yaml"} <= set(files)
    assert [path for path, mode in files.items() if "x" in mode] == ["/usr/bin/serin"]
    control = subprocess.run(["dpkg-deb", "--info", package, "conffiles"], capture_output=True, text=True, check=True).stdout
    assert set(control.split()) == {path for path in files if path.startswith("/etc/")}
    fields = subprocess.run(["dpkg-deb", "--field", package, "Package", "Version", "Depends"], capture_output=True, text=True,
                            check=True).stdout
    version = rig.run_serin("version").stdout.split()[1]
    assert f"Package: serin\nVersion: {version}\n" in fields and "libevent-2.1" in fields and "libssl3" in fields


def test_layout_by_prefix(tmp_path):
    """GNUInstallDirs: /etc belongs to prefix /usr, any other has its own; the unit names what was installed."""
    system = installed(tmp_path / "system", "/usr", str(tmp_path / "system"))
    assert {"usr/bin/serin", "etc/serin/serin.yaml", "usr/lib/systemd/system/serin.service"} <= system
    own = str(tmp_path / "own")
    assert {re.sub("^usr/", "", path) for path in system} == installed(own, own)
    with open(f"{own}/lib/systemd/system/serin.service", encoding="utf-8") as f:
        assert f"\nExecStart={own}/bin/serin run -c {own}/etc/serin/serin.yaml\n" in f.read()


def test_an_installation_keeps_the_configuration(tmp_path):
    own = str(tmp_path)
    installed(own, own)
    for name in ("etc/serin/serin.yaml", "etc/logrotate.d/serin"):
        with open(f"{own}/{name}", "w", encoding="utf-8") as f:
            f.write("# mine\n")
    installed(own, own)
    with open(f"{own}/etc/serin/serin.yaml", encoding="utf-8") as f:
        assert f.read() == "# mine\n"
    with open(f"{own}/etc/logrotate.d/serin", encoding="utf-8") as f:
        assert f.read() != "# mine\n"


# --- on a machine

@boots
def test_it_installs_and_starts(machine, package):
    machine.install(package)
    assert machine.is_active() and machine.say("systemctl", "is-enabled", UNIT) == "enabled"
    assert machine.say("ps", "-o", "user=", "-p", machine.pid()) == "serin"
    assert machine.say("serin", "check").startswith("/etc/serin/serin.yaml: ok")
    assert machine.status("/readyz", "127.0.0.1:9900") == 200
    assert machine.status() == 502              # nobody is behind it yet
    for folder in ("/var/lib/serin", "/var/log/serin"):
        assert machine.say("stat", "-c", "%U:%G %a", folder) == "serin:serin 750"
    assert machine.say("systemd-analyze", "verify", "--man=no", UNIT) == ""
    machine.run("systemd-analyze", "security", "--threshold=15", UNIT)


@boots
def test_it_passes_on(served):
    assert served.status() == 200


@boots
def test_it_upgrades_under_load(served, newer, package):
    """To a higher version, then that one again: every request has its answer, and the new program gives it."""
    with_mine = served.say("cat", "/etc/serin/serin.yaml") + "\n# mine\n"
    served.write("/etc/serin/serin.yaml", with_mine)
    crowds, pids = [served.askers(True), served.askers(False)], [served.pid()]
    for _ in range(2):
        served.install(newer)
        pids.append(served.pid())
        assert served.program(pids[-1]) == "/usr/bin/serin"     # not "(deleted)": the one of before is gone
    assert len(set(pids)) == 3
    assert not any(c.is_done() for c in crowds)
    counts = [c.end() for c in crowds]
    assert all(c["failed"] == 0 and c["requests"] > 100 for c in counts), counts
    assert counts[0]["closes"] >= 16            # every kept connection went to the new process
    assert served.is_active() and served.say("dpkg-query", "-f", "${Version}", "-W", "serin") == "99.0.0"
    assert served.say("cat", "/etc/serin/serin.yaml") == with_mine.strip()
    wait_until(lambda: not served.has(f"/proc/{pids[0]}") and not served.has(f"/proc/{pids[1]}"), 20, "the end of the old ones")


@boots
def test_what_was_stopped_stays_so(served, newer):
    served.run("systemctl", "stop", UNIT)
    served.install(newer)
    assert not served.is_active() and served.say("systemctl", "is-enabled", UNIT) == "enabled"


@boots
def test_an_upgrade_that_cannot_take_over(served, newer):
    """The file has an error by now: dpkg has not failed, users are served on, and the administrator is told."""
    served.write("/etc/serin/serin.yaml", "routes: nonsense\n")
    before = served.pid()
    assert "the new version has not taken over" in served.install(newer)
    assert served.pid() == before and served.status() == 200
    assert "handover_failed" in served.journal(UNIT)


@boots
def test_an_administrator_may_forbid_it(machine, package, newer):
    """policy-rc.d: neither started nor handed over."""
    machine.write("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n")
    machine.run("chmod", "755", "/usr/sbin/policy-rc.d")
    machine.install(package)
    assert not machine.is_active()
    machine.run("systemctl", "start", UNIT)
    before = machine.pid()
    machine.install(newer)
    assert machine.pid() == before and machine.program(before).endswith("(deleted)")


@boots
def test_no_systemd_runs(machine, package):
    """A chroot, or a container: there is nobody to start it."""
    shutil.copy(package, machine.folder)
    without = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs tmpfs /run/systemd && "$@"', "sh", "dpkg")
    machine.run(*without, "-i", f"{booted.SHARED}/{os.path.basename(package)}")
    assert not machine.is_active()
    assert machine.say("stat", "-c", "%U", "/var/lib/serin") == "serin" and machine.say("serin", "check")
    machine.run(*without, "-P", "serin")
    assert not machine.has("/var/lib/serin")


@boots
def test_logs_are_rotated(served):
    log = "/var/log/serin/access.log"
    text = served.say("cat", "/etc/serin/serin.yaml")
    served.write("/etc/serin/serin.yaml", text.replace("# log: {", "log: {") + "\n")
    served.run("systemctl", "reload", UNIT)
    written = lambda: served.status() == 200 and served.run("test", "-s", log, expect=None).returncode == 0
    wait_until(written, 10, "an access line")
    served.run("logrotate", "--force", "/etc/logrotate.d/serin")
    wait_until(written, 10, "an access line in the new file")
    assert served.run("test", "-s", log + ".1", expect=None).returncode == 0
    assert served.say("stat", "-c", "%U", log) == "serin"


@boots
def test_it_is_removed_and_purged(served):
    served.write("/var/lib/serin/mine", "state\n")
    served.run("dpkg", "-r", "serin")
    assert served.run("systemctl", "is-active", UNIT, expect=None).stdout.strip() != "active"
    assert served.run("pgrep", "-x", "serin", expect=None).stdout == ""
    assert served.has("/etc/serin/serin.yaml") and served.has("/var/lib/serin/mine") and not served.has("/usr/bin/serin")
    served.run("dpkg", "-P", "serin")
    assert served.run("getent", "passwd", "serin", expect=None).stdout == ""
    assert served.run("getent", "group", "serin", expect=None).stdout == ""
    left = served.say("find", "/etc", "/usr/bin", "/usr/lib/systemd", "/usr/lib/sysusers.d", "/usr/share/doc", "/var/lib", "/var/log",
                      "/var/cache", "/run", "-xdev", "-name", "*serin*")
    assert left == "" and served.status() == 0


@boots
def test_it_comes_back_after_a_removal(served, package):
    served.run("dpkg", "-r", "serin")
    served.install(package)
    assert served.is_active() and served.status() == 200
