"""A real Ironic for the tests of `ingot agent`: Debian's, unmodified, one process, on loopback.

Its hardware is Ironic's own "fake-hardware": power and boot device are taken note of and nothing else; what deploys and
cleans is the agent. No Keystone, no message queue; SQLite. Everything of it lives in one directory.
"""
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

# The newest version of its API that 21.4 speaks.
API_VERSION = "1.82"
# States that a node does not leave by itself.
FINAL = ("deploy failed", "clean failed", "error", "inspect failed", "active")


def free_port():
    """A port on loopback that nobody has. Below the kernel's range for outgoing connections and nginx's of
    tests/demo/serve-directory, so that it stays free until it is used."""
    while True:
        port = random.SystemRandom().randrange(10000, 20000)
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def new_mac():
    """A MAC address of the range for one's own use."""
    return "52:54:00:" + ":".join(f"{byte:02x}" for byte in random.SystemRandom().randbytes(3))


def end(process, group=False):
    """Ends a process started with start_new_session (and with `group` what it started), however it takes."""
    def send(number):
        try:
            if group:
                os.killpg(process.pid, number)
            elif process.poll() is None:
                process.send_signal(number)
        except ProcessLookupError:
            pass

    send(signal.SIGTERM)
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        pass
    send(signal.SIGKILL)
    process.wait(timeout=10)


class Refused(Exception):
    """The API said no."""

    def __init__(self, status, text):
        super().__init__(f"HTTP {status}: {text}")
        self.status = status


CONFIGURATION = """
[DEFAULT]
auth_strategy = noauth
rpc_transport = none
host = rig
my_ip = 127.0.0.1
debug = true
log_dir = {dir}/log
log_file = ironic.log
tempdir = {dir}/tmp
pybasedir = /usr/lib/python3/dist-packages/ironic
state_path = {dir}
enabled_hardware_types = fake-hardware
enabled_bios_interfaces = no-bios
enabled_boot_interfaces = fake
enabled_console_interfaces = no-console
enabled_deploy_interfaces = direct,custom-agent
enabled_inspect_interfaces = no-inspect
# Nodes have "noop": "fake", which has to be there, refuses to boot from disk.
enabled_management_interfaces = noop,fake
enabled_network_interfaces = noop
enabled_power_interfaces = fake
enabled_raid_interfaces = no-raid
enabled_rescue_interfaces = no-rescue
enabled_storage_interfaces = noop
enabled_vendor_interfaces = no-vendor
[oslo_messaging_notifications]
driver = noop
[database]
connection = sqlite:///{dir}/ironic.sqlite
[oslo_concurrency]
lock_path = {dir}/locks
[api]
host_ip = 127.0.0.1
port = {port}
api_workers = 1
public_endpoint = {url}
ramdisk_heartbeat_timeout = {heartbeat_timeout}
[service_catalog]
auth_type = none
endpoint_override = {url}
[conductor]
automated_clean = true
sync_power_state_interval = -1
send_sensor_data = false
deploy_callback_timeout = {callback_timeout}
clean_callback_timeout = {callback_timeout}
check_provision_state_interval = 5
[deploy]
default_boot_mode = bios
http_root = {dir}/http
fast_track = false
power_off_after_deploy_failure = false
erase_devices_priority = 0
erase_devices_metadata_priority = 10
[agent]
image_download_source = http
stream_raw_images = true
command_timeout = 60
command_wait_interval = 2
post_deploy_get_power_state_retries = 2
post_deploy_get_power_state_retry_interval = 1
deploy_logs_collect = on_failure
deploy_logs_local_path = {dir}/deploy-logs
require_tls = {require_tls}
certificates_path = {dir}/certs
[pxe]
images_path = {dir}/images
instance_master_path = {dir}/images/master
tftp_root = {dir}/tftp
tftp_master_path = {dir}/tftp/master
"""


