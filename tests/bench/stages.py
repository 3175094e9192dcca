"""The stages of a deployment one by one, and the bound that follows from them: what no program can be faster than here.

The bound is the longest of what cannot be divided among cores (receiving over one connection, one digest, the device) and all
of their work divided by the cores. Work is that of the whole machine: the server runs on the same cores, and so do the kernel's
threads behind a loop device."""
import json
import os
import statistics
import time

import lab

SERIAL = ("receive", "digest", "unpack", "write")


def once(command, cwd):
    """One stage: its seconds (its own, where it says so) and the machine's."""
    cpu, start = lab.machine_cpu(), time.monotonic()
    said = lab.sh(*command, cwd=cwd)
    seconds, cpu = time.monotonic() - start, lab.machine_cpu() - cpu
    facts = json.loads(said) if said.startswith("{") else {}
    return {**facts, "seconds": facts.get("seconds", seconds), "machine_seconds": cpu}


class Stages:
    """The stages that an image has, measured a round at a time."""

    def __init__(self, tool, url, path, form, data_bytes, target, cwd):
        cores = len(os.sched_getaffinity(0))
        self.target, self.cwd, self.path = target, cwd, path
        server, _, name = url.removeprefix("http://").partition("/")
        self.commands = {"receive": [tool, "receive", server, f"/{name}"],
                         "digest": [tool, "digest", path],
                         "write": [tool, "write", target.device, str(data_bytes)]}
        if form == "qcow2":
            self.commands["decode"] = [tool, "decode", path, str(cores)]
        if path.endswith((".zst", ".gz")):
            self.commands["unpack"] = [tool, "unpack", path]
        self.series = {name: [] for name in self.commands}
        self.cores = cores

    def measure(self):
        for name, command in self.commands.items():
            if name == "write":
                self.target.reset()
            lab.settle(self.path)
            self.series[name].append(once(command, self.cwd))

    def result(self):
        stages = {name: {key: statistics.median(one[key] for one in series) for key in ("seconds", "machine_seconds")}
                  for name, series in self.series.items()}
        serial = max(stages[name]["seconds"] for name in SERIAL if name in stages)
        shared = sum(one["machine_seconds"] for one in stages.values()) / self.cores
        return {"stages": stages, "bound": max(serial, shared),
                "bound_is": "all cores" if shared > serial else
                            next(name for name in SERIAL if name in stages and stages[name]["seconds"] == serial)}


def data_bytes(tool, qcow2):
    """Bytes of the clusters that a qcow2 image has data in."""
    return json.loads(lab.sh(tool, "decode", qcow2, str(os.cpu_count())))["data_bytes"]
