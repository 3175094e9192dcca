"""A server of the end-to-end tests: a QEMU machine with an empty disk, a NIC with DHCP, firmware, and a serial console."""
import contextlib
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path += [os.path.join(HERE, "..", "vm"), os.path.join(HERE, "..", "integration")]

import rig as vm  # noqa: E402  tests/vm/rig.py, whose folder comes first

RAMDISK = os.environ.get("INGOT_RAMDISK_DIR", os.path.join(HERE, "..", "..", "build", "ramdisk"))
MIB, GIB = 1 << 20, 1 << 30
# The address at which QEMU's user network shows a guest this machine's loopback.
HOST = "10.0.2.2"


class Guest:
    """One server. Its files are in one folder under /var/tmp, which close() removes. It sees no disk of this machine, and no
    network but this machine's loopback as 10.0.2.2."""

    def __init__(self, firmware="bios", disk="virtio", size=4 * GIB, memory=512, flavour="virtual", forward=None):
        """`firmware`: bios or uefi. `disk`: virtio, nvme, nvme-4k, sata or scsi, with serial number E2E-TARGET. `size` in bytes,
        `memory` in MiB. `forward`: a port of this machine's loopback that leads to port 9999 of the guest."""
        self.dir = tempfile.mkdtemp(prefix="ingot-e2e-", dir="/var/tmp")
        self.firmware, self.memory, self.flavour, self.forward = firmware, memory, flavour, forward
        self.mac = "52:54:00:" + ":".join(f"{byte:02x}" for byte in random.SystemRandom().randbytes(3))
        self.devices = []
        self.process = None
        self.monitor = None
        self.boots = 0
        self.started = 0.0
        self.path = self.add_disk("target", disk, size, "E2E-TARGET")
        if firmware == "uefi":
            shutil.copyfile(os.path.join(vm.OVMF, "OVMF_VARS_4M.fd"), os.path.join(self.dir, "variables"))

    def add_disk(self, name, kind, size, serial):
        """A disk that is empty; its file's path."""
        path = os.path.join(self.dir, f"{name}.disk")
        with open(path, "wb") as file:
            file.truncate(size)
        self.attach(name, kind, serial, path)
        return path

    def attach(self, name, kind, serial, path):
        """Puts the disk in the file `path` at the end of a bus of this `kind`."""
        sector = "logical_block_size=4096,physical_block_size=4096" if kind.endswith("-4k") else "logical_block_size=512"
        drive = ["-blockdev", f"driver=raw,node-name={name},discard=unmap,cache.no-flush=on,file.driver=file,"
                 f"file.filename={path},file.locking=off"]
        # Firmware tries disks in the order that bootindex gives; QEMU's -kernel has 0.
        index = len(self.devices) + 1
        kinds = {
            "virtio": ["-device", f"virtio-blk-pci,drive={name},serial={serial},bootindex={index},{sector}"],
            "nvme": ["-device", f"nvme,drive={name},serial={serial},bootindex={index},{sector}"],
            "nvme-4k": ["-device", f"nvme,id={name}-c,serial={serial}",
                        "-device", f"nvme-ns,drive={name},bus={name}-c,bootindex={index},{sector}"],
            "sata": ["-device", f"ide-hd,drive={name},serial={serial},bootindex={index},bus=ide.{index - 1}"],
            "scsi": ["-device", f"virtio-scsi-pci,id={name}-c",
                     "-device", f"scsi-hd,drive={name},serial={serial},bootindex={index},bus={name}-c.0,{sector}"],
        }
        self.devices.append([*drive, *kinds[kind]])

    def start(self, command_line=None, medium=None):
        """Switches it on: the RAM disk with these words on its kernel command line, the disc image `medium`, or whatever its
        firmware finds on its disks."""
        self.boots += 1
        self.console_path = os.path.join(self.dir, f"console-{self.boots}")
        monitor = os.path.join(self.dir, f"monitor-{self.boots}")
        argv = ["setpriv", "--pdeathsig", "KILL", "qemu-system-x86_64", *vm.accelerator(), "-machine", "q35", "-m", str(self.memory),
                "-smp", "2", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
                "-monitor", f"unix:{monitor},server=on,wait=off", "-serial", f"file:{self.console_path}",
                "-object", "rng-random,id=random,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=random"]
        if self.firmware == "uefi":
            for unit, path in enumerate((os.path.join(vm.OVMF, "OVMF_CODE_4M.fd"), os.path.join(self.dir, "variables"))):
                argv += ["-drive", f"if=pflash,format=raw,unit={unit},readonly={'off' if unit else 'on'},file={path}"]
        for device in self.devices:
            argv += device
        forward = f",hostfwd=tcp:127.0.0.1:{self.forward}-:9999" if self.forward else ""
        argv += ["-netdev", f"user,id=net{forward}", "-device", f"virtio-net-pci,netdev=net,mac={self.mac},romfile="]
        if medium:
            argv += ["-drive", f"if=none,id=medium,format=raw,readonly=on,file.locking=off,file={medium}",
                     "-device", "ide-cd,drive=medium,bus=ide.5,bootindex=0"]
        if command_line is not None:
            base = os.path.join(RAMDISK, f"ingot-{self.flavour}")
            argv += ["-kernel", base + ".vmlinuz", "-initrd", base + ".initramfs",
                     "-append", f"console=ttyS0 loglevel=4 panic=-1 mitigations=off {command_line}"]
        self.log = open(os.path.join(self.dir, f"qemu-{self.boots}"), "w+")
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT)
        self.started = time.monotonic()
        self.monitor_path = monitor

    def console(self):
        """What its serial console has shown since it was switched on."""
        try:
            with open(self.console_path, encoding="utf-8", errors="replace") as file:
                return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", file.read())
        except FileNotFoundError:
            return ""

    def watch(self, timeout, *patterns, off=False):
        """Until its console has shown all the patterns, or with `off` until it is off; seconds since it was switched on.
        Anything else within `timeout` seconds is the test's failure, with the console's end."""
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as to_monitor:
            while time.monotonic() - self.started < timeout:
                ended = self.process.poll() is not None
                shown = self.console()
                missing = [each for each in patterns if not re.search(each, shown)]
                if ended if off else not missing:
                    break
                if ended:
                    raise AssertionError(f"it went off, and its console showed no {missing}\n{self.story()}")
                # Under QEMU 7.2's translator a guest now and then stands still until its processors' state is asked for.
                vm.Machine.nudge(to_monitor, self.monitor_path)
                time.sleep(0.25)
            else:
                raise AssertionError(f"not within {timeout} s: {'off' if off else missing}\n{self.story()}")
        if off and missing:
            raise AssertionError(f"its console showed no {missing}\n{self.story()}")
        return time.monotonic() - self.started

    def story(self):
        """The end of its console and what QEMU said, for a failed test."""
        self.log.flush()
        with open(self.log.name, encoding="utf-8", errors="replace") as file:
            said = file.read()
        return f"console:\n{self.console()[-5000:]}\nQEMU: {said or 'nothing'}"

    def cut(self):
        """The power fails."""
        if self.process and self.process.poll() is None:
            self.process.kill()
        if self.process:
            self.process.wait(timeout=30)
            self.log.close()
            self.process = None

    def close(self):
        self.cut()
        if not os.environ.get("INGOT_E2E_KEEP"):
            shutil.rmtree(self.dir, ignore_errors=True)
