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

    def assert_written(self, image):
        """What is in the image is on the disk, but for the partition table, which fits the disk."""
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
              client_header_timeout 300s;
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
        self.assert_written(raw)
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
        give_up = time.monotonic() + 10
        while True:
            down = self.nginx_between.requests(self.callback_port)
            posted = sum(method == "POST" for method, *_ in down)
            if posted == len(self.commands()) or time.monotonic() > give_up:  # the log is written after the answer
                break
            time.sleep(0.1)
        self.assertEqual({(path, status) for _, path, status, _ in down}, {("/v1/commands/", 200)})
        self.assertEqual(posted, len(self.commands()))

    def test_deploy_with_tls_behind_the_proxy(self):
        self.deploy_through(tls=True)

    def test_deploy_in_the_clear_behind_the_proxy(self):
        self.deploy_through(tls=False)


class Api(Machine):
    """How the agent finds Ironic, and goes on to."""

    def tls(self, certificate, key):
        """Ironic's API over https, by way of an nginx with that certificate; its URL."""
        port = ironic_rig.free_port()
        proxy_rig.Nginx(self, f"""
            server {{
              listen 127.0.0.1:{port} ssl;
              ssl_certificate {certificate};
              ssl_certificate_key {key};
              location / {{ proxy_pass http://127.0.0.1:{ironic.port}/; }}
            }}""", port)
        return f"https://127.0.0.1:{port}"

    def gone(self):
        """The URL of a proxy with nothing behind it."""
        port = ironic_rig.free_port()
        proxy_rig.Nginx(self, f"""
            server {{
              listen 127.0.0.1:{port};
              location / {{ proxy_pass http://127.0.0.1:1; }}
            }}""", port)
        return f"http://127.0.0.1:{port}"

    def file(self, name, text):
        with open(self.path(name), "w") as file:
            file.write(text)
        return self.path(name)

    def test_the_first_is_dead_the_second_has_nothing_behind_it(self):
        self.to_be_cleaned()
        urls = [f"http://127.0.0.1:{ironic_rig.free_port()}", self.gone(), ironic.url]
        self.boot(url=",".join(urls))
        self.assert_cleaned()
        # Nobody is told of the ones that were passed over.
        self.assertNotIn("asking Ironic at", self.agent.log())
        self.assertNotIn("status 502", self.agent.log())

    def test_https_with_a_ca_of_its_own(self):
        self.to_be_cleaned()
        certificate, key, ca = proxy_rig.issued(self, "api")
        url = self.tls(certificate, key)
        # Without the CA it says what is wrong.
        self.boot(url=url)
        self.until_the_log_has("certificate")
        self.assertNotIn("this is node", self.agent.log())
        self.agent.stop()
        self.boot(url=url, args=["--config", self.file("agent.conf", f"[DEFAULT]\ncafile = {ca}\n")])
        self.assert_cleaned()

    def test_https_that_is_not_verified(self):
        self.to_be_cleaned()
        self.boot(url=self.tls(*proxy_rig.self_signed(self, "api")),
                  args=["--cmdline", self.file("cmdline", "BOOT_IMAGE=/vmlinuz ipa-insecure=1 quiet\n")])
        self.assert_cleaned()

    def test_a_connection_that_is_closed_under_a_request(self):
        """The server's time-out ends just as the next heartbeat is on its way, on a connection that was kept."""
        fake = agent_rig.FakeIronic(self, heartbeat_timeout=1)
        seen = []

        def finish_request(request, address):
            # Two requests on each connection; the second one gets nothing.
            class Short(fake.server.RequestHandlerClass):
                def handle(self):
                    self.handle_one_request()
                    if not self.close_connection and self.rfile.readline():
                        seen.append(address)

            Short(request, address, fake.server)

        fake.server.finish_request = finish_request
        self.device, self.mac = self.loop(8 * MIB), ironic_rig.new_mac()
        self.boot(url=fake.url)
        fake.wait_for_heartbeats(5)
        self.assertGreaterEqual(len(seen), 3)
        self.assertNotIn("warning", self.agent.log())


