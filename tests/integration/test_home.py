#!/usr/bin/python3
"""From an OSImage to an installed machine, without Ironic: the example of the platform's documentation is resolved, refused
to who may not use it, and provisioned through a controller, with its events in the history and on the page. And nothing of
the history is lost or there twice when controller and machines are killed."""
import os
import random
import signal
import subprocess
import time
import unittest

from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

import home_rig
import rig
from home_rig import Home
from rig import MIB

EXAMPLES = os.path.join(rig.HERE, "..", "..", "examples")
UPSTREAM = "https://cloud-images.ubuntu.com/noble/current/noble-server-cloudimg-amd64.img"
TERMINAL = {"succeeded", "failed", "cancelled"}


def read(*parts):
    with open(os.path.join(*parts)) as file:
        return file.read()


class SeedExample(Home):
    def test_all_of_it(self):
        seed = read(EXAMPLES, "platform", "ubuntu-noble.yaml")
        self.assertIn(UPSTREAM, seed)
        self.put(self.catalog, "ubuntu-noble.yaml", seed)
        machine = self.put(self.machines, "node-1.yaml", """\
apiVersion: management.loft.sh/v1
kind: Machine
metadata:
  name: node-1
spec:
  properties:
    vcluster.com/os-image: ubuntu-noble
""")
        # As it is documented: everybody may use it.
        done = self.ingot("resolve", "--catalog", self.catalog, "--machine", machine, "--user", "somebody", "-o", "json")
        self.assertEqual(done.code, 0, done)
        self.assertIn(UPSTREAM, done.out)
        # Restricted to a team, it is refused to who is not in it, and nothing of it is told.
        restricted = seed.replace('- "*"', "- alice")
        self.assertNotEqual(restricted, seed)
        self.put(self.catalog, "ubuntu-noble.yaml", restricted)
        refused = self.ingot("resolve", "--catalog", self.catalog, "--machine", machine, "--user", "mallory")
        self.assertEqual(refused.code, 9, refused)
        self.assertIn("admin", refused.err)
        self.assertNotIn("cloud-images", refused.out + refused.err)
        self.assertEqual(self.ingot("resolve", "--catalog", self.catalog, "--machine", machine, "--user", "alice").code, 0)

        # The same image from a server of ours: a machine installs itself.
        raw = self.disk_image(size=24 * MIB)
        image = self.qcow2(raw, "-c")
        url = f"{self.nginx()}/{os.path.basename(image)}"
        old = [line for line in seed.splitlines() if "image-checksum:" in line][0]
        self.put(self.catalog, "ubuntu-noble.yaml", restricted.replace(UPSTREAM, url).replace(
            old, f"    metal3.vcluster.com/image-checksum: {rig.digest(image)}"))
        device = self.loop(32 * MIB)
        self.put(self.machines, "node-1.yaml", read(machine) + f"    ingot.io/device: {device}\n    ingot.io/on-success: none\n")
        controller = self.controller()
        job = self.ingot(*self.provision_argv(controller, "node-1", "--progress", "json"))
        self.assertEqual(job.code, 0, job)
        self.assert_disk_is(device, raw)

        # What was reported is what happened.
        state = controller.get("/v1/machines/node-1")[2]
        last = state["deployment"]
        self.assertEqual((state["os_image"], state["installed"]), ("ubuntu-noble", True))
        self.assertEqual((last["status"], last["percent"], last["id"]), ("succeeded", 100, job.result["deploy_id"]))
        self.assertEqual([each["id"] for each in self.deployments(controller, "node-1")], [last["id"]])
        stored = [event["data"] for event in controller.events(last["id"])]
        self.assertEqual([event["seq"] for event in stored], list(range(len(stored))))
        self.assertEqual((stored[0]["event"], stored[-1]["event"]), ("started", "result"))
        self.assertEqual(stored[-1]["digest"], {"type": "sha256", "value": rig.digest(image)})

        # And on the page.
        browser = home_rig.browser()
        self.addCleanup(browser.quit)
        browser.get(f"http://127.0.0.1:{controller.port}/")
        row = WebDriverWait(browser, 30).until(
            lambda page: page.find_element(By.CSS_SELECTOR, "#machines tr[data-machine='node-1'][data-state='succeeded']"))
        self.assertIn("done", row.text)
        self.assertIn("ubuntu-noble", row.text)
        image_row = browser.find_element(By.CSS_SELECTOR, "#images tr[data-image='ubuntu-noble']").text
        for words in (url, rig.digest(image), "user admin", "alice: get"):
            self.assertIn(words, image_row)

        # It is installed: the next boot from the network leaves it alone, until somebody asks.
        before = rig.digest(device)
        again = self.ingot(*self.provision_argv(controller, "node-1"))
        self.assertEqual(again.code, 0, again)
        self.assertEqual(len(self.deployments(controller, "node-1")), 1)
        self.assertEqual(rig.digest(device), before)
        self.assertEqual(controller.ask("POST", "/v1/machines/node-1/reinstall")[0], 200)
        self.assertEqual(self.ingot(*self.provision_argv(controller, "node-1")).code, 0)
        self.assertEqual(len(self.deployments(controller, "node-1")), 2)


