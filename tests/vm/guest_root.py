"""The guest's kernel and its root file system: an initramfs of Debian's packages and the ingot under test.

What only the guest needs is downloaded by apt and unpacked, not installed: nothing of it ever runs, starts a daemon or
adds udev rules on this machine. What this machine has anyway (file systems' tools, udev, the libraries ingot is linked
with) is copied from it. Downloads are kept under INGOT_IMAGE_CACHE (/var/cache/ingot-demo).
"""
import glob
import hashlib
import os
import re
import shutil
import stat
import struct
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
CACHE = os.environ.get("INGOT_IMAGE_CACHE", "/var/cache/ingot-demo")

KERNEL = "linux-image-amd64"  # names the newest linux-image-VERSION-amd64
PACKAGES = [  # downloaded and unpacked
    "busybox-static", "mdadm", "lvm2", "dmsetup", "cryptsetup-bin", "multipath-tools", "kpartx", "cloud-guest-utils",
    "nvme-cli", "hdparm", "jq",
    # and libraries of theirs that no test machine need have
    "libaio1", "libargon2-1", "libcryptsetup12", "libdevmapper1.02.1", "libdevmapper-event1.02.1", "libedit2", "libjson-c5",
    "libnvme1", "libpopt0", "libreadline8", "liblvm2cmd2.03", "liburcu8", "libhugetlbfs0", "libkmod2", "libbsd0", "libmd0", "libjq1",
    "libonig5",
]
PROGRAMS = [  # looked for in the unpacked packages first, then on this machine
    # What starts others is not busybox's: that runs its own mount, losetup or blkid whatever /bin has.
    "dash", "timeout", "flock", "unshare", "udevadm", "kmod", "lsblk", "blkid", "wipefs", "sfdisk", "sgdisk", "partx", "blockdev", "blkdiscard", "losetup", "mount", "umount",
    "mkswap", "swapon", "swapoff", "mkfs.ext4", "e2fsck", "resize2fs", "mkfs.vfat", "mkfs.fat", "fsck.vfat", "mkfs.xfs",
    "mkfs.btrfs", "mcopy", "mmd", "mdir", "mtype", "efibootmgr",
    "mdadm", "lvm", "dmsetup", "cryptsetup", "multipath", "kpartx", "growpart", "nvme", "hdparm", "jq",
]
UDEV_HELPERS = ["ata_id", "scsi_id", "cdrom_id"]
# 64-md-raid-assembly and 69-lvm are left out: a guest that starts arrays by itself tests less reliably what an array
# that is, or is not, running does to ingot.
UDEV_RULES = [
    "01-md-raid-creating", "50-udev-default", "55-dm", "56-dm-mpath", "56-lvm", "60-block", "60-cdrom_id", "60-multipath",
    "60-persistent-storage", "60-persistent-storage-dm", "63-md-raid-arrays", "64-btrfs", "95-dm-notify",
]
MODULES = [
    # disks and what they hang from
    "virtio_pci", "virtio_blk", "virtio_scsi", "nvme", "ahci", "sd_mod", "sr_mod", "xhci_pci", "usb_storage", "uas",
    "sdhci_pci", "mmc_block", "mptsas", "scsi_debug", "loop",
    # what stands on disks
    "md_mod", "raid0", "raid1", "raid456", "dm_mod", "dm_crypt", "dm_multipath", "dm_round_robin", "dm_service_time",
    "scsi_dh_alua", "dm_snapshot",
    # a SCSI target in the kernel: disks with a vendor extension in their WWN
    "tcm_loop", "target_core_mod", "target_core_file", "target_core_iblock", "configfs",
    # file systems, and the folder shared with the host
    "ext4", "xfs", "btrfs", "vfat", "nls_cp437", "nls_ascii", "nls_utf8", "nls_iso8859_1", "isofs", "udf", "9p", "9pnet_virtio", "efivarfs",
    # what inspection looks at
    "e1000e", "ipmi_si", "ipmi_devintf", "dmi_sysfs",
    # what dm-crypt and cryptsetup ask the kernel's cryptography for
    "aes_generic", "aesni_intel", "xts", "cbc", "essiv", "sha256_generic", "sha512_generic", "algif_skcipher", "algif_hash",
    "crc32c_generic", "crc32c_intel",
]
LIBRARY_FOLDERS = ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "lib", "usr/lib"]


def run(*argv, **kwargs):
    """A helper program's output; its failure is an error with everything it said."""
    done = subprocess.run(argv, capture_output=True, text=True, **kwargs)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def unpacked_packages():
    """The folder with everything PACKAGES and the kernel's package hold; downloads what is not there yet."""
    key = hashlib.sha256("\n".join([KERNEL, *PACKAGES]).encode()).hexdigest()[:12]
    ready = os.path.join(CACHE, "vm", key)
    if os.path.isdir(ready):
        return ready
    work = f"{ready}.{os.getpid()}"
    os.makedirs(os.path.join(work, "debs"))
    try:
        try:
            _download(os.path.join(work, "debs"))
        except RuntimeError:  # package lists missing, or so old that the files are gone
            run("apt-get", "-q", "update")
            _download(os.path.join(work, "debs"))
        for package in glob.glob(os.path.join(work, "debs", "*.deb")):
            run("dpkg-deb", "-x", package, work)
        shutil.rmtree(os.path.join(work, "debs"))
        run("depmod", "-b", work, kernel_version(work))
        os.rename(work, ready)
    except OSError:
        if not os.path.isdir(ready):  # otherwise another run was quicker
            raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return ready


