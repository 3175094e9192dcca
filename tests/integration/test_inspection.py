#!/usr/bin/python3
"""What inspection reports, in a network namespace of its own with a journal of its own: LLDP frames that come over a cable
(a veth pair), addresses, types of fields, and logs of a real systemd-journald without the secrets in them."""
import base64
import io
import json
import os
import re
import subprocess
import tarfile
import time
import unittest

import rig

INSPECT_NODE = os.environ.get("INSPECT_NODE", os.path.join(rig.HERE, "..", "..", "build", "dev", "tests", "inspect_node"))
SECRET = "correct-horse-battery-staple"
GIB = 1 << 30

# Sends the frames of standard input (hexadecimal lines) over an interface, again and again.
SENDER = """
import socket, sys, time
out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
out.bind((sys.argv[1], 0))
frames = [bytes.fromhex(line) for line in sys.stdin]
print("ready", flush=True)
while True:
    for frame in frames:
        out.send(frame)
    time.sleep(0.1)
"""


def tlv(kind, value):
    return (kind << 9 | len(value)).to_bytes(2, "big") + value


def lldp(*parts, group="01:80:c2:00:00:0e", ethertype=0x88CC):
    return bytes.fromhex(group.replace(":", "")) + bytes.fromhex("525400000001") + ethertype.to_bytes(2, "big") + b"".join(parts)


CHASSIS = tlv(1, bytes.fromhex("04525400000001"))
PORT = tlv(2, b"\x05Ethernet1/1")
TTL = tlv(3, b"\x00\x78")
MESSAGE = [CHASSIS, PORT, TTL, tlv(5, b"switch"), tlv(127, bytes.fromhex("0080c2010064"))]
EXPECTED = [[1, "04525400000001"], [2, "0545746865726e6574312f31"], [3, "0078"], [5, "737769746368"], [127, "0080c2010064"]]
HOSTILE = [
    lldp(CHASSIS, PORT, TTL, b"\xff\xff" + b"short"),
    lldp(CHASSIS, PORT, tlv(3, b"\x00\x00"), tlv(0, b"")),
    lldp(PORT, CHASSIS, TTL, tlv(5, b"wrong order")),
    lldp(*MESSAGE, *[tlv(4, b"")] * 300),
    lldp(b"\x02"),
    lldp(b"\xff" * 1400),
    lldp(*MESSAGE[:3], tlv(5, b"another protocol"), ethertype=0x88CD),
]

TEXT = (str,)
MAYBE_TEXT = (str, type(None))
NUMBER = (int,)
MAYBE_NUMBER = (int, type(None))
FLAG = (bool,)
DISK = {"name": TEXT, "model": MAYBE_TEXT, "size": NUMBER, "rotational": FLAG, "wwn": MAYBE_TEXT, "serial": MAYBE_TEXT,
        "vendor": MAYBE_TEXT, "wwn_with_extension": MAYBE_TEXT, "wwn_vendor_extension": MAYBE_TEXT, "hctl": MAYBE_TEXT,
        "by_path": MAYBE_TEXT, "logical_sectors": NUMBER, "physical_sectors": NUMBER, "tran": MAYBE_TEXT}
NIC = {"name": TEXT, "mac_address": TEXT, "ipv4_address": MAYBE_TEXT, "ipv6_address": MAYBE_TEXT, "has_carrier": FLAG,
       "lldp": (list, type(None)), "vendor": MAYBE_TEXT, "product": MAYBE_TEXT, "client_id": MAYBE_TEXT,
       "biosdevname": (type(None),), "speed_mbps": MAYBE_NUMBER, "pci_address": MAYBE_TEXT, "driver": MAYBE_TEXT}
CPU = {"model_name": MAYBE_TEXT, "frequency": TEXT, "count": NUMBER, "architecture": TEXT, "flags": (list,),
       "socket_count": MAYBE_NUMBER}


