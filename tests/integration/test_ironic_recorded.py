#!/usr/bin/python3
"""`ingot agent` against what a conductor really sent: recorded/*.json are conversations between Ironic and releases of
ironic-python-agent, on a rig with one loop device. The requests are sent again, in their order, and our answers compared with
the recorded ones: status, keys, types, what is constant. And the errors, which no recording has, by Ironic's rules for them.

In the recordings {device}, {images}, {sum}, {config_drive}, {token}, {agent} and {api} stand for what differs from run to run;
of the steps that an agent lists, only the first and one with arguments are kept. Needs root."""
import base64
import glob
import gzip
import io
import json
import os
import re
import tarfile
import time
import unittest
import urllib.parse
import uuid

import agent_rig
import rig
from rig import MIB, sh

RECORDED = os.path.join(rig.HERE, "recorded")
MAC = "52:54:00:aa:00:01"  # the recordings'
KEYS = {"id", "command_name", "command_status", "command_error", "command_result"}
STEP_LISTS = ("clean_steps", "deploy_steps", "service_steps")
ECHOES = ("clean_step", "deploy_step", "service_step")


def kind(value):
    """A JSON type; null is one of its own."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "boolean", False: "boolean"}[value]
    return {int: "number", float: "number", str: "string", list: "array", dict: "object"}[type(value)]


def differences(want, have, at="answer"):
    """Where an answer is not of the recorded one's shape, or differs in what a conductor reads."""
    if want is None and at.endswith("command_result") and kind(have) == "object" and set(have) == {"progress"}:
        return []  # of a command that runs; a conductor looks for an echoed step alone
    if kind(want) != kind(have):
        return [f"{at}: {kind(have)}, not {kind(want)}: {have!r}"]
    name = at.rpartition(".")[2]
    if name in ECHOES:
        want, have = without_secrets(want), without_secrets(have)
        return [] if want == have else [f"{at}: {have!r}, not {want!r}"]
    if name in ("command_name", "command_status", "type", "code"):
        return [] if want == have else [f"{at}: {have!r}, not {want!r}"]
    if name == "id":
        return [] if valid_id(have) else [f"{at}: {have!r} is no UUID"]
    if name in STEP_LISTS:
        return step_differences(have, at)
    if name == "hardware_manager_version":
        good = have and all(isinstance(version, str) for version in have.values())
        return [] if good else [f"{at}: {have!r}"]
    if name == "root uuid":
        return [] if re.fullmatch(r"0x[0-9a-f]{8}", have) else [f"{at}: {have!r}"]
    if isinstance(want, dict):
        if set(want) != set(have):
            return [f"{at}: keys {sorted(have)}, not {sorted(want)}"]
        if name == "clean_result":
            return []  # by disk, what a step likes to say of it
        return [found for key in want for found in differences(want[key], have[key], f"{at}.{key}")]
    if isinstance(want, list):
        if len(want) != len(have):
            return [f"{at}: {len(have)} elements, not {len(want)}"]
        return [found for index, (a, b) in enumerate(zip(want, have)) for found in differences(a, b, f"{at}[{index}]")]
    if isinstance(want, str) and want and not have:
        return [f"{at}: empty"]
    return []


def without_secrets(step):
    """A step as it may be told to anybody who asks for the list: a config drive is nobody's."""
    if isinstance(step, dict):
        return {key: "" if key == "configdrive" else without_secrets(value) for key, value in step.items()}
    return step


def valid_id(text):
    try:
        return uuid.UUID(text).version == 4 and str(uuid.UUID(text)) == text
    except ValueError:
        return False


