#!/usr/bin/python3
"""`ingot write` and `ingot image-info` as their users meet them: formats, checksums, targets, events, exit codes."""
import bz2
import gzip
import json
import lzma
import os
import pty
import signal
import subprocess
import tarfile
import time
import unittest

import rig


class Write(rig.Case):
    def setUp(self):
        super().setUp()
        self.raw = self.disk_image(size=24 * rig.MIB)
        self.size = os.path.getsize(self.raw)
        self.image = self.qcow2(self.raw, "-c")
        self.server = self.fault_server()
        self.url = f"{self.server}/{os.path.basename(self.image)}"
        self.sum = rig.digest(self.image)

    def url_of(self, path):
        return f"{self.server}/{os.path.basename(path)}"

    def check(self, path, device, *args):
        outcome = self.write(self.url_of(path), device, "--image-checksum", rig.digest(path), *args)
        self.assertEqual(outcome.code, 0, outcome)
        self.assert_disk_is(device, self.raw)
        return outcome

    # What an image may be.

    def test_formats(self):
        images = {"raw": self.raw, "qcow2": self.image}
        for name, driver, options in (("vmdk", "vmdk", "subformat=streamOptimized"),
                                      ("sparse.vmdk", "vmdk", "subformat=monolithicSparse"),
                                      ("vhd", "vpc", "subformat=dynamic,force_size=on"), ("vhdx", "vhdx", ""), ("vdi", "vdi", "")):
            path = self.path(f"disk.{name}")
            rig.sh("qemu-img", "convert", "-f", "raw", "-O", driver, *(["-o", options] if options else []), self.raw, path)
            images[name.split(".")[-1] + ("" if name.count(".") == 0 else "-sparse")] = path
        for name, path in images.items():
            with self.subTest(format=name):
                # Room for the file to be parked in.
                device = self.loop(self.size * 3, fill=3)
                outcome = self.check(path, device)
                self.assertEqual(outcome.result["image_format"], name.split("-")[0])
                self.assertEqual(outcome.result["virtual_size"], self.size)

    def test_compressed(self):
        with open(self.raw, "rb") as file:
            content = file.read()
        made = {"gz": gzip.compress(content, 1), "xz": lzma.compress(content, preset=0), "bz2": bz2.compress(content, 1)}
        for name, data in made.items():
            with open(self.path(f"disk.raw.{name}"), "wb") as file:
                file.write(data)
        rig.sh("zstd", "-q", "-1", self.raw, "-o", self.path("disk.raw.zst"))
        rig.sh("lz4", "-q", self.raw, self.path("disk.raw.lz4"))
        with tarfile.open(self.path("disk.tar.gz"), "w:gz", compresslevel=1) as tar:
            tar.add(self.raw, "dir/disk.raw")
        rig.sh("gzip", "-1", "-k", self.image)
        device = self.loop(self.size + rig.MIB, fill=4)
        for name in ("disk.raw.gz", "disk.raw.xz", "disk.raw.bz2", "disk.raw.zst", "disk.raw.lz4", "disk.tar.gz",
                     os.path.basename(self.image) + ".gz"):
            with self.subTest(name=name):
                self.check(self.path(name), device)

    def test_a_bomb_ends_at_the_end_of_the_disk(self):
        bomb = self.path("bomb.gz")
        with gzip.open(bomb, "wb", compresslevel=9) as file:
            with open(self.raw, "rb") as head:
                file.write(head.read())
            for _ in range(500):
                file.write(bytes(rig.MIB))
        device = self.loop(64 * rig.MIB)
        outcome = self.write(self.url_of(bomb), device, "--image-checksum", rig.digest(bomb))
        self.assertEqual((outcome.code, outcome.error_class), (5, "image"), outcome)
        self.assert_not_bootable(device)

    def test_what_is_no_image_is_refused_with_its_first_bytes(self):
        device = self.loop(self.size)
        files = {"page.html": b"<!DOCTYPE html><html><body>Not found</body></html>" * 40, "short": b"gone\n",
                 "noise": os.urandom(3 * rig.MIB), "empty": b""}
        for name, content in files.items():
            with open(self.path(name), "wb") as file:
                file.write(content)
            with self.subTest(name=name):
                outcome = self.write(self.url_of(self.path(name)), device, "--image-checksum", rig.digest(self.path(name)))
                self.assertEqual((outcome.code, outcome.error_class), (5, "image"), outcome)
                self.assertEqual(self.head(device, rig.MIB), bytes(rig.MIB))
        outcome = self.write(self.url_of(self.path("noise")), device, "--image-checksum", rig.digest(self.path("noise")),
                             "--allow-unrecognized")
        self.assertEqual(outcome.code, 0, outcome)
        # A declared format that the content contradicts.
        for declared, path in (("raw", self.image), ("qcow2", self.raw), ("vmdk", self.image)):
            outcome = self.write(self.url_of(path), device, "--image-checksum", rig.digest(path), "--image-format", declared)
            self.assertEqual((outcome.code, outcome.error_class), (5, "image"), outcome)

    def test_hostile_references_are_refused(self):
        device = self.loop(self.size * 2)
        backed = self.path("backed.qcow2")
        rig.sh("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", "/etc/passwd", backed, "1M")
        external = self.path("external.qcow2")
        rig.sh("qemu-img", "create", "-q", "-f", "qcow2", "-o", f"data_file={self.path('data')}", external, "1M")
        flat = self.path("flat.vmdk")
        rig.sh("qemu-img", "create", "-q", "-f", "vmdk", "-o", "subformat=monolithicFlat", flat, "1M")
        encrypted = self.path("encrypted.qcow2")
        rig.sh("qemu-img", "create", "-q", "-f", "qcow2", "--object", "secret,id=s,data=abc", "-o",
               "encrypt.format=aes,encrypt.key-secret=s", encrypted, "1M")
        for path in (backed, external, flat, encrypted):
            with self.subTest(image=os.path.basename(path)):
                outcome = self.write(self.url_of(path), device, "--image-checksum", rig.digest(path))
                self.assertEqual((outcome.code, outcome.error_class), (5, "image"), outcome)

    def test_a_qcow2_whose_last_cluster_is_short(self):
        short = self.path("short.qcow2")
        rig.sh("qemu-img", "create", "-q", "-f", "qcow2", short, "8M")
        rig.sh("qemu-io", "-c", "write -P 5 1M 512", short)
        whole = os.path.getsize(short)
        for size in (whole - 65024, whole - 65100):
            with self.subTest(missing=whole - size):
                os.truncate(short, size)
                rig.sh("qemu-img", "convert", "-O", "raw", short, self.path("short.raw"))
                packed = f"{short}.gz"  # the length of what is in it is not known
                with open(short, "rb") as file, gzip.open(packed, "wb") as out:
                    out.write(file.read())
                for path in (short, packed):
                    device = self.loop(self.size, fill=7)
                    outcome = self.write(self.url_of(path), device, "--image-checksum", rig.digest(path))
                    self.assertEqual(outcome.code, 0, outcome)
                    self.assert_disk_is(device, self.path("short.raw"))
                    self.assertEqual(self.ingot("image-info", path).code, 0)

    def test_image_info_refuses_what_write_refuses(self):
        with open(self.qcow2(self.raw), "rb") as file:
            good = file.read()
        l1 = int.from_bytes(good[40:48], "big")
        device = self.loop(self.size)
        for name, said, at, value in (("snapshots", "nb_snapshots is 65537", 60, (65537).to_bytes(4, "big")),
                                      ("refcounts", "refcount_table_clusters is 0", 56, bytes(4)),
                                      ("table", "the end of the file", l1, (len(good) // 65536 * 65536).to_bytes(8, "big"))):
            path = self.path(f"{name}.qcow2")
            with open(path, "wb") as file:
                file.write(good[:at] + value + good[at + len(value):] + b"short table")
            for outcome in (self.ingot("image-info", path),
                            self.write(self.url_of(path), device, "--image-checksum", rig.digest(path))):
                with self.subTest(image=name):
                    self.assertEqual(outcome.code, 5, outcome)
                    self.assertIn(said, outcome.err)

    # Checksums.

    def test_checksums(self):
        device = self.loop(self.size)
        good = {a: rig.digest(self.image, a) for a in ("md5", "sha256", "sha512")}
        for algorithm, value in good.items():
            for text in (value, value.upper(), f"  {value}\n", f"{algorithm}:{value}"):
                for declared in ([], ["--image-checksum-type", "auto"], ["--image-checksum-type", algorithm]):
                    outcome = self.write(self.url, device, "--image-checksum", text, *declared)
                    self.assertEqual(outcome.code, 0, outcome)
                    self.assertEqual(outcome.result["digest"], {"type": algorithm, "value": value})
            outcome = self.write(self.url, device, "--image-checksum", "0" * len(value))
            self.assertEqual((outcome.code, outcome.error_class), (4, "checksum"), outcome)
            for part in ("0" * len(value), value, os.path.basename(self.image)):
                self.assertIn(part, outcome.result["error"]["message"])
            self.assert_not_bootable(device)
        for args in (["--image-checksum", good["md5"], "--image-checksum-type", "sha256"],
                     ["--image-checksum", rig.digest(self.image, "sha1")], ["--image-checksum", rig.digest(self.image, "sha384")],
                     ["--image-checksum", "hello"], ["--image-checksum", "sha512:" + good["sha256"]],
                     ["--image-checksum", "sha256:" + good["sha256"], "--image-checksum-type", "sha512"], ["--image-checksum", good["md5"], "--image-checksum-type", "crc32"], []):
            with self.subTest(args=args):
                self.assertEqual(self.write(self.url, device, *args).code, 2)
        outcome = self.write(self.url, device, "--insecure-no-checksum")
        self.assertEqual(outcome.code, 0, outcome)
        self.assert_disk_is(device, self.raw)

    def test_checksum_files(self):
        device = self.loop(self.size)
        name = os.path.basename(self.image)
        md5 = rig.digest(self.image, "md5")
        lists = {"gnu": f"# list\n{'1' * 64}  other.img\n{self.sum}  {name}\n", "star": f"{self.sum} *{name}\n",
                 "bsd": f"SHA256 ({name}) = {self.sum}\nSHA256 (x) = {'2' * 64}\n", "bare": f"{self.sum}\n",
                 "path": f"{self.sum}  ./some/where/{name}\r\n", "types": f"MD5 ({name}) = {md5}\nSHA256 ({name}) = {self.sum}\n"}
        for kind, text in lists.items():
            with open(self.path("SUMS"), "w") as file:
                file.write(text)
            with self.subTest(kind=kind):
                outcome = self.write(self.url, device, "--image-checksum", f"{self.server}/SUMS")
                self.assertEqual(outcome.code, 0, outcome)
        wrong = {"missing": f"{self.sum}  another.img\n", "ambiguous": f"{self.sum}  a/{name}\n{'3' * 64}  b/{name}\n",
                 "html": "<html><body>404</body></html>", "regex": f"{self.sum}  {name.replace('.', 'x')}\n"}
        for kind, text in wrong.items():
            with open(self.path("SUMS"), "w") as file:
                file.write(text)
            with self.subTest(kind=kind):
                outcome = self.write(self.url, device, "--image-checksum", f"{self.server}/SUMS")
                self.assertEqual((outcome.code, outcome.error_class), (4, "checksum"), outcome)

    def test_checksum_file_with_paths(self):
        device = self.loop(self.size)
        os.mkdir(self.path("sub"))
        os.link(self.image, self.path("sub/x.raw"))
        with open(self.path("x.raw"), "wb") as file:
            file.write(b"another image")
        for dot in ("", "./"):
            with open(self.path("SUMS"), "w") as file:
                file.write(f"{rig.digest(self.path('x.raw'))}  {dot}x.raw\n{self.sum}  {dot}sub/x.raw\n")
            for url in ("sub/x.raw", "./sub/x.raw", "sub/x%2eraw?x.raw"):
                with self.subTest(dot=dot, url=url):
                    outcome = self.write(f"{self.server}/{url}", device, "--image-checksum", f"{self.server}/SUMS")
                    self.assertEqual(outcome.code, 0, outcome)
        self.assert_disk_is(device, self.raw)

    def test_checksum_file_of_other_algorithms(self):
        device = self.loop(self.size, fill=7)
        before = rig.digest(device)
        name = os.path.basename(self.image)
        blake = rig.digest(self.image, "blake2b")
        wrong = {"B2SUMS": (f"{blake}  {name}\n", "blake2b"), "DIGESTS": (f"# BLAKE2B HASH\n{blake}  {name}\n", "blake2b"),
                 "SUMS": (f"{rig.digest(self.image, 'sha1')}  {name}\n", "sha1"),
                 "README": (f"{blake}  {name}\nAll of these are values of BLAKE2B!\n", "sha512 or blake2b")}
        for file_name, (text, algorithm) in wrong.items():
            with open(self.path(file_name), "w") as file:
                file.write(text)
            with self.subTest(file=file_name):
                outcome = self.write(self.url, device, "--image-checksum", f"{self.server}/{file_name}")
                self.assertEqual((outcome.code, outcome.result["error"]["code"]), (4, "checksum.list"), outcome)
                self.assertIn(algorithm, outcome.result["error"]["message"])
                self.assertEqual(outcome.result["disk_state"], "untouched")
                self.assertEqual(rig.digest(device), before)
        # What gpg and Gentoo write holds ours as well.
        sha512 = rig.digest(self.image, "sha512").upper()
        groups = [" ".join(sha512[i:i + 8] for i in range(at, at + 64, 8)) for at in (0, 64)]
        right = {"DIGESTS": f"# BLAKE2B HASH\n{blake}  {name}\n# SHA512 HASH\n{sha512}  {name}\n",
                 "gpg": f"{name}: SHA512 = {groups[0]}\n          {groups[1]}\n"}
        for file_name, text in right.items():
            with open(self.path(file_name), "w") as file:
                file.write(text)
            with self.subTest(right=file_name):
                outcome = self.write(self.url, device, "--image-checksum", f"{self.server}/{file_name}")
                self.assertEqual(outcome.code, 0, outcome)

    # Manifests.

    def manifest(self, **properties):
        lines = "".join(f'    metal3.vcluster.com/image-{key.replace("_", "-")}: "{value}"\n' for key, value in properties.items())
        path = self.path("osimage.yaml")
        with open(path, "w") as file:
            file.write("apiVersion: management.loft.sh/v1\nkind: OSImage\nmetadata:\n  name: test\nspec:\n"
                       f"  displayName: Test\n  properties:\n{lines}")
        return path

    def test_osimage(self):
        device = self.loop(self.size)
        outcome = self.ingot("write", "--osimage", self.manifest(url=self.url, checksum=self.sum, checksum_type="sha256"),
                             "--device", device, "--yes", "--progress", "json")
        self.assertEqual(outcome.code, 0, outcome)
        self.assert_disk_is(device, self.raw)
        for bad in (dict(checksum=self.sum), dict(url="", checksum=self.sum), dict(url=self.url, checksum=self.sum, checksum_type="md5"),
                    dict(url=self.url, checksum=self.sum, checksum_type="crc"), dict(url=self.url)):
            with self.subTest(bad=bad):
                path = self.manifest(**bad)
                outcome = self.ingot("write", "--osimage", path, "--device", device, "--yes", "--progress", "json")
                self.assertEqual(outcome.code, 2, outcome)

    # Targets.

    def test_files(self):
        target = self.path("new.img")
        self.check(self.image, target, "--size", "100M")
        self.assertEqual(os.path.getsize(target), 100 * rig.MIB)
        self.assertLess(os.stat(target).st_blocks * 512, 40 * rig.MIB, "a new file is sparse")
        # An existing one, whose old content must not shine through.
        with open(target, "wb") as file:
            file.write(os.urandom(self.size + 12345))
        self.check(self.image, target)
        self.assertEqual(os.path.getsize(target), self.size + 12345)
        outcome = self.write(self.url, self.path("missing"), "--image-checksum", self.sum)
        self.assertEqual((outcome.code, outcome.error_code), (6, "device.missing"), outcome)

    def test_refused_targets(self):
        small = self.loop(self.size - 512)
        read_only = self.loop(self.size, read_only=True)
        big_sectors = self.loop(self.size, sector=4096)
        mounted = self.loop(64 * rig.MIB)
        rig.sh("mkfs.ext4", "-q", mounted)
        os.mkdir(self.path("mnt"))
        rig.sh("mount", mounted, self.path("mnt"))
        self.addCleanup(subprocess.run, ["umount", self.path("mnt")], capture_output=True)
        for device, code in ((small, "device.too-small"), (read_only, "device.read-only"), (mounted, "device.mounted"),
                             (big_sectors, "device.sector-size"), ("/dev/null", "device.unsuitable"),
                             (self.dir, "device.unsuitable"), ("/dev/nowhere", "device.missing")):
            with self.subTest(code=code):
                outcome = self.write(self.url, device, "--image-checksum", self.sum)
                self.assertEqual((outcome.code, outcome.error_code), (6, code), outcome)

    def test_a_busy_device_is_refused(self):
        device = self.loop(self.size)
        slow = self.start("write", "--image-url", self.url + "?rate=1000000", "--device", device, "--yes", "--progress", "json",
                          "--image-checksum", self.sum)
        for line in slow.stdout:
            if '"phase":"write"' in line:
                break
        outcome = self.write(self.url, device, "--image-checksum", self.sum)
        self.assertEqual((outcome.code, outcome.error_code), (6, "device.in-use"), outcome)
        slow.send_signal(signal.SIGTERM)
        slow.communicate(timeout=10)
        self.assertEqual(slow.returncode, 130)

    def test_confirmation(self):
        device = self.loop(self.size, fill=5)
        before = self.head(device)
        args = ["write", "--image-url", self.url, "--device", device, "--image-checksum", self.sum]
        self.assertEqual(self.ingot(*args).code, 2)
        self.assertEqual(self.head(device), before)
        for typed, code in (("no\n", 2), (device + "\n", 0)):
            ours, theirs = pty.openpty()
            process = subprocess.Popen([rig.INGOT, *args], stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True)
            os.close(theirs)
            os.write(ours, typed.encode())
            shown = b""
            try:
                while chunk := os.read(ours, 4096):
                    shown += chunk
            except OSError:
                pass
            os.close(ours)
            self.assertEqual(process.wait(timeout=20), code, shown)
            self.assertIn(device.encode(), shown)
        self.assert_disk_is(device, self.raw)

    def test_dry_run_touches_nothing(self):
        device = self.loop(self.size, fill=6)
        with open(device, "rb") as disk:
            before = disk.read()
        outcome = self.write(self.url, device, "--image-checksum", self.sum, "--dry-run")
        self.assertEqual(outcome.code, 0, outcome)
        outcome = self.write(self.url, device, "--image-checksum", "0" * 64, "--dry-run")
        self.assertEqual(outcome.code, 4, outcome)
        with open(device, "rb") as disk:
            self.assertEqual(disk.read(), before)

    # What is told while it runs.

    def test_events(self):
        device = self.loop(self.size)
        outcome = self.write(self.url + "?rate=4000000", device, "--image-checksum", self.sum)
        self.assertEqual(outcome.code, 0, outcome)
        events = outcome.events
        self.assertEqual([e["seq"] for e in events], list(range(len(events))))
        self.assertEqual(len({e["deploy_id"] for e in events}), 1)
        self.assertEqual(events[0]["event"], "started")
        self.assertEqual(events[0]["device"], device)
        phases = [e["phase"] for e in events if e["event"] == "phase"]
        self.assertEqual(phases, ["connect", "write", "flush", "commit", "done"])
        last = {}
        progress = [e for e in events if e["event"] == "progress"]
        self.assertGreaterEqual(len(progress), 2)
        for event in progress:
            for key in ("bytes_received", "bytes_written", "bytes_zeroed", "percent"):
                if event[key] is not None:
                    self.assertGreaterEqual(event[key], last.get(key, 0), key)
                    last[key] = event[key]
        result = outcome.result
        self.assertEqual(result["status"], "succeeded")
        self.assertIsNone(result["error"])
        self.assertEqual(result["bytes_received"], os.path.getsize(self.image))
        self.assertEqual(result["bytes_written"] + result["bytes_zeroed"], self.size)
        self.assertLess(result["peak_rss"], 96 * rig.MIB)

    def test_cancelled(self):
        for which in (signal.SIGINT, signal.SIGTERM):
            device = self.loop(self.size, fill=8)
            process = self.start("write", "--image-url", self.url + "?rate=1500000", "--device", device, "--yes", "--progress",
                                 "json", "--image-checksum", self.sum)
            for line in process.stdout:
                if '"phase":"write"' in line:
                    break
            time.sleep(0.7)
            start = time.monotonic()
            process.send_signal(which)
            out, err = process.communicate(timeout=30)
            self.assertLess(time.monotonic() - start, 6)
            self.assertEqual(process.returncode, 130, err)
            result = json.loads(out.splitlines()[-1])
            self.assertEqual((result["event"], result["status"]), ("result", "cancelled"))
            self.assert_not_bootable(device)

    def test_secrets_are_nowhere(self):
        device = self.loop(self.size)
        host = self.server.split("//")[1]
        name = os.path.basename(self.image)
        url = f"http://frodo:mellon@{host}/{name}?auth=frodo:mellon&rate=3000000"
        process = self.start("write", "--image-url", url, "--device", device, "--yes", "--progress", "json", "--image-checksum", self.sum)
        for line in process.stdout:
            if '"phase":"write"' in line:
                break
        with open(f"/proc/{process.pid}/cmdline", "rb") as file:
            self.assertNotIn(b"mellon", file.read())
        out, err = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 0, err)
        self.assertNotIn("mellon", line + out + err)
        outcome = self.write(f"http://frodo:mellon@{host}/{name}?auth=frodo:other", device, "--image-checksum", self.sum)
        self.assertEqual(outcome.code, 3)
        self.assertNotIn("mellon", str(outcome))

    def test_file_urls(self):
        device = self.loop(self.size)
        outcome = self.write("file://" + self.image, device, "--image-checksum", self.sum)
        self.assertEqual(outcome.code, 0, outcome)
        self.assert_disk_is(device, self.raw)

    def test_spooling(self):
        # A format that cannot be streamed, and a disk with no room beyond it.
        vmdk = self.path("disk.vmdk")
        rig.sh("qemu-img", "convert", "-O", "vmdk", self.raw, vmdk)
        device = self.loop(self.size)
        refused = self.write(self.url_of(vmdk), device, "--image-checksum", rig.digest(vmdk))
        self.assertEqual((refused.code, refused.error_code), (5, "image.not-streamable"), refused)
        os.mkdir(self.path("scratch"))
        self.check(vmdk, device, "--scratch-dir", self.path("scratch"))
        self.assertEqual(os.listdir(self.path("scratch")), [])

    def test_parking_touches_the_disk(self):
        vmdk = self.path("disk.vmdk")
        rig.sh("qemu-img", "convert", "-O", "vmdk", self.raw, vmdk)
        device = self.loop(self.size * 3, fill=3)
        outcome = self.write(self.url_of(vmdk), device, "--image-checksum", "0" * 64)
        self.assertEqual((outcome.error_code, outcome.result["disk_state"]), ("checksum.mismatch", "unbootable"), outcome)
        self.assert_not_bootable(device)

    # image-info.

    def test_image_info(self):
        outcome = self.ingot("image-info", self.url, "-o", "json")
        self.assertEqual(outcome.code, 0, outcome)
        info = json.loads(outcome.out)
        self.assertEqual((info["format"], info["virtual_size"]), ("qcow2", self.size))
        self.assertEqual(self.ingot("image-info", self.raw, "-o", "json").code, 0)
        text = self.ingot("image-info", self.image)
        self.assertIn("qcow2", text.out)
        self.assertEqual(self.ingot("image-info", self.path("missing")).code, 3)

    def test_help_and_usage(self):
        self.assertEqual(self.ingot("--version").code, 0)
        for args in (["--help"], ["write", "--help"], ["image-info", "--help"]):
            self.assertEqual(self.ingot(*args).code, 0)
        for args in ([], ["write"], ["write", "--nonsense"], ["frobnicate"],
                     ["write", "--image-url", self.url, "--osimage", "x", "--device", "/dev/null"]):
            with self.subTest(args=args):
                self.assertEqual(self.ingot(*args).code, 2)


if __name__ == "__main__":
    unittest.main()
