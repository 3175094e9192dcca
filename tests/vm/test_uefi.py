#!/usr/bin/python3
"""Boot entries on a machine with real UEFI firmware (OVMF): made there, and then the firmware starts what they name.

Firmware and efibootmgr are Debian's; the loader on the disk is Debian's kernel, which is an UEFI program and shows on the
console which options it was started with.
"""
import os
import shutil
import unittest

import guest_root
import rig

SECONDS = 300  # many times what each start takes on idle cores
OPTIONS = "console=ttyS0 panic=-1 ingot.entry="


def make_image(path, kernel):
    """A disk image with a GPT whose second partition is an ESP: a CSV file with two entries, both for the kernel."""
    with open(path, "wb") as file:
        file.truncate(32 * rig.MIB)
    guest_root.run("sfdisk", "--quiet", path, input="label: gpt\nstart=2048, size=2048, type=L\nstart=4096, size=49152, type=U\n")
    guest_root.run("mkfs.vfat", "--offset", "4096", path, "24576")
    esp = f"{path}@@{4096 * 512}"
    csv = f"{path}.csv"
    with open(csv, "wb") as file:
        file.write(f"shimx64.efi,Größe eins,{OPTIONS}first ,\r\nshimx64.efi,second,{OPTIONS}second,\r\n".encode("utf-16"))
    for folder in ("EFI", "EFI/BOOT", "EFI/acme"):
        guest_root.run("mmd", "-i", esp, f"::/{folder}")
    for source, name in ((kernel, "EFI/acme/shimx64.efi"), (csv, "EFI/acme/BOOTX64.CSV"), (csv, "EFI/BOOT/BOOTX64.EFI")):
        guest_root.run("mcopy", "-i", esp, source, f"::/{name}")


class Uefi(unittest.TestCase):
    def setUp(self):
        self.machine = rig.Machine()
        if not os.environ.get("INGOT_VM_KEEP"):
            self.addCleanup(self.machine.close)
        self.machine.use_uefi()
        self.machine.drive("first", rig.GIB)
        self.machine.device("virtio-blk-pci", "drive=first", "serial=GPT")
        self.machine.drive("second", 96 * rig.MIB)
        self.machine.device("nvme", "id=second", "serial=GPT-4096")
        self.machine.device("nvme-ns", "drive=second", "bus=second", "logical_block_size=4096", "physical_block_size=4096")
        self.machine.drive("third", 64 * rig.MIB)
        self.machine.device("ide-hd", "drive=third", "bus=ide.0", "serial=MBR")

    def test_firmware_starts_what_was_written(self):
        share, out = self.machine.share, self.machine.out
        boot = self.machine.build(rig.BOOT_ENTRIES)
        make_image(os.path.join(share, "image.raw"), boot[0])
        for name in ("lib.sh", "uefi"):
            shutil.copy(os.path.join(guest_root.HERE, "guest", name), share)
        with open(os.path.join(share, "run"), "w", encoding="ascii") as file:
            file.write("timeout -s KILL 200 sh -ex /share/uefi >/share/out/log 2>&1 && echo passed >/share/out/result\n")
        self.machine.run(boot, SECONDS)
        seconds = [self.machine.seconds]
        log = f"after {seconds[0]:.1f} s; its console:\n{self.machine.console[-4000:]}\n"
        if os.path.exists(os.path.join(out, "log")):
            with open(os.path.join(out, "log"), encoding="utf-8", errors="replace") as file:
                log += f"its log:\n{file.read()}"
        self.assertTrue(os.path.exists(os.path.join(out, "result")), log)

        started = r"Command line: .*ingot\.entry=\w+ ?\r?\n"
        self.machine.run(None, SECONDS, until=started)
        seconds.append(self.machine.seconds)
        print(f"{seconds[0]:.1f} s to make the entries, {seconds[1]:.1f} s to start from one", flush=True)
        self.assertRegex(self.machine.console, started)
        self.assertIn("ingot.entry=first", self.machine.console)


if __name__ == "__main__":
    unittest.main()