def step_differences(managers, at):
    """What an agent offers: lists of steps by the name of a manager (Ironic's agent_base.py reads these keys)."""
    found = []
    names = []
    for manager, steps in managers.items():
        if kind(steps) != "array" or not steps:
            found.append(f"{at}.{manager}: {steps!r}")
            continue
        for step in steps:
            for key, wanted in (("step", "string"), ("interface", "string"), ("priority", "number"), ("reboot_requested", "boolean")):
                if kind(step.get(key)) != wanted:
                    found.append(f"{at}.{manager}: {key} of {step!r}")
            if set(step) - {"step", "interface", "priority", "reboot_requested", "abortable", "argsinfo"}:
                found.append(f"{at}.{manager}: keys of {step!r}")
            if step["reboot_requested"]:
                found.append(f"{at}.{manager}: {step!r} wants a reboot")
            if at.endswith("clean_steps") and step.get("abortable") is not True:
                found.append(f"{at}.{manager}: {step!r} is not abortable")
            for argument, info in (step.get("argsinfo") or {}).items():
                if set(info) != {"description", "required"} or kind(info["required"]) != "boolean":
                    found.append(f"{at}.{manager}: argument {argument} of {step!r}")
            names.append((step["interface"], step["step"]))
    if len(set(names)) != len(names):
        found.append(f"{at}: a step twice: {names}")
    return found or ([] if managers else [f"{at}: empty"])


class Replay(rig.Case):
    """A disk, images and the fake API of a recording."""

    def config_drive(self):
        tree = self.path("drive")
        os.makedirs(os.path.join(tree, "openstack/latest"))
        with open(os.path.join(tree, "openstack/latest/meta_data.json"), "w") as file:
            json.dump({"uuid": "227b597b-c3f4-4dbf-9162-00c6947515cf", "hostname": "rig"}, file)
        sh("xorriso", "-as", "genisoimage", "-quiet", "-o", self.path("drive.iso"), "-J", "-r", "-V", "config-2", tree)
        with open(self.path("drive.iso"), "rb") as file:
            return base64.b64encode(gzip.compress(file.read())).decode()

    def boot(self, lookup=None, images=None):
        self.device = self.loop(160 * MIB)
        self.images = images or self.nginx()
        self.fake = agent_rig.FakeIronic(self, **(lookup or {}))
        self.agent = agent_rig.Agent(self, self.fake.url, self.device, MAC)
        self.fake.wait_for_heartbeats(1)

    def post(self, name, params, wait=False, token=None):
        query = urllib.parse.urlencode({"wait": str(wait).lower(), "agent_token": token or self.fake.token})
        return self.agent.request("POST", f"/v1/commands/?{query}", {"name": name, "params": params})

    def commands(self):
        status, _, answer = self.agent.request("GET", "/v1/commands/")
        self.assertEqual(status, 200, answer)
        return answer["commands"]

    def until_it_ends(self, timeout=60):
        """The newest command, when it runs no longer."""
        give_up = time.monotonic() + timeout
        while (newest := self.commands()[-1])["command_status"] == "RUNNING":
            self.assertLess(time.monotonic(), give_up, self.agent.log())
            time.sleep(0.05)
        return newest


