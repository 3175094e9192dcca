#!/usr/bin/python3
"""Images out of registries: references, manifests, tokens, and what goes wrong, against a real docker-registry."""
import gzip
import io
import json
import os
import tarfile
import tempfile
import unittest

import registry_rig
import rig
import together
from kubernetes_rig import Certificates

MIB = rig.MIB
load_tests = together.at_once(3)


def tar_of(*files):
    """A packed tar of (name, content)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as tar:
        for name, content in files:
            entry = tarfile.TarInfo(name)
            entry.size, entry.uid, entry.mode = len(content), 107, 0o440
            tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def contents(path):
    with open(path, "rb") as file:
        return file.read()


class RegistryCase(rig.Case):
    def setUp(self):
        super().setUp()
        self.raw = self.disk_image(size=24 * MIB)
        self.image = contents(self.qcow2(self.raw, "-c"))
        self.device = self.loop(24 * MIB, fill=4)

    def registry(self, **options):
        registry = registry_rig.Registry(self.dir, **options)
        self.addCleanup(registry.stop)
        return registry

    def deployed(self, reference, *args, digest=None, **kwargs):
        """Writes it without a checksum, and is satisfied."""
        outcome = self.write(reference, self.device, *args, **kwargs)
        self.assertEqual(outcome.code, 0, outcome)
        self.assertTrue(outcome.result["verified"], outcome)
        if digest:
            self.assertIn(digest.removeprefix("sha256:"), json.dumps(outcome.result), outcome)
        self.assert_disk_is(self.device, self.raw)
        return outcome

    def refused(self, code, error, reference, *args, untouched=True, **kwargs):
        before = self.head(self.device)
        outcome = self.write(reference, self.device, *args, **kwargs)
        self.assertEqual((outcome.code, outcome.error_code), (code, error), outcome)
        if untouched:
            self.assertEqual(outcome.result["disk_state"], "untouched", outcome)
            self.assertEqual(self.head(self.device), before)
        return outcome


class Images(RegistryCase):
    def test_an_artifact_by_tag_and_by_digest(self):
        registry = self.registry()
        pushed = registry.artifact("images/debian", "12", self.image)
        reference = registry.reference("images/debian:12")
        outcome = self.deployed(reference, digest=registry_rig.sha256(self.image))
        self.assertIn("nothing verifies", outcome.err)  # http, and nothing pinned
        # What to pin is said.
        self.assertIn(pushed["digest"], outcome.out + outcome.err)
        self.deployed(registry.reference("images/debian:12", "docker+http"))
        pinned = registry.reference(f"images/debian@{pushed['digest']}")
        self.assertNotIn("nothing verifies", self.deployed(pinned).err)
        # The tag moves on; what is pinned stays.
        registry.artifact("images/debian", "12", gzip.compress(contents(self.disk_image("other.raw", seed=9, size=8 * MIB)), 1))
        self.deployed(pinned)
        self.refused(4, "checksum.mismatch", reference, "--image-checksum", registry_rig.sha256(self.image))

        verified = self.ingot("verify", "--image-url", pinned, "--device", self.device, "--progress", "json")
        self.assertEqual(verified.code, 0, verified)
        info = self.ingot("image-info", pinned, "-o", "json")
        self.assertEqual(info.code, 0, info)
        self.assertEqual(json.loads(info.out)["format"], "qcow2")

    def test_a_checksum_beside_the_reference_decides(self):
        registry = self.registry()
        registry.artifact("images/debian", "12", self.image)
        with tempfile.NamedTemporaryFile(dir=self.dir) as file:
            file.write(self.image)
            file.flush()
            self.deployed(registry.reference("images/debian:12"), "--image-checksum", rig.digest(file.name, "sha512"))
        outcome = self.refused(4, "checksum.mismatch", registry.reference("images/debian:12"), "--image-checksum", "0" * 128,
                               untouched=False)
        self.assert_not_bootable(self.device)
        self.assertFalse(outcome.result["disk_state"] == "complete")

    def test_container_disks(self):
        registry = self.registry()
        registry.container_disk("disks/raw", "latest", tar_of(("disk/", b""), ("disk/disk.img", contents(self.raw))))
        self.deployed(registry.reference("disks/raw"))
        # One that was built on another image: that one's files are no disk.
        base = tar_of(("etc/os-release", b"ID=none\n"))
        registry.container_disk("disks/built", "1", base, tar_of(("disk/debian.qcow2", self.image)))
        self.deployed(registry.reference("disks/built:1"))
        registry.container_disk("disks/none", "1", base)
        self.refused(5, "image.archive", registry.reference("disks/none:1"))
        registry.container_disk("disks/even", "1", base, base[:-1] + b"x", base[:-1] + b"y")
        outcome = self.refused(5, "image.unsupported", registry.reference("disks/even:1"))
        self.assertIn("3 layers", outcome.err)

    def test_the_platform_chooses(self):
        registry = self.registry()
        other = contents(self.disk_image("other.raw", seed=9, size=8 * MIB))
        entries = [{**registry.artifact("multi", None, data), "platform": {"os": "linux", "architecture": name}}
                   for data, name in ((self.image, "amd64"), (gzip.compress(other, 1), "arm64"))]
        index = registry.manifest("multi", "1", {"schemaVersion": 2, "mediaType": registry_rig.INDEX, "manifests": entries})
        self.deployed(registry.reference("multi:1"), "--platform", "linux/amd64")
        self.deployed(registry.reference(f"multi@{index['digest']}"), "--platform", "linux/amd64")
        arm = self.write(registry.reference("multi:1"), self.device, "--platform", "linux/arm64")
        self.assertEqual(arm.code, 0, arm)
        self.assert_disk_is(self.device, self.path("other.raw"))
        outcome = self.refused(5, "image.unsupported", registry.reference("multi:1"), "--platform", "linux/riscv64")
        self.assertIn("linux/amd64, linux/arm64", outcome.err)
        self.refused(2, "usage.option", registry.reference("multi:1"), "--platform", "amd64")

    def test_what_is_not_there(self):
        registry = self.registry()
        self.refused(3, "source.http-status", registry.reference("images/none:1"))
        self.refused(2, "usage.option", registry.reference("Images/none:1"))

    def test_a_registry_that_lies(self):
        registry = self.registry()
        pushed = registry.artifact("images/debian", "12", self.image)
        layer = registry.stored(registry_rig.sha256(self.image))
        with open(layer, "r+b") as file:
            file.seek(len(self.image) // 2)
            file.write(b"\xff\x00\xff")
        outcome = self.refused(4, "checksum.mismatch", registry.reference("images/debian:12"), untouched=False)
        self.assert_not_bootable(self.device)
        self.assertIn("sha256", outcome.err)
        text = contents(registry.stored(pushed["digest"]))
        with open(registry.stored(pushed["digest"]), "wb") as file:
            file.write(text.replace(b"disk.qcow2", b"DISK.qcow2"))
        self.refused(4, "checksum.mismatch", registry.reference(f"images/debian@{pushed['digest']}"))

    def test_mirrors(self):
        registry = self.registry()
        registry.artifact("images/debian", "12", self.image)
        with open(self.path("copy.qcow2"), "wb") as file:
            file.write(self.image)
        server = self.fault_server()
        # A plain server first, which breaks off; the registry knows the digest of both.
        self.deployed(f"{server}/copy.qcow2?truncate=1&times=9", "--image-url", registry.reference("images/debian:12"))

    def test_where_references_are_taken(self):
        registry = self.registry()
        registry.artifact("images/debian", "12", self.image)
        reference = registry.reference("images/debian:12")
        with open(self.path("image.yaml"), "w") as file:
            file.write(f"""apiVersion: management.loft.sh/v1