class Killed(Home):
    """SIGKILL of controller and agents at random moments."""

    ROUNDS = 8

    def test_nothing_of_the_history_is_lost_or_there_twice(self):
        rng = random.Random(20)
        raw = self.disk_image(size=16 * MIB, data=0.8)
        self.os_image("image", f"{self.nginx(directives='limit_rate 12m;')}/disk.raw", rig.digest(raw))
        names = [f"node-{number}" for number in range(3)]
        devices = {name: self.loop(20 * MIB) for name in names}
        for name in names:
            self.machine(name, "image", devices[name], {"ingot.io/reinstall": "always"})
        controller = self.controller()
        words = {}
        results = {}  # of runs that told their result on standard output: deploy_id → status

        for number in range(self.ROUNDS):
            jobs = {name: self.start(*self.provision_argv(controller, name, "--progress", "json", retry="20s"))
                    for name in names}
            victim = names[number % len(names)]
            time.sleep(rng.uniform(0.05, 1.6))
            jobs[victim].send_signal(signal.SIGKILL)
            time.sleep(rng.uniform(0, 0.4))
            controller.kill()
            time.sleep(rng.uniform(0, 0.6))
            self.again(controller)
            for name, job in jobs.items():
                try:
                    out, err = job.communicate(timeout=90)
                except subprocess.TimeoutExpired:
                    job.kill()
                    self.fail(f"{name} does not end: {job.communicate()}")
                ended = [event for event in rig.Outcome(job.returncode, out, err).events if event["event"] == "result"]
                results.update({event["deploy_id"]: event["status"] for event in ended})
                words.update({event["deploy_id"]: f"{name}: {event}\n{err}" for event in ended})
        # A last run of each delivers what was left behind.
        for name in names:
            job = self.ingot(*self.provision_argv(controller, name, "--progress", "json"))
            self.assertEqual(job.code, 0, job)
            if any(event["event"] == "result" for event in job.events):
                results[job.result["deploy_id"]] = job.result["status"]
            self.assert_disk_is(devices[name], raw)

        kept = {}
        for name in names:
            deployments = self.deployments(controller, name)
            ids = [deployment["id"] for deployment in deployments]
            self.assertEqual(len(ids), len(set(ids)), "a deployment is there twice")
            kept.update({deployment["id"]: deployment["status"] for deployment in deployments})
        for deploy_id, status in results.items():
            self.assertEqual(kept.get(deploy_id), status, f"the end of {deploy_id}: {words.get(deploy_id)}")
        for deploy_id, state in kept.items():
            stored = [event["data"] for event in controller.events(deploy_id)]
            seqs = [event["seq"] for event in stored]
            self.assertEqual(seqs, sorted(set(seqs)), f"{deploy_id}: events out of order or twice")
            ends = [event for event in stored if event["event"] == "result"]
            self.assertEqual(len(ends), 1 if state in TERMINAL else 0, f"{deploy_id} is {state}")
        self.assertGreater(len(kept), self.ROUNDS)


if __name__ == "__main__":
    unittest.main()
