"""What the tests of the Kubernetes catalog share: certificates, servers (kubernetes_rig.py), kubeconfigs, a proxy, and the
program that prints what the catalog says (tests/support/kubernetes_catalog.cpp), which KUBERNETES_CATALOG names.
"""
import json
import os
import queue
import shutil
import socket
import socketserver
import subprocess
import tempfile
import threading
import time
import unittest

from kubernetes_rig import ApiServer, Certificates, kubeconfig

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAM = os.environ.get("KUBERNETES_CATALOG", os.path.join(HERE, "../../build/dev/tests/kubernetes_catalog"))
INGOT = os.environ.get("INGOT", os.path.join(HERE, "../../build/dev/agent/ingot"))
TOKEN = "eyJhbGciOiJSUzI1NiJ9.S3CR3T.c2lnbmF0dXJl"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMMqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq admin@example"
CLEAN = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy") and name != "KUBECONFIG"}


class Case(unittest.TestCase):
    """A test with certificates, a directory, servers, and the program."""

    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.certificates = Certificates(tempfile.mkdtemp(prefix="ingot-k8s-", dir="/var/tmp"))
        cls.addClassCleanup(shutil.rmtree, cls.certificates.dir, ignore_errors=True)
        make = cls.certificates.make
        cls.server_pair = make("server", "/CN=kube-apiserver", "IP:127.0.0.1,DNS:localhost,DNS:kube.example")
        cls.named_pair = make("named", "/CN=kube-apiserver", "DNS:kube.example")
        cls.expired_pair = make("expired", "/CN=kube-apiserver", "IP:127.0.0.1", expired=True)
        cls.alice = make("alice", "/O=admins/CN=alice")
        cls.late = make("late", "/O=admins/CN=late", expired=True)
        cls.stranger = make("stranger", "/CN=stranger", ca="other-ca")
        cls.ca = cls.certificates.path("ca.crt")

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="ingot-it-", dir="/var/tmp")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def path(self, name, content=None):
        path = os.path.join(self.dir, name)
        if content is not None:
            with open(path, "w") as file:
                file.write(content)
            os.chmod(path, 0o600)
        return path

    def api(self, certificate=None, images=("ubuntu-noble",), **options):
        server = ApiServer(certificate or self.server_pair, self.ca, **options)
        self.addCleanup(server.stop)
        server.tokens[TOKEN] = "system:serviceaccount:ingot:ingot"
        for name in images:
            server.put_image(name)
        return server

    def config(self, server, user=None, name="config", **cluster):
        cluster = {"certificate-authority": self.ca, **cluster}
        return kubeconfig(self.path(name), server.url, {"token": TOKEN} if user is None else user,
                          **{key: value for key, value in cluster.items() if value is not None})

    def run_catalog(self, *args, env=None, through=()):
        """The lines that the program prints; `through`: a command that runs it."""
        done = subprocess.run([*through, PROGRAM, *args], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
                              env={**CLEAN, "HOME": self.dir, **(env or {})})
        self.assertEqual(done.stderr, "")
        self.assertNotIn(TOKEN, done.stdout)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def catalog(self, *args, **kwargs):
        lines = self.run_catalog(*args, **kwargs)
        self.assertFalse([line for line in lines if "error" in line or "warning" in line], lines)
        return lines

    def refused(self, code, *args, **kwargs):
        lines = self.run_catalog(*args, **kwargs)
        self.assertIn("error", lines[-1] if lines else {}, lines)
        error = lines[-1]["error"]
        self.assertEqual(error["code"], code, error)
        return error["message"] + " / " + error["advice"]

    def wait(self, condition):
        end = time.monotonic() + 20
        while not condition():
            self.assertLess(time.monotonic(), end, "in time")
            time.sleep(0.02)


class Watch:
    """The program watching, until end()."""

    def __init__(self, case, *args, env=None):
        self.case = case
        self.warnings = []
        self.lines = queue.Queue()
        self.process = subprocess.Popen([PROGRAM, "watch", *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env={**CLEAN, "HOME": case.dir, **(env or {})})
        self.reader = threading.Thread(target=self.read)
        self.reader.start()
        case.addCleanup(self.end)

    def read(self):
        for line in self.process.stdout:
            value = json.loads(line)
            if "warning" in value:
                self.warnings.append(value["warning"])
            else:
                self.lines.put(value)

    def next(self):
        try:
            return self.lines.get(timeout=20)
        except queue.Empty:
            self.case.fail(f"nothing changed in time; warnings: {self.warnings}")

    def images(self):
        return set(self.next()["images"])

    def end(self):
        if self.process.stdin.closed:
            return
        self.process.stdin.close()
        code = self.process.wait(timeout=20)
        self.reader.join()
        self.process.stdout.close()
        self.case.assertEqual(code, 0)


class Proxy:
    """An HTTP proxy that connects through, and remembers for whom."""

    def __init__(self):
        self.asked = []
        asked = self.asked

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                line = self.rfile.readline().decode().strip()
                asked.append(line)
                while self.rfile.readline().strip():
                    pass
                host, port = line.split()[1].rsplit(":", 1)
                peer = socket.create_connection((host, int(port)))
                self.wfile.write(b"HTTP/1.1 200 connected\r\n\r\n")
                back = threading.Thread(target=self.copy, args=(peer, self.connection), daemon=True)
                back.start()
                self.copy(self.connection, peer)
                back.join(5)
                peer.close()

            @staticmethod
            def copy(source, to):
                try:
                    while data := source.recv(65536):
                        to.sendall(data)
                    to.shutdown(socket.SHUT_WR)
                except OSError:
                    pass

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
