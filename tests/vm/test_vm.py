#!/usr/bin/python3
"""Every check of guest/checks in a guest with Debian's kernel, as a test each; one boot for all.

    test_vm.py [-v] [Checks.test_NAME…]     with names, the guest runs only those
"""
import glob
import os
import re
import shutil
import subprocess
import sys
import unittest

import guest_root
import machine
import rig

GUEST = os.path.join(guest_root.HERE, "guest")
SECONDS = 420  # four times what it takes


def names_of_checks():
    names = []
    for path in sorted(glob.glob(os.path.join(GUEST, "checks", "*.sh"))):
        with open(path, encoding="utf-8") as file:
            names += re.findall(r"^check_([a-z0-9_]+)\(\) \{", file.read(), re.M)
    if len(set(names)) != len(names):
        raise RuntimeError("two checks have the same name")
    return names


def make_images(folder):
    """Disk images of 32 MiB, each with an ext4 root whose files' digests are in /sums: image.raw and image.qcow2, a GPT with
    an ESP; image-mbr.raw, an MBR with a FAT partition. And drive.iso, a config drive as Ironic's conductor makes it."""
    tree = os.path.join(folder, "tree")
    os.makedirs(tree)
    with open(os.path.join(tree, "noise"), "wb") as file:
        file.write(os.urandom(rig.MIB))
    with open(os.path.join(tree, "hello"), "w", encoding="ascii") as file:
        file.write("hello\n")
    with open(os.path.join(tree, "sums"), "w", encoding="ascii") as sums:
        subprocess.run(["sha256sum", "noise", "hello"], cwd=tree, stdout=sums, check=True)
    gpt, mbr = os.path.join(folder, "image.raw"), os.path.join(folder, "image-mbr.raw")
    for raw, label, types in ((gpt, "gpt", "UL"), (mbr, "dos\nlabel-id: 0x1d0c5eed", "cL")):
        with open(raw, "wb") as file:
            file.truncate(32 * rig.MIB)
        guest_root.run("sfdisk", "--quiet", raw, input=f"label: {label}\nstart=2048, size=16384, type={types[0]}\n"
                       f"start=18432, size=40960, type={types[1]}\n")
        guest_root.run("mkfs.vfat", "--offset", "2048", "-n", "ESP", raw, "8192")
        guest_root.run("mkfs.ext4", "-q", "-F", "-L", "ingot-root", "-d", tree, "-E", "nodiscard,offset=9437184", raw, "20M")
    guest_root.run("qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", gpt, os.path.join(folder, "image.qcow2"))
    shutil.rmtree(tree)
    os.makedirs(os.path.join(tree, "openstack", "latest"))
    for name, content in (("meta_data.json", '{"uuid": "b1946ac9-2482-4a5e-8f4a-3b2e1c0d9e8f"}'), ("user_data", "#!/bin/sh\necho drive\n")):
        with open(os.path.join(tree, "openstack", "latest", name), "w", encoding="ascii") as file:
            file.write(content)
    guest_root.run("xorriso", "-as", "genisoimage", "-quiet", "-o", os.path.join(folder, "drive.iso"), "-ldots", "-allow-lowercase",
                   "-allow-multidot", "-l", "-J", "-r", "-V", "config-2", tree)
    shutil.rmtree(tree)


class Checks(unittest.TestCase):
    """A test method for each check, added below."""

    maxDiff = None
    only = []

    @classmethod
    def setUpClass(cls):
        cls.vm = machine.make()
        if not os.environ.get("INGOT_VM_KEEP"):
            cls.addClassCleanup(cls.vm.close)
        make_images(cls.vm.share)
        shutil.copytree(os.path.join(GUEST, "checks"), os.path.join(cls.vm.share, "checks"))
        shutil.copy(os.path.join(GUEST, "lib.sh"), cls.vm.share)
        with open(os.path.join(GUEST, "run"), encoding="utf-8") as file:
            script = file.read()
        with open(os.path.join(cls.vm.share, "run"), "w", encoding="utf-8") as file:
            file.write(f'export INGOT_VM_ONLY="{" ".join(cls.only)}" INGOT_VM_DISKS="{" ".join(cls.vm.serials())}"\n{script}')
        cls.vm.run(SECONDS)
        cls.results = {}
        try:
            with open(os.path.join(cls.vm.out, "results"), encoding="utf-8") as file:
                lines = file.read().splitlines()
        except FileNotFoundError:
            lines = []
        for line in lines:
            words = line.split(maxsplit=2)
            if words[0] in ("PASS", "FAIL"):
                cls.results[words[1]] = words
        sys.stderr.write(f"{cls.vm.dir}: made in {cls.vm.seconds['build']:.1f} s, ran {cls.vm.seconds['run']:.1f} s\n")
        if "END" not in lines:
            raise RuntimeError(f"the guest did not finish; its console:\n{cls.vm.console[-20000:]}")

    def check(self, name):
        self.assertIn(name, self.results, "did not run")
        if self.results[name][0] != "PASS":
            with open(os.path.join(self.vm.out, f"{name}.log"), encoding="utf-8", errors="replace") as file:
                self.fail(f"{' '.join(self.results[name])}\n{file.read()[-8000:]}")


for check_name in names_of_checks():
    setattr(Checks, f"test_{check_name}", lambda self, name=check_name: self.check(name))

if __name__ == "__main__":
    Checks.only = [word.split(".test_", 1)[1] for word in sys.argv[1:] if ".test_" in word]
    unittest.main()