class Explained(Machine):
    """A failed deployment explains itself: last_error has the whole of what the agent has to say."""

    def failed(self, *parts):
        self.wait("deploy failed")
        details, last_error = self.agent.failure()["details"], self.node.last_error
        self.assertIn(details, last_error)
        for part in parts:
            self.assertIn(part, last_error)
        self.assertLess(len(last_error), LAST_ERROR)
        self.assertRegex(last_error, r"\[[a-z]+\.[a-z-]+\]$")
        return details

    def test_hints_that_no_disk_satisfies(self):
        self.machine(hints={"serial": "S3-NOT-HERE"})
        self.available()
        self.deploy(self.disk_image(size=IMAGE, seed=11))
        second = self.loop(32 * MIB)
        self.boot(disks=[self.device, second])
        self.failed("S3-NOT-HERE", "no disk satisfies the root device hints",
                    *(f'{disk}: serial is unknown, not ' for disk in (self.device, second)),
                    *(f'to choose it: {{"name": "{disk}"}}' for disk in (self.device, second)), "[device.no-match]")
        for disk in (self.device, second):
            self.assertEqual(self.head(disk).strip(b"\0"), b"")

    def test_more_disks_than_a_message_has_room_for(self):
        # Of characters of two bytes each, so that it is cut in the middle of one or not.
        self.machine(hints={"model": "дискъ" * 20})
        self.available()
        self.deploy(self.disk_image(size=IMAGE, seed=12))
        disks = [self.device, *(self.loop(MIB) for _ in range(24))]
        self.boot(disks=disks)
        details = self.failed("no disk satisfies the root device hints", f"{disks[0]}: model is ", " …. Correct the hints",
                              "[device.no-match]")
        self.assertGreater(len(details.encode()), 3700)

    def test_a_name_that_does_not_resolve(self):
        server = f"127.77.{random.randrange(256)}.{random.randrange(1, 255)}"
        names = subprocess.Popen(["/usr/bin/python3", os.path.join(rig.SUPPORT, "name_server.py"), server, "nxdomain"],
                                 stdout=subprocess.PIPE, text=True)
        self.addCleanup(self._stop, names)
        self.assertEqual(names.stdout.readline(), "ready\n")
        for name, text in (("resolv.conf", f"nameserver {server}\noptions timeout:1 attempts:1\n"),
                           ("nsswitch.conf", "hosts: files dns\n")):
            with open(self.path(name), "w") as file:
                file.write(text)
        self.machine(deploy_interface="custom-agent")
        self.available()
        self.node.deploy(None, deploy_steps=[write_osimage("http://images.example/debian.qcow2", "0" * 64)])
        script = "".join(f"mount --bind {self.path(name)} /etc/{name} && " for name in ("resolv.conf", "nsswitch.conf"))
        self.boot(within=["unshare", "--mount", "sh", "-c", script + 'exec "$@"', "sh"])
        self.failed("http://images.example/debian.qcow2", "the name images.example does not exist", f"{server} (asked from ",
                    "answers NXDOMAIN", "mirrored to a server on that network", "[source.unreachable]")

    def test_an_image_that_is_not_there(self):
        self.machine()
        self.available()
        raw = self.disk_image(size=IMAGE, seed=13)
        url = self.nginx()
        # Ironic has seen that it is there.
        self.deploy(raw, url)
        os.unlink(raw)
        self.boot()
        self.failed(f"{url}/disk.raw", "404")

    def test_an_image_larger_than_the_disk(self):
        self.machine(size=16 * MIB)
        self.available()
        self.deploy(self.disk_image(size=IMAGE, seed=14))
        self.boot()
        self.failed(self.device, "24.0 MiB", "16.0 MiB", "[device.too-small]")
        self.assertEqual(self.head(self.device).strip(b"\0"), b"")


def write_osimage(url, checksum, priority=80, **more):
    """A deploy step as the node's owner asks for it."""
    return {"interface": "deploy", "step": "write_osimage", "priority": priority,
            "args": {"properties": {"metal3.vcluster.com/image-url": url, "metal3.vcluster.com/image-checksum": checksum,
                                    "metal3.vcluster.com/image-checksum-type": "sha256"}, **more}}


class CustomAgent(Machine):
    def test_write_osimage(self):
        self.machine(deploy_interface="custom-agent")
        self.available()
        raw = self.disk_image(size=IMAGE, seed=21)
        qcow2 = self.qcow2(raw)
        self.node.deploy(None, deploy_steps=[write_osimage(f"{self.nginx()}/{os.path.basename(qcow2)}", rig.digest(qcow2))])
        self.boot()
        self.assert_deployed()
        self.assert_disk_is(self.device, raw)
        self.assertEqual(self.commands().count("deploy.execute_deploy_step"), 1)

    def test_write_osimage_that_is_another(self):
        self.machine(deploy_interface="custom-agent")
        self.available()
        self.have_old_system()
        raw = self.disk_image(size=IMAGE, seed=22)
        self.node.deploy(None, deploy_steps=[write_osimage(f"{self.nginx()}/disk.raw", "0" * 64)])
        self.boot()
        self.wait("deploy failed")
        for part in (self.agent.failure()["details"], rig.digest(raw), "0" * 64, "[checksum.mismatch]"):
            self.assertIn(part, self.node.last_error)
        self.assert_not_bootable(self.device)


