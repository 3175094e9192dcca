#!/usr/bin/env python3
"""A server without an OS boots the RAM disk, installs itself, restarts, and what starts is what was asked for.

Run it through `./dev e2e`, which makes the RAM disk and the image, and gives this a network of its own.
"""
import concurrent.futures
import contextlib
import glob
import hashlib
import http.server
import json
import os
import random
import re
import secrets
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from guest import GIB, HOST, RAMDISK, Guest

import controller_rig  # noqa: E402  tests/integration
import ironic_rig  # noqa: E402
import together  # noqa: E402

IMAGE = os.environ.get("INGOT_E2E_IMAGE", "/var/cache/ingot-demo/debian-12-demo.qcow2")
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
ALL = bool(os.environ.get("INGOT_E2E_ALL"))
# What `./dev e2e --all` has put on the kernel command line of the disc image and of the unified kernel image.
MEDIA_PORT = 8765
# Seconds. An emulated server takes a minute for what a real one does in two seconds, and two of them share two cores.
INSTALL, BOOT = 600, 600


class Files:
    """Serves images and what else a test gives it over HTTP, to guests and to this machine alike."""

    def __init__(self, port=0):
        self.texts = {}
        self.images = {"/image.qcow2": IMAGE}
        files = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_HEAD(self):
                self.do_GET()

            def do_GET(self):
                path = self.path.split("?")[0]
                if path in files.texts:
                    return self.body(files.texts[path].encode())
                if path not in files.images:
                    return self.send_error(404)
                with open(files.images[path], "rb") as file:
                    size = os.fstat(file.fileno()).st_size
                    begin = int((re.match(r"bytes=(\d+)-", self.headers.get("Range", "")) or [0, 0])[1])
                    self.send_response(206 if begin else 200)
                    self.send_header("Content-Length", str(size - begin))
                    self.send_header("Accept-Ranges", "bytes")
                    if begin:
                        self.send_header("Content-Range", f"bytes {begin}-{size - 1}/{size}")
                    self.end_headers()
                    file.seek(begin)
                    if self.command == "GET":
                        with contextlib.suppress(ConnectionError):
                            while block := file.read(1 << 20):
                                self.wfile.write(block)

            def body(self, body):
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

        self.server = http.server.ThreadingHTTPServer(("", port), Handler)  # of this network namespace
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://{HOST}:{self.server.server_address[1]}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def checksum():
    with open(IMAGE + ".sha256", encoding="ascii") as file:
        return file.read().split()[0]


class Case(unittest.TestCase):
    port = 0  # of the web server; 0: any

    def setUp(self):
        self.files = Files(self.port)
        self.addCleanup(self.files.close)
        # What only a cloud-init that read this very config drive can say.
        self.word = "consumed-" + secrets.token_hex(8)
        self.user_data = ("#cloud-config\nruncmd:\n"
                          f"  - [sh, -c, 'echo \"user data {self.word} on $(hostname)\" >/dev/ttyS0']\n")
        self.files.texts["/user-data"] = self.user_data

    def guest(self, *args, **more):
        guest = Guest(*args, **more)
        self.addCleanup(guest.close)
        return guest

    def image_words(self):
        return f"ingot.image-url={self.files.url}/image.qcow2 ingot.image-checksum=sha256:{checksum()}"

    def assert_installs(self, guest, command_line):
        """Boots the RAM disk; the machine restarts by itself."""
        guest.start(command_line)
        seconds = guest.watch(INSTALL, r"reboot: (Restarting system|Power down)", off=True)
        guest.cut()
        return seconds

    def assert_starts(self, guest, host="ingot|debian|[a-z0-9-]+"):
        """Starts from its disk, as far as the login prompt, and cloud-init has done what the config drive says."""
        guest.start()
        seconds = guest.watch(BOOT, rf"(?m)^Debian GNU/Linux 12 ({host}) ttyS0", rf"user data {self.word} on ({host})\b", r" login: ")
        guest.cut()
        return seconds


