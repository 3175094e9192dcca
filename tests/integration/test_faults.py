#!/usr/bin/python3
"""Every fault a server can have: the right bytes on the disk, or the right error and a disk that does not boot."""
import os
import unittest

import rig
import together

load_tests = together.at_once(4)

# Tight, so that a test of patience is short; the defaults are minutes.
PATIENCE = ["--connect-timeout", "2", "--stall-timeout", "2", "--retry-deadline", "4"]

# What is to end with the right bytes. {half} is a byte in the middle of the file.
SURVIVED = {
    "nothing": "",
    "connection closed once": "truncate=1&times=1",
    "connection reset once": "reset=1&times=1",
    "connection reset three times": "reset=1&times=3&every=700000",
    "stalled once": "stall=20&times=1",
    "busy twice": "status=503&times=2",
    "too many requests": "status=429&retry_after=1&times=1",
    "chunked": "chunked=1",
    "chunked and cut once": "chunked=1&truncate=1&times=1",
    "no length": "length=none",
    "ranges ignored, cut once": "ranges=ignored&truncate=1&times=1",
    "no ranges offered, cut once": "accept=none&ranges=ignored&reset=1&times=1",
    "weak etag, cut once": "etag=weak&modified=none&truncate=1&times=1",
    "no validator at all, cut once": "etag=none&modified=none&reset=1&times=1",
    "etag changes, content does not": "etag=changing&truncate=1&times=1",
    "half of the range": "ranges=half&reset=1&times=1",
    "redirected": "redirect=3",
    "encoded unasked, cut once": "encoding=gzip&truncate=1&times=1",
    "rate limited": "rate=8000000",
}

# What is to end with an error of that class, soon, and nothing bootable.
REFUSED = {
    "corrupted byte": ("corrupt={half}", "checksum", 4),
    "corrupted first byte after the header": ("corrupt=70000", "checksum", 4),
    "cut for good": ("truncate=1&ranges=ignored&at={half}", "source", 3),
    "cut for good without a length": ("length=none&truncate=1&at={half}", "checksum", 4),
    "stalled for good": ("stall=60&at={half}", "source", 3),
    "longer than announced": ("length=100", "source", 3),
    "not found": ("status=404", "source", 3),
    "forbidden": ("status=403", "source", 3),
    "broken for good": ("status=500", "source", 3),
    "redirect loop": ("redirect=loop", "source", 3),
    "redirect to a file": ("to=file:///etc/passwd", "source", 3),
    "redirect to ftp": ("to=ftp://127.0.0.1/x", "source", 3),
    "a web page": ("html=1", "image", 5),
    "garbage": ("garbage=1", "source", 3),
    "unauthorized": ("auth=user:secret", "source", 3),
}


