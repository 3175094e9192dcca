#!/usr/bin/python3
"""Ironic found by mDNS: `ingot agent` asks a real Avahi, over a cable (a veth pair), what Ironic's own code announces at the other
end. Agent and conductor have a network namespace each; the agent's has a D-Bus and a /run of its own. Nothing leaves them."""
import json
import os
import subprocess
import time
import unittest

import rig

CONDUCTOR, NODE = "192.0.2.1", "192.0.2.2"
# Announces as the conductor does, and notes what is asked of the API: standard input is JSON, standard output "ready", then paths.
ANNOUNCER = """
import http.server, json, sys, threading
from ironic_lib import mdns

class Api(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        print(self.path, flush=True)
        self.send_error(503)
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        print(self.path, flush=True)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"uuid": "7a9c2f1e-0d3b-4c58-9e6f-1a2b3c4d5e6f"}')
    def log_message(self, *args):
        pass

wanted = json.load(sys.stdin)
mdns.CONF([], project="announcer")
mdns.CONF.set_override("interfaces", [wanted["address"]], group="mdns")
mdns.CONF.set_override("params", wanted["params"], group="mdns")
announcing = mdns.Zeroconf()
for name, url in wanted["services"].items():
    announcing.register_service(name, url)
print("ready", flush=True)
http.server.ThreadingHTTPServer((wanted["address"], 6385), Api).serve_forever()
"""
AVAHI = """[server]
host-name=node
use-ipv4=yes
use-ipv6=yes
allow-interfaces=eth7
[publish]
disable-publishing=no
"""


class Mdns(rig.Case):
    def setUp(self):
        super().setUp()
        with open(self.path("avahi.conf"), "w") as file:
            file.write(AVAHI)
        self.node = self.namespace("mount -t tmpfs none /run && mkdir /run/dbus /run/avahi-daemon")
        self.conductor = self.namespace("true")
        rig.sh(*self.inside(self.node, "ip", "link", "add", "eth7", "type", "veth", "peer", "name", "eth8", "netns", str(self.conductor.pid)))
        for holder, name, address in ((self.node, "eth7", NODE), (self.conductor, "eth8", CONDUCTOR)):
            rig.sh(*self.inside(holder, "ip", "addr", "add", f"{address}/24", "dev", name))
            rig.sh(*self.inside(holder, "ip", "link", "set", name, "up"))

    def namespace(self, script):
        holder = subprocess.Popen(["unshare", "--net", "--mount", "sh", "-c", f"{script} && ip link set lo up && echo ready && exec sleep 600"],
                                  stdout=subprocess.PIPE, text=True)
        self.addCleanup(self._stop, holder)
        self.assertEqual(holder.stdout.readline(), "ready\n")
        return holder

    def inside(self, holder, *argv):
        return ["nsenter", f"--target={holder.pid}", "--net", "--mount", "--", *argv]

    def daemon(self, *argv):
        process = subprocess.Popen(self.inside(self.node, *argv), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.addCleanup(self._stop, process)

    def avahi(self):
        """Avahi on the node, ready to be asked."""
        self.daemon("dbus-daemon", "--system", "--nofork", "--nopidfile")
        end = time.monotonic() + 20
        while not os.path.exists(f"/proc/{self.node.pid}/root/run/dbus/system_bus_socket"):
            self.assertLess(time.monotonic(), end, "no D-Bus")
            time.sleep(0.02)
        self.daemon("avahi-daemon", "--file", self.path("avahi.conf"), "--no-rlimits", "--no-drop-root", "--no-chroot")
        while subprocess.run(self.inside(self.node, "avahi-browse", "--cache", "_openstack._tcp"), capture_output=True).returncode:
            self.assertLess(time.monotonic(), end, "no Avahi")
            time.sleep(0.05)

    def announce(self, services, **params):
        announcer = subprocess.Popen(self.inside(self.conductor, "/usr/bin/python3", "-W", "ignore", "-c", ANNOUNCER),
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(self._stop, announcer)
        announcer.stdin.write(json.dumps({"address": CONDUCTOR, "services": services, "params": params}))
        announcer.stdin.close()
        self.assertEqual(announcer.stdout.readline(), "ready\n")
        return announcer

    def start_agent(self, parameters, timeout=60):
        with open(self.path("cmdline"), "w") as file:
            file.write(f"{parameters} ipa-disk-wait-attempts=0 ipa-inspection-collectors=default ipa-inspection-dhcp-wait-timeout=0 "
                       f"ipa-lookup-timeout={timeout}\n")
        process = subprocess.Popen(self.inside(self.node, os.path.realpath(rig.INGOT), "agent", "--cmdline", self.path("cmdline"),
                                               "--mac", "52:54:00:aa:00:01", "--power", "exit", "--run-dir", self.path("run")),
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.addCleanup(self._stop, process)
        return process

    def said(self, process, last):
        """What the agent says up to a line with `last` in it."""
        text = ""
        for line in process.stdout:
            text += line
            if last in line:
                return text
        self.fail(f"it ended without saying '{last}':\n{text}")

    def agent(self, parameters, last, **kwargs):
        return self.said(self.start_agent(parameters, **kwargs), last)

    def test_api_and_inspection(self):
        self.avahi()
        announcer = self.announce({"baremetal": f"http://{CONDUCTOR}:6385/baremetal",
                                   "baremetal-introspection": f"http://{CONDUCTOR}:6385/inspector"})
        said = self.agent("ipa-api-url=mdns ipa-inspection-callback-url=mdns", "looking up the node")
        self.assertIn(f"found by mDNS: http://{CONDUCTOR}:6385/baremetal\n", said)
        self.assertIn(f"inspection data goes to http://{CONDUCTOR}:6385/inspector/v1/continue\n", said)
        self.assertEqual(announcer.stdout.readline(), "/inspector/v1/continue\n")
        self.assertTrue(announcer.stdout.readline().startswith("/baremetal/"), said)

    def test_options_that_are_announced(self):
        self.avahi()
        announcer = self.announce({"baremetal": f"http://{CONDUCTOR}:6385", "baremetal-introspection": f"http://{CONDUCTOR}:1"},
                                  ipa_insecure="1", ipa_inspection_callback_url=f"http://{CONDUCTOR}:6385/elsewhere")
        said = self.agent("ipa-use-mdns=1 ipa-inspection-callback-url=mdns", "looking up the node")
        self.assertIn(f"found by mDNS: http://{CONDUCTOR}:6385\n", said)
        self.assertNotIn("inspection data goes to", said)  # the API's announcement has said so
        self.assertEqual(announcer.stdout.readline(), "/elsewhere\n")

    def test_an_announcement_that_is_no_url(self):
        self.avahi()
        self.announce({"baremetal": f"http://{CONDUCTOR}:6385"}, path="/x y")
        self.agent("ipa-api-url=mdns", "error [controller.refused]: what was found by mDNS has no path")

    def test_a_conductor_that_comes_later(self):
        self.avahi()
        agent = self.start_agent("ipa-api-url=mdns")
        self.assertIn("nobody announces baremetal._openstack._tcp by mDNS", self.said(agent, "trying again"))
        self.announce({"baremetal": f"http://{CONDUCTOR}:6385"})
        self.said(agent, f"found by mDNS: http://{CONDUCTOR}:6385\n")

    def test_no_avahi(self):
        self.agent("ipa-api-url=mdns", "avahi-browse: Failed to create client object", timeout=0)


if __name__ == "__main__":
    unittest.main()
