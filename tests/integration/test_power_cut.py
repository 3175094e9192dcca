#!/usr/bin/python3
"""Killed at any moment, a write leaves a disk that does not boot, or the whole verified image."""
import os
import random
import signal
import time
import unittest

import rig

KILLS = 60


class PowerCut(rig.Case):
    def kill_all_over(self, image, raw, expect_partial):
        url = f"{self.nginx()}/{os.path.basename(image)}"
        checksum = rig.digest(image)
        size = os.path.getsize(raw)
        device = self.loop(size + 8 * rig.MIB)
        # How long an undisturbed write takes decides where the moments lie.
        start = time.monotonic()
        outcome = self.write(url, device, "--image-checksum", checksum)
        took = time.monotonic() - start
        self.assertEqual(outcome.code, 0, outcome)
        self.assert_disk_is(device, raw)
        whole = self.head(device)

        seed = random.randrange(1 << 32)
        rng = random.Random(seed)
        unbootable = complete = 0
        for kill in range(KILLS):
            with self.subTest(kill=kill, seed=seed):
                process = self.start("write", "--image-url", url, "--device", device, "--yes", "--progress", "json",
                                     "--image-checksum", checksum)
                # From the moment the target is being written to; before it the disk is as it was.
                for line in process.stdout:
                    if '"phase":"write"' in line:
                        break
                time.sleep(rng.random() * took * 1.1)
                process.send_signal(signal.SIGKILL)
                process.communicate()
                head = self.head(device)
                if head == bytes(len(head)):
                    unbootable += 1
                else:
                    self.assertEqual(head, whole, "the first MiB is neither zeros nor the finished image's")
                    self.assert_disk_is(device, raw)
                    complete += 1
        print(f"{KILLS} kills (seed {seed}): {unbootable} left zeros, {complete} the whole image")
        if expect_partial:
            self.assertGreater(unbootable, KILLS // 4, "the kills came too late to say anything")
        # And the next attempt succeeds.
        self.assertEqual(self.write(url, device, "--image-checksum", checksum).code, 0)
        self.assert_disk_is(device, raw)

    def test_qcow2(self):
        raw = self.disk_image(size=192 * rig.MIB)
        self.kill_all_over(self.qcow2(raw, "-c"), raw, expect_partial=True)


if __name__ == "__main__":
    unittest.main()
