"""What every measurement stands on: a web server, a target device in a known state, and timed runs."""
import contextlib
import os
import shlex
import shutil
import subprocess
import tempfile
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
def web_server(directory, state):
    """nginx on loopback; gives the URL."""
    with subprocess.Popen([SERVE, directory, state], stdout=subprocess.PIPE, text=True) as server:
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
    """A loop device over a file of its own, past the page cache as a disk is. Every run finds it empty."""

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


@dataclass
class Run:
    """One timed run of a whole command line."""
    seconds: float
    peak_rss: int     # bytes, the largest process of the command (getrusage's ru_maxrss)
    cpu_seconds: float
    timed_out: bool
    exit_code: int
    output: str


def timed(command, timeout, cwd):
    """Runs a command under time(1), whose own memory is too small to be seen in the figures.

    The command is a list, or a string for bash -c. A run that does not end is killed, with all its processes."""
    if isinstance(command, str):
        command = ["bash", "-euo", "pipefail", "-c", command]
    figures = os.path.join(cwd, "time")
    log = os.path.join(cwd, "output")
    with open(log, "wb") as output:
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
    with open(log, encoding="utf-8", errors="replace") as output:
        text = output.read()
    rss, user, system = (0, 0, 0)
    if not timed_out:
        with open(figures, encoding="ascii") as file:
            rss, user, system = file.read().split()
    return Run(seconds, int(rss) * 1024, float(user) + float(system), timed_out, process.returncode, text)
