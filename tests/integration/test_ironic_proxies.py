#!/usr/bin/python3
"""`ingot agent` and an unmodified Ironic with a platform between them: proxies in both directions, APIs that are gone or
speak TLS, errors as the operator reads them, custom-agent deploys, and one process through several operations.

Needs root and Debian's Ironic. The tests run at once: each spends most of its time waiting for heartbeats."""
import base64
import json
import os
import random
import socket
import ssl
import subprocess
import threading
import time
import unittest

import agent_rig
import ironic_rig
import machine_rig
import proxy_rig
import rig
import together
from machine_rig import signatures
from rig import MIB, sh

load_tests = together.load_tests
IMAGE = 24 * MIB
# Ironic keeps so many characters of a node's last_error.
LAST_ERROR = 4096
ironic = None


def setUpModule():
    global ironic
    ironic = ironic_rig.Ironic(heartbeat_timeout=10, callback_timeout=120)
    ironic.start()
    unittest.addModuleCleanup(ironic.stop)


def noise(seed, size):
    """Text that does not compress much."""
    return base64.b64encode(random.Random(seed).randbytes(size)).decode()


class Machine(machine_rig.Machine):
    def machine(self, **options):
        super().machine(ironic, **options)

    def to_be_cleaned(self, **options):
        """A node that waits for its agent, to have the signatures on its disk erased."""
        self.machine(clean=True, **options)
        self.have_old_system()
        self.node.ask("provide")
        self.node.wait("clean wait")

    def assert_cleaned(self):
        self.wait("available")
        self.assertEqual(signatures(self.device), "")

    def until_the_log_has(self, text, seconds=30):
        give_up = time.monotonic() + seconds
        while text not in self.agent.log():
            self.assertLess(time.monotonic(), give_up, self.agent.log())
            time.sleep(0.1)

    def in_use(self, image, *seconds_images):
        """What the image says is on the disk, but for the partition table, which fits the disk."""
        with open(self.device, "rb") as disk, open(image, "rb") as file:
            disk.seek(MIB), file.seek(MIB)
            self.assertEqual(disk.read(IMAGE - 2 * MIB), file.read(IMAGE - 2 * MIB))


class Proxies(Machine):
    def proxies(self, agent_port, tls=True):
        """An nginx for the API, which has it under a path and closes idle connections soon, and one for callbacks, which
        keeps connections to the agent open and does not ask who it is. Both buffer."""
        self.api_port, self.callback_port = ironic_rig.free_port(), ironic_rig.free_port()
        self.nginx_between = proxy_rig.Nginx(self, f"""
            upstream agent {{ server 127.0.0.1:{agent_port}; keepalive 4; keepalive_timeout 60s; }}
            server {{
              listen 127.0.0.1:{self.api_port};
              keepalive_timeout 1s;
              location /metal/ironic/ {{ proxy_pass http://127.0.0.1:{ironic.port}/; }}
              location / {{ return 404; }}
            }}
            server {{
              listen 127.0.0.1:{self.callback_port};
              keepalive_timeout 1s;
              client_max_body_size 100m;
              location / {{
                proxy_pass http{"s" if tls else ""}://agent;
                proxy_ssl_verify off;
                proxy_http_version 1.1;
                proxy_set_header Connection "";
              }}
            }}""", self.api_port, self.callback_port)
        return f"http://127.0.0.1:{self.api_port}/metal/ironic"

    def idle_connections(self, port, count=6):
        """Clients that connect and say nothing, or half of a header."""
        for number in range(count):
            client = socket.create_connection(("127.0.0.1", port))
            self.addCleanup(client.close)
            if number % 2:
                client.sendall(b"GET /v1/commands/ HTTP/1.1\r\nHost: ")

    def deploy_through(self, tls):
        self.machine()
        self.available()
        raw = self.disk_image(size=IMAGE, seed=int(tls))
        user_data = "#cloud-config\n# " + noise(3, MIB) + "\n"
        self.deploy(raw, configdrive={"meta_data": {"hostname": "metal"}, "user_data": user_data, "network_data": {}})
        port = ironic_rig.free_port()
        url = self.proxies(port, tls)
        self.boot(url=url, port=port, proxy=self.callback_port, args=["--listen-tls"] if tls else [])
        self.until_the_log_has("serving at")
        for idle in (port, self.callback_port):
            self.idle_connections(idle)
        if tls:
            self.assertIn(b"BEGIN CERTIFICATE", ssl.get_server_certificate(("127.0.0.1", port)).encode())
        self.assert_deployed()
        self.in_use(raw)
        self.assertEqual(json.loads(self.config_drive_of(self.device))["hostname"], "metal")
        self.assertEqual(self.config_drive_of(self.device, "/openstack/latest/user_data"), user_data)
        # All of it went that way.
        up = self.nginx_between.requests(self.api_port)
        self.assertEqual({path for _, path, _, _ in up}, {"/metal/ironic/", "/metal/ironic/v1/lookup",
                                                         f"/metal/ironic/v1/heartbeat/{self.node.uuid}"})
        beats = [(status, connection) for method, _, status, connection in up if method == "POST"]
        self.assertGreaterEqual(len(beats), 2, up)
        self.assertEqual({status for status, _ in beats}, {202})
        # Seconds apart, so that none could use the connection of another.
        self.assertEqual(len({connection for _, connection in beats}), len(beats), up)
        down = self.nginx_between.requests(self.callback_port)
        self.assertEqual({(path, status) for _, path, status, _ in down if path != "/"}, {("/v1/commands/", 200)})
        self.assertEqual(sum(method == "POST" for method, *_ in down), len(self.commands()))

    def test_deploy_with_tls_behind_the_proxy(self):
        self.deploy_through(tls=True)

    def test_deploy_in_the_clear_behind_the_proxy(self):
        self.deploy_through(tls=False)


if __name__ == "__main__":
    unittest.main()
