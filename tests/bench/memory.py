"""How much memory one `ingot write` needs, whatever the image, and that no RAM disk holds any of it."""
import json
import os
import shlex

import lab

LIMIT = 64 * lab.MIB
TIMEOUT = 600  # seconds
# Where a program would put a file it means to be temporary: made unable to take a single one (the first inode of a
# tmpfs is its root), so that a run that succeeds has put nothing there.
BARRED = ("/tmp", "/var/tmp", "/dev/shm")


def virtual_size(path, form):
    return json.loads(lab.sh("qemu-img", "info", "-f", form, "--output=json", path))["virtual-size"]


def one_case(ingot, image, reference, form, base_url, work):
    size = virtual_size(reference, form)
    digest = lab.sh("sha256sum", image).split()[0]
    with lab.Target(os.path.join(work, "target"), size) as target:
        lab.settle()
        before = lab.tmpfs_used()
        bars = "; ".join(f"mount -t tmpfs -o size=4k,nr_inodes=1 barred {where}" for where in BARRED)
        write = shlex.join([ingot, "write", "--image-url", f"{base_url}/{os.path.basename(image)}", "--image-checksum",
                            digest, "--device", target.device, "--yes", "--progress", "none"])
        run = lab.timed(["unshare", "--mount", "sh", "-ec", f"{bars}; exec {write}"], TIMEOUT, work)
        grown = lab.tmpfs_used() - before
        if run.timed_out or run.exit_code != 0:
            raise RuntimeError(f"{image}: exit code {run.exit_code}, timed out: {run.timed_out}\n{run.output}")
        if not target.same_as(reference, form):
            raise RuntimeError(f"{image}: the device is not the image")
    return {"image_bytes": os.path.getsize(image), "virtual_size": size, "seconds": run.seconds,
            "peak_rss": run.peak_rss, "limit": LIMIT, "tmpfs_growth": grown,
            "reached": run.peak_rss <= LIMIT and grown < lab.MIB}


def measure(ingot, cases, work, served, say):
    """`served`: directory → base URL. Returns {case: figures}."""
    result = {}
    for name, (image, reference, form) in cases.items():
        result[name] = one_case(ingot, image, reference, form, served[os.path.dirname(image)], work)
        say(f"{name}: {result[name]['peak_rss'] / lab.MIB:.1f} MiB in {result[name]['seconds']:.1f} s")
    return result


def table(result):
    lines = [f"Peak resident memory of the whole `ingot write` process (at most {LIMIT // lab.MIB} MiB); "
             f"{', '.join(BARRED)} unable to take a file", "",
             "| image | file | virtual size | peak memory | seconds | within the limit |", "|---|---|---|---|---|---|"]
    for name, one in result.items():
        lines.append(f"| {name} | {one['image_bytes'] / 1e6:.0f} MB | {one['virtual_size'] / 2**30:.1f} GiB "
                     f"| {one['peak_rss'] / lab.MIB:.1f} MiB | {one['seconds']:.1f} | {'yes' if one['reached'] else 'NO'} |")
    return "\n".join(lines)