class FastTrack(Machine):
    """A process that does one thing after the other."""

    def test_clean_and_deploy_and_again(self):
        """Ironic has the machine switched off at the end of a deployment, so that there are two agents, each of which cleans
        and then deploys; of the second, the deployment writes twice."""
        self.machine(clean=True, driver_info={"fast_track": True})
        self.have_old_system()
        url = self.nginx()
        first, second = (self.disk_image(f"{number}.raw", size=IMAGE, seed=number) for number in (31, 32))
        qcow2 = self.qcow2(second)
        self.node.ask("provide")
        for number, image in enumerate((first, second), 1):
            self.node.wait("clean wait")
            self.boot()
            self.assert_cleaned()
            self.assertIsNone(self.agent.process.poll())
            again = [write_osimage(f"{url}/{os.path.basename(qcow2)}", rig.digest(qcow2), 70)] if number == 2 else None
            self.deploy(first, url, fast_track=True, deploy_steps=again)
            self.assert_deployed()
            self.assert_written(image)
            self.assertEqual(self.agent.log().count("this is node "), 1)
            if number == 1:
                self.node.ask("deleted")
        self.assertEqual(self.commands().count("clean.execute_clean_step"), 2)
        self.assertEqual(self.commands().count("deploy.execute_deploy_step"), 3)

    def command(self, name, wait, **params):
        status, _, body = self.agent.request("POST", f"/v1/commands/?wait={wait}&agent_token={self.fake.token}",
                                             {"name": name, "params": params})
        self.assertEqual(status, 200, body)
        give_up = time.monotonic() + 60
        while body["command_status"] == "RUNNING":
            self.assertLess(time.monotonic(), give_up, self.agent.log())
            time.sleep(0.05)
            body = self.agent.request("GET", "/v1/commands/")[2]["commands"][-1]
        return body

    def write(self, image, device, checksum=None):
        """One deployment to that disk, and what get_partition_uuids says then."""
        node = {**self.fake.node, "properties": {"root_device": {"name": device}}}
        info = {"id": "image", "urls": [f"{self.images}/{os.path.basename(image)}"], "disk_format": "raw",
                "os_hash_algo": "sha256", "os_hash_value": checksum or rig.digest(image)}
        done = self.command("deploy.execute_deploy_step", "false", node=node, ports=[], deploy_version=None,
                            step={"interface": "deploy", "step": "write_image", "args": {"image_info": info}})
        uuids = self.command("standby.get_partition_uuids", "true")
        return done["command_status"], uuids["command_result"]

    def test_nothing_is_left_of_what_was_done_before(self):
        self.fake = agent_rig.FakeIronic(self)
        self.images = self.nginx()
        self.device, other, self.mac = self.loop(40 * MIB), self.loop(40 * MIB), ironic_rig.new_mac()
        gpt = self.disk_image("gpt.raw", size=IMAGE, seed=41)
        dos = self.disk_image("dos.raw", size=IMAGE, seed=42)
        subprocess.run(["sfdisk", "--quiet", dos], check=True, text=True, capture_output=True,
                       input="label: dos\nlabel-id: 0x1234abcd\nstart=2048, size=8192, type=83\n")
        self.boot(url=self.fake.url, disks=[self.device, other])
        self.fake.wait_for_heartbeats(1)
        memory = []
        for _ in range(6):
            self.assertEqual(self.write(dos, self.device), ("SUCCEEDED", {"root uuid": "0x1234abcd"}))
            self.assertEqual(self.write(gpt, other), ("SUCCEEDED", {"root uuid": "0x00000000"}))
            # The node of the moment says which disk, and the other one stays.
            self.assertEqual(self.write(gpt, self.device, "0" * 64), ("FAILED", {}))
            self.assert_not_bootable(self.device)
            self.assert_disk_is(other, gpt)
            memory.append(self.agent.resident())
        self.assertLess(memory[-1] - memory[1], 8 * MIB, memory)


if __name__ == "__main__":
    unittest.main()
