#!/usr/bin/env python3
"""`ingot provision`: a machine asks a server what it is to become, becomes that, and says so.

The server is nginx for images and a small one of this file for requests and events, which also misbehaves on demand. Disks are
loop devices. Nothing is switched off: --power exit ends the process instead.
"""
import glob
import http.server
import json
import os
import random
import signal
import subprocess
import threading
import time
import unittest
import urllib.parse

import rig
from rig import MIB, digest, sh

UUID = "4c4c4544-0051-3610-8052-b4c04f4e3332"
MACS = ["52:54:00:aa:00:01", "52:54:00:aa:00:02"]


class Controller:
    """Answers GET with what the test says, in order and then the last for ever; takes events by POST."""

    def __init__(self, *answers):
        self.answers = list(answers)  # (status, body)
        self.event_statuses = []      # of the next events; 204 when they are used up; 0 closes the connection unanswered
        self.asked = []               # (path, query, authorization)
        self.posts = []               # (path, authorization, event, status)
        self.delay = 0                # before an event is answered
        self.lock = threading.Lock()
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def answer(self, status, body=b""):
                self.send_response(status)
                if status != 204:
                    self.send_header("Content-Length", str(len(body)))
                try:
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:  # whoever asked was killed
                    self.close_connection = True

            def do_GET(self):
                url = urllib.parse.urlsplit(self.path)
                with owner.lock:
                    owner.asked.append((url.path, urllib.parse.parse_qs(url.query), self.headers.get("Authorization")))
                    status, body = owner.answers[0] if len(owner.answers) == 1 else owner.answers.pop(0)
                self.answer(status, body.encode())

            def do_POST(self):
                event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with owner.lock:
                    status = owner.event_statuses.pop(0) if owner.event_statuses else 204
                    owner.posts.append((self.path, self.headers.get("Authorization"), event, status))
                time.sleep(owner.delay)
                if status == 0:
                    self.close_connection = True
                    return
                self.answer(status)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def accepted(self):
        with self.lock:
            return [event for _, _, event, status in self.posts if status // 100 == 2]

    def results(self):
        return [event["data"] for event in self.accepted() if event["data"]["event"] == "result"]

    def check_events(self, case):
        """Each event is told once for each (deploy_id, seq), and again only as it was; numbers have no gaps where nothing
        was killed."""
        seen = {}
        for event in self.accepted():
            case.assertEqual(event["specversion"], "1.0")
            case.assertEqual(event["source"], "urn:uuid:" + event["data"]["deploy_id"])
            case.assertEqual(event["id"], str(event["data"]["seq"]))
            key = (event["source"], event["id"])
            case.assertEqual(seen.setdefault(key, event), event, "the same number, another event")
        return seen


class Provision(rig.Case):
    @classmethod
    def setUpClass(cls):
        if os.geteuid() != 0:
            raise AssertionError("loop devices need root")

    def setUp(self):
        super().setUp()
        self.raw = self.disk_image(size=24 * MIB)
        self.web = self.nginx()
        self.sysfs = self.path("sys")
        os.makedirs(self.path("sys/class/dmi/id"))
        for name, value in (("product_uuid", UUID.upper()), ("product_serial", "To Be Filled By O.E.M.")):
            with open(self.path("sys/class/dmi/id/" + name), "w") as file:
                file.write(value + "\n")

    def controller(self, *answers):
        controller = Controller(*answers)
        self.addCleanup(controller.close)
        return controller

    def image(self, path=None, **more):
        path = path or self.raw
        return {"urls": [f"{self.web}/{os.path.basename(path)}"], "checksum": "sha256:" + digest(path), **more}

    def request(self, device=None, image=None, **spec):
        if device is not None:
            spec["target"] = {"device": device}
        return json.dumps({"apiVersion": "ingot.io/v1", "kind": "DeployRequest", "metadata": {"name": "node-1"},
                           "spec": {"image": image or self.image(), **spec}})

    def arguments(self, *more, cmdline="quiet", power="exit"):
        with open(self.path("cmdline"), "w") as file:
            file.write(cmdline + "\n")
        return ["provision", "--cmdline", self.path("cmdline"), "--power", power, "--sysfs", self.sysfs, "--run-dir",
                self.path("run"), "--yes", "--progress", "json", *(word for mac in MACS for word in ("--mac", mac)), *more]

    def provision(self, *more, cmdline="quiet", power="exit", **kwargs):
        return self.ingot(*self.arguments(*more, cmdline=cmdline, power=power), **kwargs)

    def kept(self):
        try:
            return [name for name in os.listdir(self.path("run")) if name.startswith("result-") and name.endswith(".json")]
        except FileNotFoundError:
            return []

    # From a server.

    def test_a_request_is_asked_for_done_and_reported(self):
        disk = self.loop(64 * MIB, fill=1)
        server = self.controller((404, ""), (503, ""), (200, self.request(disk, report={"url": "/v1/machines/node-1/events",
                                                                                       "token": "of-the-report"})))
        with open(self.path("token"), "w") as file:
            file.write("of-the-machine\n")
        done = self.provision("--from", server.url + "/v1/provision?site=a", "--token-file", self.path("token"),
                              "--on-success", "reboot")
        self.assertEqual(done.code, 0, done)
        self.assert_disk_is(disk, self.raw)
        self.assertEqual([path for path, _, _ in server.asked], ["/v1/provision"] * 3)
        self.assertEqual(server.asked[2][1], {"site": ["a"], "mac": MACS, "uuid": [UUID]})
        self.assertEqual({authorization for _, _, authorization in server.asked}, {"Bearer of-the-machine"})
        self.assertIn("reboot: ending, as --power exit says", done.err)
        self.assertIn("has nothing for this machine", done.err)
        # The same events here and there, numbered without gaps.
        server.check_events(self)
        self.assertEqual({(path, token) for path, token, _, _ in server.posts},
                         {("/v1/machines/node-1/events", "Bearer of-the-report")})
        told = [event["data"] for event in server.accepted()]
        self.assertEqual([event["seq"] for event in told], list(range(len(told))))
        self.assertEqual(told[0]["event"], "started")
        self.assertEqual(told[-1]["status"], "succeeded")
        self.assertEqual(done.result["deploy_id"], told[-1]["deploy_id"])
        self.assertEqual(self.kept(), [])
        for secret in ("of-the-machine", "of-the-report"):
            self.assertNotIn(secret, done.err + done.out)

    def test_hints_qcow2_and_a_config_drive_of_texts(self):
        small, right = self.loop(32 * MIB), self.loop(80 * MIB)
        qcow2 = self.qcow2(self.raw)
        user_data = "#cloud-config\nusers:\n- name: ü\n  lock_passwd: true\n"
        server = self.controller((200, self.request(
            image=self.image(qcow2, format="qcow2"), target={"rootDeviceHints": {"name": right}},
            configDrive={"userData": user_data}, sshKeys=["ssh-ed25519 AAAA one", "ssh-ed25519 BBBB two"])))
        done = self.provision("--from", server.url + "/${mac:hexhyp}/__dmi.system-uuid__.yaml", "--only-device", small,
                              "--only-device", right)
        self.assertEqual(done.code, 0, done)
        self.assertEqual(server.asked[0][:2], (f"/52-54-00-aa-00-01/{UUID}.yaml", {}))
        self.assertEqual(self.head(small).strip(b"\0"), b"")
        place = done.result["config_drive"]
        drive = self.path("drive.img")
        with open(right, "rb") as disk, open(drive, "wb") as file:
            disk.seek(place["offset"])
            file.write(disk.read(place["size"]))
        self.assertEqual(sh("mtype", "-i", drive, "::openstack/latest/user_data"), user_data)
        meta = json.loads(sh("mtype", "-i", drive, "::openstack/latest/meta_data.json"))
        self.assertEqual(meta["public_keys"], {"key-0": "ssh-ed25519 AAAA one", "key-1": "ssh-ed25519 BBBB two"})
        self.assertEqual(meta["hostname"], "node-1")

    def test_nothing_to_do(self):
        server = self.controller((204, ""))
        done = self.provision("--from", server.url + "/x")
        self.assertEqual((done.code, done.out), (0, ""), done)
        self.assertIn("nothing is to be done", done.err)

    def test_an_osimage_and_its_machines_own_disk(self):
        disk = self.loop(64 * MIB)
        manifest = (f"apiVersion: management.loft.sh/v1\nkind: OSImage\nmetadata:\n  name: test\nspec:\n  properties:\n"
                    f"    metal3.vcluster.com/image-url: {self.image()['urls'][0]}\n"
                    f"    metal3.vcluster.com/image-checksum: '{digest(self.raw)}'\n")
        server = self.controller((200, manifest))
        nothing = self.provision("--from", server.url + "/x", "--report-url", "/events")
        self.assertEqual((nothing.code, nothing.error_code), (2, "usage.manifest"), nothing)
        self.assertEqual(server.results()[0]["error"]["code"], "usage.manifest")
        done = self.provision("--from", server.url + "/x", "--device", disk)
        self.assertEqual(done.code, 0, done)
        self.assert_disk_is(disk, self.raw)

    def test_refusals(self):
        disk = self.loop(64 * MIB, fill=2)
        before = self.head(disk, 64 * MIB)
        wanted = self.request(disk)
        victim = self.path("victim")
        with open(victim, "w") as file:
            file.write("mine")
        for what, answer, code, error in (
                ("not allowed", (403, ""), 8, "controller.refused"),
                ("moved", (302, ""), 8, "controller.refused"),
                ("no request", (200, "<html>"), 2, "usage.manifest"),
                ("half understood", (200, wanted.replace('"image"', '"imagee": {}, "image"')), 2, "usage.manifest"),
                ("no checksum", (200, self.request(disk, image={"urls": ["http://127.0.0.1/x"]})), 2, "usage.checksum"),
                ("a file here", (200, self.request(victim)), 6, "device.unsuitable"),
                ("an image here", (200, self.request(disk, image={**self.image(), "urls": ["file://" + self.raw]})), 2,
                 "usage.option"),
                ("no such disk", (200, self.request(target={"rootDeviceHints": {"serial": "s== none"}})), 6,
                 "device.no-match"),
                ("report to a file", (200, self.request(disk, report={"url": "file:///x"})), 2, "usage.manifest")):
            with self.subTest(what):
                server = self.controller(answer)
                done = self.provision("--from", server.url + "/x", "--report-url", "/events", "--retry", "never")
                self.assertEqual(done.code, code, done)
                self.assertEqual(done.error_code, error, done)
                self.assertEqual([r["error"]["code"] for r in server.results()], [done.error_code], done)
        for what, more in (("nobody answers", ("--from", "http://127.0.0.1:9/x", "--retry", "never")),
                           ("not known in time", ("--from", self.controller((404, "")).url + "/x", "--retry", "500ms"))):
            with self.subTest(what):
                done = self.provision(*more)
                self.assertEqual((done.code, done.error_class), (8, "controller"), done)
        self.assertEqual(self.head(disk, 64 * MIB), before)
        with open(victim) as file:
            self.assertEqual(file.read(), "mine")

    def test_a_machine_that_may_not_be_switched_off_is_not_overwritten(self):
        disk = self.loop(64 * MIB, fill=3)
        server = self.controller((200, self.request(disk, onSuccess="reboot")))
        done = self.provision("--from", server.url + "/x", power="real")
        self.assertEqual((done.code, done.error_code), (2, "usage.option"), done)
        self.assertNotEqual(self.head(disk).strip(b"\0"), b"")
        done = self.provision("--from", server.url + "/x", "--on-success", "none", power="real")
        self.assertEqual(done.code, 0, done)
        self.assert_disk_is(disk, self.raw)

    def test_without_yes_somebody_has_to_confirm(self):
        disk = self.loop(64 * MIB, fill=4)
        server = self.controller((200, self.request(disk)))
        arguments = [word for word in self.arguments("--from", server.url + "/x") if word != "--yes"]
        done = self.ingot(*arguments)
        self.assertEqual((done.code, done.error_code), (2, "usage.confirmation"), done)

    def test_a_wrong_checksum_is_told_and_tried_again_slowly(self):
        disk = self.loop(64 * MIB, fill=5)
        wrong = self.request(disk, image={**self.image(), "checksum": "0" * 64})
        server = self.controller((200, wrong))
        done = self.provision("--from", server.url + "/x", "--report-url", "/events")
        self.assertEqual((done.code, done.error_code), (4, "checksum.mismatch"), done)
        self.assert_not_bootable(disk)
        self.assertEqual(server.results()[0]["disk_state"], "unbootable")
        # For ever: the order may be corrected.
        server.answers = [(200, wrong), (200, wrong), (200, self.request(disk))]
        begin = time.monotonic()
        done = self.provision("--from", server.url + "/x", "--report-url", "/events", "--retry", "forever", "--recheck",
                              "1s")
        self.assertEqual(done.code, 0, done)
        self.assertGreaterEqual(time.monotonic() - begin, 2)
        self.assertEqual([result["status"] for result in server.results()[1:]], ["failed", "failed", "succeeded"])
        self.assert_disk_is(disk, self.raw)

    # From the kernel command line.

    def test_an_order_on_the_kernel_command_line(self):
        disk = self.loop(64 * MIB)
        with open(self.path("user-data"), "w") as file:
            file.write("#cloud-config\n{}\n")
        with open(self.path("SHA256SUMS"), "w") as file:
            file.write(f"{digest(self.raw)}  {os.path.basename(self.raw)}\n")
        server = self.controller((404, ""))
        done = self.provision(cmdline=(
            f"BOOT_IMAGE=x ingot.image-url=http://127.0.0.1:9/{os.path.basename(self.raw)} "
            f"ingot.image-url={self.image()['urls'][0]} ingot.image-checksum={self.web}/SHA256SUMS "
            f'ingot.root-device-hints={{"name":"{disk}"}} ingot.user-data-url={self.web}/user-data '
            f"ingot.report-url={server.url}/r ingot.on-success=kexec ingot.token=t quiet"), *("--only-device", disk))
        self.assertEqual(done.code, 0, done)
        self.assertIsNotNone(done.result["config_drive"])
        self.assertIn("the new system is rebooted into instead", done.err)
        self.assertEqual(server.results()[0]["status"], "succeeded")

    # Starting the new system without the firmware. --power exit ends before anything is loaded.

    def bootable_image(self, config):
        """A GPT with an ext4 root that has a kernel, an initrd and this grub.cfg."""
        tree = self.path("root")
        os.makedirs(tree + "/boot/grub", exist_ok=True)
        for name, content in (("boot/vmlinuz-6.1", "K" * 4096), ("boot/initrd.img-6.1", "I" * 4096),
                              ("boot/grub/grub.cfg", config)):
            with open(f"{tree}/{name}", "w") as file:
                file.write(content)
        if not os.path.islink(tree + "/vmlinuz"):
            os.symlink("boot/vmlinuz-6.1", tree + "/vmlinuz")
        path, part = self.path("bootable.raw"), self.path("part")
        for name, size in ((path, 24 * MIB), (part, 20 * MIB)):
            with open(name, "wb") as file:
                file.truncate(size)
        sh("mke2fs", "-q", "-F", "-t", "ext4", "-L", "rootfs", "-d", tree, part)
        subprocess.run(["sfdisk", "--quiet", path], input="label: gpt\nstart=2048, size=40960, type=L\n", text=True,
                       check=True, capture_output=True)
        sh("dd", f"if={part}", f"of={path}", "bs=1M", "seek=1", "conv=notrunc", "status=none")
        return path

    def partitioned_loop(self, size):
        disk = self.loop(size)
        backing = rig.backing_file(disk)
        sh("losetup", "--detach", disk)
        disk = sh("losetup", "--find", "--show", "--partscan", "--direct-io=on", backing).strip()
        self.addCleanup(self.detach_own, disk, backing)
        return disk

    def test_kexec_starts_what_the_boot_loader_would(self):
        disk = self.partitioned_loop(64 * MIB)
        image = self.bootable_image("""
set default="0"
menuentry 'An OS' --class os {
  search --no-floppy --set=root --label rootfs
  linux /vmlinuz root=LABEL=rootfs ro console=ttyS0
  initrd /boot/initrd.img-6.1
}
""")
        server = self.controller((200, self.request(disk, self.image(image), onSuccess="kexec")))
        done = self.provision("--from", server.url + "/x")
        self.assertEqual(done.code, 0, done)
        self.assertIn("on success: kexec: 'An OS' (/boot/grub/grub.cfg: kernel /vmlinuz, initrd /boot/initrd.img-6.1 on "
                      "partition 1), command line: BOOT_IMAGE=/vmlinuz root=LABEL=rootfs ro console=ttyS0\n", done.err)
        self.assertIn("kexec: ending, as --power exit says", done.err)
        with open("/proc/self/mounts") as mounts:
            self.assertNotIn(disk, mounts.read())
        self.assert_disk_is(disk, image)

    def test_kexec_falls_back_to_a_reboot_and_says_why(self):
        disk = self.partitioned_loop(64 * MIB)
        for config, why in (("if cpuid -l; then set default=1; fi\nmenuentry x { linux /vmlinuz }\n",
                             "the default entry depends on what is not known here"),
                            ("menuentry x { linux /none }\n", "No such file"),
                            ("menuentry x { chainloader +1 }\n", "'chainloader' is not followed"),
                            ("menuentry \x1b[31mx {", "line 1")):
            with self.subTest(why):
                image = self.bootable_image(config)
                server = self.controller((200, self.request(disk, self.image(image), onSuccess="kexec",
                                                            report={"url": "/events"})))
                done = self.provision("--from", server.url + "/x")
                self.assertEqual(done.code, 0, done)
                self.assertIn("on success: kexec: the new system is rebooted into instead: ", done.err)
                self.assertIn(why, done.err)
                self.assertNotIn("\x1b", done.err)
                self.assertIn("reboot: ending, as --power exit says", done.err)
                self.assertEqual(server.results()[-1]["status"], "succeeded")

    def test_half_an_order_is_none(self):
        disk = self.loop(64 * MIB, fill=6)
        image = f"ingot.image-url={self.image()['urls'][0]} ingot.image-checksum={digest(self.raw)}"
        for cmdline, words in ((f"{image} ingot.device={disk} ingot.on-sucess=reboot", "ingot.on-sucess is not known"),
                               (f"{image} ingot.device={disk} ingot.from=http://x/", "two orders"),
                               (f"{image} ingot.device={disk} ingot.on-success=halt", "none of reboot"),
                               (f"{image} ingot.device={disk} ingot.root-device-hints=serial=1", "exclude each other"),
                               (f"{image} ingot.device=", "has no value"), (image, "no disk"),
                               (f"ingot.image-url=http://x/ ingot.device={disk}", "no checksum"), ("quiet", "nothing says")):
            with self.subTest(words):
                done = self.provision(cmdline=cmdline)
                self.assertEqual((done.code, done.error_class), (2, "usage"), done)
                self.assertIn(words, done.err)
        self.assertNotEqual(self.head(disk).strip(b"\0"), b"")

    def test_a_token_is_for_the_server_that_was_named_beside_it(self):
        server = self.controller((204, ""))
        for path, boot, token in (("/x", "ingot.token=boot", "Bearer boot"),
                                  ("/x", f"ingot.token=boot ingot.from={server.url}/x", "Bearer boot"),
                                  ("/y", f"ingot.token=boot ingot.from={server.url}/x", None)):
            with self.subTest(boot):
                server.asked.clear()
                done = self.provision("--from", server.url + path, cmdline=boot)
                self.assertEqual(done.code, 0, done)
                self.assertEqual(server.asked[0][2], token)

    # What may go wrong on the way.

    def test_a_result_that_nobody_took_is_delivered_by_the_next_run_which_does_not_write_again(self):
        disk = self.loop(64 * MIB)
        server = self.controller((200, self.request(disk, report={"url": "/events", "token": "t"}, onSuccess="reboot")))
        server.event_statuses = [503] * 100000
        process = self.start(*self.arguments("--from", server.url + "/x"))
        self.wait_for(lambda: any(e["data"]["event"] == "result" for _, _, e, _ in list(server.posts)))
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
        self.assertEqual(len(self.kept()), 1)
        path = self.path("run/" + self.kept()[0])
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        self.assertEqual(server.results(), [])
        refused = {(e["source"], e["id"]): e for _, _, e, _ in server.posts if e["data"]["event"] == "result"}
        server.event_statuses = []
        with open(disk, "r+b") as file:  # would be gone if it was written again
            file.write(b"here")
        done = self.provision("--from", server.url + "/x")
        self.assertEqual((done.code, done.events), (0, []), done)
        self.assertIn("was written already", done.err)
        self.assertIn("reboot: ending", done.err)
        self.assertEqual(self.head(disk, 4), b"here")
        self.assertEqual([event for event in server.accepted()], list(refused.values()))
        self.assertEqual(self.kept(), [])

    def test_sigterm_ends_every_wait(self):
        disk = self.loop(64 * MIB)
        for answer in ((404, ""), (200, self.request(disk, image={**self.image(), "checksum": "0" * 64}))):
            server = self.controller(answer)
            process = self.start(*self.arguments("--from", server.url + "/x", "--retry", "forever"))
            self.wait_for(lambda: server.asked and (answer[0] == 404 or self.head(disk, 1)))
            time.sleep(1.5)
            process.send_signal(signal.SIGTERM)
            begin = time.monotonic()
            _, err = process.communicate(timeout=20)
            self.assertEqual(process.returncode, 130, err)
            self.assertLess(time.monotonic() - begin, 10)

    def test_killed_at_any_moment(self):
        """kill -9 again and again: in the end the disk is right, and every run that came to its end was told of once."""
        rng = random.Random(7)
        disk = self.loop(64 * MIB)
        server = self.controller((200, self.request(disk, report={"url": "/events"})))
        server.delay = 0.02
        arguments = self.arguments("--from", server.url + "/x")
        duration = self.time_of(arguments)
        finished = kept_successes = 0
        for number in range(100):
            if number >= 24 and finished and kept_successes:
                break
            server.event_statuses = [rng.choice((204, 204, 503, 0)) for _ in range(rng.randrange(8))]
            done_already = self.kept_successes()
            process = self.start(*arguments)
            try:
                process.wait(timeout=rng.uniform(0.02, 1.4) * duration)
                self.assertEqual(process.returncode, 0)
                finished += 1
            except subprocess.TimeoutExpired:
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
            # What was written is not written again.
            out, err = process.stdout.read(), process.stderr.read()
            if done_already:
                kept_successes += 1
                self.assertEqual(out, "", err)
            process.stdout.close()
            process.stderr.close()
        last = self.provision("--from", server.url + "/x")
        self.assertEqual(last.code, 0, last)
        self.assert_disk_is(disk, self.raw)
        self.assertEqual(self.kept(), [])
        self.assertEqual(glob.glob(self.path("run/result-*")), [])  # nor what a killed run had begun to write
        server.check_events(self)
        # Whatever was kept came through, under its own number, and says what really happened.
        by_run = {}
        for event in server.accepted():
            by_run.setdefault(event["source"], []).append(event)
        for events in by_run.values():
            terminal = {event["id"] for event in events if event["data"]["event"] == "result"}
            self.assertLessEqual(len(terminal), 1)
            if terminal:
                self.assertEqual(max(int(event["id"]) for event in events), int(terminal.pop()))
        self.assertTrue(all(result["status"] == "succeeded" for result in server.results()))
        self.assertGreater(len(server.results()), 0)
        self.assertGreater(finished, 0)
        self.assertGreater(kept_successes, 0)

    def kept_successes(self):
        kept = []
        for name in self.kept():
            with open(self.path("run/" + name)) as file:
                kept.append(json.load(file))
        return [result for result in kept if result["succeeded"]]

    def time_of(self, arguments):
        begin = time.monotonic()
        done = self.ingot(*arguments)
        self.assertEqual(done.code, 0, done)
        return time.monotonic() - begin

    def wait_for(self, condition):
        end = time.monotonic() + 30
        while not condition():
            self.assertLess(time.monotonic(), end, "nothing happened")
            time.sleep(0.02)


if __name__ == "__main__":
    unittest.main()
