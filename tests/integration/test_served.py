#!/usr/bin/python3
"""Images as they are published: in archives with texts beside them, and by servers with habits of their own."""
import io
import json
import os
import tarfile
import unittest

import rig


class Archives(rig.Case):
    def setUp(self):
        super().setUp()
        self.raw = self.disk_image(size=24 * rig.MIB)
        self.image = self.qcow2(self.raw, "-c")
        self.server = self.fault_server()
        self.device = self.loop(32 * rig.MIB, fill=4)

    def tar(self, name, *files):
        """A tar of `files`: paths, or (name, content), or (name, None, type) for what is no file."""
        path = self.path(name)
        with tarfile.open(path, "w:gz" if name.endswith("gz") else "w") as tar:
            for file in files:
                if isinstance(file, str):
                    tar.add(file, "dir/" + os.path.basename(file))
                    continue
                entry = tarfile.TarInfo(file[0])
                if len(file) == 3:
                    entry.type, entry.linkname = file[2], "dir/disk.raw" if file[2] != tarfile.BLKTYPE else ""
                    tar.addfile(entry)
                else:
                    entry.size = len(file[1])
                    tar.addfile(entry, io.BytesIO(file[1]))
        return path

    def deploy(self, path, *args):
        return self.write(f"{self.server}/{os.path.basename(path)}", self.device, "--image-checksum", rig.digest(path), *args)

    def info(self, path):
        return self.ingot("image-info", path, "-o", "json")

    texts = [("README.md", b"# An image\n\nWrite it.\n"), ("link", None, tarfile.SYMTYPE), ("SHA256SUMS", b"0" * 64 + b"  disk.raw\n"),
             ("._disk.raw", b"\0\5\x16\7\0\2\0\0Mac OS X        "), ("empty", b"")]

    def test_an_image_with_texts_and_links_beside_it(self):
        for name, files in (("before.tar", [*self.texts, self.image]), ("behind.tar.gz", [self.raw, ("hard", None, tarfile.LNKTYPE), *self.texts])):
            with self.subTest(name=name):
                path = self.tar(name, *files)
                outcome = self.deploy(path)
                self.assertEqual(outcome.code, 0, outcome)
                self.assert_disk_is(self.device, self.raw)
                info = self.info(path)
                self.assertEqual(info.code, 0, info)
                self.assertNotIn("another image", json.loads(info.out)["streaming"])
                # A download is not made for it, and what that leaves open is said.
                remote = self.info(f"{self.server}/{name}")
                self.assertIn("whether its archive holds another image", json.loads(remote.out)["streaming"])

    def test_two_images_are_refused_by_write_and_by_image_info(self):
        other = self.disk_image("other.raw", size=8 * rig.MIB, seed=2)
        small = self.path("small.img")
        with open(small, "wb") as file, open(self.raw, "rb") as raw:
            file.write(raw.read(rig.MIB))
        for name, files, untouched in (("two.tar", [self.raw, other], False), ("two.tar.gz", [self.texts[0], other, self.raw], False),
                                       ("small.tar", [self.texts[0], small, self.raw], True),
                                       ("device.tar", [("dev/sda", None, tarfile.BLKTYPE), self.raw], True),
                                       ("texts.tar", self.texts, True)):
            with self.subTest(name=name):
                path = self.tar(name, *files)
                before = self.head(self.device)
                outcome = self.deploy(path)
                self.assertEqual((outcome.code, outcome.error_code), (5, "image.archive"), outcome)
                if untouched:
                    self.assertEqual(outcome.result["disk_state"], "untouched", outcome)
                    self.assertEqual(self.head(self.device), before)
                else:
                    self.assert_not_bootable(self.device)
                info = self.info(path)
                self.assertEqual(info.code, 5, info)
                self.assertIn("image.archive", info.err)


if __name__ == "__main__":
    unittest.main()
