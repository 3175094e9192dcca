#!/usr/bin/env python3
"""`ingot devices` as its users meet it: this machine's disks and loop devices, hints, exit codes. lsblk is the judge."""
import json
import os
import subprocess
import unittest

import rig
from rig import MIB


class Devices(rig.Case):
    def disks(self, *args):
        outcome = self.ingot("devices", "-o", "json", *args)
        self.assertEqual(outcome.code, 0, outcome)
        self.assertEqual(outcome.err, "")
        return json.loads(outcome.out)["disks"]

    def lsblk(self, *args):
        columns = "KNAME,MODEL,SIZE,ROTA,TYPE,LOG-SEC,PHY-SEC,RM,RO,MAJ:MIN"
        return json.loads(rig.sh("lsblk", "-bia", "--json", "-o", columns, *args))["blockdevices"]

    def as_lsblk(self, disk):
        return {"kname": disk["kname"], "model": disk["model"], "size": disk["size"], "rota": disk["rotational"],
                "type": disk["type"], "log-sec": disk["logical_sector_size"], "phy-sec": disk["physical_sector_size"],
                "rm": disk["removable"], "ro": disk["read_only"], "maj:min": disk["device_number"]}

    def test_every_disk_of_the_machine(self):
        expected = [line for line in self.lsblk() if line["type"] == "disk" and line["size"] and
                    not line["kname"].startswith(("ram", "zram", "fd", "nbd"))]
        self.assertEqual([self.as_lsblk(disk) for disk in self.disks()], expected)
        text = self.ingot("devices")
        self.assertEqual(text.code, 0, text)
        lines = text.out.splitlines()
        self.assertEqual([line.split()[0] for line in lines[1:]], [f"/dev/{line['kname']}" for line in expected])

    def test_loop_devices_when_they_are_named(self):
        for sector in (512, 4096):
            device = self.loop(64 * MIB, sector)
            self.assertNotIn(device, [disk["name"] for disk in self.disks()])
            subprocess.run(["sfdisk", "--quiet", device], input="label: gpt\nlabel-id: 1C6D0B3A-0000-4000-8000-000000000001\n",
                           text=True, check=True, capture_output=True)
            disk, = self.disks(device)
            self.assertEqual(self.as_lsblk(disk), self.lsblk(device)[0])
            self.assertEqual((disk["table"], disk["table_id"].upper()), ("gpt", "1C6D0B3A-0000-4000-8000-000000000001"))
            self.assertEqual((disk["users"], disk["running_system"]), ([], False))

    def test_users(self):
        device = self.loop(64 * MIB)
        rig.sh("mkfs.ext4", "-q", device)
        os.mkdir(self.path("mnt"))
        rig.sh("mount", device, self.path("mnt"))
        self.addCleanup(rig.sh, "umount", self.path("mnt"))
        disk, = self.disks(device)
        self.assertEqual(disk["table"], "ext4")
        self.assertIn(f"mounted on {self.path('mnt')}", disk["users"][0])
        self.assertIn(self.path("mnt"), self.ingot("devices", device).out)

    def test_hints(self):
        small, large = self.loop(8 * MIB), self.loop(5 << 30)
        outcome = self.ingot("devices", "--root-device-hints", '{"size": ">= 5"}', small, large, "-o", "json")
        self.assertEqual(outcome.code, 0, outcome)
        answer = json.loads(outcome.out)
        self.assertEqual(answer["chosen"], large)
        reasons = {disk["name"]: disk["excluded_by"] for disk in answer["disks"]}
        self.assertIsNone(reasons[large])
        self.assertIn("size", reasons[small])

        text = self.ingot("devices", "--root-device-hints", "{}", small, large)
        self.assertEqual(text.code, 0, text)
        self.assertIn(f"choose {large}.", text.out)
        self.assertIn(f"not {small}: size is", text.out)

        none = self.ingot("devices", "--root-device-hints", '{"name": "s== /dev/sdx"}', small, large, "-o", "json")
        self.assertEqual(none.code, 6, none)
        self.assertIn("[device.no-match]", none.err)
        self.assertIsNone(json.loads(none.out)["chosen"])
        for device in (small, large):
            line = next(line for line in none.err.splitlines() if line.startswith(f"ingot:   {device}: "))
            self.assertIn(f"name is '{device}', not s== /dev/sdx (", line)
            hint = line.split("to choose it: ")[1]
            again = self.ingot("devices", "--root-device-hints", hint, small, large, "-o", "json")
            self.assertEqual(json.loads(again.out)["chosen"], device, hint)

    def test_what_is_refused(self):
        file = self.path("file")
        with open(file, "w") as out:
            out.write("no disk")
        free = self.loop(MIB)
        rig.detach(free)
        for args, code, word in ((["/dev/nothing"], 6, "device.missing"), ([file], 6, "not a block device"),
                                 ([free], 6, "no size"), (["-o", "xml"], 2, "xml"),
                                 (["--root-device-hints", "size"], 2, "usage.hints"),
                                 (["--root-device-hints", '{"colour": "red"}'], 2, "colour")):
            with self.subTest(args=args):
                outcome = self.ingot("devices", *args)
                self.assertEqual(outcome.code, code, outcome)
                self.assertIn(word, outcome.err)
                self.assertEqual(outcome.out, "")

    def test_without_root(self):
        # A copy: the tree may lie where nobody cannot go.
        binary = self.path("ingot")
        rig.sh("cp", rig.INGOT, binary)
        os.chmod(self.dir, 0o755)
        device = self.loop(8 * MIB)
        done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", binary, "devices", "-o", "json",
                               device], capture_output=True, text=True, timeout=60, cwd="/")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        disk, = json.loads(done.stdout)["disks"]
        self.assertEqual((disk["size"], disk["table"]), (8 * MIB, None))


if __name__ == "__main__":
    unittest.main()
