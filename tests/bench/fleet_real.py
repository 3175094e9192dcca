"""The same with real machines' parts, small: ingot processes in network namespaces, real links of given rates, a real nginx as
the origin and in each rack. What the model says of such a site is printed beside it.

    unshare --net --mount fleet_real.py PARAMETERS      (JSON in, JSON out; run by `fleet`)
"""
import json
import os
import statistics
import subprocess
import sys
import time

import lab

NGINX = """daemon off;
worker_processes 1;
user root;
pid {state}/nginx.pid;
error_log {state}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log off;
  sendfile on;
  proxy_cache_path {state}/cache levels=1 keys_zone=images:1m max_size=4g inactive=1d use_temp_path=off;
  client_body_temp_path {state}/body; proxy_temp_path {state}/proxy; fastcgi_temp_path {state}/f; uwsgi_temp_path {state}/u;
  scgi_temp_path {state}/s;
  server {{
    listen {address}:80;
    {directives}
  }}
}}
"""
# As docs/fleet.md has it.
CACHE = """location / {
      slice 1m;
      proxy_cache images;
      proxy_cache_key $uri$slice_range;
      proxy_set_header Range $slice_range;
      proxy_set_header Connection "";
      proxy_http_version 1.1;
      proxy_cache_valid 200 206 1d;
      proxy_cache_lock on;
      proxy_pass http://10.99.0.1:80;
    }"""


class Site:
    """One core switch, a switch a rack, and a namespace for every machine."""

    def __init__(self, work):
        self.work, self.names, self.servers = work, [], []
        lab.sh("mount", "-t", "tmpfs", "names", "/run")  # ip-netns(8) keeps its names there
        os.makedirs("/run/netns")
        lab.sh("ip", "link", "add", "core", "type", "bridge")
        lab.sh("ip", "link", "set", "core", "up")

    def rack(self, number, mbit):
        """A rack's switch, whose uplink has `mbit` in each direction."""
        name = f"rack{number}"
        lab.sh("ip", "link", "add", name, "type", "bridge")
        lab.sh("ip", "link", "add", f"up{number}", "type", "veth", "peer", "name", f"down{number}")
        lab.sh("ip", "link", "set", f"up{number}", "master", name, "up")
        lab.sh("ip", "link", "set", f"down{number}", "master", "core", "up")
        for end in (f"up{number}", f"down{number}"):
            self.shape(["tc"], end, mbit)
        lab.sh("ip", "link", "set", name, "up")
        return name

    @staticmethod
    def shape(tc, device, mbit):
        lab.sh(*tc, "qdisc", "add", "dev", device, "root", "tbf", "rate", f"{mbit}mbit", "burst", "256kb", "latency", "50ms")

    def machine(self, name, address, switch, mbit):
        """A machine on a switch, whose port has `mbit` in each direction."""
        lab.sh("ip", "netns", "add", name)
        self.names.append(name)
        lab.sh("ip", "link", "add", f"p-{name}", "type", "veth", "peer", "name", "eth0", "netns", name)
        lab.sh("ip", "link", "set", f"p-{name}", "master", switch, "up")
        self.shape(["tc"], f"p-{name}", mbit)
        inside = ["ip", "netns", "exec", name]
        lab.sh(*inside, "ip", "address", "add", f"{address}/16", "dev", "eth0")
        lab.sh(*inside, "ip", "link", "set", "eth0", "up")
        lab.sh(*inside, "ip", "link", "set", "lo", "up")
        self.shape([*inside, "tc"], "eth0", mbit)

    def nginx(self, name, address, directives):
        state = os.path.join(self.work, f"nginx-{name}")
        os.makedirs(state)
        path = os.path.join(state, "nginx.conf")
        with open(path, "w", encoding="ascii") as file:
            file.write(NGINX.format(state=state, address=address, directives=directives))
        server = subprocess.Popen(["ip", "netns", "exec", name, "nginx", "-c", path, "-e", f"{state}/error.log"])
        self.servers.append(server)
        time.sleep(0.3)
        if server.poll() is not None:
            raise RuntimeError("nginx does not start")

    def stop(self):
        for server in self.servers:
            server.terminate()
            server.wait()


def run(site, way, parameters):
    """All agents at once; the seconds that each took."""
    agents = []
    start = time.monotonic()
    for rack in range(parameters["racks"]):
        base = "10.99.0.1" if way == "direct" else f"10.99.{rack + 1}.1"
        for number in range(parameters["agents_per_rack"]):
            name = f"a{rack}-{number}"
            disk = os.path.join(site.work, f"disk-{name}")
            agents.append((disk, subprocess.Popen(
                ["ip", "netns", "exec", name, parameters["ingot"], "write", "--image-url",
                 f"http://{base}/{parameters['image']}", "--image-checksum", parameters["sha256"], "--device", disk, "--size",
                 str(parameters["size"]), "--yes", "--progress", "none", "--memory-limit", "48M"],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)))
    ends = {}
    while len(ends) < len(agents):
        for disk, process in agents:
            if disk not in ends and process.poll() is not None:
                ends[disk] = time.monotonic() - start
                if process.returncode != 0:
                    raise RuntimeError(process.stdout.read())
        time.sleep(0.01)
    for disk, process in agents:
        process.stdout.close()
        os.unlink(disk)
    return list(ends.values())


def measure(parameters):
    site = Site(parameters["work"])
    out = {}
    try:
        site.machine("origin", "10.99.0.1", "core", parameters["origin_mbit"])
        site.nginx("origin", "10.99.0.1", f"root {parameters['root']};")
        for rack in range(parameters["racks"]):
            switch = site.rack(rack, parameters["uplink_mbit"])
            site.machine(f"x{rack}", f"10.99.{rack + 1}.1", switch, parameters["proxy_mbit"])
            site.nginx(f"x{rack}", f"10.99.{rack + 1}.1", CACHE)
            for number in range(parameters["agents_per_rack"]):
                site.machine(f"a{rack}-{number}", f"10.99.{rack + 1}.{number + 10}", switch, parameters["port_mbit"])
        for way in ("direct", "proxy"):
            took = run(site, way, parameters)
            out[way] = {"median": statistics.median(took), "last": max(took)}
    finally:
        site.stop()
    return out


if __name__ == "__main__":
    print(json.dumps(measure(json.loads(sys.argv[1]))))