class Recorded(Replay):
    def test_conversations(self):
        names = sorted(glob.glob(os.path.join(RECORDED, "*.json")))
        self.assertGreaterEqual(len(names), 8)
        raw = self.disk_image("rig.img", size=32 * MIB)
        qcow2 = self.qcow2(raw, name="rig.qcow2")
        drive = self.config_drive()
        for name in names:
            with self.subTest(os.path.basename(name)):
                with open(name) as file:
                    text = file.read()
                wrong = "wrong-checksum" in name
                total = "1" * 64 if wrong else rig.digest(qcow2 if "qcow2" in name else raw)
                text = text.replace("{sum}", total).replace("{config_drive}", drive)
                lookup = json.loads(text)["lookup"]
                config = {key: value for key, value in lookup["config"].items() if key != "agent_token"}
                self.boot({"node": lookup["node"], "config": config})
                for mark, value in (("device", self.device), ("images", self.images), ("token", self.fake.token),
                                    ("agent", self.agent.url), ("api", self.fake.url)):
                    text = text.replace("{" + mark + "}", value)
                recording = json.loads(text)
                try:
                    self.compare_own_requests(recording["agent"])
                    for exchange in recording["exchanges"]:
                        self.compare(exchange)
                    last = recording["exchanges"][-1]["body"]
                    if last and last["name"] == "standby.power_off":
                        self.assertEqual(self.agent.wait(), 0, self.agent.log())
                    if "deploy" in name:
                        with open(self.device, "rb") as disk, open(raw, "rb") as image:
                            disk.seek(MIB), image.seek(MIB)
                            self.assertEqual(disk.read(30 * MIB), image.read(30 * MIB))
                    if wrong:
                        self.assert_not_bootable(self.device)
                finally:
                    self.agent.stop()

    def compare_own_requests(self, recorded):
        """Ours to the API: the same calls, by the same versions, with the same fields."""
        for call in recorded:
            path, _, query = call["path"].partition("?")
            ours = [made for made in self.fake.requests if (made[0], made[1].partition("?")[0]) == (call["method"], path)]
            self.assertTrue(ours, f"{call['method']} {path}: not among {self.fake.requests}")
            _, made, version, body = ours[0]
            # From 1.72 on heartbeats may carry a message.
            self.assertIn(version, (call["version"], "1.72") if "heartbeat" in path else (call["version"],), path)
            self.assertEqual(urllib.parse.parse_qs(made.partition("?")[2]), urllib.parse.parse_qs(query))
            self.assertEqual(kind(body), kind(call["body"]))
            if body:
                self.assertEqual(set(body), set(call["body"]))
                for key, value in body.items():
                    self.assertTrue(isinstance(value, str) and value, f"{key}: {value!r}")
                self.assertEqual((body["callback_url"], body["agent_token"]), (self.agent.url, self.fake.token))

    def compare(self, exchange):
        body = exchange["body"]
        if body:
            # Recorded with the version that those agents told of themselves; ours is told its own.
            for key in ("clean_version", "deploy_version"):
                if key in body["params"]:
                    body["params"][key] = self.version
        listing = exchange["method"] == "GET"
        if listing and exchange["answer"]["commands"][-1]["command_status"] != "RUNNING":
            self.until_it_ends()
        if "wait=false" in exchange["path"]:
            # A quick one of theirs has sometimes ended before it was answered.
            exchange["answer"].update(command_status="RUNNING", command_result=None)
        status, headers, answer = self.agent.request(exchange["method"], exchange["path"], body)
        what = f"{exchange['method']} {(body or {}).get('name', exchange['path'])}"
        self.assertEqual(status, exchange["status"], f"{what}: {answer}")
        self.assertEqual(headers.get_content_type(), "application/json")
        self.assertEqual(differences(exchange["answer"], answer), [], f"{what}: {answer}\n{self.agent.log()}")
        if listing:
            ids = [command["id"] for command in answer["commands"]]
            self.assertEqual(len(set(ids)), len(ids))
            return
        self.assertEqual(set(answer), KEYS)
        self.assertEqual(self.commands()[-1]["id"], answer["id"])
        result = answer["command_result"] or {}
        self.version = result.get("hardware_manager_version", getattr(self, "version", None))
        if "system_logs" in result:
            with tarfile.open(fileobj=io.BytesIO(base64.b64decode(result["system_logs"], validate=True)), mode="r:gz") as logs:
                self.assertTrue(logs.getnames())


