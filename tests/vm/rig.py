"""One virtual machine: Debian's kernel, the disks asked for, a folder shared with the host, and a time limit."""
import contextlib
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time

import guest_root

INGOT = os.environ.get("INGOT", os.path.join(guest_root.HERE, "..", "..", "build", "dev", "agent", "ingot"))
BOOT_ENTRIES = os.environ.get("BOOT_ENTRIES", os.path.join(guest_root.HERE, "..", "..", "build", "dev", "tests", "boot_entries"))
OVMF = "/usr/share/OVMF"
# Linked with nothing that ingot is not linked with.
INSPECT_NODE = os.environ.get("INSPECT_NODE", os.path.join(guest_root.HERE, "..", "..", "build", "dev", "tests", "inspect_node"))
MIB = 1 << 20
GIB = 1 << 30


def accelerator():
    """KVM where the processor has it; QEMU's translator otherwise. A /dev/kvm without vmx or svm kills its guests."""
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        words = set(file.read().split())
    usable = words & {"vmx", "svm"} and os.access("/dev/kvm", os.R_OK | os.W_OK)
    return ["-accel", "kvm", "-cpu", "host"] if usable else ["-accel", "tcg,thread=multi", "-cpu", "max"]


class Machine:
    """A guest and its files, all in one folder under /var/tmp that close() removes."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="ingot-vm-", dir="/var/tmp")
        self.share = os.path.join(self.dir, "share")
        self.out = os.path.join(self.share, "out")
        os.makedirs(self.out)
        self.devices = []
        self.firmware = []  # QEMU's own, which is a BIOS
        self.nudged = False
        self.console = ""
        self.seconds = 0.0

    def close(self):
        shutil.rmtree(self.dir, ignore_errors=True)

    def device(self, *words):
        """A QEMU device, e.g. "virtio-scsi-pci,id=s0"; several words are joined by commas."""
        self.devices += ["-device", ",".join(words)]

    def drive(self, name, size, **options):
        """A sparse file of `size` bytes as QEMU's block node `name`; options of a blockdev, e.g. read_only="on"."""
        path = os.path.join(self.dir, f"{name}.disk")
        with open(path, "wb") as file:
            file.truncate(size)
        extra = "".join(f",{key.replace('_', '-')}={value}" for key, value in options.items())
        self.devices += ["-blockdev", f"driver=raw,node-name={name}{extra},discard=unmap,cache.no-flush=on,"
                         f"file.driver=file,file.filename={path},file.locking=off"]
        return path

    def use_uefi(self):
        """It has UEFI firmware, whose variables are kept from one run to the next. Under QEMU 7.2's translator such a guest now
        and then stands still, all of it, until something asks for its processor's state: so that is asked for all the time."""
        self.nudged = True
        variables = os.path.join(self.dir, "variables")
        shutil.copyfile(os.path.join(OVMF, "OVMF_VARS_4M.fd"), variables)
        for unit, path in enumerate((os.path.join(OVMF, "OVMF_CODE_4M.fd"), variables)):
            self.firmware += ["-drive", f"if=pflash,format=raw,unit={unit},readonly={'off' if unit else 'on'},file={path}"]

    def serials(self):
        """The serial numbers of the disks it has."""
        devices = [value for option, value in zip(self.devices, self.devices[1:]) if option == "-device"]
        return re.findall(r"\bserial=([^, ]+)", " ".join(devices))

    def build(self, *more):
        """The kernel and the initramfs, for this machine and others: what run() boots. `more`: programs besides ingot."""
        initramfs = os.path.join(self.dir, "initramfs")
        tree = os.path.join(self.dir, "root")
        os.makedirs(tree)
        kernel = guest_root.build(initramfs, [INGOT, *more], tree)
        shutil.rmtree(tree)
        return kernel, initramfs

    def run(self, boot, timeout, until=None):
        """Boots, runs /share/run, and returns when the machine is off; after `timeout` seconds it is switched off.
        `boot`: a kernel and an initramfs, or nothing: its firmware is left to find something. `until`: it is switched off
        as soon as its console shows this pattern."""
        console = os.path.join(self.dir, "console")
        monitor = os.path.join(self.dir, "monitor")
        argv = ["qemu-system-x86_64", *accelerator(), "-machine", "q35", "-m", "1536", "-smp", "2", "-nodefaults", "-no-user-config",
                "-display", "none", "-no-reboot", "-monitor", f"unix:{monitor},server=on,wait=off" if self.nudged else "none",
                "-serial", f"file:{console}", *self.firmware,
                "-fsdev", f"local,id=share,path={self.share},security_model=none",
                "-device", "virtio-9p-pci,fsdev=share,mount_tag=share", *self.devices]
        if boot:
            argv += ["-kernel", boot[0], "-initrd", boot[1],
                     "-append", "console=ttyS0 loglevel=4 panic=-1 mitigations=off usb_storage.delay_use=0"]
        start = time.monotonic()
        machine = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as to_monitor:
            while (until or self.nudged) and machine.poll() is None and time.monotonic() - start < timeout:
                time.sleep(0.5)
                if until and os.path.exists(console) and re.search(until, self.read(console)):
                    machine.kill()
                if self.nudged:
                    self.nudge(to_monitor, monitor)
        try:
            said, _ = machine.communicate(timeout=max(0.1, start + timeout - time.monotonic()))
        except subprocess.TimeoutExpired:
            machine.kill()
            said, _ = machine.communicate()
            said += f"\nswitched off after {timeout} s"
        self.seconds = time.monotonic() - start
        self.console = self.read(console) + said

    @staticmethod
    def nudge(to_monitor, path):
        """Has QEMU's monitor look at the processors."""
        try:
            if to_monitor.gettimeout() is None:
                to_monitor.connect(path)
                to_monitor.settimeout(0.1)
            to_monitor.sendall(b"info registers -a\n")
            while to_monitor.recv(1 << 20):
                pass
        except OSError:  # not there yet, no longer there, or it has said everything
            pass

    @staticmethod
    def read(path):
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
