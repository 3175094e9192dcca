#!/usr/bin/python3
"""`ingot verify` and `ingot write --verify-readback`: the real binary, real images, disks with a byte changed."""
import gzip
import os
import shutil
import signal
import struct
import subprocess
import time
import unittest
import zlib

import rig

MIB = rig.MIB


class Verify(rig.Case):
    def setUp(self):
        super().setUp()
        self.raw = self.disk_image(size=24 * MIB)
        self.size = os.path.getsize(self.raw)

    def verify(self, path, device, *args, url=None, **kwargs):
        return self.ingot("verify", "--image-url", url or "file://" + path, "--image-checksum", rig.digest(path),
                          "--device", device, "--progress", "json", *args, **kwargs)

    def written(self, path, size, *args, sector=512):
        device = self.loop(size, sector=sector, fill=3)
        outcome = self.write("file://" + path, device, "--image-checksum", rig.digest(path), *args)
        self.assertEqual(outcome.code, 0, outcome)
        return device

    def backing(self, device):
        return rig.sh("losetup", "--noheadings", "--output", "BACK-FILE", device).strip()

    def flip(self, device, at):
        """Changes a byte of the disk; returns what puts it back."""
        with open(self.backing(device), "r+b") as file:
            file.seek(at)
            old = file.read(1)
            file.seek(at)
            file.write(bytes([old[0] ^ 0x20]))
            file.flush()
            os.fsync(file.fileno())

    def assert_same(self, outcome):
        self.assertEqual(outcome.code, 0, outcome)
        self.assertIsNone(outcome.result["first_difference"])
        self.assertEqual(outcome.result["disk_state"], "untouched")
        self.assertTrue(outcome.result["verified"])

    def assert_differs(self, outcome, at, *words):
        self.assertEqual((outcome.code, outcome.error_class, outcome.error_code), (7, "write", "write.differs"), outcome)
        self.assertEqual(outcome.result["first_difference"], at, outcome)
        for word in (f"byte {at} ", f"sector {at // 512}", *words):
            self.assertIn(word, outcome.result["error"]["message"])

    def notes(self, outcome):
        return " | ".join(event["text"] for event in outcome.events if event["event"] == "note")

    def test_what_was_written_is_found_again(self):
        images = [self.raw, self.qcow2(self.raw), self.qcow2(self.raw, "-c", name="c.qcow2"), self.path("disk.raw.gz")]
        with open(self.raw, "rb") as raw, gzip.open(images[-1], "wb", compresslevel=1) as packed:
            shutil.copyfileobj(raw, packed)
        for path in images:
            for size in (self.size, self.size + 9 * MIB + 512):
                with self.subTest(image=os.path.basename(path), size=size):
                    device = self.written(path, size)
                    outcome = self.verify(path, device)
                    self.assert_same(outcome)
                    self.assertEqual(outcome.result["bytes_verified"], self.size)
                    phases = [event["phase"] for event in outcome.events if event["event"] == "phase"]
                    self.assertEqual(phases, ["connect", "verify", "done"])
                    # And in any other wrapping.
                    self.assert_same(self.verify(self.raw, device))

    def test_one_byte(self):
        device = self.written(self.raw, self.size + 5 * MIB)
        with open(self.raw, "rb") as file:
            content = file.read()
        hole = content.index(bytes(8192), 6 * MIB) + 4097
        end = len(content) - 2 * MIB - 600  # in the second partition
        for at, place in ((0, "partition table"), (300, "partition table"), (600_000, "no partition"),
                          (MIB, "partition 1"), (12 * MIB + 77, "partition 2"), (hole, "partition 2"), (end, "partition 2")):
            with self.subTest(at=at):
                self.flip(device, at)
                self.assert_differs(self.verify(self.raw, device), at, place, "; 1 byte differs")
                self.flip(device, at)
        self.assert_same(self.verify(self.raw, device))
        for at in (MIB + 5, 9 * MIB):
            self.flip(device, at)
        self.assert_differs(self.verify(self.raw, device), MIB + 5, "2 bytes differ")

    def test_behind_the_image_is_not_compared(self):
        device = self.written(self.raw, self.size + 9 * MIB)
        self.flip(device, self.size + 4 * MIB)
        self.assert_same(self.verify(self.raw, device))

    def test_the_partition_table(self):
        for size in (self.size, self.size + 9 * MIB):
            device = self.written(self.raw, size)
            entry = 1024 + 128  # the second partition's, the first byte of its type
            for at, word in ((entry, ""), (entry + 16, ""), (entry + 32, ""), (entry + 48, ""), (entry + 56, ""),
                             (512 + 56, ""), (512 + 16, ""), (510, ""), (440, "")):
                with self.subTest(size=size, at=at):
                    self.flip(device, at)
                    self.assert_differs(self.verify(self.raw, device), at, "the partition table")
                    self.flip(device, at)
            for at in (size - 512 + 20, size - 33 * 512 + 128 + 56):
                with self.subTest(size=size, backup=at):
                    self.flip(device, at)
                    outcome = self.verify(self.raw, device)
                    self.assertEqual(outcome.code, 7, outcome)
                    self.assertGreaterEqual(outcome.result["first_difference"], size - 33 * 512)
                    self.flip(device, at)
            self.assert_same(self.verify(self.raw, device))

    def test_a_name_changed_by_a_tool(self):
        device = self.written(self.raw, self.size + 9 * MIB)
        rig.sh("sfdisk", "--quiet", "--part-label", self.backing(device), "2", "other")
        outcome = self.verify(self.raw, device)
        self.assert_differs(outcome, 1024 + 128 + 56, "the partition table")

    def test_the_images_own_backup(self):
        device = self.written(self.raw, self.size + 9 * MIB)
        self.flip(device, self.size - 512)  # zeroed by write
        self.assert_differs(self.verify(self.raw, device), self.size - 512)

    def test_an_image_smaller_than_its_head(self):
        """Its own backup, on a small disk the new one as well, lies in the first MiB."""
        raw = self.path("tiny.raw")
        size = 200 * 512
        with open(raw, "wb") as file:
            file.write(os.urandom(size))
        rig.sh("sgdisk", "--set-alignment=1", "-og", "-n1:40:100", raw)
        odd = self.path("odd.raw")
        shutil.copyfile(raw, odd)
        with open(odd, "ab") as file:
            file.write(b"odd")
        damaged = self.path("damaged.raw")
        shutil.copyfile(raw, damaged)
        with open(damaged, "r+b") as file:
            file.seek(512)
            file.write(bytes(512))
        for disk in (293 * 512, 64 * MIB):
            outcome = self.verify(damaged, self.written(damaged, disk))
            self.assert_same(outcome)
            self.assertIn("the disk's was rebuilt", self.notes(outcome))
        for image, disk in ((raw, size), (raw, size + 4608), (raw, 293 * 512), (raw, 64 * MIB), (odd, 293 * 512), (odd, 64 * MIB)):
            with self.subTest(image=image, disk=disk):
                device = self.written(image, disk)
                self.assert_same(self.verify(image, device))
                # Checksums, that of the header and of its entries; an entry; the partition.
                for at in (512 + 16, 512 + 88, 1024, 40 * 512, 101 * 512 - 1):
                    self.flip(device, at)
                    self.assertEqual(self.verify(image, device).code, 7, at)
                    self.flip(device, at)
                for at in (disk - 512, disk - 33 * 512):  # the backup at the disk's end
                    self.flip(device, at)
                    outcome = self.verify(image, device)
                    self.assertEqual(outcome.code, 7, at)
                    self.assertGreaterEqual(outcome.result["first_difference"], disk - 33 * 512)
                    self.flip(device, at)
                if disk > size + 33 * 512:
                    self.flip(device, size - 512)  # zeroed by write
                    self.assert_differs(self.verify(image, device), size - 512)
                    self.flip(device, size - 512)
                self.assert_same(self.verify(image, device))

    def test_a_backup_that_begins_before_the_last_mib(self):
        """8192 entries, moved to the end of a larger disk by sgdisk; the array's first entries are in use."""
        raw = self.path("entries.raw")
        with open(raw, "wb") as file:
            file.truncate(16 * MIB)
        rig.sh("sgdisk", "-S", "8192", "-n", "1:8192:+4M", raw)
        copy = self.path("copy.raw")
        shutil.copyfile(raw, copy)
        os.truncate(copy, 24 * MIB)
        rig.sh("sgdisk", "-e", copy)
        self.assert_same(self.verify(raw, copy))
        first = 24 * MIB - 512 - MIB
        with open(copy, "r+b") as file:
            file.seek(first + 56)
            file.write(b"?")
        outcome = self.verify(raw, copy)
        self.assertEqual(outcome.code, 7, outcome)
        self.assertIn("the backup GPT", self.notes(outcome))

    def moved_entries(self, partitions, sector=2047):
        """A GPT whose entries begin at `sector`: by default the first four in the first MiB, the others behind it."""
        raw = self.path("moved.raw")
        with open(raw, "wb") as file:
            file.truncate(48 * MIB)
        rig.sh("sgdisk", "-og", f"--move-main-table={sector}", *(f"-n{i}:{2048 + i * 2048}:+512K" for i in range(1, partitions + 1)), raw)
        return raw

    def test_entries_behind_the_first_mib(self):
        raw = self.moved_entries(5, sector=2100)
        device = self.written(raw, 64 * MIB)
        self.assert_same(self.verify(raw, device))
        for at in (2100 * 512 + 56, 2101 * 512 + 56):
            self.flip(device, at)
            self.assert_differs(self.verify(raw, device), at)
            self.flip(device, at)

    def test_entries_that_run_over_the_first_mib(self):
        raw = self.moved_entries(7)
        for size in (48 * MIB, 64 * MIB):
            with self.subTest(size=size):
                device = self.written(raw, size)
                self.assert_same(self.verify(raw, device))
                for at in (2047 * 512 + 56, 2048 * 512 + 56):
                    self.flip(device, at)
                    self.assert_differs(self.verify(raw, device), at)
                    self.flip(device, at)

    def test_a_config_drive_in_entries_that_run_over_the_first_mib(self):
        raw = self.moved_entries(2)
        with open(self.path("user-data"), "w") as file:
            file.write("#cloud-config\n")
        device = self.written(raw, 128 * MIB, "--user-data", self.path("user-data"))
        outcome = self.verify(raw, device)
        self.assert_same(outcome)
        self.assertIn("partition 3 'config-2' is not the image's", self.notes(outcome))
        for at in (2047 * 512 + 56, 2048 * 512 + 56):
            self.flip(device, at)
            self.assert_differs(self.verify(raw, device), at)
            self.flip(device, at)

    def test_a_partition_lost_where_the_image_claims_its_backup(self):
        """The image says that its backup is where its entries are; an entry that is gone is no zeroed backup."""
        raw, disk = self.path("claims.raw"), self.path("lost.raw")
        with open(raw, "wb") as file:
            file.truncate(16 * MIB)
        rig.sh("sgdisk", "-og", *(f"-n{i}:{i * 4096}:+512K" for i in range(1, 6)), raw)
        shutil.copyfile(raw, disk)
        os.truncate(disk, 24 * MIB)
        rig.sh("sgdisk", "-e", "-d5", disk)
        with open(raw, "r+b") as file:
            file.seek(512)
            header = bytearray(file.read(92))
            header[16:20] = bytes(4)
            struct.pack_into("<Q", header, 32, 34)
            struct.pack_into("<I", header, 16, zlib.crc32(header))
            file.seek(512)
            file.write(header)
        self.assert_differs(self.verify(raw, disk), 1024 + 4 * 128, "the partition table")

    def test_a_copy_made_otherwise(self):
        device = self.loop(self.size + 9 * MIB)
        rig.sh("dd", f"if={self.raw}", f"of={device}", "bs=1M", "oflag=direct", "status=none")
        self.assert_same(self.verify(self.raw, device))
        self.flip(device, self.size - 512 + 100)
        self.assert_differs(self.verify(self.raw, device), self.size - 512 + 100)

    def test_a_config_drive_is_allowed(self):
        with open(self.path("user-data"), "w") as file:
            file.write("#cloud-config\n")
        for label in ("gpt", "dos"):
            raw = self.raw
            if label == "dos":
                raw = self.path("mbr.raw")
                shutil.copyfile(self.raw, raw)
                subprocess.run(["sfdisk", "--quiet", "--wipe", "always", raw], text=True, check=True, capture_output=True,
                               input="label: dos\nstart=2048, size=8192, type=83\n")
            device = self.written(raw, self.size + 80 * MIB, "--user-data", self.path("user-data"))
            with self.subTest(label=label):
                outcome = self.verify(raw, device)
                self.assert_same(outcome)
                self.assertIn("is not the image's: its content was not compared", self.notes(outcome))
                self.flip(device, 2 * MIB + 5)
                self.assert_differs(self.verify(raw, device), 2 * MIB + 5, "partition 1")

    def test_a_config_drive_in_a_partition_of_the_image(self):
        raw = self.path("with-drive.raw")
        with open(raw, "wb") as file:
            file.truncate(48 * MIB)
        subprocess.run(["sfdisk", "--quiet", raw], text=True, check=True, capture_output=True,
                       input="label: gpt\nstart=2048, size=20480\nstart=22528, size=32768, name=config-2\n")
        with open(self.path("user-data"), "w") as file:
            file.write("#cloud-config\n")
        device = self.written(raw, 64 * MIB, "--user-data", self.path("user-data"))
        outcome = self.verify(raw, device)
        self.assert_same(outcome)
        self.assertIn("partition 2 'config-2' holds a config drive", self.notes(outcome))
        self.flip(device, 3 * MIB)
        self.assert_differs(self.verify(raw, device), 3 * MIB, "partition 1")

    def test_only_one_partition_more(self):
        device = self.written(self.raw, self.size + 20 * MIB)
        for _ in range(2):
            subprocess.run(["sfdisk", "--quiet", "--append", "--no-reread", self.backing(device)], input="size=4M\n", text=True,
                           check=True, capture_output=True)
        outcome = self.verify(self.raw, device)
        self.assert_differs(outcome, 1024 + 3 * 128, "the partition table")

    def test_a_gpt_that_no_mbr_names(self):
        """It is no table to write, and none here: compared as all other bytes are, and an MBR's partitions count."""
        for label, mbr in (("none", bytes(66)), ("dos", struct.pack("<BBHBBHII", 0, 0, 0, 0x83, 0, 0, 2048, 8192) + bytes(48) + b"\x55\xaa")):
            raw = self.path(label + ".raw")
            shutil.copyfile(self.raw, raw)
            with open(raw, "r+b") as file:
                file.seek(446)
                file.write(mbr)
            for size in (self.size, self.size + 9 * MIB):
                with self.subTest(label=label, size=size):
                    device = self.written(raw, size)
                    self.assert_same(self.verify(raw, device))
                    for at in (512 + 16, 512 + 32, 1024 + 128, self.size - 512):
                        self.flip(device, at)
                        self.assert_differs(self.verify(raw, device), at, "; 1 byte differs")
                        self.flip(device, at)
        with open(self.path("user-data"), "w") as file:
            file.write("#cloud-config\n")
        device = self.written(raw, self.size + 80 * MIB, "--user-data", self.path("user-data"))
        outcome = self.verify(raw, device)
        self.assert_same(outcome)
        self.assertIn("is not the image's: its content was not compared", self.notes(outcome))

    def test_sectors_of_4096(self):
        raw = self.path("4k.raw")
        with open(raw, "wb") as file:
            file.write(os.urandom(16 * MIB))
        made = rig.sh("losetup", "--find", "--show", "--sector-size", "4096", raw).strip()
        subprocess.run(["sfdisk", "--quiet", made], text=True, check=True, capture_output=True,
                       input="label: gpt\nstart=256, size=2048\n")
        rig.detach(made)
        device = self.written(raw, 24 * MIB, sector=4096)
        self.assert_same(self.verify(raw, device))
        self.flip(device, 4096 * 2 + 56)
        self.assertEqual(self.verify(raw, device).result["first_difference"], 4096 * 2 + 56)

    def test_another_disk(self):
        other = self.loop(self.size, fill=9)
        outcome = self.verify(self.raw, other)
        self.assert_differs(outcome, 0)

    def test_a_disk_that_is_too_small(self):
        device = self.loop(self.size - 512)
        outcome = self.verify(self.raw, device)
        self.assertEqual((outcome.code, outcome.error_code), (6, "device.too-small"), outcome)
        self.assertIsNone(outcome.result["first_difference"])

    def test_a_wrong_image_is_said_before_any_difference(self):
        device = self.written(self.raw, self.size)
        self.flip(device, 5 * MIB)
        outcome = self.ingot("verify", "--image-url", "file://" + self.raw, "--image-checksum", "0" * 64, "--device", device,
                             "--progress", "json")
        self.assertEqual((outcome.code, outcome.error_class), (4, "checksum"), outcome)
        self.assertIsNone(outcome.result["first_difference"])

    def test_a_disk_in_use_is_compared_with_a_note(self):
        raw = self.path("fs.raw")
        with open(raw, "wb") as file:
            file.truncate(8 * MIB)
        rig.sh("mkfs.ext4", "-q", raw)
        device = self.written(raw, 8 * MIB)
        os.mkdir(self.path("mnt"))
        rig.sh("mount", "-o", "ro,noload", device, self.path("mnt"))
        self.addCleanup(subprocess.run, ["umount", self.path("mnt")], capture_output=True)
        outcome = self.verify(raw, device)
        self.assertIn("may change while it is compared", self.notes(outcome))
        self.assert_same(outcome)

    def test_a_file_and_wrong_words(self):
        copy = self.path("copy.raw")
        shutil.copyfile(self.raw, copy)
        before = os.stat(copy).st_mtime_ns
        self.assert_same(self.verify(self.raw, copy))
        self.assertEqual(os.stat(copy).st_mtime_ns, before)
        for args in (["--device", copy], ["--image-url", "file://" + self.raw, "--insecure-no-checksum"],
                     ["--image-url", "file://" + self.raw, "--insecure-no-checksum", "--device", copy, "--yes"]):
            self.assertEqual(self.ingot("verify", *args).code, 2)
        outcome = self.verify(self.raw, self.path("nothing"))
        self.assertEqual((outcome.code, outcome.error_code), (6, "device.missing"), outcome)

    def test_what_has_to_be_parked_needs_a_directory(self):
        vmdk = self.path("disk.vmdk")
        rig.sh("qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=monolithicSparse", self.raw, vmdk)
        device = self.written(vmdk, self.size * 3)
        outcome = self.verify(vmdk, device)
        self.assertEqual((outcome.code, outcome.error_code), (5, "image.not-streamable"), outcome)
        self.assertIn("--scratch-dir", outcome.result["error"]["advice"])
        self.assert_same(self.verify(vmdk, device, "--scratch-dir", self.dir))

    def test_a_signal_ends_it(self):
        server = self.fault_server()
        device = self.written(self.raw, self.size)
        process = self.start("verify", "--image-url", f"{server}/{os.path.basename(self.raw)}?rate=2000000",
                             "--image-checksum", rig.digest(self.raw), "--device", device, "--progress", "json")
        for line in process.stdout:
            if '"event":"progress"' in line:
                break
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        outcome = rig.Outcome(process.returncode, out, err)
        self.assertEqual((outcome.code, outcome.result["status"]), (130, "cancelled"), outcome)

    def test_a_person_is_told_in_words(self):
        device = self.written(self.raw, self.size)
        args = ["verify", "--image-url", "file://" + self.raw, "--image-checksum", rig.digest(self.raw), "--device", device]
        outcome = self.ingot(*args)
        self.assertEqual(outcome.code, 0, outcome)
        self.assertIn(f"{device} holds the image", outcome.err)
        self.flip(device, 7 * MIB)
        outcome = self.ingot(*args)
        self.assertEqual(outcome.code, 7, outcome)
        self.assertIn(f"error [write.differs]: {device} does not hold the image", outcome.err)


