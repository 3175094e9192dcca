#!/usr/bin/env python3
"""What systemd is told and given: the units themselves, notifications with a watchdog, and entries of a real journal.

The service manager is a socket of this file's; systemd-journald runs in a mount namespace of its own. No unit is started.
"""
import ctypes
import json
import os
import pty
import re
import secrets
import select
import signal
import socket
import subprocess
import threading
import time
import unittest

import agent_rig
import ironic_rig
import rig
from controller_rig import CONTROLLER, Controller, event, machine, new_deployment, os_image
from rig import MIB, digest, sh

SOURCE = os.path.join(rig.HERE, "..", "..")
UNITS = os.path.join(SOURCE, "systemd")
BUILD = os.environ.get("INGOT_BUILD", os.path.join(SOURCE, "build", "dev"))
# systemd/README.md has them; a higher one has to be argued for there.
EXPOSURE = {"ingot-agent.service": 5.8, "ingot-provision.service": 5.0, "ingot-controller.service": 1.2}


def unit(name):
    with open(os.path.join(UNITS, name)) as file:
        return file.read()


class Units(rig.Case):
    def installed(self):
        """The folder of units that the build's install rule makes, with programs of the build in them."""
        sh("cmake", f"-DCMAKE_INSTALL_PREFIX={self.path('root')}", "-P", os.path.join(BUILD, "systemd", "cmake_install.cmake"))
        folder = self.path("root/lib/systemd/system")
        for name in os.listdir(folder):
            path = os.path.join(folder, name)
            with open(path) as file:
                text = file.read()
            for program, built in (("ingot", rig.INGOT), ("ingot-controller", CONTROLLER)):
                text = re.sub(rf"^ExecStart={program}(?= )", f"ExecStart={os.path.realpath(built)}", text, flags=re.M)
            with open(path, "w") as file:
                file.write(text)
        return folder

    def test_are_installed_and_verified(self):
        folder = self.installed()
        self.assertEqual(sorted(os.listdir(folder)),
                         ["ingot-agent.service", "ingot-controller.service", "ingot-provision.service", "ingot.target"])
        for name in os.listdir(folder):
            done = subprocess.run(["systemd-analyze", "verify", "--man=no", os.path.join(folder, name)],
                                  capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""), name)

    def test_exposure(self):
        for name, most in EXPOSURE.items():
            done = sh("systemd-analyze", "security", "--offline=true", "--no-pager", os.path.join(UNITS, name))
            found = float(re.search(r"Overall exposure level for \S+: ([\d.]+)", done)[1])
            self.assertLessEqual(found, most, name)
            with open(os.path.join(UNITS, "README.md")) as file:
                self.assertRegex(file.read(), rf"`{name}` \| {found} ", "the table")

    def test_options_are_ones_that_the_programs_have(self):
        for text in (unit("ingot-controller.service"), unit("ingot-controller.default")):
            for line in re.findall(r"INGOT_CONTROLLER_OPTIONS=((?:[^\n\"\\]|\\\n)*)", text):
                words = line.replace("\\\n#", " ").split()
                for option in (word for word in words if word.startswith("--")):
                    self.assertIn(option + " ", sh(CONTROLLER, "--help"))

    def test_what_a_locked_down_process_can_still_do(self):
        """The capabilities of the agent's and provision's units are enough to write a disk, with programs run as nobody."""
        image = self.disk_image()
        for name in ("ingot-agent.service", "ingot-provision.service"):
            lines = re.findall(r"^CapabilityBoundingSet=(.+)$", unit(name), re.M)
            kept = ",".join("+" + word[4:].lower() for word in " ".join(lines).split())
            device = self.loop(64 * MIB)
            vmdk = self.path(f"{name}.vmdk")
            sh("qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized", image, vmdk)
            done = subprocess.run(["setpriv", f"--bounding-set=-all,{kept}", "--inh-caps=-all", "--no-new-privs", rig.INGOT, "write",
                                   "--image-url", "file://" + vmdk, "--image-checksum", digest(vmdk), "--device", device,
                                   "--user-data", self.user_data(), "--yes"], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("config-2", sh("blkid", "-p", "-s", "LABEL", "-O", str(self.last_partition(device)), device))

    def user_data(self):
        with open(self.path("user-data"), "w") as file:
            file.write("#cloud-config\n{}\n")
        return self.path("user-data")

    @staticmethod
    def last_partition(device):
        table = json.loads(sh("sfdisk", "--json", device))["partitiontable"]
        return 512 * max(part["start"] for part in table["partitions"])


class Manager:
    """A service manager: every datagram it was sent, with the time."""

    def __init__(self, case, watchdog=None):
        self.path = f"@ingot-it-{secrets.token_hex(8)}"
        self.watchdog = watchdog
        self.told = []  # (time, {name: value})
        self.changed = threading.Condition()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + self.path[1:])
        case.addCleanup(self.socket.close)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while True:
            try:
                text = self.socket.recv(65536).decode()
            except OSError:
                return
            with self.changed:
                self.told.append((time.monotonic(), dict(line.split("=", 1) for line in text.splitlines())))
                self.changed.notify_all()

    @property
    def environment(self):
        made = [f"NOTIFY_SOCKET={self.path}"]
        if self.watchdog:
            made.append(f"WATCHDOG_USEC={int(self.watchdog * 1e6)}")
        return made

    def wait(self, what, since=0, timeout=60):
        """The number of the first message from `since` on that `what` is true of."""
        def find():
            return next((i for i, (_, told) in enumerate(self.told) if i >= since and what(told)), None)
        with self.changed:
            if not self.changed.wait_for(lambda: find() is not None, timeout):
                raise AssertionError(f"not told: {self.told}")
            return find()

    def has(self, name):
        return lambda told: name in told

    def status(self, pattern):
        return lambda told: re.search(pattern, told.get("STATUS", "")) is not None

    def fed_within(self, seconds):
        count = sum("WATCHDOG" in told for _, told in self.told)
        time.sleep(seconds)
        return sum("WATCHDOG" in told for _, told in self.told) - count