def _download(folder):
    depends = run("apt-cache", "depends", "--important", KERNEL)
    kernel = re.search(r"Depends: (linux-image-\S+)", depends)
    if not kernel:
        raise RuntimeError(f"{KERNEL} is in no package list of apt's")
    run("apt-get", "-q", "-o", "Acquire::Retries=3", "download", kernel.group(1), *PACKAGES, cwd=folder)


def kernel_version(unpacked):
    return os.listdir(os.path.join(unpacked, "lib", "modules"))[0]


class Root:
    """A folder that becomes the initramfs."""

    def __init__(self, folder, unpacked):
        self.folder = folder
        self.unpacked = unpacked
        self.binaries = []

    def path(self, name):
        return os.path.join(self.folder, name.lstrip("/"))

    def put(self, source, name, mode=0o755):
        target = self.path(name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copyfile(source, target)
        os.chmod(target, mode)

    def find(self, name, folders):
        for root in (self.unpacked, "/"):
            for folder in folders:
                path = os.path.join(root, folder, name)
                if os.path.exists(path):
                    return os.path.realpath(path)
        raise RuntimeError(f"{name} is neither in {self.unpacked} nor on this machine")

    def program(self, name, source=None):
        source = source or self.find(name, ["usr/sbin", "usr/bin", "sbin", "bin"])
        self.put(source, f"bin/{name}")
        with open(source, "rb") as file:
            if file.read(4) == b"\x7fELF":
                self.binaries.append(source)

    def libraries(self):
        """Every library the programs need, where the loader looks for it."""
        search = ":".join(os.path.join(self.unpacked, folder) for folder in LIBRARY_FOLDERS)
        listing = run("ldd", *self.binaries, env={**os.environ, "LD_LIBRARY_PATH": search})
        missing = re.findall(r"(\S+) => not found", listing)
        if missing:
            raise RuntimeError(f"libraries that no package listed here has: {' '.join(sorted(set(missing)))}")
        found = dict(re.findall(r"^\s+(\S+) => (/\S+) \(", listing, re.M))
        for name, source in found.items():
            self.put(os.path.realpath(source), f"lib/{name}")
        self.put(os.path.realpath("/lib64/ld-linux-x86-64.so.2"), "lib64/ld-linux-x86-64.so.2")
        # pthread_cancel loads it by name.
        self.put(self.find("libgcc_s.so.1", LIBRARY_FOLDERS), "lib/libgcc_s.so.1")

    def modules(self, names):
        """The modules with what they depend on, and the lists modprobe and udev find them by."""
        version = kernel_version(self.unpacked)
        source = os.path.join(self.unpacked, "lib", "modules", version)
        depends, path_of = {}, {}
        with open(os.path.join(source, "modules.dep"), encoding="ascii") as file:
            for line in file:
                path, rest = line.split(":")
                name = os.path.basename(path).split(".")[0].replace("-", "_")
                path_of[name] = path
                depends[path] = rest.split()
        with open(os.path.join(source, "modules.builtin"), encoding="ascii") as file:
            builtin = {os.path.basename(line.strip()).split(".")[0].replace("-", "_") for line in file}
        with open(os.path.join(source, "modules.softdep"), encoding="ascii") as file:
            soft = {words[1]: [word for word in words[2:] if not word.endswith(":")]
                    for words in (line.split() for line in file) if words[:1] == ["softdep"]}
        wanted, todo = set(), list(names)
        while todo:
            name = todo.pop().replace("-", "_")
            path = path_of.get(name)
            if path is None:
                if name in names and name not in builtin:
                    raise RuntimeError(f"the kernel has no module {name}")
                continue
            for each in [path, *depends[path]]:
                if each not in wanted:
                    wanted.add(each)
                    todo += soft.get(os.path.basename(each).split(".")[0].replace("-", "_"), [])
        for path in wanted:
            self.put(os.path.join(source, path), f"lib/modules/{version}/{path}", 0o644)
        for name in ("modules.builtin", "modules.order", "modules.builtin.modinfo"):
            self.put(os.path.join(source, name), f"lib/modules/{version}/{name}", 0o644)
        run("depmod", "-b", self.folder, version)

    def write(self, name, text, mode=0o644):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.path(name), mode)

    def archive(self, target):
        """The folder as a cpio archive ("newc", Documentation/driver-api/early-userspace/buffer-format.rst)."""
        with open(target, "wb") as out:
            def entry(name, mode, body=b"", device=(0, 0)):
                encoded = name.encode() + b"\0"
                fields = [0, mode, 0, 0, 1, 0, len(body), 0, 0, *device, len(encoded), 0]
                out.write(b"070701" + b"".join(b"%08X" % field for field in fields) + encoded)
                out.write(bytes(-out.tell() % 4))
                out.write(body)
                out.write(bytes(-out.tell() % 4))

            for at, folders, files in os.walk(self.folder):
                for name in sorted(folders + files):
                    path = os.path.join(at, name)
                    info = os.lstat(path)
                    body = b""
                    if stat.S_ISLNK(info.st_mode):
                        body = os.readlink(path).encode()
                    elif stat.S_ISREG(info.st_mode):
                        with open(path, "rb") as file:
                            body = file.read()
                    entry(os.path.relpath(path, self.folder), info.st_mode, body)
            entry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
            entry("TRAILER!!!", 0)


