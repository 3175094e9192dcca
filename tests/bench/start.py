"""From the start of the program to the first request on the wire."""
import os
import socket
import statistics
import subprocess
import time

import lab

LIMIT = 0.050  # seconds


def once(ingot, device):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/disk.qcow2"
        start = time.monotonic()
        with subprocess.Popen([ingot, "write", "--image-url", url, "--image-checksum", "0" * 64, "--device", device, "--yes",
                               "--progress", "none"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) as process:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                seconds = time.monotonic() - start
                process.kill()
    return seconds


def measure(ingot, rounds, work, say):
    with lab.Target(os.path.join(work, "start"), 64 * lab.MIB) as target:
        once(ingot, target.device)  # the program comes from the disk
        series = [once(ingot, target.device) for _ in range(max(rounds, 5) * 4)]
    result = {"median": statistics.median(series), "least": min(series), "most": max(series)}
    say(f"start to first request: {result['median'] * 1000:.1f} ms")
    return result


def bars(result):
    yield "start to the first byte requested: milliseconds, at most", result["median"] * 1000, LIMIT * 1000, result["median"] <= LIMIT


def table(result):
    return (f"From the program's start to its first request: {result['median'] * 1000:.1f} ms "
            f"({result['least'] * 1000:.1f}–{result['most'] * 1000:.1f}).")
