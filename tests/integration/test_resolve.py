#!/usr/bin/env python3
"""`ingot resolve` with the examples: one rack of the platform's, every link of the chain, three outputs, access."""
import json
import os
import types
import unittest

import jsonschema
import yaml

import rig

ROOT = os.path.realpath(os.path.join(rig.HERE, "..", ".."))
PLATFORM = os.path.join(ROOT, "examples", "platform")
SCHEMAS = os.path.join(ROOT, "docs", "schemas")
IMAGE_URL = "metal3.vcluster.com/image-url"


def example(name):
    return os.path.join(PLATFORM, name)


def objects(name):
    with open(example(name), encoding="utf-8") as file:
        return [item for document in yaml.safe_load_all(file) if document for item in document.get("items", [document])]


def fits_schema(request):
    with open(os.path.join(SCHEMAS, "deployrequest.schema.json"), encoding="utf-8") as file:
        schema = json.load(file)
    with open(os.path.join(SCHEMAS, "common.schema.json"), encoding="utf-8") as file:
        common = json.load(file)
    resolver = jsonschema.RefResolver("", schema, store={"common.schema.json": common})
    jsonschema.Draft202012Validator(schema, resolver=resolver).validate(request)


class Resolve(rig.Case):
    CHAIN = ("--node-provider", example("node-provider.yaml"), "--node-environment", example("node-environment.yaml"),
             "--machine", example("machine.yaml"))

    def resolve(self, *args):
        process = self.start("resolve", "--catalog", PLATFORM, *args)
        out, err = process.communicate(timeout=60)
        return types.SimpleNamespace(code=process.returncode, out=out, err=err)

    def documents(self, *args):
        outcome = self.resolve(*args)
        self.assertEqual(outcome.code, 0, outcome)
        return list(yaml.safe_load_all(outcome.out))

    def refused(self, code, *args):
        outcome = self.resolve(*args)
        self.assertEqual(outcome.code, code, outcome)
        self.assertEqual(outcome.out, "")
        return outcome.err

    def test_a_machine_of_the_rack(self):
        request, = self.documents(*self.CHAIN)
        fits_schema(request)
        spec = request["spec"]
        image = objects("ubuntu-noble.yaml")[0]["spec"]["properties"]
        self.assertEqual((request["metadata"]["name"], spec["osImage"], spec["serverName"], spec["onSuccess"]),
                         ("rack7-node3", "ubuntu-noble", "rack7-node3", "reboot"))
        self.assertEqual(spec["image"]["urls"], [image[IMAGE_URL]])
        self.assertEqual(spec["image"]["checksum"], image["metal3.vcluster.com/image-checksum"])
        self.assertEqual(spec["dnsServers"], ["10.0.0.2"])  # the environment's
        keys = [key["spec"]["publicKey"] for key in objects("ssh-keys.yaml") if key["metadata"]["name"] != "training"]
        self.assertEqual(spec["sshKeys"], keys)
        # The provider's cloud-config means what it meant, and has the keys.
        own = objects("node-provider.yaml")[0]["spec"]["properties"]["vcluster.com/user-data"]
        self.assertTrue(spec["configDrive"]["userData"].startswith("#cloud-config\n"))
        self.assertEqual(yaml.safe_load(spec["configDrive"]["userData"]),
                         {**yaml.safe_load(own), "ssh_authorized_keys": keys})
        with open(self.path("user-data"), "w", encoding="utf-8") as file:
            file.write(spec["configDrive"]["userData"])
        rig.sh("cloud-init", "schema", "--config-file", self.path("user-data"))
        # The same in JSON.
        outcome = self.resolve(*self.CHAIN, "-o", "json")
        self.assertEqual(json.loads(outcome.out), request)

    def test_every_origin_is_explained(self):
        request, explained = self.documents(*self.CHAIN, "--explain")
        self.assertEqual((request["kind"], explained["kind"]), ("DeployRequest", "Explanation"))
        found = {p["name"]: p for p in explained["properties"]}
        origins = {name: (p["from"]["kind"], p["from"]["name"]) for name, p in found.items()}
        for name, origin in {
                "vcluster.com/os-image": ("Machine", "rack7-node3"),
                "vcluster.com/node-type": ("NodeType", "compute"),
                "vcluster.com/ssh-keys": ("NodeProvider", "rack7"),
                "vcluster.com/user-data": ("NodeProvider", "rack7"),
                "metal3.vcluster.com/dns-servers": ("NodeEnvironment", "rack7-lab"),
                "metal3.vcluster.com/network-cidr": ("NodeEnvironment", "rack7-lab"),
                IMAGE_URL: ("OSImage", "ubuntu-noble")}.items():
            self.assertEqual(origins[name], origin, name)
        self.assertEqual([(o["value"], o["from"]["kind"]) for o in found["vcluster.com/os-image"]["overrode"]],
                         [("debian-12", "NodeType")])
        self.assertEqual([o["from"]["kind"] for o in found["metal3.vcluster.com/dns-servers"]["overrode"]], ["NodeProvider"])
        # Each place is where the property stands.
        for name, prop in found.items():
            with open(prop["from"]["file"], encoding="utf-8") as file:
                line = file.read().splitlines()[prop["from"]["line"] - 1]
            self.assertIn(prop["value"] if name == "vcluster.com/node-type" else name, line)
        self.assertRegex(found["vcluster.com/user-data"]["value"], r"^\(\d+ lines, not shown\)$")
        self.assertIn("allocated by the platform", explained["warnings"][0])
        whole = json.loads(self.resolve(*self.CHAIN, "--explain", "-o", "json").out)
        self.assertEqual(whole["kind"], "DeployRequest")
        self.assertEqual(whole["explanation"]["properties"], explained["properties"])

    def test_node_types_by_name_file_and_claim(self):
        for name, image in (("compute", "debian-12"), ("storage", "debian-12-mirror"), ("gpu", "gpu-training")):
            request, = self.documents("--node-provider", example("node-provider.yaml"), "--node-type", name)
            fits_schema(request)
            self.assertEqual(request["spec"]["osImage"], image)
        self.assertEqual(request["spec"]["image"]["format"], "raw")
        request, = self.documents("--node-provider", example("node-provider.yaml"), "--node-type", example("node-type.yaml"))
        self.assertEqual(request["spec"]["onSuccess"], "poweroff")
        claim, = self.documents("--node-provider", example("node-provider.yaml"), "--node-environment",
                                example("node-environment.yaml"), "--machine", example("node-claim.yaml"))
        self.assertEqual((claim["spec"]["osImage"], claim["spec"]["target"]["rootDeviceHints"]),
                         ("debian-12-mirror", {"size": "<= 500", "rotational": False}))
        self.assertIn("has compute, storage, gpu", self.refused(
            2, "--node-provider", example("node-provider.yaml"), "--node-type", "huge"))

    def test_metal3(self):
        host = ("--bare-metal-host", example("bare-metal-host.yaml"))
        secret, patch = self.documents(*self.CHAIN, *host, "--for", "metal3")
        self.assertEqual((secret["kind"], secret["metadata"]),
                         ("Secret", {"name": "rack7-node3-user-data", "namespace": "metal3-system"}))
        self.assertTrue(secret["stringData"]["userData"].startswith("#cloud-config\n"))
        self.assertEqual(patch["metadata"], {"name": "rack7-node3", "namespace": "metal3-system",
                                             "annotations": {"metal3.vcluster.com/dns-servers": "10.0.0.2"}})
        image = objects("ubuntu-noble.yaml")[0]["spec"]["properties"]
        self.assertEqual(patch["spec"], {
            "image": {"url": image[IMAGE_URL], "checksum": image["metal3.vcluster.com/image-checksum"], "checksumType": "sha256"},
            "userData": secret["metadata"], "online": True})
        listed = json.loads(self.resolve(*self.CHAIN, *host, "--for", "metal3", "-o", "json").out)
        self.assertEqual((listed["kind"], listed["items"]), ("List", [secret, patch]))
        self.assertIn("--bare-metal-host", self.refused(2, *self.CHAIN, "--bare-metal-host", example("machine.yaml")))
        # Its hints, as Metal3 gives them to Ironic.
        request, = self.documents(*self.CHAIN, *host)
        self.assertEqual(request["spec"]["target"]["rootDeviceHints"], {"size": ">= 100", "rotational": False})

    def test_ironic(self):
        outcome = self.resolve(*self.CHAIN, "--bare-metal-host", example("bare-metal-host.yaml"), "--for", "ironic", "-o", "json")
        self.assertEqual(outcome.code, 0, outcome)
        node = json.loads(outcome.out)
        image = objects("ubuntu-noble.yaml")[0]["spec"]["properties"]
        self.assertEqual(node["instance_info"], {
            "image_source": image[IMAGE_URL], "image_os_hash_algo": "sha256",
            "image_os_hash_value": image["metal3.vcluster.com/image-checksum"]})
        self.assertEqual(node["properties"], {"root_device": {"size": ">= 100", "rotational": False}})
        self.assertEqual(sorted(node["configdrive"]), ["meta_data", "user_data"])

    def test_access(self):
        gpu = ("--node-provider", example("node-provider.yaml"), "--node-type", "gpu")
        said = self.refused(9, *gpu, "--user", "bob")
        self.assertIn("access.denied", said)
        self.assertIn("user admin", said)
        secret = next(o for o in objects("os-images-metal3.yaml") if o["metadata"]["name"] == "gpu-training")["spec"]
        for value in (*secret["properties"].values(), secret["displayName"], secret["description"]):
            self.assertNotIn(value, said)
        self.documents(*gpu, "--team", "training")
        self.documents("--osimage", "gpu-training", "--user", "admin")
        self.documents(*gpu)  # nobody in particular: no check
        # An SSH key that he may not use; and names are offered only of what he may see.
        self.refused(9, *gpu, "--user", "release-bot")
        offered = self.refused(2, "--osimage", "gpu-trainin", "--user", "bob")
        self.assertNotIn("gpu-training", offered)
        self.assertIn("debian-12", offered)
        self.assertRegex(self.refused(2, "--osimage", "ubuntu-nobel"), r"there are: ubuntu-noble,")

    def test_other_providers_and_mistakes(self):
        self.assertIn("only the kubevirt provider", self.refused(2, "--osimage", next(
            o["metadata"]["name"] for o in objects("os-images-kubevirt.yaml") if IMAGE_URL not in o["spec"]["properties"])))
        other = self.resolve(*self.CHAIN, "--provider", "kubevirt", "--explain")
        self.assertEqual(other.code, 2)
        self.assertIn("makes requests for metal3", other.err)
        self.assertEqual(yaml.safe_load(other.out)["kind"], "Explanation")
        self.assertIn("which is not given", self.refused(2, "--machine", example("machine.yaml")))
        self.assertIn("nothing to resolve", self.refused(2))
        self.assertIn("alone", self.refused(2, *self.CHAIN, "--osimage", "debian-12"))
        self.assertIn("no NodeProvider in it", self.refused(2, "--node-provider", example("machine.yaml")))
        template = self.path("machine.yaml")
        with open(example("machine.yaml"), encoding="utf-8") as file:
            machine = yaml.safe_load(file)
        machine["spec"]["properties"]["vcluster.com/network-data-template-config"] = "lab"
        with open(template, "w", encoding="utf-8") as file:
            yaml.safe_dump(machine, file)
        said = self.refused(2, *self.CHAIN[:4], "--machine", template)
        self.assertIn("rendered by the platform", said)
        self.assertIn("metal3.vcluster.com/network-data", said)


if __name__ == "__main__":
    unittest.main()
