#!/usr/bin/python3
"""A network that is not there: names that do not resolve, hosts that no route leads to. Each test has a network of its own
(a namespace with nothing but loopback) and its own resolv.conf; nothing leaves it."""
import os
import pty
import signal
import subprocess
import time
import unittest

import rig
import together
from rig import MIB

load_tests = together.load_tests

SERVER = "127.0.0.9"
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}


class Network(rig.Case):
    def setUp(self):
        super().setUp()
        self.resolv = self.path("resolv.conf")
        self.resolver("")
        # The file is bound, so that it is written in place afterwards.
        with open(self.path("nsswitch.conf"), "w") as file:
            file.write("hosts: files dns\n")  # nobody outside is asked over a socket
        script = (f"mount --bind {self.resolv} /etc/resolv.conf && mount --bind {self.path('nsswitch.conf')} /etc/nsswitch.conf && "
                  "ip link set lo up && echo ready && exec sleep 600")
        self.holder = subprocess.Popen(["unshare", "--net", "--mount", "sh", "-c", script], stdout=subprocess.PIPE, text=True)
        self.addCleanup(self._stop, self.holder)
        self.assertEqual(self.holder.stdout.readline(), "ready\n")
        self.raw = self.disk_image(size=8 * MIB)
        self.target = self.path("target")

    def resolver(self, text):
        with open(self.resolv, "w") as file:
            file.write(text)

    def inside(self, *argv):
        return ["nsenter", f"--target={self.holder.pid}", "--net", "--mount", "--", *argv]

    def ip(self, *args):
        rig.sh(*self.inside("ip", *args))

    def serve_names(self, *answers, address=SERVER):
        """A name server in this network, which resolv.conf names; the answers are those of name_server.py."""
        server = subprocess.Popen(self.inside("/usr/bin/python3", os.path.join(rig.SUPPORT, "name_server.py"), address, *answers),
                                  stdout=subprocess.PIPE, text=True)
        self.addCleanup(self._stop, server)
        self.assertEqual(server.stdout.readline(), "ready\n")
        self.resolver(f"nameserver {address}\noptions timeout:1 attempts:1\n")
        return server

    def serve_files(self):
        """The port of a web server in this network, on 127.0.0.1."""
        server = subprocess.Popen(self.inside("/usr/bin/python3", os.path.join(rig.SUPPORT, "fault_server.py"), self.dir),
                                  stdout=subprocess.PIPE, text=True)
        self.addCleanup(self._stop, server)
        return server.stdout.readline().strip().rsplit(":", 1)[1]

    def argv(self, *args, url="http://images.example/disk.raw", progress="json"):
        return self.inside(rig.INGOT, "write", "--image-url", url, "--insecure-no-checksum", "--device", self.target,
                           "--size", "16M", "--yes", "--progress", progress, *args)

    def fetch(self, *args, deadline=60, **kwargs):
        """Runs ingot in this network; returns its outcome and how long it took."""
        start = time.monotonic()
        done = subprocess.run(self.argv("--retry-deadline", str(deadline), *args, **kwargs), capture_output=True, text=True,
                              timeout=90, env=ENVIRONMENT)
        return rig.Outcome(done.returncode, done.stdout, done.stderr), time.monotonic() - start

    def refused(self, code, *parts, **kwargs):
        """It fails with that code and a message that has all of `parts`."""
        outcome, seconds = self.fetch(*kwargs.pop("args", []), **kwargs)
        self.assertEqual((outcome.code, outcome.error_code), (3, code), outcome)
        for part in parts:
            self.assertIn(part, outcome.result["error"]["message"])
        self.assertEqual(outcome.result["disk_state"], "untouched")
        return outcome, seconds

    def test_a_name_that_does_not_exist_is_given_up_soon(self):
        self.serve_names("nxdomain")
        outcome, seconds = self.refused("source.unreachable", "http://images.example/disk.raw",
                                        f"the name images.example does not exist: {SERVER} (asked from 127.0.0.1 on lo) answers NXDOMAIN")
        self.assertIn("mirrored to a server on that network", outcome.result["error"]["advice"])
        self.assertGreater(seconds, 9)
        self.assertLess(seconds, 20, outcome)
        retries = [event for event in outcome.events if event["event"] == "retry"]
        self.assertGreater(len(retries), 2)
        self.assertEqual({"attempt", "reason", "resume_offset"} - set(retries[0]), set())

    def test_a_name_that_appears_is_taken(self):
        self.serve_names("nxdomain", "3", "127.0.0.1")
        outcome, _ = self.fetch(url=f"http://images.example:{self.serve_files()}/disk.raw")
        self.assertEqual(outcome.code, 0, outcome)
        self.assertTrue([event for event in outcome.events if event["event"] == "retry"], outcome)
        self.assert_disk_is(self.target, self.raw)

    def test_a_server_in_trouble_has_the_whole_deadline(self):
        self.serve_names("servfail", "12", "127.0.0.1")
        outcome, seconds = self.fetch(url=f"http://images.example:{self.serve_files()}/disk.raw")
        self.assertEqual(outcome.code, 0, outcome)
        self.assertGreater(seconds, 11)
        reasons = [event["reason"] for event in outcome.events if event["event"] == "retry"]
        self.assertIn(f"the name images.example was not found: {SERVER} (asked from 127.0.0.1 on lo) answers SERVFAIL", reasons[0])

    def test_a_server_that_does_not_answer(self):
        self.serve_names("nothing")
        silent = f"{SERVER} (asked from 127.0.0.1 on lo) does not answer; no interface is up; no default route"
        self.refused("source.deadline", f"the name images.example was not found: {silent}", deadline=3)
        # With the C library's own patience it is ours that ends first.
        self.resolver(f"nameserver {SERVER}\n")
        self.refused("source.deadline", f"took too long: the name images.example was not found: {silent}", deadline=3)

    def test_no_name_server_runs_there(self):
        self.resolver(f"nameserver {SERVER}\n")
        self.refused("source.deadline", f"{SERVER} (asked from 127.0.0.1 on lo) refuses: no name server runs there", deadline=2)

    def test_no_name_server_is_named(self):
        self.refused("source.deadline", "the name images.example was not found: /etc/resolv.conf names no name server; "
                     "no interface is up; no default route", deadline=2)

    def test_no_route_to_the_name_server(self):
        self.resolver("nameserver 10.77.9.1\nnameserver 10.77.9.2\n")
        self.ip("link", "add", "eth7", "type", "veth", "peer", "name", "eth8")
        self.ip("address", "add", "10.77.0.2/24", "dev", "eth7")
        for interface in ("eth7", "eth8"):
            self.ip("link", "set", interface, "up")
        self.refused("source.deadline", "10.77.9.1: no route leads there; 10.77.9.2: no route leads there; "
                     "interfaces: eth7 10.77.0.2, eth8 without address; no default route", deadline=2)

    def test_no_route_to_the_server(self):
        outcome, _ = self.refused("source.deadline", "(192.0.2.1 port 80 no route leads there); no interface is up; no default route",
                                  url="http://192.0.2.1/disk.raw", deadline=2)
        self.assertIn("mirrored to a server on that network", outcome.result["error"]["advice"])
        # One that is there, with nothing that listens.
        outcome, _ = self.refused("source.deadline", "(127.0.0.1 port 1 from 127.0.0.1 on lo)", url="http://127.0.0.1:1/disk.raw", deadline=2)
        self.assertNotIn("mirrored", outcome.result["error"]["advice"])

    def test_the_proxys_name(self):
        server = self.serve_names("nxdomain")
        outcome, _ = self.refused("source.unreachable", "of the proxy, the name proxy.example does not exist: ",
                                  args=["--proxy", "http://user:secret@proxy.example:3128"])
        self.assertIn("--proxy", outcome.result["error"]["advice"])
        self.assertNotIn("secret", outcome.out + outcome.err)
        server.kill()
        self.assertNotIn("images.example", server.stdout.read(), "only the proxy is looked up")

    def test_a_mirror_is_asked_at_once(self):
        self.serve_names("nxdomain")
        outcome, seconds = self.fetch("--image-url", f"http://127.0.0.1:{self.serve_files()}/disk.raw")
        self.assertEqual(outcome.code, 0, outcome)
        self.assertLess(seconds, 9, "it does not wait until the name is given up")
        self.assert_disk_is(self.target, self.raw)

    def test_search_domains_decide_as_well(self):
        """A name in a search domain that nobody denies may come, so the whole deadline is its."""
        self.serve_names("hall.example=servfail,nxdomain")
        self.resolver(f"search hall.example\nnameserver {SERVER}\noptions timeout:1 attempts:1\n")
        self.refused("source.deadline", "the name images was not found: ", "answers SERVFAIL", url="http://images/disk.raw",
                     deadline=13)

    def on_a_terminal(self, until, *args, progress):
        """What ingot tells a terminal: until it has told `until`, and then Ctrl-C."""
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        process = subprocess.Popen(self.argv(*args, progress=progress), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=theirs, env=ENVIRONMENT)
        os.close(theirs)
        said = b""
        interrupted = None
        while True:
            try:
                said += os.read(ours, 65536)
            except OSError:  # the other side is closed
                break
            if interrupted is None and until.encode() in said:
                process.send_signal(signal.SIGINT)
                interrupted = time.monotonic()
        self.assertEqual(process.wait(20), 130, said)
        self.assertLess(time.monotonic() - interrupted, 6)
        return said.decode()

    def test_a_terminal_is_told_once_what_is_waited_for(self):
        self.serve_names("servfail")
        for progress in ("bar", "none"):
            with self.subTest(progress=progress):
                said = self.on_a_terminal("retry 2 from 0 B: as before", progress=progress)
                line, = [line for line in said.splitlines() if "waiting: " in line]
                self.assertIn("waiting: fetching http://images.example/disk.raw: the name images.example was not found: ", line)
                self.assertIn("; trying again for ", line)
                self.assertIn(" min (--retry-deadline); Ctrl-C stops", line)
                self.assertIn("ingot: retry 2 from 0 B: as before", said)

    def test_a_terminal_is_told_of_the_checksum_file_as_well(self):
        self.serve_names("nxdomain")
        said = self.on_a_terminal("Ctrl-C stops", "--image-checksum", "http://sums.example/SHA256SUMS", progress="bar")
        line, = [line for line in said.splitlines() if "waiting: " in line]
        self.assertIn("the name sums.example does not exist: ", line)
        self.assertIn("trying again for 10 s, if the network is coming up; Ctrl-C stops", line)


if __name__ == "__main__":
    unittest.main()
