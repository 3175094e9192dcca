"""What the tests of `ingot agent` share: the process, and an API for it to talk to where no conductor is wanted."""
import http.client
import http.server
import json
import os
import re
import secrets
import ssl
import subprocess
import threading
import time
import uuid

import ironic_rig
import rig

# A test machine's own firmware is none of an agent's under test: where there is EFI, it does not see it.
NO_FIRMWARE = (["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /sys/firmware && exec "$@"', "sh"]
               if os.path.exists("/sys/firmware/efi") else [])


class Agent:
    """A running `ingot agent`, whose only disk is `device` (or disks, of a list). It ends with the test at the latest.

    What it tells Ironic is its own address, or with `proxy` that port. `within` is a command that starts it in other
    surroundings."""

    def __init__(self, case, api_url, device, mac, protocol="http", port=None, run_dir=None, proxy=None, within=(), args=()):
        self.port = port or ironic_rig.free_port()
        self.url = f"{protocol}://127.0.0.1:{proxy or self.port}"
        self.protocol = "https" if "--listen-tls" in args else protocol
        self.run_dir = run_dir or case.path(f"run-{self.port}")
        self.log_path = case.path(f"agent-{self.port}-{secrets.token_hex(2)}.log")
        os.makedirs(self.run_dir, exist_ok=True)
        disks = [device] if isinstance(device, str) else device
        argv = ["agent", "--api-url", api_url, "--listen", f"127.0.0.1:{self.port}", "--advertise-host", "127.0.0.1",
                "--advertise-port", str(proxy or self.port), "--advertise-protocol", protocol, "--mac", mac,
                *[f"--only-device={disk}" for disk in disks], "--power", "exit", "--run-dir", self.run_dir, *args]
        with open(self.log_path, "w") as log:
            self.process = subprocess.Popen([*NO_FIRMWARE, *within, "setpriv", "--pdeathsig", "KILL", rig.INGOT, *argv],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        case.addCleanup(self.stop)

    def stop(self):
        if self.process.poll() is None:
            ironic_rig.end(self.process)
        return self.process.returncode

    def kill(self):
        self.process.kill()
        self.process.wait(timeout=30)

    def wait(self, timeout=30):
        """The exit code."""
        try:
            return self.process.wait(timeout=timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the agent does not end:\n{self.log()}") from None

    def log(self):
        with open(self.log_path, errors="replace") as file:
            return file.read()

    def resident(self):
        """Bytes of memory that it has now."""
        with open(f"/proc/{self.process.pid}/status") as file:
            return int(re.search(r"VmRSS:\s+(\d+) kB", file.read())[1]) << 10

    def failure(self):
        """The error of its last command that failed, as a conductor reads it."""
        _, _, body = self.request("GET", "/v1/commands/")
        failed = [command["command_error"] for command in body["commands"] if command["command_status"] == "FAILED"]
        assert failed, body
        return failed[-1]

    def connection(self, timeout=60):
        if self.protocol == "http":
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout, context=ssl._create_unverified_context())

    def request(self, method, path, body=None, timeout=60):
        """Status, header fields and parsed body of an answer; `body` is bytes or what becomes JSON."""
        connection = self.connection(timeout)
        try:
            content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
            connection.request(method, path, content, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, answer.headers, json.loads(text) if text else None
        finally:
            connection.close()


class FakeIronic:
    """The two calls that an agent makes: lookup and heartbeat, as Ironic answers them. For tests whose requests to the agent
    are recordings or attacks; a real conductor is in ironic_rig.py."""

    def __init__(self, case, heartbeat_timeout=10, node=None, config=None):
        self.token = secrets.token_urlsafe(32)
        self.node = node or {"uuid": str(uuid.uuid4()), "properties": {}, "instance_info": {}, "driver_internal_info": {}}
        self.config = {"heartbeat_timeout": heartbeat_timeout, "agent_token_required": True, **(config or {})}
        self.requests = []    # (method, path, API version, body) of all
        self.lookups = []     # the paths asked for
        self.heartbeats = []  # (when, body) of those that were accepted
        self.refused = []     # bodies of those that were not
        self.changed = threading.Condition()
        fake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                self.note(None)
                self.answer(*fake.get(self.path))

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
                self.note(body)
                self.answer(*fake.post(self.path, body))

            def note(self, body):
                with fake.changed:
                    fake.requests.append((self.command, self.path, self.headers.get("X-OpenStack-Ironic-API-Version"), body))

            def answer(self, status, body):
                content = b"" if body is None else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        case.addCleanup(self.server.server_close)
        case.addCleanup(self.server.shutdown)

    def get(self, path):
        if path.startswith("/v1/lookup"):
            with self.changed:
                # The token is given once.
                token = "******" if self.lookups else self.token
                self.lookups.append(path)
            return 200, {"node": self.node, "config": {**self.config, "agent_token": token}}
        version = {"id": "v1", "links": [], "status": "CURRENT", "min_version": "1.1", "version": "1.82"}
        return 200, {"name": "OpenStack Ironic API", "default_version": version, "versions": [version]}

    def post(self, path, body):
        with self.changed:
            if path != f"/v1/heartbeat/{self.node['uuid']}" or body.get("agent_token") != self.token:
                self.refused.append((path, body))
                fault = {"faultcode": "Client", "faultstring": "Invalid or missing agent token received.", "debuginfo": None}
                return 400, {"error_message": json.dumps(fault)}
            self.heartbeats.append((time.monotonic(), body))
            self.changed.notify_all()
        return 202, None

    def wait_for_heartbeats(self, count, timeout=30):
        with self.changed:
            if not self.changed.wait_for(lambda: len(self.heartbeats) >= count, timeout):
                raise AssertionError(f"{len(self.heartbeats)} heartbeats after {timeout} s, {count} awaited; refused: {self.refused}")