class Rules(Replay):
    """What no recording has."""

    def fault(self, answer, status, text):
        got, headers, body = answer
        self.assertEqual(got, status, body)
        self.assertEqual(headers.get_content_type(), "application/json")
        self.assertEqual(set(body), {"faultcode", "faultstring"})
        self.assertEqual(body["faultcode"], "Client" if status < 500 else "Server")
        self.assertIn(text, body["faultstring"])
        # An old RAM disk is told by that word.
        self.assertNotIn("agent_token", body["faultstring"])

    def test_errors(self):
        self.boot()
        ask = self.agent.request
        post = "/v1/commands/?wait=true&agent_token=" + self.fake.token
        good = {"name": "standby.get_partition_uuids", "params": {}}
        self.fault(ask("POST", "/v1/commands/?wait=true", good), 401, "Token invalid")
        self.fault(ask("POST", "/v1/commands/?wait=true&agent_token=", good), 401, "Token invalid")
        self.fault(ask("POST", "/v1/commands/?wait=true&agent_token=" + "x" * 43, good), 401, "Token invalid")
        self.fault(ask("POST", "/v1/commands/?wait=true&agent_token=" + self.fake.token[:-1], good), 401, "Token invalid")
        self.fault(ask("POST", "/v1/commands/?wait=true", b"no JSON"), 401, "Token invalid")
        self.fault(ask("GET", "/nowhere"), 404, "404")
        self.fault(ask("PUT", post, good), 405, "405")
        self.fault(ask("DELETE", "/v1/status"), 405, "405")
        self.fault(ask("POST", post, b"{"), 400, "400")
        self.fault(ask("POST", post, b""), 400, "400")
        for body in ([], "text", None, 1):
            self.fault(ask("POST", post, json.dumps(body).encode()), 400, "400")
        for body in ({}, {"name": "standby.sync"}, {"params": {}}, {"name": 1, "params": {}},
                     {"name": "standby.sync", "params": []}, {"name": "standby.sync", "params": None}):
            self.fault(ask("POST", post, body), 400, "Missing or invalid name or params")
        self.fault(ask("POST", post, {"name": "sync", "params": {}}), 400, "Command name must be of the form <extension>.<name>")
        self.fault(ask("POST", post, {"name": "standby.frobnicate", "params": {}}), 400, "Unknown command: frobnicate")
        self.fault(ask("POST", post, {"name": "Standby.sync", "params": {}}), 404, "Extension with id Standby not found")
        unknown = str(uuid.uuid4())
        self.fault(ask("GET", f"/v1/commands/{unknown}?agent_token={self.fake.token}"), 404, unknown)
        # What was refused leaves nothing.
        self.assertEqual(self.commands(), [])

    def test_documents(self):
        self.boot()
        status, _, root = self.agent.request("GET", "/")
        self.assertEqual((status, root["versions"][0]["id"], root["default_version"]["id"]), (200, "v1", "v1"))
        status, _, version = self.agent.request("GET", "/v1/")
        self.assertEqual((status, version["id"]), (200, "v1"))
        for path in ("/v1/status", "/status"):
            status, _, told = self.agent.request("GET", path)
            self.assertEqual((status, set(told)), (200, {"started_at", "version"}))
            self.assertLess(abs(time.time() - told["started_at"]), 300)
        for path in ("/v1", "/v1/commands"):
            status, headers, _ = self.agent.request("GET", path)
            self.assertEqual(status, 308)
            self.assertTrue(headers["Location"].partition("?")[0].endswith(path + "/"))

    def test_one_result(self):
        self.boot()
        _, _, made = self.post("standby.get_partition_uuids", {}, wait=True)
        self.assertEqual((made["command_status"], made["command_result"]), ("SUCCEEDED", {}))
        for path in ("/v1/commands/", "/commands/"):
            status, _, told = self.agent.request("GET", f"{path}{made['id']}?agent_token={self.fake.token}")
            self.assertEqual((status, told), (200, made))

    def test_listing_with_and_without_the_token(self):
        # Ironic 21.4 does not send it with a GET, one of 2026 does; a wrong one is nobody's.
        self.boot()
        for path in ("/v1/commands/", f"/v1/commands/?agent_token={self.fake.token}"):
            status, _, answer = self.agent.request("GET", path)
            self.assertEqual((status, answer), (200, {"commands": []}))
        self.fault(self.agent.request("GET", "/v1/commands/?agent_token=" + "x" * 43), 401, "Token invalid")

    def test_another_version(self):
        self.boot()
        for interface in ("clean", "deploy", "service"):
            status, _, answer = self.post(f"{interface}.execute_{interface}_step", {
                "step": {"interface": "deploy", "step": "erase_devices_metadata", "priority": 1}, "node": self.fake.node, "ports": [],
                f"{interface}_version": {"generic_hardware_manager": "0.0.of another time"}})
            self.assertEqual(status, 200, answer)
            ended = self.until_it_ends()
            self.assertEqual((ended["command_status"], ended["command_result"]), ("CLEAN_VERSION_MISMATCH", None))
            self.assertEqual((ended["command_error"]["type"], ended["command_error"]["code"]), ("VersionMismatch", 409))
            self.assertEqual(self.head(self.device).strip(b"\0"), b"")

    def test_a_step_that_is_not_there(self):
        self.boot()
        for interface in ("clean", "deploy", "service"):
            status, _, answer = self.post(f"{interface}.execute_{interface}_step", {
                "step": {"interface": "deploy", "step": "frobnicate"}, "node": self.fake.node, "ports": [], f"{interface}_version": None})
            self.assertEqual(status, 200, answer)
            ended = self.until_it_ends()
            self.assertEqual((ended["command_status"], ended["command_result"]), ("FAILED", None))
            self.assertEqual(set(ended["command_error"]), {"type", "code", "message", "details"})
            self.assertIn("frobnicate", ended["command_error"]["details"])

    def test_services(self):
        self.boot()
        status, _, answer = self.post("service.get_service_steps", {"node": self.fake.node, "ports": []}, wait=True)
        self.assertEqual((status, answer["command_status"]), (200, "SUCCEEDED"))
        self.assertEqual(set(answer["command_result"]), {"service_steps", "hardware_manager_version"})

    def test_busy(self):
        raw = self.disk_image(size=32 * MIB, data=1)
        self.boot(images=self.nginx(directives="limit_rate 1m;"))
        node = {**self.fake.node, "properties": {"root_device": {"name": self.device}}}
        step = {"interface": "deploy", "step": "write_image", "args": {"image_info": {
            "id": "disk.raw", "urls": [f"{self.images}/disk.raw"], "disk_format": "raw", "container_format": None,
            "stream_raw_images": True, "os_hash_algo": "sha256", "os_hash_value": rig.digest(raw), "node_uuid": node["uuid"]}}}
        status, _, started = self.post("deploy.execute_deploy_step", {"step": step, "node": node, "ports": [], "deploy_version": None})
        self.assertEqual((status, started["command_status"]), (200, "RUNNING"), started)
        for name in ("deploy.execute_deploy_step", "log.collect_system_logs", "standby.get_partition_uuids"):
            begin = time.monotonic()
            self.fault(self.post(name, {}, wait=True), 409, "Agent is busy: executing command execute_deploy_step")
            self.assertLess(time.monotonic() - begin, 10)
        end = time.monotonic() + 20
        while True:
            (listed,) = self.commands()
            told = listed["command_result"]  # null until the job has begun
            if (told and told["progress"]["phase"] == "write") or time.monotonic() > end:
                break
            time.sleep(0.1)
        self.assertEqual({**listed, "command_result": None}, {**started, "command_result": None})
        progress = told["progress"]
        self.assertEqual((progress["phase"], progress["bytes_expected"]), ("write", 32 * MIB), progress)
        self.assertGreater(progress["bytes_received"], 0)
        # It heartbeats meanwhile.
        self.fake.wait_for_heartbeats(len(self.fake.heartbeats) + 1)
        self.agent.stop()
        self.assert_not_bootable(self.device)


if __name__ == "__main__":
    unittest.main()