class Inspection(rig.Case):
    def setUp(self):
        super().setUp()
        # sysfs shows the interfaces of the namespace in which it is mounted. eth7.5 and eth8.6 are taken for VLANs by their names. The
        # journal's daemon wants the control groups.
        script = """set -e
            mount -t tmpfs none /run
            mkdir /run/cgroup
            mount --rbind /sys/fs/cgroup /run/cgroup
            mount -t sysfs none /sys
            mount --rbind /run/cgroup /sys/fs/cgroup
            mount -t tmpfs none /var/log
            mkdir -p /run/systemd/system /run/systemd/journald.conf.d /run/log/journal
            printf '[Journal]\\nRateLimitBurst=0\\nLineMax=64K\\nRuntimeMaxUse=256M\\nReadKMsg=no\\nAudit=no\\n' >/run/systemd/journald.conf.d/test.conf
            ip link set lo up
            for pair in "eth7.5 far7" "eth8.6 far8" "eth9.7 far9"; do
                set -- $pair
                ip link add $1 type veth peer name $2
            done
            for interface in eth7.5 far7 eth8.6 far8; do ip link set $interface up; done
            ip addr add 192.0.2.7/24 dev eth7.5
            ip addr add 2001:db8::7/64 dev eth7.5 nodad
            echo ready
            exec sleep 600"""
        self.holder = subprocess.Popen(["unshare", "--net", "--mount", "sh", "-c", script], stdout=subprocess.PIPE, text=True)
        self.addCleanup(self._stop, self.holder)
        self.assertEqual(self.holder.stdout.readline(), "ready\n")
        self.disks = [self.loop(8 * GIB), self.loop(5 * GIB), self.loop(1 * GIB)]

    def inside(self, *argv):
        return ["nsenter", f"--target={self.holder.pid}", "--net", "--mount", "--", *argv]

    def send(self, interface, *frames):
        sender = subprocess.Popen(self.inside("/usr/bin/python3", "-c", SENDER, interface), stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True)
        self.addCleanup(self._stop, sender)
        sender.stdin.write("".join(frame.hex() + "\n" for frame in frames))
        sender.stdin.close()
        self.assertEqual(sender.stdout.readline(), "ready\n")

    def journal(self, text):
        """Starts a journal and writes lines to it."""
        daemon = subprocess.Popen(self.inside("/lib/systemd/systemd-journald"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.addCleanup(self._stop, daemon)
        end = time.monotonic() + 30
        while subprocess.run(self.inside("systemd-cat", "true"), capture_output=True).returncode != 0:
            self.assertLess(time.monotonic(), end, "no journal")
            time.sleep(0.05)
        subprocess.run(self.inside("systemd-cat", "-t", "ingot", "cat"), input=text, text=True, check=True)
        last = text.splitlines()[-1]
        while last not in rig.sh(*self.inside("journalctl", "-b", "-n", "5", "-o", "cat")).splitlines():
            self.assertLess(time.monotonic(), end + 20, "the journal's end did not come")
            time.sleep(0.05)

    def inspect(self, *collectors, **options):
        request = {"collectors": collectors, "devices": self.disks, "lldp_ms": 20000, **options}
        start = time.monotonic()
        done = subprocess.run(self.inside(os.path.realpath(INSPECT_NODE)), input=json.dumps(request), capture_output=True,
                              text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.seconds = time.monotonic() - start
        return json.loads(done.stdout)

    def assert_types(self, value, types):
        self.assertEqual(set(value), set(types))
        for key, kinds in types.items():
            self.assertIn(type(value[key]), kinds, key)

    def members(self, logs):
        with tarfile.open(fileobj=io.BytesIO(base64.b64decode(logs, validate=True)), mode="r:gz") as archive:
            return {member.name: archive.extractfile(member).read().decode(errors="replace") for member in archive}

    def test_types_of_fields(self):
        answer = self.inspect("default", "extra-hardware")
        body = answer["body"]
        self.assertEqual(set(body), {"inventory", "root_disk", "boot_interface", "configuration", "error"})
        self.assertIsNone(body["error"])
        self.assertIn('the collector "extra-hardware" is not known', answer["notes"])
        inventory = body["inventory"]
        self.assertEqual([nic["name"] for nic in inventory["interfaces"]], ["eth7.5", "eth8.6", "eth9.7"])
        for nic in inventory["interfaces"]:
            self.assert_types(nic, NIC)
            self.assertRegex(nic["mac_address"], "^([0-9a-f]{2}:){5}[0-9a-f]{2}$")
            self.assertIn(nic["mac_address"], rig.sh(*self.inside("ip", "link", "show", nic["name"])))
        first, second, third = inventory["interfaces"]
        self.assertEqual((first["ipv4_address"], first["ipv6_address"]), ("192.0.2.7", "2001:db8::7"))
        self.assertEqual((second["ipv4_address"], second["ipv6_address"]), (None, None), "a link-local address is none")
        self.assertEqual([first["has_carrier"], second["has_carrier"], third["has_carrier"]], [True, True, False])
        self.assertEqual([disk["name"] for disk in inventory["disks"]], self.disks)
        for disk in inventory["disks"]:
            self.assert_types(disk, DISK)
        self.assertEqual(body["root_disk"], inventory["disks"][1], "the smallest of at least 4 GiB")
        self.assert_types(inventory["cpu"], CPU)
        self.assertEqual(inventory["cpu"]["architecture"], os.uname().machine)
        self.assert_types(inventory["memory"], {"total": NUMBER, "physical_mb": NUMBER})
        self.assert_types(inventory["system_vendor"], {"product_name": TEXT, "serial_number": TEXT, "manufacturer": TEXT,
                                                       "firmware": (dict,)})
        self.assertEqual(inventory["hostname"], os.uname().nodename)
        self.assertIn(inventory["boot"]["current_boot_mode"], ("bios", "uefi"))

    def test_cpu_against_lscpu(self):
        cpu = self.inspect("default")["body"]["inventory"]["cpu"]
        lscpu = {line["field"].rstrip(":"): line["data"] for line in json.loads(rig.sh("lscpu", "--json"))["lscpu"]}
        self.assertEqual(cpu["architecture"], lscpu["Architecture"])
        self.assertEqual(cpu["count"], int(lscpu["CPU(s)"]))
        if "Socket(s)" in lscpu and lscpu["Socket(s)"].isdigit():
            self.assertEqual(cpu["socket_count"], int(lscpu["Socket(s)"]))
        if "CPU max MHz" in lscpu:
            self.assertEqual(cpu["frequency"], lscpu["CPU max MHz"])
        if cpu["architecture"] == "x86_64":
            self.assertEqual(cpu["model_name"], lscpu["Model name"])
            self.assertEqual(cpu["flags"], lscpu["Flags"].split())

    def test_lldp_of_two_switches(self):
        other = [CHASSIS, tlv(2, b"\x05Ethernet1/2"), TTL, tlv(0, b"")]
        self.send("far7", *HOSTILE, lldp(*MESSAGE, tlv(0, b""), b"\0" * 10))
        self.send("far8", lldp(*other, group="01:80:c2:00:00:00"))
        body = self.inspect("default", "lldp", collect_lldp=True)["body"]
        heard = {"eth7.5": EXPECTED, "eth8.6": [EXPECTED[0], [2, "0545746865726e6574312f32"], EXPECTED[2]]}
        self.assertEqual(body["lldp_raw"], heard)
        self.assertEqual({nic["name"]: nic["lldp"] for nic in body["inventory"]["interfaces"]}, {**heard, "eth9.7": None})
        self.assertLess(self.seconds, 18, "who has heard all of them waits no longer")

    def test_lldp_of_one_or_none(self):
        self.send("far8", *HOSTILE)
        body = self.inspect("default", "lldp", lldp_ms=1500)["body"]
        self.assertEqual(body["lldp_raw"], {})
        self.assertEqual([nic["lldp"] for nic in body["inventory"]["interfaces"]], [None, None, None])
        self.assertGreater(self.seconds, 1.4)
        self.send("far7", lldp(*MESSAGE))
        body = self.inspect("lldp", lldp_ms=3000)["body"]
        self.assertEqual(body["lldp_raw"], {"eth7.5": EXPECTED})
        self.assertNotIn("inventory", body)

    def test_logs_without_secrets(self):
        drive = base64.b64encode(os.urandom(600)).decode()
        self.journal("".join(f"line {i}\n" for i in range(12000)) +
                     f"token {SECRET} here\nwriting {{\"configdrive\": \"{drive}\"}}\nipa-agent-token=abc123 x\nthe end\n")
        body = self.inspect("logs", own_log=f"ours {SECRET}\n", secrets=[SECRET])["body"]
        logs = self.members(body["logs"])
        lines = logs["journal"].splitlines()
        self.assertLessEqual(len(lines), 10000)
        self.assertGreater(len(lines), 9000)
        self.assertTrue(any(line.endswith(": token *** here") for line in lines))
        self.assertTrue(any(line.endswith(": writing {\"configdrive\": \"***\"}") for line in lines))
        self.assertTrue(any(line.endswith(": ipa-agent-token=*** x") for line in lines))
        self.assertEqual(logs["ingot.log"], "ours ***\n")
        self.assertTrue({"df", "ip_addr", "lsblk", "lsblk-full", "mount", "ps", "cmdline"} <= set(logs), set(logs))
        self.assertIn("eth7.5@far7", logs["ip_addr"])
        for name, text in logs.items():
            self.assertNotIn(SECRET, text, name)
            self.assertNotIn(drive[40:80], text, name)

    def test_a_large_journal_keeps_its_end(self):
        self.journal("".join(f"line {i} {'some words ' * 55}\n" for i in range(11000)) + "the end\n")
        logs = self.members(self.inspect(logs_alone=True)["logs"])
        self.assertLessEqual(len(logs["journal"]), 4 * rig.MIB)
        self.assertGreater(len(logs["journal"]), rig.MIB)
        self.assertRegex(logs["journal"].splitlines()[-1], re.compile(": the end$"))
        self.assertNotIn("var/log", " ".join(logs))


if __name__ == "__main__":
    unittest.main()
