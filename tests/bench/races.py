"""How long until the image is on the disk, durably: ingot against what people use today and against the bound, turn by turn."""
import os
import shlex
import statistics
from dataclasses import dataclass, field

import lab
import stages

PYTHON = "/usr/bin/python3"
AGENT, QEMU = "the Python agent's flow", "qemu-img from the URL"
NBD, PIPE, BMAP = "nbdkit curl", "pipe", "bmaptool"
HANG = {QEMU: 60}  # seconds; it now and then hangs for good
TIMEOUT = 300      # seconds, for every other flow
REPEATS = 5        # of one run that hung, before it counts as failed
RSS = 64 * lab.MIB


@dataclass(frozen=True)
class Row:
    """One image. `bars` are for the memory-backed target: name → (figure, limit); "bound" and "unpack" are limits from above of
    ingot's time as a multiple of that, names of flows limits from below of the speed as a multiple of theirs."""
    name: str
    image: str  # a key of images.races()
    form: str
    flows: tuple
    bars: dict = field(default_factory=dict)
    https: bool = False


ROWS = (
    Row("qcow2, zlib", "zlib", "qcow2", (QEMU, AGENT, NBD), {"bound": 1.15, QEMU: 4, AGENT: 6}, https=True),
    Row("qcow2, zstd", "zstd", "qcow2", (QEMU, AGENT), {"bound": 1.20}),
    Row("qcow2, uncompressed", "plain", "qcow2", (QEMU, AGENT), {"bound": 1.20}),
    Row("qcow2, grown", "grown", "qcow2", (QEMU, AGENT), {"bound": 1.20}),
    Row("raw", "raw", "raw", (QEMU, AGENT, NBD, PIPE, BMAP), {"bound": 1.15, AGENT: 5}),
    Row("raw.zst", "raw.zst", "raw", (PIPE,), {"unpack": 1.15}),
    Row("raw.gz", "raw.gz", "raw", (PIPE, BMAP), {"unpack": 1.15}),
)


def agent_flow(row, url, sha256, device, local):
    """What ironic-python-agent does: a raw image streams onto the device, any other goes into the RAM disk first."""
    if row.form == "raw":
        return f"{PYTHON} {os.path.join(lab.HERE, 'stream_raw.py')} {url} {device} {sha256}"
    return (f"{PYTHON} {os.path.join(lab.HERE, 'download_and_hash.py')} {url} {local} {sha256};"
            f" qemu-img info -f qcow2 {local} >/dev/null;"
            f" qemu-img convert -n -t directsync -S 0 -W -f qcow2 -O raw {local} {device}; sync -d {device}")


def pipe(image, url, device):
    write = f"dd of={device} bs=4M iflag=fullblock oflag=direct status=none; sync -d {device}"
    get = f"curl --noproxy '*' -sf {url}"
    if image.endswith(".zst"):
        return f"{get} | zstd -dcq | {write}"
    if image.endswith(".gz"):
        return f"{get} | gzip -dc | {write}"
    return f"{get} | tee >(sha256sum >/dev/null) | {write}"


def flows(row, ingot, image, urls, sha256, device, ramdisk, ca):
    """Name → (command line, file to be removed after it). Each ends with the data on the device, flushed."""
    url, https = urls
    local = os.path.join(ramdisk, "image.qcow2")
    write = [ingot, "write", "--image-checksum", sha256, "--device", device, "--yes", "--progress", "none", "--image-url"]
    out = {"ingot": ([*write, url], None)}
    if row.https:
        out["ingot, HTTPS"] = ([*write, https, "--ca-cert", ca], None)
    quoted = shlex.quote(url)
    convert = f"qemu-img convert -n -t none -W -f {row.form} -O raw"
    commands = {
        # The fastest way we found to call it; it verifies nothing.
        QEMU: (f"{convert} {quoted} {device}; sync -d {device}", None),
        AGENT: (agent_flow(row, quoted, sha256, device, local), local if row.form != "raw" else None),
        NBD: (f"nbdkit -U - curl {quoted} --run '" +
              (f"nbdcopy --flush \"$uri\" {device}'" if row.form == "raw" else f"{convert} \"$uri\" {device}'; sync -d {device}"),
              None),
        PIPE: (pipe(image, quoted, device), None),
        BMAP: (f"bmaptool --quiet copy --nobmap {quoted} {device}", None),
    }
    for name in row.flows:
        out[name] = commands[name]
    return out


