"""A fake machine under a real Ironic: a node whose disk is a loop device, and `ingot agent` as its RAM disk."""
import json
import os
import re
import subprocess

import agent_rig
import ironic_rig
import rig
from rig import MIB, sh

DISK = 160 * MIB


def signatures(device):
    """Partition tables and file systems on the disk, and where the partitions of have_old_system() are."""
    found = sh("wipefs", "--no-act", "--parsable", device)
    for offset in (MIB, 40 * MIB):
        done = subprocess.run(["blkid", "-p", "-O", str(offset), device], capture_output=True, text=True)
        found += done.stdout
    return found


def partitions(device):
    return json.loads(sh("sfdisk", "--json", device))["partitiontable"]["partitions"]


class Machine(rig.Case):
    """A node with a disk; the agent is its RAM disk, booted when Ironic has switched the node on."""

    def machine(self, ironic, hints=None, size=DISK, **options):
        """Its root device hints name its disk, or are those given."""
        self.ironic = ironic
        self.device = self.loop(size)
        self.mac = ironic_rig.new_mac()
        self.node = ironic.node(self.mac, hints or self.device, **options)
        self.addCleanup(self.node.rm)

    def have_old_system(self):
        """A GPT and two file systems of somebody before."""
        subprocess.run(["sfdisk", "--quiet", "--no-reread", self.device], check=True, capture_output=True, text=True,
                       input="label: gpt\nstart=1MiB, size=38MiB, type=U\nstart=40MiB, size=100MiB, type=L\n")
        sh("mkfs.fat", "--offset", "2048", self.device, str(38 * 1024))
        sh("mkfs.ext4", "-q", "-F", "-E", f"offset={40 * MIB}", self.device, "100M")
        self.assertIn("gpt", signatures(self.device))
        self.assertIn("vfat", signatures(self.device))
        self.assertIn("ext4", signatures(self.device))

    def boot(self, url=None, disks=None, **options):
        self.agent = agent_rig.Agent(self, url or self.ironic.url, disks or self.device, self.mac, **options)

    def available(self):
        self.node.ask("provide")
        self.node.wait("available")

    def wait(self, *states, timeout=120):
        """What the agent has to say belongs to a failure."""
        try:
            return self.node.wait(*states, timeout=timeout)
        except AssertionError as error:
            self.fail(f"{error}\nthe agent:\n{self.agent.log()}")

    def deploy(self, image, url=None, **options):
        """An image of this test's directory; by its sha256, unless a checksum is given. Returns with the agent booted."""
        if not any("checksum" in name or "hash" in name for name in options):
            options = {"image_os_hash_algo": "sha256", "image_os_hash_value": rig.digest(image), **options}
        self.node.deploy(f"{url or self.nginx()}/{os.path.basename(image)}", **options)

    def assert_deployed(self):
        """The node is in use, and its agent has ended as it was told to."""
        self.wait("active")
        self.assertEqual(self.agent.wait(), 0, self.agent.log())
        self.assertEqual(self.node.last_error, "")

    def commands(self):
        """What the conductor has told this node's agent to do, by its own log."""
        with open(os.path.join(self.ironic.dir, "log", "ironic.log"), errors="replace") as log:
            return re.findall(rf"Executing agent command (\S+) for node {self.node.uuid}", log.read())

    def config_drive_of(self, device, reader="/openstack/latest/meta_data.json"):
        """A file in the config drive on the disk, read by xorriso."""
        last = max(partitions(device), key=lambda partition: partition["start"])
        path = self.path("config-drive")
        with open(device, "rb") as disk, open(path, "wb") as out:
            disk.seek(last["start"] * 512)
            out.write(disk.read(last["size"] * 512))
        self.assertEqual(sh("blkid", "-p", "-o", "value", "-s", "LABEL", path).strip(), "config-2")
        out = self.path("from-config-drive")
        sh("xorriso", "-osirrox", "on", "-indev", path, "-extract", reader, out)
        with open(out) as file:
            content = file.read()
        os.unlink(out)
        return content