class Readback(rig.Case):
    def test_a_write_is_read_back(self):
        raw = self.disk_image(size=24 * MIB)
        image = self.qcow2(raw, "-c")
        with open(self.path("user-data"), "w") as file:
            file.write("#cloud-config\n")
        for extra in ([], ["--user-data", self.path("user-data")]):
            device = self.loop(100 * MIB, fill=2)
            outcome = self.write("file://" + image, device, "--image-checksum", rig.digest(image), "--verify-readback", *extra)
            self.assertEqual(outcome.code, 0, outcome)
            phases = [event["phase"] for event in outcome.events if event["event"] == "phase"]
            self.assertLess(phases.index("verify"), phases.index("commit"))
            # All of the image but its first MiB, then head and tail, and what came after the image.
            self.assertGreaterEqual(outcome.result["bytes_verified"], 24 * MIB + MIB)
            rig.sh("sgdisk", "--verify", device)
        rehearsal = self.write("file://" + image, device, "--image-checksum", rig.digest(image), "--verify-readback", "--dry-run")
        self.assertEqual((rehearsal.code, rehearsal.result["bytes_verified"]), (0, 0), rehearsal)

    def test_a_disk_that_loses_a_write_does_not_boot(self):
        """While the image arrives slowly, a byte that was written already is changed behind the disk."""
        raw = self.path("noise.raw")
        shutil.copyfile(self.disk_image(size=24 * MIB), raw)
        with open(raw, "r+b") as file:
            file.seek(2 * MIB)
            file.write(os.urandom(16 * MIB))
        server = self.fault_server()
        device = self.loop(24 * MIB)
        backing = rig.sh("losetup", "--noheadings", "--output", "BACK-FILE", device).strip()
        process = self.start("write", "--image-url", f"{server}/noise.raw?rate=6000000", "--image-checksum", rig.digest(raw),
                             "--device", device, "--yes", "--progress", "json", "--verify-readback")
        until = time.monotonic() + 20
        changed = False
        while not changed and time.monotonic() < until and process.poll() is None:
            with open(backing, "r+b") as file:
                file.seek(4 * MIB)
                block = file.read(4096)
                if any(block):
                    file.seek(4 * MIB)
                    file.write(bytes([block[0] ^ 1]))
                    changed = True
            time.sleep(0.02)
        out, err = process.communicate(timeout=60)
        outcome = rig.Outcome(process.returncode, out, err)
        self.assertTrue(changed)
        self.assertEqual((outcome.code, outcome.error_code), (7, "write.readback"), outcome)
        self.assertIn(f"bytes {4 * MIB} to {5 * MIB - 1}", outcome.result["error"]["message"])
        self.assertEqual(outcome.result["disk_state"], "unbootable")
        self.assert_not_bootable(device)


if __name__ == "__main__":
    unittest.main()