class KernelCommandLine(Case):
    """Nothing but the kernel command line says what a server is to become."""

    def install_and_start(self, guest, target="ingot.root-device-hints=serial=E2E-TARGET"):
        installed = self.assert_installs(guest, f"{self.image_words()} {target} ingot.user-data-url={self.files.url}/user-data")
        started = self.assert_starts(guest)
        print(f"{self.id()}: installed after {installed:.0f} s, started after {started:.0f} s", flush=True)

    def test_bios(self):
        self.assertGreater(json.loads(subprocess.run(["qemu-img", "info", "--output=json", IMAGE], check=True, capture_output=True)
                                      .stdout)["virtual-size"], 1.5 * GIB)
        self.install_and_start(self.guest("bios"))

    @unittest.skipUnless(ALL, "./dev e2e --all")
    def test_a_wrong_checksum_starts_nothing(self):
        guest = self.guest("bios")
        guest.start(f"ingot.image-url={self.files.url}/image.qcow2 ingot.image-checksum=sha256:{'0' * 64} "
                    "ingot.device=/dev/vda ingot.retry=never")
        guest.watch(INSTALL, r"checksum\.mismatch")
        guest.cut()
        with open(guest.path, "rb") as file:
            self.assertEqual(file.read(1 << 20), bytes(1 << 20))
        guest.start()
        # SeaBIOS's words, which it shows on the serial console of no machine: what is not there is GRUB and a kernel.
        with self.assertRaises(AssertionError):
            guest.watch(20, "GRUB|Linux version")
        guest.cut()

    @unittest.skipUnless(ALL, "./dev e2e --all")
    def test_uefi_nvme(self):
        self.install_and_start(self.guest("uefi", "nvme"))

    @unittest.skipUnless(ALL, "./dev e2e --all")
    def test_sectors_of_4096_bytes(self):
        """The same system in an image that was made for such disks; one that was not is refused before anything is written."""
        guest = self.guest("uefi", "nvme-4k")
        guest.start(f"{self.image_words()} ingot.root-device-hints=serial=E2E-TARGET ingot.retry=never")
        guest.watch(INSTALL, r"device\.sector-size")
        guest.cut()
        self.assertEqual(os.stat(guest.path).st_blocks, 0)
        raw = os.path.join(guest.dir, "image-4k.raw")
        make_4k_image(raw)
        self.files.images["/image-4k.raw"] = raw
        digest = subprocess.run(["sha256sum", raw], check=True, capture_output=True, text=True).stdout.split()[0]
        installed = self.assert_installs(guest, f"ingot.image-url={self.files.url}/image-4k.raw ingot.image-checksum={digest} "
                                         f"ingot.device=/dev/nvme0n1 ingot.user-data-url={self.files.url}/user-data")
        started = self.assert_starts(guest)
        print(f"{self.id()}: installed after {installed:.0f} s, started after {started:.0f} s", flush=True)

    @unittest.skipUnless(ALL, "./dev e2e --all")
    def test_kexec(self):
        """The new system starts without the firmware: in the same run of the machine, whose reset would end it."""
        guest = self.guest("bios")
        guest.start(f"{self.image_words()} ingot.device=/dev/vda ingot.on-success=kexec ingot.user-data-url={self.files.url}/user-data")
        seconds = guest.watch(BOOT, "on success: kexec: ", "Debian GNU/Linux 12 .* ttyS0", f"user data {self.word} on ")
        self.assertNotRegex(guest.console(), "GRUB|SeaBIOS")
        print(f"{self.id()}: started after {seconds:.0f} s", flush=True)

    @unittest.skipUnless(ALL, "./dev e2e --all")
    def test_bios_scsi(self):
        self.install_and_start(self.guest("bios", "scsi"))

    @unittest.skipUnless(ALL, "./dev e2e --all")
    def test_bios_sata(self):
        """Its image has no driver for SATA: what was written there starts as another kind of disk."""
        guest = self.guest("bios", "sata")
        self.assert_installs(guest, f"{self.image_words()} ingot.root-device-hints=serial=E2E-TARGET "
                             f"ingot.user-data-url={self.files.url}/user-data")
        guest.devices = []
        guest.attach("target", "virtio", "E2E-TARGET", guest.path)
        self.assert_starts(guest)

    @unittest.skipUnless(ALL, "./dev e2e --all")
    def test_server_flavour(self):
        self.install_and_start(self.guest("uefi", flavour="server", memory=768))

    @unittest.skipUnless(ALL, "./dev e2e --all")
    def test_without_an_order_the_console_says_so(self):
        guest = self.guest("bios")
        guest.start("quiet")
        guest.watch(INSTALL, "nothing is to be done: the kernel command line has neither")
        guest.cut()
        self.assertEqual(os.stat(guest.path).st_blocks, 0)

    @unittest.skipUnless(ALL, "./dev e2e --all")
    def test_two_disks(self):
        guest = self.guest("bios")
        other = guest.add_disk("other", "virtio", 8 * GIB, "E2E-OTHER")
        self.install_and_start(guest)
        with open(other, "rb") as file:
            self.assertEqual(os.stat(other).st_blocks, 0, "the other disk was written to")


