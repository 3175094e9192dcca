"""docs/controller-openapi.yaml says what ingot-controller does: every operation, every status that can be caused."""
import os
import unittest

import jsonschema
import rig
import yaml
from controller_rig import CLOUD_EVENTS, Controller, event, machine, new_deployment, os_image

DESCRIPTION = os.path.join(rig.HERE, "..", "..", "docs", "controller-openapi.yaml")
TOKEN, PAGE_TOKEN = "0123456789abcdef", "page-token-page-token"


class Described(rig.Case):
    def setUp(self):
        super().setUp()
        with open(DESCRIPTION) as file:
            self.api = yaml.safe_load(file)
        for name, text in (("tokens", f"node-1 {TOKEN}\nnode-2 {TOKEN}x\nnode-3 {TOKEN}y\nnode-9 {TOKEN}z\n"), ("page", PAGE_TOKEN + "\n")):
            with open(os.open(self.path(name), os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
                file.write(text)
        self.controller = Controller(self.dir, ["--machine-tokens", self.path("tokens"), "--page-token-file", self.path("page")])
        self.controller.write(self.controller.catalog, "noble.yaml", os_image())
        for name in ("node-1", "node-2"):
            self.controller.write(self.controller.machines, name + ".yaml", machine(name, serial_number=name.upper()))
        self.controller.write(self.controller.machines, "node-3.yaml", machine("node-3").replace('"noble"', '"nobel"'))
        self.controller.start()
        self.addCleanup(self.controller.stop)
        self.seen = set()

    def resolved(self, node):
        """`node` without references, of which only whole ones are used beside responses' descriptions."""
        while isinstance(node, dict) and "$ref" in node:
            target = self.api
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            node = target
        return node

    def call(self, method, path, target, expected, token=None, body=None, headers=None, read=True):
        """Asks, and holds the answer to its description."""
        operation = self.api["paths"][path][method.lower()]
        self.seen.add((path, method.lower(), str(expected)))
        if not read:  # it does not end by itself
            connection = self.controller.connect()
            self.addCleanup(connection.close)
            connection.request(method, target, body, {"Authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            status, fields, document = answer.status, answer.headers, answer.readline().decode()
            answer.close()
        else:
            status, fields, document = self.controller.ask(method, target, body, headers, token)
        self.assertEqual(status, expected, f"{method} {target}: {document}")
        described = self.resolved(operation["responses"][str(status)])
        content = described.get("content")
        if not content:
            self.assertEqual(document, "", f"{method} {target}")
            return None
        kind = fields["Content-Type"].partition(";")[0]
        self.assertIn(kind, content, f"{method} {target}")
        # References in the schema are looked up in the whole description.
        schema = {**content[kind]["schema"], "components": self.api["components"]}
        jsonschema.Draft202012Validator(schema).validate(document)
        return document

    def test_every_operation(self):
        call, deployment = self.call, new_deployment()
        provision, events = "/v1/provision", "/v1/machines/{name}/events"
        call("GET", provision, "/v1/provision", 400, TOKEN)
        call("GET", provision, "/v1/provision?name=node-1", 401)
        call("GET", provision, "/v1/provision?name=node-2", 403, TOKEN)
        call("GET", provision, "/v1/provision?serial=none&mac=&mac=52:54:00:00:00:01", 404, TOKEN)
        call("GET", provision, "/v1/provision?serial=NODE-1&name=node-2", 409, TOKEN)
        call("GET", provision, "/v1/provision?name=node-3", 422, TOKEN + "y")
        url = "/v1/" + call("GET", provision, "/v1/provision?serial=NODE-1", 200, TOKEN)["spec"]["report"]["url"]

        def report(expected, body, token=TOKEN, url=url, kind=CLOUD_EVENTS):
            call("POST", events, url, expected, token, body, {"Content-Type": kind})
        report(200, event(deployment, 0, "started", image_url="http://x/y", device="/dev/sda"))
        report(200, event(deployment, 0, "started", image_url="http://x/y", device="/dev/sda"))
        report(200, event(deployment, 1, "progress", phase="write", percent=12.5, bytes_received=1, receive_rate=3))
        report(409, event(deployment, 1, "note", text="x"))
        report(400, "{}")
        report(401, event(deployment, 2, "note"), token=None)
        report(403, event(deployment, 2, "note"), token=TOKEN + "x")
        report(413, "x" * 300_000)
        report(415, event(deployment, 2, "note"), kind="text/plain")
        call("GET", "/v1/machines", "/v1/machines", 401)
        call("GET", "/v1/machines", "/v1/machines", 200, PAGE_TOKEN)
        error = {"code": "checksum.mismatch", "class": "checksum", "message": "no", "advice": ""}
        report(200, event(deployment, 2, "result", status="failed", error=error, disk_state="unbootable", seconds=2.5))
        other = new_deployment()
        report(200, event(other, 0, "result", status="succeeded", error=None, disk_state="complete", seconds=1))
        call("GET", provision, "/v1/provision?serial=NODE-1", 204, TOKEN)

        for path, target in (("/v1/machines/{name}", "/v1/machines/node-1"),
                             ("/v1/machines/{name}/deployments", "/v1/machines/node-1/deployments"),
                             ("/v1/deployments/{id}", f"/v1/deployments/{deployment}"),
                             ("/v1/deployments/{id}/events", f"/v1/deployments/{deployment}/events")):
            call("GET", path, target, 401)
            call("GET", path, target, 200, PAGE_TOKEN)
            call("GET", path, target.replace("node-1", "node-9").replace(deployment, new_deployment()), 404, PAGE_TOKEN)
        call("GET", "/v1/machines/{name}/deployments", "/v1/machines/node-1/deployments?before=x", 400, PAGE_TOKEN)
        call("GET", "/v1/deployments/{id}/events", f"/v1/deployments/{deployment}/events?after=x", 400, PAGE_TOKEN)
        again = "/v1/machines/{name}/reinstall"
        call("POST", again, "/v1/machines/node-1/reinstall", 401)
        call("POST", again, "/v1/machines/node-1/reinstall", 403, PAGE_TOKEN, headers={"Origin": "http://evil.example"})
        call("POST", again, "/v1/machines/node-9/reinstall", 404, PAGE_TOKEN)
        call("POST", again, "/v1/machines/node-1/reinstall", 200, PAGE_TOKEN)
        call("POST", events, "/v1/machines/node-9/events", 404, TOKEN + "z", "{}", {"Content-Type": CLOUD_EVENTS})
        for path in ("/v1/osimages", "/metrics", "/v1/stream"):
            call("GET", path, path, 401)
            call("GET", path, path, 200, PAGE_TOKEN, read=path != "/v1/stream")
        for path in ("/healthz", "/", "/app.js", "/style.css"):
            call("GET", path, path, 200)
        tag = self.controller.get("/")[1]["ETag"]
        call("GET", "/", "/", 304, headers={"If-None-Match": tag})

        # What a full disk and 64 streams make of it, test_controller.py shows.
        missing = {(path, method, status) for path, methods in self.api["paths"].items() for method, operation in methods.items()
                   for status in operation["responses"] if status != "503"} - self.seen
        self.assertEqual(missing, set())

    def test_it_is_openapi(self):
        self.assertEqual(self.api["openapi"], "3.1.0")
        names = [operation["operationId"] for methods in self.api["paths"].values() for operation in methods.values()]
        self.assertEqual(len(names), len(set(names)))
        jsonschema.Draft202012Validator.check_schema({"$defs": self.api["components"]["schemas"]})


if __name__ == "__main__":
    unittest.main()
