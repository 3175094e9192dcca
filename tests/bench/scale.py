"""What an image costs as it grows: in bytes, in virtual size, in extents, and with clusters as small as they can be.

Every image is made for one run and removed after it; where only the size matters it has holes, which nginx sends as zeros."""
import json
import os

import images
import lab

TIMEOUT = 900
RSS = 64 * lab.MIB


def _raw(path, gib):
    with open(path, "wb") as file:
        file.truncate(int(gib * 2**30))


def _sparse_qcow2(path, virtual, clusters):
    """So many data clusters, evenly spread over the virtual size."""
    lab.sh("qemu-img", "create", "-q", "-f", "qcow2", path, virtual)
    size = int(virtual[:-1]) * 2**(30 if virtual.endswith("G") else 40)
    step = size // clusters // 65536 * 65536
    images.qemu_io(path, (f"write -q -P {1 + at % 255} {at * step} 64k" for at in range(clusters)))


def _clusters(path, raw, size):
    lab.sh("qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-o", f"cluster_size={size}", raw, path)


def cases(raw):
    """(group, name, how it is made)."""
    for gib in (0.5, 2, 8, 50):
        yield "file", f"raw, {gib:g} GiB", lambda path, gib=gib: _raw(path, gib)
    for virtual, clusters in (("1G", 4096), ("64G", 4096), ("1T", 4096), ("8T", 4096)):
        yield "virtual", f"qcow2, {virtual} virtual, {clusters} extents", \
            lambda path, virtual=virtual, clusters=clusters: _sparse_qcow2(path, virtual, clusters)
    for clusters in (1000, 10000, 100000):
        yield "extents", f"qcow2, 64G virtual, {clusters} extents", \
            lambda path, clusters=clusters: _sparse_qcow2(path, "64G", clusters)
    for size in ("512", "4096", "64k", "2M"):
        yield "clusters", f"qcow2, clusters of {size}", lambda path, size=size: _clusters(path, raw, size)


def measure(ingot, raw, where, work, kept, base_url, say):
    out = []
    for group, name, make in cases(raw):
        path = os.path.join(kept, f"scale.{os.getpid()}")
        make(path)
        try:
            form = "raw" if group == "file" else "qcow2"
            facts = lab.sh("qemu-img", "info", "-U", "-f", form, "--output=json", path)
            size = json.loads(facts)["virtual-size"]
            # The check is the digest's, and what tests/differential does; these are too large to compare bit by bit.
            digest = lab.sh("sha256sum", path).split()[0]
            with lab.Target(os.path.join(where, f"ingot-bench.scale.{os.getpid()}"), size) as target:
                lab.settle()
                run = lab.timed([ingot, "write", "--image-url", f"{base_url}/{os.path.basename(path)}", "--image-checksum", digest,
                                 "--device", target.device, "--yes", "--progress", "none", "--allow-unrecognized"], TIMEOUT, work)
            if run.timed_out or run.exit_code != 0:
                raise RuntimeError(f"{name}: exit code {run.exit_code}, timed out: {run.timed_out}\n{run.output}")
        finally:
            os.unlink(path)
        out.append({"group": group, "name": name, "file_bytes": run.wire_bytes, "seconds": run.seconds, "peak_rss": run.peak_rss})
        say(f"{name}: {run.seconds:.2f} s, {run.peak_rss / lab.MIB:.1f} MiB")
    return out


def bars(result):
    worst = max(result, key=lambda one: one["peak_rss"])
    yield f"scale, {worst['name']}: peak resident MiB, at most", worst["peak_rss"] / lab.MIB, RSS / lab.MIB, worst["peak_rss"] <= RSS


def table(result):
    lines = ["| image | bytes received | seconds | peak memory |", "|---|---|---|---|"]
    for one in result:
        lines.append(f"| {one['name']} | {one['file_bytes'] / 1e6:.0f} MB | {one['seconds']:.2f} | {one['peak_rss'] / lab.MIB:.1f} MiB |")
    return "\n".join(lines)
