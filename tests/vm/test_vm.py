#!/usr/bin/python3
"""Every check of guest/checks in one of two guests with Debian's kernel, as a test each.

    test_vm.py [-v] [Checks.test_NAME…]     with names, only those run
"""
import concurrent.futures
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
SECONDS = 800  # eight times what it takes on two idle cores
SECOND_GUEST = {"10-write.sh", "20-guards.sh", "60-erase.sh"}  # half the work


def checks():
    """The names of every file's checks."""
    found = {}
    for path in sorted(glob.glob(os.path.join(GUEST, "checks", "*.sh"))):
        with open(path, encoding="utf-8") as file:
            found[os.path.basename(path)] = re.findall(r"^check_([a-z0-9_]+)\(\) \{", file.read(), re.M)
    names = sum(found.values(), [])
    if len(set(names)) != len(names):
        raise RuntimeError("two checks have the same name")
    return found


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


def make_medium(path):
    """A medium as Ironic's conductor makes it for a BMC: what machines that boot from it need to talk to it."""
    tree = f"{path}.tree"
    for name, content in (("ironic-python-agent/ironic.crt", "the API's certificate\n"),
                          ("ironic-python-agent.d/ironic-tls.conf", "[DEFAULT]\ncafile = /etc/ironic-python-agent/ironic.crt\n"),
                          ("ironic-python-agent.d/patience.conf", "[DEFAULT]\nlookup_timeout = 1\n")):
        os.makedirs(os.path.dirname(os.path.join(tree, "etc", name)), exist_ok=True)
        with open(os.path.join(tree, "etc", name), "w", encoding="ascii") as file:
            file.write(content)
    guest_root.run("genisoimage", "-quiet", "-r", "-J", "-V", "VMEDIA_BOOT_ISO", "-o", path, tree)
    shutil.rmtree(tree)


class Checks(unittest.TestCase):
    """A test method for each check, added below."""

    maxDiff = None
    only = []

    @classmethod
    def setUpClass(cls):
        cls.log_of, cls.results = {}, {}
        guests = [(machine.make(), names) for names in cls.shares() if names]
        for guest, names in guests:
            if not os.environ.get("INGOT_VM_KEEP"):
                cls.addClassCleanup(guest.close)
            cls.prepare(guest, names)
        boot = guests[0][0].build()
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(lambda guest: guest[0].run(boot, SECONDS), guests))
        for guest, names in guests:
            sys.stderr.write(f"{guest.dir}: {guest.seconds:.1f} s\n")
            cls.understand(guest, names)

    @classmethod
    def shares(cls):
        """What each of two guests runs: two cores are all that some machines have."""
        shares = [[], []]
        for file, names in checks().items():
            shares[file in SECOND_GUEST] += [name for name in names if not cls.only or name in cls.only]
        return shares

    @classmethod
    def prepare(cls, guest, names):
        make_images(guest.share)
        make_medium(os.path.join(guest.dir, "cd.disk"))
        shutil.copytree(os.path.join(GUEST, "checks"), os.path.join(guest.share, "checks"))
        shutil.copy(os.path.join(GUEST, "lib.sh"), guest.share)
        guest_root.run("strip", "-o", os.path.join(guest.share, "inspect_node"), rig.INSPECT_NODE)
        with open(os.path.join(GUEST, "run"), encoding="utf-8") as file:
            script = file.read()
        with open(os.path.join(guest.share, "run"), "w", encoding="utf-8") as file:
            file.write(f'INGOT_VM_CHECKS="{" ".join(names)}" INGOT_VM_DISKS="{" ".join(guest.serials())}"\n{script}')

    @classmethod
    def understand(cls, guest, names):
        try:
            with open(os.path.join(guest.out, "results"), encoding="utf-8") as file:
                lines = file.read().splitlines()
        except FileNotFoundError:
            lines = []
        for line in lines:
            words = line.split(maxsplit=2)
            if words[0] in ("PASS", "FAIL"):
                cls.results[words[1]] = words
        cls.log_of.update({name: os.path.join(guest.out, f"{name}.log") for name in names})
        if "END" not in lines:
            raise RuntimeError(f"a guest did not finish; its console:\n{guest.console[-20000:]}")

    def check(self, name):
        self.assertIn(name, self.results, "did not run")
        if self.results[name][0] != "PASS":
            with open(self.log_of[name], encoding="utf-8", errors="replace") as file:
                self.fail(f"{' '.join(self.results[name])}\n{file.read()[-8000:]}")


for check_name in sum(checks().values(), []):
    setattr(Checks, f"test_{check_name}", lambda self, name=check_name: self.check(name))

if __name__ == "__main__":
    Checks.only = [word.split(".test_", 1)[1] for word in sys.argv[1:] if ".test_" in word]
    unittest.main()
