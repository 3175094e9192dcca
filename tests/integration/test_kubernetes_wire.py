#!/usr/bin/env python3
"""The wire examples of docs/kubernetes.md: each request is one that the program makes, and its answer has the shape of the
real one (kubernetes_rig.py); the documented role is enough.
"""
import base64
import http.client
import json
import os
import re
import ssl
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from kubernetes_case import HERE, KEY, TOKEN, Case, Watch  # noqa: E402
from kubernetes_rig import API  # noqa: E402

DOC = os.path.join(HERE, "../../docs/kubernetes.md")


class Wire(Case):
    def test_wire_examples(self):
        """Each request of docs/kubernetes.md is one that the program makes, and its answer has the shape of the real one."""
        server = self.api(images=["debian-12", "ubuntu-noble", *[f"rocky-{number:03}" for number in range(118)]])
        server.put_key("admin", KEY)
        server.rules[server.tokens[TOKEN]] = documented_role(DOC)  # and no more than it
        server.tokens["none"] = "jane"
        server.rules["jane"] = set()
        config = self.config(server)
        for args in ["list"], ["keys"], ["find", "ubuntu-noble"], ["find", "ubuntu-nobel"], ["key", "admin"]:
            self.assertTrue(self.catalog(*args, "--kubeconfig", config))
        watch = Watch(self, "--kubeconfig", config)
        self.assertEqual(len(watch.images()), 120)
        end = time.monotonic() + 10  # it lists first, and watches then
        while time.monotonic() < end and not any("watch=1" in request[1] for request in server.requests):
            time.sleep(0.02)
        made = {shape_of_request(request[1]) for request in server.requests}

        examples = wire_examples(DOC)
        self.assertGreaterEqual(len(examples), 6)
        statuses = set()
        for target, headers, code, bodies in examples:
            self.assertIn(shape_of_request(target), made, "the program makes this request")
            statuses.add(code)
            user = "none" if code == 403 else "wrong" if code == 401 else TOKEN
            self.assertEqual(headers["Accept"], "application/json")
            if "watch=1" in target:
                server.bookmark_every = 0.1
                gone = any(body.get("type") == "ERROR" for body in bodies)
                if gone:
                    server.compact()
                target = re.sub(r"resourceVersion=\d+", f"resourceVersion={1 if gone else server.version}", target)
                threading.Timer(0.3, self.change, [server]).start()
            elif code == 410:
                server.compact()
                expired = base64.urlsafe_b64encode(b'{"rv": 1, "start": "a"}').decode()
                target = re.sub(r"continue=[^&]*", f"continue={expired}", target)
            elif "continue=" in target:
                first = exchange(server, self.ca, f"{API}/osimages?limit=50", user)[1][0]
                target = re.sub(r"continue=[^&]*", "continue=" + first["metadata"]["continue"], target)
            real_code, real = exchange(server, self.ca, target, user, len(bodies))
            self.assertEqual(real_code, code, target)
            for body, answer in zip(by_type(bodies), by_type(real), strict=True):
                self.assertSameShape(body, answer, target)
        self.assertTrue({200, 401, 403, 404, 410} <= statuses, statuses)

    @staticmethod
    def change(server):
        server.put_image("fedora-42")
        server.put_image("fedora-42", url="https://images.example/other.img")
        server.delete("osimages", "fedora-42")

    def assertSameShape(self, shown, real, where):
        self.assertIs(type(shown), type(real), f"{where}: {shown} / {real}")
        if isinstance(shown, dict):
            self.assertEqual(set(shown), set(real) - {"managedFields"}, where)
            for key, value in shown.items():
                if key not in ("properties",):
                    self.assertSameShape(value, real[key], f"{where}.{key}")
                if key in ("kind", "apiVersion", "type", "reason", "code", "status") and isinstance(value, (str, int)):
                    self.assertEqual(value, real[key], f"{where}.{key}")
        elif isinstance(shown, list):
            self.assertEqual(bool(shown), bool(real), where)
            for one in shown:
                self.assertSameShape(one, real[0], where + "[]")


def shape_of_request(target):
    """The request with what differs from time to time left out."""
    return re.sub(r"(resourceVersion|continue|timeoutSeconds)=[^&]*", r"\1=", target.removeprefix("/kubernetes/management"))


def documented_role(path):
    """What the ClusterRole of the document grants: {(verb, resource)}."""
    with open(path) as file:
        resources, verbs = re.search(r"resources: \[(.*?)\]\s+verbs: \[(.*?)\]", file.read()).groups()
    return {(verb, resource) for verb in verbs.split(", ") for resource in resources.split(", ")}


def by_type(values):
    return sorted(values, key=lambda value: value.get("type", ""))


def wire_examples(path):
    """[(target, headers, status, [bodies])] of the ```http blocks, a request and its answer each."""
    with open(path) as file:
        blocks = re.findall(r"^```http\n(.*?)^```", file.read(), re.S | re.M)
    examples = []
    for request, answer in zip(blocks[::2], blocks[1::2], strict=True):
        line, *headers = request.strip().split("\n")
        target = re.fullmatch(r"GET (\S+) HTTP/1\.1", line)[1]
        head, _, body = answer.partition("\n\n")
        code = int(re.match(r"HTTP/1\.1 (\d+) ", head)[1])
        decoder, bodies = json.JSONDecoder(), []
        body = body.strip()
        while body.startswith("{"):
            value, end = decoder.raw_decode(body)
            bodies.append(value)
            body = body[end:].lstrip()
        examples.append((target, dict(header.split(": ", 1) for header in headers), code, bodies))
    return examples


def exchange(server, ca, target, token, most=1):
    """What the server answers to a plain client: status and JSON values, the first `most` of a watch. Of the bookmarks
    in a watch one is enough."""
    connection = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=10, context=ssl.create_default_context(cafile=ca))
    connection.request("GET", target, headers={"Accept": "application/json", "Authorization": f"Bearer {token}"})
    answer = connection.getresponse()
    if "watch=1" not in target or answer.status != 200:
        body = answer.read()
        connection.close()
        return answer.status, [json.loads(body)] if body.startswith(b"{") else []
    values, kinds = [], set()
    while len(values) < most:
        value = json.loads(answer.readline())
        if value["type"] in kinds:
            continue
        kinds.add(value["type"])
        values.append(value)
    connection.close()
    return answer.status, values


if __name__ == "__main__":
    unittest.main()
