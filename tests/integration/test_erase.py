"""`ingot erase`: what is left of disks that held everything that people put on disks. Needs root."""
import json
import os
import signal
import subprocess
import time
import unittest

import rig
from rig import MIB, sh

# Where the two partitions of every disk here are, in bytes.
PARTS = ((MIB, 120 * MIB), (130 * MIB, 320 * MIB))
SIZE = 480 * MIB


def found_by_tools(device, offsets=(0,)):
    """What blkid and wipefs find on the disk, and where its partitions were."""
    found = []
    for offset, size in ((0, None), *PARTS):
        span = ["-O", str(offset)] + (["-S", str(size)] if size else [])
        done = subprocess.run(["blkid", "-p", *span, device], capture_output=True, text=True)
        if done.returncode != 2 or done.stdout:
            found.append(f"blkid at {offset}: exit {done.returncode} {done.stdout}{done.stderr}")
    listed = sh("wipefs", "--no-act", "--parsable", device)
    if listed:
        found.append(f"wipefs: {listed}")
    return "".join(found)


class Erase(rig.Case):
    def erase(self, device, method, *args, **kwargs):
        return self.ingot("erase", "--device", device, "--method", method, "--yes", "--progress", "json", *args, **kwargs)

    def view(self, device, part, sector=512):
        """A partition as a loop device of its own: this machine's kernel need not know partition tables."""
        offset, size = PARTS[part]
        loop = sh("losetup", "--find", "--show", "--offset", str(offset), "--sizelimit", str(size), "--sector-size", str(sector), device).strip()
        return loop

    def on_partition(self, device, part, *argv, sector=512):
        """Runs a program on a partition."""
        loop = self.view(device, part, sector)
        try:
            sh(*[loop if word == "PART" else word for word in argv])
        finally:
            rig.detach(loop)

    def left_in_partitions(self, device, sector=512):
        found = ""
        for part in range(len(PARTS)):
            loop = self.view(device, part, sector)
            try:
                found += sh("wipefs", "--no-act", "--parsable", loop)
                found += subprocess.run(["blkid", "-p", loop], capture_output=True, text=True).stdout
            finally:
                rig.detach(loop)
        return found

    def table(self, device, label, sector=512):
        start = [offset // sector for offset, _ in PARTS]
        size = [length // sector for _, length in PARTS]
        types = ("L", "L")
        subprocess.run(["sfdisk", "--quiet", "--no-reread", device], check=True, capture_output=True, text=True,
                       input=f"label: {label}\n" + "".join(f"start={s}, size={n}, type={t}\n" for s, n, t in zip(start, size, types)))

    def md_superblock(self, loop, version):
        """An md member's superblock, as mdadm writes it; the kernel need not have md for that (Linux, md_p.h)."""
        with open(loop, "r+b") as disk:
            end = disk.seek(0, os.SEEK_END)
            if version == "0.90":
                disk.seek((end & ~0xffff) - 0x10000)
                block = bytearray(4096)
                words = [0xa92b4efc, 0, 90, 0, 0, 0x11223344, 0, 1, 1024, 2, 2, 0, 0, 0x55667788, 0x99aabbcc, 0xddeeff00]
                for index, word in enumerate(words):
                    block[4 * index:4 * index + 4] = word.to_bytes(4, "little")
                disk.write(block)
            else:
                at = {"1.0": (end // 512 - 16) // 8 * 8 * 512, "1.1": 0, "1.2": 4096}[version]
                block = bytearray(256)
                block[0:8] = (0xa92b4efc).to_bytes(4, "little") + (1).to_bytes(4, "little")
                block[16:32] = bytes(range(16))
                block[32:36] = b"rack"
                block[144:152] = (at // 512).to_bytes(8, "little")
                # sb_csum over the words, with itself as zero
                total = sum(int.from_bytes(block[i:i + 4], "little") for i in range(0, 256, 4))
                block[216:220] = ((total & 0xffffffff) + (total >> 32)).to_bytes(4, "little")
                disk.seek(at)
                disk.write(block)

    def test_metadata_leaves_nothing(self):
        luks = self.path("luks.key")
        with open(luks, "w") as file:
            file.write("passphrase")
        format_luks = ["cryptsetup", "luksFormat", "--batch-mode", "--type", "luks2", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000",
                       "--key-file", luks, "PART"]
        kinds = {
            "gpt, ext4 and xfs": ("gpt", [["mkfs.ext4", "-q", "-F", "PART"], ["mkfs.xfs", "-q", "-f", "PART"]]),
            "gpt, btrfs and swap": ("gpt", [["mkfs.btrfs", "-q", "-f", "PART"], ["mkswap", "-q", "PART"]]),
            "mbr, vfat and luks": ("dos", [["mkfs.fat", "PART"], format_luks]),
        }
        for sector in (512, 4096):
            for name, (label, makers) in kinds.items():
                if sector == 4096:
                    makers = [m for m in makers if m[0] in ("mkfs.ext4", "mkfs.xfs", "mkfs.btrfs", "mkswap", "cryptsetup")]
                with self.subTest(name, sector=sector):
                    device = self.loop(SIZE, sector)
                    self.table(device, label, sector)
                    for part, maker in enumerate(makers):
                        self.on_partition(device, part, *maker, sector=sector)
                    self.assertNotEqual(self.left_in_partitions(device, sector), "")  # or nothing is tested
                    before = os.urandom(MIB)
                    with open(device, "r+b") as disk:
                        disk.seek(PARTS[0][0] + 40 * MIB + 4096)
                        disk.write(before)
                    done = self.erase(device, "metadata")
                    self.assertEqual(done.code, 0, done)
                    self.assertEqual(found_by_tools(device), "")
                    self.assertEqual(self.left_in_partitions(device, sector), "")
                    self.assertGreaterEqual(done.result["erased"]["signatures_found"], 3)
                    self.assertEqual(done.result["erased"]["partitions"], 2)
                    self.assertEqual(done.result["disk_state"], "complete")
                    with open(device, "rb") as disk:
                        disk.seek(PARTS[0][0] + 40 * MIB + 4096)
                        self.assertEqual(disk.read(MIB), before, "the data itself stays")
                    rig.detach(device)

    def test_metadata_of_md_and_lvm(self):
        for version in ("0.90", "1.0", "1.1", "1.2"):
            with self.subTest(f"md {version}"):
                device = self.loop(SIZE)
                self.md_superblock(device, version)
                self.assertIn("linux_raid_member", sh("blkid", "-p", device))
                done = self.erase(device, "metadata")
                self.assertEqual(done.code, 0, done)
                self.assertEqual(found_by_tools(device), "")
                rig.detach(device)
        device = self.loop(SIZE)
        self.table(device, "gpt")
        loop = self.view(device, 1)
        try:
            sh("pvcreate", "-q", "-ff", "--yes", "--config",
               f'devices {{ use_devicesfile=0 scan="/dev" filter=["a|^{loop}$|","r|.*|"] }} global {{ locking_type=0 use_lvmlockd=0 }} '
               'backup { backup=0 archive=0 } activation { udev_sync=0 udev_rules=0 monitoring=0 }', loop)
            self.assertIn("LVM2_member", sh("blkid", "-p", loop))
        finally:
            rig.detach(loop)
        done = self.erase(device, "metadata")
        self.assertEqual(done.code, 0, done)
        self.assertIn("LVM2_member", {s["type"] for s in done.result["erased"]["signatures"]})
        self.assertEqual(found_by_tools(device), "")
        self.assertEqual(self.left_in_partitions(device), "")

    def test_the_neighbours_stay(self):
        before, device, after = (self.loop(64 * MIB, fill=n) for n in (1, 2, 3))
        want = [self.digest(before), self.digest(after)]
        for method in ("metadata", "zero"):
            self.assertEqual(self.erase(device, method).code, 0)
        self.assertEqual([self.digest(before), self.digest(after)], want)

    def digest(self, path):
        return sh("sha256sum", path).split()[0]

    def test_zero_and_discard(self):
        for method in ("zero", "discard"):
            device = self.loop(64 * MIB, fill=8)
            done = self.erase(device, method)
            self.assertEqual(done.code, 0, done)
            with open(device, "rb") as disk:
                self.assertEqual(disk.read().strip(b"\0"), b"", method)
            self.assertEqual(done.result["bytes_zeroed"], 64 * MIB, method)
            self.assertEqual(done.result["erased"]["method"], method)
            self.assertEqual(done.events[0]["erase_method"], method)
            self.assertIsNone(done.events[0]["image_url"])
            phases = [e["phase"] for e in done.events if e["event"] == "phase"]
            self.assertEqual(phases[-1], "done")

    def test_a_dry_run_lists_and_touches_nothing(self):
        device = self.loop(SIZE)
        self.table(device, "gpt")
        self.on_partition(device, 0, "mkfs.ext4", "-q", "-F", "PART")
        want = self.digest(device)
        for method in ("metadata", "discard", "zero"):
            done = self.ingot("erase", "--device", device, "--method", method, "--dry-run")
            self.assertEqual(done.code, 0, done)
            self.assertIn("would", done.err)
            self.assertEqual(self.digest(device), want, method)
        done = self.ingot("erase", "--device", device, "--method", "metadata", "--dry-run")
        self.assertRegex(done.err, r"byte 1049656\s+ext4\s+partition 1")

    def test_refusals(self):
        device = self.loop(64 * MIB, fill=4)
        want = self.digest(device)
        done = self.erase(device, "secure")
        self.assertEqual((done.code, done.error_code), (6, "device.unsupported"), done)
        self.assertEqual(done.result["disk_state"], "untouched")
        done = self.ingot("erase", "--device", device, "--method", "metadata")  # nobody to ask
        self.assertEqual(done.code, 2, done)
        done = self.ingot("erase", "--device", device, "--method", "shred", "--yes")
        self.assertEqual(done.code, 2, done)
        self.assertIn("shred", done.err)
        done = self.ingot("erase", "--device", device, "--yes")
        self.assertEqual(done.code, 2, done)
        self.assertEqual(self.digest(device), want)
        read_only = self.loop(64 * MIB, fill=4, read_only=True)
        self.assertEqual(self.erase(read_only, "metadata").error_code, "device.read-only")
        self.assertEqual(self.erase(self.path("missing"), "metadata").error_code, "device.missing")

    def test_a_mounted_disk_is_not_erased(self):
        device = self.loop(64 * MIB)
        sh("mkfs.ext4", "-q", "-F", device)
        at = self.path("mnt")
        os.mkdir(at)
        sh("mount", device, at)
        self.addCleanup(subprocess.run, ["umount", at], capture_output=True)
        done = self.erase(device, "metadata")
        self.assertEqual((done.code, done.error_code), (6, "device.mounted"), done)
        self.assertIn(at, done.result["error"]["message"])
        self.assertIn("ext4", sh("blkid", "-p", device))

    def test_a_stopped_erase_says_how_far_it_is(self):
        device = self.loop(2048 * MIB)
        process = self.start("erase", "--device", device, "--method", "zero", "--yes", "--progress", "json")
        line = process.stdout.readline()
        self.assertEqual(json.loads(line)["event"], "started")
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGCONT)
        out, err = process.communicate(timeout=60)
        done = rig.Outcome(process.returncode, line + out, err)
        if done.code == 0:  # it was quicker
            self.assertEqual(done.result["disk_state"], "complete")
            return
        self.assertEqual(done.code, 130, done)
        self.assertEqual(done.result["status"], "cancelled")
        self.assertIn(done.result["disk_state"], ("untouched", "unbootable", "unknown"))
        if done.result["disk_state"] == "unbootable":
            self.assert_not_bootable(device)

    def test_a_disk_image_file(self):
        path = self.disk_image()
        size = os.path.getsize(path)
        done = self.ingot("erase", "--device", path, "--method", "metadata", "--yes", "--progress", "json")
        self.assertEqual(done.code, 0, done)
        self.assertEqual(os.path.getsize(path), size)
        self.assertEqual(sh("wipefs", "--no-act", "--parsable", path), "")


if __name__ == "__main__":
    unittest.main()
