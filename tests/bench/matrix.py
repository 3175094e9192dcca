"""Peak memory of one `ingot write` for every kind of qcow2 that qemu-img makes, on a slice of a real disk."""
import itertools
import os

import lab
import memory

SLICE = 192 * lab.MIB  # of the Debian disk: tens of thousands of the smallest clusters, dozens of the largest
FROM = 256 * lab.MIB   # behind its partition table, which says that the disk is larger
SCENARIOS = ("sequential", "out of order", "grown", "snapshot", "extended L2", "preallocated")


def make(raw, version, cluster, compression, scenario, path):
    """Makes the image; False where qemu-img has no such kind."""
    if compression == "zstd" and version == 2:
        return False
    if scenario == "extended L2" and (version == 2 or cluster in ("512", "4k")):
        return False
    if scenario == "preallocated" and compression != "none":
        return False
    options = [f"cluster_size={cluster}", f"compat={'0.10' if version == 2 else '1.1'}"]
    if compression == "zstd":
        options.append("compression_type=zstd")
    if scenario == "extended L2":
        options.append("extended_l2=on")
    if scenario == "preallocated":
        options.append("preallocation=metadata")
    flags = ["-c"] if compression != "none" else []
    if scenario == "out of order":
        flags += ["-W", "-m", "8"]
    lab.sh("qemu-img", "convert", "-f", "raw", "-O", "qcow2", *flags, "-o", ",".join(options), raw, path)
    if scenario == "grown":
        lab.sh("qemu-img", "resize", "-q", path, "+4G")
    if scenario == "snapshot":
        lab.sh("qemu-img", "snapshot", "-c", "before", path)
        lab.sh("qemu-io", "-c", "write -P 7 0 48M", "-c", "write -P 9 100M 20M", path, stderr=None)
    return True


def measure(ingot, raw, work, served_directory, base_url, say):
    """Every kind once. Returns {scenario: the largest of its figures}."""
    part = os.path.join(work, "slice.raw")
    lab.sh("dd", f"if={raw}", f"of={part}", "bs=1M", f"skip={FROM // lab.MIB}", f"count={SLICE // lab.MIB}", "conv=sparse",
           "status=none")
    result = {}
    for scenario in SCENARIOS:
        runs = []
        for version, cluster, compression in itertools.product((2, 3), ("512", "4k", "64k", "2M"),
                                                               ("none", "zlib", "zstd")):
            image = os.path.join(served_directory, "matrix.qcow2")
            try:
                if make(part, version, cluster, compression, scenario, image):
                    one = memory.one_case(ingot, image, image, "qcow2", base_url, work)
                    runs.append(one | {"kind": f"v{version} {cluster} {compression}"})
            finally:
                if os.path.exists(image):
                    os.unlink(image)
        largest = max(runs, key=lambda one: one["peak_rss"])
        result[f"{scenario}: the largest of {len(runs)} ({largest['kind']})"] = largest | {
            "reached": all(one["reached"] for one in runs)}
        say(f"{scenario}: {len(runs)} images, at most {largest['peak_rss'] / lab.MIB:.1f} MiB")
    return result
