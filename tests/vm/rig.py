"""One virtual machine: Debian's kernel, the disks asked for, a folder shared with the host, and a time limit."""
import os
import re
import shutil
import subprocess
import tempfile
import time

import guest_root

INGOT = os.environ.get("INGOT", os.path.join(guest_root.HERE, "..", "..", "build", "dev", "agent", "ingot"))
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

    def serials(self):
        """The serial numbers of the disks it has."""
        devices = [value for option, value in zip(self.devices, self.devices[1:]) if option == "-device"]
        return re.findall(r"\bserial=([^, ]+)", " ".join(devices))

    def build(self):
        """The kernel and the initramfs, for this machine and others: what run() boots."""
        initramfs = os.path.join(self.dir, "initramfs")
        tree = os.path.join(self.dir, "root")
        os.makedirs(tree)
        kernel = guest_root.build(initramfs, INGOT, tree)
        shutil.rmtree(tree)
        return kernel, initramfs

    def run(self, boot, timeout):
        """Boots, runs /share/run, and returns when the machine is off; after `timeout` seconds it is switched off."""
        kernel, initramfs = boot
        console = os.path.join(self.dir, "console")
        argv = ["qemu-system-x86_64", *accelerator(), "-machine", "q35", "-m", "1536", "-smp", "2", "-nodefaults", "-no-user-config",
                "-display", "none", "-no-reboot", "-monitor", "none", "-serial", f"file:{console}", "-kernel", kernel,
                "-initrd", initramfs, "-append", "console=ttyS0 loglevel=4 panic=-1 mitigations=off usb_storage.delay_use=0",
                "-fsdev", f"local,id=share,path={self.share},security_model=none",
                "-device", "virtio-9p-pci,fsdev=share,mount_tag=share", *self.devices]
        start = time.monotonic()
        machine = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            said, _ = machine.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            machine.kill()
            said, _ = machine.communicate()
            said += f"\nswitched off after {timeout} s"
        self.seconds = time.monotonic() - start
        with open(console, encoding="utf-8", errors="replace") as file:
            self.console = file.read() + said
