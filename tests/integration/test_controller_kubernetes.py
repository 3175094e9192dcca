#!/usr/bin/python3
"""ingot-controller with the OSImages of a Kubernetes API server (kubernetes_rig.py, over real HTTPS): what changes there
counts here, and what was known last stays while the server is gone."""
import subprocess
import time
import unittest

from controller_rig import CONTROLLER, Controller, eventually, machine
from kubernetes_case import KEY, TOKEN, Case

URL = "https://images.example/disk.img"


class FromAnApiServer(Case):
    def controller(self, config):
        made = Controller(self.dir, args=["--kubeconfig", config])
        made.catalog = "kubeconfig:"
        made.write(made.machines, "node-1.yaml", machine("node-1", mac_addresses="52:54:00:00:00:01").replace(
            '"noble"', '"ubuntu-noble", "vcluster.com/ssh-keys": "admin"'))
        made.start()
        self.addCleanup(made.stop)
        return made

    def urls(self, controller):
        status, _, body = controller.get("/v1/provision?name=node-1")
        return body["spec"]["image"]["urls"] if status == 200 else status

    def health(self, controller):
        return str(controller.get("/healthz")[2])

    def test_changes_count_and_the_last_state_stays(self):
        server = self.api()
        server.put_key("admin", KEY)
        controller = self.controller(self.config(server))
        self.assertEqual(self.urls(controller), [URL])
        self.assertIn(KEY, controller.get("/v1/provision?name=node-1")[2]["spec"]["sshKeys"])
        self.assertEqual([image["name"] for image in controller.get("/v1/osimages")[2]["osimages"]], ["ubuntu-noble"])

        server.put_image("ubuntu-noble", url=URL + "?v2")
        eventually(lambda: self.urls(controller) == [URL + "?v2"])
        server.put_image("added")
        eventually(lambda: len(controller.get("/v1/osimages")[2]["osimages"]) == 2)

        server.stop()
        eventually(lambda: "may be old" in self.health(controller))
        self.assertEqual(self.urls(controller), [URL + "?v2"])
        # A machine whose keys cannot be asked for waits: 503 is not for ever.
        controller.write(controller.machines, "node-2.yaml", machine("node-2").replace(
            '"noble"', '"ubuntu-noble", "vcluster.com/ssh-keys": "admin"'))
        eventually(lambda: controller.get("/v1/provision?name=node-2")[0] == 503)
        self.assertNotIn(TOKEN, controller.log())

    def test_a_server_that_says_no_is_said_at_once(self):
        server = self.api()
        config = self.config(server, {"token": "wrong"})
        begun = time.monotonic()
        done = subprocess.run([CONTROLLER, "--catalog", "kubeconfig:", "--kubeconfig", config, "--machines", self.dir,
                               "--listen", "127.0.0.1:0", "--state", self.path("s.db")], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 8, done.stderr)
        self.assertLess(time.monotonic() - begun, 20)
        self.assertIn("controller.refused", done.stderr)
        self.assertNotIn("wrong", done.stderr)

    def test_options_of_a_server_beside_a_directory_are_a_mistake(self):
        done = subprocess.run([CONTROLLER, "--catalog", self.dir, "--kubeconfig", "/nowhere", "--machines", self.dir,
                               "--listen", "127.0.0.1:0"], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 2)
        self.assertIn("--kubeconfig", done.stderr)


if __name__ == "__main__":
    unittest.main()