class Controller(Case):
    """ingot-controller says what each machine is to become, and is told how it goes."""

    def test_uefi(self):
        guest = self.guest("uefi", "nvme")
        folder = tempfile.TemporaryDirectory(prefix="ingot-e2e-controller-", dir="/var/tmp")
        self.addCleanup(folder.cleanup)
        controller = controller_rig.Controller(folder.name)
        controller.write(controller.catalog, "noble.yaml",
                         controller_rig.os_image(url=f"{self.files.url}/image.qcow2", checksum=checksum()))
        machine = json.loads(controller_rig.machine("node-7", mac_addresses=guest.mac))
        properties = machine["spec"]["properties"]
        del properties["ingot.io/device"]
        properties.update({"ingot.io/root-device-hints": json.dumps({"serial": "E2E-TARGET"}), "vcluster.com/user-data": self.user_data})
        controller.write(controller.machines, "node-7.yaml", json.dumps(machine))
        controller.start()
        self.addCleanup(controller.stop)

        provision = f"ingot.from=http://{HOST}:{controller.port}/v1/provision"
        installed = self.assert_installs(guest, provision)
        (deployment,) = controller.get("/v1/machines/node-7/deployments")[2]["deployments"]
        self.assertEqual(deployment["status"], "succeeded", deployment)
        started = self.assert_starts(guest, "node-7")
        print(f"{self.id()}: installed after {installed:.0f} s, started after {started:.0f} s", flush=True)

        # Whoever boots from the network first is told that there is nothing more to do, and nothing is written.
        before = os.stat(guest.path).st_mtime_ns
        guest.start(provision)
        guest.watch(BOOT, "nothing is to be done|installed already")
        guest.cut()
        self.assertEqual(os.stat(guest.path).st_mtime_ns, before)


class Ironic(Case):
    """An unmodified Ironic drives a server through `ingot agent`."""

    def deploy(self, firmware, disk):
        ironic = ironic_rig.Ironic(heartbeat_timeout=60, callback_timeout=INSTALL)
        ironic.start()
        self.addCleanup(ironic.stop)
        port = ironic_rig.free_port()
        guest = self.guest(firmware, disk, forward=port)
        node = ironic.node(guest.mac, {"serial": "E2E-TARGET"}, boot_mode=firmware)
        node.ask("provide")
        node.wait("available")
        node.deploy(f"{self.files.url}/image.qcow2", "qcow2", image_os_hash_algo="sha256", image_os_hash_value=checksum(),
                    configdrive={"meta_data": {"uuid": node.uuid, "hostname": "node-8"}, "user_data": self.user_data})
        guest.start(f"ipa-api-url=http://{HOST}:{ironic.port} ipa-advertise-host=127.0.0.1 ipa-advertise-port={port} "
                    "ipa-advertise-protocol=http ipa-insecure=1")
        heartbeat = None
        while node.state != "active":
            if heartbeat is None and node.record["driver_internal_info"].get("agent_url"):
                heartbeat = time.monotonic() - guest.started
            if node.state == "deploy failed" or time.monotonic() - guest.started > INSTALL:
                raise AssertionError(f"{node.state}: {node.last_error}\n{guest.story()}\n{ironic.log()}")
            time.sleep(0.5)
        installed = guest.watch(INSTALL, off=True)
        guest.cut()
        started = self.assert_starts(guest, "node-8")
        print(f"{self.id()}: first heartbeat after {heartbeat:.0f} s, installed after {installed:.0f} s, started after "
              f"{started:.0f} s", flush=True)

    def test_bios(self):
        self.deploy("bios", "scsi")

    @unittest.skipUnless(ALL, "./dev e2e --all")
    def test_uefi(self):
        self.deploy("uefi", "virtio")


