#!/usr/bin/python3
"""`ingot agent` under an unmodified Ironic: cleaning and deploying fake machines whose only disks are loop devices.

Needs root and Debian's Ironic. The tests run at once: each spends most of its time waiting for heartbeats."""
import hashlib
import io
import json
import os
import tarfile
import time
import unittest

import ironic_rig
import machine_rig
import rig
import together
from machine_rig import partitions, signatures
from rig import MIB, sh

load_tests = together.load_tests
IMAGE = 48 * MIB
CONFIG_DRIVE = {"meta_data": {"public_keys": {"0": "ssh-ed25519 AAAA test"}, "hostname": "metal"},
                "user_data": "#cloud-config\nhostname: made-by-ironic\n", "network_data": {}}
# One that takes http from agents and soon gives up a silent one, and one as it is by default.
plain, strict = None, None


def setUpModule():
    global plain, strict
    plain = ironic_rig.Ironic(heartbeat_timeout=10, callback_timeout=30)
    plain.start()
    unittest.addModuleCleanup(plain.stop)
    strict = ironic_rig.Ironic(heartbeat_timeout=10, require_tls=True)
    strict.start()
    unittest.addModuleCleanup(strict.stop)


class Machine(machine_rig.Machine):
    def machine(self, ironic=None, **options):
        super().machine(ironic or plain, **options)


class Deploy(Machine):
    def test_raw_with_a_config_drive(self):
        self.machine()
        self.available()
        raw = self.disk_image(size=IMAGE)
        self.have_old_system()
        self.deploy(raw, configdrive=CONFIG_DRIVE)
        self.boot()
        self.assert_deployed()
        self.assertEqual(len(partitions(self.device)), 3)
        with open(self.device, "rb") as disk, open(raw, "rb") as image:
            disk.seek(MIB), image.seek(MIB)
            self.assertEqual(hashlib.sha256(disk.read(IMAGE - 2 * MIB)).digest(), hashlib.sha256(image.read(IMAGE - 2 * MIB)).digest())
        self.assertIn("No problems found", sh("sgdisk", "-v", self.device))
        meta_data = json.loads(self.config_drive_of(self.device))
        self.assertEqual((meta_data["hostname"], meta_data["uuid"]), ("metal", self.node.uuid))
        self.assertEqual(self.config_drive_of(self.device, "/openstack/latest/user_data"), CONFIG_DRIVE["user_data"])
        self.assertNotIn("made-by-ironic", self.agent.log())
        # On a machine without UEFI there is no boot loader to install.
        self.assertNotIn("image.install_bootloader", self.commands())

    def test_qcow2(self):
        self.machine()
        self.available()
        raw = self.disk_image(size=IMAGE, seed=2)
        self.deploy(self.qcow2(raw, "-c"), image_format="qcow2")
        self.boot()
        self.assert_deployed()
        self.assert_disk_is(self.device, raw)

    def test_uefi(self):
        self.machine(boot_mode="uefi")
        self.available()
        raw = self.disk_image(size=IMAGE, seed=3)
        self.deploy(raw)
        self.boot()
        self.assert_deployed()
        self.assert_disk_is(self.device, raw)
        self.assertIn("image.install_bootloader", self.commands())

    def test_checksum_by_url(self):
        self.machine()
        self.available()
        raw = self.disk_image(size=IMAGE, seed=4)
        with open(self.path("SHA256SUMS"), "w") as file:
            file.write(f"{'0' * 64}  other.raw\n{rig.digest(raw)} *{os.path.basename(raw)}\n")
        url = self.nginx()
        self.deploy(raw, url, image_checksum=f"{url}/SHA256SUMS")
        self.boot()
        self.assert_deployed()
        self.assert_disk_is(self.device, raw)

    def test_over_tls(self):
        self.machine(strict)
        self.available()
        raw = self.disk_image(size=IMAGE, seed=5)
        self.deploy(raw, configdrive=CONFIG_DRIVE)
        self.boot(protocol="https")
        self.wait("deploying", "wait call-back")
        give_up = time.monotonic() + 30
        while not (info := self.node.record["driver_internal_info"]).get("agent_url"):
            self.assertLess(time.monotonic(), give_up, self.agent.log())
            time.sleep(0.2)
        self.assertEqual(info["agent_url"], self.agent.url)
        # The conductor has put away the certificate of the heartbeats, and trusts that alone.
        text = sh("openssl", "x509", "-in", info["agent_verify_ca"], "-noout", "-ext", "subjectAltName", "-subject")
        self.assertIn("IP Address:127.0.0.1", text)
        self.assert_deployed()
        self.assertEqual(json.loads(self.config_drive_of(self.device))["uuid"], self.node.uuid)

    def test_over_http_where_tls_is_required(self):
        self.machine(strict)
        self.available()
        raw = self.disk_image(size=IMAGE, seed=6)
        self.deploy(raw)
        self.boot(protocol="http")
        give_up = time.monotonic() + 30
        while "400" not in self.agent.log():
            self.assertLess(time.monotonic(), give_up, self.agent.log())
            time.sleep(0.2)
        self.assertIsNone(self.agent.process.poll(), self.agent.log())
        self.assertEqual(self.node.state, "wait call-back")
        self.assertEqual(self.head(self.device).strip(b"\0"), b"")


