"""A real systemd as process 1 of its own namespaces, with ingot's units and a journal, for the tests of those.

It sees this machine's file systems, but has its own /run, /var/lib, control groups and units; /proc/sys is read-only for it. It
cannot switch anything off: reboot(2) in a PID namespace ends that namespace's process 1 alone.
"""
import json
import os
import re
import secrets
import signal
import subprocess
import time

import rig
from controller_rig import CONTROLLER

UNITS = os.path.join(rig.HERE, "..", "..", "systemd")

# Words after systemd's own are its kernel command line: that is what it reads in a container instead of /proc/cmdline.
BOOT = """set -e
mount -t proc proc /proc
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
umount -R /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
for folder in /run /etc/systemd/system /etc/default /var/lib /var/cache; do mount -t tmpfs -o mode=755 none $folder; done
cp -r "$1/etc/." /etc/
mkdir -p /run/systemd/system
cp -r "$1/units/." /run/systemd/system/
cp -r "$1/run/." /run/
mount --make-rshared /  # within these namespaces; credentials come by it, and in a container systemd leaves that to who starts it
root=$1
shift
export container=ingot-test
exec /lib/systemd/systemd --system --unit=ingot-test.target --log-target=journal --show-status=no "$@" </dev/null >"$root/log" 2>&1
"""
# Neither udev nor anything else of this machine is started; a unit that does not wait for basic.target is.
TARGET = """[Unit]
DefaultDependencies=no
Wants=systemd-journald.service
"""


class Systemd:
    """`command_line`: words as a boot loader would pass them. `options`: unit name to the arguments of its program, which are put
    behind what the unit has; `settings`: unit name to further lines of its [Service]. `run`, `etc`: files to be there, by path."""

    def __init__(self, case, command_line="", options=None, settings=None, run=None, etc=None):
        root = case.path("systemd-" + secrets.token_hex(4))
        for folder in ("units", "run", "etc"):
            os.makedirs(os.path.join(root, folder))
        self._write(root, "run/cmdline", command_line + "\n")  # a service has a fresh /proc, with this machine's own
        self._write(root, "units/ingot-test.target", TARGET)
        for name in os.listdir(UNITS):
            if not name.endswith(".service"):
                continue
            with open(os.path.join(UNITS, name)) as file:
                text = file.read()
            for program, built in (("ingot", rig.INGOT), ("ingot-controller", CONTROLLER)):
                more = (options or {}).get(name, "")
                text = re.sub(rf"^ExecStart={program}( .*)$", rf"ExecStart={os.path.realpath(built)}\1 {more}", text, flags=re.M)
            self._write(root, f"units/{name}", text)
            # The network is there, and nothing that this machine has for its boot is wanted here.
            self._write(root, f"units/{name}.d/test.conf", "[Unit]\nDefaultDependencies=no\nWants=\n[Service]\n" +
                        (settings or {}).get(name, ""))
        for folder, files in (("run", run), ("etc", etc)):
            for path, text in (files or {}).items():
                self._write(root, f"{folder}/{path}", text)
        self.cgroup = os.path.join(self._cgroup_mount(), "ingot-test-" + secrets.token_hex(4))
        os.mkdir(self.cgroup)
        case.addCleanup(self._remove_cgroup)
        script = 'echo $$ >"$0/cgroup.procs" && exec unshare --mount --pid --cgroup --uts --ipc --fork --kill-child sh -c "$@"'
        self.process = subprocess.Popen(["sh", "-c", script, self.cgroup, BOOT, "sh", root, *command_line.split()],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        case.addCleanup(self._end)
        self.init = self._wait(self._find_init, "systemd did not start")
        self._wait(lambda: self.ctl("is-active", "systemd-journald.service").returncode == 0, f"no journal; see {root}/log")

    @staticmethod
    def _write(root, path, text):
        path = os.path.join(root, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)

    @staticmethod
    def _cgroup_mount():
        with open("/proc/self/mounts") as file:
            return next(line.split()[1] for line in file if line.split()[2] == "cgroup2")

    @staticmethod
    def _wait(what, failure, timeout=30):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if found := what():
                return found
            time.sleep(0.05)
        raise AssertionError(failure)

    def _find_init(self):
        """The child of unshare, once it is systemd."""
        try:
            with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as file:
                child = file.read().split()[0]
            with open(f"/proc/{child}/comm") as file:
                return int(child) if file.read().strip() == "systemd" else None
        except (OSError, IndexError):
            return None

    def _end(self):
        if self.process.poll() is None:
            # unshare's death is its child's, and process 1's is that of all in the namespace.
            self.process.send_signal(signal.SIGKILL)
        self.process.wait(timeout=30)

    def _remove_cgroup(self):
        """Empty, as soon as the kernel has seen the processes go."""
        def removed():
            for folder, _, _ in os.walk(self.cgroup, topdown=False):
                try:
                    os.rmdir(folder)
                except OSError:
                    return False
            return True
        self._wait(removed, f"{self.cgroup} stays")

    def inside(self, *argv):
        return ["nsenter", f"--target={self.init}", "--mount", "--pid", "--ipc", "--", *argv]

    def ctl(self, *argv):
        return subprocess.run(self.inside("systemctl", *argv), capture_output=True, text=True, timeout=120)

    def start(self, unit):
        done = self.ctl("start", unit)
        if done.returncode != 0:
            raise AssertionError(f"{unit} does not start: {done.stderr}\n{self.log(unit)}")

    def show(self, unit):
        """The unit's properties."""
        return dict(line.split("=", 1) for line in self.ctl("show", unit).stdout.splitlines() if "=" in line)

    def wait(self, unit, what, timeout=60):
        """The properties, as soon as `what` is true of them."""
        last = {}

        def there():
            last.update(self.show(unit))
            return what(last)
        try:
            self._wait(there, "", timeout)
        except AssertionError:
            shown = {name: last.get(name) for name in ("ActiveState", "SubState", "Result", "StatusText", "NRestarts")}
            raise AssertionError(f"{unit}: {shown}\n{self.log(unit)}") from None
        return last

    def entries(self, unit):
        done = subprocess.run(self.inside("journalctl", "--sync"), capture_output=True)
        assert done.returncode == 0, done.stderr
        done = subprocess.run(self.inside("journalctl", "-o", "json", "--all", "--no-pager", f"_SYSTEMD_UNIT={unit}"),
                              capture_output=True, text=True)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def log(self, unit):
        return "\n".join(str(entry.get("MESSAGE")) for entry in self.entries(unit))
