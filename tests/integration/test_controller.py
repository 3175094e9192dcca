"""ingot-controller as a process: REST, streams, tokens, TLS, manifests that change, kill -9, a full disk."""
import http.client
import json
import os
import random
import sqlite3
import subprocess
import threading
import time
import unittest

import rig
from controller_rig import CLOUD_EVENTS, CONTROLLER, Controller, Stream, event, eventually, machine, new_deployment, os_image

TOKEN = {"node-1": "0123456789abcdef-1", "node-2": "0123456789abcdef-2"}
PAGE_TOKEN = "page-token-page-token"


class ControllerCase(rig.Case):
    def controller(self, start=True, **kwargs):
        made = Controller(self.dir, **kwargs)
        made.write(made.catalog, "noble.yaml", os_image())
        made.write(made.machines, "node-1.yaml", machine("node-1", mac_addresses="52:54:00:00:00:01"))
        made.write(made.machines, "node-2.yaml", machine("node-2", mac_addresses="52:54:00:00:00:02"))
        if start:
            made.start()
            self.addCleanup(made.stop)
        return made

    def secret_file(self, name, text):
        path = self.path(name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
        return path


class Serving(ControllerCase):
    def test_a_machine_is_told_reports_and_is_done(self):
        controller = self.controller()
        status, _, request = controller.get("/v1/provision?mac=00:00:00:00:00:09&mac=52-54-00-00-00-01&uuid=&serial=")
        self.assertEqual(status, 200)
        self.assertEqual(request["kind"], "DeployRequest")
        url = "/v1/" + request["spec"]["report"]["url"]
        deployment = new_deployment()
        self.assertEqual(controller.post_event(url, event(deployment, 0, "started", device="/dev/sda")), 200)
        self.assertEqual(controller.post_event(url, event(deployment, 1, "progress", phase="write", percent=24.1)), 200)
        _, _, shown = controller.get("/v1/machines/node-1")
        self.assertEqual(shown["deployment"]["percent"], 24.1)
        last = event(deployment, 2, "result", status="succeeded", disk_state="complete", error=None)
        self.assertEqual(controller.post_event(url, last), 200)
        self.assertEqual(controller.post_event(url, last), 200, "again")
        self.assertEqual(controller.get("/v1/provision?mac=52:54:00:00:00:01")[0], 204)
        self.assertEqual(len(controller.events(deployment)), 3)
        self.assertEqual(controller.stop(), 0)
        controller.start()
        self.assertEqual(controller.get("/v1/provision?mac=52:54:00:00:00:01")[0], 204, "after a restart")
        self.assertEqual(controller.ask("POST", "/v1/machines/node-1/reinstall")[0], 200)
        self.assertEqual(controller.get("/v1/provision?mac=52:54:00:00:00:01")[0], 200)

    def test_what_ingot_itself_reports(self):
        tokens = self.secret_file("tokens", f"node-1 {TOKEN['node-1']}\n")
        controller = self.controller(args=["--machine-tokens", tokens])
        image = self.disk_image()
        url = f"http://127.0.0.1:{controller.port}/v1/machines/node-1/events"
        done = self.ingot("write", "--image-url", "file://" + image, "--image-checksum", rig.digest(image),
                          "--device", self.path("disk"), "--size", "40M", "--progress", "json", "--report-url", url,
                          "--report-token-file", self.secret_file("token", TOKEN["node-1"] + "\n"))
        self.assertEqual(done.code, 0, done)
        last = controller.get("/v1/machines/node-1")[2]["deployment"]
        self.assertEqual(last["id"], done.result["deploy_id"])
        self.assertEqual((last["status"], last["disk_state"], last["percent"]), ("succeeded", "complete", 100))
        self.assertEqual(last["digest"], "sha256:" + rig.digest(image))
        self.assertFalse(controller.get("/v1/machines/node-1")[2]["installed"], "by nobody's request")

    def test_a_stream_follows(self):
        controller = self.controller()
        stream = Stream(controller)
        self.addCleanup(stream.close)
        self.assertEqual(stream.answer.headers["Content-Type"], "text/event-stream")
        self.assertEqual(stream.next()[::2], ("fleet", {"machines": ["node-1", "node-2"], "problem": None}))
        deployment = new_deployment()
        controller.post_event("/v1/machines/node-2/events", event(deployment, 0, "started"))
        _, number, seen = stream.until(lambda kind, _, data: kind == "machine" and data["deployment"])
        self.assertEqual(seen["deployment"]["id"], deployment)
        again = Stream(controller, last_event_id=number)
        self.addCleanup(again.close)
        self.assertEqual(again.next()[0], "fleet")
        controller.post_event("/v1/machines/node-1/events", event(new_deployment(), 0, "started"))
        self.assertEqual(again.next()[2]["name"], "node-1", "nothing of node-2, which had not changed")
        controller.kill()
        controller.start()
        other = Stream(controller, last_event_id=number)
        self.addCleanup(other.close)
        other.until(lambda kind, _, data: kind == "machine" and data["name"] == "node-2" and data["deployment"])
        self.assertEqual(controller.stop(), 0, "whoever still reads")

    def test_streams_are_no_burden(self):
        controller = self.controller()
        streams = [Stream(controller) for _ in range(64)]
        for stream in streams:
            self.addCleanup(stream.close)
        self.assertEqual(controller.get("/v1/stream")[0], 503, "one too many")
        deployment = new_deployment()
        for seq in range(50):  # nobody reads
            self.assertEqual(controller.post_event("/v1/machines/node-1/events", event(deployment, seq, "note")), 200)
        for stream in streams:
            stream.close()

        def closed():
            return "ingot_controller_streams 0\n" in controller.get("/metrics")[2]
        eventually(closed)

    def test_tls(self):
        rig.sh("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
               "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", self.path("key.pem"),
               "-out", self.path("cert.pem"))
        controller = self.controller(args=["--tls-cert", self.path("cert.pem"), "--tls-key", self.path("key.pem")],
                                     ca=self.path("cert.pem"))
        self.assertEqual(controller.get("/v1/machines")[0], 200)
        self.assertEqual(controller.post_event("/v1/machines/node-1/events", event(new_deployment(), 0, "started")), 200)
        stream = Stream(controller)
        self.addCleanup(stream.close)
        self.assertEqual(stream.next()[0], "fleet")

    def test_tokens(self):
        tokens = self.secret_file("tokens", f"node-1 {TOKEN['node-1']}\n")
        page = self.secret_file("page", PAGE_TOKEN + "\n")
        controller = self.controller(args=["--machine-tokens", tokens, "--page-token-file", page])
        self.assertIn("has no token for the machine node-2", controller.log())
        self.assertEqual(controller.get("/v1/provision?name=node-1")[0], 401)
        status, _, request = controller.get("/v1/provision?name=node-1", token=TOKEN["node-1"])
        self.assertEqual(status, 200)
        self.assertEqual(request["spec"]["report"]["token"], TOKEN["node-1"])
        self.assertEqual(controller.get("/v1/provision?name=node-2", token=TOKEN["node-1"])[0], 403)
        url = "/v1/machines/node-1/events"
        self.assertEqual(controller.post_event(url, event(new_deployment(), 0, "started")), 401)
        self.assertEqual(controller.post_event(url, event(new_deployment(), 0, "started"), token=TOKEN["node-1"]), 200)
        self.assertEqual(controller.get("/v1/machines")[0], 401)
        self.assertEqual(controller.get("/v1/machines", token=PAGE_TOKEN)[0], 200)
        status, headers, _ = controller.get("/v1/stream")
        self.assertEqual((status, headers["WWW-Authenticate"]), (401, "Bearer"))
        stream = Stream(controller, token=PAGE_TOKEN)
        self.addCleanup(stream.close)
        self.assertEqual(stream.next()[0], "fleet")
        # A machine more.
        self.secret_file("tokens", "".join(f"{name} {token}\n" for name, token in TOKEN.items()))
        eventually(lambda: controller.get("/v1/provision?name=node-2", token=TOKEN["node-2"])[0] == 200)
        for secret in (*TOKEN.values(), PAGE_TOKEN):
            self.assertNotIn(secret, controller.log())
            with open(controller.state, "rb") as file:
                self.assertNotIn(secret.encode(), file.read())


class Provisioning(ControllerCase):
    """`ingot provision` and the controller, with tokens, onto a loop device."""

    def setUp(self):
        super().setUp()
        self.image = self.qcow2(self.disk_image(size=96 * rig.MIB, data=0.6))
        self.disk = self.loop(128 * rig.MIB, fill=1)
        tokens = self.secret_file("tokens", f"node-1 {TOKEN['node-1']}\n")
        self.served = self.controller(start=False, args=["--machine-tokens", tokens])
        self.serve_image(self.nginx(directives="limit_rate 20m;"), rig.digest(self.image))
        self.served.write(self.served.machines, "node-1.yaml",
                          machine("node-1", mac_addresses="52:54:00:00:00:01", device=self.disk))
        self.served.start()
        self.addCleanup(self.served.stop)

    def serve_image(self, url, digest):
        self.served.write(self.served.catalog, "noble.yaml",
                          os_image(url=f"{url.rstrip('/')}/{os.path.basename(self.image)}", checksum=digest))
        self.url = url

    def arguments(self):
        return ["provision", "--from", f"http://127.0.0.1:{self.served.port}/v1/provision", "--mac", "52:54:00:00:00:01",
                "--token-file", self.secret_file("token", TOKEN["node-1"] + "\n"), "--cmdline", "/dev/null", "--yes",
                "--power", "exit", "--run-dir", self.path("run"), "--progress", "json", "--retry", "60s"]

    def test_from_manifests_to_a_disk(self):
        done = self.ingot(*self.arguments())
        self.assertEqual(done.code, 0, done)
        self.assert_disk_is(self.disk, self.image.removesuffix(".qcow2"))
        state = self.served.get("/v1/machines/node-1")[2]
        self.assertTrue(state["installed"], state)
        self.assertEqual(state["deployment"]["id"], done.result["deploy_id"])
        numbers = [int(one["id"]) for one in self.served.events(done.result["deploy_id"])]
        self.assertEqual(numbers, sorted(set(numbers)))
        again = self.ingot(*self.arguments())
        self.assertEqual(again.code, 0, again)
        self.assertEqual(self.served.get("/v1/machines/node-1")[2]["deployment"]["id"], done.result["deploy_id"],
                         "nothing was done")
        # Another image, and not the one that its checksum says.
        self.serve_image(self.url, "b" * 64)
        eventually(lambda: not self.served.get("/v1/machines/node-1")[2]["installed"])
        failed = self.ingot(*self.arguments())
        self.assertEqual(failed.code, 4, failed)
        state = self.served.get("/v1/machines/node-1")[2]
        self.assertEqual(state["deployment"]["error"]["code"], "checksum.mismatch")
        self.assertIn("sha256", state["deployment"]["error"]["message"])
        self.assertFalse(state["installed"])

    def test_both_killed_at_any_moment(self):
        rng = random.Random(41)
        port = self.served.port
        ended = False
        for round_number in range(12):
            process = self.start(*self.arguments())
            try:
                # The controller goes and comes back; the agent is killed, but for the last rounds.
                time.sleep(rng.uniform(0.1, 1.2))
                self.served.kill()
                time.sleep(rng.uniform(0, 0.3))
                self.served.start(port)
                process.communicate(timeout=60 if round_number > 3 else rng.uniform(0.05, 0.8))
                ended = process.returncode == 0
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
            if ended:
                break
        self.assertTrue(ended)
        self.assert_disk_is(self.disk, self.image.removesuffix(".qcow2"))
        self.assertTrue(self.served.get("/v1/machines/node-1")[2]["installed"])
        deployments = self.served.get("/v1/machines/node-1/deployments")[2]["deployments"]
        self.assertEqual([one["status"] for one in deployments], ["succeeded"] + ["lost"] * (len(deployments) - 1))
        for one in deployments:
            numbers = [int(event["id"]) for event in self.served.events(one["id"])]
            self.assertEqual(len(numbers), len(set(numbers)))


class Manifests(ControllerCase):
    def test_changes_are_noticed_and_wrong_ones_are_not_taken(self):
        controller = self.controller()
        controller.write(controller.catalog, "noble.yaml", os_image(url="http://192.0.2.9/newer.img"))

        def newer():
            return "newer.img" in controller.get("/v1/provision?name=node-1")[2]["spec"]["image"]["urls"][0]
        eventually(newer)
        controller.write(controller.catalog, "bad.yaml", '{"kind": "OSImage"}')
        eventually(lambda: controller.get("/healthz")[2]["status"] == "degraded")
        self.assertIn("bad.yaml", controller.get("/healthz")[2]["error"]["message"])
        self.assertIn("not taken", controller.log())
        self.assertEqual(controller.get("/v1/provision?name=node-1")[0], 200, "the last good state")
        os.unlink(os.path.join(controller.catalog, "bad.yaml"))
        eventually(lambda: controller.get("/healthz")[2]["status"] == "ok")
        os.unlink(os.path.join(controller.machines, "node-2.yaml"))
        eventually(lambda: controller.get("/v1/machines/node-2")[0] == 404)
        self.assertEqual(controller.post_event("/v1/machines/node-2/events", event(new_deployment(), 0, "note")), 404)

    def test_what_it_cannot_begin_with(self):
        controller = self.controller(start=False)

        def refused(argv, code=2):
            done = subprocess.run(argv, capture_output=True, text=True, timeout=20)
            self.assertEqual(done.returncode, code, done.stderr)
            return done.stderr
        controller.write(controller.machines, "twin.yaml", machine("twin", mac_addresses="52:54:00:00:00:01"))
        self.assertIn("52:54:00:00:00:01", refused(controller.argv()))
        self.assertFalse(os.path.exists(controller.state), "before any state file is made")
        os.unlink(os.path.join(controller.machines, "twin.yaml"))
        self.assertIn("--catalog", refused([CONTROLLER, "--listen", "127.0.0.1:0"]))
        self.assertIn("--tls-cert", refused([*controller.argv(), "--tls-cert", "x"]))
        open_file = self.path("open")
        with open(open_file, "w") as file:
            file.write("node-1 0123456789abcdef\n")
        os.chmod(open_file, 0o644)
        said = refused([*controller.argv(), "--machine-tokens", open_file])
        self.assertIn("mode 644", said)
        self.assertNotIn("0123456789abcdef", said)
        controller.start()
        self.addCleanup(controller.stop)
        self.assertIn("another ingot-controller", refused(controller.argv()))
        taken = controller.argv(controller.port)
        taken[taken.index("--state") + 1] = self.path("other.db")
        self.assertIn("listening at", refused(taken))


class Durability(ControllerCase):
    def test_killed_at_any_moment_nothing_acknowledged_is_lost(self):
        controller = self.controller()
        rng = random.Random(14)
        acknowledged, finished = {}, set()
        stop = threading.Event()
        lock = threading.Lock()

        def agent(number):
            """Reports deployment after deployment, each event again until it is taken, as ingot does."""
            name = f"node-{number % 2 + 1}"
            while not stop.is_set():
                deployment = new_deployment()
                for seq in range(12):
                    kind = "result" if seq == 11 else "progress"
                    body = event(deployment, seq, kind, **({"status": "succeeded"} if seq == 11 else {"percent": seq}))
                    while True:
                        try:
                            status = controller.post_event(f"/v1/machines/{name}/events", body)
                        except (OSError, http.client.HTTPException, ValueError):  # ValueError: half an answer
                            status = None
                        if status == 200:
                            break
                        if status not in (None, 503):
                            failures.append((status, body))
                            return
                        if stop.is_set():
                            return
                        time.sleep(0.01)
                    with lock:
                        acknowledged.setdefault(deployment, {})[seq] = body
                        if seq == 11:
                            finished.add(deployment)
        failures = []
        agents = [threading.Thread(target=agent, args=(number,)) for number in range(8)]
        for one in agents:
            one.start()
        port = controller.port
        for _ in range(8):
            time.sleep(rng.uniform(0.05, 0.6))
            controller.kill()
            controller.start(port)
        time.sleep(0.5)
        stop.set()
        for one in agents:
            one.join(timeout=30)
        controller.kill()
        controller.start(port)
        self.assertEqual(failures, [])
        self.assertGreater(len(finished), 8)
        for deployment, events in acknowledged.items():
            have = {int(one["id"]): one for one in controller.events(deployment)}
            self.assertEqual(len(have), len(controller.events(deployment)), "no duplicate")
            for seq, body in events.items():
                self.assertEqual(have.get(seq), json.loads(body), f"{deployment} {seq}")
            if deployment in finished:
                self.assertEqual(controller.get(f"/v1/deployments/{deployment}")[2]["status"], "succeeded")
        controller.stop()
        with sqlite3.connect(controller.state) as database:
            self.assertEqual(database.execute("PRAGMA integrity_check").fetchone()[0], "ok")
            self.assertEqual(database.execute("SELECT count(*) FROM (SELECT 1 FROM events GROUP BY deploy_id, seq "
                                              "HAVING count(*) > 1)").fetchone()[0], 0)

    def test_a_full_disk_is_said_and_passes(self):
        small = self.path("small")
        os.mkdir(small)
        rig.sh("mount", "-t", "tmpfs", "-o", "size=2m", "none", small)
        self.addCleanup(subprocess.run, ["umount", "-l", small])
        controller = self.controller(state=os.path.join(small, "state.db"))
        deployment, stored, seq = new_deployment(), [], 0
        filler = os.path.join(small, "filler")
        with open(filler, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                pass
        status = None
        for seq in range(400):
            status, _, answer = controller.ask("POST", "/v1/machines/node-1/events",
                                               event(deployment, seq, "note", text="x" * 4000), {"Content-Type": CLOUD_EVENTS})
            if status != 200:
                break
            stored.append(seq)
        self.assertEqual(status, 503, answer)
        self.assertIn("full", answer["error"]["message"])
        self.assertEqual(controller.get("/v1/machines")[0], 200, "it serves on")
        controller.kill()
        controller.start()
        self.assertEqual(len(controller.events(deployment)), len(stored), "after a restart as well")
        os.unlink(filler)
        self.assertEqual(controller.post_event("/v1/machines/node-1/events", event(deployment, seq, "note")), 200)
        self.assertEqual([int(one["id"]) for one in controller.events(deployment)], [*stored, seq])


class Program(unittest.TestCase):
    def test_it_carries_nothing_that_writes_disks(self):
        symbols = rig.sh("nm", "--demangle", "--defined-only", CONTROLLER)
        self.assertIn("ingot::agent::RestApi", symbols)
        for foreign in ("ingot::imaging::", "ingot::disk::", "ingot::agent::run_job", "ingot::agent::run_agent"):
            self.assertNotIn(foreign, symbols)
        libraries = rig.sh("ldd", CONTROLLER)
        self.assertIn("libsqlite3", libraries)
        for foreign in ("blkid", "fdisk", "uring", "archive", "isal"):
            self.assertNotIn(foreign, libraries)
        self.assertNotIn("sqlite", rig.sh("ldd", rig.INGOT), "and the RAM disk's program nothing of it")

    def test_help_and_version(self):
        self.assertIn("--machine-tokens", rig.sh(CONTROLLER, "--help"))
        self.assertRegex(rig.sh(CONTROLLER, "--version"), r"^ingot-controller \d")


if __name__ == "__main__":
    unittest.main()
