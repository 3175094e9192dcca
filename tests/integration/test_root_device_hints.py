#!/usr/bin/python3
"""Root device hints choose the disk that Ironic's own matcher chooses (Debian's python3-ironic-lib).

The table of root_device_hints.json, and random hints on random inventories (SEED and CASES in the
environment change those). MATCH_HINTS names our matcher's test program.
"""
import json
import logging
import os
import random
import subprocess
import unittest

from ironic_lib import utils as ironic

HERE = os.path.dirname(os.path.abspath(__file__))
SUPPORT = os.path.join(HERE, "..", "support")
MATCH_HINTS = os.environ.get("MATCH_HINTS", os.path.join(HERE, "..", "..", "build", "dev", "tests", "match_hints"))
SEED = int(os.environ.get("SEED", "20240501"))
CASES = int(os.environ.get("CASES", "600"))
LISTS = {"serial": ("serial", "udev_serial_short", "udev_serial"), "wwn": ("wwn", "udev_wwn")}
TEXTS = ("name", "model", "vendor", "serial", "wwn", "wwn_with_extension", "wwn_vendor_extension", "hctl", "by_path")

logging.disable(logging.CRITICAL)


class Ours:
    """Our matcher, one answer a question."""

    def __init__(self):
        self.process = subprocess.Popen([MATCH_HINTS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, hints, disks):
        self.process.stdin.write(json.dumps({"hints": json.dumps(hints), "disks": disks}) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        return (answer["name"] if answer["outcome"] == "chosen" else answer["outcome"]), answer.get("message", "")

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


def valid(hints):
    """Whether Ironic's parser takes the hints; what it raises for a malformed expression is not always a ValueError."""
    try:
        ironic.parse_root_device_hints(hints)
    except Exception:
        return False
    return True


def packaged(hints, disks):
    """What the packaged library chooses: one serial number and one wwn a disk."""
    devices = [dict(disk, serial=next((disk.get(k) for k in LISTS["serial"] if disk.get(k)), None),
                    wwn=next((disk.get(k) for k in LISTS["wwn"] if disk.get(k)), None)) for disk in disks]
    if not valid(hints):
        return "invalid"
    try:
        found = ironic.match_root_device_hints(devices, hints)
    except ValueError:
        return "none"  # the agent reports a device that was not found
    except Exception as error:  # the agent fails
        return "none" if hints else f"error {error}"
    return found["name"] if found else "none"


def newer(hints, disks):
    """What the agent's newer matcher chooses, which offers all serial numbers and wwns: any may satisfy the hint.

    The packaged library is asked about each as a disk of its own.
    """
    if not valid(hints):
        return "invalid"
    for disk in disks:
        known = {hint: [v for v in dict.fromkeys(disk.get(key) for key in keys) if v] for hint, keys in LISTS.items()}
        if any(hint in hints and not known[hint] for hint in LISTS):
            continue  # nothing known is nothing that matches
        errors = tried = 0
        for serial in known["serial"] or [None]:
            for wwn in known["wwn"] or [None]:
                tried += 1
                try:
                    if ironic.match_root_device_hints([dict(disk, serial=serial, wwn=wwn)], hints):
                        return disk["name"]
                except Exception:
                    errors += 1
        # A list's value that cannot be compared is passed over; of a single one the matcher gives up.
        if errors == tried and not any(numeric(hints.get(hint)) for hint in LISTS):
            return "none"
    return "none"


def numeric(expression):
    return isinstance(expression, str) and not expression.lower().startswith(("s", "<in>", "<or>"))


class Table(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with open(os.path.join(SUPPORT, "root_device_hints.json"), encoding="utf-8") as file:
            cls.table = json.load(file)
        cls.ours = Ours()

    @classmethod
    def tearDownClass(cls):
        cls.ours.close()

    def test_the_table_is_ours(self):
        for case in self.table["cases"]:
            with self.subTest(hints=case["hints"], on=case["on"]):
                outcome, message = self.ours.ask(case["hints"], self.table["inventories"][case["on"]])
                self.assertEqual(outcome, case["outcome"], message)

    def test_the_table_is_ironics_too(self):
        for case in self.table["cases"]:
            with self.subTest(hints=case["hints"], on=case["on"]):
                if not case["hints"]:
                    continue  # the agent's default, which is not the library's
                expected = case.get("ironic_lib", {}).get("outcome", case["outcome"])
                self.assertEqual(packaged(case["hints"], self.table["inventories"][case["on"]]), expected)
                self.assertTrue(case.get("ironic_lib", {}).get("why", "none needed"), "a difference has its reason")

    def test_every_hint_and_operator_is_in_the_table(self):
        hints = {name for case in self.table["cases"] for name in case["hints"]}
        self.assertLessEqual(set(ironic.VALID_ROOT_DEVICE_HINTS) | {"tran"}, hints)
        words = {str(value).split()[0].lower() for case in self.table["cases"] for value in case["hints"].values()
                 if str(value).split()}
        for operator in "= == != >= <= > < s== s!= s< s<= s> s>= <in> <all-in> <or> <range-in>".split():
            self.assertIn(operator, words)
        self.assertGreaterEqual(len(self.table["cases"]), 80)


class Random(unittest.TestCase):
    """Disks and hints from few enough pieces that they often meet."""

    PIECES = ["samsung", "SSD", "860", "a", "A b", "→", "12", "7e2", "-5", "0x50", "s==", "<in>", "%20", "/dev", "none",
              "=", "<", ">", "!=", "s", "1_0", ".5", "inf", "", " ", "\t", "&", "on", "<or>", "~", "'"]
    OPERATORS = ["", "", "s== ", "s!= ", "s< ", "s<= ", "s> ", "s>= ", "<in> ", "<or> ", "= ", "== ", "!= ", ">= ", "<= ",
                 "> ", "< ", "<all-in> ", "S== ", "<IN> ", "s==", "<in>", ">="]

    def text(self, dice, least=1):
        joint = dice.choice(["", " ", "_", "-"])
        return joint.join(dice.choice(self.PIECES) for _ in range(dice.randint(least, 3)))

    def disk_text(self, dice):
        """What a disk has; what would make the library itself fail (see test_what_ironic_fails_on) is left out."""
        while True:
            text = None if dice.random() < 0.2 else self.text(dice)
            if text is None:
                return None
            if not text.strip():
                continue
            try:
                ironic._normalize_hint_expression(text, "model")
                return text
            except Exception:
                continue

    def disks(self, dice):
        disks = []
        for number in range(dice.randint(1, 5)):
            disk = {"name": "/dev/sd" + "abcde"[number], "rotational": dice.random() < 0.5,
                    "size": dice.choice([10, 20, 21, 4, 3]) * 2**30 + dice.choice([0, 0, 1, -1])}
            for key in ("model", "vendor", "serial", "udev_serial_short", "udev_serial", "wwn", "udev_wwn",
                        "wwn_with_extension", "wwn_vendor_extension", "hctl", "by_path"):
                disk[key] = self.disk_text(dice)
            disks.append(disk)
        return disks

    def hint(self, dice, name, disks):
        if name == "rotational":
            return dice.choice([True, False, "true", "0", "No", "maybe", "T", 1])
        if name == "size":
            return dice.choice([10, 20, "10", 4, "3.0", 0]) if dice.random() < 0.3 else \
                dice.choice(self.OPERATORS) + dice.choice(["10", "20", "4", "21", " 3", "1_0", "x"]) + \
                dice.choice(["", "", " <or> 20", " "])
        known = [disk.get(name) for disk in disks if disk.get(name)]
        value = dice.choice(known) if known and dice.random() < 0.6 else self.text(dice)
        if dice.random() < 0.3:
            value = value.swapcase()
        if dice.random() < 0.3:
            value = value[dice.randint(0, len(value)):]
        return dice.choice(self.OPERATORS) + value + dice.choice(["", "", " ", " <or> " + self.text(dice)])

    def test_random_hints(self):
        dice = random.Random(SEED)
        ours = Ours()
        self.addCleanup(ours.close)
        outcomes = {}
        for number in range(CASES):
            disks = self.disks(dice)
            names = dice.sample(TEXTS + ("size", "rotational"), dice.choice([1, 1, 1, 2]))
            hints = {name: self.hint(dice, name, disks) for name in names}
            outcome, message = ours.ask(hints, disks)
            with self.subTest(number=number, seed=SEED, hints=hints, disks=disks):
                self.assertEqual(outcome, newer(hints, disks), message)
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
        # Neither side can be asleep.
        for kind in ("/dev/sda", "/dev/sdb", "none", "invalid"):
            self.assertGreater(outcomes.get(kind, 0), CASES // 60, outcomes)

    def test_what_ironic_fails_on(self):
        """A disk whose text begins as an expression and is none: the library fails, ours passes the disk over."""
        disks = [{"name": "/dev/sda", "size": 2**33, "rotational": False, "model": "="},
                 {"name": "/dev/sdb", "size": 2**33, "rotational": False, "model": "x"}]
        self.assertRaises(Exception, ironic.match_root_device_hints, disks, {"model": "x"})
        ours = Ours()
        self.addCleanup(ours.close)
        self.assertEqual(ours.ask({"model": "x"}, disks)[0], "/dev/sdb")

    def test_the_reasons(self):
        ours = Ours()
        self.addCleanup(ours.close)
        disks = [{"name": "/dev/sda", "size": 10 * 2**30, "rotational": True, "model": "One"},
                 {"name": "/dev/sdb", "size": 300 * 2**30, "rotational": False}]
        outcome, message = ours.ask({"size": ">= 100", "model": "One"}, disks)
        self.assertEqual(outcome, "none")
        for part in ("/dev/sda: size is 10 GiB, not >= 100", "/dev/sdb: model is unknown, not One"):
            self.assertIn(part, message)
        _, message = ours.ask({}, [{"name": "/dev/sda", "size": 2**30, "rotational": True}])
        self.assertIn("/dev/sda: size is 1 GiB, not at least 4 GiB", message)


if __name__ == "__main__":
    unittest.main()
