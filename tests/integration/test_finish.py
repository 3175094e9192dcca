"""What a disk is left like: its partition table fits it, and the config drive is on it. Needs root."""
import base64
import gzip
import json
import os
import re
import subprocess
import unittest

import rig
from rig import MIB, sh

USER_DATA = "#cloud-config\nhostname: made-by-ingot\npassword: s3cret-w0rd\n"


def table_complaints(device):
    """What sgdisk and sfdisk find wrong."""
    found = []
    verdict = subprocess.run(["sgdisk", "-v", device], capture_output=True, text=True).stdout
    if "No problems found" not in verdict:
        found.append(verdict)
    done = subprocess.run(["sfdisk", "--verify", device], capture_output=True, text=True)
    verdict = done.stdout + done.stderr
    if "No errors detected" not in verdict or "corrected" in verdict:
        found.append(verdict)
    return "".join(found)


def partitions(device):
    return json.loads(sh("sfdisk", "--json", device))["partitiontable"]["partitions"]


class Finish(rig.Case):
    def gpt_image(self, sector, size=64 * MIB):
        """A raw image with an ESP and a root file system, for disks with sectors of `sector` bytes."""
        disk = self.loop(size, sector)
        sh("sgdisk", "-o", "-n", "1:1M:+8M", "-t", "1:ef00", "-c", "1:ESP", "-n", "2:16M:+40M", "-c", "2:root", disk)
        root = self.path("root.ext4")
        sh("mkfs.ext4", "-q", "-F", "-L", "cloudimg-rootfs", root, "40M")
        with open(root, "rb") as source, open(disk, "r+b") as target:
            target.seek(16 * MIB)
            target.write(source.read())
        path = self.path(f"image-{sector}.raw")
        sh("dd", f"if={disk}", f"of={path}", "bs=1M", "status=none")
        return path

    def drive(self):
        """A config drive as Ironic's conductor makes it."""
        tree = self.path("tree")
        os.makedirs(os.path.join(tree, "openstack/latest"), exist_ok=True)
        with open(os.path.join(tree, "openstack/latest/meta_data.json"), "w") as file:
            json.dump({"uuid": "b1946ac9-2482-4a5e-8f4a-3b2e1c0d9e8f", "hostname": "metal"}, file)
        with open(os.path.join(tree, "openstack/latest/user_data"), "w") as file:
            file.write(USER_DATA)
        iso = self.path("drive.iso")
        sh("xorriso", "-as", "genisoimage", "-quiet", "-o", iso, "-ldots", "-allow-lowercase", "-allow-multidot", "-l",
           "-publisher", "metal3", "-J", "-r", "-V", "config-2", tree)
        return iso

    def part(self, device, partition, sector):
        """A partition's content as a file."""
        path = self.path("part")
        with open(device, "rb") as disk, open(path, "wb") as out:
            disk.seek(partition["start"] * sector)
            out.write(disk.read(partition["size"] * sector))
        return path

    def user_data_of(self, path):
        """The user data in a config drive, by a reader that is not ours."""
        if "iso9660" in sh("blkid", "-p", "-o", "value", "-s", "TYPE", path):
            out = self.path("user_data")
            if os.path.exists(out):
                os.unlink(out)
            sh("xorriso", "-osirrox", "on", "-indev", path, "-extract", "/openstack/latest/user_data", out)
            with open(out) as file:
                return file.read()
        return sh("mtype", "-i", path, "::openstack/latest/user_data")

    def test_a_larger_disk_gets_its_table(self):
        for sector in (512, 4096):
            image = self.gpt_image(sector)
            disk = self.loop(200 * MIB, sector, fill=1)
            done = self.write(f"file://{self.qcow2(image)}", disk, "--insecure-no-checksum")
            self.assertEqual(done.code, 0, done)
            self.assertEqual(table_complaints(disk), "")
            self.assertEqual(done.result["partition_table"], "gpt")
            guid = json.loads(sh("sfdisk", "--json", disk))["partitiontable"]["id"]
            self.assertEqual(done.result["disk_identifier"], guid.lower())
            self.assertIsNone(done.result["config_drive"])
            with open(disk, "rb") as now, open(image, "rb") as then:
                now.seek(MIB), then.seek(MIB)
                self.assertEqual(now.read(62 * MIB), then.read(62 * MIB))
            root = self.part(disk, partitions(disk)[1], sector)
            sh("e2fsck", "-fn", root)

    def test_config_drives_of_every_origin(self):
        image = self.gpt_image(512)
        iso = self.drive()
        with open(iso, "rb") as file:
            content = file.read()
        packed = self.path("drive.b64")
        text = base64.encodebytes(gzip.compress(content)).decode()
        with open(packed, "w") as file:
            file.write(text)
        url = self.nginx()
        for given in (iso, packed, "".join(text.split()), f"{url}/drive.iso", f"{url}/drive.b64"):
            disk = self.loop(200 * MIB, fill=1)
            done = self.write(f"file://{image}", disk, "--insecure-no-checksum", "--config-drive", given)
            self.assertEqual(done.code, 0, (given[:60], str(done)))
            self.assertEqual(table_complaints(disk), "")
            found = partitions(disk)
            self.assertEqual(len(found), 3)
            self.assertEqual(done.result["config_drive"],
                             {"partition": 3, "offset": found[2]["start"] * 512, "size": found[2]["size"] * 512})
            part = self.part(disk, found[2], 512)
            self.assertEqual(sh("blkid", "-p", "-o", "value", "-s", "LABEL", part).strip(), "config-2")
            self.assertEqual(self.user_data_of(part), USER_DATA)
            self.assertEqual([e["phase"] for e in done.events if e["event"] == "phase"][-3:],
                             ["config-drive", "commit", "done"])
            self.assertNotIn("s3cret", done.out + done.err)

    def test_a_4k_disk_gets_a_fat_config_drive(self):
        image = self.gpt_image(4096)
        disk = self.loop(200 * MIB, 4096, fill=1)
        done = self.write(f"file://{image}", disk, "--insecure-no-checksum", "--config-drive", self.drive())
        self.assertEqual(done.code, 0, done)
        self.assertEqual(table_complaints(disk), "")
        part = self.part(disk, partitions(disk)[2], 4096)
        self.assertEqual(sh("blkid", "-p", "-o", "value", "-s", "TYPE", part).strip(), "vfat")
        self.assertEqual(sh("blkid", "-p", "-o", "value", "-s", "LABEL", part).strip(), "CONFIG-2")
        self.assertEqual(self.user_data_of(part), USER_DATA)
        with open(part, "rb") as file:
            self.assertEqual(int.from_bytes(file.read(13)[11:13], "little"), 4096)

    def test_a_config_drive_of_files(self):
        image = self.gpt_image(512)
        user, meta, network = self.path("user.yaml"), self.path("meta.yaml"), self.path("network.json")
        with open(user, "w") as file:
            file.write(USER_DATA)
        with open(meta, "w") as file:
            file.write("instance-id: i-42\nlocal-hostname: metal-42\n")
        with open(network, "w") as file:
            json.dump({"links": [], "networks": [], "services": []}, file)
        disk = self.loop(200 * MIB)
        done = self.write(f"file://{image}", disk, "--insecure-no-checksum", "--user-data", user, "--meta-data", meta,
                          "--network-data", network)
        self.assertEqual(done.code, 0, done)
        part = self.part(disk, partitions(disk)[2], 512)
        self.assertEqual(self.user_data_of(part), USER_DATA)
        found = json.loads(sh("mtype", "-i", part, "::openstack/latest/meta_data.json"))
        self.assertEqual((found["uuid"], found["hostname"]), ("i-42", "metal-42"))

    def test_bad_config_drives_cost_no_disk(self):
        image = self.gpt_image(512)
        junk = self.path("junk")
        with open(junk, "w") as file:
            file.write("<html>404</html>")
        disk = self.loop(200 * MIB, fill=3)
        with open(disk, "rb") as file:
            before = file.read(MIB)
        for given in (junk, "not//base64!", f"{self.nginx()}/missing"):
            done = self.write(f"file://{image}", disk, "--insecure-no-checksum", "--config-drive", given)
            self.assertIn(done.error_code, ("usage.config-drive", "source.http-status"), done)
            self.assertEqual(done.result["disk_state"], "untouched")
        with open(disk, "rb") as file:
            self.assertEqual(file.read(MIB), before)

    def test_no_room_is_said_before_the_disk_is_touched(self):
        disk = self.loop(64 * MIB)
        sh("sgdisk", "-o", "-n", "1:0:0", disk)
        image = self.path("full.raw")
        sh("dd", f"if={disk}", f"of={image}", "bs=1M", "status=none")
        done = self.write(f"file://{image}", disk, "--insecure-no-checksum", "--config-drive", self.drive())
        self.assertEqual((done.code, done.error_code), (6, "device.no-room"), done)
        self.assertEqual(done.result["disk_state"], "untouched")
        with open(disk, "rb") as file, open(image, "rb") as was:
            self.assertEqual(file.read(), was.read())
        # The rehearsal says the same, and touches nothing.
        other = self.loop(64 * MIB, fill=5)
        with open(other, "rb") as file:
            before = file.read()
        done = self.write(f"file://{image}", other, "--insecure-no-checksum", "--config-drive", self.drive(), "--dry-run")
        self.assertEqual((done.code, done.error_code), (6, "device.no-room"), done)
        with open(other, "rb") as file:
            self.assertEqual(file.read(), before)

    def test_what_people_are_told(self):
        image = self.gpt_image(512)
        disk = self.path("disk")
        done = self.ingot("write", "--image-url", f"file://{image}", "--device", disk, "--size", "200M",
                          "--insecure-no-checksum", "--progress", "none", "--config-drive", self.drive())
        self.assertEqual(done.code, 0, done)
        self.assertRegex(done.err, re.compile(r"gpt table [0-9a-f-]{36}, 3 partitions; backup GPT moved to the disk's "
                                              r"end; config drive in the new partition 3"))


if __name__ == "__main__":
    unittest.main()
