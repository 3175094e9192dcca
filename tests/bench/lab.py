"""What every measurement stands on: a web server, a target device in a known state, and timed runs."""
import contextlib
import os
import shlex
import shutil
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass

HERE = os.path.dirname(os.path.abspath(__file__))
SERVE = os.path.join(HERE, "..", "demo", "serve-directory")
MIB = 1 << 20


def sh(*command, **options):
    """Runs a command that has to succeed and returns what it prints."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, **options)
    if done.returncode != 0:
        raise RuntimeError(f"{shlex.join(command)} failed with {done.returncode}")
    return done.stdout.strip()


@contextlib.contextmanager
def work_directory(parent):
    """A directory for this run's own files, on a disk, removed at the end."""
    path = tempfile.mkdtemp(prefix="ingot-bench.", dir=parent)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def web_server(directory, state, directives=""):
    """nginx on loopback, with these directives of its server; gives the URL."""
    with subprocess.Popen([SERVE, directory, state, directives], stdout=subprocess.PIPE, text=True) as server:
        try:
            url = server.stdout.readline().strip()
            if not url:
                raise RuntimeError("the web server did not start")
            yield url
        finally:
            server.terminate()
            server.wait()


@contextlib.contextmanager
def tmpfs(path, size_mib):
    """A RAM disk, as a deployment RAM disk's /tmp is one."""
    os.makedirs(path, exist_ok=True)
    sh("mount", "-t", "tmpfs", "-o", f"size={size_mib}m", "ingot-bench", path)
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", path], check=False)


class Target:
    """A loop device over a file of its own, past the page cache as a disk is where the file's file system can do that. Every
    run finds it empty."""

    def __init__(self, path, size):
        self.path, self.size, self.device = path, size, None

    def __enter__(self):
        with open(self.path, "wb") as file:
            file.truncate(self.size)
        self.device = sh("losetup", "--find", "--show", "--direct-io=on", self.path)
        return self

    def __exit__(self, *_):
        subprocess.run(["losetup", "-d", self.device], check=False)
        os.unlink(self.path)

    def reset(self):
        sh("fallocate", "--punch-hole", "--offset", "0", "--length", str(self.size), self.path)
        sh("blockdev", "--flushbufs", self.device)

    def written(self):
        """Bytes written to the device since it was made (Documentation/block/stat.rst)."""
        with open(f"/sys/block/{os.path.basename(self.device)}/stat", encoding="ascii") as file:
            return int(file.read().split()[6]) * 512

    def same_as(self, image, form):
        """Whether the content is that of the image, bit for bit, but for a GPT that was made for a smaller disk: that
        one has to fit this disk. Read from the file, whose holes cost no time."""
        sh("blockdev", "--flushbufs", self.device)
        compare = ["qemu-img", "compare", "-f", form, "-F", "raw", image, self.path]

        def same():
            return subprocess.run(compare, stdout=subprocess.DEVNULL, check=False).returncode == 0

        return same() or (self._put_table_back(image, form) and same())

    def _put_table_back(self, image, form):
        """Makes a GPT that was moved the image's own again; False if there is none, or a wrong one."""
        sector, entries = 512, 33 * 512
        with tempfile.TemporaryDirectory(dir=os.path.dirname(self.path)) as work:
            def original(offset, size):
                part = os.path.join(work, "part")
                sh("qemu-img", "dd", "-f", form, "-O", "raw", f"bs={sector}", f"skip={offset // sector}",
                   f"count={(offset + size) // sector}", f"if={image}", f"of={part}")
                with open(part, "rb") as file:
                    return file.read(size)

            head = original(0, MIB)
            backup = int.from_bytes(head[sector + 32:sector + 40], "little") * sector
            if head[sector:sector + 8] != b"EFI PART" or backup + sector == self.size:
                return False
            verdict = subprocess.run(["sgdisk", "-v", self.path], capture_output=True, text=True, check=False).stdout
            if "No problems found" not in verdict:
                return False
            with open(self.path, "r+b") as disk:
                disk.write(head)
                disk.seek(backup + sector - entries)
                disk.write(original(backup + sector - entries, entries))
                disk.seek(self.size - entries)
                disk.write(bytes(entries))
        return True


