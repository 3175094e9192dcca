"""Every example is what its kind's JSON Schema describes, and every schema refuses what is wrong.

Examples are all YAML files below examples/, schemas all of docs/schemas/. A kind without an example, an example without a
schema and a schema that refuses nothing are failures."""
import copy
import glob
import json
import os
import unittest

import jsonschema
import yaml

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SCHEMAS = os.path.join(ROOT, "docs", "schemas")
MD5, SHA256 = "d41d8cd98f00b204e9800998ecf8427e", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
URL, SUM, TYPE = (f"metal3.vcluster.com/image-{what}" for what in ("url", "checksum", "checksum-type"))
REMOVED = object()

# Of each schema: an example by kind and name, a change to it, and whether it is refused then.
# A change is a path and a value; the path's last part is set, or taken away.
CASES = {
    "osimage": [("OSImage", "ubuntu-noble", *case) for case in (
        (["apiVersion"], "storage.loft.sh/v1", False),
        (["apiVersion"], "v1", True),
        (["kind"], "Image", True),
        (["metadata", "name"], REMOVED, True),
        (["metadata", "name"], 12, True),
        (["spec"], REMOVED, True),
        (["spec", "more"], {"a": "b"}, False),
        (["spec", "displayName"], 24.04, True),
        (["spec", "properties"], REMOVED, True),
        (["spec", "properties"], {}, True),
        (["spec", "properties", "other"], True, True),
        (["spec", "properties", "other"], "true", False),
        (["spec", "properties", URL], REMOVED, True),
        (["spec", "properties", URL], "", True),
        (["spec", "properties", URL], "ftp://example.org/a", True),
        (["spec", "properties", URL], "https://example.org/a b", True),
        (["spec", "properties", URL], "file:///a", False),
        (["spec", "properties", TYPE], REMOVED, False),
        (["spec", "properties", TYPE], "auto", False),
        (["spec", "properties", TYPE], "crc32", True),
        (["spec", "properties", TYPE], "md5", True),
        (["spec", "properties", SUM], REMOVED, True),
        (["spec", "properties", SUM], MD5, True),
        (["spec", "properties", SUM], "md5:" + SHA256, True),
        (["spec", "properties", SUM], "sha256:" + SHA256.upper(), False),
        (["spec", "properties", SUM], "https://example.org/SHA256SUMS", False),
        (["spec", "owner"], "admin", True),
        (["spec", "owner", "team"], "platform", True),
        (["spec", "owner"], None, False),
        (["spec", "access"], {}, True),
        (["spec", "access", 0, "verbs"], REMOVED, True),
        (["spec", "access", 0, "verbs"], [], True),
        (["spec", "access", 0, "verbs"], "get", True),
        (["spec", "access", 0, "users"], [1], True),
        (["spec", "access", 0, "subresources"], ["logs"], False),
        (["status"], {}, False),
    )] + [("OSImage", "vm-ubuntu-datasource", *case) for case in (
        (["spec", "properties", SUM], SHA256, True),
        (["spec", "properties", URL], "https://example.org/a", False),
        (["spec", "properties"], {"machines.vcluster.com/os-image-type": "kubevirt"}, False),
        (["spec", "properties"], {"machines.vcluster.com/os-image-type": "metal3"}, True),
        (["spec", "properties"], {"vcluster.com/user-data": "a"}, True),
    )],
    "sshkey": [("SSHKey", "ops", *case) for case in (
        (["spec", "publicKey"], REMOVED, True),
        (["spec", "publicKey"], "", True),
        (["spec", "publicKey"], "ssh-ed25519", True),
        (["spec", "publicKey"], "ssh-ed25519 AAAA a\nssh-ed25519 AAAA b\n", True),
        (["spec", "publicKey"], "ssh-ed25519 AAAA a\n", False),
        (["spec", "publicKey"], "-----BEGIN OPENSSH PRIVATE KEY----- AAAA", True),
        (["spec", "access", 0, "verbs"], REMOVED, True),
    )],
    "machineconfigtemplate": [("MachineConfigTemplate", "named-host", *case) for case in (
        (["spec", "cloudInitTemplate"], REMOVED, True),
        (["spec", "cloudInitTemplate"], {}, True),
        (["spec", "networkDataTemplate"], "version: 2\n", False),
    )],
    "nodeprovider": [("NodeProvider", "rack7", *case) for case in (
        (["spec", "properties", "vcluster.com/user-data"], {"packages": []}, True),
        (["spec", "metal3", "nodeTypes"], {}, True),
        (["spec", "metal3", "nodeTypes", 1, "name"], REMOVED, True),
        (["spec", "metal3", "nodeTypes", 1, "properties", "vcluster.com/os-image"], 12, True),
        (["spec", "metal3", "nodeTypes", 1, "bareMetalHosts", "selector", "matchLabels", "role"], 1, True),
        (["spec", "metal3", "nodeTypes", 1, "resources", "cpu"], 32, False),
        (["spec", "metal3", "nodeTypes", 1, "properties", "ingot.io/system-uuid"], "a", True),
        (["spec", "metal3"], REMOVED, False),
    )],
    "nodetype": [("NodeType", "edge", *case) for case in (
        (["spec", "properties", "ingot.io/on-success"], "sleep", True),
        (["spec", "properties"], ["a"], True),
        (["spec", "properties", "metal3.vcluster.com/server-name"], "a", True),
        (["spec", "providerRef"], {"name": "rack7"}, False),
        (["spec", "providerRef"], {}, True),
    )],
    "nodeenvironment": [("NodeEnvironment", "rack7-lab", *case) for case in (
        (["spec", "properties", "metal3.vcluster.com/network-cidr"], "10.0.0.1", True),
        (["spec", "properties", "metal3.vcluster.com/dns-servers"], ["10.0.0.2"], True),
        (["spec"], REMOVED, True),
    )],
    "machine": [("Machine", "rack7-node3", *case) for case in (
        (["kind"], "Host", True),
        (["spec", "properties", "metal3.vcluster.com/server-name"], "", True),
        (["spec", "properties", "ingot.io/root-device-hints"], {"size": 3}, True),
        (["spec", "properties", "ingot.io/root-device-hints"], '{"size": 3}', False),
        (["spec", "properties", "ingot.io/reinstall"], "sometimes", True),
        (["spec", "typeRef"], ["compute"], True),
    )] + [("NodeClaim", "tenant-a-storage-1", ["spec", "environmentRef"], 7, True)],
    "baremetalhost": [("BareMetalHost", "rack7-node3", *case) for case in (
        (["apiVersion"], "metal3.io/v1", True),
        (["spec", "bootMACAddress"], "52:54:00", True),
        (["spec", "rootDeviceHints", "minSizeGigabytes"], "100", True),
        (["spec", "rootDeviceHints", "model"], "a", False),
        (["spec", "rootDeviceHints", "serial"], "a", True),
    )],
    "deployrequest": [("DeployRequest", "rack7-node3", *case) for case in (
        (["more"], "a", True),
        (["spec", "more"], "a", True),
        (["spec", "image"], REMOVED, True),
        (["spec", "image", "urls"], [], True),
        (["spec", "image", "urls", 0], "ftp://example.org/a", True),
        (["spec", "image", "checksumType"], "crc32", True),
        (["spec", "image", "checksum"], REMOVED, True),
        (["spec", "image", "checksum"], MD5, True),
        (["spec", "image", "format"], "iso", True),
        (["spec", "target", "disk"], "/dev/sda", True),
        (["spec", "target"], {"device": "/dev/sda"}, False),
        (["spec", "configDrive", "userData"], {"hostname": "a"}, True),
        (["spec", "configDrive", "metaData"], '{"uuid": "a"}', False),
        (["spec", "sshKeys"], "ssh-ed25519 AAAA", True),
        (["spec", "report", "password"], "a", True),
        (["spec", "onSuccess"], "sleep", True),
    )],
}