class Ironic:
    """Runs from start() until stop(), which leaves nothing of it."""

    def __init__(self, heartbeat_timeout=10, callback_timeout=600, require_tls=False):
        """Seconds: agents are told `heartbeat_timeout` (they come every 0.3 to 0.6 of it); a node whose agent was not
        heard of for `callback_timeout` has failed."""
        self.dir = tempfile.mkdtemp(prefix="ingot-ironic-", dir="/var/tmp")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.settings = {"dir": self.dir, "port": self.port, "url": self.url, "heartbeat_timeout": heartbeat_timeout,
                         "callback_timeout": callback_timeout, "require_tls": "true" if require_tls else "false"}
        self.process = None

    @property
    def deploy_logs(self):
        """Where it puts the logs that it asks an agent for when a deployment fails."""
        return os.path.join(self.dir, "deploy-logs")

    def start(self):
        """Until it answers; whatever goes wrong, nothing is left."""
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self):
        for folder in ("log", "http", "images/master", "deploy-logs", "tmp", "locks", "tftp/master", "certs"):
            os.makedirs(os.path.join(self.dir, folder))
        self.configuration = os.path.join(self.dir, "ironic.conf")
        with open(self.configuration, "w") as file:
            file.write(CONFIGURATION.format(**self.settings))
        # Whatever proxies this machine has, what is on loopback is not behind one.
        environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        made = subprocess.run(["ironic-dbsync", "--config-file", self.configuration, "create_schema"],
                              capture_output=True, text=True, env=environment, timeout=120)
        if made.returncode != 0:
            raise AssertionError(f"ironic-dbsync: exit {made.returncode}\n{made.stdout}{made.stderr}")
        with open(os.path.join(self.dir, "log", "output"), "w") as output:
            self.process = subprocess.Popen(["ironic", "--config-file", self.configuration], cwd=self.dir, env=environment,
                                            stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
        give_up = time.monotonic() + 120
        while True:
            if self.process.poll() is not None:
                raise AssertionError(f"ironic ended with {self.process.returncode}:\n{self.log()}")
            try:
                # The conductor tells the API what it can drive when it is up.
                if any(d["name"] == "fake-hardware" for d in self.api("GET", "/v1/drivers")["drivers"]):
                    return
            except (OSError, http.client.HTTPException, Refused):
                pass
            if time.monotonic() > give_up:
                raise AssertionError(f"ironic does not answer:\n{self.log()}")
            time.sleep(0.2)

    def stop(self):
        if self.process is not None:
            end(self.process, group=True)
            self.process = None
        shutil.rmtree(self.dir, ignore_errors=True)

    def log(self, lines=60):
        """The end of its log, for a failed test."""
        text = ""
        for name in ("ironic.log", "output"):
            try:
                with open(os.path.join(self.dir, "log", name), errors="replace") as file:
                    text += "".join(file.readlines()[-lines:])
            except OSError:
                pass
        return text

    def request(self, method, path, body=None, version=API_VERSION):
        """Status and text of one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if version:
            headers["X-OpenStack-Ironic-API-Version"] = version
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def api(self, method, path, body=None):
        """What the API answers; refusals are exceptions. A node that is locked for a moment is asked again."""
        give_up = time.monotonic() + 30
        while True:
            status, text = self.request(method, path, body)
            if status == 409 and "locked" in text and time.monotonic() < give_up:
                time.sleep(0.2)
                continue
            if status >= 300:
                raise Refused(status, text)
            return json.loads(text) if text else None

    def node(self, mac, root_device, clean=False, boot_mode="bios", deploy_interface="direct", driver_info=None):
        """A new node, manageable: with one port `mac` and the disk `root_device` (a path, or hints); with `clean` it is
        cleaned whenever it is provided."""
        hints = {"name": root_device} if isinstance(root_device, str) else root_device
        made = self.api("POST", "/v1/nodes", {
            "driver": "fake-hardware", "deploy_interface": deploy_interface, "driver_info": driver_info or {},
            "boot_interface": "fake", "power_interface": "fake",
            "management_interface": "noop", "network_interface": "noop", "storage_interface": "noop",
            "inspect_interface": "no-inspect", "raid_interface": "no-raid", "automated_clean": clean,
            "properties": {"cpus": 1, "memory_mb": 2048, "local_gb": 1, "cpu_arch": "x86_64",
                           "capabilities": f"boot_mode:{boot_mode}", "root_device": hints}})
        self.api("POST", "/v1/ports", {"node_uuid": made["uuid"], "address": mac})
        node = Node(self, made["uuid"])
        node.ask("manage")
        node.wait("manageable")
        return node


class Node:
    """A node of an Ironic."""

    def __init__(self, ironic, uuid):
        self.ironic = ironic
        self.uuid = uuid

    @property
    def record(self):
        return self.ironic.api("GET", f"/v1/nodes/{self.uuid}")

    @property
    def state(self):
        return self.record["provision_state"]

    @property
    def last_error(self):
        return self.record["last_error"] or ""

    def ask(self, target, **more):
        """Asks for a change of state: "manage", "provide", "active", "clean", "deleted", "abort"."""
        self.ironic.api("PUT", f"/v1/nodes/{self.uuid}/states/provision", {"target": target, **more})

    def wait(self, *wanted, timeout=60):
        """Until it is in one of these states, which it returns; another end is the test's failure."""
        give_up = time.monotonic() + timeout
        seen = []
        while True:
            # Many tests ask at once, and all of a node takes Ironic long.
            record = self.ironic.api("GET", f"/v1/nodes/{self.uuid}?fields=provision_state,last_error")
            state = record["provision_state"]
            if not seen or seen[-1] != state:
                seen.append(state)
            if state in wanted:
                return state
            if state in FINAL or time.monotonic() > give_up:
                raise AssertionError(f"{self.uuid}: {' -> '.join(seen)}, not {' or '.join(wanted)}"
                                     f"{'' if state in FINAL else f' after {timeout} s'}: {record['last_error']}\n"
                                     f"{self.ironic.log()}")
            time.sleep(0.5)

    def deploy(self, image, image_format="raw", configdrive=None, deploy_steps=None, fast_track=False, **instance_info):
        """Asks for the image; returns when the node waits for its agent (with `fast_track`, which is there already: at once).
        `configdrive` is a dict, base64 or a URL; `instance_info` goes to Ironic as it is (image_os_hash_algo,
        image_os_hash_value, image_checksum …). Without an image the steps bring it."""
        info = {"image_source": image, "image_disk_format": image_format, **instance_info} if image else instance_info
        self.ironic.api("PATCH", f"/v1/nodes/{self.uuid}", [{"op": "replace", "path": "/instance_info", "value": info}])
        more = {"configdrive": configdrive, "deploy_steps": deploy_steps}
        self.ask("active", **{name: value for name, value in more.items() if value is not None})
        if not fast_track:
            self.wait("wait call-back")

    def clean(self, *steps):
        """Asks for these steps of the deploy interface, by name; returns when the node waits for its agent."""
        self.ask("clean", clean_steps=[{"interface": "deploy", "step": step} for step in steps])
        self.wait("clean wait")

    def deploy_logs(self):
        """The archives of logs that its agent gave when a deployment failed, as bytes."""
        found = []
        for name in sorted(os.listdir(self.ironic.deploy_logs)):
            if re.match(re.escape(self.uuid), name):
                with open(os.path.join(self.ironic.deploy_logs, name), "rb") as file:
                    found.append(file.read())
        return found

    def rm(self):
        """Forgets the node, in whatever state it is."""
        try:
            self.ironic.api("PUT", f"/v1/nodes/{self.uuid}/maintenance", {})
            self.ironic.api("DELETE", f"/v1/nodes/{self.uuid}")
        except (Refused, OSError, http.client.HTTPException):
            pass  # stop() takes the whole database away
