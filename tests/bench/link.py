"""A network of a given speed: how long after the last byte ingot ends.

Loopback is shaped (tbf, tc-tbf(8)) in a network namespace of its own, where server and client run. The last byte has arrived
when curl, which throws everything away, has received the whole: both take turns over the same link. Run by `run` as

    unshare --net link.py PARAMETERS      (JSON in, JSON out)
"""
import json
import os
import statistics
import sys

import lab

LIMIT = 1.03
RATES = {"1 Gbit/s": "1gbit", "10 Gbit/s": "10gbit"}


def shape(rate):
    lab.sh("ip", "link", "set", "lo", "up")
    # A segment of loopback is 64 KiB, and a burst has to hold what comes between two ticks of the clock.
    lab.sh("tc", "qdisc", "replace", "dev", "lo", "root", "tbf", "rate", rate, "burst", "4mb", "latency", "100ms")


def measure_here(ingot, images, rounds, where, work):
    out = []
    for name, rate in RATES.items():
        shape(rate)
        for label, (image, sha256, raw) in images.items():
            curl, ours = [], []
            with lab.web_server(os.path.dirname(image), os.path.join(work, "link")) as base, \
                    lab.Target(os.path.join(where, f"ingot-bench.link.{os.getpid()}"), os.path.getsize(raw)) as target:
                url = f"{base}/{os.path.basename(image)}"
                for number in range(rounds):
                    pair = [(curl, ["curl", "--noproxy", "*", "-sf", "-o", "/dev/null", url]),
                            (ours, [ingot, "write", "--image-url", url, "--image-checksum", sha256, "--device", target.device,
                                    "--yes", "--progress", "none"])]
                    for series, command in pair[::-1 if number % 2 else 1]:
                        target.reset()
                        lab.settle(image)
                        run = lab.timed(command, 300, work)
                        if run.exit_code != 0:
                            raise RuntimeError(run.output)
                        series.append(run.seconds)
            out.append({"link": name, "image": label, "receive": statistics.median(curl), "ingot": statistics.median(ours),
                        "ratio": statistics.median(ours) / statistics.median(curl)})
            print(f"   {name}, {label}: {out[-1]['receive']:.2f} s to receive, {out[-1]['ingot']:.2f} s for ingot",
                  file=sys.stderr, flush=True)
    return out


def measure(ingot, images, rounds, where, work):
    parameters = json.dumps({"ingot": ingot, "images": images, "rounds": rounds, "where": where, "work": work})
    return json.loads(lab.sh("unshare", "--net", "/usr/bin/python3", "-B", os.path.abspath(__file__), parameters))


def bars(result):
    for one in result:
        yield f"{one['image']} over {one['link']}: times receiving it, at most", one["ratio"], LIMIT, one["ratio"] <= LIMIT


def table(result):
    lines = ["| link | image | receiving alone | ingot | ingot ends after |", "|---|---|---|---|---|"]
    for one in result:
        lines.append(f"| {one['link']} | {one['image']} | {one['receive']:.2f} s | {one['ingot']:.2f} s "
                     f"| {(one['ratio'] - 1) * 100:+.1f} % |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(json.dumps(measure_here(**json.loads(sys.argv[1]))))
