"""What becomes of an image's partition table: right on the disk, or refused before the disk is touched. Needs root.

A test for each row of the table in docs/errors.md; sgdisk and sfdisk judge."""
import json
import os
import re
import struct
import subprocess
import unittest
import zlib

import rig
from rig import MIB, sh


def complaints(device, gpt=True):
    """What sgdisk and sfdisk find wrong, or would put right."""
    found = []
    if gpt:
        verdict = subprocess.run(["sgdisk", "-v", device], capture_output=True, text=True).stdout
        if "No problems found" not in verdict:
            found.append(verdict)
    done = subprocess.run(["sfdisk", "--verify", device], capture_output=True, text=True)
    verdict = done.stdout + done.stderr
    if "No errors detected" not in verdict or re.search("corrected|mismatch|not on the end", verdict):
        found.append(verdict)
    return "".join(found)


def bare(image, size):
    """A file of `size` bytes without a table."""
    with open(image, "wb") as file:
        file.truncate(size)


def put(image, offset, data):
    with open(image, "r+b") as file:
        file.seek(offset)
        file.write(data)


class Table(rig.Case):
    def gpt(self, name="d.raw", made_for=64 * MIB, cut=64 * MIB, ends=(10239, 0)):
        """A raw image with two partitions and a word in each, made for one size and cut to another."""
        image = self.path(name)
        bare(image, made_for)
        sh("sgdisk", "-og", f"-n1:2048:{ends[0]}", f"-n2:{ends[0] + 1}:{ends[1]}", "-c2:root", image)
        os.truncate(image, cut)
        put(image, MIB, b"first")
        put(image, (ends[0] + 1) * 512, b"second")
        return image

    def damaged(self, name, kind):
        """Damage to the primary copy: what boot loaders of small boards do, or a lost sector."""
        image = self.gpt(name)
        put(image, *{"loader": (1024, b"eGON.BT0"), "header": (512, bytes(512))}[kind])
        return image

    def run_on(self, image, device, *args, code=0):
        done = self.write(f"file://{image}", device, "--insecure-no-checksum", *args)
        self.assertEqual(done.code, code, done)
        return done

    def notes(self, done):
        return [e["text"] for e in done.events if e["event"] == "note"]

    def refused(self, image, code, size=96 * MIB, sector=512, says="", args=(), touched=False):
        """Refused in the same words by a rehearsal and the write, the disk as it was."""
        disk = self.loop(size, sector, fill=7 if size < 256 * MIB else None)
        with open(disk, "rb") as file:
            before = file.read()
        exit_code = 5 if code.startswith("image") else 6
        for more in ((), ("--dry-run",)):
            if touched and not more:
                continue
            done = self.run_on(image, disk, *args, *more, code=exit_code)
            self.assertEqual(done.error_code, code, done)
            self.assertEqual(done.result["disk_state"], "untouched")
            self.assertIn(says, done.result["error"]["message"])
            with open(disk, "rb") as file:
                self.assertEqual(file.read() == before, True, "the disk was touched")
        if touched:
            done = self.run_on(image, disk, *args, code=exit_code)
            self.assertEqual((done.error_code, done.result["disk_state"]), (code, "unbootable"), done)
            self.assert_not_bootable(disk)

    def made_right(self, image, note, size=96 * MIB, args=(), partitions=2):
        """Written, with a note that the rehearsal and image-info have as well; the tools find nothing wrong."""
        disk = self.loop(size, fill=7)
        rehearsed = self.notes(self.run_on(image, disk, *args, "--dry-run"))
        self.assertTrue(any(note in text for text in rehearsed), rehearsed)
        done = self.run_on(image, disk, *args)
        self.assertEqual(self.notes(done), rehearsed)
        self.assertEqual(complaints(disk), "")
        table = json.loads(sh("sfdisk", "--json", disk))["partitiontable"]
        self.assertEqual(len(table["partitions"]), partitions)
        self.assertEqual(table["partitions"][1].get("name"), "root")
        with open(disk, "rb") as file:
            for partition, word in zip(table["partitions"], (b"first", b"second")):
                file.seek(partition["start"] * 512)
                self.assertEqual(file.read(len(word)), word)
        verified = self.ingot("verify", "--image-url", f"file://{image}", "--device", disk, "--insecure-no-checksum")
        self.assertEqual(verified.code, 0, verified)
        return disk

    def info(self, image):
        done = self.ingot("image-info", image, "-o", "json")
        self.assertEqual(done.code, 0, done)
        return json.loads(done.out)

    # Made right.

    def test_a_gpt_for_a_larger_disk(self):
        image = self.gpt(made_for=15931539456, ends=(10239, 100000))
        for size in (64 * MIB, 96 * MIB):
            self.made_right(image, "made for a larger disk, of 31116288 sectors", size)
        self.assertIn("larger disk", self.info(image)["table_notes"][0])
        user = self.path("user-data")
        with open(user, "w") as file:
            file.write("#cloud-config\n")
        self.made_right(image, "larger disk", 200 * MIB, ("--user-data", user), partitions=3)

    def test_a_damaged_primary(self):
        user = self.path("user-data")
        with open(user, "w") as file:
            file.write("#cloud-config\n")
        for kind in ("loader", "header"):
            image = self.damaged(f"{kind}.raw", kind)
            for size in (64 * MIB, 96 * MIB):
                self.made_right(image, "rebuilt from its backup", size)
            self.made_right(image, "rebuilt from its backup", 200 * MIB, ("--user-data", user), partitions=3)
            info = self.info(image)
            self.assertIn("rebuilt from its backup", info["table_notes"][0])
            self.assertIsNone(info["refusal"])
            self.assertEqual((info["partition_table"], info["gpt_sector_size"]), ("gpt", 512), kind)

    def test_a_damaged_primary_in_other_wrappings(self):
        image = self.damaged("loader.raw", "loader")
        sh("gzip", "-k", image)
        for wrapped in (image + ".gz", self.qcow2(image), self.qcow2(image, "-c", name="c.qcow2")):
            self.made_right(wrapped, "rebuilt from its backup")

    def test_copies_that_differ(self):
        image, other = self.gpt(), self.gpt("other.raw", ends=(20479, 0))
        with open(other, "rb") as file:
            file.seek(-33 * 512, os.SEEK_END)
            put(image, 64 * MIB - 33 * 512, file.read())
        for size in (64 * MIB, 96 * MIB):
            self.made_right(image, "does not say the same", size)
        put(image, 64 * MIB - 33 * 512, bytes(33 * 512))
        self.made_right(image, "damaged or missing", 64 * MIB)

    # Refused.

    def test_a_partition_behind_the_disk(self):
        image = self.gpt(made_for=1024 * MIB)
        says = "partition 2 'root' of the image's GPT ends at sector 2097118"
        self.refused(image, "device.too-small", says=says)
        self.refused(self.qcow2(image), "device.too-small", says="it takes a disk of 1073741824 bytes")
        sh("gzip", "-k", image)
        self.refused(image + ".gz", "device.too-small", says=says)
        self.assertIn("it takes a disk of 1073741824 bytes", self.info(image)["table_notes"][0])

    def test_no_good_copy(self):
        for kind in ("loader", "header"):
            image = self.damaged(f"{kind}.raw", kind)
            put(image, 64 * MIB - 512 + 60, b"!!")
            self.refused(image, "image.corrupt", says="its backup is damaged or missing")
            self.assertIn("its backup is damaged", self.info(image)["refusal"])
            # A server that answers ranges is asked for the image's end first.
            disk = self.loop(96 * MIB, fill=7)
            before = rig.digest(disk)
            done = self.write(f"{self.nginx()}/{kind}.raw", disk, "--insecure-no-checksum")
            self.assertEqual((done.error_code, done.result["disk_state"]), ("image.corrupt", "untouched"), done)
            self.assertEqual(rig.digest(disk), before)
            # Here the image's end comes last.
            sh("gzip", "-k", image)
            self.refused(image + ".gz", "image.corrupt", says="its backup is damaged or missing", touched=True)

    def test_overlapping_partitions(self):
        image = self.path("overlap.raw")
        bare(image, 64 * MIB)
        # What sgdisk refuses to make: the second entry's first sector is moved, and the checksums follow.
        sh("sgdisk", "-og", "-n1:2048:10239", "-n2:10240:0", image)
        move_partition(image, 2, 4096)
        self.refused(image, "image.corrupt", says="partition 1 and partition 2 overlap")

    def test_an_mbr(self):
        image = self.path("mbr.raw")
        bare(image, 64 * MIB)
        sh("sfdisk", "-q", image, input="label: dos\nstart=2048,size=20480\nstart=22528,size=100000\n")
        for size in (96 * MIB, 600 * MIB):
            self.refused(image, "device.sector-size", size, 4096, "the image's MBR was made for sectors of 512 bytes")
        disk = self.loop(96 * MIB)
        self.run_on(image, disk)
        self.assertEqual(complaints(disk, gpt=False), "")
        bare(image, 1024 * MIB)
        sh("sfdisk", "-q", image, input="label: dos\nstart=2048,size=20480\nstart=22528,size=1000000\n")
        os.truncate(image, 64 * MIB)
        self.refused(image, "device.too-small", says="partition 2 of the image's MBR ends at byte 523534336")

    def test_a_gpt_for_other_sectors(self):
        image = self.gpt()
        for wrapped in (image, self.qcow2(image)):
            self.refused(wrapped, "device.sector-size", sector=4096, says="made for sectors of 512 bytes")
        large = self.loop(64 * MIB, 4096)
        sh("sgdisk", "-o", "-n1:1M:+8M", large)
        image = self.path("4096.raw")
        sh("dd", f"if={large}", f"of={image}", "bs=1M", "status=none")
        self.refused(image, "device.sector-size", says="made for sectors of 4096 bytes")
        # Its backup tells as well.
        put(image, 4096, bytes(4096))
        self.refused(image, "device.sector-size", says="made for sectors of 4096 bytes")

    def test_no_room_for_a_config_drive(self):
        user = self.path("user-data")
        with open(user, "w") as file:
            file.write("#cloud-config\n")
        image = self.path("mbr.raw")
        bare(image, 64 * MIB)
        sh("sfdisk", "-q", image, input="label: dos\nsize=4M\nsize=4M\nsize=4M\nsize=4M\n")
        self.refused(image, "device.no-room", says="four primary partitions", args=("--user-data", user))
        full = self.gpt()
        self.refused(full, "device.no-room", 64 * MIB, args=("--user-data", user))
        # One of the four may be labelled config-2, which of a qcow2 is known when that has come.
        self.refused(self.qcow2(image), "device.no-room", says="four primary", args=("--user-data", user), touched=True)
        put(image, 5 * MIB + 0x8000, b"\1CD001\1" + bytes(33) + b"config-2".ljust(32))
        put(image, 5 * MIB + 0x8800, b"\xffCD001\1")
        disk = self.loop(96 * MIB)
        self.assertEqual(self.run_on(image, disk, "--user-data", user).result["config_drive"]["partition"], 2)


def move_partition(image, number, first):
    """Moves a partition's begin in both copies of a GPT, checksums included."""
    with open(image, "r+b") as file:
        size = file.seek(0, os.SEEK_END)
        for header_at, entries_at in ((512, 1024), (size - 512, size - 33 * 512)):
            file.seek(entries_at)
            entries = bytearray(file.read(128 * 128))
            struct.pack_into("<Q", entries, (number - 1) * 128 + 32, first)
            file.seek(entries_at)
            file.write(entries)
            file.seek(header_at)
            header = bytearray(file.read(512))
            struct.pack_into("<I", header, 88, zlib.crc32(entries))
            struct.pack_into("<I", header, 16, 0)
            struct.pack_into("<I", header, 16, zlib.crc32(header[:92]))
            file.seek(header_at)
            file.write(header)


if __name__ == "__main__":
    unittest.main()
