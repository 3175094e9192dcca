"""What the integration tests share: loop devices, real web servers, real images, and the binary.

Everything a test makes lives in one directory under /var/tmp (a disk, not a tmpfs) and is gone after it.
INGOT names the binary under test.
"""
import hashlib
import json
import os
import random
import shutil
import subprocess
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
SUPPORT = os.path.join(HERE, "..", "support")
DEMO = os.path.join(HERE, "..", "demo")
INGOT = os.environ.get("INGOT", os.path.join(HERE, "..", "..", "build", "dev", "agent", "ingot"))
MIB = 1 << 20


def sh(*argv, **kwargs):
    """Runs a helper program; its failure is the test's."""
    done = subprocess.run(argv, capture_output=True, text=True, **kwargs)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(argv)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def backing_file(device):
    """The file behind a loop device, or None when it has none."""
    try:
        with open(f"/sys/block/{os.path.basename(device)}/loop/backing_file") as file:
            return file.read().rstrip("\n")
    except OSError:
        return None


def detach(device):
    """Detaches a loop device and waits until that is done: while anybody has it open the kernel puts it off."""
    before = backing_file(device)
    sh("losetup", "--detach", device)
    end = time.monotonic() + 10
    while before is not None and backing_file(device) == before:
        if time.monotonic() > end:
            raise AssertionError(f"{device} stays attached to {before}")
        time.sleep(0.02)


class Outcome:
    """One run of the binary: its exit code, its events (with --progress json), and what it said."""

    def __init__(self, code, out, err):
        self.code = code
        self.out = out
        self.err = err
        self.events = [json.loads(line) for line in out.splitlines() if line.startswith('{"event"')]

    @property
    def result(self):
        results = [e for e in self.events if e["event"] == "result"]
        assert len(results) == 1 and self.events[-1] is results[0], f"one result, last: {self.out}{self.err}"
        return results[0]

    @property
    def error_class(self):
        return (self.result["error"] or {}).get("class")

    @property
    def error_code(self):
        return (self.result["error"] or {}).get("code")

    def __str__(self):
        return f"exit {self.code}\n{self.out}\n{self.err}"