def settle(*served):
    """The same start for every run: nothing dirty, caches empty, the served files in the server's memory."""
    os.sync()
    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
        file.write("3")
    for path in served:
        with open(path, "rb", buffering=0) as file:
            while file.read(4 * MIB):
                pass


def machine_cpu():
    """Seconds that all of this machine's cores have worked, whoever for: the kernel's threads behind a loop device and the web
    server count as well (proc_stat(5))."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _, _, irq, softirq = (int(field) for field in file.readline().split()[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def loopback_bytes():
    """Bytes that came over loopback, headers included."""
    with open("/proc/net/dev", encoding="ascii") as file:
        for line in file:
            name, _, figures = line.partition(":")
            if name.strip() == "lo":
                return int(figures.split()[0])
    return 0


def tmpfs_used(without=()):
    """Bytes used on all RAM disks of this machine, but those mounted at `without`."""
    used = 0
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        for line in mounts:
            _, where, kind = line.split()[:3]
            if kind in ("tmpfs", "ramfs") and where not in without:
                try:
                    figures = os.statvfs(where)
                except OSError:
                    continue
                used += (figures.f_blocks - figures.f_bfree) * figures.f_frsize
    return used


class TmpfsPeak:
    """How far RAM disks grow while it runs, looked at every 20 ms."""

    def __init__(self, without=()):
        self.without, self.ended, self.bytes = without, threading.Event(), 0
        self.before = tmpfs_used(without)
        self.thread = threading.Thread(target=self._look, daemon=True)

    def _look(self):
        while not self.ended.wait(0.02):
            self.bytes = max(self.bytes, tmpfs_used(self.without) - self.before)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()


@dataclass
class Run:
    """One timed run of a whole command line."""
    seconds: float
    peak_rss: int      # bytes, the largest process of the command (getrusage's ru_maxrss)
    cpu_seconds: float  # of the command
    machine_seconds: float  # of all cores, the server's and the kernel's work included
    wire_bytes: int
    tmpfs_bytes: int   # most at one time
    timed_out: bool
    exit_code: int
    output: str


def timed(command, timeout, cwd, memory_mounts=()):
    """Runs a command under time(1), whose own memory is too small to be seen in the figures.

    The command is a list, or a string for bash -c. A run that does not end is killed, with all its processes. RAM disks at
    `memory_mounts` are not the command's."""
    if isinstance(command, str):
        command = ["bash", "-euo", "pipefail", "-c", command]
    figures = os.path.join(cwd, "time")
    log = os.path.join(cwd, "output")
    with open(log, "wb") as output, TmpfsPeak(memory_mounts) as peak:
        cpu, wire = machine_cpu(), loopback_bytes()
        start = time.monotonic()
        # A session of its own, so that what hangs can be ended whole.
        with subprocess.Popen(["/usr/bin/time", "-q", "-f", "%M %U %S", "-o", figures, *command], stdin=subprocess.DEVNULL,
                              stdout=output, stderr=subprocess.STDOUT, start_new_session=True) as process:
            timed_out = False
            try:
                process.wait(timeout)
            except subprocess.TimeoutExpired:
                timed_out = True
            except BaseException:
                os.killpg(process.pid, 15)
                raise
            seconds = time.monotonic() - start
            if timed_out:
                os.killpg(process.pid, 9)
                process.wait()
        cpu, wire = machine_cpu() - cpu, loopback_bytes() - wire
    with open(log, encoding="utf-8", errors="replace") as output:
        text = output.read()
    rss, user, system = (0, 0, 0)
    if not timed_out:
        with open(figures, encoding="ascii") as file:
            rss, user, system = file.read().split()
    return Run(seconds, int(rss) * 1024, float(user) + float(system), cpu, wire, peak.bytes, timed_out, process.returncode,
               text)