class Race:
    """One row on one target."""

    def __init__(self, row, image, sha256, raw, target, memory_mounts, tools, urls, ramdisk, work, say):
        self.row, self.image, self.raw, self.target = row, image, raw, target
        self.memory_mounts, self.work, self.say = memory_mounts, work, say
        self.todo = list(flows(row, tools["ingot"], image, urls, sha256, target.device, ramdisk, tools["ca"]).items())
        self.stages = stages.Stages(tools["stages"], urls[0], image, row.form, tools["data_bytes"], target, work)
        if row.https:
            self.stages_https = []
        self.tools = tools
        self.runs, self.hangs, self.written = {}, {}, {}

    def one_run(self, name, command, leftover):
        hung = 0
        while True:
            self.target.reset()
            lab.settle(self.image)
            before = self.target.written()
            run = lab.timed(command, HANG.get(name, TIMEOUT), self.work, self.memory_mounts)
            written = self.target.written() - before
            if leftover and os.path.exists(leftover):
                os.unlink(leftover)
            if run.timed_out and name in HANG and hung < REPEATS:
                hung += 1
                continue
            if run.timed_out or run.exit_code != 0:
                raise RuntimeError(f"exit code {run.exit_code}, timed out: {run.timed_out}\n{run.output}")
            if not self.target.same_as(self.raw, "raw"):
                raise RuntimeError(f"the device is not the image after: {command}")
            return run, hung, written

    def round(self, number):
        self.stages.measure()
        if self.row.https:
            self.stages_https.append(stages.once([self.tools["stages"], "gcm", self.image], self.work)["seconds"])
        for name, (command, leftover) in self.todo[number % len(self.todo):] + self.todo[:number % len(self.todo)]:
            run, hung, written = self.one_run(name, command, leftover)
            self.runs.setdefault(name, []).append(run)
            self.written.setdefault(name, []).append(written)
            self.hangs[name] = self.hangs.get(name, 0) + hung
            self.say(f"{self.row.name}, round {number + 1}: {name}: {run.seconds:.2f} s" + (f", after {hung} hangs" if hung else ""))

    def result(self):
        out = {"row": self.row.name, "image": os.path.basename(self.image), "image_bytes": os.path.getsize(self.image),
               "virtual_size": os.path.getsize(self.raw), **self.stages.result(), "flows": {}}
        if self.row.https:
            out["gcm"] = statistics.median(self.stages_https)
        for name, series in self.runs.items():
            seconds = [run.seconds for run in series]
            out["flows"][name] = {
                "median": statistics.median(seconds), "least": min(seconds), "most": max(seconds), "seconds": seconds,
                "cpu": statistics.median(run.cpu_seconds for run in series),
                "machine_cpu": statistics.median(run.machine_seconds for run in series),
                "peak_rss": max(run.peak_rss for run in series), "tmpfs": max(run.tmpfs_bytes for run in series),
                "wire": statistics.median(run.wire_bytes for run in series),
                "written": statistics.median(self.written[name]), "hangs": self.hangs[name]}
        return out


def bars(row, result):
    """(what, figure, limit, reached) of a row that was raced onto the memory-backed target."""
    ours = result["flows"]["ingot"]["median"]
    for name, limit in row.bars.items():
        if name in result["flows"]:
            ratio = result["flows"][name]["median"] / ours
            yield f"{row.name}: times as fast as {name}, at least", ratio, limit, ratio >= limit
        else:
            base = result["bound"] if name == "bound" else result["stages"][name]["seconds"]
            what = "the bound" if name == "bound" else "the decompressor's own time"
            yield f"{row.name}: times {what}, at most", ours / base, limit, ours / base <= limit
    if row.https:
        ratio = result["flows"]["ingot, HTTPS"]["median"] / (ours + result["gcm"])
        yield f"{row.name}: HTTPS, times HTTP and AES-GCM, at most", ratio, 1.10, ratio <= 1.10
    rss = max(one["peak_rss"] for name, one in result["flows"].items() if name.startswith("ingot"))
    yield f"{row.name}: peak resident MiB, at most", rss / lab.MIB, RSS / lab.MIB, rss <= RSS


def measure(rows, tools, kept, target_directories, rounds, work, servers, say):
    """`kept`: images.races(); `target_directories`: kind → (directory, its mount if it is a RAM disk). `servers`: directory →
    (http, https). Returns kind → [result]."""
    out = {}
    for kind, (where, mounts) in target_directories.items():
        out[kind] = []
        for row in rows:
            image, sha256, raw = kept[row.image]
            urls = [f"{base}/{os.path.basename(image)}" for base in servers[os.path.dirname(image)]]
            with lab.Target(os.path.join(where, f"ingot-bench.target.{os.getpid()}"), os.path.getsize(raw)) as target, \
                    lab.tmpfs(os.path.join(work, "ramdisk"), os.path.getsize(image) // lab.MIB + 64) as ramdisk:
                race = Race(row, image, sha256, raw, target, mounts, tools, urls, ramdisk, work, say)
                for number in range(rounds):
                    race.round(number)
                out[kind].append(race.result())
    return out