def documents():
    """(file, object) of every object of the examples, lists and what is in them."""
    for file in sorted(glob.glob(os.path.join(ROOT, "examples", "**", "*.yaml"), recursive=True)):
        with open(file, encoding="utf-8") as stream:
            for document in yaml.safe_load_all(stream):
                if document is None or (document["apiVersion"], document["kind"]) == ("v1", "Secret"):
                    continue  # Kubernetes' own, beside what refers to them
                yield file, document
                for item in document.get("items") or []:
                    kind = document["kind"].removesuffix("List")
                    yield file, {"apiVersion": document["apiVersion"], "kind": kind, **item}


def schemas():
    """Name -> (schema, the kinds that it is for)."""
    found = {}
    for file in sorted(glob.glob(os.path.join(SCHEMAS, "*.schema.json"))):
        with open(file, encoding="utf-8") as stream:
            schema = json.load(stream)
        kind = schema.get("properties", {}).get("kind", {})
        found[os.path.basename(file).removesuffix(".schema.json")] = (schema, kind.get("enum") or [kind.get("const")])
    return found


def changed(document, path, value):
    document = copy.deepcopy(document)
    inner = document
    for part in path[:-1]:
        inner = inner[part]
    if value is REMOVED:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return document


class Schemas(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.schemas = schemas()
        cls.documents = list(documents())
        cls.by_kind = {kind: name for name, (_, kinds) in cls.schemas.items() for kind in kinds if kind}

    def problems(self, name, document):
        schema = self.schemas[name][0]
        resolver = jsonschema.RefResolver(f"file://{SCHEMAS}/{name}.schema.json", schema)
        validator = jsonschema.Draft202012Validator(schema, resolver=resolver)
        return [f"{'/'.join(map(str, error.path))}: {error.message}" for error in validator.iter_errors(document)]

    def test_are_schemas(self):
        for name, (schema, _) in self.schemas.items():
            with self.subTest(name):
                jsonschema.Draft202012Validator.check_schema(schema)

    def test_every_example_is_valid(self):
        self.assertGreater(len(self.documents), 15)
        for file, document in self.documents:
            with self.subTest(os.path.relpath(file, ROOT), kind=document["kind"]):
                self.assertIn(document["kind"], self.by_kind, "no schema of this kind")
                self.assertEqual(self.problems(self.by_kind[document["kind"]], document), [])

    def test_every_kind_has_an_example_and_is_broken(self):
        shown = {self.by_kind.get(document["kind"]) for _, document in self.documents}
        self.assertEqual(set(self.schemas) - {"common"}, shown)
        self.assertEqual(set(self.schemas) - {"common", "list"}, set(CASES))
        for name, cases in CASES.items():
            self.assertTrue(any(refused for *_, refused in cases), name)

    def test_what_is_wrong_is_refused(self):
        objects = {(document["kind"], document.get("metadata", {}).get("name")): document for _, document in self.documents}
        for name, cases in CASES.items():
            for kind, called, path, value, refused in cases:
                with self.subTest(name, path="/".join(map(str, path)), value="(removed)" if value is REMOVED else value):
                    problems = self.problems(name, changed(objects[kind, called], path, value))
                    self.assertEqual(bool(problems), refused, problems)

    def test_lists(self):
        item = {"metadata": {"name": "a"}}
        whole = {"apiVersion": "management.loft.sh/v1", "kind": "OSImage", **item}
        for document, refused in (
                ({"apiVersion": "v1", "kind": "List", "items": [whole]}, False),
                ({"apiVersion": "v1", "kind": "List", "items": None}, False),
                ({"apiVersion": "v1", "kind": "List", "items": [item]}, True),
                ({"apiVersion": "v1", "kind": "List"}, True),
                ({"apiVersion": "storage.loft.sh/v1", "kind": "OSImageList", "items": [item]}, False),
                ({"apiVersion": "v1", "kind": "OSImageList", "items": [item]}, True),
                ({"apiVersion": "storage.loft.sh/v1", "kind": "OSImageList", "items": [{}]}, True)):
            with self.subTest(document=document):
                self.assertEqual(bool(self.problems("list", document)), refused)


if __name__ == "__main__":
    unittest.main()
