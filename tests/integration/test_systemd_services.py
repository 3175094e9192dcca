#!/usr/bin/env python3
"""ingot's units under a real systemd, with everything that they lock down: what they are there for still works.

systemd is process 1 of its own namespaces (systemd_rig.py); Ironic is a small server of agent_rig.py. Disks are loop devices.
"""
import http.client
import json
import os
import re
import unittest

import agent_rig
import ironic_rig
import rig
from controller_rig import machine, os_image
from rig import MIB, digest, sh
from systemd_rig import Systemd

AGENT, PROVISION, CONTROLLER = "ingot-agent.service", "ingot-provision.service", "ingot-controller.service"


class Services(rig.Case):
    def vmdk(self):
        """An image that qemu-img, as nobody and without a network, has to read."""
        raw = self.disk_image(seed=4)
        made = self.path("image.vmdk")
        sh("qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized", raw, made)
        return made

    def agent(self, settings=""):
        self.fake = agent_rig.FakeIronic(self, config={"permitted_image_formats": ["raw", "qcow2", "vmdk"]})
        self.device = self.loop(5 << 30)  # what is smaller than 4 GiB, an agent does not take without a hint
        self.port = ironic_rig.free_port()
        options = (f"--api-url {self.fake.url} --listen 127.0.0.1:{self.port} --advertise-host 127.0.0.1 --advertise-protocol http "
                   f"--mac {ironic_rig.new_mac()} --only-device {self.device} --power exit --cmdline /run/cmdline")
        return Systemd(self, f"ipa-api-url={self.fake.url}", {AGENT: options}, {AGENT: settings})

    def command(self, name, params, wait=False):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("POST", f"/v1/commands/?wait={str(wait).lower()}&agent_token={self.fake.token}",
                           json.dumps({"name": name, "params": params}))
        try:
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def test_the_agent_writes_a_disk(self):
        systemd = self.agent()
        systemd.start(AGENT)
        systemd.wait(AGENT, lambda shown: shown["StatusText"] == "Waiting for commands")
        self.fake.wait_for_heartbeats(1)
        image = self.vmdk()
        url = self.nginx(directives="limit_rate 2m;")
        info = {"id": "image", "urls": [f"{url}/{os.path.basename(image)}"], "disk_format": "vmdk", "os_hash_algo": "sha256",
                "os_hash_value": digest(image), "image_type": "whole-disk", "node_uuid": self.fake.node["uuid"]}
        status, answer = self.command("standby.prepare_image", {"image_info": info})
        self.assertEqual(status, 200, answer)
        systemd.wait(AGENT, lambda shown: re.match(rf"Writing {self.device}: \d+ %", shown["StatusText"]))
        systemd.wait(AGENT, lambda shown: shown["StatusText"] == "Waiting for commands")
        entries = systemd.entries(AGENT)
        self.assertIn(f"written to device {self.device}", "\n".join(entry["MESSAGE"] for entry in entries))
        written = [entry for entry in entries if entry.get("INGOT_PHASE") == "commit"]
        self.assertTrue(written and written[0]["INGOT_DEPLOY_ID"], entries)
        self.assertIn("gpt", sh("blkid", "-p", self.device))
        # Logs are collected, with what the kernel says.
        status, answer = self.command("log.collect_system_logs", {}, wait=True)
        self.assertEqual((status, answer["command_status"]), (200, "SUCCEEDED"))
        self.assertEqual(systemd.ctl("stop", AGENT).returncode, 0)
        shown = systemd.show(AGENT)
        self.assertEqual((shown["ActiveState"], shown["Result"]), ("inactive", "success"), "exit code 130 is no failure")

    def test_an_agent_that_hangs_is_restarted_and_known_again(self):
        systemd = self.agent("WatchdogSec=3s\nRestartSec=1s\n")
        systemd.start(AGENT)
        pid = systemd.wait(AGENT, lambda shown: shown["StatusText"] == "Waiting for commands")["MainPID"]
        self.fake.wait_for_heartbeats(1)
        sh(*systemd.inside("kill", "-STOP", pid))
        systemd.wait(AGENT, lambda shown: shown["NRestarts"] == "1" and shown["StatusText"] == "Waiting for commands")
        self.fake.wait_for_heartbeats(2)
        self.assertEqual(self.fake.refused, [], "its token survived")

    def test_provision_installs(self):
        image = self.vmdk()
        url = self.nginx()
        device = self.loop(96 * MIB)
        line = f"ingot.image-url={url}/{os.path.basename(image)} ingot.image-checksum={digest(image)} ipa-api-url=http://192.0.2.1"
        systemd = Systemd(self, line, {PROVISION: f"--cmdline /run/cmdline --device {device} --yes --power exit --on-success none"})
        systemd.start(PROVISION)
        shown = systemd.show(PROVISION)
        self.assertEqual((shown["ActiveState"], shown["SubState"], shown["StatusText"]), ("active", "exited", f"Done with {device}"))
        self.assertIn("gpt", sh("blkid", "-p", device))
        # Two orders: the agent leaves the disks to this one.
        systemd.start(AGENT)
        self.assertEqual(systemd.show(AGENT)["ConditionResult"], "no")

    def test_without_an_order_nothing_starts(self):
        systemd = Systemd(self, "quiet ingot.allow-power=1")
        for unit in (AGENT, PROVISION):
            systemd.start(unit)
            self.assertEqual(systemd.show(unit)["ConditionResult"], "no", unit)

    def test_the_controller_serves(self):
        port = ironic_rig.free_port()
        credentials = "/run/credentials/ingot-controller.service/ingot-controller."
        options = (f"INGOT_CONTROLLER_OPTIONS=--catalog /run/site --machines /run/site --listen 127.0.0.1:{port} "
                   f"--machine-tokens {credentials}machine-tokens --page-token-file {credentials}page-token\n")
        token = "0123456789abcdef-page"
        systemd = Systemd(self, run={"site/noble.yaml": os_image(),
                                     "site/node-1.yaml": machine("node-1", mac_addresses="52:54:00:00:00:01"),
                                     "credstore/ingot-controller.machine-tokens": "node-1 0123456789abcdef-1\n",
                                     "credstore/ingot-controller.page-token": token + "\n"},
                          etc={"default/ingot-controller": options})
        systemd.start(CONTROLLER)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", "/v1/machines/node-1", headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        self.assertEqual((answer.status, json.loads(answer.read())["name"]), (200, "node-1"))
        connection.close()
        shown = systemd.wait(CONTROLLER, lambda shown: shown["StatusText"] == "Serving 1 machine, 0 being installed")
        with open(f"/proc/{systemd.init}/root/proc/{shown['MainPID']}/status") as file:
            status = file.read()
        self.assertNotIn("Uid:\t0\t", status)
        self.assertIn("CapBnd:\t0000000000000000", status)
        state = f"/proc/{systemd.init}/root/var/lib/private/ingot-controller"
        self.assertIn("controller.db", os.listdir(state))
        self.assertEqual(systemd.ctl("stop", CONTROLLER).returncode, 0)
        self.assertEqual(systemd.show(CONTROLLER)["Result"], "success")


if __name__ == "__main__":
    unittest.main()
