"""`ingot write --osimage` takes and refuses what docs/schemas/osimage.schema.json does, with file, line and field. Needs no
root: nothing is written, and nothing is fetched, since there is no such device."""
import json
import os
import re
import subprocess
import sys
import unittest

import rig

sys.path.insert(0, os.path.join(rig.HERE, "..", "lint"))
import schemas_test  # noqa: E402


def read(manifest):
    """What ingot says of a manifest."""
    return subprocess.run([rig.INGOT, "write", "--osimage", "-", "--device", "/dev/no-such-device", "--dry-run",
                           "--insecure-no-checksum"], input=manifest, capture_output=True, text=True, timeout=60)


class Manifests(unittest.TestCase):
    def test_reader_and_schema_agree(self):
        objects = {(document["kind"], document.get("metadata", {}).get("name")): document
                   for _, document in schemas_test.documents()}
        for kind, called, path, value, refused in schemas_test.CASES["osimage"]:
            manifest = json.dumps(schemas_test.changed(objects[kind, called], path, value))
            with self.subTest(path="/".join(map(str, path)), value=None if value is schemas_test.REMOVED else value):
                done = read(manifest)
                self.assertIn(done.returncode, (2, 6), done.stderr)
                if "can use this image" in done.stderr:  # right as a manifest, but none for Metal3
                    self.assertFalse(refused)
                    self.assertIn("only the kubevirt provider", done.stderr)
                elif refused:
                    self.assertRegex(done.stderr, r"error \[usage\.manifest\]: standard input:1: \S+: ")
                else:
                    self.assertIn("error [device.missing]", done.stderr)

    def test_a_list_and_documents(self):
        with open(os.path.join(schemas_test.ROOT, "examples", "platform", "ubuntu-noble.yaml"), encoding="utf-8") as file:
            noble = file.read()
        self.assertIn("device.missing", read("---\n" + noble + "---\n# nothing more\n").stderr)
        self.assertRegex(read(noble + "---\n" + noble).stderr, "usage.manifest.*'ubuntu-noble' is a second OSImage")

    def test_unknown_keys_are_said(self):
        with open(os.path.join(schemas_test.ROOT, "examples", "platform", "ubuntu-noble.yaml"), encoding="utf-8") as file:
            noble = file.read()
        line = noble.count("\n") + 1
        done = read(noble + "  versions: []\n")
        self.assertIsNotNone(re.search(f"warning: standard input:{line}: spec.versions: unknown", done.stderr), done.stderr)


if __name__ == "__main__":
    unittest.main()
