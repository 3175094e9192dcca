"""What the tests and the benchmark of ingot-controller share: the process, manifests, requests and events."""
import http.client
import json
import os
import re
import ssl
import subprocess
import time
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
CONTROLLER = os.environ.get("INGOT_CONTROLLER",
                            os.path.join(HERE, "..", "..", "build", "dev", "agent", "ingot-controller"))
CLOUD_EVENTS = "application/cloudevents+json; charset=UTF-8"


def machine(name, **properties):
    """A Machine's manifest; `mac_addresses="…"` is its ingot.io/mac-addresses."""
    given = {"vcluster.com/os-image": "noble", "ingot.io/device": "/dev/sda"}
    given.update({"ingot.io/" + key.replace("_", "-"): value for key, value in properties.items()})
    return json.dumps({"apiVersion": "management.loft.sh/v1", "kind": "Machine", "metadata": {"name": name},
                       "spec": {"properties": given}})


def os_image(name="noble", url="http://192.0.2.9/noble.img", checksum="a" * 64):
    return json.dumps({"apiVersion": "management.loft.sh/v1", "kind": "OSImage", "metadata": {"name": name},
                       "spec": {"displayName": name.title(), "owner": {"user": "admin"},
                                "access": [{"verbs": ["get"], "users": ["*"]}],
                                "properties": {"metal3.vcluster.com/image-url": url,
                                               "metal3.vcluster.com/image-checksum": checksum}}})


def event(deployment, seq, kind, **data):
    moment = "2026-01-31T23:59:59.123Z"
    return json.dumps({"specversion": "1.0", "type": f"io.ingot.deploy.{kind}.v1", "source": f"urn:uuid:{deployment}",
                       "id": str(seq), "time": moment, "datacontenttype": "application/json",
                       "data": {"event": kind, "seq": seq, "time": moment, "deploy_id": deployment, **data}})


def eventually(what, timeout=20):
    """The first true value of what(), which is asked again and again."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.05)
    raise AssertionError("it never came to that")


def new_deployment():
    return str(uuid.uuid4())


class Controller:
    """A running ingot-controller with its directories below `directory`."""

    def __init__(self, directory, args=(), state=None, ca=None):
        self.directory = directory
        self.catalog, self.machines = os.path.join(directory, "catalog"), os.path.join(directory, "machines")
        self.state = state or os.path.join(directory, "state.db")
        self.log_path = os.path.join(directory, "log")
        self.args, self.ca = args, ca
        self.process = self.port = None
        for folder in (self.catalog, self.machines):
            os.makedirs(folder, exist_ok=True)

    def write(self, folder, name, text):
        """Writes a manifest as an editor does: whole, or not at all."""
        path = os.path.join(folder, name)
        with open(path + ".new", "w") as file:
            file.write(text)
        os.rename(path + ".new", path)

    def argv(self, port=0):
        return [CONTROLLER, "--catalog", self.catalog, "--machines", self.machines, "--listen", f"127.0.0.1:{port}",
                "--state", self.state, *self.args]

    def start(self, port=0):
        log = open(self.log_path, "ab")
        begin = log.tell()
        with log:
            self.process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *self.argv(port)], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log)
        end = time.monotonic() + 20
        while time.monotonic() < end and self.process.poll() is None:
            with open(self.log_path) as file:
                file.seek(begin)
                found = re.search(r"listening at (https?)://127\.0\.0\.1:(\d+)/", file.read())
            if found:
                self.port = int(found.group(2))
                return self
            time.sleep(0.01)
        raise AssertionError(f"it does not serve:\n{self.log()}")

    def log(self):
        with open(self.log_path) as file:
            return file.read()

    def kill(self):
        self.process.kill()
        self.process.wait(timeout=30)

    def stop(self):
        """Ends it as systemd does; the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(timeout=30)

    def rss(self):
        with open(f"/proc/{self.process.pid}/status") as file:
            return int(re.search(r"VmRSS:\s+(\d+) kB", file.read()).group(1)) * 1024

    def connect(self, timeout=30):
        if self.ca:
            return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout,
                                               context=ssl.create_default_context(cafile=self.ca))
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def ask(self, method, target, body=None, headers=None, token=None):
        """(status, headers, body) of one request; the body parsed if it is JSON."""
        fields = dict(headers or {})
        if token:
            fields["Authorization"] = f"Bearer {token}"
        connection = self.connect()
        try:
            connection.request(method, target, body, fields)
            answer = connection.getresponse()
            text = answer.read()
            kind = answer.headers.get("Content-Type", "")
            return answer.status, answer.headers, json.loads(text) if kind == "application/json" and text else text.decode()
        finally:
            connection.close()

    def get(self, target, token=None, **headers):
        return self.ask("GET", target, headers=headers, token=token)

    def post_event(self, url, body, token=None):
        return self.ask("POST", url, body, {"Content-Type": CLOUD_EVENTS}, token)[0]

    def events(self, deployment):
        """All of them, page by page."""
        found, after = [], -1
        while True:
            status, _, page = self.get(f"/v1/deployments/{deployment}/events?after={after}")
            if status == 404:
                return []
            assert status == 200, page
            found += page["events"]
            if page["next"] is None:
                return found
            after = page["next"]


class Stream:
    """A page's event stream."""

    def __init__(self, controller, token=None, last_event_id=None):
        self.connection = controller.connect(timeout=30)
        fields = {}
        if token:
            fields["Authorization"] = f"Bearer {token}"
        if last_event_id:
            fields["Last-Event-ID"] = last_event_id
        self.connection.request("GET", "/v1/stream", headers=fields)
        self.answer = self.connection.getresponse()

    def close(self):
        self.answer.close()
        self.connection.close()

    def next(self):
        """(event, id, data) of the next one; what is none is passed over."""
        kind, number, data = "message", None, []
        while True:
            line = self.answer.readline().decode()
            if not line:
                raise AssertionError("the stream ended")
            line = line.rstrip("\n")
            if not line:
                if data:
                    return kind, number, json.loads("\n".join(data))
                kind, number, data = "message", None, []
            name, _, value = line.partition(": ")
            if name == "event":
                kind = value
            elif name == "id":
                number = value
            elif name == "data":
                data.append(value)

    def until(self, condition, timeout=20):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            found = self.next()
            if condition(*found):
                return found
        raise AssertionError("it never came")