kind: OSImage
metadata: {{name: debian}}
spec:
  properties:
    metal3.vcluster.com/image-url: {reference}
""")
        outcome = self.ingot("write", "--osimage", file.name, "--device", self.device, "--yes", "--progress", "json")
        self.assertEqual(outcome.code, 0, outcome)
        self.assert_disk_is(self.device, self.raw)
        with open(self.path("request.yaml"), "w") as file:
            file.write(f"""apiVersion: ingot.io/v1
kind: DeployRequest
metadata: {{name: node-1}}
spec:
  image: {{urls: ["{reference}"]}}
  target: {{device: {self.device}}}
""")
        disk = self.loop(24 * MIB, fill=5)
        with open(file.name) as request:
            text = request.read().replace(self.device, disk)
        with open(file.name, "w") as request:
            request.write(text)
        outcome = self.ingot("provision", "--from", f"file://{file.name}", "--yes", "--progress", "json", "--run-dir",
                             self.path("run"))
        self.assertEqual(outcome.code, 0, outcome)
        self.assert_disk_is(disk, self.raw)


class Authorization(RegistryCase):
    def setUp(self):
        super().setUp()
        open_to_all = self.registry()
        open_to_all.artifact("images/debian", "12", self.image)
        self.password = self.path("password")
        self.wrong = self.path("wrong")
        for path, text in ((self.password, registry_rig.PASSWORD), (self.wrong, "wr0ng-pass")):
            with open(path, "w") as file:
                file.write(text + "\n")

    def credentials(self, file):
        return "--user", registry_rig.USER, "--password-file", file

    def tokens(self, **options):
        server = registry_rig.TokenServer(self.dir, **options)
        self.addCleanup(server.stop)
        return server

    def test_basic(self):
        registry = self.registry(auth="htpasswd")
        reference = registry.reference("images/debian:12")
        self.deployed(reference, *self.credentials(self.password))
        user = f"{registry_rig.USER}:{registry_rig.PASSWORD.replace(':', '%3A')}@"
        outcome = self.deployed(reference.replace("://", f"://{user}"))
        self.assertNotIn("s3cr3t", outcome.out + outcome.err)
        self.refused(3, "source.http-status", reference)
        outcome = self.refused(3, "source.http-status", reference, *self.credentials(self.wrong))
        self.assertNotIn("wr0ng", outcome.out + outcome.err)

    def test_anonymous_tokens(self):
        tokens = self.tokens()
        registry = self.registry(auth=tokens)
        outcome = self.deployed(registry.reference("images/debian:12"))
        path, given = tokens.requests[0]
        self.assertIn("scope=repository%3aimages%2fdebian%3apull", path)
        self.assertIsNone(given)
        self.assertNotIn("Bearer", outcome.out + outcome.err)

    def test_tokens_for_who_has_the_password(self):
        tokens = self.tokens(anonymous=False)
        registry = self.registry(auth=tokens)
        reference = registry.reference("images/debian:12")
        self.deployed(reference, *self.credentials(self.password))
        outcome = self.refused(3, "source.http-status", reference, *self.credentials(self.wrong))
        self.assertIn("token", outcome.err)
        self.assertNotIn("wr0ng", outcome.out + outcome.err)
        self.refused(3, "source.http-status", reference)

    def test_tls(self):
        certificates = Certificates(self.dir)
        pair = certificates.make("registry", "/CN=registry", san="IP:127.0.0.1")
        registry = self.registry(tls=pair)
        outcome = self.deployed(registry.reference("images/debian:12"), "--ca-cert", certificates.path("ca.crt"))
        self.assertNotIn("nothing verifies", outcome.err)
        self.refused(3, "source.tls", registry.reference("images/debian:12"))
        outcome = self.deployed(registry.reference("images/debian:12"), "--tls-insecure")
        self.assertIn("nothing verifies", outcome.err)

    def test_a_password_is_not_sent_over_http_for_a_registry_with_tls(self):
        certificates = Certificates(self.dir)
        tokens = self.tokens()  # over http
        registry = self.registry(auth=tokens, tls=certificates.make("registry", "/CN=registry", san="IP:127.0.0.1"))
        outcome = self.refused(3, "source.protocol", registry.reference("images/debian:12"), "--ca-cert",
                               certificates.path("ca.crt"), *self.credentials(self.password))
        self.assertIn("no https URL", outcome.err)
        self.assertEqual(tokens.requests, [])

    def test_a_token_that_runs_out_is_renewed(self):
        for break_at in (None, len(self.image) // 2):
            with self.subTest(break_at=break_at):
                registry = registry_rig.ForgetfulRegistry(self.image, break_at)
                self.addCleanup(registry.stop)
                self.deployed(registry.reference)
                self.assertGreaterEqual(registry.tokens, 1000)

    def test_tokens_stay_with_the_registry(self):
        with open(self.path("blob"), "wb") as file:
            file.write(self.image)
        storage = self.fault_server()
        registry = registry_rig.ForgetfulRegistry(self.image, elsewhere=f"{storage}/blob")
        self.addCleanup(registry.stop)
        self.deployed(registry.reference)
        import urllib.request
        with urllib.request.urlopen(f"{storage}/_log") as answer:
            asked = [json.loads(line) for line in answer.read().splitlines()]
        self.assertTrue(asked)
        for entry in asked:
            self.assertNotIn("authorization", entry["headers"])


if __name__ == "__main__":
    unittest.main()
