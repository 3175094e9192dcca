#!/usr/bin/python3
"""Every guard of the target, by trying to get past it with the real binary: first without --force, then with it.

The machine's own disk is named in rehearsals (--dry-run) alone, and never written to. What needs md or device-mapper,
which not every kernel has, is tried in tests/vm.
"""
import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import rig  # noqa: E402

SIZE = 32 * rig.MIB
LOOP_CTL_REMOVE = 0x4C81


class Guards(rig.Case):
    def setUp(self):
        super().setUp()
        self.image = self.disk_image(size=SIZE)
        self.url = "file://" + self.image
        self.sum = rig.digest(self.image)

    def attempt(self, device, *args, **kwargs):
        return self.write(self.url, device, "--image-checksum", self.sum, *args, **kwargs)

    def refused(self, device, code, *args, part=""):
        """Refused, and untouched: its first and last MiB are what they were."""
        ends = self.ends(device)
        outcome = self.attempt(device, *args)
        self.assertEqual((outcome.code, outcome.error_code), (6, code), outcome)
        self.assertIn(part, outcome.result["error"]["message"])
        self.assertEqual(self.ends(device), ends, "it is as it was")
        return outcome

    def taken(self, device, *args):
        outcome = self.attempt(device, *args)
        self.assertEqual(outcome.code, 0, outcome)

    def ends(self, device):
        with open(device, "rb") as disk:
            head = disk.read(4096)
            disk.seek(-4096, os.SEEK_END)
            return head, disk.read()

    def backing(self, device):
        return rig.sh("losetup", "--noheadings", "--output", "BACK-FILE", device).strip()

    def mount(self, device, *options):
        at = os.path.join(self.dir, "mnt-" + os.path.basename(device))
        os.mkdir(at)
        rig.sh("mount", *options, device, at)
        self.addCleanup(subprocess.run, ["umount", "--lazy", at], capture_output=True)
        return at

    def assert_backing_is(self, device):
        """What is on the disk, whatever a mounted file system still has in memory. The table, which is made to fit
        the disk, is others' to look at."""
        with open(self.backing(device), "rb") as disk, open(self.image, "rb") as image:
            for file in disk, image:
                file.seek(rig.MIB)
            self.assertTrue(disk.read(SIZE - 2 * rig.MIB) == image.read(SIZE - 2 * rig.MIB), "it holds the image")

    # In use.

    def test_mounted(self):
        device = self.loop(64 * rig.MIB)
        rig.sh("mkfs.ext4", "-q", device)
        at = self.mount(device, "-o", "ro,noload")
        self.refused(device, "device.mounted", part=at)
        self.refused(device, "device.mounted", "--dry-run", part=at)
        self.taken(device, "--force", "--dry-run")
        self.taken(device, "--force")
        self.assert_backing_is(device)

    def test_a_mounted_partition(self):
        device = self.loop(64 * rig.MIB)
        rig.sh("addpart", device, "1", "2048", "65536")
        self.addCleanup(subprocess.run, ["delpart", device, "1"], capture_output=True)
        part = device + "p1"
        rig.sh("mkfs.ext4", "-q", part)
        at = self.mount(part, "-o", "ro,noload")
        self.refused(device, "device.mounted", part=os.path.basename(part))
        self.refused(part, "device.unsuitable", part="partition")
        self.refused(part, "device.unsuitable", "--force", part="partition")
        self.taken(device, "--force", "--dry-run")
        rig.sh("umount", at)
        self.taken(device)

    def test_swap(self):
        device = self.loop(64 * rig.MIB)
        rig.sh("mkswap", device)
        rig.sh("swapon", device)
        self.addCleanup(subprocess.run, ["swapoff", device], capture_output=True)
        self.refused(device, "device.swap", part="swap")
        self.refused(device, "device.running-system", "--force", part="swap")
        rig.sh("swapoff", device)
        self.taken(device)

    def test_under_a_loop_device(self):
        device = self.loop(64 * rig.MIB)
        above = rig.sh("losetup", "--find", "--show", device).strip()
        self.addCleanup(subprocess.run, ["losetup", "--detach", above], capture_output=True)
        self.refused(device, "device.in-use", part=os.path.basename(above))
        self.refused(self.backing(device), "device.in-use")
        self.taken(device, "--force")
        self.assert_backing_is(device)

    def test_open_elsewhere(self):
        device = self.loop(64 * rig.MIB)
        other = os.open(device, os.O_RDONLY | os.O_EXCL)
        try:
            self.refused(device, "device.in-use", part=f"(process {os.getpid()})")
            self.taken(device, "--force")
        finally:
            os.close(other)
        self.assert_backing_is(device)

    def test_locked_elsewhere(self):
        """By a tool that keeps to the same custom: flock on the device, not just a look."""
        device = self.loop(64 * rig.MIB)
        other = os.open(device, os.O_RDONLY)
        try:
            fcntl.flock(other, fcntl.LOCK_EX)
            for force in ((), ("--force",)):
                self.refused(device, "device.in-use", *force, part=f"(process {os.getpid()})")
        finally:
            os.close(other)
        self.taken(device)

    def test_two_of_us(self):
        """Also with --force, also when the first one was forced onto a mounted disk; its death frees the disk."""
        served = self.fault_server()
        url = f"{served}/{os.path.basename(self.image)}?rate=1000000"
        for forced in (False, True):
            with self.subTest(forced=forced):
                device = self.loop(64 * rig.MIB)
                if forced:
                    rig.sh("mkfs.ext4", "-q", device)
                    self.mount(device, "-o", "ro,noload")
                force = ["--force"] if forced else []
                first = self.start("write", "--image-url", url, "--device", device, "--yes", "--progress", "json",
                                   "--image-checksum", self.sum, *force)
                self.addCleanup(first.stdout.close)
                self.addCleanup(first.stderr.close)
                for line in first.stdout:
                    if '"phase":"write"' in line:
                        break
                for second in [["--force"], ["--force", "--dry-run"]] + ([] if forced else [[]]):
                    outcome = self.attempt(device, *second)
                    self.assertEqual((outcome.code, outcome.error_code), (6, "device.in-use"), outcome)
                    self.assertIn(f"(process {first.pid})", outcome.result["error"]["message"])
                first.send_signal(signal.SIGKILL)
                first.wait(10)
                self.taken(device, *force)
                self.assert_backing_is(device)

    # What --force does not change.

    def test_read_only(self):
        device = self.loop(64 * rig.MIB)
        rig.sh("blockdev", "--setro", device)
        self.addCleanup(subprocess.run, ["blockdev", "--setrw", device], capture_output=True)
        for force in ((), ("--force",), ("--dry-run",)):
            self.refused(device, "device.read-only", *force)

    def test_too_small_by_one_sector(self):
        for sector in (512, 4096):
            with self.subTest(sector=sector):
                args = ["--allow-unrecognized"] if sector == 4096 else []
                if sector == 4096:  # without a partition table, which would be for other sectors
                    with open(self.image, "r+b") as image:
                        image.write(bytes(rig.MIB))
                        image.seek(-rig.MIB, os.SEEK_END)
                        image.write(bytes(rig.MIB))
                    self.sum = rig.digest(self.image)
                device = self.loop(SIZE - sector, sector=sector)
                for force in ((), ("--force",), ("--dry-run",)):
                    self.refused(device, "device.too-small", *args, *force)
                self.taken(self.loop(SIZE, sector=sector), *args)

    def test_a_file_too_small_by_one_sector(self):
        target = self.path("target")
        with open(target, "wb") as file:
            file.truncate(SIZE - 512)
        self.refused(target, "device.too-small", "--force")
        os.truncate(target, SIZE)
        self.taken(target)

    def test_the_machines_own_disk(self):
        """In rehearsals alone, as a user without the right to write to it would not help: root is what we are."""
        device = self.own_disk()
        if device is None:
            return
        for force in ((), ("--force",)):
            outcome = self.attempt(device, "--dry-run", *force)
            self.assertEqual((outcome.code, outcome.error_code), (6, "device.running-system"), outcome)

    def own_disk(self):
        """The disk of /, or None: a container's overlay (the unit tests have live media and overlays of their own)."""
        source = rig.sh("findmnt", "--noheadings", "--output", "SOURCE", "--target", "/").strip().split("[")[0]
        if not source.startswith("/dev/"):
            return None
        parent = rig.sh("lsblk", "--noheadings", "--nodeps", "--output", "PKNAME", source).strip()
        return "/dev/" + parent if parent else source

    # Another disk under the same name.

    def replaceable(self):
        """A loop device with a number that nobody else is given while it has no file, and two files for it."""
        number = 2000 + os.getpid() % 1000
        device = f"/dev/loop{number}"
        for name in ("one", "two"):
            with open(self.path(name), "wb") as file:
                file.write(name.encode())
                file.truncate(64 * rig.MIB)

        def remove():
            subprocess.run(["losetup", "--detach", device], capture_output=True)
            control = os.open("/dev/loop-control", os.O_RDWR)
            for _ in range(50):
                try:
                    fcntl.ioctl(control, LOOP_CTL_REMOVE, number)
                    break
                except OSError:
                    rig.sh("sleep", "0.1")
            os.close(control)
        rig.sh("losetup", device, self.path("one"))
        self.addCleanup(remove)
        return device

    def test_replaced_while_the_user_was_asked(self):
        device = self.replaceable()
        master, terminal = pty.openpty()
        process = subprocess.Popen([rig.INGOT, "write", "--image-url", self.url, "--device", device,
                                    "--image-checksum", self.sum], stdin=terminal, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, text=True)
        os.close(terminal)
        self.addCleanup(os.close, master)
        said = ""
        while "Type the path" not in said:
            char = process.stderr.read(1)
            self.assertTrue(char, said)
            said += char
        rig.detach(device)
        rig.sh("losetup", device, self.path("two"))
        os.write(master, (device + "\n").encode())
        _, said = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 6, said)
        self.assertIn("device.changed", said)
        with open(self.path("two"), "rb") as file:
            self.assertEqual(file.read(3), b"two", "the other disk is as it was")

    # Chosen by hints.

    def by_hints(self, hints, *args):
        return self.ingot("write", "--image-url", self.url, "--image-checksum", self.sum, "--root-device-hints",
                          json.dumps(hints), "--yes", "--progress", "json", *args)

    def among(self, *devices):
        return [word for device in devices for word in ("--only-device", device)]

    def test_hints_choose(self):
        small, large = self.loop(4096 * rig.MIB), self.loop(5120 * rig.MIB)
        for hints, device in (({"size": ">= 5"}, large), ({"name": small}, small), ({}, small),
                              ({"name": "s!= " + small}, large)):
            with self.subTest(hints=hints):
                outcome = self.by_hints(hints, *self.among(small, large), "--dry-run")
                self.assertEqual(outcome.code, 0, outcome)
                self.assertEqual(outcome.events[0]["device"], device)
                self.assertIn(f"choose {device}, ", outcome.err)
        outcome = self.by_hints({"size": "== 5"}, *self.among(small, large))
        self.assertEqual(outcome.code, 0, outcome)
        self.assert_backing_is(large)
        self.assertEqual(self.head(small).strip(b"\0"), b"", "the other one is as it was")

    def test_hints_that_choose_nothing(self):
        small, large = self.loop(64 * rig.MIB), self.loop(5120 * rig.MIB)
        outcome = self.by_hints({"size": "> 5"}, *self.among(small, large))
        self.assertEqual((outcome.code, outcome.error_code), (6, "device.no-match"), outcome)
        for reason in (f"{small}: size is 0.0625 GiB, not > 5", f"{large}: size is 5 GiB, not > 5"):
            self.assertIn(reason, outcome.result["error"]["message"])
            self.assertIn(f"ingot:   {reason} (", outcome.err)
        outcome = self.by_hints({"colour": "blue"})
        self.assertEqual(outcome.code, 2, outcome)
        self.assertIn("usage.hints", outcome.err)

    def test_hints_do_not_pass_over_a_disk_in_use(self):
        used, free = self.loop(4096 * rig.MIB), self.loop(4096 * rig.MIB)
        rig.sh("mkfs.ext4", "-q", used)
        self.mount(used, "-o", "ro,noload")
        outcome = self.by_hints({"size": 4}, *self.among(used, free))
        self.assertEqual((outcome.code, outcome.error_code), (6, "device.mounted"), outcome)
        self.assertEqual(self.head(free).strip(b"\0"), b"")

    def test_hints_that_choose_the_machines_own_disk(self):
        device = self.own_disk()
        if device is None:
            return
        for force in ((), ("--force",)):
            outcome = self.by_hints({"name": device}, "--dry-run", *force)
            self.assertEqual((outcome.code, outcome.error_code), (6, "device.running-system"), outcome)


if __name__ == "__main__":
    unittest.main()
