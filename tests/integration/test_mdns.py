#!/usr/bin/python3
"""Ironic found by mDNS: `ingot agent` asks a real Avahi, over a cable (a veth pair), what Ironic's own code announces at the other
end. Agent and conductor have a network namespace each; the agent's has a D-Bus and a /run of its own. Nothing leaves them."""
import json
import os
import subprocess
import threading
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

    def agent(self, parameters, last, timeout=60):
        """What the agent says up to a line with `last` in it, or to its end."""
        with open(self.path("cmdline"), "w") as file:
            file.write(f"{parameters} ipa-disk-wait-attempts=0 ipa-lookup-timeout={timeout}\n")
        process = subprocess.Popen(self.inside(self.node, os.path.realpath(rig.INGOT), "agent", "--cmdline", self.path("cmdline"),
                                               "--mac", "52:54:00:aa:00:01", "--power", "exit", "--run-dir", self.path("run")),
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.addCleanup(self._stop, process)
        said = ""
        for line in process.stdout:
            said += line
            if last in line:
                break
        self.assertIn(last, said)
        return said

    def test_api_and_inspection(self):
        self.avahi()
        announcer = self.announce({"baremetal": f"http://{CONDUCTOR}:6385/baremetal", "baremetal-introspection": f"http://{CONDUCTOR}:5050"})
        said = self.agent("ipa-api-url=mdns ipa-inspection-callback-url=mdns", "looking up the node")
        self.assertIn(f"found by mDNS: http://{CONDUCTOR}:6385/baremetal\n", said)
        self.assertIn(f"inspection data goes to http://{CONDUCTOR}:5050/v1/continue\n", said)
        self.assertTrue(announcer.stdout.readline().startswith("/baremetal/"), said)

    def test_options_that_are_announced(self):
        self.avahi()
        self.announce({"baremetal": f"http://{CONDUCTOR}:6385", "baremetal-introspection": f"http://{CONDUCTOR}:5050"},
                      ipa_ntp_server="no server", ipa_insecure="1", ipa_inspection_callback_url=f"http://{CONDUCTOR}/elsewhere")
        said = self.agent("ipa-use-mdns=1 ipa-inspection-callback-url=mdns", "looking up the node")
        self.assertIn(f"found by mDNS: http://{CONDUCTOR}:6385\n", said)
        self.assertNotIn("inspection data goes to", said)  # the API's announcement has said so
        self.assertIn("warning: ipa_ntp_server", said)

    def test_an_announcement_that_is_no_url(self):
        self.avahi()
        self.announce({"baremetal": f"http://{CONDUCTOR}:6385"}, path="/x y")
        self.agent("ipa-api-url=mdns", "error [controller.refused]: what was found by mDNS has no path")

    def test_a_conductor_that_comes_later(self):
        self.avahi()
        starting = threading.Timer(2, self.announce, [{"baremetal": f"http://{CONDUCTOR}:6385"}])
        starting.start()
        self.addCleanup(starting.join)
        said = self.agent("ipa-api-url=mdns", "looking up the node")
        self.assertRegex(said, "nobody announces baremetal._openstack._tcp by mDNS.*; trying again\n")

    def test_no_avahi(self):
        self.agent("ipa-api-url=mdns", "avahi-browse: Failed to create client object", timeout=0)


if __name__ == "__main__":
    unittest.main()