class Failures(Machine):
    def test_wrong_checksum(self):
        self.machine()
        self.available()
        self.have_old_system()
        raw = self.disk_image(size=IMAGE, seed=7)
        wrong = hashlib.sha256(b"another image").hexdigest()
        self.deploy(raw, image_os_hash_algo="sha256", image_os_hash_value=wrong, configdrive=CONFIG_DRIVE)
        self.boot()
        self.wait("deploy failed")
        error = self.node.last_error
        for part in ("checksum", wrong, rig.digest(raw), "[checksum.mismatch]"):
            self.assertIn(part, error)
        self.assert_not_bootable(self.device)
        # It still serves, and the conductor has fetched its logs.
        self.assertIsNone(self.agent.process.poll(), self.agent.log())
        self.assertIn("log.collect_system_logs", self.commands())
        give_up = time.monotonic() + 60
        while not self.node.deploy_logs():
            self.assertLess(time.monotonic(), give_up, self.ironic.log())
            time.sleep(0.2)
        [archive] = self.node.deploy_logs()
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
            contents = b"".join(tar.extractfile(member).read() for member in tar if member.isfile())
        self.assertIn(b"checksum.mismatch", contents)
        self.assertNotIn(CONFIG_DRIVE["user_data"].encode(), contents)
        self.assertNotEqual(self.agent.stop(), 0)

    def test_image_that_is_not_there(self):
        self.machine()
        self.available()
        raw = self.disk_image(size=IMAGE, seed=8)
        self.have_old_system()
        before = self.head(self.device)
        # Ironic asks for the head of it before; what is there then is gone when the agent asks.
        self.deploy(raw)
        os.unlink(raw)
        self.boot()
        self.wait("deploy failed")
        self.assertIn("404", self.node.last_error)
        self.assertIn("disk.raw", self.node.last_error)
        self.assertEqual(self.head(self.device), before)

    def killed_while_writing(self):
        """An agent that is gone in the middle of an image."""
        self.machine()
        self.available()
        raw = self.disk_image(size=IMAGE, seed=9, data=1)
        self.have_old_system()
        self.deploy(raw, self.nginx(directives="limit_rate 4m;"))
        self.boot()
        give_up = time.monotonic() + 60
        with open(raw, "rb") as image, open(self.device, "rb") as disk:
            image.seek(8 * MIB)
            want = image.read(MIB)
            while True:
                disk.seek(8 * MIB)
                # What this process has read stays in the page cache otherwise, and the agent may write past it.
                os.posix_fadvise(disk.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                if disk.read(MIB) == want:
                    break
                self.assertLess(time.monotonic(), give_up, self.agent.log())
                time.sleep(0.1)
        self.agent.kill()
        self.assertEqual(self.node.state, "wait call-back")
        self.assert_not_bootable(self.device)

    def test_agent_killed_while_it_writes(self):
        self.killed_while_writing()
        self.wait("deploy failed")
        # Ironic finds out by the time-out, or when it answers the last heartbeat.
        self.assertRegex(self.node.last_error, "Timeout|Failed to connect to the agent")
        self.assert_not_bootable(self.device)

    def test_agent_restarted_while_it_writes(self):
        # Ironic takes an agent with no command behind it for one that it has just booted, and goes on to the next step: a
        # half-written disk would go into use.
        self.killed_while_writing()
        self.boot(port=self.agent.port, run_dir=self.agent.run_dir)
        self.wait("deploy failed")
        self.assert_not_bootable(self.device)
        self.assertNotIn("standby.power_off", self.commands())


class Clean(Machine):
    def test_automated(self):
        self.machine(clean=True)
        self.have_old_system()
        self.node.ask("provide")
        self.node.wait("clean wait")
        self.boot()
        self.wait("available")
        self.assertEqual(signatures(self.device), "")
        self.assertEqual(self.commands(), ["clean.get_clean_steps", "clean.execute_clean_step"])

    def test_manual(self):
        self.machine()
        self.have_old_system()
        self.node.clean("erase_devices_metadata", "erase_devices")
        self.boot()
        self.wait("manageable")
        with open(self.device, "rb") as disk:
            self.assertEqual(disk.read().strip(b"\0"), b"")
        self.assertEqual(self.commands().count("clean.execute_clean_step"), 2)

    def test_manual_step_that_the_agent_does_not_have(self):
        self.machine()
        self.have_old_system()
        before = self.head(self.device)
        self.node.clean("shred_the_machine")
        self.boot()
        self.wait("clean failed")
        self.assertIn("shred_the_machine", self.node.last_error)
        self.assertEqual(self.head(self.device), before)


if __name__ == "__main__":
    unittest.main()