class Case(unittest.TestCase):
    """A test with a directory, and whatever it registers for clean-up."""

    maxDiff = None

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="ingot-it-", dir="/var/tmp")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.dir, name)

    # The program.

    def start(self, *args, **kwargs):
        return subprocess.Popen([INGOT, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                stdin=subprocess.DEVNULL, text=True, **kwargs)

    def ingot(self, *args, timeout=60, **kwargs):
        process = self.start(*args, **kwargs)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            self.fail(f"ingot {' '.join(args)}: no end after {timeout} s\n{out}\n{err}")
        return Outcome(process.returncode, out, err)

    def write(self, url, device, *args, **kwargs):
        return self.ingot("write", "--image-url", url, "--device", device, "--yes", "--progress", "json",
                          *args, **kwargs)

    # Disks.

    def loop(self, size, sector=512, fill=None, read_only=False):
        """A loop device of `size` bytes, filled with random bytes if `fill` (a seed) is given."""
        backing = tempfile.mktemp(prefix="disk-", dir=self.dir)
        with open(backing, "wb") as disk:
            if fill is not None:
                disk.write(random.Random(fill).randbytes(size))
            disk.truncate(size)
        argv = ["losetup", "--find", "--show", "--direct-io=on", "--sector-size", str(sector)]
        device = sh(*argv, *(["--read-only"] if read_only else []), backing).strip()
        self.addCleanup(self.detach_own, device, backing)
        return device

    @staticmethod
    def detach_own(device, backing):
        # A test that detached it already has given its number away, perhaps to another test.
        if backing_file(device) == os.path.realpath(backing):
            subprocess.run(["losetup", "--detach", device], capture_output=True)

    # Images.

    def disk_image(self, name="disk.raw", size=32 * MIB, seed=1, data=0.4):
        """A raw disk image: a GPT with two partitions, noise, text and holes."""
        path = self.path(name)
        rng = random.Random(seed)
        with open(path, "wb") as image:
            image.truncate(size)
            at = MIB
            while at < size - 2 * MIB:
                length = rng.randrange(1, 600) * 512
                length = min(length, size - 2 * MIB - at)
                if rng.random() < data:
                    image.seek(at)
                    block = rng.randbytes(length) if rng.random() < 0.5 else bytes(rng.choices(b"abcde", k=64)) * (length // 64)
                    image.write(block)
                at += length
        subprocess.run(["sfdisk", "--quiet", path], input=f"label: gpt\nstart=2048, size=8192, type=U\nstart=10240, size={(size // 512) - 10240 - 2048}, type=L\n",
                       text=True, check=True, capture_output=True)
        return path

    def qcow2(self, raw, *args, name=None):
        path = self.path(name or os.path.basename(raw) + ".qcow2")
        sh("qemu-img", "convert", "-f", "raw", "-O", "qcow2", *args, raw, path)
        return path

    # Servers.

    def nginx(self, directory=None, directives=""):
        """A real nginx on loopback, with `directives` of its server; returns its URL."""
        state = tempfile.mkdtemp(prefix="nginx-", dir=self.dir)
        server = subprocess.Popen([os.path.join(DEMO, "serve-directory"), directory or self.dir, state, directives],
                                  stdout=subprocess.PIPE, text=True)
        self.addCleanup(self._stop, server)
        return server.stdout.readline().strip()

    def fault_server(self, directory=None, tls=None):
        """The server with faults (tests/support/fault_server.py), with `tls` (certificate, key) over https; returns its
        URL."""
        server = subprocess.Popen(["/usr/bin/python3", os.path.join(SUPPORT, "fault_server.py"), directory or self.dir,
                                   *(["--tls", *tls] if tls else [])],
                                  stdout=subprocess.PIPE, text=True)
        self.addCleanup(self._stop, server)
        return server.stdout.readline().strip()

    def _stop(self, process):
        process.terminate()
        process.wait(timeout=10)
        process.stdout.close()

    # Looking at disks.

    def assert_disk_is(self, device, raw, sector=512):
        """The device starts with exactly the bytes of `raw`. Where it is larger and `raw` has a GPT, that alone differs:
        the same disk and partitions, in a table that fits the device."""
        with open(device, "rb") as disk:
            size = disk.seek(0, os.SEEK_END)
        with open(raw, "rb") as image:
            image_size = image.seek(0, os.SEEK_END)
            image.seek(sector)
            gpt = image.read(8) == b"EFI PART"
        table = []
        if gpt and size // sector != image_size // sector:
            # The protective MBR's entry, the header, and the backup that is in the middle now.
            table = [(446, 462), (sector, 2 * sector), (image_size - 33 * sector, image_size)]
            self.assertEqual(partition_table(device), partition_table(raw))
            verdict = subprocess.run(["sgdisk", "-v", device], capture_output=True, text=True).stdout
            self.assertIn("No problems found", verdict)
        with open(device, "rb") as disk, open(raw, "rb") as image:
            at = 0
            while True:
                want = image.read(4 * MIB)
                if not want:
                    return
                have = disk.read(len(want))
                if have != want:
                    bad = [at + i for i, (a, b) in enumerate(zip(have, want)) if a != b]
                    bad = [byte for byte in bad if not any(begin <= byte < end for begin, end in table)]
                    if bad or len(have) != len(want):
                        self.fail(f"{device} differs from {raw} at byte {bad[:1]}")
                at += len(want)

    def head(self, device, size=MIB):
        with open(device, "rb") as disk:
            return disk.read(size)

    def assert_not_bootable(self, device):
        self.assertEqual(self.head(device).strip(b"\0"), b"", f"{device}: its first MiB is not zeros")
        with open(device, "rb") as disk:
            disk.seek(-MIB, os.SEEK_END)
            self.assertEqual(disk.read().strip(b"\0"), b"", f"{device}: its last MiB is not zeros")


def partition_table(path):
    """Disk identifier and partitions, without what depends on the disk's size and name."""
    table = json.loads(sh("sfdisk", "--json", path))["partitiontable"]
    return table["id"], [{k: v for k, v in p.items() if k != "node"} for p in table["partitions"]]


def digest(path, algorithm="sha256"):
    value = hashlib.new(algorithm)
    with open(path, "rb") as file:
        while block := file.read(4 * MIB):
            value.update(block)
    return value.hexdigest()
