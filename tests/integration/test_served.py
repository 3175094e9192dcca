#!/usr/bin/python3
"""Images as they are published: in archives with texts beside them, and by servers with habits of their own."""
import io
import json
import os
import tarfile
import unittest
import zipfile

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

    def test_a_zip_is_refused_with_what_to_do(self):
        for name, way in (("deflated.zip", zipfile.ZIP_DEFLATED), ("stored.zip", zipfile.ZIP_STORED)):
            with self.subTest(name=name):
                path, before = self.path(name), self.head(self.device)
                with zipfile.ZipFile(path, "w", way) as archive:
                    archive.write(self.raw, "disk.raw")
                outcome = self.deploy(path, "--allow-unrecognized")
                self.assertEqual((outcome.code, outcome.error_code), (5, "image.unsupported"), outcome)
                self.assertEqual((outcome.result["disk_state"], self.head(self.device)), ("untouched", before))
                info = self.info(path)
                self.assertEqual(info.code, 5, info)
                for said in (outcome.err, info.err):
                    self.assertIn("is a zip archive", said)
                    self.assertIn("unzip -p FILE.zip | zstd > FILE.zst", said)


class Servers(rig.Case):
    def setUp(self):
        super().setUp()
        self.raw = self.disk_image(size=24 * rig.MIB)
        self.image = self.qcow2(self.raw, "-c", name="disk.qcow2")
        self.sum = rig.digest(self.image)
        self.device = self.loop(32 * rig.MIB, fill=4)

    def notes(self, outcome):
        return [event["text"] for event in outcome.events if event["event"] == "note"]

    def refused(self, outcome, code, text):
        self.assertEqual((outcome.code, outcome.error_code), (3, code), outcome)
        self.assertIn(text, outcome.err)
        self.assertEqual(outcome.result["disk_state"], "untouched", outcome)

    def test_nginx_that_sends_an_encoding_nobody_asked_for(self):
        # As object stores do with what was uploaded with that header: the stored gzip file, whatever was accepted.
        rig.sh("gzip", "-1", self.raw)
        url = f"{self.nginx(directives='gzip_static always;')}/disk.raw"
        checksum = rig.digest(self.raw + ".gz")
        outcome = self.write(url, self.device, "--image-checksum", checksum)
        self.assertEqual(outcome.code, 0, outcome)
        self.assertEqual((outcome.result["compression"], outcome.result["digest"]["value"]), ("gzip", checksum))
        self.assertIn("Content-Encoding: gzip", "".join(self.notes(outcome)))
        rig.sh("gzip", "-d", "-k", self.raw + ".gz")
        self.assert_disk_is(self.device, self.raw)
        # Of other bytes than those that were served it is another checksum.
        wrong = self.write(url, self.device, "--image-checksum", rig.digest(self.raw))
        self.assertEqual((wrong.code, wrong.error_code), (4, "checksum.mismatch"), wrong)
        # Where no checksum decides it stays an error.
        self.refused(self.write(url, self.device, "--insecure-no-checksum"), "source.protocol", "no checksum tells")
        info = self.ingot("image-info", url)
        self.assertEqual(info.code, 3, info)
        self.assertIn("no checksum tells", info.err)

    def test_a_redirect_from_https_to_http(self):
        cert, key = self.path("cert.pem"), self.path("key.pem")
        rig.sh("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
               "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert)
        plain, secure = self.fault_server(), self.fault_server(tls=(cert, key))
        with open(self.path("SHA256SUMS"), "w") as file:
            file.write(f"{self.sum}  disk.qcow2\n")
        with open(self.path("password"), "w") as file:
            file.write("s3cr3t")
        url = f"{secure}/disk.qcow2?to={plain}/disk.qcow2"
        trusted, insecure = ["--ca-cert", cert], ["--tls-insecure"]
        user = ["--user", "me", "--password-file", self.path("password")]

        for args in ([self.sum, *trusted], [self.sum, *insecure], [f"{secure}/SHA256SUMS", *trusted],
                     [f"{secure}/SHA256SUMS?redirect=3", *trusted]):
            with self.subTest(args=args):
                outcome = self.write(url, self.device, "--image-checksum", *args)
                self.assertEqual(outcome.code, 0, outcome)
                self.assert_disk_is(self.device, self.raw)
                self.assertIn("redirects from https to http", "".join(self.notes(outcome)))
        verified = self.ingot("verify", "--image-url", url, "--device", self.device, "--image-checksum", self.sum, *trusted)
        self.assertEqual(verified.code, 0, verified)

        never = "leaves https for http and is not followed"
        for args in (["--image-checksum", f"{plain}/SHA256SUMS", *trusted],
                     ["--image-checksum", f"{plain}/SHA256SUMS?to={secure}/SHA256SUMS", *trusted],
                     ["--image-checksum", f"{secure}/SHA256SUMS?to={plain}/SHA256SUMS", *trusted],
                     ["--image-checksum", f"file://{self.path('SHA256SUMS')}", *trusted],
                     ["--image-checksum", f"{secure}/SHA256SUMS", *insecure],
                     ["--image-checksum", self.sum, *trusted, *user],
                     ["--insecure-no-checksum", *trusted]):
            with self.subTest(args=args):
                self.refused(self.write(url, self.device, *args), "source.redirect", never)
        secret = url.replace("https://", "https://me:s3cr3t@")
        outcome = self.write(secret, self.device, "--image-checksum", self.sum, *trusted)
        self.refused(outcome, "source.redirect", "where credentials are in use")
        self.assertNotIn("s3cr3t", outcome.err + outcome.out)
        info = self.ingot("image-info", url, *trusted)
        self.assertEqual(info.code, 3, info)
        self.assertIn(never, info.err)


if __name__ == "__main__":
    unittest.main()
