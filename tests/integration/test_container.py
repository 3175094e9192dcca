#!/usr/bin/python3
"""The container image's entry point: what Tinkerbell's environment says is written, and with arguments it is the program."""
import json
import os
import subprocess
import unittest

import rig

ACTION = os.path.join(rig.HERE, "..", "..", "packaging", "container", "ingot-action")


class Action(rig.Case):
    def setUp(self):
        super().setUp()
        os.symlink(os.path.realpath(rig.INGOT), self.path("ingot"))
        self.raw = self.disk_image(size=24 * rig.MIB)
        self.image = self.qcow2(self.raw, "-c")
        self.url = f"{self.nginx()}/{os.path.basename(self.image)}"
        self.device = self.loop(32 * rig.MIB, fill=4)

    def action(self, *args, **environment):
        path = f"{self.dir}:{os.environ['PATH']}"
        done = subprocess.run([ACTION, *args], env={**os.environ, "PATH": path, **environment}, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=60)
        return rig.Outcome(done.returncode, done.stdout, done.stderr)

    def head(self):
        with open(self.device, "rb") as disk:
            return disk.read(4096)

    def test_an_image_with_its_checksum(self):
        done = self.action(IMG_URL=self.url, DEST_DISK=self.device, IMG_CHECKSUM=rig.digest(self.image), COMPRESSED="true",
                           RETRY_ENABLED="true", RETRY_DURATION_MINUTES="1", PROGRESS_INTERVAL_SECONDS="3")
        self.assertEqual(done.code, 0, done)
        self.assertEqual(done.result["status"], "succeeded")
        self.assert_disk_is(self.device, self.raw)

    def test_sentences(self):
        done = self.action(IMG_URL=self.url, DEST_DISK=self.device, IMG_CHECKSUM="sha256:" + "0" * 64, TEXT_LOGGING="true")
        self.assertEqual((done.code, done.events), (4, []), done)
        self.assertIn("checksum.mismatch", done.err)

    def test_without_a_checksum(self):
        before = self.head()
        done = self.action(IMG_URL=self.url, DEST_DISK=self.device)
        self.assertEqual(done.code, 2, done)
        self.assertEqual(self.head(), before)
        done = self.action(IMG_URL=self.url, DEST_DISK=self.device, INSECURE_NO_IMG_CHECKSUM_VERIFICATION="True")
        self.assertEqual(done.code, 0, done)
        self.assert_disk_is(self.device, self.raw)

    def test_what_is_missing_or_cannot_be_understood(self):
        before = self.head()
        whole = {"IMG_URL": self.url, "DEST_DISK": self.device, "INSECURE_NO_IMG_CHECKSUM_VERIFICATION": "1"}
        for change, word in (({"IMG_URL": ""}, "IMG_URL"), ({"DEST_DISK": ""}, "DEST_DISK"), ({"RETRY_ENABLED": "perhaps"}, "RETRY_ENABLED"),
                             ({"TEXT_LOGGING": "yes"}, "TEXT_LOGGING"),
                             ({"RETRY_ENABLED": "1", "RETRY_DURATION_MINUTES": "soon"}, "retry-deadline"),
                             ({"INSECURE_NO_IMG_CHECKSUM_VERIFICATION": "-"}, "INSECURE_NO_IMG_CHECKSUM_VERIFICATION")):
            with self.subTest(change=change):
                done = self.action(**{**whole, **change})
                self.assertEqual(done.code, 2, done)
                self.assertIn(word, done.err)
                self.assertEqual(self.head(), before)

    def test_with_arguments_it_is_the_program(self):
        done = self.action("image-info", self.image, "-o", "json", IMG_URL=self.url, DEST_DISK=self.device)
        self.assertEqual(done.code, 0, done)
        self.assertEqual(json.loads(done.out)["format"], "qcow2")


if __name__ == "__main__":
    unittest.main()