def build(target, ours, work):
    """Writes the initramfs to `target`, made in the empty folder `work`; returns the kernel's path. `ours`: paths of the
    programs under test."""
    unpacked = unpacked_packages()
    root = Root(work, unpacked)
    for folder in ("proc", "sys", "dev", "run", "tmp", "mnt", "share", "root", "var/lock", "etc/lvm", "etc/multipath"):
        os.makedirs(root.path(folder))
    # Under usr as well: scripts and rules name their programs by whole paths.
    for name, where in (("sbin", "bin"), ("usr/bin", "../bin"), ("usr/sbin", "../bin"), ("usr/lib", "../lib"), ("var/run", "../run")):
        os.makedirs(os.path.dirname(root.path(name)), exist_ok=True)
        os.symlink(where, root.path(name))
    busybox = root.find("busybox", ["bin", "usr/bin"])
    root.put(busybox, "bin/busybox")
    for applet in set(run(busybox, "--list").split()) - {"busybox"}:
        os.symlink("busybox", root.path(f"bin/{applet}"))
    for name in PROGRAMS:
        if os.path.lexists(root.path(f"bin/{name}")):
            os.unlink(root.path(f"bin/{name}"))
        root.program(name)
    for name, program in (("sh", "dash"), ("modprobe", "kmod"), ("lsmod", "kmod"), ("rmmod", "kmod")):
        os.unlink(root.path(f"bin/{name}"))
        os.symlink(program, root.path(f"bin/{name}"))
    for program in ours:
        stripped = os.path.join(work, os.path.basename(program))
        run("strip", "-o", stripped, program)
        root.program(os.path.basename(program), stripped)
    for name in UDEV_HELPERS:
        source = root.find(name, ["lib/udev", "usr/lib/udev"])
        root.put(source, f"lib/udev/{name}")
        root.binaries.append(source)
    os.symlink("../../bin/udevadm", root.path("lib/udev/systemd-udevd"))
    for name in UDEV_RULES:
        root.put(root.find(f"{name}.rules", ["lib/udev/rules.d", "usr/lib/udev/rules.d"]), f"lib/udev/rules.d/{name}.rules", 0o644)
    for plugin in glob.glob(os.path.join(unpacked, "lib", "multipath", "*.so")):
        root.put(plugin, f"lib/multipath/{os.path.basename(plugin)}")
        root.binaries.append(plugin)
    # What mtools converts file names with; libc's packages have it on every Debian machine.
    for pattern in ("lib/x86_64-linux-gnu/gconv/gconv-modules*", "lib/x86_64-linux-gnu/gconv/IBM437.so", "lib/locale/C.utf8/*"):
        for source in glob.glob(f"/usr/{pattern}"):
            if os.path.isfile(source):
                root.put(source, os.path.relpath(source, "/usr"))
    root.libraries()
    for program in ours:
        os.unlink(os.path.join(work, os.path.basename(program)))
    root.modules(MODULES)
    for name in ("passwd", "group"):
        root.put(f"/etc/{name}", f"etc/{name}", 0o644)
    root.write("etc/lvm/lvm.conf", "devices { use_devicesfile = 0 }\nactivation { monitoring = 0 }\nglobal { event_activation = 0 }\n")
    root.write("etc/multipath.conf", "defaults {\n find_multipaths yes\n user_friendly_names yes\n}\n")
    root.write("etc/mke2fs.conf", "[defaults]\n base_features = sparse_super,large_file,filetype,resize_inode,dir_index,ext_attr\n"
               " blocksize = 4096\n inode_size = 256\n inode_ratio = 16384\n[fs_types]\n small = {\n }\n ext4 = {\n"
               "  features = has_journal,extent,huge_file,flex_bg,metadata_csum,64bit,dir_nlink,extra_isize\n }\n")
    root.put(os.path.join(HERE, "guest", "init"), "init")
    root.archive(target)
    return glob.glob(os.path.join(unpacked, "boot", "vmlinuz-*"))[0]