class Ptrace:
    """Holds some threads of a process, as a deadlock would, until it is left."""
    SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17

    def __init__(self, threads):
        self.threads = threads
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        self.libc.ptrace.restype = ctypes.c_long

    def call(self, request, thread):
        if self.libc.ptrace(request, thread, None, None) != 0:
            raise OSError(ctypes.get_errno(), f"ptrace {request:#x} of {thread}")

    def __enter__(self):
        for thread in self.threads:
            self.call(self.SEIZE, thread)
            self.call(self.INTERRUPT, thread)
            os.waitpid(thread, 0x40000000)  # __WALL

    def __exit__(self, *_):
        for thread in self.threads:
            self.call(self.DETACH, thread)


class Notifications(rig.Case):
    def agent(self, manager, **options):
        fake = agent_rig.FakeIronic(self)
        device = self.loop(5 << 30)  # what is smaller than 4 GiB, an agent does not take without a hint
        made = agent_rig.Agent(self, fake.url, device, ironic_rig.new_mac(), within=["env", *manager.environment], **options)
        return fake, made

    def test_an_agents_life(self):
        manager = Manager(self, watchdog=1.5)
        fake, agent = self.agent(manager)
        ready = manager.wait(manager.has("READY"))
        waiting = manager.wait(manager.status("^Waiting for commands$"))
        fed = manager.wait(manager.has("WATCHDOG"))
        looking = manager.wait(manager.status("^Looking up at " + re.escape(fake.url)))
        self.assertLess(looking, ready)
        self.assertGreater(waiting, ready)
        self.assertGreater(fed, ready)
        for _, told in manager.told[:ready]:
            self.assertGreaterEqual(int(told["EXTEND_TIMEOUT_USEC"]), 60e6, "each step before that says how long it takes")
        self.assertTrue(fake.lookups)
        fake.wait_for_heartbeats(1)
        self.assertGreaterEqual(manager.fed_within(3), 2)
        agent.process.send_signal(signal.SIGTERM)
        stopping = manager.wait(manager.has("STOPPING"))
        self.assertEqual(manager.told[stopping][1]["STATUS"], "Stopping")
        self.assertEqual(agent.wait(), 130)
        self.assertEqual(sum("READY" in told for _, told in manager.told), 1)

    def test_an_agent_that_hangs_is_not_alive(self):
        manager = Manager(self, watchdog=1.5)
        _, agent = self.agent(manager)
        manager.wait(manager.has("WATCHDOG"))
        task = f"/proc/{agent.process.pid}/task"
        others = [int(thread) for thread in os.listdir(task) if int(thread) != agent.process.pid]
        # Its main loop, which feeds the watchdog, goes on: what is held is the server, the heartbeats and the signals.
        with Ptrace(others):
            time.sleep(1.5)
            self.assertEqual(manager.fed_within(5), 0)
        self.assertGreaterEqual(manager.fed_within(4), 1, "again, once they go on")

    def test_how_far_a_job_of_the_agent_is(self):
        image = self.disk_image(seed=1)
        url = self.nginx(directives="limit_rate 4m;")
        manager = Manager(self, watchdog=1.5)
        fake, agent = self.agent(manager)
        manager.wait(manager.has("READY"))
        info = {"id": "image", "urls": [f"{url}/{os.path.basename(image)}"], "disk_format": "raw", "os_hash_algo": "sha256",
                "os_hash_value": digest(image), "image_type": "whole-disk", "node_uuid": fake.node["uuid"]}
        status, _, answer = agent.request("POST", f"/v1/commands/?agent_token={fake.token}",
                                          {"name": "standby.prepare_image", "params": {"image_info": info}})
        self.assertEqual(status, 200, answer)
        device = re.search(r"--only-device=(\S+)", " ".join(agent.process.args))[1]
        first = manager.wait(manager.status(rf"^Writing {device}: \d+ %, [\d.]+ MiB/s, \d+ s left$"))
        manager.wait(manager.has("WATCHDOG"), since=first)
        manager.wait(manager.status("^Waiting for commands$"), since=first)

    def test_a_controllers_life(self):
        manager = Manager(self, watchdog=1.5)
        controller = Controller(self.dir)
        controller.write(controller.catalog, "noble.yaml", os_image())
        controller.write(controller.machines, "node-1.yaml", machine("node-1", mac_addresses="52:54:00:00:00:01"))
        before = dict(os.environ)
        os.environ.update(pair.split("=", 1) for pair in manager.environment)
        try:
            controller.start()
        finally:
            os.environ.clear()
            os.environ.update(before)
        self.addCleanup(controller.stop)
        ready = manager.wait(manager.has("READY"))
        self.assertGreater(manager.wait(manager.status("^Serving 1 machine, 0 being installed$")), ready)
        started = event(new_deployment(), 0, "started", device="/dev/sda")
        self.assertEqual(controller.post_event("/v1/machines/node-1/events", started), 200)
        manager.wait(manager.status("^Serving 1 machine, 1 being installed$"))
        self.assertGreaterEqual(manager.fed_within(3), 2)
        pid = controller.process.pid
        with Ptrace([int(thread) for thread in os.listdir(f"/proc/{pid}/task") if int(thread) != pid]):
            time.sleep(1.5)
            self.assertEqual(manager.fed_within(4), 0)
        self.assertEqual(controller.stop(), 0)
        manager.wait(manager.has("STOPPING"))

    def test_how_far_provision_is(self):
        image = self.disk_image(seed=2)
        url = self.nginx(directives="limit_rate 4m;")
        with open(self.path("request.json"), "w") as file:
            json.dump({"apiVersion": "ingot.io/v1", "kind": "DeployRequest",
                       "spec": {"image": {"urls": [f"{url}/{os.path.basename(image)}"], "checksum": "sha256:" + digest(image)}}}, file)
        manager = Manager(self)
        device = self.loop(64 * MIB)
        done = subprocess.run(["env", *manager.environment, rig.INGOT, "provision", "--from", f"{url}/request.json", "--device", device,
                               "--yes", "--power", "exit", "--run-dir", self.path("run"), "--cmdline", "/dev/null"],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        asking = manager.wait(manager.status(f"^Asking {re.escape(url)}/request.json what this machine is to become$"))
        writing = manager.wait(manager.status(rf"^Writing {device}: \d+ %"))
        self.assertLess(asking, writing)
        self.assertLess(writing, manager.wait(manager.status(f"^Done with {device}$")))
        self.assertEqual({name for _, told in manager.told for name in told}, {"STATUS"}, "a oneshot has nothing else to say")


# Standard error as systemd makes it for a service (systemd.exec(5), JOURNAL_STREAM; systemd-cat sets no such variable).
CONNECT = """
import os, socket, sys
stream = socket.socket(socket.AF_UNIX)
stream.connect("/run/systemd/journal/stdout")
stream.sendall(b"ingot\\n\\n6\\n1\\n0\\n0\\n0\\n")
os.dup2(stream.fileno(), 2)
status = os.fstat(2)
os.environ["JOURNAL_STREAM"] = f"{status.st_dev}:{status.st_ino}"
os.execv(sys.argv[1], sys.argv[1:])
"""


class Journal(rig.Case):
    def setUp(self):
        super().setUp()
        # The journal's daemon wants the control groups, which stay; /run and /var/log are its own.
        script = """set -e
            mount -t tmpfs none /run
            mount -t tmpfs none /var/log
            mkdir -p /run/systemd/system /run/systemd/journald.conf.d /run/log/journal
            printf '[Journal]\\nRateLimitBurst=0\\nReadKMsg=no\\nAudit=no\\n' >/run/systemd/journald.conf.d/test.conf
            echo ready
            exec sleep 600"""
        self.holder = subprocess.Popen(["unshare", "--mount", "sh", "-c", script], stdout=subprocess.PIPE, text=True)
        self.addCleanup(self._stop, self.holder)
        self.assertEqual(self.holder.stdout.readline(), "ready\n")
        daemon = subprocess.Popen(self.inside("/lib/systemd/systemd-journald"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.addCleanup(self._stop, daemon)
        end = time.monotonic() + 20
        while subprocess.run(self.inside("systemd-cat", "true"), capture_output=True).returncode != 0:
            self.assertLess(time.monotonic(), end, "no journal")
            time.sleep(0.05)

    def inside(self, *argv):
        return ["nsenter", f"--target={self.holder.pid}", "--mount", "--", *argv]

    def ingot(self, *args, console=None):
        """Runs it with standard error in the journal, as systemd starts a service; its entries."""
        environment = [f"INGOT_CONSOLE={console}"] if console else []
        done = subprocess.run(self.inside("env", *environment, "/usr/bin/python3", "-c", CONNECT, rig.INGOT, *args),
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
        sh(*self.inside("journalctl", "--sync"))
        entries = [json.loads(line) for line in sh(*self.inside("journalctl", "-o", "json", "--all", "--no-pager")).splitlines()]
        return done.returncode, [entry for entry in entries if entry.get("SYSLOG_IDENTIFIER") == "ingot"]

    def test_entries_have_fields(self):
        image = self.disk_image(seed=3)
        url = self.nginx(directives="limit_rate 8m;")
        device = self.loop(64 * MIB)
        code, entries = self.ingot("write", "--image-url", f"{url}/{os.path.basename(image)}", "--image-checksum", digest(image),
                                   "--device", device, "--yes")
        self.assertEqual(code, 0, entries)
        writing = [entry for entry in entries if re.match(f"Writing {device}", entry["MESSAGE"])]
        self.assertTrue(writing, entries)
        self.assertEqual((writing[0]["INGOT_PHASE"], writing[0]["PRIORITY"]), ("write", "6"))
        self.assertEqual(len({entry["INGOT_DEPLOY_ID"] for entry in entries if "INGOT_DEPLOY_ID" in entry}), 1)
        wrote = next(entry for entry in entries if entry["MESSAGE"].startswith(f"wrote {device}"))
        self.assertEqual(wrote["INGOT_PHASE"], "done")
        self.assertFalse([entry for entry in entries if entry["_TRANSPORT"] != "journal"], "nothing as plain text")

    def test_a_failure_has_its_code(self):
        image = self.disk_image(seed=3)
        code, entries = self.ingot("write", "--image-url", f"file://{image}", "--image-checksum", "0" * 64, "--device",
                                   self.loop(64 * MIB), "--yes")
        self.assertEqual(code, 4)
        failed = [entry for entry in entries if entry.get("INGOT_ERROR_CODE") == "checksum.mismatch"]
        self.assertTrue(failed[0]["MESSAGE"].startswith("error [checksum.mismatch]: "), failed)
        self.assertEqual({entry["PRIORITY"] for entry in failed}, {"3"})

    def test_a_console_sees_lines(self):
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        self.addCleanup(os.close, slave)
        image = self.disk_image(seed=3)
        device = self.loop(64 * MIB)
        url = self.nginx(directives="limit_rate 2m;")
        code, _ = self.ingot("write", "--image-url", f"{url}/{os.path.basename(image)}", "--image-checksum", digest(image),
                             "--device", device, "--yes", console=os.ttyname(slave))
        self.assertEqual(code, 0)
        seen = b""
        while select.select([master], [], [], 0.5)[0]:
            seen += os.read(master, 65536)
        lines = seen.decode().split("\r\n")
        self.assertEqual(lines.pop(), "")
        for line in lines:
            self.assertRegex(line, r"^ingot: [ -~]+$", "a line of text, nothing that draws")
        self.assertGreaterEqual(len([line for line in lines if re.match(rf"ingot: Writing {device}: \d+ %", line)]), 2, lines)

    def test_a_console_that_takes_nothing_holds_nobody_up(self):
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        self.addCleanup(os.close, slave)
        while select.select([], [slave], [], 0)[1]:
            os.write(slave, b"x" * 100)
        image = self.disk_image(seed=3)
        begun = time.monotonic()
        code, _ = self.ingot("write", "--image-url", f"file://{image}", "--image-checksum", digest(image), "--device",
                             self.loop(64 * MIB), "--yes", console=os.ttyname(slave))
        self.assertEqual(code, 0)
        self.assertLess(time.monotonic() - begun, 9, "less than one line's patience")

    def test_redirected_elsewhere_it_is_plain_text(self):
        log = self.path("log")
        done = subprocess.run(self.inside("/usr/bin/python3", "-c", CONNECT, "/bin/sh", "-c", f"exec {rig.INGOT} write 2>{log}"), stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 2)
        with open(log) as file:
            self.assertTrue(file.read().startswith("ingot: error [usage."))
        entries = subprocess.run(self.inside("journalctl", "--quiet", "-o", "json", "SYSLOG_IDENTIFIER=ingot"), capture_output=True)
        self.assertEqual(entries.stdout, b"")


if __name__ == "__main__":
    unittest.main()