class Faults(rig.Case):
    def setUp(self):
        super().setUp()
        self.raw = self.disk_image(size=24 * rig.MIB)
        self.size = os.path.getsize(self.raw)
        self.server = self.fault_server()

    def image(self, kind):
        if kind == "raw":
            return self.raw
        return self.qcow2(self.raw, *(["-c"] if kind == "compressed" else []))

    def query(self, text, image):
        # A fault is counted by its whole URL, so each test gets one of its own.
        self.number = getattr(self, "number", 0) + 1
        half = os.path.getsize(image) // 2
        return f"{text.format(half=half)}&case={self.number}"

    def survives(self, kind):
        image = self.image(kind)
        device = self.loop(self.size + 4 * rig.MIB, fill=7)
        for name, text in SURVIVED.items():
            with self.subTest(fault=name):
                url = f"{self.server}/{os.path.basename(image)}?{self.query(text, image)}"
                outcome = self.write(url, device, "--image-checksum", rig.digest(image), *PATIENCE)
                self.assertEqual(outcome.code, 0, outcome)
                self.assert_disk_is(device, self.raw)
                if "times=" in text:
                    self.assertTrue([e for e in outcome.events if e["event"] == "retry"], outcome)

    def is_refused(self, kind):
        image = self.image(kind)
        for name, (text, error_class, code) in REFUSED.items():
            with self.subTest(fault=name):
                device = self.loop(self.size + 4 * rig.MIB)
                url = f"{self.server}/{os.path.basename(image)}?{self.query(text, image)}"
                outcome = self.write(url, device, "--image-checksum", rig.digest(image), *PATIENCE, timeout=30)
                self.assertEqual((outcome.error_class, outcome.code), (error_class, code), outcome)
                self.assert_not_bootable(device)

    def replaced_under_way(self, kind):
        """The first answer breaks off half-way; by the second, the file is another one of the same length."""
        image = self.image(kind)
        for insecure in (False, True):
            with self.subTest(insecure=insecure):
                name = f"replaced-{insecure}"
                with open(image, "rb") as file:
                    content = file.read()
                with open(self.path(name), "wb") as file:
                    file.write(content)
                device = self.loop(self.size)
                checksum = ["--insecure-no-checksum"] if insecure else ["--image-checksum", rig.digest(image)]
                half = len(content) // 2
                process = self.start("write", "--image-url", f"{self.server}/{name}?reset=1&times=1&at={half}&rate=6000000",
                                     "--device", device, "--yes", "--progress", "json", *checksum, *PATIENCE)
                for line in process.stdout:
                    if '"phase":"write"' in line:
                        break
                with open(self.path("new"), "wb") as file:
                    file.write(bytes([content[0] ^ 1]) + content[1:])
                os.replace(self.path("new"), self.path(name))
                out, err = process.communicate(timeout=30)
                self.assertIn('"code":"source.changed"', out, err)
                self.assertEqual(process.returncode, 3)
                self.assert_not_bootable(device)

    def test_survived_raw(self):
        self.survives("raw")

    def test_survived_qcow2(self):
        self.survives("qcow2")

    def test_survived_compressed(self):
        self.survives("compressed")

    def test_refused_raw(self):
        self.is_refused("raw")

    def test_refused_qcow2(self):
        self.is_refused("qcow2")

    def test_refused_compressed(self):
        self.is_refused("compressed")

    def test_replaced_raw(self):
        self.replaced_under_way("raw")

    def test_replaced_qcow2(self):
        self.replaced_under_way("qcow2")

    def test_replaced_compressed(self):
        self.replaced_under_way("compressed")

    def test_resumed_at_the_byte(self):
        image = self.image("compressed")
        url = f"{self.server}/{os.path.basename(image)}?{self.query('reset=1&times=1&at={half}', image)}"
        device = self.loop(self.size)
        outcome = self.write(url, device, "--image-checksum", rig.digest(image), *PATIENCE)
        self.assertEqual(outcome.code, 0, outcome)
        retries = [e for e in outcome.events if e["event"] == "retry"]
        self.assertEqual(len(retries), 1, outcome)
        self.assertGreater(retries[0]["resume_offset"], 0)
        self.assertEqual(outcome.result["bytes_received"], os.path.getsize(image))

    def test_mirrors(self):
        image = self.image("compressed")
        name = os.path.basename(image)
        good = f"{self.server}/{name}?case=good"
        device = self.loop(self.size)
        for bad in (f"{self.server}/{name}?status=404", "http://127.0.0.1:9/nobody",
                    f"{self.server}/{name}?reset=1&at={os.path.getsize(image) // 2}&ranges=ignored"):
            with self.subTest(bad=bad):
                outcome = self.write(bad, device, "--image-url", good, "--image-checksum", rig.digest(image), *PATIENCE)
                self.assertEqual(outcome.code, 0, outcome)
                self.assert_disk_is(device, self.raw)

    def test_grown_image_without_ranges_is_parked(self):
        # The active tables of a grown image come last: without ranges its data waits on the disk's far end.
        big = self.disk_image("big.raw", size=96 * rig.MIB, data=0.9)
        large = self.qcow2(big, name="large.qcow2")
        rig.sh("qemu-img", "resize", "-q", large, "+100G")
        rig.sh("truncate", "-s", str(os.path.getsize(big) + 100 * (1 << 30)), big)
        for text in ("accept=none&ranges=ignored", "", "chunked=1"):
            with self.subTest(server=text):
                device = self.loop(101 << 30)
                url = f"{self.server}/large.qcow2?{self.query(text, large)}"
                outcome = self.write(url, device, "--image-checksum", rig.digest(large), *PATIENCE)
                self.assertEqual(outcome.code, 0, outcome)
                # Its GPT was made for the disk it was before it grew, and now has its backup at the end.
                self.assertEqual(rig.partition_table(device), rig.partition_table(big))
                with open(device, "rb") as disk, open(big, "rb") as image:
                    disk.seek(rig.MIB), image.seek(rig.MIB)
                    self.assertEqual(disk.read(94 * rig.MIB), image.read(94 * rig.MIB))
                    disk.seek(98 * rig.MIB)
                    self.assertEqual(disk.read(rig.MIB), bytes(rig.MIB))


if __name__ == "__main__":
    unittest.main()
