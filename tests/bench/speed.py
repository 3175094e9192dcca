"""How long until the image is on the disk, durably: ingot against what people use today, turn by turn."""
import os
import shlex
import statistics

import lab

# What ingot must reach, as times shorter than the other (see docs/performance.md).
TARGETS = {"qemu-img from the URL": 2.5, "download, hash, convert": 3.0}
HANG = {"qemu-img from the URL": 45}  # seconds; it now and then hangs for good
TIMEOUT = 300                         # seconds, for every other flow
REPEATS = 5                           # of one run that hung, before it counts as failed


def flows(ingot, url, sha256, device, ramdisk):
    """Name → (command line, what has to be removed after it). Each ends with the data on the device, flushed."""
    python = "/usr/bin/python3"
    download = os.path.join(lab.HERE, "download_and_hash.py")
    local = os.path.join(ramdisk, "image.qcow2")
    flush = f"sync -d {device}"
    return {
        "ingot": ([ingot, "write", "--image-url", url, "--image-checksum", sha256, "--device", device, "--yes",
                   "--progress", "none"], None),
        # The fastest way we found to call it; it verifies nothing.
        "qemu-img from the URL": (f"qemu-img convert -n -t none -W -f qcow2 -O raw {shlex.quote(url)} {device}; {flush}",
                                  None),
        # What ironic-python-agent does with an image that is not raw: the whole file into the RAM disk, hash, convert.
        "download, hash, convert": (
            f"{python} {download} {shlex.quote(url)} {local} {sha256}; qemu-img info -f qcow2 {local} >/dev/null;"
            f" qemu-img convert -n -t directsync -S 0 -W -f qcow2 -O raw {local} {device}; {flush}", local),
    }


def one_run(name, command, leftover, target, images, raw, cwd):
    hung = 0
    while True:
        target.reset()
        lab.settle(*images)
        run = lab.timed(command, HANG.get(name, TIMEOUT), cwd)
        if leftover and os.path.exists(leftover):
            os.unlink(leftover)
        if run.timed_out and name in HANG and hung < REPEATS:
            hung += 1
            continue
        if run.timed_out or run.exit_code != 0:
            raise RuntimeError(f"exit code {run.exit_code}, timed out: {run.timed_out}\n{run.output}")
        if not target.same_as(raw, "raw"):
            raise RuntimeError(f"the device is not the image after: {command}")
        return run, hung


def measure(ingot, image, sha256, raw, rounds, where, work, base_url, say):
    """`where`: the directory of the target's file, a disk or a tmpfs. Returns {"rounds", "image", "flows": {name: figures}, "ratios": {name: figures}}."""
    runs, hangs = {}, {}
    size = os.path.getsize(raw)
    url = f"{base_url}/{os.path.basename(image)}"
    ramdisk_mib = os.path.getsize(image) // lab.MIB + 64
    with lab.Target(os.path.join(where, f"ingot-bench.target.{os.getpid()}"), size) as target, \
            lab.tmpfs(os.path.join(work, "ramdisk"), ramdisk_mib) as ramdisk:
        todo = list(flows(ingot, url, sha256, target.device, ramdisk).items())
        for number in range(rounds):
            for name, (command, leftover) in todo[number % len(todo):] + todo[:number % len(todo)]:
                run, hung = one_run(name, command, leftover, target, [image], raw, work)
                runs.setdefault(name, []).append(run)
                hangs[name] = hangs.get(name, 0) + hung
                say(f"round {number + 1}: {name}: {run.seconds:.2f} s" + (f", after {hung} hangs" if hung else ""))
    result = {"rounds": rounds, "image": os.path.basename(image), "image_bytes": os.path.getsize(image),
              "virtual_size": size, "flows": {}, "ratios": {}}
    for name, series in runs.items():
        seconds = [run.seconds for run in series]
        result["flows"][name] = {
            "median_seconds": statistics.median(seconds), "min_seconds": min(seconds), "max_seconds": max(seconds),
            "median_cpu_seconds": statistics.median(run.cpu_seconds for run in series),
            "peak_rss": max(run.peak_rss for run in series),
            "ram_for_image": os.path.getsize(image) if name.startswith("download") else 0,
            "hangs": hangs[name], "seconds": seconds}
    ours = result["flows"]["ingot"]["median_seconds"]
    for name, least in TARGETS.items():
        ratio = result["flows"][name]["median_seconds"] / ours
        result["ratios"][name] = {"ratio": ratio, "target": least, "reached": ratio >= least}
    return result


def table(result):
    lines = [f"{result['image']}: {result['image_bytes'] / 1e6:.0f} MB, {result['virtual_size'] / 2**30:.1f} GiB virtual; "
             f"URL to durable disk, medians of {result['rounds']}, interleaved, content checked after every run", "",
             "| flow | seconds (least–most) | CPU seconds | peak memory of a process | image in RAM | hung runs | ingot is |",
             "|---|---|---|---|---|---|---|"]
    for name, one in sorted(result["flows"].items(), key=lambda item: item[1]["median_seconds"]):
        ratio = result["ratios"].get(name)
        verdict = ""
        if ratio:
            verdict = f"{ratio['ratio']:.2f}× as fast (at least {ratio['target']}×: {'yes' if ratio['reached'] else 'NO'})"
        lines.append(
            f"| {name} | {one['median_seconds']:.2f} ({one['min_seconds']:.2f}–{one['max_seconds']:.2f}) "
            f"| {one['median_cpu_seconds']:.2f} | {one['peak_rss'] / lab.MIB:.0f} MiB "
            f"| {one['ram_for_image'] / 1e6:.0f} MB | {one['hangs']} | {verdict} |")
    return "\n".join(lines)