def make_4k_image(path):
    """The image for disks with sectors of 4096 bytes: the same partitions with a GPT and an EFI system partition of their own."""
    run = lambda *argv, **more: subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True, **more).stdout.strip()
    run("qemu-img", "convert", "-O", "raw", IMAGE, path)
    old = json.loads(run("sfdisk", "--json", path))["partitiontable"]["partitions"]
    loop = run("losetup", "--find", "--show", "--sector-size", "4096", path)
    try:
        run("wipefs", "--quiet", "--all", loop)
        run("sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", loop, input="label: gpt\n" + "".join(
            f"start={part['start'] // 8}, size={part['size'] // 8}, type={part['type']}, name={part['name']}\n" for part in old))
    finally:
        run("losetup", "--detach", loop)
    (esp,) = [part for part in old if part["name"] == "esp"]
    with tempfile.TemporaryDirectory(dir=os.path.dirname(path)) as folder:
        program, new = os.path.join(folder, "BOOTX64.EFI"), os.path.join(folder, "esp")
        run("mcopy", "-i", f"{path}@@{esp['start'] * 512}", "::/EFI/BOOT/BOOTX64.EFI", program)
        run("mkfs.vfat", "-C", "-S", "4096", "-s", "1", "-n", "ESP", new, str(esp["size"] // 2))
        run("mmd", "-i", new, "::/EFI", "::/EFI/BOOT")
        run("mcopy", "-i", new, program, "::/EFI/BOOT/")
        run("dd", f"if={new}", f"of={path}", "bs=512", f"seek={esp['start']}", "conv=notrunc", "status=none")


@unittest.skipUnless(ALL, "./dev e2e --all")
class Media(Case):
    """The RAM disk as one file for firmware, whose kernel command line is in it."""

    port = MEDIA_PORT

    def setUp(self):
        super().setUp()
        self.files.texts["/order"] = json.dumps({"apiVersion": "ingot.io/v1", "kind": "DeployRequest", "metadata": {"name": "media"}, "spec": {
            "image": {"urls": [f"{self.files.url}/image.qcow2"], "checksum": f"sha256:{checksum()}"},
            "target": {"rootDeviceHints": {"serial": "E2E-TARGET"}}, "configDrive": {"userData": self.user_data}}})

    def install_and_start(self, guest, medium):
        guest.start(medium=medium)
        installed = guest.watch(INSTALL, "reboot: Restarting system", off=True)
        guest.cut()
        started = self.assert_starts(guest)
        print(f"{self.id()}: installed after {installed:.0f} s, started after {started:.0f} s", flush=True)

    def test_disc_under_bios(self):
        self.install_and_start(self.guest("bios"), os.path.join(RAMDISK, "ingot-virtual.iso"))

    def test_disc_under_uefi(self):
        self.install_and_start(self.guest("uefi"), os.path.join(RAMDISK, "ingot-virtual.iso"))

    def test_unified_kernel_image(self):
        """In the EFI system partition of a stick, as a boot loader of its own."""
        guest = self.guest("uefi")
        stick = os.path.join(guest.dir, "stick")
        for argv in (["mkfs.vfat", "-C", "-F", "32", stick, str(100 << 10)], ["mmd", "-i", stick, "::/EFI", "::/EFI/BOOT"],
                     ["mcopy", "-i", stick, os.path.join(RAMDISK, "ingot-virtual.efi"), "::/EFI/BOOT/BOOTX64.EFI"]):
            subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
        disk = guest.devices[0]
        guest.devices.append(["-drive", f"if=none,id=stick,format=raw,file={stick}", "-device", "qemu-xhci",
                              "-device", "usb-storage,drive=stick,bootindex=0,removable=on"])
        guest.start()
        installed = guest.watch(INSTALL, "reboot: Restarting system", off=True)
        guest.cut()
        guest.devices = [disk]
        started = self.assert_starts(guest)
        print(f"{self.id()}: installed after {installed:.0f} s, started after {started:.0f} s", flush=True)


class Reproducible(Case):
    @unittest.skipUnless(ALL, "./dev e2e --all")
    def test_two_builds_are_the_same_bytes(self):
        with tempfile.TemporaryDirectory(prefix="ingot-e2e-build-", dir="/var/tmp") as folder:
            (package,) = glob.glob(os.path.join(ROOT, "build", "packages", "ingot_*.deb"))
            digests = []
            for number in "12":
                output = os.path.join(folder, number)
                subprocess.run([os.path.join(ROOT, "packaging", "ramdisk", "build"), "--package", package, "--output", output,
                                "--iso", "--uki"], check=True, capture_output=True)
                digests.append({})
                for name in sorted(os.listdir(output)):
                    with open(os.path.join(output, name), "rb") as file:
                        digests[-1][name] = hashlib.file_digest(file, "sha256").hexdigest()
            self.assertEqual(len(digests[0]), 6, digests[0])
            self.assertEqual(digests[0], digests[1])


class PowerCut(Case):
    """The power fails at any moment of an installation."""

    CUTS = 20

    @unittest.skipUnless(ALL, "./dev e2e --all")
    def test_never_half_an_image(self):
        guest = self.guest("bios")
        words = (f"{self.image_words()} ingot.device=/dev/vda ingot.user-data-url={self.files.url}/user-data")
        guest.start(words)
        begin = guest.watch(INSTALL, "write|receiv")
        end = guest.watch(INSTALL, "reboot: Restarting system", off=True)
        guest.cut()
        halves = 0
        for cut in range(self.CUTS):
            with open(guest.path, "r+b") as file:
                file.truncate(0)
                file.truncate(4 * GIB)
            after = random.uniform(begin * 0.9, end)
            guest.start(words)
            while time.monotonic() - guest.started < after and guest.process.poll() is None:
                time.sleep(0.05)
            whole = "reboot: Restarting system" in guest.console()
            guest.cut()
            if whole:
                continue
            halves += 1
            with open(guest.path, "rb") as file:
                bootable = file.read(512)[510:512] == b"\x55\xaa"
            guest.start()
            if bootable:
                # Committed before the power failed: then it is whole, and starts.
                guest.watch(BOOT, r" login: ")
            else:
                with self.assertRaises(AssertionError, msg=f"cut {cut} after {after:.1f} s"):
                    guest.watch(15, "GRUB|Linux version")
            guest.cut()
        self.assertGreater(halves, self.CUTS // 2)
        self.assert_installs(guest, words)
        self.assert_starts(guest)


def run_here(tests):
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(unittest.TestSuite(tests))
    failed = len(result.failures) + len(result.errors)
    return result.testsRun - len(result.skipped) - failed, failed


def run_beside(tests):
    """Tests in a process of their own: what it counted, after its output was shown."""
    names = [test.id().removeprefix("__main__.") for test in tests]
    done = subprocess.run([sys.executable, os.path.abspath(__file__), "--here", *names], text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    numbers = re.search(r"^(\d+) passed, (\d+) failed$", done.stdout.splitlines()[-1] if done.stdout else "")
    print(done.stdout, flush=True)
    return (int(numbers[1]), int(numbers[2])) if numbers else (0, 1)


def main():
    names = [word for word in sys.argv[1:] if word != "--here"]
    loader, module = unittest.defaultTestLoader, sys.modules[__name__]
    tests = list(together.cases(loader.loadTestsFromNames(names, module) if names else loader.loadTestsFromModule(module)))
    if "--here" in sys.argv or len(tests) == 1:
        counts = [run_here(tests)]
    else:
        # A server that starts waits half of the time. Those with more parts to them first; tests that share a port follow each other.
        groups = {}
        for test in sorted(tests, key=lambda test: isinstance(test, KernelCommandLine)):
            method = getattr(test, test._testMethodName)
            if getattr(test, "__unittest_skip__", False) or getattr(method, "__unittest_skip__", False):
                continue
            groups.setdefault(test.port or test.id(), []).append(test)
        if not groups:
            sys.exit("none of these tests runs without --all")
        with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            counts = list(pool.map(run_beside, groups.values()))
    passed, failed = (sum(each) for each in zip(*counts))
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
